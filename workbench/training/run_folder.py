"""The folder of a run: what it holds, who may train in it, and one-line errors of a full disk.

::

    experiment.toml   the configuration
    origin.json       command, commit and versions of the run's first start and of each resume
    events.jsonl      append-only: steps, evaluations
    status.json       queued, starting, running, stopped, finished or failed; and which process
    state/            resume points, newest two
    checkpoint/       the finished model
    stop              make this file to stop the run at a resume point
    alive             touched every 30 s while a process trains or evaluates, for other machines

Nothing here loads torch, because lists of runs import it too.
"""

from __future__ import annotations

import errno
import json
import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

from workbench.config import Experiment, load_experiment, to_toml
from workbench.errors import WorkbenchError
from workbench.files import MissingFile, read_bytes, write_json, write_text, written_aside
from workbench.identity import identify
from workbench.training.provenance import describe_origin
from workbench.training.run_files import EVENTS, STATUS, read_event, read_origin, read_status

CONFIG, STATES, STOP, ALIVE = "experiment.toml", "state", "stop", "alive"
BEAT = 30.0
"""Seconds between two signs of life."""
NO_ROOM = frozenset(
    getattr(errno, name)
    for name in ("ENOSPC", "EDQUOT", "EROFS", "EFBIG", "EACCES", "EPERM", "EIO")
    if hasattr(errno, name)
)
"""Errors of a disk that is full or may not be written to; not every system has each."""


def finished(folder: Path) -> bool:
    """Return whether the run has ended; raise `UnreadableFile` if its status is damaged."""
    try:
        return read_status(folder)["state"] == "finished"
    except MissingFile:
        return False


