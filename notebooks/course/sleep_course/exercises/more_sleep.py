"""Checks of the exercises in notebook 9, *Does more sleep help?*, and what it says of records.

Each check takes the learner's function and returns a `Verdict`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from scipy import stats

from sleep_course.exercises.check import NotYet, call_for_array, close, exercise, right_elsewhere
from workbench import dims
from workbench.files import read_json
from workbench.lab import results
from workbench.lab.record import read_record
from workbench.paths import data_folder
from workbench.tasks.depo import EARLIER
from workbench.training.statistics import ALPHA

SEEDS = np.array([0.91, 0.62, 0.97, 0.45, 0.80])
"""Accuracies of five seeds."""
FIRST_QUESTION, ALL_QUESTIONS = "first question", "all questions"


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
def check_seed_interval(seed_interval: Any) -> str:
    """Exercise 1: ``seed_interval(accuracy)`` is mean, low and high of the 95 % t interval."""
    hint = "Give back three numbers: the mean, and the low and the high end of its interval."
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
        (t * SEEDS.std() / np.sqrt(count), "np.std divides by n unless told ddof=1."),
        (1.96 * SEEDS.std() / np.sqrt(count), "np.std divides by n unless told ddof=1, and 1.96 "
         "is for many seeds."),
        (t * spread, "that is where one more seed may lie; the mean is surer: divide by sqrt(n)."),
        (1.96 * spread, "that is the spread of seeds; the mean is surer: divide by sqrt(n)."),
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
        raise NotYet("with n = 1 a step costs what it costs: 1. Yours differs. " + hint)
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
    for accuracy, threshold, right in (
        ((1.0, 1.0, 0.2, 1.0, 1.0), 0.9, 2),
        ((0.6, 0.55, 0.5, 0.45), 0.5, 3),
        ((0.97,), 0.95, 1),
        ((0.94, 1.0), 0.95, 0),
    ):
        if given(*accuracy, threshold=threshold) != right:
            raise NotYet(f"{accuracy} with threshold {threshold}: {right} in a row are solved.")
    return "a staircase read from its first step, and one number for each model."


def normal_interval(accuracy: np.ndarray) -> tuple[float, float, float]:
    """Return mean, low and high: 1.96 standard errors each way, too narrow for a few seeds."""
    half = 1.96 * np.std(accuracy, ddof=1) / np.sqrt(len(accuracy))
    mean = float(np.mean(accuracy))
    return mean, mean - half, mean + half


def bootstrap_interval(accuracy: np.ndarray) -> tuple[float, float, float]:
    """Return mean, low and high by the percentile bootstrap, too narrow for a few seeds."""
    drawn = np.random.default_rng(0).choice(accuracy, (1000, len(accuracy))).mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(np.mean(accuracy)), float(low), float(high)


def coverage(
    interval: Callable[[np.ndarray], Sequence[float]],
    *,
    seeds: int,
    failing: float = 0.0,
    samples: int = 1000,
) -> float:
    """Return how often an interval of the mean has the true mean in it.

    Parameters
    ----------
    interval : callable
        ``interval(accuracy)`` gives mean, low and high of ``accuracy [seed]``.
    seeds : int
        Values in each sample.
    failing : float
        0 draws from a normal distribution; above it, a seed fails with this chance and has 0.3
        in place of about 1.0.
    samples : int
        How many samples are drawn, with a fixed seed.
    """
    generator = np.random.default_rng(0)
    held = 0
    for _ in range(samples):
        values = generator.standard_normal(seeds)
        mean = 0.0
        if failing:
            values = np.where(generator.random(seeds) < failing, 0.3, 1.0) + 1e-3 * values
            mean = 1.0 - 0.7 * failing
        _, low, high = interval(values)
        held += bool(low <= mean <= high)
    return held / samples


def differences(compared: Iterable[Any]) -> str:
    """Return differences between arms in words, two lines each.

    Parameters
    ----------
    compared : iterable of workbench.views.results.differences.Compared
        Of one question: ``family(data).differences["parts"]``.

    Returns
    -------
    str
        Mean and Welch's 95 % interval at 1, 2, ... hops; a star where the difference stands at
        0.05 after Holm's correction over all comparisons of the record.
    """
    lines = []
    for one in compared:
        cells = []
        for hops in one.table[dims.DIFFICULTY].values:
            at = {name: float(v) for name, v in one.table.sel({dims.DIFFICULTY: hops}).items()}
            star = "*" if at["p_welch_holm"] < ALPHA else " "
            cells.append(f"{at['mean']:+.2f} [{at['low']:+.2f}, {at['high']:+.2f}]{star}")
        lines.append(f"{one.words}\n    " + "  ".join(cells))
    return "\n".join(lines)


def relative_flops(data: xr.Dataset, arm: str, *, n_train: str = "4") -> float:
    """Return the training FLOPs of an arm, over those of `sleep` at the same N."""
    spent = data["training_flops"].sel({dims.N_TRAIN: n_train})
    return float(spent.sel({dims.ARM: arm}).max() / spent.sel({dims.ARM: "sleep"}).max())


def first_and_all(passes: Sequence[int]) -> dict[str, dict[str, np.ndarray]]:
    """Return how often models are right on the first question of an example, and on all.

    From the records of the bundled models ``depo-n8-n1`` and so on: 1,000 examples, each model at
    the N it was trained with.

    Parameters
    ----------
    passes : sequence of int
        N of each model.

    Returns
    -------
    dict of str to dict of str to ndarray
        By model, and before them for the best guesser that reads earlier answers and no edge:
        "first question" and "all questions", over difficulty.
    """
    found: dict[str, dict[str, np.ndarray]] = {}
    for n in passes:
        record = read_json(data_folder() / "results" / f"depo-n8-n{n}.json")
        line = record["chance"][EARLIER]
        found[EARLIER] = {
            FIRST_QUESTION: np.array(list(line["first"].values())),
            ALL_QUESTIONS: np.array(list(line["accuracy"].values())),
        }
        tested = [one["passes"][str(n)] for one in record["seeds"].values()]
        (scores,) = (one for one in tested if "first" in one)  # the seed whose weights are bundled
        found[f"depo-n8-n{n}"] = {
            FIRST_QUESTION: np.array(list(scores["first"]["accuracy"].values())),
            ALL_QUESTIONS: np.array(list(scores["accuracy"].values())),
        }
    return found


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
