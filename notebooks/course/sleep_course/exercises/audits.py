"""Checks of the exercises in notebook 10, *Is this result fake?*.

Each takes the learner's audit and runs it on a planted finding and on an honest result of the
same kind, so that an audit which always says "fake" does not pass either.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sleep_course import audits, changing
from sleep_course.exercises.check import NotYet, Words, close, exercise, kind_of, lesson

ALLOWED = 0.01
"""By how much a cost may be larger and still count as equal, relative."""
WORDS = lesson("audits")


@exercise(WORDS["probe_audit"])
def check_probe_audit(say: Words, probe_audit: Any) -> None:
    """Exercise 1: ``probe_audit(score, source)`` scores a probe on rings it has not seen."""
    for kind, count, each in (("coins", 60, 3), ("fact", 52, 4)):
        generator = np.random.default_rng(count)
        order = generator.permutation(count * each)
        source = np.repeat(np.arange(count), each)[order]
        where = generator.standard_normal((count, 8))[source]
        coins, fact = (generator.integers(0, 2, count) == 1)[source], where[:, 0] > 0
        probe = _Nearest(say, where, coins if kind == "coins" else fact)
        found = say.number(probe_audit, probe, source)
        if probe.refused:
            raise probe.refused[0]
        say.when(not probe.calls, "no score")
        # leave one ring out, or any other way round in which each ring is tested in its turn
        tested = np.unique(np.concatenate([source[test] for _, test, _ in probe.calls]))
        for train, test, _ in probe.calls:
            few = len(probe.calls) > 1 and len(tested) == count
            _check_split(say, train, test, source, few=few)
        scores = [score for *_, score in probe.calls]
        say.when(not min(scores) - 1e-9 <= found <= max(scores) + 1e-9, "other number")


class _Nearest:
    """A probe that copies the label of the nearest training row, and remembers its calls."""

    def __init__(self, say: Words, where: np.ndarray, labels: np.ndarray) -> None:
        self.say, self.where, self.labels = say, where, labels
        self.calls: list[tuple[np.ndarray, np.ndarray, float]] = []
        self.refused: list[NotYet] = []
        """Raised when the learner's function has come back."""

    def __deepcopy__(self, memo: dict[int, Any]) -> _Nearest:
        return self

    def __call__(self, train: Any, test: Any) -> float:
        try:
            train, test = (_rows(self.say, rows, len(self.labels)) for rows in (train, test))
        except NotYet as reason:
            self.refused.append(reason)
            return 0.5
        apart = np.linalg.norm(self.where[test][:, None] - self.where[train], axis=-1)
        found = self.labels[train][apart.argmin(axis=1)] == self.labels[test]
        self.calls.append((train, test, float(found.mean())))
        return float(found.mean())


@exercise(WORDS["convergence_audit"])
def check_convergence_audit(say: Words, convergence_audit: Any) -> None:
    """Exercise 2: ``convergence_audit(states, writes, replay)`` is change over replay's change."""
    generator = np.random.default_rng(2)
    n, start = 5, generator.standard_normal((3, 2))
    writes = []
    for _ in range(4):
        k = generator.standard_normal(3)
        writes.append((k / np.linalg.norm(k), generator.standard_normal(2), 0.4, 0.9))
    frozen = audits.replay(start, writes, n)
    busy = frozen.copy()
    busy[2:] += np.cumsum(generator.standard_normal((n - 1, 3, 2)), axis=0)

    def given(states: np.ndarray) -> np.ndarray:
        arguments = (states, writes, audits.replay)
        result = say.array(convergence_audit, *arguments, shape=None)
        say.when(result.shape == (n,), "pass 1")
        say.when(result.shape != (n - 1,), "count", n=n, shape=result.shape)
        return result

    change = changing.relative_steps
    slow, fast, ones = change(frozen), change(busy), np.ones(n - 1)
    if not close(found := given(frozen), ones):
        empty = change(audits.replay(0 * start, writes, n))
        mistakes = {
            "published": slow[1:],
            "difference": 0 * ones,
            "from zero": (slow / empty)[1:],
        }
        WORDS["frozen"].refuse(found, mistakes)
    if not close(found := given(busy), (fast / slow)[1:]):
        steps = [np.linalg.norm(np.diff(s, axis=0), axis=(1, 2)) for s in (busy, frozen)]
        mistakes = {
            "always 1": ones,
            "upside down": (slow / fast)[1:],
            "no units": (steps[0] / steps[1])[1:],
        }
        WORDS["busy"].refuse(found, mistakes)
    say.elsewhere(
        convergence_audit,
        lambda s, w, replay: (change(s) / change(replay(s[0], w, len(s) - 1)))[1:],
        {
            "of fewer passes": (busy[:4], writes, audits.replay),
            "with other writes": (busy, writes[::-1], audits.replay),
            "that begins with an empty memory": (busy - busy[0], writes, audits.replay),
        },
    )


