"""The run store: what a folder says, also when it is damaged, and what may be done to it."""

import json
import os
import subprocess
import sys
import time

import pytest

from workbench.errors import WorkbenchError
from workbench.identity import identify
from workbench.lab import runs as runs_module
from workbench.lab.record import entries_of
from workbench.lab.runs import (
    find_run,
    list_runs,
    log_tail,
    read_events,
    read_run,
    requeue,
    scores_at_trained,
)
from workbench.lab.trash import empty_trash, restore, trash, trashed
from workbench.lab.watch import Watch


def event(step, **more):
    return {"kind": "step", "step": step, "loss": 1.0 / step, "seconds": step / 2, **more}


def evaluated(step, shares):
    chance = {"uniform guess": {"accuracy": {"1": 0.125}, "exact": None}}
    passes = {n: {"accuracy": {"1": s}, "exact": s, "chance": chance} for n, s in shares.items()}
    return {"kind": "evaluation", "step": step, "passes": passes}


@pytest.fixture
def make_run(tmp_path):
    """Return a maker of run folders that no process has touched."""

    def make(name="one", state="stopped", events=(), labels=None, **status):
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        (folder / "experiment.toml").write_text('[task]\nname = "depo"\n')
        status = {"state": state, "step": 0, "steps": 10, **status}
        (folder / "status.json").write_text(json.dumps(status))
        (folder / "events.jsonl").write_text("".join(json.dumps(e) + "\n" for e in events))
        if labels:
            (folder / "labels.json").write_text(json.dumps(labels))
        return folder

    return make


