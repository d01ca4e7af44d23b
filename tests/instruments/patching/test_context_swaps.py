"""Contexts are exchanged, and the task's own solver says what is right afterwards."""

import numpy as np
import pytest
import torch

from workbench.errors import WorkbenchError
from workbench.instruments.patching.context_swaps import fitting, logits_at, questions, swap_context
from workbench.sleep import Wake
from workbench.sleep.windows import split_windows
from workbench.tasks.base import batch_generator
from workbench.tasks.depo import Depo, DepoConfig
from workbench.tasks.rule110 import Rule110, Rule110Config

DEPO = Depo(DepoConfig(nodes=4, max_hops=2, queries=3, names="single", predict_ans=False))
FORWARD = DEPO.parse("0>1 1>2 2>3 3>0", "1:0, 2:1, 2:0")
BACKWARD = DEPO.parse("3>2 2>1 1>0 0>3", "1:3, 1:2, 1:1")


def test_the_recipients_questions_about_the_donors_ring():
    swapped = swap_context(DEPO, FORWARD, BACKWARD)
    assert DEPO.text(swapped, 0) == "3>2 2>1 1>0 0>3\n1:0=3, 2:1=3, 2:0=2"
    asked = questions(FORWARD, swapped, 4)
    assert asked.asked.tolist() == [[True, False, False]]  # two steps on, both rings agree
    assert asked.at.tolist() == [[8 + 3, -1, -1]]
    symbols = [DEPO.vocabulary[i[0, 0]] for i in (asked.recipient, asked.donor)]
    assert symbols == ["1", "3"]
    back = asked.exchanged()
    assert (back.recipient == asked.donor).all() and (back.donor == asked.recipient).all()


def test_rule_110_is_swapped_by_the_same_few_lines():
    task = Rule110(Rule110Config(cells=6, strings=3, rollout=2))
    one, other = (task.sample(5, batch_generator(0, step)) for step in range(2))
    swapped = swap_context(task, one, other)
    assert (swapped.tokens == other.tokens).all()  # the queries are the same in every example
    asked = questions(one, swapped, 6)
    labels = slice(task.context_tokens + 1, None)
    assert (asked.asked == (one.tokens[:, labels] != other.tokens[:, labels])).all()


def test_pairs_that_do_not_fit_are_named():
    task = Depo(DepoConfig(nodes=4, n_dist="uniform", max_hops=2, queries=4, names="single"))
    small, large = task.parse("0>1 1>2 2>0"), task.parse("0>1 1>2 2>3 3>0")
    assert fitting(task, small, large).all()
    assert not fitting(task, large, small).any()
    with pytest.raises(WorkbenchError, match="1 of 1 pairs, the first at example 0"):
        swap_context(task, large, small)
    with pytest.raises(WorkbenchError, match=r"\(1, 20\).*\(1, 24\)"):
        fitting(DEPO, task.parse("0>1 1>2 2>0"), FORWARD)
    with pytest.raises(WorkbenchError, match="answer every measured question alike"):
        questions(FORWARD, FORWARD, 4)


def test_the_first_query_of_each_wake_window():
    one, other = (DEPO.sample(40, batch_generator(1, step)) for step in range(2))
    swapped = swap_context(DEPO, one, other)
    every = questions(one, swapped, 8).asked  # two queries a window, the last one alone
    of_window = questions(one, swapped, 8, asked="first of window").asked
    assert (of_window == every & [True, False, True]).all()
    first = questions(one, swapped, 8, asked="first").asked
    assert (first == every & [True, False, False]).all()


def test_the_logits_of_the_token_before():
    swapped = swap_context(DEPO, FORWARD, BACKWARD)
    asked = questions(FORWARD, swapped, 4)
    windows = split_windows(FORWARD, 4, mask_padding=True, device=torch.device("cpu"))
    wakes = [
        Wake(w, torch.arange(4 * 8.0).reshape(1, 4, 8) + 100 * w.index, None)
        for w in windows
        if w.has_loss
    ]
    found = logits_at(wakes, asked)
    np.testing.assert_array_equal(found[0, 0], 200 + 2 * 8 + np.arange(8))
    assert np.isnan(found[0, 1:]).all()
