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


def make_pass(
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

    More than one loops over the looped range as a sleep does, but for S: each pass begins with
    the S that was carried in. What the pass before wrote holds the whole window, and with it the
    answers to the very tokens that are to be predicted. The last pass's S is kept.
    """
    begin, end = sleep.loop or (0, model.depth)
    run = make_pass(model, window, sleep)
    hidden, carried = model.embed(window.tokens), memory
    for wake_pass in range(1, sleep.wake_passes + 1):
        first = 0 if wake_pass == 1 else begin
        last = model.depth if wake_pass == sleep.wake_passes else end
        before = reset_conv_tails(_below_and_above(first, memory, carried), sleep)
        hidden, memory = run(hidden, before, first=first, last=last)
    return Wake(window, model.logits(hidden, normalise=sleep.final_norm == "outside"), memory)


def _below_and_above(first: int, below: Memory, above: Memory) -> Memory:
    """Return the memory of the blocks under `first` from `below`, of the others from `above`."""

    def joined(part: str) -> dict[int, Any]:
        under, over = getattr(below, part), getattr(above, part)
        return {i: v for i, v in under.items() if i < first} | {
            i: v for i, v in over.items() if i >= first
        }

    return Memory(joined("fast_weights"), joined("conv_tails"), joined("kv"))


def reset_conv_tails(memory: Memory, sleep: SleepConfig) -> Memory:
    """Return the memory as a pass begins: convolution tails only where they are carried."""
    return memory if sleep.conv_state == "carry" else memory.replace(conv_tails={})


def recomputed(function: Callable[[], Any]) -> Any:
    """Run `function`, and again in the backward instead of keeping its activations."""
    return checkpoint(function, use_reentrant=False, preserve_rng_state=False)
