"""Sweeps on a real Dask cluster: two workers on this machine, one of them killed in the middle."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from types import SimpleNamespace

import psutil
import pytest
from waiting import LIMIT

from workbench.lab.processes import alive, kill
from workbench.lab.runs import list_runs, read_run, set_state
from workbench.lab.supervise import request_all
from workbench.lab.sweeps import load_sweep

try:
    import distributed
except ModuleNotFoundError as missing:
    if os.environ.get("CI") == "true":
        raise
    pytest.skip(f"{missing}; install the extra 'cluster'", allow_module_level=True)

pytestmark = pytest.mark.slow
STEPS = 120
THREE = {"seeds": (0, 1, 2), "passes": (1,), "steps": STEPS}
THREE |= {"checkpoint_every": 25, "eval_every": 60}
"""A sweep of three runs, each of some seconds."""


def start(*arguments, log):
    """A process of Dask's, on loopback, without its dashboard."""
    command = [sys.executable, "-P", "-m", "distributed.cli." + arguments[0], *arguments[1:]]
    with log.open("ab") as output:
        return subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)


def end(process):
    """Kill a process, and with a worker's nanny the worker; runs live in sessions of their own."""
    try:
        family = [process, *psutil.Process(process.pid).children()]
    except psutil.NoSuchProcess:
        family = [process]
    for one in family:
        one.kill()
    process.wait()


def wait_for(condition, *, within=LIMIT):
    deadline = time.monotonic() + within
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)
    return found


class Cluster:
    """A scheduler and two workers of one thread each."""

    def __init__(self, folder):
        self.folder, self.workers, self.sweeps = folder, [], []
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{port}"
        self.scheduler = start(
            "dask_scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard",
            "--no-show", log=folder / "scheduler.log",
        )  # fmt: skip
        self.add_worker()
        self.add_worker()

    def add_worker(self, *more):
        self.workers.append(
            start(
                "dask_worker", self.address, "--host", "127.0.0.1", "--nthreads", "1",
                "--no-dashboard", "--local-directory", str(self.folder), *more,
                log=self.folder / "worker.log",
            )
        )  # fmt: skip

    def sweep(self, path, root, *more):
        """The command, in a process of its own."""
        command = [sys.executable, "-P", "-m", "workbench.cli", "sweep", str(path), "--json"]
        command += ["--cluster", self.address, "--runs", str(root), *more]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        self.sweeps.append(subprocess.Popen(command, **pipes))
        return self.sweeps[-1]

    def end(self):
        for process in [*self.sweeps, *self.workers, self.scheduler]:
            end(process)
        for sweep in self.sweeps:
            sweep.communicate()


@pytest.fixture
def cluster(tmp_path):
    folder = tmp_path / "dask"
    folder.mkdir()
    cluster = Cluster(folder)
    yield cluster
    cluster.end()
    for run in list_runs(tmp_path / "runs"):
        kill(run.status)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, write_sweep):
    """The same three runs, trained here one after the other."""
    from workbench.training.loop import train

    folder = tmp_path_factory.mktemp("undisturbed")
    for plan in load_sweep(write_sweep(folder, **THREE)).runs:
        assert train(plan.experiment, folder / plan.name) == "finished"
    return folder


def at_work(root, step=1):
    return [run for run in list_runs(root) if run.state == "running" and run.step >= step]


def steps_of(folder):
    events = map(json.loads, (folder / "events.jsonl").read_text().splitlines())
    return [event["step"] for event in events if event["kind"] == "step"]


def assert_finished_once(root, undisturbed):
    """Every run finished, in one line of steps, with the weights of the undisturbed ones."""
    from safetensors.torch import load_file

    runs = list_runs(root)
    assert [run.state for run in runs] == ["finished"] * 3
    for run in runs:
        assert steps_of(run.folder) == list(range(1, STEPS + 1)), run.name
        one, other = (
            load_file(folder / "checkpoint" / "model.safetensors")
            for folder in (run.folder, undisturbed / run.name)
        )
        assert all((one[name] == other[name]).all() for name in other), run.name
        wait_for(lambda run=run: not alive(run.status))  # it has said "finished", and then ends


@pytest.mark.parametrize("process_too", [False, True])
def test_a_killed_worker_costs_nothing(cluster, tiny_sweep, tmp_path, undisturbed, process_too):
    """Its run's process lives on and is waited for, or died with it and is resumed."""
    root, record = tmp_path / "runs", tmp_path / "record.json"
    sweep = cluster.sweep(tiny_sweep(**THREE), root, "--record", str(record))
    victim = wait_for(lambda: at_work(root, 30))[0]
    parent = psutil.Process(victim.status["pid"]).ppid()
    nanny = next(
        w for w in cluster.workers if parent in [c.pid for c in psutil.Process(w.pid).children()]
    )
    end(nanny)
    if process_too:
        assert kill(victim.status)
    else:
        assert alive(read_run(victim.folder).status), "the run's process lives on"

    output, said = sweep.communicate(timeout=LIMIT)
    assert sweep.returncode == 0, said
    assert json.loads(output)["states"] == {"finished": 3}
    assert "at work" in said, "progress over the whole sweep"
    assert_finished_once(root, undisturbed)
    starts = {
        run.name: len(json.loads((run.folder / "origin.json").read_text()))
        for run in list_runs(root)
    }
    assert starts.pop(victim.name) == (2 if process_too else 1)
    assert set(starts.values()) == {1}, "nothing is started twice"
    assert len(json.loads(record.read_text())["runs"]) == 3


