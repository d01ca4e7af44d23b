"""Features of a reading: the states that the events hold, the embeddings, untrained weights."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from workbench.batch import concatenate
from workbench.config import SleepConfig
from workbench.errors import WorkbenchError
from workbench.instruments.boundaries import slept_on
from workbench.instruments.probing.features import (
    embeddings,
    fast_weights,
    flattened,
    replayed_weights,
    said,
    untrained,
    with_pairs,
)
from workbench.sleep import SleepPass, read
from workbench.tasks import batch_generator, task
from workbench.trace import record

SLEEP = SleepConfig(window=4, passes=3)


@pytest.fixture(scope="module")
def made():
    return task("rule110", cells=4, strings=2, rollout=2)


@pytest.fixture(scope="module")
def batch(made):
    return made.sample(5, batch_generator(0, 0))


@pytest.fixture(scope="module")
def model(tiny_model):
    return tiny_model("attention", "gated_delta", "delta", dtype="float32")


def test_states_are_those_of_the_events(model, batch):
    states = fast_weights(model, batch, SLEEP, batch_size=2)
    assert dict(states.sizes) == {
        "example": 5, "window": 2, "sleep_pass": 4, "layer": 2, "gdn_head": 2, "key": 4, "value": 3,
    }  # fmt: skip
    assert states.dtype == np.float32
    np.testing.assert_array_equal(states.layer, [1, 2])
    with torch.no_grad():
        passes = [e for e in read(model, batch, SLEEP) if isinstance(e, SleepPass)]
    assert len(passes) == 6
    for event in passes:
        for layer in (1, 2):
            expected = event.memory.fast_weights[layer].reshape(5, -1)
            found = flattened(states, event.window.index, event.sleep_pass, layer)
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(flattened(states, 0, 0, 1), np.zeros((5, 24)))
    np.testing.assert_array_equal(flattened(states, 1, 0, 2), flattened(states, 0, 3, 2))


def test_windows_with_labels_are_left_out(batch):
    assert slept_on(batch, SLEEP) == [0, 1]
    with pytest.raises(WorkbenchError, match="every window carries labels"):
        slept_on(batch, SleepConfig(window=16))


def test_embeddings_reach_to_the_end_of_the_window(model, batch):
    rows = model.embedding.weight.detach().numpy()[batch.tokens]
    for window, stop in ((0, 4), (1, 8)):
        found = embeddings(model, batch, SLEEP, window)
        np.testing.assert_array_equal(found, rows[:, :stop].reshape(5, -1))


def test_padding_has_no_embedding(model):
    depo = task("depo", nodes=3, names="depo1", max_hops=1, queries=1)
    padded = depo.parse("a>b b>c c>a")
    small = type(model)(model.config.model_copy(update={"vocabulary": 200}))
    found = embeddings(small.requires_grad_(False), padded, SleepConfig(window=12), 0)
    assert not found.reshape(12, -1)[:6].any()
    assert found.reshape(12, -1)[6:].any(axis=1).all()


def test_what_the_text_says_is_a_bag_of_its_edges():
    """Of the nodes 0, 1, 2: entry (a, b) is 1 where b follows a."""
    depo = task("depo", nodes=3, names="single", max_hops=2, queries=1)
    batch = concatenate([depo.parse(text) for text in ("2>1 0>2 1>0", "0>1 1>2 2>0")])
    targets, sleep = depo.probe_targets(batch), SleepConfig(window=2)
    # edges that occur, sorted: 0>1, 0>2, 1>0, 1>2, 2>0, 2>1
    expected = [[0, 1, 1, 0, 0, 1], [1, 0, 0, 1, 1, 0]]
    np.testing.assert_array_equal(said(batch, sleep, targets, 2), expected)
    # after one window the first edge of each: 2>1 and 0>1; in the order of the nodes
    np.testing.assert_array_equal(said(batch, sleep, targets, 0)[:, -2:], [[0, 1], [1, 0]])


def test_without_kinds_the_text_is_its_symbols_at_their_places(made, batch):
    plain = [replace(t, kinds=None) for t in made.probe_targets(batch)]
    found = said(batch, SLEEP, plain, 0)
    expected = (batch.tokens[:, :4, None] == [0, 1]).reshape(5, -1)
    np.testing.assert_array_equal(found, expected[:, expected.any(axis=0)])


def test_products_of_two_entries_are_those_of_sklearn():
    from sklearn.preprocessing import PolynomialFeatures

    one_hot = np.random.default_rng(0).integers(0, 2, (40, 12)).astype(np.float32)
    found = with_pairs(one_hot)
    products = PolynomialFeatures(2, interaction_only=True, include_bias=False)
    expected = products.fit_transform(one_hot.astype(float))
    assert expected.shape[1] == 12 + 66 and found.shape[1] <= 40
    np.testing.assert_allclose(found @ found.T, expected @ expected.T, atol=1e-9)
    nothing = with_pairs(np.zeros((5, 1), np.float32))
    assert nothing.shape == (5, 1) and not nothing.any()


def test_a_replay_writes_what_the_first_pass_wrote_again(model, batch):
    """Against the recurrence, token by token, in float64."""
    states = fast_weights(model, batch, SLEEP)
    replay = replayed_weights(model, batch, SLEEP, batch_size=2)
    assert replay.dims == states.dims and replay.sizes == states.sizes
    np.testing.assert_array_equal(replay.layer, states.layer)
    first = {"sleep_pass": [0, 1]}
    np.testing.assert_allclose(replay.sel(first), states.sel(first), rtol=1e-5, atol=1e-6)
    writes = record(model, batch, SLEEP)["writes"].sel(window=1, sleep_pass=1, layer=1)
    key, value, beta, log_decay = (
        writes[name].values.astype(np.float64)
        for name in ("write_key", "write_value", "beta", "log_decay")
    )
    state = states.sel(window=1, sleep_pass=0, layer=1).values.astype(np.float64)
    for sleep_pass in (1, 2, 3):
        for t in range(4):
            k, v, b = key[:, :, t], value[:, :, t], beta[:, :, t, None, None]
            state = state * np.exp(log_decay[:, :, t])[..., None, None]
            error = v - np.einsum("ehk,ehkv->ehv", k, state)
            state = state + b * k[..., None] * error[..., None, :]
        found = replay.sel(window=1, sleep_pass=sleep_pass, layer=1)
        np.testing.assert_allclose(found, state, rtol=1e-4, atol=1e-6)


def test_untrained_weights_are_others(model):
    fresh = untrained(model)
    assert fresh.config == model.config
    assert not torch.equal(fresh.head.weight, model.head.weight)
    torch.testing.assert_close(fresh.head.weight, untrained(model).head.weight)
    with pytest.raises(WorkbenchError, match="a object, whose initial weights are not known"):
        untrained(object())
