"""What `gpu_check` holds the kernels to: the cases, their inputs, and the error budget."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

import sleep_kernels
from sleep_kernels.contract import Gates, OutputNorm

DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}
RULES = ("gated delta", "delta", "gated outer product")
CHAINED = 16
"""Passes over the same window, each from the state that the last one left."""
NORM_EPS = 1e-2
"""Of the output norm: with less, a token of hardly any output magnifies rounding without bound."""
Leaves = dict[str, Tensor]
Rule = Callable[[Leaves], sleep_kernels.RuleResult]


class Case(NamedTuple):
    """One kernel on one kind of input."""

    rule: str
    tokens: int
    keys: int
    values: int
    dtype: str
    kind: str = "random"
    """What the keys are like: random, identical or near-collinear."""
    fused: bool = False
    """Unit norms, gates, padding and output norm together, as the model calls it."""
    passes: int = 1


def cases() -> Iterator[Case]:
    """Yield a covering subset of all checks, in the order of what the model needs first."""
    gated, *others = RULES
    for dtype in DTYPES:  # first of all: the layer of the paper's Rule 110 step
        yield Case(gated, 24, 64, 64, dtype, fused=True)
    for dtype in DTYPES:
        for dim in (64, 32):
            for tokens in (24, 75):
                yield Case(gated, tokens, dim, dim, dtype)
            for rule in others:
                yield Case(rule, 75 if dim == 64 else 24, dim, dim, dtype)
        yield Case(gated, 24, 32, 32, dtype, fused=True)
        for tokens in (1, 33):
            yield Case(gated, tokens, 64, 64, dtype)
        for tokens in (1, 75):
            yield Case(gated, tokens, 64, 64, dtype, fused=True)
        for kind in ("identical", "near-collinear"):
            yield Case(gated, 75, 64, 64, dtype, kind)
        for fused in (False, True):
            yield Case(gated, 24, 64, 64, dtype, fused=fused, passes=CHAINED)
    for keys, values, tokens in (
        (128, 128, 24), (128, 128, 75), (16, 16, 24), (16, 16, 75),
        (96, 96, 75), (64, 128, 75), (128, 256, 75),
    ):  # fmt: skip
        for dtype in DTYPES:
            yield Case(gated, tokens, keys, values, dtype)


def inputs(
    tokens: int,
    keys: int,
    values: int,
    dtype: torch.dtype,
    device: str,
    *,
    batch: int,
    heads: int,
    kind: str = "random",
    fused: bool = False,
) -> Leaves:
    """Return the operator's inputs: q, k, v (and projections, if fused) rounded to `dtype`.

    Gates, weights and state are float32; ``valid`` is bool.
    """
    draw = torch.Generator().manual_seed(tokens * 100_000 + keys * 100 + values)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=draw)

    rows = (batch, tokens, heads)
    q, k = normal(*rows, keys), normal(*rows, keys)
    if kind != "random":
        k = k[:, :1] + (0.0 if kind == "identical" else 1e-3) * k
    if not fused:
        q, k = (torch.nn.functional.normalize(x, dim=-1) for x in (q, k))
    made = {
        "q": q.to(dtype),
        "k": k.to(dtype),
        "v": normal(*rows, values).to(dtype),
        "log_decay": -0.2 * torch.rand(rows, generator=draw),
        "beta": torch.rand(rows, generator=draw),
        "state": normal(batch, heads, keys, values),
    }
    if fused:
        made |= {name: normal(*rows).to(dtype) for name in ("log_decay", "beta")}
        made |= {"rate": normal(heads), "bias": normal(heads) - 2, "weight": normal(values)}
        made |= {"gate": normal(*rows, values).to(dtype)}
        made |= {"valid": torch.rand((batch, tokens), generator=draw) > 0.2}
    return {name: x.to(device) for name, x in made.items()}


def run_rule(rule: str, x: Leaves, backend: str) -> sleep_kernels.RuleResult:
    """Call one of the three rules, with the fused options where the inputs have them."""
    options: dict[str, Any] = {"backend": backend}
    if "rate" in x:
        decays = rule != "delta"
        per_head = (x["rate"], x["bias"]) if decays else (None, None)
        options |= {"normalise": True, "gates": Gates(*per_head), "valid": x["valid"]}
        options |= {"output_norm": OutputNorm(x["weight"], x["gate"], NORM_EPS)}
    if rule == "delta":
        return sleep_kernels.delta_rule(x["q"], x["k"], x["v"], x["beta"], x["state"], **options)
    call = sleep_kernels.gated_delta_rule
    if rule != "gated delta":
        call = sleep_kernels.gated_outer_product
    return call(x["q"], x["k"], x["v"], x["log_decay"], x["beta"], x["state"], **options)


def outcome(
    x: Leaves, run: Rule, dtype: torch.dtype | None = None, passes: int = 1
) -> list[Tensor]:
    """Return output, state and every gradient, in float64; the inputs cast to `dtype` first."""
    leaves = {
        name: (t if dtype is None else t.to(dtype)).detach().requires_grad_()
        for name, t in x.items()
        if t.is_floating_point()
    }
    given = x | leaves
    result = run(given)
    for _ in range(passes - 1):
        result = run(given | {"state": result.state})
    assert result.output is not None
    draw = torch.Generator().manual_seed(7)
    loss = sum(
        (part.double() * torch.randn(part.shape, generator=draw).double().to(part.device)).sum()
        for part in (result.output, result.state)
    )
    gradients = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
    found = (result.output, result.state, *(t for t in gradients if t is not None))
    return [t.detach().double() for t in found]


def error_over_budget(x: Leaves, rule: str, found: list[Tensor], passes: int = 1) -> float:
    """Return the largest error of an `outcome` against float64, in budgets: right is 1 or less.

    Budget per tensor: 2 x (error of the plain chunked form + epsilon of the inputs' dtype x the
    largest entry). The plain form is not a low-precision reference: it computes in float32 from the
    rounded inputs and rounds its output, so in bfloat16 and float16 the second term decides.
    """
    true = outcome(x, partial(run_rule, rule, backend="reference"), torch.float64, passes)
    plain = outcome(x, partial(run_rule, rule, backend="cpu"), passes=passes)
    eps = torch.finfo(x["v"].dtype).eps
    worst = 0.0
    for ours, theirs, exact in zip(found, plain, true, strict=True):
        largest = float(exact.abs().max())
        budget = 2 * (float((theirs - exact).abs().max()) + eps * max(largest, 1e-3))
        error = float((ours - exact).abs().max())
        worst = max(worst, error / budget if math.isfinite(error) else math.inf)
    return worst


def case_inputs(case: Case, device: str) -> Leaves:
    """Return the inputs of a case; more heads where gradients are one number a head."""
    return inputs(
        case.tokens, case.keys, case.values, DTYPES[case.dtype], device,
        batch=2, heads=8 if case.fused else 2, kind=case.kind, fused=case.fused,
    )  # fmt: skip


def check(case: Case, device: str, backend: str = "triton") -> dict[str, Any]:
    """Hold one kernel against float64 (`error_over_budget`), and against itself: bit by bit."""
    entry: dict[str, Any] = {**case._asdict(), "ok": False}
    x = case_inputs(case, device)
    run = partial(run_rule, case.rule, backend=backend)
    try:
        found, again = (outcome(x, run, passes=case.passes) for _ in range(2))
        worst = error_over_budget(x, case.rule, found, case.passes)
    except Exception as error:  # what does not compile or launch is wrong, and the next is checked
        return entry | {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
    same = all(torch.equal(a, b) for a, b in zip(found, again, strict=True))
    return entry | {"error_over_budget": worst, "repeatable": same, "ok": worst <= 1 and same}
