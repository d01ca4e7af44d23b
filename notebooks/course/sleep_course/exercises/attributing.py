"""Checks of the exercises in notebook 7, *Attribution on a recurrent state*."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from itertools import permutations
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sleep_course.exercises.check import (
    NotYet,
    call,
    call_for_array,
    close,
    exercise,
    kind_of,
    right_elsewhere,
    same,
)
from workbench.model import Memory
from workbench.sleep import Boundary, before_window

STEPS, FEW = 400, 8
POINT, BASELINE = np.array([2.0, 3.0, 1.5]), np.array([0.5, -1.0, -0.5])

SHARED = {
    "": 5.0, "a": 7.0, "b": 5.0, "c": 4.0, "ab": 17.0, "ac": 9.0, "bc": 4.0, "abc": 20.0,
}  # fmt: skip
"""Worth of every set of three players: a and b need each other, c is against anyone alone."""


@exercise
def check_integrated_gradients(integrated_gradients: Any) -> str:
    """Exercise 1: the mean gradient at midpoints of equal pieces of the path, times the path."""
    hint = "(x - baseline) times the mean of gradient(baseline + alpha * (x - baseline))."
    asked: list[np.ndarray] = []

    def gradient(x: np.ndarray) -> np.ndarray:  # of x0 x1 + x2^3
        x = np.asarray(x, dtype=np.float64)
        if x.shape != (3,):
            raise NotYet(
                f"one point per call: `gradient` takes a point of shape (3,), yours has shape "
                f"{x.shape}. Go through the points one by one."
            )
        asked.append(x.copy())
        return np.array([x[1], x[0], 3 * x[2] ** 2])

    way = POINT - BASELINE
    middle = (POINT + BASELINE) / 2
    right = way * [middle[1], middle[0], (POINT[2] ** 3 - BASELINE[2] ** 3) / way[2]]
    mean = right / way

    found = call_for_array(
        integrated_gradients, gradient, POINT, BASELINE, STEPS, shape=(3,), hint=hint
    )
    if close(found, right, 0.01):
        if len({tuple(point) for point in asked}) < STEPS / 2:
            raise NotYet(f"with steps = {STEPS} the gradient is to be taken at {STEPS} points.")
        _check_points(integrated_gradients, gradient, asked, hint)
        return "the shares add up to f(x) - f(baseline): complete."
    if not asked:
        raise NotYet("`gradient` was not called. " + hint)
    if len({tuple(point) for point in asked}) == 1 and close(asked[0], POINT):
        raise NotYet(
            "the gradient at the end alone says what one more small step would do, not what the "
            "whole way from the baseline has done: take it at many points of the way."
        )
    if close(found, right * STEPS, 0.01):
        raise NotYet("that is the sum over the points: take their mean.")
    if close(found, mean, 0.01):
        raise NotYet(
            "that is the average slope along the path: multiply by its length, x - baseline."
        )
    if close(found, mean * POINT, 0.01):
        raise NotYet("multiply by x - baseline, the path taken, not by x.")
    if close(found, -right, 0.01):
        raise NotYet("the sign is the wrong way round: from the baseline to x, x - baseline.")
    if len({tuple(point) for point in asked}) < STEPS / 2:
        raise NotYet(f"with steps = {STEPS} the gradient is to be taken at {STEPS} points.")
    if close(asked[0], np.zeros(3), 0.02) or close(asked[-1], np.zeros(3), 0.02):
        raise NotYet("your path starts at zero: start at the baseline.")
    raise NotYet(f"expected {right.round(2)}, yours gives {found.round(2)}. {hint}")


@exercise
def check_completeness_error(completeness_error: Any) -> str:
    """Exercise 2: ``|sum of an example's attributions - worth| / |worth|``, ``[example]``."""
    hint = "One number for each example: sum everything but the first axis, compare with worth."
    worth, sums = np.array([2.0, -1.0, 4.0]), np.array([2.5, -0.6, 3.6])
    attribution = np.random.default_rng(4).normal(size=(3, 4, 2))
    attribution += ((sums - attribution.sum((1, 2))) / 8)[:, None, None]
    found = call(completeness_error, attribution, worth, hint=hint)
    if np.ndim(found) == 0:
        raise NotYet(
            "one number for all examples: an example with too much and one with too little cancel. "
            "One for each."
        )
    found = call_for_array(lambda: found, shape=(3,), hint=hint)
    flat = np.array([[1.0, 2.0], [0.5, 0.5], [2.0, 0.0]])  # [example, feature], as below
    call_for_array(
        completeness_error,
        flat,
        worth,
        shape=(3,),
        hint="Right for [example, a, b]; it is to work for [example, feature] as well: "
        "attribution.reshape(len(attribution), -1).sum(1).",
    )
    apart = sums - worth
    if close(found, np.abs(apart) / np.abs(worth)):
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
        return "as a share of what was to be explained, for each example by itself."
    if close(np.abs(found), np.abs(apart)):
        raise NotYet("how much is that? Divide by what was to be explained, |worth|.")
    if close(np.abs(found), np.abs(apart / worth)):
        raise NotYet("some of yours are negative: an error has only a size; use np.abs.")
    if close(found, sums / worth):
        raise NotYet("that is the share explained, 1 if all of it is. How far from 1 is it?")
    if close(found, np.abs(apart) / np.abs(sums)):
        raise NotYet("divide by the worth, which is known, not by what the method says it is.")
    if close(found, np.abs(attribution.mean((1, 2)) - worth) / np.abs(worth)):
        raise NotYet("the sum of the attributions should be the worth, not their mean.")
    raise NotYet(f"expected {(np.abs(apart) / np.abs(worth)).round(3)}. {hint}")


