"""The lab without a browser: its page, and what it answers to filters, actions and its form."""

import re
import shutil
import time

import pytest
from lab_runs import TINY, step_event, write_run

from workbench.errors import WorkbenchError
from workbench.identity import identify
from workbench.lab.actions import KILLED
from workbench.lab.compare import Differences
from workbench.lab.runs import list_runs, set_state
from workbench.paths import data_folder
from workbench.progress import Cancelled, time_words
from workbench.views.lab import answers, page
from workbench.views.lab import start as lab_start
from workbench.views.lab.page import Wish, wished
from workbench.views.lab.words import flops
from workbench.views.site.entry import Visit
from workbench.views.site.services import services

DATA = data_folder()


@pytest.fixture
def shared(tmp_path, monkeypatch):
    """Services on an empty folder of runs, with one tiny configuration; no queue is started."""
    folder = tmp_path / "data" / "configs"
    folder.mkdir(parents=True)
    (folder / "tiny.toml").write_text(TINY.format(passes=1, seed=0))
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(lab_start, "ensure_queue", lambda root, slots: None)
    found = services()
    monkeypatch.setattr(found, "runs", tmp_path / "runs")
    yield found
    found.watch()._followers.clear()


@pytest.fixture
def make(shared):
    """Return a maker of runs, as `write_run` takes them, that returns their names."""

    def one(*given, **status):
        folder = write_run(shared.runs, *given, **status)
        shared.watch().look()
        return folder.name

    return one


def ask(kind, **given):
    return answers.answer({"kind": kind, "client": "me", **given}, lambda *far: None)


def look(**wish):
    return ask("look", **wish)


def do(action, *names, **given):
    return ask("do", action=action, names=list(names), **given)["said"]


def names(**wish):
    return [row["name"] for row in look(**wish)["rows"]]


def test_a_server_that_others_may_reach_has_no_lab(monkeypatch):
    monkeypatch.setattr(services(), "runs", None)
    with pytest.raises(WorkbenchError, match="workbench serve"):
        page.document(Visit())
    with pytest.raises(WorkbenchError, match="workbench serve"):
        look()


def test_the_page_says_what_to_do_first_before_any_script_has_run(shared, make, tmp_path):
    for name in ("presets.toml", "configs/depo-n8-from-n1.toml", "configs/depo-n8-n4.toml"):
        shutil.copy(DATA / name, tmp_path / "data" / name)
    first = page.document(Visit())
    assert '<div class="empty" id="empty">' in first.body and 'id="runs" hidden' in first.body
    assert re.findall(r'type="radio"[^>]* value="([^"]*)"', first.body)[:2] == [
        "two-minutes", "five-minutes",
    ]  # fmt: skip
    assert first.body.count(" checked>") == 1 and "<dd>6 runs: sleep with N" in first.body
    assert "<noscript>" in first.body and page.document(Visit(rest="more")) is None
    make("one", 1, 0)
    found = page.document(Visit({"runs": "gone", "state": "<b>"}))
    assert 'id="empty" hidden' in found.body and 'id="runs">' in found.body
    assert "There is no state &#x27;&lt;b&gt;&#x27;." in found.body
    assert "A run in the address does not exist." in found.body
    assert found.data["wish"]["names"] == ()


def test_a_row_says_what_a_run_is_and_how_far(make):
    make("one", 2, 0, "running", [(10, 0.5), (20, 0.995)], **identify())
    found = look()
    (row,) = found["rows"]
    assert row["sub"] == "sleep, N = 2, seed 0"
    assert (row["word"], row["progress"], row["share"]) == ("running", "20 / 40", 0.5)
    assert row["loss"] == "0.050"
    assert row["tested"] == "tested at N = 2"
    assert row["levels"] == [["1", "1 hop", 0.995, "99"], ["2", "2 hops", 0.497, "50"]]
    assert found["counts"] == "1 running" and found["total"] == 1


def test_states_are_reported_as_they_are(shared, make, monkeypatch):
    name = make("one", 2, 0, "running", [(10, 0.5)], **identify())
    (shared.runs / name / "stop").touch()
    shared.watch().look()
    assert look()["rows"][0]["word"] == "stopping ..."
    monkeypatch.setattr("workbench.lab.runs.alive", lambda status: False)
    shared.watch().look()
    row = look()["rows"][0]
    assert (row["state"], row["word"]) == ("died", "died")
    assert "ended without a word" in row["problem"]
    set_state(shared.runs / name, "died", step=10, steps=40, error=KILLED)
    shared.watch().look()
    row = look()["rows"][0]
    assert (row["state"], row["word"], row["problem"]) == ("died", "killed", KILLED)


