"""Causes: change the memory at a boundary of a reading, read on, and see what the answers become.

The model itself reads on (`workbench.instruments.boundaries.read_on`), so a patch in the middle of
a sleep is carried through the passes and windows that follow; features h and the KV cache stay the
recipient's, and so do the tokens that are read later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
import xarray as xr

from workbench import dims
from workbench.batch import Batch
from workbench.config import SleepConfig
from workbench.errors import WorkbenchError
from workbench.instruments.boundaries import (
    BoundaryIndex,
    at,
    before_answers,
    known_passes,
    last_boundary,
    of_examples,
    read_boundaries,
    read_on,
    windows_read,
)
from workbench.instruments.controls import PATCH, RANDOM, UNRELATED
from workbench.instruments.patching import components as parts
from workbench.instruments.patching.components import Component
from workbench.instruments.patching.context_swaps import (
    Asked,
    Questions,
    chance_of,
    logits_at,
    questions,
    swap_context,
)
from workbench.instruments.recorded import check_choice, in_nats
from workbench.model import Memory
from workbench.sleep import Boundary, SleepingModel
from workbench.tasks.base import Task
from workbench.trace.answers import answer_scores

DIRECTIONS = ("denoise", "noise")
ZERO, MEAN, OTHER = "zero", "mean", "another example's"

Reading = Mapping[BoundaryIndex, Boundary]


@dataclass(frozen=True)
class PassChange:
    """The part of S that one pass changed, as both readings have it: S after minus S before.

    The changes of all passes add up to S. Later passes may have erased some of it (a delta rule
    corrects), so a change is what the pass did, and not what of it is left.
    """

    window: int
    sleep_pass: int

    @property
    def name(self) -> str:
        """As axes show it."""
        return f"change of pass {self.sleep_pass}, window {self.window}"

    def of(self, reading: Reading) -> Component:
        """Return the part for the memories of one reading."""
        before, after = (at(reading, (self.window, self.sleep_pass - i)) for i in (1, 0))
        return parts.change(self.name, before.memory, after.memory)


Part = Component | PassChange


@torch.no_grad()
def patch_effects(
    model: SleepingModel,
    task: Task,
    recipient: Batch,
    donor: Batch,
    sleep: SleepConfig,
    *,
    boundaries: Sequence[BoundaryIndex] | None = None,
    components: Sequence[Part] | None = None,
    asked: Asked = "all",
    seed: int = 0,
    on_progress: Callable[[int], None] | None = None,
) -> xr.Dataset:
    """Put parts of a donor's memory into a recipient, and read on.

    Two readings are compared, of the same queries after two contexts. "noise" puts the memory of
    the donor's context into the reading of the recipient as it was drawn: an effect says that the
    part is needed. "denoise" is the way back: the reading of the donor's context gets the part
    from the recipient's, and an effect says that the part is enough. In each, "recipient" and
    "donor" below are the roles, and earlier answers in view are those of the reading patched.

    - recipient, donor: two or more examples each; example i gets the context of example i.
    - boundaries: where to patch, not after the first answer; None is all of windows slept on.
    - components: what to patch; None is all of S. A `PassChange` is NaN before its own boundary.
    - asked: queries that are measured; those that both contexts answer alike never are.
    - on_progress: called with the number of patches done since the last call.

    Result: over (direction, control, component, window, sleep_pass, example, query), where
    control is "patch", "unrelated donor" (the donor of the example before) or "random of equal
    norm" (as large a change in every head, in a random direction): ``logit_diff``, the donor's
    answer's logit minus the recipient's, nats, at the token where the two first differ;
    ``became_donor`` and ``stayed``, whether the most likely symbol there is the donor's answer,
    or the recipient's. Over (direction, example, query): ``unpatched`` and ``donor``, the logit
    difference with the recipient's memory and with all of the donor's before the first answer:
    effects 0 and 1; ``chance``, how often an unrelated context gives the donor's answer
    (`chance_of`). NaN where not measured.

    Raises WorkbenchError: pairs do not fit (`swap_context`), a boundary or part does not exist, N
    is not a number, or there is one example.
    """
    passes = known_passes(sleep)
    if len(recipient) < 2:
        raise WorkbenchError(
            "an unrelated donor among 1 example", "2 examples or more", "draw more examples"
        )
    swapped = swap_context(task, recipient, donor)
    clean, other = (read_boundaries(model, batch, sleep) for batch in (recipient, swapped))
    sweep = _sweep(clean, before_answers(recipient, sleep), boundaries, components, on_progress)
    pair = questions(recipient, swapped, sleep.window, asked=asked)
    denoise = partial(_one_way, model, task, sleep, sweep, seed, swapped, other, clean)
    noise = partial(_one_way, model, task, sleep, sweep, seed, recipient, clean, other)
    both = denoise(pair.exchanged(), recipient), noise(pair, donor)  # as in DIRECTIONS
    found, ends = (np.stack(arrays, axis=1) for arrays in zip(*both, strict=True))
    labels = {dims.DIRECTION: list(DIRECTIONS), dims.CONTROL: [PATCH, UNRELATED, RANDOM]}
    effects = sweep.laid_out(dict(zip(OUTCOMES, found, strict=True)), labels, recipient)
    for name, values in zip(("unpatched", "donor", "chance"), ends, strict=True):
        units = "1" if name == "chance" else "nat"
        effects[name] = (dims.DIRECTION, dims.EXAMPLE, dims.QUERY), values, {"units": units}
    return in_nats(effects).assign_attrs(
        compared="the donor's answer against the recipient's, after part of S was exchanged",
        examples=len(recipient),
        questions=int(pair.asked.sum()),
        asked=asked,
        n_sleep=passes,
        seed=seed,
    )


def _one_way(
    model: SleepingModel,
    task: Task,
    sleep: SleepConfig,
    sweep: _Sweep,
    seed: int,
    batch: Batch,
    reading: Reading,
    donors: Reading,
    pair: Questions,
    giving: Batch,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the outcomes of one direction, and its two ends with chance ``[3, example, query]``.

    - batch, reading: what is patched; donors: the reading whose memory is put in.
    - giving: whose contexts the donors' are.
    """
    before = torch.arange(len(batch)).roll(1)
    unrelated = {boundary: of_examples(there, before) for boundary, there in donors.items()}

    def changed(part: Part, boundary: BoundaryIndex) -> Iterator[Memory]:
        patched = exchanged(part, boundary, reading, donors)
        yield patched
        yield exchanged(part, boundary, reading, unrelated)
        yield parts.moved_at_random(reading[boundary].memory, patched, seed=seed)

    def outcomes(start: Boundary) -> np.ndarray:
        return outcomes_of(logits_at(read_on(model, batch, sleep, start), pair), pair)

    found = sweep.run(reading, changed, outcomes, 3, batch)
    ends = [outcomes(there[sweep.last])[0] for there in (reading, donors)]
    return found, np.stack([*ends, chance_of(task, batch, giving, pair)])