@exercise
def check_make_rest(make_rest: Any) -> str:
    """Exercise 3: ``make_rest(start, layer, answer)`` is the rest as a function of one S."""
    hint = "memory.replace(fast_weights={**memory.fast_weights, layer: state}), start.with_memory."
    start = _place()
    whole = start.memory.clone()
    asked: list[Boundary] = []

    def answer(boundary: Boundary) -> Tensor:
        asked.append(boundary)
        states = boundary.memory.fast_weights.values()
        return sum((s.square().flatten(1).sum(1) for s in states), start=torch.zeros(1))

    # not on copies: they would hide what it changes, and cut gradients
    rest = call(make_rest, start, 1, answer, hint=hint, copies=False)
    if not callable(rest):
        raise NotYet(
            "`make_rest` should return a function, the inner one, without calling it: "
            "`return rest`."
        )
    asked.clear()
    state = (torch.arange(24.0).reshape(2, 2, 2, 3) / 10 + 1).requires_grad_()
    found = call(rest, state, hint=hint, copies=False)
    if not asked:
        raise NotYet("`answer` was not called: it reads on from a boundary and returns the result.")
    boundary = asked[-1]
    if not isinstance(boundary, Boundary):
        raise NotYet(f"`answer` takes a boundary, not {kind_of(boundary)}: start.with_memory(...).")
    if not same(whole, start.memory):
        raise NotYet(
            "the boundary itself was changed, and the next question starts from there: make a new "
            "memory with memory.replace(...), and a new dictionary."
        )
    if boundary.window != start.window:
        raise NotYet("that reads from another boundary: start.with_memory(...) stays where it is.")
    weights = boundary.memory.fast_weights
    if 3 not in weights:
        raise NotYet("the other layers' S is gone: {**memory.fast_weights, layer: state}.")
    if not boundary.memory.conv_tails:
        raise NotYet("the rest of the memory is gone: start.memory.replace(...), no new Memory.")
    if 1 not in weights or torch.equal(weights[1], start.memory.fast_weights[1]):
        raise NotYet("`state` is not used: it should replace the layer's own S.")
    if not torch.equal(weights[3], start.memory.fast_weights[3]):
        raise NotYet("another layer's S has changed: only `layer` should be replaced.")
    if not torch.equal(weights[1].detach(), state.detach()):
        raise NotYet("`state` is all of the layer's new S: put it there as it is, add nothing.")
    if not isinstance(found, torch.Tensor):
        raise NotYet(f"`rest` should return what `answer` says, not {type(found).__name__}.")
    if not (weights[1].requires_grad and found.requires_grad):
        raise NotYet(
            "no gradient comes back through your function: leave out .detach(), .clone().data and "
            "no_grad()."
        )
    if not torch.equal(found, answer(boundary)):
        raise NotYet("return what `answer` says, unchanged.")
    _check_other_layer(make_rest, answer, asked, hint)
    return "one input, one number, and every pass of the rest in between: Captum can take this."


