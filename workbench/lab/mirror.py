"""MLflow as a mirror of the run folders, so that a team sees runs in the tool it has.

The folders stay the truth and are only read, by a separate process. Each run is one MLflow run,
found again by a tag. Another tag, written after the points themselves, holds what was mirrored
last: a mirror that is killed in between finds the points in the store and leaves them out. Nothing
leaves the machine except to the store that the user names. Needs the extra ``tracking``.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from workbench.errors import WorkbenchError
from workbench.files import (
    LIMIT,
    MissingFile,
    UnreadableFile,
    open_regular,
    parse_json,
    read_toml,
)
from workbench.lab.runs import Run, list_runs
from workbench.training.run_files import (
    EVENTS,
    ORIGIN,
    Open,
    Positive,
    Whole,
    checked,
    read_event,
    read_metrics,
    read_origin,
)
from workbench.training.run_folder import CONFIG

PREFIX = "sleep_workbench."
RUN, POSITION = f"{PREFIX}run", f"{PREFIX}position"
ALONE = "sleep-workbench"
"""Experiment of the runs that belong to no sweep; a sweep's runs are in one of its name."""

STATUSES = {
    "queued": "SCHEDULED",
    "starting": "RUNNING",
    "running": "RUNNING",
    "finished": "FINISHED",
    "failed": "FAILED",
    "stopped": "KILLED",
    "died": "KILLED",
}
"""State of a run -> MLflow's status; the state itself is a tag. Damaged runs are left alone."""

ENDED = ("FINISHED", "FAILED", "KILLED")
SCHEMES = ("sqlite", "postgresql", "mysql", "mssql", "http", "https")
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "_MLFLOW_TELEMETRY_PRE_WARM_DATABRICKS_SDK": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}
"""What keeps MLflow from reporting its use."""

PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
"""How long an absent server is waited for, where the user's environment does not say."""

MOST_POINTS, MOST_WORDS = 1000, 100
"""MLflow's own limits: metrics, and parameters or tags, in one batch."""

LONGEST_PARAMETER, LONGEST_TAG, LONGEST_NAME = 6000, 5000, 250
CHECKED = 256
"""Bytes before the position by which it is seen whether the events are still those."""


class Position(Open):
    """Where in the events of a run the mirror is."""

    offset: Whole = 0
    check: str = ""
    seconds: Positive = 0.0


@dataclass
class Known:
    """What this process knows of one run in the store.

    `id` is MLflow's, empty if its run was deleted there (which is respected); `latest` holds the
    newest step by metric, and `seen` state and time of change of the run when it was mirrored last.
    """

    id: str
    position: dict[str, Any] = field(default_factory=dict)
    latest: dict[str, int] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    status: str = ""
    seen: tuple[str, float] | None = None


@dataclass
class Outcome:
    """Metric values added by run, runs that have not begun, and problems of others by name."""

    points: dict[str, int] = field(default_factory=dict)
    waiting: list[str] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)


