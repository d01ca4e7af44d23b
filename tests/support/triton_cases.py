"""The cases that Triton's kernels are tested on; tests/conftest.py sets its interpreter up."""

from dataclasses import dataclass, replace

import torch
from rule_inputs import NAMES, check_budget, of_kind, raw

from sleep_kernels import Call, Gates, Options, OutputNorm, cpu, reference
from sleep_kernels.fused_options import run_plain
from sleep_kernels.triton import run_triton

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
FUSED = dict.fromkeys(("normalise", "gates", "output_norm", "valid"), True)
"""Options of `make` that a kernel works out itself."""
ALL = FUSED | dict.fromkeys(("chunk_states", "change_norm"), True)

RULES = {  # delta, decay, largest b
    "gated delta": (True, True, 1.0),
    "delta": (True, False, 2.0),
    "gated outer product": (False, True, 1.0),
    "outer product": (False, False, 1.0),
}


@dataclass
class Case:
    """A call, the weights of a scalar loss of its result, and how to run it."""

    call: Call
    d_output: torch.Tensor | None
    d_state: torch.Tensor | None

    def map(self, function):
        """Return the same with every tensor replaced by what a function returns for it."""

        def apply(x):
            if isinstance(x, (Gates, OutputNorm)):
                return type(x)(*map(apply, x))
            if isinstance(x, (Case, Call, Options)):
                return type(x)(**{name: apply(field) for name, field in vars(x).items()})
            return function(x) if torch.is_tensor(x) else x

        return apply(self)

    def to(self, dtype):
        """Return the same in another dtype, rounded once."""
        return self.map(lambda x: x.detach().to(dtype) if x.is_floating_point() else x)

    def with_options(self, **options):
        """Return the same call with other options."""
        return replace(self.call, options=replace(self.call.options, **options))

    def leaves(self):
        """Name every floating-point tensor of the call."""
        call = self.call
        named = {name: getattr(call, name) for name in NAMES}
        gates, norm = call.options.gates, call.options.output_norm
        if gates is not None:
            named |= {"log_rate": gates.log_rate, "decay_bias": gates.decay_bias}
        if norm is not None:
            named |= {"weight": norm.weight, "gate": norm.gate}
        return {name: x for name, x in named.items() if x is not None}

    def results(self, run=run_triton):
        """Return output, state and every gradient by name, as `run` finds them."""
        case = self.map(lambda x: x.detach().requires_grad_(x.is_floating_point()))
        leaves, result = case.leaves(), run(case.call)
        loss = 0.0
        if self.d_output is not None and result.output is not None:
            loss = loss + (result.output * self.d_output).sum()
        if self.d_state is not None:
            loss = loss + (result.state * self.d_state).sum()
        gradients = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
        found = {"output": result.output, "after": result.state}
        found |= {"chunk_states": result.chunk_states, "change_norm": result.change_norm}
        found |= {f"d_{name}": x for name, x in zip(leaves, gradients, strict=True)}
        return {name: x.detach() for name, x in found.items() if x is not None}

    def oracle(self):
        """Return what the recurrence finds, token by token, in float64."""
        return self.to(torch.float64).results(lambda call: run_plain(reference.scan, call))


def make(
    rule="gated delta", tokens=33, keys=16, values=16, *, batch=1, heads=1, kind="random",
    state=True, normalise=False, gates=False, output_norm=False, valid=False, seed=0, **options,
):  # fmt: skip
    """Return a `Case` in float64 on the device under test; `kind` says what its keys are like."""
    delta, decay, strongest = RULES[rule]
    x = raw(batch, tokens, heads=heads, keys=keys, values=values, seed=seed)
    k = x["k"] if normalise and kind == "random" else of_kind(x["k"], kind, apart=1e-3)
    log_decay = x["log_decay"] if decay else None
    beta = x["beta"]
    if gates:
        per_head = (x["log_rate"], x["decay_bias"]) if decay else (None, None)
        options["gates"] = Gates(*per_head, strength=strongest)
    else:
        log_decay = -log_decay.abs() if decay else None
        beta = strongest * beta.sigmoid()
    if output_norm:
        options["output_norm"] = OutputNorm(x["weight"], x["gate"], eps=1e-4)
    if valid:
        generator = torch.Generator().manual_seed(seed)
        options["valid"] = torch.rand(batch, tokens, generator=generator) > 0.3
    options = Options(scale=keys**-0.5, normalise=normalise, **options)
    state = x["state"] if state else None
    call = Call(x["q"], k, x["v"], log_decay, beta, state, delta, options)
    other = raw(batch, tokens, heads=heads, keys=keys, values=values, seed=seed + 1)
    case = Case(call, other["v"], other["state"])
    return case.map(lambda x: x.to(DEVICE))


def check_exact(case, tolerance=1e-11):
    """Compare the kernels with the recurrence, within a tolerance of each result's largest entry.

    In float64 nothing but a wrong formula, mask or offset can make a difference.
    """
    found, expected = case.results(), case.oracle()
    assert found.keys() <= expected.keys()
    for name, x in expected.items():
        y = found.get(name, torch.zeros_like(x))  # no gradient, where it is zero
        assert y.shape == x.shape, name
        error = (y.double() - x.double()).abs().max().item()
        allowed = tolerance * max(1.0, x.abs().max().item())
        assert error <= allowed, f"{name}: {error:.1e} > {allowed:.1e}"


def check_same(case, other):
    """Check that two cases find the same bits."""
    found, expected = other.results(), case.results()
    assert found.keys() == expected.keys()
    for name, x in expected.items():
        assert torch.equal(found[name], x), name
    return found


def within_budget(case, dtype=torch.float32):
    """Compare the kernels in `dtype` with the recurrence: three times plain PyTorch's error."""
    case = case.to(dtype)
    eager = case.results(lambda call: run_plain(cpu.chunked, call))
    check_budget(case.results(), case.oracle(), eager, slack=3, eps=None)
