"""What each pass changes in the memory, compared with repeating the writes of pass 1.

Changes that shrink from pass to pass prove nothing: writing the same thing again and again already
gives relative changes of 1.0, 0.22, 0.10, 0.06, ... So the results have a dim procedure, "sleep"
and "frozen replay", and need a trace's writes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import xarray as xr

from workbench import dims
from workbench.errors import WorkbenchError
from workbench.instruments.controls import REPLAY
from workbench.instruments.linear import layers_of, transitions
from workbench.instruments.recorded import (
    MATRIX,
    UNITS_OF_S,
    norms,
    passes_of,
    position,
    result_dtype,
    result_of,
    states_of,
)

SLEEP: Final = "sleep"
DEGENERATE: Final = 1e-6
"""Singular values below this part of the largest belong to no direction that can be named."""


def change(trace: xr.DataTree, *, modes: int = 2) -> xr.Dataset:
    """Return what each pass changes in S, in the sleep and in its frozen replay.

    - modes: singular vectors that span the subspaces whose rotation is measured.

    Result: NaN at sleep_pass 0, which nothing precedes, and past the passes of a window. Over
    (procedure, example, window, sleep_pass, layer, gdn_head):

    - ``delta_norm``: ``|S_n - S_(n-1)|``, in units of S;
    - ``relative_change``: the same, divided by ``|S_n|``; NaN where S_n = 0;
    - ``cosine``: of S_n and S_(n-1); NaN where one is 0;
    - ``key_angle``, ``value_angle`` (..., mode): principal angles, smallest first, between
      the subspaces of the first `modes` left (key) or right (value) singular vectors, in
      radians; NaN where S has fewer directions.

    ``memory_change`` (procedure, example, window, sleep_pass) is the relative change of all
    layers and heads together.

    Raises WorkbenchError: the trace keeps no states or no writes, or `modes` is more than S can
    have.
    """
    states = states_of(trace)
    most = min(states.sizes[name] for name in MATRIX)
    if not 1 <= modes <= most:
        raise WorkbenchError(
            f"modes = {modes}", f"1 to {most}, the smaller side of S", "choose fewer modes"
        )
    return with_replay(
        trace,
        lambda states: changes_of(states, modes=modes),
        compared="S after each pass with S after the pass before",
    )


def with_replay(
    trace: xr.DataTree, instrument: Callable[[xr.DataArray], xr.Dataset], **attrs: str
) -> xr.Dataset:
    """Apply an instrument to the states of a sleep and of its replay: dim procedure first."""
    each = [instrument(states) for states in (states_of(trace), frozen_replay(trace))]
    methods = xr.IndexVariable(dims.PROCEDURE, [SLEEP, REPLAY])
    found = xr.concat(each, dim=methods, join="exact", combine_attrs="override")
    baseline = f"{REPLAY}: the writes of pass 1 again and again, from the state carried in"
    return found.assign_attrs(**attrs, baseline=baseline)


def changes_of(states: xr.DataArray, *, modes: int = 2) -> xr.Dataset:
    """Return the change from each pass to the next, as `change`, of any states.

    - states: S ``(..., sleep_pass, layer, gdn_head, key, value)``, sleep_pass from 0.
    - modes: as in `change`; with 0, no angles.
    """
    states = states.transpose(..., dims.SLEEP_PASS, dims.LAYER, dims.GDN_HEAD, *MATRIX)
    over = states.dims[:-2]
    # passes first: (sleep_pass, ..., layer, gdn_head, key, value)
    values = np.moveaxis(states.values.astype(np.float64), len(over) - 3, 0)
    new, old = values[1:], values[:-1]
    delta, size = norms(new - old), norms(values)
    with np.errstate(divide="ignore", invalid="ignore"):
        cosine = np.einsum("...kv,...kv->...", new, old) / (size[1:] * size[:-1])
        whole = np.sqrt((delta**2).sum((-2, -1)) / (size[1:] ** 2).sum((-2, -1)))
        relative = delta / size[1:]
    found = {
        "delta_norm": (over, delta),
        "relative_change": (over, relative),
        "cosine": (over, cosine),
        "memory_change": (over[:-2], whole),
    }
    units = {
        UNITS_OF_S: ("delta_norm",),
        "share of S after the pass": ("relative_change", "memory_change"),
    }
    if modes:
        units["rad"] = angles = ("key_angle", "value_angle")
        along = (*over, dims.MODE)
        found |= {n: (along, a) for n, a in zip(angles, _rotations(values, modes), strict=True)}
    return result_of(
        states,
        {name: (axes, _from_pass_0(a, len(over) - 3)) for name, (axes, a) in found.items()},
        {dims.MODE: np.arange(modes)} if modes else {},
        units=units,
    )


def frozen_replay(trace: xr.DataTree) -> xr.DataArray:
    """Return S when what pass 1 wrote is written again and again, from the state carried in.

    Keys, values, write strengths and decays are those of pass 1; features never go from pass to
    pass. Each replay of the window is one affine map, applied n times.

    Result: S ``(example, window, sleep_pass, layer, gdn_head, key, value)`` as in a trace; equal to
    the recorded states at sleep_pass 0 and 1.

    Raises WorkbenchError: the trace keeps no states or no writes.
    """
    states, passes = states_of(trace), passes_of(trace)
    replayed = np.full(states.shape, np.nan)
    for layer in layers_of(trace):
        for window, count in enumerate(passes):
            step, added = next(transitions(layer, window))
            matrix, state = step.matrix, layer.states[:, window, 0]
            replayed[layer.examples, window, 0, layer.index] = state
            for sleep_pass in range(1, count + 1):
                state = matrix @ state + added
                replayed[layer.examples, window, sleep_pass, layer.index] = state
    replay = states.copy(data=replayed.astype(result_dtype(states)))
    return replay.assign_attrs(replayed="the writes of pass 1, from the state carried in")


def replayed(trace: xr.DataTree, *, window: int) -> xr.DataTree:
    """Return the frozen replay of one window as a trace: the baseline of other instruments.

    Compare with ``trace.isel(window=[...])``, the sleep from the same state carried in.

    Result: one window, with states and writes: those of pass 1 in every pass. No answers: nothing
    was read with these states.

    Raises WorkbenchError: the trace keeps no states or no writes, or lacks the window.
    """
    states = frozen_replay(trace)
    at = {dims.WINDOW: [position(states, dims.WINDOW, window)]}
    writes = trace["writes"].to_dataset().isel(at)
    first = writes.isel({dims.SLEEP_PASS: [0] * writes.sizes[dims.SLEEP_PASS]})
    again = first.assign_coords({dims.SLEEP_PASS: writes[dims.SLEEP_PASS]}).where(writes.notnull())
    root = trace.to_dataset().isel(at)
    groups = {"states": states.isel(at).to_dataset(), "writes": again}
    return xr.DataTree.from_dict(
        {"/": root.assign_attrs(replayed=f"window {window}: the writes of pass 1 in every pass")}
        | {f"/{name}": group for name, group in groups.items()}
    )


def _rotations(values: np.ndarray, modes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return principal angles of consecutive ``[sleep_pass, ..., key, value]``, both sides."""
    missing = np.asarray(np.isnan(values).any(axis=(-2, -1)))
    left, singular, right = np.linalg.svd(
        np.where(missing[..., None, None], 0.0, values), full_matrices=False
    )
    has = singular[..., modes - 1] > DEGENERATE * singular[..., 0]
    both = (has[1:] & has[:-1])[..., None]
    angles = []
    for vectors in (left[..., :modes], np.swapaxes(right, -1, -2)[..., :modes]):
        cosines = np.linalg.svd(np.swapaxes(vectors[1:], -1, -2) @ vectors[:-1], compute_uv=False)
        angles.append(np.where(both, np.arccos(np.clip(cosines, 0.0, 1.0)), np.nan))
    return angles[0], angles[1]


def _from_pass_0(array: np.ndarray, axis: int) -> np.ndarray:
    """Return ``[sleep_pass 1.., ...]`` with NaN for pass 0, and the passes at `axis` again."""
    before = np.full((1, *array.shape[1:]), np.nan)
    return np.moveaxis(np.concatenate((before, array)), 0, axis)
