"""How long a sleep and an answer take, against N."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from workbench import dims
from workbench.figures.panels import bars, layout, line, n_axis, titles_of, told
from workbench.figures.theme import Theme

PANELS: Final = (
    ("sleep_ms_per_window", "Sleep, per window", "ms per window"),
    ("wake_ms_per_token", "Answer, per token", "ms per token"),
)
"""Variable, title and unit of each panel."""


def latency_against_n(latency: xr.Dataset, *, theme: Theme = "light") -> go.Figure:
    """Draw medians with the middle half of the measurements, on axes from zero.

    - latency: ``sleep_ms_per_window`` and ``wake_ms_per_token``, milliseconds ``[arm, n_test,
      repeat]``; NaN where not measured (nothing was slept on). ``title (arm)`` if arms have one.
    """
    names = titles_of(latency, dims.ARM, "")
    traces: list[dict[str, Any]] = []
    for panel, (variable, _, unit) in enumerate(PANELS):
        values = latency[variable].transpose(dims.ARM, dims.N_TEST, dims.REPEAT).values
        for number, name in enumerate(names):
            points = [
                (n, *np.quantile(measured[~np.isnan(measured)], [0.25, 0.5, 0.75]))
                for n, measured in zip(latency[dims.N_TEST].values, values[number], strict=True)
                if not np.isnan(measured).all()
            ]
            x, low, median, high = np.array(points).reshape(-1, 4).T
            words = [
                f"{name}, N = {n:g}: median {m:.3g} {unit} (half: {a:.3g} to {b:.3g})"
                for n, m, a, b in zip(x, median, low, high, strict=True)
            ]
            more = {"error_y": bars(median, low, high), **told(words)}
            traces.append(line(x, median, name, number, panel, theme, **more))
    x_axis = n_axis(latency[dims.N_TEST].values, "N (sleep passes)")
    y = [{"title": {"text": unit}, "rangemode": "tozero", "nticks": 6} for _, _, unit in PANELS]
    titles = [title for _, title, _ in PANELS]
    return go.Figure(traces, layout(titles, x_axis, y, theme, entries=len(names)))
