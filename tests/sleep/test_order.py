"""Predict, then sleep: every window is read awake and then slept on, against the plain loop."""

import pytest
import torch
from pydantic import ValidationError
from torch.testing import assert_close

from workbench.config import RandomPasses, SleepConfig, UntilAnswersSettle, UntilMemorySettles
from workbench.model import Memory
from workbench.sleep import Eviction, SleepPass, Wake, before_window, read, wake_now
from workbench.sleep.reference import reference

FOUR = ("attention", "gated_delta", "attention", "jet")


def predict(**options):
    return SleepConfig(**{"window": 4, "order": "predict_then_sleep", **options})


def wakes(events):
    return [event for event in events if isinstance(event, Wake)]


def kinds(events):
    return [(type(e).__name__, e.window.index, getattr(e, "sleep_pass", None)) for e in events]


@pytest.mark.parametrize("passes", [0, 1, 3])
@pytest.mark.parametrize("wake_writes", [True, False])
@pytest.mark.parametrize("eviction", ["hard", "sliding"])
def test_is_the_plain_loop(tiny_model, make_batch, passes, wake_writes, eviction):
    """Logits, S after every pass and all gradients; the last window is shorter."""
    model, batch = tiny_model(*FOUR), make_batch(0, 4, pads=(0, 2, 3), short=1)
    sleep = predict(passes=passes, wake_writes=wake_writes, eviction=eviction)
    events = list(read(model, batch, sleep))
    logits, states = reference(
        model,
        batch,
        4,
        passes,
        sliding=eviction == "sliding",
        predict_then_sleep=True,
        wake_writes=wake_writes,
    )
    passed = [event for event in events if not isinstance(event, Eviction)]
    assert len(passed) == len(states) == 4 * (1 + passes)
    for event, expected in zip(passed, states, strict=True):
        assert_close(event.memory.fast_weights, expected, rtol=0, atol=1e-12)
    for wake, expected in zip(wakes(events), logits, strict=True):
        assert_close(wake.logits, expected, rtol=0, atol=1e-12)
    found, expected = (
        torch.autograd.grad(sum(x.square().sum() for x in of), list(model.parameters()),
                            allow_unused=True)
        for of in ([wake.logits for wake in wakes(events)], logits)
    )  # fmt: skip
    for one, other in zip(found, expected, strict=True):
        assert_close(one, other, rtol=1e-9, atol=1e-9)


def test_the_order_of_events(tiny_model, make_batch):
    """A window without labels is slept on alone, as ever."""
    events = list(read(tiny_model(), make_batch(1, 2), predict(passes=2)))
    assert kinds(events) == [
        ("SleepPass", 0, 1), ("SleepPass", 0, 2), ("Eviction", 0, None),
        ("Wake", 1, None), ("SleepPass", 1, 1), ("SleepPass", 1, 2), ("Eviction", 1, None),
        ("Wake", 2, None), ("SleepPass", 2, 1), ("SleepPass", 2, 2), ("Eviction", 2, None),
    ]  # fmt: skip


def test_hard_eviction_reads_a_text_in_which_every_window_comes_twice(tiny_model, make_batch):
    """Once with its labels and once without, in the paper's order."""
    model, text = tiny_model(*FOUR), make_batch(0, 3)
    twice = make_batch(0, 6)
    for window in range(3):
        for copy in (0, 1):
            to = slice(8 * window + 4 * copy, 8 * window + 4 * copy + 4)
            here = slice(4 * window, 4 * window + 4)
            twice.tokens[:, to] = text.tokens[:, here]
            twice.loss_mask[:, to] = text.loss_mask[:, here] & (copy == 0)
    options = {"passes": 3, "write": "last_pass", "wake_passes": 2, "loop": (1, 3)}
    found = wakes(read(model, text, predict(**options)))
    expected = wakes(read(model, twice, SleepConfig(window=4, **options)))
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one.logits, other.logits)


