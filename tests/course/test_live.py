"""Live runs: a cell is done at once, figures are patched, Stop works, all ends with the kernel."""

import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import pytest
from waiting import LIMIT, until

from sleep_course import live
from sleep_course.live import plan as live_plan
from sleep_course.live.view import draw, report
from workbench.config import build
from workbench.errors import WorkbenchError
from workbench.lab.runs import read_run

LONG = 5_000
"""Steps that no test waits for; a hundredth of them is what a run makes before it reports any."""


@pytest.fixture
def tiny():
    """A ring of 4 nodes and a model that makes hundreds of steps a second."""
    base = live.ring(nodes=4, max_hops=2).model_dump()
    base["model"] |= {"width": 8, "attention_heads": 2, "gdn_heads": 2, "mlp_width": 8}
    base["model"] |= {"key_dim": 4, "value_dim": 4}
    base["training"] |= {"batch_size": 4, "warmup": 2}
    return build(type(live.ring()), base, source="test")


@pytest.fixture
def started(monkeypatch):
    """A function that starts live runs, at normal priority, and closes them after the test."""
    monkeypatch.delenv(live_plan.MOST_STEPS, raising=False)
    monkeypatch.setattr("workbench.lab.processes.step_back", lambda pid: None)
    found = []

    def start(*arguments, **options):
        found.append(live.experiment(*arguments, **options))
        return found[-1]

    yield start
    for runs in found:
        runs.close()


def processes(root) -> list[psutil.Process]:
    """Return all processes that work on runs under `root`."""
    found = []
    for process in psutil.process_iter():
        try:
            if any(part.startswith(str(root)) for part in process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.mark.slow
def test_runs_are_drawn_in_place_and_end_by_themselves(tiny, started, tmp_path):
    """A second experiment ends the first, whose folder is kept because it was given."""
    first = started(tiny, (1,), steps=LONG, root=tmp_path / "mine")
    until(lambda: first.runs and first.runs[0].active)
    first.widget()  # the first one imports for seconds, in which five steps are over
    runs = started(tiny, (1, 2), steps=5)
    assert first.done and not processes(first.root)
    assert read_run(tmp_path / "mine" / "live.sleep-n1-seed0") is not None
    widget = runs.widget()
    assert not runs.done
    assert runs.report().count("step 0 of 5:  not evaluated yet") == 2
    view = runs._view
    shown, other = view.learning, view.against_n
    assert runs.wait(LIMIT)
    assert runs.widget() is widget and widget.children[2:] == (shown, other)
    assert {trace.name for trace in shown.data} > {"sleep, N = 1", "sleep, N = 2"}
    assert len({(trace.name, trace.xaxis) for trace in shown.data}) == len(shown.data)
    assert max(shown.data[0].x) == 5
    assert {trace.name for trace in other.data} > {"1 hop", "2 hops"}
    assert view.bar.value == 1.0
    assert view.line.value.startswith("Finished after")
    assert view.button.disabled and view.button.description == "Ended"
    lines = runs.report().splitlines()
    assert [line[:5] for line in lines] == ["N = 1", "N = 2"]
    assert all("step 5 of 5" in line and "2 hops 0." in line for line in lines)
    assert runs.dataset().sizes["difficulty"] == 2
    assert not runs.problem
    until(lambda: not processes(runs.root))
    runs.close()
    assert not runs.root.exists()
    assert live.Live.at_work == []


@pytest.mark.slow
def test_the_button_stops_what_trains_and_what_waits(tiny, started):
    runs = started(tiny, (1, 4), steps=LONG, cores=1)
    runs.widget()
    view = runs._view
    until(lambda: runs.runs[1].step > 0)
    assert runs.runs[0].state == "queued"
    view.button.click()
    assert view.button.disabled and view.button.description == "Stopping"
    assert runs.wait(LIMIT)
    assert [run.state for run in runs.runs] == ["stopped"] * 2
    assert view.line.value.startswith("Stopped by you after")
    assert view.button.description == "Ended"
    assert view.bar.value < 0.5
    until(lambda: not processes(runs.root))


@pytest.mark.slow
def test_nothing_outlives_the_kernel():
    """A process ends while the run that it started is at work: both end, and their folder goes."""
    script = f"""
        import time
        from sleep_course import live
        runs = live.experiment(live.ring(), (1,), steps={LONG})
        while not any(run.active for run in runs.runs):
            time.sleep(0.1)
        print(runs.root)
    """
    command = [sys.executable, "-P", "-c", textwrap.dedent(script)]
    root = subprocess.run(command, capture_output=True, text=True, check=True, timeout=LIMIT)
    folder = root.stdout.strip()
    assert "workbench-live-" in folder and not root.stderr
    assert not processes(folder)
    assert not Path(folder).exists()


def test_what_is_asked_for_is_checked(tiny, monkeypatch):
    with pytest.raises(WorkbenchError, match="each 1 or more"):
        live.experiment(tiny, (0, 1), steps=5)
    with pytest.raises(WorkbenchError, match="each 1 or more"):
        live.experiment(tiny, (), steps=5)
    monkeypatch.setenv(live_plan.MOST_STEPS, "soon")
    with pytest.raises(WorkbenchError, match=live_plan.MOST_STEPS):
        live.experiment(tiny, steps=5)
    assert live.Live.at_work == []


def test_the_variable_shortens_and_never_lengthens(monkeypatch):
    monkeypatch.setenv(live_plan.MOST_STEPS, "30")
    assert live_plan.at_most(1500) == 30
    assert live_plan.at_most(7) == 7


def test_runs_of_one_experiment_differ_in_n_alone(tiny):
    one, four = (live_plan.planned(tiny, n, 300, 3).experiment for n in (1, 4))
    assert (one.training.seed, one.training.eval_every, one.training.log_every) == (3, 10, 3)
    assert one.model_copy(update={"sleep": four.sleep}) == four


def test_the_first_picture_waits_for_the_first_loss():
    assert draw([]) == (None, None)
    assert report([]) == ""
