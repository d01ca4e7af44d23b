"""Notebook 9: checks say something fitting about each mistake; what it says of records holds."""

import re
from functools import cache

import numpy as np
import pytest
from judged import judged
from scipy import stats
from solutions import solved

from sleep_course import more_sleep
from sleep_course.exercises import more_sleep as checks
from sleep_course.records import recorded
from workbench import dims
from workbench.lab import results
from workbench.lab.results import differences as views

right = solved("more_sleep")


def seed_interval(accuracy, factor=None, ddof=1, root=True, divide=True):
    """The 95 % t interval, or what is left of it when a step of it is done wrong."""
    n = len(accuracy)
    half = (factor or stats.t.ppf(0.975, n - 1)) * np.std(accuracy, ddof=ddof)
    half /= (np.sqrt(n) if root else n) if divide else 1
    return np.mean(accuracy), np.mean(accuracy) - half, np.mean(accuracy) + half


def wrong(**how):
    return lambda accuracy: seed_interval(accuracy, **how)


def of_quantile(share, off=-1):
    return lambda accuracy: seed_interval(accuracy, stats.t.ppf(share, len(accuracy) + off))


test_seed_interval = judged(
    checks.check_seed_interval,
    (lambda a: (a.mean() + 0.1, *seed_interval(a)[1:]), "the first number is"),
    (lambda a: np.sort(seed_interval(a)), "the mean comes first"),
    (lambda a: (a.mean(), *seed_interval(a)[:0:-1]), "upside down"),
    (lambda a: [a.mean()] * 3, "the mean comes first"),
    (wrong(factor=1.96), "right for many seeds"),
    (wrong(factor=stats.norm.ppf(0.975)), "right for many seeds"),
    (wrong(factor=1.96, ddof=0), "unless you pass ddof=1; 1.96"),
    (wrong(ddof=0), "unless you pass ddof=1."),
    (wrong(divide=False), "where one more seed may lie"),
    (wrong(factor=1.96, divide=False), "spread of seeds"),
    (wrong(root=False), "square root"),
    (wrong(factor=1.0), "one standard error"),
    (of_quantile(0.975, off=0), "n - 1 degrees of freedom"),
    (of_quantile(0.95), "2.5 % on each side"),
    (more_sleep.bootstrap_interval, "looks like a bootstrap"),
    (lambda a: (a.mean(), a.min(), a.max()), "smallest and the largest"),
    (lambda a: (a.mean(), a.mean() - 0.5, a.mean() + 0.5), "should reach 0.2"),
    (wrong(factor=stats.t.ppf(0.975, 4)), "wrong for one with three seeds"),
)


def scipy_s(accuracy):
    found = stats.ttest_1samp(accuracy, 0).confidence_interval(0.95)
    return np.mean(accuracy), found.low, found.high


@pytest.mark.filterwarnings("ignore:Precision loss occurred:RuntimeWarning")
def test_an_interval_by_scipy_is_right_where_seeds_differ():
    accuracy = np.array([0.2, 0.9, 0.4])
    np.testing.assert_allclose(seed_interval(accuracy), scipy_s(accuracy))


@pytest.mark.parametrize(
    ("interval", "normal", "uneven"),
    [
        (seed_interval, (0.93, 0.97), (0.6, 0.75)),
        (more_sleep.normal_interval, (0.85, 0.91), (0.6, 0.75)),
        (more_sleep.bootstrap_interval, (0.81, 0.87), (0.6, 0.75)),
    ],
)
def test_what_the_notebook_says_of_coverage(interval, normal, uneven):
    low, high = normal
    assert low < more_sleep.coverage(interval, seeds=5) < high
    low, high = uneven
    assert low < more_sleep.coverage(interval, seeds=5, failing=0.2, samples=600) < high


test_cost = judged(
    checks.check_cost,
    (lambda n, asleep, awake, looped: n, "n itself"),
    (lambda n, asleep, awake, looped: asleep * n + awake, "divide by all tokens"),
    (lambda n, asleep, awake, looped: 1.5 * right.cost(n, asleep, awake), "the cost is 1"),
    (lambda n, asleep, awake, looped: right.cost(n, awake, asleep), "twice as much"),
    (lambda n, asleep, awake, looped: right.cost(n, asleep, awake), "`looped` is not used"),
    (lambda n, asleep, awake, looped: right.cost(n, asleep, awake) * looped, "half of them"),
)


