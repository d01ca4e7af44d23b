"""Causal convolutions against torch's own and against a loop."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from sleep_kernels import dynamic_convolution, short_convolution

BATCH, CHANNELS = 2, 3
every_backend = pytest.mark.parametrize("backend", ["cpu", "native"])


def runs(dynamic, backend):
    """Return the convolution under test."""
    return partial(dynamic_convolution if dynamic else short_convolution, backend=backend)


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
@pytest.mark.parametrize("dynamic", [False, True])
def test_one_call_is_two_calls(normal, cut, dynamic, backend):
    x, tail = normal(BATCH, 6, CHANNELS), normal(BATCH, 3, CHANNELS)
    weight = normal(BATCH, 6, CHANNELS, 4) if dynamic else normal(CHANNELS, 4)
    run = runs(dynamic, backend)
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
@pytest.mark.parametrize("dynamic", [False, True])
def test_gradients_of_an_activated_convolution(normal, dynamic, backend):
    x, tail = normal(2, 5, 18).requires_grad_(), normal(2, 3, 18).requires_grad_()
    weight = (normal(2, 5, 18, 4) if dynamic else normal(18, 4)).requires_grad_()

    def run(*given):
        return runs(dynamic, backend)(*given, activate=True).output

    assert torch.autograd.gradcheck(run, (x, weight, tail))
    every_third = weight[:, :, ::3] if dynamic else weight[::3]
    assert torch.autograd.gradcheck(run, (x[:, :, ::3], every_third))  # channels apart


@every_backend
@pytest.mark.parametrize("dynamic", [False, True])
def test_gradients_reach_input_weight_and_tail(normal, dynamic, backend):
    x, tail = normal(1, 3, 2).requires_grad_(), normal(1, 2, 2).requires_grad_()
    weight = (normal(1, 3, 2, 3) if dynamic else normal(2, 3)).requires_grad_()
    run = runs(dynamic, backend)
    assert torch.autograd.gradcheck(lambda *tensors: tuple(run(*tensors)), (x, weight, tail))


@pytest.mark.parametrize("dynamic", [False, True])
def test_wrong_shapes_are_refused(normal, dynamic):
    x, weight = normal(BATCH, 5, CHANNELS), normal(CHANNELS, 4)
    if dynamic:
        weight = normal(BATCH, 5, CHANNELS, 4)
    run = dynamic_convolution if dynamic else short_convolution
    with pytest.raises(ValueError, match=r"tail has shape \(2, 4, 3\); expected .* \(2, 3, 3\)"):
        run(x, weight, normal(BATCH, 4, CHANNELS))
    with pytest.raises(ValueError, match="tail is on meta; expected cpu; move it there"):
        run(x, weight, normal(BATCH, 3, CHANNELS).to("meta"))
    with pytest.raises(ValueError, match="weight has shape .*; expected .*channel, taps.*; resha"):
        run(x, weight[..., :1, :] if dynamic else weight[:1])
    with pytest.raises(ValueError, match="weight 0 taps; expected .* at least one tap"):
        run(x, weight[..., :0])
    with pytest.raises(ValueError, match=r"x has shape \(5, 3\) .*; expected .batch, token, cha"):
        run(x[0], weight)
    with pytest.raises(ValueError, match="backend 'natvie' is unknown; expected one of auto, "):
        run(x, weight, backend="natvie")


@pytest.mark.parametrize("dynamic", [False, True])
def test_long_convolutions_are_pytorchs(normal, dynamic):
    """On every backend, as documented."""
    x, weight = normal(BATCH, 5, CHANNELS), normal(CHANNELS, 9)
    if dynamic:
        weight = normal(BATCH, 5, CHANNELS, 9)
    assert torch.equal(
        runs(dynamic, "auto")(x, weight).output, runs(dynamic, "cpu")(x, weight).output
    )


@pytest.mark.parametrize("dynamic", [False, True])
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
