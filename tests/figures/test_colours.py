"""One thing has one colour in every figure and theme, and no two things share one."""

import colorsys
from itertools import combinations

import numpy as np
import pytest
import xarray as xr

from workbench import dims
from workbench.figures import (
    accuracy_against_budget,
    accuracy_against_flops,
    arm_comparison,
    largest_solved_against_n,
    latency_against_n,
    learning_curves,
)
from workbench.figures import theme as look
from workbench.lab.arms import ARMS

NAMES = ("sleep", "random_n", "deeper", "longer", "wake_loop", "think_only", "rule_jet")
THEMES = ("light", "dark")
HOPS = {"difficulty_name": "hops"}


def summary(*sizes, **coords):
    """Return a mean of a half over (condition, ..., difficulty), an arm for each condition."""
    axes = (dims.CONDITION, *coords, dims.DIFFICULTY)
    shape = (len(NAMES), *sizes, 2)
    values = {name: (axes, np.full(shape, 0.5)) for name in ("mean", "low", "high")}
    names = {"family": (dims.CONDITION, list(NAMES)), "title": (dims.CONDITION, list(NAMES))}
    return xr.Dataset(
        values | {"count": (axes, np.full(shape, 5))},
        {dims.CONDITION: list(NAMES), dims.DIFFICULTY: [1, 2], **coords, **names},
    )


def by_arm(*sizes, **coords):
    return summary(*sizes, **coords).rename({dims.CONDITION: dims.ARM}).drop_vars("family")


def curves():
    data = summary(2, 3, **{dims.SEED: [0, 1], dims.STEP: [1, 2, 3]})
    scores = data["mean"].transpose(dims.CONDITION, dims.SEED, dims.DIFFICULTY, dims.STEP)
    losses = scores.isel({dims.DIFFICULTY: 0}, drop=True).rename({dims.STEP: dims.LOGGED_STEP})
    over = {"accuracy": scores.mean(dims.SEED), "loss": losses.mean(dims.SEED)}
    parts = {f"{n}_{end}": v for n, v in over.items() for end in ("mean", "low", "high")}
    return xr.Dataset({"accuracy": scores, "loss": losses, **parts})


def figures(theme):
    flops = xr.DataArray(np.arange(1.0, 8.0), dims=dims.CONDITION)
    budget = summary(2, **{dims.BUDGET: [1.0, 2.0]})
    budget["spent"] = budget["mean"].isel({dims.DIFFICULTY: 0}, drop=True)
    solved = by_arm(2, **{dims.PASSES: [1, 4]}).isel({dims.DIFFICULTY: 0}, drop=True)
    solved["by_seed"] = solved["mean"].expand_dims({dims.SEED: 2})
    solved = solved.assign_attrs(hardest=2, levels=[1, 2])
    latency = by_arm(2, **{dims.N_TEST: [1, 4]})["mean"].rename({dims.DIFFICULTY: dims.REPEAT})
    latency = xr.Dataset({"sleep_ms_per_window": latency, "wake_ms_per_token": latency})
    return [
        arm_comparison(summary(), **HOPS, theme=theme),
        accuracy_against_flops(summary(), flops, **HOPS, theme=theme),
        accuracy_against_budget(budget, unit="s", **HOPS, theme=theme),
        largest_solved_against_n(solved, **HOPS, theme=theme),
        latency_against_n(latency, theme=theme),
        learning_curves(curves(), **HOPS, theme=theme),
    ]


def colours(figure):
    """Return arm -> its colours and symbols in a figure."""
    found = {}
    for trace in figure.data:
        if isinstance(trace.marker.color, tuple | list | np.ndarray):  # a row for each arm
            for name, *both in zip(NAMES, trace.marker.color, trace.marker.symbol, strict=True):
                found.setdefault(name, set()).add(tuple(both))
        elif trace.name in NAMES and trace.marker.symbol:
            found.setdefault(trace.name, set()).add((trace.marker.color, trace.marker.symbol))
    return found


@pytest.mark.parametrize("theme", THEMES)
def test_an_arm_has_one_colour_and_one_marker_in_all_figures(theme):
    first, *others = [colours(figure) for figure in figures(theme)]
    assert set(first) == set(NAMES) and all(len(looks) == 1 for looks in first.values())
    assert all(other == first for other in others)


@pytest.mark.parametrize("theme", THEMES)
def test_no_two_things_share_a_colour(theme):
    assert set(ARMS) <= set(look.ARMS), "an arm without a colour"
    pairs = [*look.ARMS.values(), *look.OTHER_ARMS, *look.LEVELS, *look.STATUS.values()]
    every = [*(pair[theme] for pair in pairs), *look.PALETTE[theme]]
    assert len(set(every)) == len(every)
    looks = look.arm_looks(list(look.ARMS), theme)
    apart = [one["marker"]["color"] for one in looks]
    rgb = [[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in apart]
    assert min(np.linalg.norm(np.subtract(a, b)) for a, b in combinations(rgb, 2)) > 0.08
    hues = {n: colorsys.rgb_to_hsv(*c) for n, c in zip(look.ARMS, rgb, strict=True)}
    assert 0.5 < hues["sleep"][0] < 0.65, "sleep is the blue one"


def test_arms_that_the_table_does_not_know_differ_as_well():
    names = [
        "sleep",
        "sleep",
        "longer@4",
        "longer",
        "random_n 1-2",
        *(f"new {i}" for i in range(9)),
    ]
    looks = look.arm_looks(names, "light")
    both = [(one["line"]["color"], one["line"]["dash"]) for one in looks]
    assert len(set(both)) == len(both)
    assert looks[0]["line"]["color"] == looks[1]["line"]["color"] == look.ARMS["sleep"]["light"]
    assert looks[2]["line"]["color"] == look.ARMS["longer"]["light"]


def test_a_difficulty_keeps_its_colour_whatever_else_is_shown():
    one, two = look.level_looks([2, 4], "dark"), look.level_looks([1, 2, 3, 4], "dark")
    assert one == [two[1], two[3]]
    groups = look.level_looks(["all", "names"], "dark")
    assert groups[0] != groups[1]
