"""Taking a span out of S: exact where the answer is known, and what it leaves is measured."""

import numpy as np
import pytest
import torch

from workbench.config import SleepConfig
from workbench.errors import WorkbenchError
from workbench.instruments.forgetting import contribution, forget, forget_text
from workbench.instruments.linear import forward, layers_of
from workbench.notebook.streams import open_stream
from workbench.sleep import Session
from workbench.sleep.session import unlabelled
from workbench.sleep.stream import Slept, TextStream
from workbench.trace import record

TOKENS = np.random.default_rng(3).integers(0, 7, (1, 12))
WINDOWS = [Slept(TOKENS[0, at : at + 4].astype(np.int32), 2) for at in (0, 4, 8)]
SPANS = [np.array(row, dtype=bool) for row in ([0, 0, 1, 1], [1, 0, 0, 0], [0, 0, 0, 0])]
REST = [~span for span in SPANS]


@pytest.mark.parametrize(
    ("layers", "options"),
    [
        (("attention", "gated_delta", "attention", "jet"), {}),
        (("attention", "gated_delta", "attention", "jet"), {"write": "last_pass", "loop": (1, 3)}),
        (("delta", "mamba2"), {"order": "predict_then_sleep", "wake_passes": 2}),
        (("linear_attention", "attention"), {"eviction": "sliding", "conv_state": "carry"}),
    ],
)
def test_contributions_add_up_to_the_state(tiny_model, layers, options):
    model, sleep = tiny_model(*layers), SleepConfig(window=4, passes=2, **options)
    part, memory = contribution(model, WINDOWS, sleep, SPANS)
    rest, _ = contribution(model, WINDOWS, sleep, REST)
    session = Session(model, sleep)
    session.push(TOKENS)
    for i, state in session.memory.fast_weights.items():
        assert torch.equal(memory.fast_weights[i], state)  # the reading is the same, to the bit
        torch.testing.assert_close(part[i] + rest[i], state, rtol=0, atol=1e-10)
        assert part[i].any() and rest[i].any()


def test_it_is_the_sum_that_provenance_finds_in_a_trace(tiny_model):
    """Another way: backwards through each pass, token by token, from a recorded trace."""
    model = tiny_model("attention", "gated_delta", "attention", "jet")
    sleep = SleepConfig(window=4, passes=2)
    part, _ = contribution(model, WINDOWS, sleep, SPANS)
    trace = record(model, unlabelled(TOKENS), sleep)
    for index, layer in zip((1, 3), layers_of(trace), strict=True):
        *_, (_, sources, _) = forward(layer)
        expected = sum(
            np.swapaxes(s.reach[:, :, SPANS[s.window]], -1, -2) @ s.value[:, :, SPANS[s.window]]
            for s in sources
        )
        np.testing.assert_allclose(part[index].numpy(), expected, rtol=0, atol=1e-10)


def alone(tiny_model, kind):
    """Return a model whose writes depend on their own token alone: no attention, taps of one."""
    return tiny_model(kind, mlp_width=0, conv_width=1, fast_weights_start="random")


def test_without_decay_and_correction_it_is_as_if_never_read(tiny_model):
    """The known answer: a plain sum of one write a token, from which the span's are gone."""
    found = forget(
        alone(tiny_model, "linear_attention"), [Slept(w.tokens, 1) for w in WINDOWS],
        SleepConfig(window=4), SPANS,
    )  # fmt: skip
    torch.testing.assert_close(
        found.memory.fast_weights[0], found.without.fast_weights[0], rtol=0, atol=1e-10
    )
    assert found.left[0] < 1e-9 < 0.1 < found.removed[0]
    for told in (found.span, found.rest):
        assert told["after"].log_prob == pytest.approx(told["never read"].log_prob, abs=1e-9)
        assert told["after"].log_prob != pytest.approx(told["before"].log_prob, abs=1e-6)


