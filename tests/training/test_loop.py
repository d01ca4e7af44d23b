"""A run: what it leaves behind; stopped or killed anywhere, it is resumed exactly."""

import json
import random
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch
from filelock import FileLock
from run_facts import assert_same_weights, steps_of

from workbench.config import load_experiment, to_toml
from workbench.errors import WorkbenchError
from workbench.identity import identify
from workbench.tasks import batch_generator
from workbench.tasks import task as make_task
from workbench.training import optimisers
from workbench.training.compiling import inductor_compiler
from workbench.training.loop import train
from workbench.training.resume import read_resume_state
from workbench.training.run_folder import run_status

RANDOM_N = 'sleep.passes={kind = "random", low = 1, high = 3}'


def events(folder):
    return [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]


def without_times(folder):
    """Return the events but for the seconds, which no two runs share."""
    return [{k: v for k, v in event.items() if k != "seconds"} for event in events(folder)]


def test_what_a_run_leaves_behind(finished, tiny_experiment):
    names = {path.relative_to(finished).as_posix() for path in finished.rglob("*.*")}
    assert names - {".lock"} == {
        "experiment.toml", "origin.json", "events.jsonl", "status.json",
        "state/step-000000004.safetensors", "state/step-000000006.safetensors",
        "checkpoint/model.safetensors", "checkpoint/config.toml", "checkpoint/card.md",
        "checkpoint/provenance.json",
    }  # fmt: skip
    status = run_status(finished)
    assert status == {"state": "finished", "step": 6, "steps": 6, **identify()}
    experiment = load_experiment(finished / "experiment.toml")
    expected = tiny_experiment("training.eval_passes=[1, 2]", "training.eval_every=3")
    assert experiment.model.vocabulary == 8, "taken from the task"
    assert experiment.model_copy(update={"model": expected.model}) == expected


def test_events_tell_every_step_and_evaluation(finished):
    assert steps_of(finished) == [1, 2, 3, 4, 5, 6]
    for event in events(finished):
        if event["kind"] == "step":
            assert event.keys() == {"kind", "step", "loss", "gradient_norm", "seconds", "rate"}
            assert event["loss"] > 0 and event["gradient_norm"] > 0
    evaluations = [e for e in events(finished) if e["kind"] == "evaluation"]
    assert [e["step"] for e in evaluations] == [3, 6]
    assert all(set(e["passes"]) == {"1", "2"} for e in evaluations)
    rates = [e["rate"] for e in events(finished) if e["kind"] == "step"]
    assert rates == [0.5, 1.0, 1.0, 1.0, 1.0, 1.0]


def test_the_same_configuration_gives_the_same_run(tiny_experiment, tmp_path, weights_of):
    """Whatever the global random state, and not with another seed."""
    for seed, name in ((0, "one"), (0, "two"), (1, "other")):
        torch.manual_seed(len(name))
        train(tiny_experiment(f"training.seed={seed}"), tmp_path / name)
    assert_same_weights(tmp_path / "one", tmp_path / "two")
    one, other = (weights_of(tmp_path / name)["embedding.weight"] for name in ("one", "other"))
    assert not torch.equal(one, other)
    assert without_times(tmp_path / "one") == without_times(tmp_path / "two")


def test_training_learns(tiny_experiment, tmp_path):
    train(tiny_experiment("training.steps=60", "training.batch_size=16"), tmp_path / "run")
    losses = [e["loss"] for e in events(tmp_path / "run")]
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])


@pytest.mark.parametrize("n", ["sleep.passes=2", RANDOM_N], ids=["fixed N", "random N"])
def test_stopped_after_every_step_and_resumed(n, tiny_experiment, tmp_path):
    experiment = tiny_experiment(n, "training.eval_every=3", "training.checkpoint_every=4")
    assert train(experiment, tmp_path / "whole") == "finished"
    folder, outcomes = tmp_path / "pieces", []
    while not outcomes or outcomes[-1] == "stopped":
        outcomes.append(train(experiment, folder, resume=bool(outcomes), stop=lambda: True))
        if outcomes[-1] == "stopped":
            assert run_status(folder)["state"] == "stopped"
            assert run_status(folder)["step"] == len(outcomes)
    assert outcomes == ["stopped"] * 5 + ["finished"]
    assert_same_weights(folder, tmp_path / "whole")
    assert without_times(folder) == without_times(tmp_path / "whole")


