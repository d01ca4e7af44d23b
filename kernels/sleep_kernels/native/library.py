"""Compiles the C++ sources for this processor, once, and loads the library.

It is kept in ``$SLEEP_KERNELS_CACHE``, else in the user's cache folder, under a name made from
sources, flags, processor and compiler. It is written to a temporary file, flushed and renamed, so
that no process loads half of one, and loaded only if no other user could have written it.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import re
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from sleep_kernels.contract import CHUNK, cannot_serve, check_backend_name
from sleep_kernels.native import structures
from sleep_kernels.traced import as_constant

COMPILERS = ("g++", "clang++", "c++")
MOST_TAPS = 8
"""Taps of the longest convolution that goes through the library."""
FLAGS = (
    *("-std=c++17", "-O3", "-fPIC", "-shared", "-pthread", "-Wno-psabi"),
    *("-fno-math-errno", "-fno-trapping-math"),
    *(f"-DSLEEP_CHUNK={CHUNK}", f"-DSLEEP_MOST_TAPS={MOST_TAPS}"),
    *(["-Wl,-z,defs"] if platform.system() == "Linux" else []),  # report missing symbols now
)
TUNING = ("-march=native", "-mcpu=native")
"""The first that the compiler accepts is used: Arm's compilers know only the second."""
COMPILE_SECONDS = 600
"""How long a compiler may take."""
SWITCH = "SLEEP_KERNELS_NATIVE"
"""Environment variable that switches the library off: 0, off, no or false."""
FOLDER = "SLEEP_KERNELS_CACHE"
"""Environment variable that names the folder for libraries."""
WORK_OF_A_THREAD = 1 << 20
"""Numbers to read or write that make starting a thread worthwhile."""
KINDS = {torch.float32: "float", torch.float64: "double"}
"""What C++ calls the numbers that the library takes."""
LIBRARY = re.compile(r"sleep-kernels-[0-9a-f]{16}-[0-9a-f]{16}\.(so|failed)")
ASIDE = "sleep-kernels-aside-"
LEFT_ASIDE = re.compile(ASIDE + r"[a-z0-9_]{8}")
"""Names that this module gives: a library or the reason it failed, and a temporary folder."""
MONTH = 30 * 86_400
HERE = Path(__file__).resolve().parent
_one_at_a_time = threading.RLock()


class Refused(Exception):
    """Why the library is missing; the text follows "backend 'native' cannot serve"."""


class SwitchedOff(Refused):
    """The user switched it off."""


@as_constant  # called while a graph is traced, too
def problem() -> str | None:
    """Return why the library cannot be used here, None if it can; compiles it if necessary."""
    found = _library_or_reason()
    return found if isinstance(found, str) else None


def takes(backend: str, *tensors: Tensor) -> bool:
    """Return whether the library runs a layer (convolution, norm, gate, RoPE) on these tensors.

    It does for "auto" and "native", if all are float32 or all float64 and on a CPU, and operations
    are run, not recorded: a compiler fuses the plain forms with their neighbours.

    Raises ValueError: no backend has that name; RuntimeError: "native" is requested and the
    library is missing.
    """
    check_backend_name(backend)
    if backend not in ("auto", "native") or torch.compiler.is_compiling():
        return False
    kinds = {x.dtype for x in tensors}
    if len(kinds) != 1 or not kinds <= KINDS.keys() or not runs_at_once(*tensors):
        return False
    if backend == "native":
        library()
    return problem() is None


def runs_at_once(*tensors: Tensor | None) -> bool:
    """Return whether tensors hold numbers on a CPU, and an operation on them is run, not recorded.

    Subclasses (fake tensors too), dispatch modes and tracers have to see operators.
    """
    given = [x for x in tensors if x is not None]
    plain = all(type(x) in (Tensor, torch.nn.Parameter) for x in given)
    seen = torch._C._len_torch_dispatch_stack() or torch._C._get_tracing_state()
    return plain and not seen and all(x.device.type == "cpu" for x in given)


def library() -> ctypes.CDLL:
    """Return the library. Raises RuntimeError: it is missing; `problem` says why."""
    found = _library_or_reason()
    if isinstance(found, str):
        raise cannot_serve("native", found)
    return found


def call(function: str, arguments: ctypes.Structure, dtype: torch.dtype) -> None:
    """Call one of the library's functions, for float32 or float64 numbers.

    Raises MemoryError: it found no memory; RuntimeError: it failed in another way.
    """
    outcome = getattr(library(), f"{function}_{KINDS[dtype]}")(ctypes.byref(arguments))
    if outcome == 1:
        raise MemoryError(f"{function} of the native backend found no memory; make some free")
    if outcome:
        raise RuntimeError(f"{function} of the native backend failed; use backend='cpu'")


