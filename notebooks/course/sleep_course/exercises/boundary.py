"""Checks of the exercises in notebook 2, *The hybrid and the eviction boundary*."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from sleep_course.exercises.check import (
    NotYet,
    array_of,
    call,
    call_for_array,
    call_for_truth,
    exercise,
    kind_of,
    right_elsewhere,
    same,
)
from workbench.config import SleepConfig
from workbench.model import Memory
from workbench.model.memory import KVCache
from workbench.sleep.eviction import evict

WINDOW = 4
TAIL = "It is one call: cache.newest(...), for every layer in memory.kv."


@exercise
def check_sizes(cache_numbers: Any, fast_numbers: Any) -> str:
    """Exercise 1: ``cache_numbers(tokens, width)`` and ``fast_numbers(heads, key, value)``."""
    hint = "A key and a value for every token, each as wide as the layer."
    found = float(call_for_array(cache_numbers, 10, 6, shape=(), hint=hint))
    if found == 60:
        raise NotYet("that is the keys alone: each token leaves a key and a value.")
    if found == 12:
        raise NotYet("that counts vectors: each has as many numbers as the layer is wide.")
    if found == 16:
        raise NotYet("do not add: every token has two vectors of `width` numbers.")
    if found != 120:
        raise NotYet(f"10 tokens, 6 wide: 120 numbers, not {found:g}. {hint}")
    if float(call_for_array(cache_numbers, 20, 6, shape=(), hint=hint)) != 240:
        raise NotYet("twice as many tokens need twice the cache; yours does not grow like that.")
    right_elsewhere(
        cache_numbers,
        lambda tokens, width: 2 * tokens * width,
        {"of another width": (10, 8), "of one token": (1, 6), "of other sizes": (7, 5)},
    )
    hint = "Every head has one matrix, key x value."
    found = float(call_for_array(fast_numbers, 2, 3, 5, shape=(), hint=hint))
    if found == 16:
        raise NotYet("key + value would be one vector of each; S is a matrix: key times value.")
    if found == 15:
        raise NotYet("that is one head's matrix: there is one for each head.")
    if found != 30:
        raise NotYet(f"2 heads, keys of 3, values of 5: 30 numbers, not {found:g}. {hint}")
    right_elsewhere(
        fast_numbers,
        lambda heads, key, value: heads * key * value,
        {
            "with more heads": (4, 3, 5),
            "with longer keys": (2, 6, 5),
            "with longer values": (2, 3, 7),
            "of other sizes": (1, 16, 16),
        },
    )
    return "the cache grows with every token; S has the same size after one token and a million."


@exercise
def check_cut(cut: Any) -> str:
    """Exercise 2: ``cut(tokens, window)`` is the list of (start, stop) of consecutive windows."""
    hint = "Return a list of (start, stop), such as [(0, 4), (4, 8)]."

    def given(tokens: int, window: int) -> list[tuple[int, int]]:
        result = call(cut, tokens, window, hint=hint)
        if isinstance(result, str | dict) or not hasattr(result, "__iter__"):
            raise NotYet(f"a list of pairs was expected, not {kind_of(result)}. {hint}")
        pairs = []
        for pair in result:
            pairs.append(array_of(pair, name="each window", shape=(2,), hint=hint))
            if (pairs[-1] % 1).any():
                raise NotYet(f"a window begins and ends at a whole token: {pair}. {hint}")
        return [(int(start), int(stop)) for start, stop in pairs]

    found = given(8, WINDOW)
    if found == [(0, 3), (4, 7)]:
        raise NotYet("`stop` is the first token that is no longer in the window, as in a slice.")
    if len(found) > 2:
        raise NotYet(
            "windows do not overlap, and none is empty: the next one starts where one stops."
        )
    if found != [(0, 4), (4, 8)]:
        raise NotYet(f"8 tokens, window 4: expected [(0, 4), (4, 8)], not {found}.")
    found = given(10, WINDOW)
    if found == [(0, 4), (4, 8)]:
        raise NotYet("the last two of 10 tokens are in no window: the last window may be shorter.")
    if found == [(0, 4), (4, 8), (8, 12)]:
        raise NotYet("the last window goes past the end of the text: stop at its last token.")
    if found != [(0, 4), (4, 8), (8, 10)]:
        raise NotYet(f"10 tokens, window 4: expected [(0, 4), (4, 8), (8, 10)], not {found}.")
    if given(3, WINDOW) != [(0, 3)]:
        raise NotYet("a text shorter than the window is one short window.")
    for tokens, window in ((9, 3), (10, 7), (5, 5), (3, 1)):
        edges = [*range(0, tokens, window), tokens]
        right = list(zip(edges[:-1], edges[1:], strict=True))
        if (found := given(tokens, window)) != right:
            raise NotYet(f"{tokens} tokens, window {window}: expected {right}, not {found}.")
    return "every token is in exactly one window, and the last window takes what is left."


@exercise
def check_may_see(may_see: Any) -> str:
    """Exercise 3: ``may_see(reader, read, window, eviction)``: is that key still in the cache."""
    hint = "Return True or False."

    def asked(window: int, eviction: str, tokens: int = 12) -> np.ndarray:
        rows = range(tokens)
        return np.array(
            [[call_for_truth(may_see, i, j, window, eviction, hint=hint) for j in rows]
             for i in rows]
        )  # fmt: skip

    for eviction in ("hard", "sliding"):
        right = seen(12, WINDOW, eviction)
        found = asked(WINDOW, eviction)
        if (found & ~np.tri(12, dtype=bool)).any():
            raise NotYet("a token sees one that comes after it: attention here is causal.")
        if not found.diagonal().all():
            raise NotYet("a token does not see itself: its own key is in the cache when it reads.")
        if eviction == "hard" and np.array_equal(found, seen(12, WINDOW, "sliding")):
            raise NotYet(
                "right for sliding, but with hard eviction the cache is empty when a window "
                "begins: both tokens must lie in the same one. Compare their window numbers, //."
            )
        if eviction == "hard" and found[WINDOW, WINDOW - 1]:
            raise NotYet(
                f"with a hard eviction after every {WINDOW} tokens, token {WINDOW} cannot see "
                f"token {WINDOW - 1}: it was evicted."
            )
        if eviction == "sliding" and np.array_equal(found, seen(12, WINDOW, "hard")):
            raise NotYet("the answer does not depend on `eviction`: sliding looks across the cut.")
        if eviction == "sliding" and np.array_equal(found, seen(12, WINDOW + 1, "sliding")):
            raise NotYet(
                f"one too many: with itself, a token sees {WINDOW} tokens, so {WINDOW - 1} before."
            )
        if not np.array_equal(found, right):
            i, j = np.argwhere(found != right)[0]
            word = "can" if right[i, j] else "cannot"
            raise NotYet(f"{eviction}, window {WINDOW}: token {i} {word} see token {j}.")
    for window, eviction in ((3, "hard"), (5, "sliding")):
        if not np.array_equal(asked(window, eviction, 8), seen(8, window, eviction)):
            raise NotYet(f"right with window {WINDOW}, wrong with {window}: use `window`.")
    return "hard gives triangles, cut off at each boundary; sliding gives one band."


@exercise
def check_after_eviction(after_eviction: Any) -> str:
    """Exercise 4: ``after_eviction(memory, window, eviction)`` is what crosses the boundary."""
    hint = "memory.replace(conv_tails={}, kv=...) makes a new memory."
    memory = _full_memory()
    for eviction in ("hard", "sliding"):
        after = call(after_eviction, memory, WINDOW, eviction, hint=hint)
        if not isinstance(after, Memory):
            raise NotYet(f"a Memory was expected, not {kind_of(after)}. {hint}")
        _check_parts(after, hint)
        if not after.fast_weights or not all(s.any() for s in after.fast_weights.values()):
            raise NotYet("S is gone too: it is the one thing that always crosses.")
        if after.conv_tails:
            raise NotYet(
                "the convolution's tails are still there: here every window starts without them."
            )
        if eviction == "hard" and after.kv:
            raise NotYet("hard: nothing of the KV cache crosses. kv={}")
        if eviction == "sliding" and not after.kv:
            raise NotYet("sliding: the newest tokens' keys and values stay. " + TAIL)
        kept = {cache.keys.shape[2] for cache in after.kv.values()}
        if kept - {WINDOW - 1}:
            raise NotYet(
                f"sliding keeps window - 1 = {WINDOW - 1} tokens, so that the next token sees a "
                f"whole window with itself; yours keeps {max(kept)}."
            )
        right = evict(memory, SleepConfig(window=WINDOW, eviction=eviction))
        if right.tensors().keys() != after.tensors().keys():
            raise NotYet(f"every layer's S, and with sliding every layer's cache, crosses. {TAIL}")
        if not same(right, after):
            raise NotYet("what crosses stays unchanged; of the cache, the newest tokens cross.")
    for window in (3, 6):
        after = call(after_eviction, memory, window, "sliding", hint=hint)
        right = evict(memory, SleepConfig(window=window, eviction="sliding"))
        if not isinstance(after, Memory) or not same(right, after):
            raise NotYet(f"right with window {WINDOW}, wrong with {window}: use `window`.")
    other = _full_memory(seed=1)
    after = call(after_eviction, other, WINDOW, "hard", hint=hint)
    if not isinstance(after, Memory) or not same(evict(other, SleepConfig(window=WINDOW)), after):
        raise NotYet("right for the first memory, wrong for another: use `memory`.")
    return "hard: S alone. Sliding: S, and what the next token could still see."


@exercise
def check_sleep_on(sleep_on: Any) -> str:
    """Exercise 5: ``sleep_on(tokens, memory, n, embed, one_pass)`` is the memory after N passes."""
    hint = "h = embed(tokens); then n times h, memory = one_pass(h, memory); return memory."
    passes = []

    def embed(tokens: float) -> float:
        return 10.0 * tokens

    def one_pass(hidden: float, memory: float) -> tuple[float, float]:
        passes.append(hidden)
        return 2 * hidden + 1, memory + hidden

    def given(n: int, tokens: float = 1.0, memory: float = 5.0) -> float:
        passes.clear()
        result = call(sleep_on, tokens, memory, n, embed, one_pass, hint=hint)
        if isinstance(result, tuple):
            raise NotYet("return the memory alone: the features are thrown away. " + hint)
        return float(array_of(result, name="sleep_on", shape=(), hint=hint))

    found = given(1)
    if not passes:
        raise NotYet("`one_pass` was not called: the passes are what sleeping is. " + hint)
    if found == 21.0:
        raise NotYet("that is h: the features are thrown away, the memory is what crosses.")
    if passes[0] == 1.0:
        raise NotYet("the first pass gets the tokens themselves: embed them first.")
    if len(passes) == 2:
        raise NotYet("with n = 1 two passes were run: N counts all of them.")
    if found != 15.0:
        raise NotYet(
            "with n = 1, the memory after one pass over embed(tokens) was expected. " + hint
        )
    found = given(3)
    if len(passes) != 3:
        raise NotYet(f"with n = 3, {len(passes)} passes were run. " + hint)
    if passes == [10.0] * 3:
        raise NotYet(
            "every pass reads the embedding again. A sleep feeds its output back in: the second "
            "pass reads what the first made. (Yours exists too, as an ablation: rewrite only.)"
        )
    if found == 5.0 + passes[-1]:
        raise NotYet("every pass starts from the memory before the sleep: carry S along.")
    if found != 5.0 + sum(passes):
        raise NotYet("after three passes S should hold what all three have written. " + hint)
    for n, tokens, memory in ((2, 3.0, -7.0), (5, 0.5, 0.0)):
        found = given(n, tokens, memory)
        if len(passes) != n or found != memory + sum(passes) or passes[0] != 10 * tokens:
            raise NotYet(
                f"right at first, wrong with other tokens, another memory and n = {n}: use every "
                "argument."
            )
    return "h goes from pass to pass, S goes on from pass to pass, and S alone is given back."


def _check_parts(memory: Memory, hint: str) -> None:
    """Say what is not a mapping from layers to what they hold."""
    for part in ("fast_weights", "conv_tails", "kv"):
        if not isinstance(getattr(memory, part), dict):
            kind = kind_of(getattr(memory, part))
            raise NotYet(f"`{part}` should be a dictionary, by layer, not {kind}. {hint}")
    for cache in memory.kv.values():
        if not isinstance(cache, KVCache):
            raise NotYet(f"`kv` should hold a cache for each layer, not {kind_of(cache)}. {TAIL}")


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
