"""Word problems in the tokens of a tokenizer: the same problems, sentences, answers and probes."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny import trained_tokenizer

from workbench.errors import WorkbenchError
from workbench.tasks import batch_generator, task

if not os.environ.get("CI"):
    pytest.importorskip("tokenizers")

SETTINGS = {
    "first": {"length": 900},
    "last": {"length": 900, "question": "last", "theme": "harbours"},
    "averages": {"length": 1500, "d": 3, "min_operations": 2},
    "many": {"length": 900, "question": "last", "questions": 3, "difficulty": "depth"},
    "reverse": {"length": 900, "mode": "reverse", "max_operations": 5},
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizers")
    return {
        "whole": trained_tokenizer(folder / "whole.json"),
        "digits": trained_tokenizer(folder / "digits.json", digits=True),
    }


@pytest.mark.parametrize("kind", ["whole", "digits"])
@pytest.mark.parametrize("name", SETTINGS)
def test_the_same_problems_as_with_words(files, name, kind):
    from tokenizers import Tokenizer

    words = task("gsm_infinite", **SETTINGS[name])
    made = task("gsm_infinite", **SETTINGS[name], tokenizer=files[kind])
    library = Tokenizer.from_file(files[kind])
    plain = words.sample(8, batch_generator(1, 0))
    batch = made.sample(8, batch_generator(1, 0))
    garbled = replace(batch, tokens=np.where(batch.loss_mask, 1, batch.tokens))
    np.testing.assert_array_equal(made.solve(garbled), batch.tokens)
    np.testing.assert_array_equal(batch.difficulty, plain.difficulty)
    for example in range(8):
        assert made.typed(batch, example) == words.typed(plain, example)
        again = made.parse(*made.typed(batch, example))
        np.testing.assert_array_equal(again.tokens[0], batch.tokens[example])
        context = batch.tokens[example, : made.context_tokens]
        context = context[batch.valid[example, : made.context_tokens]].tolist()
        text = library.decode(context)
        assert library.encode(text).ids == context, "the tokens of the whole text"
        shown, theirs = made.picture(batch, example), words.picture(plain, example)
        for item, other in zip(shown.items, theirs.items, strict=True):
            said = library.decode(batch.tokens[example, list(item.tokens)].tolist())
            assert said.strip() == item.name == other.name
        for query, other in zip(shown.queries, theirs.queries, strict=True):
            assert (query.answer, query.path) == (other.answer, other.path)


def test_the_answer_is_what_its_tokens_spell(files):
    from tokenizers import Tokenizer

    made = task("gsm_infinite", length=900, tokenizer=files["digits"])
    library = Tokenizer.from_file(files["digits"])
    batch = made.sample(30, batch_generator(2, 0))
    lengths = set()
    for example in range(30):
        label = batch.tokens[example, batch.loss_mask[example]].tolist()
        number = made.picture(batch, example).queries[0].answer
        assert library.decode(label) == f" {number}."
        lengths.add((len(number), len(label)))
    assert len({label for _, label in lengths}) > 1, "a number takes as many tokens as digits"


def test_probe_targets_are_those_of_the_words(files):
    words = task("gsm_infinite", length=900)
    made = task("gsm_infinite", length=900, tokenizer=files["whole"])
    plain, batch = (t.sample(6, batch_generator(3, 0)) for t in (words, made))
    pairs = zip(words.probe_targets(plain), made.probe_targets(batch), strict=True)
    for theirs, ours in pairs:
        np.testing.assert_array_equal(theirs.labels, ours.labels)
        np.testing.assert_array_equal(theirs.asked_by, ours.asked_by)
        example, item = np.argwhere(ours.labels >= 0)[0]
        end = ours.read_at[example, item]
        assert made.vocabulary[batch.tokens[example, end]] == "."


@pytest.mark.parametrize("noise", ["official", "like_core"])
def test_noise_fills_the_context_in_tokens(files, noise):
    made = task("gsm_infinite", length=1200, noise=noise, tokenizer=files["whole"])
    batch = made.sample(4, batch_generator(4, 0))
    assert (batch.valid[:, :1200].sum(axis=1) > 1100).all()
    np.testing.assert_array_equal(made.solve(batch), batch.tokens)


def test_wrong_tokenizers_are_one_line(tmp_path):
    def refused(path, said, **settings):
        with pytest.raises(WorkbenchError, match=said) as error:
            task("gsm_infinite", tokenizer=str(path), **settings)
        assert "\n" not in str(error.value)

    refused(tmp_path / "none.json", "none.json")
    broken = tmp_path / "broken.json"
    broken.write_text("{}")
    refused(broken, "is not a tokenizer")
    sound = json.loads(Path(trained_tokenizer(tmp_path / "far.json")).read_text())
    sound["model"]["vocab"]["zzz"] = 10**9
    (tmp_path / "far.json").write_text(json.dumps(sound))
    refused(tmp_path / "far.json", "numbers a token 1,000,000,000")
    refused(trained_tokenizer(tmp_path / "lower.json", lower=True), "gives a text back")
    refused(tmp_path / "x.json", "splits numbers", answer="digits")
