"""The head's likeliest tokens and shares by token, against a session and against S; a patch."""

import numpy as np
import pytest
import torch
from torch import nn

from workbench.backbones.backbone import insert
from workbench.config import SleepConfig
from workbench.errors import WorkbenchError
from workbench.instruments.boundaries import before_answers, read_boundaries, read_on
from workbench.instruments.lens import likely_tokens
from workbench.instruments.probing.text_lens import shares_of_text, text_batch
from workbench.sleep import Session
from workbench.trace import record

SLEEP = SleepConfig(window=6, passes=2)


@pytest.fixture
def model(tiny_base):
    made = insert(tiny_base("llama"), "gated_delta", after=(0, 1))
    for layer in made.inserted.values():
        nn.init.normal_(layer.mixer.out.weight, generator=torch.Generator().manual_seed(1))
    return made


def drawn(count, seed):
    return np.random.default_rng(seed).integers(1, 20, count)


def spell(tokens):
    return "".join(chr(ord("a") + token) for token in tokens)


@torch.no_grad()
def test_after_each_pass_the_head_says_what_a_session_of_that_many_passes_says(model):
    context, prompt = drawn(12, 1), drawn(3, 2)
    found = likely_tokens(model, text_batch(context, prompt, SLEEP), SLEEP, decode=spell)
    assert dict(found.sizes) == {
        "example": 1, "window": 2, "sleep_pass": 3, "query": 1, "candidate": 5,
    }  # fmt: skip
    session = Session(model, SLEEP)
    session.push(context[None])  # sleeps in both windows
    hidden, _ = model.blocks(model.embed(torch.as_tensor(prompt[None])), session.memory)
    expected = model.logits(hidden)[0, -1].double().softmax(-1).topk(5)
    last = found.isel(example=0, window=-1, sleep_pass=-1, query=0)
    np.testing.assert_array_equal(last["token"], expected.indices)
    np.testing.assert_allclose(last["probability"], expected.values, atol=1e-6)
    assert last["text"].values.tolist() == [spell([t]) for t in expected.indices.tolist()]
    spread = found["probability"].isel(window=-1)
    assert not np.allclose(spread.isel(sleep_pass=0), spread.isel(sleep_pass=-1))
    with pytest.raises(WorkbenchError, match="a prompt of 6"):
        text_batch(context, drawn(6, 2), SLEEP)


def test_shares_of_a_text_add_up_and_name_its_tokens(model):
    context = drawn(10, 3)
    batch = text_batch(context, drawn(3, 4), SLEEP)
    trace = record(model, batch, SLEEP, layers=(1,), heads=(1, 2))
    found = shares_of_text(trace, spell)
    assert "".join(found["text"].values[0]) == spell(context)
    total = found["share"].sum("text_token") + found["carried_share"]
    np.testing.assert_allclose(total, 1, atol=1e-5)
    assert found["gdn_head"].values.tolist() == [1, 2] and found["layer"].values.tolist() == [1]


@torch.no_grad()
def test_a_patch_of_all_layers_is_the_donor_and_one_of_a_layer_is_not(model):
    prompt = drawn(3, 5)
    ours, theirs = (text_batch(drawn(12, seed), prompt, SLEEP) for seed in (6, 7))
    place = before_answers(ours, SLEEP)
    mine, other = (read_boundaries(model, b, SLEEP)[place] for b in (ours, theirs))

    def answer(memory):
        from dataclasses import replace

        (wake,) = read_on(model, ours, SLEEP, replace(mine, memory=memory, carried=memory))
        return wake.logits

    (expected,) = read_on(model, theirs, SLEEP, other)
    first, second = model.fast_weight_layers
    one = mine.memory.fast_weights | {first: other.memory.fast_weights[first]}
    both = one | {second: other.memory.fast_weights[second]}
    patched = [answer(type(mine.memory)(fast_weights=state)) for state in (one, both)]
    assert torch.equal(patched[1], expected.logits)
    assert not torch.equal(patched[0], expected.logits)
