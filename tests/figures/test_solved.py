"""The largest difficulty solved against N, tested as data."""

import numpy as np
import pytest
import xarray as xr

from workbench import dims
from workbench.figures import largest_solved_against_n
from workbench.figures.lab.solved import _ticks
from workbench.figures.theme import BYTES
from workbench.lab.results import over_seeds

NAN = np.nan


def table():
    """Return two arms at N = 1 and 4: two seeds that differ, one that is missing, an arm of one."""
    by_seed = xr.DataArray(
        [[[1, 1, 1], [2, 4, NAN]], [[NAN] * 3, [0, NAN, NAN]]],
        {dims.ARM: ["sleep", "longer"], dims.PASSES: [1, 4], dims.SEED: [0, 1, 2],
         "title": (dims.ARM, ["sleep", "longer, N = 1"])},
        [dims.ARM, dims.PASSES, dims.SEED],
    )  # fmt: skip
    found = over_seeds(by_seed).assign(by_seed=by_seed)
    return found.assign_attrs(levels=[1, 2, 4], hardest=4)


def named(figure, name):
    (found,) = [trace for trace in figure.data if trace.name == name]
    return found


def test_means_with_intervals_and_every_seed_in_words():
    figure = largest_solved_against_n(table(), difficulty_name="hops")
    sleep, longer = named(figure, "sleep"), named(figure, "longer, N = 1")
    np.testing.assert_allclose(np.asarray(sleep.y), [1, 3])
    # t of one degree of freedom, 12.7, for two seeds; nothing is clipped
    np.testing.assert_allclose(np.asarray(sleep.error_y.array), [0, 12.7062], rtol=1e-4)
    assert list(sleep.hovertext) == [
        "N = 1, sleep: 1.00 (1.00 to 1.00; 3 seeds)",
        "N = 4, sleep: 3.00 (-9.71 to 15.71; 2 seeds)",
    ]
    assert list(longer.hovertext) == ["N = 4, longer, N = 1: 0.00 (1 seed)"]
    rings = named(figure, "sleep: seeds")
    assert list(rings.hovertext) == [
        "N = 1, sleep: 1 in 3 seeds",
        "N = 4, sleep: 2 in 1 seed",
        "N = 4, sleep: 4 in 1 seed",
    ]
    assert not rings.showlegend and rings.marker.symbol == "circle-open"


def test_arms_at_the_same_n_stand_beside_each_other():
    figure = largest_solved_against_n(table(), difficulty_name="hops")
    left, right = named(figure, "sleep").x[1], named(figure, "longer, N = 1").x[0]
    assert 3.95 < left < 4 < right < 4.05, "beside it, and still read as N = 4"
    assert list(figure.layout.xaxis.ticktext) == ["1", "4"]


def test_what_was_not_asked_is_said_not_drawn_as_a_limit_of_the_model():
    figure = largest_solved_against_n(table(), difficulty_name="hops")
    ceiling = named(figure, "hardest that was asked: 4 hops")
    assert list(ceiling.y) == [4, 4] and ceiling.x[0] < 1 and ceiling.x[1] > 4
    assert figure.layout.yaxis.title.text == "largest difficulty solved (hops)"
    assert list(figure.layout.yaxis.tickvals) == [0, 1, 2, 4]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_known_is_a_chart_with_axes(theme):
    empty = table().where(False).assign(count=table()["count"] * 0)
    figure = largest_solved_against_n(empty, difficulty_name="rollout", theme=theme)
    assert len(named(figure, "sleep").x) == 0
    assert len(figure.to_json()) < BYTES


def test_ticks_that_would_be_written_over_each_other_are_left_out():
    assert _ticks([1, 2, 4, 8, 16, 32, 64]) == [0, 8, 16, 32, 64]
    assert _ticks([1, 2, 3, 4]) == [0, 1, 2, 3, 4]
