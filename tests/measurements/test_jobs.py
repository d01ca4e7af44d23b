"""Measurements in the background: who may start, cancel and remove one, and who sees it at work.

A process that only sleeps stands for the real one.
"""

import json
import os
import sys
import threading
import time

import pytest

from workbench.errors import WorkbenchError
from workbench.identity import identify
from workbench.lab.processes import alive, find
from workbench.lab.runs import SILENT
from workbench.measurements import jobs
from workbench.measurements.jobs import (
    AT_ONCE,
    PROGRESS,
    REQUEST,
    RESULT,
    STATUS,
    Request,
    cancel,
    folder_of,
    progress_of,
    remove,
    running,
    start,
)


def request(**settings):
    return Request(kind="lens", checkpoint="ring", sha256="0" * 64, settings=settings)


ASKED = request(examples=8)
LONG_AGO = 2 * SILENT


@pytest.fixture
def spawned(monkeypatch):
    """Let measurements sleep; the processes that were started."""
    spawn, found = jobs.spawn, []

    def sleeps(command, log):
        found.append(spawn([sys.executable, "-I", "-c", "import time; time.sleep(60)"], log))
        return found[-1]

    monkeypatch.setattr(jobs, "spawn", sleeps)
    yield found
    for process in found:
        process.kill()


def made(root, asked=ASKED, *, old=0.0, **files):
    """Write a measurement's files as if they had been written some seconds ago."""
    folder = folder_of(root, asked)
    folder.mkdir(parents=True)
    written = time.time() - old
    for name, data in {"request": {"kind": "lens"}, **files}.items():
        path = folder / f"{name}.json"
        path.write_text(json.dumps(data))
        os.utime(path, (written, written))
    return folder


def beside(task, *arguments):
    """Do something in another thread."""
    thread = threading.Thread(target=task, args=arguments)
    thread.start()
    return thread


def test_a_request_names_the_weights(tmp_path, spawned):
    folder = start(tmp_path, ASKED)
    assert json.loads((folder / REQUEST).read_text())["sha256"] == ASKED.sha256
    assert cancel(folder) and not cancel(folder)
    assert progress_of(folder).state == "cancelled"


def test_cancelled_while_it_is_being_started_it_does_not_go_on(tmp_path, spawned, monkeypatch):
    sleeps, there, go_on = jobs.spawn, threading.Event(), threading.Event()

    def slowly(command, log):
        process = sleeps(command, log)
        there.set()
        go_on.wait(20)
        return process

    monkeypatch.setattr(jobs, "spawn", slowly)
    starting = beside(start, tmp_path, ASKED)
    assert there.wait(20)
    cancelling = beside(cancel, folder_of(tmp_path, ASKED))
    cancelling.join(0.2)  # it waits until the process has said who it is
    go_on.set()
    starting.join()
    cancelling.join()
    folder = folder_of(tmp_path, ASKED)
    assert progress_of(folder).state == "cancelled"
    assert not alive(json.loads((folder / STATUS).read_text()))


def test_nothing_is_called_cancelled_that_has_no_process(tmp_path):
    folder = made(tmp_path)
    assert progress_of(folder).state == "running", "it may be about to start"
    assert not cancel(folder)
    assert not (folder / STATUS).exists()


def test_one_that_was_started_again_is_not_removed(tmp_path):
    folder = made(tmp_path, status={"cancelled": True})
    with jobs._locked(tmp_path):
        removing = beside(remove, folder)
        removing.join(0.2)
        (folder / STATUS).write_text(json.dumps(identify()))
    removing.join()
    assert progress_of(folder).state == "running"
    (folder / STATUS).write_text(json.dumps({"cancelled": True}))
    assert remove(folder) and not folder.exists() and not remove(folder)


def test_another_machine_is_at_work_while_it_gives_signs(tmp_path, spawned):
    other = {"host": "another", "pid": os.getpid(), "started": 1.0}
    told = {"done": 1, "total": 4, "began": time.time()}
    folder = made(tmp_path, old=LONG_AGO, status=other, progress=told)
    silent = progress_of(folder)
    assert (
        silent.state == "failed" and silent.message == "no sign of life from another for 10 minutes"
    )
    for name in (PROGRESS, jobs.ALIVE):
        (folder / name).touch()
        assert progress_of(folder).state == "running"
        os.utime(folder / name, (1, 1))
    (folder / PROGRESS).touch()
    assert running(tmp_path) == [folder]
    assert start(tmp_path, ASKED) == folder and not spawned and (folder / STATUS).exists()
    with pytest.raises(WorkbenchError, match="runs on another"):
        cancel(folder)
    assert not remove(folder)
    for seed in range(1, AT_ONCE):
        start(tmp_path, request(seed=seed))
    with pytest.raises(WorkbenchError, match="running already"):
        start(tmp_path, request(seed=AT_ONCE))


def test_what_is_done_is_measured_again_where_that_is_asked_for(tmp_path, spawned):
    folder = made(tmp_path, status={"started": 1.0}, result={})
    assert start(tmp_path, ASKED) == folder and (folder / RESULT).exists() and not spawned
    assert start(tmp_path, ASKED, again=True) == folder and not (folder / RESULT).exists()
    assert len(spawned) == 1 and find(json.loads((folder / STATUS).read_text())) is not None
    assert start(tmp_path, ASKED, again=True) == folder and len(spawned) == 1, "it is at work"


def test_two_requests_at_the_same_moment_start_one_process(tmp_path, spawned, monkeypatch):
    sleeps = jobs.spawn

    def slowly(command, log):
        time.sleep(0.2)
        return sleeps(command, log)

    monkeypatch.setattr(jobs, "spawn", slowly)
    threads = [beside(start, tmp_path, ASKED) for _ in range(3)]
    time.sleep(0.1)
    early = progress_of(folder_of(tmp_path, ASKED)).state  # its process has not started yet
    for thread in threads:
        thread.join()
    assert len(spawned) == 1 and early in ("new", "running")


def test_one_whose_process_has_gone_has_failed(tmp_path, spawned):
    folder = start(tmp_path, ASKED)
    cancel(folder)
    status = json.loads((folder / STATUS).read_text())
    (folder / STATUS).write_text(json.dumps({**status, "cancelled": False}))
    failed = progress_of(folder)
    assert (failed.state, failed.message) == ("failed", "its process ended without a message")


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path):
    (tmp_path / "runs").write_text("")
    with pytest.raises(WorkbenchError, match="room for a measurement"):
        start(tmp_path / "runs", ASKED)
