"""Variables: answers, layout, structure, chance lines and typed input."""

from collections import Counter

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.instruments.patching.context_swaps import fitting, questions, swap_context
from workbench.tasks import batch_generator, draw, task

WORDS = {"form": "words", "variables": 7, "names": 7, "given": 3}
STORY = {"form": "story", "variables": 9, "names": 16, "asides": 4, "parts": 3, "question": "both"}


def by_hand(symbols, modulus):
    """Return the value of every variable of a context in symbols, by repeated substitution."""
    sentences = [symbols[n : n + 3] for n in range(0, len(symbols), 3)]
    values = {}
    while len(values) < len(sentences):
        for name, second, third in sentences:
            if third == "=":
                values[name] = int(second)
            elif second in values and third in ("+0", "+1", "-1"):
                values[name] = (values[second] + int(third)) % modulus
            elif second in values and third in values:
                values[name] = (values[second] + values[third]) % modulus
    return values


@pytest.mark.parametrize("sums", [0, 0.5])
def test_answers_are_those_of_substitution(sums):
    made = task("variables", sums=sums)
    batch = made.sample(200, batch_generator(1, 0))
    for row in batch.tokens:
        symbols = [made.vocabulary[token] for token in row]
        values = by_hand(symbols[:30], 5)
        asked = zip(symbols[30::2], symbols[31::2], strict=True)
        assert {name: int(answer) for name, answer in asked} == values


def test_a_problem_in_words_by_hand():
    made = task("variables", **WORDS, sums=0.3)
    batch = made.parse(
        "Bob has one more apple than Anna. Anna has 4 apples. "
        "Cleo has as many apples as Bob and Anna.",
        "Cleo, Bob",
    )
    picture = made.picture(batch, 0)
    assert [(q.answer, q.difficulty, q.path) for q in picture.queries] == [
        ("4", 3, (1, 0, 2)),  # 4 + 1 = 0 and 0 + 4 = 4, modulo 5
        ("0", 2, (1, 0)),
    ]
    assert [item.name for item in picture.items][1] == "Anna has 4 apples."


def test_a_story_keeps_sentences_whole_in_each_part_and_its_question_in_the_first():
    made = task("variables", **STORY, order="parents_first")
    batch = made.sample(40, batch_generator(5, 0))
    length = made.context_tokens // 3
    for tokens, valid in zip(batch.tokens, batch.valid, strict=True):
        for part in range(3):
            here = slice(part * length, (part + 1) * length)
            words = [made.vocabulary[token] for token in tokens[here][valid[here]]]
            assert words[-1] == "."
            assert (words[:4] == "How many apples does".split()) == (part == 0)
            assert sum(word == "." for word in words) == (3 if part == 0 else 5)
        assert valid[made.context_tokens :].all()


def test_asides_change_no_answer():
    made = task("variables", **STORY)
    batch = made.sample(40, batch_generator(6, 0))
    found = Counter()
    for example in range(40):
        text, queries = made.typed(batch, example)
        sentences = text.split(". ")
        # no variable is given in pears, and the others name no number of apples
        kept = [s.rstrip(".") for s in sentences if "apple" in s]
        found[len(sentences) - len(kept)] += 1
        fewer = made.parse(". ".join(kept) + ".", queries)
        answers = [q.answer for q in made.picture(batch, example).queries]
        assert [q.answer for q in made.picture(fewer, 0).queries] == answers
    assert found == {4: 40}


def test_depths_reach_the_limit_and_parents_first_means_so():
    made = task("variables", order="parents_first")
    batch = made.sample(300, batch_generator(3, 0))
    assert set(np.unique(batch.difficulty)) == {1, 2, 3, 4}
    assert ((batch.difficulty == 1).sum(axis=1) == 4).all()
    for row in batch.tokens[:, :30]:
        told = set()
        for name, second, third in row.reshape(10, 3):
            if made.vocabulary[third] != "=":
                assert second in told
            told.add(name)


def test_the_shortcut_against_counting():
    made = task("variables")
    batch = made.sample(3000, batch_generator(4, 0))
    right, seen = Counter(), Counter()
    for row, levels in zip(batch.tokens, batch.difficulty, strict=True):
        symbols = [made.vocabulary[token] for token in row]
        sentences = {symbols[n]: symbols[n + 1 : n + 3] for n in range(0, 30, 3)}
        given = Counter(int(b) for b, c in sentences.values() if c == "=")
        common = min(given, key=lambda value: (-given[value], value))
        for name, answer, level in zip(symbols[30::2], symbols[31::2], levels, strict=True):
            second, third = sentences[name]
            guess = int(second) if third == "=" else (common + int(third)) % 5
            right[level] += guess == int(answer)
            seen[level] += 1
    line = made.chance()["own step from the commonest constant"].accuracy
    assert line == pytest.approx({k: right[k] / seen[k] for k in line}, abs=0.03)


def test_probe_targets_are_values_by_depth():
    made = task("variables")
    batch = made.parse("b a +1, a 3 =", "b")
    first, second, *deeper = made.probe_targets(batch)
    a, b = first.items.index("a"), first.items.index("b")
    assert first.labels[0, [a, b]].tolist() == [3, -1]
    assert second.labels[0, [a, b]].tolist() == [-1, 4]
    assert second.asked_by[0, b] == 0 and first.asked_by[0, a] == -1
    assert all((target.labels == -1).all() for target in deeper)


