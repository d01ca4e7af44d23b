"""The cases that Triton's kernels are tested on; tests/conftest.py sets its interpreter up."""

import importlib
from dataclasses import dataclass, replace

import pytest
import torch

from sleep_kernels import cpu, reference
from sleep_kernels.around import run_plain
from sleep_kernels.contract import Call, Gates, OutputNorm

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

    def to(self, dtype):
        """Return the same in another dtype, rounded once."""

        def cast(x):
            return x.detach().to(dtype) if torch.is_tensor(x) and x.is_floating_point() else x

        fields = {name: cast(x) for name, x in vars(self.call).items()}
        for name in ("gates", "output_norm"):
            if fields[name] is not None:
                fields[name] = type(fields[name])(*(cast(x) for x in fields[name]))
        return Case(Call(**fields), cast(self.d_output), cast(self.d_state))

    def leaves(self):
        """Name every floating-point tensor of the call."""
        call = self.call
        named = {n: getattr(call, n) for n in ("q", "k", "v", "log_decay", "beta", "state")}
        if call.gates is not None:
            named |= {"log_rate": call.gates.log_rate, "decay_bias": call.gates.decay_bias}
        if call.output_norm is not None:
            named |= {"weight": call.output_norm.weight, "gate": call.output_norm.gate}
        return {name: x for name, x in named.items() if x is not None}

    def results(self, run):
        """Return output, state and every gradient by name, as `run` finds them."""
        leaves = {name: x.detach().requires_grad_() for name, x in self.leaves().items()}
        call = self.call
        fields = {n: leaves.get(n) for n in ("q", "k", "v", "log_decay", "beta", "state")}
        if call.gates is not None:
            fields["gates"] = call.gates._replace(
                log_rate=leaves.get("log_rate"), decay_bias=leaves.get("decay_bias")
            )
        if call.output_norm is not None:
            fields["output_norm"] = call.output_norm._replace(
                weight=leaves["weight"], gate=leaves["gate"]
            )
        result = run(replace(call, **fields))
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
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    rows = (batch, tokens, heads)
    k = draw(*rows, keys)
    if kind == "identical":
        k = k[:, :1].expand(k.shape).clone()
    if kind == "near-collinear":
        k = k[:, :1] + 1e-3 * k
    if not normalise:
        k = k / k.norm(dim=-1, keepdim=True)
    projected = {"log_decay": draw(*rows) if decay else None, "beta": draw(*rows)}
    log_decay = -draw(*rows).abs() if decay else None
    given = {"log_decay": log_decay, "beta": strongest * draw(*rows).sigmoid()}
    around = {}
    if gates:
        per_head = (draw(heads), draw(heads)) if decay else (None, None)
        around["gates"] = Gates(*per_head, strength=strongest)
    if output_norm:
        around["output_norm"] = OutputNorm(draw(values), draw(*rows, values), eps=1e-4)
    if valid:
        around["valid"] = torch.rand(batch, tokens, generator=generator) > 0.3
    call = Call(
        q=draw(*rows, keys),
        k=k,
        v=draw(*rows, values),
        **(projected if gates else given),
        state=draw(batch, heads, keys, values) if state else None,
        scale=keys**-0.5,
        delta=delta,
        normalise=normalise,
        **around,
        **options,
    )
    case = Case(call, draw(*rows, values), draw(batch, heads, keys, values))
    return _on_device(case)


def _on_device(case):
    def move(x):
        return x.to(DEVICE) if torch.is_tensor(x) else x

    fields = {n: move(x) for n, x in vars(case.call).items()}
    for name in ("gates", "output_norm"):
        if fields[name] is not None:
            fields[name] = type(fields[name])(*(move(x) for x in fields[name]))
    return Case(Call(**fields), move(case.d_output), move(case.d_state))


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
    """Set the flag for the length of each test here, on a machine without a GPU."""
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
