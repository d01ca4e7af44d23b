"""Presets: each can be planned, at the work that it says; how small a difference seeds can show."""

import math
from collections import Counter, defaultdict
from statistics import mean, median, stdev

import numpy as np
import pytest
from scipy import stats

from workbench.errors import WorkbenchError
from workbench.lab.estimate import SPREAD, estimate, recorded_speeds, smallest_difference
from workbench.lab.presets import choices, presets, work_of
from workbench.lab.proposal import check, propose
from workbench.lab.record import read_record
from workbench.paths import data_folder

NAMES = ("two-minutes", "five-minutes", "compute", "bounds", "another-task", "paper")


def test_the_presets_in_their_order():
    assert tuple(presets()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_is_planned(name, tmp_path, quick_cost):
    preset = presets()[name]
    found = propose(choices(preset, "one"), tmp_path)
    assert found.problems == {}
    assert {run.experiment.training.threads for run in found.to_do} == {1}
    assert len(work_of(preset)) == len(found.to_do) == check(choices(preset, "one")).count
    flops = [steps * each for _, steps, each in preset.work]
    if name == "compute":
        assert flops == pytest.approx([flops[0]] * 3, rel=1e-3), "equal compute"
    else:
        planned = Counter(run.experiment.training.steps for run in found.to_do)
        assert planned == Counter({int(preset.steps): sum(runs for runs, *_ in preset.work)})


@pytest.mark.parametrize("name", ["two-minutes", "five-minutes", "bounds"])
def test_the_work_of_a_preset_is_what_is_counted(name, tmp_path):
    found = propose(choices(presets()[name], "one"), tmp_path).to_do
    counted = Counter(float(f"{run.flops / run.experiment.training.steps:.4g}") for run in found)
    assert counted == Counter({flops: runs for runs, _, flops in presets()[name].work})


SIX = [("sleep", 1), ("sleep", 2), ("sleep", 4), ("random_n", 4), ("sliding", 4), ("loop_upper", 4)]


@pytest.mark.parametrize(
    "name, sweep, arms",
    [("another-task", "variables-mini", [("sleep", 1), ("sleep", 4)]), ("paper", "depo-n8", SIX)],
)
def test_the_work_of_a_larger_preset_is_what_was_recorded(name, sweep, arms):
    record = read_record(data_folder() / "results" / "sweeps" / f"{sweep}.json")
    each = {}
    for run in record["runs"]:
        labels, budget = run["labels"], run["budget"]
        each[labels["arm"], labels["passes"]] = budget["flops"] / budget["steps"]
    counted = [flops for _, _, flops in presets()[name].work]
    assert counted == pytest.approx([each[arm] for arm in arms], rel=0.01)


@pytest.mark.parametrize("name, minutes", [("two-minutes", 2), ("five-minutes", 5)])
def test_presets_named_after_minutes_take_about_as_many(name, minutes):
    found = estimate(work_of(presets()[name]), [], 2)
    assert 0.2 * minutes < found.seconds / 60 < 2 * minutes
    assert "recorded runs on another machine" in found.source
    assert recorded_speeds()


def test_presets_without_their_starting_point_are_left_out(tmp_path, monkeypatch):
    text = (data_folder() / "presets.toml").read_text()
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path))
    assert presets() == {}
    (tmp_path / "presets.toml").write_text(text)
    assert presets() == {}
    (tmp_path / "presets.toml").write_text(text.replace('size = "usual"', 'size = "none"'))
    with pytest.raises(WorkbenchError, match="size 'none'"):
        presets()


def test_the_spread_is_that_of_the_recorded_sweeps():
    spreads = []
    for path in sorted((data_folder() / "results" / "sweeps").glob("*.json")):
        groups = defaultdict(list)
        for run in read_record(path)["runs"]:
            labels = run["labels"]
            scores = run["final"].get(labels["n_train"].rpartition("-")[2], {"accuracy": {}})
            for level, share in scores["accuracy"].items():
                key = labels["arm"], labels["n_train"], labels["passes"], level
                groups[key].append(share)
        spreads += [stdev(g) for g in groups.values() if len(g) > 2 and 0.1 < mean(g) < 0.9]
    assert median(spreads) == pytest.approx(SPREAD, abs=0.002)


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_the_smallest_difference_is_where_the_interval_ends_at_0(seeds):
    shape = np.linspace(-1, 1, seeds)
    first = shape * SPREAD / shape.std(ddof=1)
    second = first + smallest_difference(seeds)
    interval = stats.ttest_ind(second, first, equal_var=False).confidence_interval(0.95)
    assert interval.low == pytest.approx(0, abs=1e-9)
    assert math.isnan(smallest_difference(1))
