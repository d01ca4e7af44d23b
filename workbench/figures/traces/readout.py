"""What the memory returns for the keys that wrote into it: how well, and whose values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from workbench import dims
from workbench.figures.boundaries import (
    Panel,
    boundary_cursor,
    boundary_panels,
    head_lines,
    level_line,
    level_lines,
    positions,
)
from workbench.figures.marks import SHARE, axis, heading, hover
from workbench.figures.matrix import cells, reduced
from workbench.figures.theme import Theme, diverging, frame

LABELS: Final = 32
"""Most tokens whose symbols are written on an axis; of more, every so many."""


def retrieval(
    found: xr.Dataset,
    *,
    passes: tuple[int, ...],
    awake: tuple[bool, ...],
    boundary: tuple[int, int],
    selected: int = 0,
    theme: Theme = "light",
) -> go.Figure:
    """Draw over the walk how many tokens get their own value back, and how like it is.

    - found:
      Of one layer: ``accuracy (window, sleep_pass, gdn_head)``, ``cosine (window, sleep_pass,
      gdn_head, source_token)``, ``chance (gdn_head)``. Attributes ``source_window`` and
      ``source_pass`` say whose keys were asked with.
    - passes, awake, boundary: last pass of each window, which windows are read awake, and the
      cursor's window and pass.
    - selected: the head drawn in front.
    """
    where, heads = positions(passes), found[dims.GDN_HEAD].values.tolist()
    real = found["cosine"].notnull().any(dims.SOURCE_TOKEN)
    panels = (found["accuracy"], found["cosine"].mean(dims.SOURCE_TOKEN).where(real))
    traces: list[dict[str, Any]] = []
    for column, values in enumerate(panels):
        lines = values.transpose(dims.GDN_HEAD, dims.WINDOW, dims.SLEEP_PASS).values
        traces += head_lines(lines, where, heads, selected, column, theme)
    traces += level_lines(found["chance"].values, where, "chance", 0, theme, legendrank=2000)
    # unrelated directions have cosine 0: the baseline of the second panel
    words = {"hovertemplate": hover("unrelated directions: 0"), "showlegend": False}
    traces.append(level_line(0.0, where, "chance", 1, theme, **words))
    titled = [
        Panel("Tokens whose own value is nearest", "share of tokens", {"range": SHARE}),
        Panel("Likeness of what comes back", "cosine (mean)", {"range": [-1.06, 1.06]}),
    ]
    layout = boundary_panels(titled, where, awake, theme, gap=0.13)
    moving = boundary_cursor(2, passes=passes, boundary=boundary, theme=theme)
    return go.Figure(traces, layout | moving)


def crosstalk_matrix(
    weight: xr.DataArray, symbols: Sequence[str], *, title: str = "", theme: Theme = "light"
) -> go.Figure:
    """Draw how much of each token's value comes back for each token's key.

    `weight` is ``(token, source_token)`` of one head, the identity for a perfect memory;
    `symbols` are the texts of the window's tokens; `title` says whose keys are asked, and when.
    """
    values = weight.transpose(dims.TOKEN, dims.SOURCE_TOKEN).values.astype(float)
    count = len(values)
    shown, block = reduced(values)
    most = max(1.0, float(np.nanmax(np.abs(values), initial=0.0)))
    trace = cells(
        shown,
        x=np.arange(shown.shape[1]) * block + (block - 1) / 2,
        y=np.arange(count),
        hover=hover("key of token %{y:.0f}, value of token %{x:.0f}: %{z:.2f}"),
    )
    ticks = list(range(0, count, max(1, -(-count // LABELS))))
    both: dict[str, Any] = {
        "tickvals": ticks,
        "ticktext": [symbols[i] for i in ticks],
        "tickangle": 0,
    }
    note = f" (means of {block} values)" if block > 1 else ""
    layout = frame(theme, 300, 62, 66, 28, 54) | {
        "coloraxis": diverging(most, theme, "part of the value", x=1.01, xpad=4),
        "xaxis": axis("comes back: value of token", **both),
        "yaxis": axis("asked: key of token", range=[count - 0.45, -0.55], **both),
        "annotations": [heading(f"What comes back{f', {title}' if title else ''}{note}")],
    }
    return go.Figure([trace], layout)
