"""Checks of the exercises in notebook 8, *Cause and effect*."""

from __future__ import annotations

from typing import Any

import numpy as np

from sleep_course.exercises.check import (
    NotYet,
    array_of,
    call,
    call_for_array,
    close,
    exercise,
    right_elsewhere,
)

EXAMPLES, HEADS, KEYS, VALUES = 4, 3, 5, 2
SHAPE = (EXAMPLES, HEADS, KEYS, VALUES)


@exercise
def check_patched(patched: Any) -> str:
    """Exercise 1: ``patched(own, donors, head)`` is `own` with one head of `donors`."""
    hint = "S is [example, gdn_head, key, value]: copy it, and set S[:, head]."
    own, donors = _states(1), _states(2)
    found = call_for_array(patched, own, donors, 2, shape=SHAPE, hint=hint)
    if close(found, _with_head(own, donors, 2)):
        if not close(
            call_for_array(patched, own, donors, 0, shape=SHAPE, hint=hint),
            _with_head(own, donors, 0),
        ):
            raise NotYet("right for head 2, wrong for head 0: use the head that is given.")
        small, others = (np.random.default_rng(s).standard_normal((2, 4, 3, 3)) for s in (11, 12))
        right_elsewhere(
            patched,
            _with_head,
            {"with head 1": (own, donors, 1), "of another size": (small, others, 3)},
        )
        return "one head is the donor's, all else the recipient's, and both originals are whole."
    if close(found, own):
        raise NotYet("that is the recipient's S as it was: nothing has been put in.")
    if close(found, donors):
        raise NotYet("that is all of the donor's S: only one head is exchanged.")
    if close(found, _with_head(donors, own, 2)):
        raise NotYet("the other way round: this is the donor with one head of the recipient.")
    along = own.copy()
    along[2] = donors[2]
    if close(found, along):
        raise NotYet("that is all of S of example 2: the first axis counts examples, not heads.")
    if close(found, _with_head(own, 0 * own, 2)):
        raise NotYet("the head is zero now, which erases; put the donor's in its place.")
    if close(found, _with_head(own, own + donors, 2)):
        raise NotYet("the donor's head was added; it takes the place of the recipient's.")
    raise NotYet("that is not the recipient's S with head 2 of the donor's. " + hint)


@exercise
def check_effect(effect: Any) -> str:
    """Exercise 2: ``effect(after, own, donors)`` is a ratio of means, 0 and 1 at its ends."""
    hint = "(after - own).mean() / (donors - own).mean()."
    own = np.array([-8.0, -6.0, -7.0, -1.0])
    donors = np.array([9.0, 5.0, 7.0, -0.5])  # the last question has its two ends close together
    after = np.array([3.0, 2.0, 0.0, -2.0])

    def given(x: np.ndarray) -> float:
        return float(call_for_array(effect, x, own, donors, shape=(), hint=hint))

    found, right = given(after), (after - own).mean() / (donors - own).mean()
    if close(found, right):
        if not (close(given(own), 0.0) and close(given(donors), 1.0)):
            raise NotYet("nothing changed must give 0, and all of the donor's memory 1. " + hint)
        right_elsewhere(
            effect,
            lambda x, a, b: (x - a).mean() / (b - a).mean(),
            {
                "that moved the wrong way": (own - 1, own, donors),
                "with other questions": (after[:2] + 1, own[:2], donors[:2]),
                "whose two ends are the other way round": (after, donors, own),
            },
        )
        return "0 where nothing moved, 1 where the donor's memory would have brought it."
    if close(found, ((after - own) / (donors - own)).mean()):
        raise NotYet(
            "a mean of ratios: the last question, whose two ends lie half a nat apart, makes most "
            "of it. Take the two means first, then divide."
        )
    if close(found, (after - own).mean()):
        raise NotYet("that is in nats: divide by how far all of the donor's memory goes.")
    if close(found, after.mean() / donors.mean()):
        raise NotYet("measure from where the recipient began: take `own` from both.")
    if close(found, 1 - right):
        raise NotYet("upside down: 0 is the recipient's own answer, 1 the donor's.")
    if close(found, (after > 0).mean()):
        raise NotYet(
            "a share of answers says nothing until an answer flips: the logit difference moves "
            "first. " + hint
        )
    raise NotYet(f"it should be {right:.3f} here; yours gives {found:.3g}. {hint}")


