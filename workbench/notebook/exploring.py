"""Sliders and menus over the axes of a trace, for any figure function, in a notebook cell.

A figure function takes data first and its cursor as keyword-only arguments. `explore` finds out
which axes the data has, which of them the function wants named, and cuts the data along the rest.
"""

from __future__ import annotations

import html
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import ipywidgets  # type: ignore[import-untyped]
import numpy as np
import plotly.graph_objects as go
import xarray as xr

from workbench import dims
from workbench.errors import WorkbenchError

Data = xr.DataArray | xr.Dataset | xr.DataTree

CUT: Final = (dims.EXAMPLE, dims.WINDOW, dims.LAYER, dims.GDN_HEAD)
"""Axes along which a figure shows one place, unless it or `over` names them."""
ORDER: Final = (dims.EXAMPLE, dims.WINDOW, dims.SLEEP_PASS, dims.LAYER, dims.GDN_HEAD)
"""Widgets of these axes come first, in this order."""
BOUNDARY: Final = (dims.WINDOW, dims.SLEEP_PASS)
"""What figures of a whole reading take as one argument ``boundary``, both by position."""
MENUS: Final = (dims.LAYER, dims.GDN_HEAD)
"""Whole numbers that are names: a menu rather than a slider."""


class Explorer(ipywidgets.VBox):
    """What `explore` returns: controls above a figure that is changed in place.

    Set ``controls["sleep_pass"].value``, by axis or argument, to move there from code. `figure` is
    on screen; `note` says why nothing is drawn, and is empty otherwise.
    """

    def __init__(
        self,
        draw: Callable[[dict[str, Any]], tuple[go.Figure, str]],
        controls: dict[str, Any],
        limit: Callable[[dict[str, Any]], int | None],
    ) -> None:
        self._draw, self._limit, self._on_screen = draw, limit, False
        self.controls = controls
        self._limited()
        figure, note = draw(self.cursor)
        self.note = ipywidgets.HTML(html.escape(note))
        # filled later, it would show empty axes on the page
        self.figure = as_widget(figure)
        for control in controls.values():
            control.observe(self._moved, names="value")
        self._row = ipywidgets.HBox(
            list(controls.values()), layout=ipywidgets.Layout(flex_flow="row wrap")
        )
        super().__init__([self._row, self.note, self.figure])

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        # a new view of a figure that has been changed in place stays blank
        if self._on_screen:
            self._put(self._draw(self.cursor)[0])
        self._on_screen = True
        return super()._repr_mimebundle_(**kwargs)

    def _put(self, figure: go.Figure) -> None:
        """Replace the figure on screen."""
        gone, self.figure = self.figure, as_widget(figure)
        self.children = [self._row, self.note, self.figure]
        gone.close()

    @property
    def cursor(self) -> dict[str, Any]:
        """Where the controls stand."""
        return {name: control.value for name, control in self.controls.items()}

    def _limited(self) -> None:
        """Keep the slider of passes to those that this window has."""
        slider, last = self.controls.get(dims.SLEEP_PASS), self._limit(self.cursor)
        if slider is not None and last is not None and slider.max != last:
            slider.max = max(last, slider.min)  # lowers the value with it

    def _moved(self, change: Any) -> None:
        self._limited()
        try:
            figure, note = self._draw(self.cursor)
        except (WorkbenchError, ValueError, KeyError, IndexError, TypeError) as error:
            # in a callback a traceback would go to a log that no reader sees
            self.note.value = html.escape(f"No figure here: {error}")
            return
        self.note.value = html.escape(note)
        if self._on_screen:
            redraw(self.figure, figure)
        else:
            self._put(figure)


