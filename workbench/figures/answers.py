"""What the model would answer: each query's distribution over the candidate symbols."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from workbench import dims
from workbench.figures.theme import INKS, PALETTE, SEQUENTIAL, Theme, scale, template

ROW = 27
"""Height of a query's row, pixels."""

LEAST = 216
"""Height that few rows share, pixels."""

BELOW = 44
"""Pixels below the rows."""


def answer_table(
    answers: xr.Dataset,
    labels: Sequence[str],
    *,
    chance: np.ndarray | None,
    one_symbol: bool = True,
    selected: int | None = None,
    theme: Theme = "light",
) -> go.Figure:
    """Draw queries x candidate symbols, and the right answer's probability beside it.

    Parameters
    ----------
    answers : Dataset
        ``probability`` (query, symbol), ``right``, ``right_probability``, ``correct`` and
        ``difficulty`` (query).
    labels : sequence of str
        Words for each query; rows are sorted by difficulty, easy first.
    chance : ndarray or None
        Probability of the right answer by guessing ``[query]``; None draws no chance line.
    one_symbol : bool
        Whether an answer is one symbol. If not, the figure says that it shows first symbols.
    selected : int or None
        A query to be set off.

    Returns
    -------
    Figure
        Trace 0 is the table, trace 1 the marks of right answers, trace 2 the bars, trace 3 the
        chance line if there is one, the last one the shares in figures; ``customdata`` of table
        and bars holds the query's index.
    """
    ink = INKS[theme]
    order = np.argsort(answers["difficulty"].values, kind="stable")
    rows = np.arange(len(order))
    ordered = answers.isel({dims.QUERY: order})
    table = ordered["probability"].transpose(dims.QUERY, dims.SYMBOL).values
    symbols = [str(s) for s in ordered[dims.SYMBOL].values]
    correct = ordered["correct"].values
    right = ordered["right"].values
    names = [f"<b>{labels[q]}</b>" if q == selected else labels[q] for q in order.tolist()]
    probability = ordered["right_probability"].values.astype(np.float32)
    levels = ordered["difficulty"].values
    what = "answer" if one_symbol else "first symbol"
    good, bad = PALETTE[theme][2], PALETTE[theme][1]
    second = {"xaxis": "x2", "yaxis": "y", "showlegend": False}
    traces = [
        {
            "type": "heatmap",
            "z": table.astype(np.float32),
            "x": np.arange(len(symbols)),
            "y": rows,
            "coloraxis": "coloraxis",
            "xgap": 2,
            "ygap": 2,
            "text": [symbols] * len(rows),
            "customdata": np.repeat(order[:, None], len(symbols), axis=1).astype(np.int16),
            "hovertemplate": what + " %{text}: %{z:.1%}<extra></extra>",
        },
        {
            "type": "scatter",
            "x": right,
            "y": rows,
            "mode": "markers",
            "marker": {
                "symbol": "square-open",
                "size": 19,
                "line": {"width": 3},
                "color": ink.accent,
            },
            "hoverinfo": "skip",
            "showlegend": False,
        },
        {
            "type": "bar",
            "x": probability,
            "y": rows,
            "orientation": "h",
            "width": 0.64,
            "marker": {"color": [good if c else bad for c in correct]},
            "customdata": order.astype(np.int16),
            "hovertemplate": f"right {what}: %{{x:.1%}}<extra></extra>",
        }
        | second,
    ]
    if chance is not None:
        line = {
            "type": "scatter",
            "x": np.repeat(chance[order].astype(np.float32), 2),
            "y": np.stack((rows - 0.5, rows + 0.5), axis=1).ravel().astype(np.float32),
            "mode": "lines",
            "customdata": np.repeat(order, 2).astype(np.int16),
            "line": {"color": ink.text, "width": 1.6, "dash": "dot"},
            "hovertemplate": "chance %{x:.1%}<extra></extra>",
        }
        traces.append(line | second)
    # in a column of their own: beside short bars they would lie on the chance line
    texts = [
        f"{'✓' if c else '✗'} {100 * p:.0f} %" for c, p in zip(correct, probability, strict=True)
    ]
    labels_beside = {
        "type": "scatter",
        "x": np.full(len(rows), 1.02, dtype=np.float32),
        "y": rows,
        "mode": "text",
        "text": texts,
        "textposition": "middle right",
        "textfont": {"size": 12},
        "hoverinfo": "skip",
        "cliponaxis": False,
    }
    traces.append(labels_beside | second)
    every = max(1, len(symbols) // 24)
    others = "; …: all others" if "other" in symbols else ""
    above = 4
    axis = {"showgrid": False, "fixedrange": True}
    layout = {
        "template": template(theme),
        "height": BELOW + above + max(ROW, min(2 * ROW, LEAST // len(rows))) * len(rows),
        "margin": {"l": 98, "r": 4, "t": above, "b": BELOW},
        "coloraxis": {"colorscale": scale(SEQUENTIAL), "cmin": 0, "cmax": 1, "showscale": False},
        "bargap": 0,
        "xaxis": axis
        | {
            "domain": [0, 0.6],
            "title": {"text": f"{what} (right one framed{others})"},
            "tickvals": list(range(0, len(symbols), every)),
            "ticktext": ["…" if s == "other" else s for s in symbols[::every]],
        },
        "xaxis2": axis
        | {
            "domain": [0.63, 1],
            "title": {"text": "P(right)" if one_symbol else "P(first symbol)"},
            "range": [0, 1.95],
            "tickvals": [0, 0.5, 1],
            "ticktext": ["0", "½", "1"],
            "anchor": "y",
        },
        "yaxis": axis
        | {"tickvals": list(rows), "ticktext": names, "range": [len(rows) - 0.5, -0.5]},
        "shapes": [
            {
                "type": "line", "xref": "paper", "x0": 0, "x1": 1,
                "y0": float(edge) + 0.5, "y1": float(edge) + 0.5,
                "line": {"color": ink.muted, "width": 1},
            }
            for edge in np.flatnonzero(np.diff(levels))
        ],
    }  # fmt: skip
    return go.Figure(traces, layout)
