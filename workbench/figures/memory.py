"""A fast-weight matrix: one head, with axes and scale."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from workbench import dims
from workbench.figures.marks import axis, coordinates, hover, note
from workbench.figures.matrix import CELL_BYTES
from workbench.figures.theme import BYTES, Theme, diverging, frame, tick_step

HEIGHT: Final = 318
NAMES: Final = {"state": "S", "change": "change of S", "sleep_change": "change of S"}
DOWN: Final[dict[str, Any]] = {"autorange": "reversed"}
CORNER: Final[dict[str, Any]] = {"xanchor": "left", "yanchor": "bottom"}
LAYOUT_BYTES: Final = 15_000
"""Bytes of template, layout, axes and name, at most."""


def shown_quantity(states: xr.DataArray, quantity: str) -> xr.DataArray:
    """Return what a heatmap shows at each pass, with the dims of `states` (sleep_pass from 0).

    That is S itself ("state"), S minus S of the pass before ("change", 0 at pass 0), or S minus S
    at pass 0 ("sleep_change").
    """
    if quantity == "state":
        return states
    if quantity == "sleep_change":
        return states - states.isel({dims.SLEEP_PASS: 0}, drop=True)
    if quantity != "change":
        raise ValueError(f"quantity {quantity!r} given; expected one of {', '.join(NAMES)}")
    before = states.isel({dims.SLEEP_PASS: [0, *range(states.sizes[dims.SLEEP_PASS] - 1)]})
    return states - before.values


def comparison(sleep_pass: int, quantity: str, *, awake: bool = False) -> str:
    """Return in words what a heatmap compares."""
    if awake:
        here, before = ("after the wake pass", "before it") if sleep_pass else ("before waking", "")
    else:
        here = f"after pass {sleep_pass}" if sleep_pass else "as carried into the window"
        before = f"after pass {sleep_pass - 1}" if sleep_pass > 1 else "before the sleep"
    if quantity == "state":
        return f"S {here}"
    if not sleep_pass:
        return f"S {here}: nothing to compare yet"
    if quantity == "sleep_change" and not awake:
        before = "before the sleep"
    return f"S {here} minus S {before}"


def one_head(
    states: xr.DataArray,
    *,
    sleep_pass: int,
    gdn_head: int,
    quantity: str = "state",
    limit: float | None = None,
    awake: bool = False,
    theme: Theme = "light",
) -> go.Figure:
    """Draw one head of one layer, with axes and colour bar.

    - states: S of one layer ``(sleep_pass, gdn_head, key, value)``, every pass of the window.
    - sleep_pass: the pass to show; 0 is what was carried in.
    - gdn_head: the head to show.
    - quantity ({"state", "change", "sleep_change"}): see `shown_quantity`.
    - limit: largest absolute value of the colour scale; None takes it from all passes given.
    - awake: the window is read awake, so its one pass is not a sleep pass.
    """
    shown, limit = _at(states, sleep_pass, quantity, limit)
    shown = shown.sel({dims.GDN_HEAD: gdn_head}).transpose(dims.KEY, dims.VALUE)
    shown, block = _reduced(shown)
    ticks: dict[str, Any] = {"tick0": 0, "dtick": tick_step(block * max(shown.shape), 256)}
    words = comparison(sleep_pass, quantity, awake=awake)
    title = f"<b>Head {gdn_head}</b>{_block_words(block)}<br>{words}"
    layout = frame(theme, HEIGHT, 44, 66, 42, 38) | {
        "coloraxis": diverging(limit, theme, f"{NAMES[quantity]} (no unit)", x=1.01, xpad=4),
        "xaxis": axis("value dimension", **ticks),
        "yaxis": axis("key dimension", **ticks, **DOWN),
        "annotations": [note(title, 0, 1, size=13, align="left", yshift=2, **CORNER)],
    }
    return go.Figure([_heatmap(shown, f"head {gdn_head}", block)], layout)


def _at(
    states: xr.DataArray, sleep_pass: int, quantity: str, limit: float | None
) -> tuple[xr.DataArray, float]:
    shown = shown_quantity(states, quantity)
    if limit is None:
        limit = float(np.abs(shown).max()) or 1.0
    return shown.sel({dims.SLEEP_PASS: sleep_pass}), limit


def _heatmap(matrix: xr.DataArray, name: str, block: int) -> dict[str, Any]:
    """Return the trace of one matrix ``[key, value]`` of means over `block` x `block` cells."""
    where = "key %{y}, value %{x}"
    trace: dict[str, Any] = {
        "type": "heatmap",
        "z": coordinates(matrix.values),
        "coloraxis": "coloraxis",
        "name": name,
    }
    if block > 1:  # the axes count the matrix's own rows and columns, not the blocks
        where = "mean about key %{y:.0f}, value %{x:.0f}"
        middle = (block - 1) / 2
        trace |= {"x0": middle, "dx": block, "y0": middle, "dy": block, "hoverongaps": False}
    return trace | {"hovertemplate": hover(f"{name}<br>{where}: %{{z:.3f}}")}


def _block_words(block: int) -> str:
    return f" (means of {block} x {block} cells)" if block > 1 else ""


def _reduced(shown: xr.DataArray) -> tuple[xr.DataArray, int]:
    """Return means of square blocks small enough for the byte budget, and the block's side.

    `shown` is ``(key, value)``. Blocks at the far edges are the means of the cells there are.
    """
    cells = (BYTES - LAYOUT_BYTES) / CELL_BYTES
    block = 1
    while math.prod(-(-size // block) for size in shown.shape) > cells:
        block += 1
    if block == 1:
        return shown, 1
    return shown.coarsen({dims.KEY: block, dims.VALUE: block}, boundary="pad").mean(), block
