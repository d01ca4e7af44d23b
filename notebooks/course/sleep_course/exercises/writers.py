"""Checks of the exercises in notebook 5, *Who wrote this?*."""

from __future__ import annotations

from typing import Any

import numpy as np

from sleep_course.exercises.check import (
    NotYet,
    array_of,
    call,
    call_for_array,
    close,
    exercise,
    name_of,
    right_elsewhere,
)

KEYS, VALUES, TOKENS = 3, 2, 4


@exercise
def check_carry(carry: Any) -> str:
    """Exercise 1: ``carry(C, k, beta, a)`` is ``a (I - beta k k^T) C``."""
    hint = "a * (C - beta * np.outer(k, C.T @ k)): decay, and what the key takes along itself."
    generator = np.random.default_rng(1)
    part = generator.standard_normal((KEYS, VALUES))
    k = generator.standard_normal(KEYS)
    k /= np.linalg.norm(k)
    beta, a = 0.6, 0.8
    found = call_for_array(carry, part, k, beta, a, shape=(KEYS, VALUES), hint=hint)
    taken = np.outer(k, part.T @ k)
    if close(found, a * (part - beta * taken)):
        other = generator.standard_normal((2, 5))
        right_elsewhere(
            carry,
            lambda c, k, beta, a: a * (c - beta * np.outer(k, c.T @ k)),
            {
                "with another beta": (part, k, 0.9, a),
                "with beta = 0": (part, k, 0.0, a),
                "with another decay": (part, k, beta, 0.3),
                "with no decay, a = 1": (part, k, beta, 1.0),
                "with another key": (part, -k[::-1], beta, a),
                "of another size": (other, np.array([0.6, 0.8]), 0.7, 0.5),
            },
        )
        return "decayed, minus what lay along the key. The value that was written does not matter."
    if close(found, part - beta * taken):
        raise NotYet("the key's part is gone, but everything also decays: times a.")
    if close(found, a * part):
        raise NotYet("it decayed; the write also takes out what it finds along its key.")
    if close(found, a * part - beta * taken):
        raise NotYet("decay first: what the key finds has decayed too, so a multiplies everything.")
    if close(found, a * (part - taken)):
        raise NotYet("it takes out only the share beta of what it finds.")
    if close(found, a * (part + beta * taken)):
        raise NotYet("a minus: what the key finds is taken away.")
    if close(found, a * (1 - beta) * part):
        raise NotYet("only what lies along k is taken, not a share of everything: k (k . C).")
    raise NotYet(f"not a (I - beta k k^T) C yet. {hint}")


@exercise
def check_contributions(contributions: Any) -> str:
    """Exercise 2: ``contributions(writes)`` is one matrix for each write, at the end."""
    hint = "Start with beta * np.outer(k, v) of one token; carry it through every later one."
    writes = some_writes(2)
    parts = _matrices(contributions, writes, hint=hint)
    told = contributions_by_mistake(writes)
    right = told.pop("right")
    if close(parts, right):
        right_elsewhere(
            contributions, lambda w: contributions_by_mistake(w)["right"], _other_writes()
        )
        return "each token's own part, and together they are S, to the last digit."
    words = {
        "not carried": "that is what each one wrote; later tokens have taken from it since.",
        "own step": "a token's own step acts on what was there *before* it: begin with the next.",
        "earlier": "that carries each write through the tokens *before* it.",
        "decays": "they decay, but later keys take out too: use `carry` for each later token.",
        "errors": "they sum to S too! That is another way to keep the books: there each token "
        "has all that it changed. Here it has what it wrote, beta k v^T, and `carry` does the "
        "removing.",
        "states": "that is S after each token: all writes so far. One token's part is asked for.",
        "no beta": "a write has the strength beta: beta * np.outer(k, v).",
    }
    for name, sentence in words.items():
        if close(parts, told[name]):
            raise NotYet(sentence)
    if close(parts, right[::-1]):
        raise NotYet("right parts, in reverse order: the first write comes first.")
    if close(parts.sum(0), right.sum(0)):
        raise NotYet(f"they sum to S, but they are not what each token wrote. {hint}")
    apart = np.linalg.norm(parts.sum(0) - right.sum(0)) / np.linalg.norm(right.sum(0))
    raise NotYet(f"their sum is off from S by {apart:.0%} of its norm. {hint}")


