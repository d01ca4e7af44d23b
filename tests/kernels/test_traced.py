"""Marks for the compiler, made without it."""

import pytest
import torch

from sleep_kernels.traced import as_constant


@pytest.mark.slow  # loads the compiler
def test_a_constant_is_marked_as_pytorch_marks_it():
    ours, theirs = as_constant(lambda: None), torch.compiler.assume_constant_result(lambda: None)
    assert vars(ours) == vars(theirs) != {}