@exercise
def check_feature_mask(feature_mask: Any) -> str:
    """Exercise 5: ``feature_mask(passes, heads, key, value)`` numbers (pass, head) without gaps."""
    hint = "Numbers 0 ... passes * heads - 1, pass by pass, each for all entries of its matrix."
    shape = (3, 2, 4, 5)
    found = call_for_array(feature_mask, *shape, shape=shape, hint=hint)
    if (found != found.round()).any():
        raise NotYet("features are numbered by whole numbers.")
    if (found.max((2, 3)) != found.min((2, 3))).any():
        raise NotYet("entries of one matrix have several numbers: a (pass, head) is one feature.")
    numbers = found[:, :, 0, 0]
    if len(np.unique(numbers)) < 6:
        same = "heads" if (numbers == numbers[:, :1]).all() else "passes"
        raise NotYet(f"several {same} have one number: 3 passes of 2 heads are 6 features.")
    if numbers.min() != 0:
        raise NotYet("the first feature is number 0.")
    if numbers.max() != 5:
        raise NotYet(
            f"6 features, but numbers up to {numbers.max():.0f}: Captum takes every number up to "
            "the largest for a feature, also those that nobody has. heads * pass + head has no "
            "gaps."
        )
    if np.array_equal(numbers, np.arange(6).reshape(2, 3).T):
        raise NotYet("head by head; pass by pass was asked for, so that a table can be read off.")
    if not np.array_equal(numbers, np.arange(6).reshape(3, 2)):
        raise NotYet(f"no gaps, but in another order. {hint}")
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
    return "one number for each (pass, head), none left out."


@exercise
def check_shapley(shapley: Any) -> str:
    """Exercise 4: ``shapley(players, worth)``: what each adds when it comes, mean of all orders."""
    hint = "For every order in permutations(players): worth with those before it and it, minus without."  # noqa: E501
    players = ["a", "b", "c"]

    def worth(coalition: Collection[str]) -> float:
        return SHARED["".join(sorted(coalition))]

    result = call(shapley, players, worth, hint=hint)
    if isinstance(result, Mapping):
        raise NotYet(
            "a dictionary has no order: return a list, one number for each player, in the order "
            "of `players`."
        )
    found = call_for_array(lambda: result, shape=(3,), hint=hint)
    right = shapley_values(players, worth)
    if close(found, right):
        _check_other_games(shapley)
        return "they add up to worth(all) - worth(none), and order plays no part."
    if close(found, 6 * right):
        raise NotYet("that is the sum over six orders: divide by 6.")
    empty, full = SHARED[""], SHARED["abc"]
    alone = np.array([SHARED[p] for p in players])
    if close(found, alone) or close(found, alone - empty):
        raise NotYet("that is what each is worth alone. a and b are worth more together.")
    last = np.array([full - SHARED[pair] for pair in ("bc", "ac", "ab")])
    if close(found, last):
        raise NotYet(
            "that is what is lost without each (feature ablation): what a and b make together is "
            "counted twice. Average over all orders."
        )
    if any(close(found, one_order(order, players, worth)) for order in permutations(players)):
        raise NotYet("that is one order of arrival. Another gives other shares: take all six.")
    if close(found, shapley_values(players, lambda c: worth(c) if c else 0.0)):
        raise NotYet(
            f"yours add up to {full:g}, with an empty table worth nothing. But worth of the empty "
            f"set is {empty:g}, the baseline: ask for it too."
        )
    if close(found, equal_weights(players, worth)):
        raise NotYet(
            "yours weighs every set of the others equally, so the shares do not add up. Sets of "
            "one come up in fewer orders: go through the orders."
        )
    raise NotYet(f"they should add up to {full - empty:g}; yours, to {found.sum():.3g}. {hint}")


