import numpy as np
import pytest

from sleep_course import associative


def test_items_have_unit_norm_and_the_overlap_asked_for():
    items = associative.draw_items(6, 32, overlap=0.4, repeats=200)
    np.testing.assert_allclose(np.linalg.norm(items.keys, axis=-1), 1, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(items.values, axis=-1), 1, rtol=1e-5)
    cosine = items.keys @ items.keys.mT
    off = cosine[:, ~np.eye(6, dtype=bool)]
    assert off.mean() == pytest.approx(0.4, abs=0.01)


def test_outer_products_by_hand():
    keys = np.array([[[0.6, 0.8], [1.0, 0.0]]], dtype=np.float32)
    values = np.array([[[1.0, 0.0], [0.0, 1.0]]], dtype=np.float32)
    items = associative.Items(keys, values)
    np.testing.assert_allclose(
        associative.store(items, "outer")[0], [[0.6, 1.0], [0.8, 0.0]], atol=1e-6
    )
    # second write with decay 1/2 and beta 1: S~ = S / 2 answers 0.3 for key 2, in the first entry
    np.testing.assert_allclose(
        associative.store(items, "delta", decay=0.5)[0], [[0.0, 1.0], [0.4, 0.0]], atol=1e-6
    )


@pytest.mark.parametrize("overlap", [0.0, 0.3, 0.7])
def test_the_formula_holds(overlap):
    measured = associative.recall_error(12, 16, rule="outer", overlap=overlap, repeats=400)
    assert measured == pytest.approx(
        associative.expected_outer_error(12, 16, overlap=overlap), rel=0.05
    )


def test_one_pair_is_recalled_exactly_and_an_empty_memory_scores_one():
    assert associative.recall_error(1, 8, rule="outer") < 1e-6
    assert associative.recall_error(5, 8, rule="outer", beta=0.0) == pytest.approx(1.0)


def test_repeating_helps_the_delta_rule_alone():
    delta = [associative.recall_error(8, 16, rule="delta", passes=p) for p in (1, 2, 4, 16)]
    assert delta == sorted(delta, reverse=True)
    assert delta[-1] < 0.1 < delta[0]
    outer = [associative.recall_error(8, 16, rule="outer", passes=p) for p in (1, 2, 4)]
    assert outer == sorted(outer)


def test_share_by_age_falls_with_the_decay():
    share = associative.share_by_age(10, 64, decay=0.8)
    assert share[0] == pytest.approx(1, abs=1e-5)  # the newest pair is exact at beta = 1
    assert share[-1] < 0.8**9 * 1.05
