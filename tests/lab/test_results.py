"""Results from records and runs: every number here can be worked out by hand."""

import json
import subprocess
import sys
from itertools import combinations

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from workbench import dims
from workbench.config import Experiment, build, to_toml
from workbench.errors import WorkbenchError
from workbench.lab.results import (
    against_n,
    at_flops,
    at_seconds,
    conditions,
    dataset,
    difference,
    entries_of,
    equivalence,
    final,
    largest_solved,
    latest,
    learning,
    over_seeds,
    with_n_test,
)
from workbench.lab.runs import Run, list_runs, read_run

TASK = '[task]\nname = "depo"\nnodes = {nodes}\n'
CHANCE = {
    "uniform guess": {"accuracy": {"1": 0.125, "2": 0.125}, "exact": 0.01},
    "blind": {"accuracy": {"1": 0.1, "2": 0.2}, "exact": None},
}


def scores(one, two=None, exact=0.0):
    """Return an evaluation at one N: accuracy at 1 hop and at 2 hops."""
    accuracy = {"1": one} | ({} if two is None else {"2": two})
    return {"accuracy": accuracy, "exact": exact}


def entry(arm="sleep", n="1", passes=1, seed=0, steps=20, curve=None, end=None, **labels):
    """Return a run of 100 FLOPs a step that needs half a second for each, logged every 10 steps."""
    curve = {10: {n.rpartition("-")[2]: scores(0.2, 0.1)}} if curve is None else curve
    end = {"1": scores(0.9, 0.5, 0.3), "4": scores(0.6, 0.4, 0.2)} if end is None else end
    return {
        "name": f"{arm}-{n}-{passes}-{seed}",
        "labels": {
            "sweep": "s", "arm": arm, "n_train": n, "passes": passes, "axes": {}, "seed": seed,
            "cost": {"training": 50.0, "sleep": 7.0, "wake": 3.0},
            "identity": f"{arm} {n} {passes} {seed} {steps}", **labels,
        },
        "config": TASK.format(nodes=8),
        "commit": {"hash": "0123456789", "uncommitted_changes": False},
        "machine": {"processor": "paper", "cores": 2},
        "budget": {"steps": steps, "flops": 100.0 * steps},
        "task": "depo",
        "difficulty": "hops",
        "evaluation": {"count": 50},
        "chance": CHANCE,
        "loss": {"step": [10, 20], "loss": [2.0, 1.0], "seconds": [5.0, 10.0]},
        "curve": {"step": list(curve), "passes": list(curve.values())},
        "final": end,
    }  # fmt: skip


def record(*runs, title="A question"):
    return {"schema": "sleep-results/1", "sweep": "s", "title": title, "runs": list(runs)}


def value(array, **at):
    return float(array.sel(at))


def test_the_final_evaluation_stands_at_the_last_step_with_all_its_n():
    data = dataset(record(entry()))
    accuracy = data["accuracy"]
    assert accuracy.dims == ("arm", "n_train", "seed", "n_test", "difficulty", "step")
    assert data[dims.STEP].values.tolist() == [10, 20]
    one = {"arm": "sleep", "n_train": "1", "seed": 0}
    assert value(accuracy, **one, n_test=1, difficulty=1, step=10) == 0.2
    assert value(accuracy, **one, n_test=1, difficulty=1, step=20) == 0.9
    assert value(accuracy, **one, n_test=4, difficulty=2, step=20) == 0.4
    assert np.isnan(value(accuracy, **one, n_test=4, difficulty=2, step=10)), "N = 4 at the end"
    assert value(data["exact"], **one, n_test=4, step=20) == 0.2
    assert value(data["training_flops"], arm="sleep", n_train="1", step=10) == 1000
    assert value(data["seconds"], **one, step=20) == 10
    assert value(data["loss"], **one, logged_step=10) == 2
    assert data["sleep_flops"].item() == 7 and data["wake_flops"].item() == 3
    assert value(data["chance"], chance_line="blind", difficulty=2) == 0.2
    assert value(data["own_chance"], **one, chance_line="blind", difficulty=2) == 0.2
    assert np.isnan(value(data["chance_exact"], chance_line="blind"))
    assert data.attrs == {
        "task": "depo", "difficulty": "hops", "titles": ["A question"], "counts": [50],
        "commits": ["0123456"], "machines": ["paper, 2 cores"],
    }  # fmt: skip


