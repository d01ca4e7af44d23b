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
    of_examples,
    read_boundaries,
    read_on,
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
from workbench.model import Memory
from workbench.sleep import Boundary, SleepingModel
from workbench.tasks.base import Task
from workbench.trace.answers import answer_scores

DIRECTIONS = ("denoise", "noise")
ZERO, MEAN = "zero", "mean"

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
    directions: Sequence[str] = DIRECTIONS,
    controls: Sequence[str] = (UNRELATED, RANDOM),
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

    - model, task, sleep: the network, the task of both batches, and a fixed N.
    - recipient, donor: as many examples; example i gets the context of example i.
    - boundaries: where to patch, not after the first answer; None is all of windows slept on.
    - components: what to patch; None is all of S. A `PassChange` is NaN before its own boundary.
    - directions, controls: among `DIRECTIONS`; among "unrelated donor" (the donor of the example
      before) and "random of equal norm" (as large a change in every head, in a random direction).
    - asked ({"all", "first of window", "first"}): queries that are measured; those that both
      contexts answer alike never are.
    - on_progress: called with the number of patches done since the last call.

    Result: over (direction, control = "patch" and the controls, component, window, sleep_pass,
    example, query): ``logit_diff``, the donor's answer's logit minus the recipient's, nats, at the
    token where the two first differ; ``became_donor`` and ``stayed``, whether the most likely
    symbol there is the donor's answer, or the recipient's. Over (direction, example, query):
    ``unpatched`` and ``donor``, the logit difference with the recipient's memory and with all of
    the donor's before the first answer: effects 0 and 1; ``chance``, how often an unrelated context
    gives the donor's answer (`chance_of`). NaN where not measured.

    Raises WorkbenchError: pairs do not fit (`swap_context`), a boundary or part does not exist, N
    is not a number, or the control needs a second example.
    """
    known_passes(sleep)
    swapped = swap_context(task, recipient, donor)
    clean, other = (read_boundaries(model, batch, sleep) for batch in (recipient, swapped))
    last = before_answers(recipient, sleep)
    boundaries = _boundaries(clean, boundaries, last)
    chosen = [parts.whole()] if components is None else list(components)
    kinds = _controls(controls, len(recipient))
    measured = questions(recipient, swapped, sleep.window, asked=asked)
    roles = {
        "noise": (recipient, clean, other, measured, donor),
        "denoise": (swapped, other, clean, measured.exchanged(), recipient),
    }
    ways = _known(directions, DIRECTIONS, "direction")
    both = [
        _one_way(
            model, task, sleep, *roles[way], last, chosen, boundaries, kinds, seed, on_progress
        )
        for way in ways
    ]
    found, ends = (np.stack(arrays, axis=1) for arrays in zip(*both, strict=True))
    axes = (dims.DIRECTION, dims.CONTROL, dims.COMPONENT, "boundary", dims.EXAMPLE, dims.QUERY)
    names = ("logit_diff", "became_donor", "stayed")
    effects = _by_boundary(dict(zip(names, found, strict=True)), axes, boundaries)
    for name, values in zip(("unpatched", "donor", "chance"), ends, strict=True):
        units = "1" if name == "chance" else "nat"
        effects[name] = (dims.DIRECTION, dims.EXAMPLE, dims.QUERY), values, {"units": units}
    effects["logit_diff"].attrs["units"] = "nat"
    labels = {dims.DIRECTION: list(ways), dims.CONTROL: kinds}
    return _labelled(effects, labels, chosen, recipient).assign_attrs(
        compared="the donor's answer against the recipient's, after part of S was exchanged",
        examples=len(recipient),
        questions=int(measured.asked.sum()),
        asked=asked,
        n_sleep=known_passes(sleep),
        seed=seed,
    )


@torch.no_grad()
def ablation_effects(
    model: SleepingModel,
    batch: Batch,
    sleep: SleepConfig,
    *,
    boundaries: Sequence[BoundaryIndex] | None = None,
    components: Sequence[Part] | None = None,
    methods: Sequence[str | float] = (ZERO, MEAN),
    controls: Sequence[str] = (RANDOM,),
    seed: int = 0,
    on_progress: Callable[[int], None] | None = None,
) -> xr.Dataset:
    """Erase or scale parts of the memory, and read on.

    - model, batch, sleep: the network, the examples, and a fixed N.
    - boundaries, components: as in `patch_effects`; None is every boundary slept on, and all of S.
    - methods: "zero", "mean" (over the batch's examples), or a factor that the part is scaled by.
    - controls: among "random of equal norm".
    - seed, on_progress: as in `patch_effects`.

    Result: over (procedure, control = "ablation" and the controls, component, window, sleep_pass,
    example, query): ``log_prob``, ``logit_diff`` and ``correct`` as `answer_scores` gives them;
    over (example, query) the same as ``intact_...``, from the memory left alone. NaN where an
    example has no such query.
    """
    known_passes(sleep)
    reading = read_boundaries(model, batch, sleep)
    last = before_answers(batch, sleep)
    boundaries = _boundaries(reading, boundaries, last)
    chosen = [parts.whole()] if components is None else list(components)
    kinds = ["ablation", *_known(controls, (RANDOM,), "control")]
    names = ("log_prob", "logit_diff", "correct")

    def scores(boundary: BoundaryIndex, memory: Memory) -> np.ndarray:
        found = answer_scores(
            read_on(model, batch, sleep, reading[boundary].with_memory(memory)), batch
        )
        there = found["rank"].values > 0
        return np.stack([np.where(there, found[name].values, np.nan) for name in names])

    intact = scores(last, reading[last].memory)
    shape = (len(methods), len(kinds), len(chosen), len(boundaries), *batch.difficulty.shape)
    found = np.full((3, *shape), np.nan)
    for m, method in enumerate(methods):
        for n, part in enumerate(chosen):
            for p, boundary in enumerate(boundaries):
                component = resolved(part, reading, boundary)
                memory = reading[boundary].memory
                if component is not None:
                    changed = ablated(memory, component, method)
                    found[:, m, 0, n, p] = scores(boundary, changed)
                    if len(kinds) > 1:
                        random = parts.moved_at_random(memory, changed, seed=seed)
                        found[:, m, 1, n, p] = scores(boundary, random)
                if on_progress is not None:
                    on_progress(len(kinds))
    axes = (dims.PROCEDURE, dims.CONTROL, dims.COMPONENT, "boundary", dims.EXAMPLE, dims.QUERY)
    effects = _by_boundary(dict(zip(names, found, strict=True)), axes, boundaries)
    for name, values in zip(names, intact, strict=True):
        effects[f"intact_{name}"] = (dims.EXAMPLE, dims.QUERY), values
    for score in effects.data_vars.values():
        if "correct" not in str(score.name):
            score.attrs["units"] = "nat"
    procedures = [m if isinstance(m, str) else f"x {m:g}" for m in methods]
    labels = {dims.PROCEDURE: procedures, dims.CONTROL: kinds}
    return _labelled(effects, labels, chosen, batch).assign_attrs(
        compared="answers after part of S was erased or scaled, with those of S left alone",
        examples=len(batch),
        n_sleep=known_passes(sleep),
        seed=seed,
    )


def _controls(controls: Sequence[str], examples: int) -> list[str]:
    kinds = [PATCH, *_known(controls, (UNRELATED, RANDOM), "control")]
    if UNRELATED in kinds and examples < 2:
        raise WorkbenchError(
            "an unrelated donor among 1 example", "2 examples or more", "draw more examples"
        )
    return kinds


def _labelled(
    effects: xr.Dataset, labels: Mapping[str, Any], chosen: Sequence[Part], batch: Batch
) -> xr.Dataset:
    difficulty = (dims.EXAMPLE, dims.QUERY), batch.difficulty
    names = [part.name for part in chosen]
    return effects.assign_coords({**labels, dims.COMPONENT: names, dims.DIFFICULTY: difficulty})


def _one_way(
    model: SleepingModel,
    task: Task,
    sleep: SleepConfig,
    batch: Batch,
    reading: Reading,
    donors: Reading,
    pair: Questions,
    giving: Batch,
    last: BoundaryIndex,
    chosen: Sequence[Part],
    boundaries: Sequence[BoundaryIndex],
    kinds: Sequence[str],
    seed: int,
    on_progress: Callable[[int], None] | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the outcomes of one direction, and its two ends with chance.

    ``[outcome, control, component, boundary, example, query]`` and ``[end, example, query]``.
    """
    cases = pair.at.shape
    found = np.full((3, len(kinds), len(chosen), len(boundaries), *cases), np.nan)
    outcomes = partial(_outcomes_of, model, batch, sleep, pair)
    ends = [outcomes(start)[0] for start in (reading[last], donors[last])]
    ends.append(chance_of(task, batch, giving, pair))
    for k, p, boundary, n, patched in _patches(reading, donors, chosen, boundaries, kinds, seed):
        if patched is not None:
            found[:, k, n, p] = outcomes(reading[boundary].with_memory(patched))
        if on_progress is not None:
            on_progress(1)
    return found, np.stack(ends)


def _patches(
    reading: Reading,
    donors: Reading,
    chosen: Sequence[Part],
    boundaries: Sequence[BoundaryIndex],
    kinds: Sequence[str],
    seed: int,
) -> Iterator[tuple[int, int, BoundaryIndex, int, Memory | None]]:
    """Yield control, boundary and part by number with the patched memory, or None if undefined."""
    count = len(next(iter(next(iter(reading.values())).memory.fast_weights.values())))
    before = torch.arange(count).roll(1)
    unrelated = {boundary: of_examples(there, before) for boundary, there in donors.items()}
    for n, part in enumerate(chosen):
        for p, boundary in enumerate(boundaries):
            own = resolved(part, reading, boundary)
            memory = reading[boundary].memory
            for k, kind in enumerate(kinds):
                if own is None:
                    yield k, p, boundary, n, None
                    continue
                given = unrelated if kind == UNRELATED else donors
                theirs = resolved(part, given, boundary)
                patched = parts.patch(memory, given[boundary].memory, own, of_donor=theirs)
                if kind == RANDOM:
                    patched = parts.moved_at_random(memory, patched, seed=seed)
                yield k, p, boundary, n, patched


def resolved(part: Part, reading: Reading, boundary: BoundaryIndex) -> Component | None:
    """Return the component for the memories of one reading; None before its pass has run."""
    if isinstance(part, Component):
        return part
    return part.of(reading) if (part.window, part.sleep_pass) <= boundary else None


def ablated(memory: Memory, component: Component, method: str | float) -> Memory:
    """Return the memory with a part set to "zero" or "mean", or scaled by a factor."""
    if isinstance(method, str):
        _known([method], (ZERO, MEAN), "method")
        return parts.ablate(memory, component, mean=method == MEAN)
    return parts.scale(memory, component, float(method))


def _outcomes_of(
    model: SleepingModel, batch: Batch, sleep: SleepConfig, pair: Questions, start: Boundary
) -> np.ndarray:
    """Read on; return logit difference, became the donor's and stayed, ``[3, example, query]``."""
    logits = logits_at(read_on(model, batch, sleep, start), pair)
    symbols = np.stack((pair.donor, pair.recipient), axis=-1)
    donors, own = np.moveaxis(np.take_along_axis(logits, symbols, axis=-1), -1, 0)
    best = np.nan_to_num(logits).argmax(axis=-1)
    outcomes = np.stack((donors - own, best == pair.donor, best == pair.recipient))
    return np.where(pair.asked, outcomes, np.nan)


def _boundaries(
    reading: Reading, wanted: Sequence[BoundaryIndex] | None, last: BoundaryIndex
) -> list[BoundaryIndex]:
    """Return the boundaries to change S at, in reading order, each checked."""
    slept = {window for window, sleep_pass in reading if sleep_pass}
    if wanted is None:
        wanted = [boundary for boundary in reading if boundary[0] in slept and boundary < last]
    for boundary in wanted:
        at(reading, boundary)
        if boundary > last:
            raise WorkbenchError(
                f"window {boundary[0]}, sleep pass {boundary[1]}",
                f"a boundary up to ({last[0]}, {last[1]}), before the first answer",
                "patch before anything is answered",
            )
    if not wanted:
        raise WorkbenchError(
            "no boundary to change the memory at",
            "at least one",
            "name some, or choose a window shorter than the context",
        )
    return sorted(set(wanted))


def _known(given: Sequence[str], known: Sequence[str], what: str) -> list[str]:
    if unknown := sorted(set(given) - set(known)):
        raise WorkbenchError(
            f"{what} {unknown[0]!r}", " or ".join(map(repr, known)), f"choose another {what}"
        )
    return list(given)


def _by_boundary(
    values: dict[str, np.ndarray], axes: tuple[str, ...], boundaries: list[BoundaryIndex]
) -> xr.Dataset:
    """Lay the axis "boundary" out as window and sleep_pass; NaN where none exists."""
    windows, passes = (sorted({boundary[i] for boundary in boundaries}) for i in (0, 1))
    index = axes.index("boundary")
    laid = {}
    for name, array in values.items():
        before, after = array.shape[:index], array.shape[index + 1 :]
        grid = np.full((*before, len(windows), len(passes), *after), np.nan)
        for p, (window, sleep_pass) in enumerate(boundaries):
            to = (slice(None),) * index + (windows.index(window), passes.index(sleep_pass))
            grid[to] = array[(slice(None),) * index + (p,)]
        laid[name] = ((*axes[:index], dims.WINDOW, dims.SLEEP_PASS, *axes[index + 1 :]), grid)
    return xr.Dataset(laid, coords={dims.WINDOW: windows, dims.SLEEP_PASS: passes})
