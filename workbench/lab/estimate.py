"""How long runs will take, and how small a difference their seeds can show.

Time follows from the seconds per FLOP of runs that were trained: on this machine if any were, else
of the recorded sweeps. Products are a small part of a small model's time, so a run's speed comes
from the runs whose steps cost most alike; without such runs there is no estimate.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

from workbench.errors import WorkbenchError
from workbench.lab.processes import here
from workbench.lab.record import read_record
from workbench.lab.runs import Run, configuration
from workbench.lab.sweeps import PlannedRun
from workbench.paths import data_folder

NEAREST = 5
"""Runs that a planned one is compared with."""
ALIKE = 4.0
"""How many times more or less the step of such a run may cost."""
SPREAD = 0.083
"""Standard deviation over seeds of a share of right answers: the median of the recorded sweeps,
where the mean lies between .1 and .9."""


class Work(NamedTuple):
    """What a run has to do: FLOPs in all, steps, and CPU threads."""

    flops: float
    steps: int
    threads: int


@dataclass(frozen=True)
class Speed:
    """FLOPs of one step of a run that was trained, and its seconds per FLOP."""

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


def work_of(plans: Iterable[PlannedRun]) -> list[Work]:
    """Return what planned runs have to do."""
    each = [(plan.flops, plan.experiment.training) for plan in plans]
    return [Work(flops, training.steps, training.threads) for flops, training in each]


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


def recorded_speeds() -> list[Speed]:
    """Return the speed of every bundled recorded run, trained on other machines."""
    return _recorded(data_folder() / "results" / "sweeps")


@cache
def _recorded(folder: Path) -> list[Speed]:
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            runs = read_record(path)["runs"]
        except WorkbenchError:
            continue
        for run in runs:
            steps, flops, seconds = (
                run["budget"]["steps"], run["budget"].get("flops"), run["loss"]["seconds"],
            )  # fmt: skip
            if flops and seconds and seconds[-1] > 0:
                found.append(Speed(flops / steps, seconds[-1] / flops))
    return found


def estimate(work: Sequence[Work], known: list[Speed], cores: int) -> Estimate | None:
    """Return how long `work` takes on `cores` threads; None without comparable runs.

    `known` are speeds of this machine; without comparable ones the recorded ones count.
    """
    if not work:
        return None
    here_, elsewhere = "finished run{} on this machine", "recorded run{} on another machine"
    return _estimate(work, known, cores, here_) or _estimate(
        work, recorded_speeds(), cores, elsewhere
    )


def _estimate(work: Sequence[Work], known: list[Speed], cores: int, source: str) -> Estimate | None:
    used: set[Speed] = set()
    each = []
    total = 0.0
    for one in work:
        step = one.flops / one.steps
        near = sorted(known, key=lambda speed: _apart(speed, step))[:NEAREST]
        near = [speed for speed in near if _apart(speed, step) <= math.log(ALIKE)]
        if not near:
            return None
        used.update(near)
        seconds = one.flops * statistics.median(speed.seconds_per_flop for speed in near)
        each.append(seconds)
        total += seconds * min(one.threads, cores)
    said = f"the speed of {len(used)} {source.format('' if len(used) == 1 else 's')}"
    return Estimate(max(total / cores, max(each)), max(each), said)


def _apart(speed: Speed, step_flops: float) -> float:
    return abs(math.log(speed.step_flops / step_flops))


def smallest_difference(seeds: int) -> float:
    """Return the smallest difference of two arms that Welch's 95 % interval tells from 0.

    Both have so many seeds, and spread by `SPREAD`; NaN with fewer than two seeds.
    """
    from scipy.special import stdtrit

    if seeds < 2:
        return math.nan
    return float(stdtrit(2 * seeds - 2, 0.975)) * SPREAD * math.sqrt(2 / seeds)
