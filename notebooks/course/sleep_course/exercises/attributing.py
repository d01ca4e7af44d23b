"""Checks of the exercises in notebook 7, *Attribution on a recurrent state*."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from itertools import permutations
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sleep_course.exercises.check import (
    Words,
    array_of,
    call,
    call_for_array,
    close,
    exercise,
    kind_of,
    lesson,
    name_of,
    refuse,
    right_elsewhere,
    same,
)
from workbench.model import Memory
from workbench.sleep import Boundary, before_window

WORDS = lesson("attributing")
STEPS, FEW = 400, 8
POINT, BASELINE = np.array([2.0, 3.0, 1.5]), np.array([0.5, -1.0, -0.5])

SHARED = {
    "": 5.0, "a": 7.0, "b": 5.0, "c": 4.0, "ab": 17.0, "ac": 9.0, "bc": 4.0, "abc": 20.0,
}  # fmt: skip
"""Worth of every set of three players: a and b need each other, c is against anyone alone."""


@exercise(WORDS["integrated_gradients"])
def check_integrated_gradients(say: Words, integrated_gradients: Any) -> None:
    """Exercise 1: the mean gradient at midpoints of equal pieces of the path, times the path."""
    asked: list[np.ndarray] = []

    def gradient(x: np.ndarray) -> np.ndarray:  # of x0 x1 + x2^3
        x = np.asarray(x, dtype=np.float64)
        say.when(x.shape != (3,), "one point", shape=x.shape)
        asked.append(x.copy())
        return np.array([x[1], x[0], 3 * x[2] ** 2])

    way, middle = POINT - BASELINE, (POINT + BASELINE) / 2
    right = way * [middle[1], middle[0], (POINT[2] ** 3 - BASELINE[2] ** 3) / way[2]]
    given = (gradient, POINT, BASELINE, STEPS)
    found = call_for_array(integrated_gradients, *given, shape=(3,), hint=say.hint)
    places = {tuple(point) for point in asked}
    too_few = say("too few", steps=STEPS)
    if close(found, right, 0.01):
        if len(places) < STEPS / 2:
            raise too_few
        _check_points(say, integrated_gradients, gradient, asked)
        return
    say.when(not asked, "no gradient")
    say.when(len(places) == 1 and close(asked[0], POINT), "end alone")
    mistakes = {
        "sum": right * STEPS,
        "slope": right / way,
        "times x": right / way * POINT,
        "sign": -right,
    }
    if not any(close(found, wrong, 0.01) for wrong in mistakes.values()):
        if len(places) < STEPS / 2:
            raise too_few
        if close(asked[0], np.zeros(3), 0.02) or close(asked[-1], np.zeros(3), 0.02):
            raise say("from zero")
    refuse(say, found, mistakes, tolerance=0.01, right=right.round(2), yours=found.round(2))


def _check_points(
    say: Words, integrated_gradients: Any, gradient: Any, asked: list[np.ndarray]
) -> None:
    """Say which points of the way were taken, where it should be the middles of equal pieces."""
    x, baseline = np.array([-1.0, 0.5, 2.0]), np.array([1.0, 2.0, -1.0])
    alphas = (np.arange(FEW) + 0.5) / FEW
    points = baseline + alphas[:, None] * (x - baseline)
    right = (x - baseline) * np.mean([gradient(point) for point in points], axis=0)
    asked.clear()
    given = (gradient, x, baseline, FEW)
    found = call_for_array(integrated_gradients, *given, shape=(3,), hint=say.hint)
    taken = np.array(asked)
    say.when(len(taken) and close(taken[[0, -1]], [baseline, x], 1e-9), "both ends")
    say.when(len(taken) and min(np.abs(taken - baseline).max(1)) < 1e-9, "start")
    say.when(len(taken) and min(np.abs(taken - x).max(1)) < 1e-9, "end")
    say.when(len(taken) != FEW, "steps", few=FEW, times=len(taken))
    say.when(not close(found, right), "few steps", few=FEW, steps=STEPS)


@exercise(WORDS["completeness_error"])
def check_completeness_error(say: Words, completeness_error: Any) -> None:
    """Exercise 2: ``|sum of an example's attributions - worth| / |worth|``, ``[example]``."""
    worth, sums = np.array([2.0, -1.0, 4.0]), np.array([2.5, -0.6, 3.6])
    attribution = np.random.default_rng(4).normal(size=(3, 4, 2))
    attribution += ((sums - attribution.sum((1, 2))) / 8)[:, None, None]
    flat = np.array([[1.0, 2.0], [0.5, 0.5], [2.0, 0.0]])  # [example, feature]
    result = call(completeness_error, attribution, worth, hint=say.hint)
    say.when(np.ndim(result) == 0, "one number")
    found = array_of(result, name=name_of(completeness_error), shape=(3,), hint=say.hint)
    call_for_array(completeness_error, flat, worth, shape=(3,), hint=say.texts["flat"])
    apart, size = sums - worth, np.abs(worth)
    right = np.abs(apart) / size
    if not close(found, right):
        mistakes = {
            "no units": [np.abs(apart), apart, -apart],
            "negative": [apart / worth, -apart / worth, apart / size, -apart / size],
            "explained": sums / worth,
            "by sum": np.abs(apart) / np.abs(sums),
            "mean": np.abs(attribution.mean((1, 2)) - worth) / size,
        }
        refuse(say, found, mistakes, right=right.round(3))
    right_elsewhere(
        completeness_error,
        lambda a, w: np.abs(a.reshape(len(a), -1).sum(1) - w) / np.abs(w),
        {
            "with one number for each feature, [example, feature]": (flat, worth),
            "with another worth": (attribution, np.array([-3.0, 5.0, 0.5])),
            "with other attributions": (2 * attribution - 1, worth),
            "with one example": (attribution[:1], worth[:1]),
        },
    )


