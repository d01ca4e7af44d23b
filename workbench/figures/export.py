"""Static pictures: a Plotly figure of ours drawn again by matplotlib, as SVG, PDF or PNG.

No browser is needed. The figure itself is what is read, so that every figure has a twin and no
figure is described twice. What a picture cannot do (hover texts, clicks) is left out; a kind of
trace or shape that is not known here is an error, never a gap.
"""

from __future__ import annotations

from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import plotly.graph_objects as go

from workbench.errors import WorkbenchError
from workbench.figures.export_parts import (
    DASH,
    FONT,
    POINT,
    Box,
    colours,
    draw_bars,
    draw_heatmap,
    draw_scatter,
    plain,
)
from workbench.figures.theme import INKS, Theme
from workbench.files import written_aside

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS: Final = ("svg", "pdf", "png")
DOTS: Final = 96.0
"""Pixels of the page to an inch."""
LETTERS: Final[tuple[Literal["x", "y"], ...]] = ("x", "y")
LETTER: Final = 0.62
"""Width of a letter, as a share of the font's size."""
SHARP: Final = 2.0
"""Pixels of a PNG for each pixel of the page."""


def export(figure: go.Figure, path: Path, *, width: int = 960) -> None:
    """Write a figure as a picture, aside first and then renamed.

    - figure: one that `workbench.figures` made.
    - path: ends with .svg, .pdf or .png.
    - width: pixels; the height is the figure's own. A PNG has twice as many each way.

    Raises WorkbenchError: the name has another ending.
    Raises ValueError: the figure holds a trace or shape of a kind that is not known here.
    """
    ending = path.suffix.lower().lstrip(".")
    if ending not in FORMATS:
        raise WorkbenchError(
            f"a picture named {path.name}",
            "a name that ends with .svg, .pdf or .png",
            "give it another ending",
        )
    from matplotlib import rc_context

    # without a date and with named ids, the same figure gives the same file
    settings: Any = {"svg.hashsalt": "sleep-workbench", "svg.fonttype": "none", "pdf.fonttype": 42}
    undated: dict[str, Any] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}
    with rc_context(settings), written_aside(path) as aside:
        drawn(figure, width=width).savefig(
            aside, format=ending, dpi=DOTS * SHARP, metadata=undated[ending], bbox_inches="tight"
        )


def drawn(figure: go.Figure, *, width: int = 960) -> Figure:
    """Return the matplotlib figure that `export` writes."""
    from matplotlib.figure import Figure

    layout = figure.layout
    theme: Theme = "dark" if _set(layout, "font", "color") == INKS["dark"].text else "light"
    height = float(layout.height or 450)
    margin = layout.margin
    sides = {
        side: 80.0 if pixels is None else float(pixels)
        for side, pixels in zip("lrtb", (margin.l, margin.r, margin.t, margin.b), strict=True)
    }
    box = Box(
        left=sides["l"] / width,
        bottom=sides["b"] / height,
        width=(width - sides["l"] - sides["r"]) / width,
        height=(height - sides["t"] - sides["b"]) / height,
        pixels=(float(width), height),
    )
    picture = Figure(figsize=(width / DOTS, height / DOTS), facecolor=INKS[theme].paper)
    panels: dict[tuple[str, str], Axes] = {}
    legends: dict[str, dict[str, tuple[float, Any]]] = {}
    for number, trace in enumerate(figure.data):
        if trace.type not in ("scatter", "bar", "heatmap"):
            raise ValueError(f"a picture cannot hold a {trace.type} trace")
        at = (trace.xaxis or "x", trace.yaxis or "y")
        if at not in panels:
            panels[at] = _panel(picture, layout, at, box, theme)
        axes = panels[at]
        if trace.type == "scatter":
            handle = draw_scatter(axes, trace, theme, number)
        elif trace.type == "bar":
            handle = draw_bars(axes, trace, figure, theme, number)
        else:
            handle = None
            draw_heatmap(axes, trace, layout, box, theme)
        if handle is not None and trace.name and trace.showlegend is not False:
            entries = legends.setdefault(trace.legend or "legend", {})
            entries.setdefault(trace.name, (trace.legendrank or 1000, handle))
    for at, axes in panels.items():
        _finish(axes, layout, at, theme)
    for shape in layout.shapes:
        _shape(picture, panels, shape, box)
    for note in layout.annotations:
        _note(picture, panels, note, box, theme)
    if layout.showlegend is not False:
        for name, handles in legends.items():
            _legend(picture, layout[name], handles, box, theme)
    _title(picture, layout, box, theme)
    return picture


