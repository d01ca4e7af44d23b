"""Checks of the exercises in notebook 10, *Is this result fake?*.

Each takes the learner's audit and runs it on a planted finding and on an honest result of the
same kind, so that an audit which always says "fake" does not pass either.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sleep_course import audits, changing
from sleep_course.exercises.check import (
    NotYet,
    call,
    call_for_array,
    close,
    exercise,
    kind_of,
    right_elsewhere,
)

ALLOWED = 0.01
"""By how much a cost may be larger and still count as equal, relative."""


@exercise
def check_probe_audit(probe_audit: Any) -> str:
    """Exercise 1: ``probe_audit(score, source)`` scores a probe on rings it has not seen."""
    hint = "Draw whole rings, then take the rows with np.isin(source, rings)."
    for kind, count, each in (("coins", 60, 3), ("fact", 52, 4)):
        generator = np.random.default_rng(count)
        order = generator.permutation(count * each)
        source = np.repeat(np.arange(count), each)[order]
        where = generator.standard_normal((count, 8))[source]
        coins, fact = (generator.integers(0, 2, count) == 1)[source], where[:, 0] > 0
        labels = coins if kind == "coins" else fact
        asked: list[tuple[np.ndarray, np.ndarray, float]] = []
        wrong: list[str] = []

        def score(
            train: Any,
            test: Any,
            labels: np.ndarray = labels,
            where: np.ndarray = where,
            asked: list[Any] = asked,
            wrong: list[str] = wrong,
        ) -> float:
            try:
                train, test = _rows(train, len(labels)), _rows(test, len(labels))
            except NotYet as reason:  # told when the learner's function has come back
                wrong.append(str(reason))
                return 0.5
            apart = np.linalg.norm(where[test][:, None] - where[train], axis=-1)
            found = float((labels[train][apart.argmin(axis=1)] == labels[test]).mean())
            asked.append((train, test, found))
            return found

        found = float(call_for_array(probe_audit, score, source, shape=(), hint=hint))
        if wrong:
            raise NotYet(wrong[0])
        if not asked:
            raise NotYet("the probe is never trained: call score(train, test).")
        # leave one ring out, or any other way round in which each ring is tested in its turn
        all_tested = len(np.unique(np.concatenate([source[test] for _, test, _ in asked]))) == count
        for train, test, _ in asked:
            _check_split(train, test, source, few=len(asked) > 1 and all_tested)
        scores = [one for *_, one in asked]
        if not min(scores) - 1e-9 <= found <= max(scores) + 1e-9:
            raise NotYet("return what score returns, or the mean of several, and nothing else.")
    return "no ring on both sides: coins fall back to chance, and a fact stays."


@exercise
def check_convergence_audit(convergence_audit: Any) -> str:
    """Exercise 2: ``convergence_audit(states, writes, replay)`` is change over replay's change."""
    hint = "relative_steps of the states over that of replay(states[0], writes, n), pass 2 on."
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
        result = call_for_array(convergence_audit, *arguments, shape=None, hint=hint)
        if result.shape == (n,):
            raise NotYet(
                "begin with pass 2: pass 1 is the same in both, for that is where the frozen "
                "writes come from."
            )
        if result.shape != (n - 1,):
            raise NotYet(f"one number for each of passes 2 to {n}; yours is {result.shape}. {hint}")
        return result

    change = changing.relative_steps
    found, right = given(frozen), np.ones(n - 1)
    if not close(found, right):
        if close(found, change(frozen)[1:]):
            raise NotYet("that is the curve that was published; divide it by the replay's.")
        if close(found, 0 * right):
            raise NotYet("a difference tells less than a ratio where both shrink: divide.")
        if close(found, (change(frozen) / change(audits.replay(0 * start, writes, n)))[1:]):
            raise NotYet("the replay begins with what the sleep began with, states[0], not zero.")
        raise NotYet("a sleep that only replays should give 1 at every pass. " + hint)
    found, right = given(busy), (change(busy) / change(frozen))[1:]
    if not close(found, right):
        if close(found, np.ones(n - 1)):
            raise NotYet("that is 1 whatever the sleep does: does it look at the states?")
        if close(found, 1 / right):
            raise NotYet("upside down: the sleep's change over the replay's.")
        steps = [np.linalg.norm(np.diff(s, axis=0), axis=(1, 2)) for s in (busy, frozen)]
        if close(found, (steps[0] / steps[1])[1:]):
            raise NotYet("in units of S itself: |S(n) - S(n-1)| / |S(n)|, for both.")
        raise NotYet("right for a replay, wrong for a sleep that writes something else. " + hint)
    right_elsewhere(
        convergence_audit,
        lambda s, w, replay: (change(s) / change(replay(s[0], w, len(s) - 1)))[1:],
        {
            "of fewer passes": (busy[:4], writes, audits.replay),
            "with other writes": (busy, writes[::-1], audits.replay),
            "that begins with an empty memory": (busy - busy[0], writes, audits.replay),
        },
    )
    return "1 where the sleep only replays, more where a pass writes something else."


