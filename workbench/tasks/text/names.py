"""Proper names: which words of a text are names, and random words that can stand for them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from random import Random

WORD = re.compile(r"[A-Za-z]+")
NAME = re.compile(r"\b[A-Z][a-z]+\b")
INSIDE = re.compile(r"(?<=[a-z,;] )[A-Z][a-z]+\b")
"""A capitalised word that does not begin a sentence."""

STARTS = tuple("b ch d dr f g gr h j k kh l m n p ph r s sh t th tr v y z".split())
VOWELS = tuple("a e i o u ai ea ia".split())
ENDS = ("", *"b d h k l m n r s sh t th z".split())


def find_names(texts: Iterable[str]) -> frozenset[str]:
    """Return the words of three letters and more that are always capitalised.

    A word that only ever begins sentences does not count, nor one seen in lower case anywhere.
    """
    words: set[str] = set()
    inside: set[str] = set()
    for text in texts:
        words.update(WORD.findall(text))
        inside.update(INSIDE.findall(text))
    return frozenset(word for word in inside if len(word) > 2 and word.lower() not in words)


def random_name(random: Random, taken: Iterable[str] = ()) -> str:
    """Return a pronounceable word of two or three syllables that is not among `taken`."""
    while True:
        syllables = [
            random.choice(STARTS) + random.choice(VOWELS) for _ in range(random.choice((2, 2, 3)))
        ]
        word = ("".join(syllables) + random.choice(ENDS)).capitalize()
        if word not in taken:
            return word
