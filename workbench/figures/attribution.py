"""What one answer is owed to: bars of a few parts, and passes against heads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from workbench import dims
from workbench.figures.marks import axis, coordinates, hover, rows_axis
from workbench.figures.matrix import numbered, two_digits
from workbench.figures.panels import row_names
from workbench.figures.theme import DIVERGING, INKS, Theme, diverging, frame

ROW: Final = 30
"""Height of a row, pixels."""


def attribution_bars(
    values: np.ndarray, names: Sequence[str], *, theme: Theme = "light"
) -> go.Figure:
    """Draw one bar a part, with its number, nats."""
    ink, (less, *_), more = INKS[theme], DIVERGING[theme][1:], DIVERGING[theme][-3]
    high = max(float(np.nanmax(values, initial=0.0)), 0.0)
    low = min(float(np.nanmin(values, initial=0.0)), 0.0)
    room = 0.14 * ((high - low) or 1.0)  # for the numbers
    trace = {
        "type": "bar",
        "orientation": "h",
        "x": coordinates(values),
        "y": coordinates(range(len(values))),
        "marker": {"color": [more if v > 0 else less for v in values]},
        "text": [two_digits(float(v)) for v in values],
        "textposition": "outside",
        "textfont": {"color": ink.text, "size": 12},
        "cliponaxis": False,
        "hovertext": [f"{n}: {v:.3f} nat" for n, v in zip(names, values, strict=True)],
        "hoverinfo": "text",
        "showlegend": False,
    }
    left = min(30 + 7 * max((len(name) for name in names), default=0), 190)
    layout = frame(theme, 62 + ROW * len(values), left, 20, 8, 46) | {
        "xaxis": axis(
            "attribution (nat)",
            grid=True,
            range=[low - room, high + room],
            zeroline=True,
            zerolinecolor=ink.muted,
            domain=[0, 1],
        ),
        "yaxis": axis(range=[len(values) - 0.4, -0.6]),
        "bargap": 0.35,
    }
    row_names(layout, names, 1)
    return go.Figure([trace], layout)


def attribution_matrix(values: xr.DataArray, *, theme: Theme = "light") -> go.Figure:
    """Draw attributions ``(sleep_pass, layer, gdn_head)``, nats: heads (rows) against passes."""
    table = values.transpose(dims.LAYER, dims.GDN_HEAD, dims.SLEEP_PASS).values
    table = table.reshape(-1, values.sizes[dims.SLEEP_PASS])  # a row a head
    layers = values[dims.LAYER].values.tolist()
    heads = range(values.sizes[dims.GDN_HEAD])
    several = len(layers) > 1
    names = [f"layer {i} head {h}" if several else f"head {h}" for i in layers for h in heads]
    passes = values[dims.SLEEP_PASS].values
    limit = float(np.nanmax(np.abs(table), initial=0.0)) or 1.0
    traces = numbered(
        table,
        two_digits,
        x=passes,
        y=np.arange(len(names)),
        hover=hover("pass %{x}, row %{y}: %{z:.3f} nat"),
        limit=limit,
        theme=theme,
    )
    height = 62 + max(ROW * len(names), 90)
    layout = frame(theme, height, 100 if several else 64, 84, 8, 44) | {
        "coloraxis": diverging(limit, theme, "attribution (nat)", x=1.01, xpad=4),
        "xaxis": axis(
            "pass that changed S",
            tickvals=passes.tolist(),
            domain=[0, 1],
            range=[float(passes[0]) - 0.5, float(passes[-1]) + 0.5],
        ),
        "yaxis": rows_axis(len(names)),
    }
    row_names(layout, names, 1)
    return go.Figure(traces, layout)
