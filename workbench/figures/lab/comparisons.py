"""Comparisons: arms side by side with intervals, and trained at N against tested at N'."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from workbench import dims
from workbench.figures.marks import (
    axis,
    bars,
    columns_axis,
    on,
    point_words,
    rows_axis,
    scatter,
    score_axis,
    shape,
)
from workbench.figures.matrix import cells, numbers
from workbench.figures.panels import (
    chance_lines,
    interval_words,
    layout,
    lines_in,
    of_level,
    points_of,
    row_names,
    titles_of,
)
from workbench.figures.theme import INKS, SEQUENTIAL, Theme, arm_looks, coloraxis

ARM_ROW: Final = 26
"""Height of an arm's row, pixels."""
CELL: Final = 30
"""Height of a row of a matrix, pixels."""
LETTER: Final = 6.6
"""Width of a letter of an axis label, pixels."""
WIDEST: Final = 260
"""Most pixels for the labels at the left."""


def arm_comparison(
    summary: xr.Dataset,
    *,
    difficulty_name: str,
    chance: xr.DataArray | None = None,
    measure: str = "",
    theme: Theme = "light",
) -> go.Figure:
    """Draw each condition as a dot with its interval: a row each, a panel for each difficulty.

    - summary: ``mean``, ``low``, ``high`` (a share), ``count`` over (condition, difficulty);
      conditions from top to bottom as given.
    - difficulty_name: "hops" or "rollout".
    - chance: ``[chance_line, difficulty]``, a share.
    - measure: name of what is measured; "" for accuracy.
    """
    names = [str(name) for name in summary[dims.CONDITION].values]
    rows = np.arange(len(names))
    family = summary["family"].values.tolist() if "family" in summary.coords else names
    looks = [look["marker"] for look in arm_looks(family, theme)]
    ends = (-0.6, len(names) - 0.4)
    traces: list[dict[str, Any]] = []
    for panel, level in enumerate(summary[dims.DIFFICULTY].values):
        traces += chance_lines(of_level(chance, level), ends, panel, theme, upright=True)
        mean, low, high, count = points_of(summary.isel({dims.DIFFICULTY: panel}))
        there = np.flatnonzero(~np.isnan(mean))
        words = [
            f"{names[i]}: {interval_words(mean[i], low[i], high[i], int(count[i]))}" for i in there
        ]
        errors = bars(mean[there], low[there], high[there])
        traces.append(
            scatter(
                mean[there],
                rows[there],
                panel,
                mode="markers",
                marker={
                    "color": [looks[i]["color"] for i in there],
                    "symbol": [looks[i]["symbol"] for i in there],
                    "size": 9,
                },
                name="mean over seeds",
                showlegend=False,
                error_x=errors and errors | {"color": INKS[theme].muted},
                **point_words(words),
            )
        )
    result = layout(
        titles_of(summary, dims.DIFFICULTY, difficulty_name),
        score_axis(measure, nticks=4),
        axis(range=[ends[1], ends[0]]),
        theme,
        entries=lines_in(chance),
        left=_left(names),
        row=ARM_ROW * len(names) + 10,
    )
    row_names(result, names, summary.sizes[dims.DIFFICULTY])
    return go.Figure(traces, result)


def transfer_matrix(
    mean: xr.DataArray, *, difficulty_name: str, measure: str = "", theme: Theme = "light"
) -> go.Figure:
    """Draw accuracy of models trained at N (rows) and tested at N' (columns).

    The N of training are framed; a cell that was not measured stays empty.

    - mean: a share ``[condition, n_test, difficulty]``; coordinate ``n_train`` (condition): "4",
      or "1-4" where random.
    - difficulty_name: "hops" or "rollout".
    - measure: name of what is measured; "" for accuracy.

    Result: for each panel a heatmap and the values written in its cells.
    """
    titles = titles_of(mean, dims.DIFFICULTY, difficulty_name)
    names = [str(name) for name in mean[dims.CONDITION].values]
    tested = mean[dims.N_TEST].values
    where: dict[str, Any] = {"x": np.arange(len(tested)), "y": np.arange(len(names))}
    traces: list[dict[str, Any]] = []
    shapes: list[dict[str, Any]] = []
    for panel, values in enumerate(
        mean.transpose(dims.DIFFICULTY, dims.CONDITION, dims.N_TEST).values
    ):
        words = [
            f"{names[r]}, tested at N = {tested[c]}: {values[r, c]:.3f}"
            for r, c in np.argwhere(~np.isnan(values)).tolist()
        ]
        texts = numbers(values, "{:.2f}".format, **where, theme=theme, size=11, diverging=False)
        del texts["hoverinfo"]
        traces.append(cells(values, **where, xgap=1.5, ygap=1.5) | on(panel))
        traces.append(texts | point_words(words) | on(panel))
        shapes += _frames(mean[dims.N_TRAIN].values, tested, panel, INKS[theme].accent)
    result = layout(
        titles,
        columns_axis("N at test (framed: N of training)", tested),
        rows_axis(len(names)),
        theme,
        left=_left(names),
        row=CELL * len(names),
        columns=2,
    )
    row_names(result, names, len(titles))
    result["margin"]["r"] = 62
    most = float(mean.max()) if measure else 1
    result |= {
        "shapes": shapes,
        "coloraxis": coloraxis(SEQUENTIAL, 0, most, theme, measure or "accuracy (share right)"),
    }
    return go.Figure(traces, result)


def _frames(
    n_train: np.ndarray, tested: np.ndarray, panel: int, colour: str
) -> list[dict[str, Any]]:
    """Return a frame around the N of training of each condition; of a random N around its range."""
    frames = []
    for row, words in enumerate(n_train):
        low, _, high = str(words).partition("-")
        if not low.isdigit():
            continue
        inside = np.flatnonzero((tested >= int(low)) & (tested <= int(high or low)))
        if inside.size:
            across = (float(inside[0]) - 0.47, float(inside[-1]) + 0.47)
            frames.append(shape("rect", across, (row - 0.45, row + 0.45), colour, 2, panel))
    return frames


def _left(names: list[str]) -> int:
    """Return the pixels that the longest label needs, at most `WIDEST`."""
    return min(int(LETTER * max(map(len, names), default=0)) + 16, WIDEST)
