"""The runs of a live experiment: one for each N, small enough to train while you watch.

FLOPs are not counted: that loads torch, for which the kernel of a notebook need not wait.
"""

from __future__ import annotations

import os
from typing import Any

from workbench.config import Experiment, build
from workbench.errors import WorkbenchError
from workbench.lab.arms import with_settings
from workbench.lab.sweeps import PlannedRun, identity
from workbench.tasks import task as make_task

MOST_STEPS = "WORKBENCH_LIVE_STEPS"
"""Environment variable: no live run makes more steps than this. For tests, and hurried readers."""
LOSSES, EVALUATIONS = 100, 30
"""Points on each curve of loss, and of accuracy."""


def ring(nodes: int = 6, max_hops: int = 3) -> Experiment:
    """Return a small Depo experiment: a ring in one window, then questions of 1..`max_hops` hops.

    Two blocks (attention, gated delta rule) of width 64, batches of 32, 88,000 parameters.
    """
    small: dict[str, Any] = {
        "model": {"width": 64, "attention_heads": 4, "gdn_heads": 4, "key_dim": 16}
        | {"value_dim": 16, "mlp_width": 128},
        "sleep": {"window": 2 * nodes},
        "task": {"name": "depo", "nodes": nodes, "names": "single", "max_hops": max_hops}
        | {"queries": nodes, "predict_ans": False},
        "training": {"batch_size": 32, "muon_lr": 0.01, "adamw_lr": 0.01, "warmup": 50}
        | {"decay": "linear", "decay_fraction": 0.3},
    }
    return build(Experiment, small, source="sleep_course.live.ring")


def planned(base: Experiment, passes: int, steps: int, seed: int) -> PlannedRun:
    """Return the run of `base` at one N, evaluated often enough for a curve."""
    training = {
        "steps": steps,
        "seed": seed,
        "log_every": max(steps // LOSSES, 1),
        "eval_every": max(steps // EVALUATIONS, 1),
        "eval_count": 300,
        "eval_passes": (),
        "final_passes": (),
        "checkpoint_every": steps,
    }
    model = {"vocabulary": len(make_task(base.task).vocabulary)}
    chosen = with_settings(base, training=training, model=model, sleep={"passes": passes})
    labels = {
        "sweep": "live",
        "arm": "sleep",
        "n_train": str(passes),
        "passes": passes,
        "axes": {},
        "seed": seed,
        "identity": identity(chosen),
    }
    return PlannedRun(f"live.sleep-n{passes}-seed{seed}", chosen, labels)


def token_passes(experiment: Experiment) -> int:
    """Return the passes over tokens that a sequence takes, to which its time is nearly in step."""
    task, passes = make_task(experiment.task), experiment.sleep.passes
    assert isinstance(passes, int)
    return task.context_tokens * passes + task.query_tokens


def at_most(steps: int) -> int:
    """Return `steps`, or what ``$WORKBENCH_LIVE_STEPS`` allows, if that is less.

    Raises `WorkbenchError` if the variable does not hold a number of steps.
    """
    most = os.environ.get(MOST_STEPS)
    if most is None:
        return steps
    if not most.isdigit() or not int(most):
        raise WorkbenchError(f"${MOST_STEPS} = {most!r}", "a number of steps", "unset it")
    return min(steps, int(most))
