"""Checks of the exercises in notebook 7, *Attribution on a recurrent state*."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from itertools import permutations
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sleep_course.exercises.check import Compared, Words, close, exercise, kind_of, lesson, same
from workbench.model import Memory
from workbench.sleep import Boundary, before_window

WORDS = lesson("attributing")
Worth = Callable[..., float]
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
    found = say.array(integrated_gradients, *given, shape=(3,))
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
    say.refuse(found, mistakes, tolerance=0.01, right=right.round(2), yours=found.round(2))


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
    found = say.array(integrated_gradients, *given, shape=(3,))
    taken = np.array(asked)
    say.when(len(taken) and close(taken[[0, -1]], [baseline, x], 1e-9), "both ends")
    say.when(len(taken) and min(np.abs(taken - baseline).max(1)) < 1e-9, "start")
    say.when(len(taken) and min(np.abs(taken - x).max(1)) < 1e-9, "end")
    say.when(len(taken) != FEW, "steps", few=FEW, times=len(taken))
    say.when(not close(found, right), "few steps", few=FEW, steps=STEPS)


def _sums(attribution: np.ndarray) -> np.ndarray:
    return attribution.reshape(len(attribution), -1).sum(1)


def _attribution() -> np.ndarray:
    """Return attributions ``[example, a, b]``, of which some add up to too much, some to less."""
    drawn = np.random.default_rng(4).normal(size=(3, 4, 2))
    return drawn + ((np.array([2.5, -0.6, 3.6]) - _sums(drawn)) / 8)[:, None, None]


WORTH, ATTRIBUTION = np.array([2.0, -1.0, 4.0]), _attribution()
FLAT = np.array([[1.0, 2.0], [0.5, 0.5], [2.0, 0.0]])  # [example, feature]

# exercise 2: |sum of an example's attributions - worth| / |worth|, [example]
check_completeness_error = Compared(
    WORDS["completeness_error"],
    lambda a, w: abs(_sums(a) / w - 1),
    (ATTRIBUTION, WORTH),
    shapes={(): "one number"},
    mistakes={
        "one number": lambda a, w: abs(a.sum() - w.sum()) / abs(w.sum()),
        "no units": [
            lambda a, w: abs(_sums(a) - w),
            lambda a, w: _sums(a) - w,
            lambda a, w: w - _sums(a),
        ],
        "negative": [
            lambda a, w: _sums(a) / w - 1,
            lambda a, w: 1 - _sums(a) / w,
            lambda a, w: (_sums(a) - w) / abs(w),
            lambda a, w: (w - _sums(a)) / abs(w),
        ],
        "explained": lambda a, w: _sums(a) / w,
        "by sum": lambda a, w: abs(1 - w / _sums(a)),
        "mean": lambda a, w: abs(_sums(a) / a[0].size / w - 1),
    },
    elsewhere={
        "flat": (FLAT, WORTH),
        "with another worth": (ATTRIBUTION, np.array([-3.0, 5.0, 0.5])),
        "with other attributions": (2 * ATTRIBUTION - 1, WORTH),
        "with one example": (ATTRIBUTION[:1], WORTH[:1]),
    },
    values=lambda found, right: {"right": right.round(3)},
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
    rest = say.call(make_rest, start, 1, answer, copies=False)
    say.when(not callable(rest), "no function")
    asked.clear()
    state = (torch.arange(24.0).reshape(2, 2, 2, 3) / 10 + 1).requires_grad_()
    found = say.call(rest, state, copies=False)
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

    rest = say.call(make_rest, start, 3, doubled, copies=False)
    state = torch.full((2, 2, 2, 3), 0.5)
    asked.clear()
    found = say.call(rest, state, copies=False)
    say.when(not callable(rest) or not asked or not isinstance(asked[-1], Boundary), "elsewhere")
    weights, first = asked[-1].memory.fast_weights, start.memory.fast_weights[1]
    say.when(asked[-1].window != start.window, "no start")
    right = {1: first, 3: state}
    if weights.keys() != right.keys() or not all(torch.equal(weights[i], right[i]) for i in right):
        raise say("no layer")
    if not isinstance(found, torch.Tensor) or not torch.equal(found, doubled(asked[-1])):
        raise say("other answer")


def _mask(numbers: np.ndarray, key: int, value: int) -> np.ndarray:
    return np.tile(numbers[:, :, None, None], (1, 1, key, value))


# exercise 5: feature_mask(passes, heads, key, value) numbers (pass, head) without gaps
check_feature_mask = Compared(
    WORDS["feature_mask"],
    lambda p, h, key, value: _mask(np.arange(p * h).reshape(p, h), key, value),
    (3, 2, 4, 5),
    mistakes={
        "head by head": lambda p, h, key, value: _mask(np.arange(p * h).reshape(h, p).T, key, value)
    },
    traits={
        "whole": lambda found, right: (found != found.round()).any(),
        "entries": lambda found, right: np.ptp(found, axis=(2, 3)).any(),
        "shared": lambda found, right: len(np.unique(found)) < 6,
        "first": lambda found, right: found.min() != 0,
        "gaps": lambda found, right: found.max() != 5,
    },
    elsewhere={
        "with another number of passes": (5, 2, 4, 5),
        "with another number of heads": (3, 4, 4, 5),
        "with other keys and values": (3, 2, 1, 6),
        "with one pass": (1, 4, 2, 2),
    },
    values=lambda found, right: {
        "which": "heads" if (found == found[:, :1]).all() else "passes",
        "most": f"{found.max():.0f}",
    },
)


def _worth(coalition: Collection[str]) -> float:
    return SHARED["".join(sorted(coalition))]


def _squares(coalition: Collection[int]) -> float:
    return float(sum(coalition) ** 2 + len(set(coalition) & {2, 3}))


def _one_order(order: Collection[int], players: Any, worth: Worth) -> np.ndarray:
    """Return what each of `players` adds when they come in this order of their places."""
    names = [players[place] for place in order]
    added = {p: worth(names[: i + 1]) - worth(names[:i]) for i, p in enumerate(names)}
    return np.array([added[player] for player in players])


def _shapley(players: Any, worth: Worth) -> np.ndarray:
    every = [_one_order(order, players, worth) for order in permutations(range(len(players)))]
    return np.mean(every, axis=0)


def _equal_weights(players: Any, worth: Worth) -> np.ndarray:
    """Return what each adds to a set of the others, each set counted alike (Banzhaf values)."""
    found = []
    for player in players:
        one, other = (p for p in players if p != player)
        sets: list[list[str]] = [[], [one], [other], [one, other]]
        found.append(np.mean([worth([*some, player]) - worth(some) for some in sets]))
    return np.array(found)


def _left_out(players: Any, worth: Worth) -> list[float]:
    return [worth(players) - worth([q for q in players if q != p]) for p in players]


# exercise 4: shapley(players, worth), what each adds when it comes, mean over all orders
check_shapley = Compared(
    WORDS["shapley"],
    _shapley,
    (["a", "b", "c"], _worth),
    shapes={dict: "dictionary"},
    mistakes={
        "sum": lambda players, worth: 6 * _shapley(players, worth),
        "alone": [
            lambda players, worth: [worth([p]) for p in players],
            lambda players, worth: [worth([p]) - worth([]) for p in players],
        ],
        "ablation": _left_out,
        "one order": [partial(_one_order, order) for order in permutations(range(3))],
        "empty": lambda players, worth: _shapley(players, lambda c: worth(c) if c else 0.0),
        "equal weights": _equal_weights,
    },
    elsewhere={
        "with the players in another order": (["c", "a", "b"], _worth),
        "with two players": (["a", "c"], _worth),
        "with numbers for players, in a tuple": ((1, 2, 3), _squares),
        "with four players": ([4, 1, 3, 2], _squares),
        "with one player": ([2], _squares),
    },
    values=lambda found, right: {
        "full": f"{SHARED['abc']:g}",
        "empty": f"{SHARED['']:g}",
        "total": f"{right.sum():g}",
        "sum": f"{found.sum():.3g}",
    },
)


def _place(window: int = 2, *, seed: int = 0) -> Boundary:
    """Return a boundary before a window, with two layers of S and the tails of one."""
    generator = torch.Generator().manual_seed(seed)
    states = {i: torch.rand(2, 2, 2, 3, generator=generator) + 1 for i in (1, 3)}
    return before_window(window, Memory(states, {1: torch.ones(2, 3, 4)}))
