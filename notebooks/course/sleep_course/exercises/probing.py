"""Checks of the exercises in notebook 6, *Probes that mean something*."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import stats

from sleep_course.exercises.check import (
    NotYet,
    array_of,
    call,
    call_for_array,
    close,
    exercise,
    right_elsewhere,
)

EXAMPLES, ROWS_EACH = 20, 3
NUMBERS = 100 + 7 * np.arange(EXAMPLES)
"""Names of examples: not 0, 1, 2, ..., so that a row's number is not taken for its example's."""

ALPHAS = (0.01, 0.1, 1.0, 10.0)
FOLDS = {
    "train": dict(zip(ALPHAS, (0.99, 0.95, 0.80, 0.60), strict=True)),
    "validation": dict(zip(ALPHAS, (0.41, 0.55, 0.62, 0.48), strict=True)),
    "test": dict(zip(ALPHAS, (0.44, 0.66, 0.58, 0.50), strict=True)),
}
"""What a probe scores: each fold likes another alpha best."""

OTHER_ALPHAS = (30.0, 0.3, 3.0)
OTHER_FOLDS = {
    "train": dict(zip(OTHER_ALPHAS, (0.70, 0.80, 0.90), strict=True)),
    "validation": dict(zip(OTHER_ALPHAS, (0.50, 0.80, 0.60), strict=True)),
    "test": dict(zip(OTHER_ALPHAS, (0.75, 0.70, 0.65), strict=True)),
}


@exercise
def check_held_out(held_out: Any) -> str:
    """Exercise 1: ``held_out(example, share, seed)`` keeps rows of one example together."""
    hint = "One True or False for each row: draw examples from np.unique(example), then np.isin."
    example = np.repeat(NUMBERS, ROWS_EACH)[np.random.default_rng(171).permutation(60)]

    def given(share: float, seed: int) -> np.ndarray:
        found = call_for_array(held_out, example, share, seed, shape=(60,), hint=hint)
        if not np.isin(found, (0, 1)).all():
            raise NotYet(f"those are numbers, not one True or False for each row. {hint}")
        return found.astype(bool)

    test = given(0.25, 0)
    if test.all() or not test.any():
        raise NotYet(f"{'every' if test.any() else 'no'} row is tested. {hint}")
    both = np.intersect1d(example[test], example[~test])
    if len(both):
        raise NotYet(
            f"{len(both)} of {EXAMPLES} examples have rows on both sides. A probe that has seen "
            "one of an example's rows knows the answer for the others: draw examples, not rows."
        )
    tested = len(np.unique(example[test]))
    if tested == EXAMPLES - 5:
        raise NotYet("True is to mean tested: yours marks the rows that are trained on.")
    if tested != 5:
        raise NotYet(f"a share of 0.25 of {EXAMPLES} examples is 5; yours tests {tested}.")
    if all(np.array_equal(test, given(0.25, seed)) for seed in (1, 2)):
        raise NotYet("every seed tests the same examples: draw them with the seed given.")
    if not np.array_equal(test, given(0.25, 0)):
        raise NotYet("the same seed gives other rows the second time: use default_rng(seed).")
    for name, examples, share in (
        ("with another share", example, 0.5),
        ("with other examples", np.repeat(np.arange(8), 5), 0.25),
        ("with examples of several sizes", np.repeat(np.arange(3, 13), np.arange(1, 11)), 0.3),
    ):
        wanted = round(share * len(np.unique(examples)))
        marked = call_for_array(held_out, examples, share, 3, shape=examples.shape, hint=hint) == 1
        those, others = np.unique(examples[marked]), np.unique(examples[~marked])
        if len(those) != wanted or len(np.intersect1d(those, others)):
            raise NotYet(
                f"right at first, wrong {name}: {wanted} of {len(np.unique(examples))} examples "
                f"are to be tested, with all their rows; yours tests {len(those)}."
            )
    return "an example is trained on or tested, with all its rows; which one, the seed decides."


@exercise
def check_choose(choose: Any) -> str:
    """Exercise 2: ``choose(alphas, score)`` picks on validation and opens the test fold once."""
    hint = 'max over score(alpha, "validation"), then one score(best, "test"); return both.'
    opened: list[tuple[str, float]] = []
    score = _folds(FOLDS, opened)
    result = call(choose, list(ALPHAS), score, hint=hint)
    if not isinstance(result, tuple | list | np.ndarray) or np.shape(result)[:1] != (2,):
        raise NotYet(f"two things should come back, alpha and the accuracy on test. {hint}")
    tested = [alpha for fold, alpha in opened if fold == "test"]
    if len(tested) > 1:
        raise NotYet(
            f"the test fold was opened {len(tested)} times. What is chosen by it is no longer "
            'tested by it: choose by "validation".'
        )
    alpha, told = array_of(list(result), name="choose", shape=(2,), hint=hint)
    if alpha not in ALPHAS:
        raise NotYet(f"{alpha:g} is not one of the alphas. Return alpha first, then the accuracy.")
    if alpha == min(ALPHAS):
        by = "the training fold" if ("train", alpha) in opened else "something else"
        raise NotYet(
            f"chosen by {by}: there the least regularisation always looks best, since it lets a "
            'probe learn by heart. Choose by "validation".'
        )
    if alpha != 1.0:
        raise NotYet(f"alpha = {alpha:g} is not the best on validation. {hint}")
    if not tested:
        raise NotYet(
            "right alpha, but the test fold stayed shut: what you return was used for choosing, "
            "and the best of several looks too good."
        )
    if not close(told, FOLDS["test"][1.0]):
        raise NotYet("the accuracy to return is that on test, with the alpha chosen.")
    opened.clear()
    result = call(choose, list(OTHER_ALPHAS), _folds(OTHER_FOLDS, opened), hint=hint)
    if not close(array_of(list(result), name="choose", shape=(2,), hint=hint), (0.3, 0.7)):
        raise NotYet("right for the first alphas, wrong for others in another order: use `alphas`.")
    if [alpha for fold, alpha in opened if fold == "test"] != [0.3]:
        raise NotYet("the test fold is opened once, with the alpha chosen.")
    return "chosen on one fold, reported from another that was opened once."


def _folds(
    folds: dict[str, dict[float, float]], opened: list[tuple[str, float]]
) -> Callable[[float, str], float]:
    """Return `score(alpha, fold)`, which notes what it was asked."""

    def score(alpha: float, fold: str) -> float:
        if fold not in folds:
            raise NotYet(f'there is no fold {fold!r}: "train", "validation" or "test".')
        if float(alpha) not in folds[fold]:
            raise NotYet(f"alpha = {float(alpha):g} is not one of those given.")
        opened.append((fold, float(alpha)))
        return folds[fold][float(alpha)]

    return score


@exercise
def check_control(control_labels: Any) -> str:
    """Exercise 3: ``control_labels(kinds, classes, seed)`` is a random label for each kind."""
    hint = "A table with one random label for each kind, then table[kinds]."
    kinds = np.random.default_rng(172).integers(0, 30, 200)
    classes = 5

    def given(seed: int) -> np.ndarray:
        return call_for_array(control_labels, kinds, classes, seed, shape=kinds.shape, hint=hint)

    found = given(0)
    if (found != found.round()).any() or found.min() < 0 or found.max() >= classes:
        raise NotYet(f"labels are whole numbers from 0 to classes - 1 = {classes - 1}.")
    if len(np.unique(found)) == 1:
        raise NotYet("every example has the same label: there is nothing to predict.")
    each = [np.unique(found[kinds == kind]) for kind in np.unique(kinds)]
    if max(map(len, each)) > 1:
        raise NotYet(
            "examples of one kind have different labels, so not even a probe that learns by heart "
            f"could get them right. {hint}"
        )
    if np.array_equal(found, given(7)):
        raise NotYet("each seed should draw new labels for the kinds.")
    of_kind = np.array([found[kinds == kind][0] for kind in range(30)])  # all 30 occur
    if (of_kind[classes:] == of_kind[:-classes]).all():
        raise NotYet(
            "your labels cycle with the number of the kind, whatever the seed: that is the kind "
            "under another name. Draw a label for each."
        )
    if len(np.unique(found)) < classes:
        raise NotYet(f"of {classes} labels, some are never drawn. {hint}")
    if not np.array_equal(found, given(0)):
        raise NotYet("the same seed gives other labels the second time: use default_rng(seed).")
    gaps = np.repeat([2, 3, 7, 50, 51, 52, 53, 90], 6)
    for classes in (3, 12):
        found = call_for_array(control_labels, gaps, classes, 1, shape=gaps.shape, hint=hint)
        many = max(len(np.unique(found[gaps == kind])) for kind in np.unique(gaps))
        if many > 1 or found.min() < 0 or found.max() >= classes or (found != found.round()).any():
            raise NotYet(
                f"right at first, wrong for other kinds and {classes} classes: one whole number "
                f"from 0 to {classes - 1} for each kind. {hint}"
            )
    drawn = call_for_array(control_labels, np.arange(300), 12, 2, shape=(300,), hint=hint)
    if len(np.unique(drawn)) < 12:
        raise NotYet("300 kinds and 12 classes, and some label is never drawn: use `classes`.")
    return "meaningless and learnable: what a probe scores here, it owes to its own memory."


@exercise
def check_interval(interval: Any) -> str:
    """Exercise 4: ``interval(right)`` is mean -+ 1.96 standard errors, an example one case.

    Student's t in place of 1.96 is right too: the same for many examples, wider for a few.
    """
    hint = "scores = right.mean(1); scores.mean() -+ 1.96 * scores.std(ddof=1) / sqrt(examples)."
    right = np.random.default_rng(2).random((12, 6)) < np.linspace(0.1, 0.9, 12)[:, None]
    scores = right.mean(1)
    mean, error = scores.mean(), scores.std(ddof=1) / np.sqrt(12)
    low, high = call_for_array(interval, right, shape=(2,), hint=hint)

    def is_half(half: float) -> bool:
        return close([low, high], [mean - half, mean + half])

    if is_half(1.96 * error) or is_half(float(stats.t.ppf(0.975, 11)) * error):
        t = not is_half(1.96 * error)
        generator = np.random.default_rng(21)
        many = generator.random((40, 8)) < np.linspace(0, 1, 40)[:, None]

        def right_interval(x: np.ndarray) -> tuple[float, float]:
            scores = np.asarray(x).mean(1)
            times = stats.t.ppf(0.975, len(scores) - 1) if t else 1.96
            half = times * scores.std(ddof=1) / np.sqrt(len(scores))
            return scores.mean() - half, scores.mean() + half

        right_elsewhere(
            interval,
            right_interval,
            {
                "with more examples": (many,),
                "with one item an example": (many[:, :1],),
                "where right is written 1 and 0": (right.astype(np.int64),),
            },
        )
        return "twelve examples are twelve cases, however many items each of them has."
    if close([low, high], [mean, 1.96 * error]):
        raise NotYet("return both ends, low and high, rather than the mean and a width.")
    if close([low, high], [mean + 1.96 * error, mean - 1.96 * error]):
        raise NotYet("the other way round: low first.")
    flat = right.std(ddof=1) / np.sqrt(right.size)
    if any(is_half(1.96 * x) for x in (flat, right.std() / np.sqrt(right.size))):
        raise NotYet(
            "that counts 72 items as 72 cases. Six items of one example come from one memory, and "
            "are right or wrong together: take each example's mean first."
        )
    if is_half(1.96 * scores.std(ddof=1)) or is_half(1.96 * scores.std()):
        raise NotYet("that is the spread of examples; for the mean of 12, divide by sqrt(12).")
    if is_half(1.96 * scores.std() / np.sqrt(12)):
        raise NotYet("nearly: np.std divides by n unless you pass ddof=1: too narrow for a few.")
    if is_half(error):
        raise NotYet("one standard error holds about 68 %; for 95 % take 1.96 of them.")
    columns = right.mean(0)
    if is_half(1.96 * columns.std(ddof=1) / np.sqrt(6)):
        raise NotYet("wrong axis: right is [example, item], and the examples are the cases.")
    raise NotYet(
        f"the mean lies at {mean:.3f}, 1.96 standard errors are {1.96 * error:.3f}. {hint}"
    )


@exercise
def check_random_like(random_like: Any) -> str:
    """Exercise 5: ``random_like(change, seed)`` has random directions, and each row's length."""
    hint = "default_rng(seed).normal(size=change.shape), and then each row to the row's own length."
    change = np.random.default_rng(173).normal(size=(40, 30)) * np.linspace(0.2, 5, 40)[:, None]

    def given(seed: int) -> np.ndarray:
        return call_for_array(random_like, change, seed, shape=change.shape, hint=hint)

    found = given(0)
    wanted, lengths = (np.linalg.norm(rows, axis=1) for rows in (change, found))
    if not lengths.all():
        raise NotYet("some rows are zero: a push of no length says nothing.")
    along = (found * change).sum(1) / (lengths * wanted)
    if (np.abs(along) > 0.999).all():
        raise NotYet("that is the probe's direction itself, or its opposite: draw another.")
    if close(lengths, np.ones(40)):
        raise NotYet("every row has length 1: give each the length of its row in `change`.")
    if not close(lengths, wanted):
        if close(np.linalg.norm(found), np.linalg.norm(change)):
            raise NotYet("all rows together are as long; each one by itself should be: axis=1.")
        raise NotYet(f"the lengths are not those of `change`, row by row. {hint}")
    unit = found / lengths[:, None]
    if np.abs(unit @ unit.T - np.eye(40)).max() > 0.999:
        raise NotYet("several rows point the same way: draw a direction for each.")
    if (found >= 0).all():
        raise NotYet(
            "every number is positive, so that all directions lie in one corner: use normal, which "
            "prefers no direction."
        )
    if np.abs(along).mean() > 0.5:
        raise NotYet("those are still much like the probe's directions: draw new ones.")
    if np.array_equal(found, given(1)):
        raise NotYet("every seed gives the same directions: use default_rng(seed).")
    several = np.concatenate([given(seed) for seed in range(8)])
    several /= np.linalg.norm(several, axis=1, keepdims=True)
    # mean fourth power over the squared mean square: 3 for a normal, near 2.8 on this sphere
    if (several**4).mean() / (several**2).mean() ** 2 < 2.3:
        raise NotYet(
            "those prefer the corners, as numbers with a largest value do: use normal, which "
            "prefers no direction."
        )
    other = np.random.default_rng(174).normal(size=(6, 50)) * np.arange(1, 7)[:, None]
    found = call_for_array(random_like, other, 0, shape=other.shape, hint=hint)
    if not close(np.linalg.norm(found, axis=1), np.linalg.norm(other, axis=1)):
        raise NotYet("right for the first pushes, wrong for others: use the lengths of `change`.")
    return "as long, in no particular direction: what this does, any push of that size does."
