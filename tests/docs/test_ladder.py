"""What docs/findings.md says of the way from symbols to a story, read again from the record."""

import pytest
from findings_page import SECTIONS, prose, record

PROSE = prose("Working out values")
RUNGS = {rung["name"]: rung for rung in record("ladder", "tasks")["rungs"]}
DEPTHS = ("1", "2", "3", "4")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in SECTIONS["Working out values"].splitlines()
    if line.startswith("| `")
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]}-{row[1]}")
def test_rows_are_those_of_the_record(row):
    name, _, order = row[0].partition(",")
    rung = RUNGS[name.strip("`")]
    entry = rung["shuffled" if order else "passes"][row[1]]
    for depth, cell in zip(DEPTHS, row[2:6], strict=True):
        low, high = entry["interval"][depth]
        share = entry["accuracy"][depth]
        assert cell == f"{share:.3f} [{low:.3f}, {high:.3f}]"
        assert low <= share <= high
    if rung["task"]["question"] != "alone":
        assert row[6:] == [f"{entry['first']['accuracy'][depth]:.3f}" for depth in DEPTHS[1:]]


@pytest.mark.parametrize("passes", (1, 4))
def test_each_rung_starts_from_the_one_before(passes):
    """N = 1 and N = 4 each grow on their own."""
    rungs = [f"variables-{rung}.sleep-n{passes}-seed0" for rung in ("mini", "words", "story")]
    assert [RUNGS[name]["started_from"] for name in rungs] == [None, *rungs[:2]]
    assert len(ROWS) > len(RUNGS)


@pytest.mark.parametrize("rung", ["words", "story"])
def test_one_pass_of_a_model_trained_at_four_is_at_the_shortcut(rung):
    found = RUNGS[f"variables-{rung}.sleep-n4-seed0"]
    short = found["chance"]["own step from the commonest constant"]["accuracy"]
    for depth in DEPTHS[2:]:
        assert found["passes"]["4"]["interval"][depth][0] > short[depth] + 0.15
        assert found["passes"]["1"]["accuracy"][depth] < short[depth] + 0.05
        assert RUNGS[f"variables-{rung}.sleep-n1-seed0"]["passes"]["1"]["accuracy"][depth] > 0.3


def test_what_is_said_of_the_order_and_of_the_question_asked_first():
    four, one = (RUNGS[f"variables-story.sleep-n{n}-seed0"] for n in (4, 1))
    any_order = [f"{four['shuffled']['4']['accuracy'][depth]:.2f}" for depth in DEPTHS[1:]]
    assert "in any order it has {}, {} and {}".format(*any_order) in PROSE
    fallen = [one["shuffled"]["1"]["accuracy"][depth] for depth in DEPTHS[1:]]
    assert "in any order N = 1 falls to {:.2f}, {:.2f} and {:.2f}".format(*fallen) in PROSE
    short = one["chance"]["own step from the commonest constant"]["accuracy"]
    assert all(share <= short[depth] for share, depth in zip(fallen, DEPTHS[1:], strict=True))
    first = [f"{four['passes']['4']['first']['accuracy'][depth]:.2f}" for depth in DEPTHS]
    assert "{} at depth 1, and {}, {} and {} at depth 2 to 4".format(*first) in PROSE
