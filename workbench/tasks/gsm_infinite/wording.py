"""Sentences of word problems: from definitions to words, and from words to tokens."""

from __future__ import annotations

import re

from workbench.tasks.gsm_infinite.problems import Definition, Quantities
from workbench.tasks.gsm_infinite.settings import LARGEST, GsmInfiniteConfig
from workbench.tasks.gsm_infinite.themes import THEMES

PAD = "PAD"
ANSWER = "Answer"
GRAMMAR = (
    "The the What is number average total of in per equals more than times sum difference and "
    "not known . , ? :"
).split()


class Wording:
    """The words of one setting: every quantity's name, and sentences as lists of symbol ids."""

    def __init__(self, config: GsmInfiniteConfig) -> None:
        theme, quantities = THEMES[config.theme], Quantities(config)
        self.digits = config.answer == "digits"
        self.names: list[str] = []
        """Name of each quantity, without its article."""
        for attribute in range(config.d - 1):
            name = theme.average if attribute else theme.count
            self.names += [
                name(place, thing)
                for place in range(config.places)
                for thing in range(config.things)
            ]
        self.names += [theme.total(place, config.d) for place in range(config.places)]
        assert len(self.names) == quantities.instances + config.places
        words = dict.fromkeys(" ".join(self.names).split())
        largest = LARGEST if config.modulus is None else config.modulus - 1
        numbers = range(10 if self.digits else max(largest, config.constants) + 1)
        symbols = [PAD, ANSWER, *GRAMMAR, *words, *map(str, numbers)]
        self.vocabulary = tuple(dict.fromkeys(symbols))
        self.ids = {symbol: number for number, symbol in enumerate(self.vocabulary)}
        self.phrases = [self.encode(f"the {name}") for name in self.names]
        """Symbol ids of each quantity inside a sentence."""
        self.longest = max(map(len, self.phrases))
        capital, self._parts = self.ids["The"], {}
        self._subjects = [[capital, *phrase[1:], self.ids["equals"]] for phrase in self.phrases]
        for text in ("more than", "times", "the sum of", "the difference of", ",", "and", "."):
            self._parts[text] = self.encode(text)
        self._question = self.encode("What is")
        known = range(max(largest, config.constants) + 1)
        self._numbers = {n: self.encode(" ".join(str(n)) if self.digits else str(n)) for n in known}

    def encode(self, text: str) -> list[int]:
        """Return the symbol ids of words."""
        return [self.ids[word] for word in text.split()]

    def answer(self, number: int) -> list[int]:
        """Return the symbol ids of an answer; one of digits ends with a full stop."""
        return self._numbers[number] + ([self.ids["."]] if self.digits else [])

    def sentence(self, definition: Definition) -> list[int]:
        """Return a definition as a sentence."""
        quantity, form, constant, parents, _ = definition
        parts, names = self._parts, [self.phrases[parent] for parent in parents]
        words = list(self._subjects[quantity])
        if form == "constant":
            words += self._numbers[constant]
        elif form == "plus":
            words += self._numbers[constant] + parts["more than"] + names[0]
        elif form == "times":
            words += self._numbers[constant] + parts["times"] + names[0]
        elif form == "same":
            words += names[0]
        else:
            words += parts[f"the {form} of"] + names[0]
            for name in names[1:-1]:
                words += parts[","] + name
            words += parts["and"] + names[-1]
        return words + parts["."]

    def unknown(self, quantity: int) -> list[int]:
        """Return the sentence that says that a quantity exists and is not known."""
        subject = self._subjects[quantity][:-1]
        return subject + self.encode("is not known .")

    def given(self, quantity: int, value: int) -> list[int]:
        """Return the sentence that tells a quantity's value."""
        return self._subjects[quantity] + self._numbers[value] + self._parts["."]

    def question(self, quantity: int) -> list[int]:
        """Return the question for a quantity."""
        return self._question + self.phrases[quantity] + [self.ids["?"]]


def as_text(words: list[str]) -> str:
    """Return words as a person would write them."""
    return re.sub(r" ([.,?:])|(?<=\d) (?=\d)", r"\1", " ".join(words))


def as_words(text: str, *, digits: bool) -> list[str]:
    """Return the words of a text, marks apart, and with `digits` each digit of a number."""
    words = re.findall(r"[^\s.,?:]+|[.,?:]", text)
    return [p for w in words for p in (w if digits and w.isdigit() else [w])]