def _set(layout: Any, *names: str) -> Any:
    """Return a setting of the layout, or that of its template."""
    for source in (layout, layout.template.layout):
        value = source
        for name in names:
            value = None if value is None else value[name]
        if value is not None:
            return value
    return None


def _key(axis: str) -> str:
    """Return the layout's name of the axis that traces call ``x2``."""
    return f"{axis[0]}axis{axis[1:]}"


def _panel(picture: Figure, layout: Any, at: tuple[str, str], box: Box, theme: Theme) -> Axes:
    across, down = (layout[_key(name)].domain or (0.0, 1.0) for name in at)
    place = box.rectangle(across, down)
    axes = picture.add_axes(place, facecolor="none")
    ink = INKS[theme]
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(ink.grid)
    axes.tick_params(length=0, colors=ink.muted, labelsize=12 * FONT)
    for letter, name in zip(LETTERS, at, strict=True):
        own = layout[_key(name)]
        if own.type == "log":
            getattr(axes, f"set_{letter}scale")("log")
        if own.showgrid is not False:
            axes.grid(True, axis=letter, color=ink.grid, linewidth=0.8)
    axes.set_axisbelow(True)
    return axes


def _finish(axes: Axes, layout: Any, at: tuple[str, str], theme: Theme) -> None:
    """Set ranges, ticks and titles, once everything has been drawn."""
    from matplotlib.ticker import FixedLocator, MaxNLocator, MultipleLocator, NullLocator

    for letter, name in zip(LETTERS, at, strict=True):
        own, axis = layout[_key(name)], getattr(axes, f"{letter}axis")
        limits = getattr(axes, f"set_{letter}lim")
        if own.range is not None:
            low, high = own.range
            limits(*((10.0**low, 10.0**high) if own.type == "log" else (low, high)))
        else:
            low, high = getattr(axes, f"get_{letter}lim")()
            limits(0 if own.rangemode == "tozero" else low, high)
            if own.autorange == "reversed":
                limits(*reversed(getattr(axes, f"get_{letter}lim")()))
        if own.showticklabels is False:
            axis.set_major_locator(NullLocator())
        elif own.tickvals is not None:
            values = [float(v) for v in own.tickvals]
            texts = own.ticktext if own.ticktext is not None else [f"{v:g}" for v in values]
            axis.set_major_locator(FixedLocator(values))
            axis.set_ticklabels([plain(str(t))[0] for t in texts])
        elif own.dtick is not None and own.type != "log":
            axis.set_major_locator(MultipleLocator(float(own.dtick)))
        elif own.nticks:
            if own.type != "log":
                axis.set_major_locator(MaxNLocator(int(own.nticks)))
        axis.set_minor_locator(NullLocator())
        axis.offsetText.set(fontsize=12 * FONT, color=INKS[theme].muted)
        if own.tickangle:
            axes.tick_params(axis=letter, labelrotation=-float(own.tickangle))
        if own.visible is False:
            axis.set_visible(False)
        text, _ = plain(own.title.text or "")
        if text:
            # broken where it would run into the next panel
            room = axes.bbox.width if letter == "x" else axes.bbox.height
            room *= DOTS / axes.figure.dpi
            text = fill(text, max(int(room / (12.5 * LETTER)), 12))
            axis.set_label_text(text, fontsize=12.5 * FONT, color=INKS[theme].muted)


def _points(
    picture: Figure, panels: dict[tuple[str, str], Axes], ref: str | None, letter: str, box: Box
) -> Any:
    """Return the function from a coordinate of a shape or note to a fraction of the picture."""
    start, length = (box.left, box.width) if letter == "x" else (box.bottom, box.height)
    if ref in (None, "paper"):
        return lambda value: start + float(value) * length
    name, _, inside = str(ref).partition(" ")
    axes = next(a for at, a in panels.items() if name in at)
    index = 0 if letter == "x" else 1
    if inside == "domain":
        edges = axes.get_position()
        low, size = ((edges.x0, edges.width), (edges.y0, edges.height))[index]
        return lambda value: low + float(value) * size
    log = getattr(axes, f"get_{letter}scale")() == "log"

    def place(value: Any) -> float:
        at = [1.0, 1.0]
        at[index] = 10.0 ** float(value) if log else float(value)
        spot = picture.transFigure.inverted().transform(axes.transData.transform(at))
        return float(spot[index])

    return place


