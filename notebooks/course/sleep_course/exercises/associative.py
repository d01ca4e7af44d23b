"""Checks of the exercises in notebook 1, *A memory you can write to*.

S is [key, value], 4 x 3 in most checks: not square, so that a transposed product cannot pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

import sleep_kernels
from sleep_course.exercises.check import Compared, Words, exercise, kind_of, lesson, together
from workbench.model import Memory

KEYS, VALUES = 4, 3
WORDS = lesson("associative")


def _delta(s: np.ndarray, k: np.ndarray, v: np.ndarray, beta: float) -> np.ndarray:
    return s + beta * np.outer(k, v - s.T @ k)


def _some(keys: int, values: int, *, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return S [key, value], a key of unit norm and a value, drawn with a seed."""
    generator = np.random.default_rng(seed)
    state, k, v = (generator.standard_normal(shape) for shape in ((keys, values), keys, values))
    return state, k / np.linalg.norm(k), v


S, K, V = _some(KEYS, VALUES, seed=1)
SMALL, SQUARE = _some(2, 5, seed=11), _some(4, 4, seed=12)

# exercise 1: write(S, k, v) adds k v^T to S; read(S, q) is S^T q
WRITE = Compared(
    WORDS["write"],
    lambda s, k, v: s + np.outer(k, v),
    (S, K, V),
    mistakes={
        "as it was": lambda s, k, v: s,
        "drops S": lambda s, k, v: np.outer(k, v),
        "subtracts": lambda s, k, v: s - np.outer(k, v),
    },
    elsewhere={
        "with another S, key and value": (S + 1, -K, 2 * V),
        "of another size": SMALL,
        "with an empty S": (0 * SMALL[0], *SMALL[1:]),
        "with a key that is not of length 1": (SQUARE[0], 3 * SQUARE[1], SQUARE[2]),
    },
)
READ = Compared(
    WORDS["read"],
    lambda s, q: s.T @ q,
    (S, K),
    elsewhere={
        "with a query that was never written": (S, K[::-1].copy()),
        "with a query that is not of length 1": (SQUARE[0], 3 * SQUARE[1]),
        "of another size": SMALL[:2],
    },
)
check_write_and_read = together(WORDS["write_and_read"], [WRITE], [READ])

# exercise 2: delta_write(S, k, v, beta) is S + beta k (v - S^T k)^T
check_delta_write = Compared(
    WORDS["delta_write"],
    _delta,
    (S, K, V, 0.5),
    mistakes={
        "as it was": lambda s, k, v, beta: s,
        "plain product": lambda s, k, v, beta: s + beta * np.outer(k, v),
        "no beta": lambda s, k, v, beta: _delta(s, k, v, 1.0),
        "sign": [
            lambda s, k, v, beta: _delta(s, k, v, -beta),
            lambda s, k, v, beta: s + beta * np.outer(k, v + s.T @ k),
        ],
        "drops S": lambda s, k, v, beta: _delta(s, k, v, beta) - s,
    },
    elsewhere={
        "beta 0": (S, K, V, 0.0),
        "with another beta": (S, K, V, 0.3),
        "with beta = 1": (S, K, V, 1.0),
        "with beta above 1": (S, K, V, 1.7),
        "with another S, key and value": (2 * S - 1, K[::-1].copy(), -V, 0.5),
        "of another size": (*SMALL, 0.8),
    },
)

# exercise 4: gated_write(S, k, v, beta, a) decays S by a, then applies the delta rule
check_gated_write = Compared(
    WORDS["gated_write"],
    lambda s, k, v, beta, a: _delta(a * s, k, v, beta),
    (S, K, V, 0.5, 0.8),
    mistakes={
        "no decay": lambda s, k, v, beta, a: _delta(s, k, v, beta),
        "new decays": lambda s, k, v, beta, a: a * _delta(s, k, v, beta),
        "old error": lambda s, k, v, beta, a: a * s + _delta(s, k, v, beta) - s,
        "Mamba-2": lambda s, k, v, beta, a: a * s + beta * np.outer(k, v),
    },
    elsewhere={
        "with another beta": (S, K, V, 0.9, 0.8),
        "with beta = 0": (S, K, V, 0.0, 0.8),
        "with another decay": (S, K, V, 0.5, 0.3),
        "with no decay, a = 1": (S, K, V, 0.5, 1.0),
        "with another S, key and value": (2 * S - 1, K[::-1].copy(), -V, 0.5, 0.8),
        "of another size": (*SMALL, 0.7, 0.6),
    },
)


