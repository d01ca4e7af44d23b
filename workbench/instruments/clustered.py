"""Means and ratios over queries that come in examples, with 95 % intervals, by difficulty.

The queries of one example share its context and its memory, so the example is what is
independent: every interval is over examples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from workbench import dims
from workbench.tasks.base import Task
from workbench.training.statistics import Interval, proportion_interval

CASE = (dims.EXAMPLE, dims.QUERY)
"""Dimensions that a summary is taken over."""


class Estimate(NamedTuple):
    """A value and its 95 % interval."""

    value: float
    low: float
    high: float


def share(right: np.ndarray, asked: np.ndarray) -> Estimate:
    """Return the share of `right` among `asked`, bool ``[example, query]``, Wilson by example."""
    if not asked.any():
        return Estimate(math.nan, math.nan, math.nan)
    right = right & asked
    interval = proportion_interval(right.sum(axis=1), asked.sum(axis=1))
    return Estimate(float(right.sum() / asked.sum()), *interval)


def ratio(above: np.ndarray, below: np.ndarray) -> Estimate:
    """Return ``sum(above) / sum(below)`` of two sums in each example, ``[example]``.

    A mean is the ratio of a sum and a count. The interval is Student t on the linearised ratio
    (Cochran, Sampling Techniques, 1977, 6.4), so the two sums may vary together.
    """
    total = float(below.sum())
    if not total:
        return Estimate(math.nan, math.nan, math.nan)
    value = float(above.sum()) / total
    spread, clusters = above - value * below, int((below != 0).sum())
    if clusters < 2:
        return Estimate(value, math.nan, math.nan)
    from scipy.stats import t

    error = math.sqrt(clusters / (clusters - 1) * float((spread**2).sum())) / abs(total)
    half = float(t.ppf(0.975, clusters - 1)) * error
    return Estimate(value, *Interval(value - half, value + half))


def mean(values: np.ndarray, asked: np.ndarray) -> Estimate:
    """Return the mean of `values` over the `asked` cases, both ``[example, query]``."""
    return ratio(np.where(asked, values, 0.0).sum(axis=1), asked.sum(axis=1).astype(float))


def by_difficulty(
    estimate: Callable[..., Estimate], name: str, *arrays: xr.DataArray, difficulty: xr.DataArray
) -> xr.Dataset:
    """Apply an estimate to the queries of each difficulty, at every other coordinate.

    - estimate: takes the arrays' cases ``[example, query]`` and returns an `Estimate`.
    - name: name of the variable; its bounds are ``name_low`` and ``name_high``.
    - arrays: with dimensions `CASE` and others; the last one is bool, the cases asked.
    - difficulty: ``(example, query)``; -1 where an example has no such query.

    Result: the three variables over (difficulty, ...).
    """
    *values, asked = arrays

    def at(cases: xr.DataArray) -> xr.DataArray:
        return xr.apply_ufunc(
            lambda *given: np.array(estimate(*given)),
            *values,
            cases,
            input_core_dims=[list(CASE)] * len(arrays),
            output_core_dims=[["bound"]],
            vectorize=True,
            join="exact",
        )

    levels = np.unique(difficulty.values[difficulty.values >= 0])
    parts = [at(asked & (difficulty == level)) for level in levels]
    found = xr.concat(parts, xr.IndexVariable(dims.DIFFICULTY, levels))
    names = (name, f"{name}_low", f"{name}_high")
    return xr.Dataset({n: found.isel(bound=i, drop=True) for i, n in enumerate(names)})


def summarised(difficulty: xr.DataArray, estimates: Mapping[str, Sequence[Any]]) -> xr.Dataset:
    """Apply several estimates, each as `by_difficulty`.

    - estimates: name -> the estimate and its arrays.
    """
    return xr.merge(
        by_difficulty(estimate, name, *arrays, difficulty=difficulty)
        for name, (estimate, *arrays) in estimates.items()
    )


def with_chance(found: xr.Dataset, task: Task) -> xr.Dataset:
    """Add the task's chance lines: ``chance (chance_line, difficulty)``, NaN where it has none."""
    lines, levels = task.chance(), found[dims.DIFFICULTY].values
    chance = [[line.accuracy.get(int(k), np.nan) for k in levels] for line in lines.values()]
    found["chance"] = (dims.CHANCE_LINE, dims.DIFFICULTY), np.array(chance)
    return found.assign_coords({dims.CHANCE_LINE: list(lines)})
