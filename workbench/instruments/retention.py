"""Retention: how much of what was written is still in the memory later, and what took the rest.

What a window wrote, C, stands in a later memory as ``decay * removal C``
(`workbench.instruments.linear`): decays shrink it evenly, and every later key takes out of it
what it finds along itself. The two factors multiply to what is left, exactly. What is lost is
divided between them as Shapley would (the mean over both orders of taking them away).
"""

from __future__ import annotations

from typing import Final

import numpy as np
import xarray as xr

from workbench import dims
from workbench.instruments.linear import Layer, Transition, layers_of, transitions
from workbench.instruments.recorded import norms, passes_of, result_of, states_of

_HEADS: Final = (dims.EXAMPLE, dims.LAYER, dims.GDN_HEAD)
NAMES: Final = ("retention", "decay", "removal", "similarity", "lost_to_decay", "lost_to_removal")


def retention(trace: xr.DataTree) -> xr.Dataset:
    """Return what is left, after k more windows, of what each window wrote.

    What a window wrote is all its passes together, as it stands in the memory when the window
    ends: age 0.

    Result: all (example, layer, gdn_head, source_window, age), NaN past the last window, and where
    the window's writes had cancelled each other at its end:

    - ``retention``: ``|C_k| / |C_0|``, the norm of the contribution after k more windows
      relative to that at the end of its own window; the product of the next two;
    - ``decay``: the product of the decays in between;
    - ``removal``: what key removal alone would have left, ``|removal C_0| / |C_0|``;
    - ``similarity``: cosine of C_k and C_0; below 1, some of its directions were lost;
    - ``lost_to_decay``, ``lost_to_removal``: loss in the kth window after it, as parts of
      ``|C_0|``. Summed up to age k they make ``1 - retention``.

    A window that is read awake writes too, and counts like any other.

    Raises WorkbenchError: the trace keeps no states or no writes.
    """
    states, windows = states_of(trace), len(passes_of(trace))
    found = _nothing([*(states.sizes[name] for name in _HEADS), windows, windows])
    for layer in layers_of(trace):
        steps = _windows(layer, windows)
        for source in range(windows):
            left = _followed(steps[source][1], [step for step, _ in steps[source + 1 :]])
            for name, values in left.items():
                found[name][layer.examples, layer.index, :, source, : values.shape[-1]] = values
    over = (*_HEADS, dims.SOURCE_WINDOW, dims.AGE)
    coords = {dims.AGE: np.arange(windows)}
    if dims.WINDOW in states.coords:
        coords[dims.SOURCE_WINDOW] = states.coords[dims.WINDOW].values
    compared = "what a window wrote, k windows later, with the same at its own end"
    laid = {name: (over, values) for name, values in found.items()}
    return result_of(states, laid, coords, units={"windows": (dims.AGE,)}, compared=compared)


def pass_retention(trace: xr.DataTree) -> xr.Dataset:
    """Return what is left, after later passes of the same sleep, of what each pass wrote.

    Result: the variables of `retention`, over (example, window, layer, gdn_head, source_pass,
    sleep_pass): relative to the contribution at the end of the pass that wrote it; NaN before that
    pass. The losses are those in pass `sleep_pass`.

    Raises WorkbenchError: the trace keeps no states or no writes.
    """
    states, passes = states_of(trace), passes_of(trace)
    over = (dims.EXAMPLE, dims.WINDOW, dims.LAYER, dims.GDN_HEAD)
    most = int(passes.max(initial=1))
    found = _nothing([*(states.sizes[name] for name in over), most, most])
    for layer in layers_of(trace):
        for window, count in enumerate(passes):
            inside = list(transitions(layer, window))
            for i, (_, wrote) in enumerate(inside):
                later = [step for step, _ in inside[i + 1 :]]
                for name, values in _followed(wrote, later).items():
                    found[name][layer.examples, window, layer.index, :, i, i:count] = values
    axes, numbers = (*over, dims.SOURCE_PASS, dims.SLEEP_PASS), np.arange(1, most + 1)
    return result_of(
        states,
        {name: (axes, values) for name, values in found.items()},
        {dims.SOURCE_PASS: numbers, dims.SLEEP_PASS: numbers},
        compared="what a pass wrote, after later passes, with the same at its own end",
    )


def _nothing(sizes: list[int]) -> dict[str, np.ndarray]:
    return {name: np.full(sizes, np.nan) for name in NAMES}


def _windows(layer: Layer, windows: int) -> list[tuple[Transition, np.ndarray]]:
    """Return each window's transition, all passes together, and what it wrote, at its end."""
    found = []
    for window in range(windows):
        (step, wrote), *later = transitions(layer, window)
        for this, added in later:
            step = Transition(step.decay * this.decay, this.removal @ step.removal, this.reach)
            wrote = this.matrix @ wrote + added
        found.append((step, wrote))
    return found


def _followed(wrote: np.ndarray, steps: list[Transition]) -> dict[str, np.ndarray]:
    """Return the variables of `retention` ``[example, gdn_head, 1 + len(steps)]``.

    - wrote: the contribution when it was complete, ``[example, gdn_head, key, value]``.
    - steps: what came after it, in the order of time.
    """
    size = norms(wrote)
    shape = (*size.shape, 1 + len(steps))
    found = {name: np.zeros(shape) for name in NAMES}
    left, decay = wrote, np.ones_like(size)
    with np.errstate(divide="ignore", invalid="ignore"):
        start = size / size  # 1, or NaN where there is nothing to be kept
        kept = start
        for age, step in enumerate([None, *steps]):
            if step is not None:
                before, left, decay = norms(left), step.removal @ left, decay * step.decay
                removed = np.where(before > 0, norms(left) / before, 1.0)
                shrunk = step.decay
                # two orders: 1 - a then a (1 - q), or 1 - q then q (1 - a); here their mean
                found["lost_to_decay"][..., age] = kept * (1 - shrunk) * (1 + removed) / 2
                found["lost_to_removal"][..., age] = kept * (1 - removed) * (1 + shrunk) / 2
                kept = kept * shrunk * removed
            found["decay"][..., age] = decay * start
            found["removal"][..., age] = norms(left) / size
            found["retention"][..., age] = kept
            found["similarity"][..., age] = np.einsum("ehkv,ehkv->eh", left, wrote) / (
                norms(left) * size
            )
    for name in ("lost_to_decay", "lost_to_removal"):
        found[name] *= start[..., None]
    return found
