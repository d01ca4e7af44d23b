"""MLflow as a mirror of the run folders, so that a team sees runs in the tool it has.

The folders stay the truth and are only read, by a separate process. Each run is one MLflow run,
found again by a tag. Another tag, written after the points themselves, holds what was mirrored
last: a mirror that is killed in between finds the points in the store and leaves them out. Nothing
leaves the machine except to the store that the user names. Needs the extra ``tracking``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from workbench.errors import WorkbenchError
from workbench.files import UnreadableFile, parse_json
from workbench.lab.mirror import contents
from workbench.lab.mirror.contents import PREFIX, Point, Position
from workbench.lab.mirror.store import in_one_line, only_mirror, open_client, store_uri
from workbench.lab.runs import Run, list_runs
from workbench.training.run_files import EVENTS, ORIGIN, checked, read_origin

__all__ = ["Known", "Mirror", "Outcome", "mirror_all", "mirror_run", "only_mirror", "open_store"]
__all__ += ["store_uri"]

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
MOST_WORDS = 100
"""MLflow's own limit: parameters, or tags, in one batch."""


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


def open_store(named: str) -> Mirror:
    """Open a store and know nothing of its runs yet."""
    return Mirror(open_client(named))


def mirror_all(
    mirror: Mirror,
    root: Path,
    *,
    stop: Callable[[], bool] = lambda: False,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Outcome:
    """Bring the store up to date with every run under `root`.

    `stop` ends it after a run; `on_progress` gets how many runs are done, of how many.
    """
    outcome = Outcome()
    runs = list_runs(root)
    for number, run in enumerate(runs):
        try:
            with in_one_line(f"run {run.name}"):
                points = mirror_run(mirror, run)
            if points is None:
                outcome.waiting.append(run.name)
            else:
                outcome.points[run.name] = points
        except WorkbenchError as error:  # the others are mirrored all the same
            mirror.known.pop(run.name, None)  # asked of the store again
            outcome.problems[run.name] = str(error)
        on_progress(number + 1, len(runs))
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
    if known is None or known.tags.get(RUN, identity) != identity:  # its folder is a new one
        known = mirror.known[run.name] = _find(mirror, run, identity, began)
    if not known.id:
        return None
    if known.seen == (run.state, run.changed) and not run.active:
        return 0
    words = contents.tags_of(run, starts)
    if POSITION not in known.tags:
        _log_words(mirror.client, known, contents.parameters(run.folder), words)
    added = 0
    for points, position in contents.batches(run.folder / EVENTS, known.position, began):
        added += _log_points(mirror.client, known, points)
        _note(mirror.client, known, position)
    if run.state == "finished":
        added += _log_points(
            mirror.client, known, contents.final_points(run, known.position, began)
        )
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


def _log_points(client: Any, known: Known, points: list[Point]) -> int:
    """Add those points that the store does not hold yet; return how many."""
    from mlflow.entities import Metric

    fresh = [point for point in points if point[3] > known.latest.get(point[0], -1)]
    for first in range(0, len(fresh), contents.MOST_POINTS):
        some = fresh[first : first + contents.MOST_POINTS]
        client.log_batch(known.id, metrics=[Metric(*point) for point in some])
        known.latest |= {name: step for name, _, _, step in some}
    return len(fresh)


def _note(client: Any, known: Known, position: dict[str, Any]) -> None:
    """Keep in the store how far the events are mirrored; after the points, never before."""
    client.set_tag(known.id, POSITION, json.dumps(position))
    known.position, known.tags[POSITION] = position, json.dumps(position)


def _log_words(client: Any, known: Known, parameters: dict[str, str], tags: dict[str, str]) -> None:
    """Write parameters, and those tags that have changed."""
    from mlflow.entities import Param, RunTag

    changed = {name: text for name, text in tags.items() if known.tags.get(name, "") != text}
    words: dict[str, list[Any]] = {"params": [Param(*item) for item in parameters.items()]}
    words["tags"] = [RunTag(*item) for item in changed.items()]
    for kind, items in words.items():
        for first in range(0, len(items), MOST_WORDS):
            client.log_batch(known.id, **{kind: items[first : first + MOST_WORDS]})
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
