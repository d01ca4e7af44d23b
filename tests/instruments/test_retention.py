"""Retention worked out on paper, and against the contributions' own norms."""

import numpy as np
import pytest

from workbench.instruments.provenance import contribution_norms
from workbench.instruments.retention import pass_retention, retention


@pytest.fixture(scope="module")
def paper(hand_trace):
    """Three windows of one pass, keys e1 and e2, two layers: delta rule, outer product.

    Window 0 writes 3 under e1 and 4 under e2, a contribution of norm 5. Window 1 writes 1 under
    e1 with strength 1, and decays by 1/2 before: of window 0, the delta rule keeps (0, 2), the
    outer product (1.5, 2). Window 2 writes nothing at all, and decays by 1/4.
    """
    key = np.zeros((1, 3, 1, 2, 1, 2, 2))
    key[..., 0, :] = [1, 0]
    key[..., 1, :] = [0, 1]
    value, beta, log_decay = (np.zeros(key.shape[:-1]) for _ in range(3))
    value[0, 0, 0, :, 0] = [3, 4]
    value[0, 1, 0, :, 0, 0] = 1
    beta[0, 0], beta[0, 1, 0, :, 0, 0] = 1, 1
    log_decay[0, 1, 0, :, 0, 0], log_decay[0, 2, 0, :, 0, 0] = np.log(1 / 2), np.log(1 / 4)
    return hand_trace(
        [1, 1, 1],
        key=key,
        value=value[..., None],
        beta=beta,
        log_decay=log_decay,
        corrects=[True, False],
    )


def test_on_paper(paper):
    found = retention(paper).squeeze()
    delta, outer = (found.sel(source_window=0).isel(layer=i) for i in (0, 1))
    np.testing.assert_allclose(delta["retention"], [1, 2 / 5, 0.5 / 5])
    np.testing.assert_allclose(delta["decay"], [1, 1 / 2, 1 / 8])
    np.testing.assert_allclose(delta["removal"], [1, 4 / 5, 4 / 5])
    # (0, 4) against (3, 4): cosine 4/5
    np.testing.assert_allclose(delta["similarity"], [1, 0.8, 0.8])
    # lost 0.6 in window 1. Decay first: 0.5 and 0.1; removal first: 0.2 and then 0.4
    np.testing.assert_allclose(delta["lost_to_decay"], [0, 0.45, 0.3])
    np.testing.assert_allclose(delta["lost_to_removal"], [0, 0.15, 0], atol=1e-15)
    np.testing.assert_allclose(outer["retention"], [1, 1 / 2, 1 / 8])
    np.testing.assert_allclose(outer["lost_to_removal"], 0)
    np.testing.assert_allclose(outer["similarity"], 1)
    last = found.sel(source_window=1).isel(layer=0)
    np.testing.assert_allclose(last["retention"], [1, 1 / 4, np.nan])
    assert found["retention"].sel(source_window=2).isnull().all()  # wrote nothing


def test_within_one_sleep_on_paper(one_number):
    # every pass takes out half of what is there
    found = pass_retention(one_number([8, 16, 4])).squeeze()
    np.testing.assert_allclose(
        found["retention"], [[1, 1 / 2, 1 / 4], [np.nan, 1, 1 / 2], [np.nan, np.nan, 1]]
    )
    np.testing.assert_allclose(found["lost_to_removal"].sel(source_pass=1), [0, 1 / 2, 1 / 4])
    np.testing.assert_allclose(found["lost_to_decay"].sel(source_pass=1), 0)


def test_agrees_with_the_contributions(random_trace):
    trace = random_trace(2)
    found = retention(trace)
    np.testing.assert_allclose(found["retention"], found["decay"] * found["removal"], atol=1e-12)
    lost = (found["lost_to_decay"] + found["lost_to_removal"]).cumsum("age")
    real = found["retention"].notnull()
    np.testing.assert_allclose((1 - found["retention"]).where(real), lost.where(real), atol=1e-12)
    assert real.all(("example", "layer", "gdn_head")).values.tolist() == [
        [True, True, True],
        [True, True, False],
        [True, False, False],
    ]
    # window 2 is one pass, so what it wrote has one norm; windows of several passes add up
    # inside, so compare passes one by one
    each = contribution_norms(trace, every_pass=True)["norm"]
    inside = pass_retention(trace)["retention"]
    for window, count in enumerate((3, 2, 1)):
        for source in range(1, count + 1):
            wrote = each.sel(window=window, source_window=window, source_pass=source)
            np.testing.assert_allclose(
                inside.sel(window=window, source_pass=source, sleep_pass=slice(source, count)),
                (wrote / wrote.sel(sleep_pass=source)).sel(sleep_pass=slice(source, count))
                .transpose("example", "layer", "gdn_head", "sleep_pass"),
                atol=1e-12,
            )  # fmt: skip


def test_windows_of_one_pass_agree_with_the_contributions(random_trace):
    trace = random_trace(3, passes=(1, 1, 1))
    norm = contribution_norms(trace)["norm"].squeeze("source_pass")
    kept = retention(trace)["retention"]
    for source, age in ((0, 1), (0, 2), (1, 1)):
        np.testing.assert_allclose(
            kept.sel(source_window=source, age=age),
            norm.sel(source_window=source, window=source + age)
            / norm.sel(source_window=source, window=source),
        )