def test_the_last_step_is_the_final_evaluation_and_what_training_alone_tested_there():
    curve = {20: {"1": scores(0.1), "2": scores(0.7)}}
    data = final(dataset(record(entry(curve=curve, end={"1": scores(0.9)}))))
    assert data["accuracy"].sel(difficulty=1).values.ravel().tolist() == [0.9, 0.7]


def test_finished_results_are_computed_once():
    ended = final(dataset(record(entry())))
    assert final(ended) is ended
    with pytest.raises(KeyError):  # another moment is not the end
        final(latest(dataset(record(entry()))))


def test_arms_of_other_lengths_share_the_axis_of_steps():
    longer = entry("longer", "1", 4, steps=45, curve={30: {"1": scores(0.3, 0.2)}})
    data = dataset(record(entry(), longer))
    assert data[dims.STEP].values.tolist() == [10, 20, 30, 45]
    spent = data["training_flops"].sel(n_train="1")
    assert spent.sel(arm="longer@4").values.tolist() == [1000, 2000, 3000, 4500]
    np.testing.assert_array_equal(spent.sel(arm="sleep"), [1000, 2000, np.nan, np.nan])
    ends = final(data).sel(n_train="1", n_test=1, difficulty=1, seed=0)
    assert ends["at_step"].values.tolist() == [20, 45]
    assert ends["accuracy"].values.tolist() == [0.9, 0.9]


def test_seconds_between_logged_steps_and_after_the_last_one():
    curve = {n: {"1": scores(0.2)} for n in (4, 16, 20)}
    run = entry(curve=curve, end={})
    run["loss"] = {"step": [8, 16], "loss": [2.0, 1.0], "seconds": [4.0, 12.0]}
    seconds = dataset(record(run))["seconds"].values.ravel()
    np.testing.assert_array_equal(seconds, [2, 12, np.nan])


def test_one_pass_arms_matched_to_different_n_are_different_arms():
    """They are all trained at N = 1; only the N they are matched to tells them apart."""
    runs = [entry("wake_loop", "1", n, end={"1": scores(n / 10)}) for n in (1, 2, 4)]
    data = dataset(record(*runs, entry("random_n", "1-4", 4), entry("deeper", "1", 4)))
    names = ["wake_loop", "wake_loop@2", "wake_loop@4", "random_n", "deeper@4"]
    assert data[dims.ARM].values.tolist() == names
    assert data["family"].values.tolist() == ["wake_loop"] * 3 + ["random_n", "deeper"]
    assert conditions(data)[dims.CONDITION].values.tolist() == [
        "loop awake, N = 1",
        "loop awake (matched to N = 2)",
        "loop awake (matched to N = 4)",
        "random N in 1-4",
        "deeper, N = 1 (matched to N = 4)",
    ]


def test_n_of_training_is_sorted_as_numbers_with_random_ones_last():
    runs = [entry(n=n, passes=int(n)) for n in ("16", "2")]
    data = dataset(record(entry("random_n", "1-4", 4), *runs))
    assert data[dims.N_TRAIN].values.tolist() == ["2", "16", "1-4"]


def test_an_open_axis_is_refused_with_its_values_and_can_be_chosen():
    runs = [entry(seed=0, axes={"task.nodes": n}, identity=str(n)) for n in (8, 12)]
    runs[1]["config"] = TASK.format(nodes=12)
    with pytest.raises(WorkbenchError, match=r"differ in task.nodes.*8, 12.*axes=") as error:
        dataset(record(*runs))
    assert "{'task.nodes': 8}" in str(error.value)
    assert dataset(record(*runs), axes={"task.nodes": 12}).sizes[dims.ARM] == 1
    with pytest.raises(WorkbenchError, match="task.nodes = 9.*one of 8, 12"):
        dataset(record(*runs), axes={"task.nodes": 9})


def test_what_cannot_stand_in_one_dataset_is_refused():
    other = entry(seed=1)
    other["config"] = TASK.format(nodes=12)
    with pytest.raises(WorkbenchError, match="different tasks: sleep-1-1-0 and sleep-1-1-1"):
        dataset(record(entry(), other))
    with pytest.raises(WorkbenchError, match="two different runs"):
        dataset(record(entry(), entry(steps=30)))
    with pytest.raises(WorkbenchError, match=r"budgets \(20, 2000.0\) and \(30, 3000.0\)"):
        dataset(record(entry(), entry(seed=1, steps=30)))
    with pytest.raises(WorkbenchError, match="no runs"):
        dataset(record())


