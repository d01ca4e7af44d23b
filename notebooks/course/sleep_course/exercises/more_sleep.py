"""Checks of the exercises in notebook 9, *Does more sleep help?*."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from scipy import stats

from sleep_course.exercises.check import Words, close, exercise, lesson

SEEDS = np.array([0.91, 0.62, 0.97, 0.45, 0.80])
"""Accuracies of five seeds."""
WORDS = lesson("more_sleep")


@exercise(WORDS["seed_interval"])
def check_seed_interval(say: Words, seed_interval: Any) -> None:
    """Exercise 1: ``seed_interval(accuracy)`` is mean, low and high of the 95 % t interval."""
    mean, low, high = say.array(seed_interval, SEEDS, shape=(3,))
    right, count = SEEDS.mean(), len(SEEDS)
    say.when(close(low, right) or close(high, right), "order")
    say.when(not close(mean, right), "other mean", mean=f"{mean:.4g}", right=f"{right:.4g}")
    say.when(low > high, "upside down")
    say.when(close((high - low) / 2, 0), "no width")
    spread, flat, root = SEEDS.std(ddof=1), SEEDS.std(), np.sqrt(count)
    error, t = spread / root, float(stats.t.ppf(0.975, count - 1))

    def is_half(wrong: float) -> bool:
        return close(high - mean, wrong, 1e-3) and close(mean - low, wrong, 1e-3)

    if not is_half(t * error):
        halves = {
            "normal": stats.norm.ppf(0.975) * error,
            "ddof": t * flat / root,
            "normal ddof": 1.96 * flat / root,
            "one more seed": t * spread,
            "spread": 1.96 * spread,
            "by n": t * spread / count,
            "one error": error,
            "degrees": stats.t.ppf(0.975, count) * error,
            "quantile": stats.t.ppf(0.95, count - 1) * error,
        }
        for name, wrong in halves.items():
            say.when(is_half(float(wrong)), name)
        say.when(close([low, high], [SEEDS.min(), SEEDS.max()]), "extremes")
        say.when(_is_bootstrap(low, high), "bootstrap")
        ends = {"low": f"{low - mean:+.4f}", "high": f"{high - mean:+.4f}"}
        raise say("otherwise", half=f"{t * error:.4f}", **ends)
    say.elsewhere(
        seed_interval,
        _t_interval,
        {
            "with three seeds": (SEEDS[:3],),
            "with ten seeds": (np.random.default_rng(9).random(10),),
            "with other seeds": (1 - SEEDS**2,),
            "with seeds that do not differ": (np.full(4, 0.75),),
        },
    )


@exercise(WORDS["cost"])
def check_cost(say: Words, cost: Any) -> None:
    """Exercise 2: ``cost(n, asleep, awake, looped)`` is C(N)."""

    def given(*arguments: float) -> float:
        return say.number(cost, *arguments)

    found = given(4, 16, 32, 1.0)
    say.when(close(found, 4.0), "n")
    say.when(close(found, 96.0), "passes")
    say.when(not close(given(1, 16, 32, 1.0), 1.0), "n = 1")
    say.when(not close(found, 2.0), "n = 4")
    say.when(close(given(4, 300, 60, 0.5), given(4, 300, 60, 1.0)), "no looped")
    say.when(not close(given(4, 300, 60, 0.5), (300 * 2.5 + 60) / 360), "half")
    say.when(not close(given(4, 16, 32), 2.0), "default")
    say.elsewhere(
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


@exercise(WORDS["solved"])
def check_solved(say: Words, solved: Any) -> None:
    """Exercise 3: ``solved(accuracy, threshold)`` is how many hops in a row are solved from 1."""
    for accuracy, threshold, right, name in (
        ((0.99, 0.97, 0.5, 0.3), 0.9, 2, "two"),
        ((0.5, 0.3, 0.2), 0.9, 0, "none"),
        ((0.99, 0.98, 0.97), 0.9, 3, "all"),
        ((0.99, 0.4, 0.95), 0.9, 1, "gap"),
        ((0.9, 0.89), 0.9, 1, "at the threshold"),
        ((0.9, 0.89), 0.8, 2, "hard-coded"),
        ((1.0, 1.0, 0.2, 1.0, 1.0), 0.9, 2, "otherwise"),
        ((0.6, 0.55, 0.5, 0.45), 0.5, 3, "otherwise"),
        ((0.97,), 0.95, 1, "otherwise"),
        ((0.94, 1.0), 0.95, 0, "otherwise"),
    ):
        if say.number(solved, np.array(accuracy), threshold) != right:
            raise say(name, accuracy=accuracy, threshold=threshold, right=right)


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
