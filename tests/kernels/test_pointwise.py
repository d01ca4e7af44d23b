"""RMSNorm, SwiGLU's gate and RoPE: values and gradients, in PyTorch and through the library."""

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from sleep_kernels import rms_norm, rotate, silu_gate

every_backend = pytest.mark.parametrize("backend", ["cpu", "native"])
EPS = torch.finfo(torch.float32).eps


def normal(*shape):
    draw = torch.Generator().manual_seed(sum(shape))
    return torch.randn(shape, generator=draw, dtype=torch.float64).requires_grad_()


def angles_of(tokens, channels):
    half = torch.linspace(0, 3, tokens * channels // 2, dtype=torch.float64).view(tokens, -1)
    both = torch.cat((half, half), dim=-1)
    return both.cos(), both.sin()


@every_backend
@pytest.mark.parametrize("channels", [1, 3, 8, 16, 21])
def test_the_gate_of_swiglu(backend, channels):
    both = normal(2, 3, 2 * channels)
    gate, up = both.chunk(2, dim=-1)
    assert_close(silu_gate(both, backend=backend), F.silu(gate) * up)
    assert torch.autograd.gradcheck(lambda x: silu_gate(x, backend=backend), (both,))


@every_backend
@pytest.mark.parametrize("channels", [2, 8, 12, 16, 32, 48])
def test_turning_pairs_of_channels(backend, channels):
    """In one vector, in two, and across vectors; laid out as attention has it, and not."""
    cos, sin = angles_of(3, channels)
    half = channels // 2
    for x in (normal(2, 2, 3, channels), normal(2, 3, 2, channels).transpose(1, 2)):
        found = rotate(x, cos, sin, backend=backend)
        pairs = torch.complex(x[..., :half], x[..., half:])
        pairs = pairs * torch.complex(cos[:, :half], sin[:, :half])
        assert_close(found, torch.cat((pairs.real, pairs.imag), dim=-1))
    x = normal(1, 2, 3, channels)
    assert torch.autograd.gradcheck(lambda y: rotate(y, cos, sin, backend=backend), (x,))


@every_backend
def test_a_quarter_turn_by_hand(backend):
    x = torch.tensor([[[[1.0, 2.0]]]])
    given = (torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 1.0]]))
    assert rotate(x, *given, backend=backend).flatten().tolist() == [-2.0, 1.0]


@every_backend
@pytest.mark.parametrize("channels", [1, 5, 16, 40])
def test_rms_norm(backend, channels):
    x, weight = normal(2, 3, channels), normal(channels)
    expected = x / (x.square().mean(-1, keepdim=True) + 1e-3).sqrt() * weight
    assert_close(rms_norm(x, weight, 1e-3, backend=backend), expected)
    assert torch.autograd.gradcheck(lambda *t: rms_norm(*t, 1e-3, backend=backend), (x, weight))


@every_backend
def test_float32_loses_a_few_units_in_the_last_place(backend):
    """From where SiLU is nothing to where it is the identity, and at its ends."""
    gate = torch.cat((torch.linspace(-87, 100, 20_001), torch.tensor([-1e30, 1e30])))
    both = torch.stack((gate, torch.ones_like(gate)), dim=-1)
    found = silu_gate(both, backend=backend)[:, 0].double()
    exact = gate.double() * torch.sigmoid(gate.double())
    assert_close(found, exact, rtol=8 * EPS, atol=1e-30)
    assert silu_gate(torch.tensor([[torch.nan, 1.0]]), backend=backend).isnan().all()


@pytest.mark.parametrize("tokens", [1, 7])
def test_both_paths_give_the_same_in_float32(tokens, requires_native):
    x, weight = normal(3, tokens, 24).float(), normal(24).float()
    cos, sin = (t.float() for t in angles_of(tokens, 24))
    for run in (
        lambda backend: silu_gate(x, backend=backend),
        lambda backend: rms_norm(x, weight, 1e-6, backend=backend),
        lambda backend: rotate(x[:, None], cos, sin, backend=backend),
    ):
        assert_close(run("native"), run("cpu"), rtol=1e-6, atol=1e-6)


@every_backend
def test_nothing_in_nothing_out(backend):
    assert silu_gate(torch.zeros(0, 3, 8), backend=backend).shape == (0, 3, 4)
    assert rms_norm(torch.zeros(2, 0, 8), torch.ones(8), 1e-6, backend=backend).shape == (2, 0, 8)


X, COS = torch.zeros(1, 1, 3, 8), torch.zeros(3, 8)


@pytest.mark.parametrize(
    ("run", "given", "message"),
    [
        (
            rms_norm,
            (X, torch.ones(3), 1e-6),
            r"weight has shape \(3,\); .* \(8,\)",
        ),
        (silu_gate, (torch.zeros(2, 5),), r"both has shape \(2, 5\); expected .* an even number"),
        (rotate, (X, COS[:1], COS), r"cos has shape \(1, 8\); expected .* = \(3, 8\)"),
        (rotate, (X[0, 0], COS, COS), r"x has shape \(3, 8\); expected .batch, attn_head"),
        (rotate, (X[..., :5], COS[:, :5], COS[:, :5]), "even number of channels"),
        (rotate, (X, COS, COS.clone().requires_grad_()), "sin requires a gradient; expected"),
    ],
)
def test_wrong_shapes_are_refused(run, given, message):
    with pytest.raises(ValueError, match=message):
        run(*given)
    with pytest.raises(ValueError, match="backend 'natvie' is unknown"):
        silu_gate(torch.zeros(2, 4), backend="natvie")


def test_low_precision_is_pytorchs_on_every_backend():
    both = normal(2, 8).detach().bfloat16()
    assert torch.equal(silu_gate(both, backend="auto"), silu_gate(both, backend="cpu"))


def test_a_negative_bit_is_seen(requires_native):
    """Memory of such a view holds the numbers' opposites."""
    plain = torch.randn(3, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x = torch._neg_view(plain)
    assert x.is_neg()
    weight = torch._neg_view(plain[0])
    assert_close(silu_gate(x, backend="native"), silu_gate(-plain, backend="cpu"))
    assert_close(rms_norm(x, weight, 1e-6, backend="native"), rms_norm(-plain, -plain[0], 1e-6))
    leaf = plain.clone().requires_grad_()
    silu_gate(leaf, backend="native").backward(torch._neg_view(torch.ones(3, 4).double()))
    assert_close(leaf.grad, torch.autograd.grad(-silu_gate(leaf, backend="cpu").sum(), leaf)[0])


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_tracers_and_fake_tensors_see_operations(requires_native):
    from torch._subclasses import FakeTensorMode
    from torch.fx.experimental.proxy_tensor import make_fx

    x = torch.randn(2, 8, generator=torch.Generator().manual_seed(0))
    other = x + 1
    with pytest.warns(DeprecationWarning, match="deprecated"):
        traced = torch.jit.trace(silu_gate, x)
    for recorded in (make_fx(lambda y: silu_gate(y))(x), traced):
        assert_close(recorded(other), silu_gate(other))
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        assert silu_gate(mode.from_tensor(x)).shape == (2, 4)


@every_backend
def test_a_second_derivative_is_refused_of_a_linear_loss_too(backend):
    x = normal(2, 8)
    for y in (silu_gate(x, backend=backend), rms_norm(x, normal(8), 1e-6, backend=backend)):
        (first,) = torch.autograd.grad(y.sum(), x, create_graph=True)
        with pytest.raises(RuntimeError, match="a second derivative of an operator"):
            first.square().sum().backward()
