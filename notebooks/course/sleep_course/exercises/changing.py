"""Checks of the exercises in notebook 4, *What changes in the matrix*."""

from __future__ import annotations

from typing import Any

import numpy as np

from sleep_course import audits
from sleep_course.exercises.check import (
    Words,
    call_for_number,
    close,
    compare,
    exercise,
    lesson,
    refuse,
    right_elsewhere,
)

KEYS, VALUES = 4, 3
WORDS = lesson("changing")


@exercise(WORDS["effective_rank"])
def check_effective_rank(say: Words, effective_rank: Any) -> None:
    """Exercise 1: ``effective_rank(S)`` is exp of the entropy of the singular values' shares."""

    def given(*singular: float) -> float:
        left, _, right = np.linalg.svd(np.random.default_rng(1).standard_normal((4, 4)))
        return call_for_number(effective_rank, left @ np.diag(singular) @ right, hint=say.hint)

    found = given(2.0, 2.0, 2.0, 2.0)
    for name, wrong in (("entropy", np.log(4)), ("log2", np.exp(2)), ("no minus", 1 / 4)):
        say.when(close(found, wrong), name)
    say.when(not close(found, 4), "even", found=f"{found:.3g}")
    found = given(4.0, 2.0, 1.0, 1.0)
    share, square = np.array([4, 2, 1, 1]) / 8, np.array([16, 4, 1, 1]) / 22
    if not close(found, np.exp(-(share * np.log(share)).sum())):
        mistakes = {
            "squares": np.exp(-(square * np.log(square)).sum()),
            "participation": [1 / (share**2).sum(), 1 / (square**2).sum()],
            "count": 4,
        }
        refuse(say, found, mistakes)
    say.when(not close(given(400.0, 200.0, 100.0, 100.0), found), "scale")
    generator = np.random.default_rng(12)
    right_elsewhere(
        effective_rank,
        _effective_rank,
        {
            "with other singular values": (generator.standard_normal((4, 4)),),
            "of another size": (generator.standard_normal((6, 6)),),
            "that is not square": (generator.standard_normal((3, 7)),),
        },
    )


@exercise(WORDS["two_step_ratio"])
def check_two_step_ratio(say: Words, two_step_ratio: Any) -> None:
    """Exercise 2: ``two_step_ratio(states)``, from the second pass on."""
    states = np.random.default_rng(2).standard_normal((6, KEYS, VALUES))
    one, two = _norms(states[1:] - states[:-1]), _norms(states[2:] - states[:-2])
    way = one[1:] + one[:-1]
    compare(
        say,
        two_step_ratio,
        _two_step_ratio,
        (states,),
        mistakes={
            "upside down": way / two,
            "one step": [two / one[1:], two / one[:-1]],
            "mean": 2 * two / way,
            "units of S": two / _norms(states[2:]),
            "shrinking": one[1:] / one[:-1],
            "numerator": one[1:] / way,
        },
        elsewhere={
            "of other states": (states[::-1] + 1,),
            "of two passes": (states[:3],),
            "of another size": (np.random.default_rng(22).standard_normal((4, 2, 5)),),
        },
    )


@exercise(WORDS["distances"])
def check_distances(say: Words, distances: Any) -> None:
    """Exercise 3: ``distances(states, longer)``: to the end of the longer run."""
    generator = np.random.default_rng(3)
    longer = generator.standard_normal((9, KEYS, VALUES))
    states, others = longer[:5], generator.standard_normal((4, KEYS, VALUES))
    last, norms = _norms(states - states[-1]), _norms(states)
    size, apart = _norms(longer[-1:]), _norms(states - longer[-1])
    compare(
        say,
        distances,
        lambda s, e: _norms(s - e[-1]) / np.linalg.norm(e[-1]),
        (states, longer),
        mistakes={
            "own end": [last / norms[-1], last],
            "no units": apart,
            "own norm": apart / norms,
            "norms": np.abs(norms - size) / size,
            "one more": _norms(states - longer[5]) / _norms(longer[5:6]),
        },
        elsewhere={
            "whose states are not the first of the longer run": (others, longer),
            "with a longer run of another length": (states, longer[:7]),
            "whose states are as many as the longer run's": (others, longer[:4]),
            "of another size": (others[..., :2], longer[..., :2]),
        },
    )