def explore(
    figure_function: Callable[..., go.Figure],
    data: Data,
    *,
    over: Sequence[str] | None = None,
    trace: xr.DataTree | None = None,
    **fixed: Any,
) -> Explorer:
    """Show a figure of `data` with a slider or a menu for each axis along which it shows one place.

    Parameters
    ----------
    figure_function : callable
        ``f(data, *, ...) -> Figure``, as those of `workbench.figures`. A keyword-only argument
        with the name of an axis gets the label chosen there; `boundary` gets the positions (window,
        sleep_pass), `selected` that of the head; `passes` and `awake` come from the trace.
    data : DataArray, Dataset or DataTree
        A trace, a part of one, or what an instrument made of it.
    over : sequence of str or None
        Axes to cut, so that the function gets one place of each. None takes example, window,
        layer and gdn_head, except those that the function names; and with an argument `boundary`
        but none `passes`, window and sleep_pass.
    trace : DataTree or None
        Has the number of passes of each window, where `data` has not.
    **fixed
        An axis held at one value, or an argument of the function; a list of values becomes a
        menu. An axis with one place has no widget either.

    Raises
    ------
    WorkbenchError
        A name is neither an axis nor an argument, a place is not on its axis, or the function
        cannot draw what is left.

    Examples
    --------
    The last line of a cell:

    >>> explore(figures.one_head, trace["states"]["fast_weight"])  # doctest: +SKIP
    """
    labels = axes_of(data)
    arguments = keywords_of(figure_function)
    cut = _cut(labels, arguments, over)
    whole = trace if trace is not None else data
    last, asleep = _facts(whole, labels, "n_passes"), _facts(whole, labels, "asleep")
    wanted = {name for name in labels if name in cut or name in arguments}
    if "boundary" in arguments:
        wanted |= set(BOUNDARY) & set(labels)
    if "selected" in arguments:
        wanted |= {dims.GDN_HEAD} & set(labels)
    _check(fixed, labels, arguments, wanted)
    if "passes" in fixed and last is None:
        last = np.asarray(fixed["passes"])
    controls, held = _controls(fixed, labels, wanted)

    def draw(cursor: dict[str, Any]) -> tuple[go.Figure, str]:
        here = held | cursor
        part = at(data, {name: here[name] for name in cut})
        given = {name: here[name] for name in arguments if name in here}
        given = _of_the_reading(arguments, here, labels, last, asleep) | given
        figure = figure_function(part, **given)
        return figure, _nothing(part, {name: here[name] for name in here if name in arguments})

    def limit(cursor: dict[str, Any]) -> int | None:
        here = held | cursor
        return None if last is None else int(last[_position(labels, dims.WINDOW, here)])

    try:
        return Explorer(draw, controls, limit)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        name = getattr(figure_function, "__name__", "the function")
        rest = [dim for dim in labels if dim not in cut]
        raise WorkbenchError(
            f"{name} with data over ({', '.join(map(str, rest))}): {error}",
            "the data that its documentation names",
            "say which axes to cut with over=(...), or give what it needs by keyword",
        ) from error


def as_widget(figure: go.Figure) -> go.FigureWidget:
    """Return a figure as a widget."""
    # not imported above, which takes seconds
    shown = go.FigureWidget([sendable(trace) for trace in figure.data], figure.layout)
    shown._config = {**shown._config, "displayModeBar": False}  # it lies over the panels' titles
    return shown


def redraw(shown: go.FigureWidget, wanted: go.Figure) -> None:
    """Bring a figure on screen to another one: the same traces changed, or other ones put there."""
    if shown.layout != wanted.layout:
        shown.layout = wanted.layout  # whole: in a batch, new axes would be sent twice
    if [trace.type for trace in shown.data] != [trace.type for trace in wanted.data]:
        shown.data = ()
        shown.add_traces([sendable(trace) for trace in wanted.data])
        return
    with shown.batch_update():
        for old, new in zip(shown.data, wanted.data, strict=True):
            fresh = sendable(new)
            gone = dict.fromkeys(set(old.to_plotly_json()) - set(fresh) - {"uid"})
            old.update(gone | fresh, overwrite=True)


def sendable(trace: Any) -> dict[str, Any]:
    """Return a trace as a widget can send it: matrices travel as JSON, which knows no NaN."""
    found = dict(trace.to_plotly_json())
    for name, value in found.items():
        if isinstance(value, np.ndarray) and value.ndim > 1 and value.dtype.kind == "f":
            matrix = value.astype(object)
            matrix[np.isnan(value)] = None
            found[name] = matrix
    return found


def axes_of(data: Data) -> dict[str, list[Any]]:
    """Return the labels of every axis; in a tree those that all its groups share."""
    found: dict[str, list[Any]] = {}
    parts = [node.dataset for node in data.subtree] if isinstance(data, xr.DataTree) else [data]
    for part in parts:
        for dim in part.dims:
            name = str(dim)
            here = part.coords[name].values if name in part.coords else np.arange(part.sizes[name])
            values = here.tolist()
            found[name] = [v for v in found[name] if v in values] if name in found else values
    return found


def at(data: Data, place: Mapping[str, Any]) -> Data:
    """Return data at one place of some axes; parts of a tree without the axis stay whole."""
    if isinstance(data, xr.DataTree):
        return xr.DataTree.from_dict(
            {
                node.path: at(node.to_dataset(), {d: v for d, v in place.items() if d in node.dims})
                for node in data.subtree
            }
        )
    named = {name: value for name, value in place.items() if name in data.coords}
    counted = {name: value for name, value in place.items() if name not in data.coords}
    return data.sel(named).isel(counted)


