"""Notebook 11: checks say something fitting about each mistake; its helpers agree with the task."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from judged import judged
from solutions import solved

import workbench
from sleep_course import story
from sleep_course.exercises import story as checks
from workbench.config import SleepConfig
from workbench.instruments.recorded import STATE_DIMS
from workbench.tasks import batch_generator, task

right = solved("story")

test_needed = judged(
    checks.check_needed,
    (lambda sentences, asked: np.array(right.needed(sentences, asked)), None),
    (lambda sentences, asked: [2 * x for x in right.needed(sentences, asked)], "not other numbers"),
    (lambda sentences, asked: [asked, "a"], "not hold numbers"),
    (lambda sentences, asked: [True for _ in sentences], "not the sentences"),
)


def read_once(sentences, known, modulus, *, look=None, value=None):
    """Read once, where ``look(known)`` is looked up and `value` is written."""
    found = dict(known)
    for name, parents, number in sentences:
        source = found if look is None else look(known)
        if all(parent in source for parent in parents):
            total = number + sum(source[parent] for parent in parents)
            found[name] = value(number, parents, source) if value else total % modulus
    return found


def all_at_once(sentences, known, modulus):
    for _ in sentences:
        known = read_once(sentences, known, modulus)
    return known


def changes_it(sentences, known, modulus):
    known.update(read_once(sentences, known, modulus))
    return known


def forgets(sentences, known, modulus):
    found = read_once(sentences, known, modulus)
    return {name: value for name, value in found.items() if name not in known}


def without_step(number, parents, known):
    return sum(known[parent] for parent in parents) % 5 if parents else number


def first_parent(number, parents, known):
    return (number + sum(known[parent] for parent in parents[:1])) % 5


test_read_once = judged(
    checks.check_read_once,
    (lambda sentences, known, modulus: list(known), "a dictionary was expected"),
    (lambda sentences, known, modulus: {"nobody": 1}, "not a name of this problem"),
    (lambda s, k, m: {name: (1, 2) for name in right.read_once(s, k, m)}, "one number"),
    (all_at_once, "from top to bottom"),
    (changes_it, "changes what it was given"),
    (lambda s, k, m: read_once(s, k, m, look=dict), "in the same reading"),
    (forgets, "begin with dict(known)"),
    (lambda s, k, m: dict(list(read_once(s, k, m).items())[:-1]), "can be worked out"),
    (lambda s, k, m: read_once(s, k, 10**6), "take it modulo 5"),
    (lambda s, k, m: read_once(s, k, 5), "the task's solver has"),
    (lambda s, k, m: read_once(s, k, m, value=without_step), "the step of"),
    (lambda s, k, m: read_once(s, k, m, value=first_parent), "two parents"),
    (lambda s, k, m: read_once(s, k, m, value=lambda n, *_: n + 2), "number plus the values"),
)  # fmt: skip


def larger_on_ties(sentences, modulus):
    """The shortcut where the larger of two equally common values is taken."""
    counts = np.bincount([n for _, parents, n in sentences if not parents])
    common = len(counts) - 1 - counts[::-1].argmax()
    return [(n + common * len(parents)) % modulus for _, parents, n in sentences]


test_turned_right = judged(
    checks.check_turned_right,
    (lambda answers, _: [0] * len(_), "up to the end"),
    (lambda *given: [min(n, 5) for n in right.turned_right(*given)], "of a longer sleep"),
)

test_shortcut = judged(
    checks.check_shortcut,
    (lambda s, m: [0] * len(s), "expected number"),
    (lambda s, m: [(n + len(p)) % m for _, p, n in s], "steps are not values"),
    (larger_on_ties, "take the smaller"),
    (lambda s, m: right.shortcut(s, 5), "with another modulus"),
)

test_in_a_row = judged(
    checks.check_in_a_row, (lambda *given: [0] * len(given[1]), "expected number plus")
)


# --- what the notebook calls ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def drawn():
    small = task("variables")
    batch = small.sample(60, batch_generator(3, 0, "test"))
    return small, batch, [story.problem_of(small, batch, example) for example in range(60)]


def test_a_tale_s_roles_are_what_its_graph_says():
    for tale in story.tales(6):
        lead = right.needed(tale.sentences, tale.asked)
        assert lead == [role == "needed" for role in tale.roles]
        assert len(tale.texts) == len(tale.roles)
        for text, (name, parents) in zip(tale.texts, tale.sentences, strict=True):
            assert text.startswith(f"The {name} equals ") and text.endswith(".")
            assert all(parent in text.partition(" equals ")[2] for parent in parents)
    assert set(story.tales(1)[0].roles) == {"needed", "unnecessary", "noise"}


def test_the_same_seed_draws_the_same_problems_in_english(drawn):
    small, batch, problems = drawn
    english = story.in_english(small)
    assert story.in_english(english) is english
    says = english.sample(60, batch_generator(3, 0, "test"))
    name = dict(zip(small.names, english.names, strict=True))
    for example, problem in enumerate(problems):
        other = story.problem_of(english, says, example)
        assert other.sentences == [
            (name[one], tuple(name[parent] for parent in parents), number)
            for one, parents, number in problem.sentences
        ]
        assert other.asked == [name[one] for one in problem.asked]
        assert (other.answers, other.depths) == (problem.answers, problem.depths)


def test_readings_of_a_problem_in_its_worst_and_best_order():
    up = [("a", (), 2), ("b", ("a",), 1), ("c", ("b",), 1)]
    assert story.readings(read_once, up, 5) == [{}, {"a": 2, "b": 3, "c": 4}]
    assert [len(k) for k in story.readings(read_once, up[::-1], 5)] == [0, 1, 2, 3]
    assert story.readings(lambda *given: {}, up, 5) == [{}]
    problem = story.Problem(up[::-1], ["c", "a"], [4, 2], [3, 1])
    known = story.known_after(read_once, [problem], 5, most=3)
    assert known[0].tolist() == [[False, False], [False, True], [False, True], [True, True]]


def test_a_problem_is_what_the_task_s_solver_says(drawn):
    small, batch, problems = drawn
    solved = small.solve(batch)
    for example, problem in enumerate(problems):
        known = all_at_once(problem.sentences, {}, 5)
        assert [known[name] for name in problem.asked] == problem.answers
        symbols = [small.vocabulary[t] for t in solved[example, batch.loss_mask[example]]]
        assert list(map(int, symbols)) == problem.answers
        assert problem.depths == batch.difficulty[example].tolist()


def test_the_shortcut_scores_as_the_task_s_chance_line_says(drawn):
    small, batch, problems = drawn
    found = story.scored(right.shortcut, problems, 5)
    line = small.chance()["own step from the commonest constant"].accuracy
    for depth, share in story.shares(found, batch.difficulty).items():
        assert share == pytest.approx(line[depth], abs=0.15)
    assert found[batch.difficulty == 1].all()


def test_depth_2_is_split_by_where_the_parent_stands():
    problem = story.Problem(
        [("b", ("a",), 1), ("a", (), 2), ("c", ("a",), 0), ("d", ("c",), 0)],
        ["a", "b", "c", "d"], [2, 3, 2, 2], [1, 2, 2, 3],
    )  # fmt: skip
    right = np.array([[True, False, True, True]])
    assert story.by_place([problem], right) == {"earlier": 1.0, "later": 0.0}
    swapped = replace(problem, sentences=problem.sentences[::-1])
    assert story.by_place([swapped], right) == {"earlier": 0.0, "later": 1.0}


def planted(known_at, batch, targets):
    """Return S whose row for a name holds its value one-hot once `known_at` its depth."""
    labels = np.max([target.labels for target in targets], axis=0)
    depth = np.max([np.where(t.labels >= 0, t.level, -1) for t in targets], axis=0)
    one_hot = labels[..., None] == np.arange(5)
    states = [one_hot & (depth >= 1)[..., None] & known_at(depth, n)[..., None] for n in range(5)]
    held = np.stack(states, axis=1)[:, None, :, None, None].astype(np.float32)
    index = {"window": [0], "sleep_pass": np.arange(5), "layer": [1]}
    return xr.DataArray(held, index, STATE_DIMS)


def test_a_probe_finds_what_was_planted_and_its_controls_do_not(monkeypatch):
    small = task("variables")
    batch = small.sample(300, batch_generator(4, 0, "test"))
    targets = small.probe_targets(batch)
    sleep = SleepConfig(window=30, passes=4)
    states = planted(lambda depth, n: depth <= n, batch, targets)
    replayed = planted(lambda depth, n: (depth == 1) & (n > 0), batch, targets)
    monkeypatch.setattr(story, "untrained", lambda model: None)
    monkeypatch.setattr(story, "replayed_weights", lambda *given: replayed)
    monkeypatch.setattr(
        story, "fast_weights", lambda model, *given: states if model else 0 * states
    )
    found = story.probe_values("trained", small, batch, sleep)["accuracy"]
    assert found.sel(sleep_pass=0).isnull().all()
    for n in (1, 2, 3, 4):
        here = found.sel(sleep_pass=n)
        assert (here.sel(procedure="sleep", difficulty=slice(1, n)) == 1).all()
        assert (here.sel(procedure="sleep", difficulty=slice(n + 1, 4)) < 0.45).all()
        assert here.sel(procedure="frozen replay", difficulty=1) == 1
        assert (here.sel(procedure="frozen replay", difficulty=[2, 3, 4]) < 0.45).all()
        assert (here.sel(procedure="shuffled") < 0.45).all()
    assert (here.sel(procedure="untrained") < 0.45).all()


# --- what the notebook says of the model ---------------------------------------------------------


def built_on(sentences, modulus):
    """The better shortcut: of the given values, only those that somebody builds on."""
    parents = {parent for _, those, _ in sentences for parent in those}
    plain = [one for one in sentences if one[0] in parents or one[1]]
    guesses = dict(zip((n for n, *_ in plain), right.shortcut(plain, modulus), strict=True))
    return [guesses.get(name, number) for name, _, number in sentences]


def test_what_is_said_of_the_shortcuts():
    small = task("variables")
    batch = small.sample(800, batch_generator(5, 0, "test"))
    problems = [story.problem_of(small, batch, example) for example in range(800)]
    for guess, said in ((right.shortcut, (0.49, 0.24, 0.24)), (built_on, (0.77, 0.30, 0.31))):
        found = story.shares(story.scored(guess, problems, 5), batch.difficulty)
        assert [found[depth] for depth in (2, 3, 4)] == pytest.approx(said, abs=0.04)
    told = np.array([problem.answers for problem in problems])
    said = [right.in_a_row(p.sentences, p.asked, t, 5) for p, t in zip(problems, told, strict=True)]
    row = story.shares(np.array(said) == told, batch.difficulty)
    assert [row[depth] for depth in (2, 3, 4)] == pytest.approx((0.74, 0.63, 0.62), abs=0.04)


def test_what_is_said_of_the_sleeping_model():
    checkpoint = workbench.load(story.MODEL)
    small, sleep = checkpoint.task, checkpoint.sleep.with_passes(4)
    batch = small.sample(96, batch_generator(story.STREAM, 0, "notebook"))
    problems = [story.problem_of(small, batch, example) for example in range(96)]
    answers, truth = story.woken(checkpoint.model, small, batch, sleep)
    once, _ = story.woken(checkpoint.model, small, batch, sleep.with_passes(1))
    assert (answers[:, :2] == once).all()
    correct = answers == truth[:, None]
    known = [story.shares(correct[:, n], batch.difficulty) for n in range(5)]
    assert max(known[0].values()) < 0.35
    assert known[1][1] == known[4][1] == 1
    for depth in (2, 3, 4):
        assert 0.25 < known[1][depth] < 0.52 < known[2][depth] < 0.85 < 0.9 < known[4][depth]
    two = story.by_place(problems, correct[:, 2])
    assert two["earlier"] > 0.9 > 0.7 > two["later"]
    assert min(story.by_place(problems, correct[:, 3]).values()) > 0.9
