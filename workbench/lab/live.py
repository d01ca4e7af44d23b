"""Runs that may still train, as entries of the same form as a record's."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from workbench.config import Experiment, RandomPasses, load_experiment
from workbench.errors import WorkbenchError
from workbench.lab.record import scores_of
from workbench.lab.runs import PROVENANCE, Run, read_events
from workbench.tasks import task as make_task
from workbench.training.run_folder import CONFIG, ORIGIN


def entries_of(
    runs: Iterable[Run], *, told: Mapping[str, Sequence[Mapping[str, Any]]] | None = None
) -> list[dict[str, Any]]:
    """Return what runs know so far, for `workbench.lab.results.dataset`.

    A run that has not begun has no curve, and one that trains no final evaluation. A run of its
    own, outside a sweep, is an arm of its own under its name, at a cost that is not known. A run
    whose configuration cannot be read (damaged, or deleted meanwhile) is left out: the list of
    runs says so.

    Parameters
    ----------
    runs : iterable of Run
        As `workbench.lab.runs.list_runs` returns.
    told : mapping or None
        Events by name of run, where they have been read already and are followed.
    """
    entries = []
    for run in runs:
        try:
            text = (run.folder / CONFIG).read_text(encoding="utf-8")
            experiment = load_experiment(run.folder / CONFIG)
        except (OSError, ValueError, WorkbenchError):
            continue
        events = (told or {}).get(run.name)
        if events is None:
            events = read_events(run.folder).entries
        entries.append(_entry(run, text, experiment, events))
    return entries


def _entry(
    run: Run, text: str, experiment: Experiment, events: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    steps = [e for e in events if e.get("kind") == "step"]
    evaluations = [e for e in events if e.get("kind") == "evaluation"]
    metrics = _read(run.folder / PROVENANCE).get("metrics", {}) if run.state == "finished" else {}
    final = metrics.get("passes", {})
    newest = final or (evaluations[-1]["passes"] if evaluations else {})
    training, task = experiment.training, make_task(experiment.task)
    labels = run.labels or _own_labels(run, experiment)
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
    starts = _read(path)
    return starts[0].get("commit") if starts else None


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
