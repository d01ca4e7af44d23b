"""Interventions: what the answers become when part of the memory is exchanged or erased."""

from __future__ import annotations

from typing import Any, Final

import plotly.graph_objects as go
import xarray as xr

from workbench import dims
from workbench.figures.marks import SHARE, axis, bars, hover, pass_axis
from workbench.figures.matrix import maps
from workbench.figures.panels import chance_lines, layout, line
from workbench.figures.theme import DIVERGING, Theme, coloraxis
from workbench.tasks.phrases import level_words

QUANTITIES: Final = {
    "became_donor": ("became the donor's", "share of answers"),
    "became_more": ("became the donor's, minus unrelated", "share of answers"),
    "beyond": ("effect beyond an unrelated donor", "effect beyond unrelated"),
    "effect": ("effect (0: recipient's, 1: donor's)", "effect"),
    "stayed": ("stayed", "share of answers"),
    "logit_diff": ("logit_diff", "nat"),
}
"""What a patch can be judged by: titles of a map's colour bar and of the y axis of curves.

An effect is about 0.5 where answers are merely lost; beyond an unrelated donor, 0 is as that one
and 1 the donor's answers; a logit difference is the donor's answer minus the recipient's.
"""
SHARES: Final = ("became_donor", "stayed")
PAIRED: Final = ("became_more", "beyond")
"""Quantities that already compare with the unrelated donor, so controls have no line."""
CHANCE: Final = "another context's answer"
ROW: Final = 30


def patch_curves(
    effects: xr.Dataset,
    *,
    window: int,
    component: str,
    quantity: str = "became_donor",
    theme: Theme = "light",
) -> go.Figure:
    """Draw a patch at each pass and its controls: a panel for each difficulty and direction.

    Shares that became the donor's have their chance line: how often another context would give the
    donor's answer.

    - effects: as `workbench.instruments.patching.effects.patches_by_difficulty` returns it.
    - window, component: labels of a window slept on, and of the part that was exchanged.
    - quantity: a key of `QUANTITIES`.
    """
    here = effects.sel({dims.WINDOW: window, dims.COMPONENT: component})
    word = str(effects.attrs.get("difficulty_name", "difficulty"))
    passes = here[dims.SLEEP_PASS].values
    traces: list[dict[str, Any]] = []
    titles: list[str] = []
    controls = ["patch"] if quantity in PAIRED else here[dims.CONTROL].values.tolist()
    x = pass_axis("patched after pass", passes)
    chance = None
    if quantity == "became_donor" and "chance" in here:
        chance = here["chance"].expand_dims({dims.CHANCE_LINE: [CHANCE]})
    for way in here[dims.DIRECTION].values.tolist():
        for level in here[dims.DIFFICULTY].values.tolist():
            panel = len(titles)
            titles.append(f"{level_words(level, word)}, {way}")
            at = {dims.DIRECTION: way, dims.DIFFICULTY: level}
            for number, control in enumerate(controls):
                there = here.sel(at | {dims.CONTROL: control})
                mean, low, high = (
                    there[f"{quantity}{end}"].values for end in ("", "_low", "_high")
                )
                traces.append(
                    line(
                        passes + (number - 1) * 0.06,  # no error bar hides another
                        mean,
                        control,
                        number,
                        panel,
                        theme,
                        error_y=bars(mean, low, high),
                        hovertemplate=hover("%{y:.3f}", control),
                    )
                )
            if chance is not None:
                traces += chance_lines(chance.sel(at), tuple(x["range"]), panel, theme)
    share = {"range": SHARE} if quantity in SHARES else {}
    y = axis(QUANTITIES[quantity][1], grid=True, nticks=6, **share)
    columns = here.sizes[dims.DIFFICULTY]
    entries = len(controls) + (chance is not None)
    result = layout(titles, x, y, theme, entries=entries, columns=min(columns, 4))
    return go.Figure(traces, result)


def patch_map(
    effects: xr.Dataset,
    *,
    window: int,
    direction: str,
    quantity: str = "beyond",
    theme: Theme = "light",
) -> go.Figure:
    """Draw parts (rows) against the pass at which they were exchanged: a panel a difficulty.

    - effects: as `workbench.instruments.patching.effects.patches_by_difficulty` returns it.
    - window: a window slept on, by its label.
    - direction ({"noise", "denoise"}): way of the exchange.
    - quantity: a key of `QUANTITIES`.
    """
    here = effects[quantity].sel({dims.WINDOW: window, dims.DIRECTION: direction})
    if dims.CONTROL in here.dims:
        here = here.sel({dims.CONTROL: "patch"})
    word = str(effects.attrs.get("difficulty_name", "difficulty"))
    levels = here[dims.DIFFICULTY].values.tolist()
    tables = {level_words(k, word): here.sel({dims.DIFFICULTY: k}) for k in levels}
    return _maps(tables, "patched after pass", QUANTITIES[quantity][0], theme)


def ablation_map(
    effects: xr.Dataset, *, window: int, procedure: str, theme: Theme = "light"
) -> go.Figure:
    """Draw the accuracy that is lost without each part, minus that of a random change as large."""
    at = {dims.WINDOW: window, dims.PROCEDURE: procedure}
    both = effects["accuracy"].sel(at)
    word = str(effects.attrs.get("difficulty_name", "difficulty"))
    controls = [c for c in both[dims.CONTROL].values.tolist() if c != "ablation"]
    tables = {}
    for k in both[dims.DIFFICULTY].values.tolist():
        lost = both.sel({dims.DIFFICULTY: k, dims.CONTROL: "ablation"}, drop=True)
        intact = effects["intact_accuracy"].sel({dims.DIFFICULTY: k}, drop=True)
        if dims.WINDOW in intact.dims:
            intact = intact.sel({dims.WINDOW: window}, drop=True)
        tables[level_words(k, word)] = lost - intact
        for control in controls:
            other = both.sel({dims.DIFFICULTY: k, dims.CONTROL: control}, drop=True)
            tables[f"{level_words(k, word)}: {control}"] = other - intact
    return _maps(tables, f"{procedure} after pass", "change of accuracy", theme)


def _maps(tables: dict[str, xr.DataArray], x_title: str, bar: str, theme: Theme) -> go.Figure:
    """Return a panel for each table (component, sleep_pass), on one scale around zero."""
    names = [str(n) for n in next(iter(tables.values()))[dims.COMPONENT].values]
    return maps(
        tables,
        dims.COMPONENT,
        names,
        lambda _, row, n, value: f"{names[row]}, after pass {n}: {value:.3f}",
        x_title=x_title,
        hover=hover("%{customdata}"),
        size=10.5,
        row=ROW,
        most_left=240,
        columns=2,
        theme=theme,
        coloraxis=coloraxis(DIVERGING[theme], -1.0, 1.0, theme, bar),
    )
