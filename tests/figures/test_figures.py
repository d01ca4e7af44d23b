"""Figures are tested as data: what is drawn, on which scale, and how heavy it is."""

import numpy as np
import pytest
import xarray as xr
from figure_checks import check_dark

from workbench import dims
from workbench.figures import all_heads, answer_table, one_head, shown_quantity
from workbench.figures.memory import comparison
from workbench.figures.theme import DIVERGING, SEQUENTIAL

OVER = (dims.SLEEP_PASS, dims.GDN_HEAD, dims.KEY, dims.VALUE)


def states(passes=4, heads=4, key=16, value=16, seed=0):
    values = np.random.default_rng(seed).standard_normal((passes + 1, heads, key, value))
    values[0] = 0
    coords = {n: np.arange(s) for n, s in zip(OVER, values.shape, strict=True)}
    return xr.DataArray(values.astype(np.float32), coords, OVER)


def answers(queries=8, symbols=9):
    generator = np.random.default_rng(2)
    probability = generator.dirichlet(np.ones(symbols), queries).astype(np.float32)
    right = generator.integers(0, symbols - 1, queries)
    return xr.Dataset(
        {
            "probability": ((dims.QUERY, dims.SYMBOL), probability),
            "right": ((dims.QUERY,), right),
            "right_probability": ((dims.QUERY,), probability[np.arange(queries), right]),
            "correct": ((dims.QUERY,), probability.argmax(1) == right),
            "difficulty": ((dims.QUERY,), generator.integers(1, 5, queries)),
        },
        {dims.SYMBOL: [str(i) for i in range(symbols - 1)] + ["other"]},
    )


def test_the_quantities_are_differences():
    s = states()
    assert shown_quantity(s, "state") is s
    change = shown_quantity(s, "change")
    assert not change[0].any()
    np.testing.assert_array_equal(change[3], s[3] - s[2])
    np.testing.assert_array_equal(shown_quantity(s, "sleep_change")[3], s[3] - s[0])
    with pytest.raises(ValueError, match="speed"):
        shown_quantity(s, "speed")


def test_all_heads_shows_each_matrix_on_one_scale():
    s = states()
    figure = all_heads(s, sleep_pass=2, selected=1)
    assert len(figure.data) == 4
    np.testing.assert_array_equal(figure.data[3].z, s[2, 3])
    assert figure.data[0].z.dtype == np.float32
    limit = float(abs(s).max())  # of all passes, not of this one
    assert figure.layout.coloraxis.cmax == pytest.approx(limit)
    assert figure.layout.coloraxis.cmin == pytest.approx(-limit)
    for other in (0, 1, 4):
        again = all_heads(s, sleep_pass=other).layout.coloraxis
        assert again.cmax == figure.layout.coloraxis.cmax


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


def test_answers_are_sorted_by_difficulty_with_the_right_one_framed():
    data = answers()
    labels = [f"query {q}" for q in range(8)]
    figure = answer_table(data, labels, chance=np.full(8, 0.125))
    table, framed, bars, chance, texts = figure.data
    order = bars.customdata
    levels = data["difficulty"].values[order]
    assert (np.diff(levels) >= 0).all()
    np.testing.assert_array_equal(table.z, data["probability"].values[order])
    np.testing.assert_array_equal(framed.x, data["right"].values[order])
    np.testing.assert_allclose(chance.x, 0.125)
    assert texts.x.min() > 1, "beside every bar, and clear of the chance line"
    assert texts.text[0].startswith("✓" if data["correct"].values[order[0]] else "✗")
    assert list(figure.layout.yaxis.ticktext) == [labels[q] for q in order]


FIGURES = {
    "all_heads": lambda theme: all_heads(states(), sleep_pass=1, theme=theme),
    "many_heads": lambda theme: all_heads(states(2, 16, 64, 64), sleep_pass=1, theme=theme),
    "one_head": lambda theme: one_head(states(), sleep_pass=1, gdn_head=0, theme=theme),
    "many_large_heads": lambda theme: all_heads(states(1, 64, 128, 128), sleep_pass=1, theme=theme),
    "very_many_heads": lambda theme: all_heads(states(1, 128, 64, 64), sleep_pass=1, theme=theme),
    "large_head": lambda theme: one_head(
        states(1, 1, 256, 256), sleep_pass=1, gdn_head=0, theme=theme
    ),
    "answers": lambda theme: answer_table(
        answers(), ["a query"] * 8, chance=np.full(8, 0.1), theme=theme
    ),
    "many_answers": lambda theme: answer_table(
        answers(10, 100), ["a query"] * 10, chance=np.full(10, 0.1), theme=theme
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


def test_there_are_two_colour_maps():
    assert FIGURES["all_heads"]("light").layout.coloraxis.colorscale[0][1] == DIVERGING["light"][0]
    assert FIGURES["all_heads"]("dark").layout.coloraxis.colorscale[4][1] == DIVERGING["dark"][4]
    for theme in ("light", "dark"):
        scale = FIGURES["answers"](theme).layout.coloraxis.colorscale
        assert tuple(colour for _, colour in scale) == SEQUENTIAL


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


def test_very_many_heads_keep_one_frame_and_say_so():
    figure = FIGURES["very_many_heads"]("light")
    assert len(figure.data) == 128 and len(figure.layout.shapes) == 1
    assert "point at a matrix for its head" in figure.layout.annotations[-1].text
    assert figure.data[100].name == "head 100" and "head 100" in figure.data[100].hovertemplate
