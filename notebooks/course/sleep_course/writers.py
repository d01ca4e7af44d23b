"""Who wrote the memory: by hand on a trace, with a formula that is wrong, and where it ends.

Called by notebook 5; its exercises are in `sleep_course.exercises.writers`. The exact
decomposition is `workbench.instruments.provenance`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
import xarray as xr

from workbench import dims
from workbench.config import SleepConfig
from workbench.instruments.change import SLEEP, replayed
from workbench.instruments.controls import REPLAY
from workbench.instruments.linear import forward, layers_of
from workbench.instruments.provenance import contribution_norms
from workbench.instruments.recorded import norms, passes_of
from workbench.sleep import SleepingModel, SleepPass, before_window, read
from workbench.trace import batch_of

Write = tuple[np.ndarray, np.ndarray, float, float]
"""k ``[key]``, v ``[value]``, beta and a of one token."""
Books = Callable[[list[Write]], Sequence[np.ndarray]]
"""A way to keep the books: a matrix for each write, ``[key, value]``."""


def writes_of(trace: xr.DataTree, *, example: int, gdn_head: int, window: int = 0) -> list[Write]:
    """Return all writes of a window into one head, pass after pass, as (k, v, beta, a)."""
    place = {dims.EXAMPLE: example, dims.GDN_HEAD: gdn_head, dims.WINDOW: window}
    found = trace["writes"].to_dataset().sel(place).isel({dims.LAYER: 0})
    order = (dims.SLEEP_PASS, dims.TOKEN)
    key = found["write_key"].transpose(*order, dims.KEY).values.astype(np.float64)
    value = found["write_value"].transpose(*order, dims.VALUE).values.astype(np.float64)
    beta, log_decay = (
        found[name].transpose(*order).values.astype(np.float64) for name in ("beta", "log_decay")
    )
    return [
        (key[p, t], value[p, t], float(beta[p, t]), float(np.exp(log_decay[p, t])))
        for p, t in np.ndindex(*beta.shape)
        if np.isfinite(beta[p, t])  # neither padding nor a pass that was not made
    ]


def by_pass(parts: Sequence[np.ndarray], passes: int) -> np.ndarray:
    """Return the sums over the tokens of each pass, ``[sleep_pass, key, value]``."""
    stacked = np.stack(parts)
    return stacked.reshape(passes, -1, *stacked.shape[1:]).sum(1)


def shares_against_replay(trace: xr.DataTree) -> xr.DataArray:
    """Return each pass's share of S at the end of the first window's sleep, and of its replay's.

    Means over examples, ``(procedure, gdn_head, source_pass)``, of the first layer.
    """
    first = trace.isel({dims.WINDOW: [0]})
    both = [contribution_norms(one)["share"] for one in (first, replayed(trace, window=0))]
    names = xr.IndexVariable(dims.PROCEDURE, [SLEEP, REPLAY])
    place = {dims.WINDOW: 0, dims.LAYER: 0, dims.SOURCE_WINDOW: 0}
    shares = xr.concat([one.isel(place, drop=True) for one in both], names, join="exact")
    return shares.mean(dims.EXAMPLE)


def changed_by(writes: Sequence[Write]) -> list[np.ndarray]:
    """Return what each write changed, shrunk by the later decays; together they are S as well.

    A token's part here is all that it changed, ``beta k (v - a S^T k)^T``, what it removed
    included. In the exercise what it removes is taken from the earlier parts.
    """
    state = np.zeros((len(writes[0][0]), len(writes[0][1])))
    parts: list[np.ndarray] = []
    for k, v, beta, a in writes:
        change = beta * np.outer(k, v - a * state.T @ k)
        state = a * state + change
        parts = [a * part for part in parts] + [change]
    return parts


def parts_of(trace: xr.DataTree, books: Books, *, passes: int) -> np.ndarray:
    """Return what `books` makes of each pass's writes of the first window, at the end of `passes`.

    ``[example, gdn_head, source_pass, key, value]``, of the first layer.
    """
    found = []
    sizes = trace["states"].sizes
    for example, head in np.ndindex(sizes[dims.EXAMPLE], sizes[dims.GDN_HEAD]):
        writes = writes_of(trace, example=example, gdn_head=head)
        tokens = len(writes) // int(passes_of(trace)[0])
        found.append(by_pass(books(writes[: tokens * passes]), passes))
    return np.reshape(found, (sizes[dims.EXAMPLE], -1, *np.shape(found)[1:]))


def shares_by(trace: xr.DataTree, books: Books) -> np.ndarray:
    """Return each pass's share of all that `books` adds up at the end of the first sleep.

    Means over examples, ``[gdn_head, source_pass]``.
    """
    parts = parts_of(trace, books, passes=int(passes_of(trace)[0]))
    whole = parts.sum(2, keepdims=True)
    return ((parts * whole).sum((-2, -1)) / (whole**2).sum((-2, -1))).mean(0)


def off_by(trace: xr.DataTree, books: Books, *, passes: int) -> np.ndarray:
    """Return ``|sum - S| / |S|`` of what `books` adds up after `passes`, ``[gdn_head]``.

    Means over examples.
    """
    here = {dims.WINDOW: 0, dims.SLEEP_PASS: passes}
    recorded = trace["states"].to_dataset()["fast_weight"].sel(here).isel({dims.LAYER: 0})
    state = recorded.transpose(dims.EXAMPLE, dims.GDN_HEAD, ...).values
    return (norms(parts_of(trace, books, passes=passes).sum(2) - state) / norms(state)).mean(0)


def kept_by_window(kept: Callable[..., tuple[float, float]], trace: xr.DataTree) -> np.ndarray:
    """Return what the learner's `kept` says of the first window's writes at the end of the next.

    ``[gdn_head, 2]``: what decay and what removal left, of example 0.
    """
    layer = next(layers_of(trace, examples=slice(0, 1)))
    last = int(passes_of(trace)[0])
    at_end = next(
        [part.contribution for part in sources if part.window == 0]
        for written, sources, _ in forward(layer)
        if (written.window, written.sleep_pass) == (0, last)
    )
    wrote = np.sum(at_end, axis=0)[0]
    heads = range(len(wrote))
    later = [writes_of(trace, example=0, gdn_head=h, window=1) for h in heads]
    keys = [[(k, beta, a) for k, _, beta, a in writes] for writes in later]
    return np.array([kept(wrote[h], keys[h]) for h in heads])


@torch.no_grad()
def foretold_and_real(
    model: SleepingModel, trace: xr.DataTree, sleep: SleepConfig, *, window: int
) -> xr.Dataset:
    """Take away what earlier windows wrote, by provenance and for real, and compare.

    By provenance: S of the trace less the contributions of windows before `window`. For real: the
    model reads on from that window with an empty memory, and writes what it then writes.

    Of the first layer, (sleep_pass, gdn_head), means over examples, parts of ``|S|``: ``earlier``,
    the norm of what earlier windows contribute; ``off``, that of the difference of both answers.
    """
    empty = model.empty_memory(trace.sizes[dims.EXAMPLE])
    events = read(model, batch_of(trace), sleep, start=before_window(window, empty))
    real = {
        event.sleep_pass: event.memory.fast_weights
        for event in events
        if isinstance(event, SleepPass) and event.window.index == window
    }
    earlier, off = [], []
    layer = next(layers_of(trace))
    for written, sources, _ in forward(layer):
        if written.window == window:
            before = [one.contribution for one in sources if one.window < window]
            part = np.sum(before, axis=0)
            state = layer.states[:, window, written.sleep_pass]
            found = next(iter(real[written.sleep_pass].values())).double().numpy()
            earlier.append((norms(part) / norms(state)).mean(0))
            off.append((norms(state - part - found) / norms(state)).mean(0))
    over = (dims.SLEEP_PASS, dims.GDN_HEAD)
    return xr.Dataset(
        {"earlier": (over, np.array(earlier)), "off": (over, np.array(off))},
        {dims.SLEEP_PASS: np.arange(1, len(earlier) + 1)},
    )
