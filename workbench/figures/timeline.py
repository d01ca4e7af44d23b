"""The walk as a strip: a cell for each boundary, coloured by what each pass did."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from workbench import dims
from workbench.figures.marks import axis, coordinates, note, shape
from workbench.figures.theme import INKS, SEQUENTIAL, Theme, coloraxis, frame

GAP = 0.7
"""Room between two windows, in cells."""


def positions(passes: tuple[int, ...]) -> list[np.ndarray]:
    """Return where each window's boundaries are on the axis shared by strip and curves.

    `passes` has the last pass of each window. One array a window, float32
    ``[sleep_pass = 0..last]``, in units of one cell's width.
    """
    found, start = [], 0.0
    for last in passes:
        found.append(start + np.arange(last + 1, dtype=np.float32))
        start += last + 1 + GAP
    return found


def timeline(
    change: xr.DataArray,
    *,
    passes: tuple[int, ...],
    awake: tuple[bool, ...],
    boundary: tuple[int, int],
    theme: Theme = "light",
) -> go.Figure:
    """Draw windows x passes as one strip.

    Traces 0 and 1 are the cells (pass 0, then the others); their ``customdata`` holds window and
    pass of each.

    - change: relative change of the whole memory ``(window, sleep_pass)``, NaN at pass 0.
    - passes, awake, boundary: last pass of each window, which windows are read awake, and the
      cursor's window and pass.
    """
    ink = INKS[theme]
    where = positions(passes)
    values = change.transpose(dims.WINDOW, dims.SLEEP_PASS).values
    stops = [(w, p) for w, last in enumerate(passes) for p in range(last + 1)]
    # from S = 0 the change is 1; a pass that shrinks S can change it by more than its norm
    finite = values[np.isfinite(values)]  # where S stays 0 there is none
    most = max(1.0, math.ceil(2 * float(finite.max(initial=0.0))) / 2)
    traces: list[dict[str, Any]] = []
    for carried in (True, False):
        chosen = [(w, p) for w, p in stops if (p == 0) == carried]
        shown = coordinates([values[w, p] for w, p in chosen])
        coloured = {"color": shown, "coloraxis": "coloraxis"}
        traces.append(
            {
                "type": "bar",
                "x": coordinates([where[w][p] for w, p in chosen]),
                "y": np.ones(len(chosen), dtype=np.float32),
                "width": 0.92,
                "marker": {"color": ink.neutral} if carried else coloured,
                "customdata": np.array(chosen, dtype=np.int16),
                "hovertext": [_words(w, p, awake[w], values[w, p]) for w, p in chosen],
                "hoverinfo": "text",
                "showlegend": False,
            }
        )
    ticks, texts = _ticks(where, awake)
    bar = {"tickvals": [0, most / 2, most], "x": 1.0, "xpad": 10, "len": 1.3, "y": 0.45}
    layout = frame(theme, 106, 6, 92, 22, 40) | {
        "coloraxis": coloraxis(SEQUENTIAL, 0, most, theme, "|ΔS| / |S|", **bar),
        "title": {
            "text": "How much each pass changed the memory",
            "font": {"size": 12.5, "color": ink.muted},
            "y": 0.98,
            "yanchor": "top",
        },
        "bargap": 0,
        "barmode": "overlay",
        "xaxis": axis(
            tickvals=ticks, ticktext=texts, showline=False, range=[-0.6, float(where[-1][-1]) + 0.6]
        ),
        "yaxis": axis(grid=True, visible=False, range=[-0.1, 1.35]),
    }
    moving = timeline_place(passes=passes, awake=awake, boundary=boundary, theme=theme)
    return go.Figure(traces, layout | moving)


def timeline_place(
    *,
    passes: tuple[int, ...],
    awake: tuple[bool, ...],
    boundary: tuple[int, int],
    theme: Theme = "light",
) -> dict[str, Any]:
    """Return the part of the layout of `timeline` that changes with the cursor.

    A page that steps sends this alone, and keeps the strip.
    """
    ink, where = INKS[theme], positions(passes)
    here = float(where[boundary[0]][boundary[1]])
    on_axes = {"xref": "x", "yref": "y"}
    notes = [note("▼", here, 1.06, size=13, colour=ink.accent, yshift=7, **on_axes)]
    for w, x in enumerate(where):
        current = w == boundary[0]
        label = f"window {w + 1}: {'awake' if awake[w] else 'asleep'}"
        if len(passes) > 8:
            label = f"{w + 1}{' ☀' if awake[w] else ''}"
        elif awake[w]:
            label = f"{w + 1}: awake"
        text, colour = (f"<b>{label}</b>", ink.text) if current else (label, ink.muted)
        below = {"xanchor": "left", "yshift": -30} | on_axes
        notes.append(note(text, float(x[0]) - 0.46, 0, size=12, colour=colour, **below))
    around = shape("rect", (here - 0.5, here + 0.5), (-0.06, 1.06), ink.accent, 3)
    return {"shapes": [around], "annotations": notes}


def _words(window: int, sleep_pass: int, awake: bool, change: float) -> str:
    name = f"window {window + 1}"
    if sleep_pass == 0:
        return f"{name}: S as carried in" + (", after the eviction" if window else " (all zero)")
    done = "wake pass" if awake else f"sleep pass {sleep_pass}"
    return f"{name}, {done}: {change_words(change)}"


def change_words(change: float) -> str:
    """Return a relative change of S, ``|S_n - S_(n-1)| / |S_n|``, as the end of a sentence."""
    if np.isnan(change):
        return "S stayed 0"
    if np.isinf(change):
        return "S became 0"
    return f"S changed by {100 * change:.0f} % of its norm"


def _ticks(where: list[np.ndarray], awake: tuple[bool, ...]) -> tuple[list[float], list[str]]:
    """Return at most about 60 labels: pass numbers, thinned out where there are many."""
    total = sum(len(x) for x in where)
    every = max(1, total // 60 + 1)
    ticks, texts = [], []
    for x, is_awake in zip(where, awake, strict=True):
        for number, position in enumerate(x):
            if number % every == 0:
                ticks.append(float(position))
                texts.append("wake" if is_awake and number == 1 else str(number))
    return ticks, texts
