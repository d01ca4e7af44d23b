"""Figures of probes and interventions, tested as data on datasets made by hand."""

import numpy as np
import pytest
import xarray as xr
from figure_checks import check_dark, named

from workbench import dims
from workbench.figures.effects import ablation_map, patch_curves, patch_map
from workbench.figures.export import drawn
from workbench.figures.probes import QUANTITIES, item_bars, probe_curves, probe_map, shown
from workbench.figures.steering import steering_curves

PASSES, LAYERS, TARGETS = [0, 1, 2], [1, 3], ["1 hop", "2 hops"]


def probes():
    """Two seeds; accuracy grows with the pass; only the first target has the control "kinds"."""
    place = (dims.SEED, dims.WINDOW, dims.SLEEP_PASS, dims.LAYER, dims.TARGET)
    grow = np.linspace(0.2, 0.8, 3)[None, None, :, None, None] + np.zeros((2, 1, 3, 2, 2))
    grow = grow + np.array([-0.1, 0.1])[:, None, None, None, None]
    control = np.stack((np.full(grow.shape, 0.3), np.full(grow.shape, 0.1)), axis=-1)
    control[..., 1, 0] = np.nan
    baseline = np.stack((np.full(grow.shape, 0.25), np.full(grow.shape, 0.9)), axis=-1)
    items = np.repeat(grow[..., None], 3, axis=-1)
    mean = grow.mean(axis=0)
    return xr.Dataset(
        {
            "accuracy": (place, grow),
            "low": (place[1:], mean - 0.05),
            "high": (place[1:], mean + 0.02),
            "control_accuracy": ((*place, dims.CONTROL), control),
            "selectivity": ((*place, dims.CONTROL), grow[..., None] - control),
            "baseline_accuracy": ((*place, dims.BASELINE), baseline),
            "item_accuracy": ((*place, dims.ITEM), items),
        },
        {
            dims.SEED: [0, 1], dims.WINDOW: [0], dims.SLEEP_PASS: PASSES, dims.LAYER: LAYERS,
            dims.TARGET: TARGETS, dims.CONTROL: ["kinds", "shuffled"],
            dims.BASELINE: ["majority", "input, quadratic"], dims.ITEM: ["a", "b", "c"],
        },
    )  # fmt: skip


def with_bounds(over, values):
    return {f"{n}{end}": (over, v + by) for n, v in values.items()
            for end, by in (("", 0), ("_low", -0.1), ("_high", 0.05))}  # fmt: skip


def patches():
    over = (
        dims.DIFFICULTY, dims.DIRECTION, dims.CONTROL, dims.COMPONENT, dims.WINDOW,
        dims.SLEEP_PASS,
    )  # fmt: skip
    values = np.zeros((2, 2, 3, 2, 1, 3)) + np.linspace(0, 1, 3)
    names = ("effect", "became_donor", "stayed", "logit_diff")
    paired = {name: values[:, :, 0] / 2 for name in ("beyond", "became_more")}
    return xr.Dataset(
        with_bounds(over, {n: values * (i + 1) for i, n in enumerate(names)})
        | with_bounds(tuple(d for d in over if d != dims.CONTROL), paired)
        | {"chance": ((dims.DIFFICULTY, dims.DIRECTION), [[0.125, 0.25], [0.125, 0.25]])},
        {
            dims.DIFFICULTY: [1, 2], dims.DIRECTION: ["denoise", "noise"],
            dims.CONTROL: ["patch", "unrelated donor", "random of equal norm"],
            dims.COMPONENT: ["whole", "layer 1 head 0"], dims.WINDOW: [0],
            dims.SLEEP_PASS: PASSES,
        },
        {"difficulty_name": "hops"},
    )  # fmt: skip


def ablations():
    over = (
        dims.DIFFICULTY, dims.PROCEDURE, dims.CONTROL, dims.COMPONENT, dims.WINDOW, dims.SLEEP_PASS,
    )  # fmt: skip
    values = np.zeros((2, 2, 2, 2, 1, 3)) + np.array([0.9, 0.5, 0.25])
    values[:, :, 1] = 0.8  # the random control
    return xr.Dataset(
        with_bounds(over, {"accuracy": values})
        | with_bounds((dims.DIFFICULTY,), {"intact_accuracy": np.array([1.0, 0.75])})
        | {"chance": ((dims.CHANCE_LINE, dims.DIFFICULTY), [[0.125, 0.125]])},
        {
            dims.DIFFICULTY: [1, 2], dims.PROCEDURE: ["zero", "mean"],
            dims.CONTROL: ["ablation", "random of equal norm"],
            dims.COMPONENT: ["layer 1 head 0", "layer 1 head 1"], dims.WINDOW: [0],
            dims.SLEEP_PASS: PASSES, dims.CHANCE_LINE: ["uniform guess"],
        },
        {"difficulty_name": "hops"},
    )  # fmt: skip


