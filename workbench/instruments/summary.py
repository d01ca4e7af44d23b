"""A memory in numbers: means of the trace instruments over examples, with intervals.

Examples are drawn independently, so every interval is over them. It says how certain a number is
for this model; another training seed is another model.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import xarray as xr

from workbench import dims
from workbench.errors import WorkbenchError
from workbench.instruments.change import SLEEP, change, replayed, with_replay
from workbench.instruments.controls import REPLAY
from workbench.instruments.linear import CONVENTIONS
from workbench.instruments.provenance import contribution_norms
from workbench.instruments.readout import readout
from workbench.instruments.recorded import asleep_of
from workbench.instruments.retention import retention
from workbench.instruments.spectra import spectra_of

DIFFERENCE: Final = f"{SLEEP} minus {REPLAY}"
"""The sleep's value minus its replay's, paired by example."""


def over_examples(name: str, values: xr.DataArray) -> xr.Dataset:
    """Return the mean over examples, and its 95 % Student t interval.

    - name: of the mean; its bounds are ``name_low`` and ``name_high``.
    - values: with the dim example; what is NaN for every example stays NaN.
    """
    from scipy.stats import t

    count = values.notnull().sum(dims.EXAMPLE)
    mean = values.mean(dims.EXAMPLE)
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = values.astype(np.float64).std(dims.EXAMPLE, ddof=1) / np.sqrt(count)
        half = spread * t.ppf(0.975, np.maximum(count - 1, 1))
    half = half.where(count > 1)
    return xr.Dataset({name: mean, f"{name}_low": mean - half, f"{name}_high": mean + half})


def memory_summary(trace: xr.DataTree) -> xr.Dataset:
    """Return what passes add to the memory, what windows leave in it, and what keys return.

    Result: each with ``_low`` and ``_high``. Over windows slept on; "procedure" is the sleep, its
    frozen replay, and the difference of the two, paired by example:

    - ``written`` (procedure, convention, window, layer, gdn_head, source_pass): share of S at
      the end of the sleep that each of its passes wrote, by both conventions of
      `workbench.instruments.provenance`; ``carried`` the share from before it. By head:
      heads differ, and a mean over them weighs one that no answer needs like any other;
    - ``memory_change`` (procedure, window, sleep_pass): relative change of all of S;
    - ``effective_rank`` (procedure, window, sleep_pass, layer, gdn_head), directions;
    - ``retrieved`` (window, sleep_pass, layer, gdn_head): share of tokens whose key returns
      something nearest to their own value, by the keys of the sleep's last pass;
      ``retrieved_chance``.

    Over all windows: ``retention``, ``lost_to_decay``, ``lost_to_removal`` (layer, gdn_head,
    source_window, age).

    Raises WorkbenchError: the trace keeps no states or no writes, or no window was slept on.
    """
    windows = np.flatnonzero(asleep_of(trace))
    if not len(windows):
        raise WorkbenchError(
            "a trace in which no window was slept on",
            "a sleep, whose passes are compared",
            "record it with N of at least 1, or a shorter window",
        )
    labels = trace.to_dataset()[dims.WINDOW].values[windows]
    asleep = {dims.WINDOW: labels}
    changes = change(trace, modes=1)["memory_change"].sel(asleep)
    ranks = with_replay(trace, spectra_of)["effective_rank"].sel(asleep)
    kept = retention(trace)
    parts = [
        _written(trace, labels),
        _against_replay("memory_change", changes),
        _against_replay("effective_rank", ranks),
        *(over_examples(n, kept[n]) for n in ("retention", "lost_to_decay", "lost_to_removal")),
        *_retrieved(trace, labels),
    ]
    result = xr.merge(parts, join="outer", combine_attrs="drop")
    return result.assign_attrs(interval="95 %, Student t over examples")


def _against_replay(name: str, values: xr.DataArray) -> xr.Dataset:
    """Summarise values of both procedures, and their difference."""
    both = values.transpose(dims.PROCEDURE, ...)
    paired = both.sel({dims.PROCEDURE: SLEEP}, drop=True) - both.sel(
        {dims.PROCEDURE: REPLAY}, drop=True
    )
    paired = paired.expand_dims({dims.PROCEDURE: [DIFFERENCE]})
    return over_examples(name, xr.concat([both, paired], dims.PROCEDURE, join="exact"))


def _written(trace: xr.DataTree, windows: np.ndarray) -> xr.Dataset:
    """Summarise how much of S at the end of each sleep its own passes wrote."""
    procedures = xr.IndexVariable(dims.PROCEDURE, [SLEEP, REPLAY])
    conventions = xr.IndexVariable(dims.CONVENTION, list(CONVENTIONS))
    alone, shares = {dims.WINDOW: 0, dims.SOURCE_WINDOW: 0}, ["share", "carried_share"]
    found = []
    for position, window in zip(np.flatnonzero(asleep_of(trace)), windows, strict=True):
        # from the state carried in, as the replay has it
        both = (trace.isel({dims.WINDOW: [position]}), replayed(trace, window=int(window)))
        each = [
            [contribution_norms(one, convention=c)[shares] for c in CONVENTIONS] for one in both
        ]
        parts = [xr.concat(of, conventions, join="exact").isel(alone, drop=True) for of in each]
        found.append(xr.concat(parts, procedures, join="exact"))
    joined = xr.concat(found, xr.IndexVariable(dims.WINDOW, windows), join="exact")
    names = {"written": "share", "carried": "carried_share"}
    return xr.merge(_against_replay(name, joined[of]) for name, of in names.items())


def _retrieved(trace: xr.DataTree, windows: np.ndarray) -> list[xr.Dataset]:
    accuracy, chance = [], []
    for window in windows.tolist():
        found = readout(trace, source_window=int(window))
        accuracy.append(found["accuracy"].sel({dims.WINDOW: window}, drop=True))
        chance.append(found["chance"])
    along = xr.IndexVariable(dims.WINDOW, windows)
    lines = xr.concat(chance, along, join="exact").mean(dims.EXAMPLE)
    return [
        over_examples("retrieved", xr.concat(accuracy, along, join="exact")),
        xr.Dataset({"retrieved_chance": lines}),
    ]
