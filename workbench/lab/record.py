"""Records: what is kept of finished runs, in one JSON file a sweep, small enough to be committed.

A record is a list of runs, each with its labels, budget, provenance, learning curve and final
evaluation; `workbench.lab.results` turns it into xarray. A run in a record need not be run again.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.config import to_toml
from workbench.errors import WorkbenchError
from workbench.files import write_json
from workbench.lab.runs import PROVENANCE, Run, read_events

if TYPE_CHECKING:  # sweeps count FLOPs and so load torch; whoever only reads results need not
    from workbench.lab.sweeps import PlannedRun, Sweep

SCHEMA = "sleep-results/1"
KEYS = (
    "name", "labels", "config", "commit", "machine", "budget", "task", "difficulty", "evaluation",
    "chance", "loss", "curve", "final",
)  # fmt: skip
LABELS = ("arm", "n_train", "axes", "seed", "identity")
"""What is read of every run, and of its labels."""


def read_record(path: Path) -> dict[str, Any]:
    """Read a record.

    Raises
    ------
    WorkbenchError
        It is missing, damaged, or of another schema.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        schema = record["schema"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, FileNotFoundError):
            given = f"no record of results at {path}"
        elif isinstance(error, OSError):
            given = f"{path} cannot be read ({error.strerror})"
        elif isinstance(error, ValueError):
            given = f"{path} is no record of results, and no JSON"
        else:
            given = f"{path} is no record of results: it names no schema"
        raise WorkbenchError(
            given,
            f"JSON of schema {SCHEMA}",
            "make one with `workbench sweep FILE --record PATH`",
        ) from None
    if schema != SCHEMA:
        raise WorkbenchError(
            f"{path} is of schema {schema!r}", SCHEMA, "make it again with this version"
        )
    if damage := _damage(record.get("runs")):
        raise WorkbenchError(
            f"{path} is damaged: {damage}", "runs as this version writes them", "make it again"
        )
    return record


def _damage(runs: Any) -> str:
    """Return what is wrong with a record's runs; "" where nothing is."""
    if not isinstance(runs, list):
        return "it has no list of runs"
    for number, run in enumerate(runs, 1):
        if not isinstance(run, dict) or not isinstance(run.get("labels"), dict):
            return f"run {number} has no labels"
        lacking = [key for key in KEYS if key not in run]
        lacking += [f"labels.{key}" for key in LABELS if key not in run["labels"]]
        if lacking:
            return f"run {number} lacks {', '.join(lacking)}"
    return ""


def recorded(path: Path | None) -> dict[str, dict[str, Any]]:
    """Return the runs in a record by identity; none where there is no record yet."""
    if path is None or not path.exists():
        return {}
    return {run["labels"]["identity"]: run for run in read_record(path)["runs"]}


def add_to_record(path: Path, sweep: Sweep, runs: list[Run]) -> int:
    """Add the finished `runs` of a sweep to its record; return how many it holds now.

    Runs recorded before stay as they are; runs of the sweep come in its order.

    Raises
    ------
    WorkbenchError
        The record holds a run of this arm, N, axes and seed with another configuration.
    """
    entries = recorded(path)
    _check_same_sweep(path, sweep, entries)
    planned = {plan.labels["identity"]: plan for plan in sweep.runs}
    for run in runs:
        identity = str(run.labels.get("identity"))
        if run.state == "finished" and identity in planned and identity not in entries:
            entries[identity] = entry(run, planned[identity])
    ordered = [entries[i] for i in planned if i in entries]
    ordered += [e for i, e in entries.items() if i not in planned]
    record = {
        "schema": SCHEMA,
        "sweep": sweep.name,
        "title": sweep.config.title,
        "file": sweep.path.name,
        "runs": ordered,
    }
    write_json(path, record)
    return len(ordered)


def _check_same_sweep(path: Path, sweep: Sweep, entries: dict[str, dict[str, Any]]) -> None:
    places = {_place(plan.labels): plan.labels["identity"] for plan in sweep.runs}
    for identity, kept in entries.items():
        planned = places.get(_place(kept["labels"]))
        if planned is not None and planned != identity:
            raise WorkbenchError(
                f"{path} holds {kept['name']} of another version of {sweep.path.name}",
                "runs of one version, which can be compared",
                "name another file with --record",
            )


def _place(labels: dict[str, Any]) -> tuple[Any, ...]:
    """Return what a run's results are filed under."""
    names = ("arm", "n_train", "passes", "seed")
    return (*(labels[name] for name in names), json.dumps(labels["axes"], sort_keys=True))


def entry(run: Run, plan: PlannedRun) -> dict[str, Any]:
    """Return what a record keeps of a finished run."""
    provenance = json.loads((run.folder / PROVENANCE).read_text(encoding="utf-8"))
    metrics = provenance["metrics"]
    events = read_events(run.folder).entries
    steps = [event for event in events if event["kind"] == "step"]
    evaluations = [event for event in events if event["kind"] == "evaluation"]
    return {
        "name": run.name,
        "labels": plan.labels,
        "config": to_toml(plan.experiment),
        "commit": provenance["commit"],
        "versions": provenance["versions"],
        "machine": provenance["machine"],
        "created_at": provenance["created_at"],
        "resumed": len(provenance.get("resumed", [])),
        "weights_sha256": provenance["hashes"]["model.safetensors"],
        "budget": {**provenance["budget"], "flops": plan.flops},
        "task": metrics["task"],
        "difficulty": metrics["difficulty"],
        "evaluation": {"count": metrics["count"], "seed": metrics["seed"]},
        "chance": next(iter(metrics["passes"].values()))["chance"],
        "loss": {
            "step": [event["step"] for event in steps],
            "loss": [round(event["loss"], 5) for event in steps],
            "seconds": [event["seconds"] for event in steps],
        },
        "curve": {
            "step": [event["step"] for event in evaluations],
            "passes": [scores_of(event["passes"]) for event in evaluations],
        },
        "final": scores_of(metrics["passes"]),
    }


def scores_of(passes: dict[str, Any]) -> dict[str, Any]:
    """Return the shares that a record keeps; ``first`` where the run measured it."""
    return {
        n: {"accuracy": e["accuracy"], "exact": e["exact"]}
        | ({"first": e["first"]["accuracy"]} if "first" in e else {})
        for n, e in passes.items()
    }