@pytest.mark.parametrize("recorded", [True, False])
def test_a_run_keeps_the_precision_of_muon_it_began_with(
    recorded, tiny_experiment, tmp_path, weights_of, monkeypatch
):
    """Also one of an earlier version, which took bfloat16 everywhere and did not say so."""

    def on_a_processor_of(precision):
        monkeypatch.setattr(optimisers, "quickest_precision", lambda device: precision)

    experiment = tiny_experiment("training.checkpoint_every=2")
    for precision in ("float32", "bfloat16"):
        on_a_processor_of(precision)
        train(experiment, tmp_path / precision)
    folder, tensors = tmp_path / "moved", optimisers.Optimisers.tensors
    if not recorded:
        monkeypatch.setattr(
            optimisers.Optimisers,
            "tensors",
            lambda self: {n: x for n, x in tensors(self).items() if n != optimisers.PRECISION},
        )
    assert train(experiment, folder, stop=lambda: (folder / "state").exists()) == "stopped"
    monkeypatch.setattr(optimisers.Optimisers, "tensors", tensors)
    on_a_processor_of("float32")
    assert train(experiment, folder, resume=True) == "finished"
    assert_same_weights(folder, tmp_path / "bfloat16")
    assert any(
        not torch.equal(x, weights_of(tmp_path / "float32")[name])
        for name, x in weights_of(folder).items()
    )
    starts = json.loads((folder / "origin.json").read_text())
    assert [start["machine"]["muon"] for start in starts] == ["bfloat16", "bfloat16"]


WHOLE_AND_KILLED = """
import shutil
from pathlib import Path
from workbench.config import load_experiment
from workbench.training.loop import train

def copy(progress):
    if progress.step == 3:
        shutil.copytree("whole", "killed")

train(load_experiment("config.toml"), Path("whole"), on_progress=copy)
"""
"""A run, and its folder as a process leaves it that is killed after step 3."""


@pytest.mark.slow
def test_a_compiled_run_is_resumed_exactly(tiny_experiment, tmp_path):
    """In another process, and without the checks of annotations, which cannot be traced."""
    if inductor_compiler() is None:
        pytest.skip("needs a C++ compiler")
    # one layer and one pass: two graphs to compile, of a sleep and of a wake
    options = ("training.compile=true", "training.steps=4", "sleep.passes=1")
    experiment = tiny_experiment(*options, 'model.layers=["gated_delta"]')
    (tmp_path / "config.toml").write_text(to_toml(experiment))
    resume = ("-m", "workbench.cli", "train", "config.toml", "--out", "killed", "--resume")
    for arguments in (("-c", WHOLE_AND_KILLED), resume):
        command = [sys.executable, "-P", *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    starts = json.loads((tmp_path / "killed" / "origin.json").read_text())
    assert [start["from_step"] for start in starts] == [0, 2]
    assert_same_weights(tmp_path / "killed", tmp_path / "whole")


@pytest.mark.process
def test_killed_at_any_moment_and_resumed(tiny_experiment, tmp_path):
    experiment = tiny_experiment(RANDOM_N, "training.steps=40", "training.checkpoint_every=7")
    train(experiment, tmp_path / "whole")
    (tmp_path / "config.toml").write_text(to_toml(experiment))
    folder = tmp_path / "killed"
    command = [sys.executable, "-m", "workbench.cli", "train", "config.toml", "--out", "killed"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL) as process:
        moment = random.Random(RANDOM_N).randrange(1, 20)  # any, but the same one every time
        log = folder / "events.jsonl"
        while process.poll() is None:
            if log.exists() and log.read_bytes().count(b"\n") >= moment:
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.001)
    assert process.returncode == -signal.SIGKILL, "it ended before it could be killed"
    for state in (folder / "state").glob("step-*"):
        assert read_resume_state(state).step > 0, "a resume point is not whole"
    assert json.loads((folder / "status.json").read_text())["state"] == "running"
    assert train(experiment, folder, resume=True) == "finished"
    assert_same_weights(folder, tmp_path / "whole")
    assert without_times(folder) == without_times(tmp_path / "whole")
    assert not list(folder.rglob("*.tmp")), "left over by the process that was killed"


def test_events_after_the_resume_point_and_torn_lines_are_dropped(tiny_experiment, tmp_path):
    """What a kill between two resume points leaves: later events, and half a line."""
    experiment, folder = tiny_experiment("training.checkpoint_every=2"), tmp_path / "run"
    stops = iter([False] * 3 + [True])
    train(experiment, folder, stop=lambda: next(stops))
    assert steps_of(folder) == [1, 2, 3, 4]
    (folder / "state" / "step-000000004.safetensors").unlink()
    with (folder / "events.jsonl").open("a") as log:
        log.write('{"kind": "step", "step": 5, "lo')
    assert train(experiment, folder, resume=True) == "finished"
    assert steps_of(folder) == [1, 2, 3, 4, 5, 6]


