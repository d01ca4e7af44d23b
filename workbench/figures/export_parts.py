"""The traces of a Plotly figure as matplotlib artists; for `workbench.figures.export`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import unescape
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import plotly.graph_objects as go

from workbench.figures.theme import INKS, PALETTE, SEQUENTIAL, Theme, scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes

POINT: Final = 0.75
"""Points to a pixel of the page."""
FONT: Final = 0.86 * POINT
"""Points to a pixel of a font: matplotlib's own font is wider than the page's."""
DASH: Final[dict[str, Any]] = {
    "solid": "-",
    "dash": (0, (5, 3)),
    "dot": (0, (1, 2)),
    "dashdot": (0, (5, 2, 1, 2)),
    "longdash": (0, (9, 4)),
}
MARKERS: Final = {
    "circle": "o",
    "square": "s",
    "diamond": "D",
    "triangle-up": "^",
    "cross": "P",
    "star": "*",
    "x": "X",
    "triangle-down": "v",
    "triangle-left": "<",
    "triangle-right": ">",
    "pentagon": "p",
    "hexagon": "h",
    "hexagon2": "H",
    "octagon": "8",
    "diamond-tall": "d",
}
"""Plotly's symbols; ``-open`` ones are drawn hollow."""


class Box(NamedTuple):
    """The part of the picture that the axes share, as fractions, and the picture in pixels."""

    left: float
    bottom: float
    width: float
    height: float
    pixels: tuple[float, float]

    def rectangle(
        self, across: Sequence[float], down: Sequence[float]
    ) -> tuple[float, float, float, float]:
        """Return left, bottom, width and height of a domain, as fractions of the picture."""
        return (
            self.left + across[0] * self.width,
            self.bottom + down[0] * self.height,
            (across[1] - across[0]) * self.width,
            (down[1] - down[0]) * self.height,
        )


def plain(text: str) -> tuple[str, bool]:
    """Return a text without its HTML, and whether it was bold from end to end."""
    bold = bool(re.fullmatch(r"\s*<b>.*</b>\s*", text, re.S))
    text = re.sub(r"<br\s*/?>", "\n", text)
    return unescape(re.sub(r"<[^>]+>", "", text)).replace("$", r"\$"), bold


def _colour(value: str) -> Any:
    """Return a CSS colour as matplotlib takes it."""
    match = re.fullmatch(r"rgba?\(([^)]*)\)", value.replace(" ", ""))
    if not match:
        return value
    parts = [float(p) for p in match.group(1).split(",")]
    return (*(p / 255 for p in parts[:3]), *(parts[3:] or [1.0]))


def _colours(marker: Any, usual: str, count: int, shades: Any) -> np.ndarray:
    """Return a marker's colours ``[point, RGBA]``: one, a list, or numbers on a colour axis."""
    from matplotlib.colors import to_rgba_array

    given = usual if marker.color is None else marker.color
    if not isinstance(given, str) and np.asarray(given).dtype.kind == "f":
        return np.asarray(shades(np.asarray(given, float)))
    several = [given] * count if isinstance(given, str) else list(given)
    return to_rgba_array([_colour(colour) for colour in several])


def draw_scatter(
    axes: Axes, trace: Any, figure: go.Figure, box: Box, theme: Theme, number: int
) -> Any:
    """Draw lines, markers, texts, error bars and a filled area; return what a legend shows."""
    from matplotlib.lines import Line2D

    usual = PALETTE[theme][number % len(PALETTE[theme])]
    x, y = np.asarray(trace.x, float), np.asarray(trace.y, float)
    mode = trace.mode or "lines"
    opacity = 1.0 if trace.opacity is None else float(trace.opacity)
    dots = trace.marker.color if isinstance(trace.marker.color, str) else usual
    colour = _colour(trace.line.color or dots)
    width = (2.0 if trace.line.width is None else float(trace.line.width)) * POINT
    line: dict[str, Any] = {"color": colour, "alpha": opacity, "linewidth": width}
    line["linestyle"] = DASH[trace.line.dash or "solid"] if "lines" in mode else "none"
    if trace.fill not in (None, "none", "toself"):
        raise ValueError(f"a picture cannot hold a fill {trace.fill}")
    if trace.fill == "toself" and len(x) > 2:
        axes.fill(x, y, color=_colour(trace.fillcolor), linewidth=0)
    if "lines" in mode and width:
        axes.plot(x, y, **line)
    if "markers" in mode:
        symbols = np.broadcast_to(trace.marker.symbol or "circle", x.shape)
        size = float(trace.marker.size or 6) * POINT
        inks = _colours(trace.marker, usual, len(x), None)
        for symbol in dict.fromkeys(symbols.tolist()):
            mark = MARKERS.get(symbol.removesuffix("-open"))
            if mark is None:
                raise ValueError(f"a picture cannot hold a marker {symbol}")
            here = symbols == symbol
            hollow = symbol.endswith("-open")
            look = {"edgecolors": inks[here]} if hollow else {"edgecolors": "none"}
            look |= {"facecolors": "none" if hollow else inks[here]}
            axes.scatter(
                x[here], y[here], s=size**2, marker=mark, alpha=opacity, zorder=2.5, **look
            )
            line |= {"marker": mark, "markersize": size}
        if len(inks):
            line |= {"markerfacecolor": inks[0], "markeredgecolor": inks[0]}
    _draw_errors(axes, trace, x, y, colour)
    if "text" in mode:
        _draw_texts(axes, trace, x, y, INKS[theme].text)
    return Line2D([], [], **line)