def test_variables_that_share_parents_are_worked_out_once():
    """Each depends twice on the one before: 2 ** 25 ways lead to the first."""
    made = task("variables", variables=26, names=26, given=1, max_depth=26, sums=1.0)
    letters = "abcdefghijklmnopqrstuvwxyz"
    pairs = zip(letters[1:], letters, strict=False)
    batch = made.parse(", ".join(["a 1 =", *(f"{child} {one} {one}" for child, one in pairs)]))
    np.testing.assert_array_equal(made.solve(batch), batch.tokens)
    query = made.picture(batch, 0).queries[-1]
    assert (query.answer, query.path) == (str(2**25 % 5), tuple(range(26)))


def test_a_question_that_another_context_does_not_answer_is_not_asked():
    made = task("variables")
    recipient, donor = made.parse("a 3 =, b a +1", "b, a"), made.parse("a 2 =, c a +1", "a")
    swapped = swap_context(made, recipient, donor)
    assert swapped.difficulty[0, :2].tolist() == [-1, 1]
    asked = questions(recipient, swapped, 30)
    assert asked.asked[0, :2].tolist() == [False, True]
    symbols = [made.vocabulary[s[0, 1]] for s in (asked.recipient, asked.donor)]
    assert symbols == ["3", "2"]
    assert fitting(made, made.parse("b 3 =", "b"), donor).tolist() == [False]


def test_kinds_tell_a_sum_from_a_step():
    made = task("variables", sums=0.5)
    kinds = {
        text: made.probe_targets(made.parse(f"a 1 =, b 2 =, {text}"))[1].kinds.max()
        for text in ("c b +0", "c b +1", "c b a", "c a b", "c b b")
    }
    assert len(set(kinds.values())) == len(kinds)


def test_a_question_deeper_than_any_in_training_is_reported():
    made = task("variables", max_depth=2)
    batch = made.parse("a 1 =, b a +0, c b +0", "c")
    assert "depth 3" in made.unlike_training(batch, 0)
    assert not made.unlike_training(made.parse("a 1 =, b a +0", "b"), 0)


def test_one_apple_is_no_plural():
    made = task("variables", **WORDS)
    assert made.typed(made.parse("Anna has 1 apples."), 0)[0] == "Anna has 1 apple."


def test_the_question_asked_first_and_alone_again_can_be_told_apart():
    made = task("variables", question="both")
    queries = made.picture(draw(made, 1, 0, 0), 0).queries
    labels = [query.label for query in queries]
    assert len(set(labels)) == len(labels) and labels[0] == f"{queries[0].start} (first)"
    assert queries[0].start in labels[1:], "everyone is asked alone as well"


def test_one_variable_is_asked_where_none_is_named():
    made = task("variables", question="first")
    assert [q.start for q in made.picture(made.parse("b a +1, a 3 =", " "), 0).queries] == ["b"]


@pytest.mark.parametrize(
    ("settings", "text", "queries", "token"),
    [
        ({}, "a ? b 3 =", None, "? among"),
        ({}, "PAD a 3 =", None, "PAD among"),
        ({}, "a" * 10_000, None, "aaa..."),
        ({}, "b a +1", None, "has no sentence"),
        ({}, "b a +1, a b +0", None, "depends on itself"),
        ({}, "a 3 =, a 2 =", None, "two sentences"),
        ({}, "a 7 =", None, "the amount 7 in 'a 7 ='"),
        ({}, "a -1 =", None, "the amount -1 in 'a -1 ='"),
        (WORDS, "Anna has -1 apples.", None, "the amount -1 in 'Anna has -1 apples.'"),
        ({}, "a 3", None, "a sentence"),
        ({}, "", None, "no sentences"),
        ({}, "a 3 =", "z", "'z'"),
        ({}, "a 3 =", "a a a a a a a a a a a", "11 questions"),
        (WORDS, "Zoe has 3 apples.", None, "'Zoe'"),
        (WORDS, "Anna has 3 apples", None, "a sentence"),
        (STORY, "The sun was warm on the trees.", None, "give no value"),
        (STORY, "Bob picked one more pear than Anna.", None, "a sentence"),
    ],
)
def test_parse_says_what_is_wrong(settings, text, queries, token):
    with pytest.raises(WorkbenchError) as error:
        task("variables", **settings).parse(text, queries)
    assert token in str(error.value)
    assert len(str(error.value)) < 400
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("form", [{}, WORDS, STORY, {"modulus": 2, "form": "story"}])
def test_the_example_of_what_may_be_typed_can_be_typed(form):
    made = task("variables", **form)
    example = made.typing_help().split("such as")[1].split(": a is")[0].lstrip(": ")
    assert made.typed(made.parse(example), 0)[0] == example


@pytest.mark.parametrize(
    ("settings", "token"),
    [
        ({"given": 11}, "ascend"),
        ({"max_depth": 1}, "max_depth"),
        ({"asides": 1}, "need form"),
        ({"parts": 11}, "parts 11"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(settings, token):
    with pytest.raises(WorkbenchError, match=token):
        task("variables", **settings)
