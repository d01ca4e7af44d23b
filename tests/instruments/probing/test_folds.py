"""Splits of a probe's examples: groups whole, shares kept, and the trap of a split by row."""

import dataclasses

import numpy as np
import pytest

from workbench.batch import concatenate
from workbench.config import SleepConfig
from workbench.errors import WorkbenchError
from workbench.instruments.probing.folds import groups_of, split
from workbench.instruments.probing.scoring import SplitFeatures
from workbench.tasks import batch_generator, task


def test_examples_of_one_text_or_one_answer_stay_together():
    """Two strings of 3 cells: 0 and 1 share the first, 1 and 2 the second, 3 shares none."""
    made = task("rule110", cells=3, strings=2, rollout=1)
    rows = ["000 001", "000 010", "011 010", "111 100"]
    batches = [made.parse(row) for row in rows]
    batch = concatenate(batches)
    sleep = SleepConfig(window=3)
    np.testing.assert_array_equal(groups_of(batch, sleep), [0, 0, 0, 1])
    # all labels of two examples are the same: the same strings, whatever the windows
    long = SleepConfig(window=6)
    np.testing.assert_array_equal(groups_of(batch, long), [0, 1, 2, 3])
    # 000 and 111 both become 000
    twin = concatenate([made.parse("000 001"), made.parse("111 001")])
    np.testing.assert_array_equal(groups_of(twin, long), [0, 1])
    np.testing.assert_array_equal(groups_of(twin, long, made.probe_targets(twin)[1:]), [0, 0])


def test_one_cycle_in_another_order_is_the_same_group():
    made = task("depo", nodes=3, names="single", max_hops=1, queries=1)
    batch = concatenate([made.parse(t) for t in ("0>1 1>2 2>0", "2>0 0>1 1>2", "0>2 2>1 1>0")])
    sleep = SleepConfig(window=6)
    np.testing.assert_array_equal(groups_of(batch, sleep), [0, 1, 2])
    np.testing.assert_array_equal(groups_of(batch, sleep, made.probe_targets(batch)), [0, 0, 1])


def test_padding_ties_nothing_together():
    made = task("rule110", cells=3, strings=2, rollout=1)
    batch = made.sample(2, batch_generator(0, 0))
    tokens, valid = batch.tokens.copy(), batch.valid.copy()
    tokens[:, :3], valid[:, :3] = 0, False
    tokens[:, 3:6] = [[0, 0, 1], [0, 1, 1]]
    batch = dataclasses.replace(batch, tokens=tokens, valid=valid)
    np.testing.assert_array_equal(groups_of(batch, SleepConfig(window=3)), [0, 1])


def test_the_same_context_twice_is_one_group_though_it_is_padded():
    made = task("depo", nodes=4, names="single", max_hops=1, queries=1)
    texts = ("0>1 1>2 2>0", "0>1 1>2 2>0", "0>2 2>1 1>0")
    batch = concatenate([made.parse(text) for text in texts])
    assert not batch.valid.all()
    np.testing.assert_array_equal(groups_of(batch, SleepConfig(window=8)), [0, 0, 1])


def test_a_context_drawn_twice_teaches_nothing_about_itself():
    """Contexts that repeat; S is noise, and so are the labels, but both are of the context."""
    made = task("rule110", cells=8, strings=1, rollout=1)
    batch = made.sample(400, batch_generator(0, 0))
    context = batch.tokens[:, :8] @ 2 ** np.arange(8)
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 256)[context]
    states = rng.normal(size=(256, 300))[context]
    sleep = SleepConfig(window=8)
    groups = groups_of(batch, sleep)
    assert len(np.unique(groups)) == len(np.unique(context)) < 250
    assert held_out_score(states, labels, np.arange(400)) > 0.8
    assert held_out_score(states, labels, groups) < 0.65  # 0.5 + 3 sd of 40 contexts, 4 times


def held_out_score(states, labels, groups):
    """Return the mean accuracy of a probe on the test folds of four splits."""
    folds = [SplitFeatures(states, split(groups, seed), [1e-3]) for seed in range(4)]
    return np.mean([fold.scored(labels[:, None], 2)[0].mean() for fold in folds])


def test_folds_hold_whole_groups_in_the_shares_asked_for():
    groups = np.repeat(np.arange(200), 3)
    folds = split(groups, 0)
    everything = np.concatenate(folds)
    np.testing.assert_array_equal(np.sort(everything), np.arange(600))
    assert [len(fold) for fold in folds] == [360, 120, 120]
    sets = [set(groups[fold]) for fold in folds]
    assert not (sets[0] & sets[1] or sets[0] & sets[2] or sets[1] & sets[2])
    again, other = split(groups, 0), split(groups, 1)
    assert all(np.array_equal(a, b) for a, b in zip(folds, again, strict=True))
    assert not np.array_equal(folds.test, other.test)


def test_too_few_examples_are_refused():
    with pytest.raises(WorkbenchError, match="30 examples in 30 groups .* at least 10 groups"):
        split(np.arange(30), 0)
    with pytest.raises(WorkbenchError, match="the largest of 900"):
        split(np.concatenate([np.zeros(900, int), np.arange(1, 101)]), 2)
