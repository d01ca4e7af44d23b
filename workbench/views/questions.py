"""The questions that recorded sweeps answer: which runs each needs, its table and its figure.

Pure functions over the Dataset of `workbench.lab.results.dataset`; the results app, the command
``workbench results`` and ``docs/findings.md`` show the same ones. Imports no Panel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import xarray as xr

from workbench import dims, figures
from workbench.figures.theme import Theme
from workbench.lab import results
from workbench.lab.arms import ARMS
from workbench.lab.tables import conditions, with_n_test

if TYPE_CHECKING:
    import plotly.graph_objects as go

Pair = tuple[str, str]
"""Arm, as `results.arm_name` writes it, and its N of training."""

SLEEP_1, SLEEP_2, SLEEP_4 = ("sleep", "1"), ("sleep", "2"), ("sleep", "4")
RANDOM = ("random_n", "1-4")
RULES = tuple(
    (f"rule_{kind}", "4")
    for kind in ("delta", "delta_negative", "mamba2", "linear_attention", "jet")
)


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
        Paired differences (first minus second) that belong to the answer.
    """

    name: str
    title: str
    means: str
    conditions: tuple[Pair, ...]
    table: Callable[[xr.Dataset], xr.Dataset]
    draw: Callable[[xr.Dataset, Theme], go.Figure]
    differences: tuple[tuple[Pair, Pair], ...] = ()


def recorded(dataset: xr.Dataset, pairs: Sequence[Pair]) -> list[Pair]:
    """Return those of `pairs` that have a finished run, in the order given."""
    measured = results.final(dataset)["accuracy"].notnull()
    finished = measured.any([dims.SEED, dims.N_TEST, dims.DIFFICULTY])
    arms, trained = dataset[dims.ARM].values.tolist(), dataset[dims.N_TRAIN].values.tolist()
    return [
        (arm, n)
        for arm, n in pairs
        if arm in arms and n in trained and bool(finished.sel({dims.ARM: arm, dims.N_TRAIN: n}))
    ]


def select(dataset: xr.Dataset, pairs: Sequence[Pair]) -> xr.Dataset:
    """Return the finished results of `pairs` over (condition, seed, n_test, difficulty)."""
    found = conditions(results.final(dataset))
    names = list(zip(found[dims.ARM].values, found[dims.N_TRAIN].values, strict=True))
    return found.isel({dims.CONDITION: [names.index(pair) for pair in recorded(dataset, pairs)]})


def differences(dataset: xr.Dataset, question: Question) -> list[tuple[str, xr.Dataset]]:
    """Return each paired difference of a question in words, with mean, interval and count.

    Returns
    -------
    list of (str, Dataset)
        ``mean, low, high, count`` over difficulty; pairs without recorded runs are left out.
    """
    there = recorded(dataset, question.conditions)
    found = []
    for first, second in question.differences:
        if first in there and second in there:
            tested = with_n_test(select(dataset, (first, second)))
            words = " minus ".join(str(w) for w in tested[dims.CONDITION].values)
            found.append((words, results.difference(tested["accuracy"], first, second)))
    return found


def comparison(pairs: tuple[Pair, ...]) -> Callable[[xr.Dataset], xr.Dataset]:
    """Return the table of conditions, each tested at the N of its training: mean and interval."""

    def table(dataset: xr.Dataset) -> xr.Dataset:
        tested = with_n_test(select(dataset, pairs))
        summary = results.over_seeds(tested["accuracy"])
        summary["training_flops"] = tested["training_flops"].mean(dims.SEED)
        for name in ("sleep_flops", "wake_flops"):
            summary[name] = tested[name]
        return _with_chance(summary, dataset)

    return table


def against_n(pairs: tuple[Pair, ...]) -> Callable[[xr.Dataset], xr.Dataset]:
    """Return the table of accuracy over (arm, passes, difficulty)."""

    def table(dataset: xr.Dataset) -> xr.Dataset:
        there = recorded(dataset, pairs)
        arms = list(dict.fromkeys(arm for arm, _ in there))
        accuracy = results.final(dataset)["accuracy"].sel({dims.ARM: arms})
        accuracy = accuracy.sel({dims.N_TRAIN: list(dict.fromkeys(n for _, n in there))})
        found = results.against_n(accuracy)
        trained = found[dims.PASSES] <= 4  # beyond it is the question of transfer
        return _with_chance(results.over_seeds(found.isel({dims.PASSES: trained.values})), dataset)

    return table


def transfer(pairs: tuple[Pair, ...]) -> Callable[[xr.Dataset], xr.Dataset]:
    """Return the table of accuracy over (condition, n_test, difficulty)."""

    def table(dataset: xr.Dataset) -> xr.Dataset:
        summary = results.over_seeds(select(dataset, pairs)["accuracy"])
        return _with_chance(summary, dataset)

    return table


def _with_chance(summary: xr.Dataset, dataset: xr.Dataset) -> xr.Dataset:
    return summary.assign(chance=dataset["chance"]).assign_attrs(
        difficulty=dataset.attrs["difficulty"]
    )


def _draw_comparison(table: xr.Dataset, theme: Theme) -> go.Figure:
    return figures.arm_comparison(
        table,
        difficulty_name=table.attrs["difficulty"],
        equal="(share of answers right)",
        chance=table["chance"],
        theme=theme,
    )


