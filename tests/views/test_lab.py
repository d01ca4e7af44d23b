"""The lab without a browser: filters, selection, actions, the form; set, then look at the panes."""

import itertools
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
from workbench.progress import time_words
from workbench.views.lab import start as lab_start
from workbench.views.lab.page import Lab
from workbench.views.lab.screen import differences_html
from workbench.views.lab.state import LabState
from workbench.views.lab.words import flops
from workbench.views.site.services import Services

DATA = data_folder()
COUNT = lab_start.LabStart._count


@pytest.fixture
def counted(monkeypatch, shared):
    """Let the form count what runs cost."""
    monkeypatch.setattr(lab_start.LabStart, "_count", COUNT)


@pytest.fixture
def shared(tmp_path, monkeypatch):
    """Services on an empty folder of runs, with one tiny configuration; no queue is started."""
    folder = tmp_path / "data" / "configs"
    folder.mkdir(parents=True)
    (folder / "tiny.toml").write_text(TINY.format(passes=1, seed=0))
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(lab_start.LabStart, "_count", lambda self, choices: None)  # slow
    monkeypatch.setattr(lab_start, "ensure_queue", lambda root, slots: None)
    found = Services()
    found.runs = tmp_path / "runs"
    yield found
    found.watch()._followers.clear()
    found.watch()._wanted.clear()


@pytest.fixture
def make(shared):
    """Return a maker of runs, as `write_run` takes them, that returns their names."""

    def one(*given, **status):
        folder = write_run(shared.runs, *given, **status)
        shared.watch().look()
        return folder.name

    return one


@pytest.fixture
def lab(shared):
    return Lab(shared=shared)


def table(lab):
    lab.draw()
    return lab.screen.table


NUMBER = itertools.count()


def do(lab, action, *names, text=""):
    message = {"kind": "do", "id": str(next(NUMBER)), "action": action, "names": names}
    lab.receive(message | {"text": text})
    return message


def names(lab):
    return [row["name"] for row in table(lab).rows]


def shown(pane):
    return "gone" not in pane.css_classes


def test_a_server_that_others_may_reach_has_no_lab():
    with pytest.raises(WorkbenchError, match="workbench serve"):
        Lab(shared=Services())


def test_without_runs_it_says_what_to_do_first(lab):
    lab.draw()
    assert shown(lab.screen.empty) and "Press Start" in lab.screen.empty.object
    assert not shown(lab.screen._runs) and not shown(lab.screen._comparison)
    assert lab.start.form.spec["starts"] == ["tiny"]
    assert lab.start.form.values["sweep"] == "tiny-1"


def test_a_row_says_what_a_run_is_and_how_far(lab, make):
    make("one", 2, 0, "running", [(10, 0.5), (20, 0.995)], **identify())
    (row,) = table(lab).rows
    assert row["sub"] == "sleep, N = 2, seed 0"
    assert (row["word"], row["progress"], row["share"]) == ("running", "20 / 40", 0.5)
    assert row["loss"] == "0.050"
    assert row["tested"] == "tested at N = 2"
    assert row["levels"] == [["1", "1 hop", 0.995, "99"], ["2", "2 hops", 0.497, "50"]]
    assert lab.screen.table.counts == "1 running"
    assert not shown(lab.screen.empty) and shown(lab.screen._runs)


def test_states_are_told_as_they_are(lab, shared, make, monkeypatch):
    name = make("one", 2, 0, "running", [(10, 0.5)], **identify())
    (shared.runs / name / "stop").touch()
    shared.watch().look()
    assert table(lab).rows[0]["word"] == "stopping ..."
    monkeypatch.setattr("workbench.lab.runs.alive", lambda status: False)
    shared.watch().look()
    row = table(lab).rows[0]
    assert (row["state"], row["word"]) == ("died", "died")
    assert "ended without a word" in row["problem"]
    set_state(shared.runs / name, "died", step=10, steps=40, error=KILLED)
    shared.watch().look()
    row = table(lab).rows[0]
    assert (row["state"], row["word"], row["problem"]) == ("died", "killed", KILLED)