def _draw_errors(axes: Axes, trace: Any, x: np.ndarray, y: np.ndarray, colour: Any) -> None:
    """Draw the error bars of a trace around (x, y)."""
    for letter, bars in (("x", trace.error_x), ("y", trace.error_y)):
        if bars.array is not None:
            low = bars.array if bars.arrayminus is None else bars.arrayminus
            ends = np.abs(np.array([low, bars.array], float))
            look: dict[str, Any] = {f"{letter}err": ends, "ecolor": bars.color or colour}
            axes.errorbar(x, y, fmt="none", elinewidth=1.2, capsize=2, **look)


def _draw_texts(axes: Axes, trace: Any, x: np.ndarray, y: np.ndarray, usual: str) -> None:
    inks = trace.textfont.color or usual
    across = (trace.textposition or "middle center").split(" ")[1]
    # what Plotly puts to the right of a point begins there
    ha = {"right": "left", "left": "right", "center": "center"}[across]
    for index, text in enumerate(trace.text):
        axes.text(
            x[index],
            y[index],
            plain(str(text))[0],
            ha=ha,
            va="center",
            color=inks if isinstance(inks, str) else inks[index],
            fontsize=float(trace.textfont.size or 12) * FONT,
            clip_on=False,
        )


def draw_bars(
    axes: Axes, trace: Any, figure: go.Figure, box: Box, theme: Theme, number: int
) -> Any:
    """Draw bars, on top of those below them where they are stacked; return what a legend shows."""
    from matplotlib.patches import Patch

    lying = trace.orientation == "h"

    def ends(one: Any) -> tuple[np.ndarray, np.ndarray]:
        place, length = (one.y, one.x) if lying else (one.x, one.y)
        return np.asarray(place, float), np.asarray(length, float)

    place, length = ends(trace)
    here = [
        one
        for one in figure.data
        if one.type == "bar" and (one.xaxis, one.yaxis) == (trace.xaxis, trace.yaxis)
    ]
    mode = figure.layout.barmode
    if len(here) > 1 and mode not in ("stack", "overlay"):
        raise ValueError("a picture cannot hold bars side by side")
    before = here[: [one is trace for one in here].index(True)] if mode == "stack" else []
    base = sum((ends(one)[1] for one in before), np.zeros(len(length)))
    gap = 0.2 if figure.layout.bargap is None else float(figure.layout.bargap)
    width = 1 - gap if trace.width is None else float(trace.width)
    shades = None
    if trace.marker.coloraxis:
        shades = colour_axis(axes, figure, trace.marker.coloraxis, trace.marker.color, box, theme)
        shades = shades.to_rgba
    usual = PALETTE[theme][number % len(PALETTE[theme])]
    inks = _colours(trace.marker, usual, len(place), shades)
    draw = axes.barh if lying else axes.bar
    draw(place, length, width, base, color=inks, zorder=2)
    x, y = (length + base, place) if lying else (place, length + base)
    _draw_errors(axes, trace, x, y, INKS[theme].text)
    return Patch(facecolor=inks[0]) if len(inks) else None


def draw_heatmap(
    axes: Axes, trace: Any, figure: go.Figure, box: Box, theme: Theme, number: int
) -> None:
    """Draw a matrix with its colour bar; a cell without a value stays empty."""
    values = np.ma.masked_invalid(np.asarray(trace.z, float))
    x, y = (
        (start or 0) + (step or 1) * np.arange(count) if given is None else np.asarray(given, float)
        for given, start, step, count in (
            (trace.x, trace.x0, trace.dx, values.shape[1]),
            (trace.y, trace.y0, trace.dy, values.shape[0]),
        )
    )
    shades = colour_axis(axes, figure, trace.coloraxis or "coloraxis", values, box, theme)
    axes.pcolormesh(_edges(x), _edges(y), values, cmap=shades.cmap, norm=shades.norm, zorder=1)


def colour_axis(
    axes: Axes, figure: go.Figure, name: str, values: Any, box: Box, theme: Theme
) -> Any:
    """Return a colour axis as matplotlib's map of numbers to colours; draw its bar once."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    own, picture = figure.layout[name], axes.figure
    low = float(np.nanmin(values)) if own.cmin is None else float(own.cmin)
    high = float(np.nanmax(values)) if own.cmax is None else float(own.cmax)
    steps = [(place, _colour(colour)) for place, colour in own.colorscale or scale(SEQUENTIAL)]
    shades = ScalarMappable(Normalize(low, high), LinearSegmentedColormap.from_list("ours", steps))
    bar, label = own.colorbar, f"colour bar {name}"
    if own.showscale is False or label in {other.get_label() for other in picture.axes}:
        return shades
    length = 1.0 if bar.len is None else float(bar.len)
    middle = 0.5 if bar.y is None else float(bar.y)
    across = 1.012 if bar.x is None else float(bar.x)
    place = box.rectangle((across, across), (middle - length / 2, middle + length / 2))
    thick = float(bar.thickness or 10) / box.pixels[0]
    strip = picture.add_axes((place[0], place[1], thick, place[3]), label=label)
    mapped = picture.colorbar(shades, cax=strip)
    mapped.outline.set_visible(False)
    strip.tick_params(length=0, labelsize=11 * FONT, colors=INKS[theme].muted)
    if bar.tickvals is not None:
        mapped.set_ticks([float(v) for v in bar.tickvals])
    if bar.title.text:
        mapped.set_label(plain(bar.title.text)[0], fontsize=12 * FONT, color=INKS[theme].text)
    return shades


def _edges(centres: np.ndarray) -> np.ndarray:
    if len(centres) == 1:
        return np.array([centres[0] - 0.5, centres[0] + 0.5])
    middle = (centres[1:] + centres[:-1]) / 2
    first, last = 2 * centres[0] - middle[0], 2 * centres[-1] - middle[-1]
    return np.concatenate(([first], middle, [last]))
