"""Static pictures: a Plotly figure of ours drawn again by matplotlib, as SVG, PDF or PNG.

No browser is needed. The picture is read off the figure itself, so every figure has one and none is
described twice. Hover texts and clicks are left out; a kind of trace, marker or shape, or a fill,
that is not known here is an error, never a gap.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import plotly.graph_objects as go

from workbench.errors import WorkbenchError
from workbench.figures.export_parts import (
    DASH,
    FONT,
    POINT,
    Box,
    draw_bars,
    draw_heatmap,
    draw_scatter,
    plain,
)
from workbench.figures.theme import INKS, Inks, Theme
from workbench.files import written_aside

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Transform

FORMATS: Final = ("svg", "pdf", "png")
DOTS: Final = 96.0
"""Pixels of the page to an inch."""
LETTER: Final = 0.62
"""Width of a letter, as a share of the font's size."""
SHARP: Final = 2.0
"""Pixels of a PNG for each pixel of the page."""
DRAW: Final[dict[str, Callable[..., Any]]] = {
    "scatter": draw_scatter,
    "bar": draw_bars,
    "heatmap": draw_heatmap,
}

Panels = dict[tuple[str, str], "Axes"]


def export(figure: go.Figure, path: Path, *, width: int = 960) -> None:
    """Write a figure as a picture, aside first and then renamed.

    - figure: one that `workbench.figures` made.
    - path: ends with .svg, .pdf or .png.
    - width: pixels; the height is the figure's own. A PNG has twice as many each way.

    Raises WorkbenchError: the name has another ending.
    Raises ValueError: the figure holds a trace, marker, shape or fill that is not known here.
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
    theme: Theme = "dark" if _font_colour(layout) == INKS["dark"].text else "light"
    ink = INKS[theme]
    height = float(layout.height or 450)
    sides = (layout.margin.l, layout.margin.r, layout.margin.t, layout.margin.b)
    left, right, top, below = (80.0 if pixels is None else float(pixels) for pixels in sides)
    box = Box(
        left=left / width,
        bottom=below / height,
        width=(width - left - right) / width,
        height=(height - top - below) / height,
        pixels=(float(width), height),
    )
    picture = Figure(figsize=(width / DOTS, height / DOTS), dpi=DOTS, facecolor=ink.paper)
    panels: Panels = {}
    legends: dict[str, dict[str, tuple[float, Any]]] = {}
    for number, trace in enumerate(figure.data):
        if trace.type not in DRAW:
            raise ValueError(f"a picture cannot hold a {trace.type} trace")
        at = (trace.xaxis or "x", trace.yaxis or "y")
        if at not in panels:
            panels[at] = _panel(picture, layout, at, box, ink)
        handle = DRAW[trace.type](panels[at], trace, figure, box, theme, number)
        if handle is not None and trace.name and trace.showlegend is not False:
            entries = legends.setdefault(trace.legend or "legend", {})
            entries.setdefault(trace.name, (trace.legendrank or 1000, handle))
    for at, axes in panels.items():
        for letter, name in zip("xy", at, strict=True):
            _finish(axes, letter, layout[_key(name)], ink)
    for shape in layout.shapes:
        _shape(picture, panels, shape, box)
    for note in layout.annotations:
        _note(picture, note, _place(picture, panels, note, box), ink)
    if layout.showlegend is not False:
        for name, handles in legends.items():
            _legend(picture, layout[name], handles, box, ink)
    if title := plain(layout.title.text or "")[0]:
        size = float(layout.title.font.size or 14) * FONT
        picture.text(box.left, 1 - 8 / height, title, va="top", fontsize=size, color=ink.text)
    return picture


def _font_colour(layout: Any) -> Any:
    return layout.font.color or layout.template.layout.font.color


def _key(axis: str) -> str:
    """Return the layout's name of the axis that traces call ``x2``."""
    return f"{axis[0]}axis{axis[1:]}"


def _panel(picture: Figure, layout: Any, at: tuple[str, str], box: Box, ink: Inks) -> Axes:
    across, down = (layout[_key(name)].domain or (0.0, 1.0) for name in at)
    axes = picture.add_axes(box.rectangle(across, down), facecolor="none")
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(ink.grid)
    axes.tick_params(length=0, colors=ink.muted, labelsize=12 * FONT)
    for letter, name in zip("xy", at, strict=True):
        own = layout[_key(name)]
        if own.type == "log":
            axes.set(**{f"{letter}scale": "log"})
        if own.showgrid is not False:
            getattr(axes, f"{letter}axis").grid(True, color=ink.grid, linewidth=0.8)
    axes.set_axisbelow(True)
    return axes