class Mirror:
    """An open store, and what is known of the runs in it."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.experiments: dict[str, str] = {}
        self.known: dict[str, Known] = {}


def store_uri(named: str) -> str:
    """Return the URI of the named store; a plain path is an SQLite file.

    Raises WorkbenchError for a kind of store that MLflow does not know, or an unusable file.
    """
    scheme, separator, rest = named.partition("://")
    scheme = scheme.partition("+")[0]
    if separator and scheme not in SCHEMES or named.startswith("file:"):
        raise WorkbenchError(
            f"--to {named}",
            f"a path, or a URI that begins with {', '.join(SCHEMES)}",
            "write for example --to sqlite:///mlflow.db (MLflow has given up folders as stores)",
        )
    if separator and scheme != "sqlite":
        return named
    path = Path(rest.removeprefix("/") if separator else named).expanduser().absolute()
    if separator and not rest.startswith("/") or not path.name:
        raise WorkbenchError(
            f"--to {named}", "three slashes and a file", "write for example sqlite:///mlflow.db"
        )
    _check_file(path)
    return f"sqlite:///{path}"


def _check_file(path: Path) -> None:
    """Check that an SQLite file is one or can become one; MLflow would try for a minute."""
    try:
        with path.open("rb") as file:
            head = file.read(16)
        writable = os.access(path, os.W_OK)
    except FileNotFoundError:
        head, writable = b"", path.parent.is_dir() and os.access(path.parent, os.W_OK)
    except OSError:
        head, writable = b"", False
    if not writable:
        raise WorkbenchError(
            f"{path} cannot be written to", "a file in a folder that can be", "name another file"
        )
    if head and head != b"SQLite format 3\0":
        raise WorkbenchError(f"{path} is no SQLite file", "a store, or no file yet", "name another")


def open_store(named: str) -> Mirror:
    """Open a store; a new one gets its tables here, before anyone else opens it.

    Raises WorkbenchError if the extra ``tracking`` is not installed, or the store cannot be opened.
    """
    uri = store_uri(named)
    os.environ.update(QUIET)
    for name, value in PATIENCE.items():
        os.environ.setdefault(name, value)
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.ERROR)
    try:
        from mlflow import MlflowClient
    except ModuleNotFoundError as error:
        raise WorkbenchError(
            f"the package {error.name!r} is not installed",
            "the extra 'tracking'",
            "pip install -c constraints.txt -e '.[tracking]'",
        ) from None
    logging.getLogger("mlflow").setLevel(logging.ERROR)  # importing it sets its own
    with _told(f"the store {named}"):
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        client.search_experiments(max_results=1)
    return Mirror(client)


@contextmanager
def only_mirror(root: Path, named: str) -> Iterator[None]:
    """Hold a folder of runs for mirroring to one store, so that no run is created there twice.

    Raises WorkbenchError if another process mirrors it, or there is no such folder.
    """
    from filelock import FileLock, Timeout

    if not root.is_dir():
        raise WorkbenchError(f"no folder {root}", "a folder of runs", "name it with --runs")
    store = hashlib.sha256(store_uri(named).encode()).hexdigest()[:8]
    lock = FileLock(root / f".mirror-{store}.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise WorkbenchError(
            f"another process mirrors {root} to {named}", "one at a time", "let that one go on"
        ) from None
    except OSError as error:
        raise WorkbenchError(
            f"{root} cannot be written to ({error})", "room for a lock", "mirror it elsewhere"
        ) from None
    try:
        yield
    finally:
        lock.release()


def mirror_all(
    mirror: Mirror,
    root: Path,
    *,
    stop: Callable[[], bool] = lambda: False,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> Outcome:
    """Bring the store up to date with every run under `root`.

    `stop` ends it after a run; `tell` gets how many runs are done, of how many.
    """
    outcome = Outcome()
    runs = list_runs(root)
    for number, run in enumerate(runs):
        try:
            with _told(f"run {run.name}"):
                points = mirror_run(mirror, run)
            if points is None:
                outcome.waiting.append(run.name)
            else:
                outcome.points[run.name] = points
        except WorkbenchError as error:  # the others are mirrored all the same
            mirror.known.pop(run.name, None)  # asked of the store again
            outcome.problems[run.name] = str(error)
        tell(number + 1, len(runs))
        if stop():
            break
    return outcome


def mirror_run(mirror: Mirror, run: Run) -> int | None:
    """Bring the store up to date with one run; return how many points that added.

    None means that there is nothing to mirror yet, or that its MLflow run was deleted. Raises
    WorkbenchError if the run's files are damaged.
    """
    if run.state == "damaged":
        raise WorkbenchError(f"{run.folder} is damaged ({run.problem})", "a run", "mend it")
    starts = read_origin(run.folder / ORIGIN)
    if not starts:
        return None
    began = round(datetime.fromisoformat(starts[0]["created_at"]).timestamp() * 1000)
    known = mirror.known.get(run.name)
    identity = hashlib.sha256(f"{run.name} {starts[0]['created_at']}".encode()).hexdigest()[:24]
    if known is None or known.tags.get(RUN, identity) != identity:  # its folder was made anew
        known = mirror.known[run.name] = _find(mirror, run, identity, began)
    if not known.id:
        return None
    if known.seen == (run.state, run.changed) and not run.active:
        return 0
    words = _tags(run, starts)
    if POSITION not in known.tags:
        _log_words(mirror.client, known, _parameters(run.folder), words)
    added = 0
    for points, position in _batches(run.folder / EVENTS, known.position, began):
        added += _log_points(mirror.client, known, points)
        _note(mirror.client, known, position)
    if run.state == "finished":
        added += _log_points(mirror.client, known, _final_points(run, known.position, began))
    _log_words(mirror.client, known, {}, words)
    _log_status(mirror.client, known, run)
    known.seen = (run.state, run.changed)
    return added


def _find(mirror: Mirror, run: Run, identity: str, began: int) -> Known:
    """Return what the store holds of a run, which is created if it is not there."""
    from mlflow.entities import ViewType

    client = mirror.client
    name = str(run.labels.get("sweep") or ALONE)
    if name not in mirror.experiments:
        experiment = client.get_experiment_by_name(name)
        if experiment is not None and experiment.lifecycle_stage == "deleted":
            raise WorkbenchError(
                f"the experiment {name!r} was deleted in the store", "one", "restore it there"
            )
        mirror.experiments[name] = (
            client.create_experiment(name) if experiment is None else experiment.experiment_id
        )
    found = client.search_runs(
        [mirror.experiments[name]], f"tags.`{RUN}` = '{identity}'", ViewType.ALL, max_results=1
    )
    if not found:
        found = [
            client.create_run(
                mirror.experiments[name],
                start_time=began,
                tags={RUN: identity, "mlflow.source.type": "LOCAL"},
                run_name=run.name,
            )
        ]
    (there,) = found
    if there.info.lifecycle_stage == "deleted":
        return Known("", tags={RUN: identity})
    tags = dict(there.data.tags)
    try:
        position = checked(Position, parse_json(tags.get(POSITION, "{}"), what=POSITION), POSITION)
    except UnreadableFile:
        position = {}  # it begins at the start; what the store holds is not added twice
    latest = {metric.key: metric.step for metric in there.data.to_proto().metrics}
    return Known(there.info.run_id, position, latest, tags, there.info.status)


# --- points ---------------------------------------------------------------------------------------

Point = tuple[str, float, int, int]
"""Name, value, time in milliseconds since 1970, step."""


def _batches(
    path: Path, position: dict[str, Any], began: int
) -> Iterator[tuple[list[Point], dict[str, Any]]]:
    """Yield points from a position in the events on, and the position after them.

    Events that a resumed run has written again are read from their start.
    """
    try:
        file = open_regular(path)
    except MissingFile:
        return
    with file:
        offset, seconds = int(position.get("offset", 0)), float(position.get("seconds", 0.0))
        if offset and _check(file, offset) != position.get("check"):
            offset, seconds = 0, 0.0
        file.seek(offset)
        data = file.read(LIMIT)
        lines = data[: data.rfind(b"\n") + 1].splitlines(keepends=True)
        points: list[Point] = []
        for number, line in enumerate(lines):
            offset += len(line)
            event = read_event(line)
            if event is not None:  # a damaged line costs itself alone
                seconds = float(event.get("seconds", seconds))
                points += _points(event, began + round(seconds * 1000))
            if len(points) >= MOST_POINTS or number == len(lines) - 1:
                yield points, {"offset": offset, "check": _check(file, offset), "seconds": seconds}
                points = []


def _check(file: Any, offset: int) -> str:
    """Return a hash of the bytes before `offset`, which name step and values."""
    start = max(offset - CHECKED, 0)
    file.seek(start)
    return hashlib.sha256(file.read(offset - start)).hexdigest()[:16]


def _points(event: dict[str, Any], now: int) -> list[Point]:
    """Return the numbers of an event."""
    step = int(event["step"])
    if event["kind"] == "evaluation":
        values = _scores(event["passes"])
    else:
        values = {name: v for name, v in event.items() if name not in ("kind", "step")}
    return [(n, float(v), now, step) for n, v in values.items() if _is_number(v)]


def _scores(passes: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return an evaluation's numbers by name: ``accuracy/N4/2`` is N = 4, difficulty 2."""
    values: dict[str, Any] = {}
    for n, entry in passes.items():
        values |= {f"{prefix}accuracy/N{n}/{level}": v for level, v in entry["accuracy"].items()}
        names = ("exact", "sleep_ms_per_window", "wake_ms_per_token")
        values |= {f"{prefix}{name}/N{n}": entry.get(name) for name in names}
    return values


