"""Probes on states whose content is planted: what is there is found, what is not is chance."""

import dataclasses

import numpy as np
import pytest
import xarray as xr

from workbench import dims
from workbench.config import SleepConfig
from workbench.errors import WorkbenchError
from workbench.instruments.controls import EMBEDDINGS, INPUT, MAJORITY, QUADRATIC, REPLAY
from workbench.instruments.probes import BASELINES, probe, probe_states
from workbench.instruments.probing.features import said, with_pairs
from workbench.instruments.probing.folds import groups_of
from workbench.instruments.recorded import STATE_DIMS
from workbench.tasks import batch_generator, task

EXAMPLES, ITEMS, CLASSES = 600, 3, 4


@pytest.fixture(scope="module")
def labels():
    return np.random.default_rng(0).integers(0, CLASSES, (EXAMPLES, ITEMS))


@pytest.fixture(scope="module")
def states(labels):
    """S at pass 1 is noise, at pass 2 noise and a code of the labels; window 1 has one pass."""
    rng = np.random.default_rng(1)
    values = np.zeros((EXAMPLES, 2, 3, 1, 2, 4, 5))
    values[:, :, 1:] = rng.normal(size=values[:, :, 1:].shape)
    code = rng.normal(size=(ITEMS, CLASSES, 2, 4, 5))
    values[:, 0, 2, 0] += 10 * sum(code[i, labels[:, i]] for i in range(ITEMS))
    values[:, 1, 2] = np.nan
    index = {dims.WINDOW: [0, 2], dims.SLEEP_PASS: [0, 1, 2], dims.LAYER: [1]}
    return xr.DataArray(values.astype(np.float32), index, STATE_DIMS)


@pytest.fixture(scope="module")
def targets(labels, probe_target):
    """The labels that are planted, and others that no state knows."""
    rng = np.random.default_rng(2)
    kinds = rng.integers(0, 50, labels.shape)
    missing = np.where(rng.random(labels.shape) < 0.3, -1, labels)
    return [
        probe_target(labels, "abcd", name="planted", kinds=kinds),
        probe_target(rng.integers(0, CLASSES, labels.shape), "abcd", name="random", level=2),
        probe_target(missing, "abcd", name="often missing", level=3),
    ]


@pytest.fixture(scope="module")
def found(states, targets):
    blind = xr.zeros_like(states).where(states.notnull())
    windows = []

    def by_window(window):
        windows.append(window)
        return states.sel(window=0, sleep_pass=2).values.reshape(EXAMPLES, -1)

    result = probe_states(
        states, targets, np.arange(EXAMPLES), compared={"blind": blind, "seen": by_window}
    )
    assert sorted(windows) == [0, 2]
    return result


def test_a_planted_code_is_found_and_nothing_else(found):
    there = found.sel(window=0, sleep_pass=2, layer=1)
    assert found.sizes[dims.SEED] == 5
    assert (there.accuracy.sel(target="planted") == 1).all()
    assert (there.accuracy.sel(target="often missing") > 0.99).all()
    assert (there.item_accuracy.sel(target="planted") == 1).all()
    assert (there.item_low.sel(target="planted") > 0.98).all()
    assert (there.item_high.sel(target="planted") == 1).all()
    for place in ({"window": 0, "sleep_pass": 1}, {"window": 2, "sleep_pass": 1}):
        nothing = found.sel(place).squeeze(dims.LAYER)
        assert (nothing.low < 0.28).all()
        assert (nothing.high > 0.22).all()


def test_labels_drawn_at_random_score_chance_within_the_interval(found):
    random = found.sel(window=0, layer=1, target="random").isel(sleep_pass=[1, 2])
    assert (random.low < 0.25).all()
    assert (random.high > 0.25).all()
    shuffled = found.control_accuracy.sel(window=0, layer=1, sleep_pass=2, control="shuffled")
    np.testing.assert_allclose(shuffled.mean(dims.SEED), 0.25, atol=0.05)


def test_selectivity_is_what_is_left_after_the_control(found):
    planted = found.sel(window=0, sleep_pass=2, layer=1, target="planted")
    xr.testing.assert_allclose(planted.selectivity, planted.accuracy - planted.control_accuracy)
    assert (planted.selectivity > 0.5).all()  # 50 kinds that S does not hold
    random = found.sel(window=0, sleep_pass=2, layer=1, target="random")
    assert random.selectivity.sel(control="kinds").isnull().all(), "a target without kinds"


