"""Attributions of functions worked out by hand, and of tiny models whose parts are known."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from workbench.batch import Batch
from workbench.config import RandomPasses, SleepConfig
from workbench.errors import WorkbenchError
from workbench.instruments.attribution import (
    METHODS,
    attribute,
    attribute_passes,
    attribute_state,
    attribute_tokens,
)
from workbench.instruments.boundaries import boundaries
from workbench.instruments.rest import Rest, answer_target, rest_of_embeddings, rest_of_state
from workbench.sleep import Wake, before_window, read
from workbench.trace.answers import answer_scores

SLEEP = SleepConfig(window=4, passes=2)
WEIGHT = torch.arange(1.0, 7.0, dtype=torch.float64).reshape(2, 3)
INPUT = torch.tensor([[[1.0, 2, 3], [4, 5, 6]], [[0, 1, 0], [1, 0, 1]]], dtype=torch.float64)


def batch_of(examples=4, seed=0):
    """Two windows to sleep on and two with two answers each; the first row is padded."""
    tokens = np.random.default_rng(seed).integers(0, 7, (examples, 16))
    answer_of = np.full(tokens.shape, -1)
    answer_of[:, [9, 11, 13, 15]] = range(4)
    valid = np.ones(tokens.shape, dtype=bool)
    valid[0, :2] = False
    difficulty = np.ones((examples, 4), dtype=np.int64)
    return Batch(tokens, answer_of >= 0, valid, answer_of, difficulty)


def by_hand(function):
    """The rest of a computation that is `function` of ``[case, layer, gdn_head]``."""
    return Rest(
        lambda given, example: function(given) + 0 * example,
        INPUT,
        {"zero": torch.zeros_like(INPUT), "ones": torch.ones_like(INPUT)},
        ("layer", "gdn_head"),
        {},
        "by hand",
    )


@pytest.mark.parametrize("method", METHODS)
def test_a_linear_function_gives_each_entry_its_weight(method):
    rest = by_hand(lambda given: (given * WEIGHT).sum((1, 2)))
    found = attribute(rest, by=("layer", "gdn_head"), baseline="zero", method=method)
    np.testing.assert_allclose(found.attribution, INPUT * WEIGHT, atol=1e-6)
    for by in (("layer",), ("gdn_head",)):
        some = attribute(rest, by=by, baseline="zero", method=method)
        other = {"layer", "gdn_head"} - set(by)
        np.testing.assert_allclose(some.attribution, found.attribution.sum(other), atol=1e-6)
    assert (found.completeness_error < 1e-6).all() and (found.infidelity < 1e-6).all()
    assert found.attrs["baseline"] == "zero" and found.attrs["procedure"] == method


def test_a_product_is_shared_by_shapley_and_counted_twice_by_ablation():
    rest = by_hand(lambda given: given[:, 0, 0] * given[:, 1, 0])
    options = {"by": ("layer",), "baseline": "zero"}
    ablated = attribute(rest, method="feature ablation", **options)
    assert ablated.attribution[0].values.tolist() == [4, 4]
    assert ablated.completeness_error[0].item() == 1
    assert ablated.unexplained[0].item() > 0
    shared = attribute(rest, method="shapley sampling", samples=400, **options)
    np.testing.assert_allclose(shared.attribution[0], [2, 2], atol=0.3)
    np.testing.assert_allclose(shared.completeness_error[0], 0, atol=1e-6)
    plain = attribute(rest, method="integrated gradients", **options)
    np.testing.assert_allclose(plain.attribution[0], [2, 2], atol=1e-6)
    ones = attribute(rest, by=("layer",), baseline="ones")
    np.testing.assert_allclose(ones.logit_diff_at_baseline, 1)


@pytest.mark.parametrize("baseline", ["before the sleep", "mean", "zero"])
def test_the_state_is_attributed_in_full(tiny_model, baseline):
    model = tiny_model("attention", "gated_delta", "gated_delta")
    with torch.no_grad():  # nothing reads head 1 of layer 2
        model.stack[2].mixer.out.weight[:, 3:] = 0
    batch = batch_of()
    place = boundaries(model, batch, SLEEP)[1, 2]
    found = attribute_state(model, batch, SLEEP, place, query=2, baseline=baseline, steps=200)
    assert found.attribution.dims == ("example", "layer", "gdn_head")
    assert found.layer.values.tolist() == [1, 2]
    assert (found.completeness_error < 1e-3).all()
    assert (found.attribution.sel(layer=2, gdn_head=1) == 0).all()
    assert (found.attribution.sel(layer=2, gdn_head=0) != 0).all()
    wakes = [e for e in read(model, batch, SLEEP) if isinstance(e, Wake)]
    expected = answer_scores(wakes, batch).logit_diff.sel(query=2)
    np.testing.assert_allclose(found.logit_diff, expected, atol=1e-12)
    finer = attribute_state(
        model, batch, SLEEP, place, query=2, baseline=baseline, steps=200,
        by=("key", "value", "layer", "gdn_head"),
    )  # fmt: skip
    np.testing.assert_allclose(
        finer.attribution.sum(("key", "value")), found.attribution, atol=1e-12
    )


def test_the_passes_share_what_the_sleep_is_worth(tiny_model):
    model, batch = tiny_model(), batch_of()
    place = boundaries(model, batch, SLEEP)[1, 2]
    whole = attribute_state(model, batch, SLEEP, place, query=1, by=("layer",))
    found = attribute_passes(model, batch, SLEEP, query=1, window=1, steps=200)
    assert found.sleep_pass.values.tolist() == [1, 2]
    for name in ("logit_diff", "logit_diff_at_baseline"):
        np.testing.assert_allclose(found[name], whole[name], atol=1e-10)
    assert (found.completeness_error < 1e-3).all()
    exact = attribute_passes(model, batch, SLEEP, query=1, window=1, method="shapley sampling")
    np.testing.assert_allclose(exact.completeness_error, 0, atol=1e-5)


def test_embeddings_that_are_given_read_as_the_tokens_do(tiny_model):
    model, batch = tiny_model(), batch_of()
    found = attribute_tokens(model, batch, SLEEP, query=1, samples=4)
    wakes = [e for e in read(model, batch, SLEEP) if isinstance(e, Wake)]
    expected = answer_scores(wakes, batch).logit_diff.sel(query=1)
    np.testing.assert_allclose(found.logit_diff, expected, atol=1e-12)
    assert found.window.values.tolist() == [0] * 4 + [1] * 4
    assert (found.attribution[0, :2] == 0).all()  # padding
    assert (found.completeness_error < 1e-5).all()
    windows = attribute_tokens(model, batch, SLEEP, query=1, by=("window",), samples=4)
    assert windows.attribution.dims == ("example", "window")
    np.testing.assert_allclose(windows.attribution.sum("window"), found.attribution.sum("token"), atol=1e-5)  # noqa: E501  # fmt: skip


def test_tokens_by_gradients_are_complete_where_the_path_is_smooth(tiny_model):
    model, batch = tiny_model(dtype="float64"), batch_of()
    rest = rest_of_embeddings(model, batch, SLEEP, target_of(model, batch, 0))
    near = rest.input + 1e-2 * (rest.baselines["mean"] - rest.input)
    rest = replace(rest, baselines={"near": near.detach()})
    tokens = attribute(rest, by=("token",), baseline="near")
    assert (tokens.completeness_error < 1e-3).all()
    windows = attribute(rest, by=("window",), baseline="near").attribution
    np.testing.assert_allclose(windows, tokens.attribution.groupby("window").sum(), atol=1e-12)


def target_of(model, batch, query):
    start = before_window(0, model.empty_memory(len(batch)))
    return answer_target(model, batch, SLEEP, start, query=query)


def test_cases_may_come_in_any_order_and_number(tiny_model):
    model, batch = tiny_model(), batch_of()
    place = boundaries(model, batch, SLEEP)[0, 2]
    rest = rest_of_state(model, batch, SLEEP, place, target_of(model, batch, 3))
    index = torch.tensor([3, 1, 1, 0])
    with torch.no_grad():
        whole = rest.run(rest.input, torch.arange(4))
        assert torch.allclose(rest.run(rest.input[index], index), whole[index], atol=1e-12)
    found = [
        attribute(
            rest,
            by=("gdn_head",),
            baseline="mean",
            method=m,
            cases=cases,
            steps=6,
            infidelity_samples=2,
        )  # fmt: skip
        for m in ("feature ablation", "integrated gradients")
        for cases in (1, 1024)
    ]
    for few, many in (found[:2], found[2:]):
        np.testing.assert_allclose(few.attribution, many.attribution, atol=1e-10)


def test_one_query_for_each_example_against_a_symbol_of_choice(tiny_model):
    model, batch = tiny_model(), batch_of()
    place = boundaries(model, batch, SLEEP)[1, 2]
    query, against = np.array([0, 1, 2, 3]), np.array([1, 2, 3, 4])
    mixed = attribute_state(model, batch, SLEEP, place, query=query, against=against)
    for row in range(4):
        one = attribute_state(model, batch, SLEEP, place, query=row, against=against)
        np.testing.assert_allclose(mixed.attribution[row], one.attribution[row], atol=1e-10)


def test_what_cannot_be_attributed_is_refused(tiny_model):
    model, batch = tiny_model(), batch_of()
    places = boundaries(model, batch, SLEEP)
    state = {"model": model, "batch": batch, "sleep": SLEEP, "start": places[0, 2]}
    for wrong, message in (
        ({"query": 4}, "a query from 0 to 3"),
        ({"query": 0, "baseline": "median"}, "baseline 'median'; expected one of zero, mean"),
        ({"query": 0, "method": "saliency"}, "method 'saliency'"),
        ({"query": 0, "by": ("token",)}, "axis 'token'"),
        ({"query": 0, "by": ()}, "at least one"),
        ({"query": 0, "method": "input x gradient", "baseline": "mean"}, "a baseline that is zero"),
    ):
        with pytest.raises(WorkbenchError, match=message):
            attribute_state(**state, **wrong)
    with pytest.raises(WorkbenchError, match="baseline 'before the sleep'"):
        attribute_state(model, batch, SLEEP, places[2, 0], query=0)
    with pytest.raises(WorkbenchError, match="no window from 3 on predicts"):
        attribute_state(model, batch, SLEEP, places[3, 0], query=0, baseline="zero")
    with pytest.raises(WorkbenchError, match="window 2; expected a window that is slept on"):
        attribute_passes(model, batch, SLEEP, query=0, window=2)
    with pytest.raises(WorkbenchError, match="fix N"):
        attribute_passes(model, batch, SleepConfig(window=4, passes=RandomPasses()), query=0)
    awake = batch.token_range(8, 16)
    with pytest.raises(WorkbenchError, match="a context that is slept on"):
        attribute_tokens(model, awake, SLEEP, query=0)
