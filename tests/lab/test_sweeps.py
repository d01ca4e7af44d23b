"""Sweep files: what they ask for, what each run is called, and what is wrong with a bad one."""

import pytest

from workbench.config import Experiment
from workbench.errors import WorkbenchError
from workbench.files import parse_toml, read_json
from workbench.lab.sweeps import identity, load_sweep
from workbench.paths import data_folder

TWO_AXES = """
title = "Two axes"
base = "base.toml"
seeds = [3]
[budget]
steps = 5
[set]
"training.log_every" = 2
[axes]
"task.nodes" = [4, 5]
"model.width" = [8, 16]
[[arms]]
arm = "sleep"
passes = [1, 2]
[[arms]]
arm = "random_n"
passes = [3]
set = { "training.log_every" = 3 }
"""


def test_runs_arm_by_arm_with_every_n_axis_and_seed(tiny_sweep, quick_cost):
    sweep = load_sweep(tiny_sweep(TWO_AXES))
    assert [run.name for run in sweep.runs] == [
        f"tiny.{arm}-n{n}-nodes{nodes}-width{width}-seed3"
        for arm, passes in (("sleep", (1, 2)), ("random_n", (3,)))
        for n in passes
        for nodes in (4, 5)
        for width in (8, 16)
    ]
    first, last = sweep.runs[0], sweep.runs[-1]
    assert first.experiment.task.nodes == 4 and last.experiment.task.nodes == 5
    assert (first.experiment.training.steps, first.experiment.training.log_every) == (5, 2)
    assert last.experiment.training.log_every == 3, "an arm's own settings come last"
    assert last.labels["n_train"] == "1-3" and last.labels["passes"] == 3
    assert last.labels["axes"] == {"task.nodes": 5, "model.width": 16}
    assert last.experiment.training.seed == last.labels["seed"] == 3
    assert last.flops == (2 * 16 * (3 * 2 + 2)) * 4 * 5, "of a sequence, sequences a step, steps"
    assert last.experiment.model.vocabulary == 5 + 3 + 1, "5 nodes, 3 hops... the task's own"


def test_equal_configurations_are_the_same_run(tiny_sweep, quick_cost):
    one, two = (load_sweep(tiny_sweep(name=name)).runs for name in ("one", "two"))
    assert [run.labels["identity"] for run in one] == [run.labels["identity"] for run in two]
    assert len({run.labels["identity"] for run in one}) == len(one) == 4
    changed = one[0].experiment.model_copy(update={"sleep": one[2].experiment.sleep})
    assert identity(changed) != identity(one[0].experiment)


def test_recorded_runs_are_the_same_runs_in_this_version():
    """Settings that came after the sweep was recorded leave its runs as they were."""
    record = read_json(data_folder() / "results/sweeps/depo-n8.json")
    for run in record["runs"]:
        experiment = Experiment.model_validate(parse_toml(run["config"], what=run["name"]))
        assert identity(experiment) == run["labels"]["identity"]
        alone = experiment.task.model_copy(update={"isolated": True})
        assert identity(experiment.model_copy(update={"task": alone})) != identity(experiment)


def test_a_budget_in_flops_gives_every_arm_its_own_steps(tiny_sweep, quick_cost):
    text = """
        title = "Equal compute"
        base = "base.toml"
        seeds = [0]
        [budget]
        flops = 5e5
        [[arms]]
        arm = "sleep"
        passes = [1, 4]
        [[arms]]
        arm = "no_fast_weights"
    """
    runs = load_sweep(tiny_sweep(text)).runs
    steps = [run.experiment.training.steps for run in runs]
    assert steps[0] > steps[1]
    for run in runs:
        assert run.flops == pytest.approx(5e5, rel=0.05)


def test_an_arm_at_equal_flops_is_matched_to_sleep(tiny_sweep, quick_cost):
    text = """
        title = "Equal compute"
        base = "base.toml"
        seeds = [0]
        [budget]
        steps = 100
        [[arms]]
        arm = "sleep"
        passes = [4]
        [[arms]]
        arm = "random_n"
        passes = [4]
        equal_flops = true
    """
    sleep, drawn = load_sweep(tiny_sweep(text)).runs
    assert drawn.experiment.training.steps > 100
    assert drawn.flops == pytest.approx(sleep.flops, rel=0.01)


GOOD = 'title = "t"\nbase = "base.toml"\nseeds = [0]\n'
ARM = '[[arms]]\narm = "sleep"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("title = ", "is not valid TOML"),
        (GOOD + "[budget]\nsteps = 3\n", "arms is missing"),
        (GOOD + ARM, "budget is missing"),
        (GOOD + "[budget]\n" + ARM, "give either steps or flops"),
        (GOOD + "[budget]\nsteps = 3\nflops = 1e9\n" + ARM, "give either steps or flops"),
        (GOOD + "[budget]\nsteps = 0\n" + ARM, "budget.steps = 0"),
        (GOOD + '[budget]\nsteps = 3\n[[arms]]\narm = "slep"\n', "arm 'slep'.*write sleep"),
        (GOOD + "[budget]\nsteps = 3\n" + ARM + "passes = [-1]\n", "passes.0 = -1"),
        (GOOD + "[budget]\nsteps = 3\n" + ARM + ARM, "asks for tiny.sleep-n1-seed0 twice"),
        (GOOD + '[budget]\nsteps = 3\n[axes]\n"task.nods" = [4]\n' + ARM, "nods is unknown"),
        (GOOD + '[budget]\nsteps = 3\n[axes]\n"nodes" = [4]\n' + ARM, "setting 'nodes'"),
        (GOOD + '[budget]\nsteps = 3\n[axes]\n"task.nodes" = []\n' + ARM, "at least 1 item"),
        (GOOD + '[budget]\nsteps = 3\n[set]\n"task.nodes" = 2\n' + ARM, "task.nodes = 2"),
        (GOOD.replace("base.toml", "no.toml") + "[budget]\nsteps = 3\n" + ARM, "no configuration"),
    ],
)
def test_a_bad_sweep_is_one_clear_line(tiny_sweep, quick_cost, text, message):
    with pytest.raises(WorkbenchError, match=message) as caught:
        load_sweep(tiny_sweep(text))
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_name_that_is_no_folder(tiny_sweep, tmp_path):
    with pytest.raises(WorkbenchError, match="no sweep file at"):
        load_sweep(tmp_path / "none.toml")
    with pytest.raises(WorkbenchError, match="letters, digits, - and _"):
        load_sweep(tiny_sweep(name="a b"))


@pytest.mark.parametrize("path", sorted((data_folder() / "sweeps").glob("*.toml")), ids=str)
def test_the_committed_sweeps_can_be_planned(path, quick_cost):
    sweep = load_sweep(path)
    assert sweep.runs and sweep.config.title