def test_filters(make):
    a = make("one", 1, 0, "finished", [(40, 1.0)])
    b = make("one", 2, 0, "stopped", [(20, 0.5)])
    time.sleep(0.02)
    c = make("two", 2, 1)
    assert names() == [c, a, b], "the newest experiment first, each in its order"
    assert names(text="n = 2 sleep") == [c, b]
    assert names(state="stopped") == [b]
    found = look(sweep="one")
    assert [row["name"] for row in found["rows"]] == [a, b]
    assert found["sweep_options"] == ["two", "one"]
    assert found["state_options"] == ["queued", "stopped", "finished"]
    assert names(text="none such", sweep="one") == []


def test_the_address_holds_filters_and_selection(shared, make):
    a, b = make("one", 1, 0), make("one", 2, 0)
    seen = shared.watch().seen
    query = {"runs": f"{a},gone,../x", "state": "queued", "text": "sleep", "experiment": "one"}
    found = wished(query, seen)
    assert found == (Wish("sleep", "queued", "one", (a,)), ["2 runs in the address do not exist"])
    wish, problems = wished({"state": "asleep", "experiment": "none"}, seen)
    assert problems == ["there is no state 'asleep'", "there is no experiment 'none'"]
    assert wish.names == (a, b), "without a selection, the newest experiment"


def test_selected_runs_are_drawn_and_compared(make):
    a = make("one", 1, 0, "finished", [(20, 0.4), (40, 0.5)])
    b = make("one", 2, 0, "finished", [(20, 0.6), (40, 0.9)])
    none = ask("curves")
    assert none["figures"] == {} and "Select runs" in none["hint"]
    both = ask("curves", names=[a, b, "gone"], columns=2, smoothing=0.6)
    assert set(both["figures"]) == {"learning", "against_n"} and both["hint"] == ""
    assert "sleep.passes" in both["differences"] and "training.seed" not in both["differences"]
    assert ask("curves", names=[a])["differences"] == ""


def test_a_page_hears_only_what_is_new(shared, make, monkeypatch):
    a = make("one", 1, 0, "running", [(20, 0.4)], **identify())
    first = look(names=[a])
    again = look(names=[a], version=first["version"])
    assert again == {"version": first["version"]}
    drawn = ask("curves", names=[a])
    assert drawn["drawn"] == first["drawn"]
    make("two", 1, 0)
    second = look(names=[a], version=first["version"])
    assert len(second["rows"]) == 2 and second["drawn"] == first["drawn"], "another run's doings"
    with (shared.runs / a / "events.jsonl").open("a") as file:
        file.write(step_event(21, 0.1))
    shared.watch().look()
    third = look(names=[a], version=second["version"])
    assert third["drawn"] != first["drawn"]
    assert ask("curves", names=[a])["figures"] != drawn["figures"]
    dark = look(names=[a], theme="dark")
    assert dark["drawn"] != third["drawn"]
    monkeypatch.setattr(answers, "BORN", "another")
    assert "rows" in look(names=[a], version=third["version"]), "a server that was started again"


def test_data_is_saved_as_csv(make):
    a = make("one", 1, 0, "running", [(20, 0.4)], **identify())
    b = make("one", 1, 1, "running", [(20, 0.6)], **identify())
    saved = ask("csv", which="learning", names=[a, b])
    lines = saved["text"].splitlines()
    assert saved["name"] == "sleep-learning.csv"
    assert lines[0].startswith("run,experiment,arm,n_train,seed,step,what")
    assert f"{a},one,sleep,1,0,20,loss,,,0.05" in lines
    assert f"{b},one,sleep,1,1,20,accuracy,1,1,0.6" in lines
    lines = ask("csv", which="against_n", names=[a, b])["text"].splitlines()
    assert lines[0] == "arm,n,difficulty,mean,low,high,seeds"
    assert lines[1].startswith("sleep,1,1,0.5,") and lines[1].endswith(",2")


def test_several_experiments_are_kept_apart_and_another_task_is_left_out(shared, make):
    a, b = make("one", 1, 0, "finished", [(40, 0.5)]), make("two", 1, 0, "finished", [(40, 0.9)])
    assert ask("curves", names=[a, b])["hint"] == ""
    content = ask("csv", which="against_n", names=[a, b])["text"]
    assert "one: sleep,1,1,0.5" in content and "two: sleep,1,1,0.9" in content
    c = make("three", 1, 0, "finished", [(40, 0.7)])
    path = shared.runs / c / "experiment.toml"
    path.write_text(path.read_text().replace("queries = 2", "queries = 1"))
    shared.watch().look()
    found = ask("curves", names=[a, c])
    assert "1 selected run has another task" in found["hint"] and found["figures"]


