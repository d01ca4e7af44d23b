"""The run store: one folder a run is the truth; this reads, lists, requests and removes them.

A run's folder is described in `workbench.training.run_folder`; the lab adds ``labels.json`` (what
the run is in its sweep) and ``log.txt`` (what its process printed). Deleted runs go to ``.trash``
beside them first. Nothing here loads torch: a dashboard that only lists runs starts quickly.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench.errors import WorkbenchError
from workbench.files import write_json, write_text
from workbench.identity import identify
from workbench.lab.processes import LOG, alive, here
from workbench.training.run_folder import (
    ALIVE,
    CONFIG,
    EVENTS,
    STATUS,
    STOP,
    check_there,
    read_event,
)

LABELS, TRASH, LOCK = "labels.json", ".trash", ".states.lock"
PROVENANCE = "checkpoint/provenance.json"
"""Where a finished run says what it came from and what it scored."""
PATIENCE = 20.0
"""Seconds to wait for whoever changes the state of a run."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
TAIL = 16_384
"""Bytes read from the end of the events for a list; an evaluation at many N is about 4 kB."""

ACTIVE = ("starting", "running")
STATES = ("queued", *ACTIVE, "stopped", "finished", "failed", "died", "damaged")
SILENT = 600.0
"""Seconds without a word or a sign of life after which a run on another host is shown as died."""

BIRTH = 15.0
"""Seconds that the process of a launcher which was killed has to say that it is there."""


@dataclass(frozen=True)
class Run:
    """A run as its folder tells it.

    Attributes
    ----------
    name, folder : str, Path
        The folder and its name.
    state : str
        One of `STATES`. "died": its process is gone without having said why. "damaged": what the
        folder says cannot be read.
    step, steps : int
        Steps done and to do.
    loss : float or None
        Of the newest step told, nats per predicted token.
    evaluation : dict
        N -> accuracy by difficulty, of the newest evaluation: where a run has finished, the one
        that ended it.
    seconds : float
        Spent on training steps so far.
    changed : float
        When it last said something, in seconds since 1970.
    labels : dict
        Sweep, arm, N, axes, seed and cost; empty for a run of its own.
    problem : str or None
        Why it failed, or what is damaged.
    status : dict
        ``status.json`` as it is.
    """

    name: str
    folder: Path
    state: str
    step: int = 0
    steps: int = 0
    loss: float | None = None
    evaluation: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    changed: float = 0.0
    labels: dict[str, Any] = field(default_factory=dict)
    problem: str | None = None
    status: dict[str, Any] = field(default_factory=dict)

    @property
    def active(self) -> bool:
        """Whether a process works on it."""
        return self.state in ACTIVE


def list_runs(root: Path, keep: Callable[[Run], bool] = lambda run: True) -> list[Run]:
    """Return the runs under `root`, the newest word first; a damaged one is told, not hidden."""
    if not root.is_dir():
        return []
    folders = [p for p in root.iterdir() if not p.name.startswith(".") and is_run(p)]
    runs = [run for run in map(read_run, folders) if run is not None and keep(run)]
    return sorted(runs, key=lambda run: (-run.changed, run.name))


def is_run(folder: Path) -> bool:
    """Say whether a folder holds a run."""
    return (folder / STATUS).is_file() or (folder / CONFIG).is_file()


def read_run(folder: Path) -> Run | None:
    """Return a run from its folder; None where the folder went away while it was read."""
    labels, _ = _json(folder / LABELS)
    try:
        status, problem = _json(folder / STATUS)
        events, changed = _newest(folder / EVENTS)
        changed = max(changed, (folder / STATUS).stat().st_mtime)
    except OSError:
        if not folder.is_dir():
            return None
        status, problem, events, changed = {}, f"no {STATUS}", [], folder.stat().st_mtime
    if not isinstance(status.get("state"), str):
        problem = problem or f"{STATUS} names no state"
        return Run(folder.name, folder, "damaged", changed=changed, labels=labels, problem=problem)
    steps = [e for e in events if e.get("kind") == "step"]
    evaluations = [e for e in events if e.get("kind") == "evaluation"]
    last: dict[str, Any] = steps[-1] if steps else {}
    state = actual_state(status, changed, folder)
    return Run(
        folder.name,
        folder,
        state,
        step=max(int(status.get("step", 0)), int(events[-1]["step"]) if events else 0),
        steps=int(status.get("steps", 0)),
        loss=last.get("loss"),
        evaluation=_final(folder, state) or (evaluations[-1]["passes"] if evaluations else {}),
        seconds=float(last.get("seconds", 0.0)),
        changed=changed,
        labels=labels,
        problem=status.get("error") or (last_words(folder) if state == "died" else None),
        status=status,
    )


def _final(folder: Path, state: str) -> dict[str, Any]:
    """Return the evaluation that ended a run, which is told beside its checkpoint alone."""
    if state != "finished":
        return {}
    metrics = _json(folder / PROVENANCE)[0].get("metrics")
    passes = metrics.get("passes") if isinstance(metrics, dict) else None
    return passes if isinstance(passes, dict) else {}


