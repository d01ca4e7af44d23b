"""The walk shows what `read` yields, no more and no less."""

import numpy as np
import pytest
import torch

from workbench import dims
from workbench.config import SleepConfig
from workbench.instruments.change import change
from workbench.sleep import Eviction, SleepPass, Wake, read, wake_now
from workbench.tasks import batch_generator, task
from workbench.theatre.answers import OTHER
from workbench.theatre.problem import drawn
from workbench.trace import record
from workbench.training.loss import answer_probabilities
from workbench.views.cursor.cursor import BoundaryIndex
from workbench.views.cursor.words import where
from workbench.views.stepper.walk import Walk, summarise


def make(checkpoint, passes=3, **changes):
    problem = drawn(checkpoint.task, 0, 0)
    sleep = checkpoint.sleep.with_passes(passes).model_copy(update=changes)
    return Walk(checkpoint.model, problem.batch, sleep, checkpoint.task)


@torch.no_grad()
def test_a_walk_over_isolated_queries_has_the_windows_of_read(tiny_model):
    made = task("depo", nodes=4, max_hops=3, names="single", queries=3, isolated=True)
    model = tiny_model(vocabulary=len(made.vocabulary), dtype="float32")
    drawn_batch = made.sample(1, batch_generator(0, 0))
    context, queries = made.typed(drawn_batch, 0)
    batch = made.parse(context, queries.split(",")[0])  # the other two queries are padding
    walk = Walk(model, batch, SleepConfig(window=5, passes=2), made)
    assert walk.spans == ((0, 5), (5, 8), (8, 20))
    walk.finish()
    answers = walk.answers(walk.extent.boundaries[-1])
    assert answers["given"].values.tolist() == [True]


def test_shares_of_tokens_add_up_to_all_of_s(tiny_model):
    made = task("variables", variables=3, names=3, given=2, max_depth=2)
    batch = made.parse("a 3 =, b a +1, c 2 =")
    model = tiny_model(vocabulary=len(made.vocabulary), dtype="float32")
    walk = Walk(model, batch, SleepConfig(window=4, passes=2), made)
    assert walk.spans == ((0, 4), (4, 8), (8, 9), (9, 15))
    assert walk.written(BoundaryIndex(0, 0)) is None  # S is still 0
    for boundary in walk.extent.boundaries[1:]:
        written = walk.written(boundary)
        assert written.shape == (15,) and written.sum() == pytest.approx(1, abs=1e-4)
        assert (written[walk.spans[boundary.window][1] :] == 0).all()
    assert walk.evicted_tokens(BoundaryIndex(1, 2)) == 4
    assert walk.evicted_tokens(BoundaryIndex(2, 0)) == 8


@pytest.fixture(params=["ring", "ring-two", "rule"])
def checkpoint(request, checkpoints):
    return checkpoints[request.param]


def stacked(memory):
    return np.stack([memory.fast_weights[i][0].numpy() for i in sorted(memory.fast_weights)])


@torch.no_grad()
def test_a_window_that_is_predicted_and_slept_on_is_two_of_the_walk(checkpoint):
    walk = make(checkpoint, 2, order="predict_then_sleep")
    extent, wakes = walk.extent, []
    entries = list(zip(extent.of_window, extent.awake, strict=True))
    assert entries[-2:] == [(extent.of_window[-1], True), (extent.of_window[-1], False)]
    for event in read(checkpoint.model, walk.batch, walk.sleep):
        window = event.window.index
        if isinstance(event, Eviction):
            continue
        entry = entries.index((window, isinstance(event, Wake)))
        reached = BoundaryIndex(entry, getattr(event, "sleep_pass", 1))
        np.testing.assert_array_equal(stacked(walk.memory(reached)), stacked(event.memory))
        if isinstance(event, Wake):
            wakes.append(event)
            asleep = BoundaryIndex(entry + 1, 0)
            np.testing.assert_array_equal(stacked(walk.memory(asleep)), stacked(event.memory))
            assert walk.cached_tokens(asleep) == range(event.window.start, event.window.start)
            name, said = where(asleep, extent, np.nan, walk.sleep)
            assert f"(the text's window {window + 1}, again)" in name and "just read" in said
    found = walk.answers(extent.boundaries[-1])
    expected = answer_probabilities(wakes, walk.batch)[0, : extent.queries]
    right = walk.batch.tokens[0, (walk.batch.answer_of[0] >= 0).argmax()]
    np.testing.assert_array_equal(found["right_probability"][0], expected[0, right])
    assert found["given"].all() and walk.answer_curves.sizes["window"] == len(entries)
    assert set(walk.rewrites(extent.layers[0])) == set(np.flatnonzero(~np.array(extent.awake)))


