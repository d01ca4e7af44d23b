"""Checks of the exercises in notebook 4, *What changes in the matrix*."""

from __future__ import annotations

from typing import Any

import numpy as np

from sleep_course.exercises.check import NotYet, call_for_array, close, exercise, right_elsewhere

KEYS, VALUES = 4, 3


@exercise
def check_effective_rank(effective_rank: Any) -> str:
    """Exercise 1: ``effective_rank(S)`` is exp of the entropy of the singular values' shares."""
    hint = "p = s / s.sum(); the entropy is -(p * log p).sum(); then exp."

    def given(*singular: float) -> float:
        left, _, right = np.linalg.svd(np.random.default_rng(1).standard_normal((4, 4)))
        state = left @ np.diag(singular) @ right
        return float(call_for_array(effective_rank, state, shape=(), hint=hint))

    found = given(2.0, 2.0, 2.0, 2.0)
    if close(found, np.log(4)):
        raise NotYet("that is the entropy, in nats: exp of it is a number of directions.")
    if close(found, np.exp(2)):
        raise NotYet("log2 and exp do not belong together: np.log goes with np.exp.")
    if close(found, np.exp(-np.log(4))):
        raise NotYet("the entropy has a minus in front: no rank is less than 1.")
    if not close(found, 4):
        raise NotYet(
            f"four directions used evenly are 4 directions; yours gives {found:.3g}. {hint}"
        )
    found = given(4.0, 2.0, 1.0, 1.0)
    share = np.array([0.5, 0.25, 0.125, 0.125])
    square = np.array([16, 4, 1, 1]) / 22
    if close(found, np.exp(-(square * np.log(square)).sum())):
        raise NotYet("that squares the singular values first: here each counts as it is.")
    if close(found, 1 / (share**2).sum()) or close(found, 1 / (square**2).sum()):
        raise NotYet("that is a participation ratio, a sum of squares: here it is the entropy.")
    if close(found, 4):
        raise NotYet("4, 2, 1 and 1 are not used evenly: it should be less than 4. Not the number "
                     "of singular values, but how evenly they share.")  # fmt: skip
    if not close(found, np.exp(-(share * np.log(share)).sum())):
        raise NotYet(f"for 4, 2, 1, 1 it is 3.36; yours gives {found:.3g}. {hint}")
    if not close(given(400.0, 200.0, 100.0, 100.0), found):
        raise NotYet("a hundred times the same matrix uses as many directions: divide by the sum.")
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
    return "a number of directions, and one that does not jump where a tiny one is added."


@exercise
def check_two_step_ratio(two_step_ratio: Any) -> str:
    """Exercise 2: ``two_step_ratio(states)``, from the second pass on."""
    hint = "|S_n - S_(n-2)| divided by the sum of the two steps in between, for n = 2, 3, ..."
    states = np.random.default_rng(2).standard_normal((6, KEYS, VALUES))
    one = np.linalg.norm(states[1:] - states[:-1], axis=(1, 2))
    two = np.linalg.norm(states[2:] - states[:-2], axis=(1, 2))
    found = call_for_array(two_step_ratio, states, shape=(4,), hint=hint)
    if close(found, two / (one[1:] + one[:-1])):
        other = np.random.default_rng(22).standard_normal((4, 2, 5))
        right_elsewhere(
            two_step_ratio,
            _two_step_ratio,
            {
                "of other states": (states[::-1] + 1,),
                "of two passes": (states[:3],),
                "of another size": (other,),
            },
        )
        return "1 straight on, 0 back where it was: what the size of a step does not tell."
    if close(found, (one[1:] + one[:-1]) / two):
        raise NotYet("upside down: the two steps as one jump go above, their sum below.")
    if close(found, two / one[1:]) or close(found, two / one[:-1]):
        raise NotYet("that divides by one of the steps; two have been made, so add both.")
    if close(found, 2 * two / (one[1:] + one[:-1])):
        raise NotYet("that divides by their mean: straight on should be 1, not 2.")
    if close(found, two / np.linalg.norm(states[2:], axis=(1, 2))):
        raise NotYet("that measures in units of S; here it is in units of the path travelled.")
    if close(found, one[1:] / one[:-1]):
        raise NotYet("that is how much steps shrink. Both courses have that in common.")
    if close(found, one[1:] / (one[1:] + one[:-1])):
        raise NotYet("the numerator should be S_n - S_(n-2): where it is now, and two passes ago.")
    raise NotYet(f"not |S_n - S_(n-2)| / (step_n + step_(n-1)) yet. {hint}")


