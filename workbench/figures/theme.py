"""The look of every figure, light and dark: colour maps, one colour for one thing, one font.

`ARMS`, `LEVELS` and `STATUS` are the table of colours: every figure and page takes them from here,
and ``frontend/src/colours.json`` is `table` as JSON. `PALETTE` is for series without a colour of
their own, such as heads and baselines. No colour stands for two things.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any, Final, Literal, NamedTuple

import plotly.graph_objects as go

Theme = Literal["light", "dark"]

BYTES: Final = 200_000
"""Largest figure, as JSON."""

FONT: Final = 'Roboto, "Helvetica Neue", Arial, sans-serif'

SEQUENTIAL: Final = (
    "#00224e", "#123570", "#3b496c", "#575d6d", "#707173", "#8a8678",
    "#a59c74", "#c3b369", "#e1cc55", "#fee838",
)  # fmt: skip
"""Cividis: from 0 upwards; the same in light and dark."""

DIVERGING: Final[dict[Theme, tuple[str, ...]]] = {
    "light": (
        "#053061", "#1f63a6", "#5a9fd0", "#abd0e6", "#f7f7f5", "#f6cda6", "#e08a3c", "#b1500e",
        "#662506",
    ),
    "dark": (
        "#d3eaff", "#8fc4f0", "#4a8fc7", "#27506f", "#1b2129", "#6e4420", "#cf7f34", "#f7b671",
        "#ffe6c7",
    ),
}  # fmt: skip
"""Blue below zero, orange above, the page's own tone at zero; told apart by all colour visions."""

Pair = dict[Theme, str]


def _pair(light: str, dark: str) -> Pair:
    return {"light": light, "dark": dark}


ARMS: Final[dict[str, Pair]] = {
    "sleep": _pair("#0072b2", "#56b4e9"),
    "random_n": _pair("#1098b8", "#7be0ff"),
    "deeper": _pair("#9d5208", "#f79b54"),
    "wider": _pair("#9a8f05", "#e7d704"),
    "longer": _pair("#03580e", "#5cad5c"),
    "wake_loop": _pair("#ba0376", "#ff86bf"),
    "retained_cache": _pair("#623f06", "#cc860d"),
    "never_written": _pair("#747798", "#bcc0e4"),
    "sliding": _pair("#006756", "#0ac0a2"),
    "rewrite_only": _pair("#8a0016", "#f65b5a"),
    "think_only": _pair("#bd31bd", "#fe97fc"),
    "no_fast_weights": _pair("#837b58", "#cdc49f"),
    "loop_upper": _pair("#035065", "#07a7d0"),
    "loop_middle": _pair("#077783", "#5bc6d5"),
    "rule_delta": _pair("#685bfc", "#b7bdfd"),
    "rule_delta_negative": _pair("#7b046a", "#dc61c3"),
    "rule_mamba2": _pair("#6b6f03", "#b8be03"),
    "rule_linear_attention": _pair("#4f9f77", "#96e7bc"),
    "rule_jet": _pair("#843d56", "#d98ba3"),
}
"""Of each arm of `workbench.lab.arms`."""

OTHER_ARMS: Final[tuple[Pair, ...]] = (
    _pair("#a98082", "#f2c6c7"),
    _pair("#f13286", "#febed0"),
    _pair("#8100b1", "#ce7afe"),
    _pair("#573e55", "#a88ca7"),
    _pair("#ba5277", "#fda6c0"),
    _pair("#4b30d2", "#9499ff"),
)
"""Of arms that other packages add, and of those whose name says more than the arm."""

LEVELS: Final[tuple[Pair, ...]] = (
    _pair("#e0609a", "#fed5e3"),
    _pair("#cc59a6", "#feb7e2"),
    _pair("#a949a6", "#fa94f4"),
    _pair("#863aa2", "#d889f6"),
    _pair("#632c99", "#b480f3"),
    _pair("#421c8d", "#8e77ec"),
)
"""Of difficulties 1, 2, ... (hops, steps, depth); harder ones are darker."""