@torch.no_grad()
def test_every_state_is_that_of_read(checkpoint):
    walk = make(checkpoint)
    before = stacked(checkpoint.model.empty_memory(1))
    for event in read(checkpoint.model, walk.batch, walk.sleep):
        window = event.window.index
        states = walk.states(window)
        if isinstance(event, Eviction):
            before = stacked(event.memory)
            continue
        number = event.sleep_pass if isinstance(event, SleepPass) else 1
        if number == 1:
            np.testing.assert_array_equal(states.sel(sleep_pass=0), before)
        np.testing.assert_array_equal(states.sel(sleep_pass=number), stacked(event.memory))
        assert walk.extent.awake[window] == isinstance(event, Wake)
    assert states.dims == ("sleep_pass", "layer", "gdn_head", "key", "value")
    assert tuple(states["layer"].values) == checkpoint.model.fast_weight_layers


def test_events_are_pulled_one_at_a_time(checkpoint):
    walk = make(checkpoint)
    walk.memory(BoundaryIndex(0, 1))
    assert set(walk._memories) == {(0, 0), (0, 1)}
    walk.memory(BoundaryIndex(0, 1))
    assert set(walk._memories) == {(0, 0), (0, 1)}
    walk.finish()
    assert set(walk._memories) >= set(walk.extent.boundaries)


def test_a_walk_takes_one_example(checkpoints):
    checkpoint = checkpoints["ring"]
    problem = drawn(checkpoint.task, 0, 0)
    random = SleepConfig(passes={"kind": "random"})
    with pytest.raises(ValueError, match="one example and a fixed N"):
        Walk(checkpoint.model, problem.batch, random, checkpoint.task)


@torch.no_grad()
def test_answers_are_those_of_wake_now(checkpoint):
    walk = make(checkpoint)
    for boundary in walk.extent.boundaries:
        if walk.extent.awake[boundary.window]:
            continue
        memory = walk.memory(boundary)
        wakes = wake_now(checkpoint.model, walk.batch, walk.sleep, memory, after=boundary.window)
        expected = answer_probabilities(wakes, walk.batch)[0]
        answers = walk.answers(boundary)
        right = answers["right_probability"].values
        symbols = [checkpoint.task.vocabulary.index(s) for s in answers["symbol"].values[:-1]]
        np.testing.assert_allclose(answers["probability"][:, :-1], expected[:, symbols], rtol=1e-5)
        np.testing.assert_allclose(answers["probability"].sum("symbol"), 1, rtol=1e-5)
        assert answers["symbol"].values[-1] == OTHER
        chosen = answers["probability"].values[np.arange(len(right)), answers["right"].values]
        np.testing.assert_array_equal(right, chosen)


def last_sleep(walk):
    asleep = [window for window, awake in enumerate(walk.extent.awake) if not awake]
    return BoundaryIndex(asleep[-1], walk.passes)


@torch.no_grad()
def test_answers_given_awake_are_kept(checkpoint):
    walk = make(checkpoint)
    events = read(checkpoint.model, walk.batch, walk.sleep)
    wakes = [event for event in events if isinstance(event, Wake)]
    expected = answer_probabilities(wakes, walk.batch)[0]
    for boundary in (
        last_sleep(walk),
        *(p for p in walk.extent.boundaries if walk.extent.awake[p.window]),
    ):
        answers = walk.answers(boundary)
        right = walk.batch.tokens[0][walk.batch.answer_of[0] >= 0]
        given = expected[np.arange(len(right)), right]
        np.testing.assert_allclose(answers["right_probability"], given, rtol=1e-5)


def test_waking_together_gives_the_same_answers(checkpoint):
    together, single = make(checkpoint), make(checkpoint)
    curves = together.answer_curves
    for boundary in single.extent.boundaries:
        expected = single.answers(boundary)["right_probability"]
        got = curves.isel(window=boundary.window).sel(sleep_pass=boundary.sleep_pass)
        np.testing.assert_allclose(got, expected, rtol=1e-4)


def test_candidates_are_nodes_of_the_ring(checkpoints):
    answers = make(checkpoints["ring"]).answers(BoundaryIndex(0, 0))
    assert list(answers["symbol"].values) == [*"01234567", OTHER]
    answers = make(checkpoints["rule"]).answers(BoundaryIndex(0, 0))
    assert list(answers["symbol"].values) == ["0", "1", OTHER]


