"""Files: written aside, synced and renamed; read only if regular, bounded and well formed."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import re
import shutil
import stat
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import cache
from io import BufferedReader
from pathlib import Path
from typing import Any, NamedTuple

from workbench.errors import WorkbenchError
from workbench.identity import this_host

LIMIT = 64 * 2**20
"""Default limit of a text file (JSON, TOML, a log), in bytes."""

LEFT_BEHIND = re.compile(
    r"\.(?P<name>.+?)(?P<old>\.old)?\.(?P<pid>\d+)(\.sleep-(?P<host>[0-9a-f]{8}))?\.tmp"
)
"""Temporary names of the functions below; no other file is ever removed."""

DEEPEST = 64
"""Most levels of lists and tables in a file; more would exhaust Python's stack later."""

DIGITS = 20
"""Digits of an integer in a file: 64 bits. More cannot become an array or a float."""


class UnreadableFile(WorkbenchError):
    """A file that is damaged, too large, not a regular file, or may not be read."""


class MissingFile(UnreadableFile):
    """A file that does not exist."""


# --- reading ---------------------------------------------------------------------------------


def open_regular(path: Path) -> BufferedReader:
    """Open a regular file for reading bytes; a pipe, device or folder is refused without waiting.

    Raises `MissingFile`, or `UnreadableFile` for anything but a regular file that may be read.
    """
    try:
        # O_NONBLOCK: opening a FIFO that nobody writes to would otherwise wait for ever
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _BINARY)
    except OSError as error:
        raise _unreadable(path, error) from None
    except ValueError:
        raise UnreadableFile(
            f"{str(path)!r} holds a null character", "the path of a file", "name another"
        ) from None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise UnreadableFile(f"{path} is not a regular file", "a file", "remove or replace it")
    return os.fdopen(handle, "rb")


def read_bytes(path: Path, *, limit: int = LIMIT) -> bytes:
    """Return the bytes of a regular file of at most `limit` bytes; else raise `UnreadableFile`."""
    with open_regular(path) as file:
        try:
            # size first, so that a huge file is never read; the read is bounded too, as files grow
            data = file.read(limit + 1) if os.fstat(file.fileno()).st_size <= limit else None
        except OSError as error:
            raise _unreadable(path, error) from None
    if data is None or len(data) > limit:
        raise UnreadableFile(
            f"{path} is larger than {limit:,} bytes", "a smaller file", "remove or replace it"
        )
    return data


def read_text(path: Path, *, limit: int = LIMIT) -> str:
    """Return a UTF-8 text file; see `read_bytes` for limits and errors."""
    try:
        return read_bytes(path, limit=limit).decode("utf-8")
    except UnicodeDecodeError as error:
        raise UnreadableFile(
            f"{path} is not UTF-8 text (byte {error.start})", "UTF-8", "remove or replace it"
        ) from None


def read_plain(path: Path, *, limit: int = LIMIT) -> str:
    """Return a text that a person wrote; an empty or binary file is refused in one line.

    A byte order mark is left out, and line ends are those of this Python.
    """
    data = read_bytes(path, limit=limit)
    fix = "save it as UTF-8 text, or leave it out"
    if not data.strip():
        raise UnreadableFile(f"{path} is empty", "text", "add text, or leave the file out")
    if (zero := data.find(0)) >= 0:
        raise UnreadableFile(f"{path} is a binary file (byte {zero} is zero)", "UTF-8 text", fix)
    try:
        text = data.decode("utf-8").removeprefix("\ufeff")
        return text.replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UnreadableFile(
            f"{path} is not UTF-8 (line {line}, byte {error.start})", "UTF-8 text", fix
        ) from None


def read_json(path: Path, *, limit: int = LIMIT) -> Any:
    """Return the value of a JSON file; see `parse_json` and `read_bytes` for errors."""
    return parse_json(read_text(path, limit=limit), what=str(path))


def parse_json(text: str | bytes, *, what: str) -> Any:
    """Return the value of a JSON text; `what` names it in the error.

    Raises `UnreadableFile` for invalid JSON, NaN or an infinity (which JSON does not have), an
    integer of more than 64 bits, and deep nesting.
    """
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        value = _JSON.decode(text)
        _check_depth(value)
        if "\\ud" in text or "\\uD" in text:
            json.dumps(value, ensure_ascii=False).encode()  # half a character is not text
        return value
    except (ValueError, RecursionError) as error:
        raise UnreadableFile(
            f"{what} is not valid JSON ({_reason(error)})", "valid JSON", "remove or replace it"
        ) from None


