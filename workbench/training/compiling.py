"""Whether torch.compile works for a CPU here, and one line where it does not."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
import tempfile
import time
import warnings
from pathlib import Path

from workbench.config import TrainingConfig
from workbench.errors import WorkbenchError

FIX = "add --set training.compile=false"


def inductor_compiler() -> str | None:
    """Return the C++ compiler that torch.compile would use, None without one.

    If ``$CXX`` is set, torch takes it as one name and looks no further; the native kernels,
    by contrast, take it as a command with arguments.
    """
    default = {"darwin": "clang++", "win32": "cl"}.get(sys.platform, "g++")
    named = os.environ.get("CXX", default)
    return named if shutil.which(named) else None


def setup_problem() -> str | None:
    """Return why torch.compile cannot work here, as far as can be seen without trying it."""
    if inductor_compiler() is None:
        named = os.environ.get("CXX")
        wanted = "install one, or name it in $CXX" if named is None else f"$CXX is {named!r}"
        return f"no C++ compiler ({wanted})"
    import torch

    places = [
        str(Path(torch.__file__).parent),
        sysconfig.get_path("include"),
        os.environ.get("TORCHINDUCTOR_CACHE_DIR") or tempfile.gettempdir(),
    ]
    for place in places:
        if any(letter.isspace() for letter in place):
            return f"a space in the path {place!r}, which torch hands to the compiler unquoted"
    return None


def check_compiler(config: TrainingConfig) -> None:
    """Check that the blocks can be compiled for the CPU, if that is wanted.

    Raises WorkbenchError: there is no C++ compiler, or torch cannot use it from this folder.
    """
    if not config.compile or config.device != "cpu":
        return
    problem = setup_problem()
    if problem is not None:
        raise WorkbenchError(
            f"training.compile = true with {problem}",
            "a C++ compiler, and paths without spaces",
            FIX,
        )


def compilation_failed(error: BaseException) -> WorkbenchError | None:
    """Return the one line for an error of torch.compile; None for any other error.

    Of what a compiler prints, which can be a hundred lines, it holds the first error.
    """
    known = sys.modules.get("torch._dynamo.exc")
    if known is None or not isinstance(error, known.BackendCompilerFailed):
        return None
    return WorkbenchError(
        f"training.compile = true: torch.compile failed ({_telling(error)})",
        "a C++ compiler that works with this version of torch",
        FIX,
    )


def trial() -> str | None:
    """Compile and run a small function; return why that failed, None where it worked.

    Takes some seconds: torch keeps what it compiled, so the function is a new one each time.
    """
    problem = setup_problem()
    if problem is not None:
        return problem
    import torch

    shift = time.time_ns() % 1_000_003 / 1_000_003
    x = torch.linspace(0, 1, 64)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's own, of its parts
            found = torch.compile(lambda y: (y + shift).sin() * 2, dynamic=False)(x)
    except Exception as error:
        return f"torch.compile failed ({_telling(error)})"
    if not torch.allclose(found, (x + shift).sin() * 2, atol=1e-5):
        return "torch.compile gives wrong numbers"
    return None


def _telling(error: BaseException) -> str:
    lines = [" ".join(line.split()) for line in str(error).splitlines() if line.strip()]
    errors = (line for line in lines[1:] if "error:" in line)
    line = next(errors, lines[0] if lines else type(error).__name__)
    return line if len(line) <= 200 else f"{line[:200]} ..."
