"""Where the memory comes from: shares by window and pass, contributions of single tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from workbench import dims
from workbench.figures.marks import axis, heading, hover, note, upright
from workbench.figures.matrix import MOST_NUMBERS, cells, numbers, percent, reduced
from workbench.figures.theme import INKS, SEQUENTIAL, Theme, coloraxis, diverging, frame

APART: Final = 0.5
"""Room before the column of sums, in cells."""
ROW: Final = 30
"""Height of a row of shares, pixels."""
LABELS: Final = 72
"""Most tokens whose symbols are written on the axis; of more, every so many."""
WIDTH: Final = 100
"""Letters, with a blank after each word, that have room next to each other on the axis."""


def share_matrix(
    found: xr.Dataset,
    *,
    boundary: tuple[int, int],
    limit: float = 1.0,
    title: str = "",
    theme: Theme = "light",
) -> go.Figure:
    """Draw what share of one head's S each window and pass has, with the numbers.

    Rows are windows, from the first; the last column holds each window's sum, the last row what
    is left of the state before everything.

    - found: of one head at one boundary: ``share (source_window, source_pass)``, NaN for a pass
      that a window did not have, and ``carried_share ()``; together they add up to 1, and are all
      NaN where S = 0.
    - boundary: position of the window, and the pass, whose S it is: what comes later stays empty.
    - limit: end of the colour scale; the same at every boundary, so that colours can be compared.
    - title: whose S it is, and when.
    """
    share = found["share"].transpose(dims.SOURCE_WINDOW, dims.SOURCE_PASS).values.astype(float)
    share[_later(share.shape, boundary)] = np.nan
    carried = float(found["carried_share"])
    windows, passes = share.shape
    empty = np.isnan(share).all() and np.isnan(carried)
    sums = np.where(np.isnan(share).all(axis=1), np.nan, np.nansum(share, axis=1))
    values = np.full((windows + 1, passes + 1), np.nan)
    values[:windows, :passes], values[:windows, -1] = share, sums
    values[-1, -1] = carried
    x = np.append(np.arange(1, passes + 1), passes + 1 + APART).astype(float)
    y = np.arange(windows + 1).astype(float)
    names = [f"window {w + 1}" for w in range(windows)] + ["carried in"]
    words = [
        [f"{names[r]}, pass {c + 1}" for c in range(passes)] + [f"{names[r]}, all passes"]
        for r in range(windows + 1)
    ]
    few = values.size <= MOST_NUMBERS
    where = "%{customdata}" if few else "row %{y:.0f}, pass %{x:.0f}"
    traces: list[dict[str, Any]] = [
        cells(
            values[:, part], x=x[part], y=y, hover=hover(where + ": %{z:.1%} of S"), xgap=2, ygap=2
        )
        | ({"customdata": [row[part] for row in words]} if few else {})
        for part in (slice(0, passes), slice(passes, None))
    ]
    if few:
        size = 12 if passes <= 8 else 10.5
        traces.append(numbers(values, percent, x=x, y=y, limit=limit, theme=theme, size=size))
    height = 30 + 46 + max(ROW, min(44, 240 // (windows + 1))) * (windows + 1)
    ticks = [*range(1, passes + 1, 1 if passes <= 16 else 4), float(x[-1])]
    every = max(1, (windows + 1) // 24)
    notes = [heading(f"Shares of S in %{f', {title}' if title else ''}", shift=5)]
    if empty:
        colour = INKS[theme].muted
        notes.append(note("S = 0: nothing has been written yet", 0.5, 0.5, size=13, colour=colour))
    layout = frame(theme, height, 82, 84, 30, 46) | {
        "coloraxis": diverging(limit, theme, "share of S", x=1.01, xpad=4, tickformat=".0%"),
        "xaxis": axis(
            "written in pass",
            tickvals=ticks,
            ticktext=[*map(str, ticks[:-1]), "all"],
            range=[0.45, float(x[-1]) + 0.55],
        ),
        "yaxis": axis(
            tickvals=list(y[::every]), ticktext=names[::every], range=[windows + 0.55, -0.55]
        ),
        "annotations": notes,
    }
    return go.Figure(traces, layout)


def token_contributions(
    norm: xr.DataArray,
    symbols: Sequence[Sequence[str]],
    *,
    boundary: tuple[int, int],
    limit: float | None = None,
    title: str = "",
    theme: Theme = "light",
) -> go.Figure:
    """Draw the norm of what each token contributes to one head's S, tokens x passes.

    Windows stand side by side in the order of reading. Of very many tokens, neighbours are put
    together by their mean, which the title says.

    - norm: ``(source_window, source_pass, source_token)`` of one head at one boundary, in units of
      S.
    - symbols: text of each token, by window; "" for what pads a short window.
    - boundary, title: as in `share_matrix`.
    - limit: end of the colour scale, the same at every boundary; None takes that of these values.
    """
    ink = INKS[theme]
    values = norm.transpose(dims.SOURCE_PASS, dims.SOURCE_WINDOW, dims.SOURCE_TOKEN).values.copy()
    passes, windows, tokens = values.shape
    values[_later((windows, passes), boundary).T] = np.nan
    most = limit if limit is not None else float(np.nanmax(values, initial=0.0))
    flat, block = reduced(values.reshape(passes, -1).astype(float))
    x = np.arange(flat.shape[1]) * block + (block - 1) / 2
    names = [text for window in symbols for text in window]
    every = max(1, -(-windows * tokens // LABELS))
    few = flat.size <= MOST_NUMBERS * 2 and block == 1
    trace = cells(
        flat,
        x=x,
        y=np.arange(1, passes + 1),
        hover=hover(f"{'%{text}' if few else 'token %{x:.0f}'}, pass %{{y:.0f}}: norm %{{z:.3g}}"),
        xgap=1 if windows * tokens <= 2 * LABELS else 0,
        ygap=2,
    )
    if few:
        places = np.ndindex(windows, tokens)
        words = [f"window {w + 1}, token {t + 1}: {names[w * tokens + t]}" for w, t in places]
        trace["text"] = [words] * passes
    means = f" (means of {block} tokens)" if block > 1 else ""
    where = list(range(0, windows * tokens, every))
    upturned = sum(len(names[i]) + 1 for i in where) > WIDTH  # else they would lie on each other
    below = {"xref": "x", "yshift": -50 if upturned else -38}
    heads = [
        note(
            f"window {w + 1}", w * tokens + (tokens - 1) / 2, 0, size=12, colour=ink.muted, **below
        )
        for w in range(windows)
    ]
    bar = {"x": 1.005, "xpad": 4}
    height = 30 + 72 + max(22, min(40, 132 // passes)) * passes
    text = f"Contribution of each token{f' to {title}' if title else ''}{means}"
    layout = frame(theme, height, 50, 70, 30, 72) | {
        "coloraxis": coloraxis(SEQUENTIAL, 0, most or 1.0, theme, "norm (units of S)", **bar),
        "xaxis": axis(
            tickvals=where,
            ticktext=[names[i] for i in where],
            tickangle=-90 if upturned else 0,
            tickfont={"size": 11},
            range=[-0.55, windows * tokens - 0.45],
        ),
        "yaxis": axis(
            "written in pass", range=[passes + 0.55, 0.45], tickvals=list(range(1, passes + 1))
        ),
        "shapes": [upright(w * tokens - 0.5, ink.muted, 1) for w in range(1, windows)],
        "annotations": [heading(text, shift=5), *heads],
    }
    return go.Figure([trace], layout)


def _later(shape: tuple[int, int], boundary: tuple[int, int]) -> np.ndarray:
    """Return which (window, pass from 1) come after a boundary, bool ``[window, pass]``."""
    window = np.arange(shape[0])[:, None]
    sleep_pass = np.arange(1, shape[1] + 1)
    return (window > boundary[0]) | ((window == boundary[0]) & (sleep_pass > boundary[1]))
