"""Matrices with numbers in their cells, and matrices too large for that."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import plotly.graph_objects as go

from workbench.figures.panels import layout, on, row_names
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
    values: np.ndarray, *, x: np.ndarray, y: np.ndarray, hover: str, **more: Any
) -> dict[str, Any]:
    """Return a heatmap of ``[row, column]`` on the shared colour axis; NaN leaves a cell empty."""
    return {
        "type": "heatmap",
        "z": np.ascontiguousarray(values, dtype=np.float32),
        "x": np.asarray(x, dtype=np.float32),
        "y": np.asarray(y, dtype=np.float32),
        "coloraxis": "coloraxis",
        "hoverongaps": False,
        "hovertemplate": hover,
        **more,
    }


def numbers(
    values: np.ndarray,
    texts: Sequence[Sequence[str]],
    *,
    x: np.ndarray,
    y: np.ndarray,
    limit: float,
    theme: Theme,
    size: float = 12,
    diverging: bool = True,
) -> dict[str, Any]:
    """Return the numbers of ``[row, column]`` as text, readable on the colour of their cells.

    `values` colour the cells; one that is NaN gets no text. `limit` ends the colour scale, whose
    middle is the page's own ground if it is `diverging`; else it begins dark.
    """
    ink = INKS[theme]
    there = np.argwhere(~np.isnan(values)).tolist()
    light, dark = INKS["light"].paper, INKS["light"].text
    on_ground, on_strong = (ink.text, ink.paper) if diverging else (light, dark)
    return {
        "type": "scatter",
        "mode": "text",
        "x": np.array([x[c] for _, c in there], dtype=np.float32),
        "y": np.array([y[r] for r, _ in there], dtype=np.float32),
        "text": [texts[r][c] for r, c in there],
        "textfont": {
            "size": size,
            "color": [
                on_strong if abs(values[r, c]) > STRONG * limit else on_ground for r, c in there
            ],
        },
        "hoverinfo": "skip",
        "showlegend": False,
        "cliponaxis": False,
    }


def maps(
    tables: Mapping[str, np.ndarray],
    told: Sequence[Sequence[Sequence[Any]]],
    rows: Sequence[str],
    passes: Sequence[int],
    *,
    x_title: str,
    hover: str,
    size: float,
    row: int,
    left: int,
    columns: int,
    coloraxis: dict[str, Any],
    theme: Theme,
    diverging: bool = True,
) -> go.Figure:
    """Draw each table ``[row, sleep_pass]`` as a panel with the numbers in its cells.

    `told` is the ``customdata`` of each table's cells; colours go to 1.
    """
    across, down = np.arange(len(passes)), np.arange(len(rows))
    traces: list[dict[str, Any]] = []
    for panel, (values, custom) in enumerate(zip(tables.values(), told, strict=True)):
        options: dict[str, Any] = {"customdata": custom, "xgap": 1.5, "ygap": 1.5}
        traces.append(cells(values, x=across, y=down, hover=hover, **options) | on(panel))
        texts = [[two_digits(value) for value in line] for line in values]
        options = {"limit": 1.0, "theme": theme, "size": size, "diverging": diverging}
        traces.append(numbers(values, texts, x=across, y=down, **options) | on(panel))
    x = {
        "title": {"text": x_title},
        "tickvals": across.tolist(),
        "ticktext": [str(p) for p in passes],
        "range": [-0.5, len(passes) - 0.5],
        "showgrid": False,
    }
    y = {"range": [len(rows) - 0.5, -0.5], "showgrid": False, "title": {"text": ""}}
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
    padded = np.full((rows, -(-columns // block) * block), np.nan)
    padded[:, :columns] = values
    grouped = padded.reshape(rows, -1, block)
    real = ~np.isnan(grouped)
    total = np.where(real, grouped, 0).sum(-1)
    return np.where(real.any(-1), total / np.maximum(real.sum(-1), 1), np.nan), block


def percent(share: float) -> str:
    """Return a signed share as whole per cent; what rounds to nothing is a plain 0."""
    rounded = round(100 * share)
    return f"{rounded}" if rounded >= 0 else f"−{-rounded}"


def two_digits(value: float) -> str:
    """Return a number with two digits after the point; what rounds to nothing is a plain 0."""
    text = f"{value:.2f}"
    return "0" if float(text) == 0 else text.replace("-", "−")
