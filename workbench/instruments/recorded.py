"""What instruments share: variables of a trace in a fixed order of axes, and results laid out."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import Any, Final

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
UNITS_OF_S: Final = "units of S"

Laid = tuple[Sequence[Hashable], np.ndarray]
"""Dims and values of one variable."""


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


def check_choice(name: str, given: object, known: Collection[object]) -> None:
    """Raise a WorkbenchError that lists the choices, unless `given` is one of them."""
    if given not in known:
        choices = ", ".join(map(str, known))
        raise WorkbenchError(f"{name} {given!r}", f"one of {choices}", f"choose another {name}")


def position(states: xr.DataArray, name: str, label: int) -> int:
    """Return the index of a label along the dim `name`.

    Raises WorkbenchError: the label is unknown.
    """
    labels = states[name].values.tolist()
    check_choice(name, label, labels)
    return int(labels.index(label))


def result_dtype(states: xr.DataArray) -> type[np.floating]:
    """Return float64 for float64, else float32: what an instrument hands out."""
    return np.float64 if states.dtype == np.float64 else np.float32


def result_of(
    states: xr.DataArray,
    found: Mapping[str, Laid],
    coords: Mapping[str, Any] | None = None,
    *,
    units: Mapping[str, Sequence[str]] | None = None,
    **attrs: object,
) -> xr.Dataset:
    """Return what an instrument found, in `result_dtype`.

    - states: give the coordinates of the dims that `coords` does not name.
    - units: unit -> the variables that have it.
    """
    dtype = result_dtype(states)
    over = dict.fromkeys(dim for axes, _ in found.values() for dim in axes if dim in states.coords)
    result = xr.Dataset(
        {name: (tuple(axes), values.astype(dtype)) for name, (axes, values) in found.items()},
        {dim: states.coords[dim] for dim in over} | dict(coords or {}),
        attrs,
    )
    for unit, names in (units or {}).items():
        for name in names:
            result[name].attrs["units"] = unit
    return result


def nothing_found(
    index: Mapping[str, Any], over: Mapping[str, Sequence[str]], dtype: type = np.float64
) -> xr.Dataset:
    """Return a Dataset of NaN, of unit 1, to be filled place by place.

    - index: the labels of every dim.
    - over: variable -> its dims.
    """
    found = xr.Dataset(coords=index)
    for name, axes in over.items():
        values: np.ndarray = np.full([len(index[dim]) for dim in axes], np.nan, dtype)
        found[name] = tuple(axes), values, {"units": "1"}
    return found


def in_nats(found: xr.Dataset) -> xr.Dataset:
    """Note on a result the unit of its log-probabilities and logit differences."""
    for name, values in found.data_vars.items():
        if "log_prob" in str(name) or "logit_diff" in str(name):
            values.attrs["units"] = "nat"
    return found


def norms(matrices: np.ndarray) -> np.ndarray:
    """Return the Frobenius norms of ``[..., key, value]``."""
    return np.sqrt(np.einsum("...kv,...kv->...", matrices, matrices))
