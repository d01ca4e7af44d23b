"""Runs that may still train, as entries of the same form as a record's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from workbench.config import Experiment, RandomPasses
from workbench.errors import WorkbenchError
from workbench.files import read_text
from workbench.lab.record import scores_of
from workbench.lab.runs import Run, configuration, read_events
from workbench.tasks import task as make_task
from workbench.training.run_files import ORIGIN, read_metrics, read_origin
from workbench.training.run_folder import CONFIG


def entries_of(
    runs: Iterable[Run], *, told: Mapping[str, Sequence[Mapping[str, Any]]] | None = None
) -> list[dict[str, Any]]:
    """Return what runs know so far, for `workbench.lab.results.dataset`.

    A run that has not begun has no curve, and one that trains no final evaluation. A run outside a
    sweep is an arm under its own name, at an unknown cost. A run with files that cannot be read
    (damaged, or deleted meanwhile) is left out: the list of runs reports it. `told` holds events by
    name of run, where a caller follows them already.
    """
    entries = []
    for run in runs:
        try:
            entries.append(_entry(run, (told or {}).get(run.name)))
        except WorkbenchError:
            continue
    return entries


def _entry(run: Run, events: Sequence[Mapping[str, Any]] | None) -> dict[str, Any]:
    text, experiment = read_text(run.folder / CONFIG), configuration(run.folder)
    if events is None:
        events = read_events(run.folder).entries
    steps = [e for e in events if e["kind"] == "step"]
    evaluations = [e for e in events if e["kind"] == "evaluation"]
    metrics = read_metrics(run.folder) if run.state == "finished" else {}
    final = metrics.get("passes", {})
    newest = final or (evaluations[-1]["passes"] if evaluations else {})
    training, task = experiment.training, make_task(experiment.task)
    labels = _own_labels(run, experiment) | run.labels
    cost = labels.get("cost")
    return {
        "name": run.name,
        "state": run.state,
        "labels": labels,
        "config": text,
        "commit": _commit(run.folder / ORIGIN),
        "budget": {
            "steps": training.steps,
            "flops": cost["training"] * training.batch_size * training.steps if cost else None,
        },
        "task": task.name,
        "difficulty": task.difficulty_name,
        "evaluation": {"count": training.eval_count},
        "chance": next((scores["chance"] for scores in newest.values()), {}),
        "loss": {name: [e[name] for e in steps] for name in ("step", "loss", "seconds")},
        "curve": {
            "step": [e["step"] for e in evaluations],
            "passes": [scores_of(e["passes"]) for e in evaluations],
        },
        "final": scores_of(final),
    }


def _own_labels(run: Run, experiment: Experiment) -> dict[str, Any]:
    passes = experiment.sleep.passes
    if isinstance(passes, RandomPasses):
        trained = f"{passes.low}-{passes.high}"
    else:
        trained = str(passes) if isinstance(passes, int) else passes.kind
    return {
        "arm": run.name,
        "n_train": trained,
        "axes": {},
        "seed": experiment.training.seed,
        "identity": f"run {run.name}",
    }


def _commit(path: Path) -> dict[str, Any] | None:
    """Return the commit at which a run began, None before it did."""
    starts = read_origin(path)
    return starts[0].get("commit") if starts else None
