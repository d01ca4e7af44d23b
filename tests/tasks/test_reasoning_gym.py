"""Data sets of reasoning-gym as tasks: items, tokens, streams, the scorer, and a training run."""

import os
import random
import sys
from dataclasses import replace

import numpy as np
import pytest
from tiny import tiny_toml

from workbench.errors import WorkbenchError
from workbench.tasks import EVALUATION, TRAIN, batch_generator, draw, task
from workbench.tasks.reasoning_gym.text import Alphabet, split_item

if not os.environ.get("CI"):
    pytest.importorskip("reasoning_gym")

NAMES = (
    "ab",
    "basic_arithmetic",
    "calendar_arithmetic",
    "chain_sum",
    "family_relationships",
    "leg_counting",
    "letter_counting",
    "number_sorting",
    "shortest_path",
    "syllogism",
)
ROOM = {"context_length": 900, "question_length": 600, "answer_length": 120}


@pytest.mark.parametrize("tokens", ["characters", "words"])
@pytest.mark.parametrize("name", NAMES)
def test_ten_data_sets(name, tokens):
    """Text survives both ways, the answers are the data set's, and its scorer agrees."""
    import reasoning_gym

    made = task(f"reasoning_gym:{name}", tokens=tokens, **ROOM)
    batch = made.sample(6, batch_generator(1, 0))
    original = reasoning_gym.create_dataset(name, seed=0)
    assert batch.difficulty[:, 0].tolist() == (batch.loss_mask.sum(axis=1) - 1).tolist()
    for example in range(len(batch)):
        context, asked = made.typed(batch, example)
        question, _, answer = asked.rpartition("=> ")
        entry = made._entry(batch, example)
        whole = entry["question"]
        assert "".join((context + question).split()) == "".join(whole.split())
        assert original.score_answer(answer, entry=entry) == 1.0
        again = made.parse(context, asked)
        np.testing.assert_array_equal(again.tokens[0], batch.tokens[example])
        np.testing.assert_array_equal(again.loss_mask[0], batch.loss_mask[example])
        assert made.picture(batch, example).queries[0].answer == answer
    garbled = replace(batch, tokens=np.where(batch.loss_mask, 5, batch.tokens))
    np.testing.assert_array_equal(made.solve(garbled), batch.tokens)
    assert made.judge(batch, batch.tokens).all()
    assert not made.judge(batch, garbled.tokens).any()


def test_an_item_is_that_of_its_number_whatever_was_drawn_before():
    made = task("reasoning_gym:letter_counting")
    before = random.getstate()
    first = made.sample(5, batch_generator(0, 3))
    made.sample(5, batch_generator(0, 4))
    again = task("reasoning_gym", dataset="letter_counting").sample(5, batch_generator(0, 3))
    np.testing.assert_array_equal(first.tokens, again.tokens)
    assert random.getstate() == before


def test_no_problem_is_in_both_streams_even_of_a_data_set_of_few():
    made = task("reasoning_gym:chain_sum", options="max_terms = 2, max_digits = 1")
    found = {}
    for stream in (TRAIN, EVALUATION):
        batch = draw(made, 200, 0, 0, stream)
        found[stream] = {made.typed(batch, example) for example in range(200)}
    assert len(found[TRAIN]) < 160 and found[EVALUATION]
    assert not found[TRAIN] & found[EVALUATION]


def test_words_take_fewer_tokens_and_unknown_ones_are_spelt():
    by_word = task("reasoning_gym:family_relationships", tokens="words")
    batch = by_word.sample(4, batch_generator(0, 0))
    characters = task("reasoning_gym:family_relationships").parse(*by_word.typed(batch, 0))
    assert batch.valid[0].sum() < 0.5 * characters.valid[0].sum()
    typed = by_word.parse("Zyxwvut is the mother of Noah.", "Who is Zyxwvut? => mother")
    assert by_word.typed(typed, 0) == (
        "Zyxwvut is the mother of Noah.",
        "Who is Zyxwvut? => mother",
    )


def test_a_typed_question_needs_its_answer():
    made = task("reasoning_gym:chain_sum")
    assert made.typed(made.parse("Three and four."), 0)[0] == "Three and four."
    for queries in ("", "How many?", "How many? =>"):
        with pytest.raises(WorkbenchError, match="without its answer"):
            made.parse("Three and four.", queries)
    with pytest.raises(WorkbenchError, match="'ł' in the question"):
        made.parse("Three and four.", "Ile ma Paweł? => 3")
    with pytest.raises(WorkbenchError, match="the answer has 20 tokens"):
        made.parse("Three and four.", f"How many? => {'7' * 20}")


