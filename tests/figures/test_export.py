"""Pictures without a browser: what a Plotly figure holds is what its picture shows."""

import numpy as np
import plotly.graph_objects as go
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

from workbench.errors import WorkbenchError
from workbench.figures.export import drawn, export
from workbench.figures.export_parts import plain
from workbench.figures.theme import INKS, SEQUENTIAL, scale, template


def two_panels(theme="light"):
    """Lines with errors and a fill at the left, a matrix with a gap at the right."""
    return go.Figure(
        [
            {
                "type": "scatter", "x": [1, 2, 4], "y": [0.2, 0.5, 0.9], "name": "sleep",
                "mode": "lines+markers", "line": {"color": "#0072b2", "dash": "dot"},
                "error_y": {"array": [0.1, 0.1, 0.05], "arrayminus": [0.2, 0.1, 0.1]},
            },
            {
                "type": "scatter", "x": [1, 4, 4, 1], "y": [0.1, 0.1, 0.2, 0.2], "fill": "toself",
                "fillcolor": "rgba(9,9,9,0.2)", "mode": "none", "name": "chance",
                "legendrank": 1,
            },
            {
                "type": "heatmap", "z": [[0.0, 1.0], [np.nan, 0.5]], "xaxis": "x2", "yaxis": "y2",
                "coloraxis": "coloraxis",
            },
        ],
        {
            "template": template(theme), "height": 300,
            "margin": {"l": 50, "r": 60, "t": 40, "b": 60},
            "xaxis": {"domain": [0, 0.4], "type": "log", "range": [-0.1, 0.7],
                      "tickvals": [1, 2, 4], "ticktext": ["1", "2", "4"], "title": {"text": "N"}},
            "yaxis": {"range": [0, 1]},
            "xaxis2": {"domain": [0.6, 1], "anchor": "y2"},
            "yaxis2": {"anchor": "x2", "autorange": "reversed"},
            "coloraxis": {"cmin": 0, "cmax": 1, "colorscale": scale(SEQUENTIAL),
                          "colorbar": {"title": {"text": "share"}}},
            "shapes": [{"type": "rect", "xref": "x2", "yref": "y2", "x0": -0.5, "x1": 0.5,
                        "y0": -0.5, "y1": 0.5, "line": {"color": "#d1006c"}}],
            "annotations": [{"text": "<b>left</b>", "xref": "paper", "yref": "paper", "x": 0,
                             "y": 1, "yshift": 4, "showarrow": False}],
        },
    )  # fmt: skip


def test_lines_errors_and_matrices_are_drawn_as_given():
    picture = drawn(two_panels())
    left, right, strip = picture.axes
    (line,) = (
        one for one in left.lines if len(one.get_xdata()) == 3 and one.get_linestyle() != "None"
    )
    np.testing.assert_allclose(line.get_xydata(), [[1, 0.2], [2, 0.5], [4, 0.9]])
    assert left.get_xscale() == "log"
    np.testing.assert_allclose(left.get_xlim(), (10**-0.1, 10**0.7))
    (bars,) = left.containers
    np.testing.assert_allclose(
        [s[:, 1] for s in bars[2][0].get_segments()], [[0, 0.3], [0.4, 0.6], [0.8, 0.95]]
    )
    (mesh,) = right.collections
    shown = mesh.get_array()
    np.testing.assert_allclose(shown.filled(-1), [[0, 1], [-1, 0.5]])
    assert right.get_ylim()[0] > right.get_ylim()[1], "reversed"
    assert strip.get_ylabel() == "share"
    assert left.get_xlabel() == "N"
    assert [t.get_text() for t in left.get_xticklabels()] == ["1", "2", "4"]


def test_places_are_those_of_the_page():
    picture = drawn(two_panels(), width=500)
    left = picture.axes[0].get_position()
    np.testing.assert_allclose(left.bounds, (50 / 500, 60 / 300, 0.4 * 390 / 500, 200 / 300))
    (note,) = picture.texts
    assert note.get_text() == "left" and note.get_fontweight() == "bold"
    at = note.get_transform().transform(note.get_position())
    np.testing.assert_allclose(at, (50, 260 + 4), err_msg="in pixels from below")
    (frame,) = (a for a in picture.artists if isinstance(a, Rectangle))
    ends = frame.get_transform().transform([(0, 0), (1, 1)])
    right = picture.axes[1].bbox
    np.testing.assert_allclose(ends[:, 0], (right.x0, right.x0 + right.width / 2), atol=1e-6)
    np.testing.assert_allclose(ends[:, 1], (right.y1, right.y0 + right.height / 2), atol=1e-6)