@exercise(WORDS["lift_audit"])
def check_lift_audit(say: Words, lift_audit: Any) -> None:
    """Exercise 3: ``lift_audit(ours, theirs, our_flops, their_flops, interval)`` is a verdict."""
    ours = np.array([0.91, 0.88, 0.97, 0.85, 0.93])
    theirs = np.array([0.80, 0.84, 0.79, 0.75, 0.83])
    unsure = np.array([0.95, 0.60, 0.97, 0.55, 0.90])
    few, fewer = np.array([0.91, 0.92]), np.array([0.50, 0.51])

    def given(a: np.ndarray, b: np.ndarray, cost: float = 4.0, other: float = 4.0) -> bool:
        result = say.call(lift_audit, a, b, cost, other, audits.interval)
        say.when(not isinstance(result, bool | np.bool_), "no verdict", kind=kind_of(result))
        return bool(result)

    stands = given(ours, theirs)
    one, both = given(ours[:1], theirs[:1]), given(ours, unsure)
    dear, worse = given(ours, theirs, 8.0, 4.0), given(theirs, ours)
    say.when(not (stands or one or both or dear or worse), "nothing passes")
    say.when(stands and one and both and dear and worse, "everything passes")
    say.when(not stands, "honest")
    say.when(worse, "worse")
    say.when(both, "contains 0")
    say.when(one, "one seed")
    for name, case, right in (
        ("two seeds", (few, fewer), False),
        ("two on a side", (ours, fewer), False),
        ("two on a side", (few, theirs - 0.5), False),
        ("twice", (ours, theirs, 8.0, 4.0), False),
        ("half", (ours, theirs, 2.0, 4.0), True),
        ("a third", (ours, theirs, 4.0 * (1 + ALLOWED / 3), 4.0), True),
        ("a tenth", (ours, theirs, 4.4, 4.0), False),
        ("three percent", (ours, theirs, 4.0 * (1 + 3 * ALLOWED), 4.0), False),
        ("each other", (ours, theirs, 4.0, 2.0), False),
        ("each other", (ours, theirs, 8.0, 8.0), True),
    ):
        say.when(given(*case) != right, name)


@exercise(WORDS["likeness_audit"])
def check_likeness_audit(say: Words, likeness_audit: Any) -> None:
    """Exercise 4: ``likeness_audit(x, y, likeness)`` is (found - chance) / (1 - chance)."""
    generator = np.random.default_rng(3)
    some, other = generator.standard_normal((2, 12, 40))
    turned = some @ np.linalg.qr(generator.standard_normal((40, 40)))[0] + 0.1 * other
    wide, noise = generator.standard_normal((2, 9, 60))
    asked: list[tuple[np.ndarray, np.ndarray, float]] = []

    def likeness(a: Any, b: Any) -> float:
        found = audits.cka(a, b)
        asked.append((np.array(a), np.array(b), found))
        return found

    for x, y in ((some, other), (some, turned), (wide, wide + 1.5 * noise)):
        asked.clear()
        found = say.number(likeness_audit, x, y, likeness)
        whole, chance = audits.cka(x, y), float(np.mean(_chances(say, asked, x, y)))
        if not close(found, (whole - chance) / (1 - chance)):
            mistakes = {
                "published": whole,
                "chance": chance,
                "difference": whole - chance,
                "units of chance": [whole / chance, (whole - chance) / chance],
            }
            say.refuse(found, mistakes)


