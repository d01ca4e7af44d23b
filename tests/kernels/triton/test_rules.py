"""The kernels of every rule against the recurrence, forward and every gradient."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from rule_inputs import KINDS, check_budget
from triton_cases import ALL, RULES, check_exact, check_same, make, run_triton, within_budget

from sleep_kernels import cpu, reference
from sleep_kernels.fused_options import run_plain

LENGTHS = [1, 3, 16, 24, 32, 33, 75]
BY_LENGTH = [("gated delta", n) for n in LENGTHS]
BY_LENGTH += [(rule, n) for rule in list(RULES)[1:] for n in (1, 24, 33)]
BOTH = pytest.mark.parametrize("rule", ["gated delta", "outer product"])
"""With all that a kernel may do, and with as little."""
float64 = pytest.mark.usefixtures("requires_interpreter")


@float64
@pytest.mark.parametrize(("rule", "tokens"), BY_LENGTH)
def test_float64_kernels_are_the_recurrence(rule, tokens):
    which = LENGTHS.index(tokens)
    check_exact(make(rule, tokens, kind=KINDS[which % 3], state=which % 2 == 0))


@float64
@pytest.mark.parametrize(
    ("rule", "tokens", "keys", "values"),
    [
        ("gated delta", 33, 64, 32),
        ("delta", 3, 128, 48),
        ("delta", 33, 16, 80),
        ("gated outer product", 20, 96, 32),
    ],
)
def test_float64_kernels_at_every_size(rule, tokens, keys, values):
    """Keys and values in one block, in several, and in blocks that they do not fill."""
    check_exact(make(rule, tokens, keys, values, kind="near-collinear"))


@float64
@pytest.mark.parametrize(
    ("rule", "keys", "values"),
    [("gated delta", 96, 80), ("delta", 32, 80), ("gated outer product", 32, 48)],
)
def test_float64_kernels_in_the_blocks_of_tensor_cores(rule, keys, values, tensor_core_blocks):
    check_exact(make(rule, 33, keys, values))


@pytest.mark.parametrize(
    ("rule", "kind", "keys"),
    [
        ("gated delta", "random", 32),
        ("gated delta", "identical", 128),
        ("gated delta", "near-collinear", 64),
        ("delta", "identical", 32),
        ("delta", "near-collinear", 32),
        ("gated outer product", "random", 96),
        ("outer product", "random", 32),
    ],
)
def test_float32_kernels_stay_within_the_error_budget(rule, kind, keys):
    within_budget(make(rule, 35, keys, 32 if keys == 32 else 16, kind=kind))


def test_chained_passes():
    """Errors of a pass do not grow over the passes that follow."""
    case = make(tokens=16, kind="near-collinear")

    def chained(call, run):
        for _ in range(8):
            result = run(call)
            call = replace(call, state=result.state)
        return result

    def plain(rule):
        return lambda call: chained(call, partial(run_plain, rule))

    exact = case.results(plain(reference.scan))
    small = case.to(torch.float32)
    found = small.results(lambda call: chained(call, run_triton))
    eager = small.results(plain(cpu.chunked))
    check_budget(found, exact, eager, slack=2)


@float64
@BOTH
@pytest.mark.parametrize("absent", ["q", "beta", "state"])
@pytest.mark.parametrize("tokens", [1, 20])
def test_optional_inputs(rule, absent, tokens):
    case = make(rule, tokens)
    case.call = replace(case.call, **{absent: None})
    check_exact(case)


@float64
@pytest.mark.parametrize("unused", ["d_output", "d_state"])
def test_an_unused_result_needs_no_gradient(unused):
    check_exact(replace(make(tokens=20), **{unused: None}))


@BOTH
def test_nothing_is_left_unwritten(rule, monkeypatch):
    """With every fresh buffer full of NaN, as `torch.empty` may be."""
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", True)
    torch.use_deterministic_algorithms(True)
    try:
        assert torch.empty(2).isnan().all()
        for tokens, values in ((1, 48), (33, 48), (20, 16)):
            found = make(rule, tokens, 16, values, **ALL).to(torch.float32).results()
            assert all(torch.isfinite(x).all() for x in found.values())
    finally:
        torch.use_deterministic_algorithms(False)


def test_repeats_bit_by_bit():
    case = make(tokens=35, values=48, gates=True, output_norm=True).to(torch.float32)
    check_same(case, case)


def test_strides_do_not_matter():
    case = make(tokens=20, heads=2).to(torch.float32)
    apart = case
    for name in ("q", "k", "v", "log_decay", "beta", "state"):
        x = getattr(case.call, name).transpose(0, -1).contiguous().transpose(0, -1)
        assert not x.is_contiguous()
        apart = replace(apart, call=replace(apart.call, **{name: x}))
    check_same(case, apart)


@BOTH
def test_bfloat16_inputs_keep_a_float32_state(rule):
    case = make(rule, 35, 32, 32).to(torch.bfloat16)
    case.call = replace(case.call, state=case.call.state.float())
    case.d_state = case.d_state.float()
    exact, found = case.oracle(), case.results()
    assert found["output"].dtype == torch.bfloat16 == found["d_k"].dtype
    assert found["after"].dtype == torch.float32 == found["d_state"].dtype
    # the interpreter multiplies in float32, and cuts what leaves the kernel instead of rounding it
    rounding = 2**-7 if not torch.cuda.is_available() else 2**-5
    for name, x in exact.items():
        allowed = rounding * x.abs().max()
        assert (found[name].double() - x).abs().max() <= allowed, name