def record_origin(
    path: Path,
    step: int,
    kernels: str,
    processes: int = 1,
    muon: str | None = None,
    start: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Add this start of the run to `path`; return the first start, with the resumes after it.

    `kernels`: the backend that serves. `processes`: how many train together. `muon`: the precision
    of Muon's products. `start`: the model that the first weights are from.
    Raises UnreadableFile: the file is damaged.
    """
    starts = read_origin(path)
    together = {"processes": processes} if processes > 1 else {}
    origin = describe_origin(kernels)
    if muon is not None:
        origin["machine"]["muon"] = muon
    if start is not None:
        origin["started_from"] = start
    starts.append({"from_step": step, **origin, **together})
    write_json(path, starts)
    first = {name: value for name, value in starts[0].items() if name != "from_step"}
    resumes = [{k: v for k, v in start.items() if k != "command"} for start in starts[1:]]
    return first | ({"resumed": resumes} if resumes else {})


def run_status(folder: Path) -> dict[str, Any]:
    """Return a run's ``status.json``.

    Raises WorkbenchError: there is no run in `folder`, or its status is damaged.
    """
    try:
        return read_status(folder)
    except MissingFile:
        raise WorkbenchError(
            f"no run in {folder}", f"a folder with {STATUS}", "start one with `workbench train`"
        ) from None


def prepare(folder: Path, experiment: Experiment, resume: bool) -> None:
    """Write a new run's configuration, or check that it is the one this run was started with.

    Raises WorkbenchError: the folder holds something else, a run although `resume` is False, or
    another configuration.
    """
    path = folder / CONFIG
    if not path.exists():
        others = sorted(p.name for p in folder.iterdir() if p.name != ".lock")
        if others:
            raise WorkbenchError(
                f"{folder} holds other files ({', '.join(others[:3])})",
                "an empty folder, or that of a run",
                "name another folder with --out",
            )
        write_text(path, to_toml(experiment))
        return
    if not resume:
        raise WorkbenchError(
            f"{folder} holds a run already",
            "an empty folder, or --resume",
            "add --resume to continue it, or name another folder with --out",
        )
    before = load_experiment(path)
    if before != experiment:
        changed = _differences(before.model_dump(), experiment.model_dump())
        raise WorkbenchError(
            f"{folder} was started with another configuration ({', '.join(changed)})",
            "the same configuration",
            "resume with that one, or name another folder with --out",
        )


def _differences(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> list[str]:
    changed = []
    for name in sorted({*old, *new}):
        left, right = old.get(name), new.get(name)
        if isinstance(left, dict) and isinstance(right, dict):
            changed += _differences(left, right, f"{prefix}{name}.")
        elif left != right:
            changed.append(f"{prefix}{name}: {left} -> {right}")
    return changed


@contextmanager
def hold(
    lock: Path,
    *,
    taken: tuple[str, str, str],
    unwritable: tuple[str, str, str] | None = None,
    patience: float = 0.0,
) -> Iterator[None]:
    """Hold a lock file; the system releases it when its holder dies.

    `taken` and `unwritable` are the errors (given, expected, fix) for a lock that another process
    still holds after `patience` seconds, and for a folder without room for one (None: an OSError).
    """
    from filelock import FileLock, Timeout

    lock_file = FileLock(lock, timeout=patience)
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        lock_file.acquire()
    except Timeout:
        raise WorkbenchError(*taken) from None
    except OSError as error:
        if unwritable is None:
            raise
        given, expected, fix = unwritable
        raise WorkbenchError(f"{given} ({error})", expected, fix) from None
    try:
        yield
    finally:
        lock_file.release()


def locked(folder: Path) -> AbstractContextManager[None]:
    """Hold the folder for this process.

    Raises WorkbenchError: another process trains in it, or it cannot be written to.
    """
    other, fix = "a folder that no other run uses", "wait for it, or use --out"
    return hold(
        folder / ".lock",
        taken=(f"another process trains in {folder}", other, fix),
        unwritable=(f"{folder} cannot hold a run", "a folder that can be written", "use --out"),
    )


@contextmanager
def beating(folder: Path, every: float = BEAT) -> Iterator[None]:
    """Touch a file in the run's folder regularly, whatever this process is busy with.

    Another machine cannot ask this one's system whether the process is alive, and an evaluation or
    a compilation may take longer than others wait before they call a run dead. A disk that cannot
    be written to is reported by the code that has something to write.
    """
    path, ended = folder / ALIVE, threading.Event()

    def beat() -> None:
        while True:
            with suppress(OSError):  # the folder may be gone, and is not made again
                path.touch()
            if ended.wait(every):
                return

    thread = threading.Thread(target=beat, name=f"sign of life of {folder.name}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        with suppress(OSError):
            path.unlink(missing_ok=True)


def write_status(
    folder: Path, state: str, step: int, experiment: Experiment, error: str | None = None
) -> None:
    """Write the run's state and process; raise WorkbenchError if its folder was removed."""
    check_there(folder)
    status = {"state": state, "step": step, "steps": experiment.training.steps, **identify()}
    write_json(folder / STATUS, status | ({"error": error} if error else {}))


def check_there(folder: Path) -> None:
    """Raise WorkbenchError if the run's folder was removed, or moved to the trash.

    Otherwise the rest of the run would make half of it again.
    """
    if not (folder / CONFIG).is_file():
        raise WorkbenchError(
            f"the folder of the run, {folder}, was removed during training",
            "a folder that stays until the run has stopped",
            "restore it and resume, or start a new run",
        )


def append(folder: Path, event: dict[str, Any]) -> None:
    """Append an event, a whole line at once; raise WorkbenchError if the folder was removed."""
    check_there(folder)
    with (folder / EVENTS).open("a", encoding="utf-8") as events:
        events.write(json.dumps(event) + "\n")


@contextmanager
def disk_errors_in_one_line(folder: Path) -> Iterator[None]:
    """Turn a disk that is full or read-only into one clear line."""
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, SafetensorError) as error:
        code = getattr(error, "errno", None)
        if code is None and (said := re.search(r"os error (\d+)", str(error))):
            code = int(said[1])  # safetensors writes from Rust
        if code is None or code not in NO_ROOM:
            raise
        raise WorkbenchError(
            f"{folder} could not be written to ({os.strerror(code)})",
            "a folder with room for resume points",
            "make room, then continue from the newest resume point with --resume",
        ) from error


def drop_events_after(path: Path, step: int) -> None:
    """Remove events that a killed process wrote after its last resume point.

    Lines that cannot be read, except a torn last one, are kept in ``events.damaged`` and reported
    on standard error. Raises UnreadableFile: not a regular file, or too large.
    """
    try:
        lines = read_bytes(path).splitlines()
    except MissingFile:
        return
    kept: list[bytes] = []
    damaged: list[bytes] = []
    for number, line in enumerate(lines, 1):
        event = read_event(line)
        if event is None:
            damaged += [line] if number < len(lines) else []
        elif event["step"] <= step:
            kept.append(line)
    if damaged:
        with path.with_suffix(".damaged").open("ab") as file:
            file.write(b"".join(line + b"\n" for line in damaged))
        sys.stderr.write(
            f"workbench: {len(damaged)} lines of {path} cannot be read and were moved to "
            f"{path.with_suffix('.damaged').name}\n"
        )
    with written_aside(path) as aside:
        aside.write_bytes(b"".join(line + b"\n" for line in kept))
