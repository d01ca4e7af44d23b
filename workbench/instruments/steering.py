"""Decodable is not used: push S until a probe gives another answer, and see whether the model does.

A probe says what is in S, not what the model reads. So for one item of each test example S is moved
along the probe's own directions, by the shortest change after which the probe says another class
("2 hops from node 3 is 5"), and the model reads on from there. If its answers to the query about
that item become the new class more often than after a change of equal length that has nothing to
do with the item, then the model uses what the probe reads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import Any, Final

import numpy as np
import torch
import xarray as xr

from workbench import dims
from workbench.batch import Batch
from workbench.config import SleepConfig
from workbench.errors import WorkbenchError
from workbench.instruments.boundaries import known_passes, read_boundaries, read_on
from workbench.instruments.probes import SEEDS
from workbench.instruments.probing.directions import MARGIN, MOVED, PROBE, Turn, turn
from workbench.instruments.probing.features import fast_weights, flattened
from workbench.instruments.probing.folds import groups_of, split
from workbench.instruments.probing.ridge import Fit
from workbench.instruments.probing.scoring import SplitFeatures
from workbench.instruments.recorded import nothing_found
from workbench.sleep import Boundary, SleepingModel
from workbench.tasks.targets import ProbeTarget
from workbench.training.loss import answer_probabilities
from workbench.training.statistics import proportion_interval

NOTHING: Final = "nothing"
"""Control: S is left as it is."""

STRENGTHS: Final = (1.0, 2.0, 4.0, 8.0, 16.0)
"""The shortest change leaves the probe undecided, and it is short where the probe is unsure."""

MEASURES: Final = ("follows", "changed", "others_changed", "turned")
_OVER: Final = (dims.SEED, dims.SLEEP_PASS, dims.LAYER, dims.TARGET)


def steer(
    model: SleepingModel,
    batch: Batch,
    sleep: SleepConfig,
    targets: Sequence[ProbeTarget],
    *,
    passes: Sequence[int] | None = None,
    strengths: Sequence[float] = STRENGTHS,
    seeds: Sequence[int] = SEEDS,
    on_progress: Callable[[float], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> xr.Dataset:
    """Steer S along probes' directions; return what became of the answers, example by example.

    - targets: a task's `probe_targets` for `batch`; queries must ask about their items.
    - passes: passes over the last window slept on after which S is moved, each on its own; None is
      the last one. After an earlier one the model sleeps on, from features that were not changed.
    - strengths: multiples of the shortest change that turns the probe.
    - seeds: seeds of the splits, of what is asked for and of the random directions.
    - on_progress: called with the share of the work that is done, 0..1.
    - stop: True ends the work; what was not measured is NaN and attribute ``complete`` is 0.

    Result: over (seed, sleep_pass, layer, target, strength, control, example), float32, NaN for
    examples that are not in the seed's test fold or that nothing is asked about:

    - ``follows``: 1 where the answer about the item is the class asked for (first tokens compared).
    - ``changed``: 1 where that answer is not what it was before.
    - ``others_changed``: share of the example's other answers that are not what they were.
    - ``turned``: 1 where the probe says the class asked for.

    ``norm (seed, sleep_pass, layer, target, strength, example)`` is the length of the change
    as a share of that of S, ``difficulty (seed, sleep_pass, layer, target, example)`` that of
    the query about the item, -1 for none. Control "nothing" leaves S as it is. Summed up by
    `steering_by_difficulty`.

    Raises WorkbenchError: no query asks about the targets' items, no such pass, too few examples.
    """
    states = fast_weights(model, batch, sleep)
    window, most = int(states[dims.WINDOW][-1]), known_passes(sleep)
    passes = [most] if passes is None else list(passes)
    _check(targets, passes, most)
    groups = groups_of(batch, sleep, targets)
    layers = states[dims.LAYER].values.tolist()
    cases = (*_OVER, dims.STRENGTH, dims.CONTROL, dims.EXAMPLE)
    names, controls = [target.name for target in targets], [*MOVED, NOTHING]
    along = (list(seeds), passes, layers, names, list(strengths), controls, np.arange(len(batch)))
    index: dict[str, Any] = dict(zip(cases, along, strict=True))
    asked = (*_OVER, dims.EXAMPLE)
    over = {**dict.fromkeys(MEASURES, cases), "norm": (*_OVER, dims.STRENGTH, dims.EXAMPLE)}
    result = nothing_found(index, over, np.float32)
    result["difficulty"] = asked, np.full([len(index[dim]) for dim in asked], -1)
    result = result.assign_coords(level=(dims.TARGET, [target.level for target in targets]))
    result.attrs |= {"window": window, "examples": len(batch), "margin": MARGIN}
    places = list(product(seeds, passes, layers))
    for number, (seed, sleep_pass, layer) in enumerate(places):
        folds = split(groups, seed)
        test = batch.examples(folds.test)
        start = read_boundaries(model, test, sleep)[window, sleep_pass]
        features = flattened(states, window, sleep_pass, layer)
        fold = SplitFeatures(features, folds)
        answering = _Asked(model, test, sleep, start, layer, features[folds.test])
        for t, target in enumerate(targets):
            if stop():
                return result.assign_attrs(complete=0)
            probe = fold.fitted(target.labels, len(target.classes))
            of_test = answering.about_later(target.of_examples(folds.test))
            rng = np.random.default_rng([seed, 2, sleep_pass, layer, t])
            todo = turn(of_test, probe, answering.features, rng)
            found = answering.steered(of_test, todo, probe, index)
            at = dict(zip(asked, (seed, sleep_pass, layer, target.name, folds.test), strict=True))
            for name, values in found.items():
                result[name].loc[at] = values
            if on_progress is not None:
                on_progress((number + (t + 1) / len(targets)) / len(places))
    return result.assign_attrs(complete=1)


def steering_by_difficulty(effects: xr.Dataset) -> xr.Dataset:
    """Summarise what `steer` returned over examples, by the difficulty of the query.

    Result: over (sleep_pass, layer, target, strength, control, difficulty): ``follows``,
    ``changed``, ``others_changed`` and ``turned``, means over all cases, the first two with
    ``_low`` and ``_high`` (95 %, Wilson; an example is one case in however many seeds it was
    tested). By seed ``follows_by_seed (seed, ...)``. ``norm (sleep_pass, layer, target, strength)``
    is the mean length of a change as a share of that of S; ``cases (sleep_pass, layer, target,
    difficulty)`` counts.
    """
    difficulty = effects["difficulty"]
    levels = np.unique(difficulty.values[difficulty.values >= 0])
    if not levels.size:
        raise WorkbenchError(
            "examples held out whose queries ask about none of the targets' items",
            "queries about these items",
            "draw more examples, or ask about others in the task's settings",
        )
    both = [dims.SEED, dims.EXAMPLE]
    parts = []
    for level in levels:
        asked = difficulty == level
        here = effects[list(MEASURES)].where(asked)
        part = here.mean(both)
        part["follows_by_seed"] = here["follows"].mean(dims.EXAMPLE)
        for name in ("follows", "changed"):
            part[f"{name}_low"], part[f"{name}_high"] = _bounds(here[name])
        counted = asked & effects["follows"].isel({dims.STRENGTH: 0, dims.CONTROL: 0}).notnull()
        part["cases"] = counted.sum(both)
        parts.append(part)
    result = xr.concat(parts, xr.IndexVariable(dims.DIFFICULTY, levels))
    result["norm"] = effects["norm"].mean(both)
    return result.assign_attrs(effects.attrs)


def moved(start: Boundary, layer: int, change: np.ndarray) -> Boundary:
    """Return the boundary with a change ``[example, gdn_head x key x value]`` of a layer's S."""
    state = start.memory.fast_weights[layer]
    delta = torch.as_tensor(change, device=state.device).to(state.dtype).reshape(state.shape)
    weights = {**start.memory.fast_weights, layer: state + delta}
    return start.with_memory(start.memory.replace(fast_weights=weights))


