"""Compiling the C++ sources for this processor, once, and loading what came of it.

The library is kept in ``$SLEEP_KERNELS_CACHE``, else in the user's cache folder, under a name made
from the sources, the compiler and the processor. It is written aside and renamed, so that no
process ever loads half of one, and loaded only where nobody else could have written it.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

COMPILERS = ("g++", "clang++", "c++")
FLAGS = (
    *("-std=c++17", "-O3", "-fPIC", "-shared", "-pthread"),
    *("-fno-math-errno", "-fno-trapping-math", "-Wno-psabi"),
)
TUNING = ("-march=native", "-mcpu=native")
"""The first that the compiler takes: Arm's compilers know the second name only."""
SWITCH = "SLEEP_KERNELS_NATIVE"
FOLDER = "SLEEP_KERNELS_CACHE"
WORK_OF_A_THREAD = 1 << 20
MOST_TAPS = 8
"""Of a short convolution; longer ones stay with PyTorch."""
KINDS = {torch.float32: "float", torch.float64: "double"}
HERE = Path(__file__).resolve().parent


class Refused(Exception):
    """Why there is no library; the text follows "backend 'native' cannot serve"."""


@torch.compiler.assume_constant_result  # asked while a graph is traced, too
def problem() -> str | None:
    """Return why the library cannot be used here, None where it can; compiles it where it must."""
    found = _loaded()
    return found if isinstance(found, str) else None


def takes(backend: str, *tensors: Tensor) -> bool:
    """Return whether what stands around a rule goes through the library, for a backend's name.

    It does with "auto" and "native", for tensors on a CPU that are all float32 or all float64. Not
    where a graph is traced: a compiler fuses the plain forms with what is beside them.
    """
    if backend not in ("auto", "native") or torch.compiler.is_compiling():
        return False
    kinds = {x.dtype for x in tensors}
    on_cpu = all(x.device.type == "cpu" for x in tensors)
    return on_cpu and len(kinds) == 1 and kinds <= KINDS.keys() and problem() is None


def library() -> ctypes.CDLL:
    """Return the library.

    Raises
    ------
    RuntimeError
        There is none; `problem` says why.
    """
    found = _loaded()
    if isinstance(found, str):
        raise RuntimeError(f"backend 'native' cannot serve: {found}; use backend='auto'")
    return found


def call(function: str, arguments: ctypes.Structure, dtype: torch.dtype) -> None:
    """Call one of the library's functions, for float32 or float64 numbers.

    Raises
    ------
    MemoryError
        It found no memory to work in.
    """
    if getattr(library(), f"{function}_{KINDS[dtype]}")(ctypes.byref(arguments)):
        raise MemoryError(f"{function} of the native backend found no memory; make some free")


def threads_for(work: int) -> int:
    """Return how many of torch's threads are worth starting for `work` numbers read or written."""
    return max(1, min(torch.get_num_threads(), work // WORK_OF_A_THREAD))


@cache
def _loaded() -> ctypes.CDLL | str:
    try:
        return ctypes.CDLL(str(_built()))
    except Refused as reason:
        return str(reason)
    except OSError as error:
        return f"its library does not load ({error})"


def _built() -> Path:
    """Return the library's path, after compiling it if this is the first time."""
    if os.environ.get(SWITCH, "1") == "0":
        raise Refused(f"it is switched off by {SWITCH}=0")
    if os.name != "posix":
        raise Refused(f"it is built on Linux and macOS only, not on {platform.system()}")
    compiler = find_compiler()
    if compiler is None:
        raise Refused(f"there is no C++ compiler; install one of {', '.join(COMPILERS)}")
    folder = _folder()
    path = folder / f"sleep-kernels-{_identity(compiler)}.so"
    if path.exists():
        if path.stat().st_uid != os.getuid():
            raise Refused(f"{path} belongs to another user; delete it, or set {FOLDER}")
        return path
    print(f"sleep_kernels: compiling for this processor, once, into {folder}", file=sys.stderr)
    with tempfile.TemporaryDirectory(dir=folder) as aside:
        whole = Path(aside) / "library.so"
        _compile(compiler, whole)
        whole.replace(path)
    return path


def find_compiler() -> str | None:
    """Return the path of the C++ compiler: ``$CXX``, which then is the only one, or a known one."""
    named = os.environ.get("CXX")
    found = (shutil.which(name) for name in ((named,) if named else COMPILERS))
    return next((path for path in found if path), None)


def _folder() -> Path:
    """Return the folder of libraries, made for this user alone."""
    named = os.environ.get(FOLDER)
    if named:
        folder = Path(named)
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        folder = Path(base) / "sleep-workbench"
    try:
        folder.mkdir(parents=True, mode=0o700, exist_ok=True)
    except (OSError, RuntimeError) as error:
        raise Refused(f"{folder} cannot be made ({error}); set {FOLDER}") from None
    status = folder.stat()
    if status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise Refused(f"others may write into {folder}; take that right away, or set {FOLDER}")
    return folder


def _identity(compiler: str) -> str:
    """Return what a library depends on, as one short name: sources, compiler, processor."""
    told = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=False)
    parts = [compiler, told.stdout, *FLAGS, platform.machine(), _processor()]
    digest = hashlib.sha256("\0".join(parts).encode())
    for source in sorted((*HERE.glob("*.h"), *HERE.glob("*.cpp"))):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def _processor() -> str:
    """Return what tells this processor's instructions from another's: homes are shared."""
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return platform.processor()
    lines = info.read_text(encoding="utf-8", errors="replace").splitlines()
    telling = ("model name", "flags", "Features", "CPU part")
    return "\n".join(sorted({line for line in lines if line.startswith(telling)}))


def _compile(compiler: str, target: Path) -> None:
    for tuning in TUNING:
        command = [compiler, *FLAGS, tuning, str(HERE / "library.cpp"), "-o", str(target)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return
    said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
    telling = next((line for line in said if "error" in line), said[0])
    raise Refused(f"{compiler} does not compile it ({telling}); version 12 of g++, or clang, does")