def test_the_legend_keeps_plotly_s_order():
    (legend,) = drawn(two_panels()).legends
    assert [t.get_text() for t in legend.get_texts()] == ["chance", "sleep"]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_ground_is_that_of_the_theme(theme):
    assert to_hex(drawn(two_panels(theme)).get_facecolor()) == INKS[theme].paper


def test_bars_stand_on_each_other():
    bar = {"type": "bar", "x": [0, 1], "y": [1, 2]}
    both = [bar, bar | {"y": [3, 4]}]
    (axes,) = drawn(go.Figure(both, {"barmode": "stack"})).axes
    first, second = axes.containers
    assert [(b.get_y(), b.get_height()) for b in second] == [(1, 3), (2, 4)]
    assert first[0].get_x() == second[0].get_x()
    with pytest.raises(ValueError, match="side by side"):
        drawn(go.Figure(both))


def test_bars_have_the_colours_of_their_numbers_and_a_note_stands_at_its_bar():
    """Bars coloured by numbers, as the colour bar says."""
    numbers = {"color": [1, 0.5, 0], "coloraxis": "coloraxis"}
    bars = {"type": "bar", "x": [1, 2, 4], "y": [1, 1, 1], "marker": numbers}
    plain_bar = {"type": "bar", "x": [0, 3], "y": [1, 1], "marker": {"color": "#123456"}}
    look = {"cmin": 0, "cmax": 1, "colorscale": scale(SEQUENTIAL)}
    look["colorbar"] = {"title": {"text": "|ΔS| / |S|"}}
    note = {"text": "▼", "xref": "x", "yref": "y", "x": 3, "y": 1, "showarrow": False}
    layout = {"barmode": "overlay", "coloraxis": look, "annotations": [note]}
    picture = drawn(go.Figure([plain_bar, bars], layout | {"template": template("dark")}))
    axes, strip = picture.axes
    carried, passed = axes.containers
    shown = [to_hex(bar.get_facecolor()) for bar in passed]
    assert shown[0] == SEQUENTIAL[-1] and shown[2] == SEQUENTIAL[0]
    assert {to_hex(bar.get_facecolor()) for bar in carried} == {"#123456"}
    assert strip.get_ylabel() == "|ΔS| / |S|"
    here = carried[1].get_x() + carried[1].get_width() / 2
    mark = next(note for note in picture.texts if note.get_text() == "▼")
    assert mark.get_position()[0] == pytest.approx(here)


@pytest.mark.parametrize("ending", ["svg", "png", pytest.param("pdf", marks=pytest.mark.slow)])
def test_the_same_figure_gives_the_same_file(tmp_path, ending):
    first, second = tmp_path / f"a.{ending}", tmp_path / f"b.{ending}"
    export(two_panels(), first)
    export(two_panels(), second)
    data = first.read_bytes()
    assert data == second.read_bytes()
    assert data.startswith({"svg": b"<?xml", "pdf": b"%PDF", "png": b"\x89PNG"}[ending])
    assert len(list(tmp_path.iterdir())) == 2, "nothing is left of writing aside"


def test_what_a_picture_cannot_hold_is_an_error(tmp_path):
    with pytest.raises(WorkbenchError, match="ends with .svg, .pdf or .png"):
        export(two_panels(), tmp_path / "figure.gif")
    with pytest.raises(ValueError, match="pie"):
        drawn(go.Figure([{"type": "pie", "values": [1]}]))
    with pytest.raises(ValueError, match="path"):
        drawn(go.Figure([], {"shapes": [{"type": "path", "path": "M 0 0"}]}))
    figure = two_panels()
    figure.layout.shapes[0].fillcolor = "#d1006c"
    with pytest.raises(ValueError, match="filled shape"):
        drawn(figure)
    with pytest.raises(ValueError, match="marker bowtie"):
        drawn(go.Figure([{"x": [0], "y": [1], "mode": "markers", "marker": {"symbol": "bowtie"}}]))


def test_html_becomes_text():
    assert plain("<b>head 3</b>") == ("head 3", True)
    assert plain("a<br>b &amp; c") == ("a\nb & c", False)
