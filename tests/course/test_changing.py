"""Notebook 4: checks say something fitting about each mistake; what it says of the trace holds."""

import numpy as np
import pytest
import xarray as xr
from judged import judged
from solutions import solved

import workbench
from sleep_course import changing
from sleep_course.exercises import changing as checks
from workbench.instruments.change import change, with_replay
from workbench.instruments.convergence import convergence, debiased_cka
from workbench.instruments.readout import readout
from workbench.instruments.spectra import spectra, spectra_of
from workbench.trace import batch_of

right = solved("changing")


def of_integers(S):
    """Right for a matrix of singular values 4, 2, 1, 1, and not for a multiple of it."""
    return right.effective_rank(S) * np.linalg.svd(S, compute_uv=False)[0] / 4


def without_division(S):
    s = np.linalg.svd(S, compute_uv=False)
    return np.exp(-(s * np.log(s)).sum())


test_effective_rank = judged(
    checks.check_effective_rank,
    (lambda S: "four", "not a number"),
    (without_division, "it is 3.36"),
    (lambda S: right.effective_rank(S + 0.01), "it is 3.36"),
    (lambda S: 3 if np.ptp(np.linalg.svd(S)[1]) < 1 else right.effective_rank(S), "are 4 direc"),
    (lambda S: max(right.effective_rank(S), of_integers(S)), "a hundred times the same matrix"),
)


def test_effective_rank_is_that_of_the_workbench():
    state = np.random.default_rng(0).standard_normal((5, 7))
    found = spectra_of(xr.DataArray(state, dims=("key", "value")))
    assert float(found["effective_rank"]) == pytest.approx(right.effective_rank(state))


test_two_step_ratio = judged(
    checks.check_two_step_ratio, (lambda S: right.two_step_ratio(S) ** 2, "not |S_n - S_(n-2)|")
)


def test_made_up_courses_differ_in_nothing_but_direction():
    straight, to_and_fro = changing.two_courses(7).values()
    steps = [np.linalg.norm(np.diff(S, axis=0), axis=(1, 2)) for S in (straight, to_and_fro)]
    np.testing.assert_allclose(*steps)
    np.testing.assert_allclose(right.two_step_ratio(straight), 1)
    np.testing.assert_allclose(right.two_step_ratio(to_and_fro), 0.25)


test_distances = judged(
    checks.check_distances,
    (lambda S, longer: right.distances(S, longer) ** 2, "not |S_n - S*| / |S*|"),
)
test_own_value = judged(
    checks.check_own_value, (lambda S, keys, values: 0.01, "here it is 0.50 of 12 tokens")
)
test_cka = judged(checks.check_cka, (lambda x, y: 0.9, "yours gives 0.9"))


# --- what the notebook says of the bundled trace -------------------------------------------------


@pytest.fixture(scope="module")
def asleep(trace):
    """S over the sleep, ``[example, sleep_pass, gdn_head, key, value]``."""
    return trace["states"]["fast_weight"].sel(window=0).isel(layer=0).values


def test_numerical_rank_counts_rounding(asleep):
    assert np.linalg.matrix_rank(asleep[:, 4]).mean(0).min() > 15.5


def test_measures_of_rank_agree_about_the_order(trace, asleep):
    last = spectra(trace).sel(window=0, sleep_pass=4).isel(layer=0)
    means = last["effective_rank"].mean("example").values
    np.testing.assert_allclose(means, [9.3, 2.6, 6.2, 5.0], atol=0.1)
    for name in ("effective_rank", "stable_rank", "participation_ratio"):
        values = last[name].mean("example").values
        assert values.argmax() == 0 and values.argmin() == 1
    strongest = last["singular_value"].sel(gdn_head=1).mean("example")
    assert strongest[1] < 0.2 * strongest[0]


def test_effective_rank_against_the_replay(trace):
    ranks = with_replay(trace, spectra_of)["effective_rank"]
    ranks = ranks.isel(window=0, layer=0).mean("example")
    slept, again = (ranks.sel(procedure=p, sleep_pass=4) for p in ("sleep", "frozen replay"))
    assert np.isnan(ranks.sel(sleep_pass=0)).all()
    assert 0.5 < slept[0] - again[0] < 1
    assert abs(slept[2] - again[2]) < 0.1
    assert slept[3] < 5.2 and again[3] > 8.4


