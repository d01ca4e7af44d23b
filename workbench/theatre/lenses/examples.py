"""All examples of a seed, as one model reads them: what a change starts from."""

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
"""Results that are kept of each reading; each holds S several times."""
LARGE: Final = 2
"""Results that are kept where S is large."""

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Examples:
    """Examples read by one model with N fixed; own input is a single one.

    `typed` is own input and its queries; `large` says whether S is too large to keep many results.
    """

    checkpoint: Checkpoint
    batch: Batch
    sleep: SleepConfig
    seed: int
    typed: tuple[str, str] | None = None
    large: bool = False
    _results: dict[str, OnceCache] = field(default_factory=dict, repr=False)

    @property
    def task(self) -> Task:
        """The task of the examples."""
        return self.checkpoint.task

    @property
    def boundaries(self) -> Reading:
        """Every boundary of one reading of all examples, which are read when it is first used."""

        def read() -> Reading:
            return read_boundaries(self.checkpoint.model, self.batch, self.sleep)

        return self.ask("reading", "all", read)

    @cached_property
    def last(self) -> BoundaryIndex:
        """The last boundary at which S can be changed before something is answered."""
        return last_boundary(self.batch, self.sleep)

    @property
    def passes(self) -> int:
        """N, which is fixed."""
        assert isinstance(self.sleep.passes, int)
        return self.sleep.passes

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
        return dict(self.checkpoint.model.empty_memory(1).fast_weights)

    def layer_of(self, ask: Mapping[str, Any]) -> int:
        """Return the layer that an ask names, or the first; raises Wrong where it has no S."""
        layer = whole(ask, "layer", 0, 2**31, default=self.layers[0])
        if layer not in self.layers:
            known = ", ".join(map(str, self.layers))
            raise Wrong("layer", f"layer = {layer}", f"a layer with S: {known}", "choose another")
        return layer

    def head_words(self, layer: int, head: int) -> str:
        """Return a head's name; its layer, an index of the stack, where there are several."""
        return f"head {head} of layer {layer}" if len(self.layers) > 1 else f"head {head}"

    def check_before_answers(self, boundary: BoundaryIndex, what: str) -> None:
        """Raise Wrong where a boundary is not there, or something is answered before it."""
        rows = windows_read(self.batch, self.sleep)
        (window, sleep_pass), (last, end) = boundary, self.last
        there = window < len(rows) and sleep_pass <= (0 if rows[window].awake else self.passes)
        if there and boundary <= self.last:
            return
        raise Wrong(
            "boundary",
            f"{what} at window {window + 1}, pass {sleep_pass}",
            f"a boundary up to window {last + 1}, pass {end}, before the answers",
            "go back",
        )

    def file(self, example: int, what: str) -> str:
        """Return the name of a file of numbers about an example."""
        name = self.checkpoint.name.replace("/", "-")
        sleep = f"seed-{self.seed}-n-{self.passes}"
        return f"{name}-{sleep}-example-{example}-{what.replace(' ', '-')}.csv"

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

    def ask(self, kind: str, key: Hashable, make: Callable[[], T]) -> T:
        """Return the result of a kind kept under this key, worked out at the first call."""
        room = OnceCache(LARGE if self.large else RESULTS)
        return self._results.setdefault(kind, room).get(key, make)


def examples_of(checkpoint: Checkpoint, wish: Wish, *, large: bool = False) -> Examples:
    """Return all examples of a wish's seed, or its own input, for a checkpoint to read."""
    sleep = checkpoint.sleep.with_passes(wish.passes)
    typed = (wish.input, wish.queries) if wish.input else None
    batch = problem_of(checkpoint, wish).batch if typed else drawn_batch(checkpoint.task, wish.seed)
    batch = without_padding(batch, sleep.window)
    return Examples(checkpoint, batch, sleep, max(wish.seed, 0), typed, large)