def ended_process():
    """Return who a process was that is gone."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    who = identify(child.pid)
    child.communicate(b"\n")
    return who


def test_what_a_folder_says(make_run):
    evaluation = evaluated(4, {"2": 0.5})
    make_run("one", "finished", [event(2), event(4), evaluation], {"sweep": "s"}, step=4)
    (run,) = list_runs(make_run("two").parent, lambda run: run.name == "one")
    assert (run.name, run.state, run.step, run.steps) == ("one", "finished", 4, 10)
    assert (run.loss, run.seconds) == (0.25, 2.0)
    assert run.evaluation == evaluation["passes"]
    assert not run.active and run.problem is None


def test_a_run_without_evaluations_on_the_way_tells_the_one_that_ended_it(make_run):
    folder = make_run("one", "finished", [event(10)], {"n_train": "1-4"}, step=10)
    (folder / "checkpoint").mkdir()
    final = evaluated(10, {"2": 0.5, "4": 0.9, "8": 0.1})["passes"]
    (folder / "checkpoint" / "provenance.json").write_text(
        json.dumps({"metrics": {"passes": final}})
    )
    run = read_run(folder)
    assert run.evaluation == final
    assert scores_at_trained(run) == ("4", {"1": 0.9}), "N = 8 was not trained"
    (folder / "checkpoint" / "provenance.json").write_text("{")
    run = read_run(folder)
    assert run.evaluation == {} and scores_at_trained(run) == ("", {})
    assert run.state == "damaged" and run.problem.startswith("checkpoint/provenance.json is not")


def test_the_newest_word_comes_first(make_run):
    for name, age in (("old", 300), ("new", 0), ("older", 900)):
        folder = make_run(name)
        for path in folder.iterdir():
            os.utime(path, (time.time() - age,) * 2)
    assert [run.name for run in list_runs(folder.parent)] == ["new", "old", "older"]


def test_a_run_at_work_and_one_whose_process_has_died(make_run):
    make_run("working", "running", **identify())
    make_run("gone", "running", **ended_process())
    make_run("reused", "running", **{**identify(), "started": time.time() - 1e6})
    states = {run.name: run.state for run in list_runs(make_run("queued", "queued").parent)}
    assert states == {"working": "running", "gone": "died", "reused": "died", "queued": "queued"}


def test_a_died_run_tells_what_its_process_said_last(make_run):
    folder = make_run("gone", "running", **ended_process())
    assert "without a word" in read_run(folder).problem
    (folder / "log.txt").write_text("step 1\r step 2\nworkbench: no room; expected room; make it\n")
    assert read_run(folder).problem == "no room; expected room; make it"
    assert log_tail(folder)[-2:] == [" step 2", "workbench: no room; expected room; make it"]


def test_a_run_on_another_host_is_believed_while_it_speaks(make_run):
    folder = make_run("far", "running", host="elsewhere", pid=1, started=1.0)
    assert read_run(folder).state == "running"
    for path in folder.iterdir():
        os.utime(path, (time.time() - 3600,) * 2)
    assert read_run(folder).state == "died"


def test_a_run_on_another_host_that_evaluates_for_long_is_not_dead(make_run, monkeypatch):
    """It says nothing for an hour; 20 s ago it gave a sign of life, 11 minutes later none since."""
    folder = make_run("far", "running", [event(2)], host="elsewhere", pid=1, started=1.0)
    now = 2_000_000_000.0
    monkeypatch.setattr(runs_module.time, "time", lambda: now)
    for name in ("status.json", "events.jsonl"):
        os.utime(folder / name, (now - 3600,) * 2)
    assert read_run(folder).state == "died"
    (folder / "alive").touch()
    os.utime(folder / "alive", (now - 20,) * 2)
    run = read_run(folder)
    assert run.state == "running"
    assert run.changed == now - 3600, "a sign of life does not change the order of lists"
    monkeypatch.setattr(runs_module.time, "time", lambda: now + 11 * 60)
    assert read_run(folder).state == "died"
    (folder / "status.json").write_text(json.dumps({"state": "stopped", "host": "elsewhere"}))
    os.utime(folder / "alive", (now + 11 * 60,) * 2)
    assert read_run(folder).state == "stopped"


def test_damaged_events_are_counted_and_the_others_read(make_run):
    folder = make_run("one", events=[event(1)])
    with (folder / "events.jsonl").open("ab") as file:
        file.write(b'{"kind": "st\x00\xff\n[1]\n' + json.dumps(event(2)).encode() + b"\n")
    found = read_events(folder)
    assert [e["step"] for e in found.entries] == [1, 2] and found.damaged == 2
    run = read_run(folder)
    assert (run.step, run.state) == (2, "stopped")
    assert run.problem == "2 of the last lines of events.jsonl cannot be read"


def test_events_are_read_on_from_where_one_was(make_run):
    folder = make_run("one", events=[event(1), event(2)])
    first = read_events(folder)
    assert [e["step"] for e in first.entries] == [1, 2]
    with (folder / "events.jsonl").open("a") as file:
        file.write(json.dumps(event(3)) + "\n" + json.dumps(event(4))[:9])
    second = read_events(folder, first.offset)
    assert [e["step"] for e in second.entries] == [3], "an unfinished line waits"
    with (folder / "events.jsonl").open("a") as file:
        file.write(json.dumps(event(4))[9:] + "\n")
    assert [e["step"] for e in read_events(folder, second.offset).entries] == [4]


def test_events_that_a_resumed_run_wrote_anew_are_read_from_the_start(make_run):
    folder = make_run("one", events=[event(i) for i in range(1, 9)])
    offset = read_events(folder).offset
    (folder / "events.jsonl").write_text(json.dumps(event(1)) + "\n")
    assert [e["step"] for e in read_events(folder, offset).entries] == [1]


def test_the_end_of_long_events_is_enough_for_a_list(make_run):
    folder = make_run("long", events=[event(i) for i in range(1, 5000)])
    assert read_run(folder).step == 4999


@pytest.mark.parametrize("name", ["../one", "one/..", "", ".trash", "none", "/etc", "one\n"])
def test_names_do_not_lead_out_of_the_folder(make_run, name):
    root = make_run("one").parent
    with pytest.raises(WorkbenchError, match="no run"):
        find_run(root, name)
    assert find_run(root, "one") == root / "one"


def test_deleted_runs_lie_in_the_trash_first(make_run):
    folder = make_run("one", events=[event(1)])
    root = folder.parent
    for _ in range(2):  # two of a name in the same second
        trash(read_run(folder))
        assert list_runs(root) == []
        if len(trashed(root)) == 1:
            make_run("one", events=[event(2)])
    assert len(trashed(root)) == 2
    assert read_run(restore(root, "one")).step in (1, 2)
    with pytest.raises(WorkbenchError, match="exists again"):
        restore(root, "one")
    with pytest.raises(WorkbenchError, match="no deleted run 'none'"):
        restore(root, "none")
    assert empty_trash(root) == 1 and trashed(root) == []
    assert [run.name for run in list_runs(root)] == ["one"]


def test_a_run_at_work_is_neither_deleted_nor_requeued(make_run):
    run = read_run(make_run("working", "running", **identify()))
    with pytest.raises(WorkbenchError, match="is running; expected one that no process works on"):
        trash(run)
    with pytest.raises(WorkbenchError, match="is running; expected one that stopped"):
        requeue(run)


@pytest.mark.parametrize("state", ["stopped", "failed"])
def test_a_run_that_ended_goes_back_into_the_queue(make_run, state):
    folder = make_run("one", state, error="why", pid=1)
    (folder / "stop").touch()
    requeue(read_run(folder))
    run = read_run(folder)
    assert run.state == "queued" and run.problem is None and "pid" not in run.status
    assert not (folder / "stop").exists()


# --- damage ---------------------------------------------------------------------------------------

LABELLED = {"sweep": "s", "arm": "sleep", "n_train": "2", "axes": {}, "seed": 0, "identity": "i"}
STATUS_DAMAGE = {
    "step": [None, "3", -1, 1.5, True],
    "steps": [[9], 10**18],
    "state": [None, "asleep", ["running"]],
    "error": [3],
    "host": [3],
    "pid": ["x", 10**18],
    "started": ["yesterday"],
    "queued_at": [None],
    "gpu": [{}],
    "launcher": ["yes"],
}
COSTS = [3, {"training": "x", "sleep": 1, "wake": 1}, {"training": 1.0}]
LABEL_DAMAGE = {
    "axes": ["x", None],
    "arm": [3],
    "sweep": [{}],
    "passes": ["4", -1],
    "seed": [1.5],
    "cost": COSTS,
    "n_train": [2],
}


def damages(values):
    """Parametrise a test by one wrong value at a time."""
    pairs = [(name, value) for name, wrong in values.items() for value in wrong]
    return pytest.mark.parametrize(("field", "value"), pairs)


@pytest.fixture
def two_runs(make_run):
    """Return the folder of a run that may be damaged, next to a sound one."""
    for name in ("good", "broken"):
        folder = make_run(name, "stopped", [event(2), evaluated(4, {"2": 0.5})], LABELLED, step=4)
    return folder


def both(folder):
    """Return the damaged run, having checked that the sound one is as it was."""
    runs = {run.name: run for run in list_runs(folder.parent)}
    good = runs["good"]
    assert (good.state, good.step, good.problem, good.loss) == ("stopped", 4, None, 0.5)
    Watch(folder.parent).look()
    assert len(entries_of(runs.values())) >= 1
    assert "\n" not in (runs["broken"].problem or "")
    return runs["broken"]


@damages(STATUS_DAMAGE)
def test_a_status_of_other_types_is_shown_as_damaged(two_runs, field, value):
    status = json.loads((two_runs / "status.json").read_text())
    (two_runs / "status.json").write_text(json.dumps(status | {field: value}))
    run = both(two_runs)
    assert run.state == "damaged" and f"status.json is damaged ({field}" in run.problem


@damages(LABEL_DAMAGE)
def test_labels_of_other_types_are_shown_as_damaged(two_runs, field, value):
    (two_runs / "labels.json").write_text(json.dumps(LABELLED | {field: value}))
    run = both(two_runs)
    assert run.state == "damaged" and f"labels.json is damaged ({field}" in run.problem
    assert run.labels == {}


def test_a_run_without_sleep_is_read(two_runs):
    (two_runs / "labels.json").write_text(json.dumps(LABELLED | {"n_train": "0", "passes": 0}))
    run = both(two_runs)
    assert (run.state, run.labels["passes"]) == ("stopped", 0)


@pytest.mark.parametrize(
    "line",
    [
        {"step": None},
        {"step": "3"},
        {"loss": "low"},
        {"loss": None},
        {"seconds": [1]},
        {"seconds": -1.0},
        {"kind": "sermon"},
        {"kind": None},
        {"kind": "evaluation"},
        {"kind": "evaluation", "passes": {}},
        {"kind": "evaluation", "passes": {"2": {"accuracy": {"1": 0.5}, "exact": 0.5}}},
        {"kind": "evaluation", "passes": {"x": evaluated(1, {"2": 0.5})["passes"]["2"]}},
        {"kind": "evaluation", "passes": evaluated(1, {"2": "0.5"})["passes"]},
        {"kind": "evaluation", "passes": evaluated(1, {"2": 1.5})["passes"]},
    ],
    ids=str,
)
def test_a_line_of_other_types_is_skipped_with_a_note(two_runs, line):
    with (two_runs / "events.jsonl").open("a") as file:
        file.write(json.dumps(event(6) | line) + "\n")
    run = both(two_runs)
    assert (run.state, run.step, run.loss) == ("stopped", 4, 0.5)
    assert run.problem == "1 of the last lines of events.jsonl cannot be read"
    assert read_events(two_runs).damaged == 1


@pytest.mark.parametrize("text", ["NaN", "1e999", "[" * 10**4, "9" * 5000, '"\\ud800"', "\xff"])
@pytest.mark.parametrize("name", ["status.json", "labels.json", "events.jsonl"])
def test_json_that_no_reader_takes_is_one_line(two_runs, name, text):
    line = {"status.json": "step", "labels.json": "seed", "events.jsonl": "loss"}[name]
    whole = f'{{"kind": "step", "state": "stopped", "step": 5, "seconds": 1, "{line}": {text}}}\n'
    (two_runs / name).write_bytes(whole.encode("latin-1"))
    run = both(two_runs)
    assert name in run.problem and (run.state == "damaged") == (name != "events.jsonl")


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "huge"])
@pytest.mark.parametrize(
    "name", ["status.json", "labels.json", "events.jsonl", "experiment.toml", "log.txt"]
)
def test_what_is_not_a_regular_file_of_some_size_is_not_read(two_runs, name, kind):
    path = two_runs / name
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    else:
        with path.open("wb") as file:
            file.truncate(2**40)  # sparse: it takes no room
    run = both(two_runs)
    assert log_tail(two_runs) == [] or kind == "huge"
    if name != "log.txt" and (name, kind) != ("events.jsonl", "huge"):  # whose end is read alone
        assert run.state == "damaged" and name in run.problem


def test_a_damaged_file_does_not_hide_that_a_process_works(make_run):
    """It can still be stopped."""
    folder = make_run("one", "running", labels={"axes": "x"}, **identify())
    run = read_run(folder)
    assert run.state == "running" and "labels.json is damaged (axes" in run.problem


def test_a_configuration_of_another_version_is_a_note(make_run):
    folder = make_run("one", "finished")
    (folder / "experiment.toml").write_text('[task]\nname = "depo"\nwormholes = 3\n')
    run = read_run(folder)
    assert run.state == "finished" and "wormholes is unknown" in run.problem
    assert entries_of([run]) == []


def test_a_name_may_be_any_bytes(make_run):
    folder = make_run("one")
    os.rename(folder, os.fsencode(folder.parent) + b"/\xff\x1b[31m\n")
    (run,) = list_runs(folder.parent)
    assert run.name.encode() == b"\\udcff\x1b[31m\n" and run.state == "stopped"
