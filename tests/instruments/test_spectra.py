"""Spectra of matrices whose singular values are known."""

import numpy as np
import pytest
import xarray as xr

from workbench import dims
from workbench.instruments.spectra import spectra, spectra_of

OVER = (dims.SLEEP_PASS, dims.KEY, dims.VALUE)


def test_known_singular_values():
    # diag(2, 1, 1), turned: s = 2, 1, 1. Shares of the sum are 1/2, 1/4, 1/4, with entropy
    # (1/2) ln 2 + (1/2) ln 4 = 1.5 ln 2; sum s^2 = 6 and sum s^4 = 18.
    rng = np.random.default_rng(0)
    left, right = (np.linalg.qr(rng.normal(size=(n, n)))[0] for n in (4, 3))
    matrix = left[:, :3] @ np.diag([2.0, 1.0, 1.0]) @ right
    found = spectra_of(xr.DataArray(matrix[None], dims=OVER)).isel(sleep_pass=0)
    np.testing.assert_allclose(found["singular_value"], [2, 1, 1])
    assert found["norm"].item() == pytest.approx(6**0.5)
    assert found["effective_rank"].item() == pytest.approx(2**1.5)
    assert found["stable_rank"].item() == pytest.approx(6 / 4)
    assert found["participation_ratio"].item() == pytest.approx(36 / 18)


def test_one_direction_is_one_however_small_or_coarse():
    # an outer product has one direction, at any size; rounded to three digits it has full
    # numerical rank, and yet all measures stay at 1
    rng = np.random.default_rng(1)
    outer = np.outer(rng.normal(size=4), rng.normal(size=3))
    coarse = np.round(outer, 3)
    assert np.linalg.matrix_rank(coarse) == 3
    found = spectra_of(xr.DataArray(np.stack([outer, outer * 1e-120, coarse]), dims=OVER))
    np.testing.assert_allclose(found["stable_rank"], 1, atol=1e-4)
    np.testing.assert_allclose(found["participation_ratio"], 1, atol=1e-4)
    np.testing.assert_allclose(found["effective_rank"], 1, atol=1e-2)
    np.testing.assert_allclose(found["effective_rank"][:2], 1, atol=1e-9)


def test_empty_and_missing_states():
    matrices = np.stack([np.zeros((4, 3)), np.full((4, 3), np.nan), np.ones((4, 3))])
    found = spectra_of(xr.DataArray(matrices, dims=OVER))
    assert found["norm"].values[0] == 0
    assert (found["singular_value"].values[0] == 0).all()
    assert np.isnan(found["norm"].values[1]) and np.isnan(found["singular_value"].values[1]).all()
    for name in ("effective_rank", "stable_rank", "participation_ratio"):
        assert np.isnan(found[name].values[:2]).all()
        assert found[name].values[2] == pytest.approx(1)


def test_of_a_trace(random_trace):
    trace = random_trace()
    found = spectra(trace)
    states = trace["states"]["fast_weight"]
    np.testing.assert_allclose(
        found["norm"], np.sqrt((states**2).sum(("key", "value"), skipna=False)), rtol=1e-6
    )
    # windows of 3, 2 and 1 passes
    read = found["norm"].notnull().all(("example", "layer", "gdn_head"))
    assert read.sum("sleep_pass").values.tolist() == [4, 3, 2]