def test_several_records_are_one_and_a_run_given_twice_counts_once():
    one, two = record(entry()), record(entry(), entry(seed=1), title="Another")
    data = dataset([one, two])
    assert data[dims.SEED].values.tolist() == [0, 1]
    assert data.attrs["titles"] == ["A question", "Another"]


def test_unfinished_runs_are_in_latest_and_not_in_final():
    curve = {5: {"1": scores(0.1)}, 10: {"1": scores(0.4)}}
    data = dataset(record(entry(), entry(seed=1, curve=curve, end={})))
    at = {"arm": "sleep", "n_train": "1", "n_test": 1, "difficulty": 1}
    np.testing.assert_array_equal(final(data)["accuracy"].sel(at), [0.9, np.nan])
    np.testing.assert_array_equal(latest(data)["accuracy"].sel(at), [0.9, 0.4])
    assert latest(data)["seconds"].values.ravel().tolist() == [10, 5]


def test_a_run_without_any_evaluation_is_nan_everywhere():
    run = entry(curve={}, end={})
    run["loss"] = {"step": [], "loss": [], "seconds": []}
    run["chance"] = {}
    assert latest(dataset([run])).sizes[dims.N_TEST] == 0
    both = latest(dataset([run, entry(seed=1)]))
    assert np.isnan(both["at_step"].sel(seed=0).item()) and both["at_step"].sel(seed=1) == 20
    assert over_seeds(both["accuracy"])["count"].max() == 1


@pytest.mark.parametrize(
    ("flops", "step", "accuracy"),
    [
        (999.0, np.nan, np.nan),
        (1000.0, 10, 0.2),
        (1000.0 * (1 - 1e-12), 10, 0.2),
        (1999.0, 10, 0.2),
        (2000.0, 20, 0.9),
        (1e9, 20, 0.9),
    ],
)
def test_at_flops_is_the_last_evaluation_within_them(flops, step, accuracy):
    found = at_flops(dataset(record(entry())), flops)
    np.testing.assert_equal(found["at_step"].item(), step)
    np.testing.assert_equal(found["accuracy"].sel(n_test=1, difficulty=1).item(), accuracy)
    np.testing.assert_equal(found["training_flops"].item(), 100 * step)


def test_a_moment_holds_nothing_measured_at_another_one():
    """N = 2 was tested at step 10 and not at the end: at the end it is not known."""
    run = entry(curve={10: {"2": scores(0.8)}}, end={"1": scores(0.9)})
    data = dataset(record(run))
    assert at_flops(data, 1500)["accuracy"].sel(n_test=2, difficulty=1).item() == 0.8
    assert np.isnan(at_flops(data, 1500)["accuracy"].sel(n_test=1, difficulty=1).item())
    assert np.isnan(final(data)["accuracy"].sel(n_test=2, difficulty=1).item())


def test_at_seconds_asks_each_seed_for_itself():
    slow = entry(seed=1)
    slow["loss"]["seconds"] = [9.0, 18.0]
    found = at_seconds(dataset(record(entry(), slow)), 10)
    assert found["at_step"].values.ravel().tolist() == [20, 10]
    assert found["seconds"].values.ravel().tolist() == [10, 9]


def test_unknown_costs_are_not_compared_by_compute():
    run = entry(cost=None)
    run["budget"]["flops"] = None
    data = dataset([run])
    assert np.isnan(at_flops(data, 1e30)["at_step"].item())
    assert final(data)["at_step"].item() == 20


def seeds(*values, **coords):
    return xr.DataArray(
        np.array(values, dtype=float), {dims.SEED: range(len(values))}, [dims.SEED]
    ).assign_coords(coords)


def test_the_interval_of_two_seeds_by_hand():
    """Mean 0.5, standard error 0.5; t for one degree of freedom is 12.7062 = tan(0.475 pi)."""
    found = over_seeds(seeds(0, 1))
    ends = [float(found[n]) for n in ("mean", "low", "high", "count")]
    half = 0.5 * np.tan(0.475 * np.pi)
    assert ends == pytest.approx([0.5, 0.5 - half, 0.5 + half, 2])


