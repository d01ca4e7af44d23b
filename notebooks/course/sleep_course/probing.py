"""Probes by hand and from the record: leaks between folds, choosing on validation, pushing S.

Called by notebook 6; its exercises are in `sleep_course.exercises.probing`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
import xarray as xr

from workbench import dims
from workbench.batch import Batch
from workbench.config import SleepConfig
from workbench.instruments.boundaries import known_passes, read_boundaries, read_on
from workbench.instruments.probing.directions import PROBE, turn
from workbench.instruments.probing.features import flattened
from workbench.instruments.probing.folds import groups_of, split
from workbench.instruments.probing.ridge import Factors, Fit, factorise, fit
from workbench.instruments.steering import moved
from workbench.model import HybridModel
from workbench.tasks.targets import ProbeTarget
from workbench.training.loss import answer_probabilities

LITTLE = 1e-4
"""Regularisation of a probe that is free to learn by heart."""

HeldOut = Callable[[np.ndarray, float, int], np.ndarray]
"""``held_out(example, share, seed)``: which rows are tested, bool ``[row]``."""


def rows_of(states: xr.DataArray, passes: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return S after several passes, ``[row, feature]``, and each row's example, int ``[row]``.

    `states` are those of `workbench.instruments.probing.features.fast_weights`, of one window and
    layer; each example and pass gives a row.
    """
    window, layer = int(states[dims.WINDOW][0]), int(states[dims.LAYER][0])
    parts = [flattened(states, window, sleep_pass, layer) for sleep_pass in passes]
    return np.concatenate(parts), np.tile(np.arange(len(parts[0])), len(parts))


def random_label_accuracy(
    held_out: HeldOut, features: np.ndarray, example: np.ndarray, *, draws: int = 10
) -> float:
    """Return how well a probe predicts labels thrown by a coin, mean over `draws`.

    `held_out` says which rows are tested; the others train the probe. `features` are
    ``[row, feature]``; the rows of one `example`, int ``[row]``, share a label.
    """
    scores = []
    for seed in range(draws):
        coin = np.random.default_rng([seed, 1]).integers(0, 2, int(example.max()) + 1)
        test = np.asarray(held_out(example, 0.2, seed), dtype=bool)
        labels = coin[example][:, None]
        probe = _fixed(factorise(features[~test]), labels[~test], 2, LITTLE)
        found = probe.answers(probe.factors.project(features[test]))
        scores.append((found == labels[test]).mean())
    return float(np.mean(scores))


def by_row(example: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Return test rows chosen the wrong way, at random among all rows, bool ``[row]``."""
    order = np.random.default_rng(seed).permutation(len(example))
    return order < share * len(example)


class Bench:
    """Features ``[example, feature]`` of one place, split by group as the workbench does.

    `groups`, int ``[example]``, are as `workbench.instruments.probing.folds.groups_of` gives them;
    `of` has the examples of each fold: "train", "validation", "test".
    """

    def __init__(self, features: np.ndarray, groups: np.ndarray) -> None:
        self.of = split(groups, 0)._asdict()
        self._factors = factorise(features[self.of["train"]])
        self._projected = {n: self._factors.project(features[i]) for n, i in self.of.items()}

    def right(self, labels: np.ndarray, alpha: float, fold: str) -> np.ndarray:
        """Return which items a probe trained with `alpha` predicts right, bool ``[example, item]``.

        `labels` are those of all examples, int ``[example, item]``.
        """
        classes = int(labels.max()) + 1
        probe = _fixed(self._factors, labels[self.of["train"]], classes, alpha)
        return probe.answers(self._projected[fold]) == labels[self.of[fold]]

    def score(self, labels: np.ndarray) -> Callable[[float, str], float]:
        """Return ``score(alpha, fold)``, the share of items predicted right."""
        return lambda alpha, fold: float(self.right(labels, alpha, fold).mean())


def compared(record: xr.Dataset) -> dict[str, np.ndarray]:
    """Return the accuracy of a recorded probe after the last pass, and of its baselines.

    Of a measurement of probes of one window and one layer: "S" and the baselines by name, over
    target; means over seeds.
    """
    last = record.isel({dims.WINDOW: 0, dims.LAYER: 0, dims.SLEEP_PASS: -1})
    found = {"S": last["accuracy"].mean(dims.SEED).values}
    baselines = last["baseline_accuracy"].mean(dims.SEED)
    for name in baselines[dims.BASELINE].values:
        found[str(name)] = baselines.sel({dims.BASELINE: name}).values
    return found


class Push:
    """A probe after the last pass of the last window slept on, and how to push S so that it turns.

    `states` are those of this reading, from `workbench.instruments.probing.features.fast_weights`.
    Only queries about `target`'s own number of hops count. `change` is the shortest such change of
    each case in the test fold, ``[case, gdn_head x key x value]``; `size` its length as a share of
    that of S, ``[case]``. For several seeds, passes and targets with their intervals see
    `workbench.instruments.steering.steer`.
    """

    def __init__(
        self,
        model: HybridModel,
        batch: Batch,
        sleep: SleepConfig,
        states: xr.DataArray,
        target: ProbeTarget,
    ) -> None:
        asks = batch.difficulty == target.level  # (example, query)
        held = np.where(target.asked_by < 0, 0, target.asked_by)
        own = (target.asked_by >= 0) & np.take_along_axis(asks, held, axis=1)
        target = replace(target, asked_by=np.where(own, target.asked_by, -1))
        window, self.layer = int(states[dims.WINDOW][-1]), int(states[dims.LAYER][0])
        features = flattened(states, window, known_passes(sleep), self.layer)
        train, validation, test = split(groups_of(batch, sleep, [target]), 0)
        factors = factorise(features[train])
        probe = fit(
            factors,
            target.labels[train],
            len(target.classes),
            factors.project(features[validation]),
            target.labels[validation],
        )
        self.model, self.batch, self.sleep = model, batch.examples(test), sleep
        self.target = target.of_examples(test)
        self.todo = turn(self.target, probe, features[test], np.random.default_rng(0))
        self.start = read_boundaries(model, self.batch, sleep)[window, known_passes(sleep)]
        self.change = self.todo.changes[PROBE]
        lengths = np.linalg.norm(features[test][self.todo.rows], axis=1)
        self.size = np.linalg.norm(self.change, axis=1) / lengths

    @torch.no_grad()
    def follows(self, change: np.ndarray) -> float:
        """Return the share of cases whose answer is the node that the probe was pushed to.

        `change` is added to S, ``[case, gdn_head x key x value]``.
        """
        delta = np.zeros((len(self.batch), change.shape[1]))
        delta[self.todo.rows] = change
        wakes = read_on(self.model, self.batch, self.sleep, moved(self.start, self.layer, delta))
        likely = np.nan_to_num(answer_probabilities(wakes, self.batch), nan=-1).argmax(-1)
        asked = self.target.asked_by[self.todo.rows, self.todo.item]
        wanted = self.target.symbols[self.todo.wanted]
        return float((likely[self.todo.rows, asked] == wanted).mean())


def _fixed(factors: Factors, labels: np.ndarray, classes: int, alpha: float) -> Fit:
    """Fit a probe with one regularisation, so that nothing is left to choose on validation."""
    nothing = np.zeros((1, len(factors.strength))), np.full((1, labels.shape[1]), -1)
    return fit(factors, labels, classes, *nothing, alphas=(alpha,))
