"""The pane that measures, without a browser: a process that only pretends stands for the real one.

It tells its progress, and then writes a bundled measurement as its result, fails, or goes on.
"""

import json
import sys
import time
from pathlib import Path

import pytest
from waiting import LIMIT

from workbench.errors import WorkbenchError
from workbench.lab import measuring
from workbench.lab.kinds import KINDS
from workbench.lab.measuring import AT_ONCE, RESULT, Progress
from workbench.lab.processes import spawn
from workbench.paths import bundled_checkpoints
from workbench.views.instruments.page import Measured
from workbench.views.measuring import words
from workbench.views.measuring.form import MeasurePanel
from workbench.views.measuring.model import BUNDLED, FORM, NEW
from workbench.views.measuring.shelf import finished, own_measurements
from workbench.views.measuring.tables import measurements
from workbench.views.site.services import Services

PRETENDED = """
import json, os, shutil, sys, time
how, source, out, progress = sys.argv[1:]
json.dump({"done": 3, "total": 10, "began": time.time() - 6}, open(progress, "w"))
if how == "fails":
    sys.exit("error: no room; expected 3 GB; ask for fewer examples")
if how == "goes on":
    time.sleep(60)
os.replace(shutil.copy(source, out + ".tmp"), out)
"""
LENS = {"examples": "8", "seed": "0", "passes": "2"}


@pytest.fixture
def pretend(monkeypatch):
    """Let measurements "end", "fail" or "go on" in the way that is set here."""
    how = {"now": "ends"}

    def spawned(command, log):
        out = command[command.index("--out") + 1]
        progress = command[command.index("--progress") + 1]
        source = measurements()[f"{command[5]}-depo-n8-any"]
        script = [sys.executable, "-I", "-c", PRETENDED, how["now"], str(source), out, progress]
        return spawn(script, log)

    monkeypatch.setattr(measuring, "spawn", spawned)
    return how


class Session:
    """A panel as one session has it."""

    def __init__(self, root, kinds=("lens", "probes"), **options):
        self.shown = []
        shared = Services()
        shared.runs = root
        self.panel = MeasurePanel(kinds=kinds, on_done=self.shown.append, shared=shared, **options)
        self.form, self.model = self.panel.form, self.panel.model

    def tell(self, what, **more):
        """Send what the form would."""
        said = {"what": what, "kind": self.model.kind, "checkpoint": self.model.checkpoint}
        self.panel.told({**said, **more})

    def until(self, state, seconds=LIMIT):
        """Poll until the newest measurement is in a state."""
        deadline = time.monotonic() + seconds
        while not (self.form.jobs and self.form.jobs[0]["state"] == state):
            assert time.monotonic() < deadline, self.form.jobs
            time.sleep(0.05)
            self.panel.poll()
        return self.form.jobs[0]


@pytest.fixture
def session(tmp_path, pretend):
    made = []

    def make(**options):
        made.append(Session(tmp_path, **options))
        return made[-1]

    yield make
    for one in own_measurements(tmp_path):
        measuring.cancel(one.folder)


@pytest.mark.parametrize("kind", KINDS)
def test_every_setting_of_every_kind_has_its_field(kind):
    found = words.spec(kind)
    assert [f["name"] for f in found] == list(KINDS[kind].settings.model_fields)
    assert all(f["title"] and f["hint"].endswith(".") for f in found)
    checked = words.check(kind, words.usual(kind))
    assert checked.settings == KINDS[kind].settings() and not checked.problems


def test_what_is_wrong_is_told_at_its_field_and_nothing_starts(session, tmp_path):
    one = session()
    one.tell("measure", settings={"examples": "1", "seed": "x", "passes": "65"})
    assert one.form.problems == {
        "examples": "'1' given; expected a whole number, 2 to 100000",
        "seed": "'x' given; expected a whole number, at least 0, below 4294967296",
        "passes": "'65' given; expected a whole number, 1 to 64, or nothing",
    }
    assert one.form.refused == 1 and not one.form.jobs and not own_measurements(tmp_path)
    one.tell("measure", settings=LENS, checkpoint="nothing")
    assert "no checkpoint 'nothing'" in one.form.problems["checkpoint"]


