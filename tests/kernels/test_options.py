"""The options of a rule against formulas written here, on every backend of a CPU."""

import pytest
import torch
import torch.nn.functional as F
from rule_inputs import raw
from torch.testing import assert_close

import sleep_kernels
from sleep_kernels import (
    CHUNK,
    Call,
    Gates,
    Options,
    OutputNorm,
    gated_delta_rule,
    gated_outer_product,
)
from sleep_kernels.norms import gated_rms_norm, rms_norm, unit_norm

BATCH, HEADS, KEYS, VALUES = 2, 3, 4, 5
every_backend = pytest.mark.parametrize("backend", ["cpu", "native", "reference"])


def inputs(tokens=7):
    return raw(BATCH, tokens, heads=HEADS, keys=KEYS, values=VALUES)


def over_norm(x):
    return x / (x.square().sum(-1, keepdim=True) + 1e-6).sqrt()


@every_backend
@pytest.mark.parametrize("strength", [1.0, 2.0])
def test_gates_and_unit_norms_are_applied_first(backend, strength):
    x = inputs()
    found = gated_delta_rule(
        x["q"], x["k"], x["v"], x["log_decay"], x["beta"], x["state"],
        normalise=True, gates=Gates(x["log_rate"], x["decay_bias"], strength), backend=backend,
    )  # fmt: skip
    step = torch.log1p((x["log_decay"] + x["decay_bias"]).exp())
    plain = gated_delta_rule(
        over_norm(x["q"]), over_norm(x["k"]), x["v"], -x["log_rate"].exp() * step,
        strength * torch.sigmoid(x["beta"]), x["state"], backend=backend,
    )  # fmt: skip
    assert_close(found.output, plain.output)
    assert_close(found.state, plain.state)


@every_backend
def test_the_output_norm_comes_last(backend):
    x = inputs()
    given = (x["q"], over_norm(x["k"]), x["v"], -x["log_decay"].abs(), x["beta"].sigmoid())
    norm = OutputNorm(x["weight"], x["gate"], 1e-3)
    found = gated_delta_rule(*given, x["state"], output_norm=norm, backend=backend)
    plain = gated_delta_rule(*given, x["state"], backend=backend)
    scale = (plain.output.square().mean(-1, keepdim=True) + 1e-3).rsqrt()
    expected = plain.output * scale * x["weight"] * x["gate"] * torch.sigmoid(x["gate"])
    assert_close(found.output, expected)
    assert torch.equal(found.state, plain.state)


@every_backend
@pytest.mark.parametrize("gated", [False, True])
def test_padding_neither_writes_nor_decays(backend, gated):
    x = inputs()
    valid = torch.ones(BATCH, 7, dtype=torch.bool)
    valid[0, :3] = valid[1, 5:] = False
    gates = Gates(x["log_rate"], x["decay_bias"]) if gated else None
    decay, beta = (x["log_decay"], x["beta"]) if gated else (-x["log_decay"].abs(), x["beta"])
    options = {"normalise": True, "gates": gates, "backend": backend}
    for i in range(BATCH):
        one = slice(i, i + 1)
        padded = gated_delta_rule(
            x["q"][one], x["k"][one], x["v"][one], decay[one], beta[one], x["state"][one],
            valid=valid[one], **options,
        )  # fmt: skip
        kept = valid[i]
        short = gated_delta_rule(
            x["q"][one][:, kept], x["k"][one][:, kept], x["v"][one][:, kept],
            decay[one][:, kept], beta[one][:, kept], x["state"][one], **options,
        )  # fmt: skip
        assert_close(padded.state, short.state)
        assert_close(padded.output[:, kept], short.output)


@every_backend
@pytest.mark.parametrize("tokens", [1, CHUNK, 2 * CHUNK + 5])
@pytest.mark.parametrize("rule", [gated_delta_rule, gated_outer_product])
def test_chunk_states_and_change_norm(backend, tokens, rule):
    x = inputs(tokens)
    given = [x["q"], over_norm(x["k"]), x["v"], -x["log_decay"].abs(), x["beta"].sigmoid()]
    found = rule(*given, x["state"], chunk_states=True, change_norm=True, backend=backend)
    plain = rule(*given, x["state"], backend=backend)
    assert_close(found.state, plain.state)
    assert_close(found.output, plain.output)
    assert plain.chunk_states is None and plain.change_norm is None
    starts = range(0, tokens, CHUNK)
    assert found.chunk_states.shape == (BATCH, len(starts), HEADS, KEYS, VALUES)
    for i, start in enumerate(starts):
        expected = x["state"]
        if start:
            expected = rule(*(t[:, :start] for t in given), x["state"], backend=backend).state
        assert_close(found.chunk_states[:, i], expected)
    moved = (plain.state - x["state"]).square().sum((-2, -1)).sqrt()
    assert_close(found.change_norm, moved)


