"""The memory as a linear function of what was written into it.

With keys k_i, write strengths b_i and decays a_i held as recorded, one token changes S by ::

    S_i = A_i S_(i-1) + b_i k_i v_i^T      A_i = a_i (I - b_i k_i k_i^T)    delta rule
                                            A_i = a_i I                      outer product

(the delta rule: decay first, then what S returns for the key is subtracted; arXiv 2412.06464).
Unrolled from the state S_0 at the beginning to the token T ::

    S_T = A_T ... A_1 S_0 + sum_i A_T ... A_(i+1) b_i k_i v_i^T

so that every write stands in S_T as r_i v_i^T with one vector on the key side,
``r_i = b_i A_T ... A_(i+1) k_i``: values are never touched by what comes later, and no
contribution need be formed to know its norm, ``|r_i| |v_i|``. Going backwards from the end of a
pass, with P the product of the transitions met so far, each token costs one product and one
rank-1 update: ``r_i = b_i P k_i``, then ``P := a_i (P - b_i (P k_i) k_i^T)``.

The decays are scalars and commute with everything, so a transition is kept as two factors, what
decays took and what key removal took: ``A_T ... A_1 = decay * removal``.

That is one of two conventions. A token of the delta rule also takes out of S what its key held,
and the sum above charges this to the older writes (`LEFT`). The other convention charges it to
the token itself (`CHANGED`): with d_i the product of the decays after token i ::

    S_T = d_0 S_0 + sum_i d_i b_i k_i (v_i - a_i S_(i-1)^T k_i)^T

so that a write is the whole change it made, and only decays shrink it later. Both sums are S, and
each of their terms has rank 1; neither is more right than the other. For the outer product, which
removes nothing, they are the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import xarray as xr

from workbench import dims
from workbench.instruments.recorded import check_choice, passes_of, recorded, states_of

CHUNK: Final = 64
"""Examples computed together."""

LEFT: Final = "left of each write"
"""Convention: a write is its own key and value, less what later keys removed of it."""

CHANGED: Final = "changed by each write"
"""Convention: a write is the whole change it made to S; only decays shrink it later."""

CONVENTIONS: Final = (LEFT, CHANGED)
"""How S can be divided among what was written; see the module's docstring."""


@dataclass(frozen=True)
class Written:
    """What one pass over one window (by its position) wrote into one layer, float64.

    - key, value: ``[example, gdn_head, token, .]``.
    - beta, log_decay: ``[example, gdn_head, token]``; 0 where nothing was written (padding).
    """

    window: int
    sleep_pass: int
    key: np.ndarray
    value: np.ndarray
    beta: np.ndarray
    log_decay: np.ndarray


@dataclass(frozen=True)
class Transition:
    """What a pass does to any state: ``S -> decay * removal S + reach^T value``.

    - decay: product of the pass's decays, ``[example, gdn_head]``.
    - removal: product of its ``I - b k k^T``, ``[example, gdn_head, key, key]``.
    - reach: r_i at the end of the pass, ``[example, gdn_head, token, key]``.
    """

    decay: np.ndarray
    removal: np.ndarray
    reach: np.ndarray

    @property
    def matrix(self) -> np.ndarray:
        """``decay * removal``, ``[example, gdn_head, key, key]``."""
        return self.decay[..., None, None] * self.removal


@dataclass
class Source:
    """A pass as the origin of a part of the memory, seen from a later place.

    - reach: key side of each write there, ``[example, gdn_head, token, key]``: r_i, or
      ``d_i b_i k_i`` by the convention `CHANGED`.
    - value: value side, ``[example, gdn_head, token, value]``: v_i, or what was added to the value
      that S held under the key.
    """

    window: int
    sleep_pass: int
    reach: np.ndarray
    value: np.ndarray

    @property
    def contribution(self) -> np.ndarray:
        """What this pass contributes to S, ``[example, gdn_head, key, value]``."""
        return np.swapaxes(self.reach, -1, -2) @ self.value


@dataclass(frozen=True)
class Layer:
    """One layer of a trace, by its position, for some examples.

    - states: S as recorded, float64 ``[example, window, sleep_pass, gdn_head, key, value]``.
    - written: every pass, in the order of time.
    """

    index: int
    examples: slice
    corrects: bool
    states: np.ndarray
    written: tuple[Written, ...]

    @property
    def carried_in(self) -> np.ndarray:
        """S at the very first place, ``[example, gdn_head, key, value]``."""
        return self.states[:, 0, 0]


