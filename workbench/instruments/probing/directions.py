"""The shortest change of S after which a linear probe says another class, and its controls.

With the weights w of one item's probe, class c is said where ``w_c . S + b_c`` is the largest. The
shortest change d that makes it so by a margin m is the solution of ::

    minimise |d|    with    (w_c - w_j) . d >= (said_j - said_c) + m    for every other class j

a projection onto half-spaces, found by Hildreth's method in the products of the weights alone (one
multiplier for each class, never below 0; d is the sum of the multipliers' directions).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from workbench.instruments.probing.ridge import Fit
from workbench.tasks.targets import ProbeTarget

MARGIN: Final = 0.01
"""By how much the probe prefers the new class after the shortest change; its labels are 0 and 1."""

ROUNDS: Final = 2000
"""Rounds over all classes after which Hildreth's method ends at the latest."""


def least_change(
    weights: np.ndarray, said: np.ndarray, wanted: np.ndarray, *, margin: float = MARGIN
) -> np.ndarray:
    """Return the shortest changes after which a probe says the classes wanted.

    - weights: of one item, ``[class, feature]``.
    - said: what speaks for each class now, ``[example, class]``.
    - wanted (int64 [example]): the class to be said.

    Result: ``[example, feature]``; zeros where the probe already predicts the wanted class by
    the margin.
    """
    count, classes = said.shape
    rows = np.arange(count)
    gram = weights @ weights.T
    # products of the directions w_c - w_j, ``[example, j, l]``
    own = gram[wanted]
    products = gram[wanted, wanted][:, None, None] - own[:, :, None] - own[:, None, :] + gram[None]
    length = np.einsum("ejj->ej", products)
    short = said - said[rows, wanted][:, None] + margin
    short[rows, wanted] = 0
    usable = length > 1e-12 * max(float(length.max(initial=0)), 1e-300)
    multiplier = np.zeros_like(said)
    for _ in range(ROUNDS):
        before = multiplier.copy()
        for j in range(classes):
            left = short[:, j] - np.einsum("el,el->e", products[:, j], multiplier)
            step = np.divide(left, length[:, j], out=np.zeros(count), where=usable[:, j])
            multiplier[:, j] = np.maximum(0, multiplier[:, j] + step)
        if np.abs(multiplier - before).max(initial=0) <= 1e-9 * multiplier.max(initial=0):
            break
    return multiplier.sum(axis=1)[:, None] * weights[wanted] - multiplier @ weights


@dataclass(frozen=True)
class Turn:
    """The changes to make, one item of each example that a query asks about.

    - rows, item, wanted (int64 [case]): the example, its item, and the class its probe should say.
    - changes: control -> change of S of equal length, ``[case, feature]``.
    """

    rows: np.ndarray
    item: np.ndarray
    wanted: np.ndarray
    changes: dict[str, np.ndarray]


PROBE: Final = "probe's direction"
RANDOM: Final = "random direction"
OTHER_ITEM: Final = "another item's probe"
OTHER_EXAMPLE: Final = "towards another example"
MOVED: Final = (PROBE, RANDOM, OTHER_ITEM, OTHER_EXAMPLE)
"""Ways to change S; all but the first are what the effect is compared with."""


def turn(
    target: ProbeTarget, probe: Fit, features: np.ndarray, generator: np.random.Generator
) -> Turn:
    """Choose an item and a class for each example, and the shortest change that makes it so.

    - target: of these examples.
    - probe: fitted on others.
    - features: S, ``[example, feature]``.
    - generator: chooses items (of those that a query asks about), classes (neither the right one
      nor the one that the probe says now, and one that the item had in training) and random
      directions.
    """
    rows = np.flatnonzero((target.asked_by >= 0).any(axis=1))
    there = target.labels[rows] >= 0
    item = _any_of(there & (target.asked_by[rows] >= 0), generator)
    other = there.copy()
    other[np.arange(len(rows)), item] = False
    weights, said = probe.weights(), probe.evidence(probe.factors.project(features[rows]))
    cases = np.arange(len(rows))
    free = _free(probe, said, item)
    free[cases, target.labels[rows, item]] = False
    wanted = _any_of(free, generator)
    elsewhere = _any_of(other, generator)
    made = {
        PROBE: _change(weights, said, item, wanted),
        RANDOM: generator.normal(size=(len(rows), weights.shape[-1])),
    }
    order = generator.permutation(len(rows))
    following = np.empty_like(order)
    following[order] = np.roll(order, 1)  # each is moved towards the next in this order
    made[OTHER_EXAMPLE] = features[rows[following]] - features[rows]
    if other.any(axis=1).all():
        any_class = _any_of(_free(probe, said, elsewhere), generator)
        made[OTHER_ITEM] = _change(weights, said, elsewhere, any_class)
    # with two classes, none is left where the probe is wrong
    kept = free.any(axis=1)
    length = np.linalg.norm(made[PROBE], axis=1, keepdims=True)
    changes = {}
    for name, change in made.items():
        norm = np.linalg.norm(change, axis=1, keepdims=True)
        as_long = np.divide(length, norm, out=np.zeros_like(norm), where=norm > 0)
        changes[name] = (change * as_long)[kept]
    return Turn(rows[kept], item[kept], wanted[kept], changes)


def _free(probe: Fit, said: np.ndarray, item: np.ndarray) -> np.ndarray:
    """Return which classes an item had in training and are not said now, bool [case, class]."""
    free = probe.offset.reshape(probe.items, -1)[item] > 0
    cases = np.arange(len(item))
    free[cases, said[cases, item].argmax(axis=-1)] = False
    return free


def _change(
    weights: np.ndarray, said: np.ndarray, item: np.ndarray, wanted: np.ndarray
) -> np.ndarray:
    """Return the change that makes the probe of each case's item say what is wanted."""
    change = np.zeros((len(item), weights.shape[-1]))
    for one in np.unique(item):
        of = np.flatnonzero(item == one)
        change[of] = least_change(weights[one], said[of, one], wanted[of])
    return change


def _any_of(allowed: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return an allowed column of each row, bool ``[row, column]``; 0 where none is."""
    return np.where(allowed, generator.random(allowed.shape), -1).argmax(axis=1)
