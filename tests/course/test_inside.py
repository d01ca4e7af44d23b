"""Notebook 1, the model's own memory: on a trace made by hand, and on an untrained model."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from solutions import solved

import workbench
from sleep_course import inside
from workbench.config import ModelConfig, SleepConfig
from workbench.instruments.readout import crosstalk
from workbench.model import HybridModel
from workbench.sleep import read, wake_now
from workbench.tasks import batch_generator, task

SLEEP = SleepConfig(window=8, passes=3)


@pytest.fixture(scope="module")
def depo():
    return task("depo", nodes=4, max_hops=2, names="single", queries=2, predict_ans=False)


@pytest.fixture(scope="module")
def batch(depo):
    return depo.sample(6, batch_generator(0, 0))


@pytest.fixture(scope="module")
def model(depo):
    sizes = {"width": 16, "attention_heads": 2, "gdn_heads": 2, "mlp_width": 16}
    config = ModelConfig(vocabulary=len(depo.vocabulary), key_dim=4, value_dim=3, **sizes)
    return HybridModel(config, seed=1).eval().requires_grad_(False)


def test_errors_and_overlaps_by_hand():
    """Two passes of two tokens: S holds half of one value, then half of one written twice."""
    keys = np.array([[[1, 0], [0, 1]], [[0.6, 0.8], [0.6, 0.8]]])  # [sleep_pass, token, key]
    values = np.array([[[2, 0], [0, 2]], [[3, 0], [3, 0]]])
    states = np.array([0 * np.eye(2), np.diag([2.0, 1.0]), 1.5 * np.outer([0.6, 0.8], [1, 0])])
    place = {"example": [0], "window": [0], "layer": [1], "gdn_head": [0]}

    def variable(array, names, first):
        passes = {"sleep_pass": first + np.arange(len(array))}
        found = xr.DataArray(array, passes, ("sleep_pass", *names)).expand_dims(place)
        return found.transpose("example", "window", "sleep_pass", "layer", ...)

    key, value = variable(keys, ("token", "key"), 1), variable(values, ("token", "value"), 1)
    groups = {
        "/states": xr.Dataset({"fast_weight": variable(states, ("key", "value"), 0)}),
        "/writes": xr.Dataset({"write_key": key, "write_value": value}),
    }
    trace = xr.DataTree.from_dict(groups)
    np.testing.assert_allclose(inside.key_overlap(trace), [[0], [1]], atol=1e-12)
    np.testing.assert_allclose(inside.recall_error(trace), [[(1 / 8) ** 0.5], [0.5]])


def test_scores_are_averaged_over_the_questions_of_a_difficulty(model, batch):
    trace = workbench.record(model, batch, SLEEP)
    scores = trace["readout"]["log_prob"].sel(window=0)
    found = inside.by_difficulty(trace, scores)
    assert found.dims == ("difficulty", "sleep_pass")
    for hops in (1, 2):
        chosen = scores.transpose("sleep_pass", ...).values[:, batch.difficulty == hops]
        np.testing.assert_allclose(found.sel(difficulty=hops), chosen.mean(1), rtol=1e-5)


def test_accuracy_is_the_share_of_right_answers(model, depo, batch):
    memory = inside.sleep_passes(model, batch, SLEEP)[-1].memory
    share = inside.accuracy(model, batch, SLEEP, memory)
    own, _ = inside.answers_about(model, depo, batch, SLEEP, memory)
    (wake,) = (event for event in read(model, batch, SLEEP) if hasattr(event, "logits"))
    right = wake.logits.argmax(-1)[:, :-1].numpy() == batch.tokens[:, 9:]
    assert share == own == pytest.approx(right[batch.loss_mask[:, 9:]].mean())


def test_answers_about_tells_the_two_rings_apart(model, depo, batch, monkeypatch):
    """A stand-in that answers from the memory's own context is right for the other ring only."""
    swapped = batch.tokens.copy()
    swapped[:, : depo.context_tokens] = np.roll(swapped[:, : depo.context_tokens], -1, axis=0)
    answers = torch.from_numpy(depo.solve(replace(batch, tokens=swapped)))
    truth = torch.nn.functional.one_hot(answers, len(depo.vocabulary)).float()

    def knows_the_other_ring(*arguments, after):
        return [
            replace(wake, logits=truth[:, wake.window.start : wake.window.stop].roll(-1, dims=1))
            for wake in wake_now(*arguments, after=after)
        ]

    monkeypatch.setattr(inside, "wake_now", knows_the_other_ring)
    own, other = inside.answers_about(model, depo, batch, SLEEP, model.empty_memory(6))
    assert other == 1.0
    assert own < 1.0


def test_what_the_notebook_says_of_the_bundled_model(checkpoint, bundled):
    """Head 0 keeps targets apart and sources together; without it the answers are gone."""
    model, batch, sleep = bundled
    assert checkpoint.task.text(batch, 0).startswith("6>7 ")
    assert "3:7=3" in checkpoint.task.text(batch, 0)
    trace = workbench.record(model, batch, sleep, task=checkpoint.task)
    errors = inside.recall_error(trace)
    assert bool((errors[-1] < errors[0]).all())
    returned = crosstalk(trace, window=0, sleep_pass=4)["cosine"]
    returned = returned.isel(example=0, layer=0, gdn_head=0).values
    assert (returned[1::2].argmax(1) == range(1, 16, 2)).all()
    assert returned[2::2, 2::2].min() > 0.9
    woken = inside.by_difficulty(trace, np.exp(trace["readout"]["log_prob"].sel(window=0)))
    one_hop, four_hops = woken.sel(difficulty=1).values, woken.sel(difficulty=4).values
    assert one_hop[1] > 0.9 > 0.5 > four_hops[1]
    assert four_hops[4] > 0.9
    memory = inside.sleep_passes(model, batch, sleep)[-1].memory
    rest = solved("associative").without_head(memory, 1, 0)
    assert inside.accuracy(model, batch, sleep, memory) > 0.95
    assert inside.accuracy(model, batch, sleep, rest) < 0.5
    borrowed = memory.examples(torch.arange(64).roll(-1))
    own, other = inside.answers_about(model, checkpoint.task, batch, sleep, borrowed)
    assert other > 0.9 > 0.3 > own