@dataclass(frozen=True)
class _Asked:
    """Examples of a test fold at one place, and what they answer there as it is."""

    model: SleepingModel
    batch: Batch
    sleep: SleepConfig
    start: Boundary
    layer: int
    features: np.ndarray  # [example, feature]

    @cached_property
    def before(self) -> np.ndarray:
        return self.answers(self.start)

    @torch.no_grad()
    def answers(self, start: Boundary) -> np.ndarray:
        """Return the first token of each answer, int64 ``[example, query]``; -1 for no query."""
        wakes = read_on(self.model, self.batch, self.sleep, start)
        likely = np.nan_to_num(answer_probabilities(wakes, self.batch), nan=-1)
        return np.where(likely.max(axis=-1) < 0, -1, likely.argmax(axis=-1))

    def about_later(self, target: ProbeTarget) -> ProbeTarget:
        """Return the target, asked about by those queries alone that are answered from here on."""
        later = np.take_along_axis(self.before, np.maximum(target.asked_by, 0), axis=1) >= 0
        return replace(target, asked_by=np.where(later, target.asked_by, -1))

    def steered(
        self, target: ProbeTarget, todo: Turn, probe: Fit, index: Mapping[str, Any]
    ) -> dict[str, np.ndarray]:
        """Return what `steer` writes of one place, ``[strength, control, example]`` and parts."""
        strengths, controls = index[dims.STRENGTH], index[dims.CONTROL]
        rows, query = todo.rows, target.asked_by[todo.rows, todo.item]
        symbol = target.symbols[todo.wanted]
        others = self.before[rows] >= 0
        others[np.arange(len(rows)), query] = False
        shape = (len(strengths), len(controls), len(self.batch))
        found = {name: np.full(shape, np.nan, dtype=np.float32) for name in MEASURES}
        for (s, strength), (c, control) in product(enumerate(strengths), enumerate(controls)):
            if control != NOTHING and control not in todo.changes:
                continue
            delta = np.zeros(self.features.shape)
            if control != NOTHING:
                delta[rows] = strength * todo.changes[control]
            still = control == NOTHING
            after = self.before if still else self.answers(moved(self.start, self.layer, delta))
            answer, was = after[rows, query], self.before[rows, query]
            said = probe.answers(probe.factors.project(self.features[rows] + delta[rows]))
            found["follows"][s, c, rows] = answer == symbol
            found["changed"][s, c, rows] = answer != was
            count = others.sum(axis=1)
            differ = ((after[rows] != self.before[rows]) & others).sum(axis=1)
            found["others_changed"][s, c, rows] = np.where(
                count > 0, differ / np.maximum(count, 1), np.nan
            )
            found["turned"][s, c, rows] = said[np.arange(len(rows)), todo.item] == todo.wanted
        norm = np.full((len(strengths), len(self.batch)), np.nan, dtype=np.float32)
        length = np.linalg.norm(todo.changes[PROBE], axis=1)
        whole = np.linalg.norm(self.features[rows], axis=1)  # 0 before the first pass
        share = np.divide(length, whole, out=np.full(len(rows), np.nan), where=whole > 0)
        norm[:, rows] = np.outer(strengths, share)
        difficulty = np.full(len(self.batch), -1)
        difficulty[rows] = self.batch.difficulty[rows, query]
        return found | {"norm": norm, "difficulty": difficulty}


def _bounds(cases: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
    """Return the 95 % bounds of the mean over (seed, example), NaN left out."""

    def bounds(values: np.ndarray) -> np.ndarray:
        times = (~np.isnan(values)).sum(axis=0)
        if not times.any():
            return np.full(2, np.nan)
        once = times[times > 0].mean()  # an example is one case, however often it was tested
        return np.array(proportion_interval(np.nansum(values, axis=0) / once, times / once))

    found = xr.apply_ufunc(
        bounds,
        cases,
        input_core_dims=[[dims.SEED, dims.EXAMPLE]],
        output_core_dims=[["bound"]],
        vectorize=True,
    )
    return found.isel(bound=0), found.isel(bound=1)


def _check(targets: Sequence[ProbeTarget], passes: list[int], most: int) -> None:
    if not targets or not any((target.asked_by >= 0).any() for target in targets):
        raise WorkbenchError(
            "targets without a query that asks about their items",
            "a batch with its queries",
            "make the targets from the whole batch",
        )
    if not all(0 <= n <= most for n in passes):
        raise WorkbenchError(
            f"sleep passes {passes}", f"passes from 0 to {most}", "choose passes of this reading"
        )
