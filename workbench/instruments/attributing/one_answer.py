"""Attribution of one answer of one example: to tokens, windows, passes, heads or entries of S.

`workbench.instruments.attribution` for one answer: which methods and baselines make sense for each
subject, baselines taken over all examples, and a computation with progress that can be stopped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import xarray as xr
from torch import Tensor

from workbench import dims
from workbench.batch import Batch
from workbench.config import SleepConfig
from workbench.instruments.attributing.continuation import (
    Rest,
    Target,
    answer_target,
    rest_of_changes,
    rest_of_embeddings,
    rest_of_state,
)
from workbench.instruments.attribution import (
    ABLATION,
    EXACT_PLAYERS,
    GRADIENT,
    INPUT_X_GRADIENT,
    SHAPLEY,
    attribute,
)
from workbench.instruments.boundaries import (
    BoundaryIndex,
    at,
    known_passes,
    of_examples,
    read_boundaries,
)
from workbench.instruments.interventions import Reading
from workbench.instruments.recorded import check_choice
from workbench.sleep import SleepingModel, before_window

BEFORE = "before the sleep"
INFIDELITY_SAMPLES = 16


@dataclass(frozen=True)
class Subject:
    """What an answer can be attributed to.

    - by: axes of the attribution.
    - methods, baselines: those that make sense; the first is the one to begin with.
    - kind ({"embeddings", "changes", "state"}): what the rest of the computation is a function of.
    """

    by: tuple[str, ...]
    methods: tuple[str, ...]
    baselines: tuple[str, ...]
    kind: str


HEADS: Final = (dims.LAYER, dims.GDN_HEAD)
WHOLE: Final = (SHAPLEY, ABLATION, GRADIENT)
OF_PASSES: Final = (GRADIENT, SHAPLEY, ABLATION)
OF_ENTRIES: Final = (GRADIENT, INPUT_X_GRADIENT)
CONTEXTS: Final = ("mean", "another example", "zero")
STATES: Final = (BEFORE, "mean", "zero")
SUBJECTS: Final = {
    "tokens": Subject((dims.TOKEN,), WHOLE, CONTEXTS, "embeddings"),
    "windows": Subject((dims.WINDOW,), WHOLE, CONTEXTS, "embeddings"),
    "passes": Subject((dims.SLEEP_PASS,), OF_PASSES, (BEFORE,), "changes"),
    "passes and heads": Subject((dims.SLEEP_PASS, *HEADS), OF_PASSES, (BEFORE,), "changes"),
    "heads of S": Subject(HEADS, (*OF_ENTRIES, SHAPLEY, ABLATION), STATES, "state"),
    "entries of S": Subject((*HEADS, dims.KEY, dims.VALUE), OF_ENTRIES, STATES, "state"),
}
"""By name; only gradients can take every entry of S as a separate feature."""


class Stopped(Exception):
    """The work was stopped before there was a result."""


@dataclass(frozen=True)
class Asked:
    """One question to attribute.

    - example, query: which answer of the batch.
    - boundary: whose S; of passes, the window whose sleep it is.
    - method, baseline: as in `Subject`.
    - steps, samples, seed: as `attribute` takes them.
    """

    example: int
    query: int
    subject: str
    boundary: BoundaryIndex
    method: str
    baseline: str
    steps: int = 64
    samples: int = 25
    seed: int = 0


def baselines_of(subject: str, method: str, boundary: BoundaryIndex) -> tuple[str, ...]:
    """Return the baselines that a subject has with a method, at a boundary."""
    found = SUBJECTS[subject].baselines
    if method == INPUT_X_GRADIENT:  # it has zero built in
        return ("zero",)
    if SUBJECTS[subject].kind == "state" and not boundary[1]:
        return tuple(name for name in found if name != BEFORE)
    return found


def cases_of(asked: Asked, features: int) -> int:
    """Return about how many times the rest of the computation is run."""
    exact = features <= EXACT_PLAYERS
    work = {
        GRADIENT: asked.steps,
        INPUT_X_GRADIENT: 1,
        ABLATION: features + 1,
        SHAPLEY: 2**features if exact else asked.samples * features + 1,
    }[asked.method]
    return work + 2 * INFIDELITY_SAMPLES + 3


def attribute_one(
    model: SleepingModel,
    batch: Batch,
    sleep: SleepConfig,
    asked: Asked,
    *,
    reading: Reading | None = None,
    against: np.ndarray | None = None,
    cases: int = 64,
    on_progress: Callable[[int, int], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> xr.Dataset:
    """Attribute one answer.

    - batch: examples of one task; baselines are taken over all of them.
    - reading: `read_boundaries` of the batch by this model, if it is known already.
    - against: as `answer_target` takes it, int64 ``[1]``.
    - cases: the most cases computed together: between two of them it can be stopped.
    - on_progress: called with the runs done, and about how many there will be.

    Result: as `attribute` returns it, of one example, with attribute ``against``: the symbol that
    the answer is compared with.

    Raises WorkbenchError: the subject has no such method or baseline, or the example no such query.
    Raises Stopped: `stop` returned True.
    """
    known_passes(sleep)
    subject = _checked(asked)
    reading = read_boundaries(model, batch, sleep) if reading is None else reading
    rest, target = _rest(model, batch, sleep, asked, reading, against)
    shape = dict(zip(rest.axes, rest.input.shape[1:], strict=True))
    windows = len(np.unique(rest.coords.get(dims.WINDOW, np.zeros(1))))
    sizes = [windows if axis == dims.WINDOW else shape[axis] for axis in subject.by]
    total = cases_of(asked, int(np.prod(sizes)))
    done = 0

    def run(given: Tensor, example: Tensor) -> Tensor:
        nonlocal done
        if stop():
            raise Stopped
        found: Tensor = rest.run(given, example)
        done += len(example)
        if on_progress is not None:
            on_progress(min(done, total), total)
        return found

    found = attribute(
        replace(rest, run=run),
        by=subject.by,
        baseline=asked.baseline,
        method=asked.method,
        steps=asked.steps,
        samples=asked.samples,
        cases=cases,
        seed=asked.seed,
        infidelity_samples=INFIDELITY_SAMPLES,
    )
    return found.assign_attrs(
        against=int(target.against[0]), answer=int(target.answer[0]), query=asked.query
    )


def _checked(asked: Asked) -> Subject:
    check_choice("attribution to", asked.subject, SUBJECTS)
    subject = SUBJECTS[asked.subject]
    check_choice("method", asked.method, subject.methods)
    baselines = baselines_of(asked.subject, asked.method, asked.boundary)
    check_choice("baseline", asked.baseline, baselines)
    return subject


def _rest(
    model: SleepingModel,
    batch: Batch,
    sleep: SleepConfig,
    asked: Asked,
    reading: Reading,
    against: np.ndarray | None,
) -> tuple[Rest, Target]:
    """Return the rest of the computation for one example, with baselines over all of them."""
    kind, (window, _) = SUBJECTS[asked.subject].kind, asked.boundary
    one = slice(asked.example, asked.example + 1)
    if kind == "embeddings":
        start = before_window(0, model.empty_memory(len(batch)))
    else:
        changes = (window, known_passes(sleep))
        start = at(reading, changes if kind == "changes" else asked.boundary)
    target = answer_target(
        model, batch.examples(one), sleep, of_examples(start, one), query=asked.query,
        against=against,
    ).for_each(len(batch))  # fmt: skip
    if kind == "changes":
        rest = rest_of_changes(model, batch, sleep, reading, window, target)
    elif kind == "state":
        rest = rest_of_state(model, batch, sleep, start, target)
    else:
        rest = rest_of_embeddings(model, batch, sleep, target)
    return rest.of_one(asked.example), target
