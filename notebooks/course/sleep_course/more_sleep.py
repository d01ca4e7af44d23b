"""Intervals over a few seeds, and what the records of sweeps say in notebook 9.

Its exercises are in `sleep_course.exercises.more_sleep`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import xarray as xr

from workbench import dims
from workbench.files import read_json
from workbench.lab import results
from workbench.paths import data_folder
from workbench.tasks.depo import EARLIER
from workbench.training.statistics import ALPHA

FIRST_QUESTION, ALL_QUESTIONS = "first question", "all questions"


def seeds_of(dataset: xr.Dataset, passes: int, hops: int) -> np.ndarray:
    """Return the final accuracy of `sleep` trained and tested at N = `passes`, ``[seed]``."""
    where = {dims.ARM: "sleep", dims.N_TRAIN: str(passes), dims.N_TEST: passes}
    return results.final(dataset)["accuracy"].sel(where | {dims.DIFFICULTY: hops}).values


def counted_cost(dataset: xr.Dataset, passes: int) -> float:
    """Return the FLOPs of a training step of `sleep` at N, counted from the model, over N = 1's."""
    steps = dataset["step_flops"].sel({dims.ARM: "sleep"})
    one, many = (float(steps.sel({dims.N_TRAIN: str(n)})) for n in (1, passes))
    return many / one


def relative_flops(data: xr.Dataset, arm: str, *, n_train: str = "4") -> float:
    """Return the training FLOPs of an arm, over those of `sleep` at the same N."""
    spent = data["training_flops"].sel({dims.N_TRAIN: n_train})
    return float(spent.sel({dims.ARM: arm}).max() / spent.sel({dims.ARM: "sleep"}).max())


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

    ``interval(accuracy)`` gives mean, low and high of ``accuracy [seed]``. Each of `samples`, drawn
    with a fixed seed, has `seeds` values from a normal distribution; with `failing` above 0, a seed
    fails with this chance and has 0.3 in place of about 1.0.
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

    `compared` are those of one question: ``family(data).differences["parts"]``, each a
    `workbench.lab.results.differences.Compared`. Gives mean and Welch's 95 % interval at 1, 2,
    ... hops; a star where the difference stands at 0.05 after Holm's correction over all
    comparisons of the record.
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


def first_and_all(passes: Sequence[int]) -> dict[str, dict[str, np.ndarray]]:
    """Return how often models are right on the first question of an example, and on all.

    From the records of the bundled models ``depo-n8-n1`` and so on: 1,000 examples, each model at
    the N it was trained with. By model, and before them for the best guesser that reads earlier
    answers and no edge: "first question" and "all questions", over difficulty.
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
