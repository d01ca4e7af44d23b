"""Looking into a model's own memory: what S returns after every pass, what the model answers.

Written for contexts of one window, as in the bundled Depo models.
"""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr

from workbench import dims
from workbench.batch import Batch
from workbench.config import SleepConfig
from workbench.instruments.patching.context_swaps import swap_context
from workbench.model import HybridModel, Memory
from workbench.sleep import SleepPass, read, wake_now
from workbench.tasks.base import Task
from workbench.trace.answers import said_tokens
from workbench.training.loss import query_correct, token_correct


@torch.no_grad()
def sleep_passes(model: HybridModel, batch: Batch, sleep: SleepConfig) -> list[SleepPass]:
    """Sleep on the first window and return the event after each pass 1..N.

    `batch` has tokens ``[example, token]``. The list is empty if the first window is read awake.
    """
    passes = []
    for event in read(model, batch, sleep):
        if not isinstance(event, SleepPass):
            break
        passes.append(event)
    return passes


def recall_error(trace: xr.DataTree) -> xr.DataArray:
    """Return ``|S_n^T k - v| / |v|`` for what each token wrote in pass n.

    Root mean square over examples and tokens, ``(sleep_pass = 1..N, gdn_head)``, of the first
    window and layer.
    """
    writes = _first(trace, "writes")
    states = _first(trace, "states")["fast_weight"].sel(sleep_pass=writes.sleep_pass)
    missing = xr.dot(states, writes["write_key"], dim=dims.KEY) - writes["write_value"]
    over = (dims.EXAMPLE, dims.TOKEN, dims.VALUE)
    return np.sqrt((missing**2).sum(over) / (writes["write_value"] ** 2).sum(over))


def key_overlap(trace: xr.DataTree) -> xr.DataArray:
    """Return the mean absolute cosine between two tokens' keys, ``(sleep_pass, gdn_head)``."""
    keys = _first(trace, "writes")["write_key"]
    cosine = abs(xr.dot(keys, keys.rename({dims.TOKEN: dims.SOURCE_TOKEN}), dim=dims.KEY))
    pairs = cosine.sum((dims.TOKEN, dims.SOURCE_TOKEN)) - (keys**2).sum((dims.TOKEN, dims.KEY))
    tokens = keys.sizes[dims.TOKEN]
    return pairs.mean(dims.EXAMPLE) / (tokens * (tokens - 1))


def by_difficulty(trace: xr.DataTree, scores: xr.DataArray) -> xr.DataArray:
    """Return the mean of the answers' `scores`, ``(example, query, ...)``, by difficulty."""
    level = trace["inputs"]["difficulty"]
    levels = [int(one) for one in np.unique(level) if one >= 0]
    means = [scores.where(level == one).mean((dims.EXAMPLE, dims.QUERY)) for one in levels]
    return xr.concat(means, xr.IndexVariable(dims.DIFFICULTY, levels))


@torch.no_grad()
def accuracy(model: HybridModel, batch: Batch, sleep: SleepConfig, memory: Memory) -> float:
    """Return the share of queries answered right by a model that wakes with `memory`.

    Pooled over the examples' queries, which lie beyond the first window; `memory` is S of every
    example, as after the sleep on the first window.
    """
    wakes = wake_now(model, batch, sleep, memory, after=0)
    right = query_correct(token_correct(wakes, batch), batch)
    return float(right.sum() / (batch.difficulty >= 0).sum())


@torch.no_grad()
def answers_about(
    model: HybridModel, task: Task, batch: Batch, sleep: SleepConfig, borrowed: Memory
) -> tuple[float, float]:
    """Ask each example's questions with the memory of the example after it.

    `borrowed` is the memory of the batch's contexts, rolled by one: entry i belongs to context i +
    1. Returns the share of answers that are right for the example's own context, and for the
    context that the memory belongs to.
    """
    said = said_tokens(wake_now(model, batch, sleep, borrowed, after=0), batch)
    after = batch.examples(np.roll(np.arange(len(batch)), -1))
    contexts = (batch, swap_context(task, batch, after))
    own, other = ((said == one.tokens)[batch.answer_of >= 0].mean() for one in contexts)
    return float(own), float(other)


def _first(trace: xr.DataTree, group: str) -> xr.Dataset:
    """Return a group of a trace in its first window and layer."""
    return trace[group].to_dataset().sel({dims.WINDOW: 0}).isel({dims.LAYER: 0})