@pytest.mark.parametrize("eviction", ["hard", "sliding"])
@pytest.mark.parametrize("conv_state", ["zero", "carry"])
def test_without_passes_and_writes_only_a_kv_cache_is_left(
    tiny_model, make_batch, eviction, conv_state
):
    model, batch = tiny_model(*FOUR), make_batch(0, 3)
    sleep = predict(passes=0, wake_writes=False, eviction=eviction, conv_state=conv_state)
    *_, last = read(model, batch, sleep)
    assert not any(s.any() for s in last.memory.fast_weights.values())
    assert not any(tail.any() for tail in last.memory.conv_tails.values())
    assert bool(last.memory.kv) == (eviction == "sliding")


def test_no_pass_sees_the_cache_of_the_wake(tiny_model, make_batch):
    """With blocks above the loop too, which no pass but the last runs."""
    config = predict(passes=2, eviction="sliding", loop=(1, 2))
    for event in read(tiny_model(*FOUR), make_batch(0, 3), config):
        carried = 3 if event.window.index else 0
        cached = {i: c.keys.shape[2] for i, c in event.memory.kv.items()}
        if isinstance(event, Wake):
            assert set(cached.values()) == ({3} if carried else set())
        if isinstance(event, SleepPass):
            assert cached[0] == carried + 4
            assert cached.get(2, 0) == carried + (4 if event.last else 0)


def test_isolated_queries_are_not_slept_on(tiny_model, make_batch):
    """They are read from the S that the text before them left."""
    text, asked = make_batch(0, 2), make_batch(0, 1)
    both = type(text)(
        *(torch.cat([torch.from_numpy(getattr(b, n)) for b in (text, asked)], 1).numpy()
          for n in ("tokens", "loss_mask", "valid", "answer_of")),
        difficulty=asked.difficulty[:, :1], isolated=4,
    )  # fmt: skip
    model, sleep = tiny_model(*FOUR), predict(passes=2)
    events = list(read(model, both, sleep))
    assert kinds(events)[-2:] == [("Wake", 2, None), ("Eviction", 2, None)]
    *_, left = read(model, text, sleep)
    hidden, _ = model.blocks(
        model.embed(torch.from_numpy(asked.tokens)), Memory(left.memory.fast_weights)
    )
    assert_close(events[-2].logits, model.logits(hidden), rtol=0, atol=1e-12)


def test_waking_early_reads_on_without_a_sleep(tiny_model, make_batch):
    model, batch = tiny_model(*FOUR), make_batch(0, 3)
    *_, last_pass, _ = read(model, batch.token_range(0, 4), predict(passes=2))
    found = wake_now(model, batch, predict(passes=2), last_pass.memory, after=0)
    start = before_window(1, Memory(last_pass.memory.fast_weights))
    expected = wakes(read(model, batch, predict(passes=0), start=start))
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one.logits, other.logits)


def test_a_rule_ends_each_sleep(tiny_model, make_batch):
    rule = UntilMemorySettles(tolerance=1e-9, cap=3)
    events = list(read(tiny_model(), make_batch(0, 2), predict(passes=rule)))
    assert [e.sleep_pass for e in events if isinstance(e, SleepPass)] == [1, 2, 3] * 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"passes": 0, "order": "mask"}, "passes = 0 needs order = 'predict_then_sleep'"),
        ({"passes": RandomPasses(low=0), "order": "mask"}, "passes = 0 needs order"),
        ({"wake_writes": False, "order": "mask"}, "wake_writes = false needs order"),
        ({"passes": UntilAnswersSettle()}, "does not depend on the text still to come"),
    ],
)
def test_settings_that_mean_nothing_are_refused(options, message):
    with pytest.raises(ValidationError, match=message):
        predict(**options)


def test_without_passes_a_window_without_labels_is_read_once_all_the_same(tiny_model, make_batch):
    model, batch = tiny_model(*FOUR), make_batch(2, 1)
    plain, once = (
        list(read(model, batch, sleep))
        for sleep in (predict(passes=0), SleepConfig(window=4, passes=1))
    )
    assert kinds(plain)[::2] == [("Wake", 0, None), ("Wake", 1, None), ("Wake", 2, None)]
    assert_close(wakes(plain)[-1].logits, wakes(once)[0].logits, rtol=0, atol=1e-12)
