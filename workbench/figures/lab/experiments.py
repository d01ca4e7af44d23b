"""Accuracy against N and what training cost, with intervals over seeds; latency against N."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from workbench import dims
from workbench.figures.marks import axis, bars, point_words, score_axis
from workbench.figures.panels import (
    COLUMNS,
    chance_lines,
    layout,
    line,
    lines_in,
    n_axis,
    of_level,
    points,
    titles_of,
)
from workbench.figures.theme import Theme, arm_looks, level_looks

LATENCIES: Final = (
    ("sleep_ms_per_window", "Sleep, per window", "ms per window"),
    ("wake_ms_per_token", "Answer, per token", "ms per token"),
)
"""Variable, title and unit of each panel."""


def accuracy_against_n(
    summary: xr.Dataset,
    *,
    difficulty_name: str,
    chance: xr.DataArray | None = None,
    measure: str = "",
    theme: Theme = "light",
    columns: int = COLUMNS,
) -> go.Figure:
    """Draw accuracy against N, with intervals over seeds; what is not known yet is left out.

    - summary: ``mean``, ``low``, ``high`` (a share; NaN where there is no interval) and ``count``
      of seeds over (arm, passes, difficulty), with ``title (arm)`` if arms have one; of runs that
      may still train also ``at_step`` and ``finished (arm, passes)``.
    - difficulty_name: "hops" or "rollout".
    - chance: ``[chance_line, difficulty]``, a share.
    - measure: name of what is measured; "" for accuracy.
    - columns: most panels in a row.

    Result: a panel for each arm, with the difficulties as series.
    """
    names = titles_of(summary, dims.DIFFICULTY, difficulty_name)
    titles = titles_of(summary, dims.ARM, difficulty_name)
    x_axis = n_axis(summary[dims.PASSES].values, "N (sleep passes)")
    first, last = x_axis["range"]
    ends = (10**first, 10**last) if x_axis["type"] == "log" else (first, last)
    looks = level_looks(summary[dims.DIFFICULTY].values.tolist(), theme)
    traces: list[dict[str, Any]] = []
    for panel in range(len(titles)):
        traces += chance_lines(chance, ends, panel, theme)
        for number, name in enumerate(names):
            one = summary.isel({dims.ARM: panel, dims.DIFFICULTY: number})
            x = one[dims.PASSES].values
            hover = [f"N = {n:g}, {name}" for n in x.tolist()]
            if "finished" in one:
                moments = zip(one["finished"].values, one["at_step"].values, strict=True)
                when = ["finished" if done else f"at step {step:,.0f}" for done, step in moments]
                hover = [f"{words}, {at}" for words, at in zip(hover, when, strict=True)]
            traces.append(points(x, one, name, hover, number, panel, theme, **looks[number]))
    entries = len(names) + lines_in(chance)
    y_axis = score_axis(measure)
    size = {"entries": entries, "columns": columns}
    return go.Figure(traces, layout(titles, x_axis, y_axis, theme, **size))


def accuracy_against_flops(
    summary: xr.Dataset,
    flops: xr.DataArray,
    *,
    difficulty_name: str,
    chance: xr.DataArray | None = None,
    measure: str = "",
    theme: Theme = "light",
) -> go.Figure:
    """Draw accuracy against what training cost: a panel each difficulty, arms as series.

    - summary: ``mean``, ``low``, ``high`` (a share), ``count`` over (condition, difficulty), with
      coordinates ``family`` and ``title`` (condition): conditions of a family are joined.
    - flops: ``[condition]``, FLOPs of training; NaN where not known.
    - difficulty_name, chance, measure: as in `accuracy_against_n`.
    """
    families = list(dict.fromkeys(summary["family"].values.tolist()))
    spent = flops.values

    def series(panel: int) -> Iterator[tuple[str, np.ndarray, xr.Dataset, list[str]]]:
        for family in families:
            where = np.flatnonzero((summary["family"].values == family) & ~np.isnan(spent))
            where = where[np.argsort(spent[where], kind="stable")]
            one = summary.isel({dims.DIFFICULTY: panel, dims.CONDITION: where})
            hover = [
                f"{words}, {cost:.2e} FLOPs"
                for words, cost in zip(one[dims.CONDITION].values, spent[where], strict=True)
            ]
            name = str(one["title"].values[0]) if where.size else family
            yield name, spent[where], one, hover

    known = spent[~np.isnan(spent)]
    looks = arm_looks(families, theme)
    end = difficulty_name, chance, measure, theme
    return _against_cost(summary, series, looks, known, "FLOPs", *end)


def accuracy_against_budget(
    summary: xr.Dataset,
    *,
    difficulty_name: str,
    unit: str,
    chance: xr.DataArray | None = None,
    measure: str = "",
    theme: Theme = "light",
) -> go.Figure:
    """Draw what is learnt within so much training: a panel each difficulty, conditions as series.

    - summary:
      ``mean``, ``low``, ``high`` (a share), ``count`` over (condition, budget, difficulty) and
      ``spent (condition, budget)``, what was really spent, mean over seeds.
    - unit: of the budget, for the axis and the words: "s" or "FLOPs".
    - difficulty_name, chance, measure: as in `accuracy_against_n`.
    """
    budgets = summary[dims.BUDGET].values.astype(np.float64)

    def series(panel: int) -> Iterator[tuple[str, np.ndarray, xr.Dataset, list[str]]]:
        for number, name in enumerate(summary[dims.CONDITION].values):
            one = summary.isel({dims.DIFFICULTY: panel, dims.CONDITION: number})
            hover = [
                f"{name}, within {budget:.3g} {unit} ({spent:.3g} spent)"
                for budget, spent in zip(budgets, one["spent"].values, strict=True)
            ]
            yield str(name), budgets, one, hover

    families = summary["family"] if "family" in summary.coords else summary[dims.CONDITION]
    looks = arm_looks(families.values.tolist(), theme)
    end = difficulty_name, chance, measure, theme
    return _against_cost(summary, series, looks, budgets, unit, *end)


def _against_cost(
    summary: xr.Dataset,
    series: Callable[[int], Iterator[tuple[str, np.ndarray, xr.Dataset, list[str]]]],
    looks: Sequence[dict[str, Any]],
    costs: np.ndarray,
    unit: str,
    difficulty_name: str,
    chance: xr.DataArray | None,
    measure: str,
    theme: Theme,
) -> go.Figure:
    """Draw a panel for each difficulty; `series` gives its lines: name, place, values, words."""
    ends = (0.0, 1.06 * float(costs.max()) if costs.size else 1.0)
    traces: list[dict[str, Any]] = []
    lines = 0
    for panel, level in enumerate(summary[dims.DIFFICULTY].values):
        traces += chance_lines(of_level(chance, level), ends, panel, theme)
        for number, (name, x, one, hover) in enumerate(series(panel)):
            traces.append(points(x, one, name, hover, number, panel, theme, **looks[number]))
            lines = number + 1
    more = {"range": list(ends), "exponentformat": "power", "nticks": 5}
    x_axis = axis(f"training ({unit})", grid=True, **more)
    titles = titles_of(summary, dims.DIFFICULTY, difficulty_name)
    entries = lines + lines_in(chance)
    y_axis = score_axis(measure)
    return go.Figure(traces, layout(titles, x_axis, y_axis, theme, entries=entries))


def latency_against_n(latency: xr.Dataset, *, theme: Theme = "light") -> go.Figure:
    """Draw medians with the middle half of the measurements, on axes from zero.

    - latency: ``sleep_ms_per_window`` and ``wake_ms_per_token``, milliseconds ``[arm, n_test,
      repeat]``; NaN where not measured (nothing was slept on). ``title (arm)`` if arms have one.
    """
    names = titles_of(latency, dims.ARM, "")
    looks = arm_looks(latency[dims.ARM].values.tolist(), theme)
    traces: list[dict[str, Any]] = []
    for panel, (variable, _, unit) in enumerate(LATENCIES):
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
            more = {"error_y": bars(median, low, high), **point_words(words), **looks[number]}
            traces.append(line(x, median, name, number, panel, theme, **more))
    x_axis = n_axis(latency[dims.N_TEST].values, "N (sleep passes)")
    y = [axis(unit, grid=True, rangemode="tozero", nticks=6) for _, _, unit in LATENCIES]
    titles = [title for _, title, _ in LATENCIES]
    return go.Figure(traces, layout(titles, x_axis, y, theme, entries=len(names)))
