"""Notebook 1: checks say something fitting about each mistake; its experiments add up."""

import numpy as np
import pytest
from judged import judged
from solutions import solved

from sleep_course import associative
from sleep_course.exercises import associative as checks
from workbench.model import Memory

right = solved("associative")

test_write_and_read = judged(
    checks.check_write_and_read,
    ((lambda S, k, v: S + 2 * np.outer(k, v), right.read), "not the outer product"),
    ((lambda S, k, v: S + np.outer(v, k), right.read), "one row for each of the 4 entries"),
    ((right.write, lambda S, q: S @ q), "S^T q"),
    ((right.write, lambda S, q: 2 * S.T @ q), "not S^T q"),
)

test_delta_write = judged(
    checks.check_delta_write,
    (lambda S, k, v, beta: right.delta_write(S, k, v, beta**2), "mean of the old answer"),
    (lambda S, k, v, beta: right.delta_write(S, k, v, 0.5), "beta = 0"),
)


class Forgetful:
    """An answer that is right twice, and then no longer."""

    def __init__(self, error=False):
        self.error, self.calls = error, 0

    def __deepcopy__(self, memo):
        return self

    def __call__(self, bit):
        self.calls += 1
        if self.calls > 2 and self.error:
            raise ValueError("no more")
        return 2.0 * bit if self.calls <= 2 else None


test_parity = judged(
    checks.check_parity,
    (lambda bit: 3.0 * bit, "must lie in 0..2"),
    (lambda bit: 2.0, "a 0 must leave the memory alone"),
    (lambda bit: 1.0 * bit, "wipes the memory out"),
    (lambda bit: 0.5 * bit, "the sign never changes"),
    (lambda bit: 0.0, "the sign never changes"),
    (lambda bit: 1.5 * bit, "after 100 of them 7.9e-31 of it is left"),
    (lambda bit: 1.99 * bit, "after 100 of them 0.37 of it is left"),
    (Forgetful(), "returns nothing yet"),
    (Forgetful(error=True), "ValueError: no more"),
    (lambda bit: [bit], "Return one number"),
)


def test_parity_memory_by_hand():
    bits = np.array([[1, 0, 1], [1, 0, 0]])
    np.testing.assert_allclose(checks.parity_memory(bits, lambda bit: 2.0 * bit), [1, -1])
    np.testing.assert_allclose(checks.parity_memory(bits, lambda bit: 0.5 * bit), [0.25, 0.5])


test_gated_write = judged(
    checks.check_gated_write, (lambda S, k, v, beta, a: a * S, "not the gated delta rule yet")
)


def put(memory, layer, S):
    return memory.replace(fast_weights={**memory.fast_weights, layer: S})


def only_this_layer(memory, layer, head):
    return memory.replace(
        fast_weights={layer: right.without_head(memory, layer, head).fast_weights[layer]}
    )


def as_numpy(memory, layer, head):
    other = memory.clone()
    other.fast_weights[layer] = other.fast_weights[layer].numpy()
    return other


def along(axis, *, also=0.0):
    def answer(memory, layer, head):
        S = memory.fast_weights[layer] + also
        index = [slice(None)] * 4
        index[axis] = min(head, S.shape[axis] - 1)
        S = S.clone()
        S[tuple(index)] = 0
        return put(memory, layer, S)

    return answer


test_without_head = judged(
    checks.check_without_head,
    (lambda memory, layer, head: memory.clone(), "no number changed"),
    (lambda memory, layer, head: memory.erase(), "every head is zero"),
    (lambda memory, layer, head: memory.fast_weights[layer], "a Memory was expected"),
    (lambda memory, layer, head: Memory(), "has no S by layer"),
    (lambda memory, layer, head: right.without_head(memory, layer, 2), "use `head`"),
    (lambda memory, layer, head: right.without_head(memory, 1, head), "no number changed"),
    (only_this_layer, "keep the other layers"),
    (
        lambda memory, layer, head: Memory(right.without_head(memory, layer, head).fast_weights),
        "the rest of the memory is gone",
    ),
    (
        lambda memory, layer, head: put(memory, layer, memory.fast_weights[layer][:, :head]),
        "shape",
    ),
    (
        lambda memory, layer, head: right.without_head(memory, layer, 0),
        "head 2 was given, and head 0 is zero",
    ),
    (along(0), "wrong axis"),
    (along(2), "no head is zero throughout"),
    (along(1, also=1.0), "the other heads changed too"),
    (as_numpy, "should stay a torch tensor, not ndarray"),
    (lambda memory, layer, head: Memory(fast_weights=7), "no S by layer, only int"),
)


# --- small experiments ---------------------------------------------------------------------------


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