def test_an_interval_of_shares_may_leave_0_to_1():
    """Four seeds right and one wrong: mean 0.8, standard error 0.2, t of 4 degrees 2.7764."""
    found = over_seeds(seeds(1, 1, 1, 1, 0))
    ends = [float(found[n]) for n in ("mean", "low", "high")]
    assert ends == pytest.approx([0.8, 0.8 - 0.2 * 2.77645, 0.8 + 0.2 * 2.77645], abs=1e-5)


def test_seeds_that_are_nan_are_left_out_cell_by_cell():
    nan = np.nan
    array = xr.DataArray(
        [[0, nan, 1], [0.5, nan, nan], [nan, nan, nan], [0, 1, 2]], dims=["cell", dims.SEED]
    )
    found = over_seeds(array)
    assert found["count"].values.tolist() == [2, 1, 0, 3]
    np.testing.assert_array_equal(found["mean"], [0.5, 0.5, nan, 1])
    assert np.isnan(found["low"]).values.tolist() == [False, True, True, False]
    for cell, kept in ((0, [0, 1]), (3, [0, 1, 2])):
        expected = stats.t.interval(0.95, len(kept) - 1, np.mean(kept), stats.sem(kept))
        assert (found["low"][cell], found["high"][cell]) == pytest.approx(expected)


def test_an_interval_is_of_its_own_cell_and_the_same_each_time():
    values = np.random.default_rng(0).random((3, 5))
    array = xr.DataArray(values, dims=["cell", dims.SEED])
    once = over_seeds(array)
    xr.testing.assert_identical(once, over_seeds(array))
    xr.testing.assert_identical(once.isel(cell=[2]), over_seeds(array.isel(cell=[2])))
    turned = over_seeds(array.transpose(dims.SEED, "cell"))
    xr.testing.assert_identical(once, turned)


def test_equal_seeds_have_an_interval_of_no_width():
    found = over_seeds(seeds(*[0.1 + 0.2] * 7))
    assert found["low"] <= found["mean"] <= found["high"]
    assert float(found["high"] - found["low"]) < 1e-15


def test_over_seeds_refuses_what_has_no_seeds():
    with pytest.raises(WorkbenchError, match=r"over \(cell\).*one over seed"):
        over_seeds(xr.DataArray([1.0], dims=["cell"]))


def pairs():
    """Return five seeds of sleep at N = 4 and of longer; seed 4 of longer is missing."""
    sleep = [entry("sleep", "4", 4, s, end={"4": scores(0.5 + s / 10)}) for s in range(5)]
    longer = [
        entry("longer", "1", 4, s, steps=40, end={"1": scores(0.4 + s / 10)}) for s in range(4)
    ]
    return dataset(record(*sleep, *longer))


def test_differences_are_unpaired_with_welchs_interval_and_the_exact_p():
    """Arms of 5 and 4 seeds, which may be other seeds: all of them count."""
    array = with_n_test(conditions(final(pairs())["accuracy"])).sel(difficulty=1)
    found = difference(array, ("sleep", "4"), ("longer@4", "1"))
    sleep, longer = 0.5 + np.arange(5) / 10, 0.4 + np.arange(4) / 10
    assert (int(found["count"]), int(found["other_count"])) == (5, 4)
    assert float(found["mean"]) == pytest.approx(sleep.mean() - longer.mean())
    welch = stats.ttest_ind(sleep, longer, equal_var=False)
    ends = float(found["low"]), float(found["high"])
    assert ends == pytest.approx(tuple(welch.confidence_interval()))
    assert float(found["p_welch"]) == pytest.approx(welch.pvalue)
    pooled = [*sleep, *longer]
    gaps = [abs(sum(c) / 5 - (sum(pooled) - sum(c)) / 4) for c in combinations(pooled, 5)]
    expected = np.mean(np.array(gaps) >= gaps[0] - 1e-9)
    assert float(found["p_exact"]) == pytest.approx(expected)
    back = difference(array, ("longer@4", "1"), ("sleep", "4"))
    assert float(back["mean"]) == pytest.approx(-float(found["mean"]))
    assert float(back["p_exact"]) == pytest.approx(expected)


def test_equality_needs_a_margin_wider_than_the_interval():
    array = with_n_test(conditions(final(pairs())["accuracy"])).sel(difficulty=1)
    near, wide = (
        equivalence(array, ("sleep", "4"), ("longer@4", "1"), margin) for margin in (0.2, 0.6)
    )
    assert float(near["p"]) > 0.05 > float(wide["p"])
    assert -0.6 < float(wide["low"]) and 0.2 < float(wide["high"]) < 0.6


