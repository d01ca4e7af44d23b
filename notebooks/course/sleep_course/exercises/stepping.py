"""Checks of the exercises in notebook 3, *Stepping through sleep*."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import torch

from sleep_course import audits, boundary
from sleep_course.exercises.check import Compared, Words, close, exercise, kind_of, lesson, same
from workbench.config import ModelConfig, SleepConfig
from workbench.model import HybridModel, Memory
from workbench.sleep import Event, SleepPass, read

KEYS, VALUES = 3, 2
WORDS = lesson("stepping")


@exercise(WORDS["events"])
def check_events(say: Words, events_of: Any) -> None:
    """Exercise 1: ``events_of(labelled, n)`` is the list of names of what `read` yields."""

    def given(labelled: list[bool], n: int) -> list[str]:
        result = say.call(events_of, labelled, n)
        if not isinstance(result, list | tuple) or not all(isinstance(x, str) for x in result):
            raise say("no words")
        return list(result)

    found = given([False], 2)
    for name, wrong in {
        "pass 0": ["pass 0", "pass 1", "eviction"],
        "no eviction": ["pass 1", "pass 2"],
        "two evictions": ["pass 1", "eviction", "pass 2", "eviction"],
        "awake": ["wake", "eviction"],
    }.items():
        say.when(found == wrong, name)
    say.when(found != ["pass 1", "pass 2", "eviction"], "asleep", found=found)
    found = given([True], 3)
    say.when(found == ["wake"], "awake, no eviction")
    say.when(found.count("wake") == 3, "three wakes")
    say.when("pass 1" in found, "sleeps first")
    say.when(found != ["wake", "eviction"], "read awake", found=found)
    for name, labelled, n in (
        ("two and one", [False, False, True], 1),
        ("otherwise", [True, False, True], 4),
        ("otherwise", [False] * 4, 3),
    ):
        right = []
        for awake in labelled:
            right += ["wake"] if awake else [f"pass {i}" for i in range(1, n + 1)]
            right.append("eviction")
        if (found := given(labelled, n)) != right:
            raise say(name, labelled=labelled, n=n, right=right, found=found)


@exercise(WORDS["memory_after"])
def check_memory_after(say: Words, memory_after: Any) -> None:
    """Exercise 2: ``memory_after(events, window, sleep_pass)`` pulls no more than it needs."""
    whole = list(_small_reading(passes=3))
    for window, sleep_pass in ((1, 2), (0, 1), (1, 3)):
        pulled: list[Event] = []

        def counted(pulled: list[Event] = pulled) -> Iterator[Event]:
            for event in whole:
                pulled.append(event)
                yield event

        here = {"window": window, "sleep_pass": sleep_pass}
        result = say.call(memory_after, _Reading(counted()), *here.values())
        say.when(isinstance(result, SleepPass), "event")
        say.when(not isinstance(result, Memory), "no memory", kind=kind_of(result))
        right = _position(whole, window, sleep_pass)
        say.when(len(pulled) > right + 1, "pulled", **here, place=right + 1, pulled=len(pulled))
        if not same(result, whole[right].memory):
            first = whole[_position(whole, 0, sleep_pass)]
            raise say("first window" if same(result, first.memory) else "otherwise", **here)
    # a reading of another N, asked for a pass that the first one does not have
    longer = list(_small_reading(passes=5))
    result = say.call(memory_after, _Reading(iter(longer)), 1, 4)
    if not isinstance(result, Memory) or not same(result, longer[_position(longer, 1, 4)].memory):
        raise say("longer")


def _hits(logits: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    return logits.argmax(-1)[:, :-1] == tokens[:, 1:]


def _answers() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return logits, tokens and labels; 4 of 6 labelled tokens are right, and no other token."""
    generator = np.random.default_rng(3)
    tokens = generator.integers(0, 4, (3, 6))
    labelled = np.zeros((3, 6), dtype=bool)
    labelled[:, [2, 5]] = True
    logits = generator.standard_normal((3, 6, 4))
    for row, column in np.ndindex(3, 5):
        wrong = (row, column + 1) not in {(0, 2), (1, 2), (2, 2), (0, 5)}
        logits[row, column, (tokens[row, column + 1] + wrong) % 4] += 9
    return logits, tokens, labelled