def _final_points(run: Run, position: dict[str, Any], began: int) -> list[Point]:
    """Return the numbers of the evaluation that ended a run."""
    passes = read_metrics(run.folder).get("passes", {})
    now = began + round(float(position.get("seconds", 0.0)) * 1000)
    values = _scores(passes, "final/")
    return [(n, float(v), now, run.steps) for n, v in values.items() if _is_number(v)]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _log_points(client: Any, known: Known, points: list[Point]) -> int:
    """Add those points that the store does not hold yet; return how many."""
    from mlflow.entities import Metric

    fresh = [point for point in points if point[3] > known.latest.get(point[0], -1)]
    for first in range(0, len(fresh), MOST_POINTS):
        some = fresh[first : first + MOST_POINTS]
        client.log_batch(known.id, metrics=[Metric(*point) for point in some])
        known.latest |= {name: step for name, _, _, step in some}
    return len(fresh)


def _note(client: Any, known: Known, position: dict[str, Any]) -> None:
    """Keep in the store how far the events are mirrored; after the points, never before."""
    client.set_tag(known.id, POSITION, json.dumps(position))
    known.position, known.tags[POSITION] = position, json.dumps(position)


# --- words ----------------------------------------------------------------------------------------


def _parameters(folder: Path) -> dict[str, str]:
    """Return the configuration, flattened: ``training.steps`` -> "2000"."""
    flat = _flat(read_toml(folder / CONFIG))
    return {name: text[:LONGEST_PARAMETER] for name, text in flat.items()}


