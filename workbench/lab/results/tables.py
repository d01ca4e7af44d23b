"""Tables: results at one moment of training, and on the axes that a question is about.

A moment (`final`, `latest`, `together`, `at_flops`, `at_seconds`) takes the Dataset of
`workbench.lab.results.dataset` and returns one without steps, in which every run stands at one of
its evaluations. All values of a run are then of that moment: an N that was not tested there is NaN,
whatever was measured before. The others reduce or rename axes; only `learning` and `so_far`, which
gather what figures are drawn from, compute intervals.
"""

from __future__ import annotations

from collections import Counter
from typing import TypeVar

import numpy as np
import xarray as xr

from workbench import dims
from workbench.errors import WorkbenchError
from workbench.lab.results.seeds import over_seeds

SOLVED = 0.9
"""Share of right answers from which on a difficulty counts as solved."""

ROUNDING = 1e-9
"""A budget that a run spends exactly may differ from its sum by rounding."""
MOMENT, END = "moment", "end"
"""Attribute of finished results, and what it says."""

Data = TypeVar("Data", xr.DataArray, xr.Dataset)


def final(dataset: xr.Dataset) -> xr.Dataset:
    """Return finished results: of each run its evaluation at the last step; NaN while it trains.

    Has ``accuracy, first (arm, n_train, seed, n_test, difficulty)``, ``exact``, ``at_step``,
    ``training_flops`` and ``seconds`` (arm, n_train, seed), and all that never had steps. Finished
    results are returned as they are, so that what is asked often is computed once.
    """
    if dataset.attrs.get(MOMENT) == END:
        return dataset
    ended = _moment(dataset, dataset[dims.STEP] == dataset["steps"])
    return ended.assign_attrs({MOMENT: END})


def latest(dataset: xr.Dataset) -> xr.Dataset:
    """Return what each run knows so far: its newest evaluation. As `final` otherwise."""
    return _moment(dataset, dataset[dims.STEP] >= 0)


def together(dataset: xr.Dataset) -> xr.Dataset:
    """Return each arm and N at the newest step at which all of its seeds were evaluated.

    Seeds without any evaluation yet are left out. As `final` otherwise.
    """
    seen = dataset["exact"].notnull().any(dims.N_TEST)
    begun = seen.any(dims.STEP)
    return _moment(dataset, (seen | ~begun).all(dims.SEED))


def at_flops(dataset: xr.Dataset, flops: float) -> xr.Dataset:
    """Return each run at its last evaluation that spent at most `flops` on training.

    ``training_flops`` holds the compute really spent: less than `flops` between two evaluations,
    and where a run ended before. A run whose learning rate was to decay later is judged before its
    decay: for a fair comparison, train arms for the same budget. Otherwise as `final`; NaN for a
    run that was not evaluated within `flops`, or whose cost is unknown.
    """
    return _moment(dataset, dataset["training_flops"] <= flops * (1 + ROUNDING))


def at_seconds(dataset: xr.Dataset, seconds: float) -> xr.Dataset:
    """Return each run at its last evaluation within `seconds` of training; otherwise as `at_flops`.

    Seconds compare only runs of one machine, equally busy.
    """
    return _moment(dataset, dataset["seconds"] <= seconds * (1 + ROUNDING))


def _moment(dataset: xr.Dataset, allowed: xr.DataArray) -> xr.Dataset:
    """Return each run at its last evaluated step that is allowed."""
    if not dataset.sizes[dims.STEP]:  # nothing was evaluated yet
        dataset = dataset.reindex({dims.STEP: [0]})
        allowed = allowed.reindex({dims.STEP: [0]}, fill_value=False)
    step = dataset[dims.STEP]
    seen = dataset["exact"].notnull().any(dims.N_TEST)
    at_step = step.where(seen & allowed).max(dims.STEP)
    here = step == at_step
    moved = {
        name: dataset[name].where(here).max(dims.STEP)  # a single step is left: its value
        for name in ("accuracy", "first", "exact", "training_flops", "seconds")
    }
    steady = [n for n in dataset.data_vars if not _stepped(dataset[n])]
    # `where` brings the condition's dims to the end: a result has them in the dataset's order
    order = [d for d in dataset["accuracy"].dims if d != dims.STEP]
    result = dataset[steady].assign(moved | {"at_step": at_step})
    result = result.drop_vars([dims.STEP, dims.LOGGED_STEP], errors="ignore")
    return result.transpose(*order, ...).assign_attrs(dataset.attrs)


