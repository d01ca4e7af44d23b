"""Panels over the axis of boundaries: every pass of every window, in the order of the walk.

Windows stand side by side, separated by a line. The cursor is a separate part of the layout, so a
page that steps keeps the curves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from workbench.figures.marks import (
    axis,
    bars,
    heading,
    hover,
    legend_below,
    panel_axes,
    scatter,
    upright,
)
from workbench.figures.theme import INKS, Theme, domains, frame, series

HEIGHT: Final = 300
"""Of a figure with one row of panels and a legend of two rows below, pixels."""
BELOW: Final = 84
"""Pixels under the panels: tick labels, axis titles and the legend."""
GAP: Final = 0.7
"""Room between two windows; two passes are 1 apart."""


class Panel(NamedTuple):
    """What a panel compares, the title of its y axis, and further settings of that axis."""

    title: str
    unit: str
    y: Mapping[str, Any] = {"rangemode": "tozero"}


def positions(passes: tuple[int, ...]) -> list[np.ndarray]:
    """Return where each window's boundaries are on the x axis.

    `passes` has the last pass of each window. One array a window, float32
    ``[sleep_pass = 0..last]``.
    """
    found, start = [], 0.0
    for last in passes:
        found.append(start + np.arange(last + 1, dtype=np.float32))
        start += last + 1 + GAP
    return found


def boundary_line(
    values: np.ndarray,
    where: Sequence[np.ndarray],
    name: str,
    look: tuple[str, str],
    panel: int,
    *,
    strong: bool = True,
    dash: str = "solid",
    interval: tuple[np.ndarray, np.ndarray] | None = None,
) -> dict[str, Any]:
    """Return one series over all boundaries, broken between windows.

    `values` and the ends of an `interval` (drawn as error bars) are ``[window, sleep_pass]``;
    NaN is left out. `where` comes from `positions`; `look` is colour and marker.
    """
    x, y = np.concatenate([np.append(w, np.nan) for w in where]), _along(values, where)
    colour, symbol = look
    error = bars(y, *(_along(end, where) for end in interval)) if interval else None
    return scatter(
        x,
        y,
        panel,
        name=name,
        mode="lines+markers",
        line={"color": colour, "width": 2.6 if strong else 1.5, "dash": dash},
        marker={"symbol": symbol, "size": 7 if strong else 5, "color": colour},
        opacity=1 if strong else 0.85,
        legendgroup=name,
        hovertemplate=hover("%{y:.3g}", name),
        error_y=error and error | {"thickness": 1.2, "width": 2},
    )


def head_lines(
    values: np.ndarray,
    where: Sequence[np.ndarray],
    heads: Sequence[int],
    selected: int,
    panel: int,
    theme: Theme,
) -> list[dict[str, Any]]:
    """Return a series for each head, ``[gdn_head, window, sleep_pass]``, the selected in front."""
    lines = []
    for index in sorted(range(len(heads)), key=lambda i: heads[i] == selected):
        look, strong = series(theme, index), heads[index] == selected
        name = f"head {heads[index]}"
        line = boundary_line(values[index], where, name, look, panel, strong=strong)
        lines.append(line | {"legendrank": index + 1, "showlegend": panel == 0})
    return lines


def procedure_lines(
    values: np.ndarray, where: Sequence[np.ndarray], names: Sequence[str], panel: int, theme: Theme
) -> list[dict[str, Any]]:
    """Return the sleep and its baselines, ``[procedure, window, sleep_pass]``, the sleep first."""
    lines = []
    for number, name in enumerate(names):
        look = (INKS[theme].text, "diamond") if number else series(theme, 0)
        dash = ("solid", "dash", "dot")[min(number, 2)]
        line = boundary_line(values[number], where, name, look, panel, strong=not number, dash=dash)
        lines.append(line | {"showlegend": panel == 0, "opacity": 1})
    return lines


def level_line(
    value: float, where: Sequence[np.ndarray], name: str, panel: int, theme: Theme, **more: Any
) -> dict[str, Any]:
    """Return a dotted line at one value, from end to end: chance, or what is possible."""
    usual = {
        "mode": "lines",
        "name": name,
        "legendgroup": name,
        "line": {"color": INKS[theme].text, "width": 1.5, "dash": "dot"},
        "hovertemplate": hover(f"{name} {value:.3f}"),
    }
    return scatter([-0.6, float(where[-1][-1]) + 0.6], [value, value], panel, **usual | more)


def level_lines(
    values: np.ndarray | None,
    where: Sequence[np.ndarray],
    name: str,
    panel: int,
    theme: Theme,
    **more: Any,
) -> list[dict[str, Any]]:
    """Return `level_line` at each value, NaN left out; one legend entry for all of them."""
    known = [] if values is None else np.unique(values[~np.isnan(values)].round(4)).tolist()
    return [
        level_line(v, where, name, panel, theme, showlegend=v == known[0], **more) for v in known
    ]


def boundary_panels(
    panels: Sequence[Panel],
    where: Sequence[np.ndarray],
    awake: Sequence[bool],
    theme: Theme,
    *,
    gap: float = 0.066,
) -> dict[str, Any]:
    """Return the layout of panels side by side over the axis of boundaries."""
    ticks, texts = boundary_ticks(where, awake)
    x = axis(
        "pass (w: wake)" if any(awake) else "pass",
        tickvals=ticks,
        ticktext=texts,
        tickangle=0,
        range=[-0.6, float(where[-1][-1]) + 0.6],
    )
    layout: dict[str, Any] = {"annotations": []}
    for column, (domain, panel) in enumerate(zip(domains(len(panels), gap), panels, strict=True)):
        y = axis(panel.unit, grid=True, nticks=6, **panel.y)
        layout |= panel_axes(column, x | {"domain": domain}, y)
        layout["annotations"].append(heading(panel.title, domain[0]))
    layout["legend"] = legend_below(-0.03, -51 / (HEIGHT - BELOW - 28))
    return layout | frame(theme, HEIGHT, 50, 8, 28, BELOW)


def boundary_cursor(
    panels: int,
    *,
    passes: tuple[int, ...],
    boundary: tuple[int, int] | None,
    theme: Theme = "light",
) -> dict[str, Any]:
    """Return the part of a layout that changes with the cursor, for so many panels.

    `passes` has the last pass of each window, `boundary` the cursor's window and pass, or None
    where it is in none of them. A page that steps sends this part alone, and keeps the curves.
    """
    ink, where = INKS[theme], positions(passes)
    borders = [(float(a[-1]) + float(b[0])) / 2 for a, b in zip(where[:-1], where[1:], strict=True)]
    shapes = []
    for column in range(panels):
        shapes += [upright(x, ink.grid, 1.5, column, layer="below") for x in borders]
        if boundary is not None:
            here = float(where[boundary[0]][boundary[1]])
            shapes.append(upright(here, ink.accent, 2, column))
    return {"shapes": shapes}


def boundary_ticks(
    where: Sequence[np.ndarray], awake: Sequence[bool]
) -> tuple[list[float], list[str]]:
    """Return at most a dozen or so labels: pass numbers of sleeps, and w for each wake."""
    total = sum(len(w) for w, wakes in zip(where, awake, strict=True) if not wakes)
    every = next(s for s in (1, 2, 4, 8, 16) if total / s <= 9 or s == 16)
    ticks, texts = [], []
    for w, wakes in zip(where, awake, strict=True):
        if wakes:
            ticks.append(float(w[-1]))
            texts.append("w")
            continue
        for number in range(0, len(w), every):
            ticks.append(float(w[number]))
            texts.append(str(number))
    return ticks, texts


def _along(values: np.ndarray, where: Sequence[np.ndarray]) -> np.ndarray:
    """Return ``[window, sleep_pass]`` in the order of the walk, NaN after each window."""
    return np.concatenate([np.append(values[i, : len(w)], np.nan) for i, w in enumerate(where)])
