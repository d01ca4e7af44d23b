"""Marks for the compiler, made without it."""

import subprocess
import sys

import pytest
import torch

from sleep_kernels.traced import as_constant


@pytest.mark.slow  # loads the compiler
def test_a_constant_is_marked_as_pytorch_marks_it():
    ours, theirs = as_constant(lambda: None), torch.compiler.assume_constant_result(lambda: None)
    assert vars(ours) == vars(theirs) != {}


@pytest.mark.process
def test_a_model_is_made_without_loading_the_compiler():
    code = (
        "import sys\n"
        "from workbench.config import ModelConfig\n"
        "from workbench.model import HybridModel\n"
        "HybridModel(ModelConfig(vocabulary=5))\n"
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-P", "-c", code], check=False).returncode == 0
