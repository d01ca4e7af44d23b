"""Intervals and tests against scipy, enumeration and simulation; what clusters do to intervals."""

import itertools
import math

import numpy as np
import pytest
from scipy import special, stats

from workbench.training import statistics
from workbench.training.statistics import (
    block_bootstrap,
    compare,
    equivalence,
    holm,
    permutation_p,
    proportion_interval,
    seed_intervals,
    smallest_exact_p,
    wilson,
)


@pytest.mark.parametrize(("right", "cases"), [(0, 10), (3, 10), (10, 10), (1, 1), (521, 1000)])
def test_wilson_is_scipys(right, cases):
    expected = stats.binomtest(right, cases).proportion_ci(method="wilson")
    assert tuple(wilson(right / cases, cases)) == pytest.approx(tuple(expected), abs=1e-12)
    assert statistics.NORMAL_QUANTILE == special.ndtri(1 - statistics.ALPHA / 2)
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


def test_intervals_of_many_cells_are_scipys_and_leave_nan_out():
    values = np.random.default_rng(0).random((3, 4, 6))
    values[1, 2, :3] = np.nan
    values[2, 0, 1:] = np.nan
    values[2, 1] = np.nan
    found = seed_intervals(values)
    assert found.mean.shape == (3, 4)
    for row, column in itertools.product(range(3), range(4)):
        kept = values[row, column][~np.isnan(values[row, column])]
        assert found.count[row, column] == kept.size
        if kept.size:
            assert found.mean[row, column] == pytest.approx(kept.mean(), abs=1e-12)
        ends = found.low[row, column], found.high[row, column]
        if kept.size > 1:
            expected = stats.t.interval(0.95, kept.size - 1, kept.mean(), stats.sem(kept))
            assert ends == pytest.approx(expected, abs=1e-12)
        else:
            assert all(map(math.isnan, ends))


def test_equal_values_have_an_interval_of_no_width():
    third = np.full(7, 0.1 + 0.2)
    found = seed_intervals(third)
    assert (found.mean, found.low, found.high) == (third[0], third[0], third[0])


def test_an_interval_of_a_share_is_not_clipped():
    assert seed_intervals(np.array([1.0, 1.0, 1.0, 1.0, 0.5])).high > 1


def coverage(draws, truth):
    """Return how many of the 95 % intervals of ``draws [sample, seed]`` hold the true mean."""
    found = seed_intervals(draws)
    return float(((found.low <= truth + 1e-9) & (truth - 1e-9 <= found.high)).mean())


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_t_intervals_cover_normal_means_in_95_percent_of_samples(seeds):
    """20,000 samples: the standard error of the coverage is 0.0015."""
    draws = np.random.default_rng(seeds).normal(0.7, 0.2, (20_000, seeds))
    assert coverage(draws, 0.7) == pytest.approx(0.95, abs=0.006)


@pytest.mark.parametrize(
    ("draw", "truth", "covers"),
    [
        (lambda rng, shape: rng.beta(5, 5, shape), 0.5, 0.945),
        (lambda rng, shape: rng.beta(9, 1, shape), 0.9, 0.90),
        (lambda rng, shape: np.where(rng.random(shape) < 0.2, 0.3, 1.0), 0.86, 0.67),
    ],
    ids=["even shares", "shares near 1", "one seed in five fails"],
)
def test_what_t_intervals_of_five_skewed_shares_cover_is_what_is_said(draw, truth, covers):
    """As the docstring of the module has it: skew costs coverage, a rare failure most."""
    draws = draw(np.random.default_rng(0), (20_000, 5))
    assert coverage(draws, truth) == pytest.approx(covers, abs=0.01)


def test_the_interval_of_a_difference_covers_it_and_its_test_rejects_as_often_as_said():
    rng = np.random.default_rng(2)
    first, second = rng.normal(0.5, 0.1, (4_000, 5)), rng.normal(0.5, 0.02, (4_000, 5))
    found = compare(first, second)
    assert ((found.low <= 0) & (found.high >= 0)).mean() == pytest.approx(0.95, abs=0.012)
    assert (found.p_welch < 0.05).mean() == pytest.approx(0.05, abs=0.012)
    even = compare(first, rng.normal(0.5, 0.1, (4_000, 5)))
    # 12 of 252 splits lie within 0.05
    assert (even.p_exact < 0.05).mean() == pytest.approx(12 / 252, abs=0.012)