STATUS: Final[dict[str, Pair]] = {
    "good": _pair("#009e73", "#2fc79a"),
    "bad": _pair("#d55e00", "#ff8c42"),
    "running": _pair("#a87300", "#f0b93a"),
    "stopped": _pair("#6b727e", "#b4bcc9"),
    "chance": _pair("#5a626c", "#a8b1bb"),
}
"""Right and wrong, finished and failed (good, bad); runs at work, and those stopped; chance."""

PALETTE: Final[dict[Theme, tuple[str, ...]]] = {
    "light": ("#1b6d3d", "#b0578d", "#c26f00", "#5b4a9c", "#7a7d00", "#a03a3a", "#4d4d4d"),
    "dark": ("#6fd08c", "#e39cc4", "#ffb454", "#b3a4f2", "#d5d860", "#f08d8d", "#cfcfcf"),
}
"""Of series by number."""

SYMBOLS: Final = (
    "circle", "square", "diamond", "triangle-up", "cross", "star", "x", "triangle-down",
    "pentagon", "hexagon", "octagon", "triangle-left", "triangle-right", "hexagon2", "diamond-tall",
)  # fmt: skip
"""Markers, so that colour is never the only cue."""

DASHES: Final = ("solid", "dash", "dot", "dashdot")
"""What tells series of one colour apart."""


class Inks(NamedTuple):
    """Colours that are not data."""

    text: str
    muted: str
    grid: str
    paper: str
    accent: str
    neutral: str


INKS: Final[dict[Theme, Inks]] = {
    "light": Inks("#1b1f24", "#5a626c", "#e2e6ea", "#ffffff", "#d1006c", "#dfe4e9"),
    "dark": Inks("#e9edf1", "#a8b1bb", "#323a44", "#181d24", "#ff6fb5", "#38414c"),
}


def scale(colours: tuple[str, ...]) -> list[tuple[float, str]]:
    """Return a Plotly colour scale with `colours` at equal distances."""
    return [(i / (len(colours) - 1), colour) for i, colour in enumerate(colours)]


def series(theme: Theme, index: int) -> tuple[str, str]:
    """Return colour and marker of the series number `index`."""
    palette = PALETTE[theme]
    return palette[index % len(palette)], SYMBOLS[index % len(palette)]


def styled(colour: str, symbol: str, dash: str = "solid") -> dict[str, Any]:
    """Return line and marker of a series."""
    return {
        "line": {"color": colour, "width": 2.2, "dash": dash},
        "marker": {"symbol": symbol, "size": 7, "color": colour},
    }


def arm_looks(arms: Sequence[str], theme: Theme) -> list[dict[str, Any]]:
    """Return line and marker of each series by its arm; those of one arm differ in their dash.

    Arms are named as in results, ``longer@4`` and ``random_n 1-4`` too.
    """
    known, names = list(ARMS), [re.split("[@ ]", arm)[0] for arm in arms]
    names = [name if name in ARMS else arm for name, arm in zip(names, arms, strict=True)]
    others = [name for name in dict.fromkeys(names) if name not in ARMS]
    seen: Counter[str] = Counter()
    looks = []
    for name in names:
        place = known.index(name) if name in ARMS else len(ARMS) + others.index(name)
        colours = [*ARMS.values(), *OTHER_ARMS]
        again = seen[name] + max(place - len(ARMS), 0) // len(OTHER_ARMS)
        pair = colours[place] if place < len(colours) else OTHER_ARMS[place % len(OTHER_ARMS)]
        looks.append(
            styled(pair[theme], SYMBOLS[place % len(SYMBOLS)], DASHES[again % len(DASHES)])
        )
        seen[name] += 1
    return looks


def level_looks(levels: Sequence[Any], theme: Theme) -> list[dict[str, Any]]:
    """Return line and marker of each difficulty; of groups, which have names, by their place."""
    looks = []
    for place, level in enumerate(levels):
        number = int(level) - 1 if str(level).isdecimal() and int(level) else place
        again, index = divmod(number, len(LEVELS))
        symbol = SYMBOLS[number % len(SYMBOLS)]
        looks.append(styled(LEVELS[index][theme], symbol, DASHES[again % len(DASHES)]))
    return looks


