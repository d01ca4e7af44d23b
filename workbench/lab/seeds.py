"""Over seeds: means with bootstrap intervals, and differences of arms paired by seed."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from workbench import dims
from workbench.errors import WorkbenchError

LOW, HIGH = 0.025, 0.975
"""Shares of resamples below and not above the ends of a 95 % interval."""
AT_ONCE = 4_000_000
"""Resampled means held in memory together."""


def over_seeds(array: xr.DataArray, *, resamples: int = 10_000, seed: int = 0) -> xr.Dataset:
    """Return the mean over seeds with its 95 % percentile bootstrap interval.

    Seeds that are NaN are left out, cell by cell. An interval depends on the values of its own
    cell alone, and equal values give equal intervals. With few seeds a percentile interval is
    narrower than it should be (Efron and Tibshirani 1993, chapter 13): state the count with it.

    Parameters
    ----------
    array : DataArray
        Any dims, one of which is seed; any unit.
    resamples : int
        How often the seeds are drawn anew, with replacement.
    seed : int
        Of the resampling.

    Returns
    -------
    Dataset
        ``mean``, ``low``, ``high`` in the unit of `array` and ``count`` (int, seeds used), over
        its other dims. No seed: mean NaN. Fewer than two: low and high NaN.

    Raises
    ------
    WorkbenchError
        `array` has no dim seed, or `resamples` is below 1.
    """
    if dims.SEED not in array.dims:
        raise WorkbenchError(
            f"an array over ({', '.join(map(str, array.dims))})",
            f"one over {dims.SEED}",
            "reduce over seeds once, and first",
        )
    if resamples < 1:
        raise WorkbenchError(f"resamples = {resamples}", "1 or more", "leave it at 10,000")
    others = [d for d in array.dims if d != dims.SEED]
    ordered = array.transpose(*others, dims.SEED)
    shape = ordered.shape[:-1]
    cells = np.asarray(ordered.values, dtype=np.float64).reshape(-1, ordered.shape[-1])
    there = ~np.isnan(cells)
    count = there.sum(axis=1)
    mean, low, high = (np.full(len(cells), np.nan) for _ in range(3))
    for many in np.unique(count[count > 0]).tolist():
        rows = np.flatnonzero(count == many)
        # as many values in every one of these rows: they can be packed side by side
        packed = cells[rows][there[rows]].reshape(len(rows), many)
        mean[rows] = packed.mean(axis=1)
        if many > 1:
            ends = _bootstrap(packed, resamples, seed)
            # rounding must not put the mean of equal values outside their interval
            low[rows], high[rows] = np.minimum(ends[0], mean[rows]), np.maximum(ends[1], mean[rows])
    found = {"mean": mean, "low": low, "high": high, "count": count}
    coords = {n: c for n, c in ordered.coords.items() if dims.SEED not in c.dims}
    return xr.Dataset(
        {name: (others, values.reshape(shape)) for name, values in found.items()}, coords
    )


def difference(
    array: xr.DataArray,
    arm_a: str | tuple[str, str],
    arm_b: str | tuple[str, str],
    *,
    resamples: int = 10_000,
    seed: int = 0,
) -> xr.Dataset:
    """Return by how much arm `arm_a` lies above `arm_b`, paired by seed, with its interval.

    Arms of one seed are trained on the same batches, so that their difference varies less than
    each of them. A seed that either of them lacks is left out.

    Parameters
    ----------
    array : DataArray
        ``[arm, n_train, seed, ...]``, or ``[condition, seed, ...]`` with arm and n_train as
        coordinates: after `with_n_test`, each is tested at the N of its own training.
    arm_a, arm_b : str or (str, str)
        Names of arms, compared at each n_train that both have; or arm and n_train, which may then
        differ: ``("sleep", "4")`` against ``("longer@4", "1")``. Of conditions: arm and n_train.
    resamples, seed : int
        As in `over_seeds`.

    Returns
    -------
    Dataset
        ``mean``, ``low``, ``high``, ``count`` of a - b; n_train remains where arms alone are named.

    Raises
    ------
    WorkbenchError
        There is no such arm or n_train, or only one of the two names an n_train.
    """
    if isinstance(arm_a, str) != isinstance(arm_b, str):
        raise WorkbenchError(
            f"arms {arm_a!r} and {arm_b!r}", "two arms, or two arms each with its N", "name N twice"
        )
    pair = _one(array, arm_a) - _one(array, arm_b)
    return over_seeds(pair, resamples=resamples, seed=seed)


def _one(array: xr.DataArray, which: str | tuple[str, str]) -> xr.DataArray:
    """Return an arm's values, without the words that two arms do not share."""
    if dims.CONDITION in array.dims:
        pairs = list(zip(array[dims.ARM].values, array[dims.N_TRAIN].values, strict=True))
        place = {dims.CONDITION: _place(pairs, which, "arm and n_train")}
    elif isinstance(which, str):
        place = {dims.ARM: _place(array[dims.ARM].values.tolist(), which, "arm")}
    else:
        place = {
            dim: _place(array[dim].values.tolist(), name, dim)
            for dim, name in zip((dims.ARM, dims.N_TRAIN), which, strict=True)
        }
    return array.isel(place).reset_coords(drop=True)


def _place(known: list[Any], wanted: Any, what: str) -> int:
    if wanted not in known:
        names = ", ".join(n if isinstance(n, str) else " N = ".join(n) for n in known)
        raise WorkbenchError(f"{what} {wanted!r}", f"one of {names}", "choose one")
    return known.index(wanted)


def _bootstrap(values: np.ndarray, resamples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the interval of the mean of each row of ``values [cell, seed]``.

    What a resample makes of the mean follows from how often it drew each seed, and few seeds can
    be drawn in few ways (126 for five): each way is computed once and counted.
    """
    many = values.shape[1]
    drawn = np.random.default_rng(seed).multinomial(many, np.full(many, 1 / many), size=resamples)
    ways, times = np.unique(drawn, axis=0, return_counts=True)
    ends = np.ceil(np.array([LOW, HIGH]) * resamples).astype(int)
    low, high = np.empty(len(values)), np.empty(len(values))
    step = max(AT_ONCE // len(ways), 1)
    for start in range(0, len(values), step):
        part = values[start : start + step]
        means = part @ ways.T / many
        order = np.argsort(means, axis=1, kind="stable")
        upto = np.cumsum(times[order], axis=1)
        for end, out in zip(ends, (low, high), strict=True):
            first = (upto >= end).argmax(axis=1)[:, None]
            at = np.take_along_axis(order, first, axis=1)
            out[start : start + step] = np.take_along_axis(means, at, axis=1)[:, 0]
    return low, high
