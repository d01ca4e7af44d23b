"""What lies on both sides of an eviction: sizes, who sees whom, answers, and what sleep costs.

Called by notebook 2; its exercises are in `sleep_course.exercises.boundary`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from workbench.batch import Batch
from workbench.config import ModelConfig, SleepConfig
from workbench.model import HybridModel, Memory
from workbench.sleep import Eviction, SleepPass, Wake, read
from workbench.training.loss import query_correct, token_correct

OnePass = Callable[[Tensor, Memory], tuple[Tensor, Memory]]


def numbers(memory: Memory) -> dict[str, int]:
    """Return how many numbers one sequence's memory holds: in S, and in the KV cache."""
    sequences = max((len(s) for s in memory.fast_weights.values()), default=1)
    cached = [t.numel() for cache in memory.kv.values() for t in (cache.keys, cache.values)]
    return {
        "S": sum(s.numel() for s in memory.fast_weights.values()) // sequences,
        "KV cache": sum(cached) // sequences,
    }


@torch.no_grad()
def before_eviction(model: HybridModel, batch: Batch, sleep: SleepConfig) -> Memory:
    """Return the memory at the end of the first window, KV cache included, before it is evicted.

    The cache is kept only where eviction is sliding, because otherwise it is not read again.
    """
    sliding = sleep.model_copy(update={"eviction": "sliding"})
    for event in read(model, batch, sliding):
        if isinstance(event, Eviction):
            break
        memory = event.memory
    return memory


@torch.no_grad()
def reach(tokens: int, window: int, eviction: Literal["hard", "sliding"]) -> np.ndarray:
    """Return which tokens can read which through attention alone, by trying it.

    Reads one sequence with a model of a single attention layer, then once more for every token
    with that token changed, and looks where the output changed. Returns bool ``[reader, read]``.
    """
    config = ModelConfig(
        vocabulary=2, width=16, attention_heads=2, layers=("attention",), mlp_width=0
    )
    model = HybridModel(config, seed=0).double()
    ids = np.zeros((tokens + 1, tokens), dtype=np.int64)
    ids[1 + np.arange(tokens), np.arange(tokens)] = 1
    sleep = SleepConfig(window=window, passes=1, eviction=eviction)
    events = read(model, unlabelled(ids), sleep, every_output=True)
    passes = [event for event in events if isinstance(event, SleepPass)]
    outputs = [event.hidden for event in passes if event.hidden is not None]
    out = torch.cat(outputs, dim=1)  # (1 + read, reader, channel)
    changed = (out[1:] - out[:1]).abs().amax(-1) > 1e-9
    return changed.T.numpy()


def unlabelled(tokens: np.ndarray) -> Batch:
    """Return a batch of ``tokens [example, token]`` that asks nothing."""
    none = np.zeros(tokens.shape, dtype=bool)
    return Batch(
        tokens=tokens,
        loss_mask=none,
        valid=~none,
        answer_of=np.full(tokens.shape, -1),
        difficulty=np.zeros((len(tokens), 0), dtype=np.int64),
    )


def one_pass_of(model: HybridModel) -> OnePass:
    """Return the function that runs all blocks once: features and memory in, both out.

    Each pass begins with a memory of S alone, and hands on S alone, as with hard eviction.
    """

    @torch.no_grad()
    def one_pass(hidden: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        out, after = model.blocks(hidden, memory.replace(conv_tails={}, kv={}), keep_kv=False)
        assert out is not None
        return out, after.replace(conv_tails={}, kv={})

    return one_pass


@torch.no_grad()
def accuracy(
    model: HybridModel, batch: Batch, sleep: SleepConfig, *, memory: Memory | None = None
) -> dict[int, float]:
    """Read a batch and return the share of answers that are right, by difficulty.

    `memory` is what the model begins with; None is S = 0.
    """
    wakes = [e for e in read(model, batch, sleep, memory=memory) if isinstance(e, Wake)]
    return by_difficulty(wakes, batch)


def by_difficulty(wakes: list[Wake], batch: Batch) -> dict[int, float]:
    """Return the share of a batch's answers that are right, by difficulty."""
    right = query_correct(token_correct(wakes, batch), batch)
    levels = sorted(set(batch.difficulty[batch.difficulty >= 0].tolist()))
    return {level: float(right[batch.difficulty == level].mean()) for level in levels}


@torch.no_grad()
def milliseconds(
    model: HybridModel, batch: Batch, sleep: SleepConfig, passes: Sequence[int], *, repeats: int = 3
) -> dict[str, list[float]]:
    """Return how long this machine sleeps and answers, for each N, in milliseconds.

    The least of `repeats`, which other work on the machine disturbs least.
    """
    asleep, awake = [], []
    for n in passes:
        taken = [_timed(model, batch, sleep.with_passes(n)) for _ in range(repeats)]
        asleep.append(1000 * min(times[0] for times in taken))
        awake.append(1000 * min(times[1] for times in taken))
    return {"asleep": asleep, "awake": awake}


def _timed(model: HybridModel, batch: Batch, sleep: SleepConfig) -> tuple[float, float]:
    """Return seconds in sleep passes and in wake passes of one reading."""
    asleep = awake = 0.0
    before = time.perf_counter()
    for event in read(model, batch, sleep):
        now = time.perf_counter()
        if isinstance(event, SleepPass):
            asleep += now - before
        else:
            awake += now - before
        before = now
    return asleep, awake
