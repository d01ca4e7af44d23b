"""What the finished runs of an experiment show, in sentences: the difference, how sure, chance."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from workbench import dims
from workbench.lab.arms import MATCHED
from workbench.lab.results.conclusions import at_words
from workbench.lab.results.seeds import difference, pairs_of
from workbench.lab.results.tables import conditions, final, trained_at, with_n_test
from workbench.tasks.phrases import level_words
from workbench.training.statistics import ALPHA, holm

MOST = 3
"""Comparisons that are put into words; all are corrected for."""
NEAR = 0.05
"""From chance: what is nearer has learnt nothing yet."""


def conclusion(data: xr.Dataset) -> list[str]:
    """Return what finished runs show, the main result first.

    `data` is what `workbench.lab.results.dataset` returns. The arm `sleep` at its largest N (else
    the first arm) is compared with every other arm and N, at every difficulty; p values of Welch's
    test are corrected for all of these together (Holm). The hardest difficulty is put into words.
    """
    ended = final(data)
    tested = with_n_test(conditions(ended))["accuracy"]
    known = tested.notnull().any([dims.SEED, dims.DIFFICULTY])
    tested = tested.isel({dims.CONDITION: np.flatnonzero(known.values)})
    names = [str(name) for name in tested[dims.CONDITION].values]
    if not names:
        return []
    means = tested.mean(dims.SEED)
    say = _Words(str(ended.attrs["difficulty"]), str(ended.attrs["measure"]), ended["chance"])
    if len(names) == 1:
        count = int(tested.notnull().any(dims.DIFFICULTY).sum())
        guess = say.guess(means[dims.DIFFICULTY].values[-1])
        return [f"{say.level(means[0])}{guess}, over {_seeds(count)}; one arm: nothing to compare."]
    keys = pairs_of(tested)
    lead = _lead(keys)
    others = sorted((key for key in keys if key != lead), key=lambda key: _rank(key, lead))
    tables = [difference(tested, lead, key) for key in others]
    p = np.stack([table["p_welch"].values for table in tables])
    corrected = np.full(p.shape, np.nan)
    corrected[~np.isnan(p)] = holm(p[~np.isnan(p)])
    found = []
    for key, table, stands in list(zip(others, tables, corrected < ALPHA, strict=True))[:MOST]:
        a, b = keys.index(lead), keys.index(key)
        found.append(say.compared(names[a], names[b], means[a], means[b], table, stands))
    seeds = sorted({int(t[n].max()) for t in tables for n in ("count", "other_count")})
    many = _seeds(seeds[0]) if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]} seeds"
    tail = f"{many} for each arm and N; "
    if seeds[0] > 1:
        tail += "in brackets 95 % intervals; what stands has p below 0.05 after correction for "
        tail += f"{p.size} comparisons."
    else:
        tail += "how sure this is cannot be said."
    return [*found, tail]


class _Words:
    """Sentences about one task: what a difficulty is called, what is measured, and chance."""

    def __init__(self, difficulty: str, measure: str, chance: xr.DataArray) -> None:
        self.difficulty, self.measure, self.chance = difficulty, measure, chance

    def value(self, mean: float) -> str:
        return f"{mean:.2f} {self.measure}" if self.measure else f"{100 * mean:.0f} %"

    def best_guess(self, level: Any) -> float:
        """Return the best chance line; NaN without any, or where accuracy is not measured."""
        if self.measure or not self.chance.size or level not in self.chance[dims.DIFFICULTY].values:
            return np.nan
        return float(self.chance.sel({dims.DIFFICULTY: level}).max())

    def guess(self, level: Any) -> str:
        found = self.best_guess(level)
        return "" if np.isnan(found) else f"; chance {100 * found:.0f} %"

    def level(self, means: xr.DataArray) -> str:
        """Say what one arm reaches at the hardest difficulty."""
        at = at_words(means[dims.DIFFICULTY].values[-1], self.difficulty, self.measure)
        return f"{at}, {means[dims.CONDITION].item()} reaches {self.value(float(means[-1]))}"

    def compared(
        self,
        name: str,
        other: str,
        mean: xr.DataArray,
        its: xr.DataArray,
        table: xr.Dataset,
        stands: np.ndarray,
    ) -> str:
        """Say by how much one arm is ahead of another at the hardest difficulty, and where else."""
        levels = [level_words(level, self.difficulty) for level in mean[dims.DIFFICULTY].values]
        last = table.isel({dims.DIFFICULTY: -1})
        by, low, high = (float(last[part]) for part in ("mean", "low", "high"))
        interval = "" if np.isnan(low) else f" [{low:+.2f}, {high:+.2f}]"
        said = f"{self.level(mean)} and {other} {self.value(float(its[-1]))}"
        said += f"{self.guess(mean[dims.DIFFICULTY].values[-1])}. "
        if np.isnan(low):
            return f"{said}The difference is {by:+.2f}, from one seed."
        if stands[-1]:
            better = (by > 0) != bool(self.measure)
            said += f"So {name} is {'ahead' if better else 'behind'}: {by:+.2f}{interval} stands."
        else:
            said += f"The difference, {by:+.2f}{interval}, does not stand."
            if self._near(mean) and self._near(its):
                said += " Both are near chance there: train for longer, or ask less."
        also = [level for level, yes in zip(levels[:-1], stands[:-1], strict=True) if yes]
        return said + (f" A difference stands at {' and '.join(also)}, too." if also else "")

    def _near(self, means: xr.DataArray) -> bool:
        return float(means[-1]) < self.best_guess(means[dims.DIFFICULTY].values[-1]) + NEAR


def _lead(keys: list[tuple[str, str]]) -> tuple[str, str]:
    """Return the arm that the others are compared with."""
    return max(
        (key for key in keys if key[0] == "sleep"),
        key=lambda key: trained_at(key[1]) or 0,
        default=keys[0],
    )


def _rank(key: tuple[str, str], lead: tuple[str, str]) -> tuple[int, int]:
    """Return the order of comparisons: the same arm at its smallest N, equal compute, the rest."""
    family = key[0].partition("@")[0]
    place = 0 if key[0] == lead[0] else 1 if family in MATCHED else 2
    return place, trained_at(key[1]) or 0


def _seeds(count: int) -> str:
    return f"{count} seed{'' if count == 1 else 's'}"
