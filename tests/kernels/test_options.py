"""The options of a rule against formulas written here, on every backend of a CPU."""

import pytest
import torch
import torch.nn.functional as F
from rule_inputs import NAMES, raw
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
with_gradients = pytest.mark.parametrize("backend", ["cpu", "native"])
same = {"rtol": 0, "atol": 0}


def inputs(tokens=7):
    return raw(BATCH, tokens, heads=HEADS, keys=KEYS, values=VALUES)


def worked_out(x):
    """Return the six inputs of a rule with unit keys, log a and b."""
    rest = {"k": over_norm(x["k"]), "log_decay": -x["log_decay"].abs(), "beta": x["beta"].sigmoid()}
    return [(x | rest)[name] for name in NAMES]


def over_norm(x):
    return x / (x.square().sum(-1, keepdim=True) + 1e-6).sqrt()


def fused(x, strength=1.0):
    """Return the options of a rule that works out norms and gates itself."""
    gates = Gates(x["log_rate"], x["decay_bias"], strength)
    return {"normalise": True, "gates": gates}


@every_backend
@pytest.mark.parametrize("strength", [1.0, 2.0])
def test_gates_and_unit_norms_are_applied_first(backend, strength):
    x = inputs()
    found = gated_delta_rule(*(x[n] for n in NAMES), **fused(x, strength), backend=backend)
    step = torch.log1p((x["log_decay"] + x["decay_bias"]).exp())
    plain = gated_delta_rule(
        over_norm(x["q"]), over_norm(x["k"]), x["v"], -x["log_rate"].exp() * step,
        strength * torch.sigmoid(x["beta"]), x["state"], backend=backend,
    )  # fmt: skip
    assert_close(found[:2], plain[:2])


@every_backend
def test_the_output_norm_comes_last(backend):
    x = inputs()
    given, norm = worked_out(x), OutputNorm(x["weight"], x["gate"], 1e-3)
    found = gated_delta_rule(*given, output_norm=norm, backend=backend)
    plain = gated_delta_rule(*given, backend=backend)
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
    given = [x[name] for name in NAMES] if gated else worked_out(x)
    options = {"backend": backend, **(fused(x) if gated else {})}
    for i in range(BATCH):
        kept = valid[i]
        *one, state = (t[i : i + 1] for t in given)
        padded = gated_delta_rule(*one, state, valid=valid[i : i + 1], **options)
        short = gated_delta_rule(*(t[:, kept] for t in one), state, **options)
        assert_close((padded.state, padded.output[:, kept]), (short.state, short.output))


@every_backend
@pytest.mark.parametrize("gated", [False, True])
def test_padding_is_never_read(backend, gated):
    """Neither by results nor by gradients, NaN and infinities included."""
    x = inputs()
    valid = torch.ones(BATCH, 7, dtype=torch.bool)
    valid[:, :2] = False
    given = [x[name] for name in NAMES] if gated else worked_out(x)

    def results():
        leaves = [t.detach().clone().requires_grad_() for t in given]
        heads = {n: x[n].clone().requires_grad_() for n in ("log_rate", "decay_bias")}
        options = fused(heads) if gated else {}
        result = gated_delta_rule(*leaves, valid=valid, backend=backend, **options)
        loss = result.output[:, 2:].square().sum() + result.state.square().sum()
        leaves += heads.values() if gated else ()
        return result.state, result.output[:, 2:], *torch.autograd.grad(loss, leaves)

    expected = results()
    for tensor, junk in zip(given[1:], (torch.nan, torch.inf, torch.nan, -torch.inf), strict=False):
        tensor[:, :2] = junk
    assert_close(results(), expected, **same)


@every_backend
@pytest.mark.parametrize("tokens", [1, CHUNK, 2 * CHUNK + 5])
@pytest.mark.parametrize("rule", [gated_delta_rule, gated_outer_product])
def test_chunk_states_and_change_norm(backend, tokens, rule):
    *given, before = worked_out(inputs(tokens))
    found = rule(*given, before, chunk_states=True, change_norm=True, backend=backend)
    plain = rule(*given, before, backend=backend)
    assert_close(found[:2], plain[:2])
    assert plain.chunk_states is None and plain.change_norm is None
    starts = range(0, tokens, CHUNK)
    assert found.chunk_states.shape == (BATCH, len(starts), HEADS, KEYS, VALUES)
    for i, start in enumerate(starts):
        expected = before
        if start:
            expected = rule(*(t[:, :start] for t in given), before, backend=backend).state
        assert_close(found.chunk_states[:, i], expected)
    assert_close(found.change_norm, (plain.state - before).square().sum((-2, -1)).sqrt())