test_solved = judged(
    checks.check_solved,
    (lambda accuracy, threshold: 1, "two are solved"),
    (lambda accuracy, threshold: max(right.solved(accuracy, threshold), 1), "the answer is 0"),
    (
        lambda accuracy, threshold: int((accuracy < threshold).argmax()),
        "the answer is the last",
    ),
    (lambda accuracy, threshold: int((accuracy >= threshold).sum()), "only the first counts"),
    (lambda accuracy, threshold: right.solved(accuracy, threshold + 1e-6), "exactly at"),
    (lambda accuracy, threshold: right.solved(accuracy, 0.9), "hard-coded"),
)


# --- records -------------------------------------------------------------------------------------


def test_what_the_notebook_says_of_the_record():
    """One seed of N = 2 fails at three hops; the steps of the staircase; the counted cost."""
    _, data = recorded("depo-n8")
    two = more_sleep.seeds_of(data, 2, 3)
    assert len(two) == 5 and (two < 0.5).sum() == 1 and (two > 0.9).sum() == 4
    for hops in (2, 3, 4):
        one, two, four = (more_sleep.seeds_of(data, n, hops) for n in (1, 2, 4))
        assert one.mean() < 0.5 < two.mean() < four.mean()
        assert np.corrcoef(two, one)[0, 1] < 0
    assert more_sleep.counted_cost(data, 1) == 1.0
    assert right.cost(4, 16, 32) < more_sleep.counted_cost(data, 4) < 2.2
    assert 0.78 < more_sleep.relative_flops(data, "rewrite_only") < 0.82
    assert 0.99 < more_sleep.relative_flops(data, "think_only") < 1.01

    swept = results.final(data)["accuracy"].sel({dims.ARM: "sleep", dims.DIFFICULTY: 1})
    swept = swept.mean(dims.SEED)
    assert swept.sel(n_train="1", n_test=16) < swept.sel(n_train="1", n_test=1) - 0.2
    assert swept.sel(n_train="4", n_test=8) > 0.95 > 0.8 > swept.sel(n_train="4", n_test=1)


def standing(text):
    """Return, by difference, at which numbers of hops it has a star."""
    lines = text.splitlines()
    return {
        name: [n for n, cell in enumerate(re.findall(r"\](.)", cells + " "), 1) if cell == "*"]
        for name, cells in zip(lines[::2], lines[1::2], strict=True)
    }


def test_what_the_notebook_says_stands_and_does_not():
    assert standing(words("equal_tokens")) == {
        "sleep, N = 2 minus sleep, N = 1": [1],
        "sleep, N = 4 minus sleep, N = 2": [],
        "sleep, N = 4 minus sleep, N = 1": [1, 2, 3, 4],
    }
    longer, deeper, wider = standing(words("equal_flops")).values()
    assert (longer, deeper, wider) == ([3, 4], [], [2, 3, 4])
    assert list(standing(words("parts")).values()) == [[1], [], [1], [1, 2]]
    assert list(standing(words("awake")).values()) == [[], [4]]
    assert family().size > 6  # beyond which the exact test of 5 against 5 lets nothing stand
    assert family().standing[1] == 0


@cache
def family():
    return views.family(recorded("depo-n8")[1])


def words(question):
    return more_sleep.differences(family().differences[question])


def test_a_difference_is_welch_s():
    _, data = recorded("depo-n8")
    four, one = (more_sleep.seeds_of(data, n, 4) for n in (4, 1))
    wanted = stats.ttest_ind(four, one, equal_var=False).confidence_interval(0.95)
    cells = words("equal_tokens").splitlines()[-1]
    assert cells.split("  ")[-1] == (
        f"{four.mean() - one.mean():+.2f} [{wanted.low:+.2f}, {wanted.high:+.2f}]*"
    )


def test_what_the_notebook_says_of_first_questions():
    """The guesser is at chance first and about half right over all; N = 2 uses earlier answers."""
    found = more_sleep.first_and_all((1, 2, 4))
    guesser = found["guess from earlier answers"]
    np.testing.assert_allclose(guesser["first question"], 1 / 7)
    assert ((guesser["all questions"] > 0.45) & (guesser["all questions"] < 0.56)).all()
    two, four = found["depo-n8-n2"], found["depo-n8-n4"]
    assert two["all questions"][3] > two["first question"][3] + 0.05
    assert four["first question"].min() > 0.99