def keywords_of(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Return the keyword-only arguments of a figure function."""
    parameters = inspect.signature(function).parameters
    return {n: p for n, p in parameters.items() if p.kind is inspect.Parameter.KEYWORD_ONLY}


def _cut(
    labels: Mapping[str, list[Any]],
    arguments: Mapping[str, inspect.Parameter],
    over: Sequence[str] | None,
) -> tuple[str, ...]:
    if over is not None:
        unknown = [name for name in over if name not in labels]
        if unknown:
            raise WorkbenchError(
                f"over = {', '.join(map(str, over))}",
                f"axes of the data: {', '.join(labels)}",
                f"leave out {', '.join(map(str, unknown))}",
            )
        return tuple(over)
    kept = set(arguments) | ({dims.GDN_HEAD} if "selected" in arguments else set())
    if "passes" in arguments:
        kept |= {dims.WINDOW}
    places = BOUNDARY if "boundary" in arguments and "passes" not in arguments else ()
    return tuple(name for name in labels if name in (*CUT, *places) and name not in kept)


def _check(
    fixed: Mapping[str, Any],
    labels: Mapping[str, list[Any]],
    arguments: Mapping[str, Any],
    wanted: set[str],
) -> None:
    for name, value in fixed.items():
        if name in wanted:
            outside = [v for v in (value if _many(value) else [value]) if v not in labels[name]]
            if outside:
                raise WorkbenchError(
                    f"{name} = {outside[0]}",
                    f"one of {', '.join(map(str, labels[name]))}",
                    f"choose another {name}",
                )
        elif name not in arguments:
            raise WorkbenchError(
                f"{name} = {value}",
                f"an axis to stop at ({', '.join(sorted(wanted))}) or an argument of the figure "
                f"({', '.join(arguments)})",
                f"leave {name} out",
            )


def _controls(
    fixed: Mapping[str, Any], labels: Mapping[str, list[Any]], wanted: set[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a control for each name with several values, and the values of the others."""
    controls, held = {}, {}
    for name in sorted(wanted, key=lambda n: (ORDER.index(n) if n in ORDER else 9, str(n))):
        values = list(fixed[name]) if _many(fixed.get(name)) else labels[name]
        if name in fixed and not _many(fixed[name]):
            held[name] = fixed[name]
        elif len(values) == 1:
            held[name] = values[0]
        else:
            controls[name] = _control(name, values)
    for name in set(fixed) - wanted:
        # a tuple is a value, as `passes` and `boundary` are; a list is a choice
        if _many(fixed[name]):
            controls[name] = ipywidgets.Dropdown(options=fixed[name], **named(name))
        else:
            held[name] = fixed[name]
    return controls, held


def _control(name: str, values: list[Any]) -> Any:
    whole = all(type(value) is int for value in values)
    if whole and name not in MENUS and values == list(range(values[0], values[0] + len(values))):
        return ipywidgets.IntSlider(value=values[0], min=values[0], max=values[-1], **named(name))
    return ipywidgets.Dropdown(options=values, **named(name))


def named(name: str) -> dict[str, Any]:
    """Return the options of a control that shows its whole name."""
    return {"description": name, "style": {"description_width": "initial"}}


def _facts(data: Data, labels: Mapping[str, list[Any]], name: str) -> np.ndarray | None:
    found = data.coords.get(name)
    if found is None or found.dims != (dims.WINDOW,) or dims.WINDOW not in labels:
        return None
    return np.asarray(found.values)


def _of_the_reading(
    arguments: Mapping[str, Any],
    here: Mapping[str, Any],
    labels: Mapping[str, list[Any]],
    last: np.ndarray | None,
    asleep: np.ndarray | None,
) -> dict[str, Any]:
    """Return the arguments that describe all windows, or the boundary among them."""
    found: dict[str, Any] = {}
    if "boundary" in arguments:
        found["boundary"] = tuple(_position(labels, name, here) for name in BOUNDARY)
    if "selected" in arguments and dims.GDN_HEAD in here:
        found["selected"] = _position(labels, dims.GDN_HEAD, here)
    if "passes" in arguments and last is not None:
        found["passes"] = tuple(int(n) for n in last)
    if "awake" in arguments and asleep is not None:
        every = tuple(not bool(slept) for slept in asleep)
        found["awake"] = (
            every if "passes" in arguments else every[_position(labels, dims.WINDOW, here)]
        )
    return found


def _position(labels: Mapping[str, list[Any]], name: str, here: Mapping[str, Any]) -> int:
    return labels[name].index(here[name]) if name in here else 0


def _nothing(part: Data, named: Mapping[str, Any]) -> str:
    """Return why there is nothing to see, where all numbers at the place drawn are missing."""
    if isinstance(part, xr.DataTree):
        return ""
    place = {name: value for name, value in named.items() if name in part.dims}
    values = at(part, place)
    arrays = [values] if isinstance(values, xr.DataArray) else list(values.data_vars.values())
    numbers = [a.values for a in arrays if a.dtype.kind == "f" and a.size]
    if not numbers or not all(np.isnan(array).all() for array in numbers):
        return ""
    return "Nothing was recorded here: this window had fewer passes, or nothing to compare with."


def _many(value: Any) -> bool:
    return isinstance(value, list)
