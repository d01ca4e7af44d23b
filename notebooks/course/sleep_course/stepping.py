"""Walking through a sleep event by event: names of events, early waking, how long each one sleeps.

Called by notebook 3; its exercises are in `sleep_course.exercises.stepping`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from workbench.batch import Batch
from workbench.config import SleepConfig
from workbench.model import HybridModel
from workbench.sleep import Event, PassReport, PassRule, SleepPass, Wake, capped, read
from workbench.training.loss import query_correct, token_correct


class Nights(NamedTuple):
    """How long each sequence slept, and what it could answer afterwards.

    `passes` is int ``[example]``, `right` bool ``[example, query]``.
    """

    passes: np.ndarray
    right: np.ndarray

    def __str__(self) -> str:
        counts = np.bincount(self.passes)
        spread = ", ".join(f"{n}: {count}" for n, count in enumerate(counts) if count)
        return f"{self.passes.mean():.2f} passes, {self.right.mean():.3f} right  (N: {spread})"


def name_of(event: Event) -> str:
    """Return an event in a word or two: "pass 2", "wake", "eviction"."""
    if isinstance(event, SleepPass):
        return f"pass {event.sleep_pass}"
    return "wake" if isinstance(event, Wake) else "eviction"


def rule_of(settled: Callable[..., bool], *, most: int = 12) -> Callable[[], PassRule]:
    """Return a function that makes rules: stop once ``settled(before, after)`` for every layer.

    `settled` is given S before and after the pass, ndarrays ``[gdn_head, key, value]`` of one
    sequence. After `most` passes a sleep ends in any case.
    """

    def rule(report: PassReport) -> bool:
        before, after = report.before.fast_weights, report.after.fast_weights
        return all(bool(settled(before[i][0].numpy(), after[i][0].numpy())) for i in after)

    return lambda: capped(rule, most)


@torch.no_grad()
def each_alone(
    model: HybridModel, batch: Batch, sleep: SleepConfig, rule: Callable[[], PassRule] | None = None
) -> Nights:
    """Let every sequence sleep as long as its own rule says, and ask it afterwards.

    `rule` makes the rule of one sequence; None sleeps the N of `sleep`. Sequences of one batch
    sleep equally long, so with a rule each is read by itself.
    """
    parts = [batch]
    if rule is not None:
        parts = [batch.examples(slice(place, place + 1)) for place in range(len(batch))]
    passes, right = [], []
    for part in parts:
        events = list(read(model, part, sleep, rule=None if rule is None else rule()))
        passes += [sum(isinstance(event, SleepPass) for event in events)] * len(part)
        wakes = [event for event in events if isinstance(event, Wake)]
        right.append(query_correct(token_correct(wakes, part), part))
    return Nights(np.array(passes), np.concatenate(right).astype(bool))