@exercise
def check_distances(distances: Any) -> str:
    """Exercise 3: ``distances(states, longer)``: to the end of the longer run."""
    hint = "S* is longer[-1]; one norm for each pass: np.linalg.norm(x, axis=(1, 2))."
    generator = np.random.default_rng(3)
    longer = generator.standard_normal((9, KEYS, VALUES))
    states = longer[:5]
    found = call_for_array(distances, states, longer, shape=(5,), hint=hint)

    def apart(end: np.ndarray) -> np.ndarray:
        return np.linalg.norm(states - end, axis=(1, 2))

    size = float(np.linalg.norm(longer[-1]))
    if close(found, apart(longer[-1]) / size):
        others = generator.standard_normal((4, KEYS, VALUES))
        right_elsewhere(
            distances,
            lambda s, e: np.linalg.norm(s - e[-1], axis=(1, 2)) / np.linalg.norm(e[-1]),
            {
                "whose states are not the first of the longer run": (others, longer),
                "with a longer run of another length": (states, longer[:7]),
                "whose states are as many as the longer run's": (others, longer[:4]),
                "of another size": (others[..., :2], longer[..., :2]),
            },
        )
        return "measured to where a longer sleep ends, not to where this one was broken off."
    last = apart(states[-1])
    if close(found, last / np.linalg.norm(states[-1])) or close(found, last):
        raise NotYet("the last one is 0, whatever happened: S* is the end of the *longer* run.")
    if close(found, apart(longer[-1])):
        raise NotYet("divide by the norm of S*, or nobody can tell whether that is far.")
    if close(found, apart(longer[-1]) / np.linalg.norm(states, axis=(1, 2))):
        raise NotYet("in units of S*, the same for every pass: S_n itself grows.")
    if close(found, np.abs(np.linalg.norm(states, axis=(1, 2)) - size) / size):
        raise NotYet("two matrices of the same norm can be far apart: subtract first, then norm.")
    if close(found, apart(longer[len(states)]) / np.linalg.norm(longer[len(states)])):
        raise NotYet("one pass more is not a longer run: take the last one, longer[-1].")
    raise NotYet(f"not |S_n - S*| / |S*| yet. {hint}")


