"""Checks of the exercises in notebook 4, *What changes in the matrix*."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sleep_course import audits
from sleep_course.exercises.check import Compared, lesson

KEYS, VALUES = 4, 3
WORDS = lesson("changing")


def _of_shares(power: float, measure: Callable[[np.ndarray], float]) -> Callable[..., float]:
    """Return a measure of the shares of the singular values, each to a power."""

    def found(state: np.ndarray) -> float:
        singular = np.linalg.svd(state, compute_uv=False) ** power
        return measure(singular / singular.sum())

    return found


def _entropy(share: np.ndarray) -> float:
    return float(-(share * np.log(share)).sum())


def _with_singular_values(*singular: float) -> np.ndarray:
    left, _, right = np.linalg.svd(np.random.default_rng(1).standard_normal((4, 4)))
    return left @ np.diag(singular) @ right


UNEVEN, DRAWN = _with_singular_values(4, 2, 1, 1), np.random.default_rng(12)

# exercise 1: effective_rank(S) is exp of the entropy of the singular values' shares
check_effective_rank = Compared(
    WORDS["effective_rank"],
    _of_shares(1, lambda share: np.exp(_entropy(share))),
    (UNEVEN,),
    mistakes={
        "entropy": _of_shares(1, _entropy),
        "log2": _of_shares(1, lambda share: np.exp(_entropy(share) / np.log(2))),
        "no minus": _of_shares(1, lambda share: np.exp(-_entropy(share))),
        "squares": _of_shares(2, lambda share: np.exp(_entropy(share))),
        "participation": [
            _of_shares(1, lambda share: 1 / (share**2).sum()),
            _of_shares(2, lambda share: 1 / (share**2).sum()),
        ],
        "count": np.linalg.matrix_rank,
    },
    elsewhere={
        "even": (_with_singular_values(2, 2, 2, 2),),
        "scale": (100 * UNEVEN,),
        "with other singular values": (DRAWN.standard_normal((4, 4)),),
        "of another size": (DRAWN.standard_normal((6, 6)),),
        "that is not square": (DRAWN.standard_normal((3, 7)),),
    },
)


def _norms(matrices: np.ndarray) -> np.ndarray:
    return np.linalg.norm(matrices, axis=(1, 2))


def _steps(states: np.ndarray, apart: int = 1) -> np.ndarray:
    return _norms(states[apart:] - states[:-apart])


def _way(states: np.ndarray) -> np.ndarray:
    return _steps(states)[1:] + _steps(states)[:-1]


STATES = np.random.default_rng(2).standard_normal((6, KEYS, VALUES))

# exercise 2: two_step_ratio(states), from the second pass on
check_two_step_ratio = Compared(
    WORDS["two_step_ratio"],
    lambda s: _steps(s, 2) / _way(s),
    (STATES,),
    mistakes={
        "upside down": lambda s: _way(s) / _steps(s, 2),
        "one step": [
            lambda s: _steps(s, 2) / _steps(s)[1:],
            lambda s: _steps(s, 2) / _steps(s)[:-1],
        ],
        "mean": lambda s: 2 * _steps(s, 2) / _way(s),
        "units of S": lambda s: _steps(s, 2) / _norms(s[2:]),
        "shrinking": lambda s: _steps(s)[1:] / _steps(s)[:-1],
        "numerator": lambda s: _steps(s)[1:] / _way(s),
    },
    elsewhere={
        "of other states": (STATES[::-1] + 1,),
        "of two passes": (STATES[:3],),
        "of another size": (np.random.default_rng(22).standard_normal((4, 2, 5)),),
    },
)


def _distances(states: np.ndarray, longer: np.ndarray) -> np.ndarray:
    return _norms(states - longer[-1]) / np.linalg.norm(longer[-1])


LONGER = np.random.default_rng(3).standard_normal((13, KEYS, VALUES))
LONGER, OTHERS = LONGER[:9], LONGER[9:]

# exercise 3: distances(states, longer), to the end of the longer run
check_distances = Compared(
    WORDS["distances"],
    _distances,
    (LONGER[:5], LONGER),
    mistakes={
        "own end": [lambda s, longer: _distances(s, s), lambda s, longer: _norms(s - s[-1])],
        "no units": lambda s, longer: _norms(s - longer[-1]),
        "own norm": lambda s, longer: _norms(s - longer[-1]) / _norms(s),
        "norms": lambda s, longer: abs(_norms(s) / np.linalg.norm(longer[-1]) - 1),
        "one more": lambda s, longer: _distances(s, longer[: len(s) + 1]),
    },
    elsewhere={
        "whose states are not the first of the longer run": (OTHERS, LONGER),
        "with a longer run of another length": (LONGER[:5], LONGER[:7]),
        "whose states are as many as the longer run's": (OTHERS, LONGER[:4]),
        "of another size": (OTHERS[..., :2], LONGER[..., :2]),
    },
)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _own(likeness: np.ndarray) -> float:
    return float((likeness.argmax(1) == np.arange(len(likeness))).mean())


def _cosines(state: np.ndarray, keys: np.ndarray, values: np.ndarray) -> np.ndarray:
    return _unit(keys @ state) @ _unit(values).T


def _apart(state: np.ndarray, keys: np.ndarray, values: np.ndarray) -> np.ndarray:
    return np.linalg.norm((keys @ state)[:, None] - values, axis=-1)


def _noisy_memory() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return S, keys and values for which all usual mistakes give different shares."""
    generator = np.random.default_rng(1983)
    keys, values = generator.standard_normal((2, TOKENS, KEYS))
    values *= np.linspace(0.3, 3.0, TOKENS)[:, None]
    return np.linalg.pinv(keys) @ values + 0.8 * generator.standard_normal((4, 4)), keys, values