SEAL = "sha256"
"""Entry of a sealed JSON object: the SHA-256 of the others."""


def sealed(value: dict[str, Any]) -> dict[str, Any]:
    """Return a JSON object with a digest of its content, which `check_seal` compares."""
    plain = {name: inner for name, inner in value.items() if name != SEAL}
    return plain | {SEAL: _digest(plain)}


def check_seal(value: dict[str, Any], *, what: str) -> None:
    """Raise `UnreadableFile` if a sealed JSON object was altered; one without a seal passes."""
    plain = {name: inner for name, inner in value.items() if name != SEAL}
    if SEAL in value and value[SEAL] != _digest(plain):
        raise UnreadableFile(
            f"{what} was altered (its SHA-256 differs)",
            "the file as it was written",
            f"restore it, or remove its entry {SEAL!r} if it was edited on purpose",
        )


def _digest(value: dict[str, Any]) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def read_toml(path: Path, *, limit: int = LIMIT) -> dict[str, Any]:
    """Return the table of a TOML file; see `parse_toml` and `read_bytes` for errors."""
    return parse_toml(read_text(path, limit=limit), what=str(path))


def parse_toml(text: str, *, what: str) -> dict[str, Any]:
    """Return the table of a TOML text; `what` names it in the error.

    Raises `UnreadableFile` for invalid TOML, an integer of more than 64 bits, and deep nesting.
    """
    try:
        table = tomllib.loads(text)
        _check_depth(table)
        _check_integers(table)
        return table
    except (ValueError, RecursionError) as error:
        raise UnreadableFile(
            f"{what} is not valid TOML ({_reason(error)})", "valid TOML", "correct it"
        ) from None


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a regular file, in hexadecimal."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Stamp(NamedTuple):
    """What distinguishes a file from one that replaced it; the key of caches of what was read."""

    inode: int
    mtime_ns: int
    ctime_ns: int
    size: int


def stamp(path: Path) -> Stamp:
    """Return a file's stamp, which changes with its content; raise `UnreadableFile` without one."""
    try:
        found = path.stat()
    except OSError as error:
        raise _unreadable(path, error) from None
    return Stamp(found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size)


def stamp_if_there(path: Path) -> Stamp | None:
    """Return a file's stamp, or None if it is missing or inaccessible."""
    try:
        return stamp(path)
    except UnreadableFile:
        return None


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")


def _integer(digits: str) -> int:
    if len(digits) > DIGITS:
        raise ValueError(f"an integer of {len(digits)} digits")
    return int(digits)


def _finite(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError(f"{digits[:DIGITS]} is too large for a number")
    return value


_JSON = json.JSONDecoder(parse_constant=_refuse_constant, parse_int=_integer, parse_float=_finite)


def _check_depth(value: Any) -> None:
    """Refuse what is nested deeper than `DEEPEST`."""
    level = [value]
    for _ in range(DEEPEST):
        inside = (v.values() if isinstance(v, dict) else v for v in level if isinstance(v, _NESTS))
        level = [i for values in inside for i in values if isinstance(i, _NESTS)]
        if not level:
            return
    raise RecursionError


_NESTS = (dict, list)


def _check_integers(value: Any) -> None:
    """Refuse integers of more than 64 bits, which TOML may give in hexadecimal."""
    if isinstance(value, _NESTS):
        for inner in value.values() if isinstance(value, dict) else value:
            _check_integers(inner)
    elif isinstance(value, int) and value.bit_length() > 64:
        raise ValueError("an integer of more than 64 bits")


def _reason(error: ValueError | RecursionError) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)


def _unreadable(path: Path, error: OSError) -> UnreadableFile:
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return MissingFile(f"{path} not found", "an existing file", "check the path")
    reason = error.strerror or type(error).__name__
    return UnreadableFile(f"{path} cannot be read ({reason})", "a readable file", "check it")


_BINARY = getattr(os, "O_BINARY", 0)  # only on Windows


# --- writing ---------------------------------------------------------------------------------


