"""The benchmarks' own gates: what they compare is right, and a wrong result is never timed."""

import importlib.util
import json
import math
import sys
import time
import types
from pathlib import Path

import pytest
import torch

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def script(monkeypatch):
    """Return a loader of benchmarks as modules."""
    monkeypatch.syspath_prepend(str(FOLDER))

    def load(name):
        spec = importlib.util.spec_from_file_location(f"benchmark_{name}", FOLDER / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    yield load
    for name in ("_measure", "_plain_model", "_gpu_cases"):
        sys.modules.pop(name, None)


def test_our_rule_passes_the_gate_and_a_wrong_one_does_not(script, monkeypatch, capsys, tmp_path):
    kernels = script("kernels")

    def wrong(*inputs):
        output, state = kernels.ours("cpu")(*inputs)
        return 1.01 * output, state

    errors = kernels.gate({"ours": kernels.ours("cpu"), "wrong": wrong}, 5, 16)
    assert errors["ours"] < 1e-4 and errors["wrong"] > kernels.TOLERANCE
    monkeypatch.setattr(
        kernels, "contenders", lambda: {kernels.OURS: kernels.ours("cpu"), "bad": wrong}
    )
    monkeypatch.setattr(sys, "argv", ["kernels", "--tokens", "5", "--dims", "16",
                                      "--json", str(tmp_path / "x.json")])  # fmt: skip
    assert kernels.main() == 1
    assert "nothing is timed" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_the_plain_model_is_the_same_model(script):
    step = script("training_step")
    setting = step.Setting(compiled=False)
    batch = setting.batch(0)
    losses = {side: setting.loss(side, batch) for side in (step.OURS, step.PLAIN)}
    torch.testing.assert_close(losses[step.OURS], losses[step.PLAIN], rtol=0, atol=1e-5)
    for loss in losses.values():
        loss.backward()
    plain = dict(setting.plain[step.PLAIN].named_parameters())
    for name, ours in setting.model.named_parameters():
        theirs = plain[name.replace("mixer.conv", "mixer.conv.weight")].grad
        torch.testing.assert_close(ours.grad, theirs.view_as(ours), rtol=1e-3, atol=1e-5)


def test_ratios_compare_round_by_round(script):
    measure = script("_measure")
    assert measure.ratio([2.0, 6.0, 4.0], [1.0, 2.0, 2.0]) == {
        "median": 2.0, "low": 2.0, "high": 2.5,
    }  # fmt: skip
    assert measure.summary([0.001, 0.002, 0.003])["median_ms"] == pytest.approx(2.0)


GATED = ("gated delta", 5, 16, 16)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize(
    ("kind", "passes"), [("random", 1), ("identical", 1), ("near-collinear", 1), ("random", 3)]
)
def test_the_gpu_check_sees_right_and_wrong_kernels(
    dtype, fused, kind, passes, script, monkeypatch
):
    gpu = script("_gpu_cases")
    case = gpu.Case(*GATED, dtype, kind, fused, passes)
    assert gpu.check(case, "cpu", backend="cpu")["ok"]
    plain = gpu.run_rule

    def wrong(rule, x, backend):
        result = plain(rule, x, "reference" if backend == "reference" else "cpu")
        return result._replace(state=1.05 * result.state) if backend == "bad" else result

    monkeypatch.setattr(gpu, "run_rule", wrong)
    entry = gpu.check(case, "cpu", backend="bad")
    assert not entry["ok"] and entry["error_over_budget"] > 1


def test_a_kernel_that_does_not_run_is_wrong_and_named(script, monkeypatch):
    gpu = script("_gpu_cases")
    monkeypatch.setattr(gpu, "run_rule", lambda *_, **__: 1 / 0)
    entry = gpu.check(gpu.Case(*GATED, "float32"), "cpu")
    assert not entry["ok"] and entry["error"] == "ZeroDivisionError: division by zero"


def test_the_gpu_checks_cover_what_ships(script):
    from sleep_kernels.backends import Triton

    cases = list(script("_gpu_cases").cases())
    assert len(cases) == len(set(cases)) < 90
    for dtype in ("bfloat16", "float16", "float32"):
        own = [c for c in cases if c.dtype == dtype]
        assert {c.keys for c in own} == set(Triton.KEYS)
        assert {(64, 128), (128, 256)} <= {(c.keys, c.values) for c in own}
        assert {(c.rule, c.keys) for c in own if c.rule != "gated delta"} == {
            (rule, dim) for rule in ("delta", "gated outer product") for dim in (32, 64)
        }
        assert {c.tokens for c in own if c.keys == 64} == {1, 24, 33, 75}
        assert {c.kind for c in own} == {"random", "identical", "near-collinear"}
        assert {c.fused for c in own if c.passes == 16} == {False, True}
    first = cases[0]
    assert (first.tokens, first.keys, first.dtype, first.fused) == (24, 64, "bfloat16", True)
    sizes = [c.keys in (32, 64) and c.values == c.keys for c in cases]
    assert sizes == sorted(sizes, reverse=True)


def steps(losses):
    """Return the record of a step with the given losses, as `paper_step` makes it."""
    return {"losses": losses, "median_ms": 1.0, "tokens_per_second": 1e6, "peak_bytes": 1e9}


@pytest.mark.parametrize(
    ("graph", "problem"),
    [
        ([2.0, 1.9, 1.8, 1.7, 1.6, 9.0], None),  # later losses may drift apart
        ([2.01, 1.91, 1.79, 1.71, 1.59], None),
        ([2.0, 1.9, 1.9, 1.7, 1.6], "step 2: loss 1.90000 from a CUDA graph, 1.80000 without"),
        ([2.0, 1.9, 1.8, 1.7, 1.6, math.nan], "CUDA graph: the loss of step 5 is nan"),
        ([2.0], "CUDA graph: 1 losses; expected 5 or more"),
    ],
)
def test_a_graphs_losses_are_those_of_the_plain_step(graph, problem, script):
    gpu = script("gpu_check")
    found = gpu.step_problem(steps([2.0, 1.9, 1.8, 1.7, 1.6]), steps(graph))
    assert found is None if problem is None else found.startswith(problem)


@pytest.fixture
def gpu(script):
    """Return `gpu_check` with a record in which the kernels of the timed sizes are right."""
    module = script("gpu_check")
    common = {"dtype": "bfloat16", "ok": True}
    module.record = {name: [] for name in ("wrong", "skipped", "steps", "kernels")}
    module.record["checks"] = [
        {"keys": 64, "tokens": 24, "fused": True, "passes": 1, **common},
        {"keys": 64, "values": 64, "fused": False, **common},
    ]
    return module


def test_steps_are_timed_in_pairs_and_wrong_ones_not_at_all(gpu, monkeypatch, capsys):
    def fake(passes, graphs):
        loss = 3.0 if graphs and passes == 2 else 2.0
        return steps([loss] * 25) | {"passes": passes, "graphs": graphs}

    monkeypatch.setattr(gpu, "paper_step", fake)
    gpu.time_steps(gpu.record, time.monotonic() + 1000)
    timed = [(e["passes"], e["graphs"]) for e in gpu.record["steps"] if "median_ms" in e]
    assert timed == [(n, graphs) for n in (4, 1, 3) for graphs in (False, True)]
    assert gpu.record["wrong"] == ["step N = 2"] and gpu.exit_code(gpu.record) == 1
    assert "WRONG N = 2: step 0: loss 3.00000 from a CUDA graph" in capsys.readouterr().out


def test_what_time_does_not_allow_is_named_and_nothing_timed_is_exit_code_three(gpu, monkeypatch):
    monkeypatch.setattr(gpu, "paper_step", None)
    gpu.time_steps(gpu.record, time.monotonic())
    gpu.time_kernels(gpu.record, True, time.monotonic())
    gpu.run_checks(gpu.record, [gpu.Case(*GATED, "float32")], "cpu", time.monotonic() - 1)
    assert len(gpu.record["skipped"]) == 4 + len(gpu.TIMED_DIMS) * len(gpu.TIMED_TOKENS) + 1
    assert gpu.exit_code(gpu.record) == 3


def test_sizes_whose_kernels_were_not_checked_are_not_timed(gpu, monkeypatch):
    monkeypatch.setattr(gpu, "against_fla", lambda tokens, dim, _: {
        "tokens": tokens, "dim": dim, "wrong": False, "eager": {}, "graph": {},
    })  # fmt: skip
    gpu.time_kernels(gpu.record, False, time.monotonic() + 1000)
    assert {row["dim"] for row in gpu.record["kernels"]} == {64}
    assert gpu.exit_code(gpu.record) == 0


def test_a_wrong_peer_and_one_that_fails_are_not_timed(gpu):
    x = gpu.inputs(5, 16, 16, torch.bfloat16, "cpu", batch=1, heads=2)

    def ours(x):
        return gpu.run_rule("gated delta", x, "cpu")

    def wrong(x):
        return ours(x)._replace(output=-ours(x).output)

    row = {}
    found = gpu.passed_gate(row, {"ours": ours, "wrong": wrong, "bad": lambda x: 1 / 0}, x)
    assert list(found) == ["ours"]
    assert row["ours error_over_budget"] <= 1 < row["wrong error_over_budget"]
    assert row["bad failed"] == "ZeroDivisionError: division by zero"
    assert [gpu.turns(["a", "b"], n)[0] for n in range(4)] == ["a", "b", "a", "b"]


def test_fla_is_called_on_the_leaves_as_they_are(gpu, monkeypatch):
    """No casts of ours are timed with it: its own dtypes go in, one tensor for both contenders."""
    x = gpu.timed_inputs(5, 16, batch=1, device="cpu")
    seen = {}

    def chunk_gated_delta_rule(q, k, v, *, g, beta, scale, initial_state, output_final_state):
        seen.update(q=q, k=k, v=v, log_decay=g, beta=beta, state=initial_state)
        assert output_final_state
        given = (q, k, v, g, beta, initial_state)
        return gpu.sleep_kernels.gated_delta_rule(*given, scale=scale, backend="cpu")[:2]

    peer = types.ModuleType("fla.ops.gated_delta_rule")
    peer.chunk_gated_delta_rule = chunk_gated_delta_rule
    for name in ("fla", "fla.ops"):
        package = types.ModuleType(name)
        package.__spec__ = importlib.util.spec_from_loader(name, None)
        monkeypatch.setitem(sys.modules, name, package)
    monkeypatch.setitem(sys.modules, peer.__name__, peer)
    gpu.run_fla(x)
    assert all(seen[name] is x[name] for name in x)
    floats = {name for name in x if x[name].dtype == torch.float32}
    assert floats == {"log_decay", "state"} and x["beta"].dtype == torch.bfloat16
    assert list(gpu.passed_gate({}, {"fla": gpu.run_fla}, x)) == ["fla"]


def test_compiling_beforehand_ends_in_time(gpu, monkeypatch, tmp_path):
    """Processes that would go on are ended, and that is recorded."""
    slow = tmp_path / "python"
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(slow))
    began = time.monotonic()
    found = gpu.warm(began + 0.2, 2)
    assert time.monotonic() - began < 20
    assert (found["processes"], found["failed"], found["ended"]) == (2, 0, 2)


