"""Reading on from a boundary: what comes after is what an undisturbed reading has."""

from dataclasses import replace

import pytest
import torch

from workbench.config import ModelConfig, SleepConfig
from workbench.errors import WorkbenchError
from workbench.model import HybridModel
from workbench.sleep import Eviction, SleepPass, Wake, before_window, boundary_after, read

MODEL = ModelConfig(
    vocabulary=7,
    layers=("attention", "gated_delta", "attention", "gated_delta"),
    width=8,
    attention_heads=2,
    gdn_heads=2,
    key_dim=4,
    value_dim=4,
    mlp_width=8,
)
SLEEPS = {
    "hard": {},
    "sliding": {"eviction": "sliding"},
    "first kv": {"eviction": "sliding", "kept_kv": "first"},
    "loop": {"loop": (1, 3)},
    "think only": {"write": "last_pass"},
    "rewrite only": {"feed_back": False},
    "tails": {"conv_state": "carry"},
    "norm inside": {"final_norm": "inside"},
    "predict": {"order": "predict_then_sleep", "eviction": "sliding", "conv_state": "carry"},
    "predict only": {"order": "predict_then_sleep", "write": "last_pass", "wake_writes": False},
}


@pytest.fixture(scope="module")
def model():
    return HybridModel(MODEL, seed=3).eval()


def outcome(events):
    """Everything that events say, as tensors under names."""
    said = {}
    for event in events:
        at = (type(event).__name__, event.window.index, getattr(event, "sleep_pass", 0))
        said[at, "memory"] = event.memory.tensors()
        if isinstance(event, Wake):
            said[at, "logits"] = {"logits": event.logits}
    return said


@pytest.mark.parametrize("options", SLEEPS.values(), ids=SLEEPS)
@torch.no_grad()
def test_the_rest_is_that_of_an_undisturbed_reading(model, make_batch, options):
    batch, sleep = make_batch(sleeps=2, wakes=2), SleepConfig(window=4, passes=3, **options)
    events = list(read(model, batch, sleep))
    for index, event in enumerate(events):
        if event is events[-1]:
            continue
        rest = list(read(model, batch, sleep, start=boundary_after(event)))
        if isinstance(event, SleepPass):
            assert event.carried is boundary_after(event).carried
        expected, got = outcome(events[index + 1 :]), outcome(rest)
        assert got.keys() == expected.keys()
        for name, tensors in expected.items():
            assert got[name].keys() == tensors.keys()
            for key, tensor in tensors.items():
                assert torch.equal(got[name][key], tensor), (name, key)


@torch.no_grad()
def test_another_memory_is_carried_onward(model, make_batch):
    batch, sleep = make_batch(), SleepConfig(window=4, passes=2)
    events = list(read(model, batch, sleep))
    last = next(e for e in reversed(events[:-2]) if isinstance(e, Eviction))
    erased = boundary_after(last).with_memory(last.memory.erase())
    (wake, _) = read(model, batch, sleep, start=erased)
    alone = before_window(2, model.empty_memory(len(batch)))
    (expected, _) = read(model, batch, sleep, start=alone)
    assert torch.equal(wake.logits, expected.logits)
    assert not torch.equal(wake.logits, events[-2].logits)


def test_gradients_reach_the_memory_of_the_boundary(model, make_batch):
    batch, sleep = make_batch(), SleepConfig(window=4, passes=2)
    with torch.no_grad():
        first = next(iter(read(model, batch, sleep)))
    state = {i: s.clone().requires_grad_() for i, s in first.memory.fast_weights.items()}
    start = boundary_after(first).with_memory(first.memory.replace(fast_weights=state))
    *_, wake, _ = read(model, batch, sleep, start=start)
    wake.logits.sum().backward()
    assert all(s.grad is not None and s.grad.abs().sum() > 0 for s in state.values())


def test_a_boundary_of_another_reading_is_refused(model, make_batch):
    batch, sleep = make_batch(), SleepConfig(window=4, passes=2)
    with torch.no_grad():
        events = list(read(model, batch, sleep))
    empty = model.empty_memory(3)
    after_last = boundary_after(events[1])
    with pytest.raises(WorkbenchError, match="a window from 0 to 2"):
        next(read(model, batch, sleep, start=before_window(3, empty)))
    with pytest.raises(WorkbenchError, match="a pass from 0 to 1"):
        next(read(model, batch, sleep.with_passes(1), start=after_last))
    with pytest.raises(WorkbenchError, match="without features"):
        next(read(model, batch, sleep.with_passes(3), start=after_last))
    with pytest.raises(WorkbenchError, match="woken; expected sleep pass 0 of"):
        next(read(model, batch, sleep, start=replace(after_last, woken=True)))
    with pytest.raises(WorkbenchError, match="one of the two"):
        next(read(model, batch, sleep, memory=empty, start=after_last))
