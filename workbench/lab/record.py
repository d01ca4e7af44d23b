"""Records: what is kept of finished runs, in one JSON file a sweep, small enough to be committed.

A record is a list of runs, each with its labels, budget, provenance, learning curve and final
evaluation; `workbench.lab.results` turns it into xarray. A run in a record need not be run again.
Runs that may still train have entries of the same form.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import ConfigDict, Field, model_validator

from workbench.config import to_toml
from workbench.errors import WorkbenchError
from workbench.files import (
    MissingFile,
    UnreadableFile,
    check_seal,
    parse_toml,
    read_json,
    read_text,
    sealed,
    write_json,
)
from workbench.lab.arms import trained_passes
from workbench.lab.runs import Run, by_kind, configuration, read_events
from workbench.lab.sweeps import PlannedRun, Sweep
from workbench.tasks import task as make_task
from workbench.training.run_files import (
    ORIGIN,
    Commit,
    Labels,
    Line,
    Moment,
    Open,
    PassCount,
    Positive,
    Real,
    Result,
    Seed,
    Whole,
    checked,
    read_ended,
    read_metrics,
    read_origin,
)
from workbench.training.run_folder import CONFIG

SCHEMA = "sleep-results/1"


class RecordedLabels(Labels):
    """What a run is in its sweep; the first five are needed."""

    arm: str
    n_train: str
    axes: dict[str, Any]
    seed: Seed
    identity: str


class Budget(Open):
    """What a run used."""

    steps: Annotated[int, Field(ge=1, le=10**15)]
    flops: Positive | None = None


class Evaluation(Open):
    """What a run was evaluated on."""

    count: Annotated[int, Field(ge=1, le=10**9)]


class Aligned(Open):
    """Lists of equal length."""

    @model_validator(mode="after")
    def _aligned(self) -> Self:
        if len({len(getattr(self, name)) for name in type(self).model_fields}) > 1:
            raise ValueError("lists of unequal length")
        return self


class Losses(Aligned):
    """Training loss by step."""

    step: list[Whole]
    loss: list[Real]
    seconds: list[Positive]


class Curve(Aligned):
    """Evaluations by step."""

    step: list[Whole]
    passes: list[dict[PassCount, Result]]


class RecordedRun(Open):
    """A run in a record."""

    name: str
    labels: RecordedLabels
    config: str
    commit: Commit | None
    created_at: Moment | None = None
    machine: dict[str, Any]
    budget: Budget
    task: str
    difficulty: str
    evaluation: Evaluation
    chance: dict[str, Line]
    loss: Losses
    curve: Curve
    final: dict[PassCount, Result]


class Record(Open):
    """The file."""

    model_config = ConfigDict(extra="forbid")

    schema_: str = Field(alias="schema")
    sweep: str = ""
    title: str = ""
    file: str = ""
    sha256: str = ""
    runs: list[RecordedRun]


def read_record(path: Path) -> dict[str, Any]:
    """Read a record; raises UnreadableFile if it is missing, damaged, or of another schema."""
    make = "make one with `workbench sweep FILE --record PATH`"
    try:
        record = read_json(path)
    except MissingFile:
        raise MissingFile(
            f"no record of results at {path}", f"JSON of schema {SCHEMA}", make
        ) from None
    schema = record.get("schema") if isinstance(record, dict) else None
    if schema is None:
        raise UnreadableFile(
            f"{path} is not a record of results: it names no schema", f"schema {SCHEMA}", make
        )
    if schema != SCHEMA:
        raise UnreadableFile(
            f"{path} is of schema {schema!r}", SCHEMA, "make it again with this version"
        )
    check_seal(checked(Record, record, str(path)), what=str(path))
    for run in record["runs"]:
        config = parse_toml(run["config"], what=f"the configuration of {run['name']} in {path}")
        if not isinstance(config.get("task"), dict) or "name" not in config["task"]:
            raise UnreadableFile(
                f"{run['name']} in {path} names no task", "a task", "make it again"
            )
    return record


def recorded(path: Path | None) -> dict[str, dict[str, Any]]:
    """Return the runs in a record by identity; an empty dict before there is a record."""
    if path is None or not path.exists():
        return {}
    return {run["labels"]["identity"]: run for run in read_record(path)["runs"]}


def add_to_record(path: Path, sweep: Sweep, runs: list[Run]) -> int:
    """Add the finished `runs` of a sweep to its record; return how many it now holds.

    Runs recorded before stay as they are; runs of the sweep come in its order. Raises
    WorkbenchError if the record holds a run of this arm, N, axes and seed with another
    configuration.
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
    write_json(path, sealed(record))
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
    provenance = read_ended(run.folder)
    metrics = provenance["metrics"]
    found = curves(read_events(run.folder).entries)
    found["loss"]["loss"] = [round(loss, 5) for loss in found["loss"]["loss"]]
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
        **found,
        "final": scores_of(metrics["passes"]),
    }