def _stepped(array: xr.DataArray) -> bool:
    return dims.STEP in array.dims or dims.LOGGED_STEP in array.dims


def trained_at(n_train: str) -> int | None:
    """Return the N of training, the largest where it was random, None where a rule decided it."""
    last = n_train.rpartition("-")[2]
    return int(last) if last.isdigit() else None


def conditions(data: Data) -> Data:
    """Put arm and N of training on one axis, in their order; pairs without runs are left out.

    From (arm, n_train, ...) with the coordinate ``words`` to (condition, ...): the condition in
    words, with coordinates ``arm``, ``family``, ``title``, ``n_train`` and ``passes``. Raises
    WorkbenchError if no pair has runs.
    """
    words = data["words"].transpose(dims.ARM, dims.N_TRAIN).values
    arms, n_trains = np.nonzero(words != "")
    if not len(arms):
        raise WorkbenchError("a selection without runs", "at least one", "select less narrowly")
    names = xr.DataArray(words[arms, n_trains], dims=dims.CONDITION)
    pick = {
        dims.ARM: xr.DataArray(arms, dims=dims.CONDITION),
        dims.N_TRAIN: xr.DataArray(n_trains, dims=dims.CONDITION),
    }
    stacked = data.isel(pick).drop_vars("words").assign_coords({dims.CONDITION: names})
    return stacked.transpose(dims.CONDITION, ...)


def with_n_test(data: Data, n_test: int | None = None) -> Data:
    """Choose the N of testing for each condition: the one given, or that of its training.

    None tests each condition at its own N, the largest where it was random. From (condition,
    n_test, ...) to (condition, ...), with the coordinate n_test; NaN where that N was not tested.
    """
    wanted = np.array([n_test or trained_at(str(n)) or 0 for n in data[dims.N_TRAIN].values])
    known = data[dims.N_TEST].values
    missing = np.setdiff1d(wanted, known)
    if missing.size:
        data = data.reindex({dims.N_TEST: np.union1d(known, missing)})
    return data.sel({dims.N_TEST: xr.DataArray(wanted, dims=dims.CONDITION)})


def against_n(array: xr.DataArray) -> xr.DataArray:
    """Bring ``[arm, n_train, n_test, ...]`` to an axis of N, as the paper plots results.

    A model of fixed N is tested at the N of its training; its place on the axis is the N its arm is
    run at (for arms of one pass: the N they are matched to). A model of random N is one model,
    tested at each N. Returns ``[arm, passes, ...]`` with the arms' plain names and ``title (arm)``;
    NaN where an arm was not run, or not tested, at an N.
    """
    names = array["family"].values.tolist()
    titles = dict(zip(names, array["title"].values.tolist(), strict=True))
    stacked = conditions(array)
    columns = (stacked[name].values.tolist() for name in ("family", dims.N_TRAIN, "passes"))
    runs = list(zip(*columns, strict=True))
    drawn = Counter(family for family, n_train, _ in runs if not n_train.isdigit())
    pieces: dict[tuple[str, int], xr.DataArray] = {}
    for place, (family, n_train, run_at) in enumerate(runs):
        fixed, one = n_train.isdigit(), stacked.isel({dims.CONDITION: place})
        if not fixed and drawn[family] > 1:  # two random ranges are two models at every N
            title, family = titles[family], f"{family} {n_train}"
            titles[family] = f"{title}, N in {n_train}"
        for n_test in array[dims.N_TEST].values.tolist():
            if not fixed or n_test == int(n_train):
                at = n_test if not fixed or np.isnan(run_at) else int(run_at)
                pieces[family, at] = one.sel({dims.N_TEST: n_test}).reset_coords(drop=True)
    families = list(dict.fromkeys([*(f for f, _ in pieces), *(n for n in names if drawn[n] < 2)]))
    axis = sorted({at for _, at in pieces})
    blank = array.isel({dims.ARM: 0, dims.N_TRAIN: 0, dims.N_TEST: 0}).reset_coords(drop=True)
    blank = xr.full_like(blank, np.nan)
    rows = [
        xr.concat([pieces.get((f, n), blank) for n in axis or [0]], dim=dims.PASSES, join="exact")
        for f in families
    ]
    result = xr.concat(rows, dim=dims.ARM, join="exact")
    result = result.isel({dims.PASSES: slice(len(axis))})  # none where no arm was tested at its N
    coords = {
        dims.ARM: families,
        dims.PASSES: axis,
        "title": (dims.ARM, [titles[f] for f in families]),
    }
    return result.assign_coords(coords)


