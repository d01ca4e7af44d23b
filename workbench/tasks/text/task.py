"""Text, token by token, in windows that all carry labels; a token is a character unless set.

Every token is predicted from those before it in its window and from memory; the first one of a
window is given. A name that was last seen in an earlier window can be known from memory alone: its
tokens after the first are a *query*, its distance in windows the difficulty.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from copy import copy
from functools import cached_property
from typing import Any, Self

import numpy as np

from workbench.batch import Batch
from workbench.errors import WorkbenchError
from workbench.tasks.base import (
    HELD_OUT,
    TRAIN,
    ChanceLine,
    Measure,
    Task,
    check_room,
    python_random,
)
from workbench.tasks.layout import Layout
from workbench.tasks.phrases import counted, shortened
from workbench.tasks.pictures import Item, Passage, Query
from workbench.tasks.targets import ProbeTarget
from workbench.tasks.text.corpora import read_corpus
from workbench.tasks.text.drills import drill
from workbench.tasks.text.material import Material, Mention, mentions_of
from workbench.tasks.text.names import NAME, WORD, find_names
from workbench.tasks.text.settings import CHARACTERS, TextConfig
from workbench.tasks.text.tokens import PAD, SHOWN, Characters, FileTokens, Spelt

CORPUS_WORDS = {"kjv": "the King James Bible", "python": "Python's standard library"}
"""Corpora that have a name, in words."""
PER_QUERY = 16
"""Tokens of a sequence for each query that it has room for."""


class Text(Task):
    """The task Text; see `workbench.tasks.base.Task` for the methods' contract."""

    name = "text"
    title = "Text: names to remember"
    difficulty_name, unit, item = "distance", "window", "character"
    query_form = "name"
    holds_out = True
    determined = False
    measure = Measure("bits per character")
    Config = TextConfig
    config: TextConfig

    def __init__(self, config: TextConfig) -> None:
        self.config = config
        named = config.tokenizer
        self._tokens = Characters() if named == CHARACTERS else FileTokens(named)
        self.vocabulary, self.item = self._tokens.vocabulary, self._tokens.item
        self.difficulties = tuple(range(1, config.windows))
        self.length = config.window * config.windows
        self.context_tokens = self.length - config.window
        self.query_tokens = self.section_tokens = config.window
        self._most_queries = max(1, self.length // PER_QUERY)
        self._parts: dict[str, Any] = {}

    def part(self, name: str) -> Self:
        """Return the task over the chapters of one part; the whole task draws those held out.

        It is made once, since it keeps its chapters.
        """
        if not self.of_part and name not in self._parts:
            self._parts[name] = copy(self)
            self._parts[name].of_part = name
        return self if self.of_part else self._parts[name]

    @cached_property
    def _material(self) -> Material:
        """Of a part; the whole task has none, or a copy of it would keep it."""
        corpus = read_corpus(self.config.corpus, held_out=self.of_part != TRAIN)
        return Material(corpus, self.config, self._tokens.width(corpus.beginning))

    def sample(self, count: int, generator: np.random.Generator) -> Batch:
        """Draw sequences, each from a random word of a chapter on."""
        check_room(self, count)
        material = self.part(HELD_OUT)._material
        places = material.places(count, generator)
        random = python_random(generator)
        drills = self.config.drills if self.of_part == TRAIN else 0
        rows = [
            drill(random, material.length)
            if drills and random.random() < drills
            else material.sequence(place, random)
            for place in places.tolist()
        ]
        return self._laid_out(rows)

    def sources(self, count: int, generator: np.random.Generator) -> np.ndarray:
        """Return the chapter of each sequence that `sample` draws with the same generator."""
        material = self.part(HELD_OUT)._material
        return material.chapter[material.places(count, generator)]

    def _laid_out(self, rows: list[tuple[str, list[Mention]]]) -> Batch:
        """Return the batch of texts and their names; a short text is padded on the left."""
        layout = Layout(len(rows), self.length, self._most_queries)
        for row, (text, mentions) in enumerate(rows):
            whole = self._tokens.spell(text)
            spelt = whole.cut(self.length)
            begin = self.length - len(spelt.tokens)
            layout.put(row, begin, spelt.tokens)
            places = [(*whole.range(start, stop), name) for start, stop, name in mentions]
            recalled = self._recalled(places, begin)[: self._most_queries]
            for number, (start, stop, distance) in enumerate(recalled):
                layout.answer_of[row, start + 1 : stop] = number
                layout.difficulty[row, number] = distance
        layout.loss_mask |= layout.valid & (np.arange(self.length) % self.config.window > 0)
        layout.loss_mask[:, 1:] &= layout.valid[:, :-1]  # nothing predicts the first one
        return layout.batch()

    def _recalled(
        self, places: list[tuple[int, int, str]], begin: int
    ) -> list[tuple[int, int, int]]:
        """Return (start, stop, windows since the last mention) of names to be recalled.

        `places`: first token, stop and name of each mention, in a text that begins at `begin`. A
        name that a boundary cuts is not asked for, nor one of a single token.
        """
        window, found = self.config.window, []
        seen: dict[str, int] = {}
        for start, stop, name in places:
            if begin + start >= self.length:
                break
            first, last = (begin + start) // window, (begin + stop - 1) // window
            whole = first == last and begin + stop <= self.length and stop - start > 1
            if whole and seen.get(name, first) < first:
                found.append((begin + start, begin + stop, first - seen[name]))
            seen[name] = last
        return found

    def groups(self, batch: Batch) -> dict[str, np.ndarray]:
        """Return names recalled, words repeated from an earlier window, the first window, the rest.

        Of names and words, the letters (or tokens) after the first.
        """
        names = batch.loss_mask & (batch.answer_of >= 0)
        repeated = np.zeros_like(names)
        for row in range(len(batch)):
            spelt, begin = self._read(batch, row)
            seen: dict[str, int] = {}
            for match in WORD.finditer(spelt.text):
                start, stop = (begin + place for place in spelt.range(*match.span()))
                first, last = start // self.config.window, (stop - 1) // self.config.window
                if first == last and seen.get(match[0], first) < first:
                    repeated[row, start + 1 : stop] = True
                seen[match[0]] = last
        repeated &= batch.loss_mask & ~names
        first_window = batch.loss_mask & (np.arange(batch.tokens.shape[1]) < self.config.window)
        rest = batch.loss_mask & ~(names | repeated | first_window)
        return {
            "names": names, "repeated words": repeated, "first window": first_window, "rest": rest,
        }  # fmt: skip

    def units(self, batch: Batch) -> np.ndarray | None:
        """Return the characters of each token, int64 [example, token]; None: one each."""
        if self.config.tokenizer == CHARACTERS:
            return None
        counts = np.zeros(batch.tokens.shape, dtype=np.int64)
        for row in range(len(batch)):
            spelt, begin = self._read(batch, row)
            counts[row, begin:] = np.diff(spelt.stops, prepend=0)
        return counts

    def _read(self, batch: Batch, example: int) -> tuple[Spelt, int]:
        """Return one example's text, and the token that it begins at."""
        begin = batch.tokens.shape[1] - int(batch.valid[example].sum())
        return self._tokens.read(batch.tokens[example, begin:].tolist()), begin

    def solve(self, batch: Batch) -> np.ndarray:
        """Refuse: nothing determines how a text goes on."""
        raise WorkbenchError(
            "text, whose next character nothing determines",
            "a task with an exact solver",
            "use a model of another task, or a measurement without swapped contexts",
        )

    def chance(self) -> dict[str, ChanceLine]:
        """Return the odds of spelling a name by chance."""
        accuracy = dict.fromkeys(self.difficulties, 26.0**-3)
        meaning = (
            "Three letters with equal odds, as many as the shortest random name still needs. Real "
            "names (names = 'kept') are easier to guess."
        )
        line = ChanceLine("uniform letters", meaning, accuracy, None, accuracy)
        return {line.name: line}

    def probe_targets(self, batch: Batch) -> list[ProbeTarget]:
        """Refuse: a probe asks about every item of a set, which text does not have."""
        raise WorkbenchError(
            "a probe of text",
            "a task that states facts about a fixed set of items",
            "use a model of another task, or another measurement",
        )

    def typed(self, batch: Batch, example: int) -> tuple[str, str]:
        """Return the text, and the names that are asked for."""
        spelt, begin = self._read(batch, example)
        asked = self._asked(batch, example)
        found = (spelt.said(start - begin, stop - begin) for start, stop, _ in asked)
        return spelt.text, ", ".join(dict.fromkeys(found))

    def _asked(self, batch: Batch, example: int) -> list[tuple[int, int, int]]:
        """Return (start, stop, distance) of every name asked for, first letters included."""
        answers = batch.answer_of[example]
        found = []
        for number, distance in enumerate(batch.difficulty[example].tolist()):
            places = np.flatnonzero(answers == number)
            if distance >= 0 and len(places):
                found.append((int(places[0]) - 1, int(places[-1]) + 1, distance))
        return found

    def parse(self, text: str, queries: str | None = None) -> Batch:
        """Return the batch of a typed text; `queries`: its names, found in it where None."""
        count = len(self.encode(text))
        if not text.strip() or count > self.length:
            raise WorkbenchError(
                f"a text of {counted(count, self.item)}",
                f"1 to {self.length:,}",
                "shorten it" if text.strip() else "type some",
            )
        named = re.findall(r"[^\s,;]+", queries or "")
        words = [match[0] for match in NAME.finditer(text)]
        if missing := [name for name in named if name not in words]:
            raise WorkbenchError(
                f"the name {shortened(missing[0])!r}",
                f"one of {', '.join(dict.fromkeys(words)) or 'the capitalised words of the text'}",
                "name capitalised words of the text",
            )
        names = frozenset(named) if queries is not None else find_names([text])
        return self._laid_out([(text, mentions_of(text, names))])

    def typing_help(self) -> str:
        """Return what may be typed, with an example."""
        return (
            f"Up to {self.length:,} {self.item}s of English, and the names to ask for: "
            "And Zarel begat Mokun, and ... | Zarel, Mokun"
        )

    def picture(self, batch: Batch, example: int) -> Passage:
        """Return the text, the names asked for, and the first mention of each."""
        spelt, begin = self._read(batch, example)
        symbols = [PAD] * begin + self._tokens.shown(spelt)
        asked = self._asked(batch, example)
        firsts: dict[str, Item] = {}
        queries = []
        for start, stop, distance in asked:
            name = spelt.said(start - begin, stop - begin)
            if name not in firsts:
                first = re.search(rf"\b{name}\b", spelt.text)
                assert first is not None
                place = (begin + at for at in spelt.range(*first.span()))
                firsts[name] = Item(name, range(*place))
            given = spelt.said(start - begin, start - begin + 1)
            queries.append(
                Query(
                    f"{given}..., {counted(distance, 'window')} ago",
                    given,
                    name.removeprefix(given),
                    distance,
                    range(start, stop),
                    (list(firsts).index(name),),
                )
            )
        return Passage(
            tuple(firsts.values()),
            tuple(queries),
            tuple(symbols),
            frozenset(n for n, symbol in enumerate(symbols) if symbol in (PAD, SHOWN["\n"])),
            label=f"a text in {counted(self.config.windows, 'window')}",
            reading=f"Every {self.item} is predicted from those before it in its window, and "
            "from S.",
        )

    def encode(self, text: str) -> list[int]:
        """Return the tokens of a text.

        Raises WorkbenchError: a character is not in the alphabet.
        """
        return self._tokens.spell(text).tokens.tolist()

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens; padding is nothing."""
        plain = self.config.tokenizer == CHARACTERS
        return self._tokens.read([token for token in tokens if token or not plain]).text

    def summary(self) -> str:
        """Return the task with its settings in a line."""
        config = self.config
        corpus = re.split(r"[\\/]", config.corpus)[-1]
        corpus = CORPUS_WORDS.get(corpus, corpus)
        return (
            f"Names to remember: {corpus}, names {config.names}, "
            f"{counted(config.windows, 'window')} of {config.window} {self.item}s"
        )
