"""Matrices with numbers in their cells, and matrices too large for that."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from workbench import dims
from workbench.figures.marks import columns_axis, coordinates, on, rows_axis, scatter
from workbench.figures.panels import layout, row_names
from workbench.figures.theme import BYTES, INKS, Theme

CELL_BYTES: Final = 5.4
"""Bytes of a cell in the figure's JSON: a float32 in base 64."""
LAYOUT_BYTES: Final = 24_000
"""Bytes of template, layout and axis labels, at most."""
MOST_CELLS: Final = int((BYTES - LAYOUT_BYTES) / CELL_BYTES)
"""Cells of the largest matrix that is drawn as it is."""
MOST_NUMBERS: Final = 400
"""Cells of the largest matrix with numbers in it: more could not be read."""
STRONG: Final = 0.55
"""Part of the colour scale's end from which a cell's ink is turned around."""


def cells(
    values: np.ndarray, *, x: np.ndarray, y: np.ndarray, hover: str = "", **more: Any
) -> dict[str, Any]:
    """Return a heatmap of ``[row, column]`` on the shared colour axis; NaN leaves a cell empty."""
    shown = {"hovertemplate": hover} if hover else {"hoverinfo": "skip"}
    usual = {"type": "heatmap", "coloraxis": "coloraxis", "hoverongaps": False} | shown
    return usual | {"z": coordinates(values), "x": coordinates(x), "y": coordinates(y)} | more


def numbers(
    values: np.ndarray,
    words: Callable[[float], str],
    *,
    x: np.ndarray,
    y: np.ndarray,
    limit: float = 1.0,
    theme: Theme,
    size: float = 12,
    diverging: bool = True,
) -> dict[str, Any]:
    """Return the numbers of ``[row, column]`` as text, readable on the colour of their cells.

    `values` colour the cells; one that is NaN gets no text. `limit` ends the colour scale, whose
    middle is the page's own ground if it is `diverging`; else it begins dark.
    """
    row, column = np.nonzero(~np.isnan(values))
    shown = values[row, column].tolist()
    ink = INKS[theme]
    weak, strong = (ink.text, ink.paper) if diverging else (INKS["light"].paper, INKS["light"].text)
    inks = [strong if abs(value) > STRONG * limit else weak for value in shown]
    return scatter(
        np.asarray(x)[column],
        np.asarray(y)[row],
        mode="text",
        text=[words(value) for value in shown],
        textfont={"size": size, "color": inks},
        hoverinfo="skip",
        showlegend=False,
        cliponaxis=False,
    )


def numbered(
    values: np.ndarray,
    words: Callable[[float], str],
    *,
    x: np.ndarray,
    y: np.ndarray,
    hover: str,
    gap: float | None = None,
    **look: Any,
) -> list[dict[str, Any]]:
    """Return `cells`, and their `numbers` where they can be read."""
    gaps = {} if gap is None else {"xgap": gap, "ygap": gap}
    traces = [cells(values, x=x, y=y, hover=hover, **gaps)]
    if values.size <= MOST_NUMBERS:
        traces.append(numbers(values, words, x=x, y=y, **look))
    return traces


def maps(
    tables: Mapping[str, xr.DataArray],
    down: str,
    rows: Sequence[str],
    words: Callable[[str, int, int, float], Any],
    *,
    x_title: str,
    hover: str,
    row: int,
    most_left: int = 1000,
    columns: int,
    coloraxis: dict[str, Any],
    theme: Theme,
    **look: Any,
) -> go.Figure:
    """Draw each table ``(down, sleep_pass)`` as a panel with the numbers in its cells.

    `words` gives a cell's ``customdata``, from its table, row, pass and value; colours go to 1.
    """
    passes = next(iter(tables.values()))[dims.SLEEP_PASS].values.tolist()
    where: dict[str, Any] = {"x": np.arange(len(passes)), "y": np.arange(len(rows))}
    traces: list[dict[str, Any]] = []
    for panel, (title, table) in enumerate(tables.items()):
        values = table.transpose(down, dims.SLEEP_PASS).values
        custom = [
            [words(title, r, n, value) for n, value in zip(passes, line, strict=True)]
            for r, line in enumerate(values.tolist())
        ]
        options: dict[str, Any] = {"hover": hover, "customdata": custom, "xgap": 1.5, "ygap": 1.5}
        traces.append(cells(values, **where, **options) | on(panel))
        traces.append(numbers(values, two_digits, **where, theme=theme, **look) | on(panel))
    x, y = columns_axis(x_title, passes), rows_axis(len(rows))
    left = min(18 + int(6.8 * max(map(len, rows))), most_left)
    height = row * len(rows) + 6
    result = layout(list(tables), x, y, theme, left=left, row=height, columns=columns)
    row_names(result, rows, len(tables))
    result["margin"]["r"] = 64
    return go.Figure(traces, result | {"coloraxis": coloraxis})


def reduced(values: np.ndarray) -> tuple[np.ndarray, int]:
    """Return ``[row, column]`` with columns put together by their mean, and how many at a time.

    As many as it takes to keep to the byte budget; 1 leaves the matrix as it is.
    """
    rows, columns = values.shape
    block = math.ceil(columns / max(1, MOST_CELLS // max(rows, 1)))
    if block <= 1:
        return values, 1
    grid = xr.DataArray(values, dims=(dims.TOKEN, dims.SOURCE_TOKEN))
    return grid.coarsen({dims.SOURCE_TOKEN: block}, boundary="pad").mean().values, block


def percent(share: float) -> str:
    """Return a signed share as whole per cent; what rounds to nothing is a plain 0."""
    rounded = round(100 * share)
    return f"{rounded}" if rounded >= 0 else f"−{-rounded}"


def two_digits(value: float) -> str:
    """Return a number with two digits after the point; what rounds to nothing is a plain 0."""
    text = f"{value:.2f}"
    return "0" if float(text) == 0 else text.replace("-", "−")
