"""The benchmarks' own gates: what they compare is right, and a wrong result is never timed."""

import importlib.util
import subprocess
import sys
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
    for name in ("_measure", "_plain_model"):
        sys.modules.pop(name, None)


def test_our_rule_passes_the_gate_and_a_wrong_one_does_not(script, monkeypatch, capsys, tmp_path):
    kernels = script("kernels")

    def wrong(*inputs):
        output, state = kernels.ours(*inputs)
        return 1.01 * output, state

    errors = kernels.gate({"ours": kernels.ours, "wrong": wrong}, 5, 16)
    assert errors["ours"] < 1e-4 and errors["wrong"] > kernels.TOLERANCE
    monkeypatch.setattr(kernels, "contenders", lambda: {kernels.OURS: kernels.ours, "bad": wrong})
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
    plain = dict(setting.plain.named_parameters())
    for name, ours in setting.model.named_parameters():
        theirs = plain[name.replace("mixer.conv", "mixer.conv.weight")].grad
        torch.testing.assert_close(ours.grad, theirs.view_as(ours), rtol=1e-3, atol=1e-5)


def test_ratios_compare_round_by_round(script):
    measure = script("_measure")
    assert measure.ratio([2.0, 6.0, 4.0], [1.0, 2.0, 2.0]) == {
        "median": 2.0, "low": 2.0, "high": 2.5,
    }  # fmt: skip
    assert measure.summary([0.001, 0.002, 0.003])["median_ms"] == pytest.approx(2.0)


def test_the_gpu_check_sees_right_and_wrong_kernels(script, monkeypatch):
    gpu = script("gpu_check")
    case = ("gated delta", 5, 16, 16, torch.float32, "cpu")
    assert gpu.check(*case, backend="cpu")["ok"]
    plain = gpu.run_rule

    def wrong(rule, x, backend):
        result = plain(rule, x, "reference" if backend == "reference" else "cpu")
        return result._replace(state=1.01 * result.state) if backend == "bad" else result

    monkeypatch.setattr(gpu, "run_rule", wrong)
    assert not gpu.check(*case, backend="bad")["ok"]


def test_the_gpu_check_without_a_gpu_is_one_line_and_exit_code_two():
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    command = [sys.executable, "-P", str(FOLDER / "gpu_check.py")]
    found = subprocess.run(command, capture_output=True, text=True)
    assert found.returncode == 2
    assert found.stderr.startswith("gpu-check: no CUDA device; expected")
    assert found.stderr.count("\n") == 1
