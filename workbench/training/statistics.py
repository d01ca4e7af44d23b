"""Statistics, in one place: intervals, tests of two groups, and corrections for many of them.

Over training seeds: Student's t interval of a mean (`seed_intervals`), two arms compared
(`compare`: Welch's t interval and test, and the exact permutation test), Holm's correction
(`holm`), and the test that two arms are equal within a margin (`equivalence`). Over examples:
Wilson's interval of a share (`proportion_interval`), and the bootstrap of a mean whose cases come
in blocks (`block_bootstrap`).

How far to trust them with few seeds:

- On normal data a 95 % t interval of 5 seeds covers the mean in 95 % of the cases (a percentile
  bootstrap over the seeds covers it in about 84 %, so none is used there).
- Shares near 0 or 1 are skewed, and coverage falls: 90 % for a Beta(9, 1) share with 5 seeds. If
  one seed in five fails (0.3 instead of 1.0), it is 67 %: a third of such samples has no failure
  in it and so no spread. ``tests/training/test_statistics.py`` simulates all of these.
- Equal values give an interval of no width. It says that these seeds do not differ, not that the
  next one cannot: after 5 equal seeds, up to 45 % of all seeds may still differ
  (``1 - 0.05 ** (1 / 5)``).
- Nothing is clipped: the interval of a share may leave 0 to 1, and then shows by itself that the
  seeds are too few, or too uneven, for a symmetric interval.
- The exact test with 5 against 5 seeds has 252 splits, so its p is at least 2 / 252 = 0.008. Among
  more than 6 comparisons, Holm's correction takes that above 0.05 whatever the data are.

Comparisons are unpaired. Arms of one seed see the same batches, but that does not make their
accuracies rise and fall together: over five seeds of a recorded sweep, N = 2 and N = 1 correlate
with -0.23, -0.73 and -0.50 at 2, 3 and 4 hops. A paired sign-flip test of 5 seeds could not fall
below p = 0.0625.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

ALPHA = 0.05
"""Chance of a wrong rejection; an interval covers with probability 1 - ALPHA."""
NORMAL_QUANTILE = 1.959963984540054
"""``scipy.special.ndtri(1 - ALPHA / 2)``; scipy takes longer to load than many a training step."""
EXACT_LIMIT = 200_000
"""Splits of two groups that are all computed (10 against 10 are 184,756); beyond, a sample is."""
SAMPLED = 99_999
"""Splits drawn where there are more."""
RESAMPLES = 2000
"""Samples of a bootstrap, drawn with a fixed seed."""
AT_ONCE = 2_000_000
"""Differences of splits held in memory together."""


class Interval(NamedTuple):
    """A 95 % interval."""

    low: float
    high: float


@dataclass(frozen=True)
class SeedIntervals:
    """Means over seeds with their 95 % t intervals, each an array over the other axes.

    The mean is NaN without any seed, `low` and `high` with fewer than two. `count`: int, seeds
    used.
    """

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    count: np.ndarray


@dataclass(frozen=True)
class Comparison:
    """Two groups of seeds compared, each field an array over the other axes.

    `mean`: of the first group minus that of the second. `low`, `high`: Welch's 95 % t interval of
    it; NaN where a group has fewer than two seeds. `p_welch`: two-sided p of Welch's t test.
    Without any spread in both groups: 1 where the means are equal, NaN where they differ (the test
    has no scale there). `p_exact`: two-sided p of the permutation test of the difference of means.
    `count`, `other_count`: int, seeds of the first and of the second group.
    """

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p_welch: np.ndarray
    p_exact: np.ndarray
    count: np.ndarray
    other_count: np.ndarray


@dataclass(frozen=True)
class Equivalence:
    """Two one-sided tests (TOST) that two means differ by less than a margin; arrays.

    `mean`: of the first group minus that of the second. `low`, `high`: Welch's 90 % interval; it
    lies within the margin where `p` is below 0.05. `p`: the larger p of the two tests; NaN where
    neither group has any spread (the test has no scale there).
    """

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p: np.ndarray


def proportion_interval(right: np.ndarray, asked: np.ndarray) -> Interval:
    """Return the 95 % Wilson interval of a share whose cases come in clusters.

    The queries of one example share its context, so they are not independent: the number of
    cases is divided by the design effect (Kish), estimated from the spread between examples and
    never taken below 1.

    `right`, `asked`: int ``[example]``: right answers and queries asked in each example.
    """
    cases, clusters = float(asked.sum()), int((asked > 0).sum())
    if not cases:
        return Interval(math.nan, math.nan)
    share = float(right.sum()) / cases
    effective = cases
    if 0 < share < 1 and clusters > 1:
        residual = right - share * asked
        variance = clusters / (clusters - 1) * float((residual**2).sum()) / cases**2
        effective = cases / max(variance / (share * (1 - share) / cases), 1.0)
    return wilson(share, effective)


def wilson(share: float, cases: float) -> Interval:
    """Return the 95 % Wilson score interval; `cases` may be an effective, fractional number."""
    z = NORMAL_QUANTILE
    centre = (share + z * z / (2 * cases)) / (1 + z * z / cases)
    half = z / (1 + z * z / cases) * math.sqrt(share * (1 - share) / cases + z * z / (4 * cases**2))
    # rounding must not put 0 or 1 outside an interval that ends there
    return Interval(min(max(centre - half, 0.0), share), max(min(centre + half, 1.0), share))


def block_bootstrap(sums: np.ndarray, counts: np.ndarray, blocks: np.ndarray) -> Interval:
    """Return the 95 % percentile interval of a mean, with whole blocks drawn again.

    `sums`, `counts`: ``[example]``, the sum over an example's cases and their number. `blocks`: int
    ``[example]``, what is drawn as a whole: the chapter of a passage. NaN with fewer than two
    blocks that have cases. With few blocks the true uncertainty is larger (about 90 % coverage
    with 10).
    """
    _, index = np.unique(blocks, return_inverse=True)
    total, cases = np.bincount(index, weights=sums), np.bincount(index, weights=counts)
    total, cases = total[cases > 0], cases[cases > 0]
    if len(cases) < 2:
        return Interval(math.nan, math.nan)
    generator = np.random.default_rng(0)
    drawn = generator.multinomial(len(cases), np.full(len(cases), 1 / len(cases)), RESAMPLES)
    low, high = np.quantile((drawn @ total) / (drawn @ cases), [ALPHA / 2, 1 - ALPHA / 2])
    return Interval(float(low), float(high))


def seed_intervals(values: np.ndarray) -> SeedIntervals:
    """Return means and 95 % Student t intervals of ``values [..., seed]`` over the seeds.

    Any unit; NaN are left out cell by cell.
    """
    from scipy.stats import t

    mean, variance, count = _moments(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        half = t.ppf(1 - ALPHA / 2, count - 1) * np.sqrt(variance / count)
    return SeedIntervals(mean, mean - half, mean + half, count)


def compare(first: np.ndarray, second: np.ndarray) -> Comparison:
    """Compare two groups of independent seeds, unpaired; NaN are left out cell by cell.

    `first`, `second`: ``[..., seed]``, alike except for the number of seeds. The permutation test
    takes all splits up to `EXACT_LIMIT` of them.
    """
    from scipy.stats import t

    mean, error, freedom = _welch(first, second)
    with np.errstate(invalid="ignore", divide="ignore"):
        half = t.ppf(1 - ALPHA / 2, freedom) * error
        p_welch = 2 * t.sf(np.abs(mean) / error, freedom)
    level = error == 0
    half = np.where(level, 0.0, half)
    p_welch = np.where(level, np.where(mean == 0, 1.0, np.nan), p_welch)
    count, other = ((~np.isnan(group)).sum(axis=-1) for group in (first, second))
    p_exact = permutation_p(first, second)
    return Comparison(mean, mean - half, mean + half, p_welch, p_exact, count, other)


def equivalence(first: np.ndarray, second: np.ndarray, margin: float) -> Equivalence:
    """Test that the means of two groups of seeds differ by less than `margin` (Schuirmann 1987).

    `first`, `second`: ``[..., seed]``, as in `compare`. `margin`: in the unit of the values; set it
    before you look at the data.
    """
    from scipy.stats import t

    mean, error, freedom = _welch(first, second)
    with np.errstate(invalid="ignore", divide="ignore"):
        half = t.ppf(1 - ALPHA, freedom) * error
        p = t.sf((margin - np.abs(mean)) / error, freedom)
    level = error == 0
    half = np.where(level, 0.0, half)
    p = np.where(level, np.nan, p)
    return Equivalence(mean, mean - half, mean + half, p)


def permutation_p(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the two-sided p of the permutation test of a difference of means, unpaired.

    It is the share of all ways to split the seeds into two such groups whose means lie at least as
    far apart as they do. `scipy.stats.permutation_test` computes the same, but one split at a time
    (seconds for a page of 10 against 10 seeds), and it can miss ties of shares: sums that are equal
    up to rounding are equal here.

    `first`, `second`: ``[..., seed]``; NaN are left out cell by cell. Above `EXACT_LIMIT` splits,
    scipy draws `SAMPLED` of them with a fixed seed. Returns ``[...]``; NaN where a group has no
    seed.
    """
    shape = first.shape[:-1]
    left = first.reshape(-1, first.shape[-1])
    right = second.reshape(-1, second.shape[-1])
    counts = np.stack([(~np.isnan(group)).sum(axis=1) for group in (left, right)], axis=1)
    found = np.full(len(left), np.nan)
    for a, b in np.unique(counts, axis=0).tolist():
        if not a or not b:
            continue
        rows = np.flatnonzero((counts == (a, b)).all(axis=1))
        # as many values in every one of these rows: they can be packed side by side
        packed = [
            group[rows][~np.isnan(group[rows])].reshape(len(rows), -1) for group in (left, right)
        ]
        exact = math.comb(a + b, a) <= EXACT_LIMIT
        found[rows] = _all_splits(*packed) if exact else _some_splits(*packed)
    return found.reshape(shape)


