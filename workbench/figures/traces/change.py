"""What each pass changes in one head, beside what the same writes made again would change."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from workbench import dims
from workbench.figures.boundaries import Panel, boundary_cursor, boundary_line, boundary_panels
from workbench.figures.theme import INKS, Theme, series
from workbench.figures.timeline import positions

PANELS: Final = (
    Panel("Relative change", "|ΔS| / |S|"),
    Panel("Turn of keys", "largest angle (degrees)"),
    Panel("Turn of values", "largest angle (degrees)"),
)
RIGHT_ANGLE: Final = 90.0
DEGREES: Final = 180 / math.pi


def change_against_replay(
    change: xr.Dataset,
    *,
    passes: tuple[int, ...],
    awake: tuple[bool, ...],
    boundary: tuple[int, int],
    theme: Theme = "light",
) -> go.Figure:
    """Draw relative change and rotation per pass, of the sleep and of its frozen replay.

    Parameters
    ----------
    change : Dataset
        Of one head: ``relative_change (procedure, window, sleep_pass)``, and ``key_angle,
        value_angle (..., mode)`` in radians, principal angles with the smallest first. The first
        procedure is the sleep; each further one is drawn as its baseline.
    passes, awake : tuple
        Last pass of each window, and which windows are read awake.
    boundary : (int, int)
        Window and pass of the cursor.

    Returns
    -------
    Figure
        A window's only pass has no replay to be compared with: there the baseline is left out.
    """
    where = positions(passes)
    names = [str(name) for name in change[dims.PROCEDURE].values]
    traces: list[dict[str, Any]] = []
    shown: dict[int, xr.DataArray] = {
        0: change["relative_change"],
        1: change["key_angle"].isel({dims.MODE: -1}, drop=True) * DEGREES,
        2: change["value_angle"].isel({dims.MODE: -1}, drop=True) * DEGREES,
    }
    for column, values in shown.items():
        lines = values.transpose(dims.PROCEDURE, dims.WINDOW, dims.SLEEP_PASS).values
        for number, name in enumerate(names):
            line = lines[number].copy()
            colour, symbol = series(theme, 0)
            if number:  # the first pass of a replay is that of the sleep, by construction
                line[[w for w, last in enumerate(passes) if last < 2]] = np.nan
                colour, symbol = INKS[theme].text, "diamond"
            dash = ("solid", "dash", "dot")[min(number, 2)]
            drawn = boundary_line(
                line, where, name, (colour, symbol), column, strong=not number, dash=dash
            )
            traces.append(drawn | {"showlegend": column == 0, "opacity": 1})
    modes = change.sizes[dims.MODE]
    angles = {"range": [-3, RIGHT_ANGLE + 3], "tickvals": [0, 30, 60, 90]}
    words = f" (first {modes})" if modes > 1 else " (first)"  # short: the panels are narrow
    panels = [PANELS[0], *(p._replace(title=p.title + words, y=angles) for p in PANELS[1:])]
    layout = boundary_panels(panels, where, awake, theme)
    return go.Figure(traces, layout | change_place(passes=passes, boundary=boundary, theme=theme))


def change_place(
    *, passes: tuple[int, ...], boundary: tuple[int, int], theme: Theme = "light"
) -> dict[str, Any]:
    """Return the part of the layout of `change_against_replay` that changes with the cursor."""
    return boundary_cursor(len(PANELS), passes=passes, boundary=boundary, theme=theme)
