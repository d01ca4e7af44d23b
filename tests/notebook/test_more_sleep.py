"""Every check of notebook 9 passes its solution and says something fitting about each mistake."""

import numpy as np
import pytest

from workbench.notebook import more_sleep

# --- exercise 1 ----------------------------------------------------------------------------------


def resampled(values, quantiles=(0.025, 0.975), seed=0):
    drawn = np.random.default_rng(seed).choice(values, (10_000, len(values)))
    return np.quantile(drawn.mean(axis=1), quantiles)


def paired_difference(a, b):
    return (a - b).mean(), *resampled(a - b)


def unpaired(a, b):
    generator = np.random.default_rng(0)
    means = [generator.choice(arm, (10_000, len(arm))).mean(axis=1) for arm in (a, b)]
    return (a - b).mean(), *np.quantile(means[0] - means[1], [0.025, 0.975])


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda a, b: ..., "gives nothing back yet"),
        (lambda a, b: (a - b).mean(), "shape (); expected (3,)"),
        (lambda a, b: paired_difference(b, a), "sign"),
        (lambda a, b: (a.mean(), *resampled(a)), "the mean of a - b is 0.1"),
        (lambda a, b: ((a - b).mean(), *resampled(a - b)[::-1]), "upside down"),
        (lambda a, b: [(a - b).mean()] * 3, "no width"),
        (unpaired, "drawn anew independently"),
        (lambda a, b: ((a - b).mean(), (a - b).min(), (a - b).max()), "smallest and largest"),
        (lambda a, b: ((a - b).mean(), *resampled(a - b, (0.05, 0.95))), "2.5 % quantile"),
        (lambda a, b: ((a - b).mean(), *np.quantile(a - b, [0.025, 0.975])), "2.5 % quantile"),
        (lambda a, b: np.array(paired_difference(a, b)) + 1e-9 * (a == b).all(), "from itself"),
    ],
)
def test_paired_difference(answer, says):
    assert more_sleep.check_paired_difference(paired_difference).right
    verdict = more_sleep.check_paired_difference(answer)
    assert not verdict.right
    assert says in verdict.message


@pytest.mark.parametrize("seed", range(5))
def test_any_draw_of_resamples_is_right(seed):
    def answer(a, b):
        return (a - b).mean(), *resampled(a - b, seed=seed)

    assert more_sleep.check_paired_difference(answer).right


# --- exercise 2 ----------------------------------------------------------------------------------


def cost(n, asleep, awake, looped=1.0):
    return (asleep * ((1 - looped) + looped * n) + awake) / (asleep + awake)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda *given: ..., "gives nothing back yet"),
        (lambda n, asleep, awake, looped: n, "n itself"),
        (lambda n, asleep, awake, looped: asleep * n + awake, "divide by all tokens"),
        (lambda n, asleep, awake, looped: 1.5 * cost(n, asleep, awake), "costs what it costs"),
        (lambda n, asleep, awake, looped: cost(n, awake, asleep), "twice as much"),
        (lambda n, asleep, awake, looped: cost(n, asleep, awake), "`looped` is not used"),
        (lambda n, asleep, awake, looped: cost(n, asleep, awake) * looped, "half of them"),
    ],
)
def test_cost(answer, says):
    assert more_sleep.check_cost(cost).right
    verdict = more_sleep.check_cost(answer)
    assert not verdict.right
    assert says in verdict.message


# --- exercise 3 ----------------------------------------------------------------------------------


def solved(accuracy, threshold):
    return int(np.logical_and.accumulate(accuracy >= threshold).sum())


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda accuracy, threshold: ..., "gives nothing back yet"),
        (lambda accuracy, threshold: accuracy >= threshold, "shape (4,); expected ()"),
        (lambda accuracy, threshold: 1, "two are solved"),
        (lambda accuracy, threshold: max(solved(accuracy, threshold), 1), "the answer is 0"),
        (
            lambda accuracy, threshold: int((accuracy < threshold).argmax()),
            "the answer is the last",
        ),
        (lambda accuracy, threshold: int((accuracy >= threshold).sum()), "only the first counts"),
        (lambda accuracy, threshold: solved(accuracy, threshold + 1e-6), "exactly at"),
        (lambda accuracy, threshold: solved(accuracy, 0.9), "written down"),
    ],
)
def test_solved(answer, says):
    assert more_sleep.check_solved(solved).right
    verdict = more_sleep.check_solved(answer)
    assert not verdict.right
    assert says in verdict.message


# --- records -------------------------------------------------------------------------------------


def test_what_the_notebook_says_of_the_record():
    """One seed of N = 2 fails at three hops; the steps of the staircase; the counted cost."""
    _, data = more_sleep.recorded("depo-n8")
    assert "depo-n8" in more_sleep.records()
    two = more_sleep.seeds_of(data, 2, 3)
    assert len(two) == 5 and (two < 0.5).sum() == 1 and (two > 0.9).sum() == 4
    for hops in (2, 3, 4):
        one, two, four = (more_sleep.seeds_of(data, n, hops) for n in (1, 2, 4))
        assert one.mean() < 0.5 < two.mean() < four.mean()
        assert paired_difference(four, one)[1] > 0.5
    assert (more_sleep.seeds_of(data, 2, 2) > 0.98).sum() == 4
    assert more_sleep.counted_cost(data, 1) == 1.0
    assert cost(4, 16, 32) < more_sleep.counted_cost(data, 4) < 2.2
    from workbench import dims
    from workbench.lab import results

    swept = results.final(data)["accuracy"].sel({dims.ARM: "sleep", dims.DIFFICULTY: 1})
    swept = swept.mean(dims.SEED)
    assert swept.sel(n_train="1", n_test=16) < swept.sel(n_train="1", n_test=1) - 0.2
    assert swept.sel(n_train="4", n_test=8) > 0.95 > 0.8 > swept.sel(n_train="4", n_test=1)