def so_far(dataset: xr.Dataset) -> xr.Dataset:
    """Return accuracy against N of runs that may still train, each mean at one step.

    ``mean``, ``low``, ``high``, ``count`` over (arm, passes, difficulty), with ``title (arm)``;
    ``at_step (arm, passes)`` and ``finished (arm, passes)``, whether all seeds have ended there.
    """
    moment = together(dataset)
    known = moment["accuracy"].notnull()
    points = over_seeds(against_n(moment["accuracy"]))
    over = [dims.SEED, dims.DIFFICULTY]
    points["at_step"] = against_n(moment["at_step"].where(known)).max(over)
    ended = (moment["at_step"] == moment["steps"]) * 1.0
    points["finished"] = against_n(ended.where(known)).min(over) == 1
    return points


def largest_solved(accuracy: xr.DataArray, threshold: float = SOLVED) -> xr.DataArray:
    """Return the largest difficulty up to which every difficulty is solved.

    `accuracy` is ``[difficulty, ...]``, difficulties ascending; one seed each where seed is a dim.
    From the share `threshold` of right answers on a difficulty is solved. The result, over the
    other dims, is 0 where the first is not solved, and NaN where it depends on an unmeasured
    difficulty.
    """
    ordered = accuracy.transpose(dims.DIFFICULTY, ...)
    solved = (ordered >= threshold).values
    levels = np.concatenate([[0.0], ordered[dims.DIFFICULTY].values])
    count = np.logical_and.accumulate(solved, axis=0).sum(axis=0)
    # the first difficulty that is not solved decides: was it measured?
    first = np.minimum(count, len(solved) - 1)
    undecided = np.isnan(np.take_along_axis(ordered.values, first[None], axis=0)[0])
    rest = ordered.isel({dims.DIFFICULTY: 0}, drop=True)
    return rest.copy(data=np.where(undecided, np.nan, levels[count])).rename("largest_solved")


def learning(dataset: xr.Dataset, n_test: int | None = None) -> xr.Dataset:
    """Return what learning curves are drawn from.

    `dataset` is that of `workbench.lab.results.dataset`, or a selection of its arms; `n_test` as in
    `with_n_test`. Returns ``accuracy (condition, seed, difficulty, step)`` and ``loss (condition,
    seed, logged_step)``, each with ``_mean``, ``_low``, ``_high`` over seeds, and their places:
    ``training_flops (condition, step)``, ``logged_flops (condition, logged_step)``, ``seconds
    (condition, seed, step)``, ``logged_seconds (condition, seed, logged_step)``.
    """
    chosen = with_n_test(conditions(dataset), n_test)
    names = ["accuracy", "loss", "training_flops", "seconds", "logged_seconds"]
    result = chosen[names]
    for name in ("accuracy", "loss"):
        summary = over_seeds(chosen[name])
        for part in ("mean", "low", "high"):
            result[f"{name}_{part}"] = summary[part]
    result["logged_flops"] = chosen["step_flops"] * chosen[dims.LOGGED_STEP]
    return result
