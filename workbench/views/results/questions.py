"""The questions that recorded sweeps answer: which runs each needs, its table and its figure.

Pure functions over the Dataset of `workbench.lab.results.dataset`, or of `results.final`, which is
then computed once for all questions; the results app, the command ``workbench results`` and
``docs/findings.md`` show the same ones. Imports no Panel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import xarray as xr

from workbench import dims
from workbench.figures.theme import Theme
from workbench.lab import results
from workbench.lab.arms import ARMS
from workbench.lab.results.tables import SOLVED
from workbench.mixers import STANDARD, mixers
from workbench.views.results.question_tables import (
    Pair,
    Spent,
    Table,
    against_n,
    comparison,
    draw_against_n,
    draw_comparison,
    draw_flops,
    draw_solved,
    draw_transfer,
    draw_within,
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

if TYPE_CHECKING:
    import plotly.graph_objects as go

SLEEP_1, SLEEP_2, SLEEP_4 = ("sleep", "1"), ("sleep", "2"), ("sleep", "4")
RANDOM = ("random_n", "1-4")
RULES = tuple((f"rule_{name}", "4") for name in mixers() if name != STANDARD)


@dataclass(frozen=True)
class Question:
    """What is asked of a sweep.

    Attributes
    ----------
    name : str
        Of its files and links.
    title : str
        The question.
    means : str
        What is compared, and at equal what.
    conditions : tuple of (arm, n_train)
        The runs that answer it, in their order.
    table : callable
        ``table(dataset) -> Dataset``: what the figure shows, over named dims.
    draw : callable
        ``draw(table, theme) -> Figure``.
    differences : tuple of pairs of conditions
        Differences (first minus second) that belong to the answer;
        `workbench.views.results.differences` tests them.
    equalities : tuple of pairs of conditions
        Those of which the answer says, or might say, that one is as good as the other.
    any_two : bool
        Whether any two of the conditions say something; else one is needed that is not common to
        all questions, if it has such.
    measured : {"accuracy", "first"}
        What of the results it is about.
    spent : {"", "seconds", "training_flops"}
        What runs are compared by on the way; "" where they are compared at their end.
    limits : callable
        ``limits(data, conditions) -> str``: what a reader must know of these data, or "".
    """

    name: str
    title: str
    means: str
    conditions: tuple[Pair, ...]
    table: Table
    draw: Callable[[xr.Dataset, Theme], go.Figure]
    differences: tuple[tuple[Pair, Pair], ...] = ()
    equalities: tuple[tuple[Pair, Pair], ...] = ()
    any_two: bool = False
    measured: Literal["accuracy", "first"] = "accuracy"
    spent: Spent | Literal[""] = ""
    limits: Callable[[xr.Dataset, tuple[Pair, ...]], str] = lambda data, conditions: ""

    def answer(self, dataset: xr.Dataset, final: xr.Dataset) -> xr.Dataset:
        """Return the table: from the finished results, or with their steps where it needs them."""
        return self.table(dataset if self.spent else final)


def _compared(
    name: str,
    title: str,
    means: str,
    pairs: tuple[Pair, ...],
    *against: tuple[Pair, Pair],
    equal: tuple[tuple[Pair, Pair], ...] = (),
    limits: Callable[[xr.Dataset, tuple[Pair, ...]], str] = lambda data, conditions: "",
) -> Question:
    return Question(
        name, title, means, pairs, comparison(pairs), draw_comparison, against, equal, limits=limits
    )


BASIC = (SLEEP_1, SLEEP_2, SLEEP_4, RANDOM)
MATCHED = (SLEEP_1, SLEEP_4, ("longer@4", "1"), ("deeper@4", "1"), ("wider@4", "1"))
LOOPED = (SLEEP_1, SLEEP_2, ("wake_loop@2", "1"), SLEEP_4, ("wake_loop@4", "1"))
PARTS = (SLEEP_1, ("rewrite_only", "4"), ("think_only", "4"), SLEEP_4)
BOUNDS = (("no_fast_weights", "4"), SLEEP_1, SLEEP_4, ("sliding", "4"), ("loop_upper", "4"))

COSTS = (*BASIC, *MATCHED[2:])
FIRST = (
    *BASIC[:3], *MATCHED[2:], PARTS[1], PARTS[2], LOOPED[2], LOOPED[4], ("retained_cache", "1"),
)  # fmt: skip
ON_THE_WAY = (
    "Evaluations are not counted, the N of training is tested, and a run that has ended keeps what "
    "it had. A run's rate falls to zero towards its own end: one that still trains at that moment "
    "is judged before that, at a disadvantage."
)

QUESTIONS: tuple[Question, ...] = (
    Question(
        "equal_tokens",
        "Does more sleep help at equal tokens?",
        "Models trained on the same sequences for the same number of steps, each tested at the N "
        "it was trained with.",
        BASIC[:3],
        against_n(BASIC[:3]),
        draw_against_n,
        ((SLEEP_2, SLEEP_1), (SLEEP_4, SLEEP_2), (SLEEP_4, SLEEP_1)),
    ),
    Question(
        "solved",
        "How difficult a query is solved?",
        f"Solved: at least {SOLVED:.0%} of the queries of a difficulty are answered right, and of "
        "those of every smaller one; seed by seed, 0 where not even the smallest is solved. The "
        "numbers below have 80 % and 95 % as well: what counts as solved depends on it. An arm of "
        "one pass stands at the N to which it is matched, and one model of random N at each N of "
        "its training.",
        COSTS,
        solved(COSTS),
        draw_solved,
        any_two=True,
    ),
    _compared(
        "equal_flops",
        "Or is it only the compute?",
        "The training FLOPs of N = 4 spent on one pass instead: for longer, on more blocks, on "
        "wider blocks.",
        MATCHED,
        *((SLEEP_4, other) for other in MATCHED[2:]),
        equal=((SLEEP_4, MATCHED[3]),),
    ),
    Question(
        "first_query",
        "Does it hold where no earlier answer helps?",
        "The first query of each example alone, an eighth of all with 8 queries. Earlier answers "
        "give much of a small ring away, and the first query has none before it. Each model is "
        "tested at the N it was trained with. Means and intervals; no differences are tested.",
        FIRST,
        first_queries(FIRST),
        draw_comparison,
        any_two=True,
        measured="first",
    ),
    Question(
        "flops",
        "What does accuracy cost?",
        "Accuracy against the FLOPs of training, each model tested at the N it was trained with, "
        "or the largest.",
        COSTS,
        comparison(COSTS),
        draw_flops,
    ),
    Question(
        "seconds",
        "What is learnt in the same time?",
        f"Each run at its last evaluation within so many seconds of training. {ON_THE_WAY}",
        COSTS,
        within(COSTS, "seconds"),
        draw_within,
        spent="seconds",
        limits=unlike_seconds,
    ),
    Question(
        "compute",
        "What is learnt with the same compute, on the way?",
        f"Each run at its last evaluation within so many FLOPs of training. {ON_THE_WAY}",
        COSTS,
        within(COSTS, "training_flops"),
        draw_within,
        spent="training_flops",
    ),
    Question(
        "transfer",
        "What does a model do at an N it was not trained at?",
        "Rows: how it was trained. Columns: the N it slept in the test. Means over seeds. The "
        "model of random N had the training FLOPs of N = 4, and so more sequences than it.",
        BASIC,
        transfer(BASIC),
        draw_transfer,
        equalities=((RANDOM, SLEEP_4),),
    ),
    _compared(
        "parts",
        "Is it the thinking or the writing?",
        "Rewrite only writes N times from features that no pass refined; think only refines them "
        "and keeps the last pass's writes alone; sleep does both. At equal tokens, which is not "
        "equal compute.",
        PARTS,
        (SLEEP_4, PARTS[1]),
        (SLEEP_4, PARTS[2]),
        (PARTS[1], SLEEP_1),
        (PARTS[2], SLEEP_1),
        limits=unlike_flops,
    ),
    _compared(
        "awake",
        "Why not loop when the question comes?",
        "The same number of passes over the queries instead of the context, at the training FLOPs "
        "of sleep. Looping awake multiplies what every answer costs; sleep does not.",
        LOOPED,
        (SLEEP_2, LOOPED[2]),
        (SLEEP_4, LOOPED[4]),
        equal=((SLEEP_2, LOOPED[2]),),
    ),
    _compared(
        "rules",
        "Does the update rule matter?",
        "N = 4 with other rules in the place of Gated DeltaNet, at equal tokens.",
        (SLEEP_4, *RULES),
        *((SLEEP_4, rule) for rule in RULES),
        equal=((SLEEP_4, RULES[0]), (SLEEP_4, RULES[1])),
    ),
    _compared(
        "bounds",
        "Between which bounds does this lie?",
        "Without fast weights nothing survives the eviction; sliding eviction keeps the newest "
        "L - 1 tokens; with the cache kept, attention sees everything.",
        (*BOUNDS, ("retained_cache", "1")),
        equal=(
            (SLEEP_4, BOUNDS[3]),
            (SLEEP_4, BOUNDS[4]),
            (SLEEP_1, ("retained_cache", "1")),
        ),
    ),
)
"""In the order in which they are told."""


def answerable(data: xr.Dataset) -> list[Question]:
    """Return the questions that the recorded runs say something about.

    At least two of its conditions are recorded, and one that is not common to all questions, where
    it has such and does not say that any two will do.
    """
    found = []
    final = results.final(data)
    for question in QUESTIONS:
        there = recorded(final, question.conditions)
        own = set() if question.any_two else set(question.conditions) - set(BASIC)
        needs = [question.measured, *([question.spent] if question.spent else [])]
        shown = select(final, there) if len(there) > 1 else final
        known = all(bool(shown[name].notnull().any()) for name in needs)
        if len(there) > 1 and (not own or own & set(there)) and known:
            found.append(question)
    return found


def answers(dataset: xr.Dataset, final: xr.Dataset) -> list[tuple[Question, xr.Dataset]]:
    """Return the questions that are answered, each with its table.

    A question whose runs were not tested at the N that it asks about is left out.

    Parameters
    ----------
    dataset, final : Dataset
        The results, and the same at their end (`workbench.lab.results.final`).
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
    """Return what stands below a question: the limits of its data, and what is not recorded."""
    said = [
        f"Not evidence: {words} answers {share:.0%} without the context too. It reads answers from "
        "elsewhere than the memory of the context, and cannot be compared with the others."
        for words, share in leaking(data, question.conditions).values()
    ]
    said += [question.limits(data, question.conditions), missing_words(data, question)]
    return [words for words in said if words]


def missing_words(data: xr.Dataset, question: Question) -> str:
    """Return in words what is not recorded of a question yet; "" where nothing is missing."""
    there = recorded(data, question.conditions)
    lacking = [_words(pair) for pair in question.conditions if pair not in there]
    return f"Not recorded yet: {'; '.join(lacking)}." if lacking else ""


def _words(pair: Pair) -> str:
    name, _, matched = pair[0].partition("@")
    title = ARMS[name].title
    if matched:
        return f"{title} (matched to N = {matched})"
    return f"{title}, N = {pair[1]}"