def test_two_arms_are_compared_as_scipy_does():
    rng = np.random.default_rng(2)
    first, second = rng.random((6, 5)), 0.6 * rng.random((6, 5)) + 0.3
    found = compare(first, second)
    for cell in range(6):
        welch = stats.ttest_ind(first[cell], second[cell], equal_var=False)
        assert found.mean[cell] == pytest.approx(first[cell].mean() - second[cell].mean())
        assert found.p_welch[cell] == pytest.approx(welch.pvalue, abs=1e-12)
        expected = tuple(welch.confidence_interval())
        assert (found.low[cell], found.high[cell]) == pytest.approx(expected, abs=1e-12)
    assert found.count.tolist() == found.other_count.tolist() == [5] * 6


def apart(x, y, axis):
    return x.mean(axis=axis) - y.mean(axis=axis)


def test_exact_p_is_that_of_scipys_enumeration():
    rng = np.random.default_rng(3)
    first, second = rng.random((5, 5)), rng.random((5, 5)) + 0.2
    first[3], second[3] = np.array([1, 1, 1, 1, 0.5]), np.array([1, 1, 0.5, 0.5, 0.5])  # ties
    first[4], second[4] = 0.7, 0.7
    found = permutation_p(first, second)
    for cell in range(5):
        expected = stats.permutation_test((first[cell], second[cell]), apart, n_resamples=np.inf)
        assert found[cell] == pytest.approx(expected.pvalue, abs=1e-12)
    assert found[4] == 1


def test_sums_that_are_equal_up_to_rounding_are_ties():
    """As far apart are the splits with all three shares below 1 on one side: 2 x C(7, 2) of 252."""
    first = np.ones((1, 5))
    second = np.array([[0.9904282115869018, 0.9889168765743073, 0.9994962216624685, 1.0, 1.0]])
    assert permutation_p(first, second) == pytest.approx(42 / 252)


def test_exact_p_of_unequal_groups_counts_every_split_and_leaves_nan_out():
    first = np.array([[0.9, 0.7, np.nan, 0.8], [np.nan] * 4])
    second = np.array([[0.1, 0.75, 0.3, 0.2, np.nan], [1, 2, 3, 4, 5]])
    pooled = [0.9, 0.7, 0.8, 0.1, 0.75, 0.3, 0.2]
    gaps = []
    for chosen in itertools.combinations(range(7), 3):
        one = np.mean([pooled[i] for i in chosen])
        gaps.append(abs(one - np.mean([pooled[i] for i in range(7) if i not in chosen])))
    expected = np.mean(np.array(gaps) >= gaps[0] - 1e-12)
    found = permutation_p(first, second)
    assert found[0] == pytest.approx(expected, abs=1e-12) and math.isnan(found[1])


@pytest.mark.parametrize(("seeds", "splits"), [(5, 252), (10, 184_756)])
def test_arms_far_apart_have_the_smallest_exact_p(seeds, splits):
    first = np.linspace(0.9, 1.0, seeds)[None]
    assert permutation_p(first, first - 0.5) == pytest.approx(2 / splits, rel=1e-9)
    assert smallest_exact_p(seeds, seeds) == pytest.approx(2 / splits)


def test_the_smallest_exact_p_of_unequal_groups_is_of_one_split():
    first, second = np.linspace(0.9, 1.0, 5)[None], np.linspace(0.1, 0.3, 3)[None]
    assert permutation_p(first, second) == pytest.approx(1 / 56) == smallest_exact_p(5, 3)


def test_more_splits_than_can_be_counted_are_sampled(monkeypatch):
    rng = np.random.default_rng(5)
    first, second = rng.random((1, 5)), rng.random((1, 5)) + 0.2
    exact = permutation_p(first, second)
    monkeypatch.setattr(statistics, "EXACT_LIMIT", 100)
    monkeypatch.setattr(statistics, "SAMPLED", 20_000)
    many = permutation_p(np.tile(first, 2), np.tile(second, 2))
    assert 1 / 20_001 <= many[0] < exact[0]
    assert smallest_exact_p(5, 5) == pytest.approx(1 / 20_001)


