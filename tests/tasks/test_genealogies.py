"""Genealogies: answers, layout, chance lines, typed input and what probes are asked."""

from collections import Counter

import pytest

from workbench.errors import WorkbenchError
from workbench.tasks import batch_generator, task

MADE = task("genealogies")
A, B, C, D, E = MADE.names[:5]
TOLD = f"{A} begat {B}. {B} begat {C}. {A} begat {D}. {C} begat {E}."


@pytest.mark.parametrize("order", ["fathers_first", "shuffled"])
def test_answers_are_found_by_walking_up_the_sentences(order):
    made = task("genealogies", order=order)
    batch = made.sample(100, batch_generator(1, 0))
    levels = Counter()
    for row in batch.tokens:
        words = [made.vocabulary[token] for token in row]
        fathers = {words[at + 2]: words[at] for at in range(0, 32, 4)}
        assert len(fathers) == 8 and set(words[1:32:4]) == {"begat"}
        for at in range(32, 59, 3):
            relation, name, answer = words[at : at + 3]
            back = relation.count("grand") + relation.count("great") + 1
            levels[back] += 1
            for _ in range(back):
                name = fathers[name]
            assert name == answer
    assert set(levels) == {1, 2, 3} and min(levels.values()) > 200


def test_typed_by_hand():
    batch = MADE.parse(TOLD, f"great-grandfather {E}, grandfather {C}, father {D}")
    picture = MADE.picture(batch, 0)
    assert [(q.answer, q.difficulty, q.path) for q in picture.queries] == [
        (A, 3, (3, 1, 0)), (A, 2, (1, 0)), (A, 1, (2,)),
    ]  # fmt: skip
    assert batch.difficulty[0].tolist() == [3, 2, 1] + [-1] * 6
    assert batch.isolated == 3 and batch.context_tokens == MADE.context_tokens
    one, two, three = MADE.probe_targets(batch)
    index = {name: MADE.names.index(name) for name in (A, B, C, D, E)}
    assert [one.labels[0, index[name]] for name in (A, B, C, D, E)] == [
        -1, index[A], index[B], index[A], index[C],
    ]  # fmt: skip
    assert two.labels[0, index[E]] == index[B] and three.labels[0, index[E]] == index[A]
    assert one.asked_by[0, index[D]] == 2 and (three.labels >= 0).sum() == 1


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ((f"{A} begat Bob.",), f"'{A} begat Bob'; expected .* begat .* names; use"),
        ((f"{A} begat {B}. {C} begat {B}.",), f"{B} has two fathers"),
        ((f"{A} begat {B}. {B} begat {A}.",), f"{A} is his own ancestor"),
        ((f"{A} begat {A}.",), f"{A} is his own ancestor"),
        (("",), "0 sentences; expected 1 to 8"),
        ((TOLD, f"grandfather {B}"), f"'grandfather {B}'; expected father or grandfather or"),
        ((TOLD, f"uncle {B}"), f"'uncle {B}'; expected father"),
        ((TOLD, ", ".join([f"father {B}"] * 10)), "10 questions; expected at most 9"),
    ],
)
def test_what_does_not_fit_is_refused(typed, says):
    with pytest.raises(WorkbenchError, match=says):
        MADE.parse(*typed)


def test_the_commonest_name_against_counting():
    batch = MADE.sample(2000, batch_generator(4, 0))
    right, seen = Counter(), Counter()
    for row, levels in zip(batch.tokens, batch.difficulty, strict=True):
        context = row[:32].reshape(8, 4)[:, [0, 2]].ravel()
        counts = Counter(context.tolist())
        most = max(counts.values())
        common = next(token for token in context.tolist() if counts[token] == most)
        for level, answer in zip(levels, row[34::3], strict=True):
            seen[level] += 1
            right[level] += answer == common
    line = MADE.chance()["commonest name"].accuracy
    assert line == pytest.approx({k: right[k] / seen[k] for k in line}, abs=0.03)
    assert MADE.chance()["uniform guess"].accuracy[2] == 1 / 8
