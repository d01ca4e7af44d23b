"""Decays from 1 to 0 at every place of a chunk, on every backend, against independent values.

The value is the recurrence in float64, which test_rules.py compares with loops in NumPy. The
error allowed to a backend is derived: `SLACK` times what the recurrence is off by in float32, and
one unit in the last place of the largest entry.
"""

import importlib
import math
from functools import cache

import numpy as np
import pytest
import torch
from rule_inputs import KINDS, NAMES, check_budget, drawn

import sleep_kernels
from sleep_kernels import Gates

if not torch.cuda.is_available() and sleep_kernels.backend_status("cpu")["triton"] is None:
    importlib.import_module("sleep_kernels.triton")  # while its interpreter is switched on

LADDER = [0.0, -1e-3, -0.5, -5.0, -20.0, -88.0, -104.0, -750.0, -1e4, -1e30, -math.inf]
RULES = {
    "gated delta": sleep_kernels.gated_delta_rule,
    "gated outer product": sleep_kernels.gated_outer_product,
}
SLACK = 4.0
"""A chunk adds up in another order, and solves for what is written instead of stepping."""
every_rule = pytest.mark.parametrize("rule", RULES)
every_backend = pytest.mark.parametrize("backend", ["reference", "cpu", "native", "triton", "fla"])
quick_backend = pytest.mark.parametrize("backend", ["reference", "cpu", "native"])
slow_backend = pytest.mark.parametrize("backend", ["triton", "fla"])


@pytest.fixture
def serves(backend, request):
    """Return the device that a backend runs on here."""
    on_gpu = torch.cuda.is_available() and backend in ("triton", "fla")
    if backend == "triton" and not on_gpu:
        request.getfixturevalue("interpreter")
    device = "cuda" if on_gpu else "cpu"
    why = sleep_kernels.backend_status(device)[backend]
    if why is not None:
        pytest.skip(f"backend {backend!r} does not serve: {why}")
    return device


def inputs(batch, tokens, **options):
    """Return float32 numbers in float64 by name: b up to 2, S not zero, mild decays."""
    return drawn(batch, tokens, heads=1, keys=16, values=16, strongest=2.0, **options)


def results(rule, x, backend, device="cpu", **options):
    """Return output, state and the gradient of every input, of a loss with fixed weights."""
    leaves = {n: t.detach().to(device).requires_grad_() for n, t in x.items()}
    found = RULES[rule](*(leaves[n] for n in NAMES), backend=backend, **options)
    generator = torch.Generator().manual_seed(1)
    loss = torch.zeros((), device=device)
    for tensor in found[:2]:
        weights = torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
        loss = loss + (tensor * weights.to(tensor)).sum()
    gradients = torch.autograd.grad(loss, list(leaves.values()))
    named = {"output": found.output, "after": found.state}
    named |= {f"d_{name}": g for name, g in zip(leaves, gradients, strict=True)}
    return {name: tensor.detach().cpu() for name, tensor in named.items()}


def one_at(places, log_decay, tokens, keys):
    """Return inputs whose row i has one strong decay, at ``places[i]``."""
    x = inputs(len(places), tokens, kind=keys)
    x["log_decay"][torch.arange(len(places)), torch.tensor(places), 0] = log_decay
    return x


def mixed(tokens, keys, rows):
    """Return inputs with decays drawn from the ladder; of the last two rows all are 1, all 0."""
    x = inputs(rows, tokens, kind=keys, seed=tokens)
    places = np.random.default_rng(tokens).choice(len(LADDER), (rows, tokens, 1))
    x["log_decay"] = torch.tensor(LADDER, dtype=torch.float64)[torch.from_numpy(places)]
    x["log_decay"][-2:] = torch.tensor([0.0, -math.inf]).view(2, 1, 1)
    return x


@cache
def expected(rule, make, *arguments):
    """Return inputs, what the recurrence finds in float64, and what it finds in float32."""
    x = make(*arguments)
    small = {name: tensor.float() for name, tensor in x.items()}
    return x, results(rule, x, "reference"), results(rule, small, "reference")


def check(backend, device, rule, make, *arguments):
    """Compare a backend in float32, and in float64 where that is quick, with the recurrence."""
    x, exact, eager = expected(rule, make, *arguments)
    if backend in ("cpu", "native"):
        wide = results(rule, x, backend)
        for name, true in exact.items():
            assert (wide[name] - true).abs().max() <= 1e-10 * true.abs().max(), name
    small = {name: tensor.float() for name, tensor in x.items()}
    if backend == "fla":  # its delta rules take bfloat16 and float16 alone
        small |= {name: small[name].bfloat16() for name in "qkv"}
    found = results(rule, small, backend, device)
    check_budget(found, exact, eager, SLACK, eps=2**-8 if backend == "fla" else 2**-23)


