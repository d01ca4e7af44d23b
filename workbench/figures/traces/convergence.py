"""Does a sleep converge: contraction, cycles and the distance to a fixed point; likeness (CKA)."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from workbench import dims
from workbench.figures.boundaries import (
    Panel,
    boundary_cursor,
    boundary_line,
    boundary_panels,
    level_line,
    procedure_lines,
)
from workbench.figures.matrix import MOST_NUMBERS, cells, numbers
from workbench.figures.theme import SEQUENTIAL, Theme, coloraxis, frame, heading, series
from workbench.figures.timeline import positions

STEPS: Final = (
    ("contraction", Panel("Step / step before", "ratio of step norms")),
    ("two_step_ratio", Panel("Straight on, or back", "two steps / sum", {"range": [-0.04, 1.06]})),
)
LEVEL: Final = "steps as large as before, or straight on"
"""What the dotted line at 1 says."""


def convergence_over_passes(
    found: xr.Dataset,
    *,
    passes: tuple[int, ...],
    awake: tuple[bool, ...],
    boundary: tuple[int, int],
    theme: Theme = "light",
) -> go.Figure:
    """Draw contraction, two-step ratio and distance to the fixed point of one head.

    - found: ``contraction, two_step_ratio (procedure, window, sleep_pass)``, and where a longer run
      was made ``distance (window, sleep_pass)``. The first procedure is the sleep.
    - passes, awake, boundary: last pass of each window, which windows are read awake, and the
      cursor's window and pass.
    """
    where = positions(passes)
    names = [str(name) for name in found[dims.PROCEDURE].values]
    traces: list[dict[str, Any]] = []
    for column, (variable, _) in enumerate(STEPS):
        lines = found[variable].transpose(dims.PROCEDURE, dims.WINDOW, dims.SLEEP_PASS).values
        traces += procedure_lines(lines, where, names, column, theme)
        traces.append(level_line(1.0, where, LEVEL, column, theme, showlegend=not column))
    panels = [panel for _, panel in STEPS]
    if "distance" in found:
        distance = found["distance"].transpose(dims.WINDOW, dims.SLEEP_PASS).values
        name = "distance to where a longer sleep ends"
        traces.append(boundary_line(distance, where, name, series(theme, 1), 2))
        panels.append(Panel("To the fixed point", "|S − S*| / |S*|"))
    layout = boundary_panels(panels, where, awake, theme)
    moving = boundary_cursor(len(panels), passes=passes, boundary=boundary, theme=theme)
    return go.Figure(traces, layout | moving)


def convergence_place(
    found: xr.Dataset, *, passes: tuple[int, ...], boundary: tuple[int, int], theme: Theme = "light"
) -> dict[str, Any]:
    """Return the part of the layout of `convergence_over_passes` that changes with the cursor."""
    panels = len(STEPS) + ("distance" in found)
    return boundary_cursor(panels, passes=passes, boundary=boundary, theme=theme)


def cka_matrix(
    cka: xr.DataArray, *, examples: int, title: str = "", theme: Theme = "light"
) -> go.Figure:
    """Draw how alike two passes arrange the examples, by debiased linear CKA.

    `cka` is ``(sleep_pass, other_pass)`` of one head over so many examples, NaN where nothing
    varies; `title` says whose S it is.
    """
    square = cka.transpose(dims.SLEEP_PASS, dims.OTHER_PASS).values.astype(float)
    varies = ~np.isnan(square).all(axis=1)  # before the first pass S is 0 in every example
    values = square[np.ix_(varies, varies)]
    rows = cka[dims.SLEEP_PASS].values[varies].astype(float)
    traces = [
        cells(
            values, x=rows, y=rows, xgap=2, ygap=2,
            hover="passes %{y:.0f} and %{x:.0f}: CKA %{z:.2f}<extra></extra>",
        )
    ]  # fmt: skip
    if values.size <= MOST_NUMBERS:
        texts = [[f"{v:.2f}" for v in row] for row in values]
        size = 11.5 if len(rows) <= 7 else 9
        traces.append(
            numbers(
                values, texts, x=rows, y=rows, limit=1.0, theme=theme, size=size, diverging=False
            )
        )
    ticks = rows[:: 1 if len(rows) <= 17 else 4].tolist()
    axis = {"tickvals": ticks, "showgrid": False, "fixedrange": True}
    ends = [rows[0] - 0.6, rows[-1] + 0.6] if rows.size else [0.4, 1.6]
    words = f"Likeness over {examples} examples{f', {title}' if title else ''}"
    layout = frame(theme, 300, 50, 66, 28, 54) | {
        "coloraxis": coloraxis(SEQUENTIAL, 0, 1, theme, "debiased CKA", x=1.01, xpad=4),
        "xaxis": axis | {"title": {"text": "after pass"}, "range": ends},
        "yaxis": axis | {"title": {"text": "after pass"}, "range": ends[::-1]},
        "annotations": [heading(words)],
    }
    return go.Figure(traces, layout)