@exercise
def check_share(share: Any) -> str:
    """Exercise 3: ``share(part, S)`` is the projection of the part on S, in units of ``|S|^2``."""
    hint = "Multiply element by element and sum; divide by the sum of the squares of S."
    generator = np.random.default_rng(3)
    parts = generator.standard_normal((3, KEYS, VALUES))
    parts[2] -= 0.5 * parts[:2].sum(0)  # works against the others
    whole = parts.sum(0)
    found = np.array(
        [float(call_for_array(share, part, whole, shape=(), hint=hint)) for part in parts]
    )
    size, sizes = np.linalg.norm(whole), np.linalg.norm(parts, axis=(1, 2))
    along = (parts * whole).sum((1, 2))
    if close(found, along / size**2):
        whole = generator.standard_normal((4, 5))
        right_elsewhere(
            share,
            lambda c, s: (c * s).sum() / (s * s).sum(),
            {
                "where S is its own part": (whole, whole),
                "with a part that has nothing to do with S": (whole[::-1].copy(), 3 * whole),
                "with a part of whole numbers": (np.arange(6).reshape(2, 3), whole[:2, :3]),
            },
        )
        return "signed, and all of them add up to 1."
    if close(found, sizes / size):
        raise NotYet(
            f"norms of parts that point elsewhere do not add up: these three give "
            f"{found.sum():.2f}. Take what lies along S."
        )
    if close(found, sizes**2 / size**2):
        raise NotYet(f"squares do not add up to 1 either ({found.sum():.2f}): parts overlap.")
    if close(found, along / (size * sizes)):
        raise NotYet("that is the cosine: which way it points, whatever its size.")
    if close(found, np.abs(along) / size**2):
        raise NotYet("a part that works against S has a share below 0: keep the sign.")
    if close(found, along / size):
        raise NotYet("divide by the square of the norm: the share of S in S is 1.")
    if close(found, along):
        raise NotYet("that is in units of S squared: divide by (S * S).sum().")
    if close(found, parts.sum((1, 2)) / whole.sum()):
        raise NotYet("a sum of entries is not a size: positive and negative ones cancel.")
    raise NotYet(f"not (part * S).sum() / (S * S).sum() yet. {hint}")


@exercise
def check_decays_only(decays_only: Any) -> str:
    """Exercise 4: ``decays_only(writes)``: what would stand at the end if nothing were removed."""
    hint = "beta * np.outer(k, v), times the decays a of all later tokens."
    writes = some_writes(4)
    parts = _matrices(decays_only, writes, hint=hint)
    told = contributions_by_mistake(writes)
    if close(parts, told["decays"]):
        right_elsewhere(
            decays_only, lambda w: contributions_by_mistake(w)["decays"], _other_writes()
        )
        return "a plausible formula, and right for a memory that only adds. Now measure it."
    if close(parts, told["right"]):
        raise NotYet("that is the exact one again: leave out the removal this time.")
    if close(parts, told["not carried"]):
        raise NotYet("later tokens let it decay: times their a.")
    if close(parts, told["own decay"]):
        raise NotYet("a token's decay comes before its write: its own a does not touch it.")
    if close(parts, told["all decays"]):
        raise NotYet("only what comes *after* a write makes it decay.")
    if close(parts, told["errors"]):
        raise NotYet("that writes v - S^T k, which is removal by another name. Write v itself.")
    raise NotYet(f"not beta k v^T times the later decays yet. {hint}")


@exercise
def check_kept(kept: Any) -> str:
    """Exercise 5: ``kept(C, later)`` is what decay left of the norm, and what removal left."""
    hint = "decay: the product of all a. removal: carry C with a = 1, and compare the norms."
    generator = np.random.default_rng(5)
    part = generator.standard_normal((KEYS, VALUES))
    later = [(k, beta, a) for k, _, beta, a in some_writes(5)]
    result = call(kept, part, later, hint=hint)
    if np.ndim(result) == 0 or len(result) != 2:
        raise NotYet(f"two numbers are expected, decay and removal. {hint}")
    decay, removal = array_of(result, name=name_of(kept), shape=(2,), hint=hint)
    told = kept_by_mistake(part, later)
    right = told["right"]
    found = (decay, removal)
    if close(found, right):
        other = generator.standard_normal((KEYS, 5))
        right_elsewhere(
            kept,
            lambda c, later: kept_by_mistake(c, later)["right"],
            {
                "with another part": (other, later),
                "with one later token": (part, later[:1]),
                "with no later token": (part, []),
                "with later tokens that do not decay": (part, [(k, b, 1.0) for k, b, _ in later]),
                "with later tokens that remove nothing": (part, [(k, 0.0, a) for k, _, a in later]),
            },
        )
        return "two factors, and their product is what is left of the norm, exactly."
    words = {
        "swapped": "right numbers, the other way round: decay first.",
        "with decay": "your removal has the decay in it as well: their product counts it twice.",
        "gone": "that is what removal *took*; what it left is asked for.",
        "matrix": "removal is a share of the norm: divide by the norm of C.",
        "betas": "beta is taken only from what lies along the key: carry C and look at its norm.",
        "backwards": "the first of the later tokens acts first: go through them in order.",
        "sum": "decays follow one another: multiply them.",
        "squares": "those are squared norms.",
    }
    for name, sentence in words.items():
        if close(found, told[name]):
            raise NotYet(sentence)
    if close(decay, right[0]):
        raise NotYet(f"decay is right; removal should be {right[1]:.3f}, not {removal:.3f}. {hint}")
    raise NotYet(f"here they are {right[0]:.3f} and {right[1]:.3f}. {hint}")


