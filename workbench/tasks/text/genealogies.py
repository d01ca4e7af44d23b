"""Genealogies: who begat whom, in sentences, and questions 1, 2 and 3 generations back.

Layout of an example; every question is read alone (`Batch.isolated`)::

    Adam begat Seth . Seth begat Enos . ... | grandfather Enos Adam | father Seth Adam | ...
    context                                 | queries: how far, of whom, and the answer
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import replace
from functools import lru_cache
from random import Random
from typing import ClassVar, Literal, NamedTuple, Self

import numpy as np
from pydantic import Field, model_validator

from workbench.batch import Batch
from workbench.errors import WorkbenchError
from workbench.task_config import TaskConfig
from workbench.tasks.base import ChanceLine, Task, check_room, log_orders, python_random
from workbench.tasks.layout import Layout
from workbench.tasks.phrases import counted, shortened
from workbench.tasks.pictures import Item, Query, Sentences
from workbench.tasks.targets import ProbeTarget
from workbench.tasks.text.names import random_name

PAD, BEGAT, STOP = "PAD", "begat", "."
RELATIONS = ("father", "grandfather", "great-grandfather")
SENTENCE, QUERY = 4, 3
"""Tokens of each."""
MOST_NAMES = 200
PROBLEMS = 2000
"""Genealogies on which the measured chance line rests."""


@lru_cache(maxsize=1)
def _names() -> tuple[str, ...]:
    random, found = Random(0), dict[str, None]()
    while len(found) < MOST_NAMES:
        found[random_name(random, found)] = None
    return tuple(found)


class GenealogiesConfig(TaskConfig):
    """Who begat whom, and who was whose grandfather: steps that only a sleep can take.

    Attributes
    ----------
    people : int
        People of a genealogy; each but the first has a father in it.
    names : int
        Names that they are drawn from, a new assignment for every genealogy.
    max_steps : int
        Generations back that are asked, at most: 1 is the father, 3 the great-grandfather.
    deepest : float
        Chance that a father is the one born last, not just anyone.
    queries : int
        Questions about a genealogy, each read alone.
    order : {"fathers_first", "shuffled"}
        Order of the sentences: a father's own comes before those about his sons; or any order.
    """

    common: ClassVar[tuple[str, ...]] = ("people", "max_steps", "queries", "order")

    name: Literal["genealogies"] = "genealogies"
    people: int = Field(9, ge=3, le=MOST_NAMES)
    names: int = Field(24, ge=3, le=MOST_NAMES)
    max_steps: int = Field(3, ge=1, le=len(RELATIONS))
    deepest: float = Field(0.7, ge=0, le=1)
    queries: int = Field(9, ge=1, le=200)
    order: Literal["fathers_first", "shuffled"] = "fathers_first"

    @model_validator(mode="after")
    def _enough_names(self) -> Self:
        if self.people > self.names:
            raise ValueError(f"people {self.people} must be at most names {self.names}")
        return self


class Genealogy(NamedTuple):
    """One example: sentences (father, son) in order, and questions (steps, of whom)."""

    told: list[tuple[str, str]]
    asked: list[tuple[int, str]]


class Genealogies(Task):
    """The task Genealogies; see `workbench.tasks.base.Task` for the methods' contract."""

    name = "genealogies"
    title = "Genealogies: fathers of fathers"
    difficulty_name, unit, item = "steps", "step", "person"
    query_form = "relation name"
    Config = GenealogiesConfig
    config: GenealogiesConfig

    def __init__(self, config: GenealogiesConfig) -> None:
        self.config = config
        self.names = _names()[: config.names]
        self.vocabulary = (PAD, BEGAT, STOP, *RELATIONS, *self.names)
        self._ids = {symbol: number for number, symbol in enumerate(self.vocabulary)}
        self.difficulties = tuple(range(1, config.max_steps + 1))
        self.context_tokens = SENTENCE * (config.people - 1)
        self.query_tokens = QUERY * config.queries

    def sample(self, count: int, generator: np.random.Generator) -> Batch:
        """Draw genealogies; tokens [example, token]."""
        check_room(self, count)
        random = python_random(generator)
        return self._laid_out([self._draw(random) for _ in range(count)])

    def _draw(self, random: Random) -> Genealogy:
        config = self.config
        names = random.sample(self.names, config.people)
        lines = {names[0]: [names[0]]}  # of each person: himself, father, grandfather, ...
        told = []
        for last, son in zip(names, names[1:], strict=False):
            father = last if random.random() < config.deepest else random.choice(list(lines))
            told.append((father, son))
            lines[son] = [son, *lines[father]][: len(RELATIONS) + 1]
        pairs = {
            step: random.sample(found, len(found))
            for step in self.difficulties
            if (found := [name for name, line in lines.items() if len(line) > step])
        }
        asked: list[tuple[int, str]] = []
        while pairs and len(asked) < config.queries:
            step = random.choice(list(pairs))
            asked.append((step, pairs[step].pop()))
            if not pairs[step]:
                del pairs[step]
        if config.order == "shuffled":
            random.shuffle(told)
        return Genealogy(told, asked)

    def _laid_out(self, rows: list[Genealogy]) -> Batch:
        """Return the batch of genealogies; a shorter one is padded on the left."""
        context, ids = self.context_tokens, self._ids
        layout = Layout(len(rows), context + self.query_tokens, self.config.queries)
        for row, (told, asked) in enumerate(rows):
            words = [word for father, son in told for word in (father, BEGAT, son, STOP)]
            layout.put(row, context - len(words), [ids[word] for word in words])
            fathers = {son: father for father, son in told}
            for number, (steps, name) in enumerate(asked):
                question = [ids[RELATIONS[steps - 1]], ids[name]]
                answer = [ids[_ancestor(fathers, name, steps)]]
                layout.ask(row, number, context + QUERY * number, question, answer, steps)
        return layout.batch(QUERY)

    def _told(self, batch: Batch, example: int) -> list[tuple[str, str, range]]:
        """Return (father, son, tokens) of each sentence of an example."""
        symbols = [self.vocabulary[s] for s in batch.tokens[example, : self.context_tokens]]
        return [
            (symbols[at], symbols[at + 2], range(at, at + SENTENCE))
            for at in range(0, len(symbols), SENTENCE)
            if symbols[at] != PAD
        ]

    def _asked(self, batch: Batch, example: int) -> list[tuple[int, str, range]]:
        """Return (steps, name, tokens) of each query of an example."""
        symbols = self.render(batch, example)
        return [
            (RELATIONS.index(symbols[at]) + 1, symbols[at + 1], range(at, at + QUERY))
            for at in range(self.context_tokens, len(symbols), QUERY)
            if symbols[at] != PAD
        ]

    def solve(self, batch: Batch) -> np.ndarray:
        """Find the sentence that names the person as a son, as many times as there are steps."""
        tokens = batch.tokens.copy()
        context = tokens[:, : self.context_tokens].reshape(len(batch), -1, SENTENCE)
        for example, sentences in enumerate(context):
            for steps, name, place in self._asked(batch, example):
                who = self._ids[name]
                for _ in range(steps):
                    (found,) = sentences[sentences[:, 2] == who, 0]
                    who = found
                tokens[example, place[-1]] = who
        return tokens

    def chance(self) -> dict[str, ChanceLine]:
        """Return a uniform guess, the commonest name of each list (measured), and one step."""
        return _chance(self.config)

    def probe_targets(self, batch: Batch) -> list[ProbeTarget]:
        """Return every person's ancestor, by steps."""
        index = {name: number for number, name in enumerate(self.names)}
        shape = (len(self.difficulties), len(batch), len(self.names))
        labels, asked_by = np.full(shape, -1), np.full(shape[1:], -1)
        kinds, read_at = np.full(shape[1:], -1), np.full(shape[1:], -1)
        for example in range(len(batch)):
            told = self._told(batch, example)
            fathers = {son: father for father, son, _ in told}
            for father, son, place in told:
                kinds[example, index[son]] = index[father]
                read_at[example, index[son]] = place[-1]
            for son in fathers:
                who = son
                for level in self.difficulties:
                    if (who := fathers.get(who, "")) in index:
                        labels[level - 1, example, index[son]] = index[who]
            for number, (_, name, _) in enumerate(self._asked(batch, example)):
                asked_by[example, index[name]] = number
        whole = ProbeTarget(
            "", 0, kinds, self.names, self.names, kinds, asked_by,
            np.array([self._ids[name] for name in self.names]), "", read_at,
        )  # fmt: skip
        return [
            replace(whole, labels=labels[level - 1]).where(
                labels[level - 1] >= 0,
                name=counted(level, "step"),
                level=level,
                meaning=f"Who is the {RELATIONS[level - 1]}?",
            )
            for level in self.difficulties
        ]

    def typed(self, batch: Batch, example: int) -> tuple[str, str]:
        """Return the sentences, and the questions."""
        told = (f"{father} {BEGAT} {son}." for father, son, _ in self._told(batch, example))
        asked = (f"{RELATIONS[steps - 1]} {name}" for steps, name, _ in self._asked(batch, example))
        return " ".join(told), ", ".join(asked)

    def parse(self, text: str, queries: str | None = None) -> Batch:
        """Return the batch of typed sentences; `queries`: None asks for every father."""
        fathers: dict[str, str] = {}
        for sentence in filter(None, (part.strip() for part in re.split(r"[.\n]", text))):
            said = re.fullmatch(rf"(\S+)\s+{BEGAT}\s+(\S+)", sentence)
            if said is None or not {said[1], said[2]} <= set(self.names):
                raise WorkbenchError(
                    f"{shortened(sentence)!r}",
                    f"{self.names[0]} {BEGAT} {self.names[1]}, with two of {len(self.names)} names",
                    f"use {', '.join(self.names[:6])}, ...",
                )
            father, son = said[1], said[2]
            before = father
            while before in fathers and before != son:
                before = fathers[before]
            if son in fathers or son == before:
                wrong, right = "is his own ancestor", "a son who is not among his forefathers"
                if son in fathers:
                    wrong, right = "has two fathers", "one father each"
                raise WorkbenchError(
                    f"{son} {wrong}, in {shortened(sentence)!r}", right, "change it"
                )
            fathers[son] = father
        if not 0 < len(fathers) < self.config.people:
            raise WorkbenchError(
                counted(len(fathers), "sentence"), f"1 to {self.config.people - 1}",
                self.typing_help(),
            )  # fmt: skip
        asked = [(1, son) for son in fathers][: self.config.queries]
        if queries is not None:
            asked = [self._question(part.strip(), fathers) for part in queries.split(",")]
        if len(asked) > self.config.queries:
            raise WorkbenchError(
                counted(len(asked), "question"), f"at most {self.config.queries}", "leave some out"
            )
        return self._laid_out([Genealogy([(f, s) for s, f in fathers.items()], asked)])

    def _question(self, text: str, fathers: dict[str, str]) -> tuple[int, str]:
        """Return (steps, of whom) of a typed question."""
        relation, _, name = text.partition(" ")
        levels = [RELATIONS[step - 1] for step in self.difficulties]
        who = name = name.strip()
        if relation in levels:
            for _ in range(levels.index(relation) + 1):
                who = fathers.get(who, "")
        if relation not in levels or not who:
            raise WorkbenchError(
                f"the question {shortened(text)!r}",
                f"{' or '.join(levels)}, and the name of someone who has one",
                f"ask for example {levels[0]} {next(iter(fathers))}",
            )
        return levels.index(relation) + 1, name

    def typing_help(self) -> str:
        """Return what may be typed, with an example."""
        a, b, c = self.names[:3]
        return f"{a} begat {b}. {b} begat {c}. Questions: father {c}, grandfather {c}"

    def picture(self, batch: Batch, example: int) -> Sentences:
        """Return the sentences, and those that lead back to each answer."""
        told = self._told(batch, example)
        place = {son: (number, father) for number, (father, son, _) in enumerate(told)}
        queries = []
        for steps, name, tokens in self._asked(batch, example):
            path, who = [], name
            for _ in range(steps):
                number, who = place[who]
                path.append(number)
            label = f"{RELATIONS[steps - 1]} of {name}"
            queries.append(Query(label, name, who, steps, tokens, tuple(path)))
        symbols = self.render(batch, example)
        return Sentences(
            tuple(Item(f"{father} {BEGAT} {son}.", tokens) for father, son, tokens in told),
            tuple(queries),
            tuple(symbols),
            frozenset(n for n, symbol in enumerate(symbols) if symbol in (PAD, BEGAT, STOP)),
            label=f"a genealogy in {counted(len(told), 'sentence')}",
        )

    def distinct_examples(self) -> float:
        """Return a lower bound on the genealogies that can be told apart."""
        return math.exp(min(700, log_orders(self.config.names, self.config.people)))

    def summary(self) -> str:
        """Return the task with its settings in a line."""
        config = self.config
        return f"{config.people} people, asked up to {counted(config.max_steps, 'step')} back"


