"""Accuracy against N and what training cost, with intervals over seeds and chance lines."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from workbench import dims
from workbench.figures.panels import (
    SHARE,
    bars,
    chance_lines,
    interval_words,
    layout,
    lines_in,
    look,
    n_axis,
    of_level,
    on,
    points_of,
    titles_of,
)
from workbench.figures.theme import Theme

ACCURACY = "accuracy (share of answers right)"


def accuracy_against_n(
    summary: xr.Dataset,
    *,
    difficulty_name: str,
    chance: xr.DataArray | None = None,
    panels: str = dims.ARM,
    theme: Theme = "light",
) -> go.Figure:
    """Draw accuracy against N, with intervals over seeds; what is not known yet is left out.

    Parameters
    ----------
    summary : Dataset
        ``mean``, ``low``, ``high`` (a share; NaN where there is no interval) and ``count`` of seeds
        over (arm, passes, difficulty), with ``title (arm)`` if arms have one; or without arm.
    difficulty_name : str
        "hops" or "rollout".
    chance : DataArray or None
        ``[chance_line, difficulty]``, a share.
    panels : {"arm", "difficulty"}
        What has a panel each; the other one is drawn as series.
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
            traces.append(_line(x, line, name, hover, number, panel, theme))
    y = {"range": SHARE, "title": {"text": ACCURACY}, "nticks": 6}
    titles = titles_of(summary, panels, difficulty_name)
    entries = len(names) + lines_in(chance)
    return go.Figure(traces, layout(titles, axis, y, theme, entries=entries))


def accuracy_against_flops(
    summary: xr.Dataset,
    flops: xr.DataArray,
    *,
    difficulty_name: str,
    chance: xr.DataArray | None = None,
    theme: Theme = "light",
) -> go.Figure:
    """Draw accuracy against what training cost: a panel each difficulty, arms as series.

    Parameters
    ----------
    summary : Dataset
        ``mean``, ``low``, ``high`` (a share), ``count`` over (condition, difficulty), with
        coordinates ``family`` and ``title`` (condition): conditions of a family are joined.
    flops : DataArray
        ``[condition]``, FLOPs of training; NaN where not known.
    difficulty_name, chance
        As in `accuracy_against_n`.
    """
    families = list(dict.fromkeys(summary["family"].values.tolist()))
    spent = flops.values
    known = spent[~np.isnan(spent)]
    ends = (0.0, 1.06 * float(known.max()) if known.size else 1.0)
    traces: list[dict[str, Any]] = []
    for panel, level in enumerate(summary[dims.DIFFICULTY].values):
        traces += chance_lines(of_level(chance, level), ends, panel, theme)
        for number, family in enumerate(families):
            where = np.flatnonzero((summary["family"].values == family) & ~np.isnan(spent))
            where = where[np.argsort(spent[where], kind="stable")]
            line = summary.isel({dims.DIFFICULTY: panel, dims.CONDITION: where})
            hover = [
                f"{words}, {cost:.2e} FLOPs"
                for words, cost in zip(line[dims.CONDITION].values, spent[where], strict=True)
            ]
            name = str(line["title"].values[0]) if where.size else family
            traces.append(_line(spent[where], line, name, hover, number, panel, theme))
    x = {
        "title": {"text": "training (FLOPs)"},
        "range": list(ends),
        "exponentformat": "power",
        "nticks": 5,
    }
    y = {"range": SHARE, "title": {"text": ACCURACY}, "nticks": 6}
    titles = titles_of(summary, dims.DIFFICULTY, difficulty_name)
    entries = len(families) + lines_in(chance)
    return go.Figure(traces, layout(titles, x, y, theme, entries=entries))


def accuracy_against_budget(
    summary: xr.Dataset,
    *,
    difficulty_name: str,
    unit: str,
    chance: xr.DataArray | None = None,
    theme: Theme = "light",
) -> go.Figure:
    """Draw what is learnt within so much training: a panel each difficulty, conditions as series.

    Parameters
    ----------
    summary : Dataset
        ``mean``, ``low``, ``high`` (a share), ``count`` over (condition, budget, difficulty) and
        ``spent (condition, budget)``, what was really spent, mean over seeds.
    unit : str
        Of the budget, for the axis and the words: "s" or "FLOPs".
    difficulty_name, chance
        As in `accuracy_against_n`.
    """
    names = [str(name) for name in summary[dims.CONDITION].values]
    budgets = summary[dims.BUDGET].values.astype(np.float64)
    ends = (0.0, 1.06 * float(budgets.max()) if budgets.size else 1.0)
    traces: list[dict[str, Any]] = []
    for panel, level in enumerate(summary[dims.DIFFICULTY].values):
        traces += chance_lines(of_level(chance, level), ends, panel, theme)
        for number, name in enumerate(names):
            line = summary.isel({dims.DIFFICULTY: panel, dims.CONDITION: number})
            hover = [
                f"{name}, within {budget:.3g} {unit} ({spent:.3g} spent)"
                for budget, spent in zip(budgets, line["spent"].values, strict=True)
            ]
            traces.append(_line(budgets, line, name, hover, number, panel, theme))
    x = {
        "title": {"text": f"training ({unit})"},
        "range": list(ends),
        "exponentformat": "power",
        "nticks": 5,
    }
    y = {"range": SHARE, "title": {"text": ACCURACY}, "nticks": 6}
    titles = titles_of(summary, dims.DIFFICULTY, difficulty_name)
    entries = len(names) + lines_in(chance)
    return go.Figure(traces, layout(titles, x, y, theme, entries=entries))


def _line(
    x: np.ndarray,
    line: xr.Dataset,
    name: str,
    hover: list[str],
    number: int,
    panel: int,
    theme: Theme,
) -> dict[str, Any]:
    """Return one series: points that are known, joined, with error bars and words for each."""
    mean, low, high, count = points_of(line)
    there = np.flatnonzero(~np.isnan(mean))
    mean, low, high, count = (values[there] for values in (mean, low, high, count))
    told = zip(mean, low, high, count.astype(int).tolist(), strict=True)
    words = [
        f"{hover[i]}: {interval_words(*point)}"
        for i, point in zip(there.tolist(), told, strict=True)
    ]
    errors = bars(mean, low, high)
    return (
        {
            "type": "scatter",
            "mode": "lines+markers",
            "x": x[there].astype(np.float32),
            "y": mean.astype(np.float32),
            "name": name,
            "legendgroup": name,
            "legendrank": number,
            "showlegend": panel == 0,
            "hovertext": words,
            "hovertemplate": "%{hovertext}<extra></extra>",
        }
        | look(theme, number)
        | ({"error_y": errors} if errors else {})
        | on(panel)
    )
