"""Differences of a record, tested as one family: by hand and against scipy."""

import csv
import io
import json
import math

import numpy as np
import pytest
from hand_records import hand_run, write_record
from scipy import stats

from workbench.lab import results
from workbench.lab.record import read_record
from workbench.lab.results import rows as words
from workbench.lab.results.differences import MARGIN, family, family_words
from workbench.lab.results.questions import QUESTIONS

ARMS = {
    ("sleep", "1", 1): (0.30, 0.34, 0.32, 0.28, 0.36),
    ("sleep", "2", 2): (0.70, 0.90, 0.20, 0.80, 0.75),
    ("sleep", "4", 4): (0.96, 0.97, 0.98, 0.99, 1.00),
    ("deeper", "1", 4): (0.95, 0.99, 0.97, 0.98, 0.97),
    ("random_n", "1-4", 4): (1.0, 1.0, 1.0, 1.0, 1.0),
}


def written(path, arms, seeds=slice(None)):
    runs = [
        hand_run(arm, n, seed, share, passes=passes, tested=[n.rpartition("-")[2]])
        for (arm, n, passes), shares in arms.items()
        for seed, share in list(enumerate(shares))[seeds]
    ]
    return write_record(path, runs)


@pytest.fixture
def record(tmp_path):
    return written(tmp_path / "hand.json", ARMS)


@pytest.fixture
def found(record):
    return family(results.dataset(read_record(record)))


def question(name):
    return next(q for q in QUESTIONS if q.name == name)


def holm(values):
    """Return Holm's correction in the plainest way: each p in turn, from the smallest."""
    corrected, least = {}, 0.0
    for place, (p, name) in enumerate(sorted((p, name) for name, p in values.items())):
        least = max(least, min(1.0, p * (len(values) - place)))
        corrected[name] = least
    return corrected


def test_every_difference_of_the_record_is_corrected_with_all_others(found):
    """Four pairs are recorded at two difficulties each; at 1 hop all seeds answer all."""
    by_arm = {(arm, n): np.array(shares) for (arm, n, _), shares in ARMS.items()}
    sleep = [by_arm["sleep", n] for n in ("1", "2", "4")]
    pairs = {
        "sleep, N = 2 minus sleep, N = 1": (sleep[1], sleep[0]),
        "sleep, N = 4 minus sleep, N = 2": (sleep[2], sleep[1]),
        "sleep, N = 4 minus sleep, N = 1": (sleep[2], sleep[0]),
        "sleep, N = 4 minus deeper, N = 1 (matched to N = 4)": (sleep[2], by_arm["deeper", "1"]),
    }
    assert found.size == 8 and [len(d) for d in found.differences.values() if d] == [3, 1]
    tests = {(words, 1): (1.0, 1.0) for words in pairs}
    for name, (a, b) in pairs.items():
        # in whole hundredths, in which sums that are equal are equal exactly
        whole = np.rint(100 * a), np.rint(100 * b)
        exact = stats.permutation_test(whole, lambda x, y: x.sum() - y.sum())
        tests[name, 2] = stats.ttest_ind(a, b, equal_var=False).pvalue, exact.pvalue
    by_t = holm({name: p for name, (p, _) in tests.items()})
    exact = holm({name: p for name, (_, p) in tests.items()})
    for one in (c for found_by in found.differences.values() for c in found_by):
        for level in (1, 2):
            at = one.table.sel(difficulty=level)
            assert float(at["p_welch"]) == pytest.approx(tests[one.words, level][0])
            assert float(at["p_exact"]) == pytest.approx(tests[one.words, level][1])
            assert float(at["p_welch_holm"]) == pytest.approx(by_t[one.words, level])
            assert float(at["p_exact_holm"]) == pytest.approx(exact[one.words, level])


def test_the_family_is_stated_with_what_stands_and_what_could(found):
    said = family_words(found)
    assert said.startswith("8 differences (every pair of arms")
    by_t, exact = found.standing
    assert (by_t, exact) == (1, 0)
    assert "1 of 8 stand at 0.05 by Welch's t test" in said and "0 by the exact test" in said
    assert "5 against 5 seeds its p is never below 0.0079" in said and "never below 0.063" in said


def test_ten_seeds_can_stand_by_the_exact_test(tmp_path):
    more = {arm: (*shares, *(share - 0.001 for share in shares)) for arm, shares in ARMS.items()}
    found = family(results.dataset(read_record(written(tmp_path / "ten.json", more))))
    one = found.differences["equal_tokens"][2].table.sel(difficulty=2)
    assert (int(one["count"]), int(one["other_count"])) == (10, 10)
    assert float(one["p_exact"]) == pytest.approx(2 / math.comb(20, 10))
    assert float(one["p_exact_holm"]) < 0.001 and found.standing[1] > 0
    assert "never below" not in family_words(found)
    rows = words.difference_rows(found, question("equal_tokens"), "hops")
    assert rows[-1][-2:] == ["t and exact", "10"]