def _shape(picture: Figure, panels: dict[tuple[str, str], Axes], shape: Any, box: Box) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Rectangle

    if shape.type not in ("line", "rect"):
        raise ValueError(f"a picture cannot hold a {shape.type} shape")
    x = _points(picture, panels, shape.xref, "x", box)
    y = _points(picture, panels, shape.yref, "y", box)
    (x0, x1), (y0, y1) = (x(shape.x0), x(shape.x1)), (y(shape.y0), y(shape.y1))
    line = {
        "color": shape.line.color or "none",
        "linewidth": (shape.line.width if shape.line.width is not None else 2) * POINT,
        "linestyle": DASH[shape.line.dash or "solid"],
    }
    common: dict[str, Any] = {
        "transform": picture.transFigure,
        "zorder": 0 if shape.layer == "below" else 3,
    }
    if shape.type == "line":
        picture.add_artist(Line2D([x0, x1], [y0, y1], **line, **common))
        return
    edge = line.pop("color")
    fill = colours(shape.fillcolor) if shape.fillcolor else "none"
    picture.add_artist(
        Rectangle((x0, y0), x1 - x0, y1 - y0, edgecolor=edge, facecolor=fill, **line, **common)
    )


HORIZONTAL: Final = {"left": "left", "center": "center", "right": "right", "auto": "center"}
VERTICAL: Final = {"bottom": "bottom", "middle": "center", "top": "top", "auto": "center"}


def _note(
    picture: Figure, panels: dict[tuple[str, str], Axes], note: Any, box: Box, theme: Theme
) -> None:
    text, bold = plain(note.text or "")
    if not text or note.visible is False:
        return
    x = _points(picture, panels, note.xref, "x", box)(note.x)
    y = _points(picture, panels, note.yref, "y", box)(note.y)
    wide, high = box.pixels
    picture.text(
        x + (note.xshift or 0) / wide,
        y + (note.yshift or 0) / high,
        text,
        ha=HORIZONTAL[note.xanchor or "auto"],
        va=VERTICAL[note.yanchor or "auto"],
        fontsize=float(note.font.size or 12) * FONT,
        color=note.font.color or INKS[theme].text,
        fontweight="bold" if bold else "normal",
        rotation=-float(note.textangle or 0),
    )


def _legend(
    picture: Figure, own: Any, ranked: dict[str, tuple[float, Any]], box: Box, theme: Theme
) -> None:
    handles = {n: handle for n, (_, handle) in sorted(ranked.items(), key=lambda e: e[1][0])}
    x, y = (own.x if own.x is not None else 1.02), (own.y if own.y is not None else 1.0)
    size = float(own.font.size or 11.5)
    letters = max(len(plain(name)[0]) for name in handles)
    room = box.width * box.pixels[0]
    columns = 1
    if own.orientation == "h":
        columns = int(np.clip(room / (letters * size * LETTER + 48), 1, len(handles)))
    vertical = {"top": "upper", "bottom": "lower", "middle": "center"}[own.yanchor or "top"]
    horizontal = {"left": "left", "right": "right", "center": "center"}[own.xanchor or "left"]
    where: Any = "center" if vertical == horizontal == "center" else f"{vertical} {horizontal}"
    picture.legend(
        list(handles.values()),
        [plain(name)[0] for name in handles],
        loc=where,
        bbox_to_anchor=(box.left + x * box.width, box.bottom + y * box.height),
        ncols=columns,
        frameon=False,
        fontsize=size * FONT,
        labelcolor=INKS[theme].text,
        handlelength=2.2,
        borderaxespad=0,
    )


def _title(picture: Figure, layout: Any, box: Box, theme: Theme) -> None:
    text, _ = plain(layout.title.text or "")
    if text:
        high = box.pixels[1]
        size = float(layout.title.font.size or 14) * FONT
        ink = INKS[theme]
        picture.text(
            box.left, 1 - 8 / high, text, va="top", ha="left", fontsize=size, color=ink.text
        )
        under, _ = plain(layout.title.subtitle.text or "")
        if under:
            y = 1 - 28 / high
            picture.text(
                box.left, y, under, va="top", ha="left", fontsize=size * 0.9, color=ink.muted
            )