@exercise(WORDS["parity"])
def check_parity(say: Words, beta_for: Any) -> None:
    """Exercise 3: ``beta_for(bit)`` makes the sign of a memory the parity of the bits."""
    quiet, flip = (say.number(beta_for, bit) for bit in (0, 1))
    if not (0 <= quiet <= 2 and 0 <= flip <= 2):
        raise say("range", quiet=f"{quiet:g}", flip=f"{flip:g}")
    say.when(quiet, "0 changes", quiet=f"{quiet:g}", kept=f"{1 - quiet:g}")
    say.when(flip == 1, "wiped out")
    say.when(flip < 1, "no flip", kept=f"{1 - flip:g}")
    say.when(flip < 2, "shrinks", kept=f"{flip - 1:g}", left=f"{(flip - 1) ** 100:.2g}")
    bits = np.random.default_rng(0).integers(0, 2, (32, 40))
    again = {bit: Words({"hint": say.texts["again"]}).number(beta_for, bit) for bit in (0, 1)}
    final = parity_memory(bits, again.__getitem__)
    say.when(not np.array_equal(final < 0, bits.sum(1) % 2 == 1), "otherwise")


def parity_memory(bits: np.ndarray, beta_for: Callable[[int], float]) -> np.ndarray:
    """Return what a 1 x 1 memory, which begins as S = 1, holds after reading ``bits [row, bit]``.

    Every bit writes v = 0 with key 1 and strength ``beta_for(bit)``, so that S becomes
    ``(1 - beta) S``.
    """
    rows, count = bits.shape
    strength = np.array([float(beta_for(0)), float(beta_for(1))])[bits]
    one = torch.ones((rows, count, 1, 1))
    beta = torch.tensor(strength, dtype=torch.float32)[..., None]
    start = torch.ones((rows, 1, 1, 1))
    return sleep_kernels.delta_rule(None, one, 0 * one, beta, start).state.flatten().numpy()


@exercise(WORDS["without_head"])
def check_without_head(say: Words, without_head: Any) -> None:
    """Exercise 5: ``without_head(memory, layer, head)`` is a memory with one head's S zeroed."""
    memory, other = _memory(batch=2, heads=3), _memory(batch=1, heads=4)
    for given in (
        (memory, 1, 2),
        (memory, 1, 0),
        (memory, 1, 1),
        (memory, 3, 2),
        (memory, 3, 1),
        (other, 1, 3),
    ):
        _check_without_head(say, say.call(without_head, *given), *given)


def _check_without_head(say: Words, result: Any, memory: Memory, layer: int, head: int) -> None:
    state = memory.fast_weights[layer]
    say.when(not isinstance(result, Memory), "no memory", kind=kind_of(result))
    weights = result.fast_weights
    say.when(not isinstance(weights, Mapping) or not weights, "no S", kind=kind_of(weights))
    say.when(layer not in weights, "no layer", layer=layer, layers=list(weights))
    after = weights[layer]
    say.when(getattr(after, "shape", None) != state.shape, "shape")
    say.when(not isinstance(after, torch.Tensor), "type", kind=type(after).__name__)
    zero = (after == 0).flatten(2).all(-1)  # (batch, gdn_head)
    say.when(not zero.any() and torch.equal(after, state), "no change")
    say.when(zero.all(), "all zero")
    say.when(not zero.any(), "none zero")
    others = [h for h in range(state.shape[1]) if h != head]
    if zero[:, others].all(0).any() and not zero[:, head].all():
        raise say("other head", head=head, wrong=int(zero.all(0).int().argmax()))
    say.when(not zero[:, head].all() or zero[:, others].any(), "axis")
    say.when(not torch.equal(after[:, others], state[:, others]), "others changed")
    for other, kept in memory.fast_weights.items():
        say.when(other not in weights, "layer gone", other=other)
        found = weights[other]
        if other != layer and not (isinstance(found, torch.Tensor) and torch.equal(found, kept)):
            raise say("other layer", layer=layer, other=other)
    tails = result.conv_tails.keys() == memory.conv_tails.keys()
    say.when(not tails or result.kv.keys() != memory.kv.keys(), "rest gone")


def _memory(*, batch: int, heads: int) -> Memory:
    """Return two layers of S without a zero in them, and the tails of one."""
    generator = torch.Generator().manual_seed(0)
    shape = (batch, heads, KEYS, VALUES)
    states = {layer: torch.rand(shape, generator=generator) + 1.0 for layer in (1, 3)}
    return Memory(fast_weights=states, conv_tails={1: torch.ones(batch, 3, 4)})
