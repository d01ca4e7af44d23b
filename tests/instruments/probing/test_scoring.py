"""Control tasks and the majority line, by hand."""

import numpy as np
import pytest
from scipy.stats import ttest_rel

from workbench.instruments.probing.folds import Folds
from workbench.instruments.probing.scoring import (
    KINDS,
    SHUFFLED,
    Questions,
    control_labels,
    gain,
    majority,
)


@pytest.fixture
def target(probe_target):
    return lambda labels, kinds=None: probe_target(labels, kinds=kinds)


def test_a_control_label_depends_on_item_and_kind_alone(target):
    rng = np.random.default_rng(0)
    kinds = rng.integers(0, 5, (300, 2))
    labels = rng.integers(0, 2, (300, 2))
    labels[0, 1] = kinds[0, 1] = -1
    made = control_labels(target(labels, kinds), np.arange(300), np.arange(200), (0, 1, 0))[KINDS]
    assert made[0, 1] == -1
    assert (made >= 0).sum() == 599
    for item in range(2):
        for kind in range(5):
            assert len(set(made[kinds[:, item] == kind, item].tolist())) == 1
    other = control_labels(target(labels, kinds), np.arange(300), np.arange(200), (1, 1, 0))[KINDS]
    assert not np.array_equal(made, other)


def test_control_labels_have_the_classes_of_training(target):
    labels = np.zeros((20, 1), dtype=np.int64)
    labels[15:] = 1  # not in training
    made = control_labels(target(labels, np.arange(20)[:, None]), np.arange(20), np.arange(10), [0])
    assert not made[KINDS].any()


def test_shuffled_labels_are_those_of_another_group(target):
    groups = np.array([3, 0, 3, 7])
    labels = [[0, 0], [1, 0], [0, 0], [1, -1]]
    found = set()
    for seed in range(20):
        made = control_labels(target(labels), groups, np.arange(4), [seed])
        assert list(made) == [SHUFFLED]
        rows = made[SHUFFLED].tolist()
        assert rows[0] == rows[2]
        assert rows[3][1] == -1
        found.add(tuple(row[0] for row in rows))
    assert found == {(0, 1, 0, 1), (1, 0, 1, 1), (1, 1, 1, 0)}


def test_the_majority_is_that_of_the_training_fold_by_item(target):
    labels = [[0, 1], [0, 1], [1, 1], [0, 0], [1, 0], [0, -1]]
    folds = Folds(np.arange(3), np.array([3]), np.array([4, 5]))
    questions = Questions([target(labels)], np.arange(6), {0: folds}, (1.0,))
    accuracy, right_of, asked_of = majority(questions)
    np.testing.assert_allclose(accuracy, [[1 / 3]])  # 0, 1 said of (1, 0) and (0, -)
    np.testing.assert_array_equal(right_of, [[0, 0, 0, 0, 0, 1]])
    np.testing.assert_array_equal(asked_of, [[0, 0, 0, 0, 2, 1]])


def test_a_gain_is_paired_by_example():
    """Against scipy's paired t-test, where every example is asked about one item."""
    rng = np.random.default_rng(0)
    right, other = rng.integers(0, 2, (2, 1, 50)).astype(float)
    found = gain(right, other, np.ones((1, 50)), np.arange(50))[:, 0]
    paired = ttest_rel(right[0], other[0])
    np.testing.assert_allclose(found[0], (right - other).mean())
    np.testing.assert_allclose(found[1:], paired.confidence_interval(0.95), rtol=1e-12)
    # every example twice is no more evidence, if the groups say so
    twice = [np.tile(a, (1, 2)) for a in (right, other, np.ones((1, 50)))]
    again = gain(*twice, np.tile(np.arange(50), 2))[:, 0]
    np.testing.assert_allclose(again, found, rtol=1e-12)
