"""Figures of experiments, tested as data: points, intervals, chance lines, words."""

import numpy as np
import pytest
import xarray as xr
from figure_checks import check_dark, named

from workbench import dims
from workbench.figures import (
    accuracy_against_flops,
    accuracy_against_n,
    arm_comparison,
    latency_against_n,
    learning_curves,
    transfer_matrix,
)
from workbench.figures.theme import BYTES, INKS

NAN = np.nan
HOPS = {"difficulty_name": "hops"}
CHANCE = xr.DataArray(
    [[0.125, 0.125], [0.1, 0.2]],
    {dims.CHANCE_LINE: ["uniform guess", "blind"], dims.DIFFICULTY: [1, 2]},
    [dims.CHANCE_LINE, dims.DIFFICULTY],
)


def summary(mean, low, high, count, over, coords):
    names = {"mean": mean, "low": low, "high": high, "count": count}
    return xr.Dataset({n: (over, np.array(v)) for n, v in names.items()}, coords)


def against_n():
    """Return two arms at N = 1, 2, 4 and two difficulties; one point unknown, one of one seed."""
    mean = np.array([[[0.9, 0.2], [0.95, NAN], [1.0, 0.8]], [[0.5, 0.1], [0.5, 0.1], [0.5, 0.1]]])
    low, high, count = mean - 0.1, mean + 0.05, np.full(mean.shape, 5)
    low[0, 0, 0] = high[0, 0, 0] = NAN
    count[0, 0, 0], count[0, 1, 1] = 1, 0
    return summary(
        mean, low, high, count, (dims.ARM, dims.PASSES, dims.DIFFICULTY),
        {dims.ARM: ["sleep", "rule_jet"], dims.PASSES: [1, 2, 4], dims.DIFFICULTY: [1, 2],
         "title": (dims.ARM, ["sleep", "Jet layer"])},
    )  # fmt: skip


def test_a_line_joins_only_points_at_equal_steps_and_unfinished_ones_are_hollow():
    data = against_n().isel({dims.ARM: [1]})
    data["finished"] = ((dims.ARM, dims.PASSES), [[True, False, False]])
    data["at_step"] = ((dims.ARM, dims.PASSES), [[280, 51, 51]])
    (trace,) = named(accuracy_against_n(data, **HOPS), "1 hop")
    np.testing.assert_array_equal(trace.x, [1, NAN, 2, 4])
    np.testing.assert_array_equal(np.isnan(trace.y), [False, True, False, False])
    assert [symbol.endswith("-open") for symbol in trace.marker.symbol] == [False, True, True, True]
    assert "finished" in trace.hovertext[0] and "at step 51" in trace.hovertext[2]
    assert len(trace.error_y.array) == len(trace.x) == len(trace.hovertext)
    data["at_step"][:] = 40
    data["finished"][:] = True
    assert not np.isnan(named(accuracy_against_n(data, **HOPS), "1 hop")[0].x).any()


def test_accuracy_against_n_has_a_curve_for_each_difficulty_and_a_panel_for_each_arm():
    figure = accuracy_against_n(against_n(), chance=CHANCE, **HOPS)
    first, second = named(figure, "1 hop")
    np.testing.assert_array_equal(first.x, [1, 2, 4])
    np.testing.assert_allclose(first.y, [0.9, 0.95, 1.0], rtol=1e-6)
    np.testing.assert_allclose(first.error_y.array, [0, 0.05, 0.05], atol=1e-6)
    np.testing.assert_allclose(first.error_y.arrayminus, [0, 0.1, 0.1], atol=1e-6)
    assert first.hovertext[0] == "N = 1, 1 hop: 0.90 (1 seed)"
    assert first.hovertext[1] == "N = 2, 1 hop: 0.95 (0.85 to 1.00; 5 seeds)"
    assert (first.xaxis, second.xaxis) == ("x", "x2")
    assert (first.showlegend, second.showlegend) == (True, False)
    unknown = named(figure, "2 hops")[0]
    np.testing.assert_array_equal(unknown.x, [1, 4])
    assert [note.text for note in figure.layout.annotations] == ["sleep", "Jet layer"]
    assert figure.layout.xaxis.title.text == "N (sleep passes)"
    assert "share" in figure.layout.yaxis.title.text and not figure.layout.yaxis2.title.text
    assert list(figure.layout.xaxis.ticktext) == ["1", "2", "4"]
    assert 10 ** figure.layout.xaxis.range[0] < 1 and 10 ** figure.layout.xaxis.range[1] > 4