def test_equality_is_claimed_within_the_margin_alone(found):
    head, *rows = words.equality_rows(found, question("equal_flops"), "hops")
    assert head[-1] == f"equal within {MARGIN:g}"
    assert rows[0][-1] == "no spread" and rows[1][-1] == "yes"
    (one,) = found.equalities["equal_flops"]
    a, b = (np.array(ARMS[arm]) for arm in (("sleep", "4", 4), ("deeper", "1", 4)))
    p = max(
        stats.ttest_ind(a + shift, b, equal_var=False, alternative=side).pvalue
        for shift, side in ((MARGIN, "greater"), (-MARGIN, "less"))
    )
    assert float(one.table["p"].sel(difficulty=2)) == pytest.approx(p)
    assert found.equal_size == 4, "of the transfer as well, at two difficulties"


def test_a_difference_is_printed_with_its_interval_its_tests_and_what_stands(found):
    head, *rows = words.difference_rows(found, question("equal_tokens"), "hops")
    assert head[:2] == ["difference", "hops"] and head[4] == "exact p, corrected over 8"
    last = rows[-1]
    assert last[:4] == ["sleep, N = 4 minus sleep, N = 1", "2", "+0.66 [+0.62, +0.70]", "0.008"]
    assert last[6:] == ["t", "5"] and rows[-2][6] == ""
    assert rows[-2][2:] == ["+0.00 [+0.00, +0.00]", "1.00", "1.00", "1.00", "", "5"]


def test_the_csv_has_the_same_tests(found):
    rows = list(csv.DictReader(io.StringIO(words.differences_csv(found, question("equal_flops")))))
    assert [row["difficulty"] for row in rows] == ["1", "2"] and rows[1]["family"] == "8"
    (one,) = found.differences["equal_flops"]
    at = one.table.sel(difficulty=2)
    for name in ("mean", "low", "high", "p_exact", "p_exact_holm", "p_welch", "p_welch_holm"):
        assert float(rows[1][name]) == pytest.approx(float(at[name]))
    assert float(rows[1]["margin"]) == MARGIN and float(rows[1]["p_equal_holm"]) < 0.05


def test_one_seed_has_differences_without_tests(tmp_path):
    path = written(tmp_path / "one.json", ARMS, slice(1))
    found = family(results.dataset(read_record(path)))
    assert found.standing == (0, 0)
    rows = words.difference_rows(found, question("equal_tokens"), "hops")
    assert rows[-1][2:] == ["+0.66", "1.00", "1.00", "", "", "1"]
    assert "nan" not in words.differences_csv(found, question("equal_tokens"))


def test_a_record_that_answers_nothing_has_no_family(tmp_path):
    arms = {("sleep", "1", 1): (0.3, 0.4)}
    found = family(results.dataset(read_record(written(tmp_path / "little.json", arms))))
    assert found.size == found.equal_size == 0 and family_words(found) == ""
    assert words.difference_rows(found, question("equal_tokens"), "hops") == []
    assert words.differences_csv(found, question("equal_tokens")) == ""


def test_a_second_record_adds_its_seeds(tmp_path, record, capsys):
    """Arms of the second have ten seeds, the others five; a family holds both."""
    from workbench.cli import main

    more = {arm: tuple(share - 0.001 for share in ARMS[arm]) for arm in list(ARMS)[:3]}
    path = tmp_path / "more.json"
    written(path, {arm: (*ARMS[arm], *shares) for arm, shares in more.items()})
    runs = json.loads(path.read_text())
    runs["runs"] = [run for run in runs["runs"] if run["labels"]["seed"] > 4]
    path.write_text(json.dumps(runs))
    data = results.dataset([read_record(record), read_record(path)])
    found = family(data)
    flops = found.differences["equal_flops"][0].table.sel(difficulty=2)
    assert (int(flops["count"]), int(flops["other_count"])) == (10, 5)
    four = np.array([*ARMS["sleep", "4", 4], *more["sleep", "4", 4]])
    deeper = np.array(ARMS["deeper", "1", 4])
    welch = stats.ttest_ind(four, deeper, equal_var=False)
    assert float(flops["p_welch"]) == pytest.approx(welch.pvalue)
    assert words.difference_rows(found, question("equal_flops"), "hops")[-1][-1] == "5 and 10"
    with pytest.raises(SystemExit, match="0"):
        main(["results", str(record), str(path), "--format", "csv", "--out", str(tmp_path)])
    capsys.readouterr()
    saved = (tmp_path / "hand+more-equal_flops-differences.csv").read_text()
    rows = list(csv.DictReader(io.StringIO(saved)))
    assert (rows[1]["count"], rows[1]["other_count"]) == ("10", "5")