def table() -> dict[str, Any]:
    """Return every colour and the font as plain data: what the front end is built with."""
    themes: tuple[Theme, ...] = ("light", "dark")
    return {
        "font": FONT,
        "sequential": SEQUENTIAL,
        "diverging": DIVERGING,
        "palette": PALETTE,
        "inks": {name: ink._asdict() for name, ink in INKS.items()},
        "arms": {theme: {name: pair[theme] for name, pair in ARMS.items()} for theme in themes},
        "levels": {theme: [pair[theme] for pair in LEVELS] for theme in themes},
        "status": {theme: {name: pair[theme] for name, pair in STATUS.items()} for theme in themes},
    }


@cache
def template(theme: Theme) -> go.layout.Template:
    """Return the template of all figures."""
    ink = INKS[theme]
    axis = {
        "gridcolor": ink.grid,
        "linecolor": ink.grid,
        "zeroline": False,
        "ticks": "",
        "tickfont": {"color": ink.muted, "size": 12},
        "title": {"font": {"size": 12.5, "color": ink.muted}, "standoff": 6},
        "automargin": False,
    }
    return go.layout.Template(
        layout={
            "font": {"family": FONT, "size": 13, "color": ink.text},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "colorway": list(PALETTE[theme]),
            "xaxis": axis,
            "yaxis": axis,
            "title": {
                "font": {"size": 14, "color": ink.text},
                "subtitle": {"font": {"size": 12.5, "color": ink.muted}},
                "x": 0,
                "xref": "paper",
                "xanchor": "left",
                "pad": {"t": 2},
            },
            "hoverlabel": {
                "bgcolor": ink.paper,
                "bordercolor": ink.muted,
                "font": {"color": ink.text, "family": FONT, "size": 13},
            },
            "legend": {"font": {"size": 11.5}, "bgcolor": "rgba(0,0,0,0)", "itemwidth": 30},
            "annotationdefaults": {"font": {"color": ink.text, "size": 12}, "showarrow": False},
            "hovermode": "closest",
            "dragmode": False,
            "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": ink.muted, "activecolor": ink.text},
        }
    )


def colorbar(title: str, theme: Theme, **more: Any) -> dict[str, Any]:
    """Return a thin colour bar."""
    return {
        "title": {"text": title, "side": "right", "font": {"size": 12}},
        "thickness": 10,
        "outlinewidth": 0,
        "tickfont": {"size": 11, "color": INKS[theme].muted},
        **more,
    }


def coloraxis(
    colours: tuple[str, ...], low: float, high: float, theme: Theme, bar: str = "", **more: Any
) -> dict[str, Any]:
    """Return the colour axis of a figure's matrices; `bar` names its colour bar."""
    found: dict[str, Any] = {"colorscale": scale(colours), "cmin": low, "cmax": high}
    return found | ({"colorbar": colorbar(bar, theme, **more)} if bar else {})


def diverging(limit: float, theme: Theme, bar: str = "", **more: Any) -> dict[str, Any]:
    """Return the colour axis from -limit to limit, with the page's own tone at zero."""
    return coloraxis(DIVERGING[theme], -limit, limit, theme, bar, **more) | {"cmid": 0}


def frame(
    theme: Theme, height: float, left: float, right: float, top: float, below: float
) -> dict[str, Any]:
    """Return template, height and margins of a layout, pixels."""
    margin = {"l": left, "r": right, "t": top, "b": below}
    return {"template": template(theme), "height": height, "margin": margin}


def domains(count: int, gap: float) -> list[tuple[float, float]]:
    """Return `count` equal stretches of 0..1 with `gap` between them."""
    width = (1 - gap * (count - 1)) / count
    return [(i * (width + gap), i * (width + gap) + width) for i in range(count)]


def axis_name(letter: str, number: int) -> str:
    """Return the layout's name of the axis number 0, 1, ...: ``xaxis``, ``xaxis2``."""
    return f"{letter}axis" + (str(number + 1) if number else "")


def axis_id(letter: str, number: int) -> str:
    """Return the name by which a trace refers to the axis number 0, 1, ...: ``x``, ``x2``."""
    return letter + (str(number + 1) if number else "")


def tick_step(count: int, most: int) -> int:
    """Return the smallest power of 2, up to `most`, that leaves at most 8 steps of `count`."""
    step = 1
    while step < most and count / step > 8:
        step *= 2
    return step
