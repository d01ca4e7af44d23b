"""Every rule of every CPU backend against a recurrence written here, token by token, in float64."""

import os
import re
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
import torch
from rule_inputs import KINDS, drawn
from torch.testing import assert_close

import sleep_kernels
from sleep_kernels import cpu

CI = os.environ.get("CI") == "true"
NATIVE = ["native"] if CI or sleep_kernels.backend_status("cpu")["native"] is None else []
BACKENDS = ["cpu", *NATIVE, "reference"]
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-4}


@dataclass(frozen=True)
class Rule:
    """A rule as it is called: whether it is a delta rule, forgets, and its largest b."""

    delta: bool
    decay: bool
    strongest: float = 1.0

    def __call__(self, x, *, state, backend, read=True, **options):
        q = x["q"] if read else None
        rest = {"state": state, "backend": backend, **options}
        if self.delta and not self.decay:
            return sleep_kernels.delta_rule(q, x["k"], x["v"], x["beta"], **rest)
        rule = sleep_kernels.gated_delta_rule if self.delta else sleep_kernels.gated_outer_product
        log_decay = x["log_decay"] if self.decay else None
        return rule(q, x["k"], x["v"], log_decay, x["beta"], **rest)

    def by_token(self, x, state, scale=None):
        """Return output and state by the formulas of the paper, in plain loops."""
        q, k, v, log_decay, beta = (x[n].double().numpy() for n in x)
        state = state.double().numpy().copy()
        scale = k.shape[-1] ** -0.5 if scale is None else scale
        output = np.empty_like(v)
        for b, t, h in np.ndindex(k.shape[:3]):
            matrix = state[b, h] * (np.exp(log_decay[b, t, h]) if self.decay else 1.0)
            key, written = k[b, t, h], v[b, t, h]
            if self.delta:
                written = written - matrix.T @ key
            state[b, h] = matrix + np.outer(key, beta[b, t, h] * written)
            output[b, t, h] = scale * state[b, h].T @ q[b, t, h]
        return torch.from_numpy(output), torch.from_numpy(state)


RULES = {
    "gated delta": Rule(delta=True, decay=True),
    "delta": Rule(delta=True, decay=False),
    "delta, b < 2": Rule(delta=True, decay=False, strongest=2.0),
    "outer product": Rule(delta=False, decay=False),
    "gated outer product": Rule(delta=False, decay=True),
}
every_rule = pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
every_backend = pytest.mark.parametrize("backend", BACKENDS)


def inputs(tokens, rule, *, keys="random", dtype=torch.float64, batch=2, size=(5, 3)):
    """Return the operator's inputs by name, and a state that is not zero."""
    key, value = size
    x = drawn(
        batch, tokens, heads=2, keys=key, values=value, kind=keys, strongest=rule.strongest,
        dtype=dtype,
    )  # fmt: skip
    state = x.pop("state")
    return x, state


def close(found, expected, dtype):
    tolerance = TOLERANCE[dtype]
    assert found.dtype == dtype
    size = max(1.0, float(expected.abs().max()))  # without a decay, S grows with every pass
    assert_close(found.double(), expected, rtol=tolerance, atol=tolerance * size)


@cache
def expected(rule, tokens, keys):
    """Return inputs, state, and what the loops find from that state and from none."""
    x, state = inputs(tokens, rule, keys=keys)
    return x, [(state, *rule.by_token(x, state)), (None, *rule.by_token(x, 0 * state))]


@every_rule
@every_backend
@pytest.mark.parametrize(
    ("tokens", "keys"),
    [(1, "random"), (24, "identical"), (39, "random"), (75, "identical"), (75, "near-collinear")],
)
def test_equals_the_recurrence(rule, backend, keys, tokens):
    """Windows of one chunk and of three."""
    x, cases = expected(rule, tokens, keys)
    for state, output, after in cases:
        for dtype in TOLERANCE:
            given = {name: tensor.to(dtype) for name, tensor in x.items()}
            before = None if state is None else state.to(dtype)
            result = rule(given, state=before, backend=backend)
            close(result.output, output, dtype)
            close(result.state, after, dtype)
            written = rule(given, state=before, backend=backend, read=False)
            assert written.output is None
            assert torch.equal(written.state, result.state)


@every_rule
def test_sixty_four_passes_over_one_window(rule):
    """S accumulates from pass to pass: no drift; test_errors.py bounds how errors grow."""
    x, state = inputs(12, rule, keys="near-collinear", batch=1)
    cases = [(backend, dtype) for backend in ("cpu", *NATIVE) for dtype in TOLERANCE]
    states = {(backend, dtype): state.to(dtype) for backend, dtype in cases}
    given = {dtype: {n: t.to(dtype) for n, t in x.items()} for dtype in TOLERANCE}
    for _ in range(64):
        output, state = rule.by_token(x, state)
        results = {
            (backend, dtype): rule(given[dtype], state=states[backend, dtype], backend=backend)
            for backend, dtype in cases
        }
        states = {case: result.state for case, result in results.items()}
    for (_, dtype), result in results.items():
        assert torch.isfinite(result.state).all()
        close(result.state, state, dtype)
        close(result.output, output, dtype)