TOKENS = 12
S, K, V = _noisy_memory()

# exercise 4: own_value(S, keys, values), the share of tokens that get their own value back
check_own_value = Compared(
    WORDS["own_value"],
    lambda s, keys, values: _own(_cosines(s, keys, values)),
    (S, K, V),
    mistakes={
        "wrong side": lambda s, keys, values: _own(_cosines(s.T, keys, values)),
        "product": lambda s, keys, values: _own(keys @ s @ values.T),
        "distance": lambda s, keys, values: _own(-_apart(s, keys, values)),
        "unsigned": lambda s, keys, values: _own(abs(_cosines(s, keys, values))),
        "whose key": lambda s, keys, values: _own(_cosines(s, keys, values).T),
        "how many": lambda s, keys, values: len(keys) * _own(_cosines(s, keys, values)),
    },
    elsewhere={
        "with another S": (S[::-1].copy(), K, V),
        "with other keys": (S, K[::-1].copy(), V),
        "with other values": (S, K, abs(V)),
        "with fewer tokens": (S, K[:5], V[:5]),
        "where keys are longer than values": (S[:, :VALUES], K, V[:, :VALUES]),
    },
    values=lambda found, right: {"right": f"{right:.2f}", "tokens": TOKENS},
)


def _likeness(x: np.ndarray, y: np.ndarray, power: float = 0.5) -> float:
    """Return the product of the inner products, over the `power` of that of their squares."""
    a, b = x @ x.T, y @ y.T
    return float((a * b).sum() / ((a * a).sum() * (b * b).sum()) ** power)


def _centred(x: np.ndarray, y: np.ndarray, axis: int | None = 0) -> tuple[np.ndarray, np.ndarray]:
    return x - x.mean(axis=axis, keepdims=True), y - y.mean(axis=axis, keepdims=True)


NARROW, BROAD, WIDE, OTHER = (
    np.random.default_rng(seed).standard_normal(shape)
    for seed, shape in enumerate(((6, 3), (6, 5), (9, 4), (9, 4)), 4)
)

# exercise 5: cka(x, y) is the usual linear CKA of [example, feature]
check_cka = Compared(
    WORDS["cka"],
    audits.cka,
    (NARROW + 1, BROAD - 2),
    mistakes={
        "not centred": _likeness,
        "each example": lambda x, y: _likeness(*_centred(x, y, axis=1)),
        "one mean": lambda x, y: _likeness(*_centred(x, y, axis=None)),
        "no lengths": lambda x, y: _likeness(*_centred(x, y), power=0),
        "no root": lambda x, y: _likeness(*_centred(x, y), power=1),
        "square": lambda x, y: audits.cka(x, y) ** 2,
    },
    elsewhere={
        "where both are the same": (NARROW, NARROW),
        "the other way round": (BROAD, NARROW),
        "in other units": (100 * NARROW, BROAD + 7),
        "with more examples": (WIDE, WIDE + OTHER),
    },
    values=lambda found, right: {"right": f"{right:.3f}"},
)