def layers_of(trace: xr.DataTree, *, examples: slice | None = None) -> Iterator[Layer]:
    """Yield the layers of a trace, `CHUNK` examples at a time.

    - examples: positions of the examples wanted, of step 1; None means all.

    Raises WorkbenchError: the trace keeps no states, or no writes.
    """
    states = states_of(trace)
    over = (dims.EXAMPLE, dims.WINDOW, dims.SLEEP_PASS, dims.LAYER, dims.GDN_HEAD, dims.TOKEN)
    last = {"write_key": dims.KEY, "write_value": dims.VALUE, "beta": None, "log_decay": None}
    arrays = {
        name: recorded(trace, "writes", name).transpose(*over, *([dim] if dim else []))
        for name, dim in last.items()
    }
    corrects = arrays["beta"].coords["corrects"].values
    passes = passes_of(trace)
    first, stop, _ = (examples or slice(None)).indices(states.sizes[dims.EXAMPLE])
    for layer in range(states.sizes[dims.LAYER]):
        for begin in range(first, stop, CHUNK):
            part = slice(begin, min(begin + CHUNK, stop))
            # padding was never written: it is as good as a write of strength 0 without decay
            here = {
                name: np.nan_to_num(a[part, :, :, layer].values.astype(np.float64))
                for name, a in arrays.items()
            }
            written = tuple(
                Written(w, p, *(here[name][:, w, p - 1] for name in last))
                for w, count in enumerate(passes)
                for p in range(1, count + 1)
            )
            values = states[part, :, :, layer].values.astype(np.float64)
            yield Layer(layer, part, bool(corrects[layer]), values, written)


def transition(written: Written, *, corrects: bool) -> Transition:
    """Return what a pass does to any state; see the module's docstring."""
    key, beta = written.key, written.beta
    removal = np.broadcast_to(np.eye(key.shape[-1]), (*key.shape[:2], *(key.shape[-1:] * 2)))
    log_decay = np.zeros(key.shape[:2])
    reach = np.empty_like(key)
    for i in reversed(range(key.shape[2])):
        k, b = key[:, :, i], beta[:, :, i, None]
        seen = b * (removal @ k[..., None])[..., 0]  # (example, gdn_head, key)
        reach[:, :, i] = np.exp(log_decay)[..., None] * seen
        if corrects:
            removal = removal - seen[..., None] * k[..., None, :]
        log_decay = log_decay + written.log_decay[:, :, i]
    return Transition(np.exp(log_decay), removal, reach)


def transitions(layer: Layer, window: int) -> Iterator[tuple[Transition, np.ndarray]]:
    """Yield what each pass over a window does to any state, and what it wrote, at its end.

    The second is ``reach^T value``, ``[example, gdn_head, key, value]``.
    """
    for written in layer.written:
        if written.window == window:
            step = transition(written, corrects=layer.corrects)
            yield step, np.swapaxes(step.reach, -1, -2) @ written.value


def changes(written: Written, state: np.ndarray, *, corrects: bool) -> tuple[Source, np.ndarray]:
    """Return a pass as the changes its tokens made, and S after it.

    - written: the pass.
    - state: S before it, ``[example, gdn_head, key, value]``.
    """
    key, beta, decay = written.key, written.beta, np.exp(written.log_decay)
    value = written.value.copy()
    for i in range(key.shape[2]):
        k = key[:, :, i]
        state = decay[:, :, i, None, None] * state
        if corrects:
            value[:, :, i] -= np.einsum("ehk,ehkv->ehv", k, state)
        state = state + beta[:, :, i, None, None] * k[..., None] * value[:, :, i, None, :]
    # decays after each token, its own left out
    later = np.cumprod(decay[..., ::-1], axis=-1)[..., ::-1]
    later = np.concatenate((later[..., 1:], np.ones_like(later[..., :1])), axis=-1)
    reach = (later * beta)[..., None] * key
    return Source(written.window, written.sleep_pass, reach, value), state


def forward(
    layer: Layer, *, convention: str = LEFT
) -> Iterator[tuple[Written, list[Source], np.ndarray]]:
    """Go through a layer's passes in the order of time.

    Each step:
    - written: the pass that has just ended: its end is the place from which the sources are seen.
    - sources: every pass up to and with this one. Changed by the next step: take what is needed.
    - carried: what is left of the state carried in at the very first place, ``[example, gdn_head,
      key, value]``.
    """
    check_choice("convention", convention, CONVENTIONS)
    sources: list[Source] = []
    carried = state = layer.carried_in
    for written in layer.written:
        if convention == CHANGED:
            source, state = changes(written, state, corrects=layer.corrects)
            decay = np.exp(written.log_decay.sum(-1))[..., None, None]
            for earlier in sources:
                earlier.reach = decay * earlier.reach
            carried = decay * carried
        else:
            step = transition(written, corrects=layer.corrects)
            for earlier in sources:
                earlier.reach = earlier.reach @ np.swapaxes(step.matrix, -1, -2)
            carried = step.matrix @ carried
            source = Source(written.window, written.sleep_pass, step.reach, written.value)
        sources.append(source)
        yield written, sources, carried