def scores_at_trained(run: Run) -> tuple[str, dict[str, float]]:
    """Return the N of a run's newest evaluation nearest to that of its training, and its scores.

    An N that was not trained would say less; where the trained one was not tested, it is the
    largest below it, else the smallest.
    """
    tested = {int(n): scores for n, scores in run.evaluation.items() if str(n).isdecimal()}
    if not tested:
        return "", {}
    last = str(run.labels.get("n_train", "")).rpartition("-")[2]
    trained = int(last) if last.isdecimal() else max(tested)
    below = [n for n in tested if n <= trained]
    n = max(below) if below else min(tested)
    return str(n), {str(k): float(v) for k, v in tested[n]["accuracy"].items()}


def actual_state(status: dict[str, Any], changed: float, folder: Path) -> str:
    """Return the state a status says, or "died" where it says active and nobody is at work.

    Parameters
    ----------
    status : dict
        ``status.json``.
    changed : float
        When the run last said something, in seconds since 1970.
    folder : Path
        The run's, where a process of another machine leaves signs of life.
    """
    state = str(status["state"])
    if state not in ACTIVE:
        return state if state in STATES else "damaged"
    if not here(status):
        return state if time.time() - max(changed, _beat(folder)) < SILENT else "died"
    if alive(status):
        return state
    # a launcher that was killed may have started a process which has yet to say who it is
    unborn = status.get("launcher") and time.time() - changed < BIRTH
    return state if unborn else "died"


def _beat(folder: Path) -> float:
    """Return when the run's process last gave a sign of life, 0 where it never did."""
    try:
        return (folder / ALIVE).stat().st_mtime
    except OSError:
        return 0.0


@dataclass(frozen=True)
class Events:
    """What a run has told, and where reading can go on.

    Attributes
    ----------
    entries : list of dict
        Steps and evaluations, oldest first.
    offset : int
        Byte to go on from.
    damaged : int
        Lines that could not be read.
    """

    entries: list[dict[str, Any]]
    offset: int
    damaged: int = 0


def read_events(folder: Path, offset: int = 0) -> Events:
    """Return the events of a run from byte `offset`; an unfinished last line waits.

    A file shorter than `offset` was written anew by a resumed run: it is read from the start.
    """
    path = folder / EVENTS
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            offset = 0 if size < offset else offset
            file.seek(offset)
            data = file.read()
    except OSError:
        return Events([], 0)
    whole, newline, _ = data.rpartition(b"\n")
    entries, damaged = [], 0
    for line in whole.splitlines():
        entry = read_event(line)
        if entry is None:
            damaged += 1
        else:
            entries.append(entry)
    return Events(entries, offset + len(whole) + len(newline), damaged)


def find_run(root: Path, name: str) -> Path:
    """Return the folder of the run called `name`; names never lead out of `root`.

    Raises
    ------
    WorkbenchError
        There is no such run.
    """
    folder = root / name
    if not NAME.fullmatch(name) or not is_run(folder):
        raise WorkbenchError(
            f"no run {name!r} in {root}", "the name of a run", "list them with `workbench runs`"
        )
    return folder


def request(folder: Path, experiment_toml: str, labels: dict[str, Any], steps: int) -> None:
    """Put a run into the queue: its folder with configuration and labels, and no process yet.

    Raises
    ------
    WorkbenchError
        The folder cannot be written to.
    """
    try:
        write_text(folder / CONFIG, experiment_toml)
        if labels:
            write_json(folder / LABELS, labels)
        set_state(folder, "queued", step=0, steps=steps)
    except OSError as error:
        raise WorkbenchError(
            f"{folder} cannot hold a run ({error})", "a folder that can be written", "use --runs"
        ) from None


def set_state(folder: Path, state: str, **changes: Any) -> None:
    """Write a run's state, keeping what else its status says; used while no process trains.

    Raises
    ------
    WorkbenchError
        The run's folder was removed: it is not written half anew.
    """
    check_there(folder)
    status, _ = _json(folder / STATUS)
    status.pop("error", None)
    status |= {"state": state, **changes}
    if state == "queued":
        status["queued_at"] = time.time()
        for name in ("pid", "started", "host", "launcher", "gpu", "cuda"):
            status.pop(name, None)
    write_json(folder / STATUS, status)


def claim(folder: Path) -> None:
    """Tell who works on a run that a queue has launched: the first act of its process."""
    status, _ = _json(folder / STATUS)
    if status.get("state") == "starting" and status.pop("launcher", False):
        write_json(folder / STATUS, status | identify())


