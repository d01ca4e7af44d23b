"""What docs/findings.md says of rings held out, computed again by NumPy and scipy."""

import numpy as np
import pytest
from findings_page import SECTIONS, prose, record
from scipy import stats

SECTION = SECTIONS["Rings that training never drew"]
PROSE = prose("Rings that training never drew")
RUNS = record("depo-n8-held-out")["runs"]
HOPS = ("1", "2", "3", "4")


def scores(arm, passes, hops, alone):
    """Return the accuracy of each seed at the N of its training."""
    found = [
        run["final"][str(passes)]["accuracy"][hops]
        for run in RUNS
        if (run["labels"]["arm"], run["labels"]["passes"]) == (arm, passes)
        and run["labels"]["axes"]["task.isolated"] is alone
    ]
    assert len(found) == 3
    return np.array(found)


def means(arm, passes, alone):
    return [f"{scores(arm, passes, hops, alone).mean():.2f}" for hops in HOPS]


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("hops", HOPS)
def test_differences_with_their_intervals(alone, hops):
    mark = f"<!-- depo-n8-held-out@task.isolated={str(alone).lower()} equal_tokens -->"
    table = SECTION.partition(mark)[2].partition("<!-- /")[0]
    four, one = (scores("sleep", n, hops, alone) for n in (4, 1))
    a, b = four.var(ddof=1) / 3, one.var(ddof=1) / 3  # Welch: seeds that agree leave no variance
    half = stats.t.ppf(0.975, (a + b) ** 2 / ((a**2 + b**2) / 2)) * np.sqrt(a + b)
    mean = four.mean() - one.mean()
    low, high = mean - half, mean + half
    row = f"| sleep, N = 4 minus sleep, N = 1 | {hops} | {mean:+.2f} "
    assert f"{row}[{low:+.2f}, {high:+.2f}] |" in table


def test_what_the_words_say():
    one, alone = means("sleep", 1, False), means("sleep", 1, True)
    assert f"N = 1 has {one[1]}, {one[2]} and {one[3]} at 2, 3 and 4 hops" in PROSE
    assert alone[2] == alone[3] and f"asked alone have {alone[2]} at 3 and 4 hops" in PROSE
    four = means("sleep", 4, True)
    assert f"N = 4 has {four[2]} and {four[3]} there" in PROSE
    worst = [scores("sleep", 4, hops, True).min() for hops in ("3", "4")]
    assert f"one seed of three has {worst[0]:.2f} and {worst[1]:.2f}" in PROSE
    assert min(scores("sleep", 4, hops, False).min() for hops in HOPS) >= 0.99
    for hops in HOPS:
        gap = scores("random_n", 4, hops, True).mean() - scores("sleep", 4, hops, True).mean()
        assert abs(gap) <= 0.025, "within 0.02, rounded"
    solved = [
        all(scores("random_n", 4, hops, False)[seed] >= 0.9 for hops in ("1", "2"))
        for seed in range(3)
    ]
    assert solved.count(False) == 1
