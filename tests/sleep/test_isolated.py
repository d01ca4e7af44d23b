"""Isolated queries: each is read alone with the memory that the context left."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from workbench.batch import Batch, concatenate
from workbench.config import SleepConfig
from workbench.errors import WorkbenchError
from workbench.sleep import Eviction, SleepPass, Wake, read
from workbench.sleep.reference import reference
from workbench.tasks import batch_generator, task
from workbench.training.evaluation import check_layout
from workbench.training.graphs import layout
from workbench.training.loss import masked_cross_entropy

FOUR = ("attention", "gated_delta", "attention", "jet")


@pytest.fixture(scope="module")
def depo():
    made = task("depo", nodes=4, max_hops=3, names="single", queries=3, isolated=True)
    return made.sample(3, batch_generator(0, 0))


def with_one_query(batch, query):
    """Return the batch with the context and one query, read on as any other tokens."""
    context, width = batch.context_tokens, batch.isolated
    first = context + query * width
    keep = [*range(context), *range(first, first + width)]
    return Batch(
        batch.tokens[:, keep],
        batch.loss_mask[:, keep],
        batch.valid[:, keep],
        batch.answer_of[:, keep],
        batch.difficulty,
    )


@pytest.mark.parametrize(("window", "passes"), [(8, 1), (8, 3), (4, 2)])
def test_every_query_is_answered_as_if_it_were_the_only_one(tiny_model, depo, window, passes):
    model = tiny_model(*FOUR, vocabulary=9)
    with torch.no_grad():
        *_, wake, end = read(model, depo, SleepConfig(window=window, passes=passes))
        assert isinstance(wake, Wake)
        for query in range(3):
            [alone], _ = reference(model, with_one_query(depo, query), window, passes)
            part = slice(4 * query, 4 * query + 4)
            torch.testing.assert_close(wake.logits[:, part], alone, rtol=0, atol=1e-12)
    assert isinstance(end, Eviction)


def test_the_queries_leave_the_memory_as_it_was(tiny_model, depo):
    model = tiny_model(*FOUR, vocabulary=9)
    with torch.no_grad():
        events = list(read(model, depo, SleepConfig(window=8, passes=2)))
    asleep = [event for event in events if isinstance(event, SleepPass)]
    for layer, state in asleep[-1].memory.fast_weights.items():
        torch.testing.assert_close(events[-1].memory.fast_weights[layer], state, rtol=0, atol=0)


def test_the_loss_is_the_mean_over_queries_read_alone(tiny_model, depo):
    model = tiny_model(*FOUR, vocabulary=9)
    sleep = SleepConfig(window=8, passes=2)
    with torch.no_grad():
        whole = masked_cross_entropy(read(model, depo, sleep))
        alone = [
            masked_cross_entropy(read(model, with_one_query(depo, q), sleep)) for q in range(3)
        ]
    torch.testing.assert_close(whole, torch.stack(alone).mean())


def test_a_batch_keeps_its_layout(depo):
    assert depo.context_tokens == 8
    assert depo.examples(slice(1)).isolated == concatenate([depo, depo]).isolated == 4
    assert depo.token_range(0, 8).isolated == 0
    assert depo.token_range(8, 20).isolated == 4
    with pytest.raises(ValueError, match="isolated"):
        depo.token_range(0, 12)
    with pytest.raises(ValueError, match=r"isolated = \[0, 4\]"):
        concatenate([depo, replace(depo, isolated=0)])
    check_layout(depo, 8)


def test_windows_end_where_the_isolated_queries_begin(depo):
    assert depo.windows(5) == [(0, 5), (5, 8), (8, 20)]
    assert depo.begins(5) == [0, 5, 8, 12, 16]
    plain = replace(depo, isolated=0)
    assert plain.windows(8) == [(0, 8), (8, 16), (16, 20)]
    assert plain.begins(8) == [0, 8, 16]


def test_graphs_of_isolated_queries_are_told_apart_by_the_windows_that_are_read(depo):
    keys = set()
    for token in (6, 9):  # both in tokens 5 to 9, but not in one window
        valid = depo.valid.copy()
        valid[0, token] = False
        keys.add(layout(replace(depo, valid=valid), 2, 5))
    assert len(keys) == 2


def test_a_query_longer_than_a_window_is_refused(depo):
    with pytest.raises(WorkbenchError, match="queries of 4 tokens"):
        check_layout(depo, 2)


def test_a_query_may_not_begin_with_its_answer(depo):
    mask = depo.loss_mask.copy()
    mask[:, 12] = True
    moved = Batch(depo.tokens, mask, depo.valid, depo.answer_of, depo.difficulty, depo.isolated)
    with pytest.raises(Exception, match="window"):
        check_layout(moved, 8)


def test_depo_lays_each_query_out_in_the_same_tokens():
    made = task("depo", nodes=5, max_hops=3, names="depo1", queries=3, isolated=True)
    batch = made.sample(20, batch_generator(0, 0))
    np.testing.assert_array_equal(made.solve(batch), batch.tokens)
    begins = batch.tokens[:, batch.context_tokens :: batch.isolated]
    assert all(made.vocabulary[t].startswith("k=") for t in begins.ravel())
    assert "guess from earlier answers" not in made.chance()
