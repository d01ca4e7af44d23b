"""Attributions of functions worked out by hand, and of tiny models whose parts are known."""

import functools
import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from workbench.batch import Batch
from workbench.config import RandomPasses, SleepConfig
from workbench.errors import WorkbenchError
from workbench.instruments.attributing.continuation import (
    Rest,
    answer_target,
    rest_of_embeddings,
    rest_of_state,
)
from workbench.instruments.attribution import (
    METHODS,
    attribute,
    attribute_passes,
    attribute_state,
    attribute_tokens,
)
from workbench.instruments.boundaries import read_boundaries, read_on
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


def by_hand(function, given=INPUT, base=None, axes=("layer", "gdn_head"), **coords):
    """The rest of a computation that is `function` of ``[case, *axes]``."""
    baselines = {"zero": torch.zeros_like(given), "ones": torch.ones_like(given), "other": base}
    run = lambda cases, example: function(cases) + 0 * example  # noqa: E731
    return Rest(run, given, baselines, axes, coords, "by hand")


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
    shared = attribute(rest, method="shapley values", **options)
    np.testing.assert_allclose(shared.attribution[0], [2, 2], atol=1e-12)
    np.testing.assert_allclose(shared.completeness_error[0], 0, atol=1e-12)
    assert shared.attrs["coalitions"] == 4 and "samples" not in shared.attrs
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
    boundary = read_boundaries(model, batch, SLEEP)[1, 2]
    found = attribute_state(model, batch, SLEEP, boundary, query=2, baseline=baseline, steps=60)
    assert found.attribution.dims == ("example", "layer", "gdn_head")
    assert found.layer.values.tolist() == [1, 2]
    assert (found.completeness_error < 1e-3).all()
    assert (found.attribution.sel(layer=2, gdn_head=1) == 0).all()
    assert (found.attribution.sel(layer=2, gdn_head=0) != 0).all()
    wakes = [e for e in read(model, batch, SLEEP) if isinstance(e, Wake)]
    expected = answer_scores(wakes, batch).logit_diff.sel(query=2)
    np.testing.assert_allclose(found.logit_diff, expected, atol=1e-12)
    finer = attribute_state(
        model, batch, SLEEP, boundary, query=2, baseline=baseline, steps=60,
        by=("key", "value", "layer", "gdn_head"),
    )  # fmt: skip
    np.testing.assert_allclose(
        finer.attribution.sum(("key", "value")), found.attribution, atol=1e-12
    )


def by_orders(worth, players):
    """Shapley values from the definition: what each adds when it comes, over all orders."""
    found = dict.fromkeys(players, 0.0)
    worth = functools.cache(worth)
    orders = list(itertools.permutations(players))
    for order in orders:
        for i, player in enumerate(order):
            found[player] += worth(frozenset(order[: i + 1])) - worth(frozenset(order[:i]))
    return [found[player] / len(orders) for player in players]


@pytest.mark.parametrize("cases", [1, 3, 1024])
def test_few_players_are_shared_exactly_as_all_orders_say(cases):
    generator = torch.Generator().manual_seed(4)
    weight = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    given = torch.randn(2, 5, 3, generator=generator, dtype=torch.float64)
    base = torch.randn(2, 5, 3, generator=generator, dtype=torch.float64)

    def rough(x):
        return torch.sin((x * weight).sum((1, 2))) * (1 + x[:, 0, 0] * x[:, 3].prod(1)).exp()

    rest = by_hand(rough, given, base, ("sleep_pass", "value"))
    found = attribute(
        rest, by=("sleep_pass",), baseline="other", method="shapley values", cases=cases
    )
    for row in range(2):

        def worth(there, row=row):
            mixed = torch.stack([(given if i in there else base)[row, i] for i in range(5)])
            return float(rough(mixed[None]))

        np.testing.assert_allclose(found.attribution[row], by_orders(worth, range(5)), atol=1e-10)
    np.testing.assert_allclose(found.completeness_error, 0, atol=1e-10)


def test_passes_are_shared_exactly_as_all_orders_say(tiny_model):
    model, batch, sleep = tiny_model(dtype="float64"), batch_of(2), SLEEP.with_passes(3)
    found = attribute_passes(model, batch, sleep, query=2, window=1, method="shapley values")
    assert found.attrs["coalitions"] == 8
    boundaries = read_boundaries(model, batch, sleep)
    start = boundaries[1, 3]
    target = answer_target(model, batch, sleep, start, query=2)
    states = [boundaries[1, n].memory.fast_weights for n in range(4)]

    def worth(there, row):
        # the changes of the passes that are there, put on top of the state before the sleep
        changed = {
            layer: states[0][layer]
            + sum((states[n][layer] - states[n - 1][layer] for n in there), 0 * states[0][layer])
            for layer in states[0]
        }
        here = start.with_memory(start.memory.replace(fast_weights=changed))
        for wake in read_on(model, batch, sleep, here):
            if wake.window.start < target.at[row] < wake.window.stop:
                logits = wake.logits[row, target.at[row] - 1 - wake.window.start]
                return float(logits[target.answer[row]] - logits[target.against[row]])
        raise AssertionError("no window predicts the answer")

    with torch.no_grad():
        for row in range(2):
            wanted = by_orders(lambda there, row=row: worth(there, row), (1, 2, 3))
            np.testing.assert_allclose(found.attribution[row], wanted, atol=1e-10)