def test_baselines(found):
    baseline = found.baseline_accuracy.sel(window=0, layer=1, target="planted")
    np.testing.assert_array_equal(found.baseline, [MAJORITY, "blind", "seen"])
    assert (baseline.sel(baseline="seen") == 1).all(), "features of a window, at all its passes"
    blind = baseline.sel(baseline="blind")
    assert (blind < 0.4).all()
    # features that say nothing leave the commonest class
    np.testing.assert_allclose(blind, baseline.sel(baseline=MAJORITY))
    np.testing.assert_allclose(
        found.accuracy.sel(window=0, sleep_pass=0, layer=1),
        found.baseline_accuracy.sel(window=0, sleep_pass=0, layer=1, baseline=MAJORITY),
    )


def test_places_that_are_not_there_stay_empty(found):
    for name in ("accuracy", "low", "control_accuracy", "item_accuracy", "alpha"):
        assert found[name].sel(window=2, sleep_pass=2).isnull().all()
    assert found.attrs["complete"] == 1
    assert found.attrs["groups"] == EXAMPLES
    np.testing.assert_array_equal(found.level, [1, 2, 3])


def test_the_result_does_not_depend_on_workers_or_other_targets(states, targets, found):
    options = {"seeds": (3,), "workers": 1, "controls": False}
    alone = probe_states(states, targets[:1], np.arange(EXAMPLES), **options)
    assert alone.control_accuracy.isnull().all()
    xr.testing.assert_allclose(
        alone.accuracy, found.accuracy.sel(seed=[3], target=["planted"]), atol=1e-12
    )


def test_a_split_by_row_is_the_trap_and_a_split_by_group_is_not(states, targets):
    """Every state four times, with labels that no state knows."""
    part = states.isel(example=slice(90), window=[0], sleep_pass=[2])
    again = [t.of_examples(np.tile(np.arange(90), 4)) for t in targets[1:2]]
    rows = xr.concat([part] * 4, dims.EXAMPLE)
    options = {"seeds": (0, 1), "alphas": (1e-5,)}
    by_row = probe_states(rows, again, np.arange(360), **options)
    by_group = probe_states(rows, again, np.tile(np.arange(90), 4), **options)
    assert (by_row.accuracy > 0.5).all()
    assert (by_group.accuracy < 0.4).all()


def test_progress_and_stop(states, targets):
    shares = []
    stopped = probe_states(
        states,
        targets[:1],
        np.arange(EXAMPLES),
        seeds=(0,),
        workers=1,
        on_progress=shares.append,
        stop=lambda: len(shares) >= 2,
    )
    assert stopped.attrs["complete"] == 0
    assert shares[:2] == [0.2, 0.4]
    assert 2 <= stopped.accuracy.notnull().sum() < 5
    never = probe_states(states, targets, np.arange(EXAMPLES), stop=lambda: True)
    assert never.accuracy.isnull().all()


def test_errors_say_what_is_wrong(states, targets):
    groups, few, one = np.arange(EXAMPLES), slice(30), targets[0]
    many = {"classes": tuple(map(str, range(7000))), "symbols": np.arange(7000)}
    for wrong, message in (
        ([], "no target"),
        ([one.of_examples(few)], "of 30 examples with states of 600"),
        ([one, targets[1].of_items(["item 1"])], "about other items"),
        ([dataclasses.replace(one, labels=np.full_like(one.labels, -1))], "without a label"),
        ([dataclasses.replace(one, **many)], "3 items of 7000 classes"),
    ):
        with pytest.raises(WorkbenchError, match=message):
            probe_states(states, wrong, groups)
    with pytest.raises(WorkbenchError, match="30 examples in 30 groups .* take more examples"):
        probe_states(states[few], [one.of_examples(few)], groups[few])


def test_an_error_in_a_thread_comes_out(states, targets):
    def broken(window):
        raise WorkbenchError("no features", "features", "none")

    with pytest.raises(WorkbenchError, match="no features"):
        probe_states(states, targets, np.arange(EXAMPLES), compared={"broken": broken}, seeds=(0,))