def test_a_delta_rule_leaves_something_and_says_so(tiny_model):
    """What the span's tokens removed, and what later tokens saw of it, stays: `left` is not 0."""
    found = forget(
        tiny_model("attention", "gated_delta"), WINDOWS, SleepConfig(window=4, passes=2), SPANS
    )
    session = Session(tiny_model("attention", "gated_delta"), SleepConfig(window=4, passes=2))
    for window, span in zip(WINDOWS, SPANS, strict=True):
        session.pending = window.tokens[None, ~span].astype(np.int64)
        session.private = np.zeros(session.pending.shape[1], dtype=bool)
        session.sleep_now()
    torch.testing.assert_close(found.without.fast_weights[1], session.memory.fast_weights[1])
    distance = torch.linalg.vector_norm(
        found.memory.fast_weights[1] - session.memory.fast_weights[1]
    )
    assert distance > 1e-3 and found.left[1] > 0.01
    assert found.span["before"].tokens == 1 and found.rest["before"].tokens == 6
    assert not found.memory.kv and not found.memory.conv_tails


class Letters:
    """A symbol for each of seven letters."""

    def encode(self, text, *, special=False):
        return np.array(["abcdef ".index(letter) for letter in text], dtype=np.int64)

    def writer(self):
        return lambda token: "abcdef "[token]


def test_a_stream_forgets_a_text_wherever_it_stands(tiny_model):
    stream = TextStream(tiny_model(), Letters(), SleepConfig(window=4, passes=2))
    stream.feed("abfacaab bbf")
    stream.feed("acf")
    stream.flush()
    before = stream.memory
    spans = [np.array(row, dtype=bool) for row in ([0, 0, 1, 1], [1, 0, 0, 0], [0, 0, 0, 1])]
    expected, _ = contribution(stream.model, stream.slept, stream.sleep, spans)
    told = []
    found = forget_text(stream, "fac", on_window=lambda: told.append(1))
    assert len(told) == 6 and stream.memory is found.memory and not stream.slept
    torch.testing.assert_close(
        stream.memory.fast_weights[1], before.fast_weights[1] - expected[1], rtol=0, atol=1e-10
    )
    assert stream.pending.tolist() == [[5]]  # of "acf" the first two went on from the f before
    assert stream.newest.tolist() == [[5]] and not stream._context
    with pytest.raises(WorkbenchError, match="a text that was not slept on: 'bb'"):
        forget_text(stream, "bb")


def test_a_private_token_does_not_become_the_newest(tiny_model):
    stream = TextStream(tiny_model(), Letters(), SleepConfig(window=4, passes=2))
    stream.feed("abfaca")
    stream.feed("d", private=True)
    stream.flush()
    forget_text(stream, "b")
    assert stream.pending.tolist() == [[2, 0, 3]] and stream.newest.tolist() == [[0]]


def test_a_trained_model_forgets_a_name_and_answers_the_rest():
    """text-names no longer knows the name that it had to remember, and loses nothing else."""
    stream = open_stream("text-names")
    stream.feed(
        "Cyrus begat Mokun; and the sons of Mokun were Zarel and Ormuz. And Zarel begat Quill; and "
        "Quill begat Tamsin; and the sons of Tamsin were seven, and all lived in the city."
    )
    stream.sleep_now()
    found = forget_text(stream, "Zarel")
    span, rest = found.span, found.rest
    assert (span["before"].tokens, rest["before"].tokens) == (8, 156)  # as docs/backbones.md says
    assert span["before"].right == 1 and span["after"].right <= 0.5 and found.left[1] > 0.3
    assert span["after"].log_prob < span["before"].log_prob - 1
    assert span["after"].log_prob == pytest.approx(span["never read"].log_prob, abs=0.3)
    assert rest["after"].right > rest["before"].right - 0.02
    assert rest["after"].right > rest["nothing"].right + 0.02


def test_a_model_without_fast_weights_cannot_forget(tiny_model):
    with pytest.raises(WorkbenchError, match="no fast weights"):
        contribution(tiny_model("attention"), WINDOWS, SleepConfig(window=4), SPANS)
