"""The command `generate`: a text continued, and bad input in one line."""

import numpy as np
import pytest

from workbench.sleep import Session
from workbench.training.checkpoints import load_checkpoint

MODEL, PROMPT = "depo-n8-any", "3 5 5 1 1 3 k=2 3 ANS"


def test_the_likeliest_symbols_are_those_of_a_session(run):
    """Each is the answer of a session that was asked with the whole text so far."""
    options = ("--prompt", PROMPT, "--tokens", 3, "--temperature", 0, "--passes", 2)
    code, out, err = run("generate", MODEL, *options)
    assert "nothing was slept on: 12 tokens do not fill the window of 16" in err
    checkpoint = load_checkpoint(MODEL)
    session = Session(checkpoint.model, checkpoint.sleep.with_passes(2))
    tokens = [checkpoint.task.vocabulary.index(symbol) for symbol in PROMPT.split()]
    for _ in range(3):
        tokens.append(int(session.answer(np.array([tokens]))[0, -1].argmax()))
    assert (code, out) == (0, " ".join(checkpoint.task.vocabulary[t] for t in tokens) + "\n")


def test_a_ring_that_fills_the_window_is_slept_on_and_asked_about(run):
    """4 > 2 > 7 > 3, by hand."""
    prompt = "7 3 4 2 3 0 2 7 1 4 5 6 0 5 6 1 k=3 4 ANS"
    code, out, err = run("generate", MODEL, "--prompt", prompt, "--tokens", 1, "--temperature", 0)
    assert (code, out, err) == (0, prompt + " 3\n", "")


def test_a_seed_draws_the_same_text_and_a_stop_ends_it(run):
    def made(*options):
        code, out, _ = run("generate", MODEL, "--prompt", PROMPT, "--tokens", 30, *options)
        assert code == 0
        return out.split()

    text = made("--seed", 3)
    assert text == made("--seed", 3) != made("--seed", 4)
    first = text.index(text[20], len(PROMPT.split()))
    assert made("--seed", 3, "--stop", text[20]) == text[: first + 1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--prompt", "3 owl"], "'owl' in a text for depo; expected symbols separated by spaces: "),
        (["--prompt", " "], "an empty prompt and no pending tokens"),
        (["--prompt", "3", "--temperature", "-1"], "'-1' is not a valid temperature; expected 0"),
        (["--prompt", "3", "--top-k", "999"], "top_k = 999; expected 1 to"),
        (["--prompt", "3", "--tokens", "0"], "'0' is not a valid number of tokens"),
        (["--prompt", "3", "--passes", "0"], "passes = 0 needs order = 'predict_then_sleep'"),
        ([], "the following arguments are required: --prompt"),
    ],
)
def test_bad_input_is_one_line(refused, options, message):
    refused("generate", MODEL, *options, match=message)
