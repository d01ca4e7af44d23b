"""What is left of what was written, and what took the rest: later windows, later passes."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from workbench import dims
from workbench.figures.marks import (
    axis,
    coordinates,
    heading,
    hover,
    legend_below,
    on,
    panel_axes,
    scatter,
    shape,
)
from workbench.figures.matrix import numbered, percent
from workbench.figures.theme import INKS, PALETTE, SEQUENTIAL, Theme, coloraxis, domains, frame

LOSSES: Final = (
    ("retention", "still there", 2),
    ("lost_to_decay", "lost to decay", 4),
    ("lost_to_removal", "lost to key removal", 1),
)
"""Variable, name and number in the palette, from the bottom of the stack."""


def retention_by_age(found: xr.Dataset, *, source_window: int, theme: Theme = "light") -> go.Figure:
    """Draw how much of each window's writes later windows leave, and what took the rest.

    - found: of one head: ``retention, lost_to_decay, lost_to_removal (source_window, age)``, parts
      of the norm at age 0; a loss is that in the window of that age. NaN past the last window.
    - source_window: position of the window whose losses are stacked at the right.
    """
    kept = found["retention"].transpose(dims.SOURCE_WINDOW, dims.AGE).values
    ages = np.arange(kept.shape[1])
    traces: list[dict[str, Any]] = []
    ink = INKS[theme]
    windows = [w for w, values in enumerate(kept) if not np.isnan(values).all()]
    others = [w for w in windows if w != source_window]
    for window in [*others, *({source_window} & set(windows))]:
        here, name = window == source_window, f"window {window + 1}"
        there = ~np.isnan(kept[window])
        colour = PALETTE[theme][0] if here else ink.muted
        traces.append(
            scatter(
                ages[there],
                kept[window][there],
                mode="lines+markers",
                name=name if here else "others",
                legendgroup="here" if here else "others",
                showlegend=here or window == others[0],
                legendrank=1 if here else 2,
                line={"color": colour, "width": 2.6 if here else 1.2},
                marker={"color": colour, "size": 7 if here else 4},
                hovertemplate=hover(f"written in {name}: %{{y:.1%}} left after %{{x}} more"),
            )
        )
    stacked = found.isel({dims.SOURCE_WINDOW: source_window})
    for variable, name, number in LOSSES:
        values = stacked[variable].values.astype(float)
        if variable != "retention":
            values = np.cumsum(values)
        traces.append(
            {
                "type": "bar",
                "x": coordinates(ages),
                "y": coordinates(np.nan_to_num(values)),
                "name": name,
                "legend": "legend2",
                "marker": {"color": PALETTE[theme][number]},
                "hovertemplate": hover("%{y:.1%} " + name),
                **on(1),
            }
        )
    titles = ("What later windows leave", f"Where window {source_window + 1} went")
    layout: dict[str, Any] = frame(theme, 300, 56, 8, 28, 84)
    layout |= {"annotations": [], "barmode": "stack", "bargap": 0.25}
    share = {"range": [-0.04, 1.08], "tickformat": ".0%"}
    x = axis("windows read since", range=[-0.6, ages[-1] + 0.6], dtick=1, tick0=0)
    units = ("norm, of that at its end", "of its norm")
    for column, (start, end) in enumerate(domains(2, 0.12)):
        y = axis(units[column], grid=True, **share)
        layout |= panel_axes(column, x | {"domain": (start, end)}, y)
        layout["annotations"].append(heading(titles[column], start))
    layout["legend"] = legend_below(-0.03, -51 / 188)
    layout["legend2"] = legend_below(1.0, -51 / 188, xanchor="right", traceorder="normal")
    return go.Figure(traces, layout)


def pass_retention_matrix(
    retention: xr.DataArray, *, sleep_pass: int = 0, title: str = "", theme: Theme = "light"
) -> go.Figure:
    """Draw how much of what each pass wrote is left after later passes of the same sleep.

    `retention` is ``(source_pass, sleep_pass)`` of one head and window, a share of the norm at
    the end of the pass that wrote it, NaN before that pass. `sleep_pass` stands out (0 for none);
    `title` says whose S it is.
    """
    values = retention.transpose(dims.SOURCE_PASS, dims.SLEEP_PASS).values.astype(float)
    real = ~np.isnan(values)
    last = int(np.flatnonzero(real.any(axis=0)).max(initial=-1)) + 1
    values = values[:last, :last]
    most = max(1.0, float(np.nanmax(values, initial=0.0)))
    passes = np.arange(1, last + 1).astype(float)
    traces = numbered(
        values,
        percent,
        x=passes,
        y=passes,
        hover=hover("written in pass %{y:.0f}, after pass %{x:.0f}: %{z:.1%} left"),
        gap=2,
        limit=most,
        theme=theme,
        size=12 if last <= 8 else 10,
        diverging=False,
    )
    across, down = (sleep_pass - 0.5, sleep_pass + 0.5), (0.5, last + 0.5)
    framed = shape("rect", across, down, INKS[theme].accent, 2)
    ticks = list(range(1, last + 1, 1 if last <= 16 else 4))
    bar = {"x": 1.01, "xpad": 4, "tickformat": ".0%"}
    words = f"Left in % after later passes{f', {title}' if title else ''}"
    layout = frame(theme, 300, 50, 84, 28, 84) | {
        "coloraxis": coloraxis(SEQUENTIAL, 0, most, theme, "left of its norm", **bar),
        "xaxis": axis("after pass", tickvals=ticks, range=[0.4, last + 0.6]),
        "yaxis": axis("written in pass", tickvals=ticks, range=[last + 0.6, 0.4]),
        "shapes": [framed] if 1 <= sleep_pass <= last else [],
        "annotations": [heading(words)],
    }
    return go.Figure(traces, layout)
