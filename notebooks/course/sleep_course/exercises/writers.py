"""Checks of the exercises in notebook 5, *Who wrote this?*."""

from __future__ import annotations

from typing import Any

import numpy as np

from sleep_course.exercises.check import Compared, Others, Words, close, exercise, lesson
from sleep_course.writers import Write, changed_by

KEYS, VALUES = 3, 2
WORDS = lesson("writers")

Later = list[tuple[np.ndarray, float, float]]


def _carry(part: np.ndarray, k: np.ndarray, beta: float, a: float) -> np.ndarray:
    return a * (part - beta * np.outer(k, part.T @ k))


def _matrix(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape or (KEYS, VALUES))


C, K = _matrix(1), np.array([2.0, -1.0, 2.0]) / 3

# exercise 1: carry(C, k, beta, a) is a (I - beta k k^T) C
check_carry = Compared(
    WORDS["carry"],
    _carry,
    (C, K, 0.6, 0.8),
    mistakes={
        "no decay": lambda c, k, beta, a: _carry(c, k, beta, 1.0),
        "decay alone": lambda c, k, beta, a: a * c,
        "undecayed key": lambda c, k, beta, a: a * c - beta * np.outer(k, c.T @ k),
        "no beta": lambda c, k, beta, a: _carry(c, k, 1.0, a),
        "sign": lambda c, k, beta, a: _carry(c, k, -beta, a),
        "everything": lambda c, k, beta, a: a * (1 - beta) * c,
    },
    elsewhere={
        "with another beta": (C, K, 0.9, 0.8),
        "with beta = 0": (C, K, 0.0, 0.8),
        "with another decay": (C, K, 0.6, 0.3),
        "with no decay, a = 1": (C, K, 0.6, 1.0),
        "with another key": (C, K[[1, 0, 2]], 0.6, 0.8),
        "of another size": (_matrix(9, 2, 5), np.array([0.6, 0.8]), 0.7, 0.5),
    },
)


def _wrote(writes: list[Write]) -> np.ndarray:
    return np.array([beta * np.outer(k, v) for k, v, beta, _ in writes])


def _through(part: np.ndarray, writes: list[Write]) -> np.ndarray:
    for k, _, beta, a in writes:
        part = _carry(part, k, beta, a)
    return part


def _contributions(writes: list[Write], *, own: int = 1) -> np.ndarray:
    """Return ``[token, key, value]``: what each token wrote, carried through those after it."""
    return np.array([_through(c, writes[i + own :]) for i, c in enumerate(_wrote(writes))])


def _earlier(writes: list[Write]) -> np.ndarray:
    return np.array([_through(c, writes[:i]) for i, c in enumerate(_wrote(writes))])


def _states(writes: list[Write]) -> np.ndarray:
    return np.array([_contributions(writes[:n]).sum(0) for n in range(1, len(writes) + 1)])


def _no_beta(writes: list[Write]) -> np.ndarray:
    strength = np.array([beta for *_, beta, _ in writes])
    return _contributions(writes) / strength[:, None, None]


def _decays(writes: list[Write], *, own: int = 1) -> np.ndarray:
    """Return ``[token, key, value]``: what each wrote, times the decays of those after it."""
    later = [np.prod([a for *_, a in writes[i + own :]]) for i in range(len(writes))]
    return _wrote(writes) * np.array(later)[:, None, None]


def _writes(seed: int) -> list[Write]:
    """Return a few writes (k, v, beta, a) with keys of length 1."""
    generator = np.random.default_rng(seed)
    writes = []
    for beta, a in zip((0.9, 0.5, 0.7, 0.8), (0.95, 0.7, 0.85, 0.6), strict=True):
        k = generator.standard_normal(KEYS)
        writes.append((k / np.linalg.norm(k), generator.standard_normal(VALUES), beta, a))
    return writes


SHAPES: Others = {(KEYS, VALUES): "one matrix", None: "count"}
PAIR = np.array([0.6, 0.8])
OTHER_WRITES = {
    "with other writes": (_writes(7),),
    "with the writes in another order": (_writes(2)[::-1],),
    "with a single write": (_writes(8)[:1],),
    "of another size": ([(PAIR, _matrix(6, 4), 0.4, 0.9), (PAIR[::-1], np.ones(4), 0.7, 0.5)],),
}


def _of_state(found: np.ndarray, right: np.ndarray) -> dict[str, Any]:
    apart = np.linalg.norm(found.sum(0) - right.sum(0)) / np.linalg.norm(right.sum(0))
    return {"apart": f"{apart:.0%}"}


