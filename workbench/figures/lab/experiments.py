"""Accuracy against N and what training cost, with intervals over seeds and chance lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from workbench import dims
from workbench.figures.panels import (
    SHARE,
    chance_lines,
    layout,
    lines_in,
    n_axis,
    of_level,
    points,
    titles_of,
)
from workbench.figures.theme import Theme

ACCURACY = "accuracy (share of answers right)"
Y_AXIS = {"range": SHARE, "title": {"text": ACCURACY}, "nticks": 6}


def accuracy_against_n(
    summary: xr.Dataset,
    *,
    difficulty_name: str,
    chance: xr.DataArray | None = None,
    panels: str = dims.ARM,
    theme: Theme = "light",
) -> go.Figure:
    """Draw accuracy against N, with intervals over seeds; what is not known yet is left out.

    - summary: ``mean``, ``low``, ``high`` (a share; NaN where there is no interval) and ``count``
      of seeds over (arm, passes, difficulty), with ``title (arm)`` if arms have one; or without
      arm.
    - difficulty_name: "hops" or "rollout".
    - chance: ``[chance_line, difficulty]``, a share.
    - panels ({"arm", "difficulty"}): what has a panel each; the other one is drawn as series.
    """
    if dims.ARM not in summary.dims:
        # without a name there is nothing to say above the panel
        summary = summary.expand_dims({dims.ARM: [""]}).drop_vars("title", errors="ignore")
    other = {dims.ARM: dims.DIFFICULTY, dims.DIFFICULTY: dims.ARM}[panels]
    names = titles_of(summary, other, difficulty_name)
    axis = n_axis(summary[dims.PASSES].values, "N (sleep passes)")
    ends = (10 ** axis["range"][0], 10 ** axis["range"][1])
    traces: list[dict[str, Any]] = []
    for panel, of_panel in enumerate(summary[panels].values):
        shown = chance if panels == dims.ARM else of_level(chance, of_panel)
        traces += chance_lines(shown, ends, panel, theme)
        for number, name in enumerate(names):
            line = summary.isel({panels: panel, other: number})
            x = line[dims.PASSES].values
            hover = [f"N = {n:g}, {name}" for n in x.tolist()]
            traces.append(points(x, line, name, hover, number, panel, theme))
    titles = titles_of(summary, panels, difficulty_name)
    entries = len(names) + lines_in(chance)
    return go.Figure(traces, layout(titles, axis, Y_AXIS, theme, entries=entries))


def accuracy_against_flops(
    summary: xr.Dataset,
    flops: xr.DataArray,
    *,
    difficulty_name: str,
    chance: xr.DataArray | None = None,
    theme: Theme = "light",
) -> go.Figure:
    """Draw accuracy against what training cost: a panel each difficulty, arms as series.

    - summary: ``mean``, ``low``, ``high`` (a share), ``count`` over (condition, difficulty), with
      coordinates ``family`` and ``title`` (condition): conditions of a family are joined.
    - flops: ``[condition]``, FLOPs of training; NaN where not known.
    - difficulty_name, chance: as in `accuracy_against_n`.
    """
    families = list(dict.fromkeys(summary["family"].values.tolist()))
    spent = flops.values

    def series(panel: int) -> Iterator[tuple[str, np.ndarray, xr.Dataset, list[str]]]:
        for family in families:
            where = np.flatnonzero((summary["family"].values == family) & ~np.isnan(spent))
            where = where[np.argsort(spent[where], kind="stable")]
            line = summary.isel({dims.DIFFICULTY: panel, dims.CONDITION: where})
            hover = [
                f"{words}, {cost:.2e} FLOPs"
                for words, cost in zip(line[dims.CONDITION].values, spent[where], strict=True)
            ]
            name = str(line["title"].values[0]) if where.size else family
            yield name, spent[where], line, hover

    known = spent[~np.isnan(spent)]
    return _against_cost(summary, series, known, "FLOPs", difficulty_name, chance, theme)


def accuracy_against_budget(
    summary: xr.Dataset,
    *,
    difficulty_name: str,
    unit: str,
    chance: xr.DataArray | None = None,
    theme: Theme = "light",
) -> go.Figure:
    """Draw what is learnt within so much training: a panel each difficulty, conditions as series.

    - summary:
      ``mean``, ``low``, ``high`` (a share), ``count`` over (condition, budget, difficulty) and
      ``spent (condition, budget)``, what was really spent, mean over seeds.
    - unit: of the budget, for the axis and the words: "s" or "FLOPs".
    - difficulty_name, chance: as in `accuracy_against_n`.
    """
    budgets = summary[dims.BUDGET].values.astype(np.float64)

    def series(panel: int) -> Iterator[tuple[str, np.ndarray, xr.Dataset, list[str]]]:
        for number, name in enumerate(summary[dims.CONDITION].values):
            line = summary.isel({dims.DIFFICULTY: panel, dims.CONDITION: number})
            hover = [
                f"{name}, within {budget:.3g} {unit} ({spent:.3g} spent)"
                for budget, spent in zip(budgets, line["spent"].values, strict=True)
            ]
            yield str(name), budgets, line, hover

    return _against_cost(summary, series, budgets, unit, difficulty_name, chance, theme)


def _against_cost(
    summary: xr.Dataset,
    series: Callable[[int], Iterator[tuple[str, np.ndarray, xr.Dataset, list[str]]]],
    costs: np.ndarray,
    unit: str,
    difficulty_name: str,
    chance: xr.DataArray | None,
    theme: Theme,
) -> go.Figure:
    """Draw a panel for each difficulty; `series` gives its lines: name, place, values, words."""
    ends = (0.0, 1.06 * float(costs.max()) if costs.size else 1.0)
    traces: list[dict[str, Any]] = []
    lines = 0
    for panel, level in enumerate(summary[dims.DIFFICULTY].values):
        traces += chance_lines(of_level(chance, level), ends, panel, theme)
        for number, (name, x, line, hover) in enumerate(series(panel)):
            traces.append(points(x, line, name, hover, number, panel, theme))
            lines = number + 1
    x_axis = {
        "title": {"text": f"training ({unit})"},
        "range": list(ends),
        "exponentformat": "power",
        "nticks": 5,
    }
    titles = titles_of(summary, dims.DIFFICULTY, difficulty_name)
    entries = lines + lines_in(chance)
    return go.Figure(traces, layout(titles, x_axis, Y_AXIS, theme, entries=entries))
