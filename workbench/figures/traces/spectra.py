"""Spectra of the memory: singular values of one head, and how many directions every head uses."""

from __future__ import annotations

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
    positions,
)
from workbench.figures.marks import axis, heading, hover, legend_below, scatter
from workbench.figures.theme import INKS, Theme, frame, tick_step

RANKS: Final = (("effective_rank", "Effective rank"), ("stable_rank", "Stable rank"))
FLOOR: Final = 1e-4
"""Singular values below this part of the largest are not drawn: they are rounding."""


def singular_values(
    spectrum: xr.DataArray,
    *,
    sleep_pass: int,
    gdn_head: int,
    awake: bool = False,
    theme: Theme = "light",
) -> go.Figure:
    """Draw the singular values of one head after each pass of one window.

    `spectrum` is ``(sleep_pass, mode)`` from pass 0, in units of S, NaN where there is no such
    pass; `sleep_pass` stands out; `awake` says that the window is read awake.
    """
    ink = INKS[theme]
    values = spectrum.transpose(dims.SLEEP_PASS, dims.MODE).values.astype(np.float64)
    largest = float(np.nanmax(values, initial=0.0)) or 1.0
    modes = np.arange(1, values.shape[1] + 1)
    passes = [p for p in range(len(values)) if not np.isnan(values[p]).any()]
    others = [p for p in passes if p not in (0, sleep_pass)]
    order = [*others, *({0, sleep_pass} & set(passes))]
    traces = []
    for number in sorted(order, key=lambda p: (p == sleep_pass, p == 0)):
        here = number == sleep_pass
        name = _pass_words(number, awake)
        colour = ink.accent if here else ink.text if number == 0 else ink.muted
        shown = np.where(values[number] > FLOOR * largest, values[number], np.nan)
        alone = here or number == 0
        traces.append(
            scatter(
                modes,
                shown,
                mode="lines+markers" if here else "lines",
                name=name if alone else "other passes",
                legendgroup=name if alone else "other",
                showlegend=alone or number == others[0],
                line={
                    "color": colour,
                    "width": 2.6 if here else 1.3,
                    "dash": "dash" if number == 0 else "solid",
                },
                marker={"size": 6, "color": colour},
                hovertemplate=hover("mode %{x}: %{y:.3g}", name),
            )
        )
    empty = not np.nan_to_num(values[sleep_pass]).any()
    title = f"Head {gdn_head}: S {_pass_words(sleep_pass, awake)}"
    layout = frame(theme, 300, 56, 8, 28, 84) | {
        "xaxis": axis(
            "mode (largest first)",
            range=[0.4, len(modes) + 0.6],
            dtick=tick_step(len(modes), 64),
            tick0=0,
        ),
        "yaxis": axis(
            "singular value (units of S)",
            grid=True,
            type="log",
            range=[np.log10(FLOOR * largest), np.log10(largest) + 0.15],
            dtick=1,
            exponentformat="power",
        ),
        "legend": legend_below(-0.05, -51 / 188),
        "annotations": [heading(title + (": zero, nothing to draw" if empty else ""))],
    }
    return go.Figure(traces, layout)


def ranks_along(
    spectra: xr.Dataset,
    *,
    passes: tuple[int, ...],
    awake: tuple[bool, ...],
    boundary: tuple[int, int],
    selected: int = 0,
    theme: Theme = "light",
) -> go.Figure:
    """Draw effective and stable rank of every head over the walk.

    - spectra: ``effective_rank, stable_rank (window, sleep_pass, gdn_head)`` of one layer, NaN
      where S = 0, and a dim ``mode``.
    - passes, awake, boundary: last pass of each window, which windows are read awake, and the
      cursor's window and pass.
    - selected: the head drawn in front.
    """
    where, heads = positions(passes), spectra[dims.GDN_HEAD].values.tolist()
    traces: list[dict[str, Any]] = []
    for column, (name, _) in enumerate(RANKS):
        values = spectra[name].transpose(dims.GDN_HEAD, dims.WINDOW, dims.SLEEP_PASS).values
        traces += head_lines(values, where, heads, selected, column, theme)
    unit = f"directions (of {spectra.sizes[dims.MODE]})"
    panels = [Panel(f"{title} of S by head", unit) for _, title in RANKS]
    layout = boundary_panels(panels, where, awake, theme, gap=0.1)
    moving = boundary_cursor(len(RANKS), passes=passes, boundary=boundary, theme=theme)
    return go.Figure(traces, layout | moving)


def _pass_words(number: int, awake: bool) -> str:
    if awake:
        return "after waking" if number else "before waking"
    return f"after pass {number}" if number else "as carried in"
