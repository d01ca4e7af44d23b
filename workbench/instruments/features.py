"""What a probe reads: S at every place of a reading, and what it is compared with.

S comes from the model, or from a trace's states, which have the same dims::

    states = fast_weights(model, batch, sleep)
    states = trace["states"]["fast_weight"]
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import torch
import xarray as xr

from workbench import dims
from workbench.batch import Batch
from workbench.config import SleepConfig
from workbench.errors import WorkbenchError
from workbench.instruments.boundaries import known_passes
from workbench.model import HybridModel
from workbench.model.arrays import to_numpy
from workbench.model.memory import Memory
from workbench.sleep import SleepingModel, SleepPass, read

STATE: Final = (
    dims.EXAMPLE, dims.WINDOW, dims.SLEEP_PASS, dims.LAYER, dims.GDN_HEAD, dims.KEY, dims.VALUE,
)  # fmt: skip
"""Dims of S over a reading."""

OTHER_SEED: Final = 2**31 + 110
"""Seed of untrained weights: far from those that trainings are begun with."""


@torch.no_grad()
def fast_weights(
    model: SleepingModel,
    batch: Batch,
    sleep: SleepConfig,
    *,
    batch_size: int = 250,
    on_progress: Callable[[int], None] | None = None,
) -> xr.DataArray:
    """Read a batch, in parts, and return S at every place of every window that is slept on.

    Parameters
    ----------
    model : SleepingModel
        The network.
    batch : Batch
        Tokens ``[example, token]``.
    sleep : SleepConfig
        Window, eviction and N, which has to be a number.
    batch_size : int
        Examples read together.
    on_progress : callable or None
        Told the number of examples read since the last call.

    Returns
    -------
    DataArray
        ``(example, window, sleep_pass = 0..N, layer, gdn_head, key, value)``, float32 (float64 of a
        model in float64). sleep_pass 0 is what was carried into the window. Coordinate ``layer``
        holds indices of the stack.

    Raises
    ------
    WorkbenchError
        N is no number, nothing is slept on, or the layers' memories differ in shape.
    """
    most = known_passes(sleep)
    asleep = slept_on(batch, sleep)
    result = np.empty(0)
    for start in range(0, len(batch), batch_size):
        part = batch.examples(slice(start, start + batch_size))
        for event in read(model, part, sleep):
            if not isinstance(event, SleepPass):
                continue
            layers = sorted(event.memory.fast_weights)
            if not result.size:
                result = np.empty(
                    (len(batch), len(asleep), most + 1, len(layers), *_shape(event.memory)),
                    stacked(event.carried).dtype,
                )
            at = slice(start, start + len(part)), asleep.index(event.window.index)
            if event.sleep_pass == 1:
                result[*at, 0] = stacked(event.carried)
            result[*at, event.sleep_pass] = stacked(event.memory)
            if event.last and event.window.index == asleep[-1]:
                break  # what is answered afterwards is not looked at
        if on_progress is not None:
            on_progress(len(part))
    index = {dims.WINDOW: asleep, dims.SLEEP_PASS: np.arange(most + 1), dims.LAYER: layers}
    return xr.DataArray(result, index, STATE, name="fast_weight")


def slept_on(batch: Batch, sleep: SleepConfig) -> list[int]:
    """Return the indices of the windows without labels.

    Raises
    ------
    WorkbenchError
        Every window carries labels.
    """
    starts = range(0, batch.tokens.shape[1], sleep.window)
    asleep = [
        window
        for window, start in enumerate(starts)
        if not batch.loss_mask[:, start : start + sleep.window].any()
    ]
    if not asleep:
        raise WorkbenchError(
            f"sleep.window = {sleep.window}: every window carries labels",
            "a window to sleep on",
            "choose a window no longer than the task's context",
        )
    return asleep


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
    stop = min((window + 1) * sleep.window, batch.tokens.shape[1])
    tokens = torch.as_tensor(batch.tokens[:, :stop], device=model.device)
    embedded = to_numpy(model.embed(tokens).float())
    return np.where(batch.valid[:, :stop, None], embedded, 0).reshape(len(batch), -1)


def untrained(model: SleepingModel, *, seed: int = OTHER_SEED) -> HybridModel:
    """Return a model of the same configuration whose weights have never been trained.

    Raises
    ------
    WorkbenchError
        The model is none of ours, so that it is not known how its weights begin.
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


def stacked(memory: Memory) -> np.ndarray:
    """Return S of all layers, ``[example, layer, gdn_head, key, value]``."""
    _shape(memory)
    layers = sorted(memory.fast_weights)
    return np.stack([to_numpy(memory.fast_weights[i]) for i in layers], axis=1)


def _shape(memory: Memory) -> tuple[int, ...]:
    shapes = {tuple(s.shape[1:]) for s in memory.fast_weights.values()}
    if len(shapes) != 1:
        raise WorkbenchError(
            f"fast weights of shapes {sorted(shapes) or 'none'} [gdn_head, key, value]",
            "one shape in all layers",
            "probe a model with fast-weight layers that are alike",
        )
    return shapes.pop()
