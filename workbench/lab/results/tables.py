"""Tables: results brought to the axes that a question is about.

All reduce or rename axes of what `workbench.lab.results` and `workbench.lab.results.moments`
return; only `learning` and `so_far`, which gather what figures are drawn from, compute intervals.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import xarray as xr

from workbench import dims
from workbench.errors import WorkbenchError
from workbench.lab.results.moments import together
from workbench.lab.results.seeds import over_seeds

SOLVED = 0.9
"""Share of right answers from which on a difficulty counts as solved."""

Data = TypeVar("Data", xr.DataArray, xr.Dataset)


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
    known = array["words"].transpose(dims.ARM, dims.N_TRAIN).values != ""
    random = [not str(n).isdigit() for n in array[dims.N_TRAIN].values]
    drawn = {name: 0 for name in names}
    for name, row in zip(names, known, strict=True):
        drawn[name] += int(row[random].sum())
    pieces: dict[tuple[str, int], xr.DataArray] = {}
    for arm in array[dims.ARM].values:
        for n_train in array[dims.N_TRAIN].values:
            one = array.sel({dims.ARM: arm, dims.N_TRAIN: n_train})
            if not str(one["words"].item()):
                continue
            family = str(one["family"].item())
            fixed = str(n_train).isdigit()
            if not fixed and drawn[family] > 1:  # two random ranges are two models at every N
                title, family = titles[family], f"{family} {n_train}"
                titles[family] = f"{title}, N in {n_train}"
            for n_test in array[dims.N_TEST].values.tolist():
                if not fixed or n_test == int(n_train):
                    run_at = float(one["passes"].item())
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
