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


def over_seeds(array: xr.DataArray) -> xr.Dataset:
    """Return the mean over seeds with its 95 % Student t interval.

    NaN seeds are left out, cell by cell. Nothing is clipped: the interval of a share may leave 0 to
    1. Equal values give an interval of no width.

    Returns
    -------
    Dataset
        ``mean``, ``low``, ``high`` in the unit of `array` and ``count`` (int, seeds used), over its
        dims other than seed. No seed: mean NaN. Fewer than two: low and high NaN.
    """
    others, values, coords = _seeds_last(array)
    found = statistics.seed_intervals(values)
    return xr.Dataset({name: (others, v) for name, v in vars(found).items()}, coords)


def difference(
    array: xr.DataArray, arm_a: str | tuple[str, str], arm_b: str | tuple[str, str]
) -> xr.Dataset:
    """Return by how much arm `arm_a` lies above `arm_b`, with its interval and tests, unpaired.

    Parameters
    ----------
    array : DataArray
        ``[arm, n_train, seed, ...]``, or ``[condition, seed, ...]`` with arm and n_train as
        coordinates: after `with_n_test`, each is tested at the N of its own training.
    arm_a, arm_b : str or (str, str)
        Names of arms, compared at each n_train that both have; or arm and n_train, which may then
        differ: ``("sleep", "4")`` against ``("longer@4", "1")``. Of conditions: arm and n_train.

    Returns
    -------
    Dataset
        ``mean``, ``low``, ``high``, ``p_welch``, ``p_exact``, ``count``, ``other_count`` of a - b
        (`workbench.training.statistics.Comparison`); n_train remains where only arms are named.
    """
    others, first, second, coords = _two(array, arm_a, arm_b)
    found = statistics.compare(first, second)
    return xr.Dataset({name: (others, v) for name, v in vars(found).items()}, coords)


def equivalence(
    array: xr.DataArray,
    arm_a: str | tuple[str, str],
    arm_b: str | tuple[str, str],
    margin: float,
) -> xr.Dataset:
    """Return whether two arms are equal within `margin`: two one-sided tests, unpaired.

    `array`, `arm_a` and `arm_b` are as in `difference`; `margin` is in the unit of `array`. Returns
    ``mean``, ``low``, ``high`` (90 %) and ``p`` of a - b
    (`workbench.training.statistics.Equivalence`).
    """
    others, first, second, coords = _two(array, arm_a, arm_b)
    found = statistics.equivalence(first, second, margin)
    return xr.Dataset({name: (others, v) for name, v in vars(found).items()}, coords)


def _two(
    array: xr.DataArray, arm_a: str | tuple[str, str], arm_b: str | tuple[str, str]
) -> tuple[list[Any], np.ndarray, np.ndarray, dict[Any, Any]]:
    """Return dims without seed, the values ``[..., seed]`` of both arms, and coordinates."""
    if isinstance(arm_a, str) != isinstance(arm_b, str):
        raise WorkbenchError(
            f"arms {arm_a!r} and {arm_b!r}", "two arms, or two arms each with its N", "name N twice"
        )
    others, first, coords = _seeds_last(_one(array, arm_a))
    _, second, _ = _seeds_last(_one(array, arm_b))
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