def test_differences_of_arms_at_the_same_n_keep_it():
    runs = [
        entry(arm, n, int(n), s, end={n: scores(0.5 + bonus)})
        for arm, bonus in (("sleep", 0.2), ("think_only", 0.0))
        for n in ("2", "4")
        for s in (0, 1)
    ]
    array = final(dataset(record(*runs)))["accuracy"].sel(difficulty=1)
    found = difference(array, "sleep", "think_only")
    assert found["mean"].dims == (dims.N_TRAIN, dims.N_TEST)
    np.testing.assert_allclose(np.diag(found["mean"]), 0.2)
    one = difference(array, ("sleep", "2"), ("think_only", "2")).sel(n_test=2)
    assert float(one["mean"]) == pytest.approx(0.2)


def test_a_difference_of_what_is_not_there_names_what_is():
    array = final(pairs())["accuracy"]
    with pytest.raises(WorkbenchError, match="arm 'longer'; expected one of sleep, longer@4"):
        difference(array, "sleep", "longer")
    with pytest.raises(WorkbenchError, match="two arms"):
        difference(array, "sleep", ("longer@4", "1"))
    with pytest.raises(WorkbenchError, match="sleep N = 4, longer@4 N = 1"):
        difference(with_n_test(conditions(array)), ("sleep", "4"), ("sleep", "1"))


def test_against_n_has_fixed_models_at_their_n_and_random_ones_at_every_n():
    many = {n: scores(int(n) / 10) for n in ("1", "2", "4", "8")}
    array = final(
        dataset(
            record(
                *(entry("sleep", n, int(n), end=many) for n in ("1", "4")),
                entry("random_n", "1-4", 4, end=many),
                *(entry("longer", "1", n, end={"1": scores(0.05 * n)}) for n in (2, 4)),
            )
        )
    )["accuracy"]
    found = against_n(array).sel(difficulty=1, seed=0)
    assert found[dims.ARM].values.tolist() == ["sleep", "random_n", "longer"]
    assert found["title"].values.tolist() == ["sleep", "random N", "longer, N = 1"]
    assert found[dims.PASSES].values.tolist() == [1, 2, 4, 8]
    nan = np.nan
    np.testing.assert_array_equal(found.sel(arm="sleep"), [0.1, nan, 0.4, nan])
    np.testing.assert_array_equal(found.sel(arm="random_n"), [0.1, 0.2, 0.4, 0.8])
    np.testing.assert_array_equal(found.sel(arm="longer"), [nan, 0.1, 0.2, nan])


def test_against_n_is_empty_where_no_model_was_tested_at_its_n():
    array = final(dataset(record(entry(end={"8": scores(0.5)}, curve={}))))["accuracy"]
    found = against_n(array)
    assert found.dims == (dims.ARM, dims.PASSES, dims.SEED, dims.DIFFICULTY)
    assert found.sizes[dims.PASSES] == 0 and found[dims.ARM].values.tolist() == ["sleep"]


def test_against_n_tells_two_random_ranges_apart():
    """They are two models, each tested at every N; a fixed one beside them keeps its own."""
    many = {n: scores(int(n) / 10) for n in ("1", "2", "4", "8")}
    less = {n: scores(int(n) / 20) for n in many}
    runs = [
        entry("random_n", "1-4", 4, end=many),
        entry("random_n", "1-8", 8, end=less),
        entry("sleep", "2", 2, end=many),
    ]
    found = against_n(final(dataset(record(*runs)))["accuracy"]).sel(difficulty=1, seed=0)
    assert found[dims.ARM].values.tolist() == ["random_n 1-4", "random_n 1-8", "sleep"]
    assert found["title"].values.tolist() == ["random N, N in 1-4", "random N, N in 1-8", "sleep"]
    np.testing.assert_allclose(found.sel(arm="random_n 1-4"), [0.1, 0.2, 0.4, 0.8])
    np.testing.assert_allclose(found.sel(arm="random_n 1-8"), [0.05, 0.1, 0.2, 0.4])
    np.testing.assert_array_equal(found.sel(arm="sleep"), [np.nan, 0.2, np.nan, np.nan])


