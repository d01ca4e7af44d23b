"""Probes: what a linear decoder finds in S after every pass, and all it is to be compared with.

For each (window, sleep_pass, layer) a linear probe per item and target, `SEEDS` times over: split
by example (`workbench.instruments.folds`), regularisation chosen on the validation fold, the test
fold opened once. Beside the accuracy stand:

- control tasks: "kinds" gives every item a random label for each type of its input, which a probe
  can only learn by heart (Hewitt and Liang, arXiv 1909.03368); "shuffled" gives an example the
  labels of another, where only a leak between the folds scores. Selectivity is the accuracy minus
  the control's. Where S holds the type itself in a linear code, "kinds" is as easy as the type is,
  and selectivity against it compares the target with that.
- baselines: the majority class of the training fold, the embedded tokens alone, and the same model
  with weights that were never trained.

A linear probe is a lower bound, and rises with the number of examples: what the model answers from
S (`wake_now`) may need more than a linear code. And decodable is not used:
see `workbench.instruments.steering`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from functools import partial
from typing import Any, Final

import numpy as np
import xarray as xr

from workbench import dims
from workbench.batch import Batch
from workbench.config import SleepConfig
from workbench.errors import WorkbenchError
from workbench.instruments.features import embeddings, fast_weights, flattened, untrained
from workbench.instruments.folds import SHARES, groups_of, split
from workbench.instruments.ridge import ALPHAS
from workbench.instruments.scoring import CONTROLS, Questions, Scores, majority, score_place
from workbench.sleep import SleepingModel
from workbench.tasks.targets import ProbeTarget

SEEDS: Final = (0, 1, 2, 3, 4)
"""Seeds of the splits and of the control tasks."""

MAJORITY, EMBEDDINGS, UNTRAINED = "majority", "embeddings", "untrained weights"
BASELINES: Final = (MAJORITY, EMBEDDINGS, UNTRAINED)

MOST_OUTPUTS: Final = 20_000
"""Items times classes of one target that probes are fitted for."""

Others = xr.DataArray | Callable[[int], np.ndarray]
"""Features to compare with: states, or a function from a window to ``[example, feature]``."""

_PLACE: Final = (dims.WINDOW, dims.SLEEP_PASS, dims.LAYER)


def probe(
    model: SleepingModel,
    batch: Batch,
    sleep: SleepConfig,
    targets: Sequence[ProbeTarget],
    *,
    baselines: Sequence[str] = BASELINES,
    untrained_model: SleepingModel | None = None,
    batch_size: int = 250,
    **options: Any,
) -> xr.Dataset:
    """Read a batch and probe S for every target at every place of every window slept on.

    Parameters
    ----------
    model : SleepingModel
        The network.
    batch : Batch
        Tokens ``[example, token]``.
    sleep : SleepConfig
        Window, eviction and N, which has to be a number.
    targets : sequence of ProbeTarget
        As a task's `probe_targets` gives them for `batch`.
    baselines : sequence of str
        Some of `BASELINES`; "majority" costs nothing and is always there.
    untrained_model : SleepingModel or None
        Untrained weights; None makes them anew from the model's configuration.
    batch_size : int
        Examples read together.
    **options
        Seeds, regularisations, workers, progress and stop, as `probe_states` has them.

    Returns
    -------
    Dataset
        As `probe_states`, with the baselines asked for.

    Raises
    ------
    WorkbenchError
        An unknown baseline, or as `fast_weights` and `probe_states`.
    """
    if unknown := set(baselines) - set(BASELINES):
        raise WorkbenchError(
            f"baseline {min(unknown)!r}", f"some of {', '.join(BASELINES)}", "check the name"
        )
    states = fast_weights(model, batch, sleep, batch_size=batch_size)
    compared: dict[str, Others] = {}
    if EMBEDDINGS in baselines:
        compared[EMBEDDINGS] = partial(embeddings, model, batch, sleep)
    if UNTRAINED in baselines:
        fresh = untrained(model) if untrained_model is None else untrained_model
        compared[UNTRAINED] = fast_weights(fresh, batch, sleep, batch_size=batch_size)
    groups = groups_of(batch, sleep, targets)
    return probe_states(states, targets, groups, compared=compared, **options)


def probe_states(
    states: xr.DataArray,
    targets: Sequence[ProbeTarget],
    groups: np.ndarray,
    *,
    compared: Mapping[str, Others] | None = None,
    seeds: Sequence[int] = SEEDS,
    alphas: Sequence[float] = ALPHAS,
    shares: Sequence[float] = SHARES,
    controls: bool = True,
    workers: int = 2,
    on_progress: Callable[[float], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> xr.Dataset:
    """Probe states for every target at every place.

    Parameters
    ----------
    states : DataArray
        S ``(example, window, sleep_pass, layer, gdn_head, key, value)``, as `fast_weights` returns
        it or a trace holds it. A place that is NaN throughout (no such pass) is left out.
    targets : sequence of ProbeTarget
        What to look for; all about the same items.
    groups : int64 [example]
        Examples that must not be in two folds; see `workbench.instruments.folds.groups_of`.
    compared : mapping or None
        Baseline -> states of the same dims, or a function from a window to features.
    seeds : sequence of int
        Seeds of the splits and of the control tasks.
    alphas : sequence of float
        Regularisations to choose from; see `workbench.instruments.ridge`.
    shares : sequence of float
        Shares of training, validation and test.
    controls : bool
        Also probe for the control tasks; their variables are NaN without.
    workers : int
        Places worked on at once, each by one thread.
    on_progress : callable or None
        Told the share of the work that is done, 0..1.
    stop : callable
        True ends the work; what has not been probed is NaN and attribute ``complete`` is 0.

    Returns
    -------
    Dataset
        ``accuracy (seed, window, sleep_pass, layer, target)``
            Share of items told right on the test fold.
        ``low, high (window, sleep_pass, layer, target)``
            95 % interval of the mean over seeds (Wilson). An example is one case however many test
            folds it was in.
        ``item_accuracy (seed, window, sleep_pass, layer, target, item)``
            The same for each item; ``item_low, item_high`` without seed.
        ``control_accuracy, selectivity (seed, window, sleep_pass, layer, target, control)``
            Of the control tasks; NaN under "kinds" where a target has none.
        ``baseline_accuracy (seed, window, sleep_pass, layer, target, baseline)``
            Accuracy without these features, or with others; "majority" first.
        ``alpha (seed, window, sleep_pass, layer, target)``
            Regularisation chosen, as a share of the mean squared length of a coordinate.

        Coordinates ``level`` and ``meaning (target)``; attributes ``probe``, ``split``,
        ``examples``, ``groups``, ``shares`` and ``complete`` (1, or 0 if it was stopped).

    Raises
    ------
    WorkbenchError
        No target, targets about other items or examples, too many outputs, or too few examples.
    """
    _check(states, targets, groups)
    splits = {seed: split(groups, seed, shares=shares) for seed in seeds}
    questions = Questions(targets, groups, splits, tuple(alphas))
    result = _empty(states, targets, seeds, tuple(compared or ()))
    result["baseline_accuracy"].loc[{dims.BASELINE: MAJORITY}] = majority(questions)[
        :, None, None, None
    ]
    jobs: list[_Job] = [(place, None, partial(flattened, states, *place)) for place in _at(states)]
    for name, others in (compared or {}).items():
        if isinstance(others, xr.DataArray):
            jobs += [(place, name, partial(flattened, others, *place)) for place in _at(others)]
        else:
            windows = states[dims.WINDOW].values.tolist()
            jobs += [((window,), name, partial(others, window)) for window in windows]
    done = 0
    for (place, baseline, _), scores in _side_by_side(jobs, questions, controls, workers, stop):
        at = dict(zip(_PLACE, place, strict=False))
        if baseline is None:
            _enter(result, at, scores)
        else:
            here = result["baseline_accuracy"].loc[at | {dims.BASELINE: baseline}]
            over = (slice(None), *[None] * (here.ndim - 2), slice(None))
            here[...] = scores.accuracy[over]
        done += 1
        if on_progress is not None:
            on_progress(done / len(jobs))
    result["selectivity"] = result["accuracy"] - result["control_accuracy"]
    return result.assign_attrs(
        probe="ridge regression onto one-hot labels, one for each item",
        split="by example; those of one text or one answer in one fold",
        examples=len(groups),
        groups=len(np.unique(groups)),
        shares=" ".join(f"{share:g}" for share in shares),
        complete=int(done == len(jobs)),
    )


_Job = tuple[tuple[int, ...], str | None, Callable[[], np.ndarray]]
"""Place (a window alone: all its places), baseline or None, and what makes the features."""


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
        _, name, features = job
        too = controls and name is None
        return score_place(features(), questions, controls=too, ended=ended.is_set)

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


def _enter(result: xr.Dataset, at: dict[str, int], scores: Scores) -> None:
    """Write what one place's probes found into the result."""
    result["accuracy"].loc[at] = scores.accuracy
    result["item_accuracy"].loc[at] = scores.item_accuracy
    result["control_accuracy"].loc[at] = scores.control
    result["alpha"].loc[at] = scores.alpha
    for bound, name in enumerate(("low", "high")):
        result[name].loc[at] = scores.interval[bound]
        result[f"item_{name}"].loc[at] = scores.item_interval[bound]


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
    place = (dims.SEED, *_PLACE, dims.TARGET)
    over = {
        "accuracy": place,
        "low": place[1:],
        "high": place[1:],
        "item_accuracy": (*place, dims.ITEM),
        "item_low": (*place[1:], dims.ITEM),
        "item_high": (*place[1:], dims.ITEM),
        "control_accuracy": (*place, dims.CONTROL),
        "baseline_accuracy": (*place, dims.BASELINE),
        "alpha": place,
    }
    data = {
        name: (d, np.full([len(index[i]) for i in d], np.nan), {"units": "1"})
        for name, d in over.items()
    }
    about = {
        "level": (dims.TARGET, [target.level for target in targets]),
        "meaning": (dims.TARGET, [target.meaning for target in targets]),
    }
    return xr.Dataset(data, index | about)


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
