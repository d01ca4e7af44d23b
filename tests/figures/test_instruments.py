"""Figures of instruments as data: what is drawn, beside what baseline, and how heavy it is."""

import json
import math

import numpy as np
import pytest
import xarray as xr
from figure_checks import named

from workbench import dims, figures
from workbench.figures.export import drawn
from workbench.figures.marks import bars as error_bars
from workbench.figures.matrix import percent, reduced
from workbench.figures.theme import BYTES, INKS

PASSES, AWAKE = (4, 4, 1), (False, False, True)
WALK = {"passes": PASSES, "awake": AWAKE, "boundary": (1, 2)}
HEADS, TOKENS = 4, 8
STOPS = (dims.WINDOW, dims.SLEEP_PASS)
BOTH = [dims.PROCEDURE, *STOPS]


def values(*sizes, seed=0, low=0.0, high=1.0):
    return np.random.default_rng(seed).uniform(low, high, sizes).astype(np.float32)


def over_walk(*more, **options):
    """Return values (window, sleep_pass, ...), NaN past the passes of a window."""
    found = values(len(PASSES), max(PASSES) + 1, *more, **options)
    for window, last in enumerate(PASSES):
        found[window, last + 1 :] = np.nan
    return found


def spectra():
    axes = (*STOPS, dims.GDN_HEAD)
    found = {"effective_rank": (axes, over_walk(HEADS)), "stable_rank": (axes, over_walk(HEADS))}
    found["singular_value"] = ((*axes, dims.MODE), -np.sort(-over_walk(HEADS, 16)))
    return xr.Dataset(found, {dims.GDN_HEAD: range(HEADS)})


def changes():
    twice = np.stack([over_walk(), over_walk(seed=1)])
    angles = np.stack([over_walk(2), over_walk(2, seed=1)])
    found = {"relative_change": (BOTH, twice), "key_angle": ([*BOTH, dims.MODE], angles)}
    found["value_angle"] = found["key_angle"]
    found |= {"contraction": (BOTH, twice), "two_step_ratio": (BOTH, twice)}
    found["distance"] = (STOPS, over_walk())
    return xr.Dataset(found, {dims.PROCEDURE: ["sleep", "frozen replay"]})


def shares(windows=3, passes=4):
    share = values(windows, passes)
    return xr.Dataset(
        {"share": ((dims.SOURCE_WINDOW, dims.SOURCE_PASS), share / share.sum()), "carried_share": 0}
    )


def norms(windows=3, passes=4, tokens=TOKENS):
    return xr.DataArray(
        values(windows, passes, tokens),
        dims=(dims.SOURCE_WINDOW, dims.SOURCE_PASS, dims.SOURCE_TOKEN),
    )


def kept(windows=3):
    axes = (dims.SOURCE_WINDOW, dims.AGE)
    left = np.where(np.tri(windows)[::-1] > 0, 0.7 ** np.arange(windows), np.nan)
    lost = np.diff(1 - left, axis=1, prepend=0) / 2
    return xr.Dataset(
        {"retention": (axes, left), "lost_to_decay": (axes, lost), "lost_to_removal": (axes, lost)}
    )


def passes_kept(passes=4):
    left = np.where(np.tri(passes).T > 0, 0.5, np.nan)
    return xr.DataArray(left, dims=(dims.SOURCE_PASS, dims.SLEEP_PASS))


def returned():
    axes = (*STOPS, dims.GDN_HEAD)
    cosine = over_walk(HEADS, TOKENS)
    return xr.Dataset(
        {
            "accuracy": (axes, over_walk(HEADS)),
            "cosine": ((*axes, dims.SOURCE_TOKEN), cosine),
            "chance": ((dims.GDN_HEAD,), np.full(HEADS, 1 / TOKENS)),
        },
        {dims.GDN_HEAD: range(HEADS)},
    )


def lens(task=True):
    axes = (dims.DIFFICULTY, *STOPS)
    mean = np.full((3, 2, 5), 0.5)
    found = {}
    for name in ("accuracy", "log_prob"):
        found |= {name: (axes, mean), f"{name}_low": (axes, mean - 0.1)}
        found[f"{name}_high"] = (axes, mean + 0.2)
    if task:
        chance = np.array([[0.125] * 3, [0.2, 0.3, np.nan]])
        found["chance"] = ((dims.CHANCE_LINE, dims.DIFFICULTY), chance)
    coords = {dims.DIFFICULTY: [1, 2, 3], dims.WINDOW: [0, 1]}
    coords |= {dims.CHANCE_LINE: ["uniform", "other nodes"]} if task else {}
    return xr.Dataset(found, coords, {"examples": 16, "difficulty_name": "hops"})


