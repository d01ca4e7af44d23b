"""The shortest change that turns a probe: by hand, and against a general solver."""

import dataclasses

import numpy as np
import pytest

from workbench.instruments.probing.directions import (
    OTHER_EXAMPLE,
    OTHER_ITEM,
    PROBE,
    RANDOM,
    least_change,
    turn,
)
from workbench.instruments.probing.ridge import factorise, fit


def test_two_classes_by_hand():
    """Weights (1, 0) and (-1, 0): S moves along the first axis alone."""
    weights = np.array([[1.0, 0.0], [-1.0, 0.0]])
    said = np.array([[0.9, 0.1], [0.2, 0.8]])
    change = least_change(weights, said, np.array([1, 1]), margin=0.2)
    np.testing.assert_allclose(change, [[-0.5, 0], [0, 0]], atol=1e-9)


def test_a_third_class_is_not_let_in():
    """From the first class to the second, past a third that lies on the way."""
    weights = np.array([[1.0, 0.0], [0.0, 1.0], [-0.1, 0.9]])
    said = np.array([[0.8, 0.1, 0.3]])
    change = least_change(weights, said, np.array([1]), margin=0.0)
    after = said + change @ weights.T
    assert after[0, 1] >= after[0].max() - 1e-9
    straight = 0.7 / 2 * np.array([-1.0, 1.0])  # enough for the first class alone
    assert (said + straight @ weights.T)[0].argmax() == 2
    assert np.linalg.norm(change) > np.linalg.norm(straight)


@pytest.mark.parametrize("seed", range(3))
def test_no_shorter_change_does_it(seed):
    from scipy.optimize import minimize

    rng = np.random.default_rng(seed)
    weights, said = rng.normal(size=(5, 7)), rng.normal(size=(4, 5))
    wanted = rng.integers(0, 5, 4)
    found = least_change(weights, said, wanted, margin=0.1)
    for example, c in enumerate(wanted):
        others = np.delete(np.arange(5), c)
        limits = {
            "type": "ineq",
            "fun": lambda d, e=example, c=c, o=others: (
                (weights[c] - weights[o]) @ d + said[e, c] - said[e, o] - 0.1
            ),
        }
        best = minimize(lambda d: d @ d, np.zeros(7), constraints=limits, tol=1e-12)
        np.testing.assert_allclose(found[example], best.x, atol=1e-4)


@pytest.fixture(scope="module")
def case(probe_target):
    """Two items of three classes, planted in eight features; item 1 is asked about but in row 0."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, (60, 2))
    code = rng.normal(size=(2, 3, 8))
    features = sum(code[i, labels[:, i]] for i in range(2)) + 0.01 * rng.normal(size=(60, 8))
    asked_by = np.tile([-1, 0], (60, 1))
    asked_by[0] = -1
    target = probe_target(labels, "abc", items=("x", "y"), asked_by=asked_by)
    factors = factorise(features)
    probe = fit(factors, labels, 3, factors.coordinates, labels)
    return target, probe, features


def test_a_turn_turns_the_probe_and_its_controls_are_as_long(case):
    target, probe, features = case
    todo = turn(target, probe, features, np.random.default_rng(0))
    np.testing.assert_array_equal(todo.rows, np.arange(1, 60))
    assert (todo.item == 1).all(), "the item that a query asks about"
    assert (todo.wanted != target.labels[todo.rows, 1]).all()
    moved = probe.factors.project(features[todo.rows] + todo.changes[PROBE])
    np.testing.assert_array_equal(probe.answers(moved)[:, 1], todo.wanted)
    assert list(todo.changes) == [PROBE, RANDOM, OTHER_EXAMPLE, OTHER_ITEM]
    length = np.linalg.norm(todo.changes[PROBE], axis=1)
    assert (length > 0).all()
    for change in todo.changes.values():
        np.testing.assert_allclose(np.linalg.norm(change, axis=1), length, rtol=1e-9)
    other = probe.factors.project(features[todo.rows] + 1.01 * todo.changes[OTHER_ITEM])
    kept = probe.answers(other)[:, 1] == target.labels[todo.rows, 1]
    assert kept.mean() > 0.8


def test_a_class_the_item_never_had_is_not_asked_for(case):
    target, _, features = case
    labels = np.minimum(target.labels, 1)  # nothing is c
    factors = factorise(features)
    probe = fit(factors, labels, 3, factors.coordinates, labels)
    todo = turn(target.of_items(["y"]), probe_of(probe, 1), features, np.random.default_rng(0))
    assert OTHER_ITEM not in todo.changes, "there is no other item"
    right = probe.answers(factors.coordinates)[todo.rows, 1] == labels[todo.rows, 1]
    assert set(todo.wanted[right].tolist()) <= {0, 1}


def test_of_two_classes_none_is_left_where_the_probe_is_wrong(case):
    target, _, features = case
    labels = np.minimum(target.labels, 1)
    two = dataclasses.replace(target, labels=labels, classes=("a", "b"), symbols=np.arange(2))
    wrong = labels.copy()
    wrong[30:] = 1 - wrong[30:]
    factors = factorise(features)
    probe = fit(factors, labels, 2, factors.coordinates, labels)
    said = probe.answers(factors.coordinates)[:, 1]
    todo = turn(two, probe, features, np.random.default_rng(0))
    right = np.flatnonzero(said == labels[:, 1])
    np.testing.assert_array_equal(todo.rows, right[right > 0])
    assert 0 < len(todo.rows) <= 59
    unsure = turn(dataclasses.replace(two, labels=wrong), probe, features, np.random.default_rng(0))
    np.testing.assert_array_equal(
        unsure.rows, np.flatnonzero((said == wrong[:, 1]) & (np.arange(60) > 0))
    )
    assert all(len(change) == len(unsure.rows) for change in unsure.changes.values())


def probe_of(probe, item):
    """Return the probe of one item alone."""
    columns = slice(3 * item, 3 * item + 3)
    return probe._replace(
        correlated=probe.correlated[:, columns], offset=probe.offset[columns], items=1
    )
