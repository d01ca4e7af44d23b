"""What an example looks like, as plain data: a graph, rows of cells, sentences, or a text.

A task returns it (`Task.picture`); the code that draws it knows no task.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True)
class Query:
    """One question about an example."""

    label: str
    """Short, for an axis: ``2 hops from 5``."""
    start: str
    answer: str
    """What it starts from, and the right answer; in a graph both are nodes."""
    difficulty: int
    """On the task's own scale."""
    tokens: range
    """The tokens of the question and its answer."""
    path: tuple[int, ...]
    """The items that lead to the answer, in order, by their place in `Picture.items`."""
    parents: tuple[int, ...] = ()
    """The items that the answer follows from directly, where no item says it."""


@dataclass(frozen=True)
class Item:
    """One thing that the context says."""

    name: str
    """How it is shown: a caption, or the sentence itself."""
    tokens: range
    """The tokens that say it."""


@dataclass(frozen=True)
class Edge(Item):
    """An arrow of a graph, from the node `source` to the node `target`."""

    source: str
    target: str


@dataclass(frozen=True)
class Rows(Item):
    """A row of cells and what becomes of it."""

    rows: tuple[tuple[int, ...], ...]
    """Cells, 0 or 1, ``[row][cell]``; the context holds the first row alone."""
    target: tuple[int, int]
    """Row and cell that the answer names."""
    label: str
    """The same in words, for a screen reader."""


@dataclass(frozen=True)
class Sentence(Item):
    """A sentence that says what a quantity is, and what follows from it."""

    subject: str
    value: str
    """The quantity, and how much it is."""
    depth: int
    """Sentences on the longest chain that leads to it, itself included."""
    parents: tuple[int, ...]
    """The sentences that it builds on, by their place in `Picture.items`."""


@dataclass(frozen=True)
class Picture:
    """One example; `Graph`, `Cells`, `Sentences` and `Passage` say how it is drawn."""

    items: tuple[Item, ...]
    """What the context says, in its order."""
    queries: tuple[Query, ...]
    """The questions, in the order in which they are asked."""
    symbols: tuple[str, ...]
    """How each token is shown."""
    marks: frozenset[int] = frozenset()
    """Tokens that only structure the text."""
    label: str = ""
    """The whole in words, for a screen reader."""
    note: str = ""
    """A sentence below the drawing."""
    reading: str = ""
    """A sentence below the tokens: how they are to be read."""


@dataclass(frozen=True)
class Graph(Picture):
    """Nodes on a circle, and arrows between them."""

    items: tuple[Edge, ...]


@dataclass(frozen=True)
class Cells(Picture):
    """Rows of cells, one below the other as they develop."""

    items: tuple[Rows, ...]


@dataclass(frozen=True)
class Sentences(Picture):
    """Sentences, one a line; those that lead to an answer are numbered.

    Where some are of type `Sentence`, what follows from what is drawn as well, and the others are
    noise: about no quantity.
    """


@dataclass(frozen=True)
class Passage(Picture):
    """A text as it runs; items and queries are words in it."""


def roles_of(picture: Picture, path: Collection[int]) -> dict[int, str]:
    """Return the role of each sentence that a path does not need, by its place in the picture.

    "spare" ones build on needed ones; "noise" is about no quantity.
    """
    sentences = {n: item for n, item in enumerate(picture.items) if isinstance(item, Sentence)}
    roles = {n: "noise" for n in range(len(picture.items)) if sentences and n not in sentences}
    before = -1
    while len(roles) != before:
        before = len(roles)
        for number, item in sentences.items():
            if number not in path and any(p in path or p in roles for p in item.parents):
                roles[number] = "spare"
    return roles
