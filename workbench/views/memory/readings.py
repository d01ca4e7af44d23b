"""What the instruments say of one traced where the cursor stands. Knows no Panel.

Each is worked out once for an example (or for all of them), kept with the traced, and then only
selected from: a step selects, and computes nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import xarray as xr

from workbench import dims
from workbench.errors import WorkbenchError
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
    found = _kept(traced, cursor, "spectra", spectra)
    return found.sel({dims.LAYER: cursor.layer})


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
    """Return what later passes leave, in the cursor's head and the window slept on last."""
    found = _of_head(_kept(traced, cursor, "pass retention", pass_retention), cursor)
    return found.isel({dims.WINDOW: traced.slept(cursor.window)})


def readout_at(traced: TraceView, cursor: Cursor) -> xr.Dataset:
    """Return what is returned, at every boundary, for the keys of the window slept on last."""
    source = traced.slept(cursor.window)
    label = int(traced.trace.coords[dims.WINDOW].values[source])

    def asked(trace: xr.DataTree) -> xr.Dataset:
        return readout(trace, source_window=label)

    found = _kept(traced, cursor, ("readout", source), asked)
    return found.sel({dims.LAYER: cursor.layer})


def crosstalk_at(traced: TraceView, cursor: Cursor) -> xr.Dataset:
    """Return whose values come back, in the cursor's head, for the keys of `asked_pass`."""
    boundary = crosstalk_boundary(traced, cursor)
    source = traced.slept(boundary.window)
    labels = traced.trace.coords[dims.WINDOW].values
    window, source_window = int(labels[boundary.window]), int(labels[source])

    def asked(trace: xr.DataTree) -> xr.Dataset:
        return crosstalk(
            trace, window=window, sleep_pass=boundary.sleep_pass, source_window=source_window
        )

    return _of_head(_kept(traced, cursor, ("crosstalk", boundary), asked), cursor)


def crosstalk_boundary(traced: TraceView, cursor: Cursor) -> BoundaryIndex:
    """Return the last pass done where the cursor stands; before everything, the first one."""
    return traced.written(cursor.boundary) or BoundaryIndex(0, 1)


def lens_at(traced: TraceView) -> xr.Dataset:
    """Return the answers after every pass, by difficulty, over all examples of the traced."""

    def read() -> xr.Dataset:
        return lens_by_difficulty(lens_of(traced.trace), traced.task)

    return traced.ask("lens", read)


def convergence_at(traced: TraceView, cursor: Cursor) -> xr.Dataset:
    """Return steps and distances of the cursor's head, at every boundary."""

    def with_fixed_point(trace: xr.DataTree) -> xr.Dataset:
        return convergence(trace, fixed_point=longer(traced, cursor.example))

    return _of_head(_kept(traced, cursor, "convergence", with_fixed_point), cursor)


def longer(traced: TraceView, example: int) -> xr.DataTree | None:
    """Return a far longer sleep over one example; None where there is no model to sleep."""
    if traced.checkpoint is None:
        return None
    from workbench.trace import batch_of, record

    sleep = traced.sleep.with_passes(max(LEAST, LONGER * max(traced.passes)))
    batch = batch_of(traced.one(example))
    # nobody asks for the answers after each of its passes
    silent = replace(
        batch,
        difficulty=np.empty((1, 0), dtype=np.int64),
        answer_of=np.full_like(batch.answer_of, -1),
    )
    return record(traced.checkpoint.model, silent, sleep, keep=("states",))


def cka_at(traced: TraceView, cursor: Cursor) -> xr.Dataset | None:
    """Return the likeness of passes over all examples, in the window slept on last.

    None where there are too few examples.
    """
    if traced.examples < FEWEST:
        return None
    window = traced.slept(cursor.window)
    label = int(traced.trace.coords[dims.WINDOW].values[window])
    found = traced.ask(("cka", window), lambda: cka(traced.trace, window=label))
    return found.sel({dims.LAYER: cursor.layer}).isel({dims.GDN_HEAD: cursor.gdn_head})


def where(traced: TraceView, boundary: BoundaryIndex, found: xr.Dataset) -> xr.Dataset:
    """Return what an instrument says at one boundary.

    Raises
    ------
    WorkbenchError
        The trace has no such stop.
    """
    if boundary not in traced.extent.boundaries:
        raise WorkbenchError(f"boundary {tuple(boundary)}", "a boundary of this trace", "step on")
    return found.isel({dims.WINDOW: boundary.window, dims.SLEEP_PASS: boundary.sleep_pass})


def _kept(traced: TraceView, cursor: Cursor, name: object, instrument: object) -> xr.Dataset:
    """Return an instrument's result for the cursor's example, worked out at the first call."""
    assert callable(instrument)
    at = traced.position(cursor.example)
    found: xr.Dataset = traced.ask(
        (name, at), lambda: instrument(traced.one(cursor.example)).isel({dims.EXAMPLE: 0})
    )
    return found


def _of_head(found: xr.Dataset, cursor: Cursor) -> xr.Dataset:
    return found.sel({dims.LAYER: cursor.layer}).isel({dims.GDN_HEAD: cursor.gdn_head})
