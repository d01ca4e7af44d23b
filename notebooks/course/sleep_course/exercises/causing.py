"""Checks of the exercises in notebook 8, *Cause and effect*."""

from __future__ import annotations

from typing import Any

import numpy as np

from sleep_course.exercises.check import (
    Words,
    array_of,
    call,
    call_for_array,
    call_for_number,
    close,
    compare,
    exercise,
    lesson,
    refuse,
    right_elsewhere,
)

EXAMPLES, HEADS, KEYS, VALUES = 4, 3, 5, 2
SHAPE = (EXAMPLES, HEADS, KEYS, VALUES)
WORDS = lesson("causing")


@exercise(WORDS["patched"])
def check_patched(say: Words, patched: Any) -> None:
    """Exercise 1: ``patched(own, donors, head)`` is `own` with one head of `donors`."""
    own, donors = _states(1), _states(2)
    along = own.copy()
    along[2] = donors[2]
    mistakes = {
        "recipient": own,
        "donor": donors,
        "other way round": _with_head(donors, own, 2),
        "example": along,
        "zero": _with_head(own, 0 * own, 2),
        "added": _with_head(own, own + donors, 2),
    }
    compare(say, patched, _with_head, (own, donors, 2), mistakes=mistakes)
    first = call_for_array(patched, own, donors, 0, shape=SHAPE, hint=say.hint)
    say.when(not close(first, _with_head(own, donors, 0)), "head 0")
    small, others = (np.random.default_rng(s).standard_normal((2, 4, 3, 3)) for s in (11, 12))
    elsewhere = {"with head 1": (own, donors, 1), "of another size": (small, others, 3)}
    right_elsewhere(patched, _with_head, elsewhere)


