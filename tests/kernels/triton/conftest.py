"""Marks and fixtures of the tests of Triton's kernels; `triton_cases` makes the cases."""

from pathlib import Path

import pytest
import torch


@pytest.fixture(autouse=True)
def on_any_machine(request):
    """Run each test here in the interpreter, on a machine without a GPU."""
    if not torch.cuda.is_available():
        request.getfixturevalue("interpreter")


@pytest.fixture
def requires_interpreter():
    """Skip a test that needs float64 kernels, which run in the interpreter only."""
    if torch.cuda.is_available():
        pytest.skip("float64 kernels run in Triton's interpreter only")


@pytest.fixture
def tensor_core_blocks(monkeypatch):
    """Run kernels in the block sizes that bfloat16 ships with, whatever the inputs."""
    from sleep_kernels.triton import run

    monkeypatch.setattr(run, "kernel_dtype", lambda *_: "bf16")


def pytest_itemcollected(item):
    """Triton's interpreter is slow: `run.py test --fast` leaves this folder out."""
    if Path(item.path).is_relative_to(Path(__file__).parent):
        item.add_marker("slow")
