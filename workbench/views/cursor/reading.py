"""Examples read by a model with every boundary of the reading kept, and a page that changes them.

Shared by the pages of interventions and of attribution, and by all sessions of a process.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import numpy as np
import torch
import xarray as xr

from workbench import dims
from workbench.batch import Batch
from workbench.config import SleepConfig
from workbench.figures.theme import Theme
from workbench.instruments.attributing.continuation import STATE_AXES, context_of, stacked
from workbench.instruments.boundaries import (
    before_answers,
    last_boundary,
    of_examples,
    read_boundaries,
    read_on,
    windows_read,
)
from workbench.instruments.change import changes_of
from workbench.instruments.interventions import Reading
from workbench.model.arrays import to_numpy
from workbench.once_cache import OnceCache
from workbench.theatre.problem import Problem, drawn_batch, without_padding
from workbench.trace.answers import said_tokens
from workbench.views.cursor import words
from workbench.views.cursor.cursor import BoundaryIndex, Cursor, Extent
from workbench.views.cursor.view import CursorView
from workbench.views.parts.outbox import Changes
from workbench.views.site.services import services

if TYPE_CHECKING:
    from workbench.training.checkpoints import Checkpoint

READINGS: Final = 4
"""Readings that are kept; one of a bundled model takes a few MB."""
RESULTS: Final = 64
"""Results that are kept of each."""

T = TypeVar("T")


class ReadingKey(NamedTuple):
    """Which reading."""

    name: str
    seed: int
    passes: int


@dataclass(frozen=True, eq=False)
class Examples:
    """All examples of a seed, read by one model with N fixed.

    `boundaries` holds every boundary of the reading, of all examples together; S is changed up to
    `last`: the boundary before the first answer, or with predict_then_sleep before the last wake.
    """

    checkpoint: Checkpoint
    batch: Batch
    sleep: SleepConfig
    boundaries: Reading
    last: BoundaryIndex
    _results: OnceCache = field(default_factory=lambda: OnceCache(RESULTS), repr=False)

    @property
    def passes(self) -> tuple[int, ...]:
        """Last pass of each window; 0 for those before which alone there is a boundary."""
        return self.extent.passes

    @cached_property
    def extent(self) -> Extent:
        """What a cursor on this reading ranges over; the last window is read awake."""
        assert isinstance(self.sleep.passes, int)
        state = next(iter(self.boundaries.values())).memory.fast_weights
        rows = windows_read(self.batch, self.sleep)[: self.last.window + 1]
        several = len({row.window for row in rows}) < len(rows)
        return Extent(
            passes=tuple(0 if row.awake else self.sleep.passes for row in rows),
            awake=tuple(row.awake for row in rows),
            layers=tuple(sorted(state)),
            heads=max(s.shape[1] for s in state.values()),
            queries=int((self.batch.difficulty >= 0).sum(axis=1).max(initial=1)),
            examples=len(self.batch),
            of_window=tuple(row.window for row in rows) if several else (),
        )

    def context(self, example: int, query: int) -> int:
        """Return the tokens before the window that a query is answered in, or the first such."""
        first = (self.batch.answer_of[example] == query).argmax()
        return int(context_of(self.batch, self.sleep, torch.as_tensor([first]))[0])

    def slept_before(self, window: int, example: int, query: int) -> int:
        """Return the newest sleep up to `window` that a query is answered after; else the first."""
        context = self.context(example, query)
        rows = windows_read(self.batch, self.sleep)
        known = [n for n, row in enumerate(rows) if row.stop <= context]
        return self.extent.slept(min([window, *known[-1:]]))

    def one(self, example: int) -> Batch:
        """Return one example alone."""
        return self.batch.examples(slice(example, example + 1))

    def problem(self, example: int) -> Problem:
        """Return one example in words."""
        return Problem(self.checkpoint.task, self.one(example))

    def spelt(self, example: int, tokens: np.ndarray) -> list[str]:
        """Return each answer of an example in letters, as ``tokens [token]`` spell it."""
        batch, task = self.one(example), self.checkpoint.task
        answers = []
        for query in np.flatnonzero(batch.difficulty[0] >= 0):
            said = tokens[batch.answer_of[0] == query]
            answers.append(task.spell([task.vocabulary[symbol] for symbol in said]))
        return answers

    def said(self, example: int) -> list[str]:
        """Return what the model answers to each question of an example."""

        def read() -> list[str]:
            first = self.boundaries[before_answers(self.batch, self.sleep)]
            start = of_examples(first, slice(example, example + 1))
            batch = self.one(example)
            with torch.no_grad():
                wakes = read_on(self.checkpoint.model, batch, self.sleep, start)
            return self.spelt(example, said_tokens(wakes, batch)[0])

        return self.ask(("said", example), read)

    def ask(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return the result kept under this key, computed at the first call."""
        return self._results.get(key, make)

    def known(self, key: Hashable) -> Any:
        """Return the result kept under this key, or None."""
        return self._results.known(key)

    def change(self, example: int) -> xr.DataArray:
        """Return the relative change of one example's S ``(window, sleep_pass)``, NaN at pass 0."""
        return self.ask(("change", example), lambda: self._change(example))

    def _change(self, example: int) -> xr.DataArray:
        states = {
            boundary: to_numpy(stacked(there.memory)[0][example].float())
            for boundary, there in self.boundaries.items()
        }
        shape = next(iter(states.values())).shape
        values = np.full((len(self.passes), max(self.passes) + 1, *shape), np.nan, np.float32)
        for boundary in self.extent.boundaries:
            values[boundary] = states[boundary]
        axes = (dims.WINDOW, dims.SLEEP_PASS, *STATE_AXES)
        found: xr.DataArray = changes_of(xr.DataArray(values, dims=axes), modes=0)["memory_change"]
        return found.drop_vars(found.coords)


