"""All examples of a seed, read by one model with every boundary kept: what a change starts from."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np
import torch
from torch import Tensor

from workbench.batch import Batch
from workbench.config import SleepConfig
from workbench.instruments.attributing.continuation import context_of
from workbench.instruments.boundaries import (
    BoundaryIndex,
    last_boundary,
    read_boundaries,
    windows_read,
)
from workbench.instruments.interventions import Reading
from workbench.once_cache import OnceCache
from workbench.tasks.base import Task
from workbench.theatre.problem import Problem, drawn_batch, without_padding
from workbench.theatre.wish import Wish, Wrong, problem_of, whole

if TYPE_CHECKING:
    from workbench.training.checkpoints import Checkpoint

RESULTS: Final = 64
"""Results that are kept of each reading."""

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Examples:
    """Examples read by one model with N fixed; own input is a single one.

    `boundaries` holds every boundary of the reading, of all examples together; `typed` is own
    input and its queries.
    """

    checkpoint: Checkpoint
    batch: Batch
    sleep: SleepConfig
    boundaries: Reading
    seed: int
    typed: tuple[str, str] | None = None
    _results: OnceCache = field(default_factory=lambda: OnceCache(RESULTS), repr=False)

    @property
    def task(self) -> Task:
        """The task of the examples."""
        return self.checkpoint.task

    @cached_property
    def last(self) -> BoundaryIndex:
        """The last boundary at which S can be changed before something is answered."""
        return last_boundary(self.batch, self.sleep)

    @cached_property
    def layers(self) -> list[int]:
        """Layers of the stack that have an S."""
        return sorted(self._states)

    @cached_property
    def sizes(self) -> tuple[int, int, int]:
        """Heads, keys and values of S."""
        heads, keys, values = self._states[self.layers[0]].shape[1:]
        return heads, keys, values

    @property
    def _states(self) -> dict[int, Tensor]:
        return dict(next(iter(self.boundaries.values())).memory.fast_weights)

    def layer_of(self, ask: Mapping[str, Any]) -> int:
        """Return the layer that an ask names, or the first; raises Wrong where it has no S."""
        layer = whole(ask, "layer", 0, 2**31, default=self.layers[0])
        if layer not in self.layers:
            known = ", ".join(map(str, self.layers))
            raise Wrong("layer", f"layer = {layer}", f"a layer with S: {known}", "choose another")
        return layer

    def context(self, example: int, query: int) -> int:
        """Return the tokens before the window that a query is answered in, or the first such."""
        first = (self.batch.answer_of[example] == query).argmax()
        return int(context_of(self.batch, self.sleep, torch.as_tensor([first]))[0])

    def slept(self, newest: int, stop: int | None = None) -> int:
        """Return the newest sleep up to a reading, and up to token `stop`; else the first."""
        rows = windows_read(self.batch, self.sleep)
        asleep = [number for number, row in enumerate(rows) if not row.awake]
        fit = [n for n in asleep if n <= newest and (stop is None or rows[n].stop <= stop)]
        return max(fit, default=asleep[0])

    def problem(self, example: int) -> Problem:
        """Return one example in words."""
        return Problem(self.task, self.batch.examples(slice(example, example + 1)))

    def asked(self, example: int) -> np.ndarray:
        """Return the numbers of the queries that an example has."""
        return np.flatnonzero(self.batch.difficulty[example] >= 0)

    def spelt(self, example: int, tokens: np.ndarray) -> list[str]:
        """Return each answer of an example in letters, as ``tokens [token]`` spell it."""
        return [
            self.task.spell(
                [self.task.vocabulary[n] for n in tokens[self.batch.answer_of[example] == query]]
            )
            for query in self.asked(example)
        ]

    def python(self, *imports: str) -> list[str]:
        """Return lines of Python that load the model and draw the examples, after imports."""
        if self.typed:
            text, queries = self.typed
            drawn = f"checkpoint.task.parse({text!r}, {queries or None!r})"
        else:
            drawn = f"drawn_batch(checkpoint.task, {self.seed})"
        return [
            "import workbench",
            *imports,
            "from workbench.theatre.problem import drawn_batch, without_padding",
            "",
            f"checkpoint = workbench.load({self.checkpoint.name!r})",
            f"sleep = checkpoint.sleep.with_passes({self.sleep.passes})",
            f"batch = without_padding({drawn}, sleep.window)",
        ]

    def ask(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return the result kept under this key, worked out at the first call."""
        return self._results.get(key, make)


def read_examples(checkpoint: Checkpoint, wish: Wish) -> Examples:
    """Let a checkpoint read all examples of a wish's seed, or its own input."""
    sleep = checkpoint.sleep.with_passes(wish.passes)
    typed = (wish.input, wish.queries) if wish.input else None
    batch = problem_of(checkpoint, wish).batch if typed else drawn_batch(checkpoint.task, wish.seed)
    batch = without_padding(batch, sleep.window)
    reading = read_boundaries(checkpoint.model, batch, sleep)
    return Examples(checkpoint, batch, sleep, reading, max(wish.seed, 0), typed)
