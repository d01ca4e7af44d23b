"""One example to sleep on: drawn from a seed or typed, with its picture."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from workbench.batch import Batch
from workbench.config import RandomPasses, SleepConfig
from workbench.tasks.base import EVALUATION, Task, draw
from workbench.tasks.pictures import Picture, Query

EXAMPLES: Final = 16
"""Examples drawn from one seed."""
MOST_PASSES: Final = 12
"""Largest N that a screen offers."""
LABEL: Final = 16
"""Most letters of a question on an axis, as "4 hops from abcd" has."""


@dataclass(frozen=True)
class Problem:
    """One example of a task; `batch` holds it alone."""

    task: Task
    batch: Batch

    @cached_property
    def picture(self) -> Picture:
        """What it looks like, as data."""
        return self.task.picture(self.batch, 0)

    @property
    def queries(self) -> tuple[Query, ...]:
        """Its questions, in order."""
        return self.picture.queries

    @property
    def short_labels(self) -> list[str]:
        """Its questions as an axis shows them: a long one by its number."""
        return [
            query.label if len(query.label) <= LABEL else f"query {number + 1}"
            for number, query in enumerate(self.queries)
        ]

    @property
    def as_typed(self) -> tuple[str, str]:
        """The context and the queries as a person types them; `typed` reads them back."""
        return self.task.typed(self.batch, 0)

    @property
    def unlike_training(self) -> str:
        """A sentence on how it differs from everything that training drew, or ""."""
        return self.task.unlike_training(self.batch, 0)


def drawn_batch(task: Task, seed: int) -> Batch:
    """Return every example of a seed, from the stream that training never draws."""
    return draw(task, EXAMPLES, seed, 0, EVALUATION)


def drawn(task: Task, seed: int, example: int) -> Problem:
    """Return one example of a seed."""
    return Problem(task, drawn_batch(task, seed).examples(slice(example, example + 1)))


def typed(task: Task, text: str, queries: str = "") -> Problem:
    """Return the example that a person typed; WorkbenchError where it does not fit the task."""
    return Problem(task, task.parse(text, queries if queries.strip() else None))


def without_padding(batch: Batch, window: int) -> Batch:
    """Return examples without the windows of mere padding after the last question.

    They would be one more sleep over nothing. Isolated queries are one window, which stays whole.
    """
    if batch.isolated:
        return batch
    said = int(np.flatnonzero(batch.valid.any(axis=0)).max(initial=0)) + 1
    stop = -(-said // window) * window
    return batch.token_range(0, min(stop, batch.tokens.shape[1]))


def trained_range(sleep: SleepConfig) -> tuple[int, int]:
    """Return the smallest and largest N that training used."""
    if isinstance(sleep.passes, int):
        return sleep.passes, sleep.passes
    if isinstance(sleep.passes, RandomPasses):
        return sleep.passes.low, sleep.passes.high
    return 1, sleep.passes.cap


def first_passes(sleep: SleepConfig) -> int:
    """Return the N that a screen begins with: the largest in training, within 1..`MOST_PASSES`."""
    return max(min(trained_range(sleep)[1], MOST_PASSES), 1)