def test_ctrl_c_stops_runs_at_resume_points_and_the_command_goes_on(
    cluster, tiny_sweep, tmp_path, undisturbed
):
    root = tmp_path / "runs"
    path = tiny_sweep(**THREE)
    sweep = cluster.sweep(path, root)
    wait_for(lambda: at_work(root, 10))
    assert len([run for run in list_runs(root) if run.active]) <= 2, "one run a thread"
    sweep.send_signal(signal.SIGINT)
    output, said = sweep.communicate(timeout=LIMIT)
    assert sweep.returncode == 130 and "resume point" in said
    assert json.loads(output)["states"] == {"stopped": 3}
    assert any((run.folder / "state").is_dir() for run in list_runs(root))

    again = cluster.sweep(path, root)
    output, said = again.communicate(timeout=LIMIT)
    assert again.returncode == 0 and json.loads(output)["states"] == {"finished": 3}, said
    assert_finished_once(root, undisturbed)


def test_a_lost_scheduler_is_told_and_runs_go_on(cluster, tiny_sweep, tmp_path):
    root = tmp_path / "runs"
    sweep = cluster.sweep(tiny_sweep(**THREE), root)
    running = wait_for(lambda: at_work(root))
    end(cluster.scheduler)
    _, said = sweep.communicate(timeout=LIMIT)
    assert sweep.returncode == 2
    assert "Traceback" not in said
    assert said.rstrip().splitlines()[-1].startswith("workbench: the scheduler is gone; expected")
    wait_for(lambda: read_run(running[0].folder).state == "finished")


@pytest.mark.parametrize(("named", "gpus"), [({}, []), ({"GPU": 2.0, "cores": 4.0}, [0, 1])])
def test_a_worker_gives_the_gpus_that_it_names(tiny_sweep, tmp_path, monkeypatch, named, gpus):
    from workbench.lab import cluster

    root = tmp_path / "runs"
    (plan,) = load_sweep(tiny_sweep(seeds=[0], passes=[1])).runs
    request_all([plan], root)
    given = []

    def launch(run, gpus):
        given.append(list(gpus))
        set_state(run.folder, "finished", step=6, steps=6)

    monkeypatch.setattr(cluster, "launch", launch)
    worker = SimpleNamespace(state=SimpleNamespace(total_resources=named))
    monkeypatch.setattr(distributed, "get_worker", lambda: worker)
    event = SimpleNamespace(is_set=lambda: False)
    monkeypatch.setattr(distributed, "Event", lambda name: event)
    assert cluster.attend(str(root / plan.name), "halt") == "finished" and given == [gpus]


def test_a_run_for_a_gpu_where_no_worker_names_one_is_failed(tiny_sweep, tmp_path):
    from workbench.lab.cluster import NO_GPU, _most
    from workbench.lab.queue import refuse_hopeless

    root = tmp_path / "runs"
    (plan,) = load_sweep(tiny_sweep(seeds=[0], passes=[1])).runs
    request_all([plan], root)
    config = root / plan.name / "experiment.toml"
    config.write_text(config.read_text().replace('device = "cpu"', 'device = "cuda"'))
    seen = _most([{"GPU": 1.0}, {"cores": 8.0}, {"cores": 2.0}])
    assert seen == {"GPU": 1.0, "cores": 8.0}
    assert refuse_hopeless(list_runs(root), range(int(seen["GPU"])), NO_GPU) == set()
    assert refuse_hopeless(list_runs(root), (), NO_GPU) == {plan.name}
    assert "dask worker --resources GPU=1" in read_run(root / plan.name).problem


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--cluster", "tcp://127.0.0.1:9"], "no scheduler answers at tcp://127.0.0.1:9"),
        (["--cluster", "here"], "--cluster here; expected tcp://HOST:PORT"),
        (["--cluster", "tcp://127.0.0.1:9", "--cores", "2"], "--cores or --gpus with --cluster"),
    ],
)
def test_what_cannot_be_is_one_line_within_seconds(tiny_sweep, tmp_path, arguments, said):
    command = [sys.executable, "-P", "-m", "workbench.cli", "sweep", str(tiny_sweep())]
    command += ["--runs", str(tmp_path / "runs"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT)
    assert done.returncode == 2 and done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"workbench: {said}")
    assert not (tmp_path / "runs").exists(), "nothing was requested"
