"""Shares, means and ratios over examples, against values worked out by hand."""

import math

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from workbench.instruments.clustered import by_difficulty, mean, ratio, share
from workbench.training.statistics import proportion_interval

DIFFICULTY = xr.DataArray([[1, 2], [1, -1]], dims=("example", "query"))


def test_a_share_counts_what_was_asked():
    right = np.array([[True, True], [False, True]])
    asked = np.array([[True, False], [True, True]])
    found = share(right, asked)
    assert found.value == pytest.approx(2 / 3)
    assert found.low < 2 / 3 < found.high
    assert all(math.isnan(x) for x in share(right, np.zeros_like(asked)))
    interval = proportion_interval((right & asked).sum(1), asked.sum(1))
    assert tuple(found[1:]) == tuple(interval)


def test_a_mean_of_one_query_an_example_is_students():
    values = np.array([[1.0], [2.0], [6.0]])
    found = mean(values, np.ones_like(values, dtype=bool))
    assert found.value == 3.0
    assert found[1:] == pytest.approx(stats.t.interval(0.95, 2, 3.0, stats.sem(values[:, 0])))


def test_a_ratio_whose_sums_go_together_is_certain():
    below = np.array([1.0, 2.0, 5.0])
    assert ratio(0.5 * below, below) == pytest.approx((0.5, 0.5, 0.5))
    assert math.isnan(ratio(below, 0 * below).value)
    value, low, _ = ratio(np.array([1.0, 0.0]), np.array([2.0, 0.0]))
    assert value == 0.5 and math.isnan(low)


def test_each_difficulty_on_its_own():
    values = xr.DataArray(
        [[[1.0, 5.0], [3.0, np.nan]], [[0.0, 0.0], [0.0, np.nan]]],
        dims=("sleep_pass", "example", "query"),
        coords={"sleep_pass": [0, 1]},
    )
    found = by_difficulty(mean, "score", values, values.notnull(), difficulty=DIFFICULTY)
    assert found.score.sel(difficulty=1, sleep_pass=0) == 2.0
    assert found.score.sel(difficulty=2, sleep_pass=0) == 5.0
    assert set(found.score.dims) == {"difficulty", "sleep_pass"}
    assert set(found) == {"score", "score_low", "score_high"}
