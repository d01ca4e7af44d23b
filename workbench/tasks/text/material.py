"""Chapters prepared for drawing sequences from them, names swapped or kept."""

from __future__ import annotations

from bisect import bisect_right
from math import ceil
from random import Random
from typing import NamedTuple

import numpy as np

from workbench.errors import WorkbenchError
from workbench.tasks.phrases import counted
from workbench.tasks.text.corpora import Chapter, Corpus, plain
from workbench.tasks.text.names import NAME, random_name
from workbench.tasks.text.settings import TextConfig

SHORTEST = 4
"""Letters of the shortest random name."""


class Mention(NamedTuple):
    """Where a name stands in a sequence."""

    start: int
    stop: int
    name: str


class _Pieces(NamedTuple):
    """A chapter cut at its names."""

    begins: list[int]
    texts: list[str]
    is_name: list[bool]


class Material:
    """All places where a sequence may begin: words of chapters with enough text after them.

    `width`: characters of a token on average; a sequence of fewer tokens than wanted is shorter.
    """

    def __init__(self, corpus: Corpus, config: TextConfig, width: float = 1.0) -> None:
        self.length = ceil(config.window * config.windows * width)
        self.swapped = config.names == "swapped"
        self.chapters = [_pieces(chapter, corpus.names) for chapter in corpus.chapters]
        window = ceil(config.window * width)
        starts = [_starts(pieces, config, window, self.length) for pieces in self.chapters]
        self.offset = np.concatenate([*starts, np.zeros(0, dtype=np.int64)])
        self.chapter = np.repeat(np.arange(len(starts)), [len(found) for found in starts])
        if not len(self.offset):
            raise WorkbenchError(
                f"no {self.length:,} characters with {counted(config.recalled, 'name')} to recall",
                "a chapter of the corpus that has them",
                "lower task.windows, task.window or task.recalled, or choose another task.corpus",
            )

    def places(self, count: int, generator: np.random.Generator) -> np.ndarray:
        """Draw where sequences begin, int64 [example]."""
        return generator.integers(len(self.offset), size=count)

    def sequence(self, place: int, random: Random) -> tuple[str, list[Mention]]:
        """Return the text from a place on, and the names in it."""
        pieces = self.chapters[self.chapter[place]]
        begin = int(self.offset[place])
        first = bisect_right(pieces.begins, begin) - 1
        skip = begin - pieces.begins[first]
        stand_in: dict[str, str] = {}
        taken: set[str] = set()
        parts: list[str] = []
        mentions: list[Mention] = []
        length = 0
        for number in range(first, len(pieces.texts)):
            text = pieces.texts[number][skip:]
            skip = 0
            if pieces.is_name[number]:
                if self.swapped:
                    if text not in stand_in:
                        stand_in[text] = random_name(random, taken)
                        taken.add(stand_in[text])
                    text = stand_in[text]
                mentions.append(Mention(length, length + len(text), text))
            parts.append(text)
            length += len(text)
            if length >= self.length:
                break
        return "".join(parts)[: self.length], mentions


def mentions_of(text: str, names: frozenset[str]) -> list[Mention]:
    """Return where names stand in a text."""
    found = (Mention(m.start(), m.end(), m[0]) for m in NAME.finditer(text))
    return [mention for mention in found if mention.name in names]


def _pieces(chapter: Chapter, names: frozenset[str]) -> _Pieces:
    text = plain(chapter.text)
    pieces = _Pieces([], [], [])

    def add(start: int, stop: int, is_name: bool) -> None:
        if stop > start:
            pieces.begins.append(start)
            pieces.texts.append(text[start:stop])
            pieces.is_name.append(is_name)

    at = 0
    for start, stop, _ in mentions_of(text, names):
        add(at, start, False)
        add(start, stop, True)
        at = stop
    add(at, len(text), False)
    return pieces


def _starts(pieces: _Pieces, config: TextConfig, window: int, length: int) -> np.ndarray:
    """Return the words at which a sequence of `length` characters may begin.

    As swapped, enough characters follow, and enough names in them return after a window or more.
    """
    text = "".join(pieces.texts)
    if not text:
        return np.zeros(0, dtype=np.int64)
    swapped = config.names == "swapped"
    size = np.concatenate(
        [
            np.full(len(t), SHORTEST / len(t) if swapped and name else 1.0)
            for t, name in zip(pieces.texts, pieces.is_name, strict=True)
        ]
    )
    left = np.cumsum(size[::-1])[::-1]
    codes = np.frombuffer(text.encode("ascii"), dtype=np.uint8)
    blank = (codes == 32) | (codes == 10)
    begins = ~blank & np.concatenate([[True], blank[:-1]])
    enough = _returns(pieces, window, length)[: len(text)] >= config.recalled
    return np.flatnonzero(begins & enough & (left >= length + 0.5))


def _returns(pieces: _Pieces, window: int, length: int) -> np.ndarray:
    """Return for each character how many names return in the `length` characters from it on.

    Only those last mentioned a window or more before. Names count as long as they are unswapped.
    """
    change = np.zeros(pieces.begins[-1] + len(pieces.texts[-1]) + 1, dtype=np.int64)
    last: dict[str, int] = {}
    for begin, text, is_name in zip(*pieces, strict=True):
        if is_name:
            before = last.get(text, begin)
            first = max(0, begin + len(text) - length)
            if begin - before >= window and first <= before:
                change[first] += 1
                change[before + 1] -= 1
            last[text] = begin
    return np.cumsum(change)