@exercise
def check_lift_audit(lift_audit: Any) -> str:
    """Exercise 3: ``lift_audit(ours, theirs, our_flops, their_flops, interval)`` is a verdict."""
    hint = "The interval above 0; three seeds of each at least; no more compute."
    ours, theirs = (
        np.array([0.91, 0.88, 0.97, 0.85, 0.93]),
        np.array([0.80, 0.84, 0.79, 0.75, 0.83]),
    )
    unsure = np.array([0.95, 0.60, 0.97, 0.55, 0.90])
    few, fewer = np.array([0.91, 0.92]), np.array([0.50, 0.51])

    def given(a: np.ndarray, b: np.ndarray, cost: float = 4.0, other: float = 4.0) -> bool:
        result = call(lift_audit, a, b, cost, other, audits.interval, hint=hint)
        if not isinstance(result, bool | np.bool_):
            raise NotYet(f"a verdict was expected, True or False, not {kind_of(result)}.")
        return bool(result)

    stands = given(ours, theirs)
    one, both = given(ours[:1], theirs[:1]), given(ours, unsure)
    dear, worse = given(ours, theirs, 8.0, 4.0), given(theirs, ours)
    if not (stands or one or both or dear or worse):
        raise NotYet("nothing passes this audit, not even an honest result. " + hint)
    if stands and one and both and dear and worse:
        raise NotYet("everything passes this audit. " + hint)
    if not stands:
        raise NotYet("five similar seeds, better by 0.1, at the same cost: that stands. " + hint)
    if worse:
        raise NotYet("ours is worse here: the whole interval must be above 0, not only exclude it.")
    if both:
        raise NotYet("the interval of this difference contains 0: low is the end that counts.")
    if one:
        raise NotYet(
            "a single seed of each: nothing says where the next one would lie. Ask how many there "
            "are."
        )
    if given(few, fewer):
        raise NotYet("two seeds are not enough: three at least, as the text asks.")
    if given(ours, fewer) or given(few, theirs - 0.5):
        raise NotYet("two seeds on one of the two sides: three of each at least.")
    if dear:
        raise NotYet("ours cost twice as much: then the lift may come from the compute.")
    if not given(ours, theirs, 2.0, 4.0):
        raise NotYet("ours cost half as much and is better: that stands all the more.")
    if not given(ours, theirs, 4.0 * (1 + ALLOWED / 3), 4.0):
        raise NotYet("a third of a percent more, as steps are whole numbers: allow one percent.")
    if given(ours, theirs, 4.4, 4.0):
        raise NotYet("a tenth more compute is more compute: allow one percent.")
    if given(ours, theirs, 4.0 * (1 + 3 * ALLOWED), 4.0):
        raise NotYet("three percent more compute passes: allow one.")
    if given(ours, theirs, 4.0, 2.0) or not given(ours, theirs, 8.0, 8.0):
        raise NotYet("compare both costs with each other: `our_flops` with `their_flops`.")
    return "several seeds, an interval above 0, and no more compute: then it stands."


@exercise
def check_likeness_audit(likeness_audit: Any) -> str:
    """Exercise 4: ``likeness_audit(x, y, likeness)`` is (found - chance) / (1 - chance)."""
    hint = "y[rng.permutation(len(y))] pairs each example with another one's; take 20 of these."
    generator = np.random.default_rng(3)
    some, other = generator.standard_normal((2, 12, 40))
    turned = some @ np.linalg.qr(generator.standard_normal((40, 40)))[0] + 0.1 * other
    wide, noise = generator.standard_normal((2, 9, 60))
    for x, y in ((some, other), (some, turned), (wide, wide + 1.5 * noise)):
        asked: list[tuple[np.ndarray, np.ndarray, float]] = []

        def likeness(a: Any, b: Any, asked: list[Any] = asked) -> float:
            found = audits.cka(a, b)
            asked.append((np.array(a), np.array(b), found))
            return found

        found = float(call_for_array(likeness_audit, x, y, likeness, shape=(), hint=hint))
        chances = _chances(asked, x, y)
        whole, chance = audits.cka(x, y), float(np.mean(chances))
        if close(found, (whole - chance) / (1 - chance)):
            continue
        if close(found, whole):
            raise NotYet("that is the number that was published. " + hint)
        if close(found, chance):
            raise NotYet("that is what chance gives; now say how far from there to 1 it came.")
        if close(found, whole - chance):
            raise NotYet("divide by 1 - chance, which is all that was left to gain.")
        if close(found, whole / chance) or close(found, (whole - chance) / chance):
            raise NotYet("not in units of chance: 1 should come out where both are alike.")
        raise NotYet("expected (found - chance) / (1 - chance), chance the mean of the shuffled.")
    return "about 0 where nothing is shared, near 1 where much is, however many numbers there are."


