"""Text in a stream: tokens, sleeps on demand, private spans, two continuations, a killed writer."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from tiny import trained_tokenizer
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from workbench.backbones.text import Text
from workbench.config import SleepConfig
from workbench.errors import WorkbenchError
from workbench.sleep import Session
from workbench.sleep.stream import TextStream

PROSE = (
    "Señor Ormuz has  3 apples; Ms. Quill (of Brightford) has 12.\n\nWho has more?  Nobody knows "
    "the answer\t- or so they say...\n  'Twas 1,024 days ago: über-long,"
    " naïve, 東京 and \U0001f600!\n"
) * 3
SLEEP = SleepConfig(window=16, passes=2)


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("tokens") / "tokenizer.json"
    return Text(Tokenizer.from_file(trained_tokenizer(path, texts=[PROSE])))


@pytest.fixture
def stream(tiny_model, text):
    """Return a maker of streams over one model."""
    model = tiny_model("attention", "gated_delta", vocabulary=420, dtype="float32")

    def make(sleep=SLEEP, fed=""):
        made = TextStream(model, text, sleep)
        made.feed(fed)
        return made

    return make


def marked_words():
    """Return a tokenizer that marks the beginning of words, as SentencePiece does."""
    tokenizer = Tokenizer(models.BPE(unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    trainer = trainers.BpeTrainer(vocab_size=200, special_tokens=["?"], show_progress=False)
    tokenizer.train_from_iterator([PROSE], trainer)
    return Text(tokenizer)


@pytest.mark.parametrize("kind", ["byte level", "marked words"])
def test_tokens_of_pieces_are_those_of_the_whole_text(stream, text, kind):
    text = text if kind == "byte level" else marked_words()
    whole = text.encode(PROSE)
    for seed in range(5):
        made = TextStream(stream().model, text, SleepConfig(window=5000))
        cuts = np.sort(np.random.default_rng(seed).integers(0, len(PROSE), 40))
        for start, stop in zip([0, *cuts], [*cuts, len(PROSE)], strict=True):
            made.feed(PROSE[start:stop])
        made.flush()
        np.testing.assert_array_equal(made.pending[0], whole)
    # and cutting anywhere does change them: the test could fail
    naive = np.concatenate([text.encode(PROSE[n : n + 7]) for n in range(0, len(PROSE), 7)])
    assert len(naive) != len(whole)


def test_it_sleeps_when_full_and_when_told_to(stream, text, assert_same_memory):
    made, told = stream(), []
    made.on_pass = told.append
    made.feed(PROSE)
    made.sleep_now(3)
    tokens = text.encode(PROSE)[None]
    full = tokens.shape[1] // 16
    assert told == [1, 2, 0] * full + [1, 2, 3, 0]
    session = Session(made.model, SLEEP)
    session.push(tokens)
    session.sleep = SLEEP.with_passes(3)
    session.sleep_now()
    assert_same_memory(made.memory, session.memory)
    budget = made.budget
    assert (budget.windows, budget.passes) == (full + 1, 2 * full + 3)
    assert budget.tokens == tokens.shape[1] and budget.seconds > 0 and not made.pending.size
    assert [one.passes for one in made.slept] == [2] * full + [3]
    np.testing.assert_array_equal(np.concatenate([s.tokens for s in made.slept]), tokens[0])


@pytest.mark.parametrize("order", ["mask", "predict_then_sleep"])
@pytest.mark.parametrize("eviction", ["hard", "sliding"])
def test_nothing_private_survives_its_window(stream, assert_same_memory, order, eviction):
    """After the sleep the stream is one that never had the secret, to the bit."""
    sleep = SleepConfig(window=16, passes=2, order=order, eviction=eviction, conv_state="carry")
    tokens = np.random.default_rng(0).integers(0, 420, (1, 40))
    seen, question = [], np.array([[7]])
    never = stream(sleep)
    never.push(tokens[:, :11])
    never.sleep_now()
    for secret in tokens[:, 20:25], tokens[:, 25:30]:
        made = stream(sleep)
        made.push(tokens[:, :8])
        made.push(secret, private=True)
        seen.append(made.answer(question))
        with pytest.raises(WorkbenchError, match="keep = True after private"):
            made.answer(question, keep=True)
        made.push(tokens[:, 8:11])
        assert made.budget.windows == 1 and not made.pending.size
        assert_same_memory(made.memory, never.memory)
        np.testing.assert_array_equal(made.newest, never.newest)
        np.testing.assert_array_equal(made.slept[0].tokens, tokens[0, :11])
        made.push(tokens[:, 20:36], private=True)  # a whole window of secrets is not slept on
        assert_same_memory(made.memory, never.memory)
    assert not torch.equal(*seen)  # awake, within the window, it is seen


def test_private_text_goes_in_as_such(stream):
    made = stream(fed="Ormuz has")
    made.feed(" 3 pears", private=True)
    made.flush()
    public = len(made.text.encode("Ormuz has"))
    assert made.private.tolist() == [False] * public + [True] * (len(made.private) - public)
    assert made.private.any()


def test_what_follows_a_private_text_does_not_depend_on_it(stream):
    """Neither its tokens nor what a later file holds: the secret is gone with its window."""
    found = []
    for secret in (" Orm", "12", ""):  # "uz" alone would go another way after the first
        made = TextStream(stream().model, marked_words(), SleepConfig(window=500))
        made.feed("3 apples")
        made.flush()
        made.feed(secret, private=True)
        made.flush()
        assert not secret or secret not in made._context
        made.feed("uz has")
        made.sleep_now()
        found.append((made.slept[0].tokens.tolist(), made._context))
    assert found[0] == found[1] == found[2]


def test_a_fork_goes_its_own_way_and_erasing_it_leaves_the_other(stream, assert_same_memory):
    one, fresh = stream(fed=PROSE), stream(fed=PROSE)
    other = one.fork()
    assert_same_memory(one.memory, other.memory)
    other.feed(PROSE)
    assert "".join(one.write(20)) == "".join(fresh.write(20))
    other.erase()
    assert other.memory.nbytes and not any(t.any() for t in other.memory.tensors().values())
    assert not other.pending.size and not other.slept and other.budget.passes == 0
    assert_same_memory(one.memory, fresh.memory)
    assert one.memory.fast_weights[1].any() and one.slept[0].tokens.any()


def test_a_saved_stream_goes_on_bit_for_bit(stream, text, tmp_path, assert_same_memory):
    one = stream(fed=PROSE[:150])
    one.feed("half a wo", private=True)
    one.save(tmp_path / "s.safetensors")
    two = TextStream.reopen(one.model, text, tmp_path / "s.safetensors")
    for made in (one, two):
        made.feed("rd", private=True)
        made.feed(" of it.")
    assert "".join(one.write(40)) == "".join(two.write(40))
    assert_same_memory(one.memory, two.memory)
    np.testing.assert_array_equal(one.pending, two.pending)
    assert one.budget.passes == two.budget.passes
    assert [s.tokens.tolist() for s in one.slept] == [s.tokens.tolist() for s in two.slept]
    Session(one.model, SLEEP).save(tmp_path / "plain.safetensors")
    with pytest.raises(WorkbenchError, match="holds no stream of text"):
        TextStream.reopen(one.model, text, tmp_path / "plain.safetensors")


@pytest.mark.parametrize(
    "wrong",
    [{"slept": [["two", 1]]}, {"slept": [[2, 420]]}, {"slept": [[2, [1]]]}, {"text": [1, 0, ""]}],
)
def test_a_record_that_no_stream_wrote_is_refused(stream, text, tmp_path, wrong):
    one, path = stream(fed=PROSE[:100]), tmp_path / "s.safetensors"
    one.memory.save(path, one._header() | wrong)
    with pytest.raises(WorkbenchError, match="holds no stream of text"):
        TextStream.reopen(one.model, text, path)


WRITER = """
import sys
from pathlib import Path
from tokenizers import Tokenizer
from workbench.backbones.text import Text
from workbench.config import ModelConfig, SleepConfig
from workbench.model import HybridModel
from workbench.sleep.stream import TextStream

