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
from workbench.sleep.events import Boundary, Event, Eviction, SleepPass, Wake, before_window
from workbench.sleep.eviction import evict
from workbench.sleep.one_pass import make_pass, recomputed, reset_conv_tails, wake
from workbench.sleep.passes import PassReport, PassRule, resolve
from workbench.sleep.waking import answers_now
from workbench.sleep.windows import DeviceBatch, Window, split_windows


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
        The batch's tensors, where they are on the model's device already.
    start : Boundary or None
        Read on from there, as an earlier reading left it or with its memory changed; nothing
        before it is run or yielded. `memory` is then that of the boundary. A rule that decides
        when a sleep ends starts anew there.

    Yields
    ------
    Event
        `SleepPass` after every pass, `Wake` after a window with labels, `Eviction` after each
        window.

    Raises
    ------
    WorkbenchError
        The loop range does not fit the model, N is random without a generator, only the last
        pass writes and a rule decides which one that is, or `start` is no place of this reading.
    """
    _check_loop(sleep, model.depth)
    passes = rule if rule is not None else resolve(sleep, generator)
    _check_ablation(sleep, passes)
    windows = split_windows(
        batch,
        sleep.window,
        mask_padding=sleep.mask_padding,
        device=model.device,
        on_device=on_device,
    )
    if start is None:
        memory = model.empty_memory(len(batch)) if memory is None else memory
        start = before_window(0, memory)
    else:
        _check_start(start, memory, windows, passes, sleep.feed_back)
    here = start
    for window in windows[start.window :]:
        memory = here.memory
        event: SleepPass | Wake
        if window.has_loss:
            event = wake(model, window, sleep, memory)
            yield event
            memory = event.memory
        else:
            answers = partial(answers_now, model, windows[window.index + 1 :], sleep)
            for event in _sleep(model, window, sleep, here, passes, answers, every_output):
                yield event
                memory = event.memory
        memory = evict(memory, sleep)
        yield Eviction(window, memory)
        here = before_window(window.index + 1, memory)


def _sleep(
    model: SleepingModel,
    window: Window,
    sleep: SleepConfig,
    start: Boundary,
    passes: int | PassRule,
    answers: Callable[[Memory], Tensor],
    every_output: bool,
) -> Iterator[SleepPass]:
    """Sleep on one window; with checkpointing per window its passes come all at once."""
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
    begin, end = sleep.loop or (0, model.depth)
    run = make_pass(model, window, sleep)
    above = partial(run, first=end) if end < model.depth else None  # once, after the last pass
    embedded: Any = model.embed(window.tokens)
    hidden = start.hidden if start.sleep_pass else embedded
    memory, carried = start.memory, start.carried
    begun, earlier = carried.fast_weights, carried.kv  # no pass sees the KV of another pass
    for sleep_pass in count(start.sleep_pass + 1):
        first = 0 if sleep_pass == 1 else begin  # the blocks below the loop run once
        last = sleep_pass == passes  # a rule decides further down
        before = reset_conv_tails(memory.replace(kv=earlier), sleep)
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
        yield SleepPass(window, sleep_pass, last, hidden, memory, carried)
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


def _check_start(
    start: Boundary,
    memory: Memory | None,
    windows: list[Window],
    passes: int | PassRule,
    feed_back: bool,
) -> None:
    place = f"start at window {start.window}, sleep pass {start.sleep_pass}"
    if memory is not None:
        raise WorkbenchError(
            f"{place}, and a memory to begin with", "one of the two", "use start.with_memory"
        )
    if not 0 <= start.window < len(windows):
        raise WorkbenchError(
            place, f"a window from 0 to {len(windows) - 1}", "take a boundary of the same layout"
        )
    asleep = not windows[start.window].has_loss
    most = (passes if isinstance(passes, int) else start.sleep_pass) if asleep else 0
    if not 0 <= start.sleep_pass <= most:
        raise WorkbenchError(
            place,
            f"a pass from 0 to {most}, all that this window has",
            "take a boundary of a reading with the same N",
        )
    if feed_back and 0 < start.sleep_pass != passes and start.hidden is None:
        raise WorkbenchError(
            f"{place}, without features",
            "the features that the next pass takes in",
            "take the boundary from a reading with a larger N, or with every_output=True",
        )
