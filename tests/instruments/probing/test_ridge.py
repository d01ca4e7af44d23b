"""The probe's regression against scikit-learn's, in both shapes of the features."""

import numpy as np
import pytest

from workbench.instruments.probing.ridge import ALPHAS, factorise, indicators


@pytest.mark.parametrize("shape", [(30, 8), (8, 30), (12, 12)])
@pytest.mark.parametrize("alpha", ALPHAS)
def test_one_factorisation_gives_the_ridge_of_scikit_learn(shape, alpha):
    from sklearn.linear_model import Ridge

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=shape) + 3, rng.normal(size=(shape[0], 4))
    other = rng.normal(size=(5, shape[1]))
    factors = factorise(x)
    correlated = factors.correlate(y)
    strength = alpha * factors.strength.mean()
    expected = Ridge(alpha=strength, solver="svd").fit(x, y)
    weights = factors.weights(correlated, alpha)
    np.testing.assert_allclose(weights, expected.coef_.T, rtol=1e-6, atol=1e-8)
    found = factors.project(other) @ (factors.shrink(alpha)[:, None] * correlated) + y.mean(axis=0)
    np.testing.assert_allclose(found, expected.predict(other), rtol=1e-6, atol=1e-7)


def test_repeated_and_constant_features_have_no_directions_of_their_own():
    x = np.random.default_rng(0).normal(size=(20, 3))
    assert len(factorise(np.concatenate([x, x, np.full((20, 4), 1e3)], axis=1)).strength) == 3
    flat = factorise(np.full((20, 5), 7.0, dtype=np.float32))
    assert flat.strength.size == 0
    weights = flat.weights(flat.correlate(np.eye(20)), 1.0)
    np.testing.assert_array_equal(weights, np.zeros((5, 20)))


def test_indicators_of_items_that_are_not_there_are_zero():
    found = indicators(np.array([[1, -1], [0, 1]]), 2)
    np.testing.assert_array_equal(found, [[0, 1, 0, 0], [1, 0, 0, 1]])
