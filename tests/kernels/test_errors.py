"""How much float32 loses: never more than twice what plain autograd PyTorch loses in float32.

The budget of each tensor is derived, not chosen: 2 x (error of the same chunked form in eager
float32, differentiated by autograd + float32's epsilon x the largest entry), against the
token-by-token recurrence in float64.
"""

from functools import cache

import pytest
import torch
from rule_inputs import KINDS, NAMES, check_budget, drawn

from sleep_kernels import RuleResult, gated_delta_rule

pytestmark = pytest.mark.slow
PASSES = 64


def inputs(tokens, dim, keys):
    x = drawn(
        1, tokens, heads=2, keys=dim, values=dim, kind=keys, decay=0.2, dtype=torch.float32,
        seed=1000 * tokens + dim,
    )  # fmt: skip
    return x | {"q": torch.nn.functional.normalize(x["q"], dim=-1)}


def eager(q, k, v, log_decay, beta, state):
    """The window as one chunk, written as autograd follows it."""
    q, k, v, b = (t.transpose(1, 2) for t in (q, k, v, beta[..., None]))
    c = log_decay.transpose(1, 2).cumsum(-1)
    ahead = torch.ones(c.shape[-1], c.shape[-1], dtype=torch.bool).triu(1)
    decay = (c[..., :, None] - c[..., None, :]).masked_fill(ahead, -torch.inf).exp()
    e = c.exp()[..., None]
    right = b * (v - e * (k @ state))
    system = b * ((k @ k.mT) * decay)
    written = torch.linalg.solve_triangular(system, right, upper=False, unitriangular=True)
    read = k.shape[-1] ** -0.5 * (e * (q @ state) + ((q @ k.mT) * decay) @ written)
    after = e[..., -1:, :] * state + (decay[..., -1, :, None] * k).mT @ written
    return RuleResult(read.transpose(1, 2), after)


def outcome(x, backend, dtype, passes=1):
    """Return output, state and all gradients after `passes` over the same window, in float64."""
    leaves = {n: t.to(dtype).contiguous().requires_grad_() for n, t in x.items()}
    state, loss = leaves["state"], 0
    for _ in range(passes):
        rest = (leaves[n] for n in NAMES[:-1])
        if backend == "eager":
            result = eager(*rest, state)
        else:
            result = gated_delta_rule(*rest, state, backend=backend)
        state = result.state
        loss = loss + result.output.square().sum()
    loss = loss + state.square().sum()
    gradients = torch.autograd.grad(loss, list(leaves.values()))
    found = (result.output, state, *gradients)
    return dict(zip(("output", "after", *NAMES), (t.detach().double() for t in found), strict=True))


every_backend = pytest.mark.parametrize("backend", ["cpu", "native"])
every_kind = pytest.mark.parametrize("keys", KINDS)


@cache
def expected(tokens, dim, keys, passes):
    """Return what is true, and what plain PyTorch finds in float32."""
    x = inputs(tokens, dim, keys)
    cases = (("reference", torch.float64), ("eager", torch.float32))
    return [outcome(x, *case, passes) for case in cases]


def check(backend, tokens, dim, keys, passes=1):
    found = outcome(inputs(tokens, dim, keys), backend, torch.float32, passes)
    check_budget(found, *expected(tokens, dim, keys, passes), slack=2)


@every_backend
@every_kind
@pytest.mark.parametrize(
    ("tokens", "dim"), [(16, 16), (24, 32), (24, 128), (64, 64), (128, 16), (128, 128)]
)
def test_one_window(backend, tokens, dim, keys):
    check(backend, tokens, dim, keys)


@every_backend
@every_kind
def test_a_long_window(backend, keys):
    check(backend, 512, 32, keys)


@every_backend
@every_kind
def test_chained_passes(backend, keys):
    check(backend, 8, 16, keys, PASSES)


@every_backend
@pytest.mark.parametrize("tokens", [16, 75])
def test_the_same_call_gives_the_same_bits(backend, tokens):
    x = inputs(tokens, 32, "near-collinear")
    one, other = (outcome(x, backend, torch.float32) for _ in range(2))
    assert all(torch.equal(one[name], other[name]) for name in one)
