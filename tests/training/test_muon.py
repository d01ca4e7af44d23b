"""Matrices orthogonalised together are those that `torch.optim.Muon` does one by one."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from workbench.training import muon
from workbench.training.muon import Muon, orthogonalised, quickest_precision

SHAPES = [(16, 16), (4, 16), (16, 16), (24, 16), (24, 16), (16, 24), (16, 16), (3, 1)]


def trained(optimiser, *, steps=4, without=(), dtype=torch.float32, **settings):
    """Return the matrices and the optimiser after some steps on random gradients."""
    draw = torch.Generator().manual_seed(0)

    def normal(shape):
        return torch.randn(shape, generator=draw, dtype=dtype)

    matrices = [normal(shape) for shape in SHAPES]
    made = optimiser(matrices, lr=0.02, **settings)
    for _ in range(steps):
        for index, matrix in enumerate(matrices):
            gradient = normal(matrix.shape)
            matrix.grad = None if index in without else gradient
        made.step()
    return matrices, made


@pytest.mark.parametrize("adjust", ["original", "match_rms_adamw", None])
@pytest.mark.parametrize("rest", [{}, {"weight_decay": 0.0, "nesterov": False, "ns_steps": 2}])
@pytest.mark.parametrize("together", [1, 600, muon.TOGETHER])
def test_the_weights_are_those_of_torch_to_the_bit(monkeypatch, adjust, rest, together):
    monkeypatch.setattr(muon, "TOGETHER", together)
    settings = {"adjust_lr_fn": adjust, "without": (2, 7), **rest}
    expected, theirs = trained(torch.optim.Muon, **settings)
    found, ours = trained(Muon, **settings)
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other), tuple(one.shape)
    theirs.load_state_dict(ours.state_dict())  # one's state is the other's


def test_float64_weights_too():
    expected, _ = trained(torch.optim.Muon, dtype=torch.float64)
    found, _ = trained(Muon, dtype=torch.float64)
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


def test_without_any_gradient_nothing_happens():
    expected, _ = trained(Muon, steps=0)
    found, _ = trained(Muon, steps=1, without=range(len(SHAPES)))
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize("shape", [(3, 8, 4), (3, 4, 8), (3, 4, 4)])
def test_a_matrix_of_equal_singular_values_keeps_its_directions(shape):
    """By hand: x = s I has norm s sqrt(n), and one step maps t to a t + b t^3 + c t^5."""
    size = min(shape[1:])
    eye = 7 * torch.eye(*shape[1:]).expand(shape)
    (a, b, c), t = (3.0, -3.0, 1.0), size**-0.5
    found = orthogonalised(eye.bfloat16(), (a, b, c), 1, 1e-7)
    expected = (a * t + b * t**3 + c * t**5) * torch.eye(*shape[1:]).expand(shape)
    assert_close(found.float(), expected, rtol=0, atol=2**-7)


@pytest.mark.parametrize("shape", [(3, 16, 24), (3, 24, 16), (3, 16, 16)])
def test_float32_products_do_to_singular_values_what_the_polynomial_says(shape):
    """By NumPy's singular vectors, in float64; five quintic steps bring most values near 1."""
    draw = torch.Generator().manual_seed(0)
    matrices = torch.randn(shape, generator=draw)
    a, b, c = 3.4445, -4.775, 2.0315
    found = orthogonalised(matrices, (a, b, c), 5, 1e-7).numpy()
    for matrix, ours in zip(matrices.double().numpy(), found, strict=True):
        left, values, right = np.linalg.svd(matrix, full_matrices=False)
        values = values / np.linalg.norm(matrix)
        for _ in range(5):
            values = a * values + b * values**3 + c * values**5
        np.testing.assert_allclose(ours, left * values @ right, rtol=0, atol=1e-5)
        assert values.max() < 1.21
        assert shape[1] == shape[2] or values.min() > 0.5


def test_in_float32_an_update_is_that_of_bfloat16_but_for_its_rounding():
    class InFloat32(Muon):
        precision = "float32"

    rough, _ = trained(Muon, steps=1)
    fine, _ = trained(InFloat32, steps=1)
    start, _ = trained(Muon, steps=0)
    for old, one, other in zip(start, rough, fine, strict=True):
        assert not torch.equal(one, other)
        assert (one - other).norm() < 0.1 * (one - old).norm()


@pytest.mark.parametrize(
    ("able", "precision"),
    [
        ({}, "float32"),
        ({"avx2": True, "avx512_f": True, "avx512_bf16": False}, "float32"),
        ({"avx512_bf16": True}, "bfloat16"),
        ({"amx_bf16": True}, "bfloat16"),
        ({"neon": True, "bf16": True}, "bfloat16"),
    ],
)
def test_the_precision_is_that_of_the_processor(able, precision, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    assert quickest_precision(torch.device("cpu")) == precision
    assert quickest_precision(torch.device("cuda")) == "bfloat16"
