"""What figures of experiments share: panels side by side, intervals, chance lines, series."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import xarray as xr

from workbench import dims
from workbench.figures.marks import bars, heading, legend_below, panel_axes, point_words, scatter
from workbench.figures.theme import (
    DASHES,
    PALETTE,
    STATUS,
    Theme,
    axis_name,
    domains,
    frame,
    series,
    styled,
)
from workbench.tasks.phrases import level_words

ROW: Final = 210
"""Height of a row of panels, pixels."""
ABOVE, BELOW, BETWEEN = 30, 50, 78
"""Pixels over the panels, under them (tick labels and the axis title), and between two rows."""
LEGEND_ROW: Final = 21
"""Height of a row of the legend, pixels."""
LEGEND_LETTERS: Final = 45
"""Most letters that an entry of a legend has room for."""
COLUMNS: Final = 4
CHANCE_DASHES: Final = ("dot", "dash", "dashdot", "longdash")


def look(theme: Theme, number: int) -> dict[str, Any]:
    """Return line and marker of the series `number`; those beyond the palette differ in dash."""
    colour, symbol = series(theme, number)
    return styled(colour, symbol, DASHES[number // len(PALETTE[theme]) % len(DASHES)])


def layout(
    titles: Sequence[str],
    x: Mapping[str, Any],
    y: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    theme: Theme,
    *,
    entries: int = 0,
    left: int = 52,
    row: int = ROW,
    columns: int = COLUMNS,
) -> dict[str, Any]:
    """Return the layout of panels side by side, at most `columns` in a row.

    `x` and `y` are settings of the axes. A single `y` for all panels has its title at the left
    only. Room is left for `entries` of the legend, and for `left` pixels next to the axes.
    """
    count, shared, most = len(titles), isinstance(y, Mapping), columns
    rows = math.ceil(count / columns)
    columns = math.ceil(count / rows)  # five in rows of three and two, not of four and one
    drawn = rows * row + (rows - 1) * BETWEEN
    across = domains(columns, 0.05 if shared else 0.07)
    result: dict[str, Any] = {"annotations": [], "showlegend": entries > 0}
    for panel, title in enumerate(titles):
        line, column = divmod(panel, columns)
        top = 1 - line * (row + BETWEEN) / drawn
        own = dict(y if isinstance(y, Mapping) else y[panel])
        if shared and column:
            own |= {"title": {"text": ""}}
        result |= panel_axes(
            panel,
            {"fixedrange": True, "domain": list(across[column]), **x},
            {"fixedrange": True, "domain": [max(top - row / drawn, 0.0), top], **own},
        )
        result["annotations"].append(heading(title, across[column][0], top, shift=5))
    below = BELOW + LEGEND_ROW * math.ceil(entries / min(3, most)) + (6 if entries else 0)
    result["legend"] = legend_below(0, -BELOW / drawn)
    return result | frame(theme, ABOVE + drawn + below, left, 10, ABOVE, below)


def line(
    x: np.ndarray, y: np.ndarray, name: str, number: int, panel: int, theme: Theme, **more: Any
) -> dict[str, Any]:
    """Return the series `number` of a panel; a setting in `more` that is None is left out."""
    usual = {"mode": "lines+markers", "legendgroup": name, "showlegend": panel == 0}
    return scatter(x, y, panel, name=name, **usual | look(theme, number) | more)


def points(
    x: np.ndarray,
    summary: xr.Dataset,
    name: str,
    hover: Sequence[str],
    number: int,
    panel: int,
    theme: Theme,
    **more: Any,
) -> dict[str, Any]:
    """Return one series: its known points, joined, with error bars and hover text.

    Where `summary` has ``finished`` and ``at_step``, as of runs that may still train, unfinished
    points are hollow, and a line joins only neighbours that have finished or are at equal steps.
    """
    every = points_of(summary)
    there = np.flatnonzero(~np.isnan(every[0]))
    mean, low, high, count = (values[there] for values in every)
    ends = zip(mean, low, high, count.astype(int).tolist(), strict=True)
    words = [
        f"{hover[i]}: {interval_words(*end)}" for i, end in zip(there.tolist(), ends, strict=True)
    ]
    x = x[there]
    if "finished" in summary:
        marker = dict(more.pop("marker", look(theme, number)["marker"]))
        finished = summary["finished"].values[there]
        moment = np.where(finished, np.inf, summary["at_step"].values[there])
        gaps = np.flatnonzero(moment[1:] != moment[:-1]) + 1
        x, mean, low, high = (
            np.insert(values.astype(float), gaps, np.nan) for values in (x, mean, low, high)
        )
        symbols = [marker["symbol"] + ("" if done else "-open") for done in finished]
        for gap in gaps[::-1].tolist():
            symbols.insert(gap, symbols[gap])
            words.insert(gap, "")
        more["marker"] = marker | {"symbol": symbols}
    usual = {"error_y": bars(mean, low, high), "legendrank": number, **point_words(words)}
    return line(x, mean, name, number, panel, theme, **usual | more)


def row_names(result: dict[str, Any], names: Sequence[str], panels: int) -> None:
    """Label the rows of the panels in the left column."""
    for panel in range(panels):
        first = result[axis_name("x", panel)]["domain"][0] == 0
        result[axis_name("y", panel)] |= {
            "tickvals": list(range(len(names))),
            "ticktext": list(names) if first else [""] * len(names),
            "ticklabelstandoff": 4,
        }


def n_axis(values: Iterable[float], title: str) -> dict[str, Any]:
    """Return a log axis of N with a tick at each N; a linear one where N may be 0."""
    ticks = sorted({float(v) for v in values}) or [1.0]
    log = ticks[0] > 0
    if log:
        ends = [math.log10(ticks[0]) - 0.12, math.log10(ticks[-1]) + 0.12]
    else:
        ends = [-0.3, ticks[-1] + 0.3]
    return {
        "type": "log" if log else "linear",
        "title": {"text": title},
        "tickvals": ticks,
        "ticktext": [f"{v:g}" for v in ticks],
        "range": ends,
        "showgrid": False,
    }


def interval_words(mean: float, low: float, high: float, count: int) -> str:
    """Return a mean and its interval in words: ``0.93 (0.90 to 0.96; 5 seeds)``."""
    seeds = f"{count} seed{'' if count == 1 else 's'}"
    return f"{mean:.2f} ({'' if math.isnan(low) else f'{low:.2f} to {high:.2f}; '}{seeds})"


def points_of(summary: xr.Dataset) -> tuple[np.ndarray, ...]:
    """Return mean, low, high and count of a summary with one dim."""
    return tuple(summary[name].values for name in ("mean", "low", "high", "count"))


def titles_of(data: xr.Dataset | xr.DataArray, dim: str, difficulty_name: str) -> list[str]:
    """Return the words of each coordinate of `dim`: arms by title, difficulties by unit."""
    values = data[dim].values.tolist()
    if dim == dims.DIFFICULTY:
        return [level_words(level, difficulty_name) for level in values]
    if dim == dims.ARM and "title" in data.coords:
        return [str(title) for title in np.atleast_1d(data["title"].values)]
    return [str(value) for value in values]


def chance_lines(
    chance: xr.DataArray | None,
    ends: tuple[float, float],
    panel: int,
    theme: Theme,
    *,
    upright: bool = False,
) -> list[dict[str, Any]]:
    """Return the chance lines of a panel, or a band where a line differs between difficulties.

    `chance` is ``[chance_line]``, or ``[chance_line, difficulty]`` with the difficulties of the
    panel. `ends` are on the other axis; `upright` puts the share on the x axis.
    """
    traces: list[dict[str, Any]] = []
    if chance is None:
        return traces
    ink = STATUS["chance"][theme]
    for number, name in enumerate(chance[dims.CHANCE_LINE].values.tolist()):
        values = np.atleast_1d(chance.isel({dims.CHANCE_LINE: number}).values)
        values = values[~np.isnan(values)]
        if not values.size:
            continue
        low, high = float(values.min()), float(values.max())
        words = f"{low:.3f}" if high - low < 5e-4 else f"{low:.3f} to {high:.3f}"
        along, across = [*ends], [low, low]
        if high - low >= 5e-4:
            along, across = [*ends, *ends[::-1]], [low, low, high, high]
        filled = {"fill": "toself", "fillcolor": faint(ink)} if len(across) > 2 else {}
        dash = CHANCE_DASHES[number % len(CHANCE_DASHES)]
        traces.append(
            scatter(
                *((across, along) if upright else (along, across)),
                panel,
                mode="lines",
                name=_chance_label(name),
                legendgroup=f"chance {name}",
                legendrank=2000 + number,
                showlegend=panel == 0,
                line={"color": ink, "width": 1.4, "dash": dash},
                hoverinfo="text",
                hovertext=f"chance, {name}: {words}",
                **filled,
            )
        )
    return traces


def faint(colour: str, opacity: float = 0.18) -> str:
    """Return ``#rrggbb`` as a colour that lets the page through."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"


def of_level(chance: xr.DataArray | None, level: Any) -> xr.DataArray | None:
    """Return the chance lines at one difficulty."""
    return None if chance is None else chance.sel({dims.DIFFICULTY: level})


def lines_in(chance: xr.DataArray | None) -> int:
    """Return how many chance lines there are."""
    return 0 if chance is None else chance.sizes[dims.CHANCE_LINE]


def _chance_label(name: str) -> str:
    """Return a chance line's entry in the legend, which cuts what is longer."""
    label = f"chance: {name.removeprefix('the same model ')}"
    return label if len(label) <= LEGEND_LETTERS else label.removeprefix("chance: ")
