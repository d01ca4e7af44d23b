"""Activation checkpointing changes memory and time, and no number."""

import pytest
import torch
from torch.testing import assert_close

from workbench.config import SleepConfig
from workbench.sleep import Wake, read

LAYERS = ("attention", "gated_delta", "attention", "jet")


def gradients(model, batch, **options):
    """Return the loss, its gradients by name, and the bytes kept for the backward."""
    kept = 0

    def pack(tensor):
        nonlocal kept
        kept += tensor.nbytes
        return tensor

    config = SleepConfig(window=4, **{"passes": 3, **options})
    model.zero_grad()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        events = read(model, batch, config)
        loss = sum(e.logits.square().mean() for e in events if isinstance(e, Wake))
    loss.backward()
    return loss.detach(), {n: p.grad for n, p in model.named_parameters()}, kept


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"eviction": "sliding", "conv_state": "carry"},
        {"eviction": "sliding", "loop": (1, 3), "kept_kv": "first"},
        {"final_norm": "inside"},
        {"order": "predict_then_sleep"},
        {"passes": {"kind": "until_memory_settles", "tolerance": 1e-9, "cap": 2}},
        {"passes": {"kind": "until_answers_settle", "cap": 3}, "loop": (1, 3)},
    ],
    ids=str,
)
def test_gradients_are_the_same(tiny_model, make_batch, options):
    dtype = "float32" if not options else "float64"
    model, batch = tiny_model(*LAYERS, dtype=dtype), make_batch(2, 1, pads=(0, 2, 5))
    tolerance = 1e-12 if dtype == "float64" else 1e-6
    loss, expected, everything = gradients(model, batch, **options)
    assert all(g is not None and torch.isfinite(g).all() for g in expected.values())
    kept = [everything]
    for mode in ("pass", "window"):
        other, found, bytes_kept = gradients(model, batch, checkpointing=mode, **options)
        assert_close(other, loss, rtol=0, atol=tolerance)
        for name, gradient in expected.items():
            assert_close(found[name], gradient, rtol=tolerance, atol=tolerance)
        kept.append(bytes_kept)
    assert kept[0] > 2 * kept[1] > 0 and kept[2] < kept[0]


def test_passes_are_run_twice_and_wakes_too(tiny_model, make_batch, watched):
    runs = {}
    for mode in ("none", "pass", "window"):
        model = watched(tiny_model(*LAYERS))
        config = SleepConfig(window=4, passes=3, checkpointing=mode)
        wake = [*read(model, make_batch(2, 1), config)][-2]
        assert len(model.calls) == 7
        wake.logits.sum().backward()
        runs[mode] = len(model.calls)
    assert runs == {"none": 7, "pass": 14, "window": 13}


@pytest.mark.parametrize("mode", ["pass", "window"])
def test_without_gradients_nothing_is_checkpointed(tiny_model, make_batch, watched, mode):
    """Looking stays one pass at a time."""
    model = watched(tiny_model())
    config = SleepConfig(window=4, passes=3, checkpointing=mode)
    with torch.no_grad():
        for count, _ in enumerate(read(model, make_batch(1, 0), config), 1):
            assert len(model.calls) == min(count, 3)
