"""One pair, one change: the same as over many examples, and exact where it must be."""

import numpy as np
import pytest

from workbench import dims
from workbench.config import SleepConfig
from workbench.errors import WorkbenchError
from workbench.instruments.boundaries import read_boundaries
from workbench.instruments.controls import DONOR, INTACT
from workbench.instruments.interventions import PassChange, ablation_effects, patch_effects
from workbench.instruments.patching import components as parts
from workbench.instruments.patching.pairs import change_one, patch_pair, read_pair

SLEEP = SleepConfig(window=8, passes=2)
PAIR = {"recipient": 0, "donor": 2, "unrelated": 3}


@pytest.fixture(scope="module")
def given(request, small_depo):
    """A tiny model with two fast-weight layers, its task, four rings and their reading.

    With 7 nodes the first tokens of a question lie in the last window that is slept on.
    """
    layers = ("attention", "gated_delta", "delta")
    nodes = getattr(request, "param", 7)
    model, task, batch = small_depo(nodes, *layers, max_hops=3, queries=4)
    return model, task, batch, read_boundaries(model, batch, SLEEP)


@pytest.mark.parametrize("given", [8, 7], indirect=True)
@pytest.mark.parametrize("boundary", [(1, 2), (2, 0)])
def test_the_whole_of_s_at_the_last_boundary_gives_the_donor_s_logits_exactly(given, boundary):
    model, task, batch, _ = given
    found = patch_pair(model, task, batch, SLEEP, **PAIR, boundary=boundary, part=parts.whole())
    assert found["error"].values.tolist() == [0.0, 0.0]
    patched, donor = (found["logit_diff"].sel({dims.CONTROL: c}) for c in ("patch", DONOR))
    np.testing.assert_array_equal(patched, donor)
    assert (patched.values != found["logit_diff"].sel({dims.CONTROL: INTACT}).values).any()
    states = found["fast_weight"]
    np.testing.assert_array_equal(
        states.sel({dims.CONTROL: "patch"}), states.sel({dims.CONTROL: DONOR})
    )


def test_before_anything_is_read_there_is_nothing_to_exchange(given):
    model, task, batch, _ = given
    found = patch_pair(model, task, batch, SLEEP, **PAIR, boundary=(0, 0), part=parts.whole())
    for control in ("patch", "unrelated donor", "random of equal norm"):
        own = found["logit_diff"].sel({dims.CONTROL: control})
        np.testing.assert_allclose(own, found["logit_diff"][:, 0], atol=1e-4)
    assert (found["error"] > 0).all()


@pytest.mark.parametrize(
    ("boundary", "part"),
    [((0, 1), parts.layer(1)), ((1, 1), parts.modes(2)), ((1, 2), PassChange(1, 1))],
)
def test_it_is_what_patch_effects_measures(given, boundary, part):
    model, task, batch, _ = given
    reading = read_pair(model, task, batch, SLEEP, **PAIR)
    found = patch_pair(
        model, task, batch, SLEEP, **PAIR, boundary=boundary, part=part, seed=4, reading=reading
    )
    pick = (batch.examples(np.array(rows)) for rows in ([0, 0], [2, 3]))
    many = patch_effects(model, task, *pick, SLEEP, boundaries=[boundary], components=[part]).isel(
        {dims.EXAMPLE: 0, dims.COMPONENT: 0, dims.WINDOW: 0, dims.SLEEP_PASS: 0}
    )
    for way in ("noise", "denoise"):
        one, other = (d.sel({dims.DIRECTION: way}) for d in (found, many))
        for name in ("unpatched", "donor"):
            control = INTACT if name == "unpatched" else DONOR
            np.testing.assert_allclose(
                one["logit_diff"].sel({dims.CONTROL: control}), other[name], atol=1e-5
            )
        # of a pair of pairs the control of "denoise" would be the very same recipient
        for control in ("patch",) if way == "denoise" else ("patch", "unrelated donor"):
            at = {dims.CONTROL: control}
            np.testing.assert_allclose(
                one["logit_diff"].sel(at), other["logit_diff"].sel(at), atol=1e-5
            )
            for name in ("became_donor", "stayed"):  # NaN where both contexts answer alike
                np.testing.assert_array_equal(one[name].sel(at), other[name].sel(at))


@pytest.mark.parametrize("method", ["zero", "mean", 0.5, 1.0])
def test_erasing_is_what_ablation_effects_measures(given, method):
    model, _, batch, reading = given
    found = change_one(
        model, batch, SLEEP, example=1, boundary=(1, 2), part=parts.head(1, 1), method=method,
        reading=reading,
    )  # fmt: skip
    many = ablation_effects(
        model, batch, SLEEP, boundaries=[(1, 2)], components=[parts.head(1, 1)], methods=[method]
    ).isel({dims.EXAMPLE: 1})
    np.testing.assert_allclose(
        found["logit_diff"][1], many["logit_diff"].sel(control="ablation").squeeze(), atol=1e-5
    )
    np.testing.assert_allclose(found["logit_diff"][0], many["intact_logit_diff"], atol=1e-5)
    if method == 1.0:
        np.testing.assert_allclose(found["logit_diff"][1], found["logit_diff"][0], atol=1e-5)


def test_what_is_said_is_the_right_answer_where_it_is_correct(given):
    model, task, batch, _ = given
    found = patch_pair(model, task, batch, SLEEP, **PAIR, boundary=(1, 2), part=parts.whole()).sel(
        {dims.DIRECTION: "noise"}
    )
    one = batch.examples(slice(0, 1))
    for control in found[dims.CONTROL].values:
        here = found.sel({dims.CONTROL: control})
        for query in range(4):
            where = one.answer_of[0] == query
            right = (here["said"].values == here["own"].values)[where].all()
            assert bool(here["correct"][query]) == right


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"donor": 0}, "all different"),
        ({"boundary": (2, 1)}, "before the answers"),
        ({"boundary": (1, 0), "part": PassChange(1, 1)}, "has run by then"),
        ({"part": parts.layer(0)}, "a layer with fast weights"),
        ({"part": parts.modes(5)}, "1 to 4, the smaller side of S"),
    ],
)
def test_what_makes_no_sense_is_refused(given, changed, message):
    model, task, batch, _ = given
    asked = PAIR | {"boundary": (1, 2), "part": parts.whole()} | changed
    with pytest.raises(WorkbenchError, match=message):
        patch_pair(model, task, batch, SLEEP, **asked)