def test_a_measurement_is_followed_to_its_end_and_shown_at_once(session, pretend):
    pretend["now"] = "goes on"
    one = session()
    one.tell("change", settings=LENS)
    assert one.form.said == NEW
    one.tell("measure", settings=LENS)
    job = one.until("running")
    assert job["title"] == "Lens: depo-n8-any" and job["words"] == "examples 8, passes 2"
    deadline = time.monotonic() + LIMIT
    while not one.form.jobs[0]["known"]:
        assert time.monotonic() < deadline
        one.panel.poll()
    told = one.form.jobs[0]["progress"]
    assert told.startswith("30 %, ") and "steps/min" in told and " left" in told
    one.tell("cancel", key=job["key"])
    assert one.form.jobs[0]["state"] == "cancelled" and "nothing of it is kept" in one.form.news
    pretend["now"] = "ends"
    one.tell("again", key=job["key"])
    one.until("done")
    assert [path.name for path in one.shown] == [RESULT] and "is done" in one.form.news


def test_the_same_is_never_measured_twice(session, pretend, tmp_path):
    pretend["now"] = "goes on"
    one, other = session(), session()
    one.tell("measure", settings=LENS)
    other.tell("measure", settings=LENS)
    assert len(own_measurements(tmp_path)) == 1
    assert one.until("running")["key"] == other.until("running")["key"]
    assert one.form.said == other.form.said == "At work: see below."


def test_what_was_measured_is_shown_without_a_process(session):
    one = session()
    assert one.form.said == BUNDLED, "the usual settings of the lens are bundled"
    one.tell("measure", settings=words.usual("lens"))
    assert one.shown == [measurements()["lens-depo-n8-any"]] and not one.form.jobs
    one.tell("measure", settings=LENS)
    one.until("done")
    one.tell("measure", settings=LENS)
    assert len(one.shown) == 3 and "was measured already" in one.form.news
    one.tell("show", key=one.form.jobs[0]["key"])
    assert len(one.shown) == 4


def test_another_session_finds_what_is_at_work_and_sees_it_end(session, pretend):
    pretend["now"] = "goes on"
    one = session()
    one.tell("measure", settings=LENS)
    later = session(kinds=("probes", "lens"))
    assert later.form.values["kind"] == "lens" and later.form.values["settings"] == LENS
    assert later.form.said == "At work: see below."
    assert session(kinds=("probes",)).form.jobs == []
    folder = own_measurements(one.model.root)[0].folder
    source = measurements()["lens-depo-n8-any"].read_text()
    (folder / RESULT).write_text(source)
    later.until("done")
    assert later.shown == [folder / RESULT]


def test_a_failure_is_one_line_with_its_fix(session, pretend):
    pretend["now"] = "fails"
    one = session()
    one.tell("measure", settings=LENS)
    job = one.until("failed")
    assert job["problem"] == "error: no room; expected 3 GB; ask for fewer examples"
    assert "failed: error: no room" in one.form.news and not one.shown
    one.tell("remove", key=job["key"])
    assert one.form.jobs == []


def test_as_many_as_may_be_are_at_work(session, pretend):
    pretend["now"] = "goes on"
    one = session()
    for seed in range(AT_ONCE):
        one.tell("measure", settings=LENS | {"seed": str(seed)})
    one.tell("change", settings=LENS | {"seed": "9"})
    assert one.form.said.startswith(f"{AT_ONCE} measurements are at work")
    one.tell("measure", settings=LENS | {"seed": "9"})
    assert "wait for one of them, or cancel it" in one.form.problems[FORM]
    assert len(one.form.jobs) == AT_ONCE


def test_another_kind_has_other_fields(session):
    one = session()
    one.tell("kind", kind="probes", settings=LENS)
    assert [f["name"] for f in one.form.fields] == ["examples", "seed", "passes", "splits"]
    serial = one.form.serial
    one.tell("change", kind="lens", settings=LENS)
    assert one.model.typed["examples"] == "2000", "typed into fields that had gone"
    one.panel.choose(checkpoint="depo-n8-n1")
    assert one.form.values["checkpoint"] == "depo-n8-n1" and one.form.serial > serial


def test_a_server_that_starts_nothing_says_so():
    shared = Services()
    panel = MeasurePanel(kinds=("lens",), checkpoint="depo-n8-any", shared=shared)
    assert panel.model is None
    (told,) = panel.__panel__().objects
    assert "workbench measure lens depo-n8-any" in told.object
    panel.poll()
    panel.choose(kind="lens")


def test_figures_are_shown_below_where_the_page_has_none(pretend, tmp_path):
    shared = Services()
    shared.runs = tmp_path
    panel = MeasurePanel(kinds=("lens",), shared=shared)
    panel.told({"what": "measure", "kind": "lens", "checkpoint": "depo-n8-any", "settings": LENS})
    deadline = time.monotonic() + LIMIT
    while not panel._shown.objects:
        assert time.monotonic() < deadline
        panel.poll()
    (one,) = [pane for _, pane in panel._results.figures]
    light = one.figure
    panel.dark = True
    assert one.figure != light


