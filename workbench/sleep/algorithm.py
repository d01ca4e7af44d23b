"""Algorithm 1, once: the loop you step through is the loop that trains.

::

    S := 0                                            (once per sequence)
    for each window of at most L tokens:
        h := Embed(tokens)
        no labels:  repeat N times: h, S := Blocks(h, S)        sleep
        labels:     h, S := Blocks(h, S); logits := Head(h)     wake, one pass
        evict the KV cache; h is thrown away, S crosses the boundary

Source: arXiv 2605.26099, Algorithm 1 (hard eviction) and its sliding variant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from workbench.batch import Batch
from workbench.config import SleepConfig
from workbench.errors import WorkbenchError
from workbench.model.memory import Memory
from workbench.sleep.contract import SleepingModel
from workbench.sleep.events import Event, Eviction, SleepPass, Wake
from workbench.sleep.eviction import evict
from workbench.sleep.one_pass import one_pass, recomputed, rested, wake
from workbench.sleep.passes import PassReport, PassRule, resolve
from workbench.sleep.waking import answers_now
from workbench.sleep.windows import Placed, Window, cut


def read(
    model: SleepingModel,
    batch: Batch,
    sleep: SleepConfig,
    *,
    memory: Memory | None = None,
    rule: PassRule | None = None,
    generator: np.random.Generator | None = None,
    every_output: bool = False,
    placed: Placed | None = None,
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
    placed : Placed or None
        The batch's tensors, where they are on the model's device already.

    Yields
    ------
    Event
        `SleepPass` after every pass, `Wake` after a window with labels, `Eviction` after each
        window.

    Raises
    ------
    WorkbenchError
        The loop range does not fit the model, N is random without a generator, or only the last
        pass writes and a rule decides which one that is.
    """
    _check_loop(sleep, model.depth)
    passes = rule if rule is not None else resolve(sleep, generator)
    _check_ablation(sleep, passes)
    memory = model.empty_memory(len(batch)) if memory is None else memory
    windows = cut(
        batch, sleep.window, mask_padding=sleep.mask_padding, device=model.device, placed=placed
    )
    for window in windows:
        if window.has_loss:
            event: SleepPass | Wake = wake(model, window, sleep, memory)
            yield event
        else:
            answers = partial(answers_now, model, windows[window.index + 1 :], sleep)
            for event in _sleep(model, window, sleep, memory, passes, answers, every_output):
                yield event
        memory = evict(event.memory, sleep)
        yield Eviction(window, memory)


def _sleep(
    model: SleepingModel,
    window: Window,
    sleep: SleepConfig,
    memory: Memory,
    passes: int | PassRule,
    answers: Callable[[Memory], Tensor],
    every_output: bool,
) -> Iterator[SleepPass]:
    """Sleep on one window; with checkpointing per window its passes come all at once."""
    step = partial(_passes, model, window, sleep, memory, passes, answers, every_output)
    if sleep.checkpointing == "window" and torch.is_grad_enabled():
        yield from cast("list[SleepPass]", recomputed(lambda: list(step())))
    else:
        yield from step()


def _passes(
    model: SleepingModel,
    window: Window,
    sleep: SleepConfig,
    memory: Memory,
    passes: int | PassRule,
    answers: Callable[[Memory], Tensor],
    every_output: bool,
) -> Iterator[SleepPass]:
    """Run the passes of one sleep: h goes from pass to pass, S keeps accumulating."""
    begin, end = sleep.loop or (0, model.depth)
    run = one_pass(model, window, sleep)
    above = partial(run, first=end) if end < model.depth else None  # once, after the last pass
    embedded: Any = model.embed(window.tokens)
    hidden = embedded
    begun, earlier = memory.fast_weights, memory.kv  # no pass sees the KV of another pass
    for sleep_pass in count(1):
        first = 0 if sleep_pass == 1 else begin  # the blocks below the loop run once
        last = sleep_pass == passes  # a rule decides further down
        before = rested(memory.replace(kv=earlier), sleep)
        wanted = every_output or above is not None or (sleep.feed_back and not last)
        entering = hidden if sleep.feed_back else embedded
        hidden, after = run(entering, before, first=first, last=end, output=wanted)
        renewed = range(first, end) if sleep_pass == 1 or sleep.kept_kv == "last" else ()
        memory = after.replace(
            kv={**memory.kv, **{i: after.kv[i] for i in renewed if i in after.kv}}
        )
        if not isinstance(passes, int):
            now = partial(_finished_answers, answers, above, hidden, memory)
            last = bool(passes(PassReport(sleep_pass, before, memory, now)))
        if last and above is not None:
            hidden, memory = above(hidden, memory, output=every_output)
        if sleep.write == "last_pass" and not last:
            looped = {i: begun[i] for i in begun if begin <= i < end}
            memory = memory.replace(fast_weights={**memory.fast_weights, **looped})
        hidden = hidden if every_output or not last else None
        yield SleepPass(window, sleep_pass, last, hidden, memory)
        if last:
            return


@torch.no_grad()
def _finished_answers(
    answers: Callable[[Memory], Tensor],
    above: Callable[..., tuple[Any, Memory]] | None,
    hidden: Any,
    memory: Memory,
) -> Tensor:
    """Return the answers if the sleep ended here, the blocks above the loop included."""
    return answers(above(hidden, memory, output=False)[1] if above else memory)


def _check_loop(sleep: SleepConfig, depth: int) -> None:
    begin, end = sleep.loop or (0, depth)
    if not 0 <= begin < end <= depth:
        raise WorkbenchError(
            f"sleep.loop = ({begin}, {end})",
            f"0 <= a < b <= {depth}, the number of blocks",
            "change the range, or leave it out to loop all blocks",
        )
    if sleep.final_norm == "inside" and end != depth:
        raise WorkbenchError(
            f"final_norm = 'inside' with sleep.loop = ({begin}, {end})",
            f"a loop that ends at the last block ({depth})",
            "use final_norm = 'outside'",
        )


def _check_ablation(sleep: SleepConfig, passes: int | PassRule) -> None:
    if sleep.write == "last_pass" and not isinstance(passes, int):
        raise WorkbenchError(
            "write = 'last_pass' with a rule that decides after each pass",
            "an N known before the sleep",
            "fix N with sleep.with_passes(N)",
        )
