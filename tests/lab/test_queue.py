"""The queue: slots, order, and that killing it, or a run, loses nothing.

Most runs here train in threads of this process (`in_threads`); three tests start real ones.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path

import psutil
import pytest
from run_facts import assert_same_weights, starts_of, steps_of
from waiting import LIMIT, until

from workbench.errors import WorkbenchError
from workbench.identity import identify
from workbench.lab.processes import alive, ask_to_stop, find, kill
from workbench.lab.queue import (
    Slots,
    launch,
    need,
    next_run,
    only_queue,
    queue_works,
    withdraw,
    work,
)
from workbench.lab.runs import Run, list_runs, read_run, set_state
from workbench.lab.supervise import finish, missing, request_all
from workbench.lab.trash import trash
from workbench.training.loop import train

pytestmark = pytest.mark.process


def waiting(name, at, tmp_path, *, threads=1, device="cpu", state="queued", gpu=None):
    folder = tmp_path / name
    folder.mkdir()
    text = f'[training]\nthreads = {threads}\ndevice = "{device}"\n'
    (folder / "experiment.toml").write_text('[task]\nname = "depo"\n' + text)
    return Run(name, folder, state, status={"queued_at": at, "gpu": gpu})


def test_the_oldest_request_first_while_cores_are_free(tmp_path):
    old, new = waiting("b", 1.0, tmp_path), waiting("a", 2.0, tmp_path)
    busy = waiting("c", 0.0, tmp_path, state="running")
    assert next_run([new, old], Slots(2)) == (old, None)
    assert next_run([new, old, busy], Slots(2)) == (old, None)
    assert next_run([new, old, busy, replace(busy, name="d")], Slots(2)) is None
    assert next_run([busy], Slots(2)) is None
    assert next_run([new], Slots(0)) is None


def test_a_large_run_is_not_passed_by_small_ones(tmp_path):
    large = waiting("large", 1.0, tmp_path, threads=8)
    small, busy = waiting("small", 2.0, tmp_path), waiting("busy", 0.0, tmp_path, state="running")
    assert need(large).cores == 8
    assert next_run([large, small, busy], Slots(2)) is None
    assert next_run([large, small], Slots(2)) == (large, None), "it gets what there is, alone"


def test_each_run_on_a_gpu_has_one_of_its_own(tmp_path):
    run = waiting("run", 1.0, tmp_path, device="cuda")
    busy = waiting("busy", 0.0, tmp_path, device="cuda", state="running", gpu=1)
    assert next_run([run, busy], Slots(4, gpus=(1, 3))) == (run, 3)
    assert next_run([run, busy], Slots(4, gpus=(1,))) is None
    assert next_run([run], Slots(4)) is None, "no GPU was named"


def test_runs_are_trained_and_those_beyond_the_slots_wait(requested, in_threads):
    root, sweep = requested(seeds=[0, 1, 2], passes=[1])
    most, two_at_work = 0, threading.Event()
    in_threads.append(lambda folder, progress: two_at_work.wait(LIMIT))

    def look(runs):
        nonlocal most
        most = max(most, sum(run.active for run in runs))
        if most == 2:
            two_at_work.set()

    work(root, Slots(2), on_poll=look)
    assert two_at_work.is_set() and most == 2
    assert {run.state for run in list_runs(root)} == {"finished"}
    assert len(list_runs(root)) == len(sweep.runs) == 3


def test_a_run_that_cannot_start_is_failed_with_its_reason(requested, quick_looks):
    root, sweep = requested(seeds=[0], passes=[1])
    broken = root / sweep.runs[0].name
    (broken / "experiment.toml").write_text("[task]\nname = 'depo'\n[training]\nsteps = 'x'\n")
    work(root, Slots(2))
    assert read_run(broken).state == "failed"
    assert "training.steps = 'x'" in read_run(broken).problem


def test_a_run_is_stopped_killed_and_resumed_to_the_same_weights(
    requested, quick_looks, monkeypatch, tmp_path
):
    root, sweep = requested(seeds=[0], passes=[1], steps=200, eval_every=100)
    (plan,) = sweep.runs
    folder = root / plan.name
    child = launch(read_run(folder))
    until(lambda: read_run(folder).step > 3)
    assert not withdraw(read_run(folder)), "it is not in the queue any more"
    status = read_run(folder).status
    assert alive(status) and find(status).pid == child.pid
    ask_to_stop(folder)
    child.wait(timeout=LIMIT)
    stopped = read_run(folder)
    assert stopped.state == "stopped" and 3 < stopped.step < 200
    killed = []

    def shoot(shares, at_work):
        run = read_run(folder)
        if run.state == "running" and run.step > stopped.step + 5 and not killed:
            assert kill(run.status)
            killed.append(read_run(folder))
            assert not kill(run.status), "no process is left to kill"

    states = finish(sweep, sweep.runs, root, partial(work, root, Slots(2)), on_progress=shoot)
    assert killed[0].state == "died" and "without a word" in killed[0].problem
    assert states.counts == {"finished": 1} and starts_of(folder) == 3
    assert steps_of(folder) == list(range(1, 201)), "no step lost, none twice"
    assert train(plan.experiment, tmp_path / "undisturbed") == "finished"
    assert_same_weights(folder, tmp_path / "undisturbed")


def queue_process(root):
    command = [sys.executable, "-P", "-m", "workbench.cli", "queue", "--cores", "1", "--runs", root]
    return subprocess.Popen(command, stderr=subprocess.PIPE)


def test_a_killed_queue_leaves_runs_at_work_and_is_taken_over(requested, in_threads):
    root, sweep = requested(seeds=[0], steps=150, eval_every=100)
    first = queue_process(root)
    run = until(lambda: next((r for r in list_runs(root) if r.state == "running"), None))
    assert queue_works(root)
    first.kill()
    first.communicate()
    assert not queue_works(root), "the system lets go of the lock"
    assert alive(read_run(run.folder).status), "the run goes on"

    work(root, Slots(1))
    assert {run.state for run in list_runs(root)} == {"finished"}
    for planned in sweep.runs:
        folder = root / planned.name
        assert steps_of(folder) == list(range(1, 151))
        assert starts_of(folder) == 1


def test_one_queue_a_folder(tmp_path):
    with only_queue(tmp_path / "runs"):
        assert queue_works(tmp_path / "runs")
        done = queue_process(tmp_path / "runs")
        _, said = done.communicate(timeout=LIMIT)
        assert done.returncode == 2 and b"another queue works on" in said
    assert not queue_works(tmp_path / "runs")


def test_a_queue_is_never_killed_in_the_place_of_a_run():
    assert not kill({**identify(), "launcher": True})
    assert psutil.pid_exists(os.getpid())


def test_a_sweep_skips_what_is_done_and_records_it(requested, in_threads, tmp_path):
    root, sweep = requested(seeds=[0])
    record = tmp_path / "record.json"
    told = []
    states = finish(
        sweep,
        missing(sweep, root),
        root,
        partial(work, root, Slots(2)),
        record=record,
        on_progress=lambda shares, at_work: told.append((sum(shares.values()), len(at_work))),
    )
    assert states.counts == {"finished": 2} and states.failed == {}
    assert told[-1] == (2.0, 0)
    kept = json.loads(record.read_text())
    assert [run["name"] for run in kept["runs"]] == [plan.name for plan in sweep.runs]
    assert missing(sweep, root) == []
    assert missing(sweep, Path("elsewhere")) == sweep.runs
    assert missing(sweep, Path("elsewhere"), record) == [], "what is recorded need not be run"


@pytest.fixture
def stand_ins(in_threads, monkeypatch):
    """Have the first run of a sweep begin as a process that only sleeps; return those processes."""
    from workbench.lab import queue

    children, train_it = [], queue.start

    def start(folder, environment):
        if children or not folder.name.endswith("n1-seed0"):
            return train_it(folder, environment)
        sleep = [sys.executable, "-S", "-c", "import time; time.sleep(3600)"]
        children.append(subprocess.Popen(sleep))
        at_work = {"launcher": False, **identify(children[0].pid)}
        set_state(folder, "running", step=0, steps=6, **at_work)
        return children[0]

    monkeypatch.setattr(queue, "start", start)
    yield children
    for child in children:
        child.kill()
        child.wait()


def test_a_run_that_dies_is_started_again_once(requested, stand_ins):
    root, sweep = requested(seeds=[0])
    folder = root / sweep.runs[0].name

    def shoot(shares, at_work):
        if folder.name in at_work and stand_ins[0].poll() is None:
            os.kill(stand_ins[0].pid, signal.SIGKILL)

    states = finish(sweep, sweep.runs, root, partial(work, root, Slots(2)), on_progress=shoot)
    assert stand_ins[0].poll() == -signal.SIGKILL and states.counts == {"finished": 2}
    assert starts_of(folder) == 1, "by the thread that came after the process"


def test_a_run_killed_by_hand_stays_dead_while_its_sweep_goes_on(requested, stand_ins):
    from workbench.lab.actions import kill_runs

    root, sweep = requested(seeds=[0])
    folder = root / sweep.runs[0].name

    def shoot(shares, at_work):
        if folder.name in at_work and stand_ins[0].poll() is None:
            assert kill_runs([read_run(folder)]).done == (folder.name,)

    states = finish(sweep, sweep.runs, root, partial(work, root, Slots(2)), on_progress=shoot)
    assert states.counts == {"died": 1, "finished": 1}
    assert "killed by hand" in states.failed[folder.name]


def test_a_stopped_sweep_leaves_resume_points_and_an_empty_queue(requested, in_threads):
    root, sweep = requested(steps=2000, eval_every=100)

    def far():
        return any(run.step > 5 for run in list_runs(root))

    states = finish(sweep, sweep.runs, root, partial(work, root, Slots(1)), stop=far)
    assert states.counts == {"stopped": 4}
    assert not any(run.active for run in list_runs(root))
    request_all(missing(sweep, root), root)
    assert {run.state for run in list_runs(root)} == {"queued"}


def test_a_folder_of_another_configuration_is_not_taken_for_the_sweeps(requested, tiny_sweep):
    from workbench.lab.sweeps import load_sweep

    root, _ = requested()
    other = load_sweep(tiny_sweep(steps=7))
    with pytest.raises(WorkbenchError, match="holds a run of another configuration"):
        missing(other, root)


def nothing(**options):
    """A kind of work that finds nothing to do."""
    options["on_poll"]([])


def test_runs_that_finished_before_are_recorded_too(requested, in_threads, tmp_path):
    root, sweep = requested(seeds=[0], passes=[1])
    work(root, Slots(1))
    record = tmp_path / "record.json"
    assert missing(sweep, root, record) == []
    finish(sweep, [], root, nothing, record=record)
    assert len(json.loads(record.read_text())["runs"]) == 1


def test_a_record_that_cannot_be_written_is_told_before_anything_runs(requested, tmp_path):
    root, sweep = requested(seeds=[0])
    (tmp_path / "file").touch()
    with pytest.raises(WorkbenchError, match=r"the record .* cannot be written"):
        finish(sweep, sweep.runs, root, nothing, record=tmp_path / "file" / "record.json")
    assert {run.state for run in list_runs(root)} == {"queued"}


def test_a_record_that_cannot_be_written_for_a_while_is_complete_in_the_end(
    requested, in_threads, tmp_path, monkeypatch
):
    from workbench.lab import supervise

    root, sweep = requested(seeds=[0], passes=[1])
    record, calls, add = tmp_path / "record.json", [], supervise.add_to_record

    def full_at_first(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        add(*arguments)

    monkeypatch.setattr(supervise, "add_to_record", full_at_first)
    states = finish(sweep, sweep.runs, root, partial(work, root, Slots(1)), record=record)
    assert states.counts == {"finished": 1} and len(calls) > 2
    assert len(json.loads(record.read_text())["runs"]) == 1


@pytest.mark.parametrize("root", ["file", "file/runs"])
def test_a_place_that_cannot_hold_runs_is_one_line(tiny_sweep, tmp_path, root):
    from workbench.lab.sweeps import load_sweep

    (tmp_path / "file").touch()
    with pytest.raises(WorkbenchError, match="cannot hold a run"):
        request_all(load_sweep(tiny_sweep(seeds=[0])).runs, tmp_path / root)


@pytest.fixture
def on_gpu(requested, monkeypatch):
    """Give folders of queued runs that ask for a device, and their processes' environments."""
    from workbench.lab import queue

    given = []
    monkeypatch.setattr(queue, "start", lambda folder, environment: given.append(environment))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def make(device="cuda"):
        root, sweep = requested(passes=[1])
        folders = [root / plan.name for plan in sweep.runs]
        for folder in folders:
            config = folder / "experiment.toml"
            config.write_text(config.read_text().replace('device = "cpu"', f'device = "{device}"'))
        return folders, given

    return make


