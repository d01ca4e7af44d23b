"""Reading word problems back: words to sentences, sentences to a graph, the graph to an answer.

Shares no code with the generator: what it finds is the check of what was drawn.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from workbench.errors import WorkbenchError
from workbench.tasks.gsm_infinite.themes import THEMES, Theme
from workbench.tasks.phrases import shortened

LARGEST = 1000
"""Numbers in sentences, and amounts without a modulus, are at most this; the unknown constant of a
reverse problem is looked for among 1 to this."""
EXACT = 2**53
"""Floats are exact below; an unknown constant that leads beyond is not the one looked for."""


@dataclass(frozen=True)
class Sentence:
    """One sentence: a subject, "equals", and a constant, parents or both."""

    tokens: range
    subject: str
    form: str
    """"constant", "same", "plus", "times", "sum", "difference", or "unknown"."""
    constant: int
    parents: tuple[str, ...]
    text: str


@dataclass(frozen=True)
class Story:
    """A problem as read."""

    sentences: tuple[Sentence, ...]
    questions: tuple[tuple[str, range], ...]
    """Quantity asked for, and the tokens of the question."""


def read_story(
    words: Sequence[str],
    theme: str,
    *,
    places: Sequence[int] | None = None,
    digits: bool = False,
) -> Story:
    """Return the sentences and the questions of a problem.

    `words`: a word or a mark each, or with `digits` a digit of a number each; `places`: the token
    of each word, 0, 1, 2 ... if left out.
    Raises WorkbenchError: something is neither a sentence nor a question of this theme.
    """
    places = range(len(words)) if places is None else places
    sentences, questions, begin = [], [], 0
    for number, word in enumerate(words):
        if word not in (".", "?"):
            continue
        part, tokens = list(words[begin:number]), range(places[begin], places[number] + 1)
        begin = number + 1
        if word == "?":
            questions.append((_question(part, theme), tokens))
        else:
            sentences.append(_sentence(part, tokens, theme, digits))
    if left := list(words[begin:]):
        raise WorkbenchError(
            f"the text ends with {_shown(left)}, without a full stop or a question mark",
            "whole sentences",
            "end the last sentence with . or ?",
        )
    return Story(tuple(sentences), tuple(questions))


def _shown(words: Sequence[str]) -> str:
    """Return a sentence for a message."""
    return repr(shortened(re.sub(r" ([.,?:])", r"\1", " ".join(words))))


def _question(words: list[str], theme: str) -> str:
    """Return the quantity that a question asks for."""
    if words[:3] != ["What", "is", "the"]:
        raise WorkbenchError(
            f"the question {_shown([*words, '?'])}",
            '"What is the ...?"',
            f"write for example: What is the {_example(theme)}?",
        )
    return _quantity(words[3:], theme, [*words, "?"])


def _sentence(words: list[str], tokens: range, theme: str, digits: bool) -> Sentence:
    """Return a sentence, taken apart."""
    whole = [*words, "."]
    example = f"write for example: The {_example(theme)} equals 3."
    if words[-3:] == ["is", "not", "known"] and words[:1] == ["The"]:
        subject = _quantity(words[1:-3], theme, whole)
        return Sentence(tokens, subject, "unknown", 0, (), _shown(whole))
    if words[:1] != ["The"] or words.count("equals") != 1:
        raise WorkbenchError(
            f"the sentence {_shown(whole)}", 'a sentence "The ... equals ..."', example
        )
    cut = words.index("equals")
    subject, rest = _quantity(words[1:cut], theme, whole), words[cut + 1 :]
    count = 0
    while count < len(rest) and rest[count].isdigit() and (digits or not count):
        count += 1
    number, rest = "".join(rest[:count]), rest[count:]
    form, names = _right_side(count > 0, rest)
    if not form:
        raise WorkbenchError(
            f"after equals, the sentence {_shown(whole)} goes on with {_shown(rest)}",
            '"3", "the X", "3 more than the X", "3 times the X", "the sum of the X and the Y" or '
            '"the difference of the X and the Y"',
            "use one of these forms",
        )
    if len(number) > len(str(LARGEST)) or int(number or 0) > LARGEST:
        raise WorkbenchError(
            f"the number {shortened(number, 20)} in {_shown(whole)}",
            f"at most {LARGEST:,}",
            "use a smaller number",
        )
    constant = int(number or 0)
    if count and constant < 1 and form != "constant":
        raise WorkbenchError(f"{constant} in {_shown(whole)}", "1 or more", "change the number")
    parents = tuple(_quantity(name, theme, whole) for name in names)
    return Sentence(tokens, subject, form, constant, parents, _shown(whole))


def _right_side(number: bool, rest: list[str]) -> tuple[str, list[list[str]]]:
    """Return the form of what follows "equals" and any number, and the names in it; or ""."""
    if number:
        if not rest:
            return "constant", []
        if rest[:3] == ["more", "than", "the"]:
            return "plus", [rest[3:]]
        if rest[:2] == ["times", "the"]:
            return "times", [rest[2:]]
        return "", []
    for form in ("sum", "difference"):
        if rest[:4] == ["the", form, "of", "the"]:
            cuts = [n for n, word in enumerate(rest) if word in (",", "and")]
            names = [rest[a + 1 : b] for a, b in zip([2, *cuts], [*cuts, len(rest)], strict=True)]
            marks = [rest[cut] for cut in cuts]
            fits = marks == ["and"] or form == "sum" and marks == [",", "and"]
            if not fits or any(name[:1] != ["the"] for name in names):
                return "", []
            return form, [name[1:] for name in names]
    return ("same", [rest[1:]]) if rest[:1] == ["the"] else ("", [])


def _quantity(words: list[str], theme: str, sentence: list[str]) -> str:
    """Return the name of a quantity, checked."""
    name = " ".join(words)
    if not _parts(name, THEMES[theme]):
        known = _known_words(theme)
        if strange := [word for word in words if word not in known]:
            raise WorkbenchError(
                f"the word {strange[0]!r} in {_shown(sentence)}",
                f"words of the theme {theme}",
                "use the words that the examples of this task use",
            )
        raise WorkbenchError(
            f"'the {name}' in {_shown(sentence)}",
            "a quantity of this task",
            f"write for example: the {_example(theme)}",
        )
    return name


@lru_cache(maxsize=10_000)
def _parts(name: str, theme: Theme) -> tuple[str, str, str] | None:
    """Return (kind, thing, place) of a quantity; kind is "count", "average" or "total"."""
    match = re.fullmatch(r"(?:(average|total) )?number of (.+) in (.+)", name)
    if not match or match[3] not in theme.places:
        return None
    kind, what = match[1] or "count", match[2]
    if kind == "count":
        return (kind, what, match[3]) if what in {t[0] for t in theme.things} else None
    if kind == "total":
        return (kind, what, match[3]) if what in (theme.part, theme.every) else None
    part, _, single = what.partition(" per ")
    if part != theme.part or single not in theme.plural_of:
        return None
    return kind, theme.plural_of[single], match[3]


@lru_cache(maxsize=len(THEMES))
def _known_words(theme: str) -> frozenset[str]:
    """Return every word that can stand in the name of a quantity."""
    chosen = THEMES[theme]
    names = [word for pair in chosen.things for word in pair]
    text = " ".join(["average total number of in per the", *names, *chosen.places, chosen.part])
    return frozenset(f"{text} {chosen.every}".split())


def _example(theme: str) -> str:
    """Return the name of one quantity of a theme."""
    return THEMES[theme].count(0, 0)


class Solution:
    """Values, depths and operations of a story's quantities, worked out when asked for.

    Raises WorkbenchError from the constructor or a method: a quantity has two values or none,
    depends on itself, or comes out below 1 or above `LARGEST` (without a modulus).
    """

    def __init__(self, story: Story, theme: str, modulus: int | None = None) -> None:
        self.story, self.theme, self.modulus = story, THEMES[theme], modulus
        self.by_subject: dict[str, Sentence] = {}
        self.facts: list[Sentence] = []
        """Reverse problems: stated values that also follow from other sentences."""
        unknown = [s.subject for s in story.sentences if s.form == "unknown"]
        for sentence in story.sentences:
            total = (_parts(sentence.subject, self.theme) or ("",))[0] == "total"
            before = self.by_subject.get(sentence.subject)
            if unknown and sentence.form == "constant" and (before or total):
                self.facts.append(sentence)
            elif unknown and before and before.form == "constant":
                self.facts.append(before)
                self.by_subject[sentence.subject] = sentence
            elif before:
                raise WorkbenchError(
                    f"two sentences say what the {sentence.subject} is: {before.text} and "
                    f"{sentence.text}",
                    "one sentence for each quantity",
                    "remove one of the two",
                )
            elif total:
                raise WorkbenchError(
                    f"the total in {sentence.text}",
                    "totals that follow from the counts",
                    "remove the sentence",
                )
            else:
                self.by_subject[sentence.subject] = sentence
        if len(unknown) > 1 or len(self.facts) != len(unknown):
            raise WorkbenchError(
                f"{len(unknown)} unknown quantities and {len(self.facts)} values that are given",
                "one value given for one unknown quantity",
                "tell what one total comes to, or give the unknown quantity a value",
            )
        self.unknown = unknown[0] if unknown else ""
        self._values: dict[str, int] = {}
        self._groups: dict[str, dict[str, dict[str, str]]] = {}
        for name in self.by_subject:
            kind, thing, place = _parts(name, self.theme) or ("", "", "")
            self._groups.setdefault(place, {}).setdefault(thing, {})[kind] = name

    def members(self, total: str, used_by: str) -> list[tuple[str, ...]]:
        """Return what a total adds up: counts, or (count, average) where averages are meant."""
        _, what, place = _parts(total, self.theme) or ("", "", "")
        groups = self._groups.get(place, {})
        if what == self.theme.every:
            found: list[tuple[str, ...]] = [(g["count"],) for g in groups.values() if "count" in g]
        else:
            found = [(g["count"], g["average"]) for g in groups.values() if len(g) == 2]
        if not found:
            raise WorkbenchError(
                f"{used_by} needs the {total}, and no sentence says what is in {place}",
                "a sentence for everything that the total adds up",
                f"add for example: The {self.theme.count(0, 0)} equals 2.",
            )
        return found

    def parents(self, quantity: str, used_by: str = "the question") -> tuple[str, ...]:
        """Return what a quantity depends on directly."""
        if (_parts(quantity, self.theme) or ("",))[0] == "total":
            return tuple(name for pair in self.members(quantity, used_by) for name in pair)
        if quantity not in self.by_subject:
            raise WorkbenchError(
                f"{used_by} needs the {quantity}, which no sentence gives",
                "a sentence for every quantity in use",
                f"add for example: The {quantity} equals 2.",
            )
        return self.by_subject[quantity].parents

    def sources(self, quantity: str) -> tuple[str, ...]:
        """Return the quantities with a sentence that a quantity follows from directly."""
        found: dict[str, None] = {}
        for parent in self.parents(quantity):
            named = (parent,) if parent in self.by_subject else self.parents(parent)
            found |= dict.fromkeys(named)
        return tuple(found)

    def ancestors(self, quantity: str) -> list[str]:
        """Return all that a quantity depends on, parents first, itself last."""
        done: dict[str, None] = {}
        path: list[str] = []

        def visit(name: str, used_by: str) -> None:
            if name in done:
                return
            if name in path:
                chain = [*path[path.index(name) :], name]
                raise WorkbenchError(
                    f"the {name} depends on itself: {' <- '.join(chain[:4])}",
                    "sentences that lead back to constants",
                    f"change {self.by_subject[name].text}",
                )
            path.append(name)
            for parent in self.parents(name, used_by):
                sentence = self.by_subject.get(name)
                visit(parent, sentence.text if sentence else f"the {name}")
            path.pop()
            done[name] = None

        visit(quantity, "the question")
        return list(done)

    def value(self, quantity: str) -> int:
        """Return the value of a quantity; in a reverse problem, of the unknown one too."""
        if self.unknown and self.unknown not in self._values:
            self._values[self.unknown] = self._constant_looked_for()
        for name in [quantity] if quantity in self._values else self.ancestors(quantity):
            if name in self._values:
                continue
            value = self.combined(name, self._values)
            if self.modulus is None and not 1 <= value <= LARGEST:
                sentence = self.by_subject.get(name)
                raise WorkbenchError(
                    f"{sentence.text if sentence else f'the {name}'} makes {value:,}",
                    f"an amount of 1 to {LARGEST:,}",
                    "change the numbers that it builds on",
                )
            self._values[name] = value
        return self._values[quantity]

    def _constant_looked_for(self) -> int:
        """Return the one value of the unknown quantity that leads to the given value."""
        [fact] = self.facts
        tried = np.arange(1, LARGEST + 1)
        values: dict[str, Any] = {self.unknown: tried.astype(float)}
        for name in self.ancestors(fact.subject):
            if name not in values:
                value = self.combined(name, values)
                values[name] = np.where(np.abs(value) < EXACT, value, np.nan)
        found = tried[np.broadcast_to(values[fact.subject] == fact.constant, tried.shape)]
        if len(found) != 1:
            raise WorkbenchError(
                f"{len(found)} values of the {self.unknown} lead to {fact.text}",
                "exactly one",
                "change the value that is given",
            )
        return int(found[0])

    def combined(self, name: str, values: Mapping[str, Any]) -> Any:
        """Return the value of a quantity from those of all that it builds on."""
        sentence = self.by_subject.get(name)
        if sentence is None:
            pairs = self.members(name, "the question")
            value = sum(math.prod(values[member] for member in pair) for pair in pairs)
        else:
            known = [values[parent] for parent in sentence.parents]
            if sentence.form == "times":
                value = sentence.constant * known[0]
            elif sentence.form == "difference":
                value = known[0] - known[1]
            else:  # the constant is 0 but for "constant" and "plus"
                value = sum(known, sentence.constant)
        return value if self.modulus is None else value % self.modulus

    def depth(self, quantity: str) -> int:
        """Return the sentences on the longest chain to a quantity; a constant has 1."""
        depths: dict[str, int] = {}
        for name in self.ancestors(quantity):
            depths[name] = 1 + max((depths[parent] for parent in self.parents(name)), default=0)
        return depths[quantity]

    def operations(self, quantity: str) -> int:
        """Return op: a constant is one, and so is each parent, and each count times its average."""
        count = 0
        for name in self.ancestors(quantity):
            sentence = self.by_subject.get(name)
            if sentence is None:
                count += len(self.members(name, "the question"))
            else:
                own = sentence.form in ("constant", "plus", "times", "unknown")
                count += own + len(sentence.parents)
        return count