def test_a_run_killed_before_its_first_resume_point_begins_anew(tiny_experiment, tmp_path):
    experiment, folder = tiny_experiment(), tmp_path / "run"
    train(experiment, folder)
    shutil.rmtree(folder / "state")
    shutil.rmtree(folder / "checkpoint")
    (folder / "status.json").unlink()
    assert train(experiment, folder, resume=True) == "finished"
    assert steps_of(folder) == [1, 2, 3, 4, 5, 6]


def test_a_folder_with_a_run_is_left_alone(finished, tiny_experiment):
    before = {p: p.read_bytes() for p in finished.rglob("*.*") if p.is_file()}
    experiment = tiny_experiment("training.eval_passes=[1, 2]", "training.eval_every=3")
    with pytest.raises(WorkbenchError, match="holds a run already; .* add --resume"):
        train(experiment, finished)
    other = tiny_experiment("training.steps=7", "training.eval_every=3", "sleep.passes=1")
    changed = "sleep.passes: 2 -> 1, training.eval_passes: (1, 2) -> (), training.steps: 6 -> 7"
    with pytest.raises(WorkbenchError, match=rf"another configuration \({re.escape(changed)}\)"):
        train(other, finished, resume=True)
    assert {p: p.read_bytes() for p in finished.rglob("*.*") if p.is_file()} == before


def test_a_folder_in_use_is_refused(tiny_experiment, tmp_path):
    with FileLock(tmp_path / ".lock"):
        with pytest.raises(WorkbenchError, match="another process trains"):
            train(tiny_experiment(), tmp_path)
    assert train(tiny_experiment(), tmp_path) == "finished"


