"""Convergence of memories whose course is known, and CKA of noise."""

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.instruments.change import SLEEP
from workbench.instruments.controls import REPLAY
from workbench.instruments.convergence import cka, convergence, debiased_cka


def test_straight_and_cycling(one_number):
    # always 8: 4, 6, 7. Values 8, 0, 8, ... with the strength 1/2 come to swing: 4, 2, 5
    straight = convergence(one_number([8, 8, 8])).sel(procedure=SLEEP).squeeze()
    np.testing.assert_allclose(straight["step_norm"], [np.nan, 4, 2, 1])
    np.testing.assert_allclose(straight["contraction"], [np.nan, np.nan, 1 / 2, 1 / 2])
    np.testing.assert_allclose(straight["two_step_ratio"], [np.nan, np.nan, 1, 1])
    np.testing.assert_allclose(straight["relative_step"], [np.nan, 1, 1 / 3, 1 / 7])
    swinging = convergence(one_number([8, 0, 8])).squeeze()
    np.testing.assert_allclose(
        swinging["two_step_ratio"].sel(procedure=SLEEP), [np.nan, np.nan, 2 / 6, 1 / 5]
    )
    # and a cycle: 4, 2, 4, 2 comes back to where it was two passes ago
    cycle = convergence(one_number([8, 0, 6, 0])).sel(procedure=SLEEP).squeeze()
    np.testing.assert_allclose(cycle["two_step_ratio"][3:], 0, atol=1e-12)
    # the replay of the swinging one goes straight: 4, 6, 7
    np.testing.assert_allclose(swinging["step_norm"].sel(procedure=REPLAY), [np.nan, 4, 2, 1])


def test_distance_to_the_end_of_a_longer_run(one_number):
    # S = 8 (1 - 2^-n): S* = 7.96875 after 8 passes, with a last step of 0.03125
    found = convergence(one_number([8] * 2), fixed_point=one_number([8] * 8)).squeeze()
    end = 8 * (1 - 2**-8)
    np.testing.assert_allclose(found["distance"], [1, 1 - 4 / end, 1 - 6 / end])
    assert found["fixed_point_step"].item() == pytest.approx(8 * 2**-8 / end)
    assert found["carried_difference"].item() == 0
    assert "8 passes" in found.attrs["fixed_point"]


def test_later_windows_begin_elsewhere(random_trace):
    short, longer = random_trace(0, passes=(1, 1)), random_trace(0, passes=(2, 2))
    found = convergence(short, fixed_point=longer)
    assert (found["carried_difference"].sel(window=0) == 0).all()
    assert (found["carried_difference"].sel(window=1) > 0).all()
    assert found["distance"].dims == ("example", "window", "sleep_pass", "layer", "gdn_head")
    assert found["step_norm"].dims == ("procedure", *found["distance"].dims)


def test_what_is_no_fixed_point(random_trace):
    trace = random_trace(passes=(2, 2))
    with pytest.raises(WorkbenchError, match="not its fixed point"):
        convergence(trace, fixed_point=trace)
    with pytest.raises(WorkbenchError, match="other examples"):
        convergence(trace, fixed_point=random_trace(passes=(3, 3), tokens=4))
    longer = random_trace(passes=(3, 3))
    trace.attrs["checkpoint_sha256"], longer.attrs["checkpoint_sha256"] = "a", "b"
    with pytest.raises(WorkbenchError, match="another model"):
        convergence(trace, fixed_point=longer)


# --- CKA -----------------------------------------------------------------------------------------


def biased_cka(x, y):
    a, b = (g - g.mean(0) for g in (x, y))
    a, b = a @ a.T, b @ b.T
    return (a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum())


def test_independent_noise_is_not_alike():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 64, 2000))
    assert biased_cka(x, y) > 0.9
    assert abs(debiased_cka(x, y)) < 0.05


def test_alike_up_to_rotation_and_scale():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(20, 5))
    turn = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    assert debiased_cka(x, 3 * x @ turn + 1) == pytest.approx(1)
    assert np.isnan(debiased_cka(x, np.ones((20, 3))))
    with pytest.raises(WorkbenchError, match="3 examples; expected at least 4"):
        debiased_cka(x[:3], x[:3])


def test_the_estimator_is_that_of_song():
    # HSIC_1 of Song et al. (2012), term by term
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(9, 3)), rng.normal(size=(9, 4))
    n, one = 9, np.ones(9)

    def hsic(k, m):
        cross = one @ k @ one * (one @ m @ one) / ((n - 1) * (n - 2))
        whole = np.trace(k @ m) + cross - 2 / (n - 2) * (one @ k @ m @ one)
        return whole / (n * (n - 3))

    k, m = (z @ z.T * (1 - np.eye(n)) for z in (x, y))
    expected = hsic(k, m) / np.sqrt(hsic(k, k) * hsic(m, m))
    assert debiased_cka(x, y) == pytest.approx(expected)


def test_cka_of_a_trace(random_trace):
    trace = random_trace(examples=12)
    found = cka(trace, window=1)
    assert found["cka"].dims == ("layer", "gdn_head", "sleep_pass", "other_pass")
    assert found.attrs["examples"] == 12
    assert found["sleep_pass"].values.tolist() == [0, 1, 2]
    for p in (1, 2):
        x, y = (
            trace["states"]["fast_weight"]
            .isel(window=1, layer=1, gdn_head=0, sleep_pass=q)
            .values.reshape(12, -1)
            for q in (p, 0)
        )
        one = found["cka"].isel(layer=1, gdn_head=0)
        np.testing.assert_allclose(one.sel(sleep_pass=p, other_pass=0), debiased_cka(x, y))
        np.testing.assert_allclose(one.sel(sleep_pass=p, other_pass=p), 1)
    # before the first window nothing varies
    assert cka(trace, window=0)["cka"].sel(sleep_pass=0).isnull().all()
