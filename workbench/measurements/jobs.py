"""Measurements in the background: started, watched, cancelled, and found again.

A measurement is a folder under ``.measurements`` of the folder of runs: ``request.json`` says what
is measured, ``status.json`` whose process does it, ``progress.json`` how far it is, and
``result.json`` (see `workbench.measurements.records`) is there when it is done. The same request
has the same folder, so what was measured once need not be measured again. The process is the
command ``workbench measure``, which a person may call as well.

Starting, cancelling and removing one takes a lock, so that two processes never act on the same
folder at once. Several machines may share a folder of runs: a process on another one counts as
running while its files keep changing, as a run does.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import time
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import psutil

from workbench.errors import WorkbenchError
from workbench.files import UnreadableFile, read_json, write_json
from workbench.identity import identify
from workbench.lab.processes import LOG, alive, here, kill, spawn, step_back
from workbench.lab.runs import SILENT, log_tail
from workbench.training.run_files import Identity, Open, Positive, checked
from workbench.training.run_folder import ALIVE, hold

FOLDER: Final = ".measurements"
REQUEST, STATUS, PROGRESS, RESULT = "request.json", "status.json", "progress.json", "result.json"
AT_ONCE: Final = 2
"""Measurements that run at a time, however many sessions ask."""
LOCK: Final = ".measurements.lock"
START_TIMEOUT: Final = 20.0
"""Seconds within which a new process must have written its status."""

State = Literal["new", "running", "done", "failed", "cancelled"]


class Status(Identity):
    """``status.json`` of a measurement."""

    cancelled: bool = False


class ProgressFile(Open):
    """``progress.json``."""

    done: Positive
    total: Positive
    began: Positive


class Request(Open):
    """``request.json``: what is measured, with all settings of its kind.

    `kind` names an entry point of ``sleep_workbench.measurements``; `checkpoint` is a bundled name
    or a folder. `sha256` is the hash of its weights: other weights are another measurement.
    """

    kind: str
    checkpoint: str
    sha256: str = ""
    settings: dict[str, Any]

    @property
    def key(self) -> str:
        """Name of the folder."""
        text = json.dumps([self.kind, self.sha256, self.settings], sort_keys=True)
        return f"{self.kind}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


@dataclass(frozen=True)
class Progress:
    """How far a measurement is: steps of any kind (`total` is 0 until known), seconds since start.

    "failed" includes a process that ended without a result; `message` says why, else "".
    `working` counts only the seconds since the model was loaded; rates use it.
    """

    state: State
    done: float = 0.0
    total: float = 0.0
    seconds: float = 0.0
    message: str = ""
    working: float = 0.0

    @property
    def remaining(self) -> float | None:
        """Seconds left at this rate; None until it is known."""
        if self.state != "running" or not self.done or not self.total:
            return None
        return self.working * (self.total - self.done) / self.done


def folder_of(root: Path, request: Request) -> Path:
    """Return the folder of a measurement in the folder of runs."""
    return root / FOLDER / request.key


def start(root: Path, request: Request, *, again: bool = False) -> Path:
    """Start a measurement in a folder of runs unless it is done or running; return its folder.

    `again` starts it even if it is done and drops its result: for results of an older version.

    Raises WorkbenchError: `AT_ONCE` measurements are running already.
    """
    folder = folder_of(root, request)
    with _locked(root):  # so that two requests at the same moment start it once
        state = progress_of(folder).state
        if state == "running" or (state == "done" and not again):
            return folder
        if len(running(root)) >= AT_ONCE:
            raise WorkbenchError(
                f"{AT_ONCE} measurements are running already",
                f"fewer than {AT_ONCE}",
                "wait for one of them, or cancel it",
            )
        _launch(folder, request)
    return folder


def _launch(folder: Path, request: Request) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_json(folder / REQUEST, request.model_dump())
    command = [sys.executable, "-P", "-m", "workbench.cli", "measure", request.kind]
    command += [request.checkpoint, "--settings", str(folder / REQUEST)]
    command += ["--out", str(folder / RESULT), "--progress", str(folder / PROGRESS)]
    process = spawn(command, folder / LOG)
    step_back(process.pid)
    with suppress(psutil.Error):  # it may have ended at once
        write_json(folder / STATUS, identify(process.pid))


def _locked(root: Path) -> AbstractContextManager[None]:
    """Hold the lock of the measurements."""
    expected, fix = "room for a measurement", "try again"
    return hold(
        root / LOCK,
        taken=(f"the measurements in {root} are held by another process", "a moment", fix),
        unwritable=(f"{root} cannot be written to", expected, fix),
        patience=10.0,
    )


def progress_of(folder: Path) -> Progress:
    """Return how far the measurement of a folder is."""
    status, progress = _state(Status, folder / STATUS), _state(ProgressFile, folder / PROGRESS)
    done, total = float(progress.get("done", 0.0)), float(progress.get("total", 0.0))
    end = _written(folder / RESULT) or time.time()
    seconds = max(end - float(status.get("started") or end), 0.0)
    if (folder / RESULT).exists():
        return Progress("done", done, total, seconds)
    if status.get("cancelled"):
        return Progress("cancelled", done, total, seconds)
    if status and _lives(folder, status):
        working = max(end - float(progress.get("began", end)), 0.0)
        return Progress("running", done, total, seconds, working=working)
    if (asked := _written(folder / REQUEST)) is None:
        return Progress("new")
    if not status and time.time() - asked < START_TIMEOUT and not progress:
        return Progress("running")  # being started
    if (folder / RESULT).exists():  # it was written after the check above
        return Progress("done", done, total, seconds)
    said = (log_tail(folder, 1) or ["its process ended without a message"])[0].strip()
    if not here(status):
        said = f"no sign of life from {status['host']} for {SILENT / 60:.0f} minutes"
    return Progress("failed", done, total, seconds, said)


def _lives(folder: Path, status: dict[str, Any]) -> bool:
    """Return whether a status's process lives; on another machine, whether its files change."""
    if here(status):
        return alive(status)
    signs = [_written(folder / name) or 0.0 for name in (ALIVE, PROGRESS, STATUS)]
    return time.time() - max(signs) < SILENT


