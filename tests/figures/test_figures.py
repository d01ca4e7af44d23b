"""Figures are tested as data: what is drawn, on which scale, and how heavy it is."""

import numpy as np
import pytest
import xarray as xr
from figure_checks import check_dark

from workbench import dims
from workbench.figures import one_head
from workbench.figures.memory import comparison, shown_quantity
from workbench.figures.theme import DIVERGING

OVER = (dims.SLEEP_PASS, dims.GDN_HEAD, dims.KEY, dims.VALUE)


def states(passes=4, heads=4, key=16, value=16, seed=0):
    values = np.random.default_rng(seed).standard_normal((passes + 1, heads, key, value))
    values[0] = 0
    coords = {n: np.arange(s) for n, s in zip(OVER, values.shape, strict=True)}
    return xr.DataArray(values.astype(np.float32), coords, OVER)


def test_the_quantities_are_differences():
    s = states()
    assert shown_quantity(s, "state") is s
    change = shown_quantity(s, "change")
    assert not change[0].any()
    np.testing.assert_array_equal(change[3], s[3] - s[2])
    np.testing.assert_array_equal(shown_quantity(s, "sleep_change")[3], s[3] - s[0])
    with pytest.raises(ValueError, match="speed"):
        shown_quantity(s, "speed")


def test_every_pass_is_on_one_scale():
    s = states()
    figure = one_head(s, sleep_pass=2, gdn_head=3)
    np.testing.assert_array_equal(figure.data[0].z, s[2, 3])
    assert figure.data[0].z.dtype == np.float32
    limit = float(abs(s).max())  # of all passes, not of this one
    for other in (0, 1, 4):
        scale = one_head(s, sleep_pass=other, gdn_head=3).layout.coloraxis
        assert (scale.cmin, scale.cmax) == (pytest.approx(-limit), pytest.approx(limit))


def test_one_head_names_the_comparison_and_its_axes():
    figure = one_head(states(), sleep_pass=2, gdn_head=3, quantity="change")
    (note,) = figure.layout.annotations
    assert "Head 3" in note.text and "S after pass 2 minus S after pass 1" in note.text
    assert figure.layout.xaxis.title.text == "value dimension"
    assert figure.layout.coloraxis.colorbar.title.text == "change of S (no unit)"


@pytest.mark.parametrize(
    ("sleep_pass", "quantity", "awake", "words"),
    [
        (0, "state", False, "S as carried into the window"),
        (1, "change", False, "S after pass 1 minus S before the sleep"),
        (3, "sleep_change", False, "S after pass 3 minus S before the sleep"),
        (1, "change", True, "S after the wake pass minus S before it"),
        (0, "change", False, "S as carried into the window: nothing to compare yet"),
    ],
)
def test_comparison_in_words(sleep_pass, quantity, awake, words):
    assert comparison(sleep_pass, quantity, awake=awake) == words


FIGURES = {
    "one_head": lambda theme: one_head(states(), sleep_pass=1, gdn_head=0, theme=theme),
    "large_head": lambda theme: one_head(
        states(1, 1, 256, 256), sleep_pass=1, gdn_head=0, theme=theme
    ),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figures_keep_the_byte_budget_and_float32(name):
    check_dark(FIGURES[name]("dark"))


def test_large_matrices_say_that_they_are_block_means():
    figure = FIGURES["large_head"]("light")
    assert "means of 2 x 2 cells" in figure.layout.annotations[0].text
    mean = states(1, 1, 256, 256)[1, 0].values[:2, :2].mean()
    assert figure.data[0].z[0, 0] == pytest.approx(mean, abs=1e-6)


def test_the_colours_are_those_of_the_theme():
    assert FIGURES["one_head"]("light").layout.coloraxis.colorscale[0][1] == DIVERGING["light"][0]
    assert FIGURES["one_head"]("dark").layout.coloraxis.colorscale[4][1] == DIVERGING["dark"][4]


def test_blocks_cover_every_row_and_the_axes_count_rows():
    """255 x 255 in blocks of 2: the last row and column are there, as means of what there is."""
    s = states(1, 1, 255, 255)
    figure = one_head(s, sleep_pass=1, gdn_head=0)
    (heat,) = figure.data
    z, values = heat.z, s[1, 0].values
    assert z.shape == (128, 128)
    assert z[127, 127] == pytest.approx(values[254, 254])
    assert z[127, 0] == pytest.approx(values[254, :2].mean(), abs=1e-6)
    middle = heat.y0 + heat.dy * np.arange(128)
    assert (middle[0], middle[1], heat.dx) == (0.5, 2.5, 2), "rows 0 and 1, rows 2 and 3"
    assert "mean about key" in heat.hovertemplate
    plain = one_head(states(), sleep_pass=1, gdn_head=0).data[0]
    assert plain.y0 is None and "mean" not in plain.hovertemplate
