"""Checks of the exercises in notebook 3, *Stepping through sleep*."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import torch

from sleep_course import audits, boundary
from sleep_course.exercises.check import (
    NotYet,
    call,
    call_for_array,
    call_for_truth,
    close,
    exercise,
    kind_of,
    right_elsewhere,
    same,
)
from workbench.config import ModelConfig, SleepConfig
from workbench.model import HybridModel, Memory
from workbench.sleep import Event, SleepPass, read

KEYS, VALUES = 3, 2


@exercise
def check_events(events_of: Any) -> str:
    """Exercise 1: ``events_of(labelled, n)`` is the list of names of what `read` yields."""
    hint = 'Return a list of words, such as ["pass 1", "pass 2", "eviction", "wake"].'

    def given(labelled: list[bool], n: int) -> list[str]:
        result = call(events_of, labelled, n, hint=hint)
        if not isinstance(result, list | tuple) or not all(isinstance(x, str) for x in result):
            raise NotYet(f"that is not a list of words. {hint}")
        return list(result)

    found = given([False], 2)
    if found == ["pass 0", "pass 1", "eviction"]:
        raise NotYet("passes count from 1: pass 0 is what was there before the sleep.")
    if found == ["pass 1", "pass 2"]:
        raise NotYet("after every window comes an eviction.")
    if found == ["pass 1", "eviction", "pass 2", "eviction"]:
        raise NotYet("one eviction for a window, after all of its passes.")
    if found == ["wake", "eviction"]:
        raise NotYet("False means that nothing is to be predicted: that window is slept on.")
    if found != ["pass 1", "pass 2", "eviction"]:
        raise NotYet(f"one window to sleep on, N = 2: yours gives {found}. {hint}")
    found = given([True], 3)
    if found == ["wake"]:
        raise NotYet("the window that is read awake is evicted as well.")
    if found.count("wake") == 3:
        raise NotYet("waking takes one pass, whatever N is.")
    if "pass 1" in found:
        raise NotYet("a window with something to predict is read awake, without sleeping first.")
    if found != ["wake", "eviction"]:
        raise NotYet(f"one window to be read awake: yours gives {found}. {hint}")
    right = ["pass 1", "eviction", "pass 1", "eviction", "wake", "eviction"]
    if given([False, False, True], 1) != right:
        raise NotYet(f"two windows to sleep on, one awake, N = 1: expected {right}.")
    for labelled, n in (([True, False, True], 4), ([False] * 4, 3)):
        right = []
        for awake in labelled:
            right += ["wake"] if awake else [f"pass {i}" for i in range(1, n + 1)]
            right.append("eviction")
        if (found := given(labelled, n)) != right:
            raise NotYet(f"labelled = {labelled}, n = {n}: expected {right}, yours gives {found}.")
    return "N passes or one wake for every window, and an eviction after it: Algorithm 1."


@exercise
def check_memory_after(memory_after: Any) -> str:
    """Exercise 2: ``memory_after(events, window, sleep_pass)`` pulls no more than it needs."""
    hint = "Loop over events; return event.memory where window and pass are the ones asked for."
    whole = list(_small_reading(passes=3))
    for window, sleep_pass in ((1, 2), (0, 1), (1, 3)):
        pulled: list[Event] = []

        def counted(pulled: list[Event] = pulled) -> Iterator[Event]:
            for event in whole:
                pulled.append(event)
                yield event

        result = call(memory_after, _Reading(counted()), window, sleep_pass, hint=hint)
        here = f"window {window}, pass {sleep_pass}"
        if isinstance(result, SleepPass):
            raise NotYet("return the event's memory, event.memory, not the event.")
        if not isinstance(result, Memory):
            raise NotYet(f"a Memory was expected, not {kind_of(result)}. {hint}")
        right = _position(whole, window, sleep_pass)
        if len(pulled) > right + 1:
            raise NotYet(
                f"{here} is event {right + 1}, and {len(pulled)} were pulled: every further one is "
                "a pass that is computed for nothing. `return` as soon as you have it."
            )
        if not same(result, whole[right].memory):
            first = next(
                e for e in whole if isinstance(e, SleepPass) and e.sleep_pass == sleep_pass
            )
            if same(result, first.memory):
                raise NotYet(
                    "that is the pass of the first window: compare the window's index too."
                )
            raise NotYet(f"that is not the memory after {here}. {hint}")
    # a reading of another N, asked for a pass that the first one does not have
    longer = list(_small_reading(passes=5))
    result = call(memory_after, _Reading(iter(longer)), 1, 4, hint=hint)
    if not isinstance(result, Memory) or not same(result, longer[_position(longer, 1, 4)].memory):
        raise NotYet("right for N = 3, wrong for N = 5, window 1, pass 4: use both arguments.")
    return "stopped there, and not one pass more was run: a generator computes when it is asked."


@exercise
def check_share_right(share_right: Any) -> str:
    """Exercise 3: ``share_right(logits, tokens, labelled)``: position t predicts token t + 1."""
    hint = (
        "Compare the likeliest symbol at place t with the token at t + 1, where that is labelled."
    )
    generator = np.random.default_rng(3)
    tokens = generator.integers(0, 4, (3, 6))
    labelled = np.zeros((3, 6), dtype=bool)
    labelled[:, [2, 5]] = True
    logits = generator.standard_normal((3, 6, 4))
    right = {(row, 2) for row in range(3)} | {(0, 5)}  # and no token without a label
    for row in range(3):
        for column in range(1, 6):
            wrong = (row, column) not in right
            logits[row, column - 1, (tokens[row, column] + wrong) % 4] += 9
    best = logits.argmax(-1)
    found = float(call_for_array(share_right, logits, tokens, labelled, shape=(), hint=hint))
    if close(found, 4 / 6):
        right_elsewhere(share_right, _share_right, _more_answers(logits, tokens, labelled))
        return "two in three are right: place t answers for token t + 1, and only labels count."
    if close(found, (best == tokens)[labelled].mean()):
        raise NotYet("the place that predicts a token is the one before it: shift by one.")
    if close(found, (best[:, :-1] == tokens[:, 1:]).mean()):
        raise NotYet("that counts every token: only the labelled ones are questions.")
    if close(found, (best[:, :-1] == tokens[:, 1:])[labelled[:, :-1]].mean()):
        raise NotYet("shift the labels too: it is token t + 1 that is labelled or not.")
    if close(found, 4.0):
        raise NotYet("that is how many are right; divide by how many were asked.")
    raise NotYet(f"4 of 6 labelled tokens are right here, 0.667; yours gives {found:.3g}. {hint}")


@exercise
def check_replay(replay: Any) -> str:
    """Exercise 4: ``replay(S, writes, n)`` is S after 1, 2, ..., n times the same writes."""
    hint = "A list of n matrices: after each of n times through all writes."
    generator = np.random.default_rng(4)
    writes = []
    for beta, a in ((0.5, 0.9), (0.8, 0.95), (0.3, 0.85)):
        k = generator.standard_normal(KEYS)
        writes.append((k / np.linalg.norm(k), generator.standard_normal(VALUES), beta, a))
    start = generator.standard_normal((KEYS, VALUES))

    right = _replayed(start, writes, 4)
    found = call_for_array(replay, start, writes, 4, shape=None, hint=hint)
    if found.shape == (KEYS, VALUES):
        raise NotYet("that is one matrix: keep S after every time through. " + hint)
    if found.shape == (12, KEYS, VALUES):
        raise NotYet("that is S after every single write: keep it once for every time through.")
    if found.shape == (5, KEYS, VALUES):
        raise NotYet("five matrices: leave out the one that you began with.")
    if found.shape != (4, KEYS, VALUES):
        raise NotYet(f"that has shape {found.shape}; expected {(4, KEYS, VALUES)}. {hint}")
    if close(found, right):
        right_elsewhere(
            replay,
            _replayed,
            {
                "with another n": (start, writes, 2),
                "with n = 1": (start, writes, 1),
                "with an empty S": (0 * start, writes, 3),
                "with other writes": (start, writes[::-1][:2], 3),
            },
        )
        return "nothing but the same writes over and over; now see how its changes shrink."
    if close(found, [right[0]] * 4):
        raise NotYet("every time begins with the same S: let it go on from where it was.")
    if close(found, [right[-1]] * 4):
        raise NotYet("all four are the last one: append after each time, not at the end.")
    zero = _replayed(np.zeros_like(start), writes, 1)[0]
    if close(found[0], zero):
        raise NotYet("it begins with an empty S, not with the one that was given.")
    if close(found[0], right[0]):
        raise NotYet("right the first time, wrong after it: the writes stay the same each time.")
    raise NotYet("not the gated delta rule over all writes in order yet. " + hint)


@exercise
def check_settled(settled: Any) -> str:
    """Exercise 5: ``settled(before, after)``: no head changed by more than a tenth of its norm."""
    hint = "np.linalg.norm(x, axis=(1, 2)) is one norm for every head."
    after = np.stack([np.eye(3) * size for size in (1.0, 100.0)])

    def given(*shares: float, scale: float = 1.0) -> bool:
        before = after * (1 - np.array(shares)[:, None, None]) * scale
        return call_for_truth(settled, before, after * scale, hint=hint)

    if not given(0.0, 0.0):
        raise NotYet("nothing changed at all, and yours goes on sleeping.")
    if given(0.5, 0.5):
        raise NotYet("both heads changed by half of their norm, and yours stops.")
    if given(0.5, 0.0):
        raise NotYet(
            "the small head changed by half, the large one not at all, and yours stops: look at "
            "each head by itself, and ask that all have settled."
        )
    if given(0.0, 0.5):
        raise NotYet("one head changed by half of its norm: all of them must have settled.")
    if given(0.05, 0.05) != given(0.05, 0.05, scale=0.001):
        raise NotYet("numbers a thousand times smaller settle no sooner: divide by the norm.")
    if not given(0.05, 0.05):
        raise NotYet("every head changed by a twentieth of its norm: settled, yours goes on.")
    if given(0.15, 0.0) or not given(0.09, 0.09):
        raise NotYet("the line is at a tenth: 0.1 times the norm of S after the pass.")
    if given(-0.5, 0.0):
        raise NotYet("a head that shrank has changed too: take the norm of the difference.")
    if not given(0.095, 0.095) or given(-0.105, 0.0):
        raise NotYet("a tenth of the norm *after* the pass, not of that before it.")
    turned = np.linalg.qr(np.random.default_rng(5).standard_normal((3, 3)))[0]
    if call_for_truth(settled, after @ turned, after, hint=hint):
        raise NotYet(
            "a head that turned is as large as before, and has changed: take the norm of the "
            "difference, not the difference of the norms."
        )
    _check_settled_by_size(settled, hint)
    return "every head by itself, and in units of its own size."


def _check_settled_by_size(settled: Any, hint: str) -> None:
    """Try changes of a known size in a direction that is not that of S itself."""
    generator = np.random.default_rng(6)
    after = generator.standard_normal((4, 5, 2))
    after[0] = np.outer(generator.standard_normal(5), generator.standard_normal(2))
    way = generator.standard_normal(after.shape)
    way *= (np.linalg.norm(after, axis=(1, 2)) / np.linalg.norm(way, axis=(1, 2)))[:, None, None]
    for share in (0.097, 0.103, 0.13):
        for moving in ([0, 1, 2, 3], [0], [3]):
            change = np.zeros_like(after)
            change[moving] = share * way[moving]
            if call_for_truth(settled, after - change, after, hint=hint) != (share < 0.1):
                raise NotYet(
                    f"four heads, and {len(moving)} of them changed by {share:g} of the norm of S "
                    "(Frobenius, all entries): the line is at 0.1, for each head by itself."
                )


def _replayed(state: np.ndarray, writes: list[Any], n: int) -> np.ndarray:
    return audits.replay(state, writes, n)[1:]


def _share_right(logits: np.ndarray, tokens: np.ndarray, labelled: np.ndarray) -> float:
    return float((logits.argmax(-1)[:, :-1] == tokens[:, 1:])[labelled[:, 1:]].mean())


def _more_answers(
    logits: np.ndarray, tokens: np.ndarray, labelled: np.ndarray
) -> dict[str, tuple[np.ndarray, ...]]:
    """Return logits, tokens and labels of other examples, by what is different about them."""
    generator = np.random.default_rng(33)
    uneven = np.zeros((4, 9), dtype=bool)
    uneven[0, 1:] = uneven[1, 3] = uneven[2, [4, 8]] = uneven[3, 8] = True
    symbols = generator.integers(0, 3, (4, 9))
    likely = generator.standard_normal((4, 9, 3))
    likely[0, np.arange(8), symbols[0, 1:]] += 9  # all of one example right
    return {
        "where other tokens are labelled": (logits, tokens, np.roll(labelled, -1, axis=1)),
        "with other tokens": (logits, (tokens + 1) % 4, labelled),
        "with other logits": (logits[::-1].copy(), tokens, labelled),
        "where some examples have more labels than others": (likely, symbols, uneven),
        "of a single example": (likely[:1], symbols[:1], uneven[:1]),
    }


class _Reading:
    """A generator that can be handed to a learner: its copy is itself, for nothing can copy it."""

    def __init__(self, events: Iterator[Event]) -> None:
        self.events = events

    def __iter__(self) -> Iterator[Event]:
        return self.events

    def __next__(self) -> Event:
        return next(self.events)

    def __deepcopy__(self, memo: dict[int, Any]) -> _Reading:
        return self


@cache
def _small_reading(*, passes: int) -> tuple[Event, ...]:
    """Return the events of an untrained model: two windows to sleep on, so many passes each."""
    sizes = {"width": 8, "attention_heads": 2, "gdn_heads": 2, "mlp_width": 8}
    model = HybridModel(ModelConfig(vocabulary=5, key_dim=4, value_dim=4, **sizes), seed=0)
    batch = boundary.unlabelled(np.arange(8)[None] % 5)
    with torch.no_grad():
        return tuple(read(model, batch, SleepConfig(window=4, passes=passes)))


def _position(events: list[Event], window: int, sleep_pass: int) -> int:
    for place, event in enumerate(events):
        here = isinstance(event, SleepPass) and event.window.index == window
        if here and isinstance(event, SleepPass) and event.sleep_pass == sleep_pass:
            return place
    raise AssertionError("the check's own reading has this pass")
