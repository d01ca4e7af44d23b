"""What finished runs show in words, against scipy's test and numbers worked out by hand."""

import numpy as np
import pytest
from hand_records import hand_run
from scipy import stats

from workbench.lab.record import read_record
from workbench.lab.results import dataset
from workbench.lab.results.bundled import records
from workbench.lab.results.finished import conclusion

HIGH, LOW = (0.9, 0.92, 0.97), (0.3, 0.35, 0.31)


def runs(arm, n, shares, **more):
    return [hand_run(arm, n, seed, share, **more) for seed, share in enumerate(shares)]


def test_a_difference_that_stands_is_said_with_its_interval_and_chance():
    said = conclusion(dataset([*runs("sleep", "4", HIGH), *runs("sleep", "1", LOW)]))
    low, high = stats.ttest_ind(HIGH, LOW, equal_var=False).confidence_interval(0.95)
    by = np.mean(HIGH) - np.mean(LOW)
    assert said == [
        "At 2 hops, sleep, N = 4 reaches 93 % and sleep, N = 1 32 %; chance 14 %. "
        f"So sleep, N = 4 is ahead: {by:+.2f} [{low:+.2f}, {high:+.2f}] stands.",
        "3 seeds for each arm and N; in brackets 95 % intervals; what stands has p below 0.05 "
        "after correction for 2 comparisons.",
    ]


def test_equal_compute_comes_first_and_the_correction_covers_every_arm():
    """By itself the difference from `deeper` would stand."""
    deeper = (0.8, 0.81, 0.82)
    assert stats.ttest_ind(HIGH, deeper, equal_var=False).pvalue < 0.05
    alone = [*runs("sleep", "4", HIGH), *runs("deeper", "1", deeper, passes=4)]
    (said, _) = conclusion(dataset(alone))
    assert "deeper" in said and "stands." in said
    more = [run for arm in ("sliding", "think_only") for run in runs(arm, "4", deeper)]
    said = conclusion(dataset([*more, *alone]))
    assert "deeper" in said[0] and "does not stand" in said[0] and len(said) == 4


@pytest.mark.parametrize(
    "given, words",
    [
        ([*runs("sleep", "4", (0.14, 0.13)), *runs("sleep", "1", (0.12, 0.15))], "near chance"),
        ([*runs("sleep", "4", HIGH[:1]), *runs("sleep", "1", LOW[:1])], "+0.60, from one seed"),
        (runs("sleep", "4", HIGH), "one arm: nothing to compare"),
        (runs("sleep", "4", (0.5, 0.5)) + runs("sleep", "1", (0.5, 0.5)), "does not stand"),
    ],
)
def test_what_cannot_be_said_is_not_said(given, words):
    said = conclusion(dataset(given))
    assert words in said[0] and "ahead" not in said[0]


def test_what_is_measured_in_bits_is_compared_without_a_chance_line():
    """The record of names in text: no guess is worth anything in bits per character."""
    said = conclusion(dataset(read_record(records()["text-names"])))
    assert said and "bits per character" in said[0] and "chance" not in said[0]
