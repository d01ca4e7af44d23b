"""What the instruments say of one trace at the cursor's position. Knows no Panel.

Each result is computed once for an example (or for all), kept with the trace, and then only
selected from, so a step computes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np
import xarray as xr

from workbench import dims
from workbench.instruments.change import change
from workbench.instruments.convergence import FEWEST, cka, convergence
from workbench.instruments.lens import lens_by_difficulty, lens_of
from workbench.instruments.linear import CONVENTIONS
from workbench.instruments.provenance import contribution_norms
from workbench.instruments.readout import crosstalk, readout
from workbench.instruments.retention import pass_retention, retention
from workbench.instruments.spectra import spectra
from workbench.views.cursor.cursor import BoundaryIndex, Cursor
from workbench.views.cursor.traces import TraceView

LONGER: Final = 3
"""How many times N the sleep is that stands for the fixed point."""
LEAST: Final = 32
"""Passes of that sleep at least."""


def spectra_at(traced: TraceView, cursor: Cursor) -> xr.Dataset:
    """Return the spectra of the cursor's example and layer, every head and boundary."""
    return _kept(traced, cursor, "spectra", spectra).sel({dims.LAYER: cursor.layer})


def change_at(traced: TraceView, cursor: Cursor) -> xr.Dataset:
    """Return change and replay of the cursor's head, at every boundary."""
    return _of_head(_kept(traced, cursor, "change", change), cursor)


def shares_at(traced: TraceView, cursor: Cursor) -> xr.Dataset:
    """Return each pass's share of the cursor's head at each boundary, by both conventions."""

    def every_pass(trace: xr.DataTree) -> xr.Dataset:
        both = [contribution_norms(trace, convention=c, every_pass=True) for c in CONVENTIONS]
        along = xr.IndexVariable(dims.CONVENTION, list(CONVENTIONS))
        return xr.concat(both, along, join="exact", combine_attrs="drop_conflicts")

    return _of_head(_kept(traced, cursor, "shares", every_pass), cursor)


def tokens_at(traced: TraceView, cursor: Cursor) -> xr.Dataset:
    """Return norms and shares in the cursor's head, at every boundary, token by token.

    By the convention "left of each write".
    """

    def every_token(trace: xr.DataTree) -> xr.Dataset:
        return contribution_norms(trace, every_pass=True, every_token=True)

    return _of_head(_kept(traced, cursor, "tokens", every_token), cursor)


def retention_at(traced: TraceView, cursor: Cursor) -> xr.Dataset:
    """Return what later windows leave of each window's writes, in the cursor's head."""
    return _of_head(_kept(traced, cursor, "retention", retention), cursor)


def pass_retention_at(traced: TraceView, cursor: Cursor) -> xr.Dataset:
    """Return what later passes leave, in the cursor's head and the last window slept on."""
    found = _of_head(_kept(traced, cursor, "pass retention", pass_retention), cursor)
    return found.isel({dims.WINDOW: cursor.extent.slept(cursor.window)})


def readout_at(traced: TraceView, cursor: Cursor) -> xr.Dataset:
    """Return what S returns, at every boundary, for the keys of the last window slept on."""
    source = cursor.extent.slept(cursor.window)
    label = int(traced.trace.coords[dims.WINDOW].values[source])
    found = _kept(traced, cursor, ("readout", source), lambda t: readout(t, source_window=label))
    return found.sel({dims.LAYER: cursor.layer})


def crosstalk_at(traced: TraceView, cursor: Cursor) -> xr.Dataset:
    """Return whose values come back, in the cursor's head, for the keys of the last sleep."""
    boundary = crosstalk_boundary(cursor)
    labels = [int(label) for label in traced.trace.coords[dims.WINDOW].values]
    given = {
        "window": labels[boundary.window],
        "sleep_pass": boundary.sleep_pass,
        "source_window": labels[cursor.extent.slept(boundary.window)],
    }
    found = _kept(traced, cursor, ("crosstalk", boundary), lambda t: crosstalk(t, **given))
    return _of_head(found, cursor)


def crosstalk_boundary(cursor: Cursor) -> BoundaryIndex:
    """Return the last pass done at the cursor; the first one where none has been done."""
    if cursor.sleep_pass:
        return cursor.boundary
    return cursor.extent.boundaries[max(cursor.index - 1, 1)]


def lens_at(traced: TraceView, cursor: Cursor) -> xr.Dataset:
    """Return the answers after every pass, by difficulty, over all examples of the trace."""
    return traced.ask("lens", lambda: lens_by_difficulty(lens_of(traced.trace), traced.task))


def convergence_at(traced: TraceView, cursor: Cursor) -> xr.Dataset:
    """Return steps and distances of the cursor's head, at every boundary."""

    def with_fixed_point(trace: xr.DataTree) -> xr.Dataset:
        return convergence(trace, fixed_point=longer(traced, cursor))

    return _of_head(_kept(traced, cursor, "convergence", with_fixed_point), cursor)


def longer(traced: TraceView, cursor: Cursor) -> xr.DataTree | None:
    """Return a far longer sleep over the cursor's example; None where there is no model."""
    if traced.checkpoint is None:
        return None
    from workbench.trace import batch_of, record

    sleep = traced.sleep.with_passes(max(LEAST, LONGER * max(traced.extent.passes)))
    batch = batch_of(traced.one(cursor.example))
    # the answers after each of its passes are not needed
    silent = replace(
        batch,
        difficulty=np.empty((1, 0), dtype=np.int64),
        answer_of=np.full_like(batch.answer_of, -1),
    )
    return record(traced.checkpoint.model, silent, sleep, keep=("states",))


def cka_at(traced: TraceView, cursor: Cursor) -> xr.Dataset | None:
    """Return the likeness of passes over all examples, in the last window slept on.

    None where there are too few examples.
    """
    if traced.examples < FEWEST:
        return None
    window = cursor.extent.slept(cursor.window)
    label = int(traced.trace.coords[dims.WINDOW].values[window])
    return _of_head(traced.ask(("cka", window), lambda: cka(traced.trace, window=label)), cursor)


def where(cursor: Cursor, found: xr.Dataset) -> xr.Dataset:
    """Return what an instrument says at the cursor's boundary."""
    return found.isel({dims.WINDOW: cursor.window, dims.SLEEP_PASS: cursor.sleep_pass})


def _kept(
    traced: TraceView,
    cursor: Cursor,
    name: object,
    instrument: Callable[[xr.DataTree], xr.Dataset],
) -> xr.Dataset:
    """Return an instrument's result for the cursor's example, computed at the first call."""
    example = cursor.example
    return traced.ask(
        (name, traced.position(example)),
        lambda: instrument(traced.one(example)).isel({dims.EXAMPLE: 0}),
    )


def _of_head(found: xr.Dataset, cursor: Cursor) -> xr.Dataset:
    return found.sel({dims.LAYER: cursor.layer}).isel({dims.GDN_HEAD: cursor.gdn_head})