@every_backend
def test_a_strength_of_zero_writes_nothing(backend):
    x = inputs()
    leaves = [x[n].requires_grad_() for n in NAMES]
    result = gated_delta_rule(*leaves, **fused(x, 0.0), backend=backend)
    d_beta = torch.autograd.grad(result.state.sum(), leaves[4])[0]
    assert torch.equal(d_beta, torch.zeros_like(d_beta))


@every_backend
def test_no_beta_writes_with_full_strength(backend):
    q, k, v, _, beta, state = worked_out(inputs())
    one = gated_outer_product(q, k, v, None, None, state, backend=backend)
    other = gated_outer_product(q, k, v, None, torch.ones_like(beta), state)
    assert_close(one.state, other.state)


@with_gradients
def test_gradients_reach_everything_that_was_given(backend):
    x = {name: tensor.requires_grad_() for name, tensor in inputs(3).items()}

    def run(*values):
        y = dict(zip(x, values, strict=True))
        norm = OutputNorm(y["weight"], y["gate"])
        given = (y[n] for n in NAMES)
        return gated_delta_rule(*given, **fused(y), output_norm=norm, backend=backend)[:2]

    assert torch.autograd.gradcheck(run, tuple(x.values()), fast_mode=True)


def test_prepare_returns_what_is_written():
    x = inputs()
    options = Options(normalise=True, gates=Gates(x["log_rate"], x["decay_bias"]))
    call = Call(*(x[n] for n in NAMES[:-1]), None, True, options)
    bare = sleep_kernels.prepare(call, torch.float64)
    assert_close(bare.k, over_norm(x["k"]))
    assert_close(bare.beta, torch.sigmoid(x["beta"]))
    assert bare.options == Options()
    assert (bare.log_decay < 0).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gates": Gates(torch.zeros(HEADS).double(), None)}, "go with log_decay; expected all"),
        ({"gates": Gates(torch.zeros(2), torch.zeros(HEADS))}, "log_rate has shape (2,); expected"),
        ({"valid": torch.ones(BATCH, 6, dtype=torch.bool)}, "[batch, token] = (2, 7)"),
        ({"valid": torch.ones(BATCH, 7)}, "valid has dtype torch.float32; expected torch.bool"),
        (
            {"output_norm": OutputNorm(torch.ones(3), torch.ones(BATCH, 7, HEADS, VALUES))},
            "output_norm.weight has shape (3,); expected [value] = (5,)",
        ),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ValueError) as found:
        gated_delta_rule(*(inputs()[n] for n in NAMES[:-1]), **options)
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
    x, gate = torch.randn(2, 2, 3, 4, generator=draw, dtype=torch.float64)
    x, gate = x.requires_grad_(), gate.requires_grad_()
    weight = torch.rand(4, generator=draw, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(unit_norm, (x,))
    assert torch.autograd.gradcheck(lambda *t: gated_rms_norm(*t, 1e-3), (x, weight, gate))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_rms_norm_adds_up_low_precision_in_float32(dtype):
    large = torch.full((2, 8), 300.0, dtype=dtype)  # its square overflows float16
    found = rms_norm(large, torch.ones(8, dtype=dtype), 1e-6)
    assert_close(found, torch.ones(2, 8, dtype=dtype))
    assert_close(rms_norm(torch.ones(4), torch.ones(4), 1e-6), torch.ones(4))


@with_gradients
@pytest.mark.parametrize("rule", [gated_delta_rule, gated_outer_product])
def test_a_backward_under_autocast_is_the_same_backward(rule, backend):
    x = {name: tensor.float().requires_grad_() for name, tensor in inputs().items()}
    options = {**fused(x), "output_norm": OutputNorm(x["weight"], x["gate"]), "backend": backend}

    def gradients(enabled):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            result = rule(*(x[n] for n in NAMES), **options)
            loss = result.output.square().sum() + result.state.square().sum()
            return torch.autograd.grad(loss, list(x.values()))

    assert_close(gradients(True), gradients(False), **same)


@every_backend
def test_an_empty_batch_is_an_empty_result(backend):
    x = {name: t[:0] if t.ndim > 1 else t for name, t in inputs().items()}
    result = gated_delta_rule(x["q"], x["k"], x["v"], None, x["beta"], x["state"], backend=backend)
    assert result.output.shape == (0, 7, HEADS, VALUES)
    assert result.state.shape == (0, HEADS, KEYS, VALUES)
