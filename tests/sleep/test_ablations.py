"""Think only, rewrite only, looping awake: each against Algorithm 1 written out."""

from dataclasses import replace

import pytest
import torch
from pydantic import ValidationError

from workbench.config import SleepConfig
from workbench.errors import WorkbenchError
from workbench.model import Memory
from workbench.sleep import SleepPass, Wake, read

FOUR = ("attention", "gated_delta", "attention", "jet")


def config(**options):
    return SleepConfig(**{"window": 4, **options})


def last_wake(events):
    return [event for event in events if isinstance(event, Wake)][-1]


def tokens(batch, window):
    return torch.from_numpy(batch.tokens[:, 4 * window : 4 * window + 4])


def assert_state(memory, expected):
    for layer, state in expected.items():
        assert torch.equal(memory.fast_weights[layer], state)


ABLATIONS = [{"write": "last_pass"}, {"feed_back": False}]


@pytest.mark.parametrize("changed", ABLATIONS)
def test_an_ablation_of_the_passes_by_hand(tiny_model, make_batch, changed):
    """Think only: every pass begins with the S before the window. Rewrite only: with the tokens."""
    model, batch = tiny_model(*FOUR), make_batch(2, 1)
    state = empty = model.empty_memory(len(batch)).fast_weights
    for window in range(2):
        hidden = embedded = model.embed(tokens(batch, window))
        begun = state
        for _ in range(3):
            entering = hidden if "write" in changed else embedded
            hidden, memory = model.blocks(entering, Memory(begun if "write" in changed else state))
            state = memory.fast_weights
    hidden, memory = model.blocks(model.embed(tokens(batch, 2)), Memory(state))

    events = list(read(model, batch, config(passes=3, **changed)))
    if "write" in changed:
        assert_state(events[0].memory, empty)
    assert torch.equal(last_wake(events).logits, model.logits(hidden))
    assert_state(events[-1].memory, memory.fast_weights)


def test_features_that_nothing_reads_are_not_computed_in_a_rewrite(tiny_model, make_batch, watched):
    model = watched(tiny_model("attention", "gated_delta"))
    events = read(model, make_batch(1, 0), config(passes=3, feed_back=False))
    assert [e.hidden for e in events if isinstance(e, SleepPass)] == [None] * 3


@pytest.mark.parametrize("loop", [None, (1, 3)])
@pytest.mark.parametrize("eviction", ["hard", "sliding"])
@pytest.mark.parametrize("wake_passes", [1, 2, 3])
def test_looping_awake_never_reads_a_token_before_it_comes(
    tiny_model, make_batch, loop, eviction, wake_passes
):
    """S of the pass before holds the whole window, answers included: no pass may begin with it."""
    model, batch = tiny_model(*FOUR), make_batch(1, 2)
    sleep = config(passes=2, wake_passes=wake_passes, loop=loop, eviction=eviction)
    at = batch.tokens.shape[1] - 2  # inside the last window, with tokens before and after it
    changed = batch.tokens.copy()
    changed[:, at] = (changed[:, at] + 1) % 7
    other = replace(batch, tokens=changed)
    one, two = (last_wake(read(model, each, sleep)).logits for each in (batch, other))
    assert torch.equal(one[:, : at - 8], two[:, : at - 8])
    assert not torch.equal(one[:, at - 8 :], two[:, at - 8 :])


@pytest.mark.parametrize("conv_state", ["zero", "carry"])
def test_looping_awake_is_the_stack_again_from_the_memory_carried_in(
    tiny_model, make_batch, conv_state
):
    model, batch = tiny_model(*FOUR), make_batch(1, 1)
    sleep = config(passes=2, wake_passes=3, loop=(1, 3), conv_state=conv_state)
    events = list(read(model, batch, sleep))
    *_, carried, wake, _ = events
    memory, tokens = carried.memory, wake.window.tokens

    def run(hidden, first, last):
        return model.blocks(hidden, memory, first=first, last=last, keep_kv=False)

    hidden, _ = run(model.embed(tokens), 0, 1)
    for _ in range(3):
        hidden, looped = run(hidden, 1, 3)
    hidden, above = run(hidden, 3, 4)
    assert torch.equal(wake.logits, model.logits(hidden))
    assert_state(wake.memory, {1: looped.fast_weights[1], 3: above.fast_weights[3]})


def test_each_ablation_changes_the_answers(tiny_model, make_batch):
    model, batch = tiny_model(*FOUR), make_batch(2, 1)
    plain = last_wake(read(model, batch, config(passes=3))).logits
    for changed in ({"write": "last_pass"}, {"feed_back": False}, {"wake_passes": 2}):
        other = last_wake(read(model, batch, config(passes=3, **changed))).logits
        assert (other - plain).abs().max() > 1e-4, changed


@pytest.mark.parametrize("changed", ABLATIONS)
def test_with_one_pass_an_ablation_of_the_passes_is_the_plain_hybrid(
    tiny_model, make_batch, changed
):
    model, batch = tiny_model(*FOUR), make_batch(2, 1)
    plain = last_wake(read(model, batch, config(passes=1))).logits
    assert torch.equal(last_wake(read(model, batch, config(passes=1, **changed))).logits, plain)


def test_think_only_needs_an_n_known_beforehand(tiny_model, make_batch):
    with pytest.raises(ValidationError, match="known before the sleep"):
        config(write="last_pass", passes={"kind": "until_memory_settles"})
    events = read(tiny_model(*FOUR), make_batch(), config(write="last_pass"), rule=lambda _: True)
    with pytest.raises(WorkbenchError, match="known before the sleep"):
        next(events)


def test_rewrite_only_needs_a_loop_from_the_first_block():
    with pytest.raises(ValidationError, match="must begin at block 0"):
        config(feed_back=False, loop=(1, 2))


def test_blocks_below_the_loop_keep_what_they_wrote_in_their_one_pass(tiny_model, make_batch):
    model, batch = tiny_model("gated_delta", "attention", "gated_delta", "attention"), make_batch()
    sleep = config(passes=2, write="last_pass", loop=(2, 4))
    plain = list(read(model, batch, config(passes=1)))
    thought = list(read(model, batch, sleep))
    asleep = [e for e in thought if isinstance(e, SleepPass) and e.window.index == 0]
    below, looped = plain[0].memory.fast_weights[0], asleep[0].memory.fast_weights[2]
    assert torch.equal(asleep[0].memory.fast_weights[0], below) and not looped.any()
    assert torch.equal(asleep[1].memory.fast_weights[0], below)
    assert asleep[1].memory.fast_weights[2].abs().max() > 0