def heat(figure):
    return [t for t in figure.data if t.type == "heatmap"]


def test_a_map_shows_means_over_seeds_a_panel_for_each_layer():
    figure = probe_map(probes(), window=0)
    first, second = heat(figure)
    np.testing.assert_allclose(first.z, [[0.2, 0.5, 0.8]] * 2, atol=1e-6)
    np.testing.assert_allclose(first.z, second.z)
    assert [a.text for a in figure.layout.annotations] == ["layer 1, accuracy", "layer 3, accuracy"]
    assert list(figure.layout.yaxis.ticktext) == TARGETS
    assert (figure.layout.coloraxis.cmin, figure.layout.coloraxis.cmax) == (0, 1)
    assert list(first.customdata[1][2]) == ["2 hops, after pass 2: 0.800", "2 hops", 2, 1]


def test_layers_stand_under_each_other_a_panel_for_each_target():
    data = probes()
    data["accuracy"][dict(layer=1)] = 1.0
    figure = probe_map(data, window=0, panels=dims.TARGET)
    assert [a.text for a in figure.layout.annotations] == TARGETS
    first, second = heat(figure)
    np.testing.assert_allclose(first.z, [[0.2, 0.5, 0.8], [1, 1, 1]], atol=1e-6)
    assert list(figure.layout.yaxis.ticktext) == ["layer 1", "layer 3"]
    assert list(second.customdata[1][0]) == [
        "2 hops, layer 3, before the first pass: 1.000", "2 hops", 0, 3,
    ]  # fmt: skip


def test_names_of_items_fit_under_their_bars():
    data = probes().assign_coords({dims.ITEM: ["string 0, cell 0", "string 0, cell 1", "b"]})
    figure = item_bars(data, window=0, layer=1, sleep_pass=2, target="2 hops")
    assert list(figure.layout.xaxis.ticktext) == ["0<br>string 0", "1", "b"]
    assert figure.layout.xaxis.title.text == "cell"


def steering():
    over = (
        dims.DIFFICULTY, dims.SLEEP_PASS, dims.LAYER, dims.TARGET, dims.STRENGTH, dims.CONTROL,
    )  # fmt: skip
    follows = np.zeros((2, 1, 1, 3, 2, 2))
    follows[1, 0, 0, 1] = [[0.5, 0.1], [0.9, 0.1]]  # 2 hops, asked of queries of 2 hops
    return xr.Dataset(
        with_bounds(over, {"follows": follows})
        | {
            "cases": ((dims.DIFFICULTY, dims.TARGET), [[7, 8, 9], [10, 11, 12]]),
            "norm": (over[1:5], np.full((1, 1, 3, 2), 0.25)),
        },
        {
            dims.DIFFICULTY: [1, 2], dims.SLEEP_PASS: [2], dims.LAYER: [1],
            dims.TARGET: [*TARGETS, "3 hops"], dims.STRENGTH: [1.0, 4.0],
            dims.CONTROL: ["probe's direction", "nothing"], "level": (dims.TARGET, [1, 2, 3]),
        },
        {"difficulty_name": "hops"},
    )  # fmt: skip


def test_steering_shows_each_target_at_the_queries_that_ask_for_it():
    figure = steering_curves(steering(), sleep_pass=2, layer=1)
    assert [a.text for a in figure.layout.annotations] == ["1 hop (7 cases)", "2 hops (11 cases)"]
    _, second = named(figure, "probe's direction")
    np.testing.assert_allclose(second.y, [0.5, 0.9], atol=1e-6)
    np.testing.assert_allclose(second.error_y.array, [0.05, 0.05], atol=1e-6)
    assert second.customdata[0] == "25%"
    still = named(figure, "nothing is moved")
    assert len(still) == 2
    np.testing.assert_allclose(still[1].error_y.array, [0.05, 0.05], atol=1e-6)
    assert figure.layout.xaxis.type == "log"