def holm(p: np.ndarray) -> np.ndarray:
    """Return p values of one family, of any shape, corrected for its size (Holm 1979).

    An unknown p (NaN) counts in the family, as 1, and stays NaN.
    """
    flat = np.where(np.isnan(p), 1.0, p).ravel()
    order = np.argsort(flat, kind="stable")
    steps = flat[order] * (flat.size - np.arange(flat.size))
    corrected = np.empty_like(flat)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return np.where(np.isnan(p), np.nan, corrected.reshape(p.shape))


def smallest_exact_p(count: int, other: int) -> float:
    """Return the smallest two-sided p that the permutation test of such groups can give."""
    splits = math.comb(count + other, count)
    return (2 if count == other else 1) / splits if splits <= EXACT_LIMIT else 1 / (SAMPLED + 1)


def _moments(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return mean, sample variance (exactly 0 for equal values) and count over the last axis."""
    there = ~np.isnan(values)
    count = there.sum(axis=-1)
    kept = np.where(there, values, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = kept.sum(axis=-1) / count
        off = np.where(there, values - mean[..., None], 0.0)
        variance = (off**2).sum(axis=-1) / (count - 1)
    most = np.where(there, values, -np.inf).max(axis=-1, initial=-np.inf)
    least = np.where(there, values, np.inf).min(axis=-1, initial=np.inf)
    level = (most == least) & (count > 1)
    # rounding must not give equal values a spread, nor a mean that none of them has
    return (
        np.where(level, most, mean),
        np.where(count > 1, np.where(level, 0.0, variance), np.nan),
        count,
    )


def _welch(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the difference of means, its standard error and Welch's degrees of freedom."""
    parts = [_moments(group) for group in (first, second)]
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = [variance / count for _, variance, count in parts]
        below = sum(
            share**2 / (count - 1) for share, (_, _, count) in zip(shares, parts, strict=True)
        )
        whole = shares[0] + shares[1]
        freedom = whole**2 / below
    return parts[0][0] - parts[1][0], np.sqrt(whole), freedom


def _all_splits(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the exact p of each row of ``first [cell, a]`` and ``second [cell, b]``."""
    a, b = first.shape[1], second.shape[1]
    pooled = np.concatenate([first, second], axis=1)
    pooled = pooled - pooled.mean(axis=1, keepdims=True)  # then the first sum tells all
    chosen = _splits(a, b)
    # sums in another order are equal up to rounding alone
    slack = 1e-12 * np.abs(pooled).max(axis=1, initial=0.0) * (a + b)
    observed = np.abs(pooled[:, :a].sum(axis=1)) - slack
    found = np.empty(len(pooled))
    step = max(AT_ONCE // len(chosen), 1)
    for start in range(0, len(pooled), step):
        part = slice(start, start + step)
        sums = np.abs(pooled[part] @ chosen.T)
        found[part] = (sums >= observed[part, None]).mean(axis=1)
    return found


@lru_cache(maxsize=8)
def _splits(a: int, b: int) -> np.ndarray:
    """Return every choice of `a` among a + b, 1.0 where chosen, ``[split, seed]``."""
    count = math.comb(a + b, a)
    flat = (place for choice in combinations(range(a + b), a) for place in choice)
    places = np.fromiter(flat, dtype=np.intp, count=count * a).reshape(count, a)
    chosen = np.zeros((count, a + b))
    np.put_along_axis(chosen, places, 1.0, axis=1)
    return chosen


def _some_splits(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the p of each row from a sample of the splits."""
    from scipy.stats import permutation_test

    def apart(x: np.ndarray, y: np.ndarray, axis: int) -> Any:
        return np.abs(x.mean(axis=axis) - y.mean(axis=axis))

    return np.array(
        [
            permutation_test(
                pair, apart, vectorized=True, n_resamples=SAMPLED, alternative="greater",
                batch=10_000, rng=np.random.default_rng(0),
            ).pvalue
            for pair in zip(first, second, strict=True)
        ]
    )  # fmt: skip