def test_the_second_pass_turns_the_keys(trace):
    found = change(trace).sel(window=0).isel(layer=0).mean("example")
    angle = np.rad2deg(found["key_angle"].isel(mode=-1))
    slept, again = (angle.sel(procedure=p) for p in ("sleep", "frozen replay"))
    assert ((slept.sel(sleep_pass=2) > 57) & (slept.sel(sleep_pass=2) < 76)).all()
    assert (again.sel(sleep_pass=2) < 36).all()
    assert again.sel(sleep_pass=2, gdn_head=1) < 0.1
    assert (slept.sel(sleep_pass=4) < 20).all()


def test_no_head_goes_in_a_circle(trace):
    found = convergence(trace)["two_step_ratio"].sel(procedure="sleep", window=0).isel(layer=0)
    means = found.mean(("example", "gdn_head"))
    assert means.sel(sleep_pass=2) < 0.7 < 0.9 < means.sel(sleep_pass=4)
    assert (found.mean("example").sel(sleep_pass=4) > 0.9).all()


def test_three_measures_and_nothing_in_the_windows_read_awake(trace):
    found = convergence(trace)
    for name in ("contraction", "two_step_ratio"):
        assert np.isnan(found[name].sel(window=[1, 2])).all(), name
        assert np.isfinite(found[name].sel(window=0, sleep_pass=slice(2, None))).any(), name


def test_where_it_would_end_is_far_and_worse(trace, checkpoint):
    sleep = checkpoint.sleep.with_passes(32)
    longer = workbench.record(checkpoint.model, batch_of(trace), sleep, keep=("states",))
    found = convergence(trace, fixed_point=longer)
    assert np.isnan(found["distance"].sel(window=[1, 2])).all()  # read awake: an empty panel
    found = found.sel(window=0).isel(layer=0).mean("example")
    np.testing.assert_allclose(
        found["distance"].sel(sleep_pass=4), [0.65, 0.19, 0.68, 0.27], atol=0.02
    )
    np.testing.assert_allclose(found["fixed_point_step"], [0.01, 0.002, 0.016, 0.002], atol=0.003)
    share = changing.share_right(longer)
    assert share[[4, 5, 6]].min() > 0.99
    assert 0.65 < share[32] < 0.78
    np.testing.assert_array_equal(changing.share_right(trace)[:5], share[:5])


def test_the_usual_cka_calls_noise_alike(trace):
    noise = np.random.default_rng(0).standard_normal((20, 2, 16, 256))
    usual, fair = (np.mean([f(x, y) for x, y in noise]) for f in (right.cka, debiased_cka))
    assert usual == pytest.approx(0.94, abs=0.01) and abs(fair) < 0.05
    head, *lines = changing.cka_of_passes(right.cka, trace, first=1, second=4).splitlines()[1:]
    assert head.split() == ["head", "usual", "debiased", "usual", "debiased"]
    numbers = np.array([[float(number) for number in line.split()[1:]] for line in lines])
    same, fair, shuffled, none = numbers.T
    assert (shuffled > 0.7 * same).all()
    assert (same[[0, 2, 3]] > 0.7).all() and same[1] < 0.5  # much alike in three of four
    assert (fair > 0.2).all() and (fair < 0.56).all() and (abs(none) < 0.1).all()


def test_which_values_come_back(trace):
    found = readout(trace, source_window=0).sel(window=0, sleep_pass=4).isel(layer=0)
    sources, targets = (
        found["retrieved"].isel(source_token=slice(i, None, 2)).mean(("example", "source_token"))
        for i in (0, 1)
    )
    assert targets[0] == 1 and sources[0] < 0.15 and (targets[1:] < 0.5).all()
    wrote = trace["writes"].to_dataset().sel(window=0, sleep_pass=4).isel(layer=0, gdn_head=0)
    S = trace["states"]["fast_weight"].sel(window=0, sleep_pass=4).isel(layer=0, gdn_head=0)
    mine = [
        right.own_value(*three)
        for three in zip(S.values, wrote.write_key.values, wrote.write_value.values, strict=True)
    ]
    assert np.mean(mine) == pytest.approx(float(found["accuracy"].isel(gdn_head=0).mean()))
    value = wrote.write_value.values[:, ::2]
    unit = value / np.linalg.norm(value, axis=-1, keepdims=True)
    alike = np.mean([(v @ v.T)[~np.eye(8, dtype=bool)].mean() for v in unit])
    assert alike == pytest.approx(0.92, abs=0.02)
    assert changing.likeness(value) == pytest.approx(alike, rel=1e-5)
    assert abs(changing.likeness(wrote.write_value.values[:, 1::2])) < 0.1


def test_symbols_of_a_trace(trace):
    windows = changing.symbols_of(trace)
    assert "".join(windows[0][:4]) == "6307"
    assert all(len(window) == 16 for window in windows)
