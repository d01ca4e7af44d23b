"""Traces, axes, shapes and notes as Plotly takes them, with what all of our figures share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike

from workbench.figures.theme import axis_id, axis_name

Pair = tuple[float, float]

ACCURACY: Final = "accuracy (share right)"
SHARE: Final = [-0.04, 1.06]
"""Range of an axis for a share of right answers."""


def on(panel: int) -> dict[str, str]:
    """Return the axes of a trace in that panel."""
    return {"xaxis": axis_id("x", panel), "yaxis": axis_id("y", panel)}


def coordinates(values: ArrayLike) -> np.ndarray:
    """Return numbers as float32, half the bytes of a list in the figure's JSON."""
    return np.ascontiguousarray(values, dtype=np.float32)


def scatter(x: ArrayLike, y: ArrayLike, panel: int = 0, **more: Any) -> dict[str, Any]:
    """Return a trace of points in a panel; a setting in `more` that is None is left out."""
    points = {"type": "scatter", "x": coordinates(x), "y": coordinates(y), **on(panel)}
    return points | {key: value for key, value in more.items() if value is not None}


def hover(text: str, name: str = "") -> str:
    """Return a hover template without Plotly's box for the trace's name, or with `name` in it."""
    return f"{text}<extra>{name}</extra>"


def point_words(words: Sequence[str]) -> dict[str, Any]:
    """Return what is shown at each point of a trace."""
    return {"hovertext": list(words), "hovertemplate": hover("%{hovertext}")}


def bars(mean: np.ndarray, low: np.ndarray, high: np.ndarray) -> dict[str, Any] | None:
    """Return error bars from `low` to `high`; None where no point has an interval.

    A point without an interval gets a bar of no length, which its marker covers; so does an end
    on the wrong side of its mean, as rounding may leave it.
    """
    known = ~np.isnan(low)
    if not known.any():
        return None
    ends = {
        "array": np.where(known, high - mean, 0).clip(0).astype(np.float32),
        "arrayminus": np.where(known, mean - low, 0).clip(0).astype(np.float32),
    }
    return {"type": "data", "symmetric": False, "thickness": 1.4, "width": 3, **ends}


def axis(title: str = "", *, grid: bool = False, **more: Any) -> dict[str, Any]:
    """Return an axis that cannot be zoomed."""
    found: dict[str, Any] = (
        {"fixedrange": True} if grid else {"fixedrange": True, "showgrid": False}
    )
    return found | ({"title": {"text": title}} if title else {}) | more


def share_axis(title: str) -> dict[str, Any]:
    """Return an axis for shares of right answers."""
    return axis(title, grid=True, range=SHARE, nticks=6)


def score_axis(measure: str, **more: Any) -> dict[str, Any]:
    """Return an axis for accuracy, or for another measure by its name."""
    if not measure:
        return share_axis(ACCURACY) | more
    return axis(measure, grid=True, rangemode="tozero", nticks=6) | more


def pass_axis(title: str, passes: np.ndarray) -> dict[str, Any]:
    """Return an axis with a tick at each pass."""
    ends = [float(passes[0]) - 0.3, float(passes[-1]) + 0.3]
    return axis(title, tickvals=passes.tolist(), range=ends)


def columns_axis(title: str, names: Sequence[Any] | np.ndarray) -> dict[str, Any]:
    """Return the x axis of a matrix with a name at each column."""
    ticks, texts = list(range(len(names))), [str(name) for name in names]
    return axis(title, tickvals=ticks, ticktext=texts, range=[-0.5, len(names) - 0.5])


def rows_axis(count: int, **more: Any) -> dict[str, Any]:
    """Return the y axis of so many rows, the first on top."""
    return axis(range=[count - 0.5, -0.5], **more)


def panel_axes(panel: int, x: dict[str, Any], y: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a layout that holds a panel's axes, each anchored to the other."""
    return {
        axis_name("x", panel): {"anchor": axis_id("y", panel), **x},
        axis_name("y", panel): {"anchor": axis_id("x", panel), **y},
    }


def shape(
    kind: str, x: Pair, y: Pair, colour: str, width: float, panel: int = 0, **more: Any
) -> dict[str, Any]:
    """Return a "line" or "rect" from one pair of ends to the other, on the axes of a panel."""
    ends = {"x0": x[0], "x1": x[1], "y0": y[0], "y1": y[1]}
    refs = {"xref": axis_id("x", panel), "yref": axis_id("y", panel)}
    return {"type": kind, **refs, **ends, "line": {"color": colour, "width": width}} | more


def upright(x: float, colour: str, width: float, panel: int = 0, **more: Any) -> dict[str, Any]:
    """Return a vertical line through a panel from end to end."""
    return shape("line", (x, x), (0, 1), colour, width, panel, yref="paper", **more)


def note(
    text: str, x: float, y: float, *, size: float, colour: str | None = None, **more: Any
) -> dict[str, Any]:
    """Return an annotation at (x, y) of the paper."""
    font = {"size": size} | ({"color": colour} if colour else {})
    at = {"xref": "paper", "yref": "paper", "x": x, "y": y}
    return {"text": text, **at, "showarrow": False, "font": font} | more


def heading(text: str, x: float = 0, y: float = 1, *, shift: int = 4) -> dict[str, Any]:
    """Return the note above a panel whose upper left corner is at (x, y) of the paper."""
    return note(text, x, y, size=13.5, xanchor="left", yanchor="bottom", yshift=shift)


def legend_below(x: float, y: float, **more: Any) -> dict[str, Any]:
    """Return a legend in rows, with its upper left corner at (x, y) of the paper."""
    place = {"x": x, "xanchor": "left", "y": y, "yanchor": "top"}
    return {"orientation": "h", "font": {"size": 11.5}} | place | more
