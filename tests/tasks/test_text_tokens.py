"""Text in the tokens of a tokenizer: the same text, names and bits per character."""

import os
import re

import numpy as np
import pytest
from tiny import trained_tokenizer

from workbench.config import SleepConfig
from workbench.errors import WorkbenchError
from workbench.tasks import EVALUATION, batch_generator, draw, task
from workbench.training.evaluation import evaluate, summarise_bits

if not os.environ.get("CI"):
    pytest.importorskip("tokenizers")

SIZES = {"window": 24, "windows": 5}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    plain = task("text")
    batch = plain.sample(40, batch_generator(3, 0))
    texts = [plain.typed(batch, n)[0] for n in range(40)]
    return trained_tokenizer(tmp_path_factory.mktemp("tokenizers") / "bpe.json", texts=texts)


@pytest.fixture(scope="module")
def library(file):
    from tokenizers import Tokenizer

    return Tokenizer.from_file(file)


@pytest.fixture(scope="module")
def made(file):
    return task("text", tokenizer=file, recalled=1, **SIZES)


@pytest.fixture(scope="module")
def batch(made):
    return made.sample(30, batch_generator(5, 0))


def test_tokens_are_those_of_the_library(made, batch, library):
    assert made.vocabulary == tuple(map(library.id_to_token, range(library.get_vocab_size())))
    for example in range(len(batch)):
        tokens = batch.tokens[example, batch.valid[example]].tolist()
        text = made.typed(batch, example)[0]
        assert library.decode(tokens) == text == made.decode(tokens)
        drawn = made.picture(batch, example).symbols
        shown = "".join(drawn).replace("PAD", "").replace("\u21b5", "\n")
        assert shown.replace(" ", "") == text.replace(" ", "")


def test_names_are_asked_where_an_earlier_window_has_them(made, batch, library):
    asked = 0
    for example in range(len(batch)):
        row = batch.tokens[example]
        for number, distance in enumerate(batch.difficulty[example].tolist()):
            places = np.flatnonzero(batch.answer_of[example] == number)
            if distance < 0:
                continue
            start, stop = int(places[0]) - 1, int(places[-1]) + 1
            name = library.decode(row[start:stop].tolist()).strip()
            assert re.fullmatch(r"[A-Z][a-z]+", name)
            window = SIZES["window"]
            earlier = row[: (start // window) * window][
                batch.valid[example, : start - start % window]
            ]
            assert re.search(rf"\b{name}\b", library.decode(earlier.tolist()))
            between = library.decode(
                row[(start // window - distance + 1) * window : start].tolist()
            )
            assert not re.search(rf"\b{name}\b", between), "it was last seen that many windows ago"
            asked += 1
    assert asked > 10


def test_typed_text_comes_back(made, batch):
    for example in range(4):
        text, names = made.typed(batch, example)
        again = made.parse(text, names)
        np.testing.assert_array_equal(again.tokens[0], batch.tokens[example])


def test_bits_are_shared_by_the_characters_of_tokens(made, batch, library):
    bits = np.where(batch.loss_mask, np.random.default_rng(0).random(batch.tokens.shape), np.nan)
    found = summarise_bits(bits, made.groups(batch), np.arange(30), [(0, 24)], made.units(batch))
    characters = sum(
        len(library.decode([token])) for token in batch.tokens[batch.loss_mask].tolist()
    )
    assert found["all"]["bits"] == pytest.approx(np.nansum(bits) / characters)
    assert found["all"]["tokens"] == batch.loss_mask.sum() < characters
    groups = np.stack(list(made.groups(batch).values()))
    np.testing.assert_array_equal(groups.sum(axis=0), batch.loss_mask)


def test_a_model_reads_it_and_is_measured_per_character(made, tiny_model):
    model = tiny_model(vocabulary=len(made.vocabulary), dtype="float32")
    sleep = SleepConfig(window=24, order="predict_then_sleep")
    found = evaluate(model, made, sleep, passes=(1,), count=6, seed=1, latency=False)["1"]["bits"]
    drawn = draw(made, 6, 1, 0, EVALUATION)
    shared = drawn.loss_mask.sum() / made.units(drawn)[drawn.loss_mask].sum()
    # untrained: about as many bits a token as the vocabulary has
    assert found["all"]["bits"] == pytest.approx(np.log2(len(made.vocabulary)) * shared, rel=0.2)


def test_a_tokenizer_that_changes_text_is_refused(tmp_path):
    with pytest.raises(WorkbenchError, match="gives a text back as it was"):
        task("text", tokenizer=trained_tokenizer(tmp_path / "lower.json", lower=True))
    with pytest.raises(WorkbenchError, match=r"none\.json"):
        task("text", tokenizer=str(tmp_path / "none.json"))