def test_splits_take_several_baselines_in_turn(states, targets):
    """Two models to compare with: one holds the labels, the other nothing."""
    blind = xr.zeros_like(states).where(states.notnull())
    found = probe_states(
        states, targets[:1], np.arange(EXAMPLES), compared={"two": [states, blind]},
        seeds=(5, 6, 7), controls=False,
    ).sel(window=0, layer=1, target="planted")  # fmt: skip
    two = found.baseline_accuracy.sel(baseline="two", sleep_pass=2)
    np.testing.assert_allclose(two.sel(seed=[5, 7]), 1)
    assert two.sel(seed=6) < 0.4
    gain = found.sel(baseline="two", sleep_pass=2)
    shares = found.accuracy.sel(sleep_pass=2).mean() - two.mean()
    np.testing.assert_allclose(gain.gain, shares, atol=0.01)  # folds differ by an example
    assert gain.gain_low < gain.gain < gain.gain_high


def test_a_gain_is_over_what_the_baseline_told(found):
    there = found.sel(window=0, sleep_pass=2, layer=1)
    planted = there.sel(target="planted")
    np.testing.assert_allclose(planted.gain.sel(baseline="seen"), 0, atol=1e-12)
    np.testing.assert_allclose(planted.gain_high.sel(baseline="seen"), 0, atol=1e-12)
    for baseline in ("majority", "blind"):
        one = planted.sel(baseline=baseline)
        expected = one.accuracy.mean() - one.baseline_accuracy.mean()
        np.testing.assert_allclose(one.gain, expected, atol=1e-12)
        assert one.gain_low > 0.6
    random = there.sel(target="random")
    assert (random.gain_low <= 0).all() and (random.gain_high >= 0).all()
    assert found.gain.sel(window=2, sleep_pass=2).isnull().all()


def test_a_ring_needs_products_of_edges_for_two_hops():
    """Read off the text, without any model: one hop linearly, two hops by pairs of edges."""
    made = task("depo", nodes=7, names="single", max_hops=2, queries=1)
    batch = made.sample(1000, batch_generator(0, 0))
    targets, sleep = made.probe_targets(batch)[:2], SleepConfig(window=14)
    index = {dims.WINDOW: [0], dims.SLEEP_PASS: [1], dims.LAYER: [1]}
    nothing = xr.DataArray(np.zeros((1000, 1, 1, 1, 1, 1, 1)), index, STATE_DIMS)
    found = probe_states(
        nothing,
        targets,
        groups_of(batch, sleep, targets),
        compared={
            INPUT: lambda window: said(batch, sleep, targets, window),
            QUADRATIC: lambda window: with_pairs(said(batch, sleep, targets, window)),
        },
        controls=False,
        seeds=(0, 1),
    )
    share = found.baseline_accuracy.mean(dims.SEED).squeeze()
    assert share.sel(baseline=INPUT, target="1 hop") == 1
    assert share.sel(baseline=INPUT, target="2 hops") < 0.25
    assert share.sel(baseline=QUADRATIC, target="2 hops") > 0.99
    assert 500 < found.attrs["groups"] <= 720  # rings, in whatever order of the edges


def test_a_model_is_read_and_compared(tiny_model):
    made = task("rule110", cells=6, strings=1, rollout=1)
    model = tiny_model("attention", "gated_delta", "delta", dtype="float32")
    batch = made.sample(150, batch_generator(0, 0))
    sleep = SleepConfig(window=6, passes=2)
    targets = made.probe_targets(batch)
    found = probe(model, batch, sleep, targets, seeds=(0, 1))
    np.testing.assert_array_equal(found.baseline, BASELINES)
    assert found.attrs["untrained_models"] == 2
    assert dict(found.accuracy.sizes) == {
        "seed": 2, "window": 1, "sleep_pass": 3, "layer": 2, "target": 2,
    }  # fmt: skip
    assert found.attrs["groups"] < 64  # strings of six cells repeat
    start = found.sel(target="after 0 steps")
    assert (start.baseline_accuracy.sel(baseline=EMBEDDINGS) == 1).all(), "a bit is its embedding"
    one = found.sel(target="after 1 step").baseline_accuracy
    assert (one.sel(baseline=INPUT) > 0.95).all(), "its kind decides it"
    replay = found.sel(baseline=REPLAY)
    for name in ("baseline_accuracy", "gain"):
        assert replay[name].sel(sleep_pass=[0, 1]).isnull().all()
        assert replay[name].sel(sleep_pass=2).notnull().all()
        rest = found[name].sel(baseline=[b for b in BASELINES if b != REPLAY])
        assert rest.notnull().all()
