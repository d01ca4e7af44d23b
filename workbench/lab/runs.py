"""The run store: run folders are the truth; this reads, lists and requests runs.

A run's folder is described in `workbench.training.run_folder`; the lab adds ``labels.json`` (what
the run is in its sweep) and ``log.txt`` (its process's output). Nothing here loads torch, so that a
dashboard that only lists runs starts quickly.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from workbench.config import Experiment, load_experiment
from workbench.errors import WorkbenchError
from workbench.files import (
    LIMIT,
    MissingFile,
    Stamp,
    UnreadableFile,
    open_regular,
    read_text,
    stamp,
    stamp_if_there,
    write_json,
    write_text,
)
from workbench.identity import identify
from workbench.lab.processes import LOG, alive, here
from workbench.training.run_files import (
    EVENTS,
    LABELS,
    PROVENANCE,
    STATUS,
    read_event,
    read_labels,
    read_metrics,
    read_status,
)
from workbench.training.run_folder import ALIVE, CONFIG, STOP, check_there, hold

Value = TypeVar("Value")

LOCK = ".states.lock"
RESUME, NOTE = "resume", "note.txt"
"""Files in a run's folder: it is to be resumed once it has stopped; a person's note."""
LONGEST_NOTE = 1000
"""Characters of a note."""
PATIENCE = 20.0
"""Seconds to wait for a process that changes the state of a run."""
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
    """A run as its folder describes it.

    - state: one of `STATES`. "died": its process ended without giving a reason. "damaged": a file
      cannot be read, and no process works on the run.
    - loss: of the newest recorded step, nats per predicted token.
    - evaluation: N -> scores of the newest evaluation; in a finished run of the final one.
    - seconds: spent on training steps so far.
    - changed, created: when it last wrote something, and when its configuration was written, in
      seconds since 1970.
    - labels, status: `Labels` (empty outside a sweep) and `Status` (empty where damaged) of
      `workbench.training.run_files`.
    - problem: why it failed, or what is damaged. note: what a person wrote about it.
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
    created: float = 0.0
    labels: dict[str, Any] = field(default_factory=dict)
    problem: str | None = None
    status: dict[str, Any] = field(default_factory=dict)
    note: str = ""

    @property
    def active(self) -> bool:
        """Whether a process works on it."""
        return self.state in ACTIVE


def list_runs(root: Path, keep: Callable[[Run], bool] = lambda run: True) -> list[Run]:
    """Return the runs under `root`, damaged ones included, the latest to report first."""
    if not root.is_dir():
        return []
    folders = [p for p in root.iterdir() if not p.name.startswith(".") and is_run(p)]
    runs = [run for run in map(read_run, folders) if run is not None and keep(run)]
    return sorted(runs, key=lambda run: (-run.changed, run.name))


def is_run(folder: Path) -> bool:
    """Return whether a folder holds a run."""
    # not Path.is_file, which raises where one may not look
    return any(os.path.isfile(folder / name) for name in (STATUS, CONFIG))


def read_run(folder: Path) -> Run | None:
    """Return a run from its folder; None if the folder went away during reading.

    Each file is read separately. `Run.problem` says which cannot be read, and why.
    """
    status, labels, newest, outdated, final, note, problems = _contents(folder, _stamps(folder))
    step, evaluation, lost = newest
    if not status and not folder.is_dir():
        return None
    changed = max(map(_written, (folder / STATUS, folder / EVENTS)))
    state = actual_state(status, changed, folder) if status else "damaged"
    if problems and state not in ACTIVE:  # what is at work can still be stopped
        state = "damaged"
    said = status.get("error") or (last_words(folder) if state == "died" else "")
    skipped = f"{lost} of the last lines of {EVENTS} cannot be read" if lost else ""
    return Run(
        folder.name.encode("utf-8", "backslashreplace").decode(),  # a name may be any bytes
        folder,
        state,
        step=max(part.get("step", 0) for part in (status, step, evaluation)),
        steps=status.get("steps", 0),
        loss=step.get("loss"),
        evaluation=final.get("passes") or evaluation.get("passes", {}),
        seconds=float(step.get("seconds", 0.0)),
        changed=changed or _written(folder),
        created=_written(folder / CONFIG),
        labels=labels,
        problem="; ".join(filter(None, (said, *problems, outdated, skipped))) or None,
        status=status,
        note=note,
    )


def _stamps(folder: Path) -> tuple[Stamp | None, ...]:
    files = (STATUS, LABELS, EVENTS, CONFIG, PROVENANCE, NOTE)
    return tuple(stamp_if_there(folder / name) for name in files)


