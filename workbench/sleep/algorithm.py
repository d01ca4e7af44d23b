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
from typing import Any, Protocol, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from workbench.batch import Batch
from workbench.config import SleepConfig
from workbench.errors import WorkbenchError
from workbench.model.memory import KVCache, Memory
from workbench.sleep.events import Event, Eviction, SleepPass, Wake
from workbench.sleep.eviction import evict
from workbench.sleep.passes import PassReport, PassRule, resolve
from workbench.sleep.windows import Window, cut


class SleepingModel(Protocol):
    """What Algorithm 1 asks of a model; a pretrained backbone can offer the same."""

    @property
    def depth(self) -> int:
        """Number of blocks."""

    @property
    def device(self) -> torch.device:
        """Where the weights are."""

    @property
    def vocabulary(self) -> int:
        """Number of symbols."""

    def empty_memory(self, batch: int) -> Memory:
        """Return the memory before the first window."""

    def embed(self, tokens: Tensor) -> Tensor:
        """Map ``[batch, token]`` to ``[batch, token, channel]``."""

    def blocks(
        self,
        hidden: Tensor,
        memory: Memory,
        *,
        first: int = 0,
        last: int | None = None,
        valid: Tensor | None = None,
        window: int | None = None,
        output: bool = True,
        keep_kv: bool = True,
    ) -> tuple[Tensor | None, Memory]:
        """Run a range of blocks once; as `HybridModel.blocks`."""

    def normalise(self, hidden: Tensor) -> Tensor:
        """Apply the final norm."""

    def logits(self, hidden: Tensor, *, normalise: bool = True) -> Tensor:
        """Map ``[batch, token, channel]`` to ``[batch, token, symbol]``."""


def read(
    model: SleepingModel,
    batch: Batch,
    sleep: SleepConfig,
    *,
    memory: Memory | None = None,
    rule: PassRule | None = None,
    generator: np.random.Generator | None = None,
    every_output: bool = False,
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

    Yields
    ------
    Event
        `SleepPass` after every pass, `Wake` after a window with labels, `Eviction` after each
        window.

    Raises
    ------
    WorkbenchError
        The loop range does not fit the model, or N is random without a generator.
    """
    _check_loop(sleep, model.depth)
    passes = rule if rule is not None else resolve(sleep, generator)
    memory = model.empty_memory(len(batch)) if memory is None else memory
    windows = cut(batch, sleep.window, mask_padding=sleep.mask_padding, device=model.device)
    for window in windows:
        if window.has_loss:
            event: SleepPass | Wake = _wake(model, window, sleep, memory)
            yield event
        else:
            answers = partial(_answers, model, windows[window.index + 1 :], sleep)
            for event in _sleep(model, window, sleep, memory, passes, answers, every_output):
                yield event
        memory = evict(event.memory, sleep)
        yield Eviction(window, memory)


def wake_now(
    model: SleepingModel, batch: Batch, sleep: SleepConfig, memory: Memory, *, after: int = -1
) -> list[Wake]:
    """Return what the model would answer if it woke with this memory.

    Reads the windows of `batch` that carry labels and come after window `after`, one pass each;
    windows without labels are skipped, as if they had not come yet.
    """
    windows = cut(batch, sleep.window, mask_padding=sleep.mask_padding, device=model.device)
    return _wake_all(model, windows[after + 1 :], sleep, memory)


def _wake_all(
    model: SleepingModel, windows: list[Window], sleep: SleepConfig, memory: Memory
) -> list[Wake]:
    wakes = []
    memory = evict(memory, sleep)
    for window in windows:
        if window.has_loss:
            wakes.append(_wake(model, window, sleep, memory))
            memory = evict(wakes[-1].memory, sleep)
    return wakes


def _answers(
    model: SleepingModel, windows: list[Window], sleep: SleepConfig, memory: Memory
) -> Tensor:
    with torch.no_grad():
        wakes = _wake_all(model, windows, sleep, memory)
    if not wakes:
        return torch.zeros((0, 0), dtype=torch.long)
    best = [w.logits[:, :-1].argmax(-1) * w.window.loss_mask[:, 1:] for w in wakes]
    return torch.cat(best, dim=1)


def _wake(model: SleepingModel, window: Window, sleep: SleepConfig, memory: Memory) -> Wake:
    run = _pass(model, window, sleep)
    hidden, after = run(model.embed(window.tokens), _rested(memory, sleep))
    return Wake(window, model.logits(hidden, normalise=sleep.final_norm == "outside"), after)


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
        yield from cast("list[SleepPass]", _recomputed(lambda: list(step())))
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
    run = _pass(model, window, sleep)
    hidden: Any = model.embed(window.tokens)
    carried_kv = memory.kv  # every pass sees the cache of earlier windows, and builds its own
    kept_kv: dict[int, KVCache] = {}
    sleep_pass, last = 0, False

    def with_kept(memory: Memory, kept: dict[int, KVCache]) -> Memory:
        fresh = {i: kv for i, kv in memory.kv.items() if kv is not carried_kv.get(i)}
        kept |= fresh if sleep.kept_kv == "last" else {i: fresh[i] for i in fresh.keys() - kept}
        return memory.replace(kv={**carried_kv, **kept})

    while not last:
        sleep_pass += 1
        before = _rested(memory.replace(kv=carried_kv), sleep)
        first = 0 if sleep_pass == 1 else begin
        if isinstance(passes, int):
            last = sleep_pass >= passes
            hidden, memory = run(
                hidden,
                before,
                first=first,
                last=model.depth if last else end,
                output=every_output or not last,
            )
        else:
            hidden, memory = run(hidden, before, first=first, last=end)
            # what is left of the sleep if it ends here
            finish = partial(run, hidden, memory, first=end) if end < model.depth else None

            def now(memory: Memory = memory, finish: Any = finish) -> Tensor:
                with torch.no_grad():
                    memory = finish(output=False)[1] if finish else memory
                return answers(with_kept(memory, dict(kept_kv)))

            last = bool(passes(PassReport(sleep_pass, before, memory, now)))
            if last and finish:
                hidden, memory = finish(output=every_output)
            hidden = hidden if every_output or not last else None
        memory = with_kept(memory, kept_kv)
        yield SleepPass(window, sleep_pass, last, hidden, memory)


def _pass(
    model: SleepingModel, window: Window, sleep: SleepConfig
) -> Callable[..., tuple[Any, Memory]]:
    """Return one pass over a range of blocks, as this sleep configures it."""
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
        return lambda *args, **options: _recomputed(partial(run, *args, **options))
    return run


def _recomputed(function: Callable[[], Any]) -> Any:
    """Run `function` and recompute it in the backward instead of keeping its activations."""
    return checkpoint(function, use_reentrant=False, preserve_rng_state=False)


def _rested(memory: Memory, sleep: SleepConfig) -> Memory:
    """Return the memory as a pass begins: convolution tails only where they are carried."""
    return memory if sleep.conv_state == "carry" else memory.replace(conv_tails={})


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