@every_rule
@pytest.mark.parametrize("backend", ["cpu", "native"])
def test_a_window_in_two_calls_is_the_window_in_one(rule, backend):
    x, state = inputs(75, rule, keys="near-collinear")
    whole = rule(x, state=state, backend=backend)
    first = rule({n: t[:, :31] for n, t in x.items()}, state=state, backend=backend)
    second = rule({n: t[:, 31:] for n, t in x.items()}, state=first.state, backend=backend)
    assert_close(torch.cat((first.output, second.output), 1), whole.output, rtol=0, atol=1e-12)
    assert_close(second.state, whole.state, rtol=0, atol=1e-12)


def test_two_tokens_by_hand():
    def rows(*tokens):
        return torch.tensor(tokens, dtype=torch.float64)[None, :, None]

    x = {"q": rows([1.0, 1.0], [0.0, 1.0]), "k": rows([1.0, 0.0], [0.6, 0.8])}
    x |= {"v": rows([2.0, 4.0], [1.0, 0.0]), "log_decay": rows(0.0, np.log(0.5))}
    x["beta"] = rows(0.5, 1.0)
    # after token 1: S = [[1, 2], [0, 0]]; halved, it returns (0.3, 0.6) for the second key, so
    # the delta rule writes (1, 0) - (0.3, 0.6) and the outer product (1, 0)
    expected = {
        "gated delta": ([[0.92, 0.64], [0.56, -0.48]], [[1.0, 2.0], [0.56, -0.48]]),
        "gated outer product": ([[1.1, 1.0], [0.8, 0.0]], [[1.0, 2.0], [0.8, 0.0]]),
    }
    for name, (state, output) in expected.items():
        for backend in BACKENDS:
            result = RULES[name](x, state=None, backend=backend, scale=1.0)
            assert_close(result.state[0, 0], rows(*state)[0, :, 0])
            assert_close(result.output, rows(*output))


@every_rule
@pytest.mark.parametrize(("backend", "chunk"), [("cpu", 32), ("cpu", 2), ("native", 32)])
def test_gradients_of_every_input_and_of_the_state(rule, backend, chunk, monkeypatch):
    monkeypatch.setattr(cpu, "LONGEST_ONE_CHUNK", chunk)
    monkeypatch.setattr(cpu, "CHUNK", chunk)
    x, state = inputs(5, rule, keys="near-collinear", batch=1, size=(3, 2))
    tensors = [tensor.requires_grad_() for tensor in x.values()] + [state.requires_grad_()]

    def run(*values):
        named = dict(zip(x, values, strict=False))
        return tuple(rule(named, state=values[-1], backend=backend)[:2])

    if not rule.decay:
        x["log_decay"].requires_grad_(False)
    # every entry by one backend in chunks; elsewhere one direction that is drawn at random
    assert torch.autograd.gradcheck(run, tensors, fast_mode=chunk == 32)


@every_rule
@pytest.mark.parametrize("keys", KINDS)
def test_gradients_of_a_long_window_are_those_of_the_recurrence(rule, keys):
    """Which autograd differentiates."""
    x, state = inputs(75, rule, keys=keys)
    leaves = [*(x[n].requires_grad_() for n in x if rule.decay or n != "log_decay")]
    leaves.append(state.requires_grad_())
    found = {}
    for backend in BACKENDS:
        result = rule(x, state=state, backend=backend)
        loss = result.output.square().sum() + result.state.sin().sum()
        found[backend] = torch.autograd.grad(loss, leaves)
    for backend in ("cpu", *NATIVE):
        assert_close(found[backend], found["reference"], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["gated delta", "gated outer product"])
@pytest.mark.parametrize("log_decay", [-1e2, -1e4, -1e30, -torch.inf])
@pytest.mark.parametrize("every", [1, 5])
def test_the_recurrence_is_exact_under_strong_decays(name, log_decay, every):
    """On every token, or on one in five; test_decays.py compares the other backends with it."""
    rule = RULES[name]
    x, state = inputs(48, rule, keys="identical")
    x["log_decay"][:, ::every] = log_decay
    result = rule(x, state=state, backend="reference")
    for found, expected in zip(result[:2], rule.by_token(x, state), strict=True):
        assert_close(found, expected, rtol=0, atol=1e-12)


@every_rule
@every_backend
def test_bfloat16_inputs_keep_a_float32_state(rule, backend):
    x, state = inputs(24, rule, dtype=torch.bfloat16)
    state = state.float()
    output, after = rule.by_token(x, state)
    result = rule(x, state=state, backend=backend)
    assert result.output.dtype == torch.bfloat16
    assert_close(result.output.double(), output, rtol=2**-8, atol=1e-3)  # one rounding, at the end
    close(result.state, after, torch.float32)


