"""Matrices with numbers in their cells, and matrices too large for that."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

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

    Parameters
    ----------
    values : ndarray
        What the cells are coloured by; one that is NaN gets no text.
    texts : sequence of sequence of str
        What is written.
    limit : float
        End of the colour scale.
    diverging : bool
        Whether the scale's middle is the page's own ground; else it begins dark.
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
