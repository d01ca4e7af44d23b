"""The questions that recorded sweeps answer: which runs each needs, its table and its figure.

Pure functions over the Dataset of `workbench.lab.results.dataset`, or of `results.final`, which is
then computed once for all questions; the page Findings, the command ``workbench results`` and
``docs/findings.md`` show the same ones. `workbench.figures.lab.questions` draws them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import xarray as xr

from workbench import dims
from workbench.lab import results
from workbench.lab.arms import condition_words
from workbench.lab.results.question_tables import (
    Spent,
    Table,
    against_n,
    comparison,
    first_queries,
    leaking,
    recorded,
    select,
    solved,
    transfer,
    unlike_flops,
    unlike_seconds,
    within,
)
from workbench.lab.results.seeds import Pair
from workbench.lab.results.tables import SOLVED
from workbench.mixers import STANDARD, mixers

SLEEP_1, SLEEP_2, SLEEP_4 = ("sleep", "1"), ("sleep", "2"), ("sleep", "4")
RANDOM = ("random_n", "1-4")
RULES = tuple((f"rule_{name}", "4") for name in mixers() if name != STANDARD)

Limits = Callable[[xr.Dataset, tuple[Pair, ...]], str]


@dataclass(frozen=True)
class Question:
    """What is asked of a sweep.

    - name: of its files and links.
    - title, means: the question; what is compared, and at equal what.
    - conditions: the runs that answer it, in their order.
    - numbers: makes the table that the figure shows, over named dims.
    - figure: name of a function of `workbench.figures`.
    - differences: (first minus second) that belong to the answer, which
      `workbench.lab.results.differences` tests.
    - equalities: those of which the answer says, or might say, that one is as good as the other.
    - any_two: whether any two of the conditions say something; else one is needed that is not
      common to all questions, if it has such.
    - measured: what of the results it is about.
    - spent: what runs are compared by on the way; "" where they are compared at their end.
    - limits: ``limits(data, conditions)`` is what a reader must know of these data, or "".
    """

    name: str
    title: str
    means: str
    conditions: tuple[Pair, ...]
    numbers: Table = comparison
    figure: str = "arm_comparison"
    differences: tuple[tuple[Pair, Pair], ...] = ()
    equalities: tuple[tuple[Pair, Pair], ...] = ()
    any_two: bool = False
    measured: Literal["accuracy", "first"] = "accuracy"
    spent: Spent | Literal[""] = ""
    limits: Limits = lambda data, conditions: ""

    def table(self, data: xr.Dataset) -> xr.Dataset:
        """Return what the figure shows, over named dims; see `answer`."""
        return self.answer(data, results.final(data))

    def answer(self, dataset: xr.Dataset, final: xr.Dataset) -> xr.Dataset:
        """Return the table: from the finished results, or with their steps where it needs them."""
        return self.numbers(dataset if self.spent else final, self.conditions)


BASIC = (SLEEP_1, SLEEP_2, SLEEP_4, RANDOM)
MATCHED = (SLEEP_1, SLEEP_4, ("longer@4", "1"), ("deeper@4", "1"), ("wider@4", "1"))
LOOPED = (SLEEP_1, SLEEP_2, ("wake_loop@2", "1"), SLEEP_4, ("wake_loop@4", "1"))
PARTS = (SLEEP_1, ("rewrite_only", "4"), ("think_only", "4"), SLEEP_4)
BOUNDS = (("no_fast_weights", "4"), SLEEP_1, SLEEP_4, ("sliding", "4"), ("loop_upper", "4"))

SLEEP_0 = ("sleep", "0")
MEMORY = (
    ("never_written", "0"), SLEEP_0, SLEEP_1, SLEEP_2, SLEEP_4, ("deeper@2", "0"),
    ("retained_cache", "0"),
)  # fmt: skip
"""Of windows that are read awake before they are slept on: N = 0 writes S as it reads."""

COSTS = (*BASIC, *MATCHED[2:])
FIRST = (
    *BASIC[:3], *MATCHED[2:], PARTS[1], PARTS[2], LOOPED[2], LOOPED[4], ("retained_cache", "1"),
)  # fmt: skip
ON_THE_WAY = (
    "Evaluations are not counted, models are tested at the N of their training, and a run that has "
    "ended keeps its last value. A run's learning rate falls to zero towards its end: one that is "
    "still training at that moment is judged before that, which puts it at a disadvantage."
)

QUESTIONS: tuple[Question, ...] = (
    Question(
        "equal_tokens",
        "Does more sleep help at equal tokens?",
        "Models trained on the same sequences for the same number of steps, each tested at the N "
        "it was trained with.",
        BASIC[:3],
        against_n,
        "accuracy_against_n",
        ((SLEEP_2, SLEEP_1), (SLEEP_4, SLEEP_2), (SLEEP_4, SLEEP_1)),
    ),
    Question(
        "solved",
        "How difficult a query is solved?",
        f"Solved: at least {SOLVED:.0%} of the queries of a difficulty are answered right, and of "
        "those of every smaller one; for each seed, and 0 where not even the smallest is solved. "
        "The numbers below include 80 % and 95 %, because the result depends on the threshold. An "
        "arm of one pass is shown at the N to which it is matched, and a model of random N at each "
        "N of its training.",
        COSTS,
        solved,
        "largest_solved_against_n",
        any_two=True,
    ),
    Question(
        "equal_flops",
        "Or is it only the compute?",
        "The training FLOPs of N = 4 spent on one pass instead: on longer training, more blocks or "
        "wider blocks.",
        MATCHED,
        differences=tuple((SLEEP_4, other) for other in MATCHED[2:]),
        equalities=((SLEEP_4, MATCHED[3]),),
    ),
    Question(
        "first_query",
        "Does it hold where no earlier answer helps?",
        "Only the first query of each example, an eighth of all with 8 queries. Earlier answers "
        "give away much of a small ring, and the first query has none before it. Each model is "
        "tested at the N it was trained with. Means and intervals; no differences are tested.",
        FIRST,
        first_queries,
        any_two=True,
        measured="first",
    ),
    Question(
        "flops",
        "What does accuracy cost?",
        "Accuracy against the FLOPs of training, each model tested at the N it was trained with, "
        "or the largest.",
        COSTS,
        figure="accuracy_against_flops",
    ),
    Question(
        "seconds",
        "What is learnt in the same time?",
        f"Each run at its last evaluation within so many seconds of training. {ON_THE_WAY}",
        COSTS,
        partial(within, spent="seconds"),
        "accuracy_against_budget",
        spent="seconds",
        limits=unlike_seconds,
    ),
    Question(
        "compute",
        "What is learnt with the same compute, on the way?",
        f"Each run at its last evaluation within so many FLOPs of training. {ON_THE_WAY}",
        COSTS,
        partial(within, spent="training_flops"),
        "accuracy_against_budget",
        spent="training_flops",
    ),
    Question(
        "transfer",
        "What does a model do at an N it was not trained at?",
        "Rows: how it was trained. Columns: the N it slept in the test. Means over seeds. The "
        "model of random N has either the training FLOPs of N = 4, and so more sequences than it, "
        "or as many sequences: its sweep says which.",
        BASIC,
        transfer,
        "transfer_matrix",
        equalities=((RANDOM, SLEEP_4),),
    ),
    Question(
        "parts",
        "Is it the thinking or the writing?",
        "Rewrite only writes N times from features that no pass refined; think only refines them "
        "and keeps only the last pass's writes; sleep does both. At equal tokens, which is not "
        "equal compute.",
        PARTS,
        differences=(
            *((SLEEP_4, part) for part in PARTS[1:3]),
            *((part, SLEEP_1) for part in PARTS[1:3]),
        ),
        limits=unlike_flops,
    ),
    Question(
        "awake",
        "Why not loop when the question comes?",
        "The same number of passes over the queries instead of the context, at the training FLOPs "
        "of sleep. Looping awake multiplies the cost of every answer; sleep does not.",
        LOOPED,
        differences=((SLEEP_2, LOOPED[2]), (SLEEP_4, LOOPED[4])),
        equalities=((SLEEP_2, LOOPED[2]),),
    ),
    Question(
        "rules",
        "Does the update rule matter?",
        "N = 4 with other rules in place of Gated DeltaNet, at equal tokens.",
        (SLEEP_4, *RULES),
        differences=tuple((SLEEP_4, rule) for rule in RULES),
        equalities=((SLEEP_4, RULES[0]), (SLEEP_4, RULES[1])),
    ),
    Question(
        "memory",
        "What does memory gain, and what does sleep add?",
        "Windows that are read awake, for the loss, before they are slept on. Without a memory S "
        "is never written; at N = 0 reading writes it, and no sleep follows; the deeper model "
        "spends the training FLOPs of N = 2 on more blocks and no sleep; with the cache kept, "
        "attention sees everything.",
        MEMORY,
        differences=(
            (SLEEP_0, MEMORY[0]),
            (SLEEP_1, SLEEP_0),
            (SLEEP_2, MEMORY[5]),
            (MEMORY[6], SLEEP_0),
        ),
    ),
    Question(
        "bounds",
        "Between which bounds does this lie?",
        "Without fast weights nothing survives the eviction; sliding eviction keeps the newest "
        "L - 1 tokens; with the cache kept, attention sees everything.",
        (*BOUNDS, ("retained_cache", "1")),
        equalities=(
            *((SLEEP_4, bound) for bound in BOUNDS[3:]),
            (SLEEP_1, ("retained_cache", "1")),
        ),
    ),
)
"""In the order in which they are shown."""


def answerable(data: xr.Dataset) -> list[Question]:
    """Return the questions that the recorded runs say something about.

    At least two of its conditions are recorded; one of them is not common to all questions, unless
    the question has no such condition or says that any two will do.
    """
    found = []
    final = results.final(data)
    for question in QUESTIONS:
        there = recorded(final, question.conditions)
        own = set() if question.any_two else set(question.conditions) - set(BASIC)
        needs = [question.measured, *([question.spent] if question.spent else [])]
        shown = select(final, there) if len(there) > 1 else final
        known = all(bool(shown[name].notnull().any()) for name in needs)
        known &= question.numbers is not solved or not final.attrs["measure"]
        if len(there) > 1 and (not own or own & set(there)) and known:
            found.append(question)
    return found


def answers(dataset: xr.Dataset, final: xr.Dataset) -> list[tuple[Question, xr.Dataset]]:
    """Return the questions that are answered, each with its table.

    A question whose runs were not tested at the N that it asks about is left out. `final` are the
    results of `dataset` at their end (`workbench.lab.results.final`).
    """
    tables = [(question, question.answer(dataset, final)) for question in answerable(final)]
    return [(question, table) for question, table in tables if bool(table["count"].any())]


def unanswered_words(final: xr.Dataset) -> str:
    """Return why no question is answered, in a sentence."""
    ended = final["accuracy"].notnull().any([dims.SEED, dims.N_TEST, dims.DIFFICULTY])
    found = final["words"].where(ended, "").transpose(dims.ARM, dims.N_TRAIN).values.ravel()
    there = "; ".join(str(words) for words in found if words) or "nothing"
    return (
        "No question is answered yet: each compares two arms, or two N, tested at the N of their "
        f"training; finished so far: {there}."
    )


def notes(data: xr.Dataset, question: Question) -> list[str]:
    """Return the notes of a question: the limits of its data, and what is not recorded."""
    final = results.final(data)
    said = [
        f"Not evidence: {words} answers {share:.0%} without the context too. It reads answers from "
        "elsewhere than the memory of the context, and cannot be compared with the others."
        for words, share in leaking(final, question.conditions).values()
    ]
    said += [question.limits(final, question.conditions), missing_words(final, question)]
    return [words for words in said if words]


def missing_words(data: xr.Dataset, question: Question) -> str:
    """Return in words what is not recorded of a question yet; "" where nothing is missing."""
    there = recorded(results.final(data), question.conditions)
    lacking = [condition_words(*pair) for pair in question.conditions if pair not in there]
    return f"Not recorded yet: {'; '.join(lacking)}." if lacking else ""
