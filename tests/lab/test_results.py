"""Results from records and runs: every number here can be worked out by hand."""

import subprocess
import sys

import numpy as np
import pytest
import xarray as xr
from recorded_runs import TASK, entry, record, scores

from workbench import dims
from workbench.errors import WorkbenchError
from workbench.lab.results import (
    against_n,
    at_flops,
    conditions,
    dataset,
    final,
    largest_solved,
    latest,
    learning,
    over_seeds,
    so_far,
    with_n_test,
)
from workbench.lab.results.questions import QUESTIONS, missing_words


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
        "task": "depo", "difficulty": "hops", "measure": "", "titles": ["A question"],
        "counts": [50], "commits": ["0123456"], "machines": ["paper, 2 cores"],
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


def test_a_deeper_model_that_never_sleeps_is_not_called_n_1():
    """Of windows that are read awake first, one pass is N = 0; what is missing says the same."""
    data = dataset(record(entry("deeper", "0", 2, end={"0": scores(0.5)}, curve={})))
    words = "deeper, N = 0 (matched to N = 2)"
    assert conditions(data)[dims.CONDITION].values.tolist() == [words]
    assert data["title"].values.tolist() == ["deeper, N = 0"]
    (memory,) = (question for question in QUESTIONS if question.name == "memory")
    assert words in missing_words(dataset(record(entry())), memory)


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


def test_so_far_takes_every_seed_of_an_arm_at_one_step():
    curves = [{5: {"1": scores(0.1)}, 10: {"1": scores(0.4)}}, {5: {"1": scores(0.3)}}]
    runs = [entry(seed=seed, curve=curve, end={}) for seed, curve in enumerate(curves)]
    late = entry(seed=2, curve={}, end={})
    points = so_far(dataset(record(*runs, late))).squeeze("arm")
    at = {"passes": 1, "difficulty": 1}
    assert points["mean"].sel(at) == pytest.approx(0.2) and points["count"].sel(at) == 2
    assert points["at_step"].item() == 5 and not points["finished"].item()
    ended = so_far(dataset(record(entry(), entry(seed=1)))).squeeze("arm")
    assert ended["at_step"].item() == 20 and ended["finished"].item()


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


def test_unknown_costs_are_not_compared_by_compute():
    run = entry(cost=None)
    run["budget"]["flops"] = None
    data = dataset([run])
    assert np.isnan(at_flops(data, 1e30)["at_step"].item())
    assert final(data)["at_step"].item() == 20


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
    """They are two models, each tested at every N; a fixed one keeps its own."""
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


@pytest.mark.process
def test_results_are_read_without_torch():
    code = "import sys, workbench.lab.results; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-P", "-c", code]).returncode == 0
