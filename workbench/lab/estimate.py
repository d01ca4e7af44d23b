"""How long runs will take, from the seconds per FLOP of runs that were trained on this machine.

Products are a small part of a small model's time, so a run's speed comes from the finished runs
whose steps cost most alike; without such runs there is no estimate.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass

from workbench.errors import WorkbenchError
from workbench.lab.processes import here
from workbench.lab.runs import Run, configuration
from workbench.lab.sweeps import PlannedRun

NEAREST = 5
"""Finished runs that a planned one is compared with."""
ALIKE = 4.0
"""How many times more or less the step of such a run may cost."""


@dataclass(frozen=True)
class Speed:
    """FLOPs of one step of a finished run, and its seconds per FLOP."""

    step_flops: float
    seconds_per_flop: float


@dataclass(frozen=True)
class Estimate:
    """Seconds of training with all cores busy, seconds of the longest run alone, and the source.

    More cores do not shorten the longest run.
    """

    seconds: float
    longest: float
    source: str


def speeds(runs: Iterable[Run]) -> list[Speed]:
    """Return the speed of every finished run of this machine whose cost is known."""
    found = []
    for run in runs:
        if run.state != "finished" or run.seconds <= 0 or not here(run.status):
            continue
        try:
            batch = configuration(run.folder).training.batch_size
        except WorkbenchError:
            continue
        cost = run.labels.get("cost")
        step = cost["training"] * batch if cost else 0.0
        if step > 0 and run.steps > 0:
            found.append(Speed(step, run.seconds / (step * run.steps)))
    return found


def estimate(plans: list[PlannedRun], known: list[Speed], cores: int) -> Estimate | None:
    """Return how long `plans` take on `cores` threads; None without comparable runs."""
    if not plans:
        return None
    used: set[Speed] = set()
    each = []
    work = 0.0
    for plan in plans:
        training = plan.experiment.training
        step = plan.flops / training.steps
        near = sorted(known, key=lambda speed: _apart(speed, step))[:NEAREST]
        near = [speed for speed in near if _apart(speed, step) <= math.log(ALIKE)]
        if not near:
            return None
        used.update(near)
        seconds = plan.flops * statistics.median(speed.seconds_per_flop for speed in near)
        each.append(seconds)
        work += seconds * min(training.threads, cores)
    count = len(used)
    source = f"the speed of {count} finished run{'' if count == 1 else 's'} on this machine"
    return Estimate(max(work / cores, max(each)), max(each), source)


def _apart(speed: Speed, step_flops: float) -> float:
    return abs(math.log(speed.step_flops / step_flops))