def test_a_chance_line_that_differs_between_difficulties_is_a_band():
    figure = accuracy_against_n(against_n(), chance=CHANCE, **HOPS)
    line, band = (named(figure, f"chance: {n}")[0] for n in ("uniform guess", "blind"))
    np.testing.assert_allclose(line.y, 0.125)
    assert line.fill is None and line.hovertext == "chance, uniform guess: 0.125"
    np.testing.assert_allclose(band.y, [0.1, 0.1, 0.2, 0.2])
    assert band.fill == "toself" and band.hovertext == "chance, blind: 0.100 to 0.200"
    assert line.line.dash != band.line.dash


def test_the_legend_names_the_blind_line_so_short_that_nothing_is_cut():
    name = "the same model without the context (mean of 15 runs)"
    chance = CHANCE.assign_coords({dims.CHANCE_LINE: ["uniform guess", name]})
    figure = accuracy_against_n(against_n(), chance=chance, **HOPS)
    line, _ = named(figure, "chance: without the context (mean of 15 runs)")
    assert line.hovertext.startswith(f"chance, {name}: ")
    assert line.x.min() < 1 and line.x.max() > 4


def test_one_seed_has_points_and_no_error_bars():
    data = against_n().isel({dims.ARM: [0]})
    data["low"], data["high"] = data["low"] * NAN, data["high"] * NAN
    figure = accuracy_against_n(data, **HOPS)
    assert len(figure.data) == 2
    for trace in figure.data:
        assert trace.error_y.array is None


def test_nothing_known_yet_is_an_empty_chart_with_axes():
    data = against_n() * NAN
    figure = accuracy_against_n(data, chance=CHANCE, **HOPS)
    assert [len(t.x) for t in figure.data if not t.name.startswith("chance")] == [0] * 4
    assert figure.layout.xaxis.title.text
    bare = accuracy_against_n(data.isel({dims.PASSES: []}), **HOPS)
    assert bare.layout.xaxis.range[0] < bare.layout.xaxis.range[1]


def conditions(levels=2, count=3):
    mean = np.linspace(0.2, 0.9, count * levels).reshape(count, levels)
    names = ["sleep, N = 1", "sleep, N = 4", "Jet layer, N = 4"][:count]
    return summary(
        mean, mean - 0.05, mean + 0.1, np.full(mean.shape, 5),
        (dims.CONDITION, dims.DIFFICULTY),
        {dims.CONDITION: names, dims.DIFFICULTY: list(range(1, levels + 1)),
         "family": (dims.CONDITION, ["sleep", "sleep", "rule_jet"][:count]),
         "title": (dims.CONDITION, ["sleep", "sleep", "Jet layer"][:count]),
         dims.N_TRAIN: (dims.CONDITION, ["1", "4", "4"][:count])},
    )  # fmt: skip


def test_accuracy_against_flops_joins_the_conditions_of_an_arm_in_order_of_cost():
    data = conditions()
    flops = xr.DataArray([4e12, 1e12, NAN], dims=dims.CONDITION)
    figure = accuracy_against_flops(data, flops, chance=CHANCE, **HOPS)
    sleep = named(figure, "sleep")[1]
    np.testing.assert_allclose(sleep.x, [1e12, 4e12], rtol=1e-6)
    np.testing.assert_allclose(sleep.y, [data["mean"][1, 1], data["mean"][0, 1]], rtol=1e-6)
    np.testing.assert_allclose(sleep.error_y.array, 0.1, rtol=1e-5)
    assert sleep.hovertext[0].startswith("sleep, N = 4, 1.00e+12 FLOPs: 0.62")
    (empty, _) = named(figure, "rule_jet")
    assert len(empty.x) == 0, "a cost that is not known has no place on the axis"
    assert figure.layout.xaxis.title.text == "training (FLOPs)"
    assert figure.layout.xaxis.range[0] == 0 and figure.layout.xaxis.range[1] > 4e12


def test_arm_comparison_has_a_row_for_each_condition_as_given():
    data = conditions()
    data["mean"][2, 1] = NAN
    figure = arm_comparison(data, chance=CHANCE, **HOPS)
    dots = named(figure, "mean over seeds")
    np.testing.assert_allclose(dots[0].x, data["mean"][:, 0], rtol=1e-6)
    np.testing.assert_array_equal(dots[0].y, [0, 1, 2])
    np.testing.assert_array_equal(dots[1].y, [0, 1])
    np.testing.assert_allclose(dots[0].error_x.arrayminus, 0.05, rtol=1e-5)
    axis = figure.layout.yaxis
    assert list(axis.ticktext) == data[dims.CONDITION].values.tolist()
    assert axis.range[0] > axis.range[1], "the first on top"
    assert set(figure.layout.yaxis2.ticktext) == {""}
    assert figure.layout.xaxis.title.text == "accuracy (share right)"
    colours = dots[0].marker.color
    assert colours[0] == colours[1] != colours[2], "one colour an arm"
    chance = named(figure, "chance: blind")
    np.testing.assert_allclose(chance[1].x, 0.2)


