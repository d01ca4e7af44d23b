"""Checks of the exercises in notebook 1, *A memory you can write to*.

S is [key, value], 4 x 3 in most checks: not square, so that a transposed product cannot pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

import sleep_kernels
from sleep_course.exercises.check import (
    Words,
    call,
    call_for_array,
    call_for_number,
    close,
    compare,
    exercise,
    kind_of,
    lesson,
    right_elsewhere,
)
from workbench.model import Memory

KEYS, VALUES = 4, 3
WORDS = lesson("associative")


@exercise(WORDS["write_and_read"])
def check_write_and_read(say: Words, write: Any, read: Any) -> None:
    """Exercise 1: ``write(S, k, v)`` adds k v^T to S; ``read(S, q)`` is S^T q."""
    state, k, v = _state_and_pair()
    (small, one, two), (square, three, four) = _some(2, 5, seed=11), _some(4, 4, seed=12)
    product = np.outer(k, v)
    compare(
        WORDS["write"],
        write,
        lambda s, k, v: s + np.outer(k, v),
        (state, k, v),
        mistakes={"as it was": state, "drops S": product, "subtracts": state - product},
        elsewhere={
            "with another S, key and value": (state + 1, -k, 2 * v),
            "of another size": (small, one, two),
            "with an empty S": (0 * small, one, two),
            "with a key that is not of length 1": (square, 3 * three, four),
        },
    )
    compare(
        WORDS["read"],
        read,
        lambda s, q: s.T @ q,
        (state, k),
        mistakes={},
        elsewhere={
            "with a query that was never written": (state, k[::-1].copy()),
            "with a query that is not of length 1": (square, 3 * three),
            "of another size": (small, one),
        },
    )


@exercise(WORDS["delta_write"])
def check_delta_write(say: Words, delta_write: Any) -> None:
    """Exercise 2: ``delta_write(S, k, v, beta)`` is S + beta k (v - S^T k)^T."""
    state, k, v = _state_and_pair()
    beta = 0.5
    error = np.outer(k, v - state.T @ k)
    mistakes = {
        "as it was": state,
        "plain product": state + beta * np.outer(k, v),
        "no beta": state + error,
        "sign": [state - beta * error, state + beta * np.outer(k, v + state.T @ k)],
        "drops S": beta * error,
    }
    compare(say, delta_write, _delta, (state, k, v, beta), mistakes=mistakes)
    untouched = call_for_array(delta_write, state, k, v, 0.0, shape=state.shape, hint=say.hint)
    say.when(not close(untouched, state), "beta 0")
    small, one, two = _some(2, 5, seed=13)
    right_elsewhere(
        delta_write,
        _delta,
        {
            "with another beta": (state, k, v, 0.3),
            "with beta = 1": (state, k, v, 1.0),
            "with beta above 1": (state, k, v, 1.7),
            "with another S, key and value": (2 * state - 1, k[::-1].copy(), -v, beta),
            "of another size": (small, one, two, 0.8),
        },
    )


@exercise(WORDS["parity"])
def check_parity(say: Words, beta_for: Any) -> None:
    """Exercise 3: ``beta_for(bit)`` makes the sign of a memory the parity of the bits."""
    quiet, flip = (call_for_number(beta_for, bit, hint=say.hint) for bit in (0, 1))
    if not (0 <= quiet <= 2 and 0 <= flip <= 2):
        raise say("range", quiet=f"{quiet:g}", flip=f"{flip:g}")
    say.when(quiet, "0 changes", quiet=f"{quiet:g}", kept=f"{1 - quiet:g}")
    say.when(flip == 1, "wiped out")
    say.when(flip < 1, "no flip", kept=f"{1 - flip:g}")
    say.when(flip < 2, "shrinks", kept=f"{flip - 1:g}", left=f"{(flip - 1) ** 100:.2g}")
    bits = np.random.default_rng(0).integers(0, 2, (32, 40))
    again = {bit: call_for_number(beta_for, bit, hint=say.texts["again"]) for bit in (0, 1)}
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


@exercise(WORDS["gated_write"])
def check_gated_write(say: Words, gated_write: Any) -> None:
    """Exercise 4: ``gated_write(S, k, v, beta, a)`` decays S by a, then applies the delta rule."""
    state, k, v = _state_and_pair()
    small, one, two = _some(2, 5, seed=14)
    beta, a = 0.5, 0.8
    written = _delta(state, k, v, beta)
    compare(
        say,
        gated_write,
        lambda s, k, v, beta, a: _delta(a * s, k, v, beta),
        (state, k, v, beta, a),
        mistakes={
            "no decay": written,
            "new decays": a * written,
            "old error": a * state + beta * np.outer(k, v - state.T @ k),
            "Mamba-2": a * state + beta * np.outer(k, v),
        },
        elsewhere={
            "with another beta": (state, k, v, 0.9, a),
            "with beta = 0": (state, k, v, 0.0, a),
            "with another decay": (state, k, v, beta, 0.3),
            "with no decay, a = 1": (state, k, v, beta, 1.0),
            "with another S, key and value": (2 * state - 1, k[::-1].copy(), -v, beta, a),
            "of another size": (small, one, two, 0.7, 0.6),
        },
    )


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
        _check_without_head(say, call(without_head, *given, hint=say.hint), *given)


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


def _delta(s: np.ndarray, k: np.ndarray, v: np.ndarray, beta: float) -> np.ndarray:
    return s + beta * np.outer(k, v - s.T @ k)


def _some(keys: int, values: int, *, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return S [key, value], a key of unit norm and a value, drawn with a seed."""
    generator = np.random.default_rng(seed)
    state, k, v = (generator.standard_normal(shape) for shape in ((keys, values), keys, values))
    return state, k / np.linalg.norm(k), v


def _state_and_pair() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return S [key, value], a key of unit norm and a value, all without special structure."""
    generator = np.random.default_rng(1)
    k = generator.standard_normal(KEYS)
    state, v = (generator.standard_normal(shape) for shape in ((KEYS, VALUES), VALUES))
    return state, k / np.linalg.norm(k), v