def _uneven_answers() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the same of examples of which some have more labels than others."""
    generator = np.random.default_rng(33)
    labelled = np.zeros((4, 9), dtype=bool)
    labelled[0, 1:] = labelled[1, 3] = labelled[2, [4, 8]] = labelled[3, 8] = True
    tokens, logits = generator.integers(0, 3, (4, 9)), generator.standard_normal((4, 9, 3))
    logits[0, np.arange(8), tokens[0, 1:]] += 9  # all of one example right
    return logits, tokens, labelled


LOGITS, TOKENS, LABELLED = _answers()

# exercise 3: share_right(logits, tokens, labelled), where position t predicts token t + 1
check_share_right = Compared(
    WORDS["share_right"],
    lambda logits, tokens, labelled: _hits(logits, tokens)[labelled[:, 1:]].mean(),
    (LOGITS, TOKENS, LABELLED),
    mistakes={
        "no shift": lambda logits, tokens, labelled: (logits.argmax(-1) == tokens)[labelled].mean(),
        "every token": lambda logits, tokens, labelled: _hits(logits, tokens).mean(),
        "labels": lambda logits, tokens, labelled: _hits(logits, tokens)[labelled[:, :-1]].mean(),
        "how many": lambda logits, tokens, labelled: _hits(logits, tokens)[labelled[:, 1:]].sum(),
    },
    elsewhere={
        "where other tokens are labelled": (LOGITS, TOKENS, np.roll(LABELLED, -1, axis=1)),
        "with other tokens": (LOGITS, (TOKENS + 1) % 4, LABELLED),
        "with other logits": (LOGITS[::-1].copy(), TOKENS, LABELLED),
        "where some examples have more labels than others": _uneven_answers(),
        "of a single example": tuple(part[:1] for part in _uneven_answers()),
    },
)


def _replay(state: np.ndarray, writes: list[Any], n: int) -> np.ndarray:
    return audits.replay(state, writes, n)[1:]


def _every_write(state: np.ndarray, writes: list[Any], n: int) -> np.ndarray:
    after = [state]
    for write in writes * n:
        after.append(_replay(after[-1], [write], 1)[0])
    return np.array(after[1:])


WRITES = [
    (k / np.linalg.norm(k), v, beta, a)
    for k, v, beta, a in zip(
        *(np.random.default_rng(4).standard_normal((3, size)) for size in (KEYS, VALUES)),
        (0.5, 0.8, 0.3), (0.9, 0.95, 0.85), strict=True,
    )
]  # fmt: skip
START = np.random.default_rng(5).standard_normal((KEYS, VALUES))
ONE = (KEYS, VALUES)

# exercise 4: replay(S, writes, n) is S after 1, 2, ..., n times the same writes
check_replay = Compared(
    WORDS["replay"],
    _replay,
    (START, WRITES, 4),
    shapes={ONE: "one matrix", (12, *ONE): "every write", (5, *ONE): "five", None: "shape"},
    mistakes={
        "one matrix": lambda s, writes, n: _replay(s, writes, n)[-1],
        "every write": _every_write,
        "five": audits.replay,
        "same S": lambda s, writes, n: np.repeat(_replay(s, writes, 1), n, axis=0),
        "last": lambda s, writes, n: np.repeat(_replay(s, writes, n)[-1:], n, axis=0),
        "empty S": lambda s, writes, n: _replay(0 * s, writes, n),
    },
    traits={"once": lambda found, right: close(found[0], right[0])},
    elsewhere={
        "with another n": (START, WRITES, 2),
        "with n = 1": (START, WRITES, 1),
        "with an empty S": (0 * START, WRITES, 3),
        "with other writes": (START, WRITES[::-1][:2], 3),
    },
)


@exercise(WORDS["settled"])
def check_settled(say: Words, settled: Any) -> None:
    """Exercise 5: ``settled(before, after)``: no head changed by more than a tenth of its norm."""
    after = np.stack([np.eye(3) * size for size in (1.0, 100.0)])

    def given(*shares: float, scale: float = 1.0) -> bool:
        before = after * (1 - np.array(shares)[:, None, None]) * scale
        return say.truth(settled, before, after * scale)

    for name, shares, right in (
        ("never", (0.0, 0.0), True),
        ("always", (0.5, 0.5), False),
        ("overall", (0.5, 0.0), False),
        ("one of them", (0.0, 0.5), False),
    ):
        say.when(given(*shares) != right, name)
    say.when(given(0.05, 0.05) != given(0.05, 0.05, scale=0.001), "scale")
    for name, shares, right in (
        ("strict", (0.05, 0.05), True),
        ("tenth", (0.15, 0.0), False),
        ("tenth", (0.09, 0.09), True),
        ("shrank", (-0.5, 0.0), False),
        ("before", (0.095, 0.095), True),
        ("before", (-0.105, 0.0), False),
    ):
        say.when(given(*shares) != right, name)
    turned = np.linalg.qr(np.random.default_rng(5).standard_normal((3, 3)))[0]
    say.when(say.truth(settled, after @ turned, after), "turned")
    _check_settled_by_size(say, settled)


def _check_settled_by_size(say: Words, settled: Any) -> None:
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
            stops = say.truth(settled, after - change, after)
            say.when(stops != (share < 0.1), "by size", moving=len(moving), share=f"{share:g}")


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
        if isinstance(event, SleepPass) and event.window.index == window:
            if event.sleep_pass == sleep_pass:
                return place
    raise AssertionError("the check's own reading has this pass")
