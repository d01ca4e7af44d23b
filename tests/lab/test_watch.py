"""The watch sees changes, reads nothing twice, and rests without watchers."""

import json
import os
import time

import pytest
from waiting import until

from workbench.files import write_json, write_text
from workbench.identity import identify
from workbench.lab import watch as module
from workbench.lab.runs import read_events, read_run, request, set_state
from workbench.lab.trash import trash
from workbench.lab.watch import Watch
from workbench.training.run_files import read_status

TOML = '[task]\nname = "depo"\n[training]\nsteps = 40\n'


def make(root, name, sweep="one", state=None, **status):
    folder = root / name
    request(folder, TOML, {"sweep": sweep, "arm": "sleep"}, 40)
    if state is not None:
        set_state(folder, state, **status)
    return folder


def tell(folder, *events):
    with (folder / "events.jsonl").open("a") as file:
        for event in events:
            file.write(json.dumps(event) + "\n")


def step(number, loss=1.0):
    return {"kind": "step", "step": number, "loss": loss, "seconds": 0.1 * number}


@pytest.fixture
def watch(tmp_path):
    """A watch that looks only when it is called, followed by "me"."""
    one = Watch(tmp_path, pause=3600)
    one.follow("me")
    return one


def test_an_empty_folder_and_a_missing_one(tmp_path):
    assert Watch(tmp_path).look().runs == ()
    assert Watch(tmp_path / "none").look().runs == ()


def test_a_version_changes_with_what_is_seen_and_only_then(watch, tmp_path):
    first = watch.look().version
    folder = make(tmp_path, "a")
    second = watch.look()
    assert second.version > first and [run.state for run in second.runs] == ["queued"]
    assert watch.look().version == second.version
    set_state(folder, "running", step=0, steps=40, **identify())
    tell(folder, step(5, 0.7))
    third = watch.look()
    assert (third.runs[0].state, third.runs[0].step, third.runs[0].loss) == ("running", 5, 0.7)
    trash(read_run(make(tmp_path, "b")))
    assert watch.look().trash == ("b",)


def test_a_run_asked_to_stop_is_stopping_until_it_has(watch, tmp_path):
    folder = make(tmp_path, "a", state="running", step=3, steps=40, **identify())
    (folder / "stop").touch()
    assert watch.look().stopping == {"a"}
    set_state(folder, "stopped", step=3, steps=40)
    assert watch.look().stopping == frozenset()


def test_a_process_that_has_gone_is_seen_though_nothing_is_written(watch, tmp_path, monkeypatch):
    folder = make(tmp_path, "a", state="running", step=3, steps=40, **identify())
    write_text(folder / "log.txt", "workbench: no room on the disk\n")
    assert watch.look().runs[0].state == "running"
    monkeypatch.setattr("workbench.lab.runs.alive", lambda status: False)
    run = watch.look().runs[0]
    assert (run.state, run.problem) == ("died", "no room on the disk")


def test_events_are_read_on_from_where_reading_stopped(watch, tmp_path):
    folder = make(tmp_path, "a")
    tell(folder, step(5), step(10))
    watch.follow("me", ["a", "gone"])
    assert [e["step"] for e in watch.events_of(["a"])["a"]] == [5, 10]
    before = watch.versions(["a"])
    watch.look()
    assert watch.versions(["a"]) == before
    with (folder / "events.jsonl").open("a") as file:
        file.write(json.dumps(step(15)) + "\n" + '{"kind": "st')
    watch.look()
    assert [e["step"] for e in watch.events_of(["a"])["a"]] == [5, 10, 15], "half a line waits"
    assert watch.versions(["a"]) != before
    watch.follow("me", [])
    assert watch.events_of(["a"]) == {}, "events that are not followed are forgotten"


def test_events_written_anew_replace_the_old(watch, tmp_path):
    """A run that was killed and resumed drops what came after its resume point."""
    folder = make(tmp_path, "a")
    tell(folder, *(step(n) for n in range(5, 40, 5)))
    watch.follow("me", ["a"])
    kept = [step(n, 0.5) for n in range(5, 25, 5)] + [step(n, 0.25) for n in range(21, 60)]
    write_text(folder / "events.jsonl", "".join(json.dumps(e) + "\n" for e in kept))
    watch.look()
    assert list(watch.events_of(["a"])["a"]) == kept


def test_experiments_stay_together_the_newest_first(watch, tmp_path):
    for age, (name, sweep) in enumerate([("z", "new"), ("c", "new"), ("b", "old"), ("a", "old")]):
        folder = make(tmp_path, name, sweep)
        at = time.time() - 10 * (4 if sweep == "old" else 0) + age
        os.utime(folder / "experiment.toml", (at, at))
    assert [run.name for run in watch.look().runs] == ["z", "c", "b", "a"]


def test_runs_that_no_queue_works_on_are_reported(watch, tmp_path, monkeypatch):
    make(tmp_path, "a")
    assert not watch.look().waiting, "a queue may just be starting"
    monkeypatch.setattr(module, "PATIENCE", 0.0)
    assert watch.look().waiting
    monkeypatch.setattr(module, "queue_works", lambda root: True)
    assert not watch.look().waiting


def test_one_thread_for_all_and_none_at_work_once_pages_are_gone(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST", 2)
    watch = Watch(tmp_path, pause=0.01)
    for key in "abc":
        watch.follow(key)
    thread = watch._thread
    assert list(watch._followers) == ["b", "c"], "no more than are looked for at a time"
    make(tmp_path, "a")
    until(lambda: watch.seen.runs)
    monkeypatch.setattr(module, "LINGER", 0.0)
    for key in "bc":
        watch.follow(key)
    until(lambda: not watch._followers)
    time.sleep(0.1)
    version = watch.seen.version
    make(tmp_path, "b")
    time.sleep(0.2)
    assert watch.seen.version == version and watch._thread is thread
    assert len(watch.follow("d").runs) == 2, "the first look is done when follow returns"


def test_what_was_read_is_not_read_again(tmp_path, monkeypatch):
    scores = {"accuracy": {str(k): 0.5 for k in range(1, 5)}, "exact": 0.1, "chance": {}}
    lines = []
    for number in range(1, 201):
        event = step(number)
        if number % 20 == 0:
            event = {"kind": "evaluation", "step": number}
            event["passes"] = {str(n): scores for n in (1, 2, 4, 6, 8)}
        lines.append(json.dumps(event) + "\n")
    for number in range(12):
        folder = make(tmp_path, f"r{number}", state="running", step=0, steps=200, **identify())
        write_text(folder / "events.jsonl", "".join(lines))
        write_json(folder / "labels.json", {"sweep": "s", "arm": "sleep", "seed": number})
    read = {"runs": 0, "events": 0}

    def counted(what, reader):
        def count(*arguments):
            read[what] += 1
            return reader(*arguments)

        return count

    monkeypatch.setattr("workbench.lab.runs.read_status", counted("runs", read_status))
    monkeypatch.setattr(module, "read_events", counted("events", read_events))
    watch = Watch(tmp_path, pause=3600)
    watch.follow("me")
    assert len(watch.look().runs) == 12
    watch.look()
    assert read == {"runs": 12, "events": 0}, "what has not changed is not read again"
    watch.follow("me", [f"r{n}" for n in range(10)])
    watch.look()
    assert read == {"runs": 12, "events": 10}
    tell(tmp_path / "r11", step(201))
    watch.look()
    assert read == {"runs": 13, "events": 10}
    assert len(watch.events_of(["r9"])["r9"]) == 200
