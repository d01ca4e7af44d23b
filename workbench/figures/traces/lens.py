"""The lens over passes: what would be answered after each pass, by difficulty, over examples."""

from __future__ import annotations

from collections.abc import Sequence
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
    level_lines,
    positions,
)
from workbench.figures.marks import note
from workbench.figures.panels import CHANCE_DASHES
from workbench.figures.theme import INKS, Theme, level_looks
from workbench.tasks.phrases import level_words


def lens_over_passes(
    lens: xr.Dataset,
    *,
    passes: tuple[int, ...],
    boundary: tuple[int, int] | None,
    windows: Sequence[int] | None = None,
    theme: Theme = "light",
) -> go.Figure:
    """Draw accuracy and log-probability of the right answer if the model woke after each pass.

    - lens: ``accuracy`` and ``log_prob`` with bounds ``_low`` and ``_high``, over (difficulty,
      window, sleep_pass); ``asked (difficulty)``; ``chance (chance_line, difficulty)`` where the
      task is known. Attribute ``difficulty_name``, and ``examples``.
    - passes: last pass of each window slept on, in the order of ``window``.
    - boundary: position of the cursor among them, and its pass; None draws no cursor.
    - windows: names of the windows, counted from 1; None leaves them out.
    """
    where = positions(passes)
    levels = lens[dims.DIFFICULTY].values.tolist()
    word = str(lens.attrs.get("difficulty_name", "difficulty"))
    looks = level_looks(levels, theme)
    traces: list[dict[str, Any]] = []
    for column, name in enumerate(("accuracy", "log_prob")):
        ends = [f"{name}{end}" for end in ("", "_low", "_high")]
        axes = (dims.DIFFICULTY, dims.WINDOW, dims.SLEEP_PASS)
        mean, low, high = (lens[end].transpose(*axes).values for end in ends)
        for number, level in enumerate(levels):
            apart = (number - (len(levels) - 1) / 2) * 0.07  # no error bar hides another
            line = boundary_line(
                mean[number],
                [x + apart for x in where],
                level_words(level, word),
                (looks[number]["line"]["color"], looks[number]["marker"]["symbol"]),
                column,
                interval=(low[number], high[number]),
            )
            traces.append(line | {"showlegend": column == 0})
    traces += _chance_lines(lens, where, theme)
    count = int(lens.attrs.get("examples", 0))
    over = f", {count} examples, 95 % intervals" if count else ""
    panels = [
        Panel(f"Answers right if it woke here{over}", "share of queries", {"range": [-0.04, 1.06]}),
        Panel("Log-probability of the right answer", "nat", {}),
    ]
    layout = boundary_panels(panels, where, [False] * len(passes), theme, gap=0.09)
    if windows is not None and len(windows) > 1:
        layout["annotations"] += _window_names(where, windows, theme)
    moving = boundary_cursor(2, passes=passes, boundary=boundary, theme=theme)
    return go.Figure(traces, layout | moving)


def _chance_lines(
    lens: xr.Dataset, where: Sequence[np.ndarray], theme: Theme
) -> list[dict[str, Any]]:
    """Return each chance line; one for each difficulty where they differ."""
    traces: list[dict[str, Any]] = []
    if "chance" not in lens:
        return traces
    for number, name in enumerate(lens[dims.CHANCE_LINE].values.tolist()):
        values = lens["chance"].isel({dims.CHANCE_LINE: number}).values
        dash = CHANCE_DASHES[number % len(CHANCE_DASHES)]
        line = {"color": INKS[theme].muted, "width": 1.5, "dash": dash}
        more = {"line": line, "legendrank": 2000 + number}
        traces += level_lines(values, where, f"chance: {name}", 0, theme, **more)
    return traces


def _window_names(
    where: Sequence[np.ndarray], windows: Sequence[int], theme: Theme
) -> list[dict[str, Any]]:
    look: dict[str, Any] = {"size": 11.5, "colour": INKS[theme].muted}
    return [
        note(f"window {name}", float(x.mean()), 0, **look, xref="x", yanchor="bottom")
        for x, name in zip(where, windows, strict=True)
    ]