@torch.no_grad()
def ablation_effects(
    model: SleepingModel,
    batch: Batch,
    sleep: SleepConfig,
    *,
    boundaries: Sequence[BoundaryIndex] | None = None,
    components: Sequence[Part] | None = None,
    methods: Sequence[str | float] = (ZERO, MEAN),
    seed: int = 0,
    on_progress: Callable[[int], None] | None = None,
) -> xr.Dataset:
    """Erase, exchange or scale parts of the memory, and read on.

    - boundaries, components, seed, on_progress: as in `patch_effects`. With predict_then_sleep
      boundaries reach up to the last wake.
    - methods: "zero", "mean" (over the batch's examples), "another example's" (that of the example
      before), or a factor that the part is scaled by.

    Result: over (procedure, control = "ablation" and "random of equal norm", component, window,
    sleep_pass, example, query): ``log_prob``, ``logit_diff`` and ``correct`` as `answer_scores`
    gives them; over (example, query) the same as ``intact_...``, from the memory left alone. NaN
    where an example has no such query, or where it was answered before. With predict_then_sleep
    ``intact_...`` is over window too: the queries that are still to be answered.
    """
    passes = known_passes(sleep)
    reading, names = read_boundaries(model, batch, sleep), ("log_prob", "logit_diff", "correct")
    sweep = _sweep(reading, last_boundary(batch, sleep), boundaries, components, on_progress)

    def scores(start: Boundary) -> np.ndarray:
        found = answer_scores(read_on(model, batch, sleep, start), batch)
        there = found["rank"].values > 0
        return np.stack([np.where(there, found[name].values, np.nan) for name in names])

    def changed(method: str | float, part: Part, boundary: BoundaryIndex) -> Iterator[Memory]:
        memory = reading[boundary].memory
        erased = ablated(memory, component_of(part, reading, boundary), method)
        yield erased
        yield parts.moved_at_random(memory, erased, seed=seed)

    found = [sweep.run(reading, partial(changed, m), scores, 2, batch) for m in methods]
    procedures = [m if isinstance(m, str) else f"x {m:g}" for m in methods]
    labels = {dims.PROCEDURE: procedures, dims.CONTROL: ["ablation", RANDOM]}
    effects = sweep.laid_out(dict(zip(names, np.stack(found, axis=1), strict=True)), labels, batch)
    axes: tuple[str, ...] = (dims.EXAMPLE, dims.QUERY)
    intact = scores(reading[before_answers(batch, sleep)])
    if sleep.order != "mask":
        axes, rows = (dims.WINDOW, *axes), windows_read(batch, sleep)
        begin = batch.answer_starts()
        later = [begin >= rows[window].stop for window in effects[dims.WINDOW].values]
        intact = np.where(later, intact[:, None], np.nan)
    for name, values in zip(names, intact, strict=True):
        effects[f"intact_{name}"] = axes, values
    return in_nats(effects).assign_attrs(
        compared="answers after part of S was erased or scaled, with those of S left alone",
        examples=len(batch),
        n_sleep=passes,
        seed=seed,
    )