@every_backend
def test_padding_is_never_read(backend):
    x = inputs()
    valid = torch.ones(BATCH, 7, dtype=torch.bool)
    valid[:, :2] = False
    options = {"valid": valid, "backend": backend}
    given = [x["q"], over_norm(x["k"]), x["v"], -x["log_decay"].abs(), x["beta"].sigmoid()]
    plain = gated_delta_rule(*given, x["state"], **options)
    for tensor, junk in zip(given[1:], (torch.nan, torch.inf, -torch.inf, torch.nan), strict=True):
        tensor[:, :2] = junk
    found = gated_delta_rule(*given, x["state"], **options)
    assert torch.equal(found.state, plain.state)
    assert torch.equal(found.output[:, 2:], plain.output[:, 2:])


@every_backend
def test_padding_reaches_no_gradient(backend):
    x = {name: tensor.clone() for name, tensor in inputs().items()}
    valid = torch.ones(BATCH, 7, dtype=torch.bool)
    valid[:, :2] = False

    def gradients():
        leaves = {name: t.detach().requires_grad_() for name, t in x.items()}
        result = gated_delta_rule(
            *(leaves[n] for n in ("q", "k", "v", "log_decay", "beta", "state")), normalise=True,
            gates=Gates(leaves["log_rate"], leaves["decay_bias"]), valid=valid, backend=backend,
        )  # fmt: skip
        loss = result.output[:, 2:].square().sum() + result.state.square().sum()
        return torch.autograd.grad(
            loss, [t for n, t in leaves.items() if n not in ("weight", "gate")]
        )

    expected = gradients()
    for name, junk in (
        ("k", torch.nan),
        ("v", torch.inf),
        ("log_decay", torch.nan),
        ("beta", -torch.inf),
    ):
        x[name][:, :2] = junk
    for found, plain in zip(gradients(), expected, strict=True):
        assert torch.equal(found, plain)


@every_backend
def test_a_strength_of_zero_writes_nothing(backend):
    x = inputs()
    leaves = [x[n].requires_grad_() for n in ("q", "k", "v", "log_decay", "beta", "state")]
    gates = Gates(x["log_rate"], x["decay_bias"], 0.0)
    result = gated_delta_rule(*leaves, gates=gates, normalise=True, backend=backend)
    d_beta = torch.autograd.grad(result.state.sum(), leaves[4])[0]
    assert torch.equal(d_beta, torch.zeros_like(d_beta))


@every_backend
def test_no_beta_writes_with_full_strength(backend):
    x = inputs()
    given = (x["q"], over_norm(x["k"]), x["v"], None)
    one = gated_outer_product(*given, None, x["state"], backend=backend)
    other = gated_outer_product(*given, torch.ones(BATCH, 7, HEADS).double(), x["state"])
    assert_close(one.state, other.state)


@pytest.mark.parametrize("backend", ["cpu", "native"])
def test_gradients_reach_everything_that_was_given(backend):
    x = {name: tensor.requires_grad_() for name, tensor in inputs(3).items()}

    def run(*values):
        y = dict(zip(x, values, strict=True))
        result = gated_delta_rule(
            y["q"], y["k"], y["v"], y["log_decay"], y["beta"], y["state"], normalise=True,
            gates=Gates(y["log_rate"], y["decay_bias"]), backend=backend,
            output_norm=OutputNorm(y["weight"], y["gate"]),
        )  # fmt: skip
        return result.output, result.state

    assert torch.autograd.gradcheck(run, tuple(x.values()))


