"""Checks of the exercises in notebook 11, *A story problem, asleep*."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from sleep_course import story
from sleep_course.exercises.check import (
    Compared,
    Words,
    exercise,
    kind_of,
    lesson,
    name_of,
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


def _needed(sentences: Given, asked: str) -> list[bool]:
    parents, wanted = dict(sentences), {asked}
    for _ in sentences:
        wanted |= {parent for name in wanted for parent in parents[name]}
    return [name in wanted for name, _ in sentences]


def _one_walk(sentences: Given, asked: str) -> list[bool]:
    """Return what one walk over the sentences marks, which misses parents already passed."""
    wanted = {asked}
    for name, parents in sentences:
        wanted |= set(parents) if name in wanted else set()
    return [name in wanted for name, _ in sentences]


def _children(sentences: Given, asked: str) -> list[bool]:
    names = [name for name, _ in sentences]
    return [_needed(sentences, name)[names.index(asked)] for name in names]


CHAIN: Given = [(name, parents) for name, parents, _ in PROBLEM]

# exercise 1: needed(sentences, asked) marks the sentences that lead to the answer
check_needed = Compared(
    WORDS["needed"],
    _needed,
    (CHAIN, "e"),
    mistakes={
        "alone": lambda sentences, asked: [n == asked for n, _ in sentences],
        "near": lambda sentences, asked: [
            n == asked or n in dict(sentences)[asked] for n, _ in sentences
        ],
        "not asked": lambda sentences, asked: [
            mark and n != asked
            for mark, (n, _) in zip(_needed(sentences, asked), sentences, strict=True)
        ],
        "in order": _one_walk,
        "upside down": lambda sentences, asked: [not mark for mark in _needed(sentences, asked)],
        "children": _children,
    },
    traits={"numbers": lambda found, right: not np.isin(found, (0, 1)).all()},
    elsewhere={
        "with another question": (CHAIN, "h"),
        "about a given value": (CHAIN, "c"),
        "with the sentences in another order": (CHAIN[::-1], "d"),
        "with more parents": (MORE_PARENTS, "y"),
    },
)


@exercise(WORDS["read_once"])
def check_read_once(say: Words, read_once: Any) -> None:
    """Exercise 2: ``read_once(sentences, known, modulus)`` adds what one reading works out."""

    def given(
        sentences: story.Sentences, known: Mapping[str, float], modulus: int
    ) -> dict[str, float]:
        result = say.call(read_once, sentences, known, modulus)
        say.when(not isinstance(result, dict), "no dictionary", kind=kind_of(result))
        strange = [name for name in result if name not in {n for n, *_ in sentences}]
        say.when(strange, "strange", who=repr(strange[:1])[1:-1][:30])
        values = say.array_of(list(result.values()), name=name_of(read_once), shape=None)
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


def _turned_right(answers: np.ndarray, right: np.ndarray) -> np.ndarray:
    stays = np.logical_and.accumulate((answers == right)[::-1])
    return len(answers) - stays.sum(axis=0)


def _first_right(answers: np.ndarray, right: np.ndarray) -> np.ndarray:
    return (answers == right).argmax(axis=0)


def _or_else(other: Callable[[int], int]) -> Callable[..., np.ndarray]:
    """Return an answer that has another number where the last answer is wrong."""

    def turned(answers: np.ndarray, right: np.ndarray) -> np.ndarray:
        found = _turned_right(answers, right)
        return np.where(found == len(answers), other(len(answers)), found)

    return turned


RIGHT = np.array(list("302140"))
ANSWERS = np.array([list(line) for line in ("102121", "301142", "302110", "304113", "302243")])
LATE = np.where(np.arange(8)[:, None] >= [0, 3, 7, 8, 5], "b", "a")

# exercise 3: turned_right(answers, right), the pass from which each answer stays right; N + 1
# where the last one is wrong
check_turned_right = Compared(
    WORDS["turned_right"],
    _turned_right,
    (ANSWERS, RIGHT),
    mistakes={
        "first": [
            _first_right,
            lambda answers, right: np.where(
                (answers == right).any(axis=0), _first_right(answers, right), len(answers)
            ),
        ],
        "count": lambda answers, right: (answers == right).sum(axis=0),
        "stays": lambda answers, right: len(answers) - _turned_right(answers, right),
        "from 1": lambda answers, right: _turned_right(answers, right) + 1,
        "never": [_or_else(lambda n: 0), _or_else(lambda n: -1), _or_else(lambda n: n - 1)],
    },
    elsewhere={
        "with other answers": (ANSWERS[::-1], RIGHT),
        "of a longer sleep": (LATE, np.array(["b"] * 5)),
        "of a single pass": (ANSWERS[:2], RIGHT),
        "where something else is right": (ANSWERS, RIGHT[::-1]),
    },
)


def _given(sentences: story.Sentences) -> list[int]:
    return [number for _, parents, number in sentences if not parents]


def _commonest(sentences: story.Sentences) -> int:
    return int(np.bincount(_given(sentences)).argmax())


def _of_all_numbers(sentences: story.Sentences) -> int:
    numbers = [number % MODULUS for *_, number in sentences]
    return int(np.bincount(numbers).argmax())


def _mean(sentences: story.Sentences) -> float:
    return float(np.mean(_given(sentences)))


def _shortcut(
    sentences: story.Sentences,
    modulus: int,
    common: Callable[[story.Sentences], float] = _commonest,
    step: int = 1,
    most: int = 9,
) -> list[float]:
    """Return the guesses, or what is left of them when a step of it is done wrong."""
    value = common(sentences)
    return [
        (number * (step if parents else 1) + value * min(len(parents), most)) % modulus
        for _, parents, number in sentences
    ]


def _given_too(sentences: story.Sentences, modulus: int, most: int = 1) -> list[int]:
    value = _commonest(sentences)
    return [(n + value * min(max(len(p), 1), most)) % modulus for _, p, n in sentences]


def _true_values(sentences: story.Sentences, modulus: int) -> list[int]:
    known: dict[str, int] = {}
    for _ in sentences:
        known = _read_once(sentences, known, modulus)
    return [known[name] for name, *_ in sentences]


TIE: story.Sentences = [("a", (), 4), ("b", (), 2), ("c", ("a",), 1), ("d", ("c",), 0)]

# exercise 4: shortcut(sentences, modulus) puts the commonest given value for parents
check_shortcut = Compared(
    WORDS["shortcut"],
    _shortcut,
    (PROBLEM, MODULUS),
    mistakes={
        "true values": _true_values,
        "no modulus": lambda sentences, modulus: _shortcut(sentences, 1000),
        "no step": partial(_shortcut, step=0),
        "given too": [_given_too, partial(_given_too, most=9)],
        "one parent": partial(_shortcut, most=1),
        "all numbers": partial(_shortcut, common=_of_all_numbers),
        "mean": partial(_shortcut, common=_mean),
    },
    elsewhere={
        "with another modulus": (PROBLEM, 3),
        "with other sentences": ([("a", (), 0), ("b", ("a",), -1), ("c", ("b", "a"), 0)], 7),
        "tie": (TIE, MODULUS),
    },
)


def _in_a_row(
    sentences: story.Sentences,
    asked: list[str],
    answers: np.ndarray,
    modulus: int,
    seen: Callable[[list[Any], int], list[Any]] = lambda pairs, place: pairs[:place],
) -> list[int]:
    """Return the guesses of one who has `seen` of the (name, answer) when a question is asked."""
    says = {name: (parents, number) for name, parents, number in sentences}
    pairs = list(zip(asked, map(int, answers), strict=True))
    common, guesses = _commonest(sentences), []
    for place, name in enumerate(asked):
        known, (parents, number) = dict(seen(pairs, place)), says[name]
        guesses.append((number + sum(known.get(p, common) for p in parents)) % modulus)
    return guesses


def _from_guesses(
    sentences: story.Sentences, asked: list[str], answers: np.ndarray, modulus: int
) -> list[int]:
    guess = dict(zip((n for n, *_ in sentences), _shortcut(sentences, modulus), strict=True))
    return _in_a_row(sentences, asked, np.array([guess[name] for name in asked]), modulus)


def _in_order_of_sentences(
    sentences: story.Sentences, asked: list[str], answers: np.ndarray, modulus: int
) -> list[int]:
    guess = dict(zip(asked, _in_a_row(sentences, asked, answers, modulus), strict=True))
    return [guess[name] for name, *_ in sentences if name in guess]


ASKED = list("gfdeahci")  # a child before its parent; b never
TRUE = dict(zip((n for n, *_ in PROBLEM), _true_values(PROBLEM, MODULUS), strict=True))
TOLD = np.array([TRUE[name] for name in ASKED])
OTHER: story.Sentences = [*PROBLEM[:5], ("d", ("b",), -1), *PROBLEM[6:]]

# exercise 5: in_a_row(sentences, asked, answers, modulus) guesses from earlier answers
check_in_a_row = Compared(
    WORDS["in_a_row"],
    _in_a_row,
    (PROBLEM, ASKED, TOLD, MODULUS),
    mistakes={
        "answers": lambda sentences, asked, answers, modulus: answers,
        "shortcut": partial(_in_a_row, seen=lambda pairs, place: []),
        "later": partial(_in_a_row, seen=lambda pairs, place: pairs),
        "last": partial(_in_a_row, seen=lambda pairs, place: pairs[:place][-1:]),
        "guesses": _from_guesses,
        "order": _in_order_of_sentences,
    },
    elsewhere={
        "with the questions in another order": (PROBLEM, ASKED[::-1], TOLD[::-1], MODULUS),
        "with fewer questions": (PROBLEM, list("eafc"), np.array([1, 3, 1, 3]), MODULUS),
        "with another modulus": (PROBLEM, ASKED, TOLD % 3, 3),
        "with other sentences": (OTHER, ASKED, TOLD, MODULUS),
        "with other answers": (PROBLEM, ASKED, (TOLD + 1) % MODULUS, MODULUS),
    },
)
