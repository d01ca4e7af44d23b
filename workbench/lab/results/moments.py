"""Moments of training: results at the end, so far, and at equal compute or equal time.

Each takes the Dataset of `workbench.lab.results.dataset` and returns one without steps, in which
every run stands at one of its evaluations. All values of a run are then of that moment: an N that
was not tested there is NaN, whatever was measured before.
"""

from __future__ import annotations

import xarray as xr

from workbench import dims

ROUNDING = 1e-9
"""A budget that a run spends exactly may differ from its sum by rounding."""
MOMENT, END = "moment", "end"
"""Attribute of finished results, and what it says."""


def final(dataset: xr.Dataset) -> xr.Dataset:
    """Return finished results: of each run its evaluation at the last step; NaN while it trains.

    Finished results are returned as they are, so that what is asked often is computed once.

    Returns
    -------
    Dataset
        ``accuracy, first (arm, n_train, seed, n_test, difficulty)``, ``exact``, ``at_step``,
        ``training_flops`` and ``seconds`` (arm, n_train, seed), and all that never had steps.
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