def test_conditions_are_tested_at_their_own_n_or_at_one_for_all():
    many = {n: scores(int(n) / 10) for n in ("1", "4", "8")}
    data = conditions(
        final(
            dataset(
                record(
                    entry("sleep", "4", 4, end=many),
                    entry("random_n", "1-8", 8, end=many),
                    entry("longer", "1", 4, end=many),
                )
            )
        )
    )
    own = with_n_test(data)["accuracy"].sel(difficulty=1, seed=0)
    assert own.dims == (dims.CONDITION,)
    assert own.values.tolist() == [0.4, 0.8, 0.1]
    assert own[dims.N_TEST].values.tolist() == [4, 8, 1]
    all_alike = with_n_test(data, 8)["accuracy"].sel(difficulty=1, seed=0)
    assert all_alike.values.tolist() == [0.8, 0.8, 0.8]
    assert np.isnan(with_n_test(data, 3)["accuracy"]).all(), (
        "3 was not tested: not known, not an error"
    )


@pytest.mark.parametrize(
    ("values", "solved"),
    [
        ([0.95, 0.92, 0.9, 0.5], 4),
        ([0.95, 0.5, 0.99, 0.99], 1),
        ([0.89, 1, 1, 1], 0),
        ([1, 1, 1, 1], 8),
        ([1, np.nan, 1, 1], np.nan),
        ([0.5, np.nan, 1, 1], 0),
        ([np.nan, 1, 1, 1], np.nan),
        ([1, 1, 1, np.nan], np.nan),
    ],
)
def test_largest_solved_needs_every_difficulty_below(values, solved):
    array = xr.DataArray(values, {dims.DIFFICULTY: [1, 2, 4, 8]}, [dims.DIFFICULTY])
    both = xr.concat([array, array * 0], dim=dims.SEED)
    np.testing.assert_equal(largest_solved(array).item(), solved)
    assert largest_solved(both).dims == (dims.SEED,)
    np.testing.assert_equal(largest_solved(both)[0].item(), solved)


def test_largest_solved_takes_another_threshold():
    array = xr.DataArray([0.8, 0.7], {dims.DIFFICULTY: [1, 2]}, [dims.DIFFICULTY])
    assert largest_solved(array, 0.75).item() == 1


def test_learning_has_means_intervals_and_places():
    slow = entry(seed=1, curve={10: {"1": scores(0.4, 0.1)}}, end={"1": scores(1.0, 0.5)})
    slow["loss"] = {"step": [10, 20], "loss": [3.0, 1.0], "seconds": [6.0, 12.0]}
    curves = learning(dataset(record(entry(), slow)))
    assert curves["accuracy"].dims == (dims.CONDITION, dims.SEED, dims.DIFFICULTY, dims.STEP)
    one = curves.isel(condition=0).sel(difficulty=1)
    np.testing.assert_allclose(one["accuracy_mean"], [0.3, 0.95])
    t = 12.7062  # of one degree of freedom
    np.testing.assert_allclose(one["accuracy_low"], [0.3 - 0.1 * t, 0.95 - 0.05 * t], rtol=1e-4)
    np.testing.assert_allclose(one["accuracy_high"], [0.3 + 0.1 * t, 0.95 + 0.05 * t], rtol=1e-4)
    np.testing.assert_allclose(one["loss_mean"], [2.5, 1.0])
    np.testing.assert_allclose(one["loss_high"], [2.5 + 0.5 * t, 1.0], rtol=1e-4)
    assert one["training_flops"].values.tolist() == [1000, 2000]
    assert one["logged_flops"].values.tolist() == [1000, 2000]
    assert one["seconds"].values.tolist() == [[5, 10], [6, 12]]


EXPERIMENT = {
    "model": {"width": 16, "layers": ["attention", "gated_delta"], "attention_heads": 2},
    "sleep": {"window": 8, "passes": {"kind": "random", "low": 1, "high": 4}},
    "task": {"name": "depo", "nodes": 4, "max_hops": 2, "queries": 2, "names": "single"},
    "training": {"steps": 20, "batch_size": 8, "seed": 3, "eval_count": 50},
}