def test_a_queue_started_from_within_a_gpu_run_gives_out_its_own_gpus(on_gpu, monkeypatch):
    (folder, _), given = on_gpu()
    monkeypatch.setenv("WORKBENCH_GPU", "3")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "6,GPU-ab12")
    launch(read_run(folder), (1,))
    assert given == [{"CUDA_VISIBLE_DEVICES": "GPU-ab12", "WORKBENCH_GPU": "1"}]
    status = read_run(folder).status
    assert (status["gpu"], status["cuda"], status["state"]) == (1, "GPU-ab12", "starting")
    with pytest.raises(WorkbenchError, match="GPU 2 where .*=6,GPU-ab12 shows 2 GPUs"):
        launch(read_run(folder), (2,))


def test_a_run_on_the_processor_does_not_hold_the_gpu_of_who_started_it(on_gpu, monkeypatch):
    (folder, _), given = on_gpu("cpu")
    monkeypatch.setenv("WORKBENCH_GPU", "3")
    launch(read_run(folder), (0,))
    assert given == [{"WORKBENCH_GPU": ""}]
    assert read_run(folder).status["gpu"] is None and read_run(folder).status["cuda"] is None


def test_several_runs_of_one_worker_get_a_gpu_each_and_the_next_one_waits(on_gpu):
    (one, two), given = on_gpu()
    launch(read_run(one), range(2))
    launch(read_run(two), range(2))
    assert [environment["CUDA_VISIBLE_DEVICES"] for environment in given] == ["0", "1"]
    set_state(two, "queued", step=0, steps=6)
    assert "cuda" not in read_run(two).status, "given back"
    assert launch(read_run(two), range(1)) is None and len(given) == 2, "0 is taken"
    assert read_run(two).state == "queued"


