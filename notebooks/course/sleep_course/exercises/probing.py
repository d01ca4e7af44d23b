"""Checks of the exercises in notebook 6, *Probes that mean something*."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import stats

from sleep_course.exercises.check import Words, close, exercise, lesson

WORDS = lesson("probing")
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


@exercise(WORDS["held_out"])
def check_held_out(say: Words, held_out: Any) -> None:
    """Exercise 1: ``held_out(example, share, seed)`` keeps rows of one example together."""
    example = np.repeat(NUMBERS, ROWS_EACH)[np.random.default_rng(171).permutation(60)]

    def given(example: np.ndarray, share: float, seed: int) -> np.ndarray:
        arguments = (example, share, seed)
        found = say.array(held_out, *arguments, shape=example.shape)
        say.when(not np.isin(found, (0, 1)).all(), "numbers")
        return found.astype(bool)

    test = given(example, 0.25, 0)
    say.when(test.all() or not test.any(), "all or none", which="every" if test.any() else "no")
    both = np.intersect1d(example[test], example[~test])
    say.when(len(both), "both sides", both=len(both), examples=EXAMPLES)
    tested = len(np.unique(example[test]))
    say.when(tested == EXAMPLES - 5, "inverted")
    say.when(tested != 5, "share", examples=EXAMPLES, tested=tested)
    say.when(all(np.array_equal(test, given(example, 0.25, seed)) for seed in (1, 2)), "no seed")
    say.when(not np.array_equal(test, given(example, 0.25, 0)), "no repeat")
    for different, examples, share in (
        ("with another share", example, 0.5),
        ("with other examples", np.repeat(np.arange(8), 5), 0.25),
        ("with examples of several sizes", np.repeat(np.arange(3, 13), np.arange(1, 11)), 0.3),
    ):
        marked = given(examples, share, 3)
        those, others = np.unique(examples[marked]), np.unique(examples[~marked])
        count = len(np.unique(examples))
        numbers = {"wanted": round(share * count), "examples": count, "tested": len(those)}
        if len(those) != numbers["wanted"] or len(np.intersect1d(those, others)):
            raise say("elsewhere", different=different, **numbers)


@exercise(WORDS["choose"])
def check_choose(say: Words, choose: Any) -> None:
    """Exercise 2: ``choose(alphas, score)`` picks on validation and opens the test fold once."""
    opened: list[tuple[str, float]] = []

    def given(folds: dict[str, dict[float, float]], alphas: tuple[float, ...]) -> np.ndarray:
        opened.clear()
        result = say.call(choose, list(alphas), _folds(say, folds, opened))
        if not isinstance(result, tuple | list | np.ndarray) or np.shape(result)[:1] != (2,):
            raise say("two things")
        say.when((times := len(tested())) > 1, "opened", times=times)
        return say.array_of(list(result), name="choose", shape=(2,))

    def tested() -> list[float]:
        return [alpha for fold, alpha in opened if fold == "test"]

    alpha, accuracy = given(FOLDS, ALPHAS)
    say.when(alpha not in ALPHAS, "no alpha", alpha=f"{alpha:g}")
    if alpha == min(ALPHAS):
        by = "the training fold" if ("train", alpha) in opened else "something else"
        raise say("least", by=by)
    say.when(alpha != 1.0, "not best", alpha=f"{alpha:g}")
    say.when(not tested(), "shut")
    say.when(not close(accuracy, FOLDS["test"][1.0]), "other accuracy")
    say.when(not close(given(OTHER_FOLDS, OTHER_ALPHAS), (0.3, 0.7)), "other alphas")
    say.when(tested() != [0.3], "once")


def _folds(
    say: Words, folds: dict[str, dict[float, float]], opened: list[tuple[str, float]]
) -> Callable[[float, str], float]:
    """Return `score(alpha, fold)`, which notes each call."""

    def score(alpha: float, fold: str) -> float:
        say.when(fold not in folds, "no fold", fold=repr(fold))
        say.when(float(alpha) not in folds[fold], "not given", alpha=f"{float(alpha):g}")
        opened.append((fold, float(alpha)))
        return folds[fold][float(alpha)]

    return score


@exercise(WORDS["control"])
def check_control(say: Words, control_labels: Any) -> None:
    """Exercise 3: ``control_labels(kinds, classes, seed)`` is a random label for each kind."""
    kinds = np.random.default_rng(172).integers(0, 30, 200)
    classes = 5

    def given(kinds: np.ndarray, classes: int, seed: int) -> np.ndarray:
        arguments = (kinds, classes, seed)
        return say.array(control_labels, *arguments, shape=kinds.shape)

    def labels(found: np.ndarray, classes: int) -> bool:
        return bool((found == found.round()).all() and 0 <= found.min() <= found.max() < classes)

    def most(found: np.ndarray, kinds: np.ndarray) -> int:
        """Return the largest number of labels that one kind has."""
        return max(len(np.unique(found[kinds == kind])) for kind in np.unique(kinds))

    found = given(kinds, classes, 0)
    say.when(not labels(found, classes), "whole numbers", most=classes - 1)
    say.when(len(np.unique(found)) == 1, "one label")
    say.when(most(found, kinds) > 1, "several")
    say.when(np.array_equal(found, given(kinds, classes, 7)), "no seed")
    of_kind = np.array([found[kinds == kind][0] for kind in range(30)])  # all 30 occur
    say.when((of_kind[classes:] == of_kind[:-classes]).all(), "cycle")
    say.when(not np.array_equal(found, given(kinds, classes, 0)), "no repeat")
    say.when(len(np.unique(found)) < classes, "never drawn", classes=classes)
    gaps = np.repeat([2, 3, 7, 50, 51, 52, 53, 90], 6)
    for classes in (3, 12):
        found = given(gaps, classes, 1)
        if most(found, gaps) > 1 or not labels(found, classes):
            raise say("elsewhere", classes=classes, most=classes - 1)
    say.when(len(np.unique(given(np.arange(300), 12, 2))) < 12, "no classes")


@exercise(WORDS["interval"])
def check_interval(say: Words, interval: Any) -> None:
    """Exercise 4: ``interval(right)`` is mean -+ 1.96 standard errors, an example one case.

    Student's t in place of 1.96 is right too: the same for many examples, wider for a few.
    """
    right = np.random.default_rng(2).random((12, 6)) < np.linspace(0.1, 0.9, 12)[:, None]
    many = np.random.default_rng(21).random((40, 8)) < np.linspace(0, 1, 40)[:, None]
    scores, columns, root = right.mean(1), right.mean(0), np.sqrt(12)
    mean, spread, flat = scores.mean(), scores.std(ddof=1), scores.std()
    low, high = say.array(interval, right, shape=(2,))

    def is_half(*halves: float) -> bool:
        return any(close([low, high], [mean - half, mean + half]) for half in halves)

    t, normal = float(stats.t.ppf(0.975, 11)), is_half(1.96 * spread / root)
    if not normal and not is_half(t * spread / root):
        say.when(close([low, high], [mean, 1.96 * spread / root]), "width")
        if close([high, low], [mean - 1.96 * spread / root, mean + 1.96 * spread / root]):
            raise say("order")
        for name, errors in {
            "items": (right.std(ddof=1) / np.sqrt(72), right.std() / np.sqrt(72)),
            "spread": (spread, flat),
            "ddof": (flat / root,),
            "one error": (spread / root / 1.96,),
            "axis": (columns.std(ddof=1) / np.sqrt(6),),
        }.items():
            say.when(is_half(*(1.96 * error for error in errors)), name)
        raise say("otherwise", mean=f"{mean:.3f}", half=f"{1.96 * spread / root:.3f}")

    def right_interval(x: np.ndarray) -> tuple[float, float]:
        scores = np.asarray(x).mean(1)
        times = 1.96 if normal else stats.t.ppf(0.975, len(scores) - 1)
        half = times * scores.std(ddof=1) / np.sqrt(len(scores))
        return scores.mean() - half, scores.mean() + half

    say.elsewhere(
        interval,
        right_interval,
        {
            "with more examples": (many,),
            "with one item an example": (many[:, :1],),
            "where right is written 1 and 0": (right.astype(np.int64),),
        },
    )


@exercise(WORDS["random_like"])
def check_random_like(say: Words, random_like: Any) -> None:
    """Exercise 5: ``random_like(change, seed)`` has random directions, and each row's length."""
    change = np.random.default_rng(173).normal(size=(40, 30)) * np.linspace(0.2, 5, 40)[:, None]

    def given(seed: int) -> np.ndarray:
        return say.array(random_like, change, seed, shape=change.shape)

    found = given(0)
    wanted, lengths = (np.linalg.norm(rows, axis=1) for rows in (change, found))
    say.when(not lengths.all(), "zero")
    along = (found * change).sum(1) / (lengths * wanted)
    say.when((np.abs(along) > 0.999).all(), "probe")
    say.when(close(lengths, np.ones(40)), "length 1")
    if not close(lengths, wanted):
        together = close(np.linalg.norm(found), np.linalg.norm(change))
        raise say("all together" if together else "lengths")
    unit = found / lengths[:, None]
    say.when(np.abs(unit @ unit.T - np.eye(40)).max() > 0.999, "one direction")
    say.when((found >= 0).all(), "positive")
    say.when(np.abs(along).mean() > 0.5, "much alike")
    say.when(np.array_equal(found, given(1)), "no seed")
    several = np.concatenate([given(seed) for seed in range(8)])
    several /= np.linalg.norm(several, axis=1, keepdims=True)
    # mean fourth power over the squared mean square: 3 for a normal, near 2.8 on this sphere
    say.when((several**4).mean() / (several**2).mean() ** 2 < 2.3, "corners")
    other = np.random.default_rng(174).normal(size=(6, 50)) * np.arange(1, 7)[:, None]
    found = say.array(random_like, other, 0, shape=other.shape)
    if not close(np.linalg.norm(found, axis=1), np.linalg.norm(other, axis=1)):
        raise say("other pushes")