@exercise
def check_at_random(at_random: Any) -> str:
    """Exercise 3: ``at_random(before, after, noise)`` is a change of the same size by head."""
    hint = "np.linalg.norm(x, axis=(2, 3), keepdims=True) is one norm for each example and head."
    before, noise = _states(3), 3 * _states(5)
    after = _with_head(before, _states(4), 1)
    after[0] = before[0]  # and nothing at all in the first example
    found = call_for_array(at_random, before, after, noise, shape=SHAPE, hint=hint)
    change = after - before
    moved = found - before
    size, wanted = _sizes(moved), _sizes(change)
    if close(found, before + noise * wanted / _sizes(noise)):
        right_elsewhere(
            at_random,
            lambda b, a, n: b + n * _sizes(a - b) / _sizes(n),
            {
                "where every head was patched": (before, _states(7), noise),
                "with other noise": (before, after, _states(8)),
                "of another size": (before[:1, :2], _states(9)[:1, :2], noise[:1, :2]),
            },
        )
        return "as large as the patch in each head, and in a random direction."
    if close(found, noise * wanted / _sizes(noise)):
        raise NotYet("that is the random change alone; add it to the memory as it was.")
    if close(found, before + noise):
        raise NotYet("random, but of the noise's own size: make it as large as the patch.")
    if close(found, before + noise * wanted):
        raise NotYet("divide by the noise's own norm too, or its size is that times the noise's.")
    if close(found, before + noise * np.linalg.norm(change) / np.linalg.norm(noise)):
        raise NotYet(
            "as large overall, but spread over heads and examples that the patch did not touch: "
            "one norm for each of them. " + hint
        )
    lengths = np.abs(_sizes(after) - _sizes(before)) / _sizes(noise)
    if close(found, before + noise * lengths):
        raise NotYet(
            "the norm of the difference, not the difference of the norms: a turned S is as long "
            "as it was."
        )
    if close(found, after + noise * wanted / _sizes(noise)):
        raise NotYet("start from the memory before the patch, not from the patched one.")
    if close(size, wanted):
        raise NotYet("the size is right, the direction is not that of the noise that is given.")
    raise NotYet("in some example and head the change is not as large as the patch's. " + hint)


