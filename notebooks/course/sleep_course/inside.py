"""Looking into a model's own memory: S after every pass, what it returns, what it answers.

Written for contexts of one window, as in the bundled Depo models; windows beyond the first are
left to a recorded trace.
"""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
import torch
import torch.nn.functional as functional
import xarray as xr

from workbench import dims
from workbench.batch import Batch
from workbench.config import SleepConfig
from workbench.errors import WorkbenchError
from workbench.model import HybridModel, Memory
from workbench.model.fast_weights import FastWeights, Writes
from workbench.model.hybrid import Block
from workbench.sleep import SleepPass, read, wake_now
from workbench.tasks.base import Task
from workbench.training.loss import answer_probabilities, query_correct, token_correct


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


def states(passes: list[SleepPass], layer: int) -> xr.DataArray:
    """Return S of one layer, ``[example, sleep_pass = 0..N, gdn_head, key, value]``.

    sleep_pass 0 is the empty memory that the first window starts from.
    """
    after = [event.memory.fast_weights[layer].detach() for event in passes]
    stacked = torch.stack([torch.zeros_like(after[0]), *after], dim=1).cpu().numpy()
    names = (dims.EXAMPLE, dims.SLEEP_PASS, dims.GDN_HEAD, dims.KEY, dims.VALUE)
    coords = {
        dims.SLEEP_PASS: np.arange(stacked.shape[1]),
        dims.GDN_HEAD: np.arange(stacked.shape[2]),
    }
    return xr.DataArray(stacked, dims=names, coords=coords, name="fast_weight")


@torch.no_grad()
def writes(
    model: HybridModel, passes: list[SleepPass], layer: int, sleep: SleepConfig
) -> list[Writes]:
    """Return what every token wrote in each pass: the operator's k, v, decay and beta.

    Recomputes what reached `layer` in each pass: the embedding in the first, the features of the
    pass before in the others. Raises `WorkbenchError` if the sleep loops over part of the blocks,
    carries convolution tails, or keeps KV.
    """
    if sleep.loop is not None or sleep.conv_state != "zero" or sleep.eviction != "hard":
        raise WorkbenchError(
            "a sleep with loop, conv_state='carry' or sliding eviction",
            "all blocks looped, fresh tails, hard eviction",
            "record a trace for the rest",
        )
    block = cast(Block, model.stack[layer])
    mixer = cast(FastWeights, block.mixer)
    found = []
    hidden = model.embed(passes[0].window.tokens)
    memory = model.empty_memory(len(hidden))
    for event in passes:
        valid = event.window.valid
        below, _ = model.blocks(hidden, memory, last=layer, valid=valid, keep_kv=False)
        assert below is not None
        found.append(mixer.writes(block.mixer_norm(below), None, valid))
        if event.hidden is not None:  # the last pass has no successor
            hidden, memory = event.hidden, event.memory.replace(conv_tails={}, kv={})
    return found


def recall(state: torch.Tensor, write: Writes) -> torch.Tensor:
    """Return what S returns for each token's key: ``S^T k [batch, token, gdn_head, value]``."""
    return torch.einsum("bhkv,bthk->bthv", state, write.k)


def key_overlap(write: Writes) -> np.ndarray:
    """Return the mean absolute cosine between two tokens' keys, ``[gdn_head]``."""
    k = write.k.transpose(1, 2)  # (batch, gdn_head, token, key)
    tokens = k.shape[2]
    cosine = (k @ k.mT).abs().sum((0, 2, 3)) - k.square().sum((0, 2, 3))
    return (cosine / (len(k) * tokens * (tokens - 1))).numpy()


def returned(event: SleepPass, write: Writes, layer: int, *, head: int, example: int) -> np.ndarray:
    """Return the cosine between S^T k of each token and the value of each token, for one head.

    ``[token asking, token answering]``, after the pass of `event`.
    """
    back = recall(event.memory.fast_weights[layer], write)[example, :, head]
    value = write.v[example, :, head]
    return (functional.normalize(back, dim=-1) @ functional.normalize(value, dim=-1).T).numpy()


