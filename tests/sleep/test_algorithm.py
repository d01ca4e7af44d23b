"""Algorithm 1 against the plain loop of the reference, and what each option changes."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from workbench.config import SleepConfig
from workbench.errors import WorkbenchError
from workbench.model import Memory
from workbench.sleep import Eviction, SleepPass, Wake, read, split_windows, wake_now
from workbench.sleep.reference import reference

FOUR = ("attention", "gated_delta", "attention", "jet")


def sleep_config(**options):
    return SleepConfig(**{"window": 4, **options})


def wakes(events):
    return [event for event in events if isinstance(event, Wake)]


@pytest.mark.parametrize("passes", [1, 2, 4])
@pytest.mark.parametrize("layers", [FOUR, ("mamba2", "attention", "delta_negative")])
@pytest.mark.parametrize("pads", [(0, 0, 0), (0, 2, 6)])
def test_is_the_plain_loop(tiny_model, make_batch, passes, layers, pads):
    model, batch = tiny_model(*layers), make_batch(3, 2, pads=pads)
    events = list(read(model, batch, sleep_config(passes=passes)))
    passed = [event for event in events if not isinstance(event, Eviction)]
    logits, states = reference(model, batch, 4, passes)
    assert len(passed) == 3 * passes + 2
    for event, expected in zip(passed, states, strict=True):
        assert_close(event.memory.fast_weights, expected, rtol=0, atol=1e-12)
    for wake, expected in zip(wakes(events), logits, strict=True):
        assert_close(wake.logits, expected, rtol=0, atol=1e-12)


def test_the_order_of_events(tiny_model, make_batch):
    events = list(read(tiny_model(), make_batch(2, 1, short=1), sleep_config(passes=2)))
    kinds = [(type(e).__name__, e.window.index, getattr(e, "sleep_pass", None)) for e in events]
    assert kinds == [
        ("SleepPass", 0, 1), ("SleepPass", 0, 2), ("Eviction", 0, None),
        ("SleepPass", 1, 1), ("SleepPass", 1, 2), ("Eviction", 1, None),
        ("Wake", 2, None), ("Eviction", 2, None),
    ]  # fmt: skip
    assert [e.last for e in events if isinstance(e, SleepPass)] == [False, True] * 2
    windows = [e.window for e in events if isinstance(e, Eviction)]
    assert [(w.start, w.stop) for w in windows] == [(0, 4), (4, 8), (8, 11)]


def test_one_event_costs_one_pass(tiny_model, make_batch, watched):
    """The stepper pulls events; nothing is computed before it is asked for."""
    model = watched(tiny_model())
    seen = []
    for event in read(model, make_batch(), sleep_config(passes=3)):
        seen.append((type(event).__name__, len(model.calls)))
    assert seen == [
        ("SleepPass", 1), ("SleepPass", 2), ("SleepPass", 3), ("Eviction", 3),
        ("SleepPass", 4), ("SleepPass", 5), ("SleepPass", 6), ("Eviction", 6),
        ("Wake", 7), ("Eviction", 7),
    ]  # fmt: skip


@pytest.mark.parametrize("passes", [1, 2, 7])
def test_answering_costs_the_same_for_every_n(tiny_model, make_batch, watched, passes):
    model = watched(tiny_model(*FOUR))
    before = 0
    for event in read(model, make_batch(2, 2), sleep_config(passes=passes, loop=(1, 3))):
        if isinstance(event, Wake):
            assert model.calls[before:] == [(0, 4)]
        before = len(model.calls)


@pytest.mark.parametrize("eviction", ["hard", "sliding"])
@pytest.mark.parametrize("conv_state", ["zero", "carry"])
def test_what_crosses_a_boundary(tiny_model, make_batch, eviction, conv_state):
    config = sleep_config(passes=2, eviction=eviction, conv_state=conv_state)
    before = None
    for event in read(tiny_model(*FOUR), make_batch(), config):
        if isinstance(event, Eviction):
            crossed = event.memory
            assert set(crossed.fast_weights) == {1, 3}
            for layer, state in before.fast_weights.items():
                assert torch.equal(crossed.fast_weights[layer], state)
            assert set(crossed.conv_tails) == ({1, 3} if conv_state == "carry" else set())
            assert set(crossed.kv) == ({0, 2} if eviction == "sliding" else set())
            for layer, cache in crossed.kv.items():
                assert cache.keys.shape[2] == 3, "the newest L - 1 tokens"
                assert torch.equal(cache.keys, before.kv[layer].keys[:, :, -3:])
                assert torch.equal(cache.values, before.kv[layer].values[:, :, -3:])
        before = event.memory


@pytest.mark.parametrize("eviction", ["hard", "sliding"])
def test_what_was_evicted_is_in_no_storage(tiny_model, make_batch, eviction):
    """A view of the newest tokens would keep the older ones in memory, out of sight."""
    config = sleep_config(passes=2, eviction=eviction, conv_state="carry")
    for event in read(tiny_model(*FOUR), make_batch(), config):
        if isinstance(event, Eviction):
            for name, tensor in event.memory.tensors().items():
                assert tensor.untyped_storage().nbytes() == tensor.nbytes, name


def test_reading_goes_on_from_a_memory(tiny_model, make_batch):
    model, batch = tiny_model(*FOUR), make_batch(3)
    config = sleep_config(passes=2, eviction="sliding", conv_state="carry")
    *_, first = read(model, batch.token_range(0, 8), config)
    rest = list(read(model, batch.token_range(8, 16), config, memory=first.memory))
    whole = list(read(model, batch, config))
    assert torch.equal(wakes(rest)[0].logits, wakes(whole)[0].logits)


# --- the looped range ---------------------------------------------------------------------------


@pytest.mark.parametrize("loop", [None, (0, 4), (1, 3), (0, 2), (2, 4), (3, 4), (0, 1)])
def test_blocks_outside_the_loop_run_once_a_window(tiny_model, make_batch, watched, loop):
    for passes in (1, 3):
        model = watched(tiny_model(*FOUR))
        list(read(model, make_batch(2, 0), sleep_config(passes=passes, loop=loop)))
        first, last = loop or (0, 4)
        looped = [passes if first <= i < last else 1 for i in range(4)]
        above = [(last, 4)] if last < 4 else []
        window = [(0, last), *[(first, last)] * (passes - 1), *above]
        assert model.calls == window * 2
        assert model.runs_per_block == [2 * runs for runs in looped]


@pytest.mark.parametrize("loop", [(1, 3), (0, 2), (3, 4)])
@pytest.mark.parametrize("eviction", ["hard", "sliding"])
def test_one_pass_of_any_loop_is_the_plain_hybrid(
    tiny_model, make_batch, assert_same_memory, loop, eviction
):
    model, batch = tiny_model(*FOUR), make_batch()
    plain = list(read(model, batch, sleep_config(eviction=eviction)))
    looped = list(read(model, batch, sleep_config(eviction=eviction, loop=loop)))
    assert torch.equal(wakes(plain)[0].logits, wakes(looped)[0].logits)
    assert_same_memory(looped[-1].memory, plain[-1].memory)


def test_a_middle_loop_by_hand(tiny_model, make_batch):
    model, batch = tiny_model(*FOUR), make_batch(1, 0)
    hidden, memory = model.embed(torch.from_numpy(batch.tokens)), model.empty_memory(3)
    for first, last in ((0, 1), (1, 3), (1, 3), (1, 3), (3, 4)):
        hidden, memory = model.blocks(hidden, memory, first=first, last=last)
        memory = Memory(memory.fast_weights)
    events = list(read(model, batch, sleep_config(passes=3, loop=(1, 3)), every_output=True))
    assert torch.equal(events[2].hidden, hidden)
    for layer, state in memory.fast_weights.items():
        assert torch.equal(events[-1].memory.fast_weights[layer], state)


@pytest.mark.parametrize("loop", [(2, 2), (3, 1), (0, 5), (-1, 2)])
def test_a_loop_that_does_not_fit_is_refused(tiny_model, make_batch, loop):
    with pytest.raises(WorkbenchError, match=r"expected 0 <= a < b <= 4, the number of blocks"):
        next(read(tiny_model(*FOUR), make_batch(), sleep_config(loop=loop)))


# --- where the paper is silent ------------------------------------------------------------------


def test_the_final_norm_inside_the_loop(tiny_model, make_batch):
    model, batch = tiny_model(), make_batch(1, 1)
    with torch.no_grad():
        model.final_norm.weight *= torch.linspace(0.5, 2, 8)
    state = model.empty_memory(3).fast_weights
    hidden = model.embed(torch.from_numpy(batch.tokens[:, :4]))
    for _ in range(2):
        hidden, memory = model.blocks(hidden, Memory(state))
        hidden, state = model.normalise(hidden), memory.fast_weights
    hidden, _ = model.blocks(model.embed(torch.from_numpy(batch.tokens[:, 4:])), Memory(state))
    events = wakes(read(model, batch, sleep_config(passes=2, final_norm="inside")))
    assert torch.equal(events[0].logits, model.logits(hidden))


def test_one_pass_does_not_tell_where_the_final_norm_is(tiny_model, make_batch):
    model, batch = tiny_model(), make_batch()
    for passes, same in ((1, True), (2, False)):
        inside, outside = (
            wakes(read(model, batch, sleep_config(passes=passes, final_norm=place)))[0].logits
            for place in ("inside", "outside")
        )
        assert torch.equal(inside, outside) == same


def test_a_norm_inside_needs_a_loop_to_the_end(tiny_model, make_batch):
    config = sleep_config(final_norm="inside", loop=(1, 3))
    with pytest.raises(WorkbenchError, match="expected a loop that ends at the last block"):
        next(read(tiny_model(*FOUR), make_batch(), config))
    assert next(read(tiny_model(*FOUR), make_batch(), config.model_copy(update={"loop": (1, 4)})))


def test_carried_convolution_tails_begin_each_pass(tiny_model, make_batch):
    model, batch = tiny_model("gated_delta", "jet"), make_batch(2, 0)
    memory = model.empty_memory(3)
    for start in (0, 4):
        hidden = model.embed(torch.from_numpy(batch.tokens[:, start : start + 4]))
        for _ in range(2):
            hidden, memory = model.blocks(hidden, memory)
    carry, zero = (
        list(read(model, batch, sleep_config(passes=2, conv_state=state)))[-1].memory
        for state in ("carry", "zero")
    )
    for layer, state in memory.fast_weights.items():
        assert torch.equal(carry.fast_weights[layer], state)
        assert not torch.allclose(zero.fast_weights[layer], state)
        assert torch.equal(carry.conv_tails[layer], memory.conv_tails[layer])


@pytest.mark.parametrize("layers", [(*FOUR,), ("mamba2", "attention", "delta")])
@pytest.mark.parametrize("conv_state", ["zero", "carry"])
@pytest.mark.parametrize("eviction", ["hard", "sliding"])
def test_masked_padding_changes_nothing(tiny_model, make_batch, layers, conv_state, eviction):
    """A row padded on the left equals the row alone, whose windows begin at the same places."""
    model, batch = tiny_model(*layers), make_batch(3, 1, pads=(0, 4, 8))
    config = sleep_config(passes=3, eviction=eviction, conv_state=conv_state)
    together = wakes(read(model, batch, config))[0]
    for row, pads in enumerate((0, 4, 8)):
        alone = batch.examples(slice(row, row + 1)).token_range(pads, 16)
        (wake,) = wakes(read(model, alone, config))
        assert_close(together.logits[row : row + 1], wake.logits, rtol=0, atol=1e-9)


@pytest.mark.parametrize("conv_state", ["zero", "carry"])
def test_padding_inside_a_window_changes_nothing(tiny_model, make_batch, conv_state):
    """The first window of the bare row is shorter, as if the pads were not there."""
    model, batch = tiny_model(*FOUR), make_batch(2, 0, pads=(2,))
    config = sleep_config(passes=3, conv_state=conv_state)
    *_, padded = read(model, batch, config)
    *_, first = read(model, batch.token_range(2, 4), config)
    *_, bare = read(model, batch.token_range(4, 8), config, memory=first.memory)
    for layer, state in bare.memory.fast_weights.items():
        assert_close(padded.memory.fast_weights[layer], state, rtol=0, atol=1e-10)


def test_unmasked_padding_is_read_like_any_token(tiny_model, make_batch):
    model, padded, plain = tiny_model(*FOUR), make_batch(pads=(0, 2, 5)), make_batch()
    masked, unmasked = (
        wakes(read(model, padded, sleep_config(passes=2, mask_padding=choice)))[0].logits
        for choice in (True, False)
    )
    expected = wakes(read(model, plain, sleep_config(passes=2)))[0].logits
    assert torch.equal(unmasked, expected)
    assert_close(masked[0], expected[0], rtol=0, atol=1e-10)
    assert not torch.allclose(masked[1:], expected[1:])


# --- looking --------------------------------------------------------------------------------------


def test_features_after_the_last_pass_are_computed_on_request_only(tiny_model, make_batch):
    model, batch = tiny_model(*FOUR), make_batch(1, 1)
    config = sleep_config(passes=2)
    plain, every = (
        list(read(model, batch, config, every_output=choice)) for choice in (False, True)
    )
    assert plain[0].hidden is not None and plain[1].hidden is None
    hidden, memory = model.embed(torch.from_numpy(batch.tokens[:, :4])), model.empty_memory(3)
    for event in every[:2]:
        hidden, memory = model.blocks(hidden, Memory(memory.fast_weights))
        assert torch.equal(event.hidden, hidden)
    assert torch.equal(wakes(plain)[0].logits, wakes(every)[0].logits)


@pytest.mark.parametrize("eviction", ["hard", "sliding"])
def test_waking_after_the_last_pass_is_the_full_read(tiny_model, make_batch, eviction):
    model, batch = tiny_model(*FOUR), make_batch(2, 2)
    config = sleep_config(passes=3, eviction=eviction, conv_state="carry")
    events = list(read(model, batch, config))
    last = [e for e in events if isinstance(e, SleepPass)][-1]
    found = wake_now(model, batch, config, last.memory, after=last.window.index)
    expected = wakes(events)
    assert [w.window.index for w in found] == [w.window.index for w in expected] == [2, 3]
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one.logits, other.logits)


def test_waking_early_is_a_shorter_sleep(tiny_model, make_batch):
    """After pass 2 of 5 on the last window: what N = 2 there would have answered."""
    model, batch = tiny_model(*FOUR), make_batch(1, 1)
    events = list(read(model, batch, sleep_config(passes=5)))
    (early,) = wake_now(model, batch, sleep_config(passes=5), events[1].memory, after=0)
    (expected,) = wakes(read(model, batch, sleep_config(passes=2)))
    assert torch.equal(early.logits, expected.logits)


def test_waking_skips_the_windows_in_between(tiny_model, make_batch):
    model, batch = tiny_model(), make_batch(3, 1)
    config = sleep_config()
    first = next(read(model, batch, config))
    (wake,) = wake_now(model, batch, config, first.memory)
    assert wake.window.index == 3
    assert wake_now(model, batch, config, first.memory, after=3) == []


def test_sixty_four_passes_stay_finite(tiny_model, make_batch):
    kinds = ("attention", "gated_delta", "delta_negative", "mamba2", "jet", "linear_attention")
    model, batch = tiny_model(*kinds, dtype="float32"), make_batch(1, 1)
    events = list(read(model, batch, sleep_config(passes=64)))
    assert sum(isinstance(e, SleepPass) for e in events) == 64
    assert all(torch.isfinite(t).all() for e in events for t in e.memory.tensors().values())
    assert torch.isfinite(wakes(events)[0].logits).all()


# --- windows --------------------------------------------------------------------------------------


def test_windows_cover_the_sequence_once(make_batch):
    batch = make_batch(2, 1, pads=(0, 3, 6), short=2)
    windows = split_windows(batch, 4, mask_padding=True, device=torch.device("cpu"))
    assert [w.tokens.shape[1] for w in windows] == [4, 4, 2]
    np.testing.assert_array_equal(torch.cat([w.tokens for w in windows], 1), batch.tokens)
    assert [w.has_loss for w in windows] == [False, False, True]
    assert [w.valid is None for w in windows] == [False, False, True]
    np.testing.assert_array_equal(windows[1].valid, batch.valid[:, 4:8])
    unmasked = split_windows(batch, 4, mask_padding=False, device=torch.device("cpu"))
    assert all(w.valid is None for w in unmasked)


def test_one_label_anywhere_wakes_the_whole_window(make_batch):
    batch = make_batch(2, 0)
    batch.loss_mask[2, 6] = True
    windows = split_windows(batch, 4, mask_padding=True, device=torch.device("cpu"))
    assert [w.has_loss for w in windows] == [False, True]
