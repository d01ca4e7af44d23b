"""Checks of the exercises in notebook 5, *Who wrote this?*."""

from __future__ import annotations

from typing import Any

import numpy as np

from sleep_course.exercises.check import (
    Words,
    array_of,
    call,
    call_for_array,
    call_for_number,
    close,
    compare,
    exercise,
    lesson,
    name_of,
    refuse,
    right_elsewhere,
)

KEYS, VALUES, TOKENS = 3, 2, 4
WORDS = lesson("writers")


@exercise(WORDS["carry"])
def check_carry(say: Words, carry: Any) -> None:
    """Exercise 1: ``carry(C, k, beta, a)`` is ``a (I - beta k k^T) C``."""
    generator = np.random.default_rng(1)
    part, k = generator.standard_normal((KEYS, VALUES)), generator.standard_normal(KEYS)
    k /= np.linalg.norm(k)
    beta, a = 0.6, 0.8
    taken = np.outer(k, part.T @ k)
    compare(
        say,
        carry,
        lambda c, k, beta, a: a * (c - beta * np.outer(k, c.T @ k)),
        (part, k, beta, a),
        mistakes={
            "no decay": part - beta * taken,
            "decay alone": a * part,
            "undecayed key": a * part - beta * taken,
            "no beta": a * (part - taken),
            "sign": a * (part + beta * taken),
            "everything": a * (1 - beta) * part,
        },
        elsewhere={
            "with another beta": (part, k, 0.9, a),
            "with beta = 0": (part, k, 0.0, a),
            "with another decay": (part, k, beta, 0.3),
            "with no decay, a = 1": (part, k, beta, 1.0),
            "with another key": (part, -k[::-1], beta, a),
            "of another size": (generator.standard_normal((2, 5)), np.array([0.6, 0.8]), 0.7, 0.5),
        },
    )


@exercise(WORDS["contributions"])
def check_contributions(say: Words, contributions: Any) -> None:
    """Exercise 2: ``contributions(writes)`` is one matrix for each write, at the end."""
    wrong = contributions_by_mistake(some_writes(2))
    right = wrong["right"]
    parts = _matrices(say, contributions, some_writes(2))
    if not close(parts, right):
        order = ("not carried", "own step", "earlier", "decays", "errors", "states", "no beta")
        mistakes = {**{name: wrong[name] for name in order}, "reversed": right[::-1]}
        if close(parts.sum(0), right.sum(0)):
            mistakes["same sum"] = parts
        apart = np.linalg.norm(parts.sum(0) - right.sum(0)) / np.linalg.norm(right.sum(0))
        refuse(say, parts, mistakes, apart=f"{apart:.0%}")
    right_elsewhere(contributions, lambda w: contributions_by_mistake(w)["right"], _other_writes())


@exercise(WORDS["share"])
def check_share(say: Words, share: Any) -> None:
    """Exercise 3: ``share(part, S)`` is the projection of the part on S, in units of ``|S|^2``."""
    generator = np.random.default_rng(3)
    parts = generator.standard_normal((3, KEYS, VALUES))
    parts[2] -= 0.5 * parts[:2].sum(0)  # works against the others
    whole = parts.sum(0)
    found = np.array([call_for_number(share, part, whole, hint=say.hint) for part in parts])
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
        refuse(say, found, mistakes, sum=f"{found.sum():.2f}")
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


@exercise(WORDS["decays_only"])
def check_decays_only(say: Words, decays_only: Any) -> None:
    """Exercise 4: ``decays_only(writes)``: what would stand at the end if nothing were removed."""
    wrong = contributions_by_mistake(some_writes(4))
    parts = _matrices(say, decays_only, some_writes(4))
    if not close(parts, wrong["decays"]):
        order = ("not carried", "own decay", "all decays", "errors")
        mistakes = {"right parts": wrong["right"], **{name: wrong[name] for name in order}}
        refuse(say, parts, mistakes)
    right_elsewhere(decays_only, lambda w: contributions_by_mistake(w)["decays"], _other_writes())


@exercise(WORDS["kept"])
def check_kept(say: Words, kept: Any) -> None:
    """Exercise 5: ``kept(C, later)`` is what decay left of the norm, and what removal left."""
    generator = np.random.default_rng(5)
    part = generator.standard_normal((KEYS, VALUES))
    later = [(k, beta, a) for k, _, beta, a in some_writes(5)]
    result = call(kept, part, later, hint=say.hint)
    say.when(np.ndim(result) == 0 or len(result) != 2, "two numbers")
    found = array_of(result, name=name_of(kept), shape=(2,), hint=say.hint)
    mistakes: dict[str, Any] = dict(kept_by_mistake(part, later))
    decay, removal = mistakes.pop("right")
    if not close(found, (decay, removal)):
        if close(found[0], decay):
            mistakes["removal"] = found
        numbers: dict[str, Any] = {"decay": f"{decay:.3f}", "removal": f"{removal:.3f}"}
        refuse(say, found, mistakes, yours=f"{found[1]:.3f}", **numbers)
    right_elsewhere(
        kept,
        lambda c, later: kept_by_mistake(c, later)["right"],
        {
            "with another part": (generator.standard_normal((KEYS, 5)), later),
            "with one later token": (part, later[:1]),
            "with no later token": (part, []),
            "with later tokens that do not decay": (part, [(k, b, 1.0) for k, b, _ in later]),
            "with later tokens that remove nothing": (part, [(k, 0.0, a) for k, _, a in later]),
        },
    )


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


def _matrices(say: Words, function: Any, writes: list[Any]) -> np.ndarray:
    """Call a learner's function, and take one matrix for each write from it."""
    found = call_for_array(function, writes, shape=None, hint=say.hint)
    say.when(found.shape == (KEYS, VALUES), "one matrix")
    say.when(found.shape != (TOKENS, KEYS, VALUES), "count", tokens=TOKENS, shape=found.shape)
    return found