def test_prepare_returns_what_is_written():
    x = inputs()
    options = Options(normalise=True, gates=Gates(x["log_rate"], x["decay_bias"]))
    call = Call(x["q"], x["k"], x["v"], x["log_decay"], x["beta"], None, True, options)
    bare = sleep_kernels.prepare(call, torch.float64)
    assert_close(bare.k, over_norm(x["k"]))
    assert_close(bare.beta, torch.sigmoid(x["beta"]))
    assert bare.options == Options()
    assert (bare.log_decay < 0).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gates": Gates(torch.zeros(HEADS).double(), None)}, "go with log_decay; expected all"),
        (
            {"gates": Gates(torch.zeros(2), torch.zeros(HEADS))},
            "gates.log_rate has shape (2,); expected [gdn_head] = (3,)",
        ),
        (
            {"valid": torch.ones(BATCH, 6, dtype=torch.bool)},
            "valid has shape (2, 6); expected [batch, token] = (2, 7)",
        ),
        ({"valid": torch.ones(BATCH, 7)}, "valid has dtype torch.float32; expected torch.bool"),
        (
            {"output_norm": OutputNorm(torch.ones(3), torch.ones(BATCH, 7, HEADS, VALUES))},
            "output_norm.weight has shape (3,); expected [value] = (5,)",
        ),
    ],
)
def test_wrong_options_are_named(options, message):
    x = inputs()
    with pytest.raises(ValueError) as found:
        gated_delta_rule(x["q"], x["k"], x["v"], x["log_decay"], x["beta"], **options)
    assert message in str(found.value)


def test_norms_by_hand():
    x = torch.tensor([[3.0, 4.0]], dtype=torch.float64)
    assert_close(unit_norm(x), torch.tensor([[0.6, 0.8]], dtype=torch.float64), rtol=0, atol=1e-6)
    weight = torch.tensor([2.0, 1.0], dtype=torch.float64)
    assert_close(rms_norm(x, weight, 0.0), x * weight / 12.5**0.5)
    assert_close(rms_norm(x, weight, 1e-3), F.rms_norm(x, (2,), weight, 1e-3))
    assert_close(gated_rms_norm(x, weight, x, 0.0), x * weight / 12.5**0.5 * F.silu(x))
    assert torch.isfinite(unit_norm(torch.zeros(1, 2))).all()


def test_gradients_of_the_norms():
    draw = torch.Generator().manual_seed(0)
    x, gate = (torch.randn(2, 3, 4, generator=draw, dtype=torch.float64).requires_grad_()
               for _ in range(2))  # fmt: skip
    weight = torch.rand(4, generator=draw, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(unit_norm, (x,))
    assert torch.autograd.gradcheck(lambda *t: gated_rms_norm(*t, 1e-3), (x, weight, gate))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_rms_norm_adds_up_low_precision_in_float32(dtype):
    large = torch.full((2, 8), 300.0, dtype=dtype)  # its square is no float16
    found = rms_norm(large, torch.ones(8, dtype=dtype), 1e-6)
    assert_close(found, torch.ones(2, 8, dtype=dtype))
    assert_close(rms_norm(torch.ones(4), torch.ones(4), 1e-6), torch.ones(4))


@pytest.mark.parametrize("backend", ["cpu", "native"])
@pytest.mark.parametrize("rule", [gated_delta_rule, gated_outer_product])
def test_a_backward_under_autocast_is_the_same_backward(rule, backend):
    x = {name: tensor.float().requires_grad_() for name, tensor in inputs().items()}

    def gradients(enabled):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            result = rule(
                x["q"], x["k"], x["v"], x["log_decay"], x["beta"], x["state"], normalise=True,
                gates=Gates(x["log_rate"], x["decay_bias"]),
                output_norm=OutputNorm(x["weight"], x["gate"]), backend=backend,
            )  # fmt: skip
            loss = result.output.square().sum() + result.state.square().sum()
            return torch.autograd.grad(loss, list(x.values()))

    for inside, outside in zip(gradients(True), gradients(False), strict=True):
        assert torch.equal(inside, outside)


@every_backend
def test_an_empty_batch_is_an_empty_result(backend):
    x = {name: t[:0] if t.ndim > 1 else t for name, t in inputs().items()}
    result = gated_delta_rule(x["q"], x["k"], x["v"], None, x["beta"], x["state"], backend=backend)
    assert result.output.shape == (0, 7, HEADS, VALUES)
    assert result.state.shape == (0, HEADS, KEYS, VALUES)
