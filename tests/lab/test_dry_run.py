"""What a dry run says of a run, against a real model, its optimisers and the counted FLOPs."""

import json

import pytest
import torch
from tiny import tiny_toml

from workbench.cli import main
from workbench.config import load_experiment
from workbench.errors import WorkbenchError
from workbench.lab import dry_run as dry
from workbench.lab.flops import cost
from workbench.model import HybridModel
from workbench.paths import data_folder
from workbench.sleep import read
from workbench.tasks import draw, task
from workbench.training.evaluation import check_layout
from workbench.training.loop import with_vocabulary
from workbench.training.loss import masked_cross_entropy
from workbench.training.optimisers import build_optimisers

CONFIGS = data_folder() / "configs"
PAPER = sorted((CONFIGS / "paper").glob("*.toml"))


def experiment(name="depo-n8-n4", *changes):
    found = load_experiment(CONFIGS / f"{name}.toml", changes)
    return with_vocabulary(found, task(found.task))


def test_a_bundled_configuration_against_the_model_and_the_counter():
    made = experiment()
    found = dry.dry_run(made)
    model = HybridModel(made.model)
    assert found["parameters"]["all"] == sum(p.numel() for p in model.parameters())
    counted = cost(made)
    assert found["training_step"] == pytest.approx(64 * counted.training, rel=0.05)
    assert found["training"] == 3000 * found["training_step"]
    assert found["forward"]["asleep"] == pytest.approx(counted.sleep, rel=0.05)
    assert found["forward"]["awake"] == pytest.approx(counted.wake, rel=0.05)
    assert found["batches"]["tokens"] == 16 + 32 and found["batches"]["slept_on"] == 1
    assert found["batches"]["difficulties"] == [1, 4] and found["tokens"] == 3000 * 64 * 48


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("variables-n1", ("sleep.order=predict_then_sleep", "sleep.passes=2")),
        ("rule110-w12-t8-n1", ("sleep.order=predict_then_sleep", "sleep.passes=0")),
        ("depo-n8-w2-any", ("sleep.eviction=sliding", "sleep.passes=2")),
        (
            "depo-n8-n1",
            ("sleep.order=predict_then_sleep", "sleep.passes={kind='random', low=0, high=2}"),
        ),
        ("depo-n8-n4", ("model.layers=['gated_delta','attention','jet']", "sleep.loop=[1, 3]")),
        ("depo-n8-n1", ("sleep.wake_passes=2", "task.nodes=48", "sleep.window=96")),
    ],
)
def test_operations_of_other_settings_against_the_counter(name, changes):
    made = experiment(name, *changes)
    batch = draw(task(made.task), 2, 0, 0)
    found, counted = dry._costs(made, batch), cost(made)
    assert found.sleep == pytest.approx(counted.sleep, rel=0.06)
    assert found.wake == pytest.approx(counted.wake, rel=0.06)
    assert found.training == pytest.approx(counted.training, rel=0.08)


def test_memory_against_tensors_that_exist():
    """The state of real optimisers, and what a step on the CPU keeps for its backward."""
    made = experiment("depo-n8-n4", "training.batch_size=2")
    batch = draw(task(made.task), 2, 0, 0)
    found = dry._memory(made, batch, dry._parameters(made))
    model = HybridModel(made.model)
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = masked_cross_entropy(read(model, batch, made.sleep))
    loss.backward()
    optimisers = build_optimisers(model, made.training)
    optimisers.step(0)
    state = optimisers.tensors()
    size = sum(t.nbytes for name, t in state.items() if not name.endswith(("step", "precision")))
    assert found["weights"] == sum(p.nbytes for p in model.parameters())
    assert found["gradients"] == found["weights"]
    assert found["optimisers"] == size
    measured = sum(storage.nbytes() for storage in kept.values())
    assert found["activations"] == pytest.approx(measured, rel=0.5)


def test_checkpointing_takes_less_memory():
    sizes = []
    for way in ("none", "pass", "window"):
        made = experiment("variables-n4", f"sleep.checkpointing={way}")
        batch = draw(task(made.task), 2, 0, 0)
        sizes.append(dry._memory(made, batch, dry._parameters(made))["activations"])
    assert sizes[1] < sizes[0] and sizes[1] < sizes[2]


def test_more_memory_than_there_is_is_refused(monkeypatch):
    monkeypatch.setattr("workbench.limits.available_memory", lambda: 10 * 2**20)
    with pytest.raises(WorkbenchError, match="at most 10.0 MB"):
        dry.dry_run(experiment())


@pytest.mark.parametrize("path", PAPER, ids=lambda path: path.stem)
def test_paper_scale_files_fit_together(path):
    made = load_experiment(path)
    problems = task(made.task)
    made = with_vocabulary(made, problems)
    check_layout(draw(problems, 1, 0, 0), made.sleep.window)
    millions = {"gsm-hard-jet": 1750, "gsm-scratch": 41}.get(path.stem, 1691)
    assert dry._parameters(made)["all"] / 1e6 == pytest.approx(millions, rel=0.01)


def test_the_command_prints_one_screen_and_writes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(tiny_toml())
    (tmp_path / "bad.toml").write_text(tiny_toml(sleep={"window": 3}))

    def run(*arguments):
        with pytest.raises(SystemExit) as end:
            main(["train", *arguments, "--dry-run"])
        return end.value.code, capsys.readouterr()

    code, said = run("tiny.toml")
    assert code == 0 and len(said.out.splitlines()) < 15
    assert "parameters" in said.out and "FLOP" in said.out and "10 batches" in said.out
    code, said = run("tiny.toml", "--json")
    assert code == 0 and json.loads(said.out)["batches"]["count"] == 10
    code, said = run("bad.toml")
    assert code == 2 and said.out == "" and "sleep.window = 3" in said.err
    start = ("--set", "training.start.checkpoint=runs/later")
    code, said = run("tiny.toml", *start)
    assert code == 0 and "runs/later, which is not there yet" in said.out
    code, said = run("tiny.toml", "--set", "training.start.checkpoint=depo-n8-any")
    assert code == 2 and said.out == "" and "does not fit the model" in said.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.toml", "tiny.toml"]