OUTCOMES = ("logit_diff", "became_donor", "stayed")


def outcomes_of(logits: np.ndarray, pair: Questions) -> np.ndarray:
    """Return the `OUTCOMES` of logits ``[example, query, symbol]``: ``[3, example, query]``.

    The donor's logit minus the recipient's, nats, and whether the likeliest symbol is either's.
    """
    symbols = np.stack((pair.donor, pair.recipient), axis=-1)
    donors, own = np.moveaxis(np.take_along_axis(logits, symbols, axis=-1), -1, 0)
    best = np.nan_to_num(logits).argmax(axis=-1)  # NaN where nothing is asked
    outcomes = np.stack((donors - own, best == pair.donor, best == pair.recipient))
    return np.where(pair.asked, outcomes, np.nan)


def exchanged(part: Part, boundary: BoundaryIndex, own: Reading, donors: Reading) -> Memory:
    """Return the memory of one reading with a part of another reading's, at a boundary."""
    mine, theirs = (component_of(part, reading, boundary) for reading in (own, donors))
    return parts.patch(own[boundary].memory, donors[boundary].memory, mine, of_donor=theirs)


def component_of(part: Part, reading: Reading, boundary: BoundaryIndex) -> Component:
    """Return the part for the memories of one reading.

    Raises WorkbenchError: the change of a pass that has not run at this boundary.
    """
    if not exists(part, boundary):
        raise WorkbenchError(
            f"{part.name}, at window {boundary[0]}, sleep pass {boundary[1]}",
            "a pass that has run by then",
            "step on, or choose an earlier pass",
        )
    return part if isinstance(part, Component) else part.of(reading)


def exists(part: Part, boundary: BoundaryIndex) -> bool:
    """Return whether the part is there at this boundary: a pass's change is not before it."""
    return isinstance(part, Component) or (part.window, part.sleep_pass) <= boundary