def some_writes(seed: int) -> list[tuple[np.ndarray, np.ndarray, float, float]]:
    """Return a few writes (k, v, beta, a) with keys of length 1."""
    generator = np.random.default_rng(seed)
    writes = []
    for beta, a in zip((0.9, 0.5, 0.7, 0.8), (0.95, 0.7, 0.85, 0.6), strict=True):
        k = generator.standard_normal(KEYS)
        writes.append((k / np.linalg.norm(k), generator.standard_normal(VALUES), beta, a))
    return writes


def _other_writes() -> dict[str, tuple[list[tuple[np.ndarray, np.ndarray, float, float]]]]:
    """Return writes of other lengths, sizes and order, by what is different about them."""
    generator = np.random.default_rng(6)
    k = np.array([0.6, 0.8])
    small = [(k, generator.standard_normal(4), 0.4, 0.9), (k[::-1], np.ones(4), 0.7, 0.5)]
    return {
        "with other writes": (some_writes(7),),
        "with the writes in another order": (some_writes(2)[::-1],),
        "with a single write": (some_writes(8)[:1],),
        "of another size": (small,),
    }


def contributions_by_mistake(
    writes: list[tuple[np.ndarray, np.ndarray, float, float]],
) -> dict[str, np.ndarray]:
    """Return ``[token, key, value]``: the right contributions, and what usual mistakes give."""
    count = len(writes)

    def step(i: int, part: np.ndarray) -> np.ndarray:
        k, _, beta, a = writes[i]
        return a * (part - beta * np.outer(k, part.T @ k))

    def through(part: np.ndarray, order: range) -> np.ndarray:
        for i in order:
            part = step(i, part)
        return part

    wrote = np.array([beta * np.outer(k, v) for k, v, beta, _ in writes])
    plain = np.array([np.outer(k, v) for k, v, _, _ in writes])
    decays = np.array([a for *_, a in writes])
    later = np.array([decays[i + 1 :].prod() for i in range(count)])[:, None, None]
    state, states, errors = np.zeros_like(wrote[0]), [], []
    for i, (k, v, beta, a) in enumerate(writes):
        errors.append(beta * np.outer(k, v - a * state.T @ k))
        state = step(i, state) + wrote[i]
        states.append(state)
    each = range(count)
    return {
        "right": np.array([through(wrote[i], range(i + 1, count)) for i in each]),
        "not carried": wrote,
        "own step": np.array([through(wrote[i], range(i, count)) for i in each]),
        "earlier": np.array([through(wrote[i], range(i)) for i in each]),
        "decays": wrote * later,
        "own decay": wrote * later * decays[:, None, None],
        "all decays": wrote * decays.prod(),
        "errors": np.array(errors) * later,
        "states": np.array(states),
        "no beta": np.array([through(plain[i], range(i + 1, count)) for i in each]),
    }


def kept_by_mistake(
    part: np.ndarray, later: list[tuple[np.ndarray, float, float]]
) -> dict[str, tuple[float, float]]:
    """Return (decay, removal): the right ones, and what usual mistakes give."""

    def left(order: list[tuple[np.ndarray, float, float]]) -> float:
        rest = part
        for k, beta, _ in order:
            rest = rest - beta * np.outer(k, rest.T @ k)
        return float(np.linalg.norm(rest))

    size = float(np.linalg.norm(part))
    decay = float(np.prod([a for *_, a in later]))
    removal = left(later) / size
    return {
        "right": (decay, removal),
        "swapped": (removal, decay),
        "with decay": (decay, decay * removal),
        "gone": (decay, 1 - removal),
        "matrix": (decay, left(later)),
        "betas": (decay, float(np.prod([1 - beta for _, beta, _ in later]))),
        "backwards": (decay, left(later[::-1]) / size),
        "sum": (float(sum(a for *_, a in later)), removal),
        "squares": (decay**2, removal**2),
    }


def _matrices(function: Any, writes: list[Any], *, hint: str) -> np.ndarray:
    """Call a learner's function, and take one matrix for each write from it."""
    found = call_for_array(function, writes, shape=None, hint=hint)
    if found.shape == (KEYS, VALUES):
        raise NotYet("that is one matrix: one for each token is asked for, not their sum.")
    if found.shape != (TOKENS, KEYS, VALUES):
        raise NotYet(
            f"{TOKENS} writes, so {TOKENS} matrices; yours has shape {found.shape}. {hint}"
        )
    return found