def matrix():
    values = np.array([[0.9, 0.4, NAN], [0.1, 0.95, 0.5]])
    return xr.DataArray(
        np.stack([values, values / 2], axis=-1),
        {dims.CONDITION: ["sleep, N = 1", "random N in 1-2"], dims.N_TEST: [1, 2, 8],
         dims.DIFFICULTY: [1, 2], dims.N_TRAIN: (dims.CONDITION, ["1", "1-2"])},
        [dims.CONDITION, dims.N_TEST, dims.DIFFICULTY],
    )  # fmt: skip


def test_the_transfer_matrix_writes_values_and_frames_the_n_of_training():
    figure = transfer_matrix(matrix(), **HOPS)
    heat, texts, second, _ = figure.data
    np.testing.assert_allclose(heat.z, matrix()[..., 0], rtol=1e-6)
    np.testing.assert_allclose(second.z, matrix()[..., 1], rtol=1e-6)
    assert list(texts.text) == ["0.90", "0.40", "0.10", "0.95", "0.50"], "none where not measured"
    np.testing.assert_array_equal(texts.x, [0, 1, 0, 1, 2])
    np.testing.assert_array_equal(texts.y, [0, 0, 1, 1, 1])
    assert texts.hovertext[-1] == "random N in 1-2, tested at N = 8: 0.500"
    frames = [(f.xref, f.x0, f.x1, f.y0) for f in figure.layout.shapes]
    assert frames[0] == ("x", -0.47, 0.47, -0.45)
    assert frames[1] == ("x", -0.47, 1.47, 0.55), "a random N is framed over its range"
    assert frames[2][0] == "x2"
    assert list(figure.layout.xaxis.ticktext) == ["1", "2", "8"]
    assert list(figure.layout.yaxis.ticktext) == ["sleep, N = 1", "random N in 1-2"]
    assert (figure.layout.coloraxis.cmin, figure.layout.coloraxis.cmax) == (0, 1)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_what_is_written_in_a_cell_is_read_on_the_cell(theme):
    """The colour map is the same in light and dark, so the letters are too."""
    texts = transfer_matrix(matrix(), theme=theme, **HOPS).data[1]
    dark, light = INKS["light"].text, INKS["light"].paper
    assert list(texts.textfont.color) == [dark, light, light, dark, light]


def latency():
    """Return times of two arms at N = 1, 2; what sleeps not at all, or was not measured, is NaN."""
    sleep = np.array([[[1.0, 2, 3, 4, 100], [2, 4, 6, 8, 10]], [[NAN] * 5, [5, 5, 5, 5, NAN]]])
    over = (dims.ARM, dims.N_TEST, dims.REPEAT)
    return xr.Dataset(
        {"sleep_ms_per_window": (over, sleep), "wake_ms_per_token": (over, sleep / 10)},
        {dims.ARM: ["sleep", "retained_cache"], dims.N_TEST: [1, 2],
         "title": (dims.ARM, ["sleep", "cache kept"])},
    )  # fmt: skip


def test_latency_is_a_median_with_the_middle_half():
    figure = latency_against_n(latency())
    asleep, awake = named(figure, "sleep")
    np.testing.assert_allclose(asleep.y, [3, 6])
    np.testing.assert_allclose(asleep.error_y.array, [1, 2])
    np.testing.assert_allclose(asleep.error_y.arrayminus, [1, 2])
    np.testing.assert_allclose(awake.y, [0.3, 0.6], rtol=1e-6)
    kept = named(figure, "cache kept")[0]
    np.testing.assert_array_equal(kept.x, [2])
    assert "median 3 ms per window (half: 2 to 4)" in asleep.hovertext[0]
    assert figure.layout.yaxis.title.text == "ms per window"
    assert figure.layout.yaxis2.title.text == "ms per token"
    assert figure.layout.yaxis.rangemode == "tozero"