def folder(root, name, state="running", labels=None, events=(), metrics=None):
    """Make the folder of a run as the training loop leaves it."""
    path = root / name
    (path / "checkpoint").mkdir(parents=True)
    experiment = build(Experiment, EXPERIMENT, source="test")
    (path / "experiment.toml").write_text(to_toml(experiment), encoding="utf-8")
    (path / "status.json").write_text(json.dumps({"state": state, "step": 10, "steps": 20}))
    (path / "events.jsonl").write_text("".join(json.dumps(e) + "\n" for e in events))
    commit = {"hash": "abcdef123", "uncommitted_changes": True}
    origin = [{"from_step": 0, "created_at": "2026-11-25T00:55:10+00:00", "commit": commit}]
    (path / "origin.json").write_text(json.dumps(origin))
    if labels:
        (path / "labels.json").write_text(json.dumps(labels))
    if metrics:
        (path / "checkpoint" / "provenance.json").write_text(json.dumps({"metrics": metrics}))
    return path


LABELS = entry("random_n", "1-4", 4, 3)["labels"]
TOLD = [
    {"kind": "step", "step": 10, "loss": 2.0, "seconds": 5.0},
    {"kind": "evaluation", "step": 10, "passes": {"4": scores(0.3, 0.2) | {"chance": CHANCE}}},
]


def test_entries_of_a_run_at_work(tmp_path):
    folder(tmp_path, "a", labels=LABELS, events=TOLD)
    (one,) = entries_of([Run("a", tmp_path / "a", "running", labels=LABELS)])
    data = dataset([one])
    assert final(data)["accuracy"].isnull().all()
    now = latest(data)
    assert now["accuracy"].sel(n_test=4).values.ravel().tolist() == [0.3, 0.2]
    assert now["training_flops"].item() == 10 * 8 * 50.0, "10 steps of 8 sequences"
    assert now["seconds"].item() == 5 and now["steps"].item() == 20
    assert data["chance"].sel(chance_line="uniform guess").values.tolist() == [0.125, 0.125]
    assert data.attrs["commits"] == ["abcdef1 with changes"]
    assert (data.attrs["task"], data.attrs["difficulty"]) == ("depo", "hops")
    assert data.attrs["counts"] == [50]


def test_entries_of_a_finished_run_hold_its_final_evaluation(tmp_path):
    chance = {"chance": CHANCE}
    metrics = {"passes": {"4": scores(0.9, 0.8) | chance, "16": scores(0.7, 0.6) | chance}}
    folder(tmp_path, "a", "finished", LABELS, TOLD, metrics)
    data = final(dataset(entries_of(list_runs(tmp_path))))
    assert data["accuracy"].sel(difficulty=2).values.ravel().tolist() == [0.8, 0.6]
    assert data[dims.N_TEST].values.tolist() == [4, 16]


def test_a_queued_run_has_told_nothing_yet(tmp_path):
    path = folder(tmp_path, "a", "queued", LABELS)
    for name in ("events.jsonl", "origin.json"):
        (path / name).unlink()
    data = dataset(entries_of(list_runs(tmp_path)))
    assert data["accuracy"].size == 0 and data["steps"].item() == 20
    assert data.attrs["commits"] == ["unknown"]


def test_events_that_were_read_already_are_not_read_again(tmp_path):
    folder(tmp_path, "a", labels=LABELS)
    (one,) = entries_of([read_run(tmp_path / "a")], told={"a": TOLD})
    assert one["loss"] == {"step": [10], "loss": [2.0], "seconds": [5.0]}


def test_a_run_of_its_own_is_an_arm_under_its_name_at_no_known_cost(tmp_path):
    folder(tmp_path, "mine", events=TOLD)
    data = dataset(entries_of(list_runs(tmp_path)))
    assert data["words"].values.tolist() == [["mine, N = 1-4"]]
    assert data[dims.SEED].values.tolist() == [3]
    assert data["step_flops"].isnull().all()
    assert against_n(latest(data)["accuracy"]).sel(passes=4, difficulty=1).item() == 0.3


def test_runs_that_cannot_be_read_are_left_out(tmp_path):
    folder(tmp_path, "good", labels=LABELS, events=TOLD)
    bad = folder(tmp_path, "bad", labels=LABELS)
    (bad / "experiment.toml").write_text("[model\n")
    gone = Run("gone", tmp_path / "gone", "running")
    assert [e["name"] for e in entries_of([*list_runs(tmp_path), gone])] == ["good"]


def test_results_are_read_without_torch():
    code = "import sys, workbench.lab.results; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-P", "-c", code]).returncode == 0
