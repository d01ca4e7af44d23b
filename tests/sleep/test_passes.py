"""How many passes a sleep takes: fixed, random, and each rule."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from workbench.config import RandomPasses, SleepConfig
from workbench.errors import WorkbenchError
from workbench.model import Memory
from workbench.sleep import (
    PassReport,
    SleepPass,
    Wake,
    capped,
    read,
    until_answers_settle,
    until_memory_settles,
    wake_now,
)
from workbench.sleep.passes import resolve

LAYERS = ("attention", "gated_delta", "attention", "delta")


def passes_taken(events):
    """Return the number of passes of each sleep."""
    return [event.sleep_pass for event in events if isinstance(event, SleepPass) and event.last]


def report(sleep_pass, before, after, answers=None):
    memories = [Memory({1: torch.as_tensor(s, dtype=torch.float32)}) for s in (before, after)]
    return PassReport(sleep_pass, *memories, lambda: torch.tensor(answers))


# --- random N -------------------------------------------------------------------------------------


def test_random_n_is_drawn_once_a_batch(tiny_model, make_batch):
    model, config = tiny_model(), SleepConfig(window=4, passes=RandomPasses(low=2, high=5))
    seen = set()
    for seed in range(12):
        generator, twin = np.random.default_rng(seed), np.random.default_rng(seed)
        taken = passes_taken(read(model, make_batch(3, 1), config, generator=generator))
        assert taken == [int(twin.integers(2, 6))] * 3
        assert generator.random() == twin.random(), "more than one number was drawn"
        seen.add(taken[0])
    assert seen == {2, 3, 4, 5}


def test_random_n_without_a_generator_is_refused(tiny_model, make_batch):
    config = SleepConfig(window=4, passes=RandomPasses())
    with pytest.raises(WorkbenchError, match="is random; expected a generator to draw N from"):
        next(read(tiny_model(), make_batch(), config))


def test_a_fixed_n_draws_nothing():
    generator = np.random.default_rng(0)
    assert resolve(SleepConfig(passes=3), generator) == 3
    assert generator.random() == np.random.default_rng(0).random()


# --- rules by hand --------------------------------------------------------------------------------


def test_memory_settles_when_no_head_moves_more_than_the_tolerance():
    rule = until_memory_settles(0.1)
    still, moved = [[3.0, 4.0]], [[3.0, 4.5]]  # norms 5 and 5.41; the step is 0.5
    assert rule(report(2, [[still, still]], [[still, still]]))
    assert rule(report(2, [[still, still]], [[still, moved]]))  # 0.5 <= 0.1 x 5.41
    assert not until_memory_settles(0.09)(report(2, [[still, still]], [[still, moved]]))
    far = [[3.0, 8.0]]
    assert not rule(report(2, [[still, still]], [[moved, far]])), "one head is enough"
    assert not rule(report(2, [[still], [still]], [[still], [far]])), "one sequence is enough"
    zero = [[0.0, 0.0]]
    assert rule(report(1, [[zero]], [[zero]])), "nothing was written"
    assert not rule(report(1, [[zero]], [[still]]))


@pytest.mark.parametrize(("patience", "stops_at"), [(1, 3), (2, 6), (3, 7)])
def test_answers_settle_after_patience_quiet_passes(patience, stops_at):
    answers = [[1, 2], [3, 2], [3, 2], [4, 2], [4, 2], [4, 2], [4, 2], [4, 2]]
    rule = until_answers_settle(patience)
    for _ in range(2):  # a rule starts over at pass 1 of the next window
        decisions = [rule(report(i, [[[[0.0]]]], [[[[0.0]]]], a)) for i, a in enumerate(answers, 1)]
        assert decisions.index(True) + 1 == stops_at


def test_a_cap_holds_and_the_rule_sees_every_pass():
    seen = []
    rule = capped(lambda r: bool(seen.append(r.sleep_pass)), 3)
    assert [rule(report(i, [[[[0.0]]]], [[[[0.0]]]])) for i in (1, 2, 3)] == [False, False, True]
    assert seen == [1, 2, 3]


# --- rules in a sleep -----------------------------------------------------------------------------


@pytest.mark.parametrize("loop", [None, (1, 3), (0, 2)])
@pytest.mark.parametrize("eviction", ["hard", "sliding"])
def test_a_rule_that_stops_at_n_is_a_fixed_n(
    tiny_model, make_batch, assert_same_memory, loop, eviction
):
    model, batch = tiny_model(*LAYERS), make_batch(2, 1)
    config = SleepConfig(window=4, passes=9, loop=loop, eviction=eviction)
    for n in (1, 3):
        fixed = list(read(model, batch, config.with_passes(n)))
        ruled = list(read(model, batch, config, rule=lambda r, n=n: r.sleep_pass == n))
        assert passes_taken(ruled) == passes_taken(fixed) == [n, n]
        assert_same_memory(ruled[-1].memory, fixed[-1].memory)
        assert torch.equal(ruled[-2].logits, fixed[-2].logits)
        for one, other in zip(ruled, fixed, strict=True):
            if isinstance(one, SleepPass):
                assert (one.hidden is None) == (other.hidden is None) == one.last


@pytest.mark.parametrize("loop", [None, (1, 3)])
def test_every_output_of_a_ruled_sleep(tiny_model, make_batch, loop):
    model, batch = tiny_model(*LAYERS), make_batch(1, 0)
    config = SleepConfig(window=4, passes=2, loop=loop)
    fixed = list(read(model, batch, config, every_output=True))
    ruled = list(read(model, batch, config, rule=lambda r: r.sleep_pass == 2, every_output=True))
    for one, other in zip(ruled[:2], fixed[:2], strict=True):
        assert torch.equal(one.hidden, other.hidden)


def test_each_window_may_take_another_number_of_passes(tiny_model, make_batch):
    numbers = iter([False, True, True, False, False, True])
    events = read(tiny_model(), make_batch(3), SleepConfig(window=4), rule=lambda r: next(numbers))
    assert passes_taken(events) == [2, 1, 3]


@pytest.mark.parametrize("tolerance", [2.0, 0.5, 0.2, 1e-9])
def test_until_memory_settles_in_a_sleep(tiny_model, make_batch, tolerance):
    model, batch = tiny_model(*LAYERS), make_batch(1, 0)
    states = [model.empty_memory(3).fast_weights] + [
        event.memory.detach().fast_weights
        for event in read(model, batch, SleepConfig(window=4, passes=12))
        if isinstance(event, SleepPass)
    ]

    def largest_step(old, new):
        return max(
            float(((new[i] - old[i]).norm(dim=(2, 3)) / new[i].norm(dim=(2, 3))).max()) for i in new
        )

    steps = [largest_step(old, new) for old, new in pairwise(states)]
    expected = next((i for i, step in enumerate(steps, 1) if step <= tolerance), 12)
    rule = {"kind": "until_memory_settles", "tolerance": tolerance, "cap": 12}
    assert passes_taken(read(model, batch, SleepConfig(window=4, passes=rule))) == [expected]


@pytest.mark.parametrize(
    ("options", "patience"),
    [
        ({}, 2),
        ({"loop": (0, 2), "conv_state": "carry"}, 1),
        ({"loop": (1, 3), "eviction": "sliding", "kept_kv": "first"}, 2),
    ],
)
def test_until_answers_settle_in_a_sleep(tiny_model, make_batch, options, patience):
    """The answers are those of a model that stops sleeping now and wakes."""
    model, batch = tiny_model(*LAYERS), make_batch(1, 2)
    config = SleepConfig(window=4, **options)
    answers = []
    for n in range(1, 7):
        events = list(read(model, batch, config.with_passes(n)))
        last = [e for e in events if isinstance(e, SleepPass)][-1]
        wakes = wake_now(model, batch, config, last.memory, after=0)
        answers.append(torch.cat([w.logits[:, :-1].argmax(-1) for w in wakes], 1))
    same = [torch.equal(one, two) for one, two in pairwise(answers)]
    quiet = [all(same[max(i - patience + 1, 0) : i + 1]) and i + 1 >= patience for i in range(5)]
    expected = quiet.index(True) + 2 if True in quiet else 6
    rule = {"kind": "until_answers_settle", "patience": patience, "cap": 6}
    ruled = read(
        model, batch, config.model_copy(update={"passes": SleepConfig(passes=rule).passes})
    )
    assert passes_taken(ruled) == [expected]
    seen = []
    list(read(model, batch, config, rule=lambda r: seen.append(r.answers()) or r.sleep_pass == 6))
    for found, wanted in zip(seen, answers, strict=True):
        assert torch.equal(found, wanted)


def test_asking_for_answers_changes_nothing(tiny_model, make_batch):
    model, batch = tiny_model(*LAYERS), make_batch()
    config = SleepConfig(window=4, eviction="sliding", conv_state="carry")
    asked, quiet = (
        [e.logits for e in read(model, batch, config, rule=rule) if isinstance(e, Wake)][0]
        for rule in (
            lambda r: r.answers() is None or r.sleep_pass == 2,
            lambda r: r.sleep_pass == 2,
        )
    )
    assert torch.equal(asked, quiet)
    asked.sum().backward()