def threads_for(work: int) -> int:
    """Return how many of torch's threads are worth starting for `work` numbers read or written."""
    return max(1, min(torch.get_num_threads(), work // WORK_OF_A_THREAD))


def compiler_line() -> str | None:
    """Return the first line of the compiler's ``--version``, None without a compiler."""
    command = find_compiler()
    if command is None:
        return None
    return next(iter(_output(command, "--version").splitlines()), shlex.join(command))


def find_compiler() -> list[str] | None:
    """Return the C++ compiler's command: ``$CXX`` alone if that is set, else a known one, or None.

    A blank ``$CXX`` counts as unset; one with unmatched quotes is not a command.
    """
    try:
        named = shlex.split(os.environ.get("CXX", ""))
    except ValueError:
        return None
    for words in [named] if named else [[name] for name in COMPILERS]:
        found = shutil.which(words[0])
        if found:
            return [found, *words[1:]]
    return None


def _library_or_reason() -> ctypes.CDLL | str:
    with _one_at_a_time:
        return _loaded()


@cache
def _loaded() -> ctypes.CDLL | str:
    """Return the library, or why it is missing: reported once unless the user switched it off."""
    try:
        path = _built()
        with suppress(OSError):
            return _checked(path)
        path.unlink(missing_ok=True)  # damaged: build it again
        return _checked(_built())
    except SwitchedOff as reason:
        return str(reason)
    except Refused as reason:
        problem = str(reason)
    except (OSError, RuntimeError, ValueError) as error:
        problem = f"its library cannot be built ({error})"
    print(f"sleep_kernels: PyTorch serves instead of native kernels: {problem}", file=sys.stderr)
    return problem


def _checked(path: Path) -> ctypes.CDLL:
    """Load the library, and check that its structures are those it will be given."""
    found = ctypes.CDLL(str(path))
    for name, structure in structures.ALL.items():
        size = getattr(found, f"size_of_{name}")()
        if size != ctypes.sizeof(structure):
            raise Refused(f"its {name} has {size} bytes, not {ctypes.sizeof(structure)}")
    return found


def _built() -> Path:
    """Return the library's path, after compiling it if this is the first time."""
    switch = os.environ.get(SWITCH, "")
    if switch.lower() in ("0", "off", "no", "false"):
        raise SwitchedOff(f"it is switched off by {SWITCH}={switch}")
    if os.name != "posix":
        raise Refused(f"it needs Linux or macOS; this is {platform.system()}")
    folder = _folder()
    compiler = find_compiler()
    name = f"sleep-kernels-{_digest(*FLAGS, *TUNING, _processor(), sources=True)}"
    if compiler is None:  # a library compiled earlier still serves
        known = sorted(folder.glob(f"{name}-*.so"), key=lambda path: path.stat().st_mtime)
        if known:
            return _own(known[-1])
        named = os.environ.get("CXX", "")
        fix = f"$CXX is {named!r}" if named.strip() else f"install one of {', '.join(COMPILERS)}"
        raise Refused(f"no C++ compiler was found; {fix}")
    path = folder / f"{name}-{_digest(*compiler, _output(compiler, '--version'))}.so"
    if not path.exists():
        with _locked(folder / "lock"):  # one process compiles, the others wait
            if not path.exists():
                _make(compiler, path)
    return _own(path)


def _make(compiler: list[str], path: Path) -> None:
    """Compile into `path`; record a failure there too, so that no later start repeats it."""
    failed = path.with_suffix(".failed")
    if failed.exists():
        raise Refused(f"{failed.read_text(encoding='utf-8')}; delete {failed} to try again")
    print(
        f"sleep_kernels: compiling for this processor into {path.parent}; this happens once and "
        "takes about 15 seconds",
        file=sys.stderr,
    )
    _clear(path.parent)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=ASIDE) as aside:
        whole = Path(aside) / "library.so"
        try:
            _compile(compiler, whole)
        except Refused as reason:
            failed.write_text(str(reason), encoding="utf-8")
            raise
        whole.chmod(0o700)
        with whole.open("rb") as file:
            os.fsync(file.fileno())
        whole.replace(path)


def _clear(folder: Path) -> None:
    """Remove files that this module left in `folder` over a month ago, and nothing else."""
    now = time.time()
    for old in folder.iterdir():
        with suppress(OSError):  # another process may remove it first
            status = old.lstat()
            if status.st_uid != os.getuid() or now - status.st_mtime < MONTH:
                continue
            if stat.S_ISREG(status.st_mode) and LIBRARY.fullmatch(old.name):
                old.unlink()
            elif stat.S_ISDIR(status.st_mode) and LEFT_ASIDE.fullmatch(old.name):
                shutil.rmtree(old)


def _own(path: Path) -> Path:
    """Return a library's path if no other user could have written it; mark it as used today."""
    status = path.lstat()
    if not _private(status) or not stat.S_ISREG(status.st_mode):
        raise Refused(f"other users may have written {path}; delete it, or set {FOLDER}")
    with suppress(OSError):  # the folder may be read-only
        os.utime(path)
    return path


def _private(status: os.stat_result) -> bool:
    """Return whether a file or folder is the user's, and only the user can write to it."""
    return status.st_uid == os.getuid() and not status.st_mode & 0o022


def _folder() -> Path:
    """Return the folder for libraries, made so that only this user can write to it."""
    named = os.environ.get(FOLDER)
    try:
        if named:
            folder = Path(named).expanduser()
        else:
            base = Path(os.environ.get("XDG_CACHE_HOME", ""))
            # by the XDG specification a relative path is ignored
            folder = (base if base.is_absolute() else Path.home() / ".cache") / "sleep-workbench"
        folder.mkdir(parents=True, mode=0o700, exist_ok=True)
        folder = folder.resolve()
    except (OSError, RuntimeError) as error:
        raise Refused(f"its folder cannot be made ({error}); set {FOLDER}") from None
    if not _private(folder.stat()):
        raise Refused(f"other users can write to {folder}; remove that permission, or set {FOLDER}")
    for parent in folder.parents:  # anyone who can rename a folder can replace it
        status = parent.stat()
        writers = None
        if parent != parent.parent and status.st_uid not in (0, os.getuid()):
            writers = "another user"
        elif not status.st_mode & stat.S_ISVTX:  # with it, only owners can rename
            if status.st_mode & 0o002:
                writers = "anyone"
            elif status.st_mode & 0o020 and not _alone_in(status.st_gid):
                writers = "a group"
        if writers is not None:
            raise Refused(f"{writers} can write to {parent}; set {FOLDER} to a folder elsewhere")
    return folder


def _alone_in(group: int) -> bool:
    """Return whether a group is root's, or the user's private one."""
    import grp
    import pwd

    with suppress(KeyError):  # a user or a group without a name
        user, entry = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(group)
        return group == 0 or (entry.gr_name == user and set(entry.gr_mem) <= {user})
    return group == 0


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock between processes; the system releases it if its holder dies."""
    import fcntl

    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _digest(*parts: str, sources: bool = False) -> str:
    """Return a short name for what a library depends on."""
    digest = hashlib.sha256("\0".join(parts).encode())
    if sources:
        for source in sorted((*HERE.glob("*.h"), *HERE.glob("*.cpp"))):
            digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def _processor() -> str:
    """Return what identifies this processor's instructions: machines may share a home."""
    info = Path("/proc/cpuinfo")
    if not info.exists():
        brand = _output(["sysctl"], "-n", "machdep.cpu.brand_string")
        return f"{platform.machine()} {brand or platform.processor()}"
    lines = info.read_text(encoding="utf-8", errors="replace").splitlines()
    wanted = ("model name", "flags", "Features", "CPU part")
    return "\n".join([platform.machine(), *sorted({x for x in lines if x.startswith(wanted)})])


def _output(command: list[str], *arguments: str) -> str:
    """Return what a short command prints, nothing if it fails."""
    try:
        return _run([*command, *arguments], 30).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""


def _run(command: list[str], seconds: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, text=True, errors="replace", check=False, timeout=seconds
    )


def _compile(compiler: list[str], target: Path) -> None:
    source = str(HERE / "library.cpp")
    for tuning in TUNING:
        try:
            done = _run([*compiler, *FLAGS, tuning, source, "-o", str(target)], COMPILE_SECONDS)
        except subprocess.TimeoutExpired:
            problem = f"{compiler[0]} did not finish within {COMPILE_SECONDS} seconds"
            raise Refused(problem) from None
        if done.returncode == 0:
            return
    lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
    error = next((line for line in lines if "error" in line), lines[0])
    raise Refused(f"{compiler[0]} cannot compile it ({error}); use g++ 12 or newer, or clang")
