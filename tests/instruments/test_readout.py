"""What a memory returns for its keys, worked out on paper."""

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.instruments.readout import crosstalk, readout


@pytest.fixture(scope="module")
def paper(hand_trace):
    """Two windows of one pass over two tokens and padding; delta rule, outer product.

    Window 0 writes a = (2, 0) under e1 and b = (0, 4) under e2. Window 1 writes c = (0, 6) under
    e1 with strength 1/2 (no decay), its other tokens are padding:

        delta rule      e1: (1, 0) + (0, 3) = (1, 3)    e2: b
        outer product   e1: (2, 0) + (0, 3) = (2, 3)    e2: b
    """
    key = np.zeros((1, 2, 1, 2, 1, 3, 2))
    value = np.zeros((1, 2, 1, 2, 1, 3, 2))
    beta = np.zeros(key.shape[:-1])
    key[0, 0, 0, :, 0, :2] = [[1, 0], [0, 1]]
    value[0, 0, 0, :, 0, :2] = [[2, 0], [0, 4]]
    beta[0, 0, 0, :, 0, :2] = 1
    key[0, 1, 0, :, 0, 0], value[0, 1, 0, :, 0, 0], beta[0, 1, 0, :, 0, 0] = [1, 0], [0, 6], 0.5
    key[..., 2, :], value[..., 2, :] = [0, 1], [9, 9]  # padding has keys and values, too
    return hand_trace(
        [1, 1],
        key=key,
        value=value,
        beta=beta,
        log_decay=np.zeros(beta.shape),
        corrects=[True, False],
    )


def test_readout_on_paper(paper):
    found = readout(paper, source_window=0).isel(example=0, gdn_head=0, layer=0)
    assert (found["chance"] == 1 / 2).all()  # two values were written
    empty, full = (found.sel(window=0, sleep_pass=p) for p in (0, 1))
    np.testing.assert_allclose(empty["relative_distance"], [1, 1, np.nan])
    np.testing.assert_allclose(empty["accuracy"], 1 / 2)  # nothing is returned: a tie of all
    assert empty["cosine"].isnull().all()
    np.testing.assert_allclose(full["relative_distance"], [0, 0, np.nan])
    np.testing.assert_allclose(full["cosine"], [1, 1, np.nan])
    np.testing.assert_allclose(full["retrieved"], [1, 1, np.nan])
    # after window 1, e1 returns (1, 3): nearer to b = (0, 4) than to a = (2, 0)
    late = found.sel(window=1, sleep_pass=1)
    np.testing.assert_allclose(late["retrieved"], [0, 1, np.nan])
    np.testing.assert_allclose(late["cosine"][:2], [1 / 10**0.5, 1])
    np.testing.assert_allclose(late["relative_distance"][:2], [10**0.5 / 2, 0])
    assert late["accuracy"] == 1 / 2


def test_nearest_is_by_direction(hand_trace):
    # e1 returns (1, 0), a quarter of a = (4, 0): a by direction, but b = (0, 1) is less far away
    shape = (1, 1, 1, 1, 1, 2)
    trace = hand_trace(
        [1],
        key=np.eye(2).reshape(*shape, 2),
        value=np.array([[4.0, 0], [0, 1]]).reshape(*shape, 2),
        beta=np.array([0.25, 1]).reshape(shape),
        log_decay=np.zeros(shape),
        corrects=[True],
    )
    found = readout(trace, source_window=0)["retrieved"].squeeze().values[1]
    assert found.tolist() == [1, 1]


def test_equal_values_share_the_hit(hand_trace):
    shape = (1, 1, 1, 1, 1, 3)
    trace = hand_trace(
        [1],
        key=np.eye(3).reshape(*shape, 3),
        value=np.array([[1.0, 0], [1, 0], [0, 1]]).reshape(*shape, 2),
        beta=np.ones(shape),
        log_decay=np.zeros(shape),
        corrects=[True],
    )
    found = readout(trace, source_window=0).squeeze().isel(sleep_pass=1)
    assert found["retrieved"].values.tolist() == [0.5, 0.5, 1]


def test_crosstalk_on_paper(paper):
    found = crosstalk(paper, window=1, sleep_pass=1, source_window=0).squeeze()
    delta, outer = found.isel(layer=0), found.isel(layer=1)
    # half of a was taken out of e1, b is whole; keys are orthogonal
    np.testing.assert_allclose(delta["weight"][:2, :2], [[0.5, 0], [0, 1]])
    np.testing.assert_allclose(outer["weight"][:2, :2], np.eye(2))
    assert delta["weight"][2].isnull().all() and delta["weight"][:, 2].isnull().all()
    # e1 returns (1, 3): 1 of 10 is a's own, 9 of 10 was written by window 1
    np.testing.assert_allclose(delta["own"], [1 / 10, 1, np.nan])
    np.testing.assert_allclose(delta["others"], [0, 0, np.nan])
    np.testing.assert_allclose(delta["elsewhere"], [9 / 10, 0, np.nan], atol=1e-15)
    np.testing.assert_allclose(delta["cosine"][0, :2], [1 / 10**0.5, 3 / 10**0.5])


def test_crosstalk_adds_up_to_what_is_returned(random_trace):
    trace = random_trace(1)
    writes, states = trace["writes"], trace["states"]["fast_weight"]
    at = {"window": 1, "sleep_pass": 2}
    key, value = (
        writes[n].sel(at).transpose("example", "layer", "gdn_head", ...).values
        for n in ("write_key", "write_value")
    )
    found = crosstalk(trace, **at)
    total = found["own"] + found["others"] + found["elsewhere"]
    np.testing.assert_allclose(total.isel(example=0), 1)
    assert total.isel(example=1, token=-1).isnull().all()  # padding
    # the last token of a pass is still whole: r = b k, and the keys have unit norm
    last = found["weight"].isel(example=0, token=-1, source_token=-1)
    np.testing.assert_allclose(last, writes["beta"].sel(at).isel(example=0, token=-1))
    # what the pass itself returns, and the rest, make S^T k
    weight = np.nan_to_num(found["weight"].values)[0]
    from_pass = weight @ value[0]
    whole = key[0] @ states.sel(at).values[0]
    share = np.einsum("lhtv,lhtv->lht", from_pass, whole) / (whole**2).sum(-1)
    np.testing.assert_allclose(share, (found["own"] + found["others"]).isel(example=0))
    earlier = crosstalk(trace, **at, source_window=0)
    assert earlier.attrs["source_pass"] == 3 and found.attrs["source_pass"] == 2


def test_of_a_trace(random_trace):
    found = readout(random_trace(), source_window=1)
    np.testing.assert_allclose(found["chance"].isel(layer=0, gdn_head=0), [1 / 5, 1 / 4])
    real = found.isel(example=0, window=1, sleep_pass=1)
    np.testing.assert_allclose(real["retrieved"].mean("source_token"), real["accuracy"])


def test_wrong_use(random_trace):
    trace = random_trace()
    with pytest.raises(WorkbenchError, match="sleep pass 3 of window 1.*1 to 2"):
        crosstalk(trace, window=1, sleep_pass=3)
    with pytest.raises(WorkbenchError, match="window 7; expected one of 0, 1, 2"):
        readout(trace, source_window=7)
    with pytest.raises(WorkbenchError, match="not before the source"):
        crosstalk(trace, window=0, sleep_pass=1, source_window=1)
