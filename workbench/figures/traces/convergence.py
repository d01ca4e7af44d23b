"""What each pass changes, against a replay of the same writes; convergence; likeness (CKA)."""

from __future__ import annotations

import math
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
    positions,
    procedure_lines,
)
from workbench.figures.marks import axis, heading, hover
from workbench.figures.matrix import numbered
from workbench.figures.theme import SEQUENTIAL, Theme, coloraxis, frame, series

CHANGES: Final = (
    Panel("Relative change", "|ΔS| / |S|"),
    Panel("Turn of keys", "largest angle (degrees)"),
    Panel("Turn of values", "largest angle (degrees)"),
)
RIGHT_ANGLE: Final = 90.0
DEGREES: Final = 180 / math.pi
STEPS: Final = (
    ("contraction", Panel("Step / step before", "ratio of step norms")),
    ("two_step_ratio", Panel("Straight on, or back", "two steps / sum", {"range": [-0.04, 1.06]})),
)
LEVEL: Final = "steps as large as before, or straight on"
"""What the dotted line at 1 says."""


def change_against_replay(
    change: xr.Dataset,
    *,
    passes: tuple[int, ...],
    awake: tuple[bool, ...],
    boundary: tuple[int, int],
    theme: Theme = "light",
) -> go.Figure:
    """Draw relative change and rotation per pass, of the sleep and of its frozen replay.

    A window with a single pass has no replay to compare with, so its baseline is left out.

    - change: of one head: ``relative_change (procedure, window, sleep_pass)``, and ``key_angle,
      value_angle (..., mode)`` in radians, principal angles with the smallest first. The first
      procedure is the sleep; each further one is drawn as its baseline.
    - passes, awake, boundary: last pass of each window, which windows are read awake, and the
      cursor's window and pass.
    """
    where = positions(passes)
    names = [str(name) for name in change[dims.PROCEDURE].values]
    traces: list[dict[str, Any]] = []
    for column, values in enumerate(
        (
            change["relative_change"],
            change["key_angle"].isel({dims.MODE: -1}, drop=True) * DEGREES,
            change["value_angle"].isel({dims.MODE: -1}, drop=True) * DEGREES,
        )
    ):
        lines = values.transpose(dims.PROCEDURE, dims.WINDOW, dims.SLEEP_PASS).values.copy()
        # the first pass of a replay is that of the sleep, by construction
        lines[1:, [w for w, last in enumerate(passes) if last < 2]] = np.nan
        traces += procedure_lines(lines, where, names, column, theme)
    modes = change.sizes[dims.MODE]
    angles = {"range": [-3, RIGHT_ANGLE + 3], "tickvals": [0, 30, 60, 90]}
    words = f" (first {modes})" if modes > 1 else " (first)"  # short: the panels are narrow
    panels = [CHANGES[0], *(p._replace(title=p.title + words, y=angles) for p in CHANGES[1:])]
    layout = boundary_panels(panels, where, awake, theme)
    moving = boundary_cursor(len(panels), passes=passes, boundary=boundary, theme=theme)
    return go.Figure(traces, layout | moving)


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
    traces = numbered(
        values,
        "{:.2f}".format,
        x=rows,
        y=rows,
        hover=hover("passes %{y:.0f} and %{x:.0f}: CKA %{z:.2f}"),
        gap=2,
        theme=theme,
        size=11.5 if len(rows) <= 7 else 9,
        diverging=False,
    )
    both = axis("after pass", tickvals=rows[:: 1 if len(rows) <= 17 else 4].tolist())
    ends = [rows[0] - 0.6, rows[-1] + 0.6] if rows.size else [0.4, 1.6]
    words = f"Likeness over {examples} examples{f', {title}' if title else ''}"
    layout = frame(theme, 300, 50, 66, 28, 54) | {
        "coloraxis": coloraxis(SEQUENTIAL, 0, 1, theme, "debiased CKA", x=1.01, xpad=4),
        "xaxis": both | {"range": ends},
        "yaxis": both | {"range": ends[::-1]},
        "annotations": [heading(words)],
    }
    return go.Figure(traces, layout)
