"""Features of a reading: the states that the events hold, the embeddings, untrained weights."""

import numpy as np
import pytest
import torch

from workbench.config import SleepConfig
from workbench.errors import WorkbenchError
from workbench.instruments.features import (
    embeddings,
    fast_weights,
    flattened,
    slept_on,
    untrained,
)
from workbench.sleep import SleepPass, read
from workbench.tasks import batch_generator, task

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
    told = []
    states = fast_weights(model, batch, SLEEP, batch_size=2, on_progress=told.append)
    assert told == [2, 2, 1]
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


def test_untrained_weights_are_others(model):
    fresh = untrained(model)
    assert fresh.config == model.config
    assert not torch.equal(fresh.head.weight, model.head.weight)
    torch.testing.assert_close(fresh.head.weight, untrained(model).head.weight)
    with pytest.raises(WorkbenchError, match="a object, whose initial weights are not known"):
        untrained(object())


def test_a_random_n_is_refused(model, batch):
    with pytest.raises(WorkbenchError, match="fix N with sleep.with_passes"):
        fast_weights(model, batch, SleepConfig(window=4, passes={"kind": "random", "high": 2}))
