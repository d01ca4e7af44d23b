"""Collect the rungs from Variables in symbols to a short story: ``data/results/tasks/ladder.json``.

    python data/ladder.py RUN [RUN ...]      folders of finished runs, in the order of the rungs

Each is kept with what it started from, its budget, and its accuracy by depth, for all questions and
for the one asked before the context. Where a problem has several parts with parents first, the same
model is also measured on sentences in any order.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from workbench.files import write_json
from workbench.tasks import task as make_task
from workbench.training.checkpoints import Checkpoint, load_checkpoint
from workbench.training.evaluation import evaluate

OUT = Path(__file__).resolve().parent / "results" / "tasks" / "ladder.json"


def rung(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return what is kept of a run."""
    record, experiment = checkpoint.provenance, checkpoint.experiment
    metrics, settings = record["metrics"], experiment.task.model_dump()
    found = {
        "name": record["name"],
        "started_from": record.get("started_from", {}).get("name"),
        "commit": record["commit"],
        "weights_sha256": record["hashes"]["model.safetensors"],
        "task": settings,
        "n_train": experiment.sleep.model_dump()["passes"],
        "budget": record["budget"],
        "count": metrics["count"],
        "chance": next(iter(metrics["passes"].values()))["chance"],
        "passes": scores(metrics["passes"]),
    }
    if settings.get("parts", 1) > 1 and settings["order"] == "parents_first":
        shuffled = make_task("variables", **settings | {"order": "shuffled"})
        tested = tuple(n for n in (1, found["n_train"]) if isinstance(n, int))
        asked = {"count": metrics["count"], "seed": metrics["seed"], "latency": False}
        model, sleep = checkpoint.model, checkpoint.sleep
        found["shuffled"] = scores(evaluate(model, shuffled, sleep, passes=tested, **asked))
    return found


def scores(passes: dict[str, Any]) -> dict[str, Any]:
    """Return accuracy by depth with its interval, of all questions and of the first of each."""
    return {
        n: {
            "accuracy": entry["accuracy"],
            "interval": entry["interval"]["accuracy"],
            "first": {name: entry["first"][name] for name in ("accuracy", "interval")},
        }
        for n, entry in passes.items()
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    runs = parser.parse_args().runs
    write_json(OUT, {"rungs": [rung(load_checkpoint(run)) for run in runs]})
