"""Intervals: of a share of right answers, and of a mean over seeds."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np


class Interval(NamedTuple):
    """A 95 % interval."""

    low: float
    high: float


def proportion_interval(right: np.ndarray, asked: np.ndarray) -> Interval:
    """Return the 95 % Wilson interval of a share whose cases come in clusters.

    The queries of one example share its context, so they are not independent: the number of
    cases is divided by the design effect (Kish), estimated from the spread between examples and
    never taken below 1.

    Parameters
    ----------
    right, asked : ndarray
        int ``[example]``: right answers and queries asked in each example.
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
    from scipy.stats import norm

    z = float(norm.ppf(0.975))
    centre = (share + z * z / (2 * cases)) / (1 + z * z / cases)
    half = z / (1 + z * z / cases) * math.sqrt(share * (1 - share) / cases + z * z / (4 * cases**2))
    # rounding must not put 0 or 1 outside an interval that ends there
    return Interval(min(max(centre - half, 0.0), share), max(min(centre + half, 1.0), share))


def mean_interval(values: np.ndarray) -> Interval:
    """Return the 95 % Student t interval of a mean over independent seeds, ``values [seed]``."""
    from scipy.stats import t

    count = len(values)
    if count < 2:
        return Interval(math.nan, math.nan)
    mean = float(np.mean(values))
    half = float(t.ppf(0.975, count - 1)) * float(np.std(values, ddof=1)) / math.sqrt(count)
    return Interval(mean - half, mean + half)
