"""Does a sleep converge: steps, cycles, the distance to a fixed point, likeness between passes.

Small steps are not yet convergence (`workbench.instruments.change`: writing the same thing again
makes them small, too), so steps come with their frozen replay. The last state of a run is not
its fixed point: distances are to the end of a longer run over the same examples.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import xarray as xr

from workbench import dims
from workbench.errors import WorkbenchError
from workbench.instruments.change import with_replay
from workbench.instruments.recorded import (
    HEADS,
    UNITS_OF_S,
    asleep_of,
    passes_of,
    position,
    recorded,
    result_of,
    states_of,
)

FEWEST: Final = 4
"""Examples below which the unbiased estimator of HSIC is not defined."""


def convergence(trace: xr.DataTree, *, fixed_point: xr.DataTree | None = None) -> xr.Dataset:
    """Return how S moves from pass to pass, and how far it is from where a longer sleep ends.

    - fixed_point: another trace, of the same model and examples, with more passes: S after its last
      pass stands for the fixed point of each window.

    Result: over (procedure, example, window, sleep_pass, layer, gdn_head), for the sleep and its
    frozen replay, NaN where there are too few passes before:

    - ``step_norm``: ``|S_n - S_(n-1)|``, in units of S;
    - ``relative_step``: the same, divided by ``|S_n|``;
    - ``contraction``: ``step_n / step_(n-1)``; below 1 the steps shrink;
    - ``two_step_ratio``: ``|S_n - S_(n-2)| / (step_n + step_(n-1))``: 1 where S goes straight
      on, 0 where it returns to where it was two passes ago (a cycle of period 2).

    With `fixed_point`, also, for windows that are slept on:

    - ``distance`` (example, window, sleep_pass, layer, gdn_head): ``|S_n - S*| / |S*|``;
    - ``fixed_point_step`` (example, window, layer, gdn_head): relative step of the longer
      run's own last pass; where it is not small, S* is not a fixed point;
    - ``carried_difference``, same dims: difference, relative to S*, of the memories that the
      two runs carried into the window. 0 in the first window; in later ones the longer run
      began elsewhere, and part of the distance is that.

    Raises WorkbenchError: the trace keeps no states or no writes; `fixed_point` is of other
    examples or another model, or has no more passes.
    """
    compared = "S after each pass with S one and two passes before"
    result = with_replay(trace, _steps, compared=compared)
    if fixed_point is None:
        return result
    _check_fixed_point(trace, fixed_point)
    most = int(passes_of(fixed_point).max())
    return result.assign(_distances(trace, fixed_point)).assign_attrs(
        fixed_point=f"S after {most} passes in another trace"
    )


def cka(trace: xr.DataTree, *, window: int) -> xr.Dataset:
    """Return the debiased linear CKA between the passes over one window.

    Examples are compared by S of one head: 1 where both passes arrange the examples alike, up to
    rotation and scale; about 0 where they share nothing. The usual, biased estimator comes close
    to 1 on independent noise when there are more features than examples, as there are here.

    Result: ``cka`` (layer, gdn_head, sleep_pass, other_pass); NaN where nothing varies, or where
    what varies is not more than chance. The number of examples is in the attributes.

    Raises WorkbenchError: the trace keeps no states, lacks the window, or has fewer than 4
    examples.
    """
    states = states_of(trace)
    over = (dims.LAYER, dims.GDN_HEAD)
    at = position(states, dims.WINDOW, window)
    last = int(passes_of(trace)[at])
    inside = states.isel({dims.WINDOW: at}).sel({dims.SLEEP_PASS: slice(None, last)})
    inside = inside.transpose(*over, dims.SLEEP_PASS, dims.EXAMPLE, ...)
    values = inside.values.astype(np.float64)
    values = values.reshape(*values.shape[: len(over) + 2], -1)  # (..., pass, example, feature)
    grams = _prepared(values)
    shared = np.einsum("...pij,...qij->...pq", grams, grams)
    own = np.einsum("...pp->...p", shared)
    positive = np.where(own > 0, own, np.nan)
    found = shared / np.sqrt(positive[..., :, None] * positive[..., None, :])
    numbers = inside.coords[dims.SLEEP_PASS].values
    return result_of(
        states,
        {"cka": ((*over, dims.SLEEP_PASS, dims.OTHER_PASS), found)},
        {dims.SLEEP_PASS: numbers, dims.OTHER_PASS: numbers},
        compared=f"states of two passes over window {window}, debiased linear CKA",
        examples=values.shape[-2],
        features=values.shape[-1],
    )


def debiased_cka(x: np.ndarray, y: np.ndarray) -> float:
    """Return the debiased linear CKA of two representations of the same examples.

    The ratio of unbiased estimates of HSIC (Song et al., 2012; Nguyen et al., arXiv 2010.15327).

    - x, y: ``[example, feature]``; the numbers of features may differ.

    Raises WorkbenchError: there are fewer than 4 examples.
    """
    a, b = _prepared(np.asarray(x, dtype=float)), _prepared(np.asarray(y, dtype=float))
    size = float((a * a).sum() * (b * b).sum())
    return float((a * b).sum() / np.sqrt(size)) if size > 0 else float("nan")


def _prepared(features: np.ndarray) -> np.ndarray:
    """Return Gram matrices ``[..., example, example]``, U-centred.

    The unbiased estimate of HSIC is the sum over the product of two such matrices, but for a
    factor that cancels in CKA (Szekely and Rizzo, 2014).
    """
    count = features.shape[-2]
    if count < FEWEST:
        raise WorkbenchError(
            f"CKA over {count} examples", f"at least {FEWEST}", "record a larger batch"
        )
    features = features - features.mean(-2, keepdims=True)  # does not change it, but rounds less
    gram = features @ np.swapaxes(features, -1, -2)
    diagonal = np.eye(count, dtype=bool)
    gram = np.where(diagonal, 0.0, gram)
    rows = gram.sum(-1) / (count - 2)
    whole = gram.sum((-2, -1)) / ((count - 1) * (count - 2))
    centred = gram - rows[..., :, None] - rows[..., None, :] + whole[..., None, None]
    # every pass has a separate scale: only ratios are used
    centred = np.where(diagonal, 0.0, centred)
    size = np.abs(gram).max((-2, -1), keepdims=True)
    return centred / np.where(size > 0, size, 1.0)


def _size(matrices: np.ndarray) -> np.ndarray:
    return np.sqrt((matrices**2).sum((-2, -1)))


def _steps(states: xr.DataArray) -> xr.Dataset:
    """Return the four measures of steps from pass to pass, over the dims `HEADS`."""
    axis = HEADS.index(dims.SLEEP_PASS)
    values = np.moveaxis(states.values.astype(np.float64), axis, 0)
    size = _size(values)
    one, two, previous = np.full((3, *size.shape), np.nan)
    one[1:] = _size(np.diff(values, axis=0))
    two[2:] = _size(values[2:] - values[:-2])
    previous[1:] = one[:-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        found = {
            "step_norm": one,
            "relative_step": one / size,
            "contraction": one / previous,
            "two_step_ratio": two / (one + previous),
        }
    laid = {name: (HEADS, np.moveaxis(array, 0, axis)) for name, array in found.items()}
    return result_of(states, laid, units={UNITS_OF_S: ("step_norm",)})


def _check_fixed_point(trace: xr.DataTree, longer: xr.DataTree) -> None:
    same = [recorded(t, "inputs", "tokens").values for t in (trace, longer)]
    if same[0].shape != same[1].shape or (same[0] != same[1]).any():
        raise WorkbenchError(
            "a fixed point from other examples", "the same tokens in both", "record the same batch"
        )
    weights = [t.attrs.get("checkpoint_sha256") or "" for t in (trace, longer)]
    if all(weights) and weights[0] != weights[1]:
        raise WorkbenchError(
            "a fixed point of another model", "the same weights", "record the same checkpoint"
        )
    asleep = asleep_of(trace)
    few, many = passes_of(trace)[asleep], passes_of(longer)[asleep]
    if (many <= few).any():
        raise WorkbenchError(
            f"a fixed point from {many.max(initial=0)} passes for a sleep of {few.max(initial=0)}",
            "a longer run; the last step of a sleep is not its fixed point",
            "record the same batch with sleep.with_passes(N), N several times as large",
        )


def _distances(trace: xr.DataTree, longer: xr.DataTree) -> xr.Dataset:
    """Return the variables of `convergence` that a longer run gives."""
    states = states_of(trace)
    values, other = (s.values.astype(np.float64) for s in (states, states_of(longer)))
    asleep, many = asleep_of(trace), passes_of(longer)
    every = np.arange(len(many))
    end, before = other[:, every, many], other[:, every, many - 1]
    size = _size(end)
    size = np.where((size > 0) & asleep[:, None, None], size, np.nan)
    whole = tuple(name for name in HEADS if name != dims.SLEEP_PASS)
    distance = _size(values - end[:, :, None]) / size[:, :, None]
    carried = _size(values[:, :, 0] - other[:, :, 0]) / size
    return result_of(
        states,
        {
            "distance": (HEADS, distance),
            "fixed_point_step": (whole, _size(end - before) / size),
            "carried_difference": (whole, carried),
        },
    )