def recall_error(passes: list[SleepPass], found: list[Writes], layer: int) -> xr.DataArray:
    """Return ``|S_n^T k - v| / |v|`` for what each token wrote in pass n.

    Root mean square over examples and tokens; ``[sleep_pass = 1..N, gdn_head]``.
    """
    errors = []
    for event, write in zip(passes, found, strict=True):
        missing = recall(event.memory.fast_weights[layer], write) - write.v
        share = missing.square().sum((0, 1, 3)) / write.v.square().sum((0, 1, 3))
        errors.append(share.sqrt().cpu().numpy())
    return xr.DataArray(
        np.stack(errors),
        dims=(dims.SLEEP_PASS, dims.GDN_HEAD),
        coords={dims.SLEEP_PASS: np.arange(1, len(errors) + 1)},
        name="recall_error",
    )


@torch.no_grad()
def answer_by_pass(
    model: HybridModel, batch: Batch, sleep: SleepConfig, task: Task, passes: list[SleepPass]
) -> xr.Dataset:
    """Return what the model would answer if it woke after each pass.

    ``probability`` of the right answer and ``answer`` (the likeliest symbol's text), each
    ``[example, sleep_pass = 0..N, query]``; ``right``, text of the right answer ``[example,
    query]``; coordinate ``difficulty [example, query]``. sleep_pass 0 wakes with the empty memory.
    Only the first symbol of an answer counts, so names of one symbol.
    """
    memories = [model.empty_memory(len(batch)), *(event.memory for event in passes)]
    target = _first_symbols(batch)
    chances, answers = [], []
    for memory in memories:
        chance = answer_probabilities(wake_now(model, batch, sleep, memory, after=0), batch)
        chances.append(np.take_along_axis(chance, target[..., None], axis=-1)[..., 0])
        answers.append(np.array(task.vocabulary)[np.nan_to_num(chance).argmax(-1)])
    names = (dims.EXAMPLE, dims.SLEEP_PASS, dims.QUERY)
    return xr.Dataset(
        {
            "probability": (names, np.stack(chances, axis=1)),
            "answer": (names, np.stack(answers, axis=1)),
            "right": ((dims.EXAMPLE, dims.QUERY), np.array(task.vocabulary)[target]),
        },
        coords={
            dims.SLEEP_PASS: np.arange(len(memories)),
            dims.DIFFICULTY: ((dims.EXAMPLE, dims.QUERY), batch.difficulty),
        },
    )


def mean_by_difficulty(woken: xr.Dataset, difficulty: int) -> np.ndarray:
    """Return the mean probability of the right answer, ``[sleep_pass]``, at one difficulty."""
    chosen = woken.probability.where(woken.difficulty == difficulty)
    return chosen.mean((dims.EXAMPLE, dims.QUERY)).values


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
    wakes = wake_now(model, batch, sleep, borrowed, after=0)
    answered = batch.tokens.copy()
    for wake in wakes:
        best = wake.logits[:, :-1].argmax(-1).cpu().numpy()
        part = slice(wake.window.start + 1, wake.window.stop)
        answered[:, part] = np.where(batch.loss_mask[:, part], best, answered[:, part])
    context = task.context_tokens
    swapped = batch.tokens.copy()
    swapped[:, :context] = np.roll(batch.tokens[:, :context], -1, axis=0)
    solved = task.solve(replace(batch, tokens=swapped))
    asked = batch.answer_of >= 0
    return (
        float((answered == batch.tokens)[asked].mean()),
        float((answered == solved)[asked].mean()),
    )


def _first_symbols(batch: Batch) -> np.ndarray:
    """Return the first symbol of each query's answer, int64 ``[example, query]``."""
    queries = batch.difficulty.shape[1]
    place = np.stack([(batch.answer_of == query).argmax(1) for query in range(queries)], axis=1)
    return np.take_along_axis(batch.tokens, place, axis=1)
