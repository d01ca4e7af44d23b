"""What a fast-weight layer gives its operator, and the output it makes of the reading."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

import sleep_kernels
from workbench.config import ModelConfig
from workbench.mixers import mixers
from workbench.model.fast_weights import FastWeights

FAST = list(mixers())
every_kind = pytest.mark.parametrize("kind", FAST)


def layer(kind, **settings):
    torch.manual_seed(0)
    config = ModelConfig(width=8, gdn_heads=2, key_dim=4, value_dim=3, **settings)
    mixer = FastWeights(config, kind)
    mixer.initialise(torch.Generator().manual_seed(0))
    return mixer.double()


def features(count=6, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, count, 8, generator=generator, dtype=torch.float64)


@every_kind
def test_inputs_of_the_operator(kind):
    w = layer(kind).writes(10 * features(), None, None)
    for unit in (w.q, w.k):
        assert_close(unit.norm(dim=-1), torch.ones(2, 6, 2, dtype=torch.float64), rtol=0, atol=1e-3)
        assert (unit.norm(dim=-1) <= 1).all()
    strongest = 2.0 if kind == "delta_negative" else 1.0
    assert (w.beta > 0).all() and (w.beta <= strongest).all()
    if kind == "linear_attention":
        assert (w.beta == 1).all()
    if kind == "delta_negative":
        assert (w.beta > 1).any(), "the range (0, 2) is not used"
    assert (w.log_decay is not None) == (kind in ("gated_delta", "mamba2", "jet"))
    if w.log_decay is not None:
        assert (w.log_decay < 0).all()
        assert w.log_decay.dtype == torch.float64


def test_the_decay_is_mambas():
    mixer = layer("gated_delta")
    x = features()
    with torch.no_grad():
        mixer.log_rate.fill_(0.7)
    found = mixer.writes(x, None, None).log_decay
    step = torch.log1p(torch.exp(x @ mixer.decay.weight.T + mixer.decay_bias))
    assert_close(found, -torch.exp(torch.tensor(0.7, dtype=torch.float64)) * step)
    initial = F.softplus(mixer.decay_bias.detach())
    assert ((initial > 0.99e-3) & (initial < 0.101)).all()


@pytest.mark.parametrize(("kind", "sees_earlier_tokens"), [("gated_delta", True), ("jet", False)])
def test_which_layers_convolve_queries_and_keys(kind, sees_earlier_tokens):
    x = features().requires_grad_()
    w = layer(kind).writes(x, None, None)
    for part in (w.q, w.k):
        (gradient,) = torch.autograd.grad(part[:, 5].square().sum(-1).sin().sum()
                                          + part[:, 5].sum(), x, retain_graph=True)  # fmt: skip
        assert bool(gradient[:, 2:5].any()) == sees_earlier_tokens
        assert not gradient[:, :2].any(), "more taps than conv_width"
    (gradient,) = torch.autograd.grad(w.v[:, 5].sum(), x)
    assert gradient[:, 2:5].any() and not gradient[:, :2].any()


def test_the_taps_of_a_jet_layer_depend_on_the_token():
    mixer = layer("jet")
    x = features()
    values = x @ mixer.value.weight.T  # (batch, token, gdn_head value)
    taps = mixer.taps_out(F.silu(mixer.taps_in(x))).unflatten(-1, (6, 4))
    found = mixer.writes(x, None, None).v.flatten(-2)
    for t in range(6):
        total = sum(
            taps[:, t, :, w] * values[:, t - 3 + w] for w in range(4) if t - 3 + w >= 0
        )  # (batch, gdn_head value)
        assert_close(found[:, t], F.silu(total))


@every_kind
def test_padding_neither_writes_nor_decays(kind):
    valid = torch.tensor([[False, True, True, False, True, False]] * 2)
    w = layer(kind).writes(features(), None, valid)
    assert not w.beta[~valid].any() and w.beta[valid].all()
    if w.log_decay is not None:
        assert not w.log_decay[~valid].any() and w.log_decay[valid].all()


@every_kind
def test_the_output_is_normed_gated_and_projected(kind):
    mixer = layer(kind)
    x, state = features(), torch.randn(2, 2, 4, 3, dtype=torch.float64)
    w = mixer.writes(x, None, None)
    if kind in ("mamba2", "linear_attention"):
        rule = sleep_kernels.gated_outer_product
    else:
        rule = sleep_kernels.gated_delta_rule
    read, after, *_ = rule(w.q, w.k, w.v, w.log_decay, w.beta, state, backend="reference")
    read = read * torch.rsqrt(read.square().mean(-1, keepdim=True) + 1e-6)
    gated = read.flatten(-2) * F.silu(x @ mixer.gate.weight.T)
    found = mixer(x, state, None, None)
    assert_close(found.output, gated @ mixer.out.weight.T)
    assert_close(found.state, after)
    channels = 6 if kind == "jet" else 22  # v alone; or q, k and v: heads x (4 + 4 + 3)
    assert found.tail.shape == (2, 3, channels)


@every_kind
def test_one_tap_needs_no_tail(kind):
    mixer = layer(kind, conv_width=1)
    found = mixer(features(), torch.zeros(2, 2, 4, 3, dtype=torch.float64), None, None)
    assert found.tail.shape[1] == 0
    assert torch.isfinite(found.output).all()


@pytest.mark.parametrize("kind", ["gated_delta", "jet"])
def test_under_autocast_the_rule_is_given_low_precision(kind, monkeypatch):
    """So that a GPU's kernels run in it; the state stays float32."""
    mixer = layer(kind).float()
    given = []
    plain = sleep_kernels.gated_delta_rule

    def spy(*tensors, **options):
        given.extend(t.dtype for t in tensors[:5])
        return plain(*tensors, **options)

    monkeypatch.setattr(sleep_kernels, "gated_delta_rule", spy)
    state = torch.zeros(2, 2, 4, 3)
    with torch.autocast("cpu", torch.bfloat16):
        found = mixer(features().float(), state, None, None)
    assert given == [torch.bfloat16] * 5
    assert found.state.dtype == torch.float32


@pytest.mark.parametrize("kind", ["gated_delta", "delta", "mamba2"])
def test_from_an_induction_start_a_query_finds_the_token_that_followed(kind):
    """The key of each token is the query of the one before; its value is of that token alone."""
    x = features()
    given = layer(kind, fast_weights_start="induction").writes(x, None, None)
    assert_close(given.k[:, 1:], given.q[:, :-1], rtol=0, atol=1e-12)
    other = layer(kind, fast_weights_start="induction").writes(x.roll(1, dims=1), None, None)
    assert_close(other.v[:, 1:], given.v[:, :-1])
    assert not torch.allclose(other.q[:, 1:2], given.q[:, :1]), "queries see earlier tokens"
    if given.log_decay is not None:
        mixer = layer(kind, fast_weights_start="induction")
        step = F.softplus(x @ mixer.decay.weight.T + math.log(math.expm1(1e-3)))
        assert_close(given.log_decay, -step)


@pytest.mark.parametrize("setting", [{"conv_width": 1}, {"layers": ("attention", "jet")}])
def test_an_induction_start_needs_a_convolution_of_keys(setting):
    with pytest.raises(ValueError, match="needs a short convolution of keys: conv_width of at"):
        ModelConfig(fast_weights_start="induction", **setting)
