"""Runs that may still train, as entries of the same form as a record's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from workbench.errors import WorkbenchError
from workbench.files import read_text
from workbench.lab.arms import trained_passes
from workbench.lab.record import curves, scores_of
from workbench.lab.runs import Run, by_kind, configuration, read_events
from workbench.tasks import task as make_task
from workbench.training.run_files import ORIGIN, read_metrics, read_origin
from workbench.training.run_folder import CONFIG


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
            entries.append(_entry(run, (events or {}).get(run.name)))
        except WorkbenchError:
            continue
    return entries


def _entry(run: Run, events: Sequence[Mapping[str, Any]] | None) -> dict[str, Any]:
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
