"""Attention against a softmax written out with complex rotations; SwiGLU by hand."""

import sys

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from workbench.config import ModelConfig
from workbench.errors import WorkbenchError
from workbench.model.layers import Attention, SwiGLU


@pytest.fixture
def attention():
    torch.manual_seed(0)
    return Attention(ModelConfig(width=8, attention_heads=2, rope_base=10.0)).double()


def features(count=6, batch=2, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, count, 8, generator=generator, dtype=torch.float64)


def by_hand(attention, x, *, window=None, valid=None, position=lambda t: t):
    """Return causal attention in numpy: RoPE turns channel pairs (j, j + dim / 2) as numbers."""
    x = x.numpy()
    heads, dim = attention.heads, x.shape[-1] // attention.heads
    q, k, v = (
        (x @ getattr(attention, name).weight.detach().numpy().T).reshape(*x.shape[:2], heads, dim)
        for name in ("query", "key", "value")
    )
    angle = attention.rope_base ** (-np.arange(dim // 2) * 2 / dim)
    output = np.zeros_like(v)
    for b, t, h in np.ndindex(v.shape[:3]):
        if valid is not None and not valid[b, t]:
            continue
        seen = [s for s in range(t + 1) if valid is None or valid[b, s]]
        seen = seen if window is None else [s for s in seen if s > t - window]

        def turned(vector, at):
            pairs = vector[: dim // 2] + 1j * vector[dim // 2 :]
            return pairs * np.exp(1j * position(at) * angle)

        query = turned(q[b, t, h], t)
        scores = np.array([(query * turned(k[b, s, h], s).conj()).real.sum() for s in seen])
        weights = np.exp(scores / np.sqrt(dim))
        output[b, t, h] = (weights / weights.sum()) @ v[b, seen, h]
    mixed = output.reshape(x.shape) @ attention.out.weight.detach().numpy().T
    return torch.from_numpy(mixed)


@pytest.mark.parametrize("window", [None, 1, 3, 6, 9])
def test_equals_softmax_attention_by_hand(attention, window):
    x = features()
    found, cache = attention(x, None, None, window)
    assert_close(found, by_hand(attention, x, window=window), rtol=0, atol=1e-12)
    assert cache.keys.shape == (2, 2, 6, 4) and cache.valid.all()


@pytest.mark.parametrize("window", [None, 3])
def test_pads_are_not_attended_to(attention, window):
    x = features()
    valid = torch.tensor([[False, False, True, True, True, True], [True] * 6])
    found, cache = attention(x, None, valid, window)
    expected = by_hand(attention, x, window=window, valid=valid.numpy())
    assert_close(found[valid], expected[valid], rtol=0, atol=1e-12)
    assert torch.equal(cache.valid, valid)
    assert torch.isfinite(found).all()


def test_pads_in_the_cache_stay_hidden(attention):
    x = features()
    valid = torch.tensor([[False, True, True], [True] * 3])
    whole, _ = attention(x, None, torch.cat((valid, torch.ones(2, 3, dtype=torch.bool)), 1), None)
    _, cache = attention(x[:, :3], None, valid, None)
    second, _ = attention(x[:, 3:], cache, None, None)
    assert_close(second, whole[:, 3:], rtol=0, atol=1e-12)


@pytest.mark.parametrize("window", [1, 2, 4])
def test_the_window_is_the_newest_tokens(attention, window):
    x = features().requires_grad_()
    found, _ = attention(x, None, None, window)
    (gradient,) = torch.autograd.grad(found[:, 5].sum(), x)
    seen = gradient.abs().sum((0, 2)) > 0
    assert seen.tolist() == [t > 5 - window for t in range(6)]


def test_positions_are_relative_and_matter(attention):
    x = features()
    assert_close(
        by_hand(attention, x, position=lambda t: t + 1000), attention(x, None, None, None)[0]
    )
    swapped = x[:, [1, 0, 2, 3, 4, 5]]
    assert not torch.allclose(
        attention(swapped, None, None, None)[0][:, 5], attention(x, None, None, None)[0][:, 5]
    )


def test_a_cache_cut_to_its_newest_tokens_serves_the_window(attention):
    x = features(count=9)
    whole, _ = attention(x, None, None, 4)
    _, cache = attention(x[:, :6], None, None, 4)
    second, extended = attention(x[:, 6:], cache.newest(3), None, 4)
    assert_close(second, whole[:, 6:], rtol=0, atol=1e-12)
    assert extended.keys.shape[2] == 6
    assert cache.newest(100).keys.shape[2] == 6
    assert cache.newest(0).keys.shape[2] == 0


def test_without_output_the_cache_is_the_same(attention):
    nothing, cache = attention(features(), None, None, None, output=False)
    _, full = attention(features(), None, None, None)
    assert nothing is None
    assert torch.equal(cache.keys, full.keys) and torch.equal(cache.values, full.values)


def test_flash_without_its_package_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "flash_attn", None)
    flash = Attention(ModelConfig(width=8, attention_heads=2, attention_backend="flash"))
    with pytest.raises(WorkbenchError, match="without the flash-attn package; .* 'sdpa'"):
        flash(features().float(), None, None, None)


def test_swiglu_by_hand():
    mlp = SwiGLU(ModelConfig(width=8, mlp_width=3)).double()
    x = features()[0, 0]
    gate, up, down = (w.weight.detach().numpy() for w in (mlp.gate, mlp.up, mlp.down))
    inner = gate @ x.numpy()
    expected = down @ (inner / (1 + np.exp(-inner)) * (up @ x.numpy()))
    assert_close(mlp(x[None, None]).flatten().detach(), torch.from_numpy(expected))