@exercise(WORDS["leak_audit"])
def check_leak_audit(say: Words, leak_audit: Any) -> None:
    """Exercise 5: ``leak_audit(accuracy, S)`` is what the context is worth: with minus without."""
    generator = np.random.default_rng(4)
    for with_it, without in ((0.9, 0.6), (1.0, 1.0), (1.0, 0.1)):
        state = generator.standard_normal((6, 3, 2))
        odd: list[np.ndarray] = []

        def accuracy(
            given: Any,
            ends: tuple[float, float] = (with_it, without),
            odd: list[Any] = odd,
            state: np.ndarray = state,
        ) -> float:
            given = np.asarray(given, dtype=np.float64)
            if given.shape == state.shape and np.array_equal(given, state):
                return ends[0]
            if given.shape != state.shape or not _of_others(given, state):
                odd.append(given)
            return ends[1]

        found = say.number(leak_audit, accuracy, state)
        if odd:
            raise _what_is_left(say, odd[0], state)
        right = with_it - without
        if not close(found, right):
            known = f"{with_it:g} right with the context, {without:g} without it"
            mistakes = {"sign": -right, "anyway": without, "published": with_it}
            say.refuse(found, mistakes, known=known, right=f"{right:g}")


def _rows(say: Words, rows: Any, count: int) -> np.ndarray:
    """Return rows by number, given by number or as a mask.

    Raises `NotYet` if there are no rows, or no such rows.
    """
    rows = np.asarray(rows)
    say.when(not rows.size or (rows.dtype == bool and not rows.any()), "no rows")
    if rows.dtype == bool:
        say.when(rows.shape != (count,), "mask size", count=count, shape=rows.shape)
        return np.flatnonzero(rows)
    say.when(rows.shape == (count,) and np.isin(rows, (0, 1)).all(), "0 and 1")
    rows = rows.astype(np.int64).ravel()
    say.when(len(rows) and (rows.min() < 0 or rows.max() >= count), "no such row", last=count - 1)
    return rows


def _check_split(
    say: Words, train: np.ndarray, test: np.ndarray, source: np.ndarray, *, few: bool
) -> None:
    """Say what is wrong with a split; with `few`, a test may be of one ring alone."""
    say.when(len(np.intersect1d(train, test)), "rows on both sides")
    left, right = np.unique(source[train]), np.unique(source[test])
    both = np.intersect1d(left, right)
    every = len(np.unique(source))
    numbers = {"trained": len(left), "tested": len(right), "every": every, "both": len(both)}
    say.when(len(both) > len(right) / 2, "rings seen", **numbers)
    if len(both):
        raise say("ring seen", ring=both[0])
    say.when((len(right) < every / 10 and not few) or len(left) < every / 2, "quarters", **numbers)


def _chances(
    say: Words, asked: list[tuple[np.ndarray, np.ndarray, float]], x: np.ndarray, y: np.ndarray
) -> list[float]:
    """Return the likenesses of examples that were paired with others.

    Raises `NotYet` if something else was shuffled, or nothing, or only once or twice.
    """
    chances, pairings = [], set()
    for a, b, found in asked:
        if np.array_equal(a, x) and np.array_equal(b, y):
            continue
        left, right = _which(a, x), _which(b, y)
        if left is None or right is None:
            raise say("columns" if _same_numbers(a, x) and _same_numbers(b, y) else "not whole")
        say.when(np.array_equal(left, right), "alike")
        chances.append(found)
        pairings.add(tuple(right[left.argsort()]))  # the partner of example 0, 1, ... of x
    say.when(not chances, "no shuffle")
    say.when(len(chances) < 5, "lottery")
    say.when(len(pairings) < 5, "same shuffles", count=len(chances), different=len(pairings))
    return chances


def _which(rows: np.ndarray, of: np.ndarray) -> np.ndarray | None:
    """Return which row of `of` each row is, or None if they are not its rows, each once."""
    if rows.shape != of.shape:
        return None
    same = (rows[:, None] == of).all(axis=-1)
    if not (same.sum(axis=1) == 1).all():
        return None
    found = same.argmax(axis=1)
    return found if len(np.unique(found)) == len(found) else None


def _same_numbers(rows: np.ndarray, of: np.ndarray) -> bool:
    """Whether each row holds the numbers it held, in whatever order."""
    return rows.shape == of.shape and np.allclose(np.sort(rows, axis=1), np.sort(of, axis=1))


def _of_others(given: np.ndarray, state: np.ndarray) -> bool:
    """Whether S is empty, or each example has that of another one."""
    if not given.any():
        return True
    which = _which(given.reshape(len(given), -1), state.reshape(len(state), -1))
    return which is not None and bool((which != np.arange(len(which))).all())


def _what_is_left(say: Words, given: np.ndarray, state: np.ndarray) -> NotYet:
    if given.shape != state.shape:
        return say("shape", expected=state.shape, shape=given.shape)
    own = (given == state).reshape(len(state), -1).all(axis=1)
    return say("own memory", example=own.argmax()) if own.any() else say("left over")
