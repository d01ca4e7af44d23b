"""Fast-weight matrices: all heads of a layer as small multiples, and one head enlarged."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from workbench import dims
from workbench.figures.marks import axis, coordinates, hover, note, on, panel_axes, shape
from workbench.figures.matrix import CELL_BYTES
from workbench.figures.theme import BYTES, INKS, Theme, diverging, domains, frame, tick_step

HEIGHT: Final = 318
NAMES: Final = {"state": "S", "change": "change of S", "sleep_change": "change of S"}
DOWN: Final[dict[str, Any]] = {"autorange": "reversed"}
CORNER: Final[dict[str, Any]] = {"xanchor": "left", "yanchor": "bottom"}
HEAD_BYTES: Final = 1_000
"""Bytes of the axes, frame and name of one small heatmap, at most."""
LAYOUT_BYTES: Final = 14_000
"""Bytes of template and layout, at most."""
FRAMED: Final = 64
"""Up to so many heads, each has its frame and name."""


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


def all_heads(
    states: xr.DataArray,
    *,
    sleep_pass: int,
    quantity: str = "state",
    limit: float | None = None,
    selected: int = 0,
    awake: bool = False,
    theme: Theme = "light",
) -> go.Figure:
    """Draw every head of one layer as a small heatmap, one trace a head.

    - states: S of one layer ``(sleep_pass, gdn_head, key, value)``, every pass of the window.
    - sleep_pass: the pass to show; 0 is what was carried in.
    - quantity ({"state", "change", "sleep_change"}): see `shown_quantity`.
    - limit: largest absolute value of the colour scale; None takes it from all passes given.
    - selected: the head with a frame around it.
    - awake: the window is read awake, so its one pass is not a sleep pass.
    """
    shown, limit = _at(states, sleep_pass, quantity, limit)
    shown, block = _reduced(shown)
    every = shown.sizes[dims.GDN_HEAD] <= FRAMED
    names = [int(h) for h in shown[dims.GDN_HEAD].values]
    columns = math.ceil(math.sqrt(len(names)))
    rows = math.ceil(len(names) / columns)
    across, down = _rounded(columns, 0.12 / columns), _rounded(rows, 0.24 / rows)[::-1]
    ink = INKS[theme]
    bare = axis(showticklabels=False)
    axes: dict[str, Any] = {}
    traces, shapes, notes = [], [], []
    for index, head in enumerate(names):
        x, y = across[index % columns], down[index // columns]
        axes |= panel_axes(index, bare | {"domain": x}, bare | {"domain": y} | DOWN)
        matrix = shown.isel({dims.GDN_HEAD: index}).transpose(dims.KEY, dims.VALUE)
        traces.append(_heatmap(matrix, f"head {head}", block) | on(index))
        chosen = index == selected
        if not (every or chosen):
            continue
        colour, width = (ink.accent, 3) if chosen else (ink.grid, 1)
        shapes.append(shape("rect", x, y, colour, width, xref="paper", yref="paper"))
        text, colour = (
            (f"<b>head {head}</b>", ink.accent) if chosen else (f"head {head}", ink.muted)
        )
        notes.append(note(text, x[0], y[1], size=12, colour=colour, **CORNER))
    text = f"rows: key, columns: value{_block_words(block)}"
    if not every:
        text += "; point at a matrix for its head"
    below = CORNER | {"yshift": -2, "yanchor": "top"}
    notes.append(note(text, 0, 0, size=11.5, colour=ink.muted, **below))
    layout = axes | {
        "coloraxis": diverging(limit, theme) | {"showscale": False},
        "shapes": shapes,
        "annotations": notes,
    }
    return go.Figure(traces, layout | frame(theme, HEIGHT, 3, 6, 22, 22))


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
    """Draw one head of one layer, with axes and colour bar; parameters as in `all_heads`."""
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

    `shown` is ``(key, value)``, or has a dim gdn_head for small heatmaps. Blocks at the far edges
    are the means of the cells there are.
    """
    heads = shown.sizes.get(dims.GDN_HEAD, 1)
    cells = (BYTES - LAYOUT_BYTES - HEAD_BYTES * min(heads, 2 * FRAMED)) / CELL_BYTES / heads
    block = 1
    while math.prod(-(-shown.sizes[dim] // block) for dim in (dims.KEY, dims.VALUE)) > cells:
        block += 1
        if block > max(shown.sizes[dims.KEY], shown.sizes[dims.VALUE]):
            break  # one cell a head is the least there can be
    if block == 1:
        return shown, 1
    return shown.coarsen({dims.KEY: block, dims.VALUE: block}, boundary="pad").mean(), block


def _rounded(count: int, gap: float) -> list[tuple[float, float]]:
    """Return `domains` to four decimals, which is finer than a pixel and short as JSON."""
    return [(round(low, 4), round(high, 4)) for low, high in domains(count, gap)]