def alike(passes=4):
    found = np.where(np.eye(passes + 1) > 0, 1.0, 0.6)
    found[0] = found[:, 0] = np.nan
    numbers = np.arange(passes + 1)
    coords = {dims.SLEEP_PASS: numbers, dims.OTHER_PASS: numbers}
    return xr.DataArray(found, coords, (dims.SLEEP_PASS, dims.OTHER_PASS))


SYMBOLS = [["a", "b", "c", "k=1", "ANS", "d", "e", ""]] * 3
MAKERS = {
    "singular values": lambda **k: figures.singular_values(
        spectra()["singular_value"].isel(window=0, gdn_head=1), sleep_pass=2, gdn_head=1, **k
    ),
    "ranks": lambda **k: figures.ranks_along(spectra(), **WALK, selected=2, **k),
    "change": lambda **k: figures.change_against_replay(changes(), **WALK, **k),
    "shares": lambda **k: figures.share_matrix(shares(), boundary=(2, 1), title="head 1", **k),
    "tokens": lambda **k: figures.token_contributions(norms(), SYMBOLS, boundary=(2, 1), **k),
    "retention": lambda **k: figures.retention_by_age(kept(), source_window=0, **k),
    "pass retention": lambda **k: figures.pass_retention_matrix(passes_kept(), sleep_pass=2, **k),
    "retrieval": lambda **k: figures.retrieval(returned(), **WALK, **k),
    "crosstalk": lambda **k: figures.crosstalk_matrix(
        xr.DataArray(values(TOKENS, TOKENS), dims=(dims.TOKEN, dims.SOURCE_TOKEN)), SYMBOLS[0], **k
    ),
    "lens": lambda **k: figures.lens_over_passes(
        lens(), passes=(4, 4), boundary=(0, 2), windows=[1, 2], **k
    ),
    "convergence": lambda **k: figures.convergence_over_passes(changes(), **WALK, **k),
    "cka": lambda **k: figures.cka_matrix(alike(), examples=16, title="head 0", **k),
}


def texts(figure):
    layout = json.loads(figure.to_json())["layout"]
    axes = [v.get("title", {}).get("text", "") for k, v in layout.items() if k[1:5] == "axis"]
    return [note["text"] for note in layout.get("annotations", ())], axes


@pytest.mark.parametrize("name", MAKERS)
def test_every_figure_is_small_says_what_it_shows_and_can_be_saved(name):
    figure = MAKERS[name](theme="dark")
    assert len(figure.to_json()) < BYTES / 5
    notes, axes = texts(figure)
    assert any(len(note) > 8 for note in notes), "a title that says the comparison"
    assert any(axes), "axes that say what they count"
    assert figure.layout.height
    drawn(figure, width=700)


def test_the_cursor_is_told_apart_from_the_curves():
    """What a step changes is the part of the layout that a page sends alone."""
    for make, panels, data in (
        (figures.ranks_along, 2, spectra()),
        (figures.change_against_replay, 3, changes()),
        (figures.retrieval, 2, returned()),
        (figures.convergence_over_passes, 3, changes()),
    ):
        here, there = ({"passes": PASSES, "boundary": p} for p in ((0, 1), (2, 0)))
        moved, whole = (json.loads(make(data, awake=AWAKE, **at).to_json()) for at in (here, there))
        moved["layout"] |= json.loads(json.dumps(figures.boundary_cursor(panels, **there)))
        assert moved == whole


def test_singular_values_set_off_the_pass_and_the_state_carried_in():
    figure = MAKERS["singular values"]()
    assert [t.name for t in figure.data][-2:] == ["as carried in", "after pass 2"]
    assert figure.data[-1].line.width > 2 > figure.data[0].line.width
    assert sum(t.showlegend for t in figure.data if t.name == "other passes") == 1
    zero = xr.DataArray(np.zeros((2, 4)), dims=(dims.SLEEP_PASS, dims.MODE))
    empty = figures.singular_values(zero, sleep_pass=0, gdn_head=0)
    assert "zero, nothing to draw" in texts(empty)[0][0]


def test_a_replay_stands_beside_every_change():
    figure = MAKERS["change"]()
    sleep, replay = named(figure, "sleep"), named(figure, "frozen replay")
    assert len(sleep) == len(replay) == 3
    assert {t.line.dash for t in replay} == {"dash"}
    # where there is a single pass, a replay of it is that pass itself
    last = np.asarray(sleep[0].x) > np.asarray(sleep[0].x)[12]
    assert np.isfinite(sleep[0].y[last]).any() and not np.isfinite(replay[0].y[last]).any()
    np.testing.assert_allclose(
        sleep[1].y[:5], np.degrees(changes()["key_angle"].values[0, 0, :, 1]), rtol=1e-6
    )