def test_gpus_that_are_not_shown_are_told_before_anything_starts(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4")
    with pytest.raises(WorkbenchError, match="GPU 1 where CUDA_VISIBLE_DEVICES=4 shows 1 GPU;"):
        work(tmp_path / "runs", Slots(1, gpus=(0, 1)))
    assert not (tmp_path / "runs").exists()


def test_a_run_that_no_slot_will_ever_fit_is_failed_and_others_go_on(requested, in_threads):
    root, sweep = requested(seeds=[0])
    config = root / sweep.runs[0].name / "experiment.toml"
    config.write_text(config.read_text().replace('device = "cpu"', 'device = "cuda"'))
    work(root, Slots(1))
    states = {run.name: run for run in list_runs(root)}
    failed = states.pop(sweep.runs[0].name)
    assert failed.state == "failed" and "start it with --gpus 0" in failed.problem
    assert {run.state for run in states.values()} == {"finished"}


def test_what_was_withdrawn_or_deleted_meanwhile_is_not_started(requested, monkeypatch):
    from workbench.lab import queue

    root, sweep = requested(seeds=[0])
    monkeypatch.setattr(queue, "start", lambda folder, environment: pytest.fail("started"))
    withdrawn, deleted = (read_run(root / plan.name) for plan in sweep.runs)  # as the queue saw
    assert withdraw(read_run(withdrawn.folder))
    trash(read_run(deleted.folder))
    assert launch(withdrawn) is None and launch(deleted) is None
    assert read_run(withdrawn.folder).state == "stopped"
    assert not deleted.folder.exists(), "no ghost of it is written"


def test_what_has_been_started_meanwhile_is_not_withdrawn(requested, monkeypatch):
    from workbench.lab import queue

    root, sweep = requested(seeds=[0], passes=[1])
    seen = read_run(root / sweep.runs[0].name)
    monkeypatch.setattr(queue, "start", lambda folder, environment: "a process")
    assert launch(seen) == "a process"
    assert not withdraw(seen)
    assert read_run(seen.folder).state == "starting"


def test_a_record_of_another_version_of_the_sweep_is_refused(
    requested, in_threads, tiny_sweep, tmp_path
):
    from workbench.lab.sweeps import load_sweep

    root, sweep = requested(seeds=[0], passes=[1])
    work(root, Slots(1))
    record = tmp_path / "record.json"
    finish(sweep, [], root, nothing, record=record)
    other = load_sweep(tiny_sweep(seeds=[0], passes=[1], steps=7))
    with pytest.raises(WorkbenchError, match="of another version of tiny.toml"):
        finish(other, other.runs, tmp_path / "elsewhere", nothing, record=record)
    assert not (tmp_path / "elsewhere").exists(), "nothing was requested"
