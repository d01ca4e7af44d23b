"""The cases that Triton's kernels are tested on; tests/conftest.py sets its interpreter up."""

import importlib
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from rule_inputs import of_kind, raw

from sleep_kernels import cpu, reference
from sleep_kernels.contract import Call, Gates, Options, OutputNorm
from sleep_kernels.fused_options import run_plain

FLAG = "TRITON_INTERPRET"
if not torch.cuda.is_available():
    # Kernels are defined here, while tests are collected and the flag is set (tests/conftest.py).
    importlib.import_module("sleep_kernels.triton")

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"

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
        named = {n: getattr(call, n) for n in ("q", "k", "v", "log_decay", "beta", "state")}
        gates, norm = call.options.gates, call.options.output_norm
        if gates is not None:
            named |= {"log_rate": gates.log_rate, "decay_bias": gates.decay_bias}
        if norm is not None:
            named |= {"weight": norm.weight, "gate": norm.gate}
        return {name: x for name, x in named.items() if x is not None}

    def results(self, run):
        """Return output, state and every gradient by name, as `run` finds them."""
        leaves = {name: x.detach().requires_grad_() for name, x in self.leaves().items()}
        gates, norm = self.call.options.gates, self.call.options.output_norm
        if gates is not None:
            gates = Gates(leaves.get("log_rate"), leaves.get("decay_bias"), gates.strength)
        if norm is not None:
            norm = OutputNorm(leaves["weight"], leaves["gate"], norm.eps)
        fields = {n: leaves.get(n) for n in ("q", "k", "v", "log_decay", "beta", "state")}
        result = run(replace(self.with_options(gates=gates, output_norm=norm), **fields))
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

    def eager(self):
        """Return what the one-chunk form in plain PyTorch finds, in the case's own dtype."""
        return self.results(lambda call: run_plain(cpu.chunked, call))


def make_case(
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
    call = Call(
        q=x["q"],
        k=k,
        v=x["v"],
        log_decay=log_decay,
        beta=beta,
        state=x["state"] if state else None,
        delta=delta,
        options=Options(scale=keys**-0.5, normalise=normalise, **options),
    )
    other = raw(batch, tokens, heads=heads, keys=keys, values=values, seed=seed + 1)
    case = Case(call, other["v"], other["state"])
    return case.map(lambda x: x.to(DEVICE))


def check_close(found, expected, tolerance):
    """Compare results by name, each within a tolerance of its own largest entry."""
    assert found.keys() == expected.keys()
    for name, x in expected.items():
        assert found[name].shape == x.shape, name
        error = (found[name].double() - x.double()).abs().max().item()
        allowed = tolerance * max(1.0, x.abs().max().item())
        assert error <= allowed, f"{name}: {error:.1e} > {allowed:.1e}"


def check_budget(case, run, slack=3.0):
    """Compare `run` with the recurrence: at most `slack` times plain PyTorch's error and one eps.

    Budget = slack x (error of the eager form in the same dtype + eps x largest entry).
    """
    exact = case.oracle()
    eager, found = case.eager(), case.results(run)
    assert found.keys() == exact.keys()
    for name, x in exact.items():
        eps = torch.finfo(found[name].dtype).eps
        error = (found[name].double() - x).abs().max().item()
        allowed = (eager[name].double() - x).abs().max().item() + eps * x.abs().max().item()
        assert error <= slack * allowed, f"{name}: {error:.1e} > {slack} x {allowed:.1e}"


@pytest.fixture(autouse=True)
def interpreter(monkeypatch):
    """Set the flag during each test here, on a machine without a GPU."""
    if DEVICE == "cpu":
        monkeypatch.setenv(FLAG, "1")


@pytest.fixture(scope="session")
def make():
    """Return the maker of cases."""
    return make_case


@pytest.fixture(scope="session")
def close():
    """Return the comparison of two results by name."""
    return check_close


@pytest.fixture(scope="session")
def within_budget():
    """Return the comparison with the recurrence under a derived error budget."""
    return check_budget


@pytest.fixture(scope="session")
def run_triton():
    """Return the backend under test."""
    from sleep_kernels.triton import run_triton

    return run_triton


@pytest.fixture
def requires_interpreter():
    """Skip a test that needs float64 kernels, which run in the interpreter only."""
    if torch.cuda.is_available():
        pytest.skip("float64 kernels run in Triton's interpreter only")


@pytest.fixture
def tensor_core_blocks(monkeypatch):
    """Run kernels in the block sizes that bfloat16 ships with, whatever the inputs."""
    from sleep_kernels.triton import backward, forward, run

    for module in (backward, forward, run):
        monkeypatch.setattr(module, "kernel_dtype", lambda *_: "bf16")


def pytest_itemcollected(item):
    """Triton's interpreter is slow: `run.py test --fast` leaves this folder out."""
    if Path(item.path).is_relative_to(Path(__file__).parent):
        item.add_marker("slow")
