"""The look of every figure: two colour maps, one palette, one font, light and dark."""

from __future__ import annotations

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

PALETTE: Final[dict[Theme, tuple[str, ...]]] = {
    "light": ("#0072b2", "#d55e00", "#009e73", "#b0578d", "#56b4e9", "#a87300", "#4d4d4d"),
    "dark": ("#56b4e9", "#ff8c42", "#2fc79a", "#e39cc4", "#9fd3f5", "#f0b93a", "#cfcfcf"),
}
"""Okabe and Ito's colours, lighter on dark ground."""

SYMBOLS: Final = ("circle", "square", "diamond", "triangle-up", "cross", "star", "x")
"""Markers that go with `PALETTE`, so that colour is never the only cue."""


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
    return palette[index % len(palette)], SYMBOLS[index % len(SYMBOLS)]


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