@exercise
def check_leak_audit(leak_audit: Any) -> str:
    """Exercise 5: ``leak_audit(accuracy, S)`` is what the context is worth: with minus without."""
    hint = "accuracy(S) - accuracy(0 * S)."
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

        found = float(call_for_array(leak_audit, accuracy, state, shape=(), hint=hint))
        if odd:
            _say_what_is_left(odd[0], state)
        if close(found, with_it - without):
            continue
        told = f"{with_it:g} right with the context, {without:g} without it"
        if close(found, without - with_it):
            raise NotYet(f"{told}: with minus without, not the other way round.")
        if close(found, without):
            raise NotYet(f"{told}: that is what is right anyway. Take it from what is right.")
        if close(found, with_it):
            raise NotYet(f"{told}: that is the number that was published. {hint}")
        raise NotYet(f"{told}: {with_it - without:g} is due to the context, not {found:.3g}.")
    return "what is left without the context was never remembered: it was read off somewhere."


def _rows(rows: Any, count: int) -> np.ndarray:
    """Return rows by number, given by number or as a mask.

    Raises
    ------
    NotYet
        There are none, or no such rows.
    """
    rows = np.asarray(rows)
    if not rows.size or (rows.dtype == bool and not rows.any()):
        raise NotYet("training or test has no rows. Take three quarters and one quarter of rings.")
    if rows.dtype == bool:
        if rows.shape != (count,):
            raise NotYet(f"a mask of rows has {count} entries; yours has shape {rows.shape}.")
        return np.flatnonzero(rows)
    if rows.shape == (count,) and np.isin(rows, (0, 1)).all():
        raise NotYet(
            "a mask of 0 and 1 reads as the rows number 0 and 1: give numbers of rows, or True and "
            "False (`mask == 1`)."
        )
    rows = rows.astype(np.int64).ravel()
    if len(rows) and (rows.min() < 0 or rows.max() >= count):
        raise NotYet(f"rows are numbered from 0 to {count - 1}.")
    return rows


def _check_split(
    train: np.ndarray, test: np.ndarray, source: np.ndarray, *, few: bool = False
) -> None:
    """Say what is wrong with a split; with `few`, a test may be of one ring alone."""
    if len(np.intersect1d(train, test)):
        raise NotYet("some rows are in training and in the test: no row may be in both.")
    left, right = np.unique(source[train]), np.unique(source[test])
    both = np.intersect1d(left, right)
    if len(both) > len(right) / 2:
        raise NotYet(
            f"{len(both)} of {len(right)} rings of the test are in the training too, with other "
            "rows: the probe has seen them. Rows do not count, rings do."
        )
    if len(both):
        raise NotYet(f"ring {both[0]} is on both sides: cut between rings, not between rows.")
    every = len(np.unique(source))
    if (len(right) < every / 10 and not few) or len(left) < every / 2:
        raise NotYet(
            f"{len(left)} rings for training and {len(right)} for the test, of {every}: take "
            "three quarters and one quarter."
        )


def _chances(
    asked: list[tuple[np.ndarray, np.ndarray, float]], x: np.ndarray, y: np.ndarray
) -> list[float]:
    """Return the likenesses of examples that were paired with others.

    Raises
    ------
    NotYet
        Something else was shuffled, or nothing, or only once or twice.
    """
    chances, pairings = [], set()
    for a, b, found in asked:
        if np.array_equal(a, x) and np.array_equal(b, y):
            continue
        left, right = _which(a, x), _which(b, y)
        if left is None or right is None:
            if _same_numbers(a, x) and _same_numbers(b, y):
                raise NotYet(
                    "you shuffle the features, the columns: likeness does not mind their order. "
                    "Pair each example with another one: shuffle rows."
                )
            raise NotYet("keep each example whole, and only change which is paired with which.")
        if np.array_equal(left, right):
            raise NotYet("both are shuffled alike, so every example is still paired with itself.")
        chances.append(found)
        pairings.add(tuple(right[left.argsort()]))  # the partner of example 0, 1, ... of x
    if not chances:
        raise NotYet("nothing is shuffled: what would this number be if nothing were shared?")
    if len(chances) < 5:
        raise NotYet("one or two shuffles are a lottery: take 20, and their mean.")
    if len(pairings) < 5:
        raise NotYet(
            f"{len(chances)} shuffles, and only {len(pairings)} different: is the seed set inside "
            "the loop? Make the generator once, before it."
        )
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


def _say_what_is_left(given: np.ndarray, state: np.ndarray) -> None:
    if given.shape != state.shape:
        raise NotYet(f"accuracy takes S of the same shape, {state.shape}; yours is {given.shape}.")
    own = (given == state).reshape(len(state), -1).all(axis=1)
    if own.any():
        raise NotYet(f"example {own.argmax()} still has its own memory: take all of them away.")
    raise NotYet(
        "something of the context may be left in this S: empty it, or give each example the "
        "memory of another one."
    )
