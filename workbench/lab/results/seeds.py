"""Over seeds: means with intervals, and arms compared, as xarray.

The statistics themselves, and how far to trust them, are in `workbench.training.statistics`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from workbench import dims
from workbench.errors import WorkbenchError
from workbench.training import statistics

Pair = tuple[str, str]
"""Arm, as `results.arm_name` writes it, and its N of training."""


def over_seeds(array: xr.DataArray) -> xr.Dataset:
    """Return the mean over seeds with its 95 % Student t interval.

    NaN seeds are left out, cell by cell. Nothing is clipped: the interval of a share may leave 0 to
    1. Equal values give an interval of no width. Returns ``mean``, ``low``, ``high`` in the unit of
    `array` and ``count`` (int, seeds used) over its dims other than seed. No seed: mean NaN. Fewer
    than two: low and high NaN.
    """
    others, values, coords = _seeds_last(array)
    found = statistics.seed_intervals(values)
    return xr.Dataset({name: (others, v) for name, v in vars(found).items()}, coords)


def difference(array: xr.DataArray, one: Pair, other: Pair) -> xr.Dataset:
    """Return by how much one arm lies above another, with its interval and tests, unpaired.

    `array` is ``[condition, seed, ...]`` with arm and n_train as coordinates: after `with_n_test`,
    each is tested at the N it was trained with. `one` and `other` are arm and N of training:
    ``("sleep", "4")`` against ``("longer@4", "1")``. Returns ``mean``, ``low``, ``high``,
    ``p_welch``, ``p_exact``, ``count``, ``other_count`` of the difference
    (`workbench.training.statistics.Comparison`).
    """
    others, first, second, coords = _two(array, one, other)
    found = statistics.compare(first, second)
    return xr.Dataset({name: (others, v) for name, v in vars(found).items()}, coords)


def equivalence(array: xr.DataArray, one: Pair, other: Pair, margin: float) -> xr.Dataset:
    """Return whether two arms are equal within `margin`: two one-sided tests, unpaired.

    `array`, `one` and `other` are as in `difference`; `margin` is in the unit of `array`. Returns
    ``mean``, ``low``, ``high`` (90 %) and ``p`` of the difference
    (`workbench.training.statistics.Equivalence`).
    """
    others, first, second, coords = _two(array, one, other)
    found = statistics.equivalence(first, second, margin)
    return xr.Dataset({name: (others, v) for name, v in vars(found).items()}, coords)


def pairs_of(data: xr.DataArray | xr.Dataset) -> list[Pair]:
    """Return arm and N of training of each condition."""
    arms, trained = (data[dim].values.tolist() for dim in (dims.ARM, dims.N_TRAIN))
    return list(zip(arms, trained, strict=True))


def _two(
    array: xr.DataArray, *wanted: Pair
) -> tuple[list[Any], np.ndarray, np.ndarray, dict[Any, Any]]:
    """Return dims without seed, the values ``[..., seed]`` of both arms, and coordinates."""
    known, found = pairs_of(array), []
    for pair in wanted:
        if pair not in known:
            names = ", ".join(map(" N = ".join, known))
            raise WorkbenchError(f"arm and n_train {pair!r}", f"one of {names}", "choose one")
        # without the words that two arms do not share
        one = array.isel({dims.CONDITION: known.index(pair)}).reset_coords(drop=True)
        found.append(_seeds_last(one))
    (others, first, coords), (_, second, _) = found
    return others, first, second, coords


def _seeds_last(array: xr.DataArray) -> tuple[list[Any], np.ndarray, dict[Any, Any]]:
    """Return dims without seed, values ``[..., seed]`` in float64, and coordinates without seed."""
    if dims.SEED not in array.dims:
        raise WorkbenchError(
            f"an array over ({', '.join(map(str, array.dims))})",
            f"one over {dims.SEED}",
            "reduce over seeds once, and first",
        )
    others = [d for d in array.dims if d != dims.SEED]
    ordered = array.transpose(*others, dims.SEED)
    coords = {n: c for n, c in ordered.coords.items() if dims.SEED not in c.dims}
    return others, np.asarray(ordered.values, dtype=np.float64), coords