@exercise(WORDS["effect"])
def check_effect(say: Words, effect: Any) -> None:
    """Exercise 2: ``effect(after, own, donors)`` is a ratio of means, 0 and 1 at its ends."""
    own = np.array([-8.0, -6.0, -7.0, -1.0])
    donors = np.array([9.0, 5.0, 7.0, -0.5])  # the last question has its two ends close together
    after = np.array([3.0, 2.0, 0.0, -2.0])

    def ratio(x: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
        return float((x - a).mean() / (b - a).mean())

    right = ratio(after, own, donors)
    mistakes = {
        "mean of ratios": ((after - own) / (donors - own)).mean(),
        "nats": (after - own).mean(),
        "no start": after.mean() / donors.mean(),
        "upside down": 1 - right,
        "answers": (after > 0).mean(),
    }
    compare(say, effect, ratio, (after, own, donors), mistakes=mistakes, right=f"{right:.3f}")
    for x, end in ((own, 0.0), (donors, 1.0)):
        say.when(not close(call_for_number(effect, x, own, donors, hint=say.hint), end), "ends")
    right_elsewhere(
        effect,
        ratio,
        {
            "that moved the wrong way": (own - 1, own, donors),
            "with other questions": (after[:2] + 1, own[:2], donors[:2]),
            "whose two ends are the other way round": (after, donors, own),
        },
    )


@exercise(WORDS["at_random"])
def check_at_random(say: Words, at_random: Any) -> None:
    """Exercise 3: ``at_random(before, after, noise)`` is a change of the same size by head."""

    def right(b: np.ndarray, a: np.ndarray, n: np.ndarray) -> np.ndarray:
        return b + n * _sizes(a - b) / _sizes(n)

    before, noise = _states(3), 3 * _states(5)
    after = _with_head(before, _states(4), 1)
    after[0] = before[0]  # and nothing at all in the first example
    found = call_for_array(at_random, before, after, noise, shape=SHAPE, hint=say.hint)
    change, scaled = after - before, right(before, after, noise) - before
    lengths = np.abs(_sizes(after) - _sizes(before)) / _sizes(noise)
    if not close(found, before + scaled):
        mistakes = {
            "change alone": scaled,
            "own size": before + noise,
            "norm left in": before + noise * _sizes(change),
            "overall": before + noise * np.linalg.norm(change) / np.linalg.norm(noise),
            "norms": before + noise * lengths,
            "from after": after + scaled,
        }
        if close(_sizes(found - before), _sizes(change)):
            mistakes["direction"] = found
        refuse(say, found, mistakes)
    right_elsewhere(
        at_random,
        right,
        {
            "where every head was patched": (before, _states(7), noise),
            "with other noise": (before, after, _states(8)),
            "of another size": (before[:1, :2], _states(9)[:1, :2], noise[:1, :2]),
        },
    )


@exercise(WORDS["read_on"])
def check_read_on(say: Words, read_on: Any) -> None:
    """Exercise 4: ``read_on(h, S, done, n, one_pass, answer)`` runs the passes that are left."""
    h, state = np.array([1.0, -2.0, 0.5]), np.array([[1.0, 2.0], [0.0, -1.0], [3.0, 0.5]])
    ran: list[int] = []

    def one_pass(x: np.ndarray, s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        ran.append(1)
        return _toy_pass(x, s)

    def given(
        done: int, n: int, h: np.ndarray = h, state: np.ndarray = state, answer: Any = _toy_answer
    ) -> float:
        ran.clear()
        result = call(read_on, h, state, done, n, one_pass, answer, hint=say.hint)
        say.when(isinstance(result, tuple) or np.shape(result) != (), "no number")
        return float(array_of(result, name="read_on", shape=(), hint=say.hint))

    found = given(1, 4)
    say.when(not ran, "no pass")
    say.when(len(ran) == 4, "four passes")
    say.when(len(ran) != 3, "count", passes=len(ran))
    if not close(found, _toy_read_on(h, state, 3)):
        mistakes = {
            "same h": _toy_read_on(h, state, 3, same_features=True),
            "same S": _toy_read_on(h, state, 3, same_state=True),
            "old S": _toy_answer(state),
        }
        refuse(say, found, mistakes)
    say.when(not close(given(4, 4), _toy_answer(state)) or ran, "after the last")
    for done, n in ((2, 4), (0, 2), (3, 8)):
        found = given(done, n)
        if len(ran) != n - done or not close(found, _toy_read_on(h, state, n - done)):
            raise say("other passes", done=done, n=n, left=n - done)
    for other, memory in ((h + 1, state), (h, -2 * state)):
        say.when(not close(given(1, 3, other, memory), _toy_read_on(other, memory, 2)), "other S")
    if not close(given(3, 3, h, state, lambda s: float(s[1, 0] + s[1, 1])), state[1].sum()):
        raise say("other answer")


@exercise(WORDS["without"])
def check_without(say: Words, without: Any) -> None:
    """Exercise 5: ``without(S, head, how)`` sets a head to zero, or to its mean over examples."""
    state = _states(6) + 1.0
    zero, mean = (_without(state, 1, how) for how in ("zero", "mean"))

    def averaged(*axes: int) -> np.ndarray:
        return state.mean(axis=axes, keepdims=True) + 0 * state

    compare(
        WORDS["zero"],
        without,
        _without,
        (state, 1, "zero"),
        mistakes={"as it was": state, "all zero": 0 * state, "mean": mean},
    )
    compare(
        WORDS["mean"],
        without,
        _without,
        (state, 1, "mean"),
        mistakes={
            "zero": zero,
            "one number": _with_head(state, averaged(0, 2, 3), 1),
            "own mean": _with_head(state, averaged(2, 3), 1),
            "over heads": _with_head(state, averaged(1), 1),
            "every head": averaged(0),
        },
        elsewhere={
            "with head 0 at zero": (state, 0, "zero"),
            "with head 2 at its mean": (state, 2, "mean"),
            "of another size": (_states(10)[:2, :2], 0, "mean"),
        },
    )


def _states(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(SHAPE)


def _with_head(own: np.ndarray, other: np.ndarray, head: int) -> np.ndarray:
    found = own.copy()
    found[:, head] = other[:, head]
    return found


def _without(state: np.ndarray, head: int, how: str) -> np.ndarray:
    put = 0 * state if how == "zero" else state.mean(axis=0, keepdims=True) + 0 * state
    return _with_head(state, put, head)


def _sizes(change: np.ndarray) -> np.ndarray:
    return np.linalg.norm(change, axis=(2, 3), keepdims=True)


def _toy_pass(h: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Read S with the features and write to it, as a pass does; small enough to follow by hand."""
    return 0.5 * h + state.sum(axis=1), 0.8 * state + np.outer(h, [0.1, -0.2])


def _toy_answer(state: np.ndarray) -> float:
    return float(state[0, 0] - 2 * state[2, 1])


def _toy_read_on(
    h: np.ndarray,
    state: np.ndarray,
    passes: int,
    *,
    same_features: bool = False,
    same_state: bool = False,
) -> float:
    start, put_in = h, state
    for _ in range(passes):
        h, state = _toy_pass(start if same_features else h, put_in if same_state else state)
    return _toy_answer(state)
