"""What docs/findings.md says of Variables, computed again from the record by NumPy and scipy."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "findings.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("\n# Working out values\n")[2].partition("\n# ")[0]
PROSE = " ".join(SECTION.split())
RECORD = ROOT / "data" / "results" / "sweeps" / "variables-mini.json"
RUNS = json.loads(RECORD.read_text(encoding="utf-8"))["runs"]
DEPTHS = ("1", "2", "3", "4")


def of(arm, passes):
    found = [r for r in RUNS if (r["labels"]["arm"], r["labels"]["passes"]) == (arm, passes)]
    assert [r["labels"]["seed"] for r in found] == list(range(5))
    return found


def scores(arm, passes, depth, tested=None):
    n = tested or of(arm, passes)[0]["labels"]["n_train"]
    return np.array([run["final"][n]["accuracy"][depth] for run in of(arm, passes)])


def rows(question, head):
    """Return the rows of a question's table whose head begins with a word."""
    mark = f"<!-- variables-mini {question} -->"
    body = SECTION.partition(mark)[2].partition(mark.replace("<!-- ", "<!-- /"))[0]
    (block,) = [b for b in body.strip().split("\n\n") if b.startswith(f"| {head} |")]
    return [[c.strip() for c in line.strip("|").split("|")] for line in block.splitlines()[2:]]


def mean_with_interval(values):
    half = 0.0
    if np.ptp(values):
        half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
    return f"{values.mean():.2f} [{values.mean() - half:.2f}, {values.mean() + half:.2f}]"


def test_means_and_intervals_at_equal_tokens():
    found = rows("equal_tokens", "arm")
    assert [row[1] for row in found] == ["1", "4"]
    for _, n, *cells, seeds in found:
        assert cells == [mean_with_interval(scores("sleep", int(n), d)) for d in DEPTHS]
        assert seeds == "5"


@pytest.mark.parametrize("depth", DEPTHS[1:])
def test_differences_with_their_intervals(depth):
    (row,) = [
        r
        for r in rows("equal_tokens", "difference")
        if r[:2] == ["sleep, N = 4 minus sleep, N = 1", depth]
    ]
    four, one = scores("sleep", 4, depth), scores("sleep", 1, depth)
    low, high = stats.ttest_ind(four, one, equal_var=False).confidence_interval(0.95)
    assert row[2] == f"{four.mean() - one.mean():+.2f} [{low:+.2f}, {high:+.2f}]"


def test_what_is_said_of_the_lowest_and_highest_seeds():
    lowest = min(scores("sleep", 4, depth).min() for depth in ("3", "4"))
    highest = max(scores("sleep", 1, depth).max() for depth in ("3", "4"))
    assert f"At depth 3 and 4 the lowest seed of N = 4 answers {lowest:.3f}" in PROSE
    assert f"the highest of N = 1 {highest:.3f}" in PROSE


def test_what_is_said_of_the_chance_lines():
    lines = of("sleep", 4)[0]["chance"]
    short = lines["own step from the commonest constant"]["accuracy"]
    assert (
        "which is right in {:.2f}, {:.2f} and {:.2f}".format(*(short[d] for d in DEPTHS[1:]))
        in PROSE
    )
    blind = [
        run["chance"]["the same model without the context"]["accuracy"][depth]
        for arm in (of("sleep", 4), of("sleep", 1))
        for run in arm
        for depth in DEPTHS
    ]
    assert f"without the context they answer {min(blind):.2f} to {max(blind):.2f}" in PROSE


def test_what_is_said_of_passes_left_out():
    means = [scores("sleep", 4, "4", str(n)).mean() for n in (1, 2, 3, 4, 6, 8)]
    words = "{:.2f}, {:.2f}, {:.2f}, {:.2f}, {:.2f} and {:.2f} at depth 4".format(*means)
    assert words in PROSE
