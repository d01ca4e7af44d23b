"""What instruments read from a trace, in a fixed order of axes, and the error if it is missing."""

from __future__ import annotations

from typing import Final

import numpy as np
import xarray as xr

from workbench import dims
from workbench.errors import WorkbenchError

MATRIX: Final = (dims.KEY, dims.VALUE)
STATE_DIMS: Final = (
    dims.EXAMPLE, dims.WINDOW, dims.SLEEP_PASS, dims.LAYER, dims.GDN_HEAD, *MATRIX,
)  # fmt: skip
"""Axes of S, slowest first; every instrument keeps this order."""
HEADS: Final = STATE_DIMS[:-2]
"""Axes of one number for each head at each boundary."""


def recorded(trace: xr.DataTree, group: str, variable: str) -> xr.DataArray:
    """Return one variable of a trace.

    Raises WorkbenchError: the trace was recorded without it.
    """
    if group in trace.children and variable in trace.children[group].data_vars:
        return trace.children[group].to_dataset()[variable]
    raise WorkbenchError(
        f"a trace without {group}/{variable}",
        f"a trace that keeps {group!r}",
        f"record it with workbench.trace.record(model, batch, sleep, keep=(..., {group!r}))",
    )


def states_of(trace: xr.DataTree) -> xr.DataArray:
    """Return S ``(example, window, sleep_pass, layer, gdn_head, key, value)``."""
    return recorded(trace, "states", "fast_weight").transpose(*STATE_DIMS)


def passes_of(trace: xr.DataTree) -> np.ndarray:
    """Return how many passes each window was read in, int ``[window]``."""
    return np.asarray(trace["n_passes"].values, dtype=int)


def asleep_of(trace: xr.DataTree) -> np.ndarray:
    """Return which windows were slept on, bool ``[window]``."""
    return np.asarray(trace["asleep"].values, dtype=bool)


def position(states: xr.DataArray, name: str, label: int) -> int:
    """Return where a label stands along the dim `name`.

    Raises WorkbenchError: the label is unknown.
    """
    labels = list(states.indexes[name]) if name in states.indexes else range(states.sizes[name])
    if label in labels:
        return list(labels).index(label)
    raise WorkbenchError(
        f"{name} = {label}", f"one of {', '.join(map(str, labels))}", f"choose another {name}"
    )


def coords_of(array: xr.DataArray, *names: str) -> dict[str, xr.DataArray]:
    """Return the coordinates of the dims `names`, where `array` has any."""
    return {name: array.coords[name] for name in names if name in array.coords}


def result_dtype(array: xr.DataArray) -> type[np.floating]:
    """Return float64 for float64, else float32: what an instrument hands out."""
    return np.float64 if array.dtype == np.float64 else np.float32


def norms(matrices: np.ndarray) -> np.ndarray:
    """Return the Frobenius norms of ``[..., key, value]``."""
    return np.sqrt(np.einsum("...kv,...kv->...", matrices, matrices))