def test_filters(lab, make):
    a = make("one", 1, 0, "finished", [(40, 1.0)])
    b = make("one", 2, 0, "stopped", [(20, 0.5)])
    time.sleep(0.02)
    c = make("two", 2, 1)
    assert names(lab) == [c, a, b], "the newest experiment first, each in its order"
    lab.receive({"kind": "filter", "text": "n = 2 sleep", "state": "", "sweep": "", "turn": 1})
    assert names(lab) == [c, b]
    lab.receive({"kind": "filter", "text": "", "state": "stopped", "sweep": "", "turn": 2})
    assert names(lab) == [b]
    lab.receive({"kind": "filter", "text": "", "state": "", "sweep": "one", "turn": 3})
    assert names(lab) == [a, b]
    assert lab.screen.table.sweep_options == ["two", "one"]
    assert lab.screen.table.state_options == ["queued", "stopped", "finished"]
    lab.receive({"kind": "filter", "text": "none such", "state": "", "sweep": "one", "turn": 4})
    assert names(lab) == []


def test_the_address_holds_filters_and_selection(lab, make):
    a, b = make("one", 1, 0), make("one", 2, 0)
    query = {"runs": f"{a},gone,../x", "state": "queued", "text": "sleep", "experiment": "one"}
    assert lab.restore(query) == ["2 runs in the address do not exist"]
    assert lab.state.selected == [a]
    assert lab.state.address() == {
        "text": "sleep", "state": "queued", "experiment": "one", "runs": a,
    }  # fmt: skip
    problems = lab.restore({"state": "asleep", "experiment": "none"})
    assert problems == ["there is no state 'asleep'", "there is no experiment 'none'"]
    assert lab.state.selected == [a, b], "without a selection, the newest experiment"
    assert LabState().address() == {}


def test_selected_runs_are_drawn_and_compared(lab, make):
    a = make("one", 1, 0, "finished", [(20, 0.4), (40, 0.5)])
    b = make("one", 2, 0, "finished", [(20, 0.6), (40, 0.9)])
    lab.draw()
    screen = lab.screen
    assert not any(map(shown, screen._figures.values())) and "Select runs" in screen.hint.object
    lab.receive({"kind": "select", "names": [a, b, "gone"], "turn": 5})
    lab.draw()
    assert all(map(shown, screen._figures.values())) and not shown(screen.hint)
    assert screen.table.choices["names"] == [a, b] and screen.table.choices["turn"] == 5
    assert (
        "sleep.passes" in screen.differences.object
        and "training.seed" not in screen.differences.object
    )
    lab.receive({"kind": "select", "names": [a], "turn": 6})
    lab.draw()
    assert not shown(screen._comparison)


def test_a_figure_is_drawn_anew_only_when_its_runs_tell_more(lab, shared, make):
    a = make("one", 1, 0, "running", [(20, 0.4)], **identify())
    lab.receive({"kind": "select", "names": [a], "turn": 7})
    lab.draw()
    first = lab.curves.figures
    make("two", 1, 0)
    lab.draw()
    assert lab.curves.figures is first, "another run's doings"
    with (shared.runs / a / "events.jsonl").open("a") as file:
        file.write(step_event(21, 0.1))
    shared.watch().look()
    lab.draw()
    assert lab.curves.figures is not first
    dark = lab.curves.figures
    lab.dark = True
    assert lab.curves.figures is not dark


def test_the_page_asks_whether_there_is_anything_new(lab, make):
    lab.draw()
    drawn = []
    lab.draw = lambda: drawn.append(True)
    lab.poll()
    assert drawn == []
    make("one", 1, 0)
    lab.poll()
    assert drawn == [True]


