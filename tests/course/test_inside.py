"""The views into a model's memory, on an untrained model and by construction."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import sleep_kernels
from sleep_course import inside
from workbench.config import ModelConfig, SleepConfig
from workbench.errors import WorkbenchError
from workbench.model import HybridModel
from workbench.sleep import SleepPass, read, wake_now
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
    config = ModelConfig(
        vocabulary=len(depo.vocabulary),
        width=16,
        attention_heads=2,
        gdn_heads=2,
        key_dim=4,
        value_dim=3,
        mlp_width=16,
    )
    return HybridModel(config, seed=1).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def events(model, batch):
    return inside.sleep_passes(model, batch, SLEEP)


def test_states_are_those_of_the_events(model, batch, events):
    states = inside.states(events, 1)
    assert states.dims == ("example", "sleep_pass", "gdn_head", "key", "value")
    assert states.sizes["sleep_pass"] == 4
    assert not states.sel(sleep_pass=0).any()
    last = [e for e in read(model, batch, SLEEP) if isinstance(e, SleepPass)][-1]
    np.testing.assert_array_equal(states.sel(sleep_pass=3), last.memory.fast_weights[1])


def test_the_writes_rebuild_the_states(model, events):
    state = None
    for write, event in zip(inside.writes(model, events, 1, SLEEP), events, strict=True):
        state = sleep_kernels.gated_delta_rule(
            None, write.k, write.v, write.log_decay, write.beta, state
        ).state
        torch.testing.assert_close(state, event.memory.fast_weights[1])


@pytest.mark.parametrize(
    "option", [{"loop": (1, 2)}, {"conv_state": "carry"}, {"eviction": "sliding"}]
)
def test_writes_refuse_what_they_would_get_wrong(model, events, option):
    with pytest.raises(WorkbenchError, match="record a trace"):
        inside.writes(model, events, 1, SLEEP.model_copy(update=option))


def test_recall_of_one_token_written_in_full(model, events):
    """One token, beta 1, empty memory: its key returns its value."""
    write = inside.writes(model, events, 1, SLEEP)[0]
    one = write._replace(**{n: getattr(write, n)[:, :1] for n in ("k", "v", "log_decay", "beta")})
    state = sleep_kernels.gated_delta_rule(
        None, one.k, one.v, one.log_decay, torch.ones_like(one.beta)
    ).state
    torch.testing.assert_close(inside.recall(state, one), one.v, rtol=1e-3, atol=1e-5)


def test_errors_overlaps_and_cosines_have_their_range(model, events):
    writes = inside.writes(model, events, 1, SLEEP)
    errors = inside.recall_error(events, writes, 1)
    assert errors.dims == ("sleep_pass", "gdn_head")
    assert errors.shape == (3, 2)
    assert bool((errors > 0).all())
    assert ((inside.key_overlap(writes[0]) > 0) & (inside.key_overlap(writes[0]) < 1)).all()
    cosine = inside.returned(events[-1], writes[-1], 1, head=0, example=0)
    assert cosine.shape == (8, 8)
    assert np.abs(cosine).max() <= 1 + 1e-6


def test_key_overlap_by_hand(model, events):
    write = inside.writes(model, events, 1, SLEEP)[0]
    same = write._replace(k=torch.tensor([1.0, 0, 0, 0]).expand(2, 5, 1, 4))
    np.testing.assert_allclose(inside.key_overlap(same), [1.0])
    apart = write._replace(k=torch.eye(4)[None, :, None])
    np.testing.assert_allclose(inside.key_overlap(apart), [0.0])


def test_answers_after_the_last_pass_are_those_of_a_whole_reading(model, depo, batch, events):
    woken = inside.answer_by_pass(model, batch, SLEEP, depo, events)
    assert woken.probability.dims == ("example", "sleep_pass", "query")
    assert woken.probability.shape == (6, 4, 2)
    wake = [e for e in read(model, batch, SLEEP) if hasattr(e, "logits")][0]
    probability = torch.softmax(wake.logits, -1)
    answer_at = (batch.answer_of == 0).argmax(1)[0]
    target = batch.tokens[0, answer_at]
    expected = probability[0, answer_at - 8 - 1, target]
    np.testing.assert_allclose(woken.probability[0, -1, 0], expected, rtol=1e-5)
    assert woken.right[0, 0] == depo.vocabulary[target]
    assert set(np.unique(woken.answer)) <= set(depo.vocabulary)


def test_mean_by_difficulty(model, depo, batch, events):
    woken = inside.answer_by_pass(model, batch, SLEEP, depo, events)
    mean = inside.mean_by_difficulty(woken, 1)
    chosen = batch.difficulty == 1
    np.testing.assert_allclose(mean[2], woken.probability.values[:, 2][chosen].mean(), rtol=1e-6)


def test_accuracy_and_borrowed_memories(model, depo, batch, events):
    memory = events[-1].memory
    share = inside.accuracy(model, batch, SLEEP, memory)
    own, _ = inside.answers_about(model, depo, batch, SLEEP, memory)
    assert share == pytest.approx(own)
    assert share * batch.difficulty.size == pytest.approx(round(share * batch.difficulty.size))


def test_answers_about_tells_the_two_rings_apart(model, depo, batch, monkeypatch):
    """A stand-in that answers from the memory's own context is right for the other ring only."""
    context = depo.context_tokens
    swapped = batch.tokens.copy()
    swapped[:, :context] = np.roll(batch.tokens[:, :context], -1, axis=0)
    solved = torch.from_numpy(depo.solve(replace(batch, tokens=swapped)))
    truth = torch.nn.functional.one_hot(solved, len(depo.vocabulary)).float()

    def knows_the_other_ring(*arguments, after):
        return [
            replace(wake, logits=truth[:, wake.window.start : wake.window.stop].roll(-1, dims=1))
            for wake in wake_now(*arguments, after=after)
        ]

    monkeypatch.setattr(inside, "wake_now", knows_the_other_ring)
    own, other = inside.answers_about(model, depo, batch, SLEEP, model.empty_memory(6))
    assert other == 1.0
    assert own < 1.0
