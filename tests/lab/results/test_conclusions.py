"""One-line answers from a record worked out by hand."""

import numpy as np
import pytest
from hand_records import hand_run, write_record

from workbench.lab import results
from workbench.lab.record import read_record
from workbench.lab.results.conclusions import conclusion
from workbench.lab.results.differences import family
from workbench.lab.results.questions import answers

ARMS = {
    ("sleep", "1", 1): (0.30, 0.34, 0.32, 0.28, 0.36),
    ("sleep", "4", 4): (0.96, 0.97, 0.98, 0.99, 1.00),
    ("longer", "1", 4): (0.50, 0.51, 0.52, 0.53, 0.54),
    ("deeper", "1", 4): (0.90, 0.99, 0.80, 0.98, 0.97),
}


def concluded(folder, arms, seeds=5):
    """Return question -> conclusion of runs whose hardest difficulty has these shares."""
    runs = [
        hand_run(arm, n, seed, share, passes=passes, tested=["1", "4"])
        for (arm, n, passes), shares in arms.items()
        for seed, share in enumerate(shares[:seeds])
    ]
    data = results.dataset(read_record(write_record(folder / "hand.json", runs)))
    final = results.final(data)
    found = family(final)
    return {q.name: conclusion(q, table, found) for q, table in answers(data, final)}


@pytest.fixture
def said(tmp_path):
    return concluded(tmp_path, ARMS)


def test_a_question_of_yes_or_no_names_the_largest_difference_first(said):
    more = np.mean(ARMS["sleep", "4", 4]) - np.mean(ARMS["sleep", "1", 1])
    assert said["equal_tokens"].answer == (
        f"Yes: at 2 hops, sleep, N = 4 lies {more:.2f} above sleep, N = 1 (stands)."
    )
    assert said["equal_tokens"].sure.startswith("Means over 5 training seeds, with 95 % t")
    assert "1 of 2 differences stand by Welch's t test" in said["equal_tokens"].sure


def test_a_verdict_is_no_bolder_than_its_weakest_difference(said, tmp_path):
    """Sleep stands over longer by 0.46, and not over deeper, by 0.05 with seeds that vary."""
    answer = said["equal_flops"].answer
    assert answer.startswith("In part: at 2 hops, sleep, N = 4 lies 0.46 above longer, N = 1")
    assert answer.endswith("0.05 above deeper, N = 1 (matched to N = 4) (not shown).")
    same = {arm: (0.5, 0.6, 0.4, 0.55, 0.45) for arm in ARMS}
    assert concluded(tmp_path, same)["equal_tokens"].answer.startswith("Not shown: ")
    worse = {**ARMS, ("sleep", "4", 4): ARMS["sleep", "1", 1], ("sleep", "1", 1): (0.99,) * 5}
    assert concluded(tmp_path, worse)["equal_tokens"].answer.startswith("Not shown: ")


def test_other_answers_name_means_where_they_are_furthest_apart(said):
    assert said["solved"].answer == (
        "Of 2 hops, at 90% right, mean over seeds: sleep: 1 at N = 1, 2 at N = 4; "
        "longer, N = 1: 1 at N = 4; deeper, N = 1: 1.8 at N = 4."
    )
    assert said["transfer"].answer.startswith("At 2 hops, sleep, N = 1: 0.32 at N = 1")
    assert "no differences are tested" in said["flops"].sure
    assert "sleep, N = 4 reaches 0.98" in said["flops"].answer


def test_one_seed_is_said_to_be_one(tmp_path):
    said = concluded(tmp_path, ARMS, seeds=1)["equal_tokens"]
    assert said.sure.startswith("Means over 1 training seed, without an interval")
    assert "(one seed)" in said.answer