def ablated(memory: Memory, component: Component, method: str | float) -> Memory:
    """Return the memory with a part set to "zero", "mean" or another's, or scaled by a factor."""
    if not isinstance(method, str):
        return parts.scale(memory, component, float(method))
    instead: dict[str, Any] = {ZERO: torch.zeros_like, MEAN: parts.mean_of, OTHER: parts.of_another}
    check_choice("method", method, instead)
    return parts.ablate(memory, component, instead[method])


def check_before(boundary: BoundaryIndex, last: BoundaryIndex) -> None:
    """Raise a WorkbenchError if a boundary comes after `last`, as from `last_boundary`."""
    if boundary > last:
        raise WorkbenchError(
            f"window {boundary[0]}, sleep pass {boundary[1]}",
            f"a boundary up to ({last[0]}, {last[1]}), before the answers that are compared",
            "change the memory earlier",
        )


@dataclass(frozen=True)
class _Sweep:
    """Parts of S to change, one at a time, at boundaries up to `last`."""

    chosen: list[Part]
    boundaries: list[BoundaryIndex]
    last: BoundaryIndex
    on_progress: Callable[[int], None] | None

    @property
    def index(self) -> tuple[list[int], list[int]]:
        """Windows and passes of the boundaries."""
        windows, passes = (sorted(set(numbers)) for numbers in zip(*self.boundaries, strict=True))
        return windows, passes

    def run(
        self,
        reading: Reading,
        changed: Callable[[Part, BoundaryIndex], Iterator[Memory]],
        scores: Callable[[Boundary], np.ndarray],
        controls: int,
        batch: Batch,
    ) -> np.ndarray:
        """Return what reading on with each changed memory scores.

        - changed: gives the memory with a part changed, then those of its controls.
        - scores: reads on from a boundary and returns ``[3 scores, example, query]``.

        Result: ``[score, control, component, window, sleep_pass, example, query]``, NaN where
        the boundary or the part does not exist.
        """
        windows, passes = self.index
        size = (3, controls, len(self.chosen), len(windows), len(passes), *batch.difficulty.shape)
        found = np.full(size, np.nan)
        for n, part in enumerate(self.chosen):
            for boundary in self.boundaries:
                at = (n, windows.index(boundary[0]), passes.index(boundary[1]))
                memories = changed(part, boundary) if exists(part, boundary) else ()
                for k, memory in enumerate(memories):
                    found[:, k, *at] = scores(reading[boundary].with_memory(memory))
                if self.on_progress is not None:
                    self.on_progress(controls)
        return found

    def laid_out(
        self, found: Mapping[str, np.ndarray], labels: Mapping[str, list[str]], batch: Batch
    ) -> xr.Dataset:
        """Return arrays of `run` by name, with two first axes of these labels."""
        index = dict(zip((dims.WINDOW, dims.SLEEP_PASS), self.index, strict=True))
        coords = {**labels, dims.COMPONENT: [part.name for part in self.chosen], **index}
        asked = (dims.EXAMPLE, dims.QUERY)
        laid = {name: ((*coords, *asked), array) for name, array in found.items()}
        return xr.Dataset(laid, {**coords, dims.DIFFICULTY: (asked, batch.difficulty)})


def _sweep(
    reading: Reading,
    last: BoundaryIndex,
    wanted: Sequence[BoundaryIndex] | None,
    components: Sequence[Part] | None,
    on_progress: Callable[[int], None] | None,
) -> _Sweep:
    """Return the parts and the boundaries to change S at, in reading order, each checked."""
    slept = {window for window, sleep_pass in reading if sleep_pass}
    if wanted is None:
        wanted = [boundary for boundary in reading if boundary[0] in slept and boundary < last]
    for boundary in wanted:
        at(reading, boundary)
        check_before(boundary, last)
    if not wanted:
        raise WorkbenchError(
            "no boundary to change the memory at",
            "at least one",
            "name some, or choose a window shorter than the context",
        )
    chosen: list[Part] = [parts.whole()] if components is None else list(components)
    return _Sweep(chosen, sorted(set(wanted)), last, on_progress)
