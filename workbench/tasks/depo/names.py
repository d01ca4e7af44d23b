"""Names of Depo's nodes: words over a small alphabet whose last letter shows that they end.

A word of letters a, b is the symbols ``a`` and ``b.``: the last letter has a separate id, so
the end of a word is visible without a separator. Sources: the Depo generator of Physics of Language
Models 4.1 (word lengths, shifted last letter, redrawing of duplicates); paper section 2.
"""

from __future__ import annotations

import string
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Literal

import numpy as np

NameKind = Literal["depo1", "depo2", "single"]

_ALPHABET = {"depo1": string.ascii_lowercase + string.ascii_uppercase[:24], "depo2": "abc"}
_LENGTHS = {"depo1": (1, 2), "depo2": (5, 6, 7)}


@dataclass(frozen=True)
class Words:
    """All words that can name a node, and how to draw distinct ones."""

    texts: tuple[str, ...]
    """The words as typed, without end marks."""
    alphabet: tuple[str, ...]
    """Texts of the letters' symbols, in the order of their ids."""
    spelling: np.ndarray
    """int32 [word + 1, letter]: symbol ids of each word's letters, 0 beyond its end. The last
    row is the empty word."""
    draws: np.ndarray | None
    """uint16 [draw]: equally likely outcomes of drawing one word; None if all words are used,
    each once."""

    def draw(self, count: int, nodes: int, generator: np.random.Generator) -> np.ndarray:
        """Draw distinct words, [example, node], in the order in which they turn up.

        A word's length is uniform, then its letters are; a word that the example already has is
        drawn again. So the first n words of a row are a draw for n nodes.
        """
        if self.draws is None:
            return permutations(np.full(count, nodes), nodes, generator)
        # Draw more words than needed and keep first occurrences; rows still short draw on.
        more = nodes + nodes // 3 + 16
        words = np.empty((count, nodes), dtype=np.uint32)
        rows, drawn = np.arange(count), np.empty((count, 0), dtype=np.uint16)
        while len(rows):
            shape = (len(rows), more)
            new = self.draws[generator.integers(0, len(self.draws), shape, dtype=np.uint16)]
            drawn = np.concatenate([drawn, new], axis=1)
            found, enough = _first_distinct(drawn, nodes)
            words[rows[enough]] = found[enough]
            rows, drawn = rows[~enough], drawn[~enough]
        return words


@lru_cache(maxsize=16)
def make_words(names: NameKind, nodes: int, first_symbol: int) -> Words:
    """Return the words of a naming scheme; the alphabet's ids start at `first_symbol`."""
    if names == "single":
        texts = tuple(str(node) for node in range(nodes))
        ids = np.append(np.arange(first_symbol, first_symbol + nodes, dtype=np.int32), 0)
        return Words(texts, texts, ids[:, None], None)
    letters, lengths = _ALPHABET[names], _LENGTHS[names]
    words = [word for size in lengths for word in product(range(len(letters)), repeat=size)]
    spelling = np.zeros((len(words) + 1, max(lengths)), dtype=np.int32)
    for row, word in zip(spelling, words, strict=False):
        row[: len(word)] = word
        row[: len(word)] += first_symbol
        row[len(word) - 1] += len(letters)
    # Repeat short words so that every length, and within it every word, is equally likely.
    repeats = [len(letters) ** (max(lengths) - len(word)) for word in words]
    return Words(
        texts=tuple("".join(letters[letter] for letter in word) for word in words),
        alphabet=tuple(letters) + tuple(f"{letter}." for letter in letters),
        spelling=spelling,
        draws=np.repeat(np.arange(len(words), dtype=np.uint16), repeats),
    )


def permutations(sizes: np.ndarray, width: int, generator: np.random.Generator) -> np.ndarray:
    """Return uniform random permutations, uint32 [example, node].

    The first ``sizes[example]`` entries of a row permute 0..size - 1; the rest are the remaining
    numbers in order. Each row sorts random keys whose lowest bits carry the index, which is
    several times faster than an argsort; keys are long enough (40 bits or more) never to tie.
    """
    bits = np.uint64(width.bit_length())
    index = np.arange(width, dtype=np.uint64)
    keys = generator.integers(0, 2**63, (len(sizes), width), dtype=np.uint64)
    keys >>= bits
    keys <<= bits
    keys |= index
    if (sizes < width).any():
        beyond = index >= sizes[:, None].astype(np.uint64)
        np.copyto(keys, index | np.uint64(2**63), where=beyond)
    keys.sort(axis=1)
    keys &= (np.uint64(1) << bits) - np.uint64(1)
    return keys.astype(np.uint32)


def _first_distinct(drawn: np.ndarray, nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the first `nodes` distinct words of each row, and whether there are as many."""
    bits = 16  # words are uint16
    position = np.arange(drawn.shape[1], dtype=np.uint32)
    keys = (drawn.astype(np.uint32) << bits) | position
    keys.sort(axis=1)  # by word, then by position
    word = keys >> bits
    first = np.ones(word.shape, dtype=bool)
    np.not_equal(word[:, 1:], word[:, :-1], out=first[:, 1:])
    keys = ((keys & 0xFFFF) << bits) | word
    np.copyto(keys, np.uint32(2**32 - 1), where=~first)
    keys.sort(axis=1)  # by position; repeats last
    return keys[:, :nodes] & 0xFFFF, first.sum(axis=1) >= nodes
