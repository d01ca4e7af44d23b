"""Small figures for the notebooks, next to those of `workbench.figures`: curves and matrices.

Plain arrays in, Plotly figure out, in the theme of `workbench.figures`. Zero-centred quantities
take the diverging colour map with one scale for all panels; shares take cividis.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from workbench.figures.theme import DIVERGING, SEQUENTIAL, Theme, scale, series, template

WIDTH, HEIGHT = 720, 380
THEME: Theme = "light"
FEW = 10
"""Up to so many places on an axis, each has its tick."""


def curves(
    x: Sequence[float] | np.ndarray,
    lines: Mapping[str, Sequence[float] | np.ndarray],
    *,
    title: str,
    x_title: str,
    y_title: str,
    dashed: Mapping[str, Sequence[float] | np.ndarray] | None = None,
    log_x: bool = False,
    y_range: tuple[float, float] | None = None,
) -> go.Figure:
    """Draw measured `lines` (label -> y) over `x`, and predictions or reference lines dashed.

    A dashed line takes the colour of the measured line at the same place. Titles state the
    comparison, and the axes with their units. `log_x` puts a tick at every x.
    """
    figure = go.Figure()
    dash = {"dash": "dash", "width": 1}
    for group, mode, style in ((lines, "lines+markers", {}), (dashed or {}, "lines", dash)):
        for index, (label, y) in enumerate(group.items()):
            colour, symbol = series(THEME, index)
            figure.add_scatter(
                x=_floats(x),
                y=_floats(y),
                name=label,
                mode=mode,
                line={"color": colour, **style},
                marker={"symbol": symbol} if group is lines else None,
            )
    figure.update_xaxes(title=x_title)
    if log_x:
        figure.update_xaxes(type="log")
    if log_x or len(x) <= FEW:  # at the values measured, nowhere between
        figure.update_xaxes(tickvals=list(x), ticktext=[f"{value:g}" for value in x])
    figure.update_yaxes(title=y_title, range=y_range)
    return _framed(figure, title)


def matrices(
    panels: Mapping[str, np.ndarray],
    *,
    title: str,
    x_title: str,
    y_title: str,
    columns: int = 5,
    bound: float | None = None,
    diverging: bool = True,
    numbers: str = "",
    unit: str = "",
    x_text: Sequence[str] | None = None,
    y_text: Sequence[str] | None = None,
) -> go.Figure:
    """Draw matrices ``[row, column]`` by title side by side on one colour scale, row 0 at the top.

    `columns` is the number of panels in a row; `x_text` and `y_text` name a matrix's columns and
    rows. The scale ends at `bound`, None: the largest value of all panels. It is centred on zero if
    `diverging`, and begins at 0 if not. `numbers` is the format of the number in each cell, as
    ".1f"; "" writes none. `unit` is the title of the colour bar.
    """
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    if bound is None:
        bound = max(float(np.nanmax(np.abs(panel))) for panel in panels.values()) or 1.0
    figure = make_subplots(rows=rows, cols=columns, subplot_titles=list(panels))
    for index, panel in enumerate(panels.values()):
        figure.add_trace(
            go.Heatmap(
                z=np.asarray(panel, dtype=np.float32),
                coloraxis="coloraxis",
                texttemplate=f"%{{z:{numbers}}}" if numbers else None,
            ),
            row=index // columns + 1,
            col=index % columns + 1,
        )
    figure.update_layout(
        coloraxis={
            "colorscale": scale(DIVERGING[THEME] if diverging else SEQUENTIAL),
            "cmin": -bound if diverging else 0.0,
            "cmax": bound,
            "colorbar": {"title": {"text": unit}},
        }
    )
    y_size, x_size = next(iter(panels.values())).shape
    figure.update_xaxes(showgrid=False, **_ticks(x_text, x_size))
    figure.update_yaxes(autorange="reversed", showgrid=False, **_ticks(y_text, y_size))
    figure.update_xaxes(title=x_title, row=rows)
    figure.update_yaxes(title=y_title, col=1)
    return _framed(figure, title, height=120 + 230 * rows)


def titled(figure: go.Figure, title: str) -> go.Figure:
    """Put a title above a figure of `workbench.figures` that has none, and make room for it."""
    room = 34
    margin, height = figure.layout.margin.t or 0, figure.layout.height
    return figure.update_layout(
        title={"text": title, "pad": {"t": 12, "l": 12}, "y": 1, "yanchor": "top"},
        margin={"t": margin + room},
        height=height and height + room,
    )


def _ticks(names: Sequence[str] | None, size: int) -> dict[str, object]:
    if names is None and size > FEW:
        return {}
    texts = list(names) if names is not None else [str(place) for place in range(size)]
    return {"tickmode": "array", "tickvals": list(range(size)), "ticktext": texts}


def _framed(figure: go.Figure, title: str, height: int = HEIGHT) -> go.Figure:
    return figure.update_layout(
        template=template(THEME),
        title={"text": title, "pad": {"t": 12, "l": 12}},
        width=WIDTH,
        height=height,
        margin={"l": 60, "r": 20, "t": 70, "b": 50},
    )


def _floats(values: Sequence[float] | np.ndarray) -> np.ndarray:
    return np.asarray(values, dtype=np.float32)