@every_rule
@every_backend
def test_autocast_does_not_touch_the_operator(rule, backend):
    """Mixed precision rounds the projections; S and the solve stay in float32."""
    x, state = inputs(24, rule, keys="near-collinear", dtype=torch.float32)
    expected = rule(x, state=state, backend=backend)
    with torch.autocast("cpu", torch.bfloat16):
        found = rule(x, state=state, backend=backend)
    assert torch.equal(found.state, expected.state)
    assert torch.equal(found.output, expected.output)


def test_a_call_in_inference_mode_spoils_no_later_gradient():
    cpu._causal.cache_clear()
    for name in ("gated delta", "delta"):
        x, state = inputs(11, RULES[name])
        with torch.inference_mode():
            RULES[name](x, state=state, backend="cpu")
        x["beta"].requires_grad_()
        RULES[name](x, state=state, backend="cpu").state.sum().backward()
        assert torch.isfinite(x["beta"].grad).all()


# --- backends -----------------------------------------------------------------------------------


def test_auto_says_what_it_chose():
    chosen = sleep_kernels.choose_backend("auto", torch.device("cpu"))
    assert sleep_kernels.backend_status()[chosen] is None
    rule = RULES["gated delta"]
    x, state = inputs(3, rule)
    auto, named = (rule(x, state=state, backend=b) for b in ("auto", chosen))
    assert torch.equal(auto.state, named.state)


def test_every_backend_serves_or_says_why_not():
    status = sleep_kernels.backend_status()
    assert ("auto", *status) == tuple(sorted(sleep_kernels.BACKENDS, key=["auto", *status].index))
    rule = RULES["gated delta"]
    x, state = inputs(3, rule, dtype=torch.float32)
    for name, reason in status.items():
        if reason is not None:
            with pytest.raises(RuntimeError, match=f"'{name}' cannot serve: {re.escape(reason)}"):
                rule(x, state=state, backend=name)
    assert [status["cpu"], status["reference"]] == [None, None]


def test_an_unknown_backend_is_refused():
    x, state = inputs(3, RULES["gated delta"])
    with pytest.raises(ValueError, match="backend 'gpu' is unknown; expected one of auto, "):
        RULES["gated delta"](x, state=state, backend="gpu")


# --- validation ---------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["cpu", "native"])
def test_a_second_derivative_is_refused_of_a_linear_loss_too(backend):
    rule = RULES["delta"]
    x, state = inputs(3, rule)
    leaf = x["v"].requires_grad_()
    loss = rule(x, state=state, backend=backend).state.sum()
    (first,) = torch.autograd.grad(loss, leaf, create_graph=True)
    with pytest.raises(RuntimeError, match="a second derivative of an operator"):
        (loss + first.square().sum()).backward()


@pytest.mark.parametrize(
    ("name", "wrong", "found", "expected"),
    [
        ("q", torch.zeros(2, 3, 2, 4), "shape (2, 3, 2, 4)", "gdn_head, key] = (2, 3, 2, 5)"),
        ("k", torch.zeros(2, 3, 5), "shape (2, 3, 5)", "[batch, token >= 1, gdn_head, key]"),
        ("k", torch.zeros(2, 0, 2, 5), "shape (2, 0, 2, 5)", "[batch, token >= 1, "),
        ("k", np.zeros((2, 3, 2, 5)), "type ndarray", "torch.Tensor"),
        ("v", torch.zeros(2, 3, 3), "shape (2, 3, 3)", "[batch, token, gdn_head, value]"),
        ("v", torch.zeros(2, 3, 2, 0), "5 channels and v 0", "at least one each"),
        ("v", torch.zeros(2, 4, 2, 3), "shape (2, 4, 2, 3)", "gdn_head, value] = (2, 3, 2, 3)"),
        ("log_decay", torch.zeros(2, 3), "shape (2, 3)", "token, gdn_head] = (2, 3, 2)"),
        ("beta", torch.zeros(2, 3, 2, 1), "shape (2, 3, 2, 1)", "token, gdn_head] = (2, 3, 2)"),
        ("beta", torch.zeros(2, 3, 2, dtype=torch.int64), "dtype torch.int64", "floating-point"),
        ("beta", 0.5, "type float", "torch.Tensor"),
        ("state", torch.zeros(2, 2, 3, 5), "shape (2, 2, 3, 5)", "key, value] = (2, 2, 5, 3)"),
        ("state", torch.zeros(2, 2, 5, 3, device="meta"), "on meta", "cpu; move it there"),
    ],
)
def test_a_wrong_argument_is_named_with_what_was_expected(name, wrong, found, expected):
    x, state = inputs(3, RULES["gated delta"])
    x = {**x, "state": state, name: wrong}
    error = ValueError if torch.is_tensor(wrong) else TypeError
    with pytest.raises(error) as raised:
        RULES["gated delta"](x, state=x["state"], backend="auto")
    given, wanted = str(raised.value).split("; expected ")
    assert name in given and found in given and expected in wanted
