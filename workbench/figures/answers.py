"""What the model would answer: each query's distribution over the candidate symbols."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from workbench import dims
from workbench.figures.theme import INKS, PALETTE, SEQUENTIAL, Theme, coloraxis, frame

ROW = 27
"""Height of a query's row, pixels."""

LEAST = 216
"""Height that few rows share, pixels."""

ABOVE, BELOW = 4, 44
"""Pixels above and below the rows."""


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

    Trace 0 is the table, trace 1 the marks of right answers, trace 2 the bars, trace 3 the chance
    line if there is one, the last one the shares in figures; ``customdata`` of table and bars
    holds the query's index.

    - answers:
      ``probability`` (query, symbol), ``right``, ``right_probability``, ``correct`` and
      ``difficulty`` (query).
    - labels: words for each query; rows are sorted by difficulty, easy first.
    - chance: probability of the right answer by guessing ``[query]``; None draws no chance line.
    - one_symbol: whether an answer is one symbol. If not, the figure says that it shows first
      symbols.
    - selected: a query to be set off.
    """
    order = np.argsort(answers["difficulty"].values, kind="stable")
    rows, ordered = np.arange(len(order)), answers.isel({dims.QUERY: order})
    symbols = [str(s) for s in ordered[dims.SYMBOL].values]
    what = "answer" if one_symbol else "first symbol"
    traces = [_table(ordered, order, symbols, what), _marks(ordered["right"].values, rows, theme)]
    traces += _bars(ordered, order, chance, what, theme)
    names = [f"<b>{labels[q]}</b>" if q == selected else labels[q] for q in order.tolist()]
    every = max(1, len(symbols) // 24)
    others = "; …: all others" if "other" in symbols else ""
    axis = {"showgrid": False, "fixedrange": True}
    height = BELOW + ABOVE + max(ROW, min(2 * ROW, LEAST // len(rows))) * len(rows)
    layout = frame(theme, height, 98, 4, ABOVE, BELOW) | {
        "coloraxis": coloraxis(SEQUENTIAL, 0, 1, theme) | {"showscale": False},
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
                "line": {"color": INKS[theme].muted, "width": 1},
            }
            for edge in np.flatnonzero(np.diff(ordered["difficulty"].values))
        ],
    }  # fmt: skip
    return go.Figure(traces, layout)


def _table(ordered: xr.Dataset, order: np.ndarray, symbols: list[str], what: str) -> dict[str, Any]:
    table = ordered["probability"].transpose(dims.QUERY, dims.SYMBOL).values
    return {
        "type": "heatmap",
        "z": table.astype(np.float32),
        "x": np.arange(len(symbols)),
        "y": np.arange(len(order)),
        "coloraxis": "coloraxis",
        "xgap": 2,
        "ygap": 2,
        "text": [symbols] * len(order),
        "customdata": np.repeat(order[:, None], len(symbols), axis=1).astype(np.int16),
        "hovertemplate": what + " %{text}: %{z:.1%}<extra></extra>",
    }


def _marks(right: np.ndarray, rows: np.ndarray, theme: Theme) -> dict[str, Any]:
    marker = {"symbol": "square-open", "size": 19, "line": {"width": 3}}
    return {
        "type": "scatter",
        "x": right,
        "y": rows,
        "mode": "markers",
        "marker": marker | {"color": INKS[theme].accent},
        "hoverinfo": "skip",
        "showlegend": False,
    }


def _bars(
    ordered: xr.Dataset, order: np.ndarray, chance: np.ndarray | None, what: str, theme: Theme
) -> list[dict[str, Any]]:
    """Return the bars of right answers, their chance line, and their shares in figures."""
    rows, correct = np.arange(len(order)), ordered["correct"].values
    probability = ordered["right_probability"].values.astype(np.float32)
    good, bad = PALETTE[theme][2], PALETTE[theme][1]
    second = {"xaxis": "x2", "yaxis": "y", "showlegend": False}
    traces: list[dict[str, Any]] = [
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
    ]
    if chance is not None:
        traces.append(
            {
                "type": "scatter",
                "x": np.repeat(chance[order].astype(np.float32), 2),
                "y": np.stack((rows - 0.5, rows + 0.5), axis=1).ravel().astype(np.float32),
                "mode": "lines",
                "customdata": np.repeat(order, 2).astype(np.int16),
                "line": {"color": INKS[theme].text, "width": 1.6, "dash": "dot"},
                "hovertemplate": "chance %{x:.1%}<extra></extra>",
            }
        )
    # in a separate column: next to short bars they would lie on the chance line
    shares = zip(correct, probability, strict=True)
    traces.append(
        {
            "type": "scatter",
            "x": np.full(len(rows), 1.02, dtype=np.float32),
            "y": rows,
            "mode": "text",
            "text": [f"{'✓' if c else '✗'} {100 * p:.0f} %" for c, p in shares],
            "textposition": "middle right",
            "textfont": {"size": 12},
            "hoverinfo": "skip",
            "cliponaxis": False,
        }
    )
    return [trace | second for trace in traces]