def test_own_measurements_stand_on_the_page_beside_the_bundled(session, tmp_path):
    one = session()
    one.tell("measure", settings=LENS)
    one.until("done")
    (own,) = finished(tmp_path, kinds=("lens",), checkpoint="depo-n8-any")
    view = Measured(root=tmp_path)
    texts = list(view.choice.options)
    assert texts[-1].startswith(
        "here: Answers if it woke after each pass: depo-n8-any, examples 8, passes 2"
    )
    assert set(measurements()) < set(view.found)
    view.choose(own.key)
    assert view.name_shown == own.key and view.figures
    view.choose("probes-depo-n8-any")
    view.display(own.result)
    assert view.name_shown == own.key


def test_damaged_folders_are_passed_over(tmp_path):
    home = tmp_path / measuring.FOLDER
    for name, text in (("a", "{"), ("b", "[]"), ("c", '{"kind": "dreams"}')):
        (home / name).mkdir(parents=True)
        (home / name / measuring.REQUEST).write_text(text)
    (home / "d").mkdir()
    (home / "e").write_text("")
    assert own_measurements(tmp_path) == [] and own_measurements(None) == []


def test_progress_in_words():
    told = words.progress_words
    assert told(Progress("running", seconds=3.2)) == "starting, 3 s so far"
    assert told(Progress("running", seconds=9, working=4)) == "first step, 9 s so far"
    assert told(Progress("running", 0.25, 1.0, 20, working=10)) == "25 %, 2.5 %/s, about 30 s left"
    assert told(Progress("running", 4, 4, 9, working=8)) == "100 %, 0.5 steps/s, finishing"
    assert (
        told(Progress("running", 1, 100, 9, working=100)) == "1 %, 0.6 steps/min, about 2.8 h left"
    )
    assert told(Progress("done", 4, 4, 130)) == "done in 2 min"
    assert words.checkpoint_name("/x/runs/ring/checkpoint") == "runs/ring"


def test_weights_are_known_without_loading_them():
    for name, folder in bundled_checkpoints().items():
        hashes = json.loads((folder / "provenance.json").read_text())["hashes"]
        assert words.weights_of(folder) == hashes["model.safetensors"], name
    assert words.weights_of(Path("nowhere")) == ""


def test_no_room_for_measurements_is_told(tmp_path):
    (tmp_path / "runs").write_text("")
    request = measuring.Request("lens", "depo-n8-any", "0" * 64, {})
    with pytest.raises(WorkbenchError, match="room for a measurement"):
        measuring.start(tmp_path / "runs", request)


def test_what_was_measured_here_is_measured_again(session, pretend):
    one = session()
    one.tell("measure", settings=LENS)
    key = one.until("done")["key"]
    before = one.shown[0].stat().st_mtime_ns
    pretend["now"] = "goes on"
    one.tell("again", key=key)
    assert one.until("running")["key"] == key
    one.tell("cancel", key=key)
    pretend["now"] = "ends"
    one.tell("again", key=key)
    one.until("done")
    assert one.shown[-1].stat().st_mtime_ns > before and len(one.shown) == 2
    one.tell("cancel", key=key)
    assert "is done" in one.form.news, "nothing was cancelled"


def test_a_result_of_other_weights_is_not_served(session):
    one = session()
    one.tell("measure", settings=LENS)
    one.until("done")
    (path,) = one.shown
    found = json.loads(path.read_text())
    found["provenance"]["checkpoint_sha256"] = "0" * 64
    path.write_text(json.dumps(found))
    one.tell("change", settings=LENS)
    assert one.form.said == NEW
    one.tell("measure", settings=LENS)
    assert "is being measured" in one.form.news and len(one.shown) == 1
    one.until("done")
    assert len(one.shown) == 2


def test_a_page_that_shows_what_is_measured_again_shows_the_new_numbers(session, tmp_path):
    one = session()
    one.tell("measure", settings=LENS)
    one.until("done")
    (path,) = one.shown
    view = Measured(root=tmp_path)
    view.display(path)
    found = json.loads(path.read_text())
    found["attrs"]["examples"] = 1999
    path.write_text(json.dumps(found))
    view.display(path)
    assert view.data.attrs["examples"] == 1999
