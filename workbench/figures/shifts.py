"""Logit differences of one example before and after its memory was changed, beside controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from workbench import dims
from workbench.figures.panels import layout, on, row_names
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
        traces += _lines(values, rows, panel, theme)
        for number in reversed(range(len(controls))):  # what was changed lies on top
            traces.append(_points(controls[number], values[number], rows, panel, queries, theme))
    finite = shifts.values[np.isfinite(shifts.values)]
    low, high = float(finite.min(initial=-1.0)), float(finite.max(initial=1.0))
    room = 0.06 * (high - low)
    x = {"range": [low - room, high + room], "nticks": 8}
    y = {"range": [len(queries) - 0.5, -0.5], "showgrid": True}
    left = min(40 + 7 * max((len(q) for q in queries), default=0), 170)
    result = layout(
        [titles[name] for name in names], x, y, theme,
        entries=len(controls), left=left, row=max(ROW * len(queries), 90), columns=2,
    )  # fmt: skip
    for panel, name in enumerate(names):
        result[axis_name("x", panel)]["title"] = {"text": units[name]}
    row_names(result, queries, len(panels))
    result["shapes"] = [
        {
            "type": "line", "x0": 0, "x1": 0, "y0": -0.5, "y1": len(queries) - 0.5,
            "xref": on(panel)["xaxis"], "yref": on(panel)["yaxis"], "layer": "below",
            "line": {"color": INKS[theme].muted, "width": 1, "dash": "dot"},
        }
        for panel in range(len(panels))
    ]  # fmt: skip
    return go.Figure(traces, result)


def _lines(values: np.ndarray, rows: np.ndarray, panel: int, theme: Theme) -> list[dict[str, Any]]:
    """Return a line from what was intact to what was changed, query by query."""
    along = np.full(3 * len(rows), np.nan, dtype=np.float32)
    across = np.repeat(rows, 3)
    along[0::3], along[1::3] = values[0], values[1]
    return [
        {
            "type": "scatter", "mode": "lines", "x": along, "y": across, "showlegend": False,
            "hoverinfo": "skip", "line": {"color": series(theme, 0)[0], "width": 3},
            "opacity": 0.55, **on(panel),
        }
    ]  # fmt: skip


def _points(
    name: str,
    values: np.ndarray,
    rows: np.ndarray,
    panel: int,
    queries: Sequence[str],
    theme: Theme,
) -> dict[str, Any]:
    symbol, size, colour = LOOKS[name]
    ink = series(theme, colour)[0]
    return {
        "type": "scatter",
        "mode": "markers",
        "x": values.astype(np.float32),
        "y": rows,
        "name": name,
        "legendgroup": name,
        "legendrank": 1000 + list(LOOKS).index(name),
        "showlegend": panel == 0,
        "marker": {
            "symbol": symbol,
            "size": size,
            "color": ink,
            "line": {"width": 2, "color": ink},
        },
        "text": list(queries),
        "hovertemplate": "%{text}: %{x:.2f} nat<extra>" + name + "</extra>",
        **on(panel),
    }
