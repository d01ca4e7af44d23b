"""Write provenance: which window, pass and token each part of the memory comes from.

Exact, by `workbench.instruments.linear`: with keys, write strengths and decays held as recorded,
S is a sum of one rank-1 matrix for each token ever written, and of what is left of the state
carried in at the very first place. The sum is checked against the recorded state.

How S is divided is a convention, and the shares depend on it a great deal. What a token removes
from S before it writes is charged to the older writes ("left of each write"), or to the token
itself ("changed by each write"). Both sums are S. Say which one a number is of.

What it does not say: had an earlier write been different, later tokens would have computed other
keys and values. That is a cause, not a content; `workbench.instruments.interventions` asks it.
"""

from __future__ import annotations

from functools import partial
from itertools import product
from typing import Final

import numpy as np
import xarray as xr

from workbench import dims
from workbench.errors import WorkbenchError
from workbench.instruments.linear import CHANGED, LEFT, Layer, Source, forward, layers_of
from workbench.instruments.recorded import (
    HEADS,
    UNITS_OF_S,
    norms,
    passes_of,
    recorded,
    result_of,
    states_of,
)

WHOLE: Final = ("carried_norm", "carried_share", "unexplained")
"""What is measured of S as a whole; the rest is by source."""

UNEXPLAINED: Final = 1e-2
"""Largest part of a state that its writes may leave out: more means that writes are missing."""

HELD: Final = "keys, write strengths and decays as recorded; earlier writes' effect on later keys \
is not included"
BOOKED: Final = {
    LEFT: "what a token removes from S is taken from the writes that were there before it",
    CHANGED: "what a token removes from S belongs to that token's own change",
}
"""What each convention says of removal."""


def contribution_norms(
    trace: xr.DataTree,
    *,
    convention: str = LEFT,
    every_pass: bool = False,
    every_token: bool = False,
) -> xr.Dataset:
    """Return how much of the memory comes from where.

    - convention: how S is divided: "left of each write" or "changed by each write", one of
      `workbench.instruments.linear.CONVENTIONS`.
    - every_pass: look at the memory after every pass (and at sleep_pass 0, as carried into the
      window), not only at the end of each window: the results then have the dim sleep_pass.
    - every_token: tell tokens apart: ``norm`` and ``share`` then have the dim source_token.

    Result:
    - ``norm`` (example, window, [sleep_pass,] layer, gdn_head, source_window, source_pass,
      [source_token]): Frobenius norm of the contribution, in units of S. Norms of parts that
      point in different directions do not add up.
    - ``share``, same dims: projection of the contribution on S, divided by ``|S|^2``. Signed,
      and shares add up to 1 (with ``carried_share``). NaN where S = 0.
    - ``carried_norm``, ``carried_share`` (the first dims): of the state carried in at the
      very first place.
    - ``unexplained`` (the first dims): norm of S minus all contributions, as part of the norm
      of S or of the largest contribution.

    What is written later than the place contributes 0; a pass that a window did not have is NaN.

    Raises WorkbenchError: the trace keeps no states or no writes, the writes do not make up the
    states, or the convention is unknown.
    """
    states, passes = states_of(trace), passes_of(trace)
    sizes = [states.sizes[name] for name in HEADS]
    tokens = recorded(trace, "writes", "beta").sizes[dims.TOKEN]
    most = int(passes.max(initial=1))
    parts = (len(passes), most, tokens) if every_token else (len(passes), most)
    over = (*HEADS, dims.SOURCE_WINDOW, dims.SOURCE_PASS, dims.SOURCE_TOKEN)[: 5 + len(parts)]
    found = {name: np.full((*sizes, *parts), np.nan) for name in ("norm", "share")}
    found |= {name: np.full(sizes, np.nan) for name in WHOLE}
    look = partial(_look, found=found, every_token=every_token)
    for layer in layers_of(trace):
        if every_pass:
            look(layer, 0, 0, [], layer.carried_in)
        for written, sources, carried in forward(layer, convention=convention):
            w, p = written.window, written.sleep_pass
            if every_pass or p == passes[w]:
                look(layer, w, p, sources, carried)
            if every_pass and p == passes[w] and w + 1 < len(passes):
                look(layer, w + 1, 0, sources, carried)
    worst = float(np.nanmax(found["unexplained"], initial=0.0))
    if worst > UNEXPLAINED:
        raise WorkbenchError(
            f"writes that leave out {worst:.0%} of a state",
            "a memory that is the sum of what the trace says was written",
            "record a sleep that writes in every pass (write = 'every_pass', wake_passes = 1)",
        )
    coords = {dims.SOURCE_PASS: np.arange(1, most + 1)}
    if dims.WINDOW in states.coords:
        coords[dims.SOURCE_WINDOW] = states.coords[dims.WINDOW].values
    if every_token:
        coords[dims.SOURCE_TOKEN] = np.arange(tokens)
    for (window, count), name in product(enumerate(passes), ("norm", "share")):
        found[name][:, :, :, :, :, window, count:] = np.nan
    result = result_of(
        states,
        {name: (HEADS if name in WHOLE else over, values) for name, values in found.items()},
        coords,
        units={
            UNITS_OF_S: ("norm", "carried_norm"),
            "share of S": ("share", "carried_share", "unexplained"),
        },
        held=HELD,
        compared="contribution of each source with the recorded state",
        convention=convention,
        removal=BOOKED[convention],
    )
    if every_pass:
        return result
    last = xr.DataArray(passes, dims=(dims.WINDOW,))
    return result.isel({dims.SLEEP_PASS: last}).drop_vars(dims.SLEEP_PASS, errors="ignore")


def _look(
    layer: Layer,
    w: int,
    p: int,
    sources: list[Source],
    carried: np.ndarray,
    *,
    found: dict[str, np.ndarray],
    every_token: bool,
) -> None:
    """Enter what one layer's memory at one place comes from."""
    state = layer.states[:, w, p]
    at = (layer.examples, w, p, layer.index)
    with np.errstate(divide="ignore", invalid="ignore"):
        squared = np.einsum("ehkv,ehkv->eh", state, state)
        onto = state / squared[..., None, None]
        # later than the place is nothing, until it is found below; of nothing, no share
        apart = (..., *[None] * (found["norm"].ndim - 5))
        found["norm"][at], found["share"][at] = 0.0, (0.0 / squared)[apart]
        rest, largest = state - carried, np.maximum(norms(state), norms(carried))
        for source in sources:
            part = source.contribution
            rest = rest - part
            largest = np.maximum(largest, norms(part))
            here = (*at, slice(None), source.window, source.sleep_pass - 1)
            if every_token:
                lengths = (np.linalg.norm(side, axis=-1) for side in (source.reach, source.value))
                found["norm"][here] = np.multiply(*lengths)
                found["share"][here] = np.einsum(
                    "ehtk,ehkv,ehtv->eht", source.reach, onto, source.value, optimize=True
                )
            else:
                found["norm"][here] = norms(part)
                found["share"][here] = np.einsum("ehkv,ehkv->eh", part, onto)
        found["carried_norm"][at] = norms(carried)
        found["carried_share"][at] = np.einsum("ehkv,ehkv->eh", carried, onto)
        found["unexplained"][at] = norms(rest) / np.where(largest == 0, 1.0, largest)