def entries_of(
    runs: Iterable[Run], *, events: Mapping[str, Sequence[Mapping[str, Any]]] | None = None
) -> list[dict[str, Any]]:
    """Return what runs know so far, for `workbench.lab.results.dataset`.

    A run that has not begun has no curve, and one that trains no final evaluation. A run outside a
    sweep is an arm under its own name, at an unknown cost. A run with files that cannot be read
    (damaged, or deleted meanwhile) is left out: the list of runs reports it. `events` holds those
    of runs that the caller follows already, by name.
    """
    entries = []
    for run in runs:
        try:
            entries.append(_entry_so_far(run, (events or {}).get(run.name)))
        except WorkbenchError:
            continue
    return entries


def _entry_so_far(run: Run, events: Sequence[Mapping[str, Any]] | None) -> dict[str, Any]:
    text, experiment = read_text(run.folder / CONFIG), configuration(run.folder)
    events = read_events(run.folder).entries if events is None else events
    _, evaluations = by_kind(events)
    final = read_metrics(run.folder).get("passes", {}) if run.state == "finished" else {}
    newest = final or (evaluations[-1]["passes"] if evaluations else {})
    starts = read_origin(run.folder / ORIGIN)
    training, task = experiment.training, make_task(experiment.task)
    alone: dict[str, Any] = {"arm": run.name, "axes": {}, "identity": f"run {run.name}"}
    alone |= {"n_train": trained_passes(experiment), "seed": training.seed}
    cost = run.labels.get("cost")
    return {
        "name": run.name,
        "state": run.state,
        "labels": alone | run.labels,
        "config": text,
        "commit": starts[0].get("commit") if starts else None,
        "budget": {
            "steps": training.steps,
            "flops": cost["training"] * training.batch_size * training.steps if cost else None,
        },
        "task": task.name,
        "difficulty": task.difficulty_name,
        "evaluation": {"count": training.eval_count},
        "chance": next((scores["chance"] for scores in newest.values()), {}),
        **curves(events),
        "final": scores_of(final),
    }


def curves(events: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return losses and evaluations by step, as a record keeps them."""
    steps, evaluations = by_kind(events)
    return {
        "loss": {name: [step[name] for step in steps] for name in ("step", "loss", "seconds")},
        "curve": {
            "step": [one["step"] for one in evaluations],
            "passes": [scores_of(one["passes"]) for one in evaluations],
        },
    }


def scores_of(passes: dict[str, Any]) -> dict[str, Any]:
    """Return what a record keeps: shares, and ``first`` and ``bits`` where they were measured."""
    return {
        n: {"accuracy": e["accuracy"], "exact": e["exact"]}
        | ({"first": e["first"]["accuracy"]} if "first" in e else {})
        | ({"bits": {g: b["bits"] for g, b in e["bits"].items()}} if "bits" in e else {})
        for n, e in passes.items()
    }