@exercise
def check_read_on(read_on: Any) -> str:
    """Exercise 4: ``read_on(h, S, done, n, one_pass, answer)`` runs the passes that are left."""
    hint = "for each pass that is left: h, S = one_pass(h, S). Then answer(S)."
    h, state = np.array([1.0, -2.0, 0.5]), np.array([[1.0, 2.0], [0.0, -1.0], [3.0, 0.5]])
    ran: list[int] = []

    def one_pass(x: np.ndarray, s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        ran.append(1)
        return _toy_pass(x, s)

    def given(
        done: int, n: int, h: np.ndarray = h, state: np.ndarray = state, answer: Any = _toy_answer
    ) -> float:
        ran.clear()
        result = call(read_on, h, state, done, n, one_pass, answer, hint=hint)
        if isinstance(result, tuple) or np.shape(result) != ():
            raise NotYet("return what answer(S) gives, one number, not the memory. " + hint)
        return float(array_of(result, name="read_on", shape=(), hint=hint))

    found = given(1, 4)
    many = len(ran)
    if many == 0:
        raise NotYet(
            "this asks at once: a readout patch. Passes 2, 3 and 4 have not been run, and they "
            "read the recipient's window again and write to S."
        )
    if many == 4:
        raise NotYet("four passes after the patch, but the first was done before it: n - done.")
    if many != 3:
        raise NotYet(f"after pass 1 of 4 three passes are left; yours runs {many}.")
    right = _toy_read_on(h, state, 3)
    if not close(found, right):
        if close(found, _toy_read_on(h, state, 3, same_features=True)):
            raise NotYet("h goes on from pass to pass as well: take both that one_pass gives.")
        if close(found, _toy_read_on(h, state, 3, same_state=True)):
            raise NotYet("S is put in again before every pass: patch once, then let S go on.")
        if close(found, _toy_answer(state)):
            raise NotYet("three passes were run, and the S from before them is asked.")
        raise NotYet(f"three passes, but not S as they leave it. {hint}")
    if not close(given(4, 4), _toy_answer(state)) or ran:
        raise NotYet("patched after the last pass, no pass is left: ask at once.")
    for done, n in ((2, 4), (0, 2), (3, 8)):
        found = given(done, n)
        if len(ran) != n - done or not close(found, _toy_read_on(h, state, n - done)):
            raise NotYet(
                f"right after pass 1 of 4, wrong after pass {done} of {n}, where {n - done} are "
                "left: use `done` and `n`."
            )
    for other, memory in ((h + 1, state), (h, -2 * state)):
        if not close(given(1, 3, other, memory), _toy_read_on(other, memory, 2)):
            raise NotYet("right at first, wrong with other features or another S: use `h` and `S`.")
    if not close(given(3, 3, h, state, lambda s: float(s[1, 0] + s[1, 1])), state[1].sum()):
        raise NotYet("right at first, wrong with another `answer`: return what answer(S) gives.")
    return "patched once, and the passes that are left go on reading the recipient's window."


@exercise
def check_without(without: Any) -> str:
    """Exercise 5: ``without(S, head, how)`` sets a head to zero, or to its mean over examples."""
    hint = 'S[:, head] = 0 for "zero"; S[:, head].mean(axis=0) for "mean".'
    state = _states(6) + 1.0

    def given(how: str) -> np.ndarray:
        return call_for_array(without, state, 1, how, shape=SHAPE, hint=hint)

    found = given("zero")
    if close(found, state):
        raise NotYet('with how = "zero" nothing has changed. ' + hint)
    if not close(found, _with_head(state, 0 * state, 1)):
        if (found == 0).all():
            raise NotYet("all of S is zero: only one head, S[:, head].")
        if close(found, _with_head(state, state.mean(0, keepdims=True) + 0 * state, 1)):
            raise NotYet('that is the mean; with how = "zero" the head is erased.')
        raise NotYet('with how = "zero", S[:, head] should be zero and all else as it was.')
    found, mean = given("mean"), state.mean(axis=0, keepdims=True)
    if close(found, _with_head(state, mean + 0 * state, 1)):
        right_elsewhere(
            without,
            _without,
            {
                "with head 0 at zero": (state, 0, "zero"),
                "with head 2 at its mean": (state, 2, "mean"),
                "of another size": (_states(10)[:2, :2], 0, "mean"),
            },
        )
        return "zero takes away all that the head holds, the mean only what differs by example."
    if close(found, _with_head(state, 0 * state, 1)):
        raise NotYet('with how = "mean" the head is still zero: look at `how`.')
    if close(found, _with_head(state, state[:, 1].mean() + 0 * state, 1)):
        raise NotYet(
            "one number for the whole head: the mean over the examples is a matrix, axis=0."
        )
    own = state.mean(axis=(2, 3), keepdims=True) + 0 * state
    if close(found, _with_head(state, own, 1)):
        raise NotYet("each example keeps its own mean: average over the examples, axis=0.")
    if close(found, _with_head(state, state.mean(axis=1, keepdims=True) + 0 * state, 1)):
        raise NotYet("that is the mean over the heads: average over the examples, axis=0.")
    if close(found, mean + 0 * state):
        raise NotYet("every head got its mean: only the one that is given.")
    raise NotYet('with how = "mean" that is not the head\'s mean over the examples. ' + hint)


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
