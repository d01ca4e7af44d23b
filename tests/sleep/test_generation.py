"""Writing on token by token: each logit is that of reading the same tokens window by window.

Except after a sleep: there the token before is read again, with what the sleep left.
"""

from itertools import islice

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from workbench.batch import Batch
from workbench.config import SleepConfig
from workbench.errors import WorkbenchError
from workbench.model import KVCache
from workbench.sleep import Session, Wake, generate, read
from workbench.sleep.generation import choose

FOUR = ("attention", "gated_delta", "attention", "jet")
PREDICT = {"order": "predict_then_sleep"}
SLEEPS = {
    "mask": {"passes": 2},
    "mask, sliding": {"passes": 2, "eviction": "sliding", "conv_state": "carry"},
    "predict": {"passes": 2, **PREDICT},
    "plain hybrid": {"passes": 0, "eviction": "sliding", **PREDICT},
    "S reset": {"passes": 0, "wake_writes": False, "conv_state": "carry", **PREDICT},
    "awake twice": {"passes": 1, "wake_passes": 2, "loop": (1, 3), **PREDICT},
    "norm inside": {"passes": 2, "final_norm": "inside", "wake_passes": 2, **PREDICT},
}


def at_once(model, sleep, tokens):
    """Return the logits at every token, ``[batch, token, symbol]``: each window read as one."""
    pieces = []
    for stop in range(4, tokens.shape[1] + 4, 4):
        upto = tokens[:, :stop]
        labels = np.ones(upto.shape, dtype=bool)
        if sleep.order == "mask":
            labels[:, : stop - 4] = False
        nothing = np.full(upto.shape, -1), np.zeros((len(upto), 0), dtype=np.int64)
        batch = Batch(upto, labels, np.ones_like(labels), *nothing)
        *_, last = (e for e in read(model, batch, sleep) if isinstance(e, Wake))
        pieces.append(last.logits)
    logits = torch.cat(pieces, dim=1)
    for stop in range(4, tokens.shape[1], 4):
        logits[:, stop - 1] = after_sleep(model, sleep, tokens[:, :stop])
    return logits


def after_sleep(model, sleep, tokens):
    """Return the logits of the newest token, asked as a question after its window was slept on."""
    session = Session(model, sleep, batch=len(tokens))
    session.push(tokens)
    kept = session.memory  # without what it keeps of the token itself
    kv = {i: KVCache(**shorter(c)) for i, c in kept.kv.items()}
    tails = {i: torch.cat((0 * t[:, :1], t[:, :-1]), 1) for i, t in kept.conv_tails.items()}
    session.memory = kept.replace(kv=kv, conv_tails=tails)
    return session.answer(tokens[:, -1:])[:, 0]


def shorter(cache):
    keys, values = (part[:, :, : cache.keys.shape[2] - 1] for part in (cache.keys, cache.values))
    return {"keys": keys, "values": values, "valid": cache.valid[:, : keys.shape[2]]}


@pytest.mark.parametrize(
    ("name", "pending", "given"),
    [
        *((name, 3, 6) for name in SLEEPS),
        ("predict", 0, 1),
        ("mask, sliding", 0, 4),
        ("mask", 2, 0),
    ],
)
@torch.no_grad()
def test_every_logit_is_that_of_reading_at_once(
    tiny_model, make_batch, assert_same_memory, name, pending, given
):
    model, sleep = tiny_model(*FOUR), SleepConfig(window=4, **SLEEPS[name])
    before = make_batch(3, 0).tokens[:, : pending + given]
    session, other = Session(model, sleep, batch=3), Session(model, sleep, batch=3)
    session.push(before[:, :pending])
    made = list(generate(session, before[:, pending:], 6, temperature=0))
    text = np.concatenate((before, np.stack([one.tokens for one in made], axis=1)), axis=1)
    logits = at_once(model, sleep, text)[:, pending + given - 1 : -1]
    assert_close(torch.stack([one.logits for one in made], 1), logits, rtol=0, atol=1e-10)
    np.testing.assert_array_equal(text[:, pending + given :], logits.argmax(-1))
    other.push(text)
    assert_same_memory(session.memory, other.memory)
    np.testing.assert_array_equal(session.pending, other.pending)