def test_selectivity_is_against_kinds_where_there_are_any_else_against_shuffled():
    found = shown(probes(), "selectivity").isel(window=0, layer=0, sleep_pass=2)
    np.testing.assert_allclose(found, [0.5, 0.7])
    np.testing.assert_allclose(
        shown(probes(), "gain").isel(window=0, layer=0, sleep_pass=2), [0.55, 0.55]
    )
    with pytest.raises(ValueError, match="one of accuracy"):
        shown(probes(), "charm")


def test_curves_stand_beside_every_control_and_baseline():
    figure = probe_curves(probes(), window=0, layer=3)
    names = {t.name for t in figure.data}
    assert names == {
        "probe", "control: kinds", "control: shuffled", "baseline: majority",
        "baseline: input, quadratic",
    }  # fmt: skip
    probe, second = named(figure, "probe")
    np.testing.assert_allclose(probe.y, [0.2, 0.5, 0.8], atol=1e-6)
    np.testing.assert_allclose(probe.error_y.array, [0.02] * 3, atol=1e-6)
    np.testing.assert_allclose(probe.error_y.arrayminus, [0.05] * 3, atol=1e-6)
    assert probe.showlegend and not second.showlegend


def test_items_stand_beside_the_majority():
    figure = item_bars(probes(), window=0, layer=1, sleep_pass=2, target="2 hops")
    bars, majority = figure.data
    np.testing.assert_allclose(bars.y, [0.8] * 3, atol=1e-6)
    np.testing.assert_allclose(majority.y, [0.25, 0.25])
    assert list(figure.layout.xaxis.ticktext) == ["a", "b", "c"]


def test_patches_stand_beside_their_controls_in_both_directions():
    figure = patch_curves(patches(), window=0, component="whole", quantity="became_donor")
    titles = [a.text for a in figure.layout.annotations]
    assert titles == ["1 hop, denoise", "2 hops, denoise", "1 hop, noise", "2 hops, noise"]
    assert len(named(figure, "patch")) == len(named(figure, "unrelated donor")) == 4
    np.testing.assert_allclose(named(figure, "patch")[0].y, [0, 1, 2])
    assert figure.layout.yaxis.title.text == "share of answers"
    chance = named(figure, "chance: another context's answer")
    assert [line.y[0] for line in chance] == [0.125, 0.125, 0.25, 0.25]


def test_an_effect_beyond_the_unrelated_donor_is_one_line():
    figure = patch_curves(patches(), window=0, component="whole", quantity="beyond")
    assert {trace.name for trace in figure.data} == {"patch"}
    np.testing.assert_allclose(figure.data[0].y, [0, 0.25, 0.5])
    assert figure.layout.yaxis.title.text == "effect beyond unrelated"


def test_a_patch_map_has_a_panel_for_each_difficulty_and_names_its_parts():
    figure = patch_map(patches(), window=0, direction="noise", quantity="effect")
    first, second = heat(figure)
    np.testing.assert_allclose(first.z, [[0, 0.5, 1]] * 2)
    beyond, _ = heat(patch_map(patches(), window=0, direction="noise"))
    np.testing.assert_allclose(beyond.z, [[0, 0.25, 0.5]] * 2)
    assert list(figure.layout.yaxis.ticktext) == ["whole", "layer 1 head 0"]
    assert (figure.layout.coloraxis.cmin, figure.layout.coloraxis.cmax) == (-1, 1)


def test_what_is_lost_stands_beside_a_random_change():
    figure = ablation_map(ablations(), window=0, procedure="zero")
    lost, random, *_ = heat(figure)
    np.testing.assert_allclose(lost.z, [[-0.1, -0.5, -0.75]] * 2, atol=1e-6)
    np.testing.assert_allclose(random.z, [[-0.2] * 3] * 2, atol=1e-6)
    assert [a.text for a in figure.layout.annotations][1] == "1 hop: random of equal norm"


def test_each_is_small_and_has_its_picture():
    theme = "dark"
    figures = [probe_map(probes(), quantity=q, window=0, theme=theme) for q in QUANTITIES]
    figures += [
        probe_curves(probes(), window=0, layer=1, theme=theme),
        item_bars(probes(), window=0, layer=1, sleep_pass=0, target="1 hop", theme=theme),
        probe_map(probes(), window=0, quantity="selectivity", panels=dims.TARGET, theme=theme),
        steering_curves(steering(), sleep_pass=2, layer=1, theme=theme),
        patch_curves(patches(), window=0, component="whole", theme=theme),
        patch_map(patches(), window=0, direction="denoise", theme=theme),
        ablation_map(ablations(), window=0, procedure="zero", theme=theme),
    ]
    for figure in figures:
        check_dark(figure)
        drawn(figure)
