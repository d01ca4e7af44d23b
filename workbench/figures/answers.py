"""What the model would answer: each query's distribution over the candidate symbols."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from workbench import dims
from workbench.figures.marks import axis, coordinates, hover, rows_axis, scatter, shape
from workbench.figures.matrix import cells
from workbench.figures.theme import INKS, SEQUENTIAL, STATUS, Theme, coloraxis, frame

ROW = 27
"""Height of a query's row, pixels."""

LEAST = 216
"""Height that few rows share, pixels."""

FRAMES = {"symbol": "square-open", "size": 19, "line": {"width": 3}}
"""Marks around right answers."""

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
    """Draw queries x candidate symbols, and the right answer's probability next to it.

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
    traces = [
        cells(
            ordered["probability"].transpose(dims.QUERY, dims.SYMBOL).values,
            x=np.arange(len(symbols)),
            y=rows,
            hover=hover(what + " %{text}: %{z:.1%}"),
            xgap=2,
            ygap=2,
            text=[symbols] * len(rows),
            customdata=np.repeat(order[:, None], len(symbols), axis=1).astype(np.int16),
        ),
        scatter(
            ordered["right"].values,
            rows,
            mode="markers",
            marker=FRAMES | {"color": INKS[theme].accent},
            hoverinfo="skip",
            showlegend=False,
        ),
        *_bars(ordered, order, chance, what, theme),
    ]
    names = [f"<b>{labels[q]}</b>" if q == selected else labels[q] for q in order.tolist()]
    letters = sum(len(symbol) + 1 for symbol in symbols)
    every = max(1, len(symbols) // 24, -(-letters // 48))  # so that no two labels overlap
    others = "; …: all others" if "other" in symbols else ""
    height = BELOW + ABOVE + max(ROW, min(2 * ROW, LEAST // len(rows))) * len(rows)
    edges = np.flatnonzero(np.diff(ordered["difficulty"].values)) + 0.5
    layout = frame(theme, height, 98, 4, ABOVE, BELOW) | {
        "coloraxis": coloraxis(SEQUENTIAL, 0, 1, theme) | {"showscale": False},
        "bargap": 0,
        "xaxis": axis(
            f"{what} (right one framed{others})",
            domain=[0, 0.6],
            tickvals=list(range(0, len(symbols), every)),
            ticktext=["…" if s == "other" else s for s in symbols[::every]],
        ),
        "xaxis2": axis(
            "P(right)" if one_symbol else "P(first symbol)",
            domain=[0.63, 1],
            range=[0, 1.95],
            tickvals=[0, 0.5, 1],
            ticktext=["0", "½", "1"],
            anchor="y",
        ),
        "yaxis": rows_axis(len(rows), tickvals=list(rows), ticktext=names),
        "shapes": [
            shape("line", (0, 1), (edge, edge), INKS[theme].muted, 1, xref="paper")
            for edge in edges.tolist()
        ],
    }
    return go.Figure(traces, layout)


def _bars(
    ordered: xr.Dataset, order: np.ndarray, chance: np.ndarray | None, what: str, theme: Theme
) -> list[dict[str, Any]]:
    """Return the bars of right answers, their chance line, and their shares in figures."""
    rows, correct = np.arange(len(order)), ordered["correct"].values
    probability = ordered["right_probability"].values.astype(np.float32)
    good, bad = STATUS["good"][theme], STATUS["bad"][theme]
    traces: list[dict[str, Any]] = [
        {
            "type": "bar",
            "x": probability,
            "y": coordinates(rows),
            "orientation": "h",
            "width": 0.64,
            "marker": {"color": [good if c else bad for c in correct]},
            "customdata": order.astype(np.int16),
            "hovertemplate": hover(f"right {what}: %{{x:.1%}}"),
        }
    ]
    if chance is not None:
        traces.append(
            scatter(
                np.repeat(chance[order], 2),
                np.stack((rows - 0.5, rows + 0.5), axis=1).ravel(),
                mode="lines",
                customdata=np.repeat(order, 2).astype(np.int16),
                line={"color": INKS[theme].text, "width": 1.6, "dash": "dot"},
                hovertemplate=hover("chance %{x:.1%}"),
            )
        )
    # in a separate column: next to short bars they would lie on the chance line
    shares = zip(correct, probability, strict=True)
    traces.append(
        scatter(
            np.full(len(rows), 1.02),
            rows,
            mode="text",
            text=[f"{'✓' if c else '✗'} {100 * p:.0f} %" for c, p in shares],
            textposition="middle right",
            textfont={"size": 12},
            hoverinfo="skip",
            cliponaxis=False,
        )
    )
    return [trace | {"xaxis": "x2", "yaxis": "y", "showlegend": False} for trace in traces]
