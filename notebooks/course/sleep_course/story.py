"""A story problem: what it says, what reading it in turn gives, and what a sleep makes of it.

Called by notebook 11; its exercises are in `sleep_course.exercises.story`. A problem is a list of
sentences ``(name, parents, number)``: the value of `name` is `number` plus the values of all
`parents`. A given value has no parents.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import xarray as xr

from sleep_course import inside
from workbench import dims
from workbench.batch import Batch
from workbench.config import SleepConfig
from workbench.instruments.probing.features import (
    fast_weights,
    flattened,
    replayed_weights,
    untrained,
)
from workbench.instruments.probing.folds import Folds, groups_of, split
from workbench.instruments.probing.ridge import Factors, factorise, fit
from workbench.model import HybridModel
from workbench.sleep import wake_now
from workbench.tasks import batch_generator
from workbench.tasks import task as make_task
from workbench.tasks.base import Task
from workbench.tasks.gsm_infinite.reading import read_story
from workbench.tasks.gsm_infinite.wording import as_words
from workbench.trace.answers import said_tokens

MODEL = "variables-any"
"""The bundled model that the notebook puts to sleep."""

STREAM = 1
"""Seed of the problems that the notebook shows."""

Sentence = tuple[str, tuple[str, ...], int]
Sentences = list[Sentence]
Read = Callable[[Sentences, dict[str, int], int], dict[str, int]]


# --- a problem in English ------------------------------------------------------------------------


@dataclass(frozen=True)
class Tale:
    """A word problem: its texts, ``(name, parents)`` of each sentence, and what each is there for.

    Roles are the generator's: "needed", "unnecessary", "noise".
    """

    texts: list[str]
    sentences: list[tuple[str, tuple[str, ...]]]
    roles: list[str]
    asked: str
    answer: str


def tales(count: int) -> list[Tale]:
    """Return word problems from the task GSM-Infinite, with distractors."""
    settings: dict[str, Any] = {"min_operations": 4, "max_operations": 4, "length": 200}
    task = make_task("gsm_infinite", places=4, things=4, totals=0.0, noise="like_core", **settings)
    drawn = task.problems(count, batch_generator(STREAM, 0, "notebook"))  # type: ignore[attr-defined]
    batch = task.sample(count, batch_generator(STREAM, 0, "notebook"))  # the same problems
    found = []
    for example, problem in enumerate(drawn):
        story = read_story(as_words(" ".join(task.typed(batch, example)), digits=False), "farms")
        picture = task.picture(batch, example)
        found.append(
            Tale(
                [item.name for item in picture.items],
                [(sentence.subject, sentence.parents) for sentence in story.sentences],
                [definition.role for definition in problem.definitions],
                picture.queries[0].start,
                picture.queries[0].answer,
            )
        )
    return found


# --- the small problem ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Problem:
    """What one example says and asks.

    `asked` are the names in the order of the questions, `answers` and `depths` theirs.
    """

    sentences: Sentences
    asked: list[str]
    answers: list[int]
    depths: list[int]


def problem_of(task: Task, batch: Batch, example: int) -> Problem:
    """Return an example of the task Variables, read back from its tokens."""
    symbols = [task.vocabulary[token] for token in batch.tokens[example, : task.context_tokens]]
    read = [said for said, _ in task.read(symbols)]  # type: ignore[attr-defined]
    queries = task.picture(batch, example).queries
    return Problem(
        [(said.subject, said.parents, said.number) for said in read if said.subject],
        [query.start for query in queries],
        [int(query.answer) for query in queries],
        [query.difficulty for query in queries],
    )


def in_english(task: Task) -> Task:
    """Return the task that draws the same problems from the same seed, in English sentences."""
    config = task.config
    if getattr(config, "form", "words") != "symbols":
        return task
    return type(task)(config.model_copy(update={"form": "words"}))


def readings(read_once: Read, sentences: Sentences, modulus: int) -> list[dict[str, int]]:
    """Return what is known before a reading, after one, after two ..., until nothing is added."""
    known: list[dict[str, int]] = [{}]
    for _ in sentences:
        known.append(read_once(sentences, known[-1], modulus))
        if len(known[-1]) == len(known[-2]):
            return known[:-1]
    return known


def known_after(
    read_once: Read, problems: list[Problem], modulus: int, *, most: int = 4
) -> np.ndarray:
    """Return which values are known after 0, 1, ... readings: bool ``[example, reading, query]``.

    A value counts as known if it is the right answer.
    """
    found = []
    for problem in problems:
        after = readings(read_once, problem.sentences, modulus)
        after += [after[-1]] * (most + 1 - len(after))
        asked = _asked(problem)
        found.append([[known.get(name) == v for name, v in asked] for known in after[: most + 1]])
    return np.array(found)


def scored(
    guess: Callable[[Sentences, int], Any], problems: list[Problem], modulus: int
) -> np.ndarray:
    """Return which guesses are right, bool ``[example, query]``; a guess for each sentence."""
    found = []
    for problem in problems:
        names = [name for name, _, _ in problem.sentences]
        said = dict(zip(names, guess(problem.sentences, modulus), strict=True))
        found.append([said[name] == v for name, v in _asked(problem)])
    return np.array(found)


def _asked(problem: Problem) -> list[tuple[str, int]]:
    return list(zip(problem.asked, problem.answers, strict=True))


def shares(right: np.ndarray, depth: np.ndarray) -> dict[int, float]:
    """Return the share right at each depth; both are ``[example, query]``."""
    return {int(level): float(right[depth == level].mean()) for level in np.unique(depth)}


def by_place(problems: list[Problem], right: np.ndarray) -> dict[str, float]:
    """Return the share right at depth 2, by whether the parent's sentence comes earlier or later.

    `right` is ``[example, query]``.
    """
    found: dict[str, list[bool]] = {"earlier": [], "later": []}
    for problem, correct in zip(problems, right, strict=True):
        place = {name: number for number, (name, _, _) in enumerate(problem.sentences)}
        parents = {name: parents for name, parents, _ in problem.sentences}
        for name, depth, one in zip(problem.asked, problem.depths, correct, strict=True):
            if depth == 2 and len(parents[name]) == 1:
                first = place[parents[name][0]] < place[name]
                found["earlier" if first else "later"].append(bool(one))
    return {where: float(np.mean(ones)) for where, ones in found.items()}


# --- the sleep -----------------------------------------------------------------------------------


@torch.no_grad()
def woken(
    model: HybridModel, task: Task, batch: Batch, sleep: SleepConfig
) -> tuple[np.ndarray, np.ndarray]:
    """Return what the model answers if it wakes after each pass, and what is right.

    Texts, ``[example, sleep_pass = 0..N, query]`` and ``[example, query]``. Pass 0 is the empty
    memory: the model without the context.
    """
    passes = inside.sleep_passes(model, batch, sleep)
    memories = [model.empty_memory(len(batch)), *(event.memory for event in passes)]
    texts, places = np.array(task.vocabulary), batch.answer_starts()
    said = [said_tokens(wake_now(model, batch, sleep, m, after=0), batch) for m in memories]
    answers = [texts[np.take_along_axis(one, places, axis=1)] for one in (*said, batch.tokens)]
    return np.stack(answers[:-1], axis=1), answers[-1]


# --- what a probe finds --------------------------------------------------------------------------


def probe_values(model: HybridModel, task: Task, batch: Batch, sleep: SleepConfig) -> xr.Dataset:
    """Return how well a linear probe reads values out of S after each pass, by depth.

    One probe a place learns the values of all names, whatever their depth; a test fold that it has
    not seen is scored by depth. ``accuracy (procedure, sleep_pass, difficulty)``, with procedures
    "sleep"; "frozen replay", the writes of pass 1 made again; "shuffled", another problem's values;
    and "untrained", the same model with initial weights, after the last pass alone. Needs a
    context of one window.
    """
    targets = task.probe_targets(batch)
    labels = np.max([target.labels for target in targets], axis=0)  # (example, item)
    depth = np.max([np.where(t.labels >= 0, t.level, -1) for t in targets], axis=0)
    folds = split(groups_of(batch, sleep, targets), 0)
    strange = labels.copy()
    generator = np.random.default_rng(0)
    for fold in folds:
        strange[fold] = labels[generator.permutation(fold)]
    states = fast_weights(model, batch, sleep)
    window, layer = int(states[dims.WINDOW][0]), int(states[dims.LAYER][0])
    passes, levels = states[dims.SLEEP_PASS].values, [target.level for target in targets]
    fresh = fast_weights(untrained(model), batch, sleep)
    sources = (
        (states, {"sleep": labels, "shuffled": strange}, passes[1:]),
        (replayed_weights(model, batch, sleep), {"frozen replay": labels}, passes[1:]),
        (fresh, {"untrained": labels}, passes[-1:]),
    )
    names = (dims.PROCEDURE, dims.SLEEP_PASS, dims.DIFFICULTY)
    procedures = [name for _, wanted, _ in sources for name in wanted]
    coords = {dims.PROCEDURE: procedures, dims.SLEEP_PASS: passes, dims.DIFFICULTY: levels}
    shape = len(procedures), len(passes), len(levels)
    found = xr.DataArray(np.full(shape, np.nan), coords, names)
    for source, wanted, which in sources:
        for sleep_pass in which:
            features = flattened(source, window, int(sleep_pass), layer)
            factors = factorise(features[folds.train])
            seen, new = (factors.project(features[fold]) for fold in folds[1:])
            for procedure, right in wanted.items():
                scores = _by_depth(factors, seen, new, right, depth, folds, levels)
                found.loc[{dims.PROCEDURE: procedure, dims.SLEEP_PASS: sleep_pass}] = scores
    return found.to_dataset(name="accuracy")


def _by_depth(
    factors: Factors,
    seen: np.ndarray,
    new: np.ndarray,
    labels: np.ndarray,
    depth: np.ndarray,
    folds: Folds,
    levels: list[int],
) -> list[float]:
    """Fit a probe of `labels`, choose on the fold `seen`, and return shares right on `new`."""
    classes = int(labels.max()) + 1
    probe = fit(factors, labels[folds.train], classes, seen, labels[folds.validation])
    right = probe.answers(new) == labels[folds.test]
    there = np.where(labels[folds.test] >= 0, depth[folds.test], -1)
    return [float(right[there == level].mean()) for level in levels]