def _tags(run: Run, starts: list[dict[str, Any]]) -> dict[str, str]:
    """Return labels, provenance and state as tags."""
    first = {name: value for name, value in starts[0].items() if name != "from_step"}
    tags = {
        **_flat(run.labels, "labels."),
        **_flat({**first, "starts": len(starts)}, "provenance."),
        f"{PREFIX}folder": str(run.folder.resolve()),
        f"{PREFIX}state": run.state,
        f"{PREFIX}problem": run.problem or "",
    }
    if first.get("command"):
        tags["mlflow.source.name"] = str(first["command"])
    if isinstance(first.get("commit"), dict):
        tags["mlflow.source.git.commit"] = str(first["commit"]["hash"])
    return {name: text[:LONGEST_TAG] for name, text in tags.items()}


def _flat(value: Any, prefix: str = "") -> dict[str, str]:
    """Return nested tables as dotted names and text; lists as JSON."""
    flat: dict[str, str] = {}
    for name, inner in value.items():
        if isinstance(inner, dict):
            flat |= _flat(inner, f"{prefix}{name}.")
        else:
            text = inner if isinstance(inner, str) else json.dumps(inner, default=str)
            flat[re.sub(r"[^\w\-. :/]", "_", f"{prefix}{name}")[:LONGEST_NAME]] = text
    return flat


def _log_words(client: Any, known: Known, parameters: dict[str, str], tags: dict[str, str]) -> None:
    """Write parameters, and those tags that have changed."""
    from mlflow.entities import Param, RunTag

    changed = {name: text for name, text in tags.items() if known.tags.get(name, "") != text}
    words = [Param(*item) for item in parameters.items()]
    for first in range(0, len(words), MOST_WORDS):
        client.log_batch(known.id, params=words[first : first + MOST_WORDS])
    labels = [RunTag(*item) for item in changed.items()]
    for first in range(0, len(labels), MOST_WORDS):
        client.log_batch(known.id, tags=labels[first : first + MOST_WORDS])
    known.tags |= changed


def _log_status(client: Any, known: Known, run: Run) -> None:
    """Write the status last, so that a finished run in the store is there with all its points."""
    status = STATUSES[run.state]
    if status == known.status:
        return
    if status in ENDED:
        client.set_terminated(known.id, status, end_time=round(run.changed * 1000))
    else:
        client.update_run(known.id, status)
    known.status = status


# --- errors ---------------------------------------------------------------------------------------


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Turn what MLflow and its database raise into one line."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError, KeyError) as error:
        said = next(iter(str(error).splitlines()), type(error).__name__)
        raise WorkbenchError(
            f"{what}: {said}", "a store that MLflow can write to", "see to it, then mirror again"
        ) from error