def test_a_part_that_does_not_end_is_cut_off(gpu, monkeypatch, tmp_path):
    ended = []
    monkeypatch.setattr(gpu.os, "_exit", ended.append)
    path = tmp_path / "found.json"
    gpu.end_at(time.monotonic(), path, gpu.record | {"incomplete": True}).join(20)
    assert ended == [3]
    record = json.loads(path.read_text())
    assert record["incomplete"] and record["skipped"] == ["what was running when the time was up"]


@pytest.mark.parametrize("minutes", [0.1, 1.0])
def test_a_whole_run_says_what_it_left_out(minutes, gpu, monkeypatch, tmp_path, capsys):
    """Without time nothing is checked or timed; with time and no GPU every kernel is wrong."""
    path = tmp_path / "found.json"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA Test")
    status = {"triton": None, "fla": "flash-linear-attention is not installed"}
    monkeypatch.setattr(gpu.sleep_kernels, "backend_status", lambda device: status)
    monkeypatch.setattr(gpu, "warm", lambda until, processes: {"seconds": 0.0})
    monkeypatch.setattr(gpu, "cases", lambda: [gpu.Case(*GATED, "float32")])
    wrong = {"ok": False, "error": "RuntimeError: no kernel"}
    monkeypatch.setattr(gpu, "check", lambda case, device: case._asdict() | wrong)
    monkeypatch.setattr(sys, "argv", ["gpu_check", "--minutes", str(minutes), "--json", str(path)])
    enough = minutes > 0.5
    monkeypatch.setattr(gpu, "CHECKS_SHARE", 5 / 9 if enough else 0.0)
    assert gpu.main() == (1 if enough else 3)
    record = json.loads(path.read_text())
    assert record["incomplete"] and not record["steps"] and not record["kernels"]
    assert len(record["checks"]) == (1 if enough else 0)
    assert ("WRONG" if enough else "out of time, left out: check") in capsys.readouterr().out


def test_the_gpu_check_without_a_gpu_is_one_line_and_exit_code_two(gpu, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu_check"])
    assert gpu.main() == 2
    error = capsys.readouterr().err
    assert error.startswith("gpu-check: no CUDA device; expected") and error.count("\n") == 1


def test_the_tables_are_those_of_the_results(script):
    tables = script("_tables")
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert tables.with_tables(text) == text