def test_many_players_are_sampled():
    nine = torch.ones(1, 9, dtype=torch.float64)
    rest = by_hand(lambda x: x.prod(1), nine, axes=("token",), window=np.zeros(9, dtype=int))
    found = attribute(rest, by=("token",), baseline="zero", method="shapley values", samples=7)
    assert found.attrs["samples"] == 7 and "coalitions" not in found.attrs


def test_embeddings_that_are_given_read_as_the_tokens_do(tiny_model):
    model, batch = tiny_model(), batch_of()
    found = attribute_tokens(model, batch, SLEEP, query=1, samples=2)
    wakes = [e for e in read(model, batch, SLEEP) if isinstance(e, Wake)]
    expected = answer_scores(wakes, batch).logit_diff.sel(query=1)
    np.testing.assert_allclose(found.logit_diff, expected, atol=1e-12)
    assert found.window.values.tolist() == [0] * 4 + [1] * 4
    assert (found.attribution[0, :2] == 0).all()  # padding
    assert (found.completeness_error < 1e-5).all()
    windows = attribute_tokens(model, batch, SLEEP, query=1, by=("window",))
    assert windows.attribution.dims == ("example", "window")
    np.testing.assert_allclose(windows.attribution.sum("window"), found.attribution.sum("token"), atol=1e-5)  # noqa: E501  # fmt: skip


def test_tokens_by_gradients_are_complete_where_the_path_is_smooth(tiny_model):
    model, batch = tiny_model(dtype="float64"), batch_of()
    rest = rest_of_embeddings(model, batch, SLEEP, target_of(model, batch, 0))
    near = rest.input + 1e-2 * (rest.baselines["mean"] - rest.input)
    rest = replace(rest, baselines={"near": near.detach()})
    tokens = attribute(rest, by=("token",), baseline="near", steps=16)
    assert (tokens.completeness_error < 1e-3).all()
    windows = attribute(rest, by=("window",), baseline="near", steps=16).attribution
    np.testing.assert_allclose(windows, tokens.attribution.groupby("window").sum(), atol=1e-12)


def target_of(model, batch, query):
    start = before_window(0, model.empty_memory(len(batch)))
    return answer_target(model, batch, SLEEP, start, query=query)


def test_cases_may_come_in_any_order_and_number(tiny_model):
    model, batch = tiny_model(), batch_of()
    boundary = read_boundaries(model, batch, SLEEP)[0, 2]
    rest = rest_of_state(model, batch, SLEEP, boundary, target_of(model, batch, 3))
    index = torch.tensor([3, 1, 1, 0])
    with torch.no_grad():
        whole = rest.run(rest.input, torch.arange(4))
        assert torch.allclose(rest.run(rest.input[index], index), whole[index], atol=1e-12)
    options = {"by": ("gdn_head",), "baseline": "mean", "steps": 3, "infidelity_samples": 2}
    found = [
        attribute(rest, method=m, cases=cases, **options)
        for m in ("feature ablation", "integrated gradients")
        for cases in (1, 1024)
    ]
    for few, many in (found[:2], found[2:]):
        np.testing.assert_allclose(few.attribution, many.attribution, atol=1e-10)


def test_one_query_for_each_example_against_a_symbol_of_choice(tiny_model):
    model, batch = tiny_model(), batch_of()
    boundary = read_boundaries(model, batch, SLEEP)[1, 2]
    query, against = np.array([0, 1, 2, 3]), np.array([1, 2, 3, 4])
    options = {"against": against, "steps": 8}
    mixed = attribute_state(model, batch, SLEEP, boundary, query=query, **options)
    for row in range(4):
        one = attribute_state(model, batch, SLEEP, boundary, query=row, **options)
        np.testing.assert_allclose(mixed.attribution[row], one.attribution[row], atol=1e-10)


def test_what_cannot_be_attributed_is_refused(tiny_model):
    model, batch = tiny_model(), batch_of()
    boundaries = read_boundaries(model, batch, SLEEP)
    state = {"model": model, "batch": batch, "sleep": SLEEP, "start": boundaries[0, 2]}
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
        attribute_state(model, batch, SLEEP, boundaries[2, 0], query=0)
    with pytest.raises(WorkbenchError, match="no window from 3 on predicts"):
        attribute_state(model, batch, SLEEP, boundaries[3, 0], query=0, baseline="zero")
    with pytest.raises(WorkbenchError, match="window 2; expected a window that is slept on"):
        attribute_passes(model, batch, SLEEP, query=0, window=2)
    with pytest.raises(WorkbenchError, match="fix N"):
        attribute_passes(model, batch, SleepConfig(window=4, passes=RandomPasses()), query=0)
    awake = batch.token_range(8, 16)
    with pytest.raises(WorkbenchError, match="a context that is slept on"):
        attribute_tokens(model, awake, SLEEP, query=0)
