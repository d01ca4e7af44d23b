"""Instruments where windows are read awake and then slept on, against a loop written out here.

Each of 4 windows asks one query, its last two tokens. In boundary indices they are 7 readings:
awake are 0, 2, 4 and 6, asleep 1, 3 and 5; nothing is answered after the sleep on the last one.
"""

import numpy as np
import pytest
import torch
import xarray as xr

from workbench.batch import Batch
from workbench.config import SleepConfig
from workbench.errors import WorkbenchError
from workbench.instruments.attribution import attribute_passes, attribute_state, attribute_tokens
from workbench.instruments.boundaries import (
    before_answers,
    last_boundary,
    read_boundaries,
    read_on,
    slept_on,
)
from workbench.instruments.interventions import OTHER, ablation_effects
from workbench.instruments.lens import lens, lens_of
from workbench.instruments.patching.components import whole
from workbench.instruments.patching.effects import ablations_by_difficulty
from workbench.instruments.patching.pairs import change_one
from workbench.instruments.privacy import answers_after, text_targets
from workbench.instruments.probing.features import embeddings, fast_weights
from workbench.instruments.steering import steer
from workbench.model import Memory
from workbench.tasks import batch_generator, task
from workbench.trace.recorder import record

LENGTH, WINDOWS, PASSES = 4, 4, 2
SLEEP = SleepConfig(window=LENGTH, passes=PASSES, order="predict_then_sleep")
LAYER = 1


