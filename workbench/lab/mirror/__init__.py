"""MLflow as a mirror of the run folders, so that a team sees runs in the tool it has.

The folders stay the truth and are only read, by a separate process. Each run is one MLflow run,
found again by a tag. The store says which step of each metric it holds last; later points are
added, in order, so that a mirror may be killed at any moment. Nothing leaves the machine except to
the store that the user names. Needs the extra ``tracking``.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from workbench.errors import WorkbenchError
from workbench.files import read_toml
from workbench.lab.mirror.store import in_one_line, only_mirror, open_client, store_uri
from workbench.lab.runs import Run, list_runs, read_events
from workbench.training.run_files import ORIGIN, read_metrics, read_origin
from workbench.training.run_folder import CONFIG

__all__ = ["Known", "Mirror", "Outcome", "mirror_all", "mirror_run", "only_mirror", "open_store"]
__all__ += ["store_uri"]

PREFIX = "sleep_workbench."
LONGEST_PARAMETER, LONGEST_TAG, LONGEST_NAME = 6000, 5000, 250

Point = tuple[str, float, int, int]
"""Name, value, time in milliseconds since 1970, step."""

RUN = f"{PREFIX}run"
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
MOST_POINTS, MOST_WORDS = 1000, 100
"""MLflow's own limits: metrics in one batch; parameters, or tags."""


@dataclass
class Known:
    """What this process knows of one run in the store.

    `id` is MLflow's, empty if its run was deleted there (which is respected); `latest` holds the
    newest step by metric, and `seen` state and time of change of the run when it was mirrored last.
    """

    id: str
    parameters: dict[str, str] = field(default_factory=dict)
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
    _log_words(mirror.client, known, _parameters(run.folder), _tags_of(run, starts))
    added = _log_points(mirror.client, known, _all_points(run, began))
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
    data = there.data
    latest = {metric.key: metric.step for metric in data.to_proto().metrics}
    words = dict(data.params), latest, dict(data.tags)
    return Known(there.info.run_id, *words, there.info.status)


def _log_points(client: Any, known: Known, points: list[Point]) -> int:
    """Add those points that the store does not hold yet; return how many."""
    from mlflow.entities import Metric

    fresh = [point for point in points if point[3] > known.latest.get(point[0], -1)]
    for first in range(0, len(fresh), MOST_POINTS):
        some = fresh[first : first + MOST_POINTS]
        client.log_batch(known.id, metrics=[Metric(*point) for point in some])
        known.latest |= {name: step for name, _, _, step in some}
    return len(fresh)


def _log_words(client: Any, known: Known, parameters: dict[str, str], tags: dict[str, str]) -> None:
    """Write parameters that the store does not have, and those tags that have changed."""
    from mlflow.entities import Param, RunTag

    changed = {name: text for name, text in tags.items() if known.tags.get(name, "") != text}
    words: dict[str, list[Any]] = {
        "params": [Param(n, text) for n, text in parameters.items() if n not in known.parameters],
        "tags": [RunTag(*item) for item in changed.items()],
    }
    for kind, items in words.items():
        for first in range(0, len(items), MOST_WORDS):
            client.log_batch(known.id, **{kind: items[first : first + MOST_WORDS]})
    known.parameters |= parameters
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


def _all_points(run: Run, began: int) -> list[Point]:
    """Return all numbers of a run by step; those of the evaluation that ended it come last."""
    found: list[Point] = []
    seconds = 0.0
    for event in read_events(run.folder).entries:
        seconds = float(event.get("seconds", seconds))
        values = {name: v for name, v in event.items() if name not in ("kind", "step")}
        if event["kind"] == "evaluation":
            values = _scores(event["passes"])
        found += _points(values, began + round(seconds * 1000), int(event["step"]))
    if run.state == "finished":
        final = _scores(read_metrics(run.folder).get("passes", {}), "final/")
        found += _points(final, began + round(seconds * 1000), run.steps)
    return found


def _points(values: dict[str, Any], now: int, step: int) -> list[Point]:
    numbers = {n: v for n, v in values.items() if isinstance(v, int | float) and math.isfinite(v)}
    return [(name, float(value), now, step) for name, value in numbers.items()]


def _scores(passes: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return an evaluation's numbers by name: ``accuracy/N4/2`` is N = 4, difficulty 2."""
    values: dict[str, Any] = {}
    for n, entry in passes.items():
        values |= {f"{prefix}accuracy/N{n}/{level}": v for level, v in entry["accuracy"].items()}
        bits = entry.get("bits", {}).items()
        values |= {f"{prefix}bits/N{n}/{group}": one["bits"] for group, one in bits}
        names = ("exact", "sleep_ms_per_window", "wake_ms_per_token")
        values |= {f"{prefix}{name}/N{n}": entry.get(name) for name in names}
    return values


def _parameters(folder: Path) -> dict[str, str]:
    """Return the configuration, flattened: ``training.steps`` -> "2000"."""
    flat = _flat(read_toml(folder / CONFIG))
    return {name: text[:LONGEST_PARAMETER] for name, text in flat.items()}


def _tags_of(run: Run, starts: list[dict[str, Any]]) -> dict[str, str]:
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
