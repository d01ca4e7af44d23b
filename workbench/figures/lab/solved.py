"""The largest difficulty that is solved, against N: means over seeds, and every seed."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from workbench import dims
from workbench.figures.marks import axis, point_words, scatter
from workbench.figures.panels import layout, n_axis, points, titles_of
from workbench.figures.theme import INKS, Theme, arm_looks
from workbench.tasks.phrases import level_words

APART: Final = 0.0045
"""Between series at the same N, as a share of a factor of ten, so that none hides another."""
HEIGHT: Final = 240
"""Of the panel, pixels."""
CROWDED: Final = 0.07
"""Ticks closer than this share of the axis are left out, the smaller one of the two."""


def largest_solved_against_n(
    table: xr.Dataset, *, difficulty_name: str, theme: Theme = "light"
) -> go.Figure:
    """Draw the largest difficulty solved against N: arms as series, every seed as a small ring.

    - table:
      ``mean``, ``low``, ``high`` and ``count`` of seeds over (arm, passes) and ``by_seed (arm,
      passes, seed)``, in the unit of difficulty, 0 where none is solved, NaN where not known;
      ``title (arm)``. Attribute ``hardest``: the largest difficulty that was asked.
    - difficulty_name: "hops" or "rollout".
    """
    hardest = float(table.attrs["hardest"])
    names = titles_of(table, dims.ARM, difficulty_name)
    x_axis = n_axis(table[dims.PASSES].values, "N (sleep passes, or matched to so many; log scale)")
    traces: list[dict[str, Any]] = [_ceiling(x_axis["range"], hardest, difficulty_name, theme)]
    middle = (len(names) - 1) / 2
    looks = arm_looks(table[dims.ARM].values.tolist(), theme)
    for number, name in enumerate(names):
        line = table.isel({dims.ARM: number})
        place = line[dims.PASSES].values * 10 ** (APART * (number - middle))
        hover = [f"N = {n:g}, {name}" for n in line[dims.PASSES].values.tolist()]
        more = {"legendrank": None, "showlegend": None, **looks[number]}
        traces.append(points(place, line, name, hover, number, 0, theme, **more))
        traces.append(_rings(place, line, name, looks[number]["line"]["color"]))
    y = axis(
        f"largest difficulty solved ({difficulty_name})",
        grid=True,
        range=[-0.06 * hardest, 1.08 * hardest],
        tickvals=_ticks(table.attrs["levels"]),
    )
    return go.Figure(traces, layout([""], x_axis, y, theme, entries=len(names) + 1, row=HEIGHT))


def _rings(place: np.ndarray, line: xr.Dataset, name: str, ink: str) -> dict[str, Any]:
    """Return each seed of an arm as a ring; seeds at one place share one line of hover text."""
    values = line["by_seed"].transpose(dims.PASSES, dims.SEED).values
    x, y, words = [], [], []
    for row, at, n in zip(values, place, line[dims.PASSES].values, strict=True):
        for level, many in zip(*np.unique(row[~np.isnan(row)], return_counts=True), strict=True):
            x.append(at)
            y.append(level)
            seeds = f"{many} seed{'' if many == 1 else 's'}"
            words.append(f"N = {n:g}, {name}: {level:g} in {seeds}")
    return scatter(
        x,
        y,
        mode="markers",
        name=f"{name}: seeds",
        legendgroup=name,
        showlegend=False,
        marker={"symbol": "circle-open", "size": 11, "color": ink, "opacity": 0.6},
        **point_words(words),
    )


def _ceiling(
    ends: list[float], hardest: float, difficulty_name: str, theme: Theme
) -> dict[str, Any]:
    """Return the line at the hardest difficulty that was asked: no model can pass it."""
    words = f"hardest that was asked: {level_words(f'{hardest:g}', difficulty_name)}"
    return scatter(
        [10**end for end in ends],
        [hardest, hardest],
        mode="lines",
        name=words,
        legendrank=2000,
        line={"color": INKS[theme].muted, "width": 1.4, "dash": "dot"},
        hoverinfo="text",
        hovertext=words,
    )


def _ticks(levels: list[int]) -> list[int]:
    """Return 0 and the difficulties whose labels do not overlap."""
    apart = CROWDED * max(levels)
    kept: list[int] = []
    for level in sorted(levels, reverse=True):
        if level >= apart and (not kept or kept[-1] - level >= apart):
            kept.append(level)
    return [0, *kept[::-1]]
