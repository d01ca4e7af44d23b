"""Controls over the axes of a trace: which there are, what the figure function is given."""

import numpy as np
import plotly.graph_objects as go
import pytest
import xarray as xr

from workbench import figures
from workbench.errors import WorkbenchError
from workbench.notebook.exploring import at, axes_of, explore, redraw

LAST, ASLEEP = [2, 1], [True, False]


@pytest.fixture
def states():
    """S that shows where it is: 1000 example + 100 window + 10 pass + head; layer 3 alone."""
    dims = ("example", "window", "sleep_pass", "layer", "gdn_head", "key", "value")
    example, window, sleep_pass, head = np.ix_(range(2), range(2), range(3), range(2))
    place = (1000 * example + 100 * window + 10 * sleep_pass + head).astype(np.float32)
    place[:, 1, 2] = np.nan  # the second window has one pass
    values = place[:, :, :, None, :, None, None] * np.ones((2, 3), dtype=np.float32)
    labels = {name: np.arange(values.shape[dims.index(name)]) for name in dims[:3]}
    return xr.DataArray(values, dims=dims, coords=labels | {"layer": [3], "gdn_head": [0, 1]})


@pytest.fixture
def trace(states):
    root = xr.Dataset(coords={
        "example": [0, 1], "window": [0, 1],
        "n_passes": ("window", LAST), "asleep": ("window", ASLEEP),
    })  # fmt: skip
    norm = states.isel(key=0, value=0, drop=True)
    tree = {"/": root, "/states": xr.Dataset({"fast_weight": states, "norm": norm})}
    inputs = xr.Dataset({"tokens": (("example", "window", "token"), np.zeros((2, 2, 4)))})
    return xr.DataTree.from_dict(tree | {"/inputs": inputs})


def seen(shown):
    """A figure function's view of its data and cursor, as the figure's meta."""
    return shown.figure.layout.meta


def spy(**signature):
    """Return a figure function that takes these keyword-only arguments and records them."""

    def function(data, **given):
        dims = sorted(map(str, axes_of(data)))
        return go.Figure(layout={"meta": {"dims": dims, **given}})

    import inspect

    keyword = inspect.Parameter.KEYWORD_ONLY
    first = inspect.Parameter("data", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    rest = [inspect.Parameter(name, keyword, default=d) for name, d in signature.items()]
    function.__signature__ = inspect.Signature([first, *rest])
    function.__name__ = "spy"
    return function


def test_one_head_as_it_is(states, trace):
    shown = explore(figures.one_head, states, trace=trace)
    assert list(shown.controls) == ["example", "window", "sleep_pass", "gdn_head"]
    assert shown.cursor == {"example": 0, "window": 0, "sleep_pass": 0, "gdn_head": 0}
    shown._repr_mimebundle_()
    (drawn,) = shown.figure.data
    shown.controls["example"].value = 1
    shown.controls["sleep_pass"].value = 2
    shown.controls["gdn_head"].value = 1
    assert shown.figure.data == (drawn,), "in place"
    assert drawn.z.tolist() == [[1021.0] * 3] * 2
    assert "Head 1" in shown.figure.layout.annotations[0].text
    assert shown.note.value == ""


def test_what_comes_on_screen_is_a_whole_figure(states, trace):
    """A figure that was changed in place stays blank in a view that comes later."""
    shown = explore(figures.one_head, states, trace=trace)
    first = shown.figure
    shown.controls["sleep_pass"].value = 1
    second = shown.figure
    assert second is not first and shown.children[-1] is second and first.comm is None
    shown._repr_mimebundle_()
    assert shown.figure is second
    shown.controls["sleep_pass"].value = 2
    assert shown.figure is second, "in place"
    shown._repr_mimebundle_()
    assert shown.figure is not second and shown.children[-1] is shown.figure
    np.testing.assert_array_equal(shown.figure.data[0].z, second.data[0].z)


def test_passes_end_where_the_window_ends(states, trace):
    shown = explore(figures.one_head, states, trace=trace)
    slider = shown.controls["sleep_pass"]
    slider.value = 2
    shown.controls["window"].value = 1
    assert (slider.max, slider.value) == (1, 1)
    assert "after the wake pass" in shown.figure.layout.annotations[0].text
    shown.controls["window"].value = 0
    assert slider.max == 2


def test_a_note_says_what_was_not_recorded(states):
    shown = explore(figures.one_head, states)
    shown.controls["window"].value = 1
    assert shown.note.value == ""
    shown.controls["sleep_pass"].value = 2
    assert "Nothing was recorded here" in shown.note.value


def test_an_axis_that_is_not_there_or_has_one_place_gets_no_widget(states):
    shown = explore(spy(gdn_head=0, theme="light"), states.isel(example=0, window=0))
    assert list(shown.controls) == ["gdn_head"]
    assert seen(shown) == {"dims": ["gdn_head", "key", "sleep_pass", "value"], "gdn_head": 0}


def test_what_the_function_does_not_name_is_cut_and_sleep_passes_stay(states):
    shown = explore(spy(), states)
    assert list(shown.controls) == ["example", "window", "gdn_head"]
    assert seen(shown)["dims"] == ["key", "sleep_pass", "value"]


def test_over_says_what_is_cut_and_the_function_gets_named_axes_too(states):
    cut = ("example", "window", "layer", "gdn_head")
    shown = explore(spy(sleep_pass=0, gdn_head=0), states, over=cut)
    shown.controls["gdn_head"].value = 1
    assert seen(shown) == {"dims": ["key", "sleep_pass", "value"], "sleep_pass": 0, "gdn_head": 1}


def test_figures_of_a_whole_reading_get_places_and_facts(states, trace):
    function = spy(passes=(), awake=(), boundary=(0, 0), selected=0)
    shown = explore(function, states, trace=trace)
    assert list(shown.controls) == ["example", "window", "sleep_pass", "gdn_head"]
    shown.controls["window"].value = 1
    shown.controls["sleep_pass"].value = 1
    shown.controls["gdn_head"].value = 1
    assert seen(shown) == {
        "dims": ["gdn_head", "key", "sleep_pass", "value", "window"],
        "passes": (2, 1), "awake": (False, True), "boundary": (1, 1), "selected": 1,
    }  # fmt: skip
    here = explore(spy(boundary=(0, 0)), states, trace=trace)
    assert seen(here) == {"dims": ["key", "value"], "boundary": (0, 0)}


def test_a_whole_trace(trace):
    shown = explore(spy(sleep_pass=0), trace)
    assert list(shown.controls) == ["example", "window", "sleep_pass", "gdn_head"]
    assert seen(shown)["dims"] == ["key", "sleep_pass", "token", "value"]


def test_fixed_values_and_lists_of_them(states):
    shown = explore(
        figures.one_head, states, example=1, gdn_head=[1, 0], quantity=["change", "state"],
        limit=5.0,
    )  # fmt: skip
    assert list(shown.controls) == ["window", "sleep_pass", "gdn_head", "quantity"]
    shown.controls["sleep_pass"].value = 1
    assert shown.figure.data[0].z.tolist() == [[10.0] * 3] * 2
    shown.controls["quantity"].value = "state"
    assert shown.figure.data[0].z.tolist() == [[1011.0] * 3] * 2
    assert shown.figure.layout.coloraxis.cmax == 5.0


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"example": 7}, "one of 0, 1"),
        ({"gdn_head": [0, 9]}, "gdn_head = 9"),
        ({"colour": 1}, "an axis to stop at"),
        ({"over": ("token",)}, "leave out token"),
        ({"over": ("example",)}, r"one_head with data over \(window, sleep_pass, "),
        ({"quantity": "what"}, "expected one of state, change"),
    ],
)
def test_what_cannot_be_drawn_is_refused_at_once(states, given, says):
    with pytest.raises(WorkbenchError, match=says):
        explore(figures.one_head, states, **given)