@exercise(WORDS["own_value"])
def check_own_value(say: Words, own_value: Any) -> None:
    """Exercise 4: ``own_value(S, keys, values)``: share of tokens that get their own value back."""

    def right(state: np.ndarray, keys: np.ndarray, values: np.ndarray) -> float:
        square = keys.shape[1] == values.shape[1]
        return own_value_by_mistake(state, keys, values, square=square)["right"]

    generator = np.random.default_rng(OWN_VALUE_SEED)
    keys, values = generator.standard_normal((2, TOKENS, KEYS))
    values *= np.linspace(0.3, 3.0, TOKENS)[:, None]
    state = np.linalg.pinv(keys) @ values + 0.8 * generator.standard_normal((KEYS, KEYS))
    shares = own_value_by_mistake(state, keys, values)
    share = shares.pop("right")
    wide = generator.standard_normal((KEYS, VALUES))
    order = ("wrong side", "product", "distance", "unsigned", "whose key")
    compare(
        say,
        own_value,
        right,
        (state, keys, values),
        mistakes={**{name: shares[name] for name in order}, "how many": TOKENS * share},
        elsewhere={
            "with another S": (state[::-1].copy(), keys, values),
            "with other keys": (state, keys[::-1].copy(), values),
            "with other values": (state, keys, np.abs(values)),
            "with fewer tokens": (state, keys[:5], values[:5]),
            "where keys are longer than values": (wide, keys, values[:, :VALUES]),
        },
        right=f"{share:.2f}",
        tokens=TOKENS,
    )


def _norms(matrices: np.ndarray) -> np.ndarray:
    return np.linalg.norm(matrices, axis=(1, 2))


def _effective_rank(state: np.ndarray) -> float:
    singular = np.linalg.svd(state, compute_uv=False)
    share = singular / singular.sum()
    return float(np.exp(-(share * np.log(share)).sum()))


def _two_step_ratio(states: np.ndarray) -> np.ndarray:
    one = _norms(states[1:] - states[:-1])
    return _norms(states[2:] - states[:-2]) / (one[1:] + one[:-1])


TOKENS = 12
OWN_VALUE_SEED = 1983  # one that tells all of these apart


def own_value_by_mistake(
    state: np.ndarray, keys: np.ndarray, values: np.ndarray, *, square: bool = True
) -> dict[str, float]:
    """Return the share of tokens retrieved, and what each usual mistake makes of it."""

    def share(likeness: np.ndarray) -> float:
        return float((likeness.argmax(1) == np.arange(len(keys))).mean())

    def unit(vectors: np.ndarray) -> np.ndarray:
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    returned = keys @ state
    apart = np.linalg.norm(returned[:, None] - values[None], axis=-1)
    other_side = {"wrong side": share(unit(keys @ state.T) @ unit(values).T)} if square else {}
    return {
        "right": share(unit(returned) @ unit(values).T),
        **other_side,
        "product": share(returned @ values.T),
        "distance": share(-apart),
        "unsigned": share(np.abs(unit(returned) @ unit(values).T)),
        "whose key": share(unit(values) @ unit(returned).T),
    }


@exercise(WORDS["cka"])
def check_cka(say: Words, cka: Any) -> None:
    """Exercise 5: ``cka(x, y)`` is the usual linear CKA of ``[example, feature]``."""
    generator = np.random.default_rng(4)
    x, y = generator.standard_normal((6, 3)) + 1, generator.standard_normal((6, 5)) - 2
    wide, other = generator.standard_normal((2, 9, 4))

    def cosine(x: np.ndarray, y: np.ndarray) -> float:
        a, b = x @ x.T, y @ y.T
        return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))

    def centred(axis: int | None) -> float:
        return cosine(*(z - z.mean(axis=axis, keepdims=True) for z in (x, y)))

    right = centred(0)
    a, b = (z @ z.T for z in (x - x.mean(0), y - y.mean(0)))
    compare(
        say,
        cka,
        audits.cka,
        (x, y),
        mistakes={
            "not centred": cosine(x, y),
            "each example": centred(1),
            "one mean": centred(None),
            "no lengths": (a * b).sum(),
            "no root": (a * b).sum() / ((a * a).sum() * (b * b).sum()),
            "square": right**2,
        },
        elsewhere={
            "where both are the same": (x, x),
            "the other way round": (y, x),
            "in other units": (100 * x, y + 7),
            "with more examples": (wide, wide + other),
        },
        right=f"{right:.3f}",
    )
