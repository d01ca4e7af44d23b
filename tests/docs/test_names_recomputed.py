"""What docs/findings.md says of names in text, computed again by NumPy and scipy."""

import numpy as np
import pytest
from findings_page import TOP, difference_cell, mean_cell, prose, record, rows
from scipy import stats

PROSE = prose("Names to remember")
RUNS = record("text-names")["runs"]
GROUPS = ("all", "first window", "names", "repeated words", "rest")
NAMES = {
    "S never written, N = 0": ("never_written", 0),
    "sleep, N = 0": ("sleep", 0),
    "sleep, N = 1": ("sleep", 1),
    "sleep, N = 2": ("sleep", 2),
    "sleep, N = 4": ("sleep", 4),
    "deeper, N = 0 (matched to N = 2)": ("deeper", 2),
    "cache kept, N = 0": ("retained_cache", 0),
}


def runs(name):
    found = [r for r in RUNS if (r["labels"]["arm"], r["labels"]["passes"]) == NAMES[name]]
    assert [r["labels"]["seed"] for r in found] == [0, 1, 2]
    return found


def bits(name, group, tested=None):
    return np.array(
        [r["final"][tested or r["labels"]["n_train"]]["bits"][group] for r in runs(name)]
    )


def test_means_with_their_intervals():
    found = {row[0]: row[1:6] for row in rows("text-names", "memory", "condition")}
    assert set(found) == set(NAMES)
    for name, cells in found.items():
        for group, cell in zip(GROUPS, cells, strict=True):
            assert cell == mean_cell(bits(name, group))


def test_differences_with_their_intervals():
    for words, group, cell, *_ in rows("text-names", "memory", "difference"):
        assert cell == difference_cell(*(bits(name, group) for name in words.split(" minus ")))


def test_what_is_said_of_names():
    never, none, one = (
        bits(f"{arm}, N = {n}", "names")
        for arm, n in (("S never written", 0), ("sleep", 0), ("sleep", 1))
    )
    assert f"cost {never.mean():.2f} bits each" in PROSE
    assert f"brings them to {none.mean():.2f} without any sleep" in PROSE
    gains = none - one
    said = "saves {:.2f} more on names (seed by seed {:.2f}, {:.2f} and {:.2f}"
    assert said.format(gains.mean(), *gains) in PROSE
    once = bits("sleep, N = 0", "names", tested="1").mean()
    assert f"once at test is better still, {once:.2f}" in PROSE and once < one.mean()
    said = "saves {:.2f} of {:.2f} bits a letter"
    assert said.format((never - none).mean(), never.mean()) in TOP
    assert f"one pass of sleep {gains.mean():.2f} more" in TOP


@pytest.mark.parametrize("more", [2, 4])
def test_further_passes_save_nothing(more):
    for group in ("all", "names"):
        gain = bits("sleep, N = 1", group) - bits(f"sleep, N = {more}", group)
        assert gain.max() < 0.005


def test_one_pass_saves_nothing_over_all_characters():
    assert (bits("sleep, N = 0", "all") - bits("sleep, N = 1", "all")).max() < 0.005


def test_what_is_said_of_the_deeper_model():
    deeper, two = "deeper, N = 0 (matched to N = 2)", "sleep, N = 2"
    spent = [runs(name)[0]["budget"] for name in (deeper, two)]
    assert spent[0]["flops"] == pytest.approx(spent[1]["flops"], rel=2e-3)
    assert "({:,} parameters for {:,})".format(*(b["parameters"] for b in spent)) in PROSE
    behind = bits(two, "all") - bits(deeper, "all")
    said = (
        "ahead by {:.2f} over all characters (t-interval, seed by seed {:.2f}, {:.2f} and {:.2f})"
    )
    assert said.format(behind.mean(), *behind) in PROSE
    low = stats.ttest_ind(bits(two, "all"), bits(deeper, "all"), equal_var=False)
    assert low.confidence_interval(0.95).low > 0
    assert f"and by {(bits(two, 'names') - bits(deeper, 'names')).mean():.2f} on names" in PROSE


def test_what_memory_costs_where_nothing_can_be_recalled():
    pair = (bits("sleep, N = 0", "first window"), bits("S never written, N = 0", "first window"))
    cost = pair[0].mean() - pair[1].mean()
    assert f"Memory costs {cost:.2f} in the first window" in PROSE
    assert stats.ttest_ind(*pair, equal_var=False).confidence_interval(0.95).low > 0
