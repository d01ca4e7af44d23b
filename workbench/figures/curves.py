"""Curves along the walk: norm, relative change, effective rank, and the right answers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from workbench import dims
from workbench.figures.boundaries import (
    Panel,
    boundary_cursor,
    boundary_line,
    boundary_panels,
    head_lines,
    level_lines,
)
from workbench.figures.marks import hover, scatter
from workbench.figures.theme import INKS, Theme, level_looks
from workbench.figures.timeline import positions
from workbench.tasks.phrases import level_words

PANELS = (
    ("norm", "Norm of S by head", "|S| (Frobenius)"),
    ("relative_change", "Change per pass and its baseline", "|ΔS| / |S|"),
    ("effective_rank", "Effective rank of S by head", "directions (exp entropy)"),
)


def pass_curves(
    summary: xr.Dataset,
    right: xr.DataArray,
    *,
    passes: tuple[int, ...],
    awake: tuple[bool, ...],
    boundary: tuple[int, int],
    difficulty: np.ndarray,
    difficulty_name: str,
    chance: np.ndarray | None,
    one_symbol: bool = True,
    baseline: Mapping[int, xr.DataArray] | None = None,
    baseline_name: str = "frozen replay",
    selected: int = 0,
    theme: Theme = "light",
) -> go.Figure:
    """Draw four panels over the same axis of boundaries.

    - summary: ``norm``, ``relative_change``, ``effective_rank`` of one layer ``(window, sleep_pass,
      gdn_head)``.
    - right: probability of the right answer if the model woke there ``(window, sleep_pass,
      query)``.
    - passes, awake, boundary: as in `workbench.figures.timeline.timeline`.
    - difficulty: int ``[query]``; its unit is `difficulty_name`.
    - chance: expected score of a guess ``[query]``; None draws no chance line.
    - one_symbol: whether an answer is one symbol. If not, the figure says that it shows first
      symbols.
    - baseline: window -> ``relative_change (sleep_pass, gdn_head)`` of what the curve is compared
      with: a falling curve alone says nothing.
    - baseline_name: name of the baseline. With several fast-weight layers the stepper does not have
      the frozen replay, only a sleep that rewrites.
    - selected: the head drawn in front.
    """
    where, heads = positions(passes), summary[dims.GDN_HEAD].values.tolist()
    traces: list[dict[str, Any]] = []
    for column, (name, _, _) in enumerate(PANELS):
        values = summary[name].transpose(dims.GDN_HEAD, dims.WINDOW, dims.SLEEP_PASS).values
        traces += head_lines(values, where, heads, heads[selected], column, theme)
    traces += _baseline_lines(baseline or {}, baseline_name, where, selected, theme)
    traces += _right_lines(right, where, difficulty, difficulty_name, theme)
    traces += level_lines(chance, where, "chance", 3, theme, legend="legend2")
    asked = "answers" if one_symbol else "first symbols"
    last = Panel(f"Right {asked} if it woke here", "mean probability", {"range": [-0.03, 1.05]})
    layout = boundary_panels([*(Panel(t, u) for _, t, u in PANELS), last], where, awake, theme)
    layout["legend2"] = layout["legend"] | {"x": 1.01, "xanchor": "right"}
    return go.Figure(traces, layout | curves_place(passes=passes, boundary=boundary, theme=theme))


curves_place = partial(boundary_cursor, len(PANELS) + 1)
"""The part of the layout of `pass_curves` that changes with the cursor."""


def _baseline_lines(
    baseline: Mapping[int, xr.DataArray],
    name: str,
    where: list[np.ndarray],
    selected: int,
    theme: Theme,
) -> list[dict[str, Any]]:
    # after a single pass there is nothing that a second one could be compared with
    shown = {window: values for window, values in baseline.items() if len(where[window]) > 2}
    return [
        scatter(
            where[window],
            values.isel({dims.GDN_HEAD: selected}).values,
            1,
            name=name,
            mode="lines",
            line={"color": INKS[theme].text, "width": 1.8, "dash": "dash"},
            legendgroup="baseline",
            legendrank=2000,
            showlegend=number == 0,
            hovertemplate=hover("%{y:.3g}", name),
        )
        for number, (window, values) in enumerate(shown.items())
    ]


def _right_lines(
    right: xr.DataArray,
    where: list[np.ndarray],
    difficulty: np.ndarray,
    difficulty_name: str,
    theme: Theme,
) -> list[dict[str, Any]]:
    values = right.transpose(dims.WINDOW, dims.SLEEP_PASS, dims.QUERY).values
    lines = []
    levels = np.unique(difficulty).tolist()
    for level, look in zip(levels, level_looks(levels, theme), strict=True):
        name = level_words(level, difficulty_name)
        mean = values[:, :, difficulty == level].mean(axis=2)
        line = boundary_line(
            mean, where, name, (look["line"]["color"], look["marker"]["symbol"]), 3
        )
        lines.append(line | {"legend": "legend2"})
    return lines
