"""Who updates what, at which rate, and the optimisers' state as tensors."""

import math

import numpy as np
import pytest
import torch

from workbench.config import TrainingConfig, layer_kinds
from workbench.training.optimisers import PRECISION, build_optimisers, learning_rate_scale

BODY = {
    "query", "key", "value", "out", "gate", "up", "down", "decay", "write", "taps_in", "taps_out",
}  # fmt: skip


def step_with(model, optimisers, seed, step=0):
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
    return optimisers.step(step)


def test_matrices_of_the_body_go_to_muon_and_all_else_to_adamw(tiny_model):
    model = tiny_model(*layer_kinds())
    optimisers = build_optimisers(model, TrainingConfig())
    groups = {
        label: {id(p) for g in optimiser.param_groups for p in g["params"]}
        for label, optimiser in (("muon", optimisers.muon), ("adamw", optimisers.adamw))
    }
    assert not groups["muon"] & groups["adamw"]
    for name, parameter in model.named_parameters():
        is_body = name.endswith(".weight") and name.split(".")[-2] in BODY
        assert (id(parameter) in groups["muon"]) == is_body, name
        assert (id(parameter) in groups["adamw"]) == (not is_body), name


def test_weight_decay_is_muons_alone_and_explicit(tiny_model):
    for decay in (0.0, 0.3):
        optimisers = build_optimisers(tiny_model(), TrainingConfig(weight_decay=decay))
        assert [g["weight_decay"] for g in optimisers.muon.param_groups] == [decay]
        assert [g["weight_decay"] for g in optimisers.adamw.param_groups] == [0.0]


def test_each_step_has_its_rates(tiny_model):
    model = tiny_model(dtype="float32")
    config = TrainingConfig(muon_lr=0.02, adamw_lr=0.001, warmup=4)
    optimisers = build_optimisers(model, config)
    for step, scale in enumerate((0.25, 0.5, 0.75, 1, 1)):
        step_with(model, optimisers, step, step)
        assert optimisers.muon.param_groups[0]["lr"] == pytest.approx(0.02 * scale)
        assert optimisers.adamw.param_groups[0]["lr"] == pytest.approx(0.001 * scale)
    assert all(p.grad is None for p in model.parameters())


def test_the_gradient_is_clipped_as_a_whole(tiny_model):
    """The norm told is that before clipping; a larger gradient then makes no other update."""
    norms, weights = [], []
    for factor in (10.0, 1000.0):
        model = tiny_model(dtype="float32")
        optimisers = build_optimisers(model, TrainingConfig(clip=1.0, warmup=0))
        generator = torch.Generator().manual_seed(0)
        for parameter in model.parameters():
            parameter.grad = factor * torch.randn(parameter.shape, generator=generator)
        expected = math.sqrt(sum(float(p.grad.square().sum()) for p in model.parameters()))
        norms.append(optimisers.step(0))
        assert norms[-1] == pytest.approx(expected, rel=1e-5)
        weights.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    torch.testing.assert_close(*weights, rtol=0, atol=1e-6)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_gradient_that_is_not_finite_touches_nothing(tiny_model, bad):
    model = tiny_model(dtype="float32")
    optimisers = build_optimisers(model, TrainingConfig())
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    model.head.weight.grad[0, 0] = bad
    with pytest.raises(FloatingPointError, match="gradient norm is (nan|inf) at step 8"):
        optimisers.step(7)
    assert all(torch.equal(p, before[n]) for n, p in model.named_parameters())


def test_the_state_survives_as_tensors_to_the_bit(tiny_model):
    model, other = tiny_model(dtype="float32"), tiny_model(dtype="float32", seed=1)
    config = TrainingConfig(warmup=0, weight_decay=0.1)
    one, two = build_optimisers(model, config), build_optimisers(other, config)
    for step in range(3):
        step_with(model, one, step, step)
    other.load_state_dict(model.state_dict())
    two.load({name: tensor.clone() for name, tensor in one.tensors().items()})
    assert {name.split(".")[0] for name in one.tensors()} == {"muon", "adamw"}
    for step in range(3, 6):
        step_with(model, one, step, step)
        step_with(other, two, step, step)
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, other.get_parameter(name)), name


# --- the schedule ---------------------------------------------------------------------------------


def rates(**settings):
    config = TrainingConfig(**{"steps": 10, "warmup": 0, **settings})
    return [learning_rate_scale(step, config) for step in range(config.steps)]


def test_constant_after_the_warm_up():
    assert rates(warmup=4) == [0.25, 0.5, 0.75] + [1.0] * 7
    assert rates() == [1.0] * 10


def test_linear_decay_over_the_last_part():
    expected = [1, 1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2, 0]
    np.testing.assert_allclose(rates(decay="linear", decay_fraction=0.5), expected, atol=1e-12)
    np.testing.assert_allclose(rates(decay="linear"), np.arange(9, -1, -1) / 10, atol=1e-12)


def test_cosine_decay():
    expected = 0.5 * (1 + np.cos(np.pi * np.arange(1, 11) / 10))
    np.testing.assert_allclose(rates(decay="cosine"), expected, atol=1e-12)
    assert rates(decay="cosine", decay_fraction=0.2)[:8] == [1.0] * 8


def test_warm_up_and_decay_multiply():
    found = rates(decay="linear", warmup=5)
    np.testing.assert_allclose(found[:5], [0.2 * 0.9, 0.4 * 0.8, 0.6 * 0.7, 0.8 * 0.6, 0.5])


def test_the_precision_of_a_run_goes_with_its_state(tiny_model):
    """State that names none was written when it was always bfloat16."""
    model = tiny_model(dtype="float32")
    one = build_optimisers(model, TrainingConfig())
    step_with(model, one, 0)
    for precision in ("float32", "bfloat16"):
        one.muon.precision = precision
        other = build_optimisers(model, TrainingConfig())
        other.load(one.tensors())
        assert other.muon.precision == precision
    other.muon.precision = "float32"
    other.load({name: x for name, x in one.tensors().items() if name != PRECISION})
    assert other.muon.precision == "bfloat16"
    with pytest.raises(ValueError, match="muon.precision"):
        other.load(one.tensors() | {PRECISION: torch.zeros((), dtype=torch.int8)})