@torch.no_grad()
def test_whole_answers_are_spelt_out(checkpoints):
    """An answer is what the model says letter by letter, right where every letter is."""
    walk = make(checkpoints["words"], passes=2)
    assert not walk.one_symbol
    boundary = last_sleep(walk)
    answers = walk.answers(boundary)
    memory = walk.memory(boundary)
    wakes = wake_now(walk.model, walk.batch, walk.sleep, memory, after=boundary.window)
    best = np.concatenate([wake.logits[0].argmax(-1).numpy() for wake in wakes])
    start = wakes[0].window.start
    for query in range(2):
        tokens = np.flatnonzero(walk.batch.answer_of[0] == query)
        said = best[tokens - 1 - start]
        assert answers["correct"][query] == (said == walk.batch.tokens[0, tokens]).all()
        letters = "".join(walk.task.vocabulary[s] for s in said)
        expected = letters[:-1] if letters.endswith(".") else letters + "…"
        assert answers["answer"][query] == expected
    assert make(checkpoints["ring"]).one_symbol


def test_what_was_given_awake(checkpoints):
    """Two wake windows of four queries each: the first half is given before the second is read."""
    walk = make(checkpoints["ring"], passes=2)
    assert walk.extent.awake == (False, True, True)
    given = {
        boundary: walk.answers(boundary)["given"].values.sum()
        for boundary in walk.extent.boundaries
    }
    assert given == {(0, 0): 0, (0, 1): 0, (0, 2): 0, (1, 0): 0, (1, 1): 4, (2, 0): 4, (2, 1): 8}


def test_rewriting_with_one_fast_weight_layer_is_its_frozen_replay(checkpoints):
    walk = make(checkpoints["ring"])
    rewritten = walk.rewrite(0).sel(sleep_pass=slice(1, None))
    frozen = change(record(walk.model, walk.batch, walk.sleep)).sel(procedure="frozen replay")
    expected = frozen["relative_change"].isel(example=0, window=0).sel(sleep_pass=slice(1, None))
    np.testing.assert_allclose(rewritten, expected, rtol=1e-4)
    assert set(walk.rewrites(1)) == {0}, "windows read awake have none"
    assert make(checkpoints["ring"], eviction="sliding").rewrite(0) is None


def test_summary_by_hand():
    import xarray as xr

    values = np.zeros((3, 1, 1, 2, 2))
    values[1, 0, 0] = [[3, 0], [0, 4]]
    values[2, 0, 0] = [[3, 0], [0, 0]]
    over = (dims.SLEEP_PASS, dims.LAYER, dims.GDN_HEAD, dims.KEY, dims.VALUE)
    coords = {name: np.arange(s) for name, s in zip(over[:3], values.shape, strict=False)}
    summary = summarise(xr.DataArray(values, coords, over)).squeeze()
    np.testing.assert_allclose(summary["norm"], [0, 5, 3])
    np.testing.assert_allclose(summary["relative_change"], [np.nan, 1, 4 / 3], rtol=1e-6)
    entropy = -(3 / 7 * np.log(3 / 7) + 4 / 7 * np.log(4 / 7))
    np.testing.assert_allclose(summary["effective_rank"], [np.nan, np.exp(entropy), 1], rtol=1e-6)
    np.testing.assert_allclose(summary["memory_change"], [np.nan, 1, 4 / 3], rtol=1e-6)


def test_the_scale_covers_every_pass_of_every_window(checkpoints):
    walk = make(checkpoints["ring-two"])
    layer = walk.extent.layers[-1]
    largest = max(float(abs(walk.states(w).sel(layer=layer)).max()) for w in range(len(walk.spans)))
    assert walk.scale("state", layer) == pytest.approx(largest)
    walk._states.clear()
    walk._memories.clear()
    assert walk.scale("state", layer) == pytest.approx(largest), "computed once"


def test_what_the_cache_holds(checkpoints):
    hard = make(checkpoints["ring-two"])
    assert hard.cached_tokens(BoundaryIndex(0, 0)) == range(0)
    assert hard.cached_tokens(BoundaryIndex(1, 2)) == range(8, 16)
    assert len(hard.cached_tokens(BoundaryIndex(1, 0))) == 0
    sliding = make(checkpoints["ring-two"], eviction="sliding")
    assert sliding.cached_tokens(BoundaryIndex(1, 0)) == range(1, 8)
    assert sliding.cached_tokens(BoundaryIndex(1, 1)) == range(1, 16)
    kept = sliding.memory(BoundaryIndex(1, 0)).kv[0].keys.shape[2]
    assert kept == len(sliding.cached_tokens(BoundaryIndex(1, 0)))
