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
    "longdashdot": (0, (9, 3, 1, 3)),
}
MARKERS: Final = {
    "circle": "o",
    "square": "s",
    "diamond": "D",
    "triangle-up": "^",
    "triangle-down": "v",
    "cross": "P",
    "star": "*",
    "x": "X",
    "line-ns": "|",
    "line-ew": "_",
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


def colours(value: Any) -> Any:
    """Return a CSS colour, or an array of them, as matplotlib takes it."""
    if value is None or isinstance(value, str):
        return _colour(value)
    return [_colour(v) for v in value]


def _colour(value: str | None) -> Any:
    if value is None:
        return "none"
    match = re.fullmatch(r"rgba?\(([^)]*)\)", value.replace(" ", ""))
    if not match:
        return value
    parts = [float(p) for p in match.group(1).split(",")]
    return (*(p / 255 for p in parts[:3]), *(parts[3:] or [1.0]))


def draw_scatter(axes: Axes, trace: Any, theme: Theme, number: int) -> Any:
    """Draw lines, markers, texts, error bars and filled areas; return what a legend shows."""
    from matplotlib.lines import Line2D

    own = PALETTE[theme][number % len(PALETTE[theme])]
    x, y = _numbers(trace.x), _numbers(trace.y)
    mode = trace.mode or "lines"
    opacity = 1.0 if trace.opacity is None else float(trace.opacity)
    colour = colours(trace.line.color) if trace.line.color else None
    dots = trace.marker.color
    if colour is None:
        colour = _colour(dots) if isinstance(dots, str) else own
    look: dict[str, Any] = {"color": colour, "alpha": opacity}
    line: Any = DASH[trace.line.dash or "solid"] if "lines" in mode else "none"
    width = (2.0 if trace.line.width is None else float(trace.line.width)) * POINT
    if trace.fill in ("toself", "tozeroy", "tonexty"):
        fill = colours(trace.fillcolor) if trace.fillcolor else (*_rgb(own), 0.2)
        _fill(axes, trace.fill, x, y, fill)
    if "lines" in mode and width:
        axes.plot(x, y, linestyle=line, linewidth=width, **look)
    handle = Line2D([], [], linestyle=line, linewidth=width, **look)
    if "markers" in mode:
        symbol, hollow = _symbol(trace.marker.symbol)
        sizes = np.asarray(trace.marker.size if trace.marker.size is not None else 6, float)
        faces = colours(dots) if dots is not None else colour
        several = not (isinstance(symbol, str) and isinstance(hollow, bool))
        for index in range(len(x)) if several else [slice(None)]:
            mark = symbol if not several else symbol[index]
            axes.scatter(
                np.atleast_1d(x[index]),
                np.atleast_1d(y[index]),
                s=np.broadcast_to((sizes * POINT) ** 2, np.shape(x))[index],
                marker=mark,
                facecolors="none" if hollow is True else _at(faces, index),
                edgecolors=_at(faces, index) if hollow is True else "none",
                alpha=opacity,
                zorder=2.5,
            )
        first = faces if isinstance(faces, str | tuple) else faces[0] if len(faces) else colour
        handle = Line2D(
            [], [], linestyle=line, linewidth=width, alpha=opacity, color=colour,
            marker=symbol if isinstance(symbol, str) else "o", markerfacecolor=first,
            markeredgecolor=first, markersize=float(np.max(sizes)) * POINT,
        )  # fmt: skip
    for letter, bars in (("x", trace.error_x), ("y", trace.error_y)):
        if bars.array is not None:
            high = _numbers(bars.array)
            low = high if bars.arrayminus is None else _numbers(bars.arrayminus)
            error = {f"{letter}err": np.abs(np.stack([low, high]))}
            ink = colours(bars.color) if bars.color else colour
            axes.errorbar(
                x, y, fmt="none", ecolor=ink, elinewidth=1.2, capsize=2, alpha=opacity, **error
            )
    if "text" in mode and trace.text is not None:
        _texts(axes, trace, x, y, theme)
    return handle


def _fill(axes: Axes, how: str, x: np.ndarray, y: np.ndarray, colour: Any) -> None:
    if how != "toself":
        axes.fill_between(x, y, 0, color=colour, linewidth=0)
        return
    gaps = np.flatnonzero(np.isnan(x) | np.isnan(y))
    for piece in np.split(np.arange(len(x)), gaps):
        piece = piece[~(np.isnan(x[piece]) | np.isnan(y[piece]))]
        if len(piece) > 2:
            axes.fill(x[piece], y[piece], color=colour, linewidth=0)


def _texts(axes: Axes, trace: Any, x: np.ndarray, y: np.ndarray, theme: Theme) -> None:
    words = trace.text if not isinstance(trace.text, str) else [trace.text] * len(x)
    inks = trace.textfont.color or INKS[theme].text
    across, down = (trace.textposition or "middle center").split(" ")[::-1]
    # what Plotly puts to the right of a point begins there
    ha = {"right": "left", "left": "right", "center": "center"}[across]
    va = {"top": "bottom", "bottom": "top", "middle": "center"}[down]
    for index, word in enumerate(words):
        if word is None or np.isnan(x[index]) or np.isnan(y[index]):
            continue
        axes.text(
            x[index],
            y[index],
            plain(str(word))[0],
            ha=ha,
            va=va,
            color=_at(colours(inks), index),
            fontsize=float(trace.textfont.size or 12) * FONT,
            clip_on=False,
        )


def draw_bars(axes: Axes, trace: Any, figure: go.Figure, theme: Theme, number: int) -> Any:
    """Draw bars, side by side with other bars of the same panel; return what a legend shows."""
    from matplotlib.patches import Patch

    lying = trace.orientation == "h"
    place, length = (trace.y, trace.x) if lying else (trace.x, trace.y)
    place, length = _numbers(place), _numbers(length)
    here = [
        t for t in figure.data
        if t.type == "bar" and (t.xaxis, t.yaxis) == (trace.xaxis, trace.yaxis)
    ]  # fmt: skip
    gap = float(figure.layout.bargap) if figure.layout.bargap is not None else 0.2
    width = np.asarray(1 - gap if trace.width is None else trace.width, float)
    mode = figure.layout.barmode or "group"
    base: Any = 0.0 if trace.base is None else np.asarray(trace.base, float)
    if mode in ("stack", "relative"):
        before = here[: [id(t) for t in here].index(id(trace))]
        base = base + sum((_numbers(t.x if lying else t.y) for t in before), np.zeros(len(length)))
    elif mode == "group" and len(here) > 1 and trace.offset is None and trace.width is None:
        index = [id(t) for t in here].index(id(trace))
        width = width / len(here)
        place = place + (index - (len(here) - 1) / 2) * width
    ink = colours(trace.marker.color) if trace.marker.color is not None else None
    ink = PALETTE[theme][number % len(PALETTE[theme])] if ink is None else ink
    opacity = 1.0 if trace.opacity is None else float(trace.opacity)
    draw = axes.barh if lying else axes.bar
    draw(place, length, width, base, color=ink, alpha=opacity, zorder=2)
    for letter, bars in (("x", trace.error_x), ("y", trace.error_y)):
        if bars.array is not None:
            high = _numbers(bars.array)
            low = high if bars.arrayminus is None else _numbers(bars.arrayminus)
            x, y = (length + base, place) if lying else (place, length + base)
            error = {f"{letter}err": np.abs(np.stack([low, high]))}
            axes.errorbar(x, y, fmt="none", ecolor=INKS[theme].text, capsize=2, **error)
    first = ink if isinstance(ink, str | tuple) else ink[0]
    return Patch(facecolor=first, alpha=opacity)


def draw_heatmap(axes: Axes, trace: Any, layout: Any, box: Box, theme: Theme) -> None:
    """Draw a matrix with its colour bar; a cell without a value stays empty."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    values = np.ma.masked_invalid(np.asarray(trace.z, float))
    rows, columns = values.shape
    x = np.arange(columns) if trace.x is None else _numbers(trace.x)
    y = np.arange(rows) if trace.y is None else _numbers(trace.y)
    shared = layout[trace.coloraxis] if trace.coloraxis else None
    low, high = (shared.cmin, shared.cmax) if shared is not None else (trace.zmin, trace.zmax)
    low = float(values.min()) if low is None else float(low)
    high = float(values.max()) if high is None else float(high)
    steps = (shared.colorscale if shared is not None else trace.colorscale) or scale(SEQUENTIAL)
    colour_map = LinearSegmentedColormap.from_list("ours", [(p, _colour(c)) for p, c in steps])
    norm = Normalize(low, high)
    axes.pcolormesh(_edges(x), _edges(y), values, cmap=colour_map, norm=norm, zorder=1)
    shown = shared.showscale if shared is not None else trace.showscale
    bar = shared.colorbar if shared is not None else trace.colorbar
    picture = axes.figure
    name = f"colour bar {trace.coloraxis or id(trace)}"
    if shown is False or name in {a.get_label() for a in picture.axes}:
        return
    length = 1.0 if bar.len is None else float(bar.len)
    middle = 0.5 if bar.y is None else float(bar.y)
    across = 1.012 if bar.x is None else float(bar.x)
    place = box.rectangle((across, across), (middle - length / 2, middle + length / 2))
    thick = float(bar.thickness or 10) / box.pixels[0]
    strip = picture.add_axes((place[0], place[1], thick, place[3]), label=name)
    mapped = picture.colorbar(ScalarMappable(norm, colour_map), cax=strip)
    mapped.outline.set_visible(False)
    strip.tick_params(length=0, labelsize=11 * FONT, colors=INKS[theme].muted)
    if bar.tickvals is not None:
        texts = bar.ticktext if bar.ticktext is not None else bar.tickvals
        mapped.set_ticks([float(v) for v in bar.tickvals], labels=[str(t) for t in texts])
    if bar.title.text:
        mapped.set_label(plain(bar.title.text)[0], fontsize=12 * FONT, color=INKS[theme].text)


def _edges(centres: np.ndarray) -> np.ndarray:
    if len(centres) == 1:
        return np.array([centres[0] - 0.5, centres[0] + 0.5])
    middle = (centres[1:] + centres[:-1]) / 2
    first, last = 2 * centres[0] - middle[0], 2 * centres[-1] - middle[-1]
    return np.concatenate(([first], middle, [last]))


def _numbers(values: Any) -> np.ndarray:
    """Return coordinates as numbers; names stand at 0, 1, 2, ... as Plotly puts them."""
    array = np.asarray([] if values is None else values)
    if array.dtype.kind in "OUS":
        try:
            return np.array([np.nan if v is None else float(v) for v in array])
        except ValueError:
            return np.arange(len(array), dtype=float)
    return array.astype(float)


def _symbol(symbol: Any) -> tuple[Any, Any]:
    """Return matplotlib's marker (or a list), and whether it is hollow."""
    if symbol is None:
        return "o", False
    if not isinstance(symbol, str):
        return [MARKERS[str(s).removesuffix("-open")] for s in symbol], None
    return MARKERS[symbol.removesuffix("-open")], symbol.endswith("-open")


def _at(value: Any, index: Any) -> Any:
    """Return an entry of a list of colours, or the one colour there is."""
    return value if isinstance(value, str | tuple) else value[index]


def _rgb(colour: str) -> tuple[float, ...]:
    return tuple(int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
