"""Probes: what a linear decoder finds in S after every pass, and all it is to be compared with.

For each (window, sleep_pass, layer) a linear probe per item and target, `SEEDS` times over: split
by example (`workbench.instruments.probing.folds`), regularisation chosen on the validation fold,
the test fold opened once. Besides the accuracy, results hold:

- control tasks: "kinds" gives every item a random label for each type of its input, which a probe
  can only memorise (Hewitt and Liang, arXiv 1909.03368); "shuffled" gives an example the
  labels of another, where only a leak between the folds scores. Selectivity is the accuracy minus
  the control's. Where S holds the type itself in a linear code, "kinds" is as easy as the type is,
  and selectivity against it compares the target with that.
- baselines: the majority class of the training fold; the embedded tokens; what the text read so far
  says of each item, decoded linearly and with products of two entries; the frozen replay, S with
  the writes of pass 1 repeated as often; and the same model with untrained weights, other ones for
  each split.

A linear probe is a lower bound, and rises with the number of examples: what the model answers from
S (`wake_now`) may need more than a linear code. And decodable does not mean used:
see `workbench.instruments.steering`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import replace
from functools import partial
from typing import Any, Final, NamedTuple

import numpy as np
import xarray as xr

from workbench import dims
from workbench.batch import Batch
from workbench.config import SleepConfig
from workbench.errors import WorkbenchError
from workbench.instruments.controls import EMBEDDINGS, INPUT, MAJORITY, QUADRATIC, REPLAY, UNTRAINED
from workbench.instruments.probing.features import (
    OTHER_SEED,
    embeddings,
    fast_weights,
    flattened,
    replayed_weights,
    said,
    untrained,
    with_pairs,
)
from workbench.instruments.probing.folds import SHARES, groups_of, split
from workbench.instruments.probing.ridge import ALPHAS
from workbench.instruments.probing.scoring import (
    CONTROLS,
    Questions,
    Scores,
    gain,
    majority,
    score_place,
)
from workbench.instruments.recorded import nothing_found
from workbench.sleep import SleepingModel
from workbench.tasks.targets import ProbeTarget

SEEDS: Final = (0, 1, 2, 3, 4)
"""Seeds of the splits and of the control tasks."""

BASELINES: Final = (MAJORITY, EMBEDDINGS, INPUT, QUADRATIC, REPLAY, UNTRAINED)

MOST_UNTRAINED: Final = 5
"""Untrained models to compare with; with more splits than that each serves several."""

MOST_OUTPUTS: Final = 20_000
"""Items times classes of one target that probes are fitted for."""

Others = xr.DataArray | Sequence[xr.DataArray] | Callable[[int], np.ndarray]
"""Features to compare with: states, several of which splits take in turn, or a function from a
window to ``[example, feature]``."""

_PLACE: Final = (dims.WINDOW, dims.SLEEP_PASS, dims.LAYER)


def probe(
    model: SleepingModel,
    batch: Batch,
    sleep: SleepConfig,
    targets: Sequence[ProbeTarget],
    *,
    untrained_model: SleepingModel | None = None,
    **options: Any,
) -> xr.Dataset:
    """Read a batch and probe S for every target at every place of every window slept on.

    - untrained_model: untrained weights; None makes them from the model's configuration, others for
      each split.
    - **options: seeds, regularisations, workers, progress and stop, as `probe_states` has them.

    Result: as `probe_states`, with `BASELINES`. "frozen replay" is NaN up to pass 1, where it is
    the sleep itself.

    Raises WorkbenchError: as `fast_weights`, `replayed_weights` and `probe_states`.
    """
    states, replay = (read(model, batch, sleep) for read in (fast_weights, replayed_weights))
    count = min(len(options.get("seeds", SEEDS)), MOST_UNTRAINED)
    fresh: list[SleepingModel] = [untrained_model] if untrained_model else []
    fresh = fresh or [untrained(model, seed=OTHER_SEED + i) for i in range(count)]
    compared: dict[str, Others] = {
        EMBEDDINGS: partial(embeddings, model, batch, sleep),
        INPUT: partial(said, batch, sleep, targets),
        QUADRATIC: lambda window: with_pairs(said(batch, sleep, targets, window)),
        REPLAY: replay.where(replay[dims.SLEEP_PASS] > 1),  # before, it is the sleep
        UNTRAINED: [fast_weights(other, batch, sleep) for other in fresh],
    }
    groups = groups_of(batch, sleep, targets)
    found = probe_states(states, targets, groups, compared=compared, **options)
    return found.assign_attrs(untrained_models=len(fresh))


def probe_states(
    states: xr.DataArray,
    targets: Sequence[ProbeTarget],
    groups: np.ndarray,
    *,
    compared: Mapping[str, Others] | None = None,
    seeds: Sequence[int] = SEEDS,
    alphas: Sequence[float] = ALPHAS,
    controls: bool = True,
    workers: int = 2,
    on_progress: Callable[[float], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> xr.Dataset:
    """Probe states for every target at every place.

    - states: S as `fast_weights` returns it or a trace holds it, ``(example, window, sleep_pass,
      layer, gdn_head, key, value)``. A place that is NaN throughout (no such pass) is left out.
    - targets: what to look for; all about the same items.
    - groups (int64 [example]): examples that must not be in two folds, from `groups_of`.
    - compared: baseline -> states of the same dims, a sequence of such (splits take them in turn),
      or a function from a window to features.
    - seeds: of the splits and of the control tasks.
    - alphas: regularisations to choose from.
    - controls: also probe for the control tasks; their variables are NaN without.
    - workers: places worked on at once, each by one thread.
    - on_progress: called with the share of the work that is done, 0..1.
    - stop: True ends the work; what has not been probed is NaN and attribute ``complete`` is 0.

    Result:
    - ``accuracy (seed, window, sleep_pass, layer, target)``: share of items decoded correctly on
      the test fold.
    - ``low, high (window, sleep_pass, layer, target)``: 95 % interval of the mean over seeds
      (Wilson). An example is one case however many test folds it was in.
    - ``item_accuracy (seed, window, sleep_pass, layer, target, item)``: the same for each item;
      ``item_low, item_high`` without seed.
    - ``control_accuracy, selectivity (seed, window, sleep_pass, layer, target, control)``: of the
      control tasks; NaN under "kinds" where a target has none.
    - ``baseline_accuracy (seed, window, sleep_pass, layer, target, baseline)``: accuracy without
      these features, or with others; "majority" first.
    - ``gain, gain_low, gain_high (window, sleep_pass, layer, target, baseline)``: accuracy minus
      that of each baseline, mean over seeds, with a 95 % interval over groups of examples, paired:
      both were asked the same.
    - ``alpha (seed, window, sleep_pass, layer, target)``: regularisation chosen, as a share of the
      mean squared length of a coordinate.

    Coordinates ``level`` and ``meaning (target)``; attributes ``probe``, ``split``,
    ``examples``, ``groups``, ``shares`` and ``complete`` (1, or 0 if it was stopped).

    Raises WorkbenchError: no target, targets about other items or examples, too many outputs, or
    too few examples.
    """
    _check(states, targets, groups)
    splits = {seed: split(groups, seed) for seed in seeds}
    questions = Questions(targets, groups, splits, tuple(alphas))
    result = _empty(states, targets, seeds, tuple(compared or ()))
    right, of_majority, asked_of = majority(questions)
    result["baseline_accuracy"].loc[{dims.BASELINE: MAJORITY}] = right[:, None, None, None]
    right_of: dict[tuple[str | None, tuple[int, ...]], np.ndarray] = {(MAJORITY, ()): of_majority}
    jobs = _jobs(None, states, states, seeds)
    for name, others in (compared or {}).items():
        jobs += _jobs(name, others, states, seeds)
    done, probed = 0, _side_by_side(jobs, questions, controls, workers, stop)
    for done, (job, scores) in enumerate(probed, 1):
        key = job.baseline, job.place
        right_of[key] = right_of.get(key, 0) + scores.right_of
        _enter(result, job, scores)
        if on_progress is not None:
            on_progress(done / len(jobs))
    complete = int(done == len(jobs))
    if complete:
        _enter_gains(result, right_of, asked_of, groups)
    result["selectivity"] = result["accuracy"] - result["control_accuracy"]
    return result.assign_attrs(_about(groups), complete=complete)


def _about(groups: np.ndarray) -> dict[str, Any]:
    return {
        "probe": "ridge regression onto one-hot labels, one for each item",
        "split": "by example; those of one text or one answer in one fold",
        "examples": len(groups),
        "groups": len(np.unique(groups)),
        "shares": " ".join(f"{share:g}" for share in SHARES),
    }


class _Job(NamedTuple):
    """One place to probe with some of the splits.

    - baseline: None: the states themselves.
    - place: window, pass and layer by their labels; a window alone stands for all its places.
    - features: returns ``[example, feature]``.
    """

    baseline: str | None
    place: tuple[int, ...]
    seeds: tuple[int, ...]
    features: Callable[[], np.ndarray]


def _jobs(
    name: str | None, others: Others, states: xr.DataArray, seeds: Sequence[int]
) -> list[_Job]:
    """Return what is to be done for the states (None) or for one baseline."""
    if callable(others):
        windows = states[dims.WINDOW].values.tolist()
        return [_Job(name, (w,), tuple(seeds), partial(others, w)) for w in windows]
    several = [others] if isinstance(others, xr.DataArray) else list(others)
    return [
        _Job(name, place, tuple(seeds[i :: len(several)]), partial(flattened, each, *place))
        for i, each in enumerate(several[: len(seeds)])
        for place in _at(each)
    ]


def _at(states: xr.DataArray) -> list[tuple[int, ...]]:
    """Return the labels of every place that the reading has."""
    there = states.isel({d: 0 for d in states.dims if d not in _PLACE}).notnull().transpose(*_PLACE)
    index = [states[d].values.tolist() for d in _PLACE]
    return [
        tuple(labels[i] for labels, i in zip(index, place, strict=True))
        for place in np.argwhere(there.values)
    ]


def _side_by_side(
    jobs: Sequence[_Job],
    questions: Questions,
    controls: bool,
    workers: int,
    stop: Callable[[], bool],
) -> Iterator[tuple[_Job, Scores]]:
    """Probe several places at once; yield each when it is done, until `stop` says so."""
    from threadpoolctl import threadpool_limits

    ended = threading.Event()

    def work(job: _Job) -> Scores | None:
        if ended.is_set():
            return None
        too = controls and job.baseline is None
        mine = replace(questions, splits={seed: questions.splits[seed] for seed in job.seeds})
        return score_place(job.features(), mine, controls=too, ended=ended.is_set)

    # one thread a place: LAPACK's own threads cost more than they save at these sizes
    with threadpool_limits(1), ThreadPoolExecutor(max(workers, 1)) as pool:
        waiting = {pool.submit(work, job): job for job in jobs}
        try:
            while waiting and not stop():
                for future in wait(waiting, timeout=0.1, return_when=FIRST_COMPLETED).done:
                    job, scores = waiting.pop(future), future.result()
                    if scores is not None:
                        yield job, scores
        finally:
            ended.set()  # stopped, interrupted or wrong: the threads end after their split


def _enter(result: xr.Dataset, job: _Job, scores: Scores) -> None:
    """Write what was found into the result, at every place that the features stand for."""
    at: dict[str, Any] = dict(zip(_PLACE, job.place, strict=False))
    if job.baseline is None:
        for name, values in scores.values.items():
            result[name].loc[at] = values
        return
    at |= {dims.BASELINE: job.baseline, dims.SEED: list(job.seeds)}
    here = result["baseline_accuracy"].loc[at]
    found = xr.DataArray(scores.values["accuracy"], dims=(dims.SEED, dims.TARGET))
    result["baseline_accuracy"].loc[at] = found.broadcast_like(here).transpose(*here.dims)


def _enter_gains(
    result: xr.Dataset, right_of: Mapping[tuple, np.ndarray], asked: np.ndarray, groups: np.ndarray
) -> None:
    """Write the accuracy minus that of each baseline, from the correct items of each example."""
    for place in [place for name, place in right_of if name is None]:
        for baseline in result[dims.BASELINE].values.tolist():
            # features of this place, of its whole window, or none at all
            found = [right_of.get((baseline, place[:most])) for most in (3, 1, 0)]
            other = next((each for each in found if each is not None), None)
            if other is None:
                continue
            at = dict(zip(_PLACE, place, strict=True)) | {dims.BASELINE: baseline}
            bounds = gain(right_of[None, place], other, asked, groups)
            for end, values in zip(("", "_low", "_high"), bounds, strict=True):
                result[f"gain{end}"].loc[at] = values


def _empty(
    states: xr.DataArray, targets: Sequence[ProbeTarget], seeds: Sequence[int], compared: tuple
) -> xr.Dataset:
    """Return a result in which nothing has been found yet: NaN."""
    index: dict[str, Any] = {
        dims.SEED: list(seeds),
        **{d: states[d].values for d in _PLACE},
        dims.TARGET: [target.name for target in targets],
        dims.ITEM: list(targets[0].items),
        dims.CONTROL: list(CONTROLS),
        dims.BASELINE: [MAJORITY, *compared],
    }
    mean = (*_PLACE, dims.TARGET)
    place = (dims.SEED, *mean)
    over: dict[str, tuple[str, ...]] = dict.fromkeys(("accuracy", "alpha"), place)
    over |= {"low": mean, "high": mean, "item_accuracy": (*place, dims.ITEM)}
    over |= dict.fromkeys(("item_low", "item_high"), (*mean, dims.ITEM))
    over["control_accuracy"] = (*place, dims.CONTROL)
    over["baseline_accuracy"] = (*place, dims.BASELINE)
    over |= dict.fromkeys(("gain", "gain_low", "gain_high"), (*mean, dims.BASELINE))
    return nothing_found(index, over).assign_coords(
        level=(dims.TARGET, [target.level for target in targets]),
        meaning=(dims.TARGET, [target.meaning for target in targets]),
    )


def _check(states: xr.DataArray, targets: Sequence[ProbeTarget], groups: np.ndarray) -> None:
    if not targets:
        raise WorkbenchError("no target", "something to look for", "use task.probe_targets(batch)")
    examples = states.sizes[dims.EXAMPLE]
    held = {len(groups), *(len(target.labels) for target in targets)} - {examples}
    if held:
        raise WorkbenchError(
            f"targets or groups of {held.pop()} examples with states of {examples}",
            "the same examples in both",
            "make them from the batch that was read",
        )
    for target in targets:
        outputs = len(target.items) * len(target.classes)
        if target.items != targets[0].items:
            raise WorkbenchError(
                f"targets {targets[0].name!r} and {target.name!r} about other items",
                "the same items in all targets",
                "probe them one after the other",
            )
        if outputs > MOST_OUTPUTS:
            raise WorkbenchError(
                f"target {target.name!r} with {len(target.items)} items of "
                f"{len(target.classes)} classes",
                f"at most {MOST_OUTPUTS} items times classes",
                "choose items with target.of_items",
            )
        if not (target.labels >= 0).any():
            raise WorkbenchError(
                f"target {target.name!r} without a label", "labels", "take other examples"
            )