@lru_cache(maxsize=4000)
def _contents(folder: Path, changed: tuple[Stamp | None, ...]) -> tuple[Any, ...]:
    """Return what a run's files hold; cached until one changes, because a queue looks often."""
    problems: list[str] = []
    status = _part(read_status, folder, problems, {})
    labels = _part(read_labels, folder, problems, {})
    events = _part(_newest, folder, problems, ({}, {}, 0))
    outdated = _part(_outdated, folder, problems, "")
    finished = status.get("state") == "finished"
    final = _part(read_metrics, folder, problems, {}) if finished else {}
    note = _part(read_note, folder, [], "(its note cannot be read)")
    return status, labels, events, outdated, final, note, tuple(problems)


def _part(read: Callable[[Path], Value], folder: Path, problems: list[str], nothing: Any) -> Value:
    """Return what `read` finds in a run's folder; `nothing`, and a problem, if it cannot."""
    try:
        return read(folder)
    except WorkbenchError as error:
        problems.append(error.given.replace(f"{folder}{os.sep}", ""))
        return nothing


def _written(path: Path) -> float:
    """Return when a file was written, in seconds since 1970; 0 if it does not exist."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def configuration(folder: Path) -> Experiment:
    """Return a run's configuration, read again only if its file has changed."""
    return _configuration(folder / CONFIG, stamp(folder / CONFIG))


@lru_cache(maxsize=2000)
def _configuration(path: Path, changed: Stamp) -> Experiment:
    return load_experiment(path)


def _outdated(folder: Path) -> str:
    """Return why a run's configuration is not valid in this version; "" if it is."""
    try:
        configuration(folder)
    except MissingFile:
        return ""  # nobody can start it
    except UnreadableFile:
        raise
    except WorkbenchError as error:
        return error.given.replace(f"{folder}{os.sep}", "")
    return ""


def scores_at_trained(run: Run, what: str = "accuracy") -> tuple[str, dict[str, float]]:
    """Return the N of a run's newest evaluation nearest to that of its training, and its scores.

    `what`: "accuracy" by difficulty, or "bits" by group.

    An N that was not trained says less; if the trained one was not tested, it is the largest below
    it, else the smallest.
    """
    tested = {int(n): scores for n, scores in run.evaluation.items()}
    if not tested:
        return "", {}
    last = str(run.labels.get("n_train", "")).rpartition("-")[2]
    trained = int(last) if last.isdecimal() else max(tested)
    below = [n for n in tested if n <= trained]
    n = max(below) if below else min(tested)
    found = tested[n].get(what, {})
    return str(n), {k: float(v["bits"] if what == "bits" else v) for k, v in found.items()}


def actual_state(status: dict[str, Any], changed: float, folder: Path) -> str:
    """Return the state in a status, or "died" if that is active and no process is at work.

    `changed` is when the run last wrote something, in seconds since 1970; in `folder` processes of
    other machines leave signs of life.
    """
    state = str(status["state"])
    if state not in ACTIVE:
        return state
    if not here(status):
        beat = _written(folder / ALIVE)
        return state if time.time() - max(changed, beat) < SILENT else "died"
    if alive(status):
        return state
    # a launcher that was killed may have started a process which has yet to say who it is
    unborn = status.get("launcher") and time.time() - changed < BIRTH
    return state if unborn else "died"


@dataclass(frozen=True)
class Events:
    """Steps and evaluations, oldest first; the byte to go on from; how many lines are damaged."""

    entries: list[dict[str, Any]]
    offset: int
    damaged: int = 0


def read_events(folder: Path, offset: int = 0) -> Events:
    """Return the events of a run from byte `offset`; an unfinished last line waits.

    A file shorter than `offset` was rewritten by a resumed run: it is read from the start. Raises
    UnreadableFile if it is not a regular file, too large, or may not be read.
    """
    path = folder / EVENTS
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            offset = 0 if size < offset else offset
            file.seek(offset)
            data = file.read(LIMIT + 1)
    except MissingFile:
        return Events([], 0)
    except OSError as error:
        raise _unreadable(path, error.strerror) from None
    if len(data) > LIMIT:
        raise _unreadable(path, f"larger than {LIMIT:,} bytes")
    whole, newline, _ = data.rpartition(b"\n")
    entries, damaged = [], 0
    for line in whole.splitlines():
        entry = read_event(line)
        if entry is None:
            damaged += 1
        else:
            entries.append(entry)
    return Events(entries, offset + len(whole) + len(newline), damaged)


def by_kind(events: Iterable[Mapping[str, Any]]) -> tuple[list[Any], list[Any]]:
    """Return the steps and the evaluations among events."""
    kinds: dict[str, list[Any]] = {"step": [], "evaluation": []}
    for event in events:
        kinds[event["kind"]].append(event)
    return kinds["step"], kinds["evaluation"]


def find_run(root: Path, name: str) -> Path:
    """Return the folder of the run called `name`; names never lead out of `root`."""
    folder = root / name
    if not NAME.fullmatch(name) or not is_run(folder):
        raise WorkbenchError(
            f"no run {name!r} in {root}", "the name of a run", "list them with `workbench runs`"
        )
    return folder