def test_data_is_saved_as_csv(lab, make):
    a = make("one", 1, 0, "running", [(20, 0.4)], **identify())
    b = make("one", 1, 1, "running", [(20, 0.6)], **identify())
    lab.receive({"kind": "select", "names": [a, b], "turn": 8})
    lab.draw()
    lab.save("learning")
    saved = lab.screen.downloads["learning"]
    lines = saved.content.splitlines()
    assert saved.serial == 1 and saved.filename.endswith(".csv")
    assert lines[0].startswith("run,experiment,arm,n_train,seed,step,what")
    assert f"{a},one,sleep,1,0,20,loss,,,0.05" in lines
    assert f"{b},one,sleep,1,1,20,accuracy,1,1,0.6" in lines
    lab.save("against_n")
    lines = lab.screen.downloads["against_n"].content.splitlines()
    assert lines[0] == "arm,n,difficulty,mean,low,high,seeds"
    assert lines[1].startswith("sleep,1,1,0.5,") and lines[1].endswith(",2")


def test_several_experiments_are_told_apart_and_another_task_is_left_out(lab, shared, make):
    a, b = make("one", 1, 0, "finished", [(40, 0.5)]), make("two", 1, 0, "finished", [(40, 0.9)])
    lab.receive({"kind": "select", "names": [a, b], "turn": 9})
    lab.draw()
    assert lab.curves.note == ""
    lab.save("against_n")
    content = lab.screen.downloads["against_n"].content
    assert "one: sleep,1,1,0.5" in content and "two: sleep,1,1,0.9" in content
    c = make("three", 1, 0, "finished", [(40, 0.7)])
    path = shared.runs / c / "experiment.toml"
    path.write_text(path.read_text().replace("queries = 2", "queries = 1"))
    shared.watch().look()
    lab.receive({"kind": "select", "names": [a, c], "turn": 10})
    lab.draw()
    assert "1 selected run has another task" in lab.screen.hint.object
    assert lab.curves.figures


def test_actions_are_told_in_words(lab, make):
    a, b = make("one", 1, 0), make("one", 2, 0, "finished")
    do(lab, "stop", a, b)
    assert lab.screen.table.said == (
        f"{a} withdrawn from the queue; {b} left alone: it is finished."
    )
    do(lab, "delete", b)
    assert names(lab) == [a] and lab.screen.table.trash == [b]
    do(lab, "restore", b)
    assert set(names(lab)) == {a, b} and lab.screen.table.trash == []
    do(lab, "no such", b)
    do(lab, "delete", a, b)
    do(lab, "empty")
    assert lab.screen.table.trash == [] and "2 deleted" in lab.screen.table.said
    assert shown(lab.screen.empty)


def test_an_action_sent_twice_is_done_once_and_acknowledged(lab, make, monkeypatch):
    a, done = make("one", 1, 0), []
    monkeypatch.setattr("workbench.lab.actions.trash", lambda run: done.append(run.name))
    message = do(lab, "delete", a)
    lab.receive(message)
    assert done == [a] and lab.screen.table.done == message["id"]
    assert f"{a} moved to the trash" in lab.screen.table.said


def test_runs_that_are_stopping_can_be_resumed_and_say_so(lab, shared, make, monkeypatch):
    monkeypatch.setattr("workbench.lab.actions.ensure_queue", lambda root, slots: None)
    stopping = make("one", 1, 0, "running", [(10, 0.5)], **identify())
    (shared.runs / stopping / "stop").touch()
    do(lab, "resume", stopping)
    assert f"{stopping} queued to go on after stopping" in table(lab).said
    assert table(lab).rows[0]["word"] == "stopping, then going on"
    lab.receive({"kind": "select", "names": [stopping], "turn": 11})
    assert table(lab).states == [(stopping, "stopping")], "which the button for resuming takes"


