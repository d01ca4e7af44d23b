"""One pass over one window, asleep or awake, as a `SleepConfig` has it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint

from workbench.config import SleepConfig
from workbench.model.memory import Memory
from workbench.sleep.contract import SleepingModel
from workbench.sleep.events import Wake
from workbench.sleep.windows import Window


def one_pass(
    model: SleepingModel, window: Window, sleep: SleepConfig
) -> Callable[..., tuple[Any, Memory]]:
    """Return the function that runs a range of blocks once over `window`.

    It takes features, memory and the range (``first``, ``last``, ``output``) as
    `SleepingModel.blocks` does, and returns both anew.
    """
    sliding = sleep.eviction == "sliding"
    inside = sleep.final_norm == "inside"

    def run(hidden: Any, memory: Memory, **options: Any) -> tuple[Any, Memory]:
        hidden, memory = model.blocks(
            hidden,
            memory,
            valid=window.valid,
            window=sleep.window if sliding else None,
            keep_kv=sliding,
            **options,
        )
        return (model.normalise(hidden) if inside and hidden is not None else hidden), memory

    if sleep.checkpointing == "pass" and torch.is_grad_enabled():
        return lambda *args, **options: recomputed(partial(run, *args, **options))
    return run


def wake(model: SleepingModel, window: Window, sleep: SleepConfig, memory: Memory) -> Wake:
    """Read a window awake, then the head: one pass over all blocks, or `wake_passes` of them.

    More than one loops as a sleep does: over the looped range, without the KV of another pass.
    """
    begin, end = sleep.loop or (0, model.depth)
    run = one_pass(model, window, sleep)
    hidden, earlier = model.embed(window.tokens), memory.kv
    for wake_pass in range(1, sleep.wake_passes + 1):
        first = 0 if wake_pass == 1 else begin
        last = model.depth if wake_pass == sleep.wake_passes else end
        below = {i: cache for i, cache in memory.kv.items() if i < first}
        kept = {i: cache for i, cache in earlier.items() if i >= first}
        before = rested(memory.replace(kv=below | kept), sleep)
        hidden, memory = run(hidden, before, first=first, last=last)
    return Wake(window, model.logits(hidden, normalise=sleep.final_norm == "outside"), memory)


def rested(memory: Memory, sleep: SleepConfig) -> Memory:
    """Return the memory as a pass begins: convolution tails only where they are carried."""
    return memory if sleep.conv_state == "carry" else memory.replace(conv_tails={})


def recomputed(function: Callable[[], Any]) -> Any:
    """Run `function`, and again in the backward instead of keeping its activations."""
    return checkpoint(function, use_reentrant=False, preserve_rng_state=False)
