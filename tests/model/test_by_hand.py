"""Operations whose backward is written by hand: values and gradients of the plain forms."""

import torch
import torch.nn.functional as F
from torch.testing import assert_close

from workbench.model.by_hand import gated, linears, rotate


def normal(*shape):
    draw = torch.Generator().manual_seed(sum(shape))
    return torch.randn(shape, generator=draw, dtype=torch.float64).requires_grad_()


def test_the_gate_of_swiglu():
    both = normal(2, 3, 8)
    gate, up = both.chunk(2, dim=-1)
    assert_close(gated(both), F.silu(gate) * up)
    assert torch.autograd.gradcheck(gated, (both,))


def test_turning_pairs_of_channels():
    x, angles = normal(2, 2, 3, 8), torch.linspace(0, 3, 12, dtype=torch.float64).view(3, 4)
    cos, sin = (torch.cat((f(angles), f(angles)), dim=-1) for f in (torch.cos, torch.sin))
    found = rotate(x, cos, sin)
    pairs = torch.complex(x[..., :4], x[..., 4:]) * torch.exp(1j * angles)
    assert_close(found, torch.cat((pairs.real, pairs.imag), dim=-1))
    assert torch.autograd.gradcheck(lambda y: rotate(y, cos, sin), (x,))


def test_a_quarter_turn_by_hand():
    x = torch.tensor([[[[1.0, 2.0]]]])
    turned = rotate(x, torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 1.0]]))
    assert turned.flatten().tolist() == [-2.0, 1.0]


def test_joint_projections_are_those_of_each_weight():
    x, *weights = normal(2, 3, 4), normal(5, 4), normal(2, 4), normal(3, 4)
    one, two, three = (x @ w.T for w in weights)
    joint, alone = linears(x, [weights[:2], weights[2:]])
    assert_close(joint, torch.cat((one, two), dim=-1))
    assert_close(alone, three)
    (whole,) = linears(x, [weights])
    assert_close(whole, torch.cat((one, two, three), dim=-1))
    elsewhere = [w.detach().to("meta") for w in weights]
    shapes = [y.shape for y in linears(x.detach().to("meta"), [elsewhere[:2], elsewhere[2:]])]
    assert shapes == [(2, 3, 7), (2, 3, 3)]  # not a CPU: a product each