@every_rule
@every_backend
def test_by_hand_a_decay_of_zero_leaves_later_ones(rule, backend, serves):
    """k = [1, 0], v = 1, b = 0, 1, 0 and a = 0, e^-1, e^-1: only e^-1 of one write is left."""
    size = 16  # the least that Triton's kernels take
    k = torch.zeros(1, 3, 1, size)
    k[..., 0] = 1
    v = torch.ones(1, 3, 1, size)
    beta = torch.tensor([0.0, 1.0, 0.0])[None, :, None]
    log_decay = torch.tensor([-math.inf, -1.0, -1.0])[None, :, None].requires_grad_()
    state = torch.ones(1, 1, size, size)
    given = [x.to(serves) for x in (k, k, v, log_decay, beta, state)]
    if backend == "fla":
        given[:3] = [x.bfloat16() for x in given[:3]]
    after = RULES[rule](*given, backend=backend).state.cpu()
    tolerance = 2**-8 if backend == "fla" else 1e-6
    assert after[0, 0, 0].tolist() == pytest.approx([math.exp(-1)] * size, rel=tolerance)
    assert not after[0, 0, 1:].any()
    (gradient,) = torch.autograd.grad(after[0, 0, 0, 0], log_decay)
    # S = exp(g_3): the write comes after the decays of tokens 1 and 2
    expected = [0.0, 0.0, math.exp(-1)]
    assert gradient.flatten().tolist() == pytest.approx(expected, rel=tolerance, abs=1e-6)


@every_rule
@quick_backend
@pytest.mark.parametrize("log_decay", [-88.0, -1e4, -1e30, -math.inf])
def test_a_strong_decay_at_every_place_of_a_chunk(rule, backend, log_decay, serves):
    """One row for each place of a window of one chunk."""
    keys = KINDS[int(log_decay < -100) + int(log_decay < -1e9)]
    check(backend, serves, rule, one_at, tuple(range(24)), log_decay, 24, keys)


@every_rule
@quick_backend
def test_a_decay_of_zero_at_every_place_of_a_later_chunk(rule, backend, serves):
    check(backend, serves, rule, one_at, tuple(range(31, 64)), -math.inf, 66, "near-collinear")


@slow_backend
def test_a_decay_of_zero_where_blocks_of_a_chunk_meet(backend, serves):
    """The kernels on a GPU, in their interpreter without one: 16 rows are a block."""
    check(backend, serves, "gated delta", one_at, (0, 15, 16, 31), -math.inf, 32, "near-collinear")


@every_rule
@quick_backend
@pytest.mark.parametrize("keys", KINDS)
@pytest.mark.parametrize("tokens", [7, 48, 75])
def test_decays_of_every_size_together(rule, backend, keys, tokens, serves):
    """Windows of one chunk to three."""
    check(backend, serves, rule, mixed, tokens, keys, 5)


@every_rule
@slow_backend
def test_decays_of_every_size_together_in_two_chunks(rule, backend, serves):
    check(backend, serves, rule, mixed, 40, "near-collinear", 3)


@cache
def gate_inputs():
    x = inputs(1, 128)
    return x | {"log_decay": x["v"][..., 0].clone()}


@cache
def gate_gradients(rule, rate, backend, dtype, device="cpu"):
    """Return the gradients of log_rate and decay_bias, in float64."""
    leaves = [torch.full((1,), value, dtype=dtype) for value in (rate, 0.0)]
    leaves = [leaf.to(device).requires_grad_() for leaf in leaves]
    given = {name: tensor.to(device, dtype) for name, tensor in gate_inputs().items()}
    if backend == "fla":
        given |= {name: given[name].bfloat16() for name in "qkv"}
    found = RULES[rule](*(given[n] for n in NAMES), gates=Gates(*leaves), backend=backend)
    loss = found.output.square().sum() + found.state.sin().sum()
    return torch.cat(torch.autograd.grad(loss, leaves)).detach().cpu().double()


@every_rule
@every_backend
@pytest.mark.parametrize("rate", [0.0, 2.8, 4.0])
def test_gradients_of_the_gates_under_strong_decay(rule, backend, rate, serves):
    """Sums over all tokens, most of which are far smaller than what they are computed from."""
    if backend == "triton" and (rate != 4.0 or rule != "gated delta"):
        pytest.skip("slow in the interpreter")
    exact, eager = (
        gate_gradients(rule, rate, "reference", dtype) for dtype in (torch.float64, torch.float32)
    )
    found = gate_gradients(rule, rate, backend, torch.float32, serves)
    eps = 2**-8 if backend == "fla" else 2**-23
    allowed = SLACK * ((eager - exact).abs() + 8 * eps * exact.abs())
    assert ((found - exact).abs() <= allowed).all(), (found - exact) / exact
