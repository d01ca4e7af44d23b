"""One example's sleep, kept: read by a model now, or taken from a trace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from pydantic import ValidationError

from workbench import dims
from workbench.config import Experiment, SleepConfig
from workbench.errors import WorkbenchError
from workbench.instruments.boundaries import BoundaryIndex
from workbench.instruments.recorded import asleep_of, passes_of, recorded, states_of
from workbench.sleep import Boundary, SleepingModel, Wake
from workbench.sleep.eviction import cached_tokens
from workbench.tasks import task as make_task
from workbench.tasks.base import Task
from workbench.theatre.answers import Asked
from workbench.theatre.problem import Problem, without_padding
from workbench.trace import answer_scores, batch_of, record


@dataclass(frozen=True, eq=False)
class Recording:
    """One example's sleep.

    - trace: of this example alone, with states; without writes, nothing says who wrote what.
    - problem: what it reads; None where the trace does not name its task.
    - answers: as `Asked.answers`, wherever the model was asked; None for a trace alone, which has
      no letters.
    - scores: as `answer_scores`, of the windows read awake, which a trace may leave out.
    - number, examples: which of how many examples; a typed one is number -1.
    """

    trace: xr.DataTree
    problem: Problem | None
    asked: Asked | None = None
    answers: Mapping[BoundaryIndex, xr.Dataset] | None = None
    scores: Mapping[BoundaryIndex, xr.Dataset] | None = None
    number: int = -1
    examples: int = 1

    @property
    def sleep(self) -> SleepConfig:
        """How the model slept."""
        return SleepConfig.model_validate_json(self.trace.attrs["sleep_json"])

    @property
    def experiment(self) -> Experiment | None:
        """The configuration that the model was trained with, if the trace has it."""
        return _experiment_of(self.trace)


def read_example(
    model: SleepingModel,
    problem: Problem,
    sleep: SleepConfig,
    *,
    origin: Mapping[str, str | int] | None = None,
    number: int = -1,
    examples: int = 1,
    changed: Boundary | None = None,
) -> Recording:
    """Let a model read one example, N fixed, and keep everything; the model is never changed.

    `origin` and `changed` are those of `record`. Raises WorkbenchError: N is not fixed, or the
    model's memory cannot be recorded.
    """
    batch = without_padding(problem.batch, sleep.window)
    asked = Asked(batch, problem.task)
    answers: dict[BoundaryIndex, xr.Dataset] = {}
    scores: dict[BoundaryIndex, xr.Dataset] = {}

    def keep(window: int, sleep_pass: int, wakes: list[Wake]) -> None:
        if wakes:  # else nothing is left to be asked
            answers[window, sleep_pass] = asked.answers(wakes)
        if len(wakes) == 1:
            scores[window, sleep_pass] = answer_scores(wakes, batch)

    task = None if origin else problem.task
    with torch.no_grad():
        trace = record(
            model, batch, sleep, task=task, origin=origin, on_answers=keep, changed=changed
        )
    read = Problem(problem.task, batch)
    return Recording(trace, read, asked, answers, scores, number, examples)


def of_trace(trace: xr.DataTree, example: int = 0) -> Recording:
    """Return one example of a trace, by its place in it.

    Raises WorkbenchError: the trace has fewer examples, or keeps no states.
    """
    count = int(trace.sizes[dims.EXAMPLE])
    if not 0 <= example < count:
        raise WorkbenchError(
            f"example {example} of a trace", f"0 to {count - 1}", "choose another example"
        )
    recorded(trace, "states", "fast_weight")
    one = trace.isel({dims.EXAMPLE: slice(example, example + 1)})
    task = _task_of(trace)
    problem = None if task is None else Problem(task, batch_of(one))
    return Recording(one, problem, number=example, examples=count)


def _experiment_of(trace: xr.DataTree) -> Experiment | None:
    """Return the configuration in a trace; None where it has none that this version knows."""
    text = trace.attrs["config_json"]
    try:
        return Experiment.model_validate_json(text) if text else None
    except ValidationError:
        return None


def _task_of(trace: xr.DataTree) -> Task | None:
    """Return the task that a trace names; None where it names none that is known."""
    experiment = _experiment_of(trace)
    try:
        return None if experiment is None else make_task(experiment.task)
    except WorkbenchError:
        return None


def part_of(trace: xr.DataTree, layer: int, head: int | None = None) -> xr.DataTree:
    """Return a trace of one layer, an index of the stack, and of one head or all of them.

    Raises WorkbenchError: there is no such layer or head.
    """
    states = states_of(trace)
    layers = states[dims.LAYER].values.tolist()
    heads = states.sizes[dims.GDN_HEAD]
    if layer not in layers or not 0 <= (head or 0) < heads:
        raise WorkbenchError(
            f"layer {layer}{'' if head is None else f', head {head}'}",
            f"layers {', '.join(map(str, layers))}, heads 0 to {heads - 1}",
            "choose another",
        )
    at = {dims.LAYER: [layers.index(layer)]} | ({} if head is None else {dims.GDN_HEAD: [head]})
    kept = {
        f"/{name}": trace[name].to_dataset().isel(at, missing_dims="ignore")
        for name in ("states", "writes", "inputs")
        if name in trace.children
    }
    return xr.DataTree.from_dict({"/": trace.to_dataset(), **kept})


def gains(trace: xr.DataTree) -> bool:
    """Return whether the passes of an example's last sleep gain right answers and lose none."""
    asleep = np.flatnonzero(asleep_of(trace))
    if not len(asleep):
        return True
    at = {dims.EXAMPLE: 0, dims.WINDOW: int(asleep[-1])}
    correct = recorded(trace, "readout", "correct").isel(at)
    right = correct.sum(dims.QUERY).values[: int(passes_of(trace)[asleep[-1]]) + 1]
    return bool((np.diff(right) >= 0).all() and right[-1] > right[0])


@dataclass(frozen=True)
class Layout:
    """The readings of a trace in order, and its boundaries.

    By reading: `windows`, which window of the text it reads; `spans`, its tokens; `awake`;
    `passes`. `boundaries` are all (reading, pass) in order; pass 0 is the state carried in.
    """

    windows: tuple[int, ...]
    spans: tuple[tuple[int, int], ...]
    awake: tuple[bool, ...]
    passes: tuple[int, ...]

    @classmethod
    def of(cls, trace: xr.DataTree) -> Layout:
        """Return the layout of a trace."""
        passes = tuple(int(n) for n in passes_of(trace))
        windows = tuple(int(w) for w in trace.coords.get("of_window", range(len(passes))))
        spans = batch_of(trace).windows(trace.attrs["window_size"])
        awake = tuple(not asleep for asleep in asleep_of(trace).tolist())
        return cls(windows, tuple(spans[w] for w in windows), awake, passes)

    @property
    def boundaries(self) -> list[BoundaryIndex]:
        """Every boundary, in order."""
        return [(e, p) for e, last in enumerate(self.passes) for p in range(last + 1)]

    def flat(self, values: np.ndarray) -> np.ndarray:
        """Return ``[window, sleep_pass, ...]`` as ``[boundary, ...]``."""
        entry, sleep_pass = np.array(self.boundaries).T
        return values[entry, sleep_pass]

    def cached(self, sleep: SleepConfig) -> list[range]:
        """Return the tokens that attention can see at each boundary."""
        return [cached_tokens(self.spans[e], p, sleep) for e, p in self.boundaries]
