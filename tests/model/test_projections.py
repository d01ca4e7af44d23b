"""Several projections of the same features at once."""

import torch
from torch.testing import assert_close

from workbench.model.projections import linears


def normal(*shape):
    draw = torch.Generator().manual_seed(sum(shape))
    return torch.randn(shape, generator=draw, dtype=torch.float64)


def test_joint_projections_are_those_of_each_weight():
    x, *weights = normal(2, 3, 4), normal(5, 4), normal(2, 4), normal(3, 4)
    one, two, three = (x @ w.T for w in weights)
    joint, alone = linears(x, [weights[:2], weights[2:]])
    assert_close(joint, torch.cat((one, two), dim=-1))
    assert_close(alone, three)
    (whole,) = linears(x, [weights])
    assert_close(whole, torch.cat((one, two, three), dim=-1))
    elsewhere = [w.to("meta") for w in weights]
    shapes = [y.shape for y in linears(x.to("meta"), [elsewhere[:2], elsewhere[2:]])]
    assert shapes == [(2, 3, 7), (2, 3, 3)]  # not a CPU: a product each
