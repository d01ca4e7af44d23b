"""Text: which letters can be known from memory, corpora and their halves, and what is refused."""

import hashlib
import json
import math
import re
from functools import cache
from itertools import pairwise
from random import Random

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.files import read_plain
from workbench.paths import corpora_folder
from workbench.tasks import EVALUATION, TRAIN, batch_generator, draw, task
from workbench.tasks.text import corpora, drills, names

TOLD = "And in the days of {king} it came to pass, that {king} went up, and {king} saw {place}. "


@pytest.fixture
def folder(tmp_path):
    """Twelve chapters, each with its own words and two names."""
    for letter in "abcdefghijkl":
        told = TOLD.format(king=f"Ki{letter}ng", place=f"Pla{letter}ce")
        (tmp_path / f"{letter}.txt").write_text(f"{told}word{letter} " * 8)
    return tmp_path


def text_of(made, batch, example):
    return made.typed(batch, example)[0]


PASSAGE = "so Abner .nd, Abner or Zara isand Abner to Zara be"  # window by window


def test_letters_that_memory_alone_can_know_by_hand():
    made = task("text", window=10, windows=5)
    batch = made.parse(PASSAGE, "Abner, Zara")
    asked = [
        (int(batch.difficulty[0, n]), "".join(PASSAGE[i] for i in np.flatnonzero(row)))
        for n, row in enumerate(batch.answer_of[0] == np.arange(3)[:, None])
    ]
    assert asked == [(1, "bner"), (2, "bner"), (2, "ara")]
    assert (batch.difficulty[0, 3:] == -1).all() and batch.answer_of.max() == 2
    assert batch.loss_mask[0].tolist() == [n % 10 > 0 for n in range(50)]


def test_groups_by_hand_and_that_they_share_out_every_label():
    made = task("text", window=10, windows=5)
    typed = "the cat or the cat and the dog"
    groups = made.groups(batch := made.parse(typed))
    found = {
        name: "".join(typed[i - 20] for i in np.flatnonzero(mask[0]))
        for name, mask in groups.items()
    }
    # two windows of padding: the first window holds nothing, and "and" is cut by a boundary
    assert found["repeated words"] == "heathe"
    assert found["names"] == found["first window"] == ""
    drawn = task("text", recalled=1).sample(40, batch_generator(0, 0))
    for one, examples in ((made, batch), (task("text"), drawn)):
        total = sum(mask.astype(int) for mask in one.groups(examples).values())
        assert (total == examples.loss_mask).all()


def test_swapped_names_are_the_same_throughout_and_nothing_else_changes(folder):
    made = task("text", corpus=str(folder), window=32, windows=4)
    batch = draw(made, 60, 0, 0)
    told = re.sub(r"\{.*?\}", "@", TOLD) + "word. "
    words = set()
    for example in range(60):
        text = text_of(made, batch, example)
        found = re.findall(r"\b(?!And\b)[A-Z][a-z]+", text)[:-1]  # the last may be cut short
        assert len(set(found)) <= 2 and not re.search(r"Ki.ng|Pla.ce", text)
        words.update(found)
        plain = re.sub(r"word[a-l]", "word.", re.sub(r"\b(?!And\b)[A-Z][a-z]+", "@", text))
        assert plain[:-6] in told * 9
    assert len(words) > 60  # drawn again for every sequence


@pytest.mark.parametrize("seed", range(3))
def test_a_drill_is_a_few_names_joined_by_one_link(seed):
    text, mentions = drills.drill(Random(seed), 300)
    assert len(text) == 300
    whole = [mention for mention in mentions if mention.stop <= 300]
    assert [text[m.start : m.stop] for m in whole] == [m.name for m in whole]
    between = {text[a.stop : b.start] for a, b in pairwise(whole)}
    assert len(between) == 1 and between <= set(drills.LINKS)
    assert drills.FEWEST <= len({m.name for m in whole}) <= drills.MOST < len(whole)