def test_shares_add_up_and_what_comes_later_is_empty():
    found = shares()
    at = found["share"].values
    figure = figures.share_matrix(found, boundary=(1, 2))
    each, total = figure.data[0].z, figure.data[1].z
    assert np.isnan(each[1, 2:]).all() and np.isnan(each[2]).all() and np.isnan(each[3]).all()
    np.testing.assert_allclose(each[:2, :2], at[:2, :2])
    np.testing.assert_allclose(total[:, 0], [at[0].sum(), at[1, :2].sum(), np.nan, 0], rtol=1e-6)
    assert len(figure.data[2].text) == np.isfinite(each).sum() + 3
    assert figure.layout.coloraxis.cmin == -figure.layout.coloraxis.cmax, "zero is in the middle"
    nothing = found * np.nan
    assert "nothing has been written" in texts(figures.share_matrix(nothing, boundary=(0, 0)))[0][1]


def test_numbers_can_be_read_on_their_cells():
    found = xr.Dataset(
        {"share": ((dims.SOURCE_WINDOW, dims.SOURCE_PASS), [[0.95, 0.05]]), "carried_share": 0.0}
    )
    figure = figures.share_matrix(found, boundary=(0, 2))
    inks = dict(zip(figure.data[2].text, figure.data[2].textfont.color, strict=True))
    assert inks["95"] == INKS["light"].paper and inks["5"] == INKS["light"].text
    assert percent(-0.123) == "−12" and percent(-0.001) == "0"


def test_tokens_stand_in_the_order_of_reading():
    figure = MAKERS["tokens"]()
    found = norms().values
    np.testing.assert_allclose(figure.data[0].z[1, 8:16], found[1, 1])
    assert np.isnan(figure.data[0].z[1:, 16:]).all(), "the last window has only one pass yet"
    assert list(figure.layout.xaxis.ticktext) == SYMBOLS[0] * 3
    assert figure.data[0].text[0][9] == "window 2, token 2: b"


def test_very_many_tokens_are_put_together():
    many = norms(16, 12, 512)
    figure = figures.token_contributions(many, [["x"] * 512] * 16, boundary=(15, 12))
    assert len(figure.to_json()) < BYTES
    assert "means of" in texts(figure)[0][0]
    assert len(figure.layout.xaxis.tickvals) <= 72
    whole, block = reduced(np.array([[1.0, 2.0, np.nan]]))
    assert block == 1 and whole.shape == (1, 3)


def test_losses_and_what_is_left_make_the_whole():
    figure = MAKERS["retention"]()
    bars = [t for t in figure.data if t.type == "bar"]
    np.testing.assert_allclose(sum(np.asarray(b.y) for b in bars), 1, rtol=1e-6)
    assert figure.layout.barmode == "stack"
    (line,) = named(figure, "window 1")
    np.testing.assert_allclose(line.y, 0.7 ** np.arange(3), rtol=1e-6)


def test_chance_is_drawn_for_retrieval_and_for_answers():
    figure = MAKERS["retrieval"]()
    first, second = named(figure, "chance")
    assert set(first.y) == {1 / TOKENS} and set(second.y) == {0.0}
    figure = MAKERS["lens"]()
    assert set(named(figure, "chance: uniform")[0].y) == {0.125}
    assert len(named(figure, "chance: other nodes")) == 2, "one line for each difficulty"
    assert not [t for t in lens_without_a_task().data if str(t.name).startswith("chance")]


def lens_without_a_task():
    return figures.lens_over_passes(lens(task=False), passes=(4, 4), boundary=(0, 2))


def test_intervals_are_drawn_from_their_ends():
    line = named(MAKERS["lens"](), "2 hops")[0]
    np.testing.assert_allclose(line.error_y.array[:5], 0.2, rtol=1e-5)
    np.testing.assert_allclose(line.error_y.arrayminus[:5], 0.1, rtol=1e-5)
    assert math.isnan(line.y[5]), "broken between windows"
    accent = INKS["light"].accent
    still = figures.boundary_cursor(2, passes=(4, 4), boundary=None)["shapes"]
    assert all(shape["line"]["color"] != accent for shape in still), "awake there is no line"


def test_no_error_bar_has_a_length_below_zero():
    mean, low, high = np.array([[0.5, 0.5, 0.5], [0.4, 0.6, np.nan], [0.7, 0.4, np.nan]])
    found = error_bars(mean, low, high)
    np.testing.assert_allclose(found["array"], [0.2, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(found["arrayminus"], [0.1, 0, 0], rtol=1e-6)
    assert error_bars(mean[2:], low[2:], high[2:]) is None


def test_convergence_without_a_longer_run_has_two_panels():
    figure = figures.convergence_over_passes(changes().drop_vars("distance"), **WALK)
    assert len(texts(figure)[0]) == 2
    assert len(texts(MAKERS["convergence"]())[0]) == 3
    assert set(named(figure, "steps as large as before, or straight on")[0].y) == {1.0}
