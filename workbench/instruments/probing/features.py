"""What a probe reads: S at every place of a reading, and what it is compared with.

S comes from the model, or from a trace's states, which have the same dims::

    states = fast_weights(model, batch, sleep)
    states = trace["states"]["fast_weight"]
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
import xarray as xr

from workbench import dims
from workbench.batch import Batch
from workbench.config import SleepConfig
from workbench.errors import WorkbenchError
from workbench.instruments.boundaries import known_passes, slept_on, stacked, windows_read
from workbench.instruments.change import frozen_replay
from workbench.instruments.recorded import STATE_DIMS
from workbench.model import HybridModel
from workbench.model.arrays import to_numpy
from workbench.sleep import SleepingModel, SleepPass, read
from workbench.tasks.targets import ProbeTarget
from workbench.trace.recorder import recorded_parts

OTHER_SEED: Final = 2**31 + 110
"""Seed of untrained weights: far from those that trainings are begun with."""


@torch.no_grad()
def fast_weights(
    model: SleepingModel, batch: Batch, sleep: SleepConfig, *, batch_size: int = 250
) -> xr.DataArray:
    """Read a batch, in parts, and return S at every place of every window that is slept on.

    Result: ``(example, window, sleep_pass = 0..N, layer, gdn_head, key, value)``, float32 (float64
    of a model in float64). sleep_pass 0 is what was carried into the window. Coordinate ``layer``
    holds indices of the stack.

    Raises WorkbenchError: N is not a number, nothing is slept on, or the layers' memories differ in
    shape.
    """
    most = known_passes(sleep)
    asleep, rows = slept_on(batch, sleep), windows_read(batch, sleep)
    entry = {rows[number].window: n for n, number in enumerate(asleep)}
    result = np.empty(0)
    for start in range(0, len(batch), batch_size):
        part = batch.examples(slice(start, start + batch_size))
        for event in read(model, part, sleep):
            if not isinstance(event, SleepPass) or event.window.index not in entry:
                continue
            (before, layers), after = stacked(event.carried), to_numpy(stacked(event.memory)[0])
            if not result.size:
                shape = (len(batch), len(asleep), most + 1, *after.shape[1:])
                result = np.empty(shape, after.dtype)
            at = slice(start, start + len(part)), entry[event.window.index]
            if event.sleep_pass == 1:
                result[*at, 0] = to_numpy(before)
            result[*at, event.sleep_pass] = after
            if event.last and entry[event.window.index] == len(asleep) - 1:
                break  # the answers that follow are not needed
    index = {dims.WINDOW: asleep, dims.SLEEP_PASS: np.arange(most + 1), dims.LAYER: list(layers)}
    return xr.DataArray(result, index, STATE_DIMS, name="fast_weight")


def flattened(states: xr.DataArray, window: int, sleep_pass: int, layer: int) -> np.ndarray:
    """Return S at one place as features, ``[example, gdn_head x key x value]``; by label."""
    place = {dims.WINDOW: window, dims.SLEEP_PASS: sleep_pass, dims.LAYER: layer}
    here = states.sel(place).transpose(dims.EXAMPLE, dims.GDN_HEAD, dims.KEY, dims.VALUE)
    return here.values.reshape(here.sizes[dims.EXAMPLE], -1)


@torch.no_grad()
def embeddings(model: SleepingModel, batch: Batch, sleep: SleepConfig, window: int) -> np.ndarray:
    """Return the embedded tokens of windows 0..`window` as features, padding as zeros.

    ``[example, token x channel]``: what a probe finds without anything having been computed.
    """
    stop = windows_read(batch, sleep)[window].stop
    tokens = torch.as_tensor(batch.tokens[:, :stop], device=model.device)
    embedded = to_numpy(model.embed(tokens).float())
    return np.where(batch.valid[:, :stop, None], embedded, 0).reshape(len(batch), -1)


def replayed_weights(
    model: SleepingModel, batch: Batch, sleep: SleepConfig, *, batch_size: int = 64
) -> xr.DataArray:
    """Return S when what pass 1 wrote into a window is written again in every later pass.

    Each window begins with the state that the sleep itself carried into it, so that the replay
    lacks nothing but what later passes add over the first one.

    Result: as `fast_weights`; equal to it at sleep_pass 0 and 1.

    Raises WorkbenchError: as `fast_weights`, or the model cannot tell its writes.
    """
    known_passes(sleep)
    asleep = slept_on(batch, sleep)
    parts = recorded_parts(model, batch, sleep, batch_size=batch_size)
    states = [
        frozen_replay(part).sel({dims.WINDOW: asleep}).transpose(*STATE_DIMS) for part in parts
    ]
    return xr.concat(states, dims.EXAMPLE, join="exact", coords="minimal", compat="override")


def said(
    batch: Batch, sleep: SleepConfig, targets: Sequence[ProbeTarget], window: int
) -> np.ndarray:
    """Return what the text of windows 0..`window` says of each item, one-hot.

    Of targets with kinds that is the type of each item's input, once it has been read: a node's
    edge (so of a graph a bag of edges), a cell with its neighbours. Of others it is the symbol at
    each place.

    Result: ``[example, feature]``, float32, 0 or 1; entries that are 0 in every example are left
    out.
    """
    stop = windows_read(batch, sleep)[window].stop
    names = np.where(batch.valid[:, :stop], batch.tokens[:, :stop], -1)
    typed = next((target for target in targets if target.kinds is not None), None)
    if typed is not None and typed.kinds is not None:
        names = np.where(True if typed.read_at is None else typed.read_at < stop, typed.kinds, -1)
    one_hot = (names[:, :, None] == np.arange(names.max(initial=0) + 1)).reshape(len(names), -1)
    there = one_hot.any(axis=0)
    if not there.any():  # nothing has been said yet
        there[:1] = True
    return one_hot[:, there].astype(np.float32)


def with_pairs(one_hot: np.ndarray) -> np.ndarray:
    """Return features of equal inner products with all entries and all products of two of them.

    With x and y of 0 and 1 and g = x . y, the entries and the products of two different ones have
    the inner product ``g + g (g - 1) / 2``; a ridge regression sees features by these alone. So
    hundreds of thousands of products need no more features than there are examples.

    - one_hot: ``[example, feature]``, 0 or 1.

    Result: ``[example, mode]``, float64.
    """
    from scipy.linalg import eigh

    common = one_hot.astype(np.float64) @ one_hot.T.astype(np.float64)
    strength, vectors = eigh(common * (common + 1) / 2, overwrite_a=True, driver="evd")
    kept = strength > 1e-12 * max(float(strength[-1]), 1.0)
    kept[-1] = True
    return vectors[:, kept] * np.sqrt(np.maximum(strength[kept], 0))


def untrained(model: SleepingModel, *, seed: int = OTHER_SEED) -> HybridModel:
    """Return a model of the same configuration whose weights have never been trained.

    Raises WorkbenchError: the model is not a `HybridModel`, so its initial weights are not known.
    """
    if not isinstance(model, HybridModel):
        raise WorkbenchError(
            f"a {type(model).__name__}, whose initial weights are not known here",
            "a HybridModel, or the untrained model itself",
            "hand over an untrained one",
        )
    dtype = model.embedding.weight.dtype
    fresh = HybridModel(model.config, seed=seed).to(model.device, dtype)
    return fresh.eval().requires_grad_(False)