def test_a_note_is_kept_searched_and_limited(lab, shared, make):
    a = make("one", 1, 0)
    do(lab, "note", a, text="  <b>odd</b> seed\x1b[2J ")
    assert (shared.runs / a / "note.txt").read_text() == "<b>odd</b> seed[2J"
    lab.receive({"kind": "filter", "text": "odd", "state": "", "sweep": "", "turn": 1})
    assert names(lab) == [a] and table(lab).rows[0]["note"] == "<b>odd</b> seed[2J"
    do(lab, "note", a, text="x" * 1001)
    assert "a note of 1,001 characters" in table(lab).said and names(lab) == [a]
    do(lab, "note", a, text=" ")
    assert names(lab) == [] and not (shared.runs / a / "note.txt").exists()


def test_finished_runs_say_what_they_show_and_can_be_watched(lab, make):
    a = make("one", 1, 0, "finished", [(40, 0.5)])
    b = make("one", 2, 0, "running", [(20, 0.9)], **identify())
    assert [row["watch"] for row in table(lab).rows] == [f"explore?model=runs/{a}", ""]
    lab.receive({"kind": "select", "names": [a, b], "turn": 5})
    lab.draw()
    assert "1 of 2 runs have finished" in lab.screen.conclusion.object
    lab.receive({"kind": "select", "names": [a], "turn": 6})
    lab.draw()
    assert "At 2 hops, sleep, N = 1 reaches 25 %" in lab.screen.conclusion.object


def test_runs_that_wait_for_nobody_can_be_helped(lab, shared, make, monkeypatch):
    make("one", 1, 0)
    started = []
    monkeypatch.setattr(
        "workbench.views.lab.page.ensure_queue", lambda *given: started.append(given)
    )
    monkeypatch.setattr("workbench.lab.watch.PATIENCE", 0.0)
    shared.watch().look()
    shared.watch().look()
    assert table(lab).waiting
    do(lab, "queue")
    assert started[0][0] == shared.runs and started[0][1].cores >= 1


def test_presets_fill_the_form_with_their_plan_at_once(shared, tmp_path):
    for name in ("presets.toml", "configs/depo-n8-from-n1.toml", "configs/depo-n8-n4.toml"):
        shutil.copy(DATA / name, tmp_path / "data" / name)
    form = Lab(shared=shared).start.form
    assert [card["name"] for card in form.presets][:2] == ["two-minutes", "five-minutes"]
    assert form.preset == "two-minutes" and dict(form.plan)["Trains"].startswith(
        "6 runs: sleep with"
    )
    assert form.values["sweep"] == "two-minutes-1"
    kept = {**form.values, "seeds": "7", "sweep": "mine"}
    form._handle_msg({"kind": "preset", "preset": "compute", **form.values})
    assert form.preset == "compute" and form.values["arms"]["longer"] == "3"
    form._handle_msg({"kind": "restore", **kept})
    assert form.values == kept and form.preset == "", "a reload brings back what was typed"


def message(lab, kind, **changes):
    values = dict(lab.start.form.values)
    values |= changes
    values["settings"] = {**lab.start.form.values["settings"], **changes.get("settings", {})}
    return {"kind": kind, **values}


def test_a_bad_value_is_refused_at_its_field_and_nothing_starts(lab, shared):
    form = lab.start.form
    form._handle_msg(message(lab, "change", settings={"task.nodes": "2"}))
    assert form.problems == {"task.nodes": "'2' given; expected a whole number, 3 to 100000"}
    refused = form.refused
    form._handle_msg(message(lab, "start", settings={"task.nodes": "2"}, seeds="x"))
    assert set(form.problems) == {"task.nodes", "seeds"} and form.refused == refused + 1
    assert not shared.runs.exists() or list_runs(shared.runs) == []
    assert not form.starting and not form.busy


