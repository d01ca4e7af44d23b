"""Nothing but the memory crosses a boundary: shown by gradients and by changed tokens.

With S wiped when the model wakes, an evicted token must not reach a single wake logit; each
thing that may cross besides S (sliding cache, carried tails) must show when it does.
"""

from dataclasses import replace

import pytest
import torch

from workbench.config import SleepConfig
from workbench.sleep import Wake, read

LAYERS = ("attention", "gated_delta", "attention", "jet")
PASSES = 3


def context_calls(loop=None, **_options):
    """Return the calls of `blocks` before the wake: two windows are slept on."""
    above = loop is not None and loop[1] < len(LAYERS)  # the blocks above the loop, once a window
    return 2 * (PASSES + above)


def wake_logits(model, batch, **options):
    config = SleepConfig(window=4, **{"passes": PASSES, **options})
    (wake,) = (event for event in read(model, batch, config) if isinstance(event, Wake))
    return wake.logits


def reach(watched, model, batch, *, erase, **options):
    """Return the largest gradient of a wake logit by embedding of an evicted token, by window."""
    erase_from = context_calls(**options) if erase else None
    model = watched(model, erase_from=erase_from, leaves=True)
    logits = wake_logits(model, batch, **options)
    gradients = torch.autograd.grad(
        logits.square().sum(), model.embeddings, allow_unused=True, materialize_grads=True
    )
    assert len(model.calls) == context_calls(**options) + 1
    assert gradients[2].any(), "the wake window's own tokens"
    return [float(gradient.abs().max()) for gradient in gradients[:2]]


def changes(watched, model, batch, *, erase, **options):
    """Say whether other context tokens give other wake logits, to the bit."""
    erase_from = context_calls(**options) if erase else None
    other = batch.tokens.copy()
    other[:, :8] = (other[:, :8] + 3) % 7
    one, two = (
        wake_logits(watched(model, erase_from=erase_from), b, **options)
        for b in (batch, replace(batch, tokens=other))
    )
    return not torch.equal(one, two)


@pytest.mark.parametrize("loop", [None, (1, 3)])
def test_with_s_wiped_no_evicted_token_reaches_a_logit(tiny_model, make_batch, watched, loop):
    model, batch = tiny_model(*LAYERS), make_batch()
    assert reach(watched, model, batch, erase=True, loop=loop) == [0.0, 0.0]
    assert not changes(watched, model, batch, erase=True, loop=loop)


@pytest.mark.parametrize("loop", [None, (1, 3)])
def test_s_carries_every_window_to_the_logits(tiny_model, make_batch, watched, loop):
    model, batch = tiny_model(*LAYERS), make_batch()
    assert min(reach(watched, model, batch, erase=False, loop=loop)) > 1e-6
    assert changes(watched, model, batch, erase=False, loop=loop)


@pytest.mark.parametrize("options", [{"conv_state": "carry"}, {"eviction": "sliding"}])
def test_what_else_may_cross_shows_when_s_is_wiped(tiny_model, make_batch, watched, options):
    model, batch = tiny_model(*LAYERS), make_batch()
    assert reach(watched, model, batch, erase=True, **options)[1] > 1e-6
    assert changes(watched, model, batch, erase=True, **options)


def test_a_sliding_cache_reaches_l_minus_1_tokens_back(tiny_model, make_batch, watched):
    """Attention first, N = 1, S wiped: the first wake token sees the three newest tokens."""
    model = watched(tiny_model("attention", "gated_delta"), erase_from=2, leaves=True)
    logits = wake_logits(model, make_batch(), eviction="sliding", passes=1)
    first, second, wake = torch.autograd.grad(
        logits[:, 0].square().sum(), model.embeddings, allow_unused=True, materialize_grads=True
    )
    assert not first.any()
    assert second.abs().sum((0, 2)).ne(0).tolist() == [False, True, True, True]
    assert wake.abs().sum((0, 2)).ne(0).tolist() == [True, False, False, False]


def test_sequences_of_a_batch_do_not_mix(tiny_model, make_batch):
    model, batch = tiny_model(*LAYERS), make_batch()
    other = batch.tokens.copy()
    other[1:] = (other[1:] + 3) % 7
    one, two = (wake_logits(model, b) for b in (batch, replace(batch, tokens=other)))
    assert torch.equal(one[0], two[0])
    assert not torch.equal(one[1], two[1])
