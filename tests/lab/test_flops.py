"""FLOPs counted from the model, against products written out by hand."""

import pytest

from workbench.config import Experiment, build
from workbench.errors import WorkbenchError
from workbench.lab.flops import cost

WIDTH, MLP, VALUES, HEADS, SYMBOLS = 8, 12, 6, 2, 8
CONTEXT, QUERIES = 8, 8


def experiment(*layers, **sleep):
    data = {
        "model": {
            "width": WIDTH, "layers": layers, "attention_heads": 2, "gdn_heads": HEADS,
            "key_dim": 4, "value_dim": 3, "mlp_width": MLP,
        },
        "sleep": {"window": 8, **sleep},
        "task": {"name": "depo", "nodes": 4, "names": "single", "max_hops": 2, "queries": 2},
        "training": {"steps": 10, "batch_size": 4},
    }  # fmt: skip
    return build(Experiment, data, source="test")


def attention_flops(tokens):
    """Four projections, scores and their sum over values, SwiGLU's three products."""
    projections = 4 * 2 * tokens * WIDTH * WIDTH
    scores = 2 * 2 * tokens * tokens * WIDTH
    return projections + scores + 3 * 2 * tokens * WIDTH * MLP


def test_a_stack_of_attention_by_hand():
    """Awake 8 tokens through two blocks and the head; asleep nothing is read afterwards."""
    found = cost(experiment("attention", "attention"))
    awake = 2 * attention_flops(QUERIES) + 2 * QUERIES * WIDTH * SYMBOLS
    assert found.wake == awake
    assert found.sleep == 0, "without fast weights a last pass leaves nothing"
    # backward: two products for each of the forward, but none into the embedding's input side
    assert found.training == pytest.approx(3 * awake, rel=0.01)


KEYS, VALUES_A_HEAD = 4, 3


def delta_rule_flops(tokens, *, reads):
    """One chunk of the gated delta rule by hand: all of it, and what the counter makes of it.

    Writing: K K^T, what S returns for K, the solve of a triangle (half of a square, with a
    multiplication and an addition each) for every value, and what is written. Reading: Q K^T, Q S,
    and its sum over what was written.
    """
    inner, state = 2 * tokens * tokens, 2 * tokens * KEYS * VALUES_A_HEAD
    solve = tokens * tokens * VALUES_A_HEAD
    written = inner * KEYS + state + solve + state
    read = inner * KEYS + state + inner * VALUES_A_HEAD if reads else 0
    # products added in place are not seen, and the solve counts a right side for every token
    missed = state + (inner * VALUES_A_HEAD if reads else 0)
    extra = tokens * tokens * (tokens - VALUES_A_HEAD)
    return HEADS * (written + read), HEADS * (written + read - missed + extra)


def test_a_block_of_the_gated_delta_rule_by_hand():
    """Awake 8 tokens go through all of it and the head; asleep the last block only writes."""
    tokens, line = QUERIES, 2 * QUERIES * WIDTH
    projected = line * (2 * HEADS * KEYS + VALUES) + 2 * line * HEADS  # q, k, v, decay, strength
    around = 2 * line * VALUES + 3 * line * MLP  # output gate, output; SwiGLU
    head = line * SYMBOLS
    found = cost(experiment("attention", "gated_delta"))
    for reads, counted, rest in (
        (True, found.wake, projected + around + head),
        (False, found.sleep, projected),
    ):
        whole, seen = delta_rule_flops(tokens, reads=reads)
        elsewhere = attention_flops(tokens) + rest
        assert counted == elsewhere + seen
        assert counted == pytest.approx(elsewhere + whole, rel=0.025)


def test_each_further_pass_costs_the_same():
    costs = [cost(experiment("attention", "gated_delta", passes=n)) for n in (1, 2, 4)]
    sleeps = [c.sleep for c in costs]
    assert sleeps[2] - sleeps[1] == 2 * (sleeps[1] - sleeps[0]) > 0
    assert len({c.wake for c in costs}) == 1, "answering costs the same for every N"


def test_looping_awake_is_paid_by_every_answer():
    once, thrice = (
        cost(experiment("attention", "gated_delta", passes=1, wake_passes=n)) for n in (1, 3)
    )
    head = 2 * QUERIES * WIDTH * SYMBOLS
    assert thrice.wake - head == 3 * (once.wake - head)
    assert thrice.sleep == once.sleep


def test_a_window_with_labels_can_be_slept_on_too():
    """Both windows have 8 tokens, so a pass over either costs the same."""
    layers = ("attention", "gated_delta")
    mask, predict = (
        cost(experiment(*layers, passes=3, order=order)) for order in ("mask", "predict_then_sleep")
    )
    assert predict.wake == mask.wake and predict.sleep == 2 * mask.sleep


def test_random_n_is_the_mean_over_n():
    drawn = {"kind": "random", "low": 1, "high": 3}
    layers = ("attention", "gated_delta")
    each = [cost(experiment(*layers, passes=n)).training for n in (1, 2, 3)]
    assert cost(experiment(*layers, passes=drawn)).training == pytest.approx(sum(each) / 3)


def test_recomputing_activations_is_not_a_cost_of_the_method():
    layers = ("attention", "gated_delta")
    plain = cost(experiment(*layers, passes=3))
    assert cost(experiment(*layers, passes=3, checkpointing="pass")) == plain


def test_a_rule_cannot_be_counted_beforehand():
    with pytest.raises(WorkbenchError, match="whose cost is known before the run"):
        cost(experiment("gated_delta", passes={"kind": "until_memory_settles"}))
