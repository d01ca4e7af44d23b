"""Sliding eviction: the plain sliding-window hybrid at N = 1, and which cache is kept."""

import pytest
import torch
from torch.testing import assert_close

from workbench.config import SleepConfig
from workbench.sleep import Eviction, SleepPass, Wake, read

LAYERS = ("attention", "gated_delta", "attention", "mamba2")


@pytest.mark.parametrize("pads", [(0, 0, 0), (0, 2, 6)])
@pytest.mark.parametrize("wakes", [0, 1, 2])
def test_one_pass_is_sliding_window_attention_over_the_sequence(
    tiny_model, make_batch, assert_same_memory, pads, wakes
):
    """Windows, caches and tails leave no seam: one call of all blocks gives the same."""
    model, batch = tiny_model(*LAYERS), make_batch(3, wakes, pads=pads)
    valid = torch.from_numpy(batch.valid)
    hidden, memory = model.blocks(
        model.embed(torch.from_numpy(batch.tokens)), model.empty_memory(3), valid=valid, window=4
    )
    config = SleepConfig(window=4, eviction="sliding", conv_state="carry")
    events = list(read(model, batch, config, every_output=True))
    pieces = [
        e.logits if isinstance(e, Wake) else model.logits(e.hidden)
        for e in events
        if not isinstance(e, Eviction)
    ]
    found = torch.cat(pieces, dim=1)
    assert_close(found[valid], model.logits(hidden)[valid], rtol=0, atol=1e-9)
    kept = memory.replace(kv={i: cache.newest(3) for i, cache in memory.kv.items()})
    assert_same_memory(events[-1].memory, kept, atol=1e-9)


@pytest.mark.parametrize("kept", ["first", "last"])
@pytest.mark.parametrize("loop", [None, (1, 3)])
def test_the_cache_kept_is_that_of_the_named_pass(tiny_model, make_batch, kept, loop):
    """Every pass sees the cache of earlier windows and none of its own window's passes."""
    model, batch = tiny_model(*LAYERS), make_batch(2, 0)
    config = SleepConfig(window=4, passes=3, eviction="sliding", kept_kv=kept, loop=loop)
    evictions = [e for e in read(model, batch, config) if isinstance(e, Eviction)]
    memory = model.empty_memory(3)
    begin, end = loop or (0, 4)
    for eviction in evictions:
        start = eviction.window.start
        hidden = model.embed(torch.from_numpy(batch.tokens[:, start : start + 4]))
        carried, caches = memory.kv, []
        for first, last in ((0, end), (begin, end), (begin, 4)):
            before = memory.replace(kv=carried, conv_tails={})
            hidden, memory = model.blocks(hidden, before, first=first, last=last, window=4)
            caches.append({i: c for i, c in memory.kv.items() if first <= i < last})
        for layer, cache in eviction.memory.kv.items():
            of_layer = [c[layer] for c in caches if layer in c]
            expected = of_layer[0 if kept == "first" else -1]
            assert torch.equal(cache.keys, expected.keys[:, :, -3:])
            assert torch.equal(cache.values, expected.values[:, :, -3:])
        memory = eviction.memory


def test_the_choice_of_cache_changes_the_answers(tiny_model, make_batch):
    model, batch = tiny_model(*LAYERS), make_batch()
    for passes, same in ((1, True), (2, False)):
        first, last = (
            [*read(model, batch, SleepConfig(window=4, passes=passes, eviction="sliding",
                                             kept_kv=kept))][-2].logits
            for kept in ("first", "last")
        )  # fmt: skip
        assert torch.equal(first, last) == same


def test_the_cache_does_not_grow_with_passes(tiny_model, make_batch):
    config = SleepConfig(window=4, passes=5, eviction="sliding")
    for event in read(tiny_model(*LAYERS), make_batch(3, 0), config):
        if isinstance(event, SleepPass):
            carried = 3 if event.window.index else 0
            assert {c.keys.shape[2] for c in event.memory.kv.values()} == {carried + 4}