class Readings:
    """Readings by key, each made once however many sessions ask."""

    def __init__(self, shared: Any) -> None:
        self.services = shared
        self._kept = OnceCache(READINGS)

    def get(self, key: ReadingKey) -> Examples:
        """Return a reading; raises where there is no such checkpoint."""
        checkpoint = self.services.checkpoint(key.name)
        return self._kept.get((key, checkpoint.identity), lambda: self._read(checkpoint, key))

    @torch.no_grad()
    def _read(self, checkpoint: Checkpoint, key: ReadingKey) -> Examples:
        sleep = checkpoint.sleep.with_passes(key.passes)
        batch = without_padding(drawn_batch(checkpoint.task, key.seed), sleep.window)
        last = BoundaryIndex(*last_boundary(batch, sleep))
        boundaries = read_boundaries(checkpoint.model, batch, sleep)
        return Examples(checkpoint, batch, sleep, boundaries, last)


class ReadingView(CursorView):
    """A page on one reading, with boundaries up to the last at which S may be changed.

    `readings` are those of the process unless others are given.
    """

    after_sleep = True
    examples: Examples

    def __init__(
        self, cursor: Cursor | None = None, *, readings: Readings | None = None, **values: Any
    ) -> None:
        self.readings = readings or _READINGS
        super().__init__(cursor, shared=self.readings.services, **values)

    def run(self, checkpoint: Any) -> Extent:
        """Get the reading that the cursor names; an error is raised before anything changes."""
        cursor = self.cursor
        assert cursor.passes is not None
        self.examples = self.readings.get(ReadingKey(cursor.checkpoint, cursor.seed, cursor.passes))
        return self.examples.extent

    def place(self, theme: Theme, told: str = "") -> Changes:
        """Return where the cursor is; `told` is for screen readers only."""
        cursor, examples = self.cursor, self.examples
        said = boundary_words(cursor.boundary, examples)
        change, source = examples.change(cursor.example), (examples, cursor.example)
        return self.screen.place(cursor, said, change, theme=theme, source=source, told=told)

    def busy(self) -> str:
        """Return what is being done while examples are read."""
        return f"{self.cursor.checkpoint} reads its examples"


def boundary_words(boundary: BoundaryIndex, examples: Examples) -> tuple[str, str]:
    """Return the name of a boundary, and what is still to be read from there."""
    window, number = boundary
    crossed = words.crossing(examples.sleep)
    if examples.extent.of_window:
        return _predicting_words(boundary, examples.extent, crossed)
    count = len(examples.passes) - 1
    total = f"window {window + 1} of {count}"
    if boundary == examples.last:
        return (
            "After the last eviction, before waking",
            f"The model has read everything it is to learn, and {crossed} crossed the boundary.",
        )
    left = examples.passes[window] - number
    still = f"{left} more pass{'' if left == 1 else 'es'} over this window" if left else ""
    later = count - window - 1
    more = f"the sleep over {later} more window{'' if later == 1 else 's'}" if later else ""
    follow = ", ".join(part for part in (still, more) if part) or "eviction"
    rest = f"{follow}, then the questions"
    if number == 0:
        at = f"Before {total}" if window else f"Before the first pass, {total}"
        empty = "" if window else "S is still 0. "
        return at, f"{empty}What follows from here: {rest}."
    name = f"{total}, pass {number} of {examples.passes[window]}"
    return f"After {name}", f"What follows from here: {rest}."


def _predicting_words(boundary: BoundaryIndex, extent: Extent, crossed: str) -> tuple[str, str]:
    """Return the same where windows are read awake and then slept on."""
    entry, number = boundary
    window = extent.of_window[entry] + 1
    total = f"window {entry + 1} of {len(extent.passes)} (the text's window {window})"
    left = extent.passes[entry] - number
    if extent.awake[entry]:
        before = f"{crossed} crossed the boundary" if entry else "Nothing has been read, so S = 0"
        follow = "the model reads this window awake, and predicts it"
        return f"Before {total}", f"{before}. What follows from here: {follow}."
    at = f"Asleep, {total}, pass {number} of {extent.passes[entry]}"
    if not number:
        at = f"Before the sleep over {total}, which was read awake"
    more = f"{left} {'more ' if number else ''}pass{'' if left == 1 else 'es'} over this window"
    later = f"the text's window {window + 1}, predicted from what crosses the boundary"
    follow = f"{more}, then {later}" if left else later
    return at, f"What follows from here: {follow}."


_READINGS = Readings(services())  # made at import, which happens once
