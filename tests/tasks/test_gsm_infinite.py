"""Word problems: answers, structure, distributions, chance lines and typed input."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.tasks import EVALUATION, TRAIN, batch_generator, draw, task
from workbench.tasks.gsm_infinite.themes import THEMES

HENS = "number of young hens in Ashby Farm"
GOATS = "number of young goats in Ashby Farm"
DUCKS = "number of old ducks in Corley Farm"


def test_a_problem_by_hand():
    problems = task("gsm_infinite", length=200)
    batch = problems.parse(
        f"The {GOATS} equals 4. The {HENS} equals 2 times the {GOATS}. "
        f"The {DUCKS} equals the difference of the {HENS} and the {GOATS}.",
        "What is the total number of farm animals in Ashby Farm?",
    )
    [query] = problems.picture(batch, 0).queries
    assert query.answer == "12"
    assert query.difficulty == 5  # 4; 2 and goats; two counts in the total
    assert query.path == (0, 1)
    assert task("gsm_infinite", length=200, difficulty="depth").parse(
        *problems.typed(batch, 0)
    ).difficulty.tolist() == [[3]]


def test_averages_by_hand():
    problems = task("gsm_infinite", length=200, d=3)
    batch = problems.parse(
        f"The {GOATS} equals 4. The average number of brass bells per young goat in Ashby Farm "
        f"equals 3. The {HENS} equals 2.",  # hens have no bells here
        "What is the total number of brass bells in Ashby Farm?",
    )
    assert problems.picture(batch, 0).queries[0].answer == "12"


def test_official_noise_is_half_sums_and_differences_and_fills_the_context():
    problems = task("gsm_infinite", length=3000, noise="official")
    forms = Counter(
        d.form
        for problem in problems.problems(40, batch_generator(4, 0))
        for d in problem.definitions
        if d.role == "noise"
    )
    share = (forms["sum"] + forms["difference"]) / forms.total()
    assert share == pytest.approx(0.5, abs=0.05)
    batch = problems.sample(5, batch_generator(4, 0))
    assert (batch.valid[:, :3000].sum(axis=1) > 2950).all()


def test_graphs_held_out_are_drawn_by_every_stream_but_that_of_training():
    problems = task("gsm_infinite", length=600, held_out=0.3, max_operations=5)
    shapes = {
        stream: {
            repr(_shape(problems, p))
            for p in problems.part(stream).problems(300, batch_generator(0, 0, stream))
        }
        for stream in (TRAIN, "held out")
    }
    assert shapes[TRAIN] and shapes["held out"]
    assert not shapes[TRAIN] & shapes["held out"]


def _shape(problems, problem):
    """Return the graph of an answer, written from the definitions."""
    by_quantity = {d.quantity: d for d in problem.definitions}

    def of(quantity):
        if quantity not in by_quantity:
            place = quantity - problems._quantities.instances
            things = [d for d in by_quantity if d // problems.config.things == place]
            return ["total", *sorted(map(of, things), key=repr)]
        d = by_quantity[quantity]
        below = [of(parent) for parent in d.parents]
        return [d.form, *(below if d.form == "difference" else sorted(below, key=repr))]

    return of(problem.questions[0])


def test_parents_first_tells_no_sentence_before_what_it_builds_on():
    problems = task("gsm_infinite", length=600, order="parents_first")
    for problem in problems.problems(50, batch_generator(6, 0)):
        told = set()
        for definition in problem.definitions:
            assert told.issuperset(definition.parents)
            told.add(definition.quantity)


def test_chance_lines_against_counting():
    problems = task("gsm_infinite", length=600, max_operations=4)
    batch = problems.sample(4000, batch_generator(7, 0))
    answers = [problems.vocabulary[t] for t in batch.tokens[batch.answer_of == 0]]
    lines = problems.chance()
    for level in problems.difficulties:
        here = [a for a, d in zip(answers, batch.difficulty[:, 0], strict=True) if d == level]
        share = Counter(here).most_common(1)[0][1] / len(here)
        assert lines["commonest answer"].accuracy[level] == pytest.approx(share, abs=0.05)
    # at op 2 the one count of a total is a constant, so one step is all it takes
    assert lines["own step from the commonest constant"].accuracy[2] == 1


def test_probe_targets_are_the_values_by_depth():
    problems = task("gsm_infinite", length=200)
    batch = problems.parse(
        f"The {GOATS} equals 4. The {HENS} equals 2 more than the {GOATS}.",
        f"What is the {HENS}?",
    )
    first, second = problems.probe_targets(batch)
    assert (first.level, second.level) == (1, 2)
    goats, hens = first.items.index(GOATS), first.items.index(HENS)
    assert first.labels[0, goats] == 4 and (np.delete(first.labels[0], goats) == -1).all()
    assert second.labels[0, hens] == 6 and second.asked_by[0, hens] == 0


@pytest.mark.parametrize(
    ("text", "question", "token"),
    [
        (f"The {HENS} equals 2 times the {GOATS}.", HENS, "add for example"),
        (
            f"The {HENS} equals 2 times the {GOATS}. The {GOATS} equals 2 times the {HENS}.",
            HENS,
            "depends on itself",
        ),
        (
            f"The {HENS} equals 2. The {GOATS} equals 3. "
            f"The {DUCKS} equals the difference of the {HENS} and the {GOATS}.",
            DUCKS,
            "makes -1",
        ),
        (f"The {HENS} equals 2. The {HENS} equals 3.", HENS, "two sentences"),
        (f"The {HENS} equals 2. The {GOATS} equals the {GOATS}.", HENS, "depends on itself"),
        (f"The {HENS} equals -2.", HENS, "the amount '-2'"),
        (f"The {HENS} equals 2 unicorns.", HENS, "unicorns"),
        (f"The {HENS} equals 2", HENS, "full stop"),
        (f"The {HENS} equals.", HENS, "goes on with"),
        (f"Ashby Farm equals 2. The {HENS} equals 2.", HENS, "a sentence"),
        ("The young Farm equals 2.", HENS, "a quantity"),
        (f"The {HENS} equals 2.", "total number of farm animals in Corley Farm", "Corley"),
        ("", HENS, "without sentences"),
        (".", HENS, "the sentence '.'"),
        (f"The {HENS} equals 3.5.", HENS, "'5.'"),  # not 3, with the 5 left out
        (f"The {HENS} equals 3 4.", HENS, "goes on with '4'"),
        (f"The {GOATS} equals 3. The {HENS} equals the sum of the {GOATS}.", HENS, "goes on with"),
        (
            f"The {GOATS} equals 3. The {HENS} equals the sum of the {GOATS}, the {GOATS}.",
            HENS,
            "goes on",
        ),
        (f"The {GOATS} equals 500. The {HENS} equals 500 times the {GOATS}.", HENS, "250,000"),
        (f"The {HENS} equals {'x' * 9999}.", HENS, "xxx..."),
    ],
)
def test_parse_says_what_is_wrong(text, question, token):
    with pytest.raises(WorkbenchError) as error:
        task("gsm_infinite", length=200).parse(text, f"What is the {question}?")
    assert token in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 500


def test_a_number_of_thousands_of_digits_is_refused():
    with pytest.raises(WorkbenchError, match="at most 1,000"):
        task("gsm_infinite", length=9000, answer="digits").parse(
            f"The {HENS} equals {'9' * 5000}.", f"What is the {HENS}?"
        )


def test_squares_of_totals_are_refused_before_they_grow():
    """16 places, each a square of the one before: the last would have 65,000 digits."""
    places, part = THEMES["farms"].places, "number of brass bells"
    said, before = [], "equals 10."
    for place in places:
        for name in ("number of young goats", "average number of brass bells per young goat"):
            said.append(f"The {name} in {place} {before}")
        before = f"equals the total {part} in {place}."
    with pytest.raises(WorkbenchError, match="makes 10,000; expected an amount of 1 to 1,000"):
        task("gsm_infinite", length=2000, d=3).parse(
            " ".join(said), f"What is the total {part} in {places[-1]}?"
        )


def test_without_a_question_the_last_sentence_is_asked_about():
    problems = task("gsm_infinite", length=200)
    text = f"The {GOATS} equals 4. The {HENS} equals 2 times the {GOATS}."
    asked = problems.parse(text, f"What is the {HENS}?")
    np.testing.assert_array_equal(problems.parse(text).tokens, asked.tokens)


def test_an_unknown_constant_is_looked_for_once():
    problems = task("gsm_infinite", length=600, mode="reverse", max_operations=5)
    batch = problems.sample(1, batch_generator(5, 0))
    solution = problems._story(batch, 0)[1]
    first = solution.value(solution.unknown)
    solution.facts.clear()  # nothing is left to look for it with
    assert solution.value(solution.unknown) == first


def test_a_question_with_more_operations_than_any_in_training_is_reported():
    problems = task("gsm_infinite", length=200, min_operations=1, max_operations=2)
    text = f"The {GOATS} equals 4. The {HENS} equals 2 times the {GOATS}."
    assert "operations 1 to 2" in problems.unlike_training(problems.parse(text), 0)
    assert not problems.unlike_training(problems.parse(f"The {GOATS} equals 4."), 0)


@pytest.mark.parametrize(
    ("settings", "token"),
    [
        ({"mode": "reverse", "min_operations": 1, "max_operations": 1}, "lead to a problem"),
        ({"places": 2, "things": 2, "min_operations": 30, "max_operations": 30}, "more places"),
    ],
)
def test_settings_without_any_problem_are_refused_when_drawn(settings, token, monkeypatch):
    monkeypatch.setattr("workbench.tasks.gsm_infinite.task.MOST_DRAWS", 100)
    with pytest.raises(WorkbenchError, match=token):
        task("gsm_infinite", **settings).sample(1, batch_generator(0, 0))


def test_a_share_held_out_of_one_graph_is_refused():
    one = task("gsm_infinite", held_out=0.5, min_operations=1, max_operations=1)
    refused = 0
    for stream in (TRAIN, EVALUATION):
        try:
            draw(one, 1, 0, 0, stream)
        except WorkbenchError as error:
            refused += "held_out" in str(error)
    assert refused == 1


@pytest.mark.parametrize(
    ("settings", "token"),
    [
        ({"min_operations": 5, "max_operations": 4}, "min_operations"),
        ({"questions": 3}, "question"),
        ({"mode": "reverse", "modulus": 5}, "modulus"),
        ({"constants": 9, "modulus": 5}, "constants"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(settings, token):
    with pytest.raises(WorkbenchError, match=token):
        task("gsm_infinite", **settings)


def test_a_context_too_short_for_any_problem_is_refused():
    short = task("gsm_infinite", length=16)
    with pytest.raises(WorkbenchError, match="length"):
        short.sample(1, batch_generator(0, 0))


def test_the_recorded_statistics_are_those_of_problems_drawn_now():
    """A few cells of the table that data/word_problems.py makes, counted by the words alone."""
    path = Path(__file__).parents[2] / "data/results/tasks/word_problems.json"
    rows = json.loads(path.read_text())["rows"]
    for row in rows[1:4]:  # d = 2 without noise, op 4, 6 and 8
        op = row["operations"]
        problems = task("gsm_infinite", length=600, min_operations=op, max_operations=op)
        batch = problems.sample(100, batch_generator(9, op))
        pictures = [problems.picture(batch, example) for example in range(100)]
        counted = {
            "sentences": np.mean([len(picture.items) for picture in pictures]),
            "totals": np.mean([p.queries[0].start.startswith("total") for p in pictures]),
        }
        for measure, value in counted.items():
            low, high = row["measures"][measure]["range"]
            width = high - low
            assert low - width <= value <= high + width, (op, measure)