@pytest.mark.parametrize(("share", "least", "most"), [(1.0, 200, 200), (0.3, 40, 80)])
def test_drills_are_for_training_alone(folder, share, least, most):
    settings = {"corpus": str(folder), "window": 32, "windows": 4}
    made, plain = task("text", drills=share, **settings), task("text", **settings)
    told = [text_of(made, draw(made, 200, 0, 0), n) for n in range(200)]
    assert least <= sum("word" not in text for text in told) <= most
    for stream, same in ((EVALUATION, True), (TRAIN, False)):
        one, two = (draw(t, 20, 0, 0, stream) for t in (made, plain))
        assert np.array_equal(one.tokens, two.tokens) == same


def test_training_never_reads_a_chapter_held_out(folder):
    made = task("text", corpus=str(folder), window=32, windows=6, names="kept")
    made.sample(1, batch_generator(0, 0))  # of chapters held out, which no part may take over
    seen = {
        stream: set(
            re.findall(r"word([a-l])", " ".join(text_of(made, batch, n) for n in range(len(batch))))
        )
        for stream in (TRAIN, EVALUATION)
        for batch in [draw(made, 200, 0, 0, stream)]
    }
    assert seen == {EVALUATION: {"b", "l"}, TRAIN: set("acdefghijk")}
    drawn = batch_generator(0, 0, EVALUATION)
    sources = made.sources(200, drawn)
    batch = draw(made, 200, 0, 0, EVALUATION)
    for example, source in enumerate(sources):
        assert set(re.findall(r"word([a-l])", text_of(made, batch, example))) <= {"bl"[source]}


def test_sequences_have_as_many_names_to_recall_as_asked_for():
    batch = task("text", recalled=3).sample(30, batch_generator(1, 0))
    assert (batch.difficulty >= 0).sum() >= 30 * 3 * 0.8  # lengths change with the names


def test_the_picture_leads_from_a_name_to_its_first_mention():
    made = task("text", window=10, windows=5)
    picture = made.picture(made.parse(PASSAGE), 0)
    assert [(q.start, q.answer, q.path) for q in picture.queries] == [
        ("A", "bner", (0,)),
        ("A", "bner", (0,)),
        ("Z", "ara", (1,)),
    ]
    assert [(item.name, item.tokens.start) for item in picture.items] == [
        ("Abner", 3),
        ("Zara", 23),
    ]


def test_characters_are_read_and_written():
    made = task("text")
    assert made.decode(made.encode("Ur, and\nAsh")) == "Ur, and\nAsh"
    assert made.decode([0, *made.encode("a")]) == "a" and len(made.vocabulary) == 98
    assert [made.vocabulary[token] for token in made.encode("a b")] == ["a", " ", "b"]


def test_names_are_words_that_are_always_capitalised():
    texts = ["Then he saw Rome. The lord of Rome, Lord Marius, and the May.", "Howbeit he may go."]
    assert names.find_names(texts) == {"Rome", "Marius"}


