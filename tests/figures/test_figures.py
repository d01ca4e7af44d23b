"""Figures are tested as data: what is drawn, on which scale, and how heavy it is."""

import json

import numpy as np
import pytest
import xarray as xr

from workbench import dims
from workbench.figures import (
    all_heads,
    answer_table,
    one_head,
    pass_curves,
    shown_quantity,
    timeline,
)
from workbench.figures.memory import comparison
from workbench.figures.theme import BYTES, DIVERGING, SEQUENTIAL, size
from workbench.figures.timeline import positions

OVER = (dims.SLEEP_PASS, dims.GDN_HEAD, dims.KEY, dims.VALUE)


def states(passes=4, heads=4, key=16, value=16, seed=0):
    values = np.random.default_rng(seed).standard_normal((passes + 1, heads, key, value))
    values[0] = 0
    coords = {n: np.arange(s) for n, s in zip(OVER, values.shape, strict=True)}
    return xr.DataArray(values.astype(np.float32), coords, OVER)


def summary(passes, heads=4):
    shape = (len(passes), max(passes) + 1, heads)
    over = (dims.WINDOW, dims.SLEEP_PASS, dims.GDN_HEAD)
    values = np.random.default_rng(1).random(shape).astype(np.float32)
    coords = {dims.GDN_HEAD: np.arange(heads)}
    names = ("norm", "relative_change", "effective_rank")
    return xr.Dataset({name: (over, values) for name in names}, coords)


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


def curves(passes=(4, 1), theme="light", heads=4, queries=8):
    right = np.random.default_rng(3).random((len(passes), max(passes) + 1, queries))
    return pass_curves(
        summary(passes, heads),
        xr.DataArray(right, dims=(dims.WINDOW, dims.SLEEP_PASS, dims.QUERY)),
        passes=passes,
        awake=(False,) * (len(passes) - 1) + (True,),
        place=(0, 2),
        difficulty=np.arange(queries) % 4 + 1,
        difficulty_name="hops",
        chance={1: 0.125, 2: 0.125},
        replay={0: summary(passes, heads)["relative_change"].isel({dims.WINDOW: 0})},
        theme=theme,
    )


def numbers(value):
    """Return a trace's array, whether it is one or comes encoded."""
    return np.asarray(value)


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
    np.testing.assert_array_equal(numbers(figure.data[3].z), s[2, 3])
    assert numbers(figure.data[0].z).dtype == np.float32
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


def test_the_timeline_has_one_cell_a_stop():
    change = xr.DataArray([[np.nan, 1, 0.5], [np.nan, 0.25, np.nan]], dims=["window", "sleep_pass"])
    figure = timeline(change, passes=(2, 1), awake=(False, True), place=(1, 0))
    carried, passed = figure.data
    assert numbers(carried.customdata).tolist() == [[0, 0], [1, 0]]
    assert numbers(passed.customdata).tolist() == [[0, 1], [0, 2], [1, 1]]
    np.testing.assert_allclose(numbers(passed.marker.color), [1, 0.5, 0.25])
    assert "sleep pass 2: S changed by 50 %" in passed.hovertext[1]
    assert "wake pass" in passed.hovertext[2]
    here = positions((2, 1))[1][0]
    assert figure.layout.shapes[0].x0 == pytest.approx(here - 0.5)


def test_curves_draw_the_replay_and_the_chance_line():
    figure = curves()
    names = [trace.name for trace in figure.data]
    assert names.count("replay of pass 1") == 1
    assert names.count("chance") == 1
    chance = figure.data[names.index("chance")]
    np.testing.assert_allclose(numbers(chance.y), 0.125)
    assert {"1 hop", "2 hops", "3 hops", "4 hops"} <= set(names)
    assert figure.layout.yaxis4.title.text == "mean probability"


def test_answers_are_sorted_by_difficulty_with_the_right_one_framed():
    data = answers()
    labels = [f"query {q}" for q in range(8)]
    figure = answer_table(data, labels, chance={k: 0.125 for k in range(1, 5)}, title="now")
    table, framed, bars, chance = figure.data
    order = numbers(bars.customdata)
    levels = data["difficulty"].values[order]
    assert (np.diff(levels) >= 0).all()
    np.testing.assert_array_equal(numbers(table.z), data["probability"].values[order])
    np.testing.assert_array_equal(numbers(framed.x), data["right"].values[order])
    np.testing.assert_allclose(numbers(chance.x), 0.125)
    assert list(figure.layout.yaxis.ticktext) == [labels[q] for q in order]


FIGURES = {
    "all_heads": lambda theme: all_heads(states(), sleep_pass=1, theme=theme),
    "many_heads": lambda theme: all_heads(states(2, 16, 64, 64), sleep_pass=1, theme=theme),
    "one_head": lambda theme: one_head(states(), sleep_pass=1, gdn_head=0, theme=theme),
    "large_head": lambda theme: one_head(
        states(1, 1, 256, 256), sleep_pass=1, gdn_head=0, theme=theme
    ),
    "timeline": lambda theme: timeline(
        xr.DataArray(np.random.rand(16, 9), dims=["window", "sleep_pass"]),
        passes=(8,) * 16,
        awake=(False,) * 15 + (True,),
        place=(3, 3),
        theme=theme,
    ),
    "curves": lambda theme: curves(theme=theme),
    "long_curves": lambda theme: curves((8,) * 16, theme, heads=16, queries=10),
    "answers": lambda theme: answer_table(
        answers(), ["a query"] * 8, chance={1: 0.1}, title="", theme=theme
    ),
    "many_answers": lambda theme: answer_table(
        answers(10, 100), ["a query"] * 10, chance={1: 0.1}, title="", theme=theme
    ),
}


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", FIGURES)
def test_figures_keep_the_byte_budget_and_float32(name, theme):
    figure = FIGURES[name](theme)
    assert size(figure) <= BYTES
    assert '"f8"' not in figure.to_json(), "float64 in a figure"
    assert figure.layout.height >= 100
    if figure.layout.template.layout.font.color is not None:
        assert figure.layout.template.layout.paper_bgcolor == "rgba(0,0,0,0)"


def test_large_matrices_say_that_they_are_block_means():
    figure = FIGURES["large_head"]("light")
    assert "means of 2 x 2 cells" in figure.layout.annotations[0].text
    mean = states(1, 1, 256, 256)[1, 0].values[:2, :2].mean()
    assert numbers(figure.data[0].z)[0, 0] == pytest.approx(mean, abs=1e-6)


def test_there_are_two_colour_maps():
    assert FIGURES["all_heads"]("light").layout.coloraxis.colorscale[0][1] == DIVERGING["light"][0]
    assert FIGURES["all_heads"]("dark").layout.coloraxis.colorscale[4][1] == DIVERGING["dark"][4]
    for name in ("timeline", "answers"):
        for theme in ("light", "dark"):
            scale = FIGURES[name](theme).layout.coloraxis.colorscale
            assert tuple(colour for _, colour in scale) == SEQUENTIAL
    json.loads(FIGURES["answers"]("dark").to_json())
