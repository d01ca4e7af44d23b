"""Every boundary of a reading is kept, and reading on from it answers as the reading did."""

import itertools

import numpy as np
import pytest
import torch

from workbench.batch import Batch
from workbench.config import RandomPasses, SleepConfig
from workbench.errors import WorkbenchError
from workbench.instruments.boundaries import (
    at,
    before_answers,
    of_examples,
    read_boundaries,
    read_on,
    slept_on,
)
from workbench.instruments.patching.context_swaps import questions, swap_context
from workbench.instruments.probing.features import embeddings
from workbench.sleep import Wake, read
from workbench.tasks import batch_generator, task

SLEEP = SleepConfig(window=4, passes=3)
CUT = SleepConfig(window=5, passes=2)


def two_sleeps(seed=0, examples=3):
    """Two windows to sleep on and one with two answers; the first row is padded on the left."""
    tokens = np.random.default_rng(seed).integers(0, 7, (examples, 12))
    answer_of = np.full(tokens.shape, -1)
    answer_of[:, 9], answer_of[:, 11] = 0, 1
    valid = np.ones(tokens.shape, dtype=bool)
    valid[0, :2] = False
    return Batch(tokens, answer_of >= 0, valid, answer_of, np.ones((examples, 2), dtype=np.int64))


def test_all_places_of_a_reading(tiny_model):
    boundaries = read_boundaries(tiny_model(), two_sleeps(), SLEEP)
    assert list(boundaries) == [*itertools.product((0, 1), range(4)), (2, 0)]
    for (window, sleep_pass), boundary in boundaries.items():
        assert (boundary.window, boundary.sleep_pass) == (window, sleep_pass)
    assert not boundaries[0, 0].memory.fast_weights[1].any()
    assert torch.equal(
        boundaries[0, 3].memory.fast_weights[1], boundaries[1, 0].memory.fast_weights[1]
    )


@pytest.mark.parametrize("eviction", ["hard", "sliding"])
def test_reading_on_from_any_place_answers_the_same(tiny_model, eviction):
    model, batch = tiny_model(), two_sleeps()
    sleep = SleepConfig(window=4, passes=3, eviction=eviction)
    (whole,) = (e for e in read(model, batch, sleep) if isinstance(e, Wake))
    for boundary in read_boundaries(model, batch, sleep).values():
        (wake,) = read_on(model, batch, sleep, boundary)
        assert torch.equal(wake.logits, whole.logits)


@torch.no_grad()
def test_some_examples_of_a_place(tiny_model):
    model, batch = tiny_model(), two_sleeps()
    index = torch.tensor([2, 0, 0])
    for boundary in read_boundaries(model, batch, SLEEP).values():
        (whole,) = read_on(model, batch, SLEEP, boundary)
        (some,) = read_on(model, batch.examples(index.numpy()), SLEEP, of_examples(boundary, index))
        assert torch.allclose(some.logits, whole.logits[index], atol=1e-12)


def test_the_last_place_before_answers():
    assert before_answers(two_sleeps(), SLEEP) == (2, 0)
    batch = two_sleeps()
    with pytest.raises(WorkbenchError, match="without labels"):
        before_answers(batch.token_range(0, 8), SLEEP)


def test_what_does_not_fit_is_refused(tiny_model):
    model, batch = tiny_model(), two_sleeps()
    boundaries = read_boundaries(model, batch, SLEEP)
    with pytest.raises(WorkbenchError, match="one of .0, 0., .0, 1."):
        at(boundaries, (0, 4))
    with pytest.raises(WorkbenchError, match="a memory of 3 examples; expected 2 examples"):
        read_on(model, batch.examples(slice(2)), SLEEP, boundaries[1, 1])
    with pytest.raises(WorkbenchError, match="fix N"):
        read_boundaries(model, batch, SleepConfig(window=4, passes=RandomPasses()))


def isolated():
    """Return a task whose 3 queries are read alone after 8 tokens, and a batch of it."""
    made = task("depo", nodes=4, max_hops=3, names="single", queries=3, isolated=True)
    return made, made.sample(3, batch_generator(0, 0))


@torch.no_grad()
def test_boundaries_of_isolated_queries_where_the_window_does_not_divide_the_context(tiny_model):
    _, batch = isolated()
    model = tiny_model(vocabulary=9)
    boundaries = read_boundaries(model, batch, CUT)
    assert list(boundaries) == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (2, 0)]
    assert before_answers(batch, CUT) == (2, 0)
    assert slept_on(batch, CUT) == [0, 1]
    [wake] = read_on(model, batch, CUT, boundaries[2, 0])
    [plain] = [e for e in read(model, batch, CUT) if isinstance(e, Wake)]
    torch.testing.assert_close(wake.logits, plain.logits, rtol=0, atol=0)


@torch.no_grad()
def test_what_is_read_asleep_holds_no_isolated_query(tiny_model):
    _, batch = isolated()
    assert embeddings(tiny_model(vocabulary=9), batch, CUT, 1).shape == (3, 8 * 8)


def test_every_isolated_query_is_measured_as_one_without_earlier_answers():
    """The answers are tokens 11, 15 and 19: 15 begins no window although 5 divides it."""
    made, batch = isolated()
    swapped = swap_context(made, batch, made.sample(3, batch_generator(0, 1)))
    differs = (batch.tokens != swapped.tokens)[:, [11, 15, 19]]
    assert differs.any(axis=0).all()
    for asked in ("all", "first of window", "first"):
        found = questions(batch, swapped, 5, asked=asked)
        np.testing.assert_array_equal(found.asked, differs)
