"""The lens over passes: at the last pass it is the reading itself, at the others a shorter one."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr

from workbench.batch import Batch
from workbench.config import SleepConfig
from workbench.errors import WorkbenchError
from workbench.instruments.lens import lens, lens_by_difficulty, lens_of, likely_tokens
from workbench.sleep import Wake, read, wake_now
from workbench.tasks.depo import Depo, DepoConfig
from workbench.trace import record
from workbench.trace.answers import answer_scores

SLEEP = SleepConfig(window=4, passes=3)


def batch_of(windows=1, examples=3, seed=0):
    """Windows to sleep on, then one with two answers, of difficulties 1 and 2."""
    context = 4 * windows
    tokens = np.random.default_rng(seed).integers(0, 7, (examples, context + 4))
    answer_of = np.full(tokens.shape, -1)
    answer_of[:, context + 1], answer_of[:, context + 3] = 0, 1
    difficulty = np.tile([1, 2], (examples, 1))
    return Batch(tokens, answer_of >= 0, np.ones_like(tokens, dtype=bool), answer_of, difficulty)


@pytest.mark.parametrize(
    "options",
    [{}, {"loop": (0, 2)}, {"loop": (1, 2)}, {"write": "last_pass"}, {"eviction": "sliding"}],
    ids=str,
)
@torch.no_grad()
def test_each_pass_answers_as_a_sleep_of_that_many_would(tiny_model, options):
    model = tiny_model("attention", "gated_delta", "gated_delta")
    batch, sleep = batch_of(), SleepConfig(window=4, passes=3, **options)
    found = lens(model, batch, sleep)
    assert found.log_prob.dims == ("example", "window", "sleep_pass", "query")
    for n in (1, 2, 3):
        wakes = [e for e in read(model, batch, sleep.with_passes(n)) if isinstance(e, Wake)]
        expected = answer_scores(wakes, batch)
        for name in expected:
            here = found[name].sel(window=0, sleep_pass=n)
            np.testing.assert_allclose(here, expected[name], atol=1e-12)


def test_before_the_first_pass_it_knows_nothing(tiny_model):
    model, batch = tiny_model(), batch_of()
    tokens = batch.tokens.copy()
    tokens[:, :4] = tokens[::-1, :4]
    other = replace(batch, tokens=tokens)
    pair = [lens(model, b, SLEEP).log_prob.sel(window=0) for b in (batch, other)]
    xr.testing.assert_equal(pair[0].sel(sleep_pass=0), pair[1].sel(sleep_pass=0))
    assert not np.allclose(pair[0].sel(sleep_pass=1), pair[1].sel(sleep_pass=1))


def test_the_next_window_begins_with_what_the_last_pass_left(tiny_model):
    model, batch = tiny_model(), batch_of(windows=2)
    told = []
    every = lens(model, batch, SLEEP, on_progress=told.append)
    assert every.sizes["window"] == 2 and sum(told) == 2 * 4
    carried = [every.log_prob.sel(window=w, sleep_pass=n).values for w, n in ((0, 3), (1, 0))]
    np.testing.assert_array_equal(*carried)


def test_summary_by_difficulty_with_chance_lines():
    rank = np.ones((4, 1, 2, 2), dtype=int)
    rank[0, 0, 0, 0] = 3
    rank[1, 0, :, 1] = -1  # this example has one query
    axes = ("example", "window", "sleep_pass", "query")
    difficulty = np.tile([1, 2], (4, 1))
    difficulty[1, 1] = -1
    scores = xr.Dataset(
        {
            "rank": (axes, rank),
            "correct": (axes, rank == 1),
            "log_prob": (axes, np.where(rank < 0, np.nan, -1.0 * rank)),
            "logit_diff": (axes, np.where(rank < 0, np.nan, 2.0 - rank)),
        },
        coords={"window": [0], "sleep_pass": [0, 1], "difficulty": (axes[::3], difficulty)},
    )
    task = Depo(DepoConfig(nodes=4, max_hops=2, queries=2, names="single"))
    nothing = scores.assign({"difficulty": scores["difficulty"] * 0 - 1})
    with pytest.raises(WorkbenchError, match="examples that ask nothing"):
        lens_by_difficulty(nothing, task)
    found = lens_by_difficulty(scores, task)
    assert found.accuracy.sel(difficulty=1, sleep_pass=0).item() == 0.75
    assert found.accuracy.sel(difficulty=2, sleep_pass=0).item() == 1.0
    assert found.log_prob.sel(difficulty=1, sleep_pass=0).item() == -1.5
    assert (found.accuracy_low <= found.accuracy).all()
    assert found.asked.values.tolist() == [4, 3]
    assert found.chance.sel(chance_line="uniform guess", difficulty=1).item() == 0.25
    assert found.attrs["difficulty_name"] == "hops"


def test_a_recording_has_the_answers_of_the_lens(tiny_model):
    model, batch = tiny_model(), batch_of(windows=2)
    trace, scores = record(model, batch, SLEEP, keep=("states",)), lens(model, batch, SLEEP)
    found = lens_of(trace)
    assert found.window.values.tolist() == [0, 1]
    for name in scores:
        np.testing.assert_allclose(found[name], scores[name], atol=1e-5, err_msg=name)
    with pytest.raises(WorkbenchError, match="without /readout"):
        lens_of(xr.DataTree())


@torch.no_grad()
def test_the_likeliest_tokens_are_those_of_a_sleep_of_that_many_passes(tiny_model):
    model, batch = tiny_model("attention", "gated_delta"), batch_of(windows=2)
    batch.difficulty[0, 1] = -1  # not asked
    found = likely_tokens(model, batch, SLEEP, count=3, decode=lambda ids: f"<{ids[0]}>")
    assert found.token.dims == ("example", "window", "sleep_pass", "query", "candidate")
    for n in (1, 2, 3):
        (wake,) = [e for e in read(model, batch, SLEEP) if isinstance(e, Wake)]
        if n < 3:  # the last sleep ends earlier
            ends = [e for e in read(model, batch, SLEEP) if not isinstance(e, Wake)]
            passes = [e for e in ends if getattr(e, "sleep_pass", 0) == n and e.window.index == 1]
            (wake,) = wake_now(model, batch, SLEEP, passes[0].memory, after=1)
        for example, query in ((1, 0), (1, 1), (2, 1)):
            logits = wake.logits[example, 2 * query].numpy()  # answers are tokens 1 and 3
            expected = np.argsort(-logits)[:3]
            here = found.sel(window=1, sleep_pass=n).isel(example=example, query=query)
            assert here.token.values.tolist() == expected.tolist()
            assert here.text.values.tolist() == [f"<{token}>" for token in expected]
            chances = np.exp(logits)[expected] / np.exp(logits).sum()
            np.testing.assert_allclose(here.probability, chances, rtol=1e-6)
    unasked = found.isel(example=0, query=1)
    assert (unasked.token == -1).all() and unasked.probability.isnull().all()
    first = found.token.isel(candidate=0).values == batch.tokens[:, None, None, [9, 11]]
    np.testing.assert_array_equal(first, lens(model, batch, SLEEP)["rank"] == 1)
    with pytest.raises(WorkbenchError, match="the 8 most likely tokens"):
        likely_tokens(model, batch, SLEEP, count=8)
