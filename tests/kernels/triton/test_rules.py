"""The kernels of every rule against the recurrence, forward and every gradient."""

from dataclasses import replace
from functools import partial

import pytest
import torch

from sleep_kernels import cpu, reference
from sleep_kernels.fused_options import run_plain

RULES = ["gated delta", "delta", "gated outer product", "outer product"]
KINDS = ["random", "identical", "near-collinear"]
LENGTHS = [1, 3, 16, 24, 32, 33, 75]
BY_LENGTH = [("gated delta", n) for n in LENGTHS]
BY_LENGTH += [(rule, n) for rule in RULES[1:] for n in (1, 24, 33)]
BOTH = pytest.mark.parametrize("rule", ["gated delta", "outer product"])
"""With all that a kernel may do, and with as little."""


@pytest.mark.parametrize(("rule", "tokens"), BY_LENGTH)
def test_float64_kernels_are_the_recurrence(
    rule, tokens, make, close, run_triton, requires_interpreter
):
    """In float64 nothing but a wrong formula, mask or offset can make a difference."""
    which = LENGTHS.index(tokens)
    case = make(rule, tokens, kind=KINDS[which % 3], state=which % 2 == 0)
    close(case.results(run_triton), case.oracle(), 1e-11)


@pytest.mark.parametrize(
    ("rule", "tokens", "keys", "values"),
    [
        ("gated delta", 33, 64, 32),
        ("gated delta", 20, 96, 32),
        ("delta", 3, 128, 256),
        ("delta", 33, 16, 80),
        ("gated outer product", 33, 96, 32),
        ("outer product", 33, 32, 80),
    ],
)
def test_float64_kernels_at_every_size(
    rule, tokens, keys, values, make, close, run_triton, requires_interpreter
):
    case = make(rule, tokens, keys, values, kind="near-collinear")
    close(case.results(run_triton), case.oracle(), 1e-11)


@pytest.mark.parametrize(
    ("rule", "keys", "values"),
    [
        ("gated delta", 16, 48),
        ("gated delta", 96, 80),
        ("delta", 32, 80),
        ("gated outer product", 32, 48),
        ("outer product", 96, 64),
    ],
)
def test_float64_kernels_in_the_blocks_of_tensor_cores(
    rule, keys, values, make, close, run_triton, requires_interpreter, tensor_core_blocks
):
    case = make(rule, 33, keys, values)
    close(case.results(run_triton), case.oracle(), 1e-11)


@pytest.mark.parametrize(
    ("rule", "kind", "keys", "values"),
    [
        ("gated delta", "random", 32, 32),
        ("gated delta", "identical", 128, 32),
        ("gated delta", "near-collinear", 64, 32),
        ("delta", "identical", 32, 32),
        ("delta", "near-collinear", 32, 32),
        ("gated outer product", "random", 96, 32),
        ("outer product", "random", 32, 32),
    ],
)
def test_float32_kernels_stay_within_the_error_budget(
    rule, kind, keys, values, make, within_budget, run_triton
):
    within_budget(make(rule, 35, keys, values, kind=kind).to(torch.float32), run_triton)


def test_chained_passes(make, run_triton):
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
    for name, x in exact.items():
        allowed = (eager[name] - x).abs().max() + 2**-23 * x.abs().max()
        assert (found[name] - x).abs().max() <= 2 * allowed, name


@BOTH
@pytest.mark.parametrize("absent", ["q", "beta", "state"])
@pytest.mark.parametrize("tokens", [1, 20])
def test_optional_inputs(rule, absent, tokens, make, close, run_triton, requires_interpreter):
    case = make(rule, tokens)
    case.call = replace(case.call, **{absent: None})
    close(case.results(run_triton), case.oracle(), 1e-11)


@pytest.mark.parametrize("unused", ["d_output", "d_state"])
def test_an_unused_result_needs_no_gradient(unused, make, close, run_triton, requires_interpreter):
    case = make(tokens=20)
    setattr(case, unused, None)
    found, exact = case.results(run_triton), case.oracle()
    exact = {name: x for name, x in exact.items() if name in found}  # q has zeros there, no None
    close(found, exact, 1e-11)


@BOTH
def test_nothing_is_left_unwritten(rule, make, run_triton, monkeypatch):
    """With every fresh buffer full of NaN, as `torch.empty` may be."""
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", True)
    torch.use_deterministic_algorithms(True)
    try:
        assert torch.empty(2).isnan().all()
        for tokens, values in ((1, 48), (33, 48), (20, 16)):
            options = {"normalise": True, "gates": True, "output_norm": True, "valid": True}
            case = make(rule, tokens, 16, values, **options, chunk_states=True, change_norm=True)
            found = case.to(torch.float32).results(run_triton)
            assert all(torch.isfinite(x).all() for x in found.values())
    finally:
        torch.use_deterministic_algorithms(False)


def test_repeats_bit_by_bit(make, run_triton):
    case = make(tokens=35, values=48, gates=True, output_norm=True).to(torch.float32)
    first, second = case.results(run_triton), case.results(run_triton)
    assert all(torch.equal(x, second[name]) for name, x in first.items())


def test_strides_do_not_matter(make, run_triton):
    case = make(tokens=20, heads=2).to(torch.float32)
    apart = make(tokens=20, heads=2).to(torch.float32)
    for name in ("q", "k", "v", "log_decay", "beta", "state"):
        x = getattr(case.call, name)
        apart.call = replace(apart.call, **{name: x.transpose(0, -1).contiguous().transpose(0, -1)})
        assert not getattr(apart.call, name).is_contiguous()
    found, expected = apart.results(run_triton), case.results(run_triton)
    assert all(torch.equal(x, expected[name]) for name, x in found.items())


@BOTH
def test_bfloat16_inputs_keep_a_float32_state(rule, make, run_triton):
    case = make(rule, 35, 32, 32).to(torch.bfloat16)
    case.call = replace(case.call, state=case.call.state.float())
    case.d_state = case.d_state.float()
    exact, found = case.oracle(), case.results(run_triton)
    assert found["output"].dtype == torch.bfloat16 == found["d_k"].dtype
    assert found["after"].dtype == torch.float32 == found["d_state"].dtype
    # the interpreter multiplies in float32, and cuts what leaves the kernel instead of rounding it
    rounding = 2**-7 if not torch.cuda.is_available() else 2**-5
    for name, x in exact.items():
        allowed = rounding * x.abs().max()
        assert (found[name].double() - x).abs().max() <= allowed, name