# exercise 2: contributions(writes) is one matrix for each write, at the end
check_contributions = Compared(
    WORDS["contributions"],
    _contributions,
    (_writes(2),),
    shapes=SHAPES,
    mistakes={
        "one matrix": lambda writes: _contributions(writes).sum(0),
        "count": lambda writes: _contributions(writes)[1:],
        "not carried": _wrote,
        "own step": lambda writes: _contributions(writes, own=0),
        "earlier": _earlier,
        "decays": _decays,
        "errors": changed_by,
        "states": _states,
        "no beta": _no_beta,
        "reversed": lambda writes: _contributions(writes)[::-1],
    },
    traits={"same sum": lambda found, right: close(found.sum(0), right.sum(0))},
    elsewhere=OTHER_WRITES,
    values=_of_state,
)


@exercise(WORDS["share"])
def check_share(say: Words, share: Any) -> None:
    """Exercise 3: ``share(part, S)`` is the projection of the part on S, in units of ``|S|^2``."""
    generator = np.random.default_rng(3)
    parts = generator.standard_normal((3, KEYS, VALUES))
    parts[2] -= 0.5 * parts[:2].sum(0)  # works against the others
    whole = parts.sum(0)
    found = np.array([say.number(share, part, whole) for part in parts])
    size, sizes = np.linalg.norm(whole), np.linalg.norm(parts, axis=(1, 2))
    along = (parts * whole).sum((1, 2))
    if not close(found, along / size**2):
        mistakes = {
            "norms": sizes / size,
            "squares": sizes**2 / size**2,
            "cosine": along / (size * sizes),
            "no sign": np.abs(along) / size**2,
            "one norm": along / size,
            "no units": along,
            "entries": parts.sum((1, 2)) / whole.sum(),
        }
        say.refuse(found, mistakes, sum=f"{found.sum():.2f}")
    whole = generator.standard_normal((4, 5))
    say.elsewhere(
        share,
        lambda c, s: (c * s).sum() / (s * s).sum(),
        {
            "where S is its own part": (whole, whole),
            "with a part that has nothing to do with S": (whole[::-1].copy(), 3 * whole),
            "with a part of whole numbers": (np.arange(6).reshape(2, 3), whole[:2, :3]),
        },
    )


# exercise 4: decays_only(writes), what would stand at the end if nothing were removed
check_decays_only = Compared(
    WORDS["decays_only"],
    _decays,
    (_writes(4),),
    shapes=SHAPES,
    mistakes={
        "one matrix": lambda writes: _decays(writes).sum(0),
        "right parts": _contributions,
        "not carried": _wrote,
        "own decay": lambda writes: _decays(writes, own=0),
        "all decays": lambda writes: _wrote(writes) * np.prod([a for *_, a in writes]),
        "errors": changed_by,
    },
    elsewhere=OTHER_WRITES,
)


def _kept(part: np.ndarray, later: Later) -> np.ndarray:
    """Return (decay, removal), the shares of the norm that each has left."""
    rest = _through(part, [(k, part[0], beta, 1.0) for k, beta, _ in later])
    decay = np.prod([a for *_, a in later])
    return np.array([decay, np.linalg.norm(rest) / np.linalg.norm(part)])


def _betas(part: np.ndarray, later: Later) -> list[float]:
    return [_kept(part, later)[0], float(np.prod([1 - beta for _, beta, _ in later]))]


PART = _matrix(5)
LATER = [(k, beta, a) for k, _, beta, a in _writes(5)]

# exercise 5: kept(C, later) is what decay left of the norm, and what removal left
check_kept = Compared(
    WORDS["kept"],
    _kept,
    (PART, LATER),
    shapes={(): "two numbers"},
    mistakes={
        "two numbers": lambda c, later: _kept(c, later)[0],
        "swapped": lambda c, later: _kept(c, later)[::-1],
        "with decay": lambda c, later: _kept(c, later) * [1, _kept(c, later)[0]],
        "gone": lambda c, later: abs(_kept(c, later) - [0, 1]),
        "matrix": lambda c, later: _kept(c, later) * [1, np.linalg.norm(c)],
        "betas": _betas,
        "backwards": lambda c, later: _kept(c, later[::-1]),
        "sum": lambda c, later: [sum(a for *_, a in later), _kept(c, later)[1]],
        "squares": lambda c, later: _kept(c, later) ** 2,
    },
    traits={"removal": lambda found, right: close(found[0], right[0])},
    elsewhere={
        "with another part": (_matrix(10, KEYS, 5), LATER),
        "with one later token": (PART, LATER[:1]),
        "with no later token": (PART, []),
        "with later tokens that do not decay": (PART, [(k, b, 1.0) for k, b, _ in LATER]),
        "with later tokens that remove nothing": (PART, [(k, 0.0, a) for k, _, a in LATER]),
    },
    values=lambda found, right: {
        "decay": f"{right[0]:.3f}",
        "removal": f"{right[1]:.3f}",
        "yours": f"{found[1]:.3f}",
    },
)
