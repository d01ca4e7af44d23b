"""What docs/findings.md says of the way from symbols to a story, read again from the record."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "findings.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("\n# Working out values\n")[2].partition("\n# ")[0]
PROSE = " ".join(SECTION.split())
RECORD = ROOT / "data" / "results" / "tasks" / "ladder.json"
RUNGS = {r["name"]: r for r in json.loads(RECORD.read_text(encoding="utf-8"))["rungs"]}
DEPTHS = ("1", "2", "3", "4")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in SECTION.splitlines()
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


def test_each_rung_starts_from_the_one_before():
    assert RUNGS["variables-words-seed0"]["started_from"] == "variables-mini.sleep-n4-seed0"
    assert RUNGS["variables-story-seed0"]["started_from"] == "variables-words-seed0"
    assert len(ROWS) > len(RUNGS)


@pytest.mark.parametrize("name", ["variables-words-seed0", "variables-story-seed0"])
def test_what_is_said_of_four_passes_and_of_one(name):
    """N = 4 beats the shortcut wherever it is weak, and the same model with one pass does not."""
    passes, chance = RUNGS[name]["passes"], RUNGS[name]["chance"]
    short = chance["own step from the commonest constant"]["accuracy"]
    for depth in DEPTHS[2:]:
        assert passes["4"]["interval"][depth][0] > short[depth] + 0.15
        assert passes["1"]["accuracy"][depth] < short[depth] + 0.05
    at = [f"{passes['4']['accuracy'][depth]:.2f}" for depth in DEPTHS[1:]]
    assert f"{at[0]}, {at[1]} and {at[2]}" in PROSE


def test_what_is_said_of_the_order_and_of_the_question_asked_first():
    story = RUNGS["variables-story-seed0"]
    any_order = [f"{story['shuffled']['4']['accuracy'][depth]:.2f}" for depth in DEPTHS[1:]]
    assert "in any order it has {}, {} and {}".format(*any_order) in PROSE
    first = [f"{story['passes']['4']['first']['accuracy'][depth]:.2f}" for depth in DEPTHS]
    assert "{} at depth 1, and {}, {} and {} at depth 2 to 4".format(*first) in PROSE
    one = RUNGS["variables-mini.sleep-n1-seed0"]["passes"]["1"]["accuracy"]
    assert "{:.2f}, {:.2f} and {:.2f} for".format(*(one[depth] for depth in DEPTHS[1:])) in PROSE