@exercise(WORDS["make_rest"])
def check_make_rest(say: Words, make_rest: Any) -> None:
    """Exercise 3: ``make_rest(start, layer, answer)`` is the rest as a function of one S."""
    start = _place()
    whole = start.memory.clone()
    asked: list[Boundary] = []

    def answer(boundary: Boundary) -> Tensor:
        asked.append(boundary)
        states = boundary.memory.fast_weights.values()
        return sum((s.square().flatten(1).sum(1) for s in states), start=torch.zeros(1))

    # not on copies: they would hide what it changes, and cut gradients
    rest = call(make_rest, start, 1, answer, hint=say.hint, copies=False)
    say.when(not callable(rest), "no function")
    asked.clear()
    state = (torch.arange(24.0).reshape(2, 2, 2, 3) / 10 + 1).requires_grad_()
    found = call(rest, state, hint=say.hint, copies=False)
    say.when(not asked, "no answer")
    boundary = asked[-1]
    say.when(not isinstance(boundary, Boundary), "no boundary", kind=kind_of(boundary))
    say.when(not same(whole, start.memory), "changed")
    say.when(boundary.window != start.window, "other boundary")
    weights = boundary.memory.fast_weights
    say.when(3 not in weights, "other layers")
    say.when(not boundary.memory.conv_tails, "rest gone")
    say.when(1 not in weights or torch.equal(weights[1], start.memory.fast_weights[1]), "no state")
    say.when(not torch.equal(weights[3], start.memory.fast_weights[3]), "another layer")
    say.when(not torch.equal(weights[1].detach(), state.detach()), "added")
    say.when(not isinstance(found, torch.Tensor), "type", kind=type(found).__name__)
    say.when(not (weights[1].requires_grad and found.requires_grad), "no gradient back")
    say.when(not torch.equal(found, answer(boundary)), "otherwise")
    _check_other_layer(say, make_rest, answer, asked)


def _check_other_layer(say: Words, make_rest: Any, answer: Any, asked: list[Boundary]) -> None:
    """Begin at another boundary with another memory; ask for another layer and another answer."""
    start = _place(3, seed=1)

    def doubled(boundary: Boundary) -> Tensor:
        return 2 * answer(boundary)

    rest = call(make_rest, start, 3, doubled, hint=say.hint, copies=False)
    state = torch.full((2, 2, 2, 3), 0.5)
    asked.clear()
    found = call(rest, state, hint=say.hint, copies=False)
    say.when(not callable(rest) or not asked or not isinstance(asked[-1], Boundary), "elsewhere")
    weights, first = asked[-1].memory.fast_weights, start.memory.fast_weights[1]
    say.when(asked[-1].window != start.window, "no start")
    right = {1: first, 3: state}
    if weights.keys() != right.keys() or not all(torch.equal(weights[i], right[i]) for i in right):
        raise say("no layer")
    if not isinstance(found, torch.Tensor) or not torch.equal(found, doubled(asked[-1])):
        raise say("other answer")


