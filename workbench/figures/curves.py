"""Curves along the walk: norm, relative change, effective rank, and the right answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from workbench import dims
from workbench.figures.theme import INKS, Theme, axis_id, axis_name, domains, series, template
from workbench.figures.timeline import positions
from workbench.tasks.base import level_words

PANELS = (
    ("norm", "Norm of S by head", "|S| (Frobenius)"),
    ("relative_change", "Change per pass against replay", "|ΔS| / |S|"),
    ("effective_rank", "Effective rank of S by head", "directions (exp entropy)"),
)


def pass_curves(
    summary: xr.Dataset,
    right: xr.DataArray,
    *,
    passes: tuple[int, ...],
    awake: tuple[bool, ...],
    place: tuple[int, int],
    difficulty: np.ndarray,
    difficulty_name: str,
    chance: np.ndarray | None,
    one_symbol: bool = True,
    replay: Mapping[int, xr.DataArray] | None = None,
    replay_name: str = "replay of pass 1",
    selected: int = 0,
    theme: Theme = "light",
) -> go.Figure:
    """Draw four panels over the same axis of stops.

    Parameters
    ----------
    summary : Dataset
        ``norm``, ``relative_change``, ``effective_rank`` of one layer ``(window, sleep_pass,
        gdn_head)``.
    right : DataArray
        Probability of the right answer if the model woke there ``(window, sleep_pass, query)``.
    passes : tuple of int
        Last pass of each window.
    awake : tuple of bool
        Which windows are read awake.
    place : (int, int)
        Window and pass of the cursor.
    difficulty : ndarray
        int ``[query]``.
    difficulty_name : str
        "hops" or "rollout".
    chance : ndarray or None
        Expected score of a guess ``[query]``; None draws no chance line.
    one_symbol : bool
        Whether an answer is one symbol. If not, the figure says that it shows first symbols.
    replay : mapping or None
        Window -> ``relative_change`` of the first pass replayed ``(sleep_pass, gdn_head)``, the
        baseline without which a falling curve says nothing.
    replay_name : str
        What that baseline is; with several fast-weight layers it is not pass 1 in all of them.
    selected : int
        The head drawn in front.
    """
    where = positions(passes)
    heads = summary[dims.GDN_HEAD].values
    order = [h for h in range(len(heads)) if h != selected] + [selected]
    traces = []
    for column, (name, _, _) in enumerate(PANELS):
        for head in order:
            values = summary[name].isel({dims.GDN_HEAD: head})
            traces.append(
                _line(
                    values.transpose(dims.WINDOW, dims.SLEEP_PASS).values,
                    where,
                    f"head {heads[head]}",
                    series(theme, head),
                    column,
                    strong=head == selected,
                )
                | {"legendrank": int(head), "showlegend": column == 0}
            )
    traces += _replay_lines(replay or {}, replay_name, where, selected, theme)
    traces += _right_lines(right, where, difficulty, difficulty_name, theme)
    traces += _chance_lines(chance, where, theme)
    layout = _layout(where, awake, "answers" if one_symbol else "first symbols", theme)
    return go.Figure(traces, layout | curves_place(passes=passes, place=place, theme=theme))


def curves_place(
    *, passes: tuple[int, ...], place: tuple[int, int], theme: Theme = "light"
) -> dict[str, Any]:
    """Return the part of the layout of `pass_curves` that changes with the cursor.

    Parameters as there; a page that steps sends this alone, and keeps the curves.
    """
    ink, where = INKS[theme], positions(passes)
    here = float(where[place[0]][place[1]])
    borders = [(float(a[-1]) + float(b[0])) / 2 for a, b in zip(where[:-1], where[1:], strict=True)]
    shapes = []
    for column in range(len(PANELS) + 1):
        vertical = {
            "type": "line", "xref": axis_id("x", column), "yref": "paper", "y0": 0, "y1": 1,
        }  # fmt: skip
        shapes += [
            vertical
            | {"x0": x, "x1": x, "layer": "below", "line": {"color": ink.grid, "width": 1.5}}
            for x in borders
        ]
        shapes.append(
            vertical | {"x0": here, "x1": here, "line": {"color": ink.accent, "width": 2}}
        )
    return {"shapes": shapes}


def _line(
    values: np.ndarray,
    where: list[np.ndarray],
    name: str,
    look: tuple[str, str],
    column: int,
    *,
    strong: bool,
) -> dict[str, Any]:
    """Return one series over all stops, broken between windows."""
    x = np.concatenate([np.append(w, np.nan) for w in where])
    y = np.concatenate([np.append(values[i, : len(w)], np.nan) for i, w in enumerate(where)])
    colour, symbol = look
    return {
        "type": "scatter",
        "x": x.astype(np.float32),
        "y": y.astype(np.float32),
        "xaxis": axis_id("x", column),
        "yaxis": axis_id("y", column),
        "name": name,
        "mode": "lines+markers",
        "line": {"color": colour, "width": 2.6 if strong else 1.5},
        "marker": {"symbol": symbol, "size": 7 if strong else 5, "color": colour},
        "opacity": 1 if strong else 0.85,
        "legendgroup": name,
        "hovertemplate": "%{y:.3g}<extra>" + name + "</extra>",
    }


def _replay_lines(
    replay: Mapping[int, xr.DataArray],
    name: str,
    where: list[np.ndarray],
    selected: int,
    theme: Theme,
) -> list[dict[str, Any]]:
    # after a single pass there is nothing that a second one could be compared with
    shown = {window: values for window, values in replay.items() if len(where[window]) > 2}
    return [
        {
            "type": "scatter",
            "x": where[window].astype(np.float32),
            "y": values.isel({dims.GDN_HEAD: selected}).values.astype(np.float32),
            "xaxis": axis_id("x", 1),
            "yaxis": axis_id("y", 1),
            "name": name,
            "mode": "lines",
            "line": {"color": INKS[theme].text, "width": 1.8, "dash": "dash"},
            "legendgroup": "replay",
            "legendrank": 2000,
            "showlegend": number == 0,
            "hovertemplate": "%{y:.3g}<extra>" + name + "</extra>",
        }
        for number, (window, values) in enumerate(shown.items())
    ]


def _right_lines(
    right: xr.DataArray,
    where: list[np.ndarray],
    difficulty: np.ndarray,
    difficulty_name: str,
    theme: Theme,
) -> list[dict[str, Any]]:
    values = right.transpose(dims.WINDOW, dims.SLEEP_PASS, dims.QUERY).values
    lines = []
    for number, level in enumerate(np.unique(difficulty).tolist()):
        name = level_words(level, difficulty_name)
        mean = values[:, :, difficulty == level].mean(axis=2)
        line = _line(mean, where, name, series(theme, number), 3, strong=True)
        lines.append(line | {"legend": "legend2"})
    return lines


def _chance_lines(
    chance: np.ndarray | None, where: list[np.ndarray], theme: Theme
) -> list[dict[str, Any]]:
    values = [] if chance is None else np.unique(chance.round(4)).tolist()
    end = float(where[-1][-1]) + 0.6
    return [
        {
            "type": "scatter",
            "x": np.array([-0.6, end], dtype=np.float32),
            "y": np.array([value, value], dtype=np.float32),
            "xaxis": axis_id("x", 3),
            "yaxis": axis_id("y", 3),
            "mode": "lines",
            "name": "chance",
            "legend": "legend2",
            "showlegend": number == 0,
            "line": {"color": INKS[theme].text, "width": 1.5, "dash": "dot"},
            "hovertemplate": f"chance {value:.3f}<extra></extra>",
        }
        for number, value in enumerate(values)
    ]


def _ticks(where: list[np.ndarray], awake: tuple[bool, ...]) -> tuple[list[float], list[str]]:
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


def _layout(
    where: list[np.ndarray], awake: tuple[bool, ...], asked: str, theme: Theme
) -> dict[str, Any]:
    end = float(where[-1][-1])
    ticks, texts = _ticks(where, awake)
    titles = [(title, unit) for _, title, unit in PANELS]
    titles.append((f"Right {asked} if it woke here", "mean probability"))
    layout: dict[str, Any] = {"annotations": []}
    for column, (domain, (title, unit)) in enumerate(zip(domains(4, 0.066), titles, strict=True)):
        layout[axis_name("x", column)] = {
            "domain": domain,
            "anchor": axis_id("y", column),
            "title": {"text": "pass (w: wake)"},
            "tickvals": ticks,
            "ticktext": texts,
            "tickangle": 0,
            "range": [-0.6, end + 0.6],
            "showgrid": False,
            "fixedrange": True,
        }
        layout[axis_name("y", column)] = {
            "anchor": axis_id("x", column),
            "title": {"text": unit},
            "fixedrange": True,
            "nticks": 6,
        } | ({"rangemode": "tozero"} if column < 3 else {"range": [-0.03, 1.05]})
        layout["annotations"].append(
            {
                "text": title, "xref": "paper", "yref": "paper", "x": domain[0], "y": 1,
                "xanchor": "left", "yanchor": "bottom", "yshift": 4, "showarrow": False,
                "font": {"size": 13.5},
            }
        )  # fmt: skip
    below = {"orientation": "h", "y": -0.27, "yanchor": "top", "font": {"size": 11.5}}
    return layout | {
        "template": template(theme),
        "height": 300,
        "margin": {"l": 50, "r": 8, "t": 28, "b": 84},
        "legend": below | {"x": -0.03, "xanchor": "left"},
        "legend2": below | {"x": 1.01, "xanchor": "right"},
    }
