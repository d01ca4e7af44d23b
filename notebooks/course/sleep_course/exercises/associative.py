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
    NotYet,
    call,
    call_for_array,
    close,
    exercise,
    kind_of,
    right_elsewhere,
)
from workbench.model import Memory

KEYS, VALUES = 4, 3
SHAPE_HINT = (
    f"S has one row for each of the {KEYS} entries of a key and one column for each of the "
    f"{VALUES} entries of a value: np.outer(k, v)."
)
READ_HINT = "Reading is o = S^T q: in NumPy `S.T @ q` (or `q @ S`)."


@exercise
def check_write_and_read(write: Any, read: Any) -> str:
    """Exercise 1: ``write(S, k, v)`` adds k v^T to S; ``read(S, q)`` is S^T q."""
    state, k, v = _state_and_pair()
    after = call_for_array(write, state, k, v, shape=(KEYS, VALUES), hint=SHAPE_HINT)
    if close(after, state):
        raise NotYet("`write` gives S back as it was: nothing was written.")
    if close(after, np.outer(k, v)):
        raise NotYet("`write` drops what S held before: add the new product to S.")
    if close(after, state - np.outer(k, v)):
        raise NotYet("`write` subtracts the product from S instead of adding it.")
    if not close(after, state + np.outer(k, v)):
        raise NotYet("`write` adds something, but not the outer product of k and v. " + SHAPE_HINT)
    out = call_for_array(read, state, k, shape=(VALUES,), hint=READ_HINT)
    if not close(out, state.T @ k):
        raise NotYet("`read` returns a vector of the right length, but not S^T q. " + READ_HINT)
    (small, one, two), (square, three, four) = _some(2, 5, seed=11), _some(4, 4, seed=12)
    right_elsewhere(
        write,
        lambda s, k, v: s + np.outer(k, v),
        {
            "with another S, key and value": (state + 1, -k, 2 * v),
            "of another size": (small, one, two),
            "with an empty S": (0 * small, one, two),
            "with a key that is not of length 1": (square, 3 * three, four),
        },
    )
    right_elsewhere(
        read,
        lambda s, q: s.T @ q,
        {
            "with a query that was never written": (state, k[::-1].copy()),
            "with a query that is not of length 1": (square, 3 * three),
            "of another size": (small, one),
        },
    )
    return "what you write with a key of length 1 comes back when you read with that key."


@exercise
def check_delta_write(delta_write: Any) -> str:
    """Exercise 2: ``delta_write(S, k, v, beta)`` is S + beta k (v - S^T k)^T."""
    hint = "S + beta * np.outer(k, v - S.T @ k) has the shape of S."
    state, k, v = _state_and_pair()
    beta = 0.5

    def given(b: float) -> np.ndarray:
        return call_for_array(delta_write, state, k, v, b, shape=(KEYS, VALUES), hint=hint)

    right = _delta(state, k, v, beta)
    after = given(beta)
    if close(after, right):
        if not close(given(0.0), state):
            raise NotYet("with beta = 0 nothing may change; yours changes S.")
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
        return "with beta = 1 the memory then answers exactly v, whatever it answered before."
    if close(after, state):
        raise NotYet("`delta_write` gives S back as it was: nothing was written.")
    if close(after, state + beta * np.outer(k, v)):
        raise NotYet(
            "this is the plain outer product. First ask the memory what it answers for k, then "
            "write only what is missing from v."
        )
    if close(after, state + np.outer(k, v - state.T @ k)):
        raise NotYet("right for beta = 1, but beta is not used: it scales what is written.")
    if close(after, state - beta * np.outer(k, v - state.T @ k)) or close(
        after, state + beta * np.outer(k, v + state.T @ k)
    ):
        raise NotYet("a sign is the wrong way round: the error is v minus what S answers.")
    if close(after, beta * np.outer(k, v - state.T @ k)):
        raise NotYet("what S held before is gone: add the correction to S.")
    raise NotYet(
        "after your write with beta = 0.5, reading k should give the mean of the old answer and "
        "v; it does not. " + hint
    )


@exercise
def check_parity(beta_for: Any) -> str:
    """Exercise 3: ``beta_for(bit)`` makes the sign of a memory the parity of the bits."""
    strengths = []
    for bit in (0, 1):
        hint = "Return one number for bit 0 and another for bit 1."
        strengths.append(float(call_for_array(beta_for, bit, shape=(), hint=hint)))
    quiet, flip = strengths
    if not all(0 <= b <= 2 for b in strengths):
        raise NotYet(f"beta must lie in 0..2; yours are {quiet:g} and {flip:g}.")
    if quiet:
        raise NotYet(
            f"a 0 must leave the memory alone, but beta = {quiet:g} multiplies it by {1 - quiet:g}."
        )
    if flip == 1:
        raise NotYet("with beta = 1 the first 1 wipes the memory out; no sign is left to flip.")
    if flip < 1:
        raise NotYet(
            f"after one 1 the memory is {1 - flip:g} times what it was: the sign never changes. "
            "Reading k after a write of v = 0 gives (1 - beta) times the old answer."
        )
    if flip < 2:
        raise NotYet(
            f"the sign flips, but each 1 also shrinks the memory to {flip - 1:g} of what it was: "
            f"after 100 of them {(flip - 1) ** 100:.2g} of it is left. Which beta makes 1 - beta "
            "exactly -1?"
        )
    bits = np.random.default_rng(0).integers(0, 2, (32, 40))
    hint = "It must return the same numbers every time."
    again = {bit: float(call_for_array(beta_for, bit, shape=(), hint=hint)) for bit in (0, 1)}
    final = parity_memory(bits, again.__getitem__)
    if not np.array_equal(final < 0, bits.sum(1) % 2 == 1):
        raise NotYet("the sign is not the parity on every string; does beta_for look at the bit?")
    return "40 bits, one number of memory, no error. With beta below 1 no such memory can do it."


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