def test_actions_are_reported_in_words(make):
    a, b = make("one", 1, 0), make("one", 2, 0, "finished")
    assert do("stop", a, b) == f"{a} withdrawn from the queue; {b} left alone: it is finished."
    do("delete", b)
    assert names() == [a] and look()["trash"] == [b]
    do("restore", b)
    assert set(names()) == {a, b} and look()["trash"] == []
    with pytest.raises(WorkbenchError, match="no such"):
        do("no such", b)
    assert do("delete", a, b) == "2 runs moved to the trash."
    assert "2 deleted" in do("empty")
    found = look()
    assert found["trash"] == [] and found["total"] == 0


def test_runs_that_are_stopping_can_be_resumed_and_say_so(shared, make, monkeypatch):
    monkeypatch.setattr("workbench.lab.actions.ensure_queue", lambda root, slots: None)
    stopping = make("one", 1, 0, "running", [(10, 0.5)], **identify())
    (shared.runs / stopping / "stop").touch()
    assert f"{stopping} queued to go on after stopping" in do("resume", stopping)
    found = look()
    assert found["rows"][0]["word"] == "stopping, then going on"
    assert found["states"] == {stopping: "stopping"}, "which the button for resuming takes"


def test_a_note_is_kept_searched_and_limited(shared, make):
    a = make("one", 1, 0)
    do("note", a, text="  <b>odd</b> seed\x1b[2J ")
    assert (shared.runs / a / "note.txt").read_text() == "<b>odd</b> seed[2J"
    assert [row["note"] for row in look(text="odd")["rows"]] == ["<b>odd</b> seed[2J"]
    assert "a note of 1,001 characters" in do("note", a, text="x" * 1001)
    do("note", a, text=" ")
    assert names(text="odd") == [] and not (shared.runs / a / "note.txt").exists()


def test_finished_runs_say_what_they_show_and_can_be_watched(make):
    a = make("one", 1, 0, "finished", [(40, 0.5)])
    b = make("one", 2, 0, "running", [(20, 0.9)], **identify())
    assert [row["watch"] for row in look()["rows"]] == [f"?model=runs/{a}", ""]
    assert "1 of 2 runs have finished" in ask("curves", names=[a, b])["conclusion"][0]
    found = ask("curves", names=[a])
    assert "At 2 hops, sleep, N = 1 reaches 25 %" in " ".join(found["conclusion"])
    assert found["finished"] == [], "without weights there is nothing to watch"


def test_runs_that_wait_for_nobody_can_be_helped(shared, make, monkeypatch):
    make("one", 1, 0)
    started = []
    monkeypatch.setattr(answers, "ensure_queue", lambda *given: started.append(given))
    monkeypatch.setattr("workbench.lab.watch.PATIENCE", 0.0)
    shared.watch().look()
    shared.watch().look()
    assert look()["waiting"]
    do("queue")
    assert started[0][0] == shared.runs and started[0][1].cores >= 1


@pytest.fixture
def form(shared):
    """Return what asks as the form does, with what its fields hold; it follows the answers."""
    held = dict(lab_start.opened(shared)["values"])

    def asked(kind, **changes):
        values = {**held, **changes, "settings": held["settings"] | changes.get("settings", {})}
        found = ask(kind, **values)
        held.update(found.get("values", {}))
        if found.get("count"):  # as the form does, at once
            found |= ask("count", **{**values, **found.get("values", {})})
        return found

    asked.held = held
    return asked


def test_presets_fill_the_form_with_their_plan_at_once(shared, tmp_path):
    for name in ("presets.toml", "configs/depo-n8-from-n1.toml", "configs/depo-n8-n4.toml"):
        shutil.copy(DATA / name, tmp_path / "data" / name)
    first = lab_start.opened(shared)
    assert [card["name"] for card in first["presets"]][:2] == ["two-minutes", "five-minutes"]
    assert first["preset"] == "two-minutes"
    assert dict(first["plan"])["Trains"].startswith("6 runs: sleep with")
    assert first["values"]["sweep"] == "two-minutes-1"
    kept = {**first["values"], "seeds": "7", "sweep": "mine"}
    taken = ask("preset", preset="compute", **first["values"])
    assert taken["preset"] == "compute" and taken["values"]["arms"]["longer"] == "3"
    back = ask("restore", **kept)
    assert back["values"] == kept and back["preset"] == "", "a reload brings back what was typed"