def test_difficulty_by_a_number_of_the_item_and_the_curriculum():
    made = task("reasoning_gym:chain_sum", difficulty="num_terms", options="min_terms = 4")
    batch = made.sample(40, batch_generator(0, 0))
    assert made.difficulties == (4, 5, 6) and made.difficulty_name == "num_terms"
    terms = [made.typed(batch, n)[0].count(" + ") + made.typed(batch, n)[0].count(" - ") + 1
             for n in range(40)]  # fmt: skip
    assert terms == batch.difficulty[:, 0].tolist()
    easy = task("reasoning_gym:chain_sum", level=0).sample(20, batch_generator(0, 0))
    assert easy.difficulty.mean() < batch.difficulty.mean() + 2
    assert set(made.chance()) == {"commonest answer"}


def test_the_scorer_accepts_another_right_answer():
    """Letters that may come in any order: not the given answer, and right all the same."""
    made = task("reasoning_gym:countdown", answer_length=60, context_length=600, split="none",
                options="min_numbers = 3, max_numbers = 3")  # fmt: skip
    batch = made.sample(1, batch_generator(0, 0))
    room = made.room(batch)
    given = made._entry(batch, 0)["answer"]
    answers = batch.tokens.copy()
    first = int(room.loss_mask[0].argmax())
    for text, right in ((f"({given})", True), ("1 + 1", False)):
        ids = [*Alphabet().encode(text), 2]
        answers[0, first : first + len(ids)] = ids
        assert made.judge(batch, answers).tolist() == [[right]]


@pytest.mark.parametrize(
    ("how", "context", "question"),
    [
        ("question", "Ann has 2. Bob has 3.", "How many? Answer with a number."),
        ("sentence", "Ann has 2. Bob has 3.\nHow many?", "Answer with a number."),
        ("line", "Ann has 2. Bob has 3.", "How many? Answer with a number."),
        ("none", "Ann has 2. Bob has 3.\nHow many? Answer with a number.", ""),
    ],
)
def test_what_is_read_awake(how, context, question):
    text = "Ann has 2. Bob has 3.\nHow many? Answer with a number."
    assert split_item(text, how) == (context, question)
    assert split_item("How many legs have 3 cats?", how) == ("How many legs have 3 cats?", "")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"dataset": "chain_summ"}, "such as chain_sum"),
        ({"options": "min_tems = 2"}, "min_tems is unknown; expected one of min_terms"),
        ({"options": "seed = 3"}, "seed is unknown"),
        ({"options": "min_terms = 9"}, "max_terms must be"),
        ({"options": "min_terms"}, "name = value"),
        ({"difficulty": "num_trms"}, "num_digits, num_terms"),
        ({"context_length": 20}, "context_length = 20 is too short for"),
        ({"dataset": "list_functions", "level": 3}, "curriculum"),
        ({"dataset": "graph_color"}, "without an answer"),
        ({"dataset": "../x"}, "task.dataset|dataset"),
    ],
)
def test_wrong_settings_are_one_line(settings, said):
    with pytest.raises(WorkbenchError, match=said) as error:
        task("reasoning_gym", **settings).sample(1, batch_generator(0, 0))
    assert "\n" not in str(error.value)


def test_data_sets_that_follow_the_order_of_sets_are_refused(monkeypatch):
    made = task("reasoning_gym:ransom_note", context_length=600)
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    with pytest.raises(WorkbenchError, match="PYTHONHASHSEED=0"):
        made.sample(1, batch_generator(0, 0))


def test_without_the_package_the_fix_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "reasoning_gym", None)
    made = task("reasoning_gym:spell_backward")  # a form shows it without the package
    with pytest.raises(WorkbenchError, match=r"'\.\[reasoning\]'"):
        made.sample(1, batch_generator(0, 0))


def test_trained_and_evaluated_from_the_command_line(tmp_path, monkeypatch, capsys):
    """Two steps; `eval` lets the model write its answers and asks the scorer."""
    from workbench.cli import main
    from workbench.config import load_experiment
    from workbench.lab.proposal import check, usual

    monkeypatch.chdir(tmp_path)
    options = {"options": "max_terms = 2, max_digits = 1", "context_length": 80, "answer_length": 3}
    named = {"name": "reasoning_gym:chain_sum", "question_length": 4, **options}
    text = tiny_toml(task=named, sleep={"window": 80}, training={"steps": 2, "eval_count": 4})
    (tmp_path / "sums.toml").write_text(text)
    assert load_experiment("sums.toml").task.dataset == "chain_sum"

    def run(*arguments):
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == 0, capsys.readouterr().err
        return capsys.readouterr().out

    run("train", "sums.toml", "--out", "runs/sums")
    said = run("eval", "runs/sums", "--count", "6")
    assert "answer length" in said and "commonest answer" in said
    assert "dataset = chain_sum" in (tmp_path / "runs/sums/checkpoint/card.md").read_text()
    assert check(usual("reasoning_gym", [])).problems == {}
    assert check(usual("reasoning_gym:leg_counting", [])).problems == {}
