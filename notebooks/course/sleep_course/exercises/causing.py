"""Checks of the exercises in notebook 8, *Cause and effect*."""

from __future__ import annotations

from typing import Any

import numpy as np

from sleep_course.exercises.check import (
    Compared,
    Words,
    close,
    exercise,
    lesson,
    together,
)

EXAMPLES, HEADS, KEYS, VALUES = 4, 3, 5, 2
SHAPE = (EXAMPLES, HEADS, KEYS, VALUES)
WORDS = lesson("causing")


def _states(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(SHAPE)


def _with_head(own: np.ndarray, other: np.ndarray, head: int) -> np.ndarray:
    found = own.copy()
    found[:, head] = other[:, head]
    return found


def _with_example(own: np.ndarray, other: np.ndarray, example: int) -> np.ndarray:
    found = own.copy()
    found[example] = other[example]
    return found


def _sizes(change: np.ndarray) -> np.ndarray:
    return np.linalg.norm(change, axis=(2, 3), keepdims=True)


# exercise 1: patched(own, donors, head) is `own` with one head of `donors`
check_patched = Compared(
    WORDS["patched"],
    _with_head,
    (_states(1), _states(2), 2),
    mistakes={
        "recipient": lambda own, donors, head: own,
        "donor": lambda own, donors, head: donors,
        "other way round": lambda own, donors, head: _with_head(donors, own, head),
        "example": _with_example,
        "zero": lambda own, donors, head: _with_head(own, 0 * own, head),
        "added": lambda own, donors, head: _with_head(own, own + donors, head),
    },
    elsewhere={
        "head 0": (_states(1), _states(2), 0),
        "with head 1": (_states(1), _states(2), 1),
        "of another size": (_states(11)[:2, :2], _states(12)[:2, :2], 1),
    },
)


def _effect(after: np.ndarray, own: np.ndarray, donors: np.ndarray) -> float:
    return float((after - own).mean() / (donors - own).mean())


OWN = np.array([-8.0, -6.0, -7.0, -1.0])
DONORS = np.array([9.0, 5.0, 7.0, -0.5])  # the last question has its two ends close together
AFTER = np.array([3.0, 2.0, 0.0, -2.0])

# exercise 2: effect(after, own, donors) is a ratio of means, 0 and 1 at its ends
check_effect = Compared(
    WORDS["effect"],
    _effect,
    (AFTER, OWN, DONORS),
    mistakes={
        "mean of ratios": lambda after, own, donors: ((after - own) / (donors - own)).mean(),
        "nats": lambda after, own, donors: (after - own).mean(),
        "no start": lambda after, own, donors: after.mean() / donors.mean(),
        "upside down": lambda after, own, donors: 1 - _effect(after, own, donors),
        "answers": lambda after, own, donors: (after > 0).mean(),
    },
    elsewhere={
        "ends": [(OWN, OWN, DONORS), (DONORS, OWN, DONORS)],
        "that moved the wrong way": (OWN - 1, OWN, DONORS),
        "with other questions": (AFTER[:2] + 1, OWN[:2], DONORS[:2]),
        "whose two ends are the other way round": (AFTER, DONORS, OWN),
    },
    values=lambda found, right: {"right": f"{right:.3f}"},
)


def _at_random(before: np.ndarray, after: np.ndarray, noise: np.ndarray) -> np.ndarray:
    return before + noise * _sizes(after - before) / _sizes(noise)


BEFORE, NOISE = _states(3), 3 * _states(5)
PATCHED = _with_example(_with_head(BEFORE, _states(4), 1), BEFORE, 0)  # nothing in example 0

# exercise 3: at_random(before, after, noise) is a change of the same size by head
check_at_random = Compared(
    WORDS["at_random"],
    _at_random,
    (BEFORE, PATCHED, NOISE),
    mistakes={
        "change alone": lambda b, a, noise: _at_random(b, a, noise) - b,
        "own size": lambda b, a, noise: b + noise,
        "norm left in": lambda b, a, noise: b + noise * _sizes(a - b),
        "overall": lambda b, a, noise: b + noise * np.linalg.norm(a - b) / np.linalg.norm(noise),
        "norms": lambda b, a, noise: b + noise * abs(_sizes(a) - _sizes(b)) / _sizes(noise),
        "from after": lambda b, a, noise: a + _at_random(b, a, noise) - b,
    },
    traits={
        "direction": lambda found, right: close(_sizes(found - BEFORE), _sizes(right - BEFORE)),
    },
    elsewhere={
        "where every head was patched": (BEFORE, _states(7), NOISE),
        "with other noise": (BEFORE, PATCHED, _states(8)),
        "of another size": (BEFORE[:1, :2], _states(9)[:1, :2], NOISE[:1, :2]),
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
        result = say.call(read_on, h, state, done, n, one_pass, answer)
        say.when(isinstance(result, tuple) or np.shape(result) != (), "no number")
        return float(say.array_of(result, name="read_on", shape=()))

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
        say.refuse(found, mistakes)
    say.when(not close(given(4, 4), _toy_answer(state)) or ran, "after the last")
    for done, n in ((2, 4), (0, 2), (3, 8)):
        found = given(done, n)
        if len(ran) != n - done or not close(found, _toy_read_on(h, state, n - done)):
            raise say("other passes", done=done, n=n, left=n - done)
    for other, memory in ((h + 1, state), (h, -2 * state)):
        say.when(not close(given(1, 3, other, memory), _toy_read_on(other, memory, 2)), "other S")
    if not close(given(3, 3, h, state, lambda s: float(s[1, 0] + s[1, 1])), state[1].sum()):
        raise say("other answer")


def _without(state: np.ndarray, head: int, how: str) -> np.ndarray:
    put = 0 * state if how == "zero" else _averaged(state, 0)
    return _with_head(state, put, head)


def _averaged(state: np.ndarray, *axes: int) -> np.ndarray:
    return state.mean(axis=axes, keepdims=True) + 0 * state


# exercise 5: without(S, head, how) sets a head to zero, or to its mean over examples
ZERO = Compared(
    WORDS["zero"],
    _without,
    (_states(6) + 1, 1, "zero"),
    mistakes={
        "as it was": lambda s, head, how: s,
        "all zero": lambda s, head, how: 0 * s,
        "mean": lambda s, head, how: _without(s, head, "mean"),
    },
)
MEAN = Compared(
    WORDS["mean"],
    _without,
    (_states(6) + 1, 1, "mean"),
    mistakes={
        "zero": lambda s, head, how: _without(s, head, "zero"),
        "one number": lambda s, head, how: _with_head(s, _averaged(s, 0, 2, 3), head),
        "own mean": lambda s, head, how: _with_head(s, _averaged(s, 2, 3), head),
        "over heads": lambda s, head, how: _with_head(s, _averaged(s, 1), head),
        "every head": lambda s, head, how: _averaged(s, 0),
    },
    elsewhere={
        "with head 0 at zero": (_states(6) + 1, 0, "zero"),
        "with head 2 at its mean": (_states(6) + 1, 2, "mean"),
        "of another size": (_states(10)[:2, :2], 0, "mean"),
    },
)
check_without = together(WORDS["without"], [ZERO, MEAN])


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