def test_a_bad_value_is_refused_at_its_field_and_nothing_starts(shared, form):
    found = form("change", settings={"task.nodes": "2"})
    assert found["problems"] == {"task.nodes": "'2' given; expected a whole number, 3 to 100000"}
    found = form("start", settings={"task.nodes": "2"}, seeds="x")
    assert set(found["problems"]) == {"task.nodes", "seeds"} and found["refused"]
    assert not shared.runs.exists() or list_runs(shared.runs) == []
    assert not found["busy"] and "started" not in found


def test_start_queues_runs_and_selects_them(shared, form):
    changes = {"arms": {"sleep": "1, 2"}, "seeds": "0, 1", "steps": "5"}
    found = form("change", **changes)
    plan = dict(found["plan"])
    assert plan["Trains"].startswith("4 runs: sleep with N = 1 and 2; seeds 0 and 1; 5 steps each")
    assert "Unknown" in plan["Takes"] and "with 2 seeds" in plan["Cannot show"]
    assert not found["busy"]
    found = form("start", **changes)
    runs = list_runs(shared.runs)
    assert {run.state for run in runs} == {"queued"} and len(runs) == 4
    assert sorted(found["started"]) == sorted(run.name for run in runs) == sorted(found["until"])
    assert found["said"].startswith("tiny-1: 4 runs are queued")
    assert form.held["sweep"] == "tiny-2", "the next experiment has a free name"
    assert form.held["arms"] == {"sleep": "1, 2"} and form.held["steps"] == "5"
    assert look(until=found["until"])["going"]
    for run in runs:
        set_state(run.folder, "finished", step=5, steps=5)
    shared.watch().look()
    assert not look(until=found["until"])["going"], "what was said of them is no longer true"
    again = form("start", **changes, sweep="tiny-1")
    assert len(list_runs(shared.runs)) == 4, "the same experiment again adds nothing"
    assert again["preview"] == "Nothing to start: all 4 runs of tiny-1 are finished."
    assert again["said"] == again["preview"] and again["until"] == [] and not again["busy"]
    found = form("change", **changes, sweep="tiny-1")
    assert found["plan"] == [["Trains", "4 runs, all finished already: nothing to start."]]


def test_nothing_is_counted_for_a_page_that_has_gone(shared, form, monkeypatch):
    monkeypatch.setattr(lab_start, "propose", lambda choices, root: pytest.fail("it was counted"))

    def gone(*far):
        raise Cancelled

    with pytest.raises(Cancelled):
        answers.answer({"kind": "count", **form.held}, gone)


def test_another_starting_point_fills_the_form(form, tmp_path):
    text = TINY.format(passes=4, seed=0).replace("nodes = 4", "nodes = 6")
    (tmp_path / "data" / "configs" / "wide.toml").write_text(text)
    values = form("from", start="wide", seeds="7")["values"]
    assert values["settings"]["task.nodes"] == "6" and values["sweep"] == "wide-1"
    assert values["seeds"] == "7", "what does not belong to it stays"
    assert "start" in form("from", start="gone")["problems"]


def test_a_folder_that_cannot_be_written_to_is_reported(form, monkeypatch):
    def full(to_do, root):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(lab_start, "request_all", full)
    said = form("start", steps="5")["problems"]["form"]
    assert "Nothing was started" in said and "No space left" in said


@pytest.mark.parametrize("kind", ["", "none such", None, "task", "preset"])
def test_what_no_form_asks_is_one_line(shared, kind):
    with pytest.raises(WorkbenchError, match="reload the page"):
        ask(kind, task=["x"], settings=3, names="x", arms=[1])


def test_names_cannot_bring_html():
    bad = "<img src=x>"
    html = answers.differences_html(Differences((bad,), {bad: (bad,)}, 1, (bad,)), 99)
    assert "<img" not in html and html.count("&lt;img src=x&gt;") == 4
    assert "The first 12 of 99" in html


def test_numbers_in_words():
    assert [flops(v) for v in (1.23e6, 4.5e9, 6.789e12, 1e15)] == [
        "1.23 MFLOP", "4.5 GFLOP", "6.79 TFLOP", "1 PFLOP",
    ]  # fmt: skip
    assert [time_words(v) for v in (0.2, 30, 600, 9000)] == ["1 s", "30 s", "10 min", "2.5 h"]
