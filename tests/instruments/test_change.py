"""Change per pass, and the replay beside it, of memories that can be worked out by hand."""

import numpy as np
import pytest
import xarray as xr

from workbench import dims
from workbench.errors import WorkbenchError
from workbench.instruments.change import SLEEP, change, changes_of, frozen_replay, replayed
from workbench.instruments.controls import REPLAY
from workbench.instruments.provenance import contribution_norms

OVER = (dims.SLEEP_PASS, dims.LAYER, dims.GDN_HEAD, dims.KEY, dims.VALUE)


@pytest.fixture(scope="module")
def halving(one_number):
    """In pass 1 the value is 8, and a replay goes 4, 6, 7; the sleep goes 4, 10, 7."""
    return one_number([8, 16, 4])


def test_sleep_and_replay_by_hand(halving):
    found = change(halving, modes=1).squeeze()
    np.testing.assert_allclose(found["delta_norm"].sel(procedure=SLEEP), [np.nan, 4, 6, 3])
    np.testing.assert_allclose(found["delta_norm"].sel(procedure=REPLAY), [np.nan, 4, 2, 1])
    np.testing.assert_allclose(
        found["relative_change"].sel(procedure=REPLAY), [np.nan, 1, 2 / 6, 1 / 7]
    )
    np.testing.assert_array_equal(frozen_replay(halving).squeeze(), [0, 4, 6, 7])
    assert "frozen replay" in found.attrs["baseline"]
    np.testing.assert_allclose(found["memory_change"], found["relative_change"])
    assert found["cosine"].sel(procedure=SLEEP).values[2:].tolist() == [1, 1]
    assert np.isnan(found["cosine"].values[:, :2]).all()  # S_0 = 0 has no direction


def test_rotation_by_hand():
    # 3 e1 e1^T + e2 e2^T, then the key side turned by 30 degrees in the plane of e2 and e3: the
    # first key direction stays, the second turns; values stay
    angle = np.pi / 6
    start = np.zeros((4, 3))
    start[0, 0], start[1, 1] = 3, 1
    turn = np.eye(4)
    turn[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    states = np.stack([start, turn @ start, 5 * turn @ start])[:, None, None]
    found = changes_of(xr.DataArray(states, dims=OVER), modes=2).squeeze()
    np.testing.assert_allclose(found["key_angle"][1], [0, angle], atol=1e-7)
    np.testing.assert_allclose(found["value_angle"][1], [0, 0], atol=1e-7)
    # growing changes the norm and turns nothing
    np.testing.assert_allclose(found["key_angle"][2], [0, 0], atol=1e-7)
    np.testing.assert_allclose(found["relative_change"][2], 4 / 5)
    np.testing.assert_allclose(found["cosine"][1:], [(9 + np.cos(angle)) / 10, 1])
    # S has two directions: of the third, no rotation can be told
    assert np.isnan(changes_of(xr.DataArray(states, dims=OVER), modes=3)["key_angle"]).all()


def test_replay_of_a_trace_runs_the_same_recurrence(random_trace, hand_trace):
    trace = random_trace(1)
    writes = {
        name: np.nan_to_num(trace["writes"][name].values)
        for name in ("write_key", "write_value", "beta", "log_decay")
    }
    # window 0 alone, every pass writing what pass 1 wrote
    once = {name: np.repeat(a[:, :1, :1], 3, axis=2) for name, a in writes.items()}
    again = hand_trace(
        [3],
        key=once["write_key"],
        value=once["write_value"],
        beta=once["beta"],
        log_decay=once["log_decay"],
        corrects=[True, False],
    )
    replay = frozen_replay(trace)
    np.testing.assert_allclose(
        replay.isel(window=0), again["states"]["fast_weight"].isel(window=0), atol=1e-12
    )
    # the first pass is the sleep's own, in every window
    states = trace["states"]["fast_weight"]
    np.testing.assert_allclose(
        replay.isel(sleep_pass=[0, 1]), states.isel(sleep_pass=[0, 1]), atol=1e-12
    )
    assert replay.isnull().equals(states.isnull())
    assert replay.dims == states.dims


def test_of_a_trace(random_trace):
    found = change(random_trace())
    assert found[dims.PROCEDURE].values.tolist() == [SLEEP, REPLAY]
    assert found["delta_norm"].isel(sleep_pass=0).isnull().all()
    first = found.isel(sleep_pass=1)
    xr.testing.assert_allclose(
        first.sel(procedure=SLEEP, drop=True), first.sel(procedure=REPLAY, drop=True), atol=1e-3
    )


def test_wrong_use(random_trace):
    with pytest.raises(WorkbenchError, match="modes = 4; expected 1 to 3"):
        change(random_trace(), modes=4)


def test_a_replay_can_be_asked_like_a_sleep(halving, random_trace):
    # strength 1/2: of the 7 that the replay ends with, pass 1 has left 1, pass 2 2, pass 3 4
    shares = contribution_norms(replayed(halving, window=0))["share"].squeeze()
    np.testing.assert_allclose(shares, [1 / 7, 2 / 7, 4 / 7])
    # the sleep wrote 8, 16, 4: of its 7 it is 1, 4, 2
    shares = contribution_norms(halving.isel(window=[0]))["share"].squeeze()
    np.testing.assert_allclose(shares, [1 / 7, 4 / 7, 2 / 7])
    # a later window begins with what was carried into it
    trace = random_trace(dtype=np.float32)
    for found in (replayed(trace, window=1), trace.isel(window=[1])):
        parts = contribution_norms(found, every_pass=True)
        assert float(parts["unexplained"].max()) < 1e-6
        assert (parts["carried_share"].sel(sleep_pass=0) == 1).all()
        assert parts["source_window"].values.tolist() == [1]
