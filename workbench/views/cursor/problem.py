"""One example to sleep on: drawn from a seed or typed, with its queries in words. No Panel."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from workbench.batch import Batch
from workbench.errors import WorkbenchError
from workbench.tasks.base import EVALUATION, Task, draw
from workbench.tasks.phrases import counted, level_words
from workbench.views.cursor.cursor import EXAMPLES

MOST_NODES_IN_HINT = 12
"""Nodes of the largest ring that is written out beside the field."""


@dataclass(frozen=True)
class Query:
    """One question.

    Attributes
    ----------
    label : str
        Short, for an axis: ``k=2 from 5``.
    start, answer : str
        Node asked from and right answer; for Rule 110 the string's number and its label.
    difficulty : int
        Hops or steps.
    """

    label: str
    start: str
    answer: str
    difficulty: int


@dataclass(frozen=True)
class Problem:
    """One example.

    Attributes
    ----------
    task : Task
        What it belongs to.
    batch : Batch
        The example alone.
    queries : tuple of Query
        Its questions, in the order in which they are asked.
    """

    task: Task
    batch: Batch
    queries: tuple[Query, ...]

    @property
    def symbols(self) -> list[str]:
        """Text of each token."""
        return self.task.render(self.batch, 0)

    @property
    def context(self) -> str:
        """The context as a person types it; `typed` reads it back."""
        text = self.task.text(self.batch, 0)
        if self.task.name == "depo":
            return text.splitlines()[0]
        return " ".join(line.split(" -> ")[0] for line in text.splitlines())

    @property
    def questions(self) -> str:
        """The queries as a person types them; empty where the task fixes them."""
        if self.task.name != "depo":
            return ""
        return ", ".join(f"{q.difficulty}:{q.start}" for q in self.queries)

    @property
    def edges(self) -> list[tuple[str, str]]:
        """Edges of a Depo cycle in the order of the context, as names."""
        if self.task.name != "depo":
            return []
        pairs = (edge.split(">") for edge in self.context.split())
        return [(source, target) for source, target in pairs]

    @property
    def strings(self) -> np.ndarray:
        """Bits of a Rule 110 example, int8 [string, cell]."""
        config = self.task.config
        cells = self.batch.tokens[0, : self.task.context_tokens]
        return cells.reshape(config.strings, config.cells).astype(np.int8)


def drawn(task: Task, seed: int, example: int) -> Problem:
    """Return example `example` of `seed`, from the stream that training never draws."""
    batch = draw(task, EXAMPLES, seed, 0, EVALUATION)
    return problem_of(task, batch.examples(slice(example, example + 1)))


def typed(task: Task, text: str, queries: str = "") -> Problem:
    """Return the example that a person typed.

    Raises
    ------
    WorkbenchError
        The text does not fit the task's settings.
    """
    return problem_of(task, task.parse(text, queries if queries.strip() else None))


def misfit(task: Task, text: str, queries: str) -> tuple[str, WorkbenchError] | None:
    """Return which of the two fields is wrong ("text" or "queries") and why, or None."""
    try:
        task.parse(text)
    except WorkbenchError as error:
        return "text", error
    try:
        typed(task, text, queries)
    except WorkbenchError as error:
        return "queries", error
    return None


def hint(task: Task) -> str:
    """Return what may be typed, with an example of a size that the task's settings have."""
    if task.name == "rule110":
        config = task.config
        strings = counted(config.strings, "string")
        between = ", separated by blanks" if config.strings > 1 else ""
        return f"{strings} of {counted(config.cells, 'bit')}{between}."
    if task.name != "depo":
        return ""
    nodes = task.config.nodes
    if nodes > MOST_NODES_IN_HINT:
        return f"Edges that form one ring, such as the {nodes} shown; a>b leads from a to b."
    successor = dict(drawn(task, 0, 1).edges)
    node = min(successor)
    edges = []
    for _ in successor:  # along the ring, which is easier to read than the drawn order
        edges.append(f"{node}>{successor[node]}")
        node = successor[node]
    return f"Edges that form one ring, such as {' '.join(edges)}."


def without_padding(batch: Batch, window: int) -> Batch:
    """Return examples without the windows of mere padding after the last question.

    They would be one more sleep over nothing.
    """
    said = int(np.flatnonzero(batch.valid.any(axis=0)).max(initial=0)) + 1
    stop = -(-said // window) * window
    return batch.token_range(0, min(stop, batch.tokens.shape[1]))


def problem_of(task: Task, batch: Batch) -> Problem:
    """Return an example with its queries in words; `batch` is that example alone."""
    if task.name == "depo":
        lines = task.text(batch, 0).splitlines()
        asked = [re.split("[:=]", query) for query in lines[1].split(", ")] if lines[1:] else []
        queries = tuple(
            Query(f"{level_words(hops, 'hops')} from {start}", start, answer, int(hops))
            for hops, start, answer in asked
        )
        return Problem(task, batch, queries)
    lines = task.text(batch, 0).splitlines()
    steps = int(batch.difficulty[0, 0])
    queries = tuple(
        Query(f"string {number}", str(number), line.split(" -> ")[1], steps)
        for number, line in enumerate(lines, start=1)
    )
    return Problem(task, batch, queries)