def curves(names=("sleep, N = 4",), seeds=2, steps=3, logged=4, levels=2):
    """Return accuracy that is step / 100 + seed / 10, and seeds whose steps take 1 s, 2 s, ..."""
    sizes = (len(names), seeds, levels, steps)
    step, log = 10.0 * np.arange(1, steps + 1), 5.0 * np.arange(1, logged + 1)
    seed = np.arange(seeds)
    accuracy = np.broadcast_to(step / 100 + seed[:, None, None] / 10, sizes).copy()
    loss = np.broadcast_to(2 - log / 100 + seed[:, None] / 10, (len(names), seeds, logged)).copy()
    data = xr.Dataset(
        {
            "accuracy": ((dims.CONDITION, dims.SEED, dims.DIFFICULTY, dims.STEP), accuracy),
            "loss": ((dims.CONDITION, dims.SEED, dims.LOGGED_STEP), loss),
            "training_flops": ((dims.CONDITION, dims.STEP), np.tile(step * 7, (len(names), 1))),
            "logged_flops": ((dims.CONDITION, dims.LOGGED_STEP), np.tile(log * 7, (len(names), 1))),
            "seconds": (
                (dims.CONDITION, dims.SEED, dims.STEP),
                np.tile(step * (seed[:, None] + 1), (len(names), 1, 1)),
            ),
            "logged_seconds": (
                (dims.CONDITION, dims.SEED, dims.LOGGED_STEP),
                np.tile(log * (seed[:, None] + 1), (len(names), 1, 1)),
            ),
        },
        {dims.CONDITION: list(names), dims.SEED: seed, dims.DIFFICULTY: range(1, levels + 1),
         dims.STEP: step, dims.LOGGED_STEP: log},
    )  # fmt: skip
    for name in ("accuracy", "loss"):
        data[f"{name}_mean"] = data[name].mean(dims.SEED)
        data[f"{name}_low"] = data[name].min(dims.SEED) if seeds > 1 else data[f"{name}_mean"] * NAN
        data[f"{name}_high"] = data[f"{name}_low"] + 0.1 * (seeds - 1)
    return data


def test_learning_curves_of_one_condition_have_a_line_for_each_difficulty():
    figure = learning_curves(curves(), chance=CHANCE, **HOPS)
    titles = [note.text for note in figure.layout.annotations]
    assert titles == ["Loss", "Accuracy by difficulty"]
    (mean,) = named(figure, "2 hops")
    np.testing.assert_array_equal(mean.x, [10, 20, 30])
    np.testing.assert_allclose(mean.y, [0.15, 0.25, 0.35], rtol=1e-6)
    assert mean.xaxis == "x2" and mean.showlegend
    (thin,) = named(figure, "2 hops, each seed")
    np.testing.assert_array_equal(thin.x, [10, 20, 30, NAN] * 2)
    np.testing.assert_allclose(thin.y, [0.1, 0.2, 0.3, NAN, 0.2, 0.3, 0.4, NAN], rtol=1e-6)
    assert thin.line.width < mean.line.width and not thin.showlegend
    (band,) = named(figure, "2 hops, 95 % interval")
    np.testing.assert_array_equal(band.x, [10, 20, 30, 30, 20, 10])
    np.testing.assert_allclose(band.y, [0.2, 0.3, 0.4, 0.3, 0.2, 0.1], rtol=1e-6)
    (loss,) = named(figure, "loss")
    np.testing.assert_allclose(loss.y, [2.0, 1.95, 1.9, 1.85], rtol=1e-6)
    assert loss.xaxis == "x" and not loss.showlegend
    assert len(named(figure, "chance: blind")) == 1
    assert figure.layout.xaxis.title.text == "optimiser step"
    assert "nats" in figure.layout.yaxis.title.text


def test_several_conditions_have_a_panel_for_each_difficulty():
    figure = learning_curves(curves(("sleep, N = 1", "sleep, N = 4")), chance=CHANCE, **HOPS)
    titles = [note.text for note in figure.layout.annotations]
    assert titles == ["Loss", "Accuracy, 1 hop", "Accuracy, 2 hops"]
    lines = named(figure, "sleep, N = 4")
    assert [line.xaxis for line in lines] == ["x", "x2", "x3"]
    assert [line.showlegend for line in lines] == [True, False, False]
    assert lines[0].line.color == lines[1].line.color


