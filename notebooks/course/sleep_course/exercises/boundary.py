"""Checks of the exercises in notebook 2, *The hybrid and the eviction boundary*."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from sleep_course.exercises.check import (
    Compared,
    Words,
    exercise,
    kind_of,
    lesson,
    same,
    together,
)
from workbench.config import SleepConfig
from workbench.model import Memory
from workbench.model.memory import KVCache
from workbench.sleep.eviction import evict

WINDOW = 4
WORDS = lesson("boundary")


# exercise 1: cache_numbers(tokens, width) and fast_numbers(heads, key, value)
CACHED = Compared(
    WORDS["cache_numbers"],
    lambda tokens, width: 2 * tokens * width,
    (10, 6),
    mistakes={
        "keys alone": lambda tokens, width: tokens * width,
        "vectors": lambda tokens, width: 2 * tokens,
        "added": lambda tokens, width: tokens + width,
    },
    elsewhere={
        "no growth": (20, 6),
        "of another width": (10, 8),
        "of one token": (1, 6),
        "of other sizes": (7, 5),
    },
)
FAST = Compared(
    WORDS["fast_numbers"],
    lambda heads, key, value: heads * key * value,
    (2, 3, 5),
    mistakes={
        "added": lambda heads, key, value: heads * (key + value),
        "one head": lambda heads, key, value: key * value,
    },
    elsewhere={
        "with more heads": (4, 3, 5),
        "with longer keys": (2, 6, 5),
        "with longer values": (2, 3, 7),
        "of other sizes": (1, 16, 16),
    },
)
check_sizes = together(WORDS["sizes"], [CACHED], [FAST])


@exercise(WORDS["cut"])
def check_cut(say: Words, cut: Any) -> None:
    """Exercise 2: ``cut(tokens, window)`` is the list of (start, stop) of consecutive windows."""

    def given(tokens: int, window: int) -> list[tuple[int, int]]:
        result = say.call(cut, tokens, window)
        if isinstance(result, str | dict) or not hasattr(result, "__iter__"):
            raise say("no list", kind=kind_of(result))
        pairs = []
        for pair in result:
            pairs.append(say.array_of(pair, name="each window", shape=(2,)))
            say.when((pairs[-1] % 1).any(), "part of a token", pair=pair)
        return [(int(start), int(stop)) for start, stop in pairs]

    mistakes = {
        (8, 4): {"stop inside": [(0, 3), (4, 7)]},
        (10, 4): {"rest lost": [(0, 4), (4, 8)], "past the end": [(0, 4), (4, 8), (8, 12)]},
    }
    for tokens, window in ((8, 4), (10, 4), (3, 4), (9, 3), (10, 7), (5, 5), (3, 1)):
        found = given(tokens, window)
        for name, wrong in mistakes.get((tokens, window), {}).items():
            say.when(found == wrong, name)
        edges = [*range(0, tokens, window), tokens]
        right = list(zip(edges[:-1], edges[1:], strict=True))
        if found != right:
            say.when(tokens == 8 and len(found) > 2, "overlap")
            say.when(tokens < window, "short text")
            raise say("otherwise", tokens=tokens, window=window, right=right, found=found)


@exercise(WORDS["may_see"])
def check_may_see(say: Words, may_see: Any) -> None:
    """Exercise 3: ``may_see(reader, read, window, eviction)``: is that key still in the cache."""

    def asked(window: int, eviction: str, tokens: int = 12) -> np.ndarray:
        found = np.zeros((tokens, tokens), dtype=bool)
        for i, j in np.ndindex(tokens, tokens):
            found[i, j] = say.truth(may_see, i, j, window, eviction)
        return found

    numbers = {"window": WINDOW, "before": WINDOW - 1}
    for eviction in ("hard", "sliding"):
        hard, right = eviction == "hard", seen(12, WINDOW, eviction)
        found = asked(WINDOW, eviction)
        say.when((found & ~np.tri(12, dtype=bool)).any(), "later")
        say.when(not found.diagonal().all(), "not itself")
        say.when(hard and np.array_equal(found, seen(12, WINDOW, "sliding")), "hard as sliding")
        say.when(hard and found[WINDOW, WINDOW - 1], "across", **numbers)
        say.when(not hard and np.array_equal(found, seen(12, WINDOW, "hard")), "sliding as hard")
        if not hard and np.array_equal(found, seen(12, WINDOW + 1, "sliding")):
            raise say("one too many", **numbers)
        if not np.array_equal(found, right):
            i, j = np.argwhere(found != right)[0]
            place = {"reader": i, "read": j, "word": "can" if right[i, j] else "cannot"}
            raise say("otherwise", eviction=eviction, window=WINDOW, **place)
    for window, eviction in ((3, "hard"), (5, "sliding")):
        if not np.array_equal(asked(window, eviction, 8), seen(8, window, eviction)):
            raise say("other window", window=WINDOW, other=window)


@exercise(WORDS["after_eviction"])
def check_after_eviction(say: Words, after_eviction: Any) -> None:
    """Exercise 4: ``after_eviction(memory, window, eviction)`` is what crosses the boundary."""
    memory, other = _full_memory(), _full_memory(seed=1)
    for eviction in ("hard", "sliding"):
        after = say.call(after_eviction, memory, WINDOW, eviction)
        say.when(not isinstance(after, Memory), "no memory", kind=kind_of(after))
        _check_parts(say, after)
        if not after.fast_weights or not all(s.any() for s in after.fast_weights.values()):
            raise say("no S")
        say.when(after.conv_tails, "tails")
        say.when(eviction == "hard" and after.kv, "hard keeps")
        say.when(eviction == "sliding" and not after.kv, "sliding drops")
        kept = {cache.keys.shape[2] for cache in after.kv.values()}
        say.when(kept - {WINDOW - 1}, "too many", before=WINDOW - 1, kept=max(kept, default=0))
        right = evict(memory, SleepConfig(window=WINDOW, eviction=eviction))
        say.when(right.tensors().keys() != after.tensors().keys(), "layers")
        say.when(not same(right, after), "otherwise")
    for start, window, eviction in (
        (memory, 3, "sliding"),
        (memory, 6, "sliding"),
        (other, WINDOW, "hard"),
    ):
        after = say.call(after_eviction, start, window, eviction)
        right = evict(start, SleepConfig(window=window, eviction=eviction))
        if not isinstance(after, Memory) or not same(right, after):
            wrong = "other memory" if start is other else "other window"
            raise say(wrong, window=WINDOW, other=window)


def _check_parts(say: Words, memory: Memory) -> None:
    """Say what is not a mapping from layers to what they hold."""
    for part in ("fast_weights", "conv_tails", "kv"):
        if not isinstance(getattr(memory, part), dict):
            raise say("no mapping", part=part, kind=kind_of(getattr(memory, part)))
    for cache in memory.kv.values():
        say.when(not isinstance(cache, KVCache), "no cache", kind=kind_of(cache))


@exercise(WORDS["sleep_on"])
def check_sleep_on(say: Words, sleep_on: Any) -> None:
    """Exercise 5: ``sleep_on(tokens, memory, n, embed, one_pass)`` is the memory after N passes."""
    passes = []

    def embed(tokens: float) -> float:
        return 10.0 * tokens

    def one_pass(hidden: float, memory: float) -> tuple[float, float]:
        passes.append(hidden)
        return 2 * hidden + 1, memory + hidden

    def given(n: int, tokens: float = 1.0, memory: float = 5.0) -> float:
        passes.clear()
        result = say.call(sleep_on, tokens, memory, n, embed, one_pass)
        say.when(isinstance(result, tuple), "pair")
        return float(say.array_of(result, name="sleep_on", shape=()))

    found = given(1)
    say.when(not passes, "no pass")
    say.when(found == 21.0, "h")
    say.when(passes[0] == 1.0, "tokens")
    say.when(len(passes) == 2, "two passes")
    say.when(found != 15.0, "one pass")
    found = given(3)
    say.when(len(passes) != 3, "count", passes=len(passes))
    say.when(passes == [10.0] * 3, "same h")
    say.when(found == 5.0 + passes[-1], "same S")
    say.when(found != 5.0 + sum(passes), "otherwise")
    for n, tokens, memory in ((2, 3.0, -7.0), (5, 0.5, 0.0)):
        found = given(n, tokens, memory)
        if len(passes) != n or found != memory + sum(passes) or passes[0] != 10 * tokens:
            raise say("elsewhere", n=n)


def seen(tokens: int, window: int, eviction: str) -> np.ndarray:
    """Return which tokens a reader has in its cache, bool ``[reader, read]``."""
    reader, read = np.mgrid[:tokens, :tokens]
    near = reader // window == read // window if eviction == "hard" else reader - read < window
    return (read <= reader) & near


def _full_memory(*, seed: int = 0) -> Memory:
    """Return a memory at the end of a window: S, tails, and a cache of more than the window."""
    generator = torch.Generator().manual_seed(seed)

    def some(*shape: int) -> torch.Tensor:
        return torch.rand(shape, generator=generator) + 1

    tokens = 2 * WINDOW - 1
    caches = {
        i: KVCache(some(2, 2, tokens, 3), some(2, 2, tokens, 3), torch.ones(2, tokens).bool())
        for i in (0, 2)
    }
    return Memory({1: some(2, 2, 3, 3), 3: some(2, 2, 3, 3)}, {1: some(2, 3, 4)}, caches)
