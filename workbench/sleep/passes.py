"""How many passes a sleep takes: fixed, drawn at random, or decided after each pass.

A rule is any callable ``rule(report) -> bool`` that returns True when the sleep may end. One
rule serves a whole sequence. A rule that remembers earlier passes resets at sleep_pass 1 and
decides from its reports alone (activation checkpointing per window asks it again).

All sequences of a batch sleep equally long, so under a rule the answers of one sequence can depend
on the others. Where that matters, read one sequence at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from workbench.config import RandomPasses, SleepConfig, UntilAnswersSettle, UntilMemorySettles
from workbench.errors import WorkbenchError
from workbench.model.memory import Memory


@dataclass(frozen=True)
class PassReport:
    """What a rule sees after a pass."""

    sleep_pass: int
    """Passes done in this window, 1 after the first."""
    before: Memory
    after: Memory
    """The memory before and after this pass."""
    answers: Callable[[], Tensor]
    """``answers() -> Tensor`` int64 ``[batch, token]``: the most likely tokens if the model woke
    now, 0 where nothing is predicted. Costs one pass over the windows that carry labels; each
    answer is read with the right ones before it in view."""


PassRule = Callable[[PassReport], bool]


def until_memory_settles(tolerance: float) -> PassRule:
    """Return the rule: stop when no head's S changed by more than `tolerance` of its norm."""

    def settled(report: PassReport) -> bool:
        return all(
            bool(
                (
                    torch.linalg.matrix_norm(new - report.before.fast_weights[layer])
                    <= tolerance * torch.linalg.matrix_norm(new)
                ).all()
            )
            for layer, new in report.after.fast_weights.items()
        )

    return settled


def until_answers_settle(patience: int = 1) -> PassRule:
    """Return the rule: stop when no answer has changed during the last `patience` passes."""
    previous: Tensor | None = None
    quiet = 0

    def settled(report: PassReport) -> bool:
        nonlocal previous, quiet
        answers = report.answers()
        if report.sleep_pass == 1 or previous is None:
            quiet = 0
        else:
            quiet = quiet + 1 if torch.equal(answers, previous) else 0
        previous = answers
        return quiet >= patience

    return settled


def capped(rule: PassRule, cap: int) -> PassRule:
    """Return `rule` with an upper bound of `cap` passes."""
    # the rule comes first, so that one that remembers earlier passes sees every pass
    return lambda report: rule(report) or report.sleep_pass >= cap


def is_last(
    passes: int | PassRule,
    sleep_pass: int,
    before: Memory,
    after: Memory,
    answers: Callable[[], Tensor],
) -> bool:
    """Return whether a sleep ends with this pass: it is the Nth, or the rule says so."""
    if isinstance(passes, int):
        return sleep_pass == passes
    return bool(passes(PassReport(sleep_pass, before, after, answers)))


def resolve(sleep: SleepConfig, generator: np.random.Generator | None) -> int | PassRule:
    """Return N, drawn if it is random, or the rule that `sleep.passes` names.

    Raises WorkbenchError: N is random and no generator is given.
    """
    passes = sleep.passes
    if isinstance(passes, RandomPasses):
        if generator is None:
            raise WorkbenchError(
                "sleep.passes is random",
                "a generator to draw N from",
                "pass generator=, or fix N with sleep.with_passes(N)",
            )
        return int(generator.integers(passes.low, passes.high, endpoint=True))
    if isinstance(passes, UntilMemorySettles):
        return capped(until_memory_settles(passes.tolerance), passes.cap)
    if isinstance(passes, UntilAnswersSettle):
        return capped(until_answers_settle(passes.patience), passes.cap)
    return passes
