"""Intervals against scipy, and what clusters do to them."""

import math

import numpy as np
import pytest
from scipy import stats

from workbench.training.statistics import mean_interval, proportion_interval, wilson


@pytest.mark.parametrize(("right", "cases"), [(0, 10), (3, 10), (10, 10), (1, 1), (521, 1000)])
def test_wilson_is_scipys(right, cases):
    expected = stats.binomtest(right, cases).proportion_ci(method="wilson")
    assert tuple(wilson(right / cases, cases)) == pytest.approx(tuple(expected), abs=1e-12)
    # one query an example: no clusters, nothing to correct
    answers = np.arange(cases) < right
    found = proportion_interval(answers.astype(int), np.ones(cases, int))
    if cases > 1:
        share = right / cases
        slack = 1 / (cases - 1)  # the variance between examples is estimated, with n - 1
        effective = cases / (cases / (cases - 1)) if 0 < share < 1 else cases
        assert tuple(found) == pytest.approx(tuple(wilson(share, effective)), abs=1e-12)
        assert tuple(found) == pytest.approx(tuple(expected), abs=slack)


def test_queries_that_share_their_example_widen_the_interval():
    rng = np.random.default_rng(0)
    asked = np.full(200, 8)
    independent = rng.binomial(8, 0.5, 200)
    together = 8 * rng.binomial(1, 0.5, 200)  # an example is all right or all wrong
    narrow, wide = (proportion_interval(r, asked) for r in (independent, together))
    plain = wilson(float(together.sum()) / 1600, 1600)
    assert narrow.high - narrow.low < 1.3 * (plain.high - plain.low)
    expected = wilson(float(together.sum()) / 1600, 199)  # as many cases as there are examples
    assert tuple(wide) == pytest.approx(tuple(expected), abs=1e-12)
    assert wide.high - wide.low > 2.5 * (plain.high - plain.low)


def test_clusters_never_narrow_the_interval():
    """Every example exactly half right: no spread between examples at all."""
    found = proportion_interval(np.full(50, 4), np.full(50, 8))
    assert tuple(found) == pytest.approx(tuple(wilson(0.5, 400)), abs=1e-12)


def test_the_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(400):
        share = rng.beta(6, 4, 100)  # 0.6 on average, different in every example
        found = proportion_interval(rng.binomial(4, share), np.full(100, 4))
        covered += found.low <= 0.6 <= found.high
    assert 0.91 < covered / 400 < 0.985


def test_nothing_asked_has_no_interval():
    assert all(map(math.isnan, proportion_interval(np.zeros(3, int), np.zeros(3, int))))


@pytest.mark.parametrize("right", [0, 2])
def test_examples_without_the_difficulty_do_not_count(right):
    asked = np.array([2, 0, 2, 0])
    some = proportion_interval(np.array([right, 0, 2 - right, 0]), asked)
    without = proportion_interval(np.array([right, 2 - right]), np.array([2, 2]))
    assert tuple(some) == pytest.approx(tuple(without), abs=1e-12)


def test_the_mean_over_seeds_is_scipys():
    values = np.array([0.91, 0.94, 0.88, 0.97])
    expected = stats.t.interval(0.95, 3, values.mean(), stats.sem(values))
    assert tuple(mean_interval(values)) == pytest.approx(expected, abs=1e-12)
    assert all(map(math.isnan, mean_interval(values[:1])))
