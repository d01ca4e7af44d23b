"""Traces that pages show: recorded from a checkpoint on demand, bundled, or the user's own.

Shared by all sessions of a process. Knows no Panel.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeVar

import numpy as np
import xarray as xr

from workbench import dims
from workbench.batch import Batch
from workbench.config import SleepConfig
from workbench.errors import WorkbenchError
from workbench.files import stamp
from workbench.instruments.recorded import asleep_of, passes_of, recorded
from workbench.once_cache import OnceCache
from workbench.paths import bundled_traces
from workbench.tasks.base import Task
from workbench.theatre.problem import EXAMPLES, Problem, drawn_batch, typed, without_padding
from workbench.theatre.recording import task_of
from workbench.views.cursor.cursor import Cursor, Extent
from workbench.views.site.services import services

if TYPE_CHECKING:
    from workbench.training.checkpoints import Checkpoint

OWN: Final = "traces/"
"""Prefix of the names of the user's own traces."""
ENDING: Final = ".zarr.zip"
TRACES: Final = 6
"""Traces that are kept; one of a bundled model takes up to 10 MB."""
RESULTS: Final = 48
"""Results of instruments that are kept of each trace."""
LARGEST: Final = 256 * 2**20
"""Bytes of the largest file of the user's own that a page reads."""

T = TypeVar("T")


class TraceKey(NamedTuple):
    """Which trace: everything that makes another sleep, except the example."""

    name: str
    seed: int = 0
    passes: int | None = None
    text: str = ""
    queries: str = ""


@dataclass(frozen=True, eq=False)
class TraceView:
    """A trace as recorded, and the results of instruments on it so far.

    `task` is None where the trace does not name one, `checkpoint` for a trace of the user's own.
    """

    key: TraceKey
    trace: xr.DataTree
    sleep: SleepConfig
    task: Task | None
    checkpoint: Checkpoint | None
    source: Literal["recorded", "bundled", "own"]
    _results: OnceCache = field(default_factory=lambda: OnceCache(RESULTS), repr=False)

    @cached_property
    def extent(self) -> Extent:
        """What a cursor on this trace ranges over."""
        states = self.trace["states"]
        asked = np.asarray(recorded(self.trace, "inputs", "difficulty").values) >= 0
        return Extent(
            passes=tuple(int(n) for n in passes_of(self.trace)),
            awake=tuple(not asleep for asleep in asleep_of(self.trace)),
            layers=tuple(int(n) for n in states.coords[dims.LAYER].values),
            heads=int(states.sizes[dims.GDN_HEAD]),
            queries=max(int(asked.sum(axis=1).max(initial=1)), 1),
            # typed input is one example; the seed's other examples are one choice away
            examples=self.examples if self.source == "own" else EXAMPLES,
            of_window=tuple(int(w) for w in self.trace.coords.get("of_window", ())),
        )

    @property
    def examples(self) -> int:
        """How many examples the trace holds."""
        return int(self.trace.sizes[dims.EXAMPLE])

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
        """Return one example in words; None where the trace does not name its task."""
        at = self.position(example)
        if self.task is None:
            return None
        return Problem(self.task, self.batch().examples(slice(at, at + 1)))

    def symbols(self, example: int) -> list[list[str]]:
        """Return the text of each token ``[window][token]``; padding is a dot, or nothing."""
        inputs = self.trace["inputs"].to_dataset().isel({dims.EXAMPLE: self.position(example)})
        vocabulary = json.loads(self.trace.attrs["vocabulary_json"] or "null")
        found = []
        for ids, valid in zip(inputs["tokens"].values, inputs["valid"].values, strict=True):
            words = [vocabulary[i] if vocabulary else str(i) for i in ids]
            found.append([w if v else "·" for w, v in zip(words, valid, strict=True)])
        return found

    def ask(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return the result kept under this key, computed at the first call."""
        return self._results.get(key, make)


class TraceStore:
    """Traces by key, each made once however many sessions ask.

    `shared` are the process's checkpoints; its ``traces``, if any, is the user's own folder.
    """

    def __init__(self, shared: Any) -> None:
        self.services = shared
        self._views = OnceCache(TRACES)
        self._traces = OnceCache(TRACES)

    def names(self) -> list[str]:
        """Return the checkpoints, then the user's own traces."""
        return [*self.services.names(), *self._own()]

    def _own(self) -> dict[str, Path]:
        """Return the user's traces by name: files of the folder itself, and no links out of it."""
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

        Raises WorkbenchError where there is no such checkpoint or trace, where it is damaged, or
        where the typed input does not fit.
        """
        if not key.name.startswith(OWN):
            checkpoint = self.services.checkpoint(key.name)
            model = checkpoint.identity
            return self._views.get((key, model), lambda: self._of_checkpoint(checkpoint, key))
        own = self._own()
        if key.name not in own:
            raise WorkbenchError(
                f"no trace {key.name!r}",
                f"one of {', '.join(own)}" if own else "a file in traces/, which holds none",
                f"record one with `workbench trace CHECKPOINT --out traces/NAME{ENDING}`",
            )
        path = own[key.name]
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
        if found is not None:
            return TraceView(key, found, sleep, task, checkpoint, "bundled")
        origin = origin_of(checkpoint, seed=-1 if key.text else key.seed)
        found = record(checkpoint.model, batch, sleep, task=task, origin=origin)
        return TraceView(key, found, sleep, task, checkpoint, "recorded")

    def _bundled(
        self, key: TraceKey, checkpoint: Checkpoint, sleep: SleepConfig, batch: Batch
    ) -> xr.DataTree | None:
        """Return the bundled trace of exactly this sleep, if there is one."""
        from workbench.trace import batch_of, load_trace

        for name, path in bundled_traces().items():
            if not name.startswith(checkpoint.name):
                continue
            try:
                file = (path, stamp(path), checkpoint.identity)
                trace = self._traces.get(file, partial(load_trace, name, checkpoint=checkpoint))
            except WorkbenchError:
                continue  # of other weights, or damaged: recording it again gives the same
            same = trace.attrs["seed"] == key.seed and trace.attrs["n_sleep"] == sleep.passes
            if not same or trace.attrs["window_size"] != sleep.window:
                continue
            # not by its seed alone: with another number of examples, the first ones differ
            if np.array_equal(batch_of(trace).tokens, batch.tokens) and "writes" in trace.children:
                return trace
        return None


def key_of(cursor: Cursor) -> TraceKey:
    """Return which trace a cursor names."""
    if cursor.checkpoint.startswith(OWN):
        return TraceKey(cursor.checkpoint)
    seed = 0 if cursor.text else cursor.seed
    return TraceKey(cursor.checkpoint, seed, cursor.passes, cursor.text, cursor.queries)


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
    return TraceView(TraceKey(name), trace, sleep, task_of(trace), None, "own")


_STORE = TraceStore(services())  # made at import, which happens once however many threads ask


def trace_store() -> TraceStore:
    """Return the store of this process."""
    return _STORE
