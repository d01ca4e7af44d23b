"""Training, validation and test examples of a probe: split by what they say, never by row.

With the same memory in two folds a probe can memorise: even with random labels, a split by row
scores as if it had found something. So examples that share a window's text, or all answers, stay
together (groups), and states of several passes or windows of one example are never mixed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from workbench.batch import Batch
from workbench.config import SleepConfig
from workbench.errors import WorkbenchError
from workbench.instruments.boundaries import windows_read
from workbench.tasks.targets import ProbeTarget

SHARES: Final = (0.6, 0.2, 0.2)
"""Shares of training, validation and test."""

FEWEST: Final = 10
"""Groups and examples that every fold has at least."""


class Folds(NamedTuple):
    """Indices of examples, int64 [example of the fold], ascending."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def groups_of(batch: Batch, sleep: SleepConfig, targets: Sequence[ProbeTarget] = ()) -> np.ndarray:
    """Return the group of each example, int64 ``[example]``.

    Two examples are in one group if everything that is slept on is the same in both, if one window
    of it is (padding does not count: only windows without any), if all labels of all `targets` are
    the same in both, or if a third example ties them together.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    count = len(batch)
    examples, contents = [], []
    total = 0

    def tie(rows: np.ndarray, index: np.ndarray) -> None:
        nonlocal total
        if len(index):
            same = np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1)
            examples.append(index)
            contents.append(count + total + same)
            total += int(same.max()) + 1

    read = np.where(batch.valid, batch.tokens, -1)
    whole = []
    for window in windows_read(batch, sleep):
        if not window.awake:
            part = slice(window.start, window.stop)
            whole.append(read[:, part])
            index = np.flatnonzero(batch.valid[:, part].all(axis=1))
            tie(batch.tokens[index, part], index)
    if whole:
        tie(np.concatenate(whole, axis=1), np.arange(count))
    if targets:
        tie(np.concatenate([t.labels for t in targets], axis=1), np.arange(count))
    if not examples:
        return np.arange(count)
    # a graph of examples and of the texts and answers they have: groups hang together in it
    row, column = np.concatenate(examples), np.concatenate(contents)
    size = count + total
    graph = coo_array((np.ones(len(row), dtype=np.int8), (row, column)), shape=(size, size))
    found = connected_components(graph, directed=False)[1][:count]
    return np.unique(found, return_inverse=True)[1].reshape(-1).astype(np.int64)


def split(groups: np.ndarray, seed: int) -> Folds:
    """Split examples at random into three folds of `SHARES`, whole groups at a time.

    - seed: the same seed, the same folds.

    Raises WorkbenchError: a fold has fewer than `FEWEST` groups: too few examples, or too many that
    say the same.
    """
    number, sizes = np.unique(groups, return_inverse=True, return_counts=True)[1:]
    order = np.random.default_rng([seed, 0]).permutation(len(sizes))
    # a group goes where its middle falls, so that a large one cannot leave a fold empty for long
    middle = np.cumsum(sizes[order]) - sizes[order] / 2
    fold = np.empty(len(sizes), dtype=np.int64)
    fold[order] = np.searchsorted(np.cumsum(SHARES)[:2] * len(groups), middle, side="right")
    fewest = int(np.bincount(fold, minlength=3).min())
    if fewest < FEWEST:
        raise WorkbenchError(
            f"{len(groups)} examples in {len(sizes)} groups (the largest of {sizes.max()}), of "
            f"which a fold would get {fewest}",
            f"at least {FEWEST} groups in each fold",
            "take more examples, or a task whose contexts repeat less often",
        )
    of = fold[number.reshape(-1)]
    return Folds(*(np.flatnonzero(of == i) for i in range(3)))
