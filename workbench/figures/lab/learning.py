"""Learning curves: loss and accuracy by difficulty, against steps, compute or time."""

from __future__ import annotations

from math import ceil
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from workbench import dims
from workbench.figures.marks import axis, hover, scatter, score_axis
from workbench.figures.panels import (
    COLUMNS,
    chance_lines,
    faint,
    layout,
    lines_in,
    look,
    of_level,
)
from workbench.figures.theme import Theme, arm_looks, axis_name, level_looks
from workbench.tasks.phrases import level_words

Against = Literal["step", "flops", "seconds"]
AXES: Final[dict[Against, str]] = {
    "step": "optimiser step",
    "flops": "training (FLOPs)",
    "seconds": "training (s)",
}
POINTS_BYTES: Final = 110_000
"""Bytes of a figure left for points, after traces and layout."""
MARKED: Final = 60
"""Most evaluations with a marker each."""
BEGUN: Final = 3
"""Most losses with a marker each: one point makes no line."""
POINT_BYTES: Final = 11
"""Bytes of a point in the figure's JSON: two float32 in base 64."""


class _Kind(NamedTuple):
    """Where a variable of learning curves stands."""

    step: str
    flops: str
    seconds: str


KINDS: Final = {
    "loss": _Kind(dims.LOGGED_STEP, "logged_flops", "logged_seconds"),
    "accuracy": _Kind(dims.STEP, "training_flops", "seconds"),
}


def learning_curves(
    curves: xr.Dataset,
    *,
    difficulty_name: str,
    against: Against = "step",
    chance: xr.DataArray | None = None,
    measure: str = "",
    theme: Theme = "light",
    smoothing: float = 0.0,
    columns: int = COLUMNS,
) -> go.Figure:
    """Draw loss and accuracy as training goes on.

    The thick line is the mean over seeds, the band its interval, thin lines are the seeds. One
    condition has a panel with a line for each difficulty; several have a panel for each difficulty
    with a line for each condition.

    - curves:
      ``accuracy (condition, seed, difficulty, step)``, ``loss (condition, seed, logged_step)``,
      each with ``_mean``, ``_low``, ``_high``; ``training_flops (condition, step)``,
      ``logged_flops``, ``seconds (condition, seed, step)``, ``logged_seconds``.
    - difficulty_name: "hops" or "rollout".
    - against ({"step", "flops", "seconds"}): the x axis.
    - chance: ``[chance_line, difficulty]``, a share.
    - measure: name of what is measured, by group; "" for accuracy by difficulty.
    - smoothing: weight of earlier losses in the mean that is drawn, 0 to below 1; the loss as
      logged stays behind it.
    - columns: most panels in a row.

    All panels are zoomed along x together.
    """
    names = [str(name) for name in curves[dims.CONDITION].values]
    levels = curves[dims.DIFFICULTY].values.tolist()
    words = [level_words(level, difficulty_name) for level in levels]
    single = len(names) == 1
    most = _most(curves, len(names) * (1 + len(levels)))
    every = {name: ceil(_points(curves[name], kind.step) / most) for name, kind in KINDS.items()}
    families = curves["family"] if "family" in curves.coords else curves[dims.CONDITION]
    looks = level_looks(levels, theme) if single else arm_looks(families.values.tolist(), theme)
    traces: list[dict[str, Any]] = []
    reach = _reach(curves, against)
    for number, name in enumerate(names):
        one = _thin(curves.isel({dims.CONDITION: number}), "loss", every["loss"])
        # for one condition the legend is of difficulties, so the loss has its own colour
        own = (look(theme, 6), "loss") if single else (looks[number], name)
        traces += _series(one, "loss", against, *own, number, 0, smoothing)
    for column, level in enumerate(levels):
        panel = 1 if single else 1 + column
        here = of_level(chance, level)
        if single:
            here = chance if column == 0 else None
        lines = chance_lines(here, (0.0, reach), panel, theme)
        traces += [line | {"showlegend": column == 0} for line in lines]
        for number, name in enumerate(names):
            at = {dims.CONDITION: number, dims.DIFFICULTY: column}
            one = _thin(curves.isel(at), "accuracy", every["accuracy"])
            if single:
                number, name = column, words[column]
            traces += _series(one, "accuracy", against, looks[number], name, number, panel)
    # of the runs: the band of two seeds would take the panel for itself
    highest = float(curves["loss"].fillna(0.0).max()) if curves["loss"].size else 0.0
    reaches = {"range": [-0.04 * highest, 1.05 * highest]} if highest else {}
    loss = axis("loss (nats per token)", grid=True, rangemode="tozero", nticks=6, **reaches)
    titles = ["Loss" + (", smoothed" if smoothing else "") + _thinned(every["loss"])]
    what = measure[:1].upper() + measure[1:] or "Accuracy"
    by = "group" if measure else "difficulty"
    above = [f"{what} by {by}"] if single else [f"{what}, {word}" for word in words]
    titles += [title + _thinned(every["accuracy"]) for title in above]
    powers = "power" if against == "flops" else "none"
    x = axis(AXES[against], grid=True, range=[0, reach], exponentformat=powers, nticks=5)
    labels = words if single else names
    for label in labels:  # its first curve; a run may have logged only its loss
        first = next((trace for trace in traces if trace["name"] == label), {})
        first["showlegend"] = True
    entries = len(labels) + lines_in(chance)
    y = [loss, *[score_axis(measure)] * len(above)]
    drawn = layout(titles, x, y, theme, entries=entries, columns=columns)
    for panel in range(len(titles)):
        drawn[axis_name("x", panel)] |= {"fixedrange": False} | ({"matches": "x"} if panel else {})
    return go.Figure(traces, drawn | {"dragmode": "zoom", "uirevision": against})


