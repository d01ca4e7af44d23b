"""Comparisons: arms side by side with intervals, and trained at N against tested at N'."""

from __future__ import annotations

from typing import Any, Final

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
    of_level,
    on,
    points_of,
    row_names,
    titles_of,
    told,
)
from workbench.figures.theme import INKS, SEQUENTIAL, Theme, axis_id, coloraxis

ARM_ROW: Final = 26
"""Height of an arm's row, pixels."""
CELL: Final = 30
"""Height of a row of a matrix, pixels."""
LETTER: Final = 6.6
"""Width of a letter of an axis label, pixels."""
WIDEST: Final = 260
"""Most pixels for the labels at the left."""
LIGHT: Final = 0.55
"""Share from which on cividis is light, so that what is written on it is dark."""


def arm_comparison(
    summary: xr.Dataset,
    *,
    difficulty_name: str,
    equal: str,
    chance: xr.DataArray | None = None,
    theme: Theme = "light",
) -> go.Figure:
    """Draw each condition as a dot with its interval: a row each, a panel for each difficulty.

    - summary: ``mean``, ``low``, ``high`` (a share), ``count`` over (condition, difficulty);
      conditions from top to bottom as given.
    - difficulty_name: "hops" or "rollout".
    - equal: at equal what they are compared, for the axis: "at 3.8e+10 FLOPs of training".
    - chance: ``[chance_line, difficulty]``, a share.
    """
    names = [str(name) for name in summary[dims.CONDITION].values]
    rows = np.arange(len(names))
    family = summary["family"].values.tolist() if "family" in summary.coords else names
    numbers = [list(dict.fromkeys(family)).index(name) for name in family]
    looks = [look(theme, number)["marker"] for number in numbers]
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
            {
                "type": "scatter",
                "mode": "markers",
                "x": mean[there].astype(np.float32),
                "y": rows[there].astype(np.float32),
                "marker": {
                    "color": [looks[i]["color"] for i in there],
                    "symbol": [looks[i]["symbol"] for i in there],
                    "size": 9,
                },
                "name": "mean over seeds",
                "showlegend": False,
                **told(words),
            }
            | ({"error_x": errors | {"color": INKS[theme].muted}} if errors else {})
            | on(panel)
        )
    x = {"title": {"text": f"accuracy {equal}"}, "range": SHARE, "nticks": 4}
    y = {"range": [ends[1], ends[0]], "showgrid": False, "title": {"text": ""}}
    result = layout(
        titles_of(summary, dims.DIFFICULTY, difficulty_name),
        x,
        y,
        theme,
        entries=lines_in(chance),
        left=_left(names),
        row=ARM_ROW * len(names) + 10,
    )
    row_names(result, names, summary.sizes[dims.DIFFICULTY])
    return go.Figure(traces, result)


def transfer_matrix(
    mean: xr.DataArray, *, difficulty_name: str, theme: Theme = "light"
) -> go.Figure:
    """Draw accuracy of models trained at N (rows) and tested at N' (columns).

    The N of training are framed; a cell that was not measured stays empty.

    - mean: a share ``[condition, n_test]``, or ``[condition, n_test, difficulty]`` with a panel for
      each difficulty; coordinate ``n_train`` (condition): "4", or "1-4" where random.
    - difficulty_name: "hops" or "rollout".

    Result: for each panel a heatmap and the values written in its cells.
    """
    if dims.DIFFICULTY in mean.dims:
        titles = titles_of(mean, dims.DIFFICULTY, difficulty_name)
        tables = [mean.isel({dims.DIFFICULTY: i}) for i in range(len(titles))]
    else:
        titles, tables = ["mean over difficulties"], [mean]
    names = [str(name) for name in mean[dims.CONDITION].values]
    tested = mean[dims.N_TEST].values
    ink, traces, shapes = INKS[theme], [], []
    for panel, table in enumerate(tables):
        values = table.transpose(dims.CONDITION, dims.N_TEST).values
        row, column = np.nonzero(~np.isnan(values))
        shares = values[row, column]
        traces.append(
            {
                "type": "heatmap",
                "z": values.astype(np.float32),
                "x": np.arange(len(tested)),
                "y": np.arange(len(names)),
                "coloraxis": "coloraxis",
                "xgap": 1.5,
                "ygap": 1.5,
                "hoverinfo": "skip",
            }
            | on(panel)
        )
        traces.append(
            {
                "type": "scatter",
                "mode": "text",
                "x": column.astype(np.float32),
                "y": row.astype(np.float32),
                "text": [f"{share:.2f}" for share in shares],
                "textfont": {
                    "size": 11,
                    # of the cell and not of the page: cividis is the same in light and dark
                    "color": [
                        INKS["light"].text if share > LIGHT else INKS["dark"].text
                        for share in shares
                    ],
                },
                "showlegend": False,
                **told(
                    [
                        f"{names[r]}, tested at N = {tested[c]}: {values[r, c]:.3f}"
                        for r, c in zip(row.tolist(), column.tolist(), strict=True)
                    ]
                ),
            }
            | on(panel)
        )
        shapes += _frames(mean[dims.N_TRAIN].values, tested, panel, ink.accent)
    x = {
        "title": {"text": "N at test (framed: N of training)"},
        "tickvals": list(range(len(tested))),
        "ticktext": [str(n) for n in tested],
        "range": [-0.5, len(tested) - 0.5],
        "showgrid": False,
    }
    y = {"range": [len(names) - 0.5, -0.5], "showgrid": False, "title": {"text": ""}}
    result = layout(titles, x, y, theme, left=_left(names), row=CELL * len(names), columns=2)
    row_names(result, names, len(tables))
    result["margin"]["r"] = 62
    result |= {
        "shapes": shapes,
        "coloraxis": coloraxis(SEQUENTIAL, 0, 1, theme, "accuracy (share right)"),
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
            frames.append(
                {
                    "type": "rect", "xref": axis_id("x", panel), "yref": axis_id("y", panel),
                    "x0": float(inside[0]) - 0.47, "x1": float(inside[-1]) + 0.47,
                    "y0": row - 0.45, "y1": row + 0.45, "line": {"color": colour, "width": 2},
                }
            )  # fmt: skip
    return frames


def _left(names: list[str]) -> int:
    """Return the pixels that the longest label needs, at most `WIDEST`."""
    return min(int(LETTER * max(map(len, names), default=0)) + 16, WIDEST)
