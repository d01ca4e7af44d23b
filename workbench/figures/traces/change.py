"""What each pass changes in one head, beside what the same writes made again would change."""

from __future__ import annotations

import math
from functools import partial
from typing import Any, Final

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from workbench import dims
from workbench.figures.boundaries import Panel, boundary_cursor, boundary_panels, procedure_lines
from workbench.figures.theme import Theme
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

    A window's only pass has no replay to be compared with: there the baseline is left out.

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
    panels = [PANELS[0], *(p._replace(title=p.title + words, y=angles) for p in PANELS[1:])]
    layout = boundary_panels(panels, where, awake, theme)
    return go.Figure(traces, layout | change_place(passes=passes, boundary=boundary, theme=theme))


change_place = partial(boundary_cursor, len(PANELS))
"""The part of the layout of `change_against_replay` that changes with the cursor."""
