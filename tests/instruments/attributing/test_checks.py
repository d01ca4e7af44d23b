"""Attributions must follow the weights, and the trap of the looped module must spring."""

import numpy as np
import pytest
import torch
from torch import nn

from workbench.config import SleepConfig
from workbench.errors import WorkbenchError
from workbench.instruments.attributing.checks import (
    hooked_completeness,
    randomisation_check,
    randomised,
)


class Looped(nn.Module):
    """One linear layer with tanh, run `times` times."""

    def __init__(self, times):
        super().__init__()
        self.times = times
        self.block = nn.Linear(3, 3, bias=False)
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            self.block.weight.copy_(torch.randn(3, 3, generator=generator))
        self.double()

    def forward(self, given):
        for _ in range(self.times):
            given = given + torch.tanh(self.block(given))
        return given.sum(1)


INPUT = torch.tensor([[1.0, -0.5, 2.0], [0.3, 0.7, -1.0]], dtype=torch.float64)


def test_a_looped_module_attributed_by_hooks_misses_completeness():
    model = Looped(times=3)
    found = hooked_completeness(model, model.block, INPUT, torch.zeros_like(INPUT))
    hooked, plain = found.completeness_error
    assert (hooked > 0.01).all() and hooked.max() > 0.3
    assert (plain < 1e-6).all()
    assert found.procedure.values.tolist() == ["hooked to the module", "of the input"]
    np.testing.assert_allclose(found.worth, model(INPUT).detach())


def test_a_module_that_runs_once_is_complete_either_way():
    model = Looped(times=1)

    def forward(given):
        return torch.tanh(model.block(given)).sum(1)

    found = hooked_completeness(forward, model.block, INPUT, torch.zeros_like(INPUT))
    assert (found.completeness_error < 1e-6).all()


def test_shuffled_parameters_keep_their_values():
    model = Looped(times=2)
    other = randomised(model, seed=1)
    assert torch.equal(*(m.block.weight.sort().values.flatten().sort().values for m in (model, other)))  # noqa: E501  # fmt: skip
    assert not torch.equal(model.block.weight, other.block.weight)
    assert torch.equal(other.block.weight, randomised(model, seed=1).block.weight)
    with pytest.raises(WorkbenchError, match="a torch module"):
        randomised(SleepConfig(), 0)


def test_attributions_follow_the_weights_or_are_found_out():
    import xarray as xr

    given = torch.randn(2, 40, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    model = nn.Linear(40, 1, bias=False).double()
    with torch.no_grad():
        model.weight.copy_(torch.randn(1, 40, generator=torch.Generator().manual_seed(3)))

    def by_weight(model):
        return xr.DataArray((model.weight * given).detach().numpy(), dims=("example", "token"))

    def by_input(model):
        return xr.DataArray(given.numpy(), dims=("example", "token"))

    good, bad = (randomisation_check(by, model) for by in (by_weight, by_input))
    assert good.rank_correlation.dims == ("seed", "example")
    assert (np.abs(good.rank_correlation) < 0.5).all()
    np.testing.assert_allclose(bad.rank_correlation, 1)
    flat = randomisation_check(lambda model: by_input(model) * 0, model)
    assert np.isnan(flat.rank_correlation).all()
