"""Sweeps on Dask clusters of this machine: with real workers that are killed, and with threads."""

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import psutil
import pytest
from run_facts import assert_same_weights, starts_of, steps_of
from waiting import LIMIT, until

from workbench.cli import main
from workbench.lab.processes import alive, kill
from workbench.lab.runs import list_runs, read_run, set_state
from workbench.lab.supervise import request_all
from workbench.lab.sweeps import load_sweep

try:
    import dask
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


@pytest.fixture
def cluster():
    """Return a maker of a scheduler on loopback, with workers of one thread in this process."""
    made = []

    def make(workers):
        options = {"protocol": "tcp", "host": "127.0.0.1", "dashboard_address": None}
        options |= {"processes": False, "threads_per_worker": 1}
        made.append(distributed.LocalCluster(n_workers=workers, **options))
        return made[0]

    yield make
    with dask.config.set({"distributed.comm.timeouts.connect": "3s"}):  # of a lost scheduler
        for one in made:
            one.close(timeout=LIMIT)


@pytest.fixture
def real_workers(cluster, tmp_path):
    """Yield the address of a scheduler and three workers, each a process of one thread."""
    address = cluster(0).scheduler_address
    command = [sys.executable, "-P", "-m", "distributed.cli.dask_worker", address]
    command += ["--host", "127.0.0.1", "--nthreads", "1", "--no-nanny", "--no-dashboard"]
    command += ["--local-directory", str(tmp_path)]
    with (tmp_path / "workers.log").open("ab") as log:
        options = {"stdout": log, "stderr": log, "start_new_session": True}
        workers = [subprocess.Popen(command, **options) for _ in range(3)]
    yield address, workers
    for worker in workers:
        worker.kill()
        worker.wait()
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


def assert_finished_once(root, undisturbed):
    """Every run finished, in one line of steps, with the weights of the undisturbed ones."""
    runs = list_runs(root)
    assert [run.state for run in runs] == ["finished"] * 3
    for run in runs:
        assert steps_of(run.folder) == list(range(1, STEPS + 1)), run.name
        assert_same_weights(run.folder, undisturbed / run.name)


@pytest.fixture
def sweep(capsys, tmp_path):
    """Run the command `sweep --json`; return its exit code, states and standard error."""

    def call(path, *arguments):
        with pytest.raises(SystemExit) as ended:
            main(["sweep", str(path), "--json", "--runs", str(tmp_path / "runs"), *arguments])
        out, err = capsys.readouterr()
        return ended.value.code or 0, json.loads(out)["states"] if out else None, err

    return call


def test_killed_workers_cost_nothing(real_workers, sweep, tiny_sweep, tmp_path, undisturbed):
    """The run of one lives on and is waited for; that of the other dies with it and is resumed."""
    root, record = tmp_path / "runs", tmp_path / "record.json"
    address, workers = real_workers

    def kill_worker_of(run):
        parent = psutil.Process(run.status["pid"]).ppid()
        next(worker for worker in workers if worker.pid == parent).kill()

    def kill_two():
        first = until(lambda: at_work(root))[0]
        kill_worker_of(first)
        assert alive(read_run(first.folder).status), "the run's process lives on"
        second = until(lambda: [r for r in at_work(root, 30) if r.name != first.name])[0]
        kill_worker_of(second)
        assert kill(second.status)
        return first, second

    path = tiny_sweep(**THREE)
    with ThreadPoolExecutor() as pool:
        killing = pool.submit(kill_two)
        code, states, said = sweep(path, "--cluster", address, "--record", str(record))
        _, second = killing.result()
    assert code == 0 and states == {"finished": 3}, said
    assert "at work" in said, "progress over the whole sweep"
    assert_finished_once(root, undisturbed)
    for run in list_runs(root):
        assert starts_of(run.folder) == (2 if run.name == second.name else 1)
    assert len(json.loads(record.read_text())["runs"]) == 3


def test_ctrl_c_stops_runs_at_resume_points_and_the_command_goes_on(
    cluster, sweep, tiny_sweep, tmp_path, undisturbed, in_threads
):
    root, path = tmp_path / "runs", tiny_sweep(**THREE)
    address = cluster(2).scheduler_address
    active, first = [], iter([True])  # a second Ctrl-C would leave the runs alone

    def interrupt(folder, progress):
        if progress.step == 10 and next(first, False):
            active.append(sum(run.active for run in list_runs(root)))
            os.kill(os.getpid(), signal.SIGINT)

    in_threads.append(interrupt)
    code, states, said = sweep(path, "--cluster", address)
    assert code == 130 and "resume point" in said
    assert active[0] <= 2, "one run a thread"
    assert states == {"stopped": 3}
    assert any((run.folder / "state").is_dir() for run in list_runs(root))

    code, states, said = sweep(path, "--cluster", address)
    assert code == 0 and states == {"finished": 3}, said
    assert_finished_once(root, undisturbed)


def test_a_lost_scheduler_is_reported_and_runs_go_on(
    cluster, sweep, tiny_sweep, tmp_path, monkeypatch, in_threads
):
    monkeypatch.setattr("workbench.lab.cluster.SOON", 1.0)
    here = cluster(1)
    closing = []

    def close(folder, progress):
        if not closing:
            closing.append(folder)
            here.sync(here.scheduler.close)

    in_threads.append(close)
    code, _, said = sweep(tiny_sweep(**THREE), "--cluster", here.scheduler_address)
    assert code == 2 and "Traceback" not in said
    assert said.rstrip().splitlines()[-1].startswith("workbench: the scheduler is gone; expected")
    until(lambda: read_run(closing[0]).state == "finished")
    for worker in here.workers.values():  # its task still waits for the scheduler
        here.sync(worker.close, executor_wait=False)


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
    from workbench.lab.queue import fail_unschedulable

    root = tmp_path / "runs"
    (plan,) = load_sweep(tiny_sweep(seeds=[0], passes=[1])).runs
    request_all([plan], root)
    config = root / plan.name / "experiment.toml"
    config.write_text(config.read_text().replace('device = "cpu"', 'device = "cuda"'))
    seen = _most([{"GPU": 1.0}, {"cores": 8.0}, {"cores": 2.0}])
    assert seen == {"GPU": 1.0, "cores": 8.0}
    assert fail_unschedulable(list_runs(root), range(int(seen["GPU"])), NO_GPU) == set()
    assert fail_unschedulable(list_runs(root), (), NO_GPU) == {plan.name}
    assert "dask worker --resources GPU=1" in read_run(root / plan.name).problem


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--cluster", "tcp://127.0.0.1:9"], "no scheduler answers at tcp://127.0.0.1:9"),
        (["--cluster", "here"], "--cluster here; expected tcp://HOST:PORT"),
        (["--cluster", "tcp://127.0.0.1:9", "--cores", "2"], "--cores or --gpus with --cluster"),
    ],
)
def test_a_wrong_cluster_is_one_line(tiny_sweep, tmp_path, monkeypatch, sweep, arguments, said):
    monkeypatch.setattr("workbench.lab.cluster.SOON", 0.2)
    code, states, err = sweep(tiny_sweep(), *arguments)
    assert code == 2 and states is None
    (line,) = err.splitlines()
    assert line.startswith(f"workbench: {said}")
    assert not (tmp_path / "runs").exists(), "nothing was requested"
