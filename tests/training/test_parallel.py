"""Two CPU processes under torchrun train as one does."""

import json
import os
import re
import subprocess
import sys

import pytest
from run_facts import assert_same_weights

from workbench.config import load_experiment
from workbench.errors import WorkbenchError
from workbench.training.loop import train
from workbench.training.parallel import check_processes

pytestmark = pytest.mark.process

pytest.importorskip("accelerate", reason="needs the extra `parallel`")

SETTINGS = (
    "training.steps=8",
    "training.batch_size=5",  # uneven shares
    "training.eval_every=4",
    "sleep.passes={kind='random', low=1, high=3}",
    "task.n_dist='uniform'",  # shares with different numbers of labels
    "task.queries=3",
)


LAUNCHED = """
import sys
from pathlib import Path

import torch

from workbench.cli import main
from workbench.config import load_experiment
from workbench.training.loop import train
from workbench.training.parallel import Team

config, whole, parts = sys.argv[1:]
leave, Team.leave = Team.leave, lambda team: torch.distributed.barrier()
try:
    main(["train", config, "--out", whole, "--json"])
except SystemExit as ended:
    assert not ended.code
experiment = load_experiment(config)
assert train(experiment, Path(parts), stop=lambda: True) == "stopped"
torch.distributed.barrier()
Team.leave = leave
assert train(experiment, Path(parts), resume=True) == "finished"
"""
"""What both processes of one launch do: train a run, and one that is stopped and resumed."""


def losses(folder):
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    return {e["step"]: e["loss"] for e in events if e["kind"] == "step"}


@pytest.fixture(scope="module")
def alone(tiny_experiment, tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone") / "run"
    train(tiny_experiment(*SETTINGS), folder)
    return folder


@pytest.fixture(scope="module")
def pair(alone, tmp_path_factory):
    """The folders of two runs by two processes, the second one stopped and resumed; the output."""
    folder = tmp_path_factory.mktemp("pair")
    (folder / "launched.py").write_text(LAUNCHED)
    command = [sys.executable, "-P", "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    command += ["--master-port", "0", "--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0"]
    command += ["launched.py", str(alone / "experiment.toml"), "whole", "parts"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "default"}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=600, env=environment, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    return folder / "whole", folder / "parts", done


def test_the_losses_of_two_processes_are_those_of_one(alone, pair):
    one, two = losses(alone), losses(pair[0])
    assert list(one) == list(two) == list(range(1, 9))
    assert one == pytest.approx(two, abs=1e-5)


def test_the_weights_stay_together(alone, pair, weights_of):
    one, two = weights_of(alone), weights_of(pair[0])
    for name, tensor in one.items():
        # Muon's bfloat16 makes up to a last bit of it out of another order of additions
        assert (tensor - two[name]).abs().max() < 5e-3, name


def test_one_process_speaks_and_writes(pair):
    folder, _, done = pair
    assert json.loads(done.stdout)["state"] == "finished"
    starts = json.loads((folder / "origin.json").read_text())
    assert [start["processes"] for start in starts] == [2]
    assert len(re.findall(r"step 4  accuracy", done.stderr)) == 1


def test_a_run_of_two_is_resumed_by_two(pair):
    whole, parts, _ = pair
    starts = json.loads((parts / "origin.json").read_text())
    assert [start["from_step"] for start in starts] == [0, 1]
    assert losses(parts) == losses(whole)
    assert_same_weights(whole, parts)


@pytest.mark.parametrize("rank", [0, 1])
def test_a_finished_run_is_over_at_once_for_every_process(pair, monkeypatch, rank):
    """None waits for another, or writes: the first one's start is not recorded either."""
    folder, *_ = pair
    before = {path: path.read_bytes() for path in folder.rglob("*.*") if path.is_file()}
    for name, value in (("WORLD_SIZE", 2), ("RANK", rank), ("LOCAL_RANK", rank)):
        monkeypatch.setenv(name, str(value))
    experiment = load_experiment(folder / "experiment.toml")
    assert train(experiment, folder, resume=True) == "finished"
    assert {path: path.read_bytes() for path in folder.rglob("*.*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("training.batch_size=1", r"batch_size = 1 for 2 processes"),
        ("training.cuda_graphs=true", r"cuda_graphs = true in 2 processes"),
        ("training.device='cuda:1'", r"device = 'cuda:1' in 2 processes"),
    ],
)
def test_what_processes_cannot_share_is_refused(tiny_experiment, monkeypatch, setting, message):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(WorkbenchError, match=message):
        check_processes(tiny_experiment(setting).training)