def test_what_a_name_costs_without_memory():
    """Bits a letter after the first, by the probability of every way to spell the word."""
    syllables = [a + b for a in names.STARTS for b in names.VOWELS]

    @cache
    def probability(word, more):
        if not more:
            return names.ENDS.count(word) / len(names.ENDS)
        rest = (word[len(s) :] for s in syllables if word.startswith(s))
        return sum(probability(one, more - 1) for one in rest) / len(syllables)

    random, bits, letters = Random(0), 0.0, 0
    for _ in range(600):
        word = names.random_name(random).lower()
        first = sum(start[0] == word[0] for start in names.STARTS) / len(names.STARTS)
        bits -= math.log2((2 * probability(word, 2) + probability(word, 3)) / 3 / first)
        letters += len(word) - 1
    assert bits / letters == pytest.approx(2.9, abs=0.05)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"  \n", "one.txt is empty; expected text; add text"),
        (b"abc\0def", r"one.txt is a binary file \(byte 3 is zero\); expected UTF-8 text; save"),
        (b"abc\nd\xff", r"one.txt is not UTF-8 \(line 2, byte 5\); expected UTF-8 text; save"),
        ("Ελλάς ".encode() * 2000, "of 12,000 characters .* are not printable ASCII"),
        (b"too short", "holds 9 characters; expected two chapters"),
        (None, "no corpus .*; expected kjv, python, or the path"),
    ],
)
def test_files_that_are_no_text_are_refused_in_a_line(tmp_path, content, says):
    path = tmp_path / "one.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(WorkbenchError, match=says) as caught:
        draw(task("text", corpus=str(path)), 1, 0, 0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("line", [b'{"a": 1}', b"[1]", b'{"name": 1, "text": null}'])
def test_a_prepared_corpus_of_other_lines_is_refused(tmp_path, monkeypatch, line):
    monkeypatch.setenv("WORKBENCH_CORPORA", str(tmp_path))
    (tmp_path / "python.jsonl").write_bytes(line)
    (tmp_path / "python.sha256").write_text(hashlib.sha256(line).hexdigest())
    with pytest.raises(WorkbenchError, match="python.jsonl has a line without a name and a text"):
        draw(task("text", corpus="python"), 1, 0, 0)


def test_the_marks_and_line_ends_of_other_systems_are_read(tmp_path):
    (tmp_path / "one.txt").write_bytes(b"\xef\xbb\xbfIn Rome,\r\nin Rome\ralone.")
    assert read_plain(tmp_path / "one.txt") == "In Rome,\nin Rome\nalone."


def test_a_missing_corpus_stops_training_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_CORPORA", str(tmp_path))
    made = task("text")
    assert len(draw(made, 3, 0, 0, EVALUATION)) == 3
    with pytest.raises(WorkbenchError, match="'kjv' is not at .*; run `workbench get corpora`"):
        draw(made, 3, 0, 0)
    row = json.dumps({"name": "a.py", "text": "import os\n"})
    (tmp_path / "python.jsonl").write_text(row)
    (tmp_path / "python.sha256").write_text("0" * 64)
    with pytest.raises(WorkbenchError, match="is not the file that it was"):
        draw(task("text", corpus="python"), 3, 0, 0, EVALUATION)


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        (("",), "a text of 0 characters; expected 1 to 384; type some"),
        (("a\nbé",), r"'é' \(line 2, character 2\); expected printable ASCII"),
        (("a" * 385,), "a text of 385 characters; expected 1 to 384; shorten"),
        (("So Abner fell.", "Joab"), "the name 'Joab'; expected one of So, Abner"),
    ],
)
def test_typed_text_that_does_not_fit_is_refused(typed, says):
    with pytest.raises(WorkbenchError, match=says):
        task("text").parse(*typed)


def test_a_long_file_is_cut_at_its_paragraphs():
    text = "\n\n".join(f"{letter * 3000}." for letter in "abcdef")
    pieces = [chapter.text for chapter in corpora.cut("book", text)]
    assert len(pieces) == 3 and [piece[0] for piece in pieces] == ["a", "c", "e"]
    assert "\n\n".join(pieces) == text


@pytest.mark.skipif(not (corpora_folder() / "kjv.jsonl").is_file(), reason="needs get corpora")
def test_the_held_out_chapters_are_those_of_the_corpus():
    rows = (corpora_folder() / "kjv.jsonl").read_text().splitlines()
    chapters = corpora.kjv_chapters([json.loads(row) for row in rows])
    proper = names.find_names(chapter.text for chapter in chapters)
    lines = corpora.HELD_OUT_FILE.read_text().splitlines()
    for chapter, line in zip(chapters[4::40], lines, strict=True):
        found = sorted(proper.intersection(re.findall(r"[A-Za-z]+", chapter.text)))
        assert json.loads(line) == {"title": chapter.title, "names": found, "text": chapter.text}
    training = corpora.read_corpus("kjv", held_out=False).chapters
    held_out = corpora.read_corpus("kjv", held_out=True).chapters
    assert len(training) + len(held_out) == len(chapters) == 1189
    assert {c.title for c in training}.isdisjoint(c.title for c in held_out)