def test_a_folder_that_cannot_be_made_is_refused(tiny_experiment, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    for folder in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(WorkbenchError, match="file.* cannot hold a run .* use --out"):
            train(tiny_experiment(), folder)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model.vocabulary=9"], "model.vocabulary = 9; expected 8, the vocabulary of depo"),
        (["sleep.window=10"], "sleep.window = 10 starts a window at a token to be predicted"),
        (["training.device=cuda:63"], "device 'cuda:63'; expected a device of this machine"),
        (["model.kernel_backend=gpu"], "kernel_backend = 'gpu' on cpu .* is unknown"),
        (["model.kernel_backend=triton"], "kernel_backend = 'triton' on cpu .* cannot serve"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_it_starts(
    tiny_experiment, tmp_path, overrides, message
):
    with pytest.raises(WorkbenchError, match=message):
        train(tiny_experiment(*overrides), tmp_path / "run")
    assert not (tmp_path / "run" / "events.jsonl").exists()


def test_labels_that_open_a_window_are_found_before_the_run(tiny_experiment, tmp_path):
    """Names of varying length put labels elsewhere in every example, not only in the first."""
    options = ["task.names=depo1", "task.nodes=3", "task.queries=1", "sleep.window=7"]
    for seed in range(20):  # ANS is the 14th token if the name before it has one letter
        experiment = tiny_experiment(*options, f"training.seed={seed}")
        first = make_task(experiment.task).sample(1, batch_generator(seed, 0))
        if not first.loss_mask[:, ::7].any():
            break
    with pytest.raises(WorkbenchError, match="starts a window at a token to be predicted"):
        train(experiment, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_failure_is_recorded_in_short(tiny_experiment, tmp_path):
    def fail(progress):
        raise RuntimeError("the plug was pulled\n" * 10_000)

    with pytest.raises(RuntimeError, match="plug"):
        train(tiny_experiment(), tmp_path / "run", on_progress=fail)
    status = run_status(tmp_path / "run")
    assert status["state"] == "failed" and "plug was pulled" in status["error"]
    assert len(status["error"]) < 500
    assert train(tiny_experiment(), tmp_path / "run", resume=True) == "finished"


def test_a_compiler_killed_by_the_same_ctrl_c_is_a_stop(tiny_experiment, tmp_path):
    """A terminal sends SIGINT to the whole group: the compiler dies of it too, in mid-step."""
    experiment, folder = tiny_experiment(), tmp_path / "run"
    asked = iter([False, False] + [True] * 9)

    def die(progress):
        if progress.step == 2:
            raise RuntimeError("g++ was interrupted\n" * 10_000)

    assert train(experiment, folder, stop=lambda: next(asked), on_progress=die) == "stopped"
    assert run_status(folder)["state"] == "stopped"
    assert train(experiment, folder, resume=True) == "finished"


def test_a_stop_during_the_last_evaluation_is_resumed(tiny_experiment, tmp_path):
    experiment, folder = tiny_experiment(), tmp_path / "run"
    evaluating = []

    def told(progress):
        if progress.evaluated is not None:
            evaluating.append(progress.evaluated)

    outcome = train(experiment, folder, stop=lambda: bool(evaluating), on_progress=told)
    assert outcome == "stopped" and run_status(folder)["step"] == 6
    assert not (folder / "checkpoint").exists()
    assert train(experiment, folder, resume=True) == "finished"
    train(experiment, tmp_path / "whole")
    assert_same_weights(folder, tmp_path / "whole")


def test_the_callers_threads_are_left_as_they_were(tiny_experiment, tmp_path):
    before = torch.get_num_threads()
    train(tiny_experiment(f"training.threads={before + 1}"), tmp_path / "run", stop=lambda: True)
    assert torch.get_num_threads() == before


def test_a_diverging_run_is_explained(tiny_experiment, tmp_path):
    experiment = tiny_experiment()
    rates = {"adamw_lr": 1e30, "muon_lr": 1e30}  # beyond what a configuration may ask for
    training = experiment.training.model_copy(update=rates)
    experiment = experiment.model_copy(update={"training": training})
    with pytest.raises(WorkbenchError, match="training diverged: .* lower training.muon_lr"):
        train(experiment, tmp_path / "run")
    assert run_status(tmp_path / "run")["state"] == "failed"


def test_what_killed_writers_left_is_removed(tiny_experiment, tmp_path):
    experiment, folder = tiny_experiment(), tmp_path / "run"
    stops = iter([False, True])
    train(experiment, folder, stop=lambda: next(stops))
    (folder / "state" / ".step-000000003.safetensors.99.tmp").write_bytes(b"half")
    (folder / ".checkpoint.99.tmp").mkdir()
    (folder / ".checkpoint.99.tmp" / "model.safetensors").write_bytes(b"half")
    assert train(experiment, folder, resume=True) == "finished"
    hidden = {path.name for path in folder.rglob(".*")}
    assert hidden <= {".lock"}


@pytest.mark.parametrize(
    "override",
    [
        "training.dtype=bfloat16",
        "sleep.eviction=sliding",
        "sleep.window=64",  # the whole sequence: no sleep, the baseline that keeps its cache
        "sleep.checkpointing=window",
        'sleep.passes={kind = "until_memory_settles", cap = 2}',
        "task.n_dist=uniform",
        'model.layers=["attention", "jet", "delta_negative"]',
        "training.decay=cosine",
    ],
)
def test_options_train(tiny_experiment, tmp_path, override):
    experiment = tiny_experiment(override, "training.steps=3", "training.eval_count=3")
    assert train(experiment, tmp_path / "run") == "finished"
    assert all(e["loss"] < 10 for e in events(tmp_path / "run"))


def test_progress_is_told_after_every_step(tiny_experiment, tmp_path):
    told = []
    experiment = tiny_experiment("training.eval_every=4", "training.log_every=5")
    train(experiment, tmp_path / "run", on_progress=told.append)
    shares = [p.evaluated for p in told if p.evaluated is not None]
    assert shares == sorted(shares) and shares[-1] == 1.0
    told = [p for p in told if p.evaluated is None]
    assert [(p.step, p.steps, p.evaluation is not None) for p in told] == [
        (1, 6, False), (2, 6, False), (3, 6, False), (4, 6, True), (5, 6, False), (6, 6, False),
    ]  # fmt: skip
    assert steps_of(tmp_path / "run") == [1, 5, 6]


def test_where_there_is_no_run(tmp_path):
    with pytest.raises(WorkbenchError, match="no run in"):
        run_status(tmp_path)


def test_a_folder_with_other_files_is_refused_and_left_as_it_was(tiny_experiment, tmp_path):
    (tmp_path / ".bashrc.old").write_text("mine")
    with pytest.raises(WorkbenchError, match=r"holds other files \(\.bashrc\.old\)"):
        train(tiny_experiment(), tmp_path)
    assert (tmp_path / ".bashrc.old").read_text() == "mine"
    assert not (tmp_path / "experiment.toml").exists()


def test_compiling_without_a_compiler_is_refused_before_anything_is_written(
    tiny_experiment, tmp_path, monkeypatch
):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(WorkbenchError, match="no C\\+\\+ compiler.*compile=false"):
        train(tiny_experiment("training.compile=true"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_finished_run_is_not_touched_by_resume(finished, tiny_experiment):
    before = (finished / "origin.json").read_text()
    experiment = tiny_experiment("training.eval_passes=[1, 2]", "training.eval_every=3")
    assert train(experiment, finished, resume=True) == "finished"
    assert (finished / "origin.json").read_text() == before