def try_output(path: Path) -> None:
    """Check that `path` can be written before starting the work that fills it.

    Missing folders are made for the trial and removed again. Raises `WorkbenchError` if `path` is a
    folder, its parent cannot be made, or permission or space is missing.
    """
    try:
        if path.is_dir():
            raise WorkbenchError(f"{path} is a folder", "a file to write to", "add a file name")
        missing = [folder for folder in path.parents if not folder.exists()]
        with written_aside(path, keep=False) as aside:
            aside.write_bytes(b"\0")
        for folder in missing:
            folder.rmdir()
    except OSError as error:
        raise output_error(path, error) from None


def output_error(path: Path | str, error: OSError) -> WorkbenchError:
    """Return the one-line error of an output that could not be written."""
    reason = error.strerror or type(error).__name__
    return WorkbenchError(
        f"{path} cannot be written ({reason})",
        "a place with write permission and free space",
        "choose another place",
    )


@contextmanager
def written_aside(path: Path, *, keep: bool = True) -> Iterator[Path]:
    """Yield a temporary file next to `path`; sync and rename it if all went well.

    The file gets the permissions of any new file, whatever the writer gave it. Without `keep`
    nothing is renamed: a trial. Leftovers of this machine's killed processes in the folder are
    removed. Raises `WorkbenchError` if `path` is a device, a pipe or a socket, which a rename would
    replace.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise WorkbenchError(
            f"{path} is not a regular file", "a file to write to", "choose another place"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path.parent, ended=True)
    aside = _beside(path)
    try:
        yield aside
        if keep:
            aside.chmod(0o666 & ~_umask())
            _sync(aside)
            os.replace(aside, path)
            _sync(path.parent)
    finally:
        aside.unlink(missing_ok=True)


def _umask() -> int:
    """Return the process's umask, read without changing it where the system allows."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return int(re.findall(r"^Umask:\s*(\d+)$", status, re.MULTILINE)[0], 8)
    except (OSError, IndexError, ValueError):
        return 0o022


def _sync(path: Path) -> None:
    """Force a file, or a folder's list of names, to disk, where the system can."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return  # Windows cannot open folders
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(handle)


def write_text(path: Path, text: str) -> None:
    """Write a text file completely or not at all."""
    with written_aside(path) as aside:
        aside.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Any) -> None:
    """Write JSON completely or not at all; floats in full precision, keys in the order given."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


@contextmanager
def folder_aside(path: Path) -> Iterator[Path]:
    """Yield a temporary folder to fill; put it in `path`'s place if all went well.

    Its files are synced and get the permissions of any new file, as in `written_aside`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path.parent, ended=True)
    aside, old = _beside(path), _beside(path, ".old")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    mode = 0o666 & ~_umask()
    try:
        yield aside
        for file in sorted(aside.rglob("*")):
            if file.is_file():
                file.chmod(mode)
                _sync(file)
        _sync(aside)
        if path.exists():
            path.rename(old)
        aside.rename(path)
        _sync(path.parent)
    finally:
        if old.exists() and not path.exists():
            old.rename(path)
        shutil.rmtree(aside, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _beside(path: Path, old: str = "") -> Path:
    """Return the temporary name next to `path`, with this process and this machine in it."""
    return path.with_name(f".{path.name}{old}.{os.getpid()}.sleep-{_host()}.tmp")


@cache
def _host() -> str:
    return hashlib.sha256(this_host().encode()).hexdigest()[:8]


def remove_leftovers(folder: Path, *, ended: bool = False) -> None:
    """Remove the temporary files that killed processes left in `folder`.

    A folder that was moved aside and never replaced is moved back. With `ended`, only leftovers of
    this machine's processes that no longer exist: others may be working in `folder`. Without it,
    everything that `LEFT_BEHIND` matches: the caller owns the folder.
    """
    with os.scandir(folder) if folder.is_dir() else nullcontext(()) as entries:
        found = [(Path(e.path), LEFT_BEHIND.fullmatch(e.name)) for e in entries]
    for path, match in found:
        if match is None or (ended and not _abandoned(match)):
            continue
        with suppress(OSError):  # another process may be removing it too
            if not path.is_dir() or path.is_symlink():
                path.unlink()
            elif match["old"] and not (target := folder / match["name"]).exists():
                path.rename(target)
            else:
                shutil.rmtree(path, ignore_errors=True)


def _abandoned(match: re.Match[str]) -> bool:
    """Whether the process in a temporary name ran on this machine and has ended."""
    import psutil

    if match["host"] != _host() or len(match["pid"]) > 10:
        return False
    return int(match["pid"]) != os.getpid() and not psutil.pid_exists(int(match["pid"]))
