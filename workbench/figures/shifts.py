"""Logit differences of one example before and after its memory was changed, next to controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from workbench import dims
from workbench.figures.marks import hover, scatter, shape
from workbench.figures.panels import layout, row_names
from workbench.figures.theme import INKS, Theme, axis_name, series
from workbench.instruments.controls import CHANGED, DONOR, INTACT, PATCH, RANDOM, UNRELATED

ROW: Final = 30
"""Height of a query's row, pixels."""
LOOKS: Final = {
    INTACT: ("circle-open", 11, 0),
    PATCH: ("circle", 12, 0),
    CHANGED: ("circle", 12, 0),
    DONOR: ("diamond-open", 17, 2),
    UNRELATED: ("square", 7, 3),
    RANDOM: ("x", 7, 5),
}
"""Marker, its size, and the number of its colour, by what the memory was."""


def answer_shifts(
    shifts: xr.DataArray,
    *,
    queries: Sequence[str],
    titles: Mapping[str, str],
    units: Mapping[str, str],
    theme: Theme = "light",
) -> go.Figure:
    """Draw each query's logit difference with the memory intact, changed, and of the controls.

    - shifts: ``(direction, control, query)`` or ``(control, query)``, nats; NaN where not measured.
    - queries: names of the queries.
    - titles: a panel's title by direction; without that dim one, by "".
    - units: what a panel's axis says, likewise.

    Result: a panel a direction; a row a query, with a line from intact to changed.
    """
    panels = [shifts] if dims.DIRECTION not in shifts.dims else list(shifts)
    names = [""] if dims.DIRECTION not in shifts.dims else shifts[dims.DIRECTION].values.tolist()
    controls = shifts[dims.CONTROL].values.tolist()
    rows = np.arange(len(queries), dtype=np.float32)
    traces: list[dict[str, Any]] = []
    for panel, here in enumerate(panels):
        values = here.transpose(dims.CONTROL, dims.QUERY).values
        traces.append(_lines(values, rows, panel, theme))
        for number in reversed(range(len(controls))):  # what was changed lies on top
            traces.append(_points(controls[number], values[number], rows, panel, queries, theme))
    finite = shifts.values[np.isfinite(shifts.values)]
    low, high = float(finite.min(initial=-1.0)), float(finite.max(initial=1.0))
    room = 0.06 * (high - low)
    x = {"range": [low - room, high + room], "nticks": 8}
    y = {"range": [len(queries) - 0.5, -0.5], "showgrid": True}
    result = layout(
        [titles[name] for name in names],
        x,
        y,
        theme,
        entries=len(controls),
        left=min(40 + 7 * max((len(q) for q in queries), default=0), 170),
        row=max(ROW * len(queries), 90),
        columns=2,
    )
    for panel, name in enumerate(names):
        result[axis_name("x", panel)]["title"] = {"text": units[name]}
    row_names(result, queries, len(panels))
    zero = {"color": INKS[theme].muted, "width": 1, "dash": "dot"}
    down = (-0.5, len(queries) - 0.5)
    result["shapes"] = [
        shape("line", (0, 0), down, "", 1, panel, layer="below", line=zero)
        for panel in range(len(panels))
    ]
    return go.Figure(traces, result)


def _lines(values: np.ndarray, rows: np.ndarray, panel: int, theme: Theme) -> dict[str, Any]:
    """Return a line from what was intact to what was changed, query by query."""
    return scatter(
        np.stack([values[0], values[1], np.full(len(rows), np.nan)], axis=1).ravel(),
        np.repeat(rows, 3),
        panel,
        mode="lines",
        showlegend=False,
        hoverinfo="skip",
        line={"color": series(theme, 0)[0], "width": 3},
        opacity=0.55,
    )


def _points(
    name: str,
    values: np.ndarray,
    rows: np.ndarray,
    panel: int,
    queries: Sequence[str],
    theme: Theme,
) -> dict[str, Any]:
    symbol, size, number = LOOKS[name]
    ink = series(theme, number)[0]
    return scatter(
        values,
        rows,
        panel,
        mode="markers",
        name=name,
        legendgroup=name,
        legendrank=1000 + list(LOOKS).index(name),
        showlegend=panel == 0,
        marker={"symbol": symbol, "size": size, "color": ink, "line": {"width": 2, "color": ink}},
        text=list(queries),
        hovertemplate=hover("%{text}: %{x:.2f} nat", name),
    )
