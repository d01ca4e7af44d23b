"""Arms: what each changes, that matched ones cost the same, that all of them train."""

import pytest

from workbench.config import Experiment, RandomPasses, build
from workbench.errors import WorkbenchError
from workbench.lab.arms import ARMS, RULES, arm, trained_passes
from workbench.lab.flops import cost
from workbench.training.evaluation import check_layout
from workbench.training.loop import train

BASE = {
    "model": {
        "width": 16, "attention_heads": 2, "gdn_heads": 2, "key_dim": 4, "value_dim": 4,
        "mlp_width": 16, "layers": ["attention", "gated_delta"],
    },
    "sleep": {"window": 8, "passes": 2},
    "task": {"name": "depo", "nodes": 4, "names": "single", "max_hops": 2, "queries": 3},
    "training": {"steps": 100, "batch_size": 4},
}  # fmt: skip
MATCHED = ("deeper", "wider", "longer", "wake_loop")
DEEP = ["attention", "gated_delta", "attention", "gated_delta"]


@pytest.fixture
def base():
    return build(Experiment, BASE, source="test")


@pytest.fixture
def deep():
    return build(Experiment, {**BASE, "model": {**BASE["model"], "layers": DEEP}}, source="test")


def changed(old, new):
    """Return the dotted names of what differs."""
    return {
        f"{section}.{name}"
        for section in ("model", "sleep", "task", "training")
        for name, value in getattr(old, section).model_dump().items()
        if getattr(new, section).model_dump()[name] != value
    }


CHANGES = {
    "sleep": (),
    "random_n": (),
    "deeper": ("model.layers", "training.steps"),
    "wider": ("model.width", "model.mlp_width", "training.steps"),
    "longer": ("training.steps",),
    "wake_loop": ("sleep.wake_passes", "training.steps"),
    "retained_cache": ("sleep.window",),
    "never_written": ("sleep.order", "sleep.wake_writes"),
    "sliding": ("sleep.eviction",),
    "rewrite_only": ("sleep.feed_back",),
    "think_only": ("sleep.write",),
    "no_fast_weights": ("model.layers",),
    "loop_upper": ("sleep.loop",),
    **{f"rule_{kind}": ("model.layers",) for kind in RULES},
}
"""What each arm changes besides ``sleep.passes``; loop_middle needs a deeper base: below."""


@pytest.mark.parametrize("name", sorted({*ARMS} - {"loop_middle"}))
def test_an_arm_changes_what_it_says_and_nothing_else(base, quick_cost, name):
    assert changed(base, arm(name).change(base, 4)) == {"sleep.passes", *CHANGES[name]}


@pytest.mark.parametrize("name", MATCHED)
def test_matched_arms_cost_what_sleep_costs(base, name):
    slept, matched = arm("sleep").change(base, 2), arm(name).change(base, 2)
    wanted, found = (
        cost(one).training * one.training.batch_size * one.training.steps
        for one in (slept, matched)
    )
    assert found == pytest.approx(wanted, rel=0.01)
    assert matched.sleep.passes == 1


def test_where_windows_are_predicted_first_the_plain_hybrid_does_not_sleep(base, quick_cost):
    data = {**base.model_dump(), "sleep": {"window": 8, "order": "predict_then_sleep"}}
    text = build(Experiment, data, source="test")
    assert arm("sleep").change(text, 2).sleep.passes == 2
    for name in (*MATCHED, "retained_cache"):
        assert arm(name).change(text, 2).sleep.passes == 0, name


def test_a_deeper_model_is_the_depth_whose_step_costs_most_alike(base):
    target = cost(arm("sleep").change(base, 2)).training
    chosen = arm("deeper").change(base, 2)
    depth = len(chosen.model.layers)
    assert chosen.model.layers == tuple(DEEP * 4)[:depth] and depth > 2
    data = chosen.model_dump()

    def distance(layers):
        model = {**data["model"], "layers": layers}
        return abs(cost(build(Experiment, {**data, "model": model}, source="t")).training - target)

    ours = distance(chosen.model.layers)
    assert ours <= distance((DEEP * 4)[: depth - 1])
    assert ours <= distance((DEEP * 4)[: depth + 1])


def test_a_wider_model_keeps_the_memory(base, quick_cost):
    wide = arm("wider").change(base, 4).model
    assert wide.width > 16 and wide.width % 4 == 0 and wide.mlp_width == wide.width
    assert (wide.gdn_heads, wide.key_dim, wide.value_dim) == (2, 4, 4)


def test_random_n_is_drawn_from_1_to_n(base):
    chosen = arm("random_n").change(base, 4)
    assert chosen.sleep.passes == RandomPasses(low=1, high=4)
    assert trained_passes(chosen) == "1-4"
    assert trained_passes(arm("sleep").change(base, 3)) == "3"


def test_loops_over_part_of_a_deeper_stack(deep):
    assert arm("loop_middle").change(deep, 2).sleep.loop == (1, 3)
    assert arm("loop_upper").change(deep, 2).sleep.loop == (2, 4)


def test_a_loop_over_everything_is_no_arm_of_its_own(base):
    with pytest.raises(WorkbenchError, match="'loop_middle' on 2 layers, where it loops all"):
        arm("loop_middle").change(base, 2)


def test_a_retained_cache_sees_the_whole_sequence_in_one_window(base):
    from workbench.tasks import batch_generator, task

    chosen = arm("retained_cache").change(base, 1)
    made = task("depo", **{k: v for k, v in BASE["task"].items() if k != "name"})
    batch = made.sample(4, batch_generator(0, 0))
    assert chosen.sleep.window == batch.tokens.shape[1]
    check_layout(batch, chosen.sleep.window)


def test_an_unknown_arm_is_told_with_the_nearest():
    with pytest.raises(WorkbenchError, match="arm 'deper'.*one of sleep, .*write deeper"):
        arm("deper")


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(ARMS))
def test_every_arm_trains_and_is_evaluated(deep, quick_cost, name, tmp_path):
    chosen = arm(name).change(deep, 2)
    data = chosen.model_dump()
    data["training"] |= {"steps": 2, "eval_count": 4, "eval_passes": (1,), "warmup": 0}
    assert train(build(Experiment, data, source="test"), tmp_path / "run") == "finished"