@exercise
def check_gated_write(gated_write: Any) -> str:
    """Exercise 4: ``gated_write(S, k, v, beta, a)`` decays S by a, then applies the delta rule."""
    hint = "Call your `delta_write` on the decayed memory, a * S."
    state, k, v = _state_and_pair()
    beta, a = 0.5, 0.8

    def delta(s: np.ndarray) -> np.ndarray:
        return _delta(s, k, v, beta)

    after = call_for_array(gated_write, state, k, v, beta, a, shape=(KEYS, VALUES), hint=hint)
    if close(after, delta(a * state)):
        small, one, two = _some(2, 5, seed=14)
        right_elsewhere(
            gated_write,
            lambda s, k, v, beta, a: _delta(a * s, k, v, beta),
            {
                "with another beta": (state, k, v, 0.9, a),
                "with beta = 0": (state, k, v, 0.0, a),
                "with another decay": (state, k, v, beta, 0.3),
                "with no decay, a = 1": (state, k, v, beta, 1.0),
                "with another S, key and value": (2 * state - 1, k[::-1].copy(), -v, beta, a),
                "of another size": (small, one, two, 0.7, 0.6),
            },
        )
        return "decay first, then the error against what is left: the gated delta rule."
    if close(after, delta(state)):
        raise NotYet("the delta rule is there, but nothing decays: a is not used.")
    if close(after, a * delta(state)):
        raise NotYet("the new pair decays with the old ones: let S decay before you write to it.")
    if close(after, a * state + beta * np.outer(k, v - state.T @ k)):
        raise NotYet(
            "S decays, but the error is measured against S as it was before: ask the decayed "
            "memory what it answers for k."
        )
    if close(after, a * state + beta * np.outer(k, v)):
        raise NotYet("S decays, but this adds all of v (Mamba-2's rule): write only the error.")
    raise NotYet("not the gated delta rule yet. " + hint)


@exercise
def check_without_head(without_head: Any) -> str:
    """Exercise 5: ``without_head(memory, layer, head)`` is a memory with one head's S zeroed."""
    hint = "memory.replace(fast_weights={...}) makes a new memory."
    memory = _memory(batch=2, heads=3)
    for layer, head in ((1, 2), (1, 0), (1, 1), (3, 2), (3, 1)):
        result = call(without_head, memory, layer, head, hint=hint)
        _check_without_head(result, memory, layer, head, hint)
    other = _memory(batch=1, heads=4)
    _check_without_head(call(without_head, other, 1, 3, hint=hint), other, 1, 3, hint)
    return "one head forgets, the others keep what they hold, and the original is untouched."


def _check_without_head(result: Any, memory: Memory, layer: int, head: int, hint: str) -> None:
    state = memory.fast_weights[layer]
    heads = state.shape[1]
    if not isinstance(result, Memory):
        raise NotYet(f"a Memory was expected, not {kind_of(result)}. {hint}")
    weights = result.fast_weights
    if not isinstance(weights, Mapping) or not weights:
        raise NotYet(f"that memory has no S by layer, only {kind_of(weights)}. {hint}")
    if layer not in weights:
        raise NotYet(f"layer {layer} was asked for; the memory has {list(weights)}. " + hint)
    if getattr(weights[layer], "shape", None) != state.shape:
        raise NotYet(
            "the layer's S should keep its shape [batch, gdn_head, key, value]: zero a head's "
            "numbers rather than leaving them out. " + hint
        )
    after = weights[layer]
    if not isinstance(after, torch.Tensor):
        raise NotYet(
            f"the layer's S should stay a torch tensor, not {type(after).__name__}: change a "
            "`.clone()` of it. " + hint
        )
    zero = (after == 0).flatten(2).all(-1)  # (batch, gdn_head)
    if not zero.any() and torch.equal(after, state):
        raise NotYet("no number changed: set the head's S to zero in a copy of the layer's S.")
    if zero.all():
        raise NotYet("every head is zero: choose one, S[:, head].")
    if not zero.any():
        raise NotYet("some numbers changed, but no head is zero throughout: S[:, head] = 0.")
    others = [h for h in range(heads) if h != head]
    if zero[:, others].all(0).any() and not zero[:, head].all():
        wrong = int(zero.all(0).int().argmax())
        raise NotYet(f"head {head} was asked for, and head {wrong} is zero: use `head`.")
    if not zero[:, head].all() or zero[:, others].any():
        raise NotYet(
            "zeroed along the wrong axis: S is [batch, gdn_head, key, value], so a head is "
            "S[:, head]."
        )
    if not torch.equal(after[:, others], state[:, others]):
        raise NotYet("the other heads changed too: leave them as they were.")
    _check_other_layers(weights, memory, layer)
    tails = result.conv_tails.keys() == memory.conv_tails.keys()
    if not tails or result.kv.keys() != memory.kv.keys():
        raise NotYet("the rest of the memory is gone: memory.replace(...) keeps it.")


def _check_other_layers(weights: Mapping[int, Any], memory: Memory, layer: int) -> None:
    for other, state in memory.fast_weights.items():
        if other == layer:
            continue
        if other not in weights:
            raise NotYet(
                f"layer {other} has lost its S: keep the other layers, "
                "{**memory.fast_weights, layer: ...}."
            )
        if not isinstance(weights[other], torch.Tensor) or not torch.equal(weights[other], state):
            raise NotYet(f"layer {layer} was asked for, and layer {other} changed: use `layer`.")


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
    return (
        generator.standard_normal((KEYS, VALUES)),
        k / np.linalg.norm(k),
        generator.standard_normal(VALUES),
    )