def _check_points(
    integrated_gradients: Any, gradient: Any, asked: list[np.ndarray], hint: str
) -> None:
    """Say which points of the way were taken, where it should be the middles of equal pieces."""
    x, baseline = np.array([-1.0, 0.5, 2.0]), np.array([1.0, 2.0, -1.0])
    alphas = (np.arange(FEW) + 0.5) / FEW
    points = baseline + alphas[:, None] * (x - baseline)
    right = (x - baseline) * np.mean([gradient(point) for point in points], axis=0)
    asked.clear()
    found = call_for_array(integrated_gradients, gradient, x, baseline, FEW, shape=(3,), hint=hint)
    taken = np.array(asked)
    if len(taken) and close(taken[[0, -1]], [baseline, x], 1e-9):
        raise NotYet("your points include the baseline and x themselves: take the midpoints.")
    if len(taken) and min(np.abs(taken - baseline).max(1)) < 1e-9:
        raise NotYet("your points include the start, the baseline: 0 < alpha < 1, the midpoints.")
    if len(taken) and min(np.abs(taken - x).max(1)) < 1e-9:
        raise NotYet("your points include the end, x: 0 < alpha < 1, the midpoints.")
    if len(taken) != FEW:
        raise NotYet(f"with steps = {FEW} the gradient was taken {len(taken)} times: use `steps`.")
    if not close(found, right):
        raise NotYet(
            f"right with {STEPS} steps, off with {FEW}: take the midpoints of {FEW} equal pieces, "
            "and use every argument."
        )


def _check_other_layer(make_rest: Any, answer: Any, asked: list[Boundary], hint: str) -> None:
    """Begin at another boundary with another memory; ask for another layer and another answer."""
    start = _place(3, seed=1)

    def doubled(boundary: Boundary) -> Tensor:
        return 2 * answer(boundary)

    rest = call(make_rest, start, 3, doubled, hint=hint, copies=False)
    state = torch.full((2, 2, 2, 3), 0.5)
    asked.clear()
    found = call(rest, state, hint=hint, copies=False)
    if not callable(rest) or not asked or not isinstance(asked[-1], Boundary):
        raise NotYet("right at first, wrong for another boundary: use `start`, `layer`, `answer`.")
    weights, first = asked[-1].memory.fast_weights, start.memory.fast_weights[1]
    if asked[-1].window != start.window:
        raise NotYet("right for the first boundary, wrong for another: use `start`.")
    if (
        weights.keys() != {1, 3}
        or not torch.equal(weights.get(3, first), state)
        or not torch.equal(weights[1], first)
    ):
        raise NotYet("right for layer 1, wrong for layer 3: use `layer`.")
    if not isinstance(found, torch.Tensor) or not torch.equal(found, doubled(asked[-1])):
        raise NotYet("right at first, wrong with another `answer`: return what it says.")


def _check_other_games(shapley: Any) -> None:
    """Try players in another order, of another kind and of another number."""
    named = lambda c: SHARED["".join(sorted(c))]  # noqa: E731
    squares = lambda c: float(sum(c) ** 2 + len(set(c) & {2, 3}))  # noqa: E731
    right_elsewhere(
        shapley,
        lambda players, worth: shapley_values(list(players), worth),
        {
            "with the players in another order": (["c", "a", "b"], named),
            "with two players": (["a", "c"], named),
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
