"""Traces that pages show: recorded from a checkpoint on demand, bundled, or the user's own.

Shared by the pages of instruments, and by all sessions of a process. Knows no Panel.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import numpy as np
import xarray as xr
from pydantic import ValidationError

from workbench import dims
from workbench.batch import Batch
from workbench.config import Experiment, SleepConfig
from workbench.errors import WorkbenchError
from workbench.files import stamp
from workbench.instruments.recorded import asleep_of, passes_of, recorded
from workbench.paths import bundled_traces
from workbench.tasks import EVALUATION, draw
from workbench.tasks import task as make_task
from workbench.tasks.base import Task
from workbench.views.cursor.cursor import EXAMPLES, BoundaryIndex, Cursor, Extent
from workbench.views.cursor.problem import Problem, typed, without_padding
from workbench.views.parts.once_cache import OnceCache
from workbench.views.site.services import services

if TYPE_CHECKING:
    from workbench.training.checkpoints import Checkpoint

OWN: Final = "traces/"
"""What the names of the user's own traces begin with."""
ENDING: Final = ".zarr.zip"
TRACES: Final = 6
"""Traces that are kept; one of a bundled model takes up to 10 MB."""
RESULTS: Final = 48
"""Results of instruments that are kept of each trace."""
LARGEST: Final = 256 * 2**20
"""Bytes of the largest file of one's own that a page reads."""

T = TypeVar("T")


class TraceKey(NamedTuple):
    """Which trace: everything that makes another sleep, but for the example."""

    name: str
    seed: int = 0
    passes: int | None = None
    text: str = ""
    queries: str = ""


