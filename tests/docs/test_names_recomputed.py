"""What docs/findings.md says of names in text, computed again by NumPy and scipy."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "findings.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("\n# Names to remember\n")[2].partition("\n# ")[0]
PROSE = " ".join(SECTION.split())
RUNS = json.loads((ROOT / "data" / "results" / "sweeps" / "text-names.json").read_text())["runs"]
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


def rows(question, head):
    mark = f"<!-- text-names {question} -->"
    body = SECTION.partition(mark)[2].partition(mark.replace("<!-- ", "<!-- /"))[0]
    (block,) = [b for b in body.strip().split("\n\n") if b.startswith(f"| {head} |")]
    return [[c.strip() for c in line.strip("|").split("|")] for line in block.splitlines()[2:]]


def test_means_with_their_intervals():
    found = {row[0]: row[1:6] for row in rows("memory", "condition")}
    assert set(found) == set(NAMES)
    for name, cells in found.items():
        for group, cell in zip(GROUPS, cells, strict=True):
            values = bits(name, group)
            half = stats.t.ppf(0.975, 2) * stats.sem(values)
            mean = values.mean()
            assert cell == f"{mean:.2f} [{mean - half:.2f}, {mean + half:.2f}]"


def test_differences_with_their_intervals():
    for words, group, cell, *_ in rows("memory", "difference"):
        one, other = (bits(name, group) for name in words.split(" minus "))
        low, high = stats.ttest_ind(one, other, equal_var=False).confidence_interval(0.95)
        assert cell == f"{one.mean() - other.mean():+.2f} [{low:+.2f}, {high:+.2f}]"


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
    top = " ".join(PAGE.partition("## How to read it")[0].split())
    said = "saves {:.2f} of {:.2f} bits a letter"
    assert said.format((never - none).mean(), never.mean()) in top
    assert f"one pass of sleep {gains.mean():.2f} more" in top


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