@exercise
def check_own_value(own_value: Any) -> str:
    """Exercise 4: ``own_value(S, keys, values)``: share of tokens that get their own value back."""
    hint = "keys @ S is what comes back for every key; then cosines with all values, and argmax."
    generator = np.random.default_rng(OWN_VALUE_SEED)
    keys, values = generator.standard_normal((2, TOKENS, KEYS))
    values *= np.linspace(0.3, 3.0, TOKENS)[:, None]
    state = np.linalg.pinv(keys) @ values + 0.8 * generator.standard_normal((KEYS, KEYS))
    found = float(call_for_array(own_value, state, keys, values, shape=(), hint=hint))
    shares = own_value_by_mistake(state, keys, values)
    if close(found, shares["right"]):
        wide = generator.standard_normal((KEYS, VALUES))
        right_elsewhere(
            own_value,
            lambda s, k, v: own_value_by_mistake(s, k, v)["right"],
            {
                "with another S": (state[::-1].copy(), keys, values),
                "with other keys": (state, keys[::-1].copy(), values),
                "with other values": (state, keys, np.abs(values)),
                "with fewer tokens": (state, keys[:5], values[:5]),
            },
        )
        right_elsewhere(
            own_value,
            lambda s, k, v: own_value_by_mistake(s, k, v, square=False)["right"],
            {"where keys are longer than values": (wide, keys, values[:, :VALUES])},
        )
        return "by direction, whatever the decay has left of it; chance is 1 / number of tokens."
    told = {
        "wrong side": "the other side of S: rows are keys, so it is S.T @ k, or keys @ S.",
        "product": "a long value wins every product: divide by the lengths, as a cosine does.",
        "distance": "that is the nearest by distance; a value that faded is still that value.",
        "unsigned": "what comes back with the wrong sign is not that value: no abs.",
        "whose key": "for each *key* the best of all values: the argmax goes over values.",
    }
    for name, words in told.items():
        if close(found, shares[name]):
            raise NotYet(words)
    if close(found, TOKENS * shares["right"]):
        raise NotYet("that is how many; divide by the number of tokens.")
    raise NotYet(
        f"here it is {shares['right']:.2f} of {TOKENS} tokens; yours gives {found:.3g}. {hint}"
    )


def _effective_rank(state: np.ndarray) -> float:
    singular = np.linalg.svd(state, compute_uv=False)
    share = singular / singular.sum()
    return float(np.exp(-(share * np.log(share)).sum()))


def _two_step_ratio(states: np.ndarray) -> np.ndarray:
    one = np.linalg.norm(states[1:] - states[:-1], axis=(1, 2))
    return np.linalg.norm(states[2:] - states[:-2], axis=(1, 2)) / (one[1:] + one[:-1])


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


@exercise
def check_cka(cka: Any) -> str:
    """Exercise 5: ``cka(x, y)`` is the usual linear CKA of ``[example, feature]``."""
    hint = "Centre, a = x @ x.T, b = y @ y.T, then the cosine of a and b as two long vectors."
    generator = np.random.default_rng(4)
    x, y = generator.standard_normal((6, 3)) + 1, generator.standard_normal((6, 5)) - 2
    found = float(call_for_array(cka, x, y, shape=(), hint=hint))

    def cosine(x: np.ndarray, y: np.ndarray) -> float:
        a, b = x @ x.T, y @ y.T
        return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))

    def centred(x: np.ndarray, axis: int | None) -> np.ndarray:
        return x - x.mean(axis=axis, keepdims=True)

    right = cosine(centred(x, 0), centred(y, 0))
    a, b = (z @ z.T for z in (centred(x, 0), centred(y, 0)))
    if close(found, right):
        wide, other = generator.standard_normal((2, 9, 4))
        right_elsewhere(
            cka,
            lambda x, y: cosine(centred(x, 0), centred(y, 0)),
            {
                "where both are the same": (x, x),
                "the other way round": (y, x),
                "in other units": (100 * x, y + 7),
                "with more examples": (wide, wide + other),
            },
        )
        return "right, and biased: see next what it says of noise."
    if close(found, cosine(x, y)):
        raise NotYet("take away each feature's mean first, or what all examples share counts.")
    if close(found, cosine(centred(x, 1), centred(y, 1))):
        raise NotYet("that takes away each example's mean; a feature's mean is over examples.")
    if close(found, cosine(centred(x, None), centred(y, None))):
        raise NotYet("every feature has its own mean: x.mean(0).")
    if close(found, (a * b).sum()):
        raise NotYet("divide by the lengths of both, as a cosine does.")
    if close(found, (a * b).sum() / ((a * a).sum() * (b * b).sum())):
        raise NotYet("the square root is missing in the denominator.")
    if close(found, right**2):
        raise NotYet("that is its square.")
    raise NotYet(f"here it is {right:.3f}; yours gives {found:.3g}. {hint}")
