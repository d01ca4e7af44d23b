"""Checks of the exercises in notebook 9, *Does more sleep help?*, and what it says of records.

Each check takes the learner's function and returns a `Verdict`.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from workbench import dims
from workbench.lab import results
from workbench.lab.record import read_record
from workbench.notebook.check import NotYet, call_for_array, close, exercise
from workbench.paths import data_folder

FIRST = np.array([0.91, 0.62, 0.97, 0.45, 0.80])
SECOND = FIRST - np.array([0.10, 0.14, 0.08, 0.12, 0.06])
"""Two arms whose seeds differ much from each other, and their difference little."""


def records() -> dict[str, Path]:
    """Return the bundled records of sweeps by name."""
    return {path.stem: path for path in sorted((data_folder() / "results/sweeps").glob("*.json"))}


def recorded(name: str) -> tuple[dict[str, Any], xr.Dataset]:
    """Return a bundled record, and its runs as `workbench.lab.results.dataset`."""
    record = read_record(data_folder() / "results" / "sweeps" / f"{name}.json")
    return record, results.dataset(record)


def seeds_of(dataset: xr.Dataset, passes: int, hops: int) -> np.ndarray:
    """Return the final accuracy of `sleep` trained and tested at N = `passes`, ``[seed]``."""
    where = {dims.ARM: "sleep", dims.N_TRAIN: str(passes), dims.N_TEST: passes}
    return results.final(dataset)["accuracy"].sel(where | {dims.DIFFICULTY: hops}).values


def counted_cost(dataset: xr.Dataset, passes: int) -> float:
    """Return the FLOPs of a training step of `sleep` at N, counted from the model, over N = 1's."""
    steps = dataset["step_flops"].sel({dims.ARM: "sleep"})
    one, many = (float(steps.sel({dims.N_TRAIN: str(n)})) for n in (1, passes))
    return many / one


@exercise
def check_paired_difference(paired_difference: Any) -> str:
    """Exercise 1: ``paired_difference(a, b)`` is mean, low and high of a - b over seeds."""
    hint = "Give back three numbers: the mean, and the 2.5 % and 97.5 % quantiles of the means."

    def given(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return call_for_array(paired_difference, a, b, shape=(3,), hint=hint)

    mean, low, high = given(FIRST, SECOND)
    if close(mean, (SECOND - FIRST).mean()):
        raise NotYet("the sign is the wrong way round: a minus b.")
    if not close(mean, (FIRST - SECOND).mean()):
        raise NotYet(f"the first number is {mean:.4g}; the mean of a - b is 0.1.")
    if low > high:
        raise NotYet("the interval is upside down: the 2.5 % quantile comes before the 97.5 % one.")
    if low == high:
        raise NotYet("the interval has no width: draw the seeds anew, with replacement.")
    pairs = FIRST - SECOND
    apart = _resampled(FIRST, 0.025) - _resampled(SECOND, 0.975)
    if low < (mean + apart) / 2 + 0.02:
        raise NotYet(
            "the interval is far too wide: a and b were drawn anew independently. Take the "
            "differences first, seed by seed, and resample those."
        )
    if low <= pairs.min() + 1e-9 and high >= pairs.max() - 1e-9:
        raise NotYet(
            "these are the smallest and largest difference of a seed. The interval is that of the "
            "mean: draw five seeds with replacement, take their mean, repeat."
        )
    for end, share in ((low, 0.025), (high, 0.975)):
        least, most = _resampled(pairs, share - 0.012), _resampled(pairs, share + 0.012)
        if not least - 1e-3 <= end <= most + 1e-3:
            raise NotYet(
                f"an end of the interval is {end:.4f}; of all ways to draw five seeds the "
                f"{100 * share:g} % quantile of the mean is {_resampled(pairs, share):.4f}. " + hint
            )
    if not np.array_equal(given(FIRST, FIRST), np.zeros(3)):
        raise NotYet("an arm differs from itself by nothing: mean, low and high are then 0.")
    return "the seeds' common luck cancels, and what is left is the difference and its doubt."


@exercise
def check_cost(cost: Any) -> str:
    """Exercise 2: ``cost(n, asleep, awake, looped)`` is C(N)."""
    hint = "[asleep ((1 - looped) + looped n) + awake] / (asleep + awake)."

    def given(*arguments: float) -> float:
        return float(call_for_array(cost, *arguments, shape=(), hint=hint))

    if close(given(4, 16, 32, 1.0), 4.0):
        raise NotYet("that is n itself: tokens that are read awake are read once, whatever N is.")
    if close(given(4, 16, 32, 1.0), 96.0):
        raise NotYet("those are passes over tokens; divide by all tokens, asleep and awake.")
    if not close(given(1, 16, 32, 1.0), 1.0):
        raise NotYet("with n = 1 a step costs what it costs: 1. Yours differs. " + hint)
    if not close(given(4, 16, 32, 1.0), 2.0):
        raise NotYet("with n = 4, 16 tokens asleep and 32 awake, a step costs twice as much.")
    if close(given(4, 300, 60, 0.5), given(4, 300, 60, 1.0)):
        raise NotYet("right if all blocks are looped; `looped` is not used yet. " + hint)
    if not close(given(4, 300, 60, 0.5), (300 * 2.5 + 60) / 360):
        raise NotYet("right if all blocks are looped, wrong if half of them are. " + hint)
    return "equal steps are not equal compute, and by how much depends on what is read asleep."


@exercise
def check_solved(solved: Any) -> str:
    """Exercise 3: ``solved(accuracy, threshold)`` is how many hops in a row are solved from 1."""
    hint = "Give back a whole number: 0 if not even one hop is solved."

    def given(*accuracy: float, threshold: float = 0.9) -> float:
        return float(call_for_array(solved, np.array(accuracy), threshold, shape=(), hint=hint))

    if given(0.99, 0.97, 0.5, 0.3) != 2:
        raise NotYet("1 hop at 0.99, 2 at 0.97, 3 at 0.50, 4 at 0.30: two are solved. " + hint)
    if given(0.5, 0.3, 0.2) != 0:
        raise NotYet("where 1 hop is not solved, the answer is 0. " + hint)
    if given(0.99, 0.98, 0.97) != 3:
        raise NotYet("where all of them are solved, the answer is the last.")
    if given(0.99, 0.4, 0.95) != 1:
        raise NotYet(
            "1 hop at 0.99, 2 at 0.40, 3 at 0.95: only the first counts. On a ring of 4 nodes 3 "
            "hops forward are 1 hop back, so a later one can be solved without those before it."
        )
    if given(0.9, 0.89) != 1:
        raise NotYet("exactly at the threshold counts as solved: >=.")
    if given(0.9, 0.89, threshold=0.8) != 2:
        raise NotYet("the threshold is given; yours is written down.")
    return "a staircase read from its first step, and one number for each model."


def _resampled(values: np.ndarray, share: float) -> float:
    """Return a quantile of the mean over every way to draw the values with replacement."""
    means = np.sort([values[list(drawn)].mean() for drawn in product(range(5), repeat=5)])
    return float(means[min(int(share * len(means)), len(means) - 1)])