def request(folder: Path, experiment_toml: str, labels: dict[str, Any], steps: int) -> None:
    """Put a run into the queue: its folder with configuration and labels, and no process yet."""
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
    """Write a run's state, keeping the rest of its status; used while no process trains.

    A damaged status is replaced. Raises WorkbenchError if the run's folder was removed, so that it
    does not come back half written.
    """
    check_there(folder)
    status = _part(read_status, folder, [], {})
    status.pop("error", None)
    status |= {"state": state, **changes}
    if state == "queued":
        status["queued_at"] = time.time()
        for name in ("pid", "started", "host", "launcher", "gpu", "cuda"):
            status.pop(name, None)
    write_json(folder / STATUS, status)


def claim(folder: Path) -> None:
    """Record the process of a run that a queue has launched: the first act of that process."""
    status = _part(read_status, folder, [], {})
    if status.get("state") == "starting" and status.pop("launcher", False):
        write_json(folder / STATUS, status | identify())


@contextmanager
def transition(folder: Path) -> Iterator[Run]:
    """Hold the states of a folder of runs, and give the run in `folder` as it is now.

    Every change of a state reads it under this lock, so that no run is withdrawn by one process and
    started by another. It is held for moments only. Raises WorkbenchError if the run is gone, or
    the lock is taken for longer than `PATIENCE`.
    """
    root = folder.parent
    taken = (f"the states of {root} are held by another process", "a moment", "try again")
    with hold(root / LOCK, taken=taken, patience=PATIENCE):
        run = read_run(folder) if (folder / CONFIG).is_file() else None
        if run is None:
            raise WorkbenchError(f"the run {folder.name} is gone", "its folder", "look again")
        yield run


def requeue(run: Run) -> None:
    """Put a stopped, died or failed run back into the queue; it resumes."""
    with transition(run.folder) as now:
        if now.state not in ("stopped", "died", "failed"):
            raise WorkbenchError(
                f"run {now.name} is {now.state}",
                "one that stopped, died or failed",
                "choose another",
            )
        for name in (STOP, RESUME):
            (now.folder / name).unlink(missing_ok=True)
        set_state(now.folder, "queued", step=now.step, steps=now.steps)


def to_resume(run: Run) -> bool:
    """Return whether a run is to be resumed once it has stopped."""
    return run.state in (*ACTIVE, "stopped", "died") and (run.folder / RESUME).exists()


def read_note(folder: Path) -> str:
    """Return what a person wrote about a run; "" for nothing. Raises UnreadableFile."""
    try:
        return _shown(read_text(folder / NOTE, limit=4 * LONGEST_NOTE))[:LONGEST_NOTE]
    except MissingFile:
        return ""


def write_note(folder: Path, text: str) -> None:
    """Keep a note with a run; an empty one is removed. Raises WorkbenchError if it is too long."""
    text = _shown(text)
    if len(text) > LONGEST_NOTE:
        raise WorkbenchError(
            f"a note of {len(text):,} characters", f"at most {LONGEST_NOTE:,}", "shorten it"
        )
    check_there(folder)
    if text:
        write_text(folder / NOTE, text)
    else:
        (folder / NOTE).unlink(missing_ok=True)


def _shown(text: str) -> str:
    """Return text without characters that cannot be shown."""
    lines = ("".join(c for c in line if c.isprintable()) for line in text.splitlines())
    return "\n".join(lines).strip()


def log_tail(folder: Path, lines: int = 20) -> list[str]:
    """Return the last lines that the run's process printed."""
    try:
        text = _end(folder / LOG)[0].decode("utf-8", "replace")
    except UnreadableFile:
        return []
    return [line.rstrip() for line in text.replace("\r", "\n").splitlines() if line.strip()][
        -lines:
    ]


def last_words(folder: Path) -> str:
    """Return the last error that a run's process printed, or that it printed none."""
    said = [line for line in log_tail(folder, 40) if line.startswith("workbench: ")]
    if said:
        return said[-1].removeprefix("workbench: ")
    return f"its process ended without a word; {LOG} may say more"


def _newest(folder: Path) -> tuple[dict[str, Any], dict[str, Any], int]:
    """Return a run's newest step and evaluation, and how many of the last lines are damaged."""
    try:
        data, cut = _end(folder / EVENTS)
    except MissingFile:
        return {}, {}, 0
    lines = data.rpartition(b"\n")[0].splitlines()
    found = [read_event(line) for line in lines[cut:]]
    newest = {event["kind"]: event for event in found if event is not None}
    return newest.get("step", {}), newest.get("evaluation", {}), found.count(None)


def _end(path: Path) -> tuple[bytes, bool]:
    """Return the last bytes of a regular file, and whether there are more before them."""
    with open_regular(path) as file:
        try:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - TAIL, 0))
            return file.read(TAIL), size > TAIL
        except OSError as error:
            raise _unreadable(path, error.strerror) from None


def _unreadable(path: Path, why: str | None) -> UnreadableFile:
    return UnreadableFile(f"{path} cannot be read ({why})", "a readable file", "check it")
