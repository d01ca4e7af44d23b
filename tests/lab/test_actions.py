"""Stop, resume, kill, delete, restore: what happens to the folders, and how it is reported."""

import subprocess
import sys

import psutil
import pytest

from workbench.identity import identify
from workbench.lab import actions
from workbench.lab.queue import Slots
from workbench.lab.runs import list_runs, read_run, request, set_state, to_resume


@pytest.fixture
def store(tmp_path, monkeypatch):
    """Return a maker of runs: ``store(name, state)``; no queue is started."""
    monkeypatch.setattr(actions, "ensure_queue", lambda root, slots: started.append(root))
    started = []

    def make(name, state="queued", **status):
        request(tmp_path / name, '[task]\nname = "depo"\n[training]\nsteps = 40\n', {}, 40)
        if state != "queued":
            set_state(tmp_path / name, state, step=3, steps=40, **status)
        return read_run(tmp_path / name)

    make.root, make.started = tmp_path, started
    return make


def states(root):
    return {run.name: run.state for run in list_runs(root)}


def test_stopping(store):
    runs = [store("a"), store("b", "running", **identify()), store("c", "finished")]
    found = actions.stop_runs(runs)
    assert found.done == ("a", "b")
    assert found.words == (
        "a withdrawn from the queue; b asked to stop at a resume point; "
        "c left alone: it is finished."
    )
    assert states(store.root) == {"a": "stopped", "b": "running", "c": "finished"}
    assert (store.root / "b" / "stop").exists()


def test_resuming_starts_a_queue_only_where_there_is_something_to_do(store):
    finished = store("c", "finished")
    assert "left alone" in actions.resume_runs([finished], store.root, Slots(1)).words
    assert store.started == []
    runs = [store("a", "stopped"), store("b", "failed", error="no room")]
    assert actions.resume_runs(runs, store.root, Slots(1)).words == "2 runs queued to go on."
    assert states(store.root) == {"a": "queued", "b": "queued", "c": "finished"}
    assert store.started == [store.root]


def test_runs_that_are_still_stopping_are_resumed_too(store):
    """Three are stopped; when they are resumed, two have not got there yet."""
    runs = [store(name, "running", **identify()) for name in "ab"] + [store("c", "stopped")]
    actions.stop_runs(runs[:2])
    found = actions.resume_runs(runs, store.root, Slots(1))
    assert set(found.done) == {"a", "b", "c"} and found.refused == {}
    assert found.words == "2 runs queued to go on after stopping; c queued to go on."
    assert [to_resume(read_run(run.folder)) for run in runs] == [True, True, False]
    actions.stop_runs([read_run(runs[0].folder)])
    assert not to_resume(read_run(runs[0].folder)), "stopping again takes it back"


def test_killing_is_reported(store):
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        run = store("a", "running", **identify(process.pid))
        found = actions.kill_runs([run, store("b", "stopped")])
        assert not psutil.pid_exists(process.pid)
    finally:
        process.kill()
        process.wait()
    assert found.words == "a killed; b left alone: it is stopped."
    run = read_run(store.root / "a")
    assert (run.state, run.problem, run.step) == ("died", actions.KILLED, 3)
    assert actions.resume_runs([run], store.root, Slots(1)).done == ("a",)
    assert read_run(store.root / "a").problem is None


def test_deleting_and_restoring(store):
    runs = [store("a"), store("b", "running", **identify()), store("c", "finished")]
    found = actions.delete_runs(runs)
    assert found.words == "2 runs moved to the trash; b left alone: run b is running."
    assert states(store.root) == {"b": "running"}
    found = actions.restore_runs(store.root, ["a", "c", "never"])
    assert found.done == ("a", "c") and "no deleted run 'never'" in found.words
    assert states(store.root) == {"a": "stopped", "b": "running", "c": "finished"}


def test_a_missing_folder_does_not_stop_the_others(store):
    import shutil

    gone, there = store("gone"), store("there")
    shutil.rmtree(gone.folder)
    found = actions.stop_runs([gone, there])
    assert found.done == ("there",) and found.refused == {"gone": "its folder is gone"}
    assert actions.stop_runs([]).words == "Nothing was chosen."