def text(examples=3):
    tokens = np.random.default_rng(1).integers(0, 7, (examples, LENGTH * WINDOWS))
    place = np.arange(tokens.shape[1])
    answer_of = np.where(place % LENGTH >= 2, place // LENGTH, -1)
    of = np.broadcast_to(answer_of, tokens.shape).copy()
    labels = np.broadcast_to(place % LENGTH > 0, tokens.shape).copy()
    difficulty = np.ones((examples, WINDOWS), dtype=np.int64)
    return Batch(tokens, labels, np.ones_like(labels), of, difficulty)


@torch.no_grad()
def plain(model, batch, passes=PASSES, *, change=None, awake_after=WINDOWS, embed=None):
    """Read window by window: awake, then asleep. Return logits by window, and S by boundary.

    `change`: (window, sleep pass, function of S), applied there. Windows after `awake_after` are
    read awake alone.
    """
    at, function = (change[:2], change[2]) if change else (None, None)
    logits, states, s = [], {}, model.empty_memory(len(batch)).fast_weights
    for w in range(WINDOWS):
        tokens = torch.as_tensor(batch.tokens[:, w * LENGTH : (w + 1) * LENGTH])
        begun = h = (embed or (lambda _, t: model.embed(t)))(w, tokens)
        for n in range(1 + (passes if w <= awake_after else 0)):
            h, after = model.blocks(begun if n <= 1 else h, Memory(s))
            s = after.fast_weights
            if n == 0:
                logits.append(model.logits(h))
            if at == (w, n):
                s = {i: function(x) for i, x in s.items()}
            states[2 * w + 1, n] = s
    return logits, states


def log_prob(logits, batch):
    """Return the log-probability of each query's two tokens, ``[example, query]``."""
    rows = np.arange(len(batch))
    found = []
    for w, of in enumerate(logits):
        spread = torch.log_softmax(of, -1).numpy()
        tokens = batch.tokens[:, w * LENGTH : (w + 1) * LENGTH]
        found.append(spread[rows, 1, tokens[:, 2]] + spread[rows, 2, tokens[:, 3]])
    return np.stack(found, axis=1)


PLACES = [(1, 0), (1, 2), (3, 1), (5, 0), (5, 2)]


def test_every_boundary_of_both_readings(tiny_model):
    model, batch = tiny_model(), text()
    boundaries, (_, states) = read_boundaries(model, batch, SLEEP), plain(model, batch)
    pairs = [(w, n) for w in range(7) for n in range(3 if w % 2 else 1)]
    assert list(boundaries) == pairs
    for index, boundary in boundaries.items():
        expected = states[index] if index[0] % 2 else states.get((index[0] - 1, PASSES))
        if expected is not None:
            torch.testing.assert_close(boundary.memory.fast_weights, expected, rtol=0, atol=1e-12)
    assert slept_on(batch, SLEEP) == [1, 3, 5]
    assert before_answers(batch, SLEEP) == (0, 0) and last_boundary(batch, SLEEP) == (6, 0)


@torch.no_grad()
@pytest.mark.parametrize("place", PLACES)
def test_reading_on_with_a_changed_memory_is_the_loop(tiny_model, place):
    model, batch = tiny_model(), text()
    here = read_boundaries(model, batch, SLEEP)[place]
    memory = here.memory.replace(
        fast_weights={i: 0.5 * s for i, s in here.memory.fast_weights.items()}
    )
    window = place[0] // 2
    expected, _ = plain(model, batch, change=(window, place[1], lambda s: 0.5 * s))
    wakes = read_on(model, batch, SLEEP, here.with_memory(memory))
    assert [wake.window.index for wake in wakes] == list(range(window + 1, WINDOWS))
    for wake in wakes:
        torch.testing.assert_close(wake.logits, expected[wake.window.index], rtol=0, atol=1e-12)


def test_without_passes_the_memory_changes_before_a_window_is_read(tiny_model):
    model, batch = tiny_model(), text()
    none = SLEEP.with_passes(0)
    found = ablation_effects(model, batch, none, boundaries=[(2, 0)], methods=["zero"])
    expected, _ = plain(model, batch, 0, change=(1, 0, torch.zeros_like))
    scores = found["log_prob"].isel(control=0, procedure=0, component=0, window=0, sleep_pass=0)
    np.testing.assert_allclose(scores.values[:, 2:], log_prob(expected, batch)[:, 2:], atol=1e-12)
    with pytest.raises(WorkbenchError, match="N = 0, which sleeps on nothing"):
        lens(model, batch, none)


def test_the_lens_wakes_for_all_that_is_left(tiny_model):
    model, batch = tiny_model(), text()
    found = lens(model, batch, SLEEP)
    assert found.window.values.tolist() == [1, 3, 5]
    for row, n in PLACES:
        window = row // 2
        _, states = plain(model, batch)
        back = (window, PASSES, lambda _, kept=states[row, n][LAYER]: kept)
        logits, _ = plain(model, batch, change=back, awake_after=window)
        expected = log_prob(logits, batch)
        expected[:, : window + 1] = np.nan
        scores = found["log_prob"].sel(window=row, sleep_pass=n)
        np.testing.assert_allclose(scores, expected, atol=1e-12)
    xr.testing.assert_allclose(lens_of(record(model, batch, SLEEP)), found)


@pytest.mark.parametrize(
    ("method", "function"),
    [("zero", torch.zeros_like), ("mean", lambda s: s.mean(0).expand_as(s)),
     (OTHER, lambda s: s.roll(1, 0)), (0.5, lambda s: 0.5 * s)],
    ids=["zero", "mean", "other", "half"],
)  # fmt: skip
def test_a_changed_memory_is_scored_by_the_answers_still_to_come(tiny_model, method, function):
    model, batch = tiny_model(), text()
    found = ablation_effects(model, batch, SLEEP, methods=[method]).isel(procedure=0, component=0)
    intact = log_prob(plain(model, batch)[0], batch)
    for row, n in PLACES:
        expected = log_prob(plain(model, batch, change=(row // 2, n, function))[0], batch)
        earlier = np.arange(WINDOWS) <= row // 2
        here = found.sel(window=row, sleep_pass=n, control="ablation")
        np.testing.assert_allclose(
            here["log_prob"], np.where(earlier, np.nan, expected), atol=1e-12
        )
        np.testing.assert_allclose(
            here["intact_log_prob"], np.where(earlier, np.nan, intact), atol=1e-12
        )
    summary = ablations_by_difficulty(found.expand_dims(("procedure", "component")))
    assert summary["asked"].values.ravel().tolist() == [9, 6, 3]
    of_one = change_one(
        model, batch, SLEEP, example=2, boundary=(3, 1), part=whole(), method=method
    )
    many = found.sel(window=3, sleep_pass=1).isel(example=2)
    one = of_one["logit_diff"].sel(control="changed")
    np.testing.assert_allclose(one, many["logit_diff"].sel(control="ablation"), atol=1e-6)


def logit_difference(logits, batch, query, found):
    """Return the difference that an attribution divides, of one query, ``[example]``."""
    of = logits[query].numpy()[:, 1]
    rows = np.arange(len(batch))
    answer = batch.tokens[:, query * LENGTH + 2]
    return of[rows, answer] - of[rows, found]


def test_attributions_divide_what_the_loop_says(tiny_model):
    """Shapley values are exact and complete, so the two ends tell."""
    model, batch, query = tiny_model(), text(), 3
    against = (batch.tokens[:, query * LENGTH + 2] + 1) % 7
    options = {"query": query, "against": against, "method": "shapley values"}
    start = read_boundaries(model, batch, SLEEP)[3, 1]
    full = logit_difference(plain(model, batch)[0], batch, query, against)
    woken = plain(model, batch)[1][3, 0]
    lost = {
        "state": (attribute_state(model, batch, SLEEP, start, baseline="zero", **options),
                  {"change": (1, 1, torch.zeros_like)}),
        "passes": (attribute_passes(model, batch, SLEEP, window=3, **options),
                   {"change": (1, PASSES, lambda s: woken[LAYER])}),
        "tokens": (attribute_tokens(model, batch, SLEEP, by=["window"], baseline="zero", **options),
                   {"embed": lambda w, t: model.embed(t) * (w == query)}),
    }  # fmt: skip
    for found, changed in lost.values():
        ends = logit_difference(plain(model, batch, **changed)[0], batch, query, against)
        np.testing.assert_allclose(found["logit_diff"], full, atol=1e-12)
        np.testing.assert_allclose(found["logit_diff_at_baseline"], ends, atol=1e-12)
        total = found["attribution"].sum([d for d in found["attribution"].dims if d != "example"])
        np.testing.assert_allclose(total, full - ends, atol=1e-9)
    assert lost["tokens"][0]["attribution"].sizes["window"] == query


def test_tokens_of_an_examples_own_window_are_not_context(tiny_model):
    model, batch = tiny_model(), text()
    query = np.array([1, 3, 2])
    found = attribute_tokens(model, batch, SLEEP, query=query, by=("window",), baseline="zero")
    parts = found["attribution"].transpose("example", "window").values
    assert np.array_equal(parts != 0, np.arange(3) < query[:, None])
    with pytest.raises(WorkbenchError, match="an answer in the first window"):
        attribute_tokens(model, batch, SLEEP, query=0)
    with pytest.raises(WorkbenchError, match="whose answer no window from 1 on predicts"):
        attribute_passes(model, batch, SLEEP, query=1, window=3)


def test_what_probes_read_is_the_loops(tiny_model):
    model, batch = tiny_model(), text()
    states, found = plain(model, batch)[1], fast_weights(model, batch, SLEEP)
    assert found.window.values.tolist() == [1, 3, 5]
    for row, n in PLACES:
        here = found.sel(window=row, sleep_pass=n, layer=LAYER)
        np.testing.assert_allclose(here, states[row, n][LAYER], atol=1e-12)
    assert embeddings(model, batch, SLEEP, 3).shape == (3, 2 * LENGTH * 8)
    for target, window in zip(text_targets(batch, SLEEP, "abcdefg"), range(3), strict=True):
        np.testing.assert_array_equal(target.labels, batch.tokens[:, window * 4 : window * 4 + 4])
    asked = answers_after(model, batch, SLEEP)["asked"]
    assert asked.values.tolist() == [[False] * 3 + [True]] * 3


def test_steering_counts_the_queries_still_to_be_answered(tiny_model):
    """Two windows of queries, both slept on: those of the first are answered before the move."""
    made = task("depo", nodes=6, names="single", max_hops=1, queries=4, predict_ans=False)
    model = tiny_model(vocabulary=len(made.vocabulary))
    batch = made.sample(90, batch_generator(0, 0))
    length = made.query_tokens // 2
    sleep = SleepConfig(window=length, passes=1, order="predict_then_sleep")
    effects = steer(model, batch, sleep, made.probe_targets(batch), seeds=[0], strengths=[1.0])
    first = (batch.answer_of[:, :, None] == np.arange(4)).argmax(axis=1)
    late = first >= made.context_tokens + length
    targets = made.probe_targets(batch)
    reached = effects["difficulty"].sel(target=targets[-1].name).isel(seed=0, sleep_pass=0, layer=0)
    items = targets[-1].asked_by
    has_late = np.array([late[e][row[row >= 0]].any() for e, row in enumerate(items)])
    assert (reached.values >= 0).any() and not (reached.values[~has_late] >= 0).any()