def _ancestor(fathers: dict[str, str], name: str, steps: int) -> str:
    """Return who stands `steps` generations before a person."""
    for _ in range(steps):
        name = fathers[name]
    return name


@lru_cache(maxsize=16)
def _chance(config: GenealogiesConfig) -> dict[str, ChanceLine]:
    """Return the chance lines, one of them measured on genealogies drawn for it."""
    task, random = Genealogies(config), Random(0)
    right: Counter[int] = Counter()
    seen: Counter[int] = Counter()
    for _ in range(PROBLEMS):
        told, asked = task._draw(random)
        fathers = {son: father for father, son in told}
        counts = Counter(name for pair in told for name in pair)
        common = max(counts, key=lambda name: counts[name])
        for steps, name in asked:
            seen[steps] += 1
            right[steps] += _ancestor(fathers, name, steps) == common
    levels = task.difficulties
    uniform = dict.fromkeys(levels, 1 / (config.people - 1))
    common_line = {level: right[level] / max(1, seen[level]) for level in levels}
    one = {level: float(level == 1) for level in levels}
    lines = (
        ChanceLine(
            "uniform guess", "Any other name of the genealogy, with equal odds.", uniform,
            (config.people - 1.0) ** -config.queries, uniform,
        ),
        ChanceLine(
            "commonest name",
            f"The name that occurs most often (measured on {PROBLEMS:,} genealogies).",
            common_line, None, common_line, reads_context=True,
        ),
        ChanceLine(
            "one step", "The father, whatever is asked.", one, None, one, reads_context=True
        ),
    )  # fmt: skip
    return {line.name: line for line in lines}