def test_holms_correction_of_a_worked_example():
    """Four p values, rejected at 0.05 from the smallest until one fails: the last and the first."""
    found = holm(np.array([0.01, 0.04, 0.03, 0.005]))
    np.testing.assert_allclose(found, [0.03, 0.06, 0.06, 0.02], rtol=1e-12)


def test_holms_correction_keeps_its_promise_where_nothing_differs():
    """Twenty true hypotheses at once: any is rejected in at most 5 % of the families."""
    p = np.random.default_rng(6).random((4_000, 20))
    assert np.mean([holm(one).min() < 0.05 for one in p]) == pytest.approx(0.05, abs=0.012)


def test_holm_counts_what_is_not_known_in_the_family():
    found = holm(np.array([[0.01, np.nan], [0.2, 1.0]]))
    assert found[0, 0] == pytest.approx(0.04) and math.isnan(found[0, 1])
    assert found[1].tolist() == pytest.approx([0.6, 1.0])


def test_equality_within_a_margin_is_two_one_sided_tests():
    rng = np.random.default_rng(7)
    first, second = 0.9 + 0.02 * rng.random((4, 5)), 0.9 + 0.03 * rng.random((4, 6))
    found = equivalence(first, second, 0.05)
    for cell in range(4):
        both = [
            stats.ttest_ind(
                first[cell] + shift, second[cell], equal_var=False, alternative=side
            ).pvalue
            for shift, side in ((0.05, "greater"), (-0.05, "less"))
        ]
        assert found.p[cell] == pytest.approx(max(both), abs=1e-12)
        inside = -0.05 < found.low[cell] and found.high[cell] < 0.05
        assert inside == (found.p[cell] < 0.05)
    assert (equivalence(first + 0.3, second, 0.05).p > 0.5).all()


def test_arms_without_spread_are_not_tested_by_t():
    one, same, other = np.ones((1, 5)), np.ones((1, 5)), np.full((1, 5), 0.9)
    found = compare(one, same)
    assert (found.mean, found.low, found.high, found.p_welch, found.p_exact) == (0, 0, 0, 1, 1)
    found = compare(one, other)
    assert found.low == found.high == pytest.approx(0.1) and np.isnan(found.p_welch)
    assert found.p_exact == pytest.approx(2 / 252)
    assert np.isnan(equivalence(one, same, 0.05).p)


def test_an_arm_of_one_seed_has_no_interval():
    found = compare(np.array([[0.9, np.nan]]), np.array([[0.1, 0.2]]))
    assert np.isnan([found.low, found.high, found.p_welch]).all()
    assert found.mean == pytest.approx(0.75) and found.p_exact == pytest.approx(1 / 3)


def test_a_bootstrap_of_equal_blocks_is_scipys_of_their_means():
    random = np.random.default_rng(3)
    means = random.normal(2, 1, 20)
    blocks = np.repeat(np.arange(20), 5)
    sums, counts = np.repeat(means, 5) * 7, np.full(100, 7)
    low, high = block_bootstrap(sums, counts, blocks)
    expected = stats.bootstrap(
        (means,), np.mean, method="percentile", n_resamples=20_000, rng=1
    ).confidence_interval
    assert (low, high) == pytest.approx(tuple(expected), abs=0.04)
    # as if independent, the interval is too narrow by the root of five
    loose = block_bootstrap(sums, counts, np.arange(100))
    assert (high - low) / (loose.high - loose.low) == pytest.approx(5**0.5, rel=0.1)


def test_a_bootstrap_of_two_blocks_by_hand():
    """Means of both draws: 0 or 1 in a quarter of them each, the larger block weighs more."""
    assert block_bootstrap(np.array([0, 3]), np.array([1, 3]), np.array([7, 9])) == (0, 1)
    assert math.isnan(block_bootstrap(np.array([0, 3]), np.array([1, 3]), np.array([7, 7])).low)
    assert math.isnan(block_bootstrap(np.array([0, 3]), np.array([0, 3]), np.array([7, 9])).low)


def test_a_bootstrap_of_ten_blocks_covers_as_often_as_is_said():
    random = np.random.default_rng(0)
    hits = 0
    for sample in random.normal(0, 1, (300, 10)):
        low, high = block_bootstrap(sample, np.ones(10), np.arange(10))
        hits += low <= 0 <= high
    assert hits / 300 == pytest.approx(0.9, abs=0.04)
