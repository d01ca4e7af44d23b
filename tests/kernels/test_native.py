"""The native backend beyond what it shares with the others: layouts, sizes, threads, compilers."""

from pathlib import Path

import pytest
import torch
from rule_inputs import NAMES, raw
from torch.testing import assert_close

from sleep_kernels import (
    Gates,
    OutputNorm,
    dynamic_convolution,
    gated_delta_rule,
    rms_norm,
    rotate,
    short_convolution,
    silu_gate,
)
from sleep_kernels.native import library
from sleep_kernels.native import rule as native
from sleep_kernels.operators import Settings

pytestmark = pytest.mark.usefixtures("requires_native")
same = {"rtol": 0, "atol": 0}


def inputs(batch=2, tokens=7, **sizes):
    return raw(batch, tokens, **sizes)


def run(x, backend="native", valid=None, **options):
    """Return output, state and the gradients of everything, in a call that asks for everything."""
    leaves = {name: tensor.detach().requires_grad_() for name, tensor in x.items()}
    result = call(leaves, backend, valid, **options)
    loss = result.output.square().sum() + result.state.sin().sum()
    gradients = torch.autograd.grad(loss, list(leaves.values()))
    return [*(t.detach() for t in result[:2]), *gradients]


def call(x, backend="native", valid=None, **options):
    gates, norm = (
        Gates(x["log_rate"], x["decay_bias"], 2.0),
        OutputNorm(x["weight"], x["gate"], 1e-5),
    )
    options |= {"normalise": True, "gates": gates, "output_norm": norm, "valid": valid}
    return gated_delta_rule(*(x[name] for name in NAMES), **options, backend=backend)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(
    ("tokens", "keys", "values"),
    [(1, 1, 1), (16, 16, 16), (17, 16, 48), (5, 32, 64), (9, 64, 80), (3, 48, 130), (40, 128, 33)],
)
def test_every_size_with_every_option(tokens, keys, values, dtype):
    """Blocks of one, two and four vectors, rows and columns that fill none, and one of each."""
    x = inputs(tokens=tokens, keys=keys, values=values, dtype=dtype)
    valid = torch.ones(2, tokens, dtype=torch.bool)
    valid[0, : tokens // 3] = False
    exact = run({n: t.double() for n, t in x.items()}, "reference", valid)
    tolerance = {torch.float64: 1e-11, torch.float32: 2e-5}[dtype]
    for ours, true in zip(run(x, valid=valid), exact, strict=True):
        size = max(1.0, float(true.abs().max()))
        assert_close(ours.double(), true, rtol=tolerance, atol=tolerance * size)


def test_a_window_of_many_segments():
    """S is kept after every token of one segment at a time: at this size, of some 12 tokens."""
    x = inputs(batch=1, tokens=75, heads=1, keys=64, values=128)
    assert_close(run(x), run(x, "reference"), rtol=1e-9, atol=1e-9)


def test_slices_of_wider_tensors_are_read_where_they_lie(monkeypatch):
    x = inputs(keys=4, values=4)
    joint = torch.cat([x[name].flatten(2) for name in ("q", "k", "v", "gate")], dim=-1)
    cut = [part.unflatten(-1, (3, 4)) for part in joint.split(12, dim=-1)]
    sliced = x | dict(zip(("q", "k", "v", "gate"), cut, strict=True))
    seen = []
    run_rule = native._run
    monkeypatch.setattr(native, "_run", lambda way, given, *a, **k: (
        seen.append(given), run_rule(way, given, *a, **k)))  # fmt: skip
    assert_close(run(sliced), run(x), **same)
    for given in seen[:2]:
        for name in ("q", "k", "v", "gate"):
            assert getattr(given, name).data_ptr() == sliced[name].data_ptr()


def test_any_layout_gives_the_same():
    """Heads apart, numbers apart, one row for the whole batch."""
    x = inputs()
    x["q"] = x["q"][:1].expand(2, -1, -1, -1)
    other = x | {
        "k": x["k"].transpose(1, 2).contiguous().transpose(1, 2),
        "v": torch.stack((x["v"], x["v"]), dim=-1)[..., 0],
        "state": x["state"].mT.contiguous().mT,
    }
    assert_close(run(other), run(x | {"q": x["q"].contiguous()}), **same)


def test_the_same_bits_on_any_number_of_threads(monkeypatch):
    x = inputs(batch=5, tokens=20, keys=16, values=16, dtype=torch.float32)
    taps = torch.randn(16, 4)
    found = []
    for threads in (1, 3, 64):
        monkeypatch.setattr(library, "threads_for", lambda work, threads=threads: threads)
        leaf = taps.clone().requires_grad_()
        y = short_convolution(x["q"][:, :, 0], leaf, activate=True, backend="native").output
        found.append([*run(x), y, *torch.autograd.grad(y.square().sum(), leaf)])
    assert_close(found[1:], found[:1] * 2, **same)


def test_threads_are_started_if_there_is_enough_work(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    work = library.WORK_OF_A_THREAD
    assert [library.threads_for(work * n // 2) for n in (0, 1, 2, 5, 100)] == [1, 1, 1, 2, 4]


def test_every_buffer_is_filled(monkeypatch):
    """Every number of every result is written, whatever the buffers held before."""
    x = inputs(keys=16, values=20)
    expected = [*run(x, chunk_states=True), *all_layers(x)]
    for place, name in ((torch.Tensor, "new_empty"), (torch, "empty_like")):
        poison(monkeypatch, place, name)
    assert_close([*run(x, chunk_states=True), *all_layers(x)], expected, **same)


def poison(monkeypatch, place, name):
    empty = getattr(place, name)

    def poisoned(*arguments, **options):
        made = empty(*arguments, **options)
        return made.fill_(torch.nan) if made.is_floating_point() else made

    monkeypatch.setattr(place, name, poisoned)


def all_layers(x):
    """Return convolutions, norm, gate and RoPE of q with their gradients."""
    given = {"backend": "native"}
    q = x["q"].flatten(2).detach().requires_grad_()  # (batch, token, channel)
    batch, tokens, channels = q.shape
    taps = torch.linspace(-1, 1, 4 * channels, dtype=q.dtype).view(channels, 4).requires_grad_()
    each = taps.detach().expand(batch, tokens, -1, -1).clone().requires_grad_()
    tail = q[:, :3].detach().requires_grad_()
    scale = taps[:, 0].detach().requires_grad_()
    turned = q.unflatten(-1, (3, -1)).transpose(1, 2)
    angles = turned[0, 0].detach()
    pairs = (
        (short_convolution(q, taps, tail, activate=True, **given).output, (q, taps, tail)),
        (dynamic_convolution(q, each, tail, activate=True, **given).output, (q, each, tail)),
        (rms_norm(q, scale, 1e-6, **given), (q, scale)),
        (silu_gate(q, **given), (q,)),
        (rotate(turned, angles.cos(), angles.sin(), **given), (q,)),
    )
    found = []
    for y, leaves in pairs:
        found += [y.detach(), *torch.autograd.grad(y.square().sum(), leaves)]
    return found


def test_the_custom_operator_passes_torchs_checks():
    x = inputs(tokens=3, keys=3, values=2)
    arguments = (
        *(tensor.requires_grad_() for tensor in x.values()), None,
        *Settings(0.5, 1.0, 1e-6, True, True, True, False, chunk_states=True, change_norm=True),
    )  # fmt: skip
    torch.library.opcheck(native._compiled, arguments)


def test_compiled_it_is_one_operator_and_gives_the_same():
    x = inputs(dtype=torch.float32)
    graphs = []

    def count(graph, inputs):
        graphs.append([n.target for n in graph.graph.nodes if "native_rule" in str(n.target)])
        return graph.forward

    compiled = torch.compile(lambda given: call(given).output, backend=count, fullgraph=True)
    assert_close(compiled(x), call(x).output)
    assert [len(found) for found in graphs] == [1]


def test_a_call_keeps_only_its_inputs():
    x = {name: tensor.requires_grad_() for name, tensor in inputs().items()}
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        call(x)
    assert {t.data_ptr() for t in kept} == {t.data_ptr() for t in x.values()}


@pytest.mark.parametrize(
    ("outcome", "error", "message"),
    [(1, MemoryError, "found no memory; make some free"), (2, RuntimeError, "failed; use backend")],
)
def test_a_failure_in_the_library_is_an_error(monkeypatch, outcome, error, message):
    class Failing:
        def __getattr__(self, name):
            return lambda arguments: outcome

    monkeypatch.setattr(library, "library", Failing)
    with pytest.raises(error, match=f"rule_forward of the native backend {message}"):
        call(inputs())


def test_large_scratch_is_given_back():
    """This call needs 36 MB, which the thread does not keep."""

    def resident():
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmRSS")).split()[1])

    if not Path("/proc/self/status").exists():
        pytest.skip("this system does not report a process's size")
    x = inputs(batch=1, tokens=4096, heads=1, keys=128, values=128, dtype=torch.float32)
    short = {n: t[:, :8] if t.ndim > 1 and t.shape[1] == 4096 else t for n, t in x.items()}
    run(short)
    before = resident()
    run(x)
    assert resident() - before < 30_000


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_other_backends_never_touch_the_library(monkeypatch, tiny_model, backend):
    monkeypatch.setattr(library, "call", lambda *given: pytest.fail(f"{given[0]} was called"))
    run(inputs(), backend)
    batch = torch.arange(8).view(2, 4) % 5
    for kind in ("gated_delta", "jet"):
        model = tiny_model("attention", kind, kernel_backend=backend)
        hidden, _ = model.blocks(model.embed(batch), model.empty_memory(2))
        model.logits(hidden).sum().backward()


def test_a_negative_bit_is_seen_by_the_rule():
    x = inputs()
    flipped = x | {name: torch._neg_view(-x[name]) for name in ("q", "v", "beta", "state")}
    assert_close(run(flipped), run(x), **same)


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_tracers_and_fake_tensors_see_an_operator():
    from torch._subclasses import FakeTensorMode
    from torch.fx.experimental.proxy_tensor import make_fx

    x = inputs(dtype=torch.float32)
    other = x | {"v": x["v"] + 1}
    rest = {name: t for name, t in x.items() if name != "v"}

    def output(v):
        return call(rest | {"v": v}).output

    with pytest.warns(DeprecationWarning, match="deprecated"):
        traced = torch.jit.trace(output, x["v"])
    for recorded in (make_fx(output)(x["v"]), traced):
        assert_close(recorded(other["v"]), call(other).output)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        assert output(mode.from_tensor(x["v"])).shape == x["v"].shape
