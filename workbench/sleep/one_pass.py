"""One pass over one window, asleep or awake: each option of a `SleepConfig` in one function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor
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

    Like `SleepingModel.blocks` it takes features, a memory and the range (``first``, ``last``,
    ``output``), and returns new features and a new memory. Sliding eviction keeps the KV;
    ``final_norm = "inside"`` normalises the features after the pass.
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


def blocks_of(sleep_pass: int, sleep: SleepConfig, depth: int) -> range:
    """Return the blocks that a pass runs: those of the loop, and in pass 1 all below it."""
    begin, end = sleep.loop or (0, depth)
    return range(0 if sleep_pass == 1 else begin, end)


def run_above_loop(
    run: Callable[..., tuple[Any, Memory]],
    sleep: SleepConfig,
    depth: int,
    hidden: Any,
    memory: Memory,
    *,
    output: bool,
) -> tuple[Any, Memory]:
    """Run the blocks above the loop, if it has any: once, after the last pass of a sleep."""
    _, end = sleep.loop or (0, depth)
    return run(hidden, memory, first=end, output=output) if end < depth else (hidden, memory)


def feeds_on(sleep: SleepConfig, depth: int, *, last: bool) -> bool:
    """Return whether anything reads the features after a pass: the next one, or blocks above."""
    _, end = sleep.loop or (0, depth)
    return end < depth or (sleep.feed_back and not last)


def forget_other_passes(memory: Memory, carried: Memory, sleep: SleepConfig) -> Memory:
    """Return the memory as a pass begins: no pass sees the KV of another over the same window."""
    return reset_conv_tails(memory.replace(kv=carried.kv), sleep)


def reset_conv_tails(memory: Memory, sleep: SleepConfig) -> Memory:
    """Drop the convolution tails, unless passes carry them on."""
    return memory if sleep.conv_state == "carry" else memory.replace(conv_tails={})


def keep_kv(
    memory: Memory, after: Memory, blocks: range, sleep_pass: int, sleep: SleepConfig
) -> Memory:
    """Return the memory after a pass, with the KV of the first or of this pass (`kept_kv`)."""
    renewed = blocks if sleep_pass == 1 or sleep.kept_kv == "last" else ()
    return after.replace(kv={**memory.kv, **{i: after.kv[i] for i in renewed if i in after.kv}})


def keep_writes(memory: Memory, carried: Memory, sleep: SleepConfig, depth: int) -> Memory:
    """Return the memory after a pass that is not the last, without its writes if only those count.

    Blocks below the loop run once and keep what they wrote.
    """
    if sleep.write == "every_pass":
        return memory
    begin, end = sleep.loop or (0, depth)
    undone = {i: s for i, s in carried.fast_weights.items() if begin <= i < end}
    return memory.replace(fast_weights={**memory.fast_weights, **undone})


def wake(model: SleepingModel, window: Window, sleep: SleepConfig, memory: Memory) -> Wake:
    """Read a window awake and apply the head: one pass over all blocks, or `wake_passes` of them.

    Several passes loop over the same blocks as a sleep, but each begins with the S carried into
    the window: the S of the pass before holds the whole window, and so the answers to the tokens
    that are to be predicted. The last pass leaves its memory; without ``wake_writes`` only
    its KV cache.

    Isolated queries are read as sequences of their own, all with the same memory, which they leave
    as it was.
    """
    if window.isolated:
        return _wake_isolated(model, window, sleep, memory)
    begin, end = sleep.loop or (0, model.depth)
    run = make_pass(model, window, sleep)
    hidden, carried = model.embed(window.tokens), memory
    for wake_pass in range(1, sleep.wake_passes + 1):
        first = 0 if wake_pass == 1 else begin
        last = model.depth if wake_pass == sleep.wake_passes else end
        before = reset_conv_tails(_below_and_above(first, memory, carried), sleep)
        hidden, memory = run(hidden, before, first=first, last=last)
    if not sleep.wake_writes:
        memory = carried.replace(kv=memory.kv)
    return Wake(window, model.logits(hidden, normalise=sleep.final_norm == "outside"), memory)


def _wake_isolated(
    model: SleepingModel, window: Window, sleep: SleepConfig, memory: Memory
) -> Wake:
    """Read every query of a window alone, all in one batch: [example, query] become sequences."""
    examples, tokens = window.tokens.shape
    queries = tokens // window.isolated

    def alone(array: Tensor) -> Tensor:
        return array.reshape(examples * queries, window.isolated)

    one = replace(
        window,
        stop=window.start + window.isolated,
        tokens=alone(window.tokens),
        valid=None if window.valid is None else alone(window.valid),
        loss_mask=alone(window.loss_mask),
        isolated=0,
    )
    of = torch.arange(examples, device=window.tokens.device).repeat_interleave(queries)
    logits = wake(model, one, sleep, memory.examples(of)).logits
    return Wake(window, logits.reshape(examples, tokens, -1), memory)


def _below_and_above(first: int, below: Memory, above: Memory) -> Memory:
    """Return the memory of the blocks under `first` from `below`, of the others from `above`."""

    def joined(part: str) -> dict[int, Any]:
        under, over = getattr(below, part), getattr(above, part)
        return {i: v for i, v in under.items() if i < first} | {
            i: v for i, v in over.items() if i >= first
        }

    return Memory(joined("fast_weights"), joined("conv_tails"), joined("kv"))


def recomputed(function: Callable[[], Any]) -> Any:
    """Run `function`, and run it again in the backward pass instead of keeping activations."""
    return checkpoint(function, use_reentrant=False, preserve_rng_state=False)
