import json

import numpy as np
import plotly.graph_objects as go
import pytest

from sleep_course import pictures


def test_curves_hold_the_numbers_and_name_the_axes():
    figure = pictures.curves(
        [1, 2, 4], {"a": [0.1, 0.2, 0.3]}, dashed={"expected": [0.1, 0.2, 0.4]},
        title="A against B", x_title="pairs", y_title="error", log_x=True,
    )  # fmt: skip
    measured, expected = figure.data
    np.testing.assert_allclose(measured.y, [0.1, 0.2, 0.3], rtol=1e-6)
    assert expected.line.dash == "dash"
    assert expected.line.color == measured.line.color
    assert figure.layout.xaxis.title.text == "pairs"
    assert figure.layout.yaxis.title.text == "error"
    assert figure.layout.title.text == "A against B"
    assert list(figure.layout.xaxis.ticktext) == ["1", "2", "4"]


def test_matrices_share_one_scale_centred_on_zero():
    panels = {"one": np.array([[1.0, -3.0]]), "two": np.array([[2.0, 0.0]])}
    figure = pictures.matrices(panels, title="t", x_title="value", y_title="key")
    assert (figure.layout.coloraxis.cmin, figure.layout.coloraxis.cmax) == (-3.0, 3.0)
    assert {trace.coloraxis for trace in figure.data} == {"coloraxis"}
    assert figure.layout.yaxis.autorange == "reversed"  # row 0 at the top, as in print
    share = pictures.matrices(
        panels, title="t", x_title="x", y_title="y", diverging=False, bound=1.0
    )
    assert (share.layout.coloraxis.cmin, share.layout.coloraxis.cmax) == (0.0, 1.0)


def test_numbers_in_the_cells_and_a_unit_on_the_bar():
    panels = {"one": np.array([[14.5, -3.0]])}
    bare = pictures.matrices(panels, title="t", x_title="x", y_title="y")
    assert bare.data[0].texttemplate is None
    told = pictures.matrices(
        panels, title="t", x_title="x", y_title="y", bound=6.0, numbers=".1f", unit="nats"
    )
    assert told.data[0].texttemplate == "%{z:.1f}"
    assert told.layout.coloraxis.colorbar.title.text == "nats"


def test_a_title_has_room_of_its_own():
    figure = go.Figure(layout={"margin": {"t": 28}, "height": 300})
    named = pictures.titled(figure, "what is compared")
    assert named.layout.title.text == "what is compared"
    assert (named.layout.margin.t, named.layout.height) == (62, 334)  # the panels as tall as before


def test_empty_and_named_matrices():
    figure = pictures.matrices(
        {"S": np.zeros((2, 3))}, title="t", x_title="x", y_title="y", x_text=["a", "b", "c"]
    )
    assert figure.layout.coloraxis.cmax == 1.0
    assert list(figure.layout.xaxis.ticktext) == ["a", "b", "c"]


@pytest.mark.parametrize("count", [1, 5, 8])
def test_panels_are_laid_out_in_rows(count):
    panels = {str(i): np.eye(4) for i in range(count)}
    figure = pictures.matrices(panels, title="t", x_title="x", y_title="y", columns=4)
    assert len(figure.data) == count


def test_figures_stay_small():
    panels = {str(i): np.random.default_rng(i).standard_normal((64, 64)) for i in range(5)}
    figure = pictures.matrices(panels, title="t", x_title="x", y_title="y")
    assert len(json.dumps(figure.to_plotly_json(), default=lambda a: a.tobytes().hex())) < 400_000
    assert len(figure.to_json()) < 200_000