@exercise(WORDS["feature_mask"])
def check_feature_mask(say: Words, feature_mask: Any) -> None:
    """Exercise 5: ``feature_mask(passes, heads, key, value)`` numbers (pass, head) without gaps."""
    shape = (3, 2, 4, 5)
    found = call_for_array(feature_mask, *shape, shape=shape, hint=say.hint)
    say.when((found != found.round()).any(), "whole")
    say.when((found.max((2, 3)) != found.min((2, 3))).any(), "entries")
    numbers = found[:, :, 0, 0]
    if len(np.unique(numbers)) < 6:
        raise say("shared", which="heads" if (numbers == numbers[:, :1]).all() else "passes")
    say.when(numbers.min() != 0, "first")
    say.when(numbers.max() != 5, "gaps", most=f"{numbers.max():.0f}")
    if not np.array_equal(numbers, np.arange(6).reshape(3, 2)):
        refuse(say, numbers, {"head by head": np.arange(6).reshape(2, 3).T})
    right_elsewhere(
        feature_mask,
        lambda passes, heads, key, value: np.tile(
            np.arange(passes * heads).reshape(passes, heads, 1, 1), (1, 1, key, value)
        ),
        {
            "with another number of passes": (5, 2, 4, 5),
            "with another number of heads": (3, 4, 4, 5),
            "with other keys and values": (3, 2, 1, 6),
            "with one pass": (1, 4, 2, 2),
        },
    )


@exercise(WORDS["shapley"])
def check_shapley(say: Words, shapley: Any) -> None:
    """Exercise 4: ``shapley(players, worth)``: what each adds when it comes, mean of all orders."""
    players = ["a", "b", "c"]

    def worth(coalition: Collection[str]) -> float:
        return SHARED["".join(sorted(coalition))]

    def squares(coalition: Collection[int]) -> float:
        return float(sum(coalition) ** 2 + len(set(coalition) & {2, 3}))

    result = call(shapley, players, worth, hint=say.hint)
    say.when(isinstance(result, Mapping), "dictionary")
    found = array_of(result, name=name_of(shapley), shape=(3,), hint=say.hint)
    right = shapley_values(players, worth)
    if not close(found, right):
        empty, full = SHARED[""], SHARED["abc"]
        alone = np.array([SHARED[player] for player in players])
        mistakes = {
            "sum": 6 * right,
            "alone": [alone, alone - empty],
            "ablation": np.array([full - SHARED[pair] for pair in ("bc", "ac", "ab")]),
            "one order": [one_order(order, players, worth) for order in permutations(players)],
            "empty": shapley_values(players, lambda c: worth(c) if c else 0.0),
            "equal weights": equal_weights(players, worth),
        }
        numbers: dict[str, Any] = {"full": f"{full:g}", "empty": f"{empty:g}"}
        numbers |= {"total": f"{full - empty:g}", "sum": f"{found.sum():.3g}"}
        refuse(say, found, mistakes, **numbers)
    right_elsewhere(
        shapley,
        lambda players, worth: shapley_values(list(players), worth),
        {
            "with the players in another order": (["c", "a", "b"], worth),
            "with two players": (["a", "c"], worth),
            "with numbers for players, in a tuple": ((1, 2, 3), squares),
            "with four players": ([4, 1, 3, 2], squares),
            "with one player": ([2], squares),
        },
    )


def one_order(
    order: Collection[str], players: list[str], worth: Callable[..., float]
) -> np.ndarray:
    """Return what each of `players` adds when they come in this order."""
    names = list(order)
    added = {p: worth(names[: i + 1]) - worth(names[:i]) for i, p in enumerate(names)}
    return np.array([added[player] for player in players])


def shapley_values(players: list[str], worth: Callable[..., float]) -> np.ndarray:
    """Return Shapley values: the mean of `one_order` over all orders."""
    every = [one_order(order, players, worth) for order in permutations(players)]
    return np.mean(every, axis=0)


def equal_weights(players: list[str], worth: Callable[..., float]) -> np.ndarray:
    """Return what each adds to a set of the others, each set counted alike (Banzhaf values)."""
    found = []
    for player in players:
        one, other = [p for p in players if p != player]
        sets: list[list[str]] = [[], [one], [other], [one, other]]
        found.append(np.mean([worth([*some, player]) - worth(some) for some in sets]))
    return np.array(found)


def _place(window: int = 2, *, seed: int = 0) -> Boundary:
    """Return a boundary before a window, with two layers of S and the tails of one."""
    generator = torch.Generator().manual_seed(seed)
    states = {i: torch.rand(2, 2, 2, 3, generator=generator) + 1 for i in (1, 3)}
    return before_window(window, Memory(states, {1: torch.ones(2, 3, 4)}))