def cancel(folder: Path) -> bool:
    """End a measurement at once and keep nothing; return whether it was running.

    Raises WorkbenchError: its process runs on another machine, or the lock is taken.
    """
    with _locked(folder.parent.parent):  # so that one that is just starting is not missed
        status = _state(Status, folder / STATUS)
        if not status or progress_of(folder).state != "running":
            return False
        if not here(status):
            where = f"the measurement runs on {status['host']}"
            raise WorkbenchError(where, "one on this machine", "cancel it there")
        kill(status)
        write_json(folder / STATUS, status | {"cancelled": True})
    return True


def remove(folder: Path) -> bool:
    """Remove a measurement that failed or was cancelled; return whether it did.

    Raises WorkbenchError: the lock is taken.
    """
    with _locked(folder.parent.parent):  # another may have started it again
        ended = progress_of(folder).state in ("failed", "cancelled")
        if ended:
            shutil.rmtree(folder, ignore_errors=True)
    return ended


def running(root: Path) -> list[Path]:
    """Return the folders of the measurements that are running."""
    home = root / FOLDER
    found = sorted(home.iterdir()) if home.is_dir() else []
    return [folder for folder in found if progress_of(folder).state == "running"]


def write_progress(path: Path, done: float, total: float, began: float) -> None:
    """Write the progress of this process's measurement, and when its work began."""
    write_json(path, {"done": done, "total": total, "began": began})


def read_request(path: Path) -> Request:
    """Return what a ``request.json`` asks for.

    Raises UnreadableFile: it is missing or damaged.
    """
    return Request(**checked(Request, read_json(path), str(path)))


def _state(model: type[Open], path: Path) -> dict[str, Any]:
    """Return the content of a file of a measurement; empty if it is missing or damaged."""
    try:
        return checked(model, read_json(path), str(path))
    except UnreadableFile:
        return {}


def _written(path: Path) -> float | None:
    """Return when a file was written; None if it is missing."""
    try:
        return path.stat().st_mtime
    except OSError:
        return None