@pytest.mark.parametrize(
    ("against", "mean", "second_seed", "loss", "title"),
    [
        ("flops", [70, 140, 210], [70, 140, 210], [35, 70, 105, 140], "training (FLOPs)"),
        ("seconds", [15, 30, 45], [20, 40, 60], [7.5, 15, 22.5, 30], "training (s)"),
    ],
)
def test_learning_curves_stand_at_compute_or_time(against, mean, second_seed, loss, title):
    figure = learning_curves(curves(), against=against, **HOPS)
    np.testing.assert_allclose(named(figure, "1 hop")[0].x, mean)
    thin = named(figure, "1 hop, each seed")[0].x
    np.testing.assert_allclose(thin[4:7], second_seed)
    np.testing.assert_allclose(named(figure, "loss")[0].x, loss)
    assert figure.layout.xaxis.title.text == title
    assert figure.layout.xaxis.range[1] > max(second_seed)


def test_one_seed_has_one_line_and_a_run_that_began_late_is_shorter():
    figure = learning_curves(curves(seeds=1), **HOPS)
    assert [trace.name for trace in figure.data] == ["loss", "1 hop", "2 hops"]
    data = curves(("a", "b"))
    for name in ("accuracy", "accuracy_mean", "accuracy_low", "accuracy_high"):
        data[name][1] = NAN  # b has told its loss alone
    late = learning_curves(data, **HOPS)
    assert [trace.xaxis for trace in named(late, "b")] == ["x"]
    assert named(late, "b")[0].showlegend
    nothing = learning_curves(data * NAN, **HOPS)
    assert not nothing.data and nothing.layout.xaxis.range == (0, 1.03)


def test_long_curves_are_thinned_and_say_so_and_keep_their_last_point():
    data = curves(("a", "b", "c", "d"), seeds=5, steps=400, logged=5000)
    figure = learning_curves(data, **HOPS)
    assert len(figure.to_json()) <= BYTES
    titles = [note.text for note in figure.layout.annotations]
    assert titles[0].startswith("Loss (1 point of ") and "(1 point of " in titles[1]
    every = int(titles[0].rpartition(" ")[2][:-1])
    x = named(figure, "a")[0].x
    assert x[-1] == 25_000 and set(np.diff(x)) == {5 * every}


def test_thinning_counts_the_points_of_each_condition_and_keeps_the_last_of_each():
    """Arms share the axis: b was evaluated at every tenth step of it, and ends before a does."""
    data = curves(("a", "b", "c", "d"), seeds=5, steps=400)
    there = np.zeros(400, dtype=bool)
    there[4:300:10] = True
    for name in ("accuracy", "accuracy_mean", "accuracy_low", "accuracy_high"):
        data[name][1] = data[name][1].where(xr.DataArray(there, dims=dims.STEP))
    figure = learning_curves(data, **HOPS)
    titles = [note.text for note in figure.layout.annotations]
    every = int(titles[1].rpartition(" ")[2][:-1])
    assert every > 1
    x = named(figure, "b")[1].x
    np.testing.assert_array_equal(x, data[dims.STEP].values[there][29 % every :: every])
    assert x[-1] == 2950
    assert named(figure, "a")[1].x[-1] == 4000


FIGURES = {
    "against_n": lambda t: accuracy_against_n(against_n(), chance=CHANCE, theme=t, **HOPS),
    "against_flops": lambda t: accuracy_against_flops(
        conditions(), xr.DataArray([1e12, 2e12, 3e12], dims=dims.CONDITION), theme=t, **HOPS
    ),
    "comparison": lambda t: arm_comparison(conditions(), theme=t, **HOPS),
    "transfer": lambda t: transfer_matrix(matrix(), theme=t, **HOPS),
    "latency": lambda t: latency_against_n(latency(), theme=t),
    "learning": lambda t: learning_curves(curves(), chance=CHANCE, theme=t, **HOPS),
    "many_curves": lambda t: learning_curves(
        curves([f"arm {i}" for i in range(10)], seeds=5, steps=40, logged=200, levels=4),
        theme=t,
        **HOPS,
    ),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figures_keep_the_byte_budget_float32_and_the_theme(name):
    figure = FIGURES[name]("dark")
    check_dark(figure)
    for axis in (*figure.select_xaxes(), *figure.select_yaxes()):
        assert 0 <= axis.domain[0] < axis.domain[1] <= 1


def test_series_beyond_the_palette_are_told_apart_by_their_dash():
    figure = FIGURES["many_curves"]("light")
    first = [named(figure, f"arm {i}")[0] for i in range(10)]
    assert len({(trace.line.color, trace.line.dash) for trace in first}) == 10
    # five panels stand in rows of three and two
    left = [axis.domain[0] for axis in figure.select_xaxes()]
    top = [axis.domain[1] for axis in figure.select_yaxes()]
    assert left[0] == left[3] == 0 and len(set(top[:3])) == 1 and top[3] == top[4] < top[0]