def _finish(axes: Axes, letter: str, own: Any, ink: Inks) -> None:
    """Set range, ticks and title of an axis, once everything has been drawn."""
    from matplotlib.ticker import FixedLocator, MaxNLocator, MultipleLocator, NullLocator

    axis, log = getattr(axes, f"{letter}axis"), own.type == "log"
    ends: Any = getattr(axes, f"get_{letter}lim")()
    if own.range is not None:
        ends = tuple(10.0**end if log else end for end in own.range)
    elif own.rangemode == "tozero":
        ends = (0, ends[1])
    axes.set(**{f"{letter}lim": ends[::-1] if own.autorange == "reversed" else ends})
    if own.showticklabels is False:
        axis.set_major_locator(NullLocator())
    elif own.tickvals is not None:
        values = [float(v) for v in own.tickvals]
        texts = own.ticktext if own.ticktext is not None else [f"{v:g}" for v in values]
        axis.set_major_locator(FixedLocator(values))
        axis.set_ticklabels([plain(str(text))[0] for text in texts])
    elif not log and own.dtick is not None:
        axis.set_major_locator(MultipleLocator(float(own.dtick)))
    elif not log and own.nticks:
        axis.set_major_locator(MaxNLocator(int(own.nticks)))
    axis.set_minor_locator(NullLocator())
    axis.offsetText.set(fontsize=12 * FONT, color=ink.muted)
    if own.tickangle:
        axis.set_tick_params(labelrotation=-float(own.tickangle))
    axis.set_visible(own.visible is not False)
    if text := plain(own.title.text or "")[0]:
        # broken where it would run into the next panel
        room = axes.bbox.width if letter == "x" else axes.bbox.height
        text = fill(text, max(int(room / (12.5 * LETTER)), 12))
        axis.set_label_text(text, fontsize=12.5 * FONT, color=ink.muted)


def _place(picture: Figure, panels: Panels, item: Any, box: Box) -> Transform:
    """Return the transform of a shape's or note's coordinates: data of an axis, or the paper."""
    from matplotlib.transforms import Bbox, BboxTransformTo, TransformedBbox
    from matplotlib.transforms import blended_transform_factory as blended

    bounds = Bbox.from_bounds(*box.rectangle((0, 1), (0, 1)))
    paper = BboxTransformTo(TransformedBbox(bounds, picture.transFigure))

    def of(ref: str) -> Transform:
        if ref == "paper":
            return paper
        return next(axes.transData for at, axes in panels.items() if ref in at)

    return blended(of(item.xref or "x"), of(item.yref or "y"))


def _shape(picture: Figure, panels: Panels, shape: Any, box: Box) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Rectangle

    if shape.type not in ("line", "rect"):
        raise ValueError(f"a picture cannot hold a {shape.type} shape")
    colour = shape.line.color or "none"
    look: dict[str, Any] = {
        "linewidth": (2 if shape.line.width is None else shape.line.width) * POINT,
        "linestyle": DASH[shape.line.dash or "solid"],
        "transform": _place(picture, panels, shape, box),
        "zorder": 0 if shape.layer == "below" else 3,
    }
    if shape.type == "line":
        line = Line2D([shape.x0, shape.x1], [shape.y0, shape.y1], color=colour, **look)
        picture.add_artist(line)
        return
    if shape.fillcolor:
        raise ValueError("a picture cannot hold a filled shape")
    sides = (shape.x1 - shape.x0, shape.y1 - shape.y0)
    look |= {"edgecolor": colour, "facecolor": "none"}
    picture.add_artist(Rectangle((shape.x0, shape.y0), *sides, **look))


def _note(picture: Figure, note: Any, place: Transform, ink: Inks) -> None:
    from matplotlib.transforms import ScaledTranslation

    text, bold = plain(note.text or "")
    shift = ((note.xshift or 0) / DOTS, (note.yshift or 0) / DOTS)
    if text:
        picture.text(
            note.x,
            note.y,
            text,
            transform=place + ScaledTranslation(*shift, picture.dpi_scale_trans),
            ha=note.xanchor if note.xanchor in ("left", "right") else "center",
            va=note.yanchor if note.yanchor in ("top", "bottom") else "center",
            fontsize=float(note.font.size or 12) * FONT,
            color=note.font.color or ink.text,
            fontweight="bold" if bold else "normal",
        )


def _legend(
    picture: Figure, own: Any, ranked: dict[str, tuple[float, Any]], box: Box, ink: Inks
) -> None:
    handles = {n: handle for n, (_, handle) in sorted(ranked.items(), key=lambda e: e[1][0])}
    names = [plain(name)[0] for name in handles]
    x, y = (own.x if own.x is not None else 1.02), (own.y if own.y is not None else 1.0)
    size = float(own.font.size or 11.5)
    columns = 1
    if own.orientation == "h":
        letters = max(map(len, names)) * size * LETTER + 48
        columns = int(np.clip(box.width * box.pixels[0] / letters, 1, len(names)))
    where: Any = f"upper {own.xanchor or 'left'}"
    picture.legend(
        list(handles.values()),
        names,
        loc=where,
        bbox_to_anchor=(box.left + x * box.width, box.bottom + y * box.height),
        ncols=columns,
        frameon=False,
        fontsize=size * FONT,
        labelcolor=ink.text,
        handlelength=2.2,
        borderaxespad=0,
    )