def smoothed(values: np.ndarray, weight: float) -> np.ndarray:
    """Return at each place the mean of all values up to it; one `k` places back counts weight^k."""
    total = norm = 0.0
    found = []
    for value in values:
        total, norm = weight * total + value, weight * norm + 1
        found.append(total / norm)
    return np.array(found)


def _series(
    one: xr.Dataset,
    name: str,
    against: Against,
    style: dict[str, Any],
    label: str,
    number: int,
    panel: int,
    smoothing: float = 0.0,
) -> list[dict[str, Any]]:
    """Return thin seeds, the band and the mean of one series; empty where nothing is known."""
    colour = style["line"]["color"]
    seeds = one[name].transpose(dims.SEED, ...)
    if not seeds.notnull().any():
        return []
    place = _place(one, name, against)
    quiet = {"legendgroup": label, "showlegend": False, "hoverinfo": "skip"}
    traces: list[dict[str, Any]] = []
    if seeds.sizes[dims.SEED] > 1:
        xs, ys = [], []
        for x, y in zip(place.values, seeds.values, strict=True):
            there = ~(np.isnan(x) | np.isnan(y))
            xs += [x[there], [np.nan]]
            ys += [y[there], [np.nan]]
        traces.append(
            scatter(
                np.concatenate(xs),
                np.concatenate(ys),
                panel,
                mode="lines",
                name=f"{label}, each seed",
                line={"color": colour, "width": 0.9},
                opacity=0.45,
                **quiet,
            )
        )
    x = place.mean(dims.SEED).values
    mean, low, high = (one[f"{name}_{part}"].values for part in ("mean", "low", "high"))
    banded = ~(np.isnan(x) | np.isnan(low))
    if banded.any():
        around = np.concatenate([x[banded], x[banded][::-1]])
        ends = np.concatenate([high[banded], low[banded][::-1]])
        traces.append(
            scatter(
                around,
                ends,
                panel,
                mode="none",
                name=f"{label}, 95 % interval",
                fill="toself",
                fillcolor=faint(colour),
                **quiet,
            )
        )
    there = ~(np.isnan(x) | np.isnan(mean))
    if smoothing:
        logged = {"line": {"color": colour, "width": 1.2}, "opacity": 0.35, "mode": "lines"}
        logged |= {"name": f"{label}, as logged", **quiet}
        traces.append(scatter(x[there], mean[there], panel, **logged))
        mean = mean.copy()
        mean[there] = smoothed(mean[there], smoothing)
    marked = int(there.sum()) <= (MARKED if name == "accuracy" else BEGUN)
    traces.append(
        scatter(
            x[there],
            mean[there],
            panel,
            mode="lines+markers" if marked else "lines",
            name=label,
            legendgroup=label,
            legendrank=number,
            showlegend=False,
            hovertemplate=hover(f"{label}: %{{y:.3f}} at %{{x:.3s}}"),
            line=style["line"],
            marker=style["marker"] | {"size": 5},
        )
    )
    return traces


def _place(one: xr.Dataset, name: str, against: Against) -> xr.DataArray:
    """Return where each point of each seed stands, ``[seed, step]``; NaN where not known."""
    seeds, kind = one[name], KINDS[name]
    where = one[kind.step] if against == "step" else one[getattr(kind, against)]
    return where.where(seeds.notnull()).transpose(dims.SEED, ...)


def _reach(curves: xr.Dataset, against: Against) -> float:
    """Return the end of the x axis."""
    ends = [
        float(place.max())
        for name in KINDS
        if (place := _place(curves, name, against)).notnull().any()
    ]
    return 1.03 * max(ends, default=1.0)


def _points(values: xr.DataArray, step: str) -> int:
    """Return the most points that a condition has."""
    told = values.notnull().any([d for d in values.dims if d not in (dims.CONDITION, step)])
    return max(int(told.sum(step).max()), 1)


def _most(curves: xr.Dataset, lines: int) -> int:
    """Return how many points a line may have for the figure to keep its bytes."""
    drawn = curves.sizes[dims.SEED] + 3  # mean, and a band that goes there and back
    return max(POINTS_BYTES // (POINT_BYTES * lines * drawn), 12)


def _thin(one: xr.Dataset, name: str, every: int) -> xr.Dataset:
    """Return one of every so many points that this condition has, its own last one among them."""
    known = np.flatnonzero(one[name].notnull().any(dims.SEED).values)
    return one.isel({KINDS[name].step: known[(len(known) - 1) % every :: every]})


def _thinned(every: int) -> str:
    return "" if every == 1 else f" (1 point of {every})"
