"""Measuring on demand, without a browser: a process that only pretends stands for the real one.

It reports its progress, and then writes a bundled measurement as its result, fails, or goes on.
"""

import json
import sys

import pytest
from waiting import until

from workbench.errors import WorkbenchError
from workbench.lab.processes import spawn
from workbench.measurements import jobs
from workbench.measurements.fields import defaults
from workbench.measurements.jobs import AT_ONCE, RESULT, Progress
from workbench.measurements.shelf import bundled_records, checkpoint_name, own_measurements
from workbench.views.findings import parts
from workbench.views.findings.catalogue import records_of
from workbench.views.findings.measuring import BUNDLED, FORM, NEW, REFUSED, answer, progress_words
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
    """Let measurements "end", "fail" or "go on" as is set here."""
    how = {"now": "ends"}

    def spawned(command, log):
        out = command[command.index("--out") + 1]
        progress = command[command.index("--progress") + 1]
        source = bundled_records()[f"{command[5]}-depo-n8-any"]
        script = [sys.executable, "-I", "-c", PRETENDED, how["now"], str(source), out, progress]
        return spawn(script, log)

    monkeypatch.setattr(jobs, "spawn", spawned)
    return how


class Visitor:
    """A visitor of the page."""

    def __init__(self, root):
        self.root, self.folders = root, Services().folders()

    def ask(self, what, **more):
        """Ask what the form would."""
        wish = {"what": what, "kind": "lens", "checkpoint": "depo-n8-any", "settings": LENS}
        return answer(wish | more, self.root, self.folders)

    def until(self, state):
        """Ask until the newest measurement is in a state; return its row."""

        def there():
            rows = self.ask("list")["jobs"]
            return rows and rows[0]["state"] == state

        until(there, every=0.05, why=lambda: self.ask("list"))
        return self.ask("list")["jobs"][0]


@pytest.fixture
def visitor(tmp_path, pretend):
    yield Visitor(tmp_path)
    for one in own_measurements(tmp_path):
        jobs.cancel(one.folder)


def test_what_is_wrong_is_reported_at_its_field_and_nothing_starts(visitor):
    found = visitor.ask("measure", settings={"examples": "1", "seed": "x", "passes": "65"})
    assert found["problems"] == {
        "examples": "'1' given; expected a whole number, 2 to 100000",
        "seed": "'x' given; expected a whole number, at least 0, below 4294967296",
        "passes": "'65' given; expected a whole number, 1 to 64, or nothing",
    }
    assert found["said"] == REFUSED and not found["jobs"] and not own_measurements(visitor.root)
    found = visitor.ask("check", checkpoint="nothing")
    assert "no checkpoint 'nothing'" in found["problems"]["checkpoint"]
    assert "no measurement 'x'" in visitor.ask("check", kind="x")["problems"]["kind"]


def test_a_measurement_is_followed_cancelled_repeated_shown_and_found_again(visitor, pretend):
    pretend["now"] = "goes on"
    assert visitor.ask("check")["said"] == NEW
    found = visitor.ask("measure")
    assert found["followed"] and "is being measured" in found["news"]
    job = visitor.until("running")
    assert job["title"] == "Lens: depo-n8-any" and job["words"] == "examples 8, passes 2"
    until(lambda: visitor.ask("list")["jobs"][0]["known"])
    far = visitor.ask("list")["jobs"][0]["progress"]
    assert far.startswith("30 %, ") and "steps/min" in far and " left" in far
    assert visitor.ask("check")["said"] == "Running: see below."
    visitor.ask("measure")
    assert len(own_measurements(visitor.root)) == 1, "the same is never measured twice"
    found = visitor.ask("cancel", key=job["key"])
    assert found["jobs"][0]["state"] == "cancelled" and "nothing is kept" in found["news"]
    pretend["now"] = "ends"
    assert visitor.ask("again", key=job["key"])["followed"] == job["key"]
    done = visitor.until("done")
    assert done["shown"] == f"lens/{job['key']}"
    assert "<table>" in parts.part_html(done["shown"], {}, visitor.root)
    words, path = records_of("lens", visitor.root)[job["key"]]
    assert words.startswith("here: depo-n8-any, examples 8, passes 2 (") and path.name == RESULT
    assert visitor.ask("measure")["shown"] == done["shown"], "shown without a process"
    before = path.stat().st_mtime_ns
    visitor.ask("again", key=job["key"])
    visitor.until("done")
    assert path.stat().st_mtime_ns > before


def test_what_is_bundled_is_shown_without_a_process(visitor):
    usual = {"settings": defaults("lens")}
    assert visitor.ask("check", **usual)["said"] == BUNDLED
    found = visitor.ask("measure", **usual)
    assert found["shown"] == "lens/depo-n8-any" and not found["jobs"]


def test_a_failure_is_one_line_with_its_fix(visitor, pretend):
    pretend["now"] = "fails"
    visitor.ask("measure")
    job = visitor.until("failed")
    assert job["problem"] == "error: no room; expected 3 GB; ask for fewer examples"
    assert visitor.ask("remove", key=job["key"])["jobs"] == []


def test_only_so_many_run_at_a_time(visitor, pretend):
    pretend["now"] = "goes on"
    for seed in range(AT_ONCE):
        visitor.ask("measure", settings=LENS | {"seed": str(seed)})
    other = {"settings": LENS | {"seed": "9"}}
    assert visitor.ask("check", **other)["said"].startswith(f"{AT_ONCE} measurements are running")
    found = visitor.ask("measure", **other)
    assert "wait for one of them, or cancel it" in found["problems"][FORM]
    assert len(found["jobs"]) == AT_ONCE


def test_a_result_of_other_weights_is_not_served(visitor):
    visitor.ask("measure")
    visitor.until("done")
    (own,) = own_measurements(visitor.root)
    found = json.loads(own.result.read_text())
    found["provenance"]["checkpoint_sha256"] = "0" * 64
    own.result.write_text(json.dumps(found))
    assert visitor.ask("check")["said"] == NEW
    assert "is being measured" in visitor.ask("measure")["news"]
    visitor.until("done")


def test_a_server_that_starts_nothing_says_so():
    with pytest.raises(WorkbenchError, match="starts no processes"):
        answer({"what": "list"}, None, {})


def test_progress_in_words():
    said = progress_words
    assert said(Progress("running", seconds=3.2)) == "starting, 3 s so far"
    assert said(Progress("running", seconds=9, working=4)) == "first step, 9 s so far"
    assert said(Progress("running", 0.25, 1.0, 20, working=10)) == "25 %, 2.5 %/s, about 30 s left"
    assert said(Progress("running", 4, 4, 9, working=8)) == "100 %, 0.5 steps/s, finishing"
    slow = Progress("running", 1, 100, 9, working=100)
    assert said(slow) == "1 %, 0.6 steps/min, about 2.8 h left"
    assert said(Progress("done", 4, 4, 130)) == "done in 2 min"
    assert checkpoint_name("/x/runs/ring/checkpoint") == "runs/ring"