def _draw_against_n(table: xr.Dataset, theme: Theme) -> go.Figure:
    return figures.accuracy_against_n(
        table, difficulty_name=table.attrs["difficulty"], chance=table["chance"], theme=theme
    )


def _draw_transfer(table: xr.Dataset, theme: Theme) -> go.Figure:
    return figures.transfer_matrix(
        table["mean"], difficulty_name=table.attrs["difficulty"], theme=theme
    )


def _draw_flops(table: xr.Dataset, theme: Theme) -> go.Figure:
    return figures.accuracy_against_flops(
        table,
        table["training_flops"],
        difficulty_name=table.attrs["difficulty"],
        chance=table["chance"],
        theme=theme,
    )


def _compared(
    name: str, title: str, means: str, pairs: tuple[Pair, ...], *against: tuple[Pair, Pair]
) -> Question:
    return Question(name, title, means, pairs, comparison(pairs), _draw_comparison, against)


BASIC = (SLEEP_1, SLEEP_2, SLEEP_4, RANDOM)
MATCHED = (SLEEP_1, SLEEP_4, ("longer@4", "1"), ("deeper@4", "1"), ("wider@4", "1"))
LOOPED = (SLEEP_1, SLEEP_2, ("wake_loop@2", "1"), SLEEP_4, ("wake_loop@4", "1"))
PARTS = (SLEEP_1, ("rewrite_only", "4"), ("think_only", "4"), SLEEP_4)
BOUNDS = (("no_fast_weights", "4"), SLEEP_1, SLEEP_4, ("sliding", "4"), ("loop_upper", "4"))

QUESTIONS: tuple[Question, ...] = (
    Question(
        "equal_tokens",
        "Does more sleep help at equal tokens?",
        "Models trained on the same sequences for the same number of steps, each tested at the N "
        "it was trained with.",
        BASIC[:3],
        against_n(BASIC[:3]),
        _draw_against_n,
        ((SLEEP_2, SLEEP_1), (SLEEP_4, SLEEP_2), (SLEEP_4, SLEEP_1)),
    ),
    _compared(
        "equal_flops",
        "Or is it only the compute?",
        "The training FLOPs of N = 4 spent on one pass instead: for longer, on more blocks, on "
        "wider blocks.",
        MATCHED,
        *((SLEEP_4, other) for other in MATCHED[2:]),
    ),
    Question(
        "flops",
        "What does accuracy cost?",
        "Accuracy against the FLOPs of training, each model tested at the N it was trained with, "
        "or the largest.",
        (*BASIC, *MATCHED[2:]),
        comparison((*BASIC, *MATCHED[2:])),
        _draw_flops,
    ),
    Question(
        "transfer",
        "What does a model do at an N it was not trained at?",
        "Rows: how it was trained. Columns: the N it slept in the test. Means over seeds. The "
        "model of random N had the training FLOPs of N = 4, and so a third more sequences.",
        BASIC,
        transfer(BASIC),
        _draw_transfer,
    ),
    _compared(
        "parts",
        "Is it the thinking or the writing?",
        "Rewrite only writes N times from features that no pass refined; think only refines them "
        "and keeps the last pass's writes alone; sleep does both. At equal tokens.",
        PARTS,
        (SLEEP_4, PARTS[1]),
        (SLEEP_4, PARTS[2]),
    ),
    _compared(
        "awake",
        "Why not loop when the question comes?",
        "The same number of passes over the queries instead of the context, at the training FLOPs "
        "of sleep. Looping awake multiplies what every answer costs; sleep does not.",
        LOOPED,
        (SLEEP_2, LOOPED[2]),
        (SLEEP_4, LOOPED[4]),
    ),
    _compared(
        "rules",
        "Does the update rule matter?",
        "N = 4 with other rules in the place of Gated DeltaNet, at equal tokens.",
        (SLEEP_4, *RULES),
        *((SLEEP_4, rule) for rule in RULES),
    ),
    _compared(
        "bounds",
        "Between which bounds does this lie?",
        "Without fast weights nothing survives the eviction; sliding eviction keeps the newest "
        "L - 1 tokens; with the cache kept, attention sees everything.",
        (*BOUNDS, ("retained_cache", "1")),
    ),
)
"""In the order in which they are told."""


def answerable(dataset: xr.Dataset) -> list[Question]:
    """Return the questions that the recorded runs say something about.

    At least two conditions are recorded, and one that is not common to all questions, if there is
    one in the question.
    """
    found = []
    for question in QUESTIONS:
        there = recorded(dataset, question.conditions)
        own = set(question.conditions) - set(BASIC)
        if len(there) > 1 and (not own or own & set(there)):
            found.append(question)
    return found


def missing_words(dataset: xr.Dataset, question: Question) -> str:
    """Return in words what is not recorded of a question yet; "" where nothing is missing."""
    there = recorded(dataset, question.conditions)
    lacking = [_words(pair) for pair in question.conditions if pair not in there]
    return f"Not recorded yet: {', '.join(lacking)}." if lacking else ""


def _words(pair: Pair) -> str:
    name, _, matched = pair[0].partition("@")
    title = ARMS[name].title
    if matched:
        return f"{title} (matched to N = {matched})"
    return f"{title}, N = {pair[1]}"