def test_start_queues_runs_and_selects_them(lab, shared, counted):
    form = lab.start.form
    changes = {"arms": {"sleep": "1, 2"}, "seeds": "0, 1", "steps": "5"}
    form._handle_msg(message(lab, "change", **changes))
    plan = dict(form.plan)
    assert plan["Trains"].startswith("4 runs: sleep with N = 1 and 2; seeds 0 and 1; 5 steps each")
    assert "Unknown" in plan["Takes"] and "with 2 seeds" in plan["Cannot show"] and not form.busy
    form._handle_msg(message(lab, "start", **changes))
    runs = list_runs(shared.runs)
    assert {run.state for run in runs} == {"queued"} and len(runs) == 4
    assert sorted(lab.state.selected) == sorted(run.name for run in runs)
    assert table(lab).said.startswith("tiny-1: 4 runs are queued")
    assert form.values["sweep"] == "tiny-2", "the next experiment has a free name"
    assert form.values["arms"] == {"sleep": "1, 2"} and form.values["steps"] == "5"
    form._handle_msg(message(lab, "start", **changes, sweep="tiny-1"))
    assert len(list_runs(shared.runs)) == 4, "the same experiment again adds nothing"


def test_what_was_said_of_a_start_goes_when_its_runs_have_ended(lab, shared):
    lab.start.form._handle_msg(message(lab, "start", arms={"sleep": "1"}, seeds="0", steps="5"))
    (run,) = list_runs(shared.runs)
    assert "1 run is queued" in table(lab).said
    set_state(run.folder, "finished", step=5, steps=5)
    shared.watch().look()
    assert table(lab).said == ""


def test_a_finished_experiment_is_not_started_again(lab, shared, counted):
    form = lab.start.form
    changes = {"arms": {"sleep": "1"}, "seeds": "0, 1", "steps": "5"}
    form._handle_msg(message(lab, "start", **changes))
    for run in list_runs(shared.runs):
        set_state(run.folder, "finished", step=5, steps=5)
    for selected in ([], lab.state.selected):  # with the same runs selected it is said no less
        lab.state.selected = selected
        form._handle_msg(message(lab, "start", **changes, sweep="tiny-1"))
        assert form.preview == "Nothing to start: all 2 runs of tiny-1 are finished."
        assert lab.screen.table.said == form.preview and not form.busy
    form._handle_msg(message(lab, "change", **changes, sweep="tiny-1"))
    assert form.plan == [["Trains", "2 runs, all finished already: nothing to start."]]
    assert len(list_runs(shared.runs)) == 2


def test_another_starting_point_fills_the_form(shared, tmp_path):
    text = TINY.format(passes=4, seed=0).replace("nodes = 4", "nodes = 6")
    (tmp_path / "data" / "configs" / "wide.toml").write_text(text)
    lab = Lab(shared=shared)
    form, serial = lab.start.form, lab.start.form.serial
    form._handle_msg(message(lab, "from", start="wide", seeds="7"))
    assert form.serial == serial + 1
    assert form.values["settings"]["task.nodes"] == "6" and form.values["sweep"] == "wide-1"
    assert form.values["seeds"] == "7", "what does not belong to it stays"


def test_a_folder_that_cannot_be_written_to_is_told(lab, monkeypatch):

    def full(to_do, root):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(lab_start, "request_all", full)
    lab.start.form._handle_msg(message(lab, "start", steps="5"))
    assert "Nothing was started" in lab.start.form.problems["form"]
    assert "No space left" in lab.start.form.problems["form"]


def test_names_cannot_bring_html(shared):
    bad = "<img src=x>"
    html = differences_html(Differences((bad,), {bad: (bad,)}, 1, (bad,)), 99)
    assert "<img" not in html and html.count("&lt;img src=x&gt;") == 4
    assert "The first 12 of 99" in html


def test_numbers_in_words():
    assert [flops(v) for v in (1.23e6, 4.5e9, 6.789e12, 1e15)] == [
        "1.23 MFLOP", "4.5 GFLOP", "6.79 TFLOP", "1 PFLOP",
    ]  # fmt: skip
    assert [time_words(v) for v in (0.2, 30, 600, 9000)] == ["1 s", "30 s", "10 min", "2.5 h"]
