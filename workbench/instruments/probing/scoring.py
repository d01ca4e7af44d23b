"""Probing one place: every split, target and control task on the features of that place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from workbench.instruments.clustered import ratio
from workbench.instruments.probing.folds import Folds
from workbench.instruments.probing.ridge import ALPHAS, Factors, Fit, factorise, fit
from workbench.tasks.targets import ProbeTarget
from workbench.training.statistics import proportion_interval

KINDS: Final = "kinds"
SHUFFLED: Final = "shuffled"
CONTROLS: Final = (KINDS, SHUFFLED)


@dataclass(frozen=True)
class Questions:
    """What to decode at every place: targets about the same items, under every split.

    - groups (int64 [example]): examples that must not be in two folds.
    - alphas: regularisations to choose from.
    """

    targets: Sequence[ProbeTarget]
    groups: np.ndarray
    splits: Mapping[int, Folds]
    alphas: tuple[float, ...]

    def controls(self, seed: int, target: int) -> dict[str, np.ndarray]:
        """Return the control labels of a seed: the same at every place."""
        train = self.splits[seed].train
        return control_labels(self.targets[target], self.groups, train, (seed, 1, target))


class Scores(NamedTuple):
    """What the probes of one place found on the test folds.

    - values: variables of `probe_states` at this place: ``accuracy [seed, target]`` and so on;
      NaN where nothing was asked.
    - right_of: items decoded correctly in each example, all seeds together, ``[target, example]``.
    """

    values: dict[str, np.ndarray]
    right_of: np.ndarray


def _shares(right: np.ndarray, asked: np.ndarray) -> np.ndarray:
    return np.divide(
        right, asked, out=np.full(np.shape(right), np.nan), where=np.asarray(asked) > 0
    )


def score_place(
    features: np.ndarray, questions: Questions, *, controls: bool, ended: Callable[[], bool]
) -> Scores | None:
    """Probe features ``[example, feature]`` of one place with every split.

    - controls: also probe for the control tasks.

    Result: None if `ended` said so.
    """
    targets, examples = questions.targets, len(features)
    shape = (len(questions.splits), len(targets))
    right, asked = np.zeros((2, *shape, len(targets[0].items)))
    right_of, asked_of = np.zeros((2, len(targets), examples, len(targets[0].items)))
    tested = np.zeros(examples)
    control = np.full((*shape, len(CONTROLS)), np.nan)
    alpha = np.full(shape, np.nan)
    for s, (seed, folds) in enumerate(questions.splits.items()):
        if ended():
            return None
        fold = SplitFeatures(features, folds, questions.alphas)
        tested[folds.test] += 1
        for t, target in enumerate(targets):
            good, there, alpha[s, t] = fold.scored(target.labels, len(target.classes))
            right[s, t], asked[s, t] = good.sum(axis=0), there.sum(axis=0)
            right_of[t, folds.test] += good
            asked_of[t, folds.test] += there
            for name, labels in questions.controls(seed, t).items() if controls else ():
                good, there, _ = fold.scored(labels, len(target.classes))
                control[s, t, CONTROLS.index(name)] = _shares(good.sum(), there.sum())
    # an example is one case, in however many test folds it was
    times = tested[tested > 0].mean()
    both = [(r / times, a / times) for r, a in zip(right_of, asked_of, strict=True)]
    interval = [proportion_interval(r.sum(axis=1), a.sum(axis=1)) for r, a in both]
    by_item = [[proportion_interval(*of) for of in zip(r.T, a.T, strict=True)] for r, a in both]
    values = {
        "accuracy": _shares(right.sum(axis=-1), asked.sum(axis=-1)),
        "item_accuracy": _shares(right, asked),
        "control_accuracy": control,
        "alpha": alpha,
    }
    for bound, name in enumerate(("low", "high")):
        values[name] = np.array(interval)[:, bound]
        values[f"item_{name}"] = np.array(by_item)[..., bound]
    return Scores(values, right_of.sum(axis=-1))


class SplitFeatures:
    """Features of one place under one split, factorised once for all labels."""

    def __init__(
        self, features: np.ndarray, folds: Folds, alphas: Sequence[float] = ALPHAS
    ) -> None:
        self.folds, self.alphas = folds, alphas
        self.factors: Factors = factorise(features[folds.train])
        self.validation, self.test = (self.factors.project(features[fold]) for fold in folds[1:])

    def fitted(self, labels: np.ndarray, classes: int) -> Fit:
        """Return a probe for labels ``[example, item]`` of all examples."""
        train, validation, _ = (labels[fold] for fold in self.folds)
        return fit(self.factors, train, classes, self.validation, validation, alphas=self.alphas)

    def scored(self, labels: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray, float]:
        """Return right and asked, bool ``[example, item]`` of the test fold, and alpha."""
        probe, test = self.fitted(labels, classes), labels[self.folds.test]
        asked = test >= 0
        return (probe.answers(self.test) == test) & asked, asked, probe.alpha


def control_labels(
    target: ProbeTarget, groups: np.ndarray, train: np.ndarray, seed: Sequence[int]
) -> dict[str, np.ndarray]:
    """Return labels ``[example, item]`` that mean nothing; -1 where the target's are.

    - target: whose shares of classes the random labels have.
    - groups (int64 [example]): labels are exchanged between whole groups.
    - train (int64 [example of the fold]): training examples, which the shares are taken from.
    - seed: the same seed, the same labels.

    Result: "kinds" (a random label for each item and type of its input), if the target has kinds,
    and "shuffled" (those of another example).
    """
    rng = np.random.default_rng(list(seed))
    labels = target.labels
    made = {}
    if target.kinds is not None:
        known = labels[train]
        counts = np.bincount(known[known >= 0], minlength=len(target.classes))
        size = (labels.shape[1], max(int(target.kinds.max(initial=0)) + 1, 1))
        table = rng.choice(len(counts), p=counts / counts.sum(), size=size)
        drawn = table[np.arange(labels.shape[1]), target.kinds]
        made[KINDS] = np.where((labels < 0) | (target.kinds < 0), -1, drawn)
    numbers, first, group = np.unique(groups, return_index=True, return_inverse=True)
    exchanged = labels[first[rng.permutation(len(numbers))][group.reshape(-1)]]
    made[SHUFFLED] = np.where(labels < 0, -1, exchanged)
    return made


def majority(questions: Questions) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what each item's commonest class in training gets right on the test folds.

    Result: accuracy ``[seed, target]``; `Scores.right_of`, and how many items each example is asked
    about there, ``[target, example]``.
    """
    accuracy = np.empty((len(questions.splits), len(questions.targets)))
    right_of, asked_of = np.zeros((2, len(questions.targets), len(questions.groups)))
    for s, folds in enumerate(questions.splits.values()):
        for t, target in enumerate(questions.targets):
            train, test = target.labels[folds.train], target.labels[folds.test]
            counts = (train[:, :, None] == np.arange(len(target.classes))).sum(axis=0)
            right, asked = test == counts.argmax(axis=-1), test >= 0
            accuracy[s, t] = right.sum() / asked.sum()
            right_of[t, folds.test] += right.sum(axis=1)
            asked_of[t, folds.test] += asked.sum(axis=1)
    return accuracy, right_of, asked_of


def gain(
    right: np.ndarray, baseline: np.ndarray, asked: np.ndarray, groups: np.ndarray
) -> np.ndarray:
    """Return how much more is decoded correctly than by a baseline, with its 95 % interval.

    - right, baseline, asked: items decoded correctly by each, and asked about, ``[target,
      example]``, on the same folds.
    - groups (int64 [example]): examples that are not independent.

    Result: difference of the two shares, low and high, ``[3, target]``. The interval is that of
    `workbench.instruments.clustered.ratio`, paired: over groups of examples, of the same items. It
    does not cover what another training would give.
    """
    of_group = [
        [np.bincount(groups, weights=row) for row in rows] for rows in (right - baseline, asked)
    ]
    return np.array([ratio(*pair) for pair in zip(*of_group, strict=True)]).T
