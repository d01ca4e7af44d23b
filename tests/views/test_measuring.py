"""The pane that measures, without a browser: a process that only pretends stands for the real one.

It tells its progress, and then writes a bundled measurement as its result, fails, or goes on.
"""

import json
import sys

import pytest
from waiting import until

from workbench.lab.processes import spawn
from workbench.measurements import jobs
from workbench.measurements.fields import defaults
from workbench.measurements.jobs import AT_ONCE, RESULT, Progress
from workbench.measurements.shelf import (
    bundled_records,
    checkpoint_name,
    finished,
    own_measurements,
)
from workbench.views.instruments.page import Measured
from workbench.views.measuring.form import MeasurePanel
from workbench.views.measuring.model import BUNDLED, FORM, NEW, progress_words
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
        source = bundled_records()[f"{command[5]}-depo-n8-any"]
        script = [sys.executable, "-I", "-c", PRETENDED, how["now"], str(source), out, progress]
        return spawn(script, log)

    monkeypatch.setattr(jobs, "spawn", spawned)
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
        self.panel.receive({**said, **more})

    def until(self, state):
        """Poll until the newest measurement is in a state."""

        def there():
            self.panel.poll()
            return self.form.jobs and self.form.jobs[0]["state"] == state

        until(there, every=0.05, why=lambda: self.form.jobs)
        return self.form.jobs[0]


@pytest.fixture
def session(tmp_path, pretend):
    made = []

    def make(**options):
        made.append(Session(tmp_path, **options))
        return made[-1]

    yield make
    for one in own_measurements(tmp_path):
        jobs.cancel(one.folder)


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
    until(lambda: one.panel.poll() or one.form.jobs[0]["known"])
    told = one.form.jobs[0]["progress"]
    assert told.startswith("30 %, ") and "steps/min" in told and " left" in told
    one.tell("cancel", key=job["key"])
    assert one.form.jobs[0]["state"] == "cancelled" and "nothing is kept" in one.form.news
    pretend["now"] = "ends"
    one.tell("again", key=job["key"])
    one.until("done")
    assert [path.name for path in one.shown] == [RESULT] and "is done" in one.form.news


def test_what_was_measured_is_shown_without_a_process(session):
    one = session()
    assert one.form.said == BUNDLED, "the usual settings of the lens are bundled"
    one.tell("measure", settings=defaults("lens"))
    assert one.shown == [bundled_records()["lens-depo-n8-any"]] and not one.form.jobs
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
    assert later.form.said == one.form.said == "Running: see below."
    later.tell("measure", settings=LENS)
    assert len(own_measurements(one.model.root)) == 1, "the same is never measured twice"
    assert session(kinds=("probes",)).form.jobs == []
    folder = own_measurements(one.model.root)[0].folder
    source = bundled_records()["lens-depo-n8-any"].read_text()
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
    assert one.form.said.startswith(f"{AT_ONCE} measurements are running")
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
    panel.receive(
        {"what": "measure", "kind": "lens", "checkpoint": "depo-n8-any", "settings": LENS}
    )
    until(lambda: panel.poll() or panel._shown.objects)
    (one,) = [pane for _, pane in panel._results.figures]
    light = one.figure
    panel.dark = True
    assert one.figure != light


def test_the_page_lists_own_measurements_and_shows_new_numbers(session, tmp_path):
    one = session()
    one.tell("measure", settings=LENS)
    one.until("done")
    (own,) = finished(tmp_path, kinds=("lens",), checkpoint="depo-n8-any")
    view = Measured(root=tmp_path)
    texts = list(view.choice.options)
    assert texts[-1].startswith(
        "here: Answers if it woke after each pass: depo-n8-any, examples 8, passes 2"
    )
    assert set(bundled_records()) < set(view.found)
    view.choose(own.key)
    assert view.name_shown == own.key and view.view.figures
    view.choose("probes-depo-n8-any")
    view.display(own.result)
    assert view.name_shown == own.key
    found = json.loads(own.result.read_text())
    found["attrs"]["examples"] = 1999
    own.result.write_text(json.dumps(found))
    view.display(own.result)
    assert view.view.data.attrs["examples"] == 1999, "measured again"


def test_progress_in_words():
    told = progress_words
    assert told(Progress("running", seconds=3.2)) == "starting, 3 s so far"
    assert told(Progress("running", seconds=9, working=4)) == "first step, 9 s so far"
    assert told(Progress("running", 0.25, 1.0, 20, working=10)) == "25 %, 2.5 %/s, about 30 s left"
    assert told(Progress("running", 4, 4, 9, working=8)) == "100 %, 0.5 steps/s, finishing"
    assert (
        told(Progress("running", 1, 100, 9, working=100)) == "1 %, 0.6 steps/min, about 2.8 h left"
    )
    assert told(Progress("done", 4, 4, 130)) == "done in 2 min"
    assert checkpoint_name("/x/runs/ring/checkpoint") == "runs/ring"


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
