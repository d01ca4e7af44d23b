"""Key-value readout: what the memory returns for a token's key, and what was written under it.

S is queried with the keys that wrote into it, S^T k, at any later place (and at earlier ones, which
is what it would have returned without that write). No model is run: this is what the memory holds,
not what a later query, with other keys, gets out of it.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import xarray as xr

from workbench import dims
from workbench.errors import WorkbenchError
from workbench.instruments.linear import forward, layers_of
from workbench.instruments.recorded import (
    HEADS,
    passes_of,
    position,
    recorded,
    result_of,
    states_of,
)

TIE: Final = 1e-6
"""Likenesses closer than this part of the best are taken for equal."""

_OVER: Final = (dims.EXAMPLE, dims.LAYER, dims.GDN_HEAD)


def readout(trace: xr.DataTree, *, source_window: int) -> xr.Dataset:
    """Ask the memory, at every place, with the keys of a window's last pass.

    - source_window: the window whose keys and values are taken, by the trace's label.

    Result: over (example, window, sleep_pass, layer, gdn_head, source_token), NaN for padding and
    past the passes of a window:

    - ``cosine``: of S^T k and v; NaN where either is 0;
    - ``relative_distance``: ``|S^T k - v| / |v|``: 0 for a perfect memory, 1 for an empty one;
    - ``retrieved``: 1 where, of the values written in that pass, the token's own is nearest to
      what S returns (by direction, whatever the decay has left of it), 0 where it is another's;
      1 / number where several are equally near and its own is one of them.

    ``accuracy`` (without source_token) is the mean of ``retrieved``, ``chance`` (example,
    layer, gdn_head) what a random choice among the values would score, 1 / number of tokens.

    Raises WorkbenchError: the trace keeps no states or no writes, or lacks the window.
    """
    states, passes = states_of(trace), passes_of(trace)
    of_pass = int(passes[position(states, dims.WINDOW, source_window)])
    key, value, was_written = _writes_of(trace, states, source_window, of_pass)
    count = was_written.sum(-1)  # (example, layer, gdn_head)
    sizes = (*(states.sizes[name] for name in HEADS), key.shape[-2])
    found = {n: np.full(sizes, np.nan) for n in ("cosine", "relative_distance", "retrieved")}
    length = np.linalg.norm(value, axis=-1)
    pairs = was_written[..., None, :]  # only values that were written are candidates
    with np.errstate(divide="ignore", invalid="ignore"):
        unit = np.nan_to_num(value / length[..., None])
        for w, last in enumerate(passes):
            for p in range(last + 1):
                state = states[:, w, p].values.astype(np.float64)
                returned = key @ state  # (example, layer, gdn_head, source_token, value)
                size = np.linalg.norm(returned, axis=-1)
                likeness = np.nan_to_num(returned / size[..., None]) @ np.swapaxes(unit, -1, -2)
                here = {
                    "cosine": np.einsum("...v,...v->...", returned, value) / (size * length),
                    "relative_distance": np.linalg.norm(returned - value, axis=-1) / length,
                    "retrieved": _own_is_nearest(np.where(pairs, likeness, -np.inf)),
                }
                for name, values in here.items():
                    found[name][:, w, p] = np.where(was_written, values, np.nan)
        real = np.isfinite(found["retrieved"])
        right = np.where(real, found["retrieved"], 0.0).sum(-1) / real.sum(-1)
        chance = np.where(count > 0, 1 / count, np.nan)
    return result_of(
        states,
        {name: ((*HEADS, dims.SOURCE_TOKEN), values) for name, values in found.items()}
        | {"accuracy": (HEADS, right), "chance": (_OVER, chance)},
        {dims.SOURCE_TOKEN: np.arange(key.shape[-2])},
        units={
            "share of tokens": ("retrieved", "accuracy", "chance"),
            "norm of the value": ("relative_distance",),
        },
        compared="what S returns for a key with the value written under it",
        baseline="chance: one of the values of that pass at random",
        nearest="cosine",
        source_window=source_window,
        source_pass=of_pass,
    )


def crosstalk(
    trace: xr.DataTree, *, window: int, sleep_pass: int, source_window: int | None = None
) -> xr.Dataset:
    """Return whose values the memory returns for whose key, at one place.

    - window, sleep_pass: the place, after a pass: by the window's label, and sleep_pass from 1.
    - source_window: the window whose last pass gives the keys; None is the place's own window and
      pass.

    Result:
    - ``weight`` (example, layer, gdn_head, token, source_token): how much of the value that
      `source_token` wrote in that pass comes back for `token`'s key: r_s . k_t
      (`workbench.instruments.linear`). A perfect memory returns the identity.
    - ``cosine``, same dims: of S^T k_t and v_s.
    - ``own``, ``others``, ``elsewhere`` (example, layer, gdn_head, token): share of what is
      returned that comes from the token's own write, from other tokens of that pass, and
      from all other passes and windows; signed, they add up to 1.

    NaN for padding, and where nothing is returned.

    Raises WorkbenchError: the trace keeps no states or no writes, there is no such place, or the
    source is later.
    """
    states, passes = states_of(trace), passes_of(trace)
    inside = source_window in (None, window)
    source_window = window if source_window is None else source_window
    source_at, at = (position(states, dims.WINDOW, label) for label in (source_window, window))
    if not 1 <= sleep_pass <= passes[at]:
        raise WorkbenchError(
            f"sleep pass {sleep_pass} of window {window}",
            f"1 to {passes[at]}, the passes of that window",
            "choose another pass, or record a longer sleep",
        )
    of_pass = sleep_pass if inside else int(passes[source_at])
    source, place = (source_at, of_pass), (at, sleep_pass)
    if source > place:
        raise WorkbenchError(
            f"pass {sleep_pass} of window {window}, asked about pass {of_pass} of {source_window}",
            "a pass that is not before the source",
            "choose a later place, or an earlier source",
        )
    key, value, was_written = _writes_of(trace, states, source_window, of_pass)
    reach = np.full(key.shape, np.nan)
    for layer in layers_of(trace):
        step = next(s for s in forward(layer) if (s[0].window, s[0].sleep_pass) == place)
        (mine,) = (s for s in step[1] if (s.window, s.sleep_pass) == source)
        reach[layer.examples, layer.index] = mine.reach
    state = states[:, at, sleep_pass].values.astype(np.float64)
    returned = key @ state
    weight = key @ np.swapaxes(reach, -1, -2)
    along = returned @ np.swapaxes(value, -1, -2)  # (example, layer, gdn_head, token, source_token)
    with np.errstate(divide="ignore", invalid="ignore"):
        size = np.linalg.norm(returned, axis=-1)[..., None]
        cosine = along / (size * np.linalg.norm(value, axis=-1)[..., None, :])
        share = weight * along / size**2
    both = was_written[..., None] & was_written[..., None, :]
    own, whole = np.einsum("...tt->...t", share), share.sum(-1)
    pairs = {"weight": weight, "cosine": cosine}
    parts = {"own": own, "others": whole - own, "elsewhere": 1 - whole}
    over = (*_OVER, dims.TOKEN)
    tokens = np.arange(key.shape[-2])
    return result_of(
        states,
        {n: ((*over, dims.SOURCE_TOKEN), np.where(both, a, np.nan)) for n, a in pairs.items()}
        | {n: (over, np.where(was_written, a, np.nan)) for n, a in parts.items()},
        {dims.TOKEN: tokens, dims.SOURCE_TOKEN: tokens},
        units={"share of what is returned": tuple(parts)},
        compared="what S returns for a token's key with every value of one pass",
        window=window,
        sleep_pass=sleep_pass,
        source_window=source_window,
        source_pass=of_pass,
    )


def _own_is_nearest(likeness: np.ndarray) -> np.ndarray:
    """Return 1, or 1 / number of ties, where ``[..., token, candidate]`` is best for itself."""
    best = likeness.max(-1, keepdims=True)
    with np.errstate(invalid="ignore"):  # no candidate at all: such tokens are masked by the caller
        ties = likeness >= best - TIE * np.abs(best)
    own = np.einsum("...tt->...t", ties)
    return own / np.maximum(ties.sum(-1), 1)


def _writes_of(
    trace: xr.DataTree, states: xr.DataArray, window: int, sleep_pass: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return k, v ``[example, layer, gdn_head, token, .]`` of a pass, and what was written."""
    at = {dims.WINDOW: position(states, dims.WINDOW, window), dims.SLEEP_PASS: sleep_pass - 1}
    over = (*_OVER, dims.TOKEN)
    key, value, beta = (
        np.nan_to_num(
            recorded(trace, "writes", name)
            .isel(at)
            .transpose(*over, *last)
            .values.astype(np.float64)
        )
        for name, last in (("write_key", [dims.KEY]), ("write_value", [dims.VALUE]), ("beta", []))
    )
    return key, value, beta > 0
