"""Checks of the exercises in notebook 9, *Does more sleep help?*."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from scipy import stats

from sleep_course.exercises.check import NotYet, call_for_array, close, exercise, right_elsewhere

SEEDS = np.array([0.91, 0.62, 0.97, 0.45, 0.80])
"""Accuracies of five seeds."""


@exercise
def check_seed_interval(seed_interval: Any) -> str:
    """Exercise 1: ``seed_interval(accuracy)`` is mean, low and high of the 95 % t interval."""
    hint = "Return three numbers: the mean, and the low and the high end of its interval."
    mean, low, high = call_for_array(seed_interval, SEEDS, shape=(3,), hint=hint)
    right, count = SEEDS.mean(), len(SEEDS)
    if close(low, right) or close(high, right):
        raise NotYet("the mean comes first, then the low end and the high end.")
    if not close(mean, right):
        raise NotYet(f"the first number is {mean:.4g}; the mean of the seeds is {right:.4g}.")
    if low > high:
        raise NotYet("the interval is upside down: low before high.")
    half = (high - low) / 2
    if close(half, 0):
        raise NotYet("the interval has no width.")
    spread, error = SEEDS.std(ddof=1), SEEDS.std(ddof=1) / np.sqrt(count)
    t = float(stats.t.ppf(0.975, count - 1))

    def is_half(wrong: float) -> bool:
        return close(high - mean, wrong, 1e-3) and close(mean - low, wrong, 1e-3)

    if is_half(t * error):
        generator = np.random.default_rng(9)
        right_elsewhere(
            seed_interval,
            _t_interval,
            {
                "with three seeds": (SEEDS[:3],),
                "with ten seeds": (generator.random(10),),
                "with other seeds": (1 - SEEDS**2,),
                "with seeds that do not differ": (np.full(4, 0.75),),
            },
        )
        return "wide, because five seeds say little about their own spread; and it holds 95 %."
    if is_half(float(stats.norm.ppf(0.975)) * error):
        raise NotYet(
            "1.96 standard errors are right for many seeds. Five say little about their own "
            "spread: take Student's t with n - 1 degrees of freedom, 2.78 here."
        )
    for wrong, words in (
        (t * SEEDS.std() / np.sqrt(count), "np.std divides by n unless you pass ddof=1."),
        (1.96 * SEEDS.std() / np.sqrt(count), "np.std divides by n unless you pass ddof=1; 1.96 "
         "is for many seeds."),
        (t * spread, "that is where one more seed may lie; for the mean, divide by sqrt(n)."),
        (1.96 * spread, "that is the spread of seeds; for the mean, divide by sqrt(n)."),
        (t * spread / count, "divide by the square root of n, not by n."),
        (error, "that is one standard error each way; take t of them."),
        (stats.t.ppf(0.975, count) * error, "n seeds have n - 1 degrees of freedom."),
        (stats.t.ppf(0.95, count - 1) * error, "95 % between the ends leaves 2.5 % on each side: "
         "the quantile at 0.975."),
    ):  # fmt: skip
        if is_half(float(wrong)):
            raise NotYet(words)
    if close([low, high], [SEEDS.min(), SEEDS.max()]):
        raise NotYet(
            "these are the smallest and the largest seed. The interval is that of the mean."
        )
    if _is_bootstrap(low, high):
        raise NotYet(
            "that looks like a bootstrap: with five seeds its interval is too narrow. Use the "
            "standard error and Student's t."
        )
    raise NotYet(
        f"the interval should reach {t * error:.4f} to each side of the mean, t standard errors; "
        f"yours reaches from {low - mean:+.4f} to {high - mean:+.4f}."
    )


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
        raise NotYet("with n = 1 the cost is 1. Yours differs. " + hint)
    if not close(given(4, 16, 32, 1.0), 2.0):
        raise NotYet("with n = 4, 16 tokens asleep and 32 awake, a step costs twice as much.")
    if close(given(4, 300, 60, 0.5), given(4, 300, 60, 1.0)):
        raise NotYet("right if all blocks are looped; `looped` is not used yet. " + hint)
    if not close(given(4, 300, 60, 0.5), (300 * 2.5 + 60) / 360):
        raise NotYet("right if all blocks are looped, wrong if half of them are. " + hint)
    if not close(given(4, 16, 32), 2.0):
        raise NotYet("cost(n, asleep, awake) without `looped` should loop all blocks: looped=1.0.")
    right_elsewhere(
        cost,
        lambda n, asleep, awake, looped: (
            (asleep * (1 + looped * (n - 1)) + awake) / (asleep + awake)
        ),
        {
            "with another N": (3, 300, 60, 0.5),
            "with more tokens awake": (4, 10, 500, 0.25),
            "with no token awake": (6, 40, 0, 1.0),
        },
    )
    return "equal steps are not equal compute, and by how much depends on what is read asleep."


@exercise
def check_solved(solved: Any) -> str:
    """Exercise 3: ``solved(accuracy, threshold)`` is how many hops in a row are solved from 1."""
    hint = "Return a whole number: 0 if not even one hop is solved."

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
        raise NotYet("the threshold is an argument; yours is hard-coded.")
    for accuracy, threshold, right in (
        ((1.0, 1.0, 0.2, 1.0, 1.0), 0.9, 2),
        ((0.6, 0.55, 0.5, 0.45), 0.5, 3),
        ((0.97,), 0.95, 1),
        ((0.94, 1.0), 0.95, 0),
    ):
        if given(*accuracy, threshold=threshold) != right:
            raise NotYet(f"{accuracy} with threshold {threshold}: {right} in a row are solved.")
    return "a staircase read from its first step, and one number for each model."


def _t_interval(accuracy: np.ndarray) -> tuple[float, float, float]:
    accuracy = np.asarray(accuracy)
    half = stats.t.ppf(0.975, len(accuracy) - 1) * stats.sem(accuracy)
    return accuracy.mean(), accuracy.mean() - half, accuracy.mean() + half


def _is_bootstrap(low: float, high: float) -> bool:
    """Whether both ends are near those of a percentile bootstrap of `SEEDS`."""
    means = np.sort([SEEDS[list(drawn)].mean() for drawn in product(range(5), repeat=5)])
    return all(
        means[int((share - 0.012) * len(means))] - 1e-3
        <= end
        <= means[int((share + 0.012) * len(means))] + 1e-3
        for end, share in ((low, 0.025), (high, 0.975))
    )