@dataclass(frozen=True, eq=False)
class TraceView:
    """A trace, and what instruments have said of it so far.

    Attributes
    ----------
    key : TraceKey
        What was asked for.
    trace : DataTree
        As recorded; never changed.
    sleep : SleepConfig
        The sleep that was recorded.
    task : Task or None
        What the examples belong to; None where the trace does not say.
    checkpoint : Checkpoint or None
        The model; None for a trace of one's own.
    source : {"recorded", "bundled", "own"}
        Where the trace is from.
    """

    key: TraceKey
    trace: xr.DataTree
    sleep: SleepConfig
    task: Task | None
    checkpoint: Checkpoint | None
    source: str
    _results: OnceCache = field(default_factory=lambda: OnceCache(RESULTS), repr=False)

    @property
    def passes(self) -> tuple[int, ...]:
        """Last pass of each window."""
        return tuple(int(n) for n in passes_of(self.trace))

    @property
    def awake(self) -> tuple[bool, ...]:
        """Which windows are read awake."""
        return tuple(not bool(asleep) for asleep in asleep_of(self.trace))

    @property
    def layers(self) -> tuple[int, ...]:
        """Indices of the fast-weight layers."""
        return tuple(int(n) for n in self.trace["states"].coords[dims.LAYER].values)

    @property
    def examples(self) -> int:
        """How many examples there are."""
        return int(self.trace.sizes[dims.EXAMPLE])

    @property
    def extent(self) -> Extent:
        """What a cursor on this trace ranges over."""
        states = self.trace["states"]
        asked = np.asarray(recorded(self.trace, "inputs", "difficulty").values) >= 0
        queries = int(asked.sum(axis=1).max(initial=1))
        # of what was typed there is one example; the others are those of the seed, a choice away
        count = self.examples if self.source == "own" else EXAMPLES
        heads = int(states.sizes[dims.GDN_HEAD])
        return Extent(self.passes, self.layers, heads, max(queries, 1), count)

    def position(self, example: int) -> int:
        """Return where an example lies in the trace."""
        return 0 if self.key.text else example

    def one(self, example: int) -> xr.DataTree:
        """Return the trace of one example alone."""
        at = self.position(example)
        return self.ask(("one", at), lambda: self.trace.isel({dims.EXAMPLE: slice(at, at + 1)}))

    def batch(self) -> Batch:
        """Return the examples as they were read."""
        from workbench.trace import batch_of

        return self.ask("batch", lambda: batch_of(self.trace))

    def problem(self, example: int) -> Problem | None:
        """Return one example in words; None where the trace does not say what it is of."""
        at = self.position(example)
        if self.task is None:
            return None
        return Problem(self.task, self.batch().examples(slice(at, at + 1)))

    def symbols(self, example: int) -> list[list[str]]:
        """Return the text of each token ``[window][token]``; padding is a dot, or nothing."""
        at = self.position(example)
        inputs = self.trace["inputs"].to_dataset().isel({dims.EXAMPLE: at})
        vocabulary = json.loads(self.trace.attrs["vocabulary_json"] or "null")
        found = []
        for ids, valid in zip(inputs["tokens"].values, inputs["valid"].values, strict=True):
            words = [vocabulary[i] if vocabulary else str(i) for i in ids]
            found.append([w if v else "·" for w, v in zip(words, valid, strict=True)])
        return found

    def ask(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return what was worked out before under this key, or work it out."""
        return self._results.get(key, make)

    def slept(self, window: int) -> int:
        """Return the window itself if it was slept on, else the last one before that was."""
        asleep = [w for w, awake in enumerate(self.awake) if not awake]
        return max((w for w in asleep if w <= window), default=asleep[0] if asleep else 0)

    def written(self, boundary: BoundaryIndex) -> BoundaryIndex | None:
        """Return the last pass before a boundary, or None before the first."""
        if boundary.sleep_pass:
            return boundary
        return (
            BoundaryIndex(boundary.window - 1, self.passes[boundary.window - 1])
            if boundary.window
            else None
        )


class TraceStore:
    """Traces by key, each made once however many sessions ask.

    Parameters
    ----------
    shared : Services
        The process's checkpoints. Its ``traces``, if it has any, is the folder of one's own.
    """

    def __init__(self, shared: Any) -> None:
        self.services = shared
        self._views = OnceCache(TRACES)
        self._traces = OnceCache(TRACES)

    def names(self) -> list[str]:
        """Return the checkpoints, then one's own traces."""
        return [*self.services.names(), *self._own()]

    def _own(self) -> dict[str, Path]:
        """Return one's own traces by name: files of the folder itself, and no links out of it."""
        folder: Path | None = getattr(self.services, "traces", None)
        if folder is None or not folder.is_dir():
            return {}
        home = folder.resolve()
        return {
            OWN + path.name.removesuffix(ENDING): path
            for path in sorted(folder.glob(f"*{ENDING}"))
            if path.is_file() and path.resolve() == home / path.name
        }

    def get(self, key: TraceKey) -> TraceView:
        """Return a trace.

        Raises
        ------
        WorkbenchError
            There is no such checkpoint or trace, it is damaged, or what was typed does not fit.
        """
        if not key.name.startswith(OWN):
            checkpoint = self.services.checkpoint(key.name)
            model = checkpoint.identity
            return self._views.get((key, model), lambda: self._of_checkpoint(checkpoint, key))
        path = self._own().get(key.name)
        if path is None:
            raise WorkbenchError(
                f"no trace {key.name!r}",
                f"one of {', '.join(self._own()) or 'none: there is no file in traces/'}",
                f"record one with `workbench trace CHECKPOINT --out traces/NAME{ENDING}`",
            )
        at = stamp(path)
        return self._views.get((path, at), lambda: _own_trace(key.name, path, at.size))

    def _of_checkpoint(self, checkpoint: Checkpoint, key: TraceKey) -> TraceView:
        from workbench.trace import origin_of, record

        task, sleep = checkpoint.task, checkpoint.sleep
        if key.passes is not None:
            sleep = sleep.with_passes(key.passes)
        if key.text:
            batch = typed(task, key.text, key.queries).batch
        else:
            batch = drawn_batch(task, key.seed)
        batch = without_padding(batch, sleep.window)
        found = None if key.text else self._bundled(key, checkpoint, sleep, batch)
        source = "recorded" if found is None else "bundled"
        if found is None:
            origin = origin_of(checkpoint, seed=-1 if key.text else key.seed)
            found = record(checkpoint.model, batch, sleep, task=task, origin=origin)
        return TraceView(key, found, sleep, task, checkpoint, source)

    def _bundled(
        self, key: TraceKey, checkpoint: Checkpoint, sleep: SleepConfig, batch: Batch
    ) -> xr.DataTree | None:
        """Return the bundled trace of just this sleep, if there is one."""
        from workbench.trace import batch_of, load_trace

        for name, path in bundled_traces().items():
            if not name.startswith(checkpoint.name):
                continue
            try:
                file = (path, stamp(path), checkpoint.identity)
                trace = self._traces.get(file, partial(load_trace, name, checkpoint=checkpoint))
            except WorkbenchError:
                continue  # of other weights, or damaged: recording it anew is as good
            same = trace.attrs["seed"] == key.seed and trace.attrs["n_sleep"] == sleep.passes
            if not same or trace.attrs["window_size"] != sleep.window:
                continue
            # not by its seed alone: of more examples from one seed the first ones are others
            if np.array_equal(batch_of(trace).tokens, batch.tokens) and "writes" in trace.children:
                return trace
        return None


def key_of(cursor: Cursor) -> TraceKey:
    """Return which trace a cursor names."""
    if cursor.checkpoint.startswith(OWN):
        return TraceKey(cursor.checkpoint)
    seed = 0 if cursor.text else cursor.seed
    return TraceKey(cursor.checkpoint, seed, cursor.passes, cursor.text, cursor.queries)


def drawn_batch(task: Task, seed: int) -> Batch:
    """Return every example of a seed, as the stepper draws them one by one."""
    return draw(task, EXAMPLES, seed, 0, EVALUATION)


def _own_trace(name: str, path: Path, size: int) -> TraceView:
    from workbench.trace import load_trace

    if size > LARGEST:
        raise WorkbenchError(
            f"{name} has {size / 2**20:.0f} MB",
            f"at most {LARGEST // 2**20} MB, as the page holds a trace in memory",
            "record fewer examples, or open it in a notebook with workbench.trace.load_trace",
        )
    trace = load_trace(path)
    sleep = SleepConfig.model_validate_json(trace.attrs["sleep_json"])
    return TraceView(TraceKey(name), trace, sleep, _task_of(trace), None, "own")


def _task_of(trace: xr.DataTree) -> Task | None:
    """Return the task that a trace names; None where it names none that is known."""
    text = trace.attrs["config_json"]
    try:
        return make_task(Experiment.model_validate_json(text).task) if text else None
    except (ValidationError, WorkbenchError):
        return None


_STORE = TraceStore(services())  # made by the import, which happens once however many threads ask


def trace_store() -> TraceStore:
    """Return the store of this process."""
    return _STORE
