"""Where torch.compile works, and the one line where it does not."""

import sys

import pytest
import torch

from workbench.config import TrainingConfig
from workbench.errors import WorkbenchError
from workbench.training import compiling, loop

COMPILED = TrainingConfig(compile=True)


@pytest.mark.parametrize("named", ["/nonexistent", "", " ", "g++ -O1"])
def test_a_compiler_that_is_named_and_missing_is_refused(named, monkeypatch):
    """Torch takes $CXX as one name and looks no further."""
    monkeypatch.setenv("CXX", named)
    assert compiling.inductor_compiler() is None
    with pytest.raises(WorkbenchError, match="no C.. compiler .*CXX is.*training.compile=false"):
        compiling.check_compiler(COMPILED)
    assert "no C++ compiler" in str(compiling.trial())
    compiling.check_compiler(TrainingConfig(compile=False))


def test_a_compiler_that_is_named_and_there(monkeypatch):
    monkeypatch.setenv("CXX", sys.executable)
    assert compiling.inductor_compiler() == sys.executable


def test_a_path_with_a_space_is_refused_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", sys.executable)
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    compiling.check_compiler(COMPILED)
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "my thesis"))
    with pytest.raises(WorkbenchError) as refused:
        compiling.check_compiler(COMPILED)
    assert "my thesis', which torch hands to the compiler unquoted" in str(refused.value)
    assert "training.compile=false" in str(refused.value) and "\n" not in str(refused.value)
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR")
    monkeypatch.setattr(torch, "__file__", "/home/me/my thesis/torch/__init__.py")
    assert "'/home/me/my thesis/torch'" in str(compiling.setup_problem())


def failing(*arguments, **options):
    """Stand in for a compiled function whose compiler fails."""
    from torch._dynamo.exc import BackendCompilerFailed

    said = ValueError("C++ compile error\n\nCommand:\ng++ ...\n\ng++: fatal error: no input\n")
    raise BackendCompilerFailed(failing, said, None)


@pytest.mark.slow
def test_a_compiler_that_fails_in_a_run_is_one_line(tiny_experiment, tmp_path, monkeypatch):
    monkeypatch.setattr(loop._Run, "_train_step", failing)
    with pytest.raises(WorkbenchError) as refused:
        loop.train(tiny_experiment(), tmp_path / "run")
    line = str(refused.value)
    assert "torch.compile failed (g++: fatal error: no input)" in line and "\n" not in line
    assert "training.compile=false" in line


def test_only_an_error_of_a_compiler_is_taken_for_one():
    assert compiling.compilation_failed(RuntimeError("another")) is None


def test_a_trial_tells_failure_and_wrong_numbers(monkeypatch):
    monkeypatch.setattr(compiling, "setup_problem", lambda: None)
    monkeypatch.setattr(torch, "compile", lambda function, **options: failing)
    assert compiling.trial() == "torch.compile failed (g++: fatal error: no input)"
    monkeypatch.setattr(torch, "compile", lambda function, **options: torch.zeros_like)
    assert compiling.trial() == "torch.compile gives wrong numbers"


@pytest.mark.slow
def test_a_trial_compiles():
    if compiling.setup_problem() is not None:
        pytest.skip("needs a C++ compiler")
    assert compiling.trial() is None
