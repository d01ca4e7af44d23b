"""Algorithm 1, once: the loop you step through is the loop that trains.

::

    S := 0                                            (once per sequence)
    for each window of at most L tokens:
        h := Embed(tokens)
        no labels:  repeat N times: h, S := Blocks(h, S)        sleep
        labels:     h, S := Blocks(h, S); logits := Head(h)     wake, one pass
        evict the KV cache; h is thrown away, S crosses the boundary

Source: arXiv 2605.26099, Algorithm 1 (hard eviction) and its sliding variant. Ours is the order
"predict_then_sleep", for text: after the wake, a window with labels is slept on as the others are.
There N may be 0, which reads each window once, awake.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from workbench.batch import Batch
from workbench.config import SleepConfig
from workbench.model.memory import Memory
from workbench.sleep.checks import check_options, check_start
from workbench.sleep.contract import SleepingModel
from workbench.sleep.events import (
    Boundary,
    Event,
    Eviction,
    SleepPass,
    Wake,
    before_window,
    boundary_after,
)
from workbench.sleep.eviction import evict
from workbench.sleep.one_pass import (
    blocks_of,
    feeds_on,
    forget_other_passes,
    keep_kv,
    keep_writes,
    make_pass,
    recomputed,
    run_above_loop,
    wake,
)
from workbench.sleep.passes import PassRule, is_last, resolve
from workbench.sleep.waking import answers_now
from workbench.sleep.windows import DeviceBatch, Window, read_awake, slept_on, split_windows


def read(
    model: SleepingModel,
    batch: Batch,
    sleep: SleepConfig,
    *,
    memory: Memory | None = None,
    rule: PassRule | None = None,
    generator: np.random.Generator | None = None,
    every_output: bool = False,
    on_device: DeviceBatch | None = None,
    start: Boundary | None = None,
) -> Iterator[Event]:
    """Read a batch window by window, yielding after every pass.

    Parameters
    ----------
    model : SleepingModel
        The network.
    batch : Batch
        Tokens ``[batch, token]`` and what is to be predicted.
    sleep : SleepConfig
        Window, passes, eviction and options.
    memory : Memory or None
        Memory to begin with; None is the empty one (S = 0).
    rule : callable or None
        Decides after each pass whether the sleep may end; overrides ``sleep.passes``.
    generator : numpy Generator or None
        Draws N where ``sleep.passes`` is random: once, for the whole batch.
    every_output : bool
        Also compute the features after the last pass of a sleep, which feed nothing.
    on_device : DeviceBatch or None
        The batch's tensors, if they are on the model's device already.
    start : Boundary or None
        Read on from this boundary, as an earlier reading left it or with its memory changed;
        nothing before it is run or yielded, and `memory` must be None. A rule that decides when
        a sleep ends starts from scratch there.

    Yields
    ------
    Event
        `SleepPass` after every pass, `Wake` when a window with labels has been read, `Eviction`
        after each window.

    Raises
    ------
    WorkbenchError
        The loop range does not fit the model; N is random and there is no generator; only the
        last pass writes and a rule decides which one that is; or this reading has no such `start`.
    """
    passes = rule if rule is not None else resolve(sleep, generator)
    check_options(sleep, model.depth, passes)
    windows = split_windows(
        batch,
        sleep.window,
        mask_padding=sleep.mask_padding,
        device=model.device,
        on_device=on_device,
    )
    if start is None:
        start = before_window(0, model.empty_memory(len(batch)) if memory is None else memory)
    else:
        check_start(start, memory, windows, passes, sleep)
    boundary = start
    for window in windows[start.window :]:
        asleep = slept_on(window, sleep)
        event: SleepPass | Wake
        if read_awake(window, passes) and not (boundary.woken or boundary.sleep_pass):
            event = wake(model, window, sleep, boundary.memory)
            if asleep and passes != 0:
                event = replace(event, memory=event.memory.replace(kv=boundary.memory.kv))
            yield event
            boundary = boundary_after(event)
        if asleep:
            answers = partial(answers_now, model, windows[window.index + 1 :], sleep)
            for event in _sleep(model, window, sleep, boundary, passes, answers, every_output):
                yield event
                boundary = boundary_after(event)
        evicted = Eviction(window, evict(boundary.memory, sleep))
        yield evicted
        boundary = boundary_after(evicted)


def _sleep(
    model: SleepingModel,
    window: Window,
    sleep: SleepConfig,
    start: Boundary,
    passes: int | PassRule,
    answers: Callable[[Memory], Tensor],
    every_output: bool,
) -> Iterator[SleepPass]:
    """Sleep on one window; with checkpointing per window all its passes are yielded at the end."""
    step = partial(_passes, model, window, sleep, start, passes, answers, every_output)
    if sleep.checkpointing == "window" and torch.is_grad_enabled():
        yield from cast("list[SleepPass]", recomputed(lambda: list(step())))
    else:
        yield from step()


def _passes(
    model: SleepingModel,
    window: Window,
    sleep: SleepConfig,
    start: Boundary,
    passes: int | PassRule,
    answers: Callable[[Memory], Tensor],
    every_output: bool,
) -> Iterator[SleepPass]:
    """Run the passes of one sleep: h goes from pass to pass, S keeps accumulating."""
    if start.sleep_pass == passes:
        return
    run = make_pass(model, window, sleep)
    finish = partial(run_above_loop, run, sleep, model.depth)
    embedded: Any = model.embed(window.tokens)
    hidden, memory = start.hidden if start.sleep_pass else embedded, start.memory
    for sleep_pass in count(start.sleep_pass + 1):
        blocks = blocks_of(sleep_pass, sleep, model.depth)
        before = forget_other_passes(memory, start.carried, sleep)
        entering = hidden if sleep.feed_back else embedded
        output = every_output or feeds_on(sleep, model.depth, last=sleep_pass == passes)
        hidden, after = run(entering, before, first=blocks.start, last=blocks.stop, output=output)
        memory = keep_kv(memory, after, blocks, sleep_pass, sleep)
        now = partial(_answers_if_it_ended, answers, finish, hidden, memory)
        last = is_last(passes, sleep_pass, before, memory, now)
        if last:
            hidden, memory = finish(hidden, memory, output=every_output)
        else:
            memory = keep_writes(memory, start.carried, sleep, model.depth)
        kept = hidden if every_output or not last else None
        yield SleepPass(window, sleep_pass, last, kept, memory, start.carried)
        if last:
            return


@torch.no_grad()
def _answers_if_it_ended(
    answers: Callable[[Memory], Tensor],
    finish: Callable[..., tuple[Any, Memory]],
    hidden: Any,
    memory: Memory,
) -> Tensor:
    """Return the answers if the sleep ended here, with the blocks above the loop run first."""
    return answers(finish(hidden, memory, output=False)[1])
