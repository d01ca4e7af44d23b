"""Each option that a kernel fuses, alone and with all others, against its form in PyTorch."""

from dataclasses import replace

import pytest
import torch
from triton_cases import ALL, FUSED, check_exact, make, run_triton, within_budget

from sleep_kernels import Gates

float64 = pytest.mark.usefixtures("requires_interpreter")
"""The other tests run on a GPU as well."""


@float64
@pytest.mark.parametrize("option", FUSED)
def test_one_option(option):
    check_exact(make(tokens=20, **{option: True}))


@float64
@pytest.mark.parametrize(
    ("rule", "batch", "tokens", "values"),
    [
        ("gated delta", 2, 20, 16),
        ("gated delta", 1, 1, 48),
        ("gated delta", 1, 33, 48),
        ("delta", 1, 35, 32),
        ("delta", 2, 1, 16),
        ("gated outer product", 1, 35, 32),
        ("outer product", 2, 1, 48),
        ("outer product", 1, 20, 48),
    ],
)
def test_all_options(rule, batch, tokens, values):
    """At 48 values, two blocks, the output norm follows outside the kernel."""
    heads = 2 * batch - 1  # not as many as rows of the batch: pairs of the two must not mix
    check_exact(make(rule, tokens, 16, values, batch=batch, heads=heads, **ALL))


@float64
@pytest.mark.parametrize("rule", ["gated delta", "outer product"])
def test_all_options_in_the_blocks_of_tensor_cores(rule, tensor_core_blocks):
    """48 values in a block of 64, 16 keys in one of 64: the norm is fused, and must see neither."""
    check_exact(make(rule, 35, 16, 48, **ALL))


@float64
@pytest.mark.parametrize("rule", ["gated delta", "outer product"])
def test_all_options_of_a_state_only(rule):
    case = make(rule, 35, 16, 16, **ALL)
    case.call = replace(case.call, q=None)
    check_exact(case)


@float64
def test_gates_without_decay_still_squash_beta():
    case = make("delta", 20, gates=True)
    assert case.call.options.gates == Gates(None, None, 2.0)
    check_exact(case)


@float64
@pytest.mark.parametrize("extreme", [-60.0, 60.0])
def test_saturated_gates(extreme):
    case = make(tokens=20, gates=True)
    case.call.log_decay[:, 5:10] = extreme
    case.call.beta[:, 8:12] = extreme
    check_exact(case)


def test_gates_keep_float32_digits_of_a_tiny_decay():
    """log(1 + exp(x)) would round a softplus of 1e-9 to zero."""
    case = make(tokens=24, heads=4, gates=True)  # a sum a head: more of them, less luck
    case.call.log_decay[:] = case.call.log_decay - 20
    within_budget(case)


@pytest.mark.parametrize(
    ("tokens", "keys", "values", "dtype"),
    [
        (1, 32, 32, torch.float32),
        (1, 32, 32, torch.bfloat16),
        (24, 32, 32, torch.float32),
        (35, 64, 64, torch.bfloat16),
    ],
)
def test_all_options_as_the_model_uses_them(tokens, keys, values, dtype):
    """The layer's call: unit norms, gates, padding and output norm in one kernel."""
    heads = 4 if tokens <= 24 else 1
    within_budget(make(tokens=tokens, keys=keys, values=values, heads=heads, **ALL), dtype)


def test_padding_at_the_end_changes_nothing():
    """Whatever it contains, however large."""
    case = make(tokens=35, gates=True).to(torch.float32)
    kept = torch.arange(35, device=case.call.k.device) < 20
    padded = case.with_options(valid=kept[None])
    for name in ("log_decay", "beta"):
        getattr(padded, name)[:, 20:] = 1e5
    names = ("q", "k", "v", "log_decay", "beta")
    short = replace(case.call, **{n: getattr(case.call, n)[:, :20] for n in names})
    long, expected = run_triton(padded), run_triton(short)
    assert torch.equal(long.state, expected.state)
    assert torch.equal(long.output[:, :20], expected.output)


def test_chunk_states_and_change_norm_have_no_gradient():
    case = make(tokens=70, chunk_states=True, change_norm=True).to(torch.float32)
    case.call.v.requires_grad_()
    result = run_triton(case.call)
    assert result.chunk_states.shape == (1, 3, 1, 16, 16)
    assert not result.chunk_states.requires_grad and not result.change_norm.requires_grad
    assert torch.equal(result.chunk_states[:, 0], case.call.state)
    plain = run_triton(case.with_options(chunk_states=False, change_norm=False))
    assert plain.chunk_states is None and plain.change_norm is None
    assert torch.equal(plain.output, result.output) and torch.equal(plain.state, result.state)
