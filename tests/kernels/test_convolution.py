"""Causal convolutions against torch's own and against a loop."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from sleep_kernels import dynamic_convolution, short_convolution

BATCH, CHANNELS = 2, 3
every_backend = pytest.mark.parametrize("backend", ["cpu", "native"])
both = pytest.mark.parametrize("dynamic", [False, True])


def runs(dynamic, backend):
    """Return the convolution under test."""
    return partial(dynamic_convolution if dynamic else short_convolution, backend=backend)


def taps_of(normal, dynamic, tokens, taps=4):
    """Return taps that all tokens share, or taps of each token."""
    return normal(BATCH, tokens, CHANNELS, taps) if dynamic else normal(CHANNELS, taps)


@pytest.fixture
def normal():
    generator = torch.Generator().manual_seed(0)
    return lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)


@every_backend
@pytest.mark.parametrize("tokens", [1, 2, 9])
@pytest.mark.parametrize("taps", [1, 2, 4, 8])
def test_short_convolution_is_conv1d(normal, backend, tokens, taps):
    x, weight = normal(BATCH, tokens, CHANNELS), normal(CHANNELS, taps)
    for tail in (None, normal(BATCH, taps - 1, CHANNELS)):
        before = torch.zeros(BATCH, taps - 1, CHANNELS, dtype=x.dtype) if tail is None else tail
        padded = torch.cat((before, x), dim=1)
        expected = F.conv1d(padded.mT, weight[:, None], groups=CHANNELS).mT
        result = short_convolution(x, weight, tail, backend=backend)
        assert_close(result.output, expected, rtol=0, atol=1e-12)
        assert torch.equal(result.tail, padded[:, tokens:])
        active = short_convolution(x, weight, tail, activate=True, backend=backend)
        assert_close(active.output, F.silu(expected), rtol=0, atol=1e-12)


@every_backend
@pytest.mark.parametrize("tokens", [1, 2, 9])
@pytest.mark.parametrize("taps", [1, 4, 8])
def test_dynamic_convolution_is_a_loop(normal, backend, tokens, taps):
    x, weight = normal(BATCH, tokens, CHANNELS), normal(BATCH, tokens, CHANNELS, taps)
    tail = normal(BATCH, taps - 1, CHANNELS)
    padded = torch.cat((tail, x), dim=1)
    expected = torch.zeros_like(x)
    for t in range(tokens):
        for w in range(taps):
            expected[:, t] += weight[:, t, :, w] * padded[:, t + w]
    active = dynamic_convolution(x, weight, tail, activate=True, backend=backend)
    assert_close(active.output, F.silu(expected), rtol=0, atol=1e-12)
    result = dynamic_convolution(x, weight, tail, backend=backend)
    assert_close(result.output, expected, rtol=0, atol=1e-12)
    assert torch.equal(result.tail, padded[:, tokens:])


@every_backend
@pytest.mark.parametrize("cut", [1, 2, 5])
@both
def test_one_call_is_two_calls(normal, cut, dynamic, backend):
    x, tail = normal(BATCH, 6, CHANNELS), normal(BATCH, 3, CHANNELS)
    weight, run = taps_of(normal, dynamic, 6), runs(dynamic, backend)
    whole = run(x, weight, tail)
    head, rest = (weight[:, :cut], weight[:, cut:]) if dynamic else (weight, weight)
    first = run(x[:, :cut], head, tail)
    second = run(x[:, cut:], rest, first.tail)
    assert torch.equal(torch.cat((first.output, second.output), dim=1), whole.output)
    assert torch.equal(second.tail, whole.tail)


def test_an_impulse_by_hand():
    x = torch.tensor([1.0, 0.0, 0.0, 0.0])[None, :, None]
    output, tail = short_convolution(x, torch.tensor([[3.0, 2.0, 1.0]]))
    assert output.flatten().tolist() == [1.0, 2.0, 3.0, 0.0]
    assert tail.flatten().tolist() == [0.0, 0.0]


@every_backend
@both
def test_gradients(normal, dynamic, backend):
    """Of everything that goes in, through everything that comes out; channels in any layout."""
    x, tail = normal(2, 5, 18).requires_grad_(), normal(2, 3, 18).requires_grad_()
    weight = (normal(2, 5, 18, 4) if dynamic else normal(18, 4)).requires_grad_()

    def run(*given):
        return tuple(runs(dynamic, backend)(*given, activate=True))

    assert torch.autograd.gradcheck(run, (x, weight, tail))
    every_third = weight[:, :, ::3] if dynamic else weight[::3]
    assert torch.autograd.gradcheck(run, (x[:, :, ::3], every_third))  # channels apart


@both
def test_wrong_shapes_are_refused(normal, dynamic):
    x, weight = normal(BATCH, 5, CHANNELS), taps_of(normal, dynamic, 5)
    tail, run = normal(BATCH, 4, CHANNELS), runs(dynamic, "auto")
    for given, message in (
        ((x, weight, tail), r"tail has shape \(2, 4, 3\); expected .* \(2, 3, 3\)"),
        ((x, weight, tail[:, :3].to("meta")), "tail is on meta; expected cpu; move it there"),
        ((x, weight[..., :1, :] if dynamic else weight[:1]), "weight has shape .*channel, taps"),
        ((x, weight[..., :0]), "weight 0 taps; expected .* at least one tap"),
        ((x[0], weight), r"x has shape \(5, 3\) .*; expected .batch, token, cha"),
    ):
        with pytest.raises(ValueError, match=message):
            run(*given)
    with pytest.raises(ValueError, match="backend 'natvie' is unknown; expected one of auto, "):
        runs(dynamic, "natvie")(x, weight)


@both
def test_long_convolutions_are_pytorchs(normal, dynamic):
    """On every backend, as documented."""
    x, weight = normal(BATCH, 5, CHANNELS), taps_of(normal, dynamic, 5, 9)
    found = runs(dynamic, "auto")(x, weight).output
    assert torch.equal(found, runs(dynamic, "cpu")(x, weight).output)


@both
def test_inputs_and_taps_keep_their_precisions(normal, dynamic):
    """As under autocast: the projection is bfloat16, the taps of a layer are float32."""
    x = normal(1, 5, 4).bfloat16().requires_grad_()
    weight = (normal(1, 5, 4, 4) if dynamic else normal(4, 4)).float().requires_grad_()
    run = dynamic_convolution if dynamic else short_convolution
    output = run(x, weight).output
    assert output.dtype == torch.bfloat16
    exact = run(x.double(), weight.double()).output
    assert_close(output.double(), exact, rtol=2**-8, atol=1e-6)  # rounded once, at the end
    output.float().square().sum().backward()
    assert (x.grad.dtype, weight.grad.dtype) == (torch.bfloat16, torch.float32)
