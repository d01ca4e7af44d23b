"""What the instruments say of one sleep, at a place in it.

Each result is computed once and kept with the sleep, so that a step only selects.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, Final, NamedTuple

import numpy as np
import xarray as xr

from workbench import dims
from workbench.files import parse_json
from workbench.instruments.boundaries import BoundaryIndex
from workbench.instruments.change import change
from workbench.instruments.convergence import FEWEST, cka, convergence
from workbench.instruments.lens import lens_by_difficulty, lens_of
from workbench.instruments.linear import CONVENTIONS
from workbench.instruments.provenance import contribution_norms
from workbench.instruments.readout import crosstalk, readout
from workbench.instruments.retention import pass_retention, retention
from workbench.instruments.spectra import spectra
from workbench.once_cache import OnceCache
from workbench.progress import Report
from workbench.sleep import SleepingModel
from workbench.theatre.problem import drawn_batch, without_padding
from workbench.theatre.recording import Layout, Recording, part_of
from workbench.theatre.scene import is_large
from workbench.trace import batch_of, record

RESULTS: Final = 48
"""Results that are kept of each sleep."""
LONGER: Final = 3
"""How many times N the sleep is that stands for the fixed point."""
LEAST: Final = 32
"""Passes of that sleep at least."""

AT_ONCE: Final = 2
"""Examples of a large memory that are read together."""


class Place(NamedTuple):
    """Where an instrument looks: a reading, a pass, a layer (an index of the stack), a head."""

    entry: int
    sleep_pass: int
    layer: int
    head: int

    @property
    def boundary(self) -> BoundaryIndex:
        """The reading and the pass."""
        return self.entry, self.sleep_pass


@dataclass(frozen=True, eq=False)
class Study:
    """One example's sleep, and what the instruments have found in it so far.

    - every: returns the trace of all examples; `shared` keeps what was found in it, for the
      studies of all of them.
    - longer: returns the trace of a far longer sleep; None where there is no model to sleep on.
    """

    recording: Recording
    every: Callable[[Report], xr.DataTree]
    longer: Callable[[], xr.DataTree] | None
    shared: OnceCache = field(repr=False)
    kept: OnceCache = field(default_factory=lambda: OnceCache(RESULTS), repr=False)

    @cached_property
    def layout(self) -> Layout:
        """The readings of the sleep, and its boundaries."""
        return Layout.of(self.recording.trace)

    @cached_property
    def large(self) -> bool:
        """Whether there are too many states to keep those of all examples."""
        return is_large(self.recording.trace)

    @cached_property
    def labels(self) -> list[int]:
        """The label of each reading in the trace."""
        return [int(label) for label in self.recording.trace.coords[dims.WINDOW].values]

    def slept(self, entry: int) -> int:
        """Return the newest sleep up to a reading; without one, the first."""
        asleep = [e for e, awake in enumerate(self.layout.awake) if not awake]
        return max((e for e in asleep if e <= entry), default=asleep[0] if asleep else 0)

    @cached_property
    def symbols(self) -> list[list[str]]:
        """The text of each token ``[reading][token]``; padding is a dot."""
        trace, problem = self.recording.trace, self.recording.problem
        inputs = trace["inputs"].to_dataset().isel({dims.EXAMPLE: 0})
        known: Sequence[str] | None = None if problem is None else problem.task.vocabulary
        if known is None:
            known = parse_json(trace.attrs["vocabulary_json"] or "null", what="a trace")
        found = []
        for ids, valid in zip(inputs["tokens"].values, inputs["valid"].values, strict=True):
            words = [str(known[i]) if known else str(i) for i in ids]
            found.append([w if v else "·" for w, v in zip(words, valid, strict=True)])
        return found

    def find(
        self,
        name: Hashable,
        place: Place,
        instrument: Callable[[xr.DataTree], xr.Dataset],
        *,
        heads: bool = False,
    ) -> xr.Dataset:
        """Return what an instrument finds in the place's head, or in all `heads` of its layer."""
        head = None if heads else place.head

        def make() -> xr.Dataset:
            part = part_of(self.recording.trace, place.layer, head)
            return instrument(part).isel({dims.EXAMPLE: 0, dims.LAYER: 0})

        found = self.kept.get((name, place.layer, head), make)
        return (
            found if heads else found.isel({dims.GDN_HEAD: 0}).assign_coords({dims.GDN_HEAD: head})
        )

    def examples(
        self, name: Hashable, instrument: Callable[[xr.DataTree], xr.Dataset]
    ) -> xr.Dataset:
        """Return what an instrument finds in all examples."""
        every = partial(self.read_all, lambda done, total, unit: None)
        return self.shared.get(name, lambda: instrument(every()))

    def read_all(self, progress: Report) -> xr.DataTree:
        """Return the trace of all examples, without writes; reads them at the first call."""
        return self.shared.get("every", lambda: self.every(progress))