def test_a_later_error_goes_to_the_note_and_the_figure_stays(states):
    def picky(data, *, sleep_pass):
        if sleep_pass == 1:
            raise ValueError("not <here>")
        return go.Figure([go.Scatter(y=[sleep_pass])])

    shown = explore(picky, states)
    shown.controls["sleep_pass"].value = 1
    assert "not &lt;here&gt;" in shown.note.value
    assert list(shown.figure.data[0].y) == [0]
    shown.controls["sleep_pass"].value = 2
    assert shown.note.value == "" and list(shown.figure.data[0].y) == [2]


def test_redrawing_leaves_nothing_of_what_was_there():
    shown = go.FigureWidget()
    redraw(shown, go.Figure([go.Scatter(y=[1], name="a", marker={"size": 9})], {"height": 300}))
    (kept,) = shown.data
    redraw(shown, go.Figure([go.Scatter(y=[2, 3], marker={"color": "red"})], {"width": 200}))
    assert shown.data == (kept,)
    assert list(kept.y) == [2, 3] and kept.name is None and kept.marker.size is None
    assert shown.layout.height is None and shown.layout.width == 200
    redraw(shown, go.Figure([go.Bar(y=[1]), go.Scatter(y=[2])]))
    assert [trace.type for trace in shown.data] == ["bar", "scatter"]


def test_trees_are_cut_where_they_have_the_axis(trace):
    assert axes_of(trace)["sleep_pass"] == [0, 1, 2]
    there = at(trace, {"sleep_pass": 1, "example": 0})
    assert there["states"]["norm"].dims == ("window", "layer", "gdn_head")
    assert there["inputs"]["tokens"].dims == ("window", "token")


@pytest.mark.parametrize("name", ["change_against_replay", "ranks_along", "singular_values"])
def test_figures_of_instruments_on_a_bundled_trace(name):
    from workbench.instruments.change import change
    from workbench.instruments.spectra import spectra
    from workbench.trace import load_trace

    trace = load_trace("depo-n8-w2-any").isel(example=slice(0, 2))
    found = change(trace) if name == "change_against_replay" else spectra(trace)
    options = {}
    if name == "singular_values":
        found = found["singular_value"]
        options["over"] = ("example", "window", "layer", "gdn_head")
    shown = explore(getattr(figures, name), found, trace=trace, **options)
    assert {"example", "window", "sleep_pass", "gdn_head"} == set(shown.controls)
    for control, value in (("example", 1), ("window", 1), ("sleep_pass", 3), ("gdn_head", 2)):
        shown.controls[control].value = value
    assert shown.note.value == ""
    assert len(shown.figure.data) > 0


def test_matrices_with_gaps_can_be_sent(states, trace):
    """JSON has no NaN: the kernel warns on the page, and a strict reader refuses the message."""
    gaps = states.where(states["window"] == 0)
    shown = explore(figures.one_head, gaps, trace=trace)
    assert shown.figure.data[0].z.tolist() == [[0.0] * 3] * 2
    shown.controls["window"].value = 1
    assert shown.figure.data[0].z.tolist() == [[None] * 3] * 2, "after a move"
    begun = explore(figures.one_head, gaps, trace=trace, window=1)
    (sent,) = begun.figure.get_state()["_widget_data"]
    assert [list(row) for row in sent["z"]] == [[None] * 3] * 2
