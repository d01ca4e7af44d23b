"""Checks of the exercises in notebook 11, *A story problem, asleep*."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from sleep_course import story
from sleep_course.exercises.check import (
    Words,
    array_of,
    call,
    call_for_array,
    close,
    exercise,
    kind_of,
    lesson,
    name_of,
    refuse,
    right_elsewhere,
)
from workbench.tasks import batch_generator, task

WORDS = lesson("story")

Given = list[tuple[str, tuple[str, ...]]]
MORE_PARENTS: Given = [("x", ()), ("y", ("z", "x", "w")), ("z", ()), ("w", ("x",))]
PROBLEM: story.Sentences = [
    ("e", ("d",), 1),
    ("a", (), 3),
    ("b", ("a",), 1),
    ("f", (), 1),
    ("g", ("f",), -1),
    ("d", ("b",), 1),
    ("c", (), 3),
    ("h", ("g", "c"), 0),
    ("i", ("e",), 0),
]
"""Values modulo 5: e 1, a 3, b 4, f 1, g 0, d 0, c 3, h 3, i 1. What e needs comes after it."""
MODULUS = 5


@exercise(WORDS["needed"])
def check_needed(say: Words, needed: Any) -> None:
    """Exercise 1: ``needed(sentences, asked)`` marks the sentences that lead to the answer."""
    chain: Given = [(name, parents) for name, parents, _ in PROBLEM]
    parents = dict(chain)

    right = np.asarray(_needed(chain, "e"))
    found = call_for_array(needed, chain, "e", shape=right.shape, hint=say.hint)
    say.when(not np.isin(found, (0, 1)).all(), "numbers")
    if not close(found, right):
        alone = np.array([name == "e" for name, _ in chain])
        near = alone | np.array([name in parents["e"] for name, _ in chain])
        mistakes = {
            "alone": alone,
            "near": near,
            "not asked": right & ~alone,
            "in order": [_one_walk(chain, walk, "e") for walk in (chain, chain[::-1])],
            "upside down": ~right,
            "children": np.array([name in "ei" for name, _ in chain]),
        }
        refuse(say, found, mistakes)
    right_elsewhere(
        needed,
        _needed,
        {
            "with another question": (chain, "h"),
            "about a given value": (chain, "c"),
            "with the sentences in another order": (chain[::-1], "d"),
            "with more parents": (MORE_PARENTS, "y"),
        },
    )


def _needed(sentences: Given, asked: str) -> list[bool]:
    parents, wanted = dict(sentences), {asked}
    for _ in sentences:
        wanted |= {parent for name in wanted for parent in parents[name]}
    return [name in wanted for name, _ in sentences]


def _one_walk(sentences: Given, walk: Given, asked: str) -> np.ndarray:
    """Return what one walk over the sentences marks, which misses parents already passed."""
    wanted = {asked}
    for name, parents in walk:
        wanted |= set(parents) if name in wanted else set()
    return np.array([name in wanted for name, _ in sentences])


@exercise(WORDS["read_once"])
def check_read_once(say: Words, read_once: Any) -> None:
    """Exercise 2: ``read_once(sentences, known, modulus)`` adds what one reading works out."""

    def given(
        sentences: story.Sentences, known: Mapping[str, float], modulus: int
    ) -> dict[str, float]:
        result = call(read_once, sentences, known, modulus, hint=say.hint)
        say.when(not isinstance(result, dict), "no dictionary", kind=kind_of(result))
        strange = [name for name in result if name not in {n for n, *_ in sentences}]
        say.when(strange, "strange", who=repr(strange[:1])[1:-1][:30])
        values = array_of(list(result.values()), name=name_of(read_once), shape=None, hint=say.hint)
        say.when(values.shape != (len(result),), "no number")
        whole = (int(value) if value == int(value) else value for value in values.tolist())
        return dict(zip(result, whole, strict=True))

    def compare(sentences: story.Sentences, known: dict[str, int], modulus: int) -> dict[str, int]:
        found = given(sentences, known, modulus)
        right = _read_once(sentences, known, modulus)
        if found != right:
            raise _mistake(say, found, right, sentences, known, modulus)
        return right

    known: dict[str, int] = {}
    for _ in range(4):
        known = compare(PROBLEM, known, MODULUS)
    compare(PROBLEM, {"a": 3, "b": 4}, MODULUS)
    compare(PROBLEM, {"d": 2, "c": 4}, MODULUS)
    # several problems of the task, against its own solver
    for settings in ({}, {"sums": 0.5, "modulus": 7}, {"order": "parents_first", "variables": 6}):
        drawn = task("variables", **settings)
        batch = drawn.sample(3, batch_generator(11, 0, "exercise"))
        solved = drawn.solve(batch)
        for example in range(len(batch)):
            problem = story.problem_of(drawn, batch, example)
            modulus = int(drawn.config.modulus)
            found: dict[str, float] = {}
            for _ in problem.sentences:
                found = given(problem.sentences, found, modulus)
            here = batch.loss_mask[example]
            right = [int(drawn.vocabulary[token]) for token in solved[example, here]]
            for name, value in zip(problem.asked, right, strict=True):
                say.when(name not in found, "never", who=name)
                say.when(found[name] != value, "solver", who=name, value=value, found=found[name])


def _read_once(sentences: story.Sentences, known: dict[str, int], modulus: int) -> dict[str, int]:
    known = dict(known)
    for name, parents, number in sentences:
        if all(parent in known for parent in parents):
            known[name] = (number + sum(known[parent] for parent in parents)) % modulus
    return known


def _mistake(
    say: Words,
    found: dict[str, float],
    right: dict[str, int],
    sentences: story.Sentences,
    known: dict[str, int],
    modulus: int,
) -> Exception:
    """Return what is to be said of one reading that found something else."""
    lost = sorted(set(known) - set(found))
    if lost:
        return say("lost", who=lost[0])
    before = {
        name
        for name, parents, _ in sentences
        if name in known or all(parent in known for parent in parents)
    }
    if set(found) == before != set(right):
        return say("same reading")
    if early := sorted(set(found) - set(right)):
        return say("looked ahead", who=early[0])
    if missing := sorted(set(right) - set(found)):
        return say("missing", who=missing[0])
    name = next(name for name in found if found[name] != right[name])
    if found[name] % modulus == right[name]:
        return say("no modulus", who=name, found=f"{found[name]:g}", modulus=modulus)
    parents, number = next((p, n) for s, p, n in sentences if s == name)
    if parents and found[name] == sum(right[parent] for parent in parents) % modulus:
        return say("no step", who=name, number=f"{number:+d}")
    if len(parents) > 1:
        return say("one parent", who=name)
    return say("value", who=name, found=f"{found[name]:g}", right=right[name])


@exercise(WORDS["turned_right"])
def check_turned_right(say: Words, turned_right: Any) -> None:
    """Exercise 3: ``turned_right(answers, right)`` is the pass from which each answer stays right.

    N + 1 where the last answer is wrong.
    """
    right = np.array(["3", "0", "2", "1", "4", "0"])
    answers = np.array(
        [
            ["1", "0", "2", "1", "2", "1"],
            ["3", "0", "1", "1", "4", "2"],
            ["3", "0", "2", "1", "1", "0"],
            ["3", "0", "4", "1", "1", "3"],
            ["3", "0", "2", "2", "4", "3"],
        ]
    )

    def reference(answers: np.ndarray, right: np.ndarray) -> np.ndarray:
        stays = np.logical_and.accumulate((answers == right)[::-1])
        return len(answers) - stays.sum(axis=0)

    wanted, correct = reference(answers, right), answers == right
    found = call_for_array(turned_right, answers, right, shape=right.shape, hint=say.hint)
    if not close(found, wanted):
        first = np.where(correct.any(axis=0), correct.argmax(axis=0), len(answers))
        never = wanted == len(answers)
        mistakes = {
            "first": [first, correct.argmax(axis=0)],
            "count": correct.sum(axis=0),
            "stays": len(answers) - wanted,
            "from 1": wanted + 1,
            "never": [np.where(never, other, wanted) for other in (0, -1, len(answers) - 1)],
        }
        refuse(say, found, mistakes)
    other = np.where(np.arange(8)[:, None] >= [0, 3, 7, 8, 5], "b", "a")
    right_elsewhere(
        turned_right,
        reference,
        {
            "with other answers": (answers[::-1], right),
            "of a longer sleep": (other, np.array(["b"] * 5)),
            "of a single pass": (answers[:2], right),
            "where something else is right": (answers, right[::-1]),
        },
    )


@exercise(WORDS["shortcut"])
def check_shortcut(say: Words, shortcut: Any) -> None:
    """Exercise 4: ``shortcut(sentences, modulus)`` puts the commonest given value for parents."""
    known: dict[str, int] = {}
    for _ in PROBLEM:
        known = _read_once(PROBLEM, known, MODULUS)
    steps = np.array([number for _, _, number in PROBLEM])
    parents = np.array([len(parents) for _, parents, _ in PROBLEM])
    right = np.asarray(_shortcut(PROBLEM, MODULUS))
    found = call_for_array(shortcut, PROBLEM, MODULUS, shape=right.shape, hint=say.hint)
    if not close(found, right):
        common = 3
        alone = np.where(parents > 0, (common + steps) % MODULUS, steps)
        mistakes = {
            "true values": np.array([known[name] for name, _, _ in PROBLEM]),
            "no modulus": steps + common * parents,
            "no step": np.where(parents > 0, (common * parents) % MODULUS, steps),
            "given too": [(steps + common) % MODULUS, (steps + common * parents.clip(1)) % MODULUS],
            "one parent": alone,
            "all numbers": (steps + parents) % MODULUS,  # 1 is the commonest of all numbers
            "mean": (steps + parents * 7 / 3) % MODULUS,
        }
        refuse(say, found, mistakes)
    tie: story.Sentences = [("a", (), 4), ("b", (), 2), ("c", ("a",), 1), ("d", ("c",), 0)]
    found = call_for_array(shortcut, tie, MODULUS, shape=(4,), hint=say.hint)
    say.when(close(found, [4, 2, 0, 4]), "tie")
    right_elsewhere(
        shortcut,
        _shortcut,
        {
            "where two values are equally common": (tie, MODULUS),
            "with another modulus": (PROBLEM, 3),
            "with other sentences": ([("a", (), 0), ("b", ("a",), -1), ("c", ("b", "a"), 0)], 7),
        },
    )


def _commonest(sentences: story.Sentences) -> int:
    given = [number for _, parents, number in sentences if not parents]
    return int(np.bincount(given).argmax())


def _shortcut(sentences: story.Sentences, modulus: int) -> list[int]:
    common = _commonest(sentences)
    return [(number + common * len(parents)) % modulus for _, parents, number in sentences]


@exercise(WORDS["in_a_row"])
def check_in_a_row(say: Words, in_a_row: Any) -> None:
    """Exercise 5: ``in_a_row(sentences, asked, answers, modulus)`` guesses from earlier answers."""
    known: dict[str, int] = {}
    for _ in PROBLEM:
        known = _read_once(PROBLEM, known, MODULUS)
    asked = ["g", "f", "d", "e", "a", "h", "c", "i"]  # a child before its parent; b never
    answers = np.array([known[name] for name in asked])
    found = call_for_array(
        in_a_row, PROBLEM, asked, answers, MODULUS, shape=answers.shape, hint=say.hint
    )

    def of(seen: Callable[[int], dict[str, int]]) -> np.ndarray:
        """Return the guesses of one who has `seen` answers when question i is asked."""
        says = {name: (parents, number) for name, parents, number in PROBLEM}
        guesses = []
        for place, name in enumerate(asked):
            parents, number = says[name]
            values = [seen(place).get(parent, 3) for parent in parents]
            guesses.append((number + sum(values)) % MODULUS)
        return np.array(guesses)

    pairs = list(zip(asked, answers.tolist(), strict=True))
    right = of(lambda place: dict(pairs[:place]))
    if not close(found, right):
        place = {name: number for number, (name, _, _) in enumerate(PROBLEM)}
        alone = np.asarray(_shortcut(PROBLEM, MODULUS))
        guessed = dict(zip((name for name, _, _ in PROBLEM), alone.tolist(), strict=True))
        mistakes = {
            "answers": answers,
            "shortcut": alone[[place[name] for name in asked]],
            "later": of(lambda place: dict(pairs)),
            "last": of(lambda place: dict(pairs[max(0, place - 1) : place])),
            "guesses": of(lambda place: {name: guessed[name] for name in asked[:place]}),
            "order": right[[asked.index(name) for name, _, _ in PROBLEM if name in asked]],
        }
        refuse(say, found, mistakes)
    given = [name for name, parents, _ in PROBLEM if not parents]
    other: story.Sentences = [*PROBLEM[:5], ("d", ("b",), -1), *PROBLEM[6:]]
    right_elsewhere(
        in_a_row,
        _in_a_row,
        {
            "with the questions in another order": (PROBLEM, asked[::-1], answers[::-1], MODULUS),
            "with fewer questions": (PROBLEM, ["e", *given], np.array([1, 3, 1, 3]), MODULUS),
            "with another modulus": (PROBLEM, asked, answers % 3, 3),
            "with other sentences": (other, asked, answers, MODULUS),
            "with other answers": (PROBLEM, asked, (answers + 1) % MODULUS, MODULUS),
        },
    )


def _in_a_row(
    sentences: story.Sentences, asked: list[str], answers: np.ndarray, modulus: int
) -> list[int]:
    says = {name: (parents, number) for name, parents, number in sentences}
    seen: dict[str, int] = {}
    common, guesses = _commonest(sentences), []
    for name, answer in zip(asked, answers, strict=True):
        parents, number = says[name]
        guesses.append(int(number + sum(seen.get(p, common) for p in parents)) % modulus)
        seen[name] = int(answer)
    return guesses