def study_of(recording: Recording, model: SleepingModel, seed: int, shared: OnceCache) -> Study:
    """Return the study of an example that a model has read; a typed one has the seed -1."""
    problem, sleep = recording.problem, recording.sleep
    assert problem is not None and isinstance(sleep.passes, int)
    large = is_large(recording.trace)
    longest = sleep.with_passes(max(LEAST, LONGER * sleep.passes))

    def every(progress: Report) -> xr.DataTree:
        if seed < 0:
            return recording.trace
        batch = without_padding(drawn_batch(problem.task, seed), sleep.window)
        if not large:
            return record(model, batch, sleep, keep=("states",))
        done = 0

        def read(count: int) -> None:
            nonlocal done
            done += count
            progress(done, len(batch), "examples")

        return record(model, batch, sleep, keep=(), batch_size=AT_ONCE, on_progress=read)

    def longer() -> xr.DataTree:
        batch = batch_of(recording.trace)
        # the answers after each of its passes are not needed
        silent = replace(
            batch,
            difficulty=np.empty((1, 0), dtype=np.int64),
            answer_of=np.full_like(batch.answer_of, -1),
        )
        return record(model, silent, longest, keep=("states",))

    return Study(recording, every, None if large else longer, shared)


def spectra_at(study: Study, place: Place) -> xr.Dataset:
    """Return the spectra of every head of the layer, at every boundary."""
    return study.find("spectra", place, spectra, heads=True)


def change_at(study: Study, place: Place) -> xr.Dataset:
    """Return change and replay of the head, at every boundary."""
    return study.find("change", place, change)


def shares_at(study: Study, place: Place) -> xr.Dataset:
    """Return each pass's share of the head at each boundary, by both conventions."""

    def every_pass(trace: xr.DataTree) -> xr.Dataset:
        both = [contribution_norms(trace, convention=c, every_pass=True) for c in CONVENTIONS]
        along = xr.IndexVariable(dims.CONVENTION, list(CONVENTIONS))
        return xr.concat(both, along, join="exact", combine_attrs="drop_conflicts")

    return study.find("shares", place, every_pass)


def tokens_at(study: Study, place: Place) -> xr.Dataset:
    """Return norms and shares in the head at every boundary, by token ("left of each write")."""
    every_token = partial(contribution_norms, every_pass=True, every_token=True)
    return study.find("tokens", place, every_token)


def retention_at(study: Study, place: Place) -> xr.Dataset:
    """Return what later windows leave of each window's writes, in the head."""
    return study.find("retention", place, retention)


def pass_retention_at(study: Study, place: Place) -> xr.Dataset:
    """Return what later passes leave, in the head and the last window slept on."""
    found = study.find("pass retention", place, pass_retention)
    return found.isel({dims.WINDOW: study.slept(place.entry)})


def readout_at(study: Study, place: Place) -> xr.Dataset:
    """Return what S returns, at every boundary, for the keys of the last window slept on."""
    source = study.slept(place.entry)
    label = study.labels[source]
    returned = partial(readout, source_window=label)
    return study.find(("readout", source), place, returned, heads=True)


def crosstalk_at(study: Study, place: Place) -> xr.Dataset:
    """Return whose values come back, in the head, for the keys of the last sleep."""
    boundary = after_a_pass(study, place)
    given: dict[str, Any] = {
        "window": study.labels[boundary[0]],
        "sleep_pass": boundary[1],
        "source_window": study.labels[study.slept(boundary[0])],
    }
    return study.find(("crosstalk", boundary), place, partial(crosstalk, **given))


def after_a_pass(study: Study, place: Place) -> BoundaryIndex:
    """Return the last pass done at the place; the first one where none has been done."""
    if place.sleep_pass:
        return place.boundary
    every = study.layout.boundaries
    return every[max(every.index(place.boundary) - 1, 1)]


def lens_at(study: Study, place: Place) -> xr.Dataset:
    """Return the answers after every pass, by difficulty, over all examples; no place matters."""
    problem = study.recording.problem
    task = None if problem is None else problem.task
    return study.examples("lens", lambda trace: lens_by_difficulty(lens_of(trace), task))


def convergence_at(study: Study, place: Place) -> xr.Dataset:
    """Return steps and distances of the head, at every boundary."""

    def with_fixed_point(trace: xr.DataTree) -> xr.Dataset:
        end: Any = None
        if study.longer is not None:
            whole = study.kept.get("longer", study.longer)
            end = part_of(whole, place.layer, place.head)
        return convergence(trace, fixed_point=end)

    return study.find("convergence", place, with_fixed_point)


def cka_at(study: Study, place: Place) -> xr.Dataset | None:
    """Return the likeness of passes over all examples, in the head and the last window slept on.

    None where there are too few examples, or too many states to keep.
    """
    if study.large or study.recording.number < 0 or study.recording.examples < FEWEST:
        return None
    entry = study.slept(place.entry)

    def likeness(trace: xr.DataTree) -> xr.Dataset:
        return cka(part_of(trace, place.layer, place.head), window=study.labels[entry])

    found = study.examples(("cka", entry, place.layer, place.head), likeness)
    return found.isel({dims.LAYER: 0, dims.GDN_HEAD: 0})


def where(place: Place, found: xr.Dataset) -> xr.Dataset:
    """Return what an instrument says at the place's boundary."""
    return found.isel({dims.WINDOW: place.entry, dims.SLEEP_PASS: place.sleep_pass})