folder = Path(sys.argv[1])
config = ModelConfig(vocabulary=420, width=8, attention_heads=2, gdn_heads=2, key_dim=4,
                     value_dim=4, mlp_width=8, layers=("attention", "gated_delta"))
text = Text(Tokenizer.from_file(str(folder / "tokenizer.json")))
stream = TextStream(HybridModel(config), text, SleepConfig(window=16, passes=2))
for number in range(100_000):
    stream.feed(f" {number} apples and pears;")
    stream.save(folder / "kept.safetensors")
    print(number, flush=True)
"""


def test_a_writer_that_is_killed_leaves_a_whole_state(text, tmp_path, assert_same_memory):
    """kill -9 while it saves: the file is one of the states it had, and continues as that one."""
    from workbench.config import ModelConfig
    from workbench.model import HybridModel

    text.tokenizer.save(str(tmp_path / "tokenizer.json"))
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        said = 0
        for line in writer.stdout:
            if (said := int(line)) >= 20:
                os.kill(writer.pid, signal.SIGKILL)
                break
        said = max([said, *map(int, writer.stdout)])
    assert writer.returncode == -signal.SIGKILL
    config = ModelConfig(
        vocabulary=420, width=8, attention_heads=2, gdn_heads=2, key_dim=4, value_dim=4,
        mlp_width=8, layers=("attention", "gated_delta"),
    )  # fmt: skip
    model = HybridModel(config)
    found = TextStream.reopen(model, text, tmp_path / "kept.safetensors")
    again, matched = TextStream(model, text, SLEEP), 0
    for number in range(said + 3):
        again.feed(f" {number} apples and pears;")
        if again._header() | {"budget": 0} == found._header() | {"budget": 0}:
            matched += 1
            assert number in (said, said + 1, said + 2)
            break
    assert matched == 1
    assert_same_memory(found.memory, again.memory)
    assert "".join(found.write(30)) == "".join(again.write(30))
    assert_same_memory(found.memory, again.memory)
