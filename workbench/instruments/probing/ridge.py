"""Linear probes: ridge regression onto one-hot labels, one factorisation for all of them.

Least squares onto indicators, then the largest: on balanced classes as good a linear classifier as
logistic regression, and closed. The features of a fold are factorised once; after that every
target, item, regularisation and control task costs a product of matrices, where logistic
regression would be fitted thousands of times. The price is known: of classes in a row along one
direction those in the middle are masked, which a memory that stores symbols does not bring about.

With X the centred training features, ``X = P V^T`` (P orthogonal coordinates of squared lengths s,
V orthonormal axes)::

    weights(alpha) = V diag(1 / (s + alpha)) P^T (Y - mean Y)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

ALPHAS: Final = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Regularisations to choose from, as shares of the mean squared length of a coordinate."""


@dataclass(frozen=True)
class Factors:
    """The training features in their own coordinates, float64.

    - mean: ``[feature]``.
    - axes: V, ``[feature, mode]``.
    - strength: s, ``[mode]``, descending; none where the features are constant.
    - coordinates: P, ``[example, mode]``.
    """

    mean: np.ndarray
    axes: np.ndarray
    strength: np.ndarray
    coordinates: np.ndarray

    def project(self, features: np.ndarray) -> np.ndarray:
        """Return the coordinates of other features, ``[example, mode]``."""
        return (features.astype(np.float64) - self.mean) @ self.axes

    def correlate(self, indicators: np.ndarray) -> np.ndarray:
        """Return P^T (Y - mean Y), ``[mode, column]``, for Y ``[example, column]``."""
        return self.coordinates.T @ (indicators - indicators.mean(axis=0))

    def shrink(self, alpha: float) -> np.ndarray:
        """Return 1 / (s + alpha), ``[mode]``; alpha as a share of the mean of s."""
        if not len(self.strength):
            return np.empty(0)
        return 1 / (self.strength + alpha * self.strength.mean())

    def weights(self, correlated: np.ndarray, alpha: float) -> np.ndarray:
        """Return the weights ``[feature, column]``."""
        return self.axes @ (self.shrink(alpha)[:, None] * correlated)


def factorise(features: np.ndarray) -> Factors:
    """Factorise training features ``[example, feature]``, through the smaller Gram matrix."""
    from scipy.linalg import eigh

    mean = features.mean(axis=0, dtype=np.float64)
    centred = features.astype(np.float64) - mean
    count, width = centred.shape
    gram = centred.T @ centred if width <= count else centred @ centred.T
    strength, vectors = eigh(gram, overwrite_a=True, check_finite=False, driver="evd")
    strength, vectors = strength[::-1], vectors[:, ::-1]
    # anything below the features' own rounding is not a direction of theirs
    scale = max(float(mean @ mean) * count, float(strength[0])) if len(strength) else 0.0
    kept = strength > 1e-12 * scale
    strength, vectors = strength[kept], vectors[:, kept]
    if width <= count:
        return Factors(mean, vectors, strength, centred @ vectors)
    root = np.sqrt(strength)
    return Factors(mean, centred.T @ (vectors / root), strength, vectors * root)


def indicators(labels: np.ndarray, classes: int) -> np.ndarray:
    """Return one-hot labels, float64 ``[example, item x class]``; zeros where a label is -1.

    A regression onto such an indicator is one onto "the item is there and of this class", so that
    items which some examples lack need no factorisation of their own.
    """
    one_hot = labels[:, :, None] == np.arange(classes)
    return one_hot.reshape(len(labels), -1).astype(np.float64)


class Fit(NamedTuple):
    """A probe fitted to labels ``[example, item]``: one linear classifier for each item.

    - factors: of the training features.
    - correlated: ``[mode, item x class]``.
    - offset: share of each class in training, ``[item x class]``: the prediction at
      the mean.
    """

    factors: Factors
    correlated: np.ndarray
    offset: np.ndarray
    items: int
    alpha: float

    def answers(self, projected: np.ndarray, alpha: float | None = None) -> np.ndarray:
        """Return the class of each item, int64 ``[example, item]``, from `Factors.project`."""
        return self.evidence(projected, alpha).argmax(axis=-1)

    def evidence(self, projected: np.ndarray, alpha: float | None = None) -> np.ndarray:
        """Return what speaks for each class, ``[example, item, class]``: the answer is the most."""
        shrunk = self.factors.shrink(self.alpha if alpha is None else alpha)
        said = projected @ (shrunk[:, None] * self.correlated) + self.offset
        return said.reshape(len(projected), self.items, said.shape[1] // self.items)

    def weights(self) -> np.ndarray:
        """Return the weights ``[item, class, feature]``."""
        flat = self.factors.weights(self.correlated, self.alpha)
        return np.moveaxis(flat.reshape(len(flat), self.items, -1), 0, -1)


def fit(
    factors: Factors,
    labels: np.ndarray,
    classes: int,
    validation: np.ndarray,
    validation_labels: np.ndarray,
    *,
    alphas: Sequence[float] = ALPHAS,
) -> Fit:
    """Fit a probe; the regularisation is the largest of those that are best on validation.

    - factors: of the training features.
    - labels (int64 [example, item]): of the training examples; -1 for none.
    - validation: validation features, projected, ``[example, mode]``.
    - validation_labels (int64 [example, item]): their labels.
    - alphas: regularisations to choose from, one for all items.
    """
    one_hot = indicators(labels, classes)
    found = Fit(
        factors, factors.correlate(one_hot), one_hot.mean(axis=0), labels.shape[1], max(alphas)
    )
    asked = validation_labels >= 0
    best = -1
    for alpha in sorted(alphas, reverse=True):
        right = int(((found.answers(validation, alpha) == validation_labels) & asked).sum())
        if right > best:
            best, found = right, found._replace(alpha=alpha)
    return found
