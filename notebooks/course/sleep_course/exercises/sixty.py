"""Checks of the exercises in notebook 0, *Sleep in sixty lines*.

S is [batch, head, key, value], of four different sizes, so that no axis can be taken for another.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from sleep_course.exercises.check import Compared, lesson

WORDS = lesson("sixty")


def _delta(s: Tensor, k: Tensor, v: Tensor, beta: Tensor, held: Tensor | None = None) -> Tensor:
    """Add the outer product of k and what `held`, S itself if None, lacks of v for it."""
    asked = s if held is None else held
    missing = v - (k[..., None, :] @ asked)[..., 0, :]
    return s + beta[..., None, None] * k[..., None] * missing[..., None, :]


def _faded(s: Tensor, keep: Tensor) -> Tensor:
    return keep[..., None, None] * s


def _some(*sizes: int, seed: int) -> tuple[Tensor, ...]:
    """Return S, k, v, keep and beta, for sizes of batch, head, key and value."""
    draw = torch.Generator().manual_seed(seed)
    batch, heads, key, value = sizes
    shapes = ((batch, heads, key, value), (batch, heads, key), (batch, heads, value))
    state, k, v = (torch.randn(shape, generator=draw) for shape in shapes)
    keep, beta = (torch.rand(batch, heads, generator=draw) for _ in range(2))
    return state, k / k.norm(dim=-1, keepdim=True), v, keep, beta


GIVEN = _some(2, 3, 5, 4, seed=0)

# exercise 1: write(S, k, v, keep, beta) lets S fade, then applies the delta rule
check_write = Compared(
    WORDS["write"],
    lambda s, k, v, keep, beta: _delta(_faded(s, keep), k, v, beta),
    GIVEN,
    mistakes={
        "as it was": lambda s, k, v, keep, beta: s,
        "no fading": lambda s, k, v, keep, beta: _delta(s, k, v, beta),
        "old error": lambda s, k, v, keep, beta: _delta(_faded(s, keep), k, v, beta, held=s),
        "new fades": lambda s, k, v, keep, beta: _faded(_delta(s, k, v, beta), keep),
        "no error": lambda s, k, v, keep, beta: _delta(_faded(s, keep), k, v, beta, held=0 * s),
        "no beta": lambda s, k, v, keep, beta: _delta(_faded(s, keep), k, v, torch.ones(2, 3)),
        "sign": lambda s, k, v, keep, beta: _delta(_faded(s, keep), k, v, -beta),
    },
    elsewhere={
        "of another size": _some(1, 2, 4, 6, seed=1),
        "with keep = 1": (*GIVEN[:3], torch.ones(2, 3), GIVEN[4]),
        "with beta = 0": (*GIVEN[:4], torch.zeros(2, 3)),
        "with an empty S": (0 * GIVEN[0], *GIVEN[1:]),
    },
)


def _toy(h: float, s: float) -> tuple[float, float]:
    return 2 * h + 1, s + h


def _other(h: float, s: float) -> tuple[float, float]:
    return h - 3, 2 * s - h


def _last(h: float, s: float, n: int, one_pass: Callable[..., Any]) -> float:
    for _ in range(n - 1):
        h, _ = one_pass(h, s)
    return float(one_pass(h, s)[1])


def _passes(h: float, s: float, n: int, one_pass: Callable[..., Any]) -> tuple[float, float]:
    for _ in range(n):
        h, s = one_pass(h, s)
    return h, s


def _from_the_start(h: float, s: float, n: int, one_pass: Callable[..., Any]) -> float:
    for _ in range(n):
        s = one_pass(h, s)[1]
    return s


# exercise 2: sleep_on(h, S, n, one_pass) is S after N passes
check_sleep_on = Compared(
    WORDS["sleep_on"],
    lambda h, s, n, one_pass: _passes(h, s, n, one_pass)[1],
    (3.0, 5.0, 3, _toy),
    mistakes={
        "no pass": lambda h, s, n, one_pass: s,
        "h": lambda h, s, n, one_pass: _passes(h, s, n, one_pass)[0],
        "same h": _from_the_start,
        "same S": _last,
        "one pass": lambda h, s, n, one_pass: one_pass(h, s)[1],
        "one more": lambda h, s, n, one_pass: _passes(h, s, n + 1, one_pass)[1],
        "one fewer": lambda h, s, n, one_pass: _passes(h, s, n - 1, one_pass)[1],
    },
    shapes={(2,): WORDS["sleep_on"].texts["pair"]},
    elsewhere={
        "with another N": (3.0, 5.0, 5, _toy),
        "with N = 1": (3.0, 5.0, 1, _toy),
        "with another pass": (2.0, -1.0, 4, _other),
        "with other features and another S": (-1.5, 0.5, 2, _toy),
    },
)