@contextmanager
def transition(folder: Path) -> Iterator[Run]:
    """Hold the states of a folder of runs, and give the run in `folder` as it is now.

    Whoever changes a state reads it under this, so that a run is not withdrawn by one and started
    by another. Held for moments only.

    Raises
    ------
    WorkbenchError
        The run is gone, or somebody holds the states for longer than `PATIENCE`.
    """
    from filelock import FileLock, Timeout

    try:
        with FileLock(folder.parent / LOCK, timeout=PATIENCE):
            run = read_run(folder) if (folder / CONFIG).is_file() else None
            if run is None:
                raise WorkbenchError(f"the run {folder.name} is gone", "its folder", "look again")
            yield run
    except Timeout:
        raise WorkbenchError(
            f"the states of {folder.parent} are held by another process", "a moment", "try again"
        ) from None


def requeue(run: Run) -> None:
    """Put a stopped, died or failed run back into the queue; it resumes.

    Raises
    ------
    WorkbenchError
        It is queued, at work or finished, or gone.
    """
    with transition(run.folder) as now:
        if now.state not in ("stopped", "died", "failed"):
            raise WorkbenchError(
                f"run {now.name} is {now.state}",
                "one that stopped, died or failed",
                "choose another",
            )
        (now.folder / STOP).unlink(missing_ok=True)
        set_state(now.folder, "queued", step=now.step, steps=now.steps)


def trash(run: Run) -> Path:
    """Move a run into the trash folder; return where it lies now.

    Raises
    ------
    WorkbenchError
        A process works on it, or it is gone.
    """
    if not (run.folder / CONFIG).is_file():
        return _moved(run)  # damaged: nobody can start it
    with transition(run.folder) as now:
        if now.active:
            raise WorkbenchError(
                f"run {now.name} is {now.state}", "one that no process works on", "stop it first"
            )
        return _moved(now)


def _moved(run: Run) -> Path:
    folder = run.folder.parent / TRASH
    folder.mkdir(exist_ok=True)
    target = folder / f"{run.name}@{time.strftime('%Y%m%d-%H%M%S')}"
    for number in range(1, 1000):
        if not target.exists():
            break
        target = target.with_name(f"{target.name.partition('~')[0]}~{number}")
    run.folder.rename(target)
    return target


def trashed(root: Path) -> list[Path]:
    """Return what lies in the trash folder, the newest first."""
    folder = root / TRASH
    found = [p for p in folder.iterdir() if "@" in p.name] if folder.is_dir() else []
    return sorted(found, key=lambda p: p.name.rpartition("@")[2], reverse=True)


def restore(root: Path, name: str) -> Path:
    """Bring the newest deleted run called `name` back; return its folder.

    Raises
    ------
    WorkbenchError
        There is none, or a run of that name exists again.
    """
    found = [p for p in trashed(root) if p.name.rpartition("@")[0] == name]
    if not found:
        raise WorkbenchError(f"no deleted run {name!r} in {root}", "one of the trash", "check it")
    target = root / name
    if target.exists():
        raise WorkbenchError(f"a run {name!r} exists again", "a free name", "delete that one first")
    found[0].rename(target)
    return target


def empty_trash(root: Path) -> int:
    """Remove what lies in the trash for good; return how many runs that were."""
    found = trashed(root)
    for folder in found:
        shutil.rmtree(folder)
    return len(found)


def runs_of(runs: Iterable[Run], sweep: str) -> list[Run]:
    """Return those runs that belong to a sweep."""
    return [run for run in runs if run.labels.get("sweep") == sweep]


def log_tail(folder: Path, lines: int = 20) -> list[str]:
    """Return the last lines that the run's process printed."""
    try:
        with (folder / LOG).open("rb") as file:
            file.seek(max(file.seek(0, os.SEEK_END) - TAIL, 0))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    return [line.rstrip() for line in text.replace("\r", "\n").splitlines() if line.strip()][
        -lines:
    ]


def last_words(folder: Path) -> str:
    """Return the error that a run's process printed last, or that it printed none."""
    said = [line for line in log_tail(folder, 40) if line.startswith("workbench: ")]
    if said:
        return said[-1].removeprefix("workbench: ")
    return f"its process ended without a word; {LOG} may say more"


def _newest(path: Path) -> tuple[list[dict[str, Any]], float]:
    """Return the newest events of a file, without reading all of it, and when it changed."""
    try:
        with path.open("rb") as file:
            info = os.fstat(file.fileno())
            file.seek(max(info.st_size - TAIL, 0))
            data = file.read()
    except FileNotFoundError:
        return [], 0.0
    whole = data.rpartition(b"\n")[0].splitlines()
    found = (read_event(line) for line in (whole if info.st_size <= TAIL else whole[1:]))
    return [event for event in found if event is not None], info.st_mtime


def _json(path: Path) -> tuple[dict[str, Any], str | None]:
    """Return the object in a JSON file, and what is wrong with it; empty where there is none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}, f"no {path.name}"
    except (OSError, ValueError) as error:
        return {}, f"{path.name} cannot be read ({error})"
    return (value, None) if isinstance(value, dict) else ({}, f"{path.name} is no object")