def test_one_pass_a_token_and_n_when_the_window_is_full(tiny_model, make_batch, watched):
    model = watched(tiny_model())
    session = Session(model, SleepConfig(window=4, passes=3), batch=3)
    calls = []
    for _ in generate(session, make_batch(1, 0).tokens[:, :2], 5, temperature=0):
        calls.append(len(model.calls))
    assert calls == [1, 5, 6, 7, 8]  # a pass before each token; the fourth token ends a window


def test_the_first_token_after_a_sleep_comes_from_what_the_sleep_left(tiny_model, make_batch):
    """With S erased as it is written, a full prompt predicts what its last token alone does."""
    model, tokens = tiny_model(), make_batch(1, 0).tokens

    class Emptied(Session):
        def push(self, tokens, **options):
            events = super().push(tokens, **options)
            self.memory = self.memory.erase()
            return events

    sleep = SleepConfig(window=4, passes=2)
    found = next(generate(Emptied(model, sleep, batch=3), tokens, 1, temperature=0)).logits
    alone = Session(model, sleep, batch=3).answer(tokens[:, -1:])[:, 0]
    assert torch.equal(found, alone)


def test_a_reader_may_leave_and_come_back(tiny_model, make_batch):
    """The session holds every token that was given out."""
    tokens, sleep = make_batch(2, 0).tokens[:, :5], SleepConfig(window=4, passes=2)
    whole, parts = (Session(tiny_model(*FOUR), sleep, batch=3) for _ in range(2))
    expected = [one.tokens for one in generate(whole, tokens, 6, temperature=0)]
    first = islice(generate(parts, tokens, 6, temperature=0), 2)
    found = [one.tokens for one in first]
    found += [one.tokens for one in generate(parts, tokens[:, :0], 4, temperature=0)]
    np.testing.assert_array_equal(found, expected)


def test_it_ends_when_every_stream_has_stopped(tiny_model, make_batch):
    tokens, sleep = make_batch(2, 0).tokens[:1, :5], SleepConfig(window=4)

    def made(**options):
        session = Session(tiny_model(*FOUR), sleep)
        found = generate(session, tokens, 30, generator=np.random.default_rng(0), **options)
        return [int(one.tokens[0]) for one in found]

    free = made()
    stop = free[6:8]
    first = next(i for i in range(len(free)) if free[i : i + 2] == stop)
    assert made(stop=stop) == free[: first + 2]


@pytest.mark.parametrize(("temperature", "top_k"), [(1.0, None), (0.5, 2), (1e300, None)])
def test_tokens_are_drawn_as_often_as_they_are_likely(temperature, top_k):
    logits = torch.tensor([2.0, 1.0, 0.0, -1.0]).repeat(20_000, 1)
    expected = torch.softmax(logits[0, :top_k].double() / temperature, -1).numpy()
    drawn = choose(logits, temperature=temperature, top_k=top_k, generator=np.random.default_rng(0))
    share = np.bincount(drawn, minlength=4) / len(drawn)
    np.testing.assert_allclose(share[: len(expected)], expected, atol=0.012)
    assert not share[len(expected) :].any()


def test_a_tiny_temperature_takes_the_likeliest():
    logits = torch.tensor([[2.0, 1.0, 0.0], [0.0, 1e-3, -1.0]])
    drawn = choose(logits, temperature=1e-320, generator=np.random.default_rng(0))
    assert drawn.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 0}, "count = 0; expected at least 1 token"),
        ({"temperature": -1.0}, "temperature = -1.0; expected 0"),
        ({"temperature": float("nan")}, "temperature = nan"),
        ({"temperature": 1.0}, "without a generator"),
        ({"top_k": 8}, "top_k = 8; expected 1 to 7 symbols"),
        ({"prompt": np.zeros((1, 0), int)}, "an empty prompt and no pending tokens"),
        ({"prompt": np.full((1, 2), 7)}, "token ids from 7 to 7"),
    ],
)
def test_bad_settings_are_refused_before_anything_is_read(tiny_model, options, message):
    session = Session(tiny_model(), SleepConfig(window=4))
    given = {"prompt": np.zeros((1, 2), int), "count": 3, "temperature": 0.0, **options}
    with pytest.raises(WorkbenchError, match=message):
        generate(session, given.pop("prompt"), given.pop("count"), **given)
    assert not session.pending.size
