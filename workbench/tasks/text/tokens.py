"""Text as tokens: characters of a fixed alphabet, or those of a tokenizer that the user names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import numpy as np

from workbench.errors import WorkbenchError
from workbench.tasks.text.corpora import UNKNOWN
from workbench.tasks.tokenizers import Tokenizer

PAD = "PAD"
ALPHABET = (UNKNOWN, "\n", *map(chr, range(32, 127)))
"""What a text may hold; symbol 0 is padding. Fixed, so that any model reads any corpus."""
SHOWN = {UNKNOWN: "\ufffd", "\n": "\u21b5"}
SPACE = "\u2423"
SAMPLE = "And Zarel begat Mokun; and\nthe sons of Mokun were 7 (seven)."

_CODES = np.zeros(128, dtype=np.int64)
_CODES[[ord(character) for character in ALPHABET]] = np.arange(1, len(ALPHABET) + 1)


class Spelt(NamedTuple):
    """A text and its tokens: numbers, and where each begins and ends in the text."""

    text: str
    tokens: np.ndarray
    starts: np.ndarray
    stops: np.ndarray

    def range(self, start: int, stop: int) -> tuple[int, int]:
        """Return the tokens that characters lie in, the last one excluded.

        Characters past the end of the text count as one token more.
        """
        first = int(np.searchsorted(self.stops, start, side="right"))
        last = int(np.searchsorted(self.starts, stop, side="left"))
        return first, last + (stop > len(self.text))

    def said(self, first: int, last: int) -> str:
        """Return the characters of tokens without space around them."""
        return self.text[self.starts[first] : self.stops[last - 1]].strip()

    def cut(self, length: int) -> Spelt:
        """Return the first tokens, at most `length`."""
        stops = self.stops[:length]
        return Spelt(
            self.text[: int(stops[-1]) if len(stops) else 0],
            self.tokens[:length], self.starts[:length], stops,
        )  # fmt: skip


class Characters:
    """A token for each character."""

    item: ClassVar[str] = "character"
    vocabulary: tuple[str, ...] = (PAD, *(SHOWN.get(c, c) for c in ALPHABET))

    def spell(self, text: str) -> Spelt:
        """Return a text with its tokens; raises WorkbenchError for what is not in the alphabet."""
        check_alphabet(text)
        tokens = _CODES[np.frombuffer(text.encode("ascii"), dtype=np.uint8)]
        starts = np.arange(len(text))
        return Spelt(text, tokens, starts, starts + 1)

    def read(self, tokens: Sequence[int]) -> Spelt:
        """Return the text of tokens, none of which is padding."""
        return self.spell("".join(ALPHABET[token - 1] for token in tokens))

    def shown(self, spelt: Spelt) -> list[str]:
        """Return how tokens are drawn."""
        symbols = (self.vocabulary[token] for token in spelt.tokens)
        return [SPACE if symbol == " " else symbol for symbol in symbols]

    def width(self, text: str) -> float:
        """Return the characters of a token in a text like this, on average."""
        return 1.0


class FileTokens(Characters):
    """Tokens of a tokenizer that gives back every text as it was.

    Raises WorkbenchError: the tokenizer is missing, or it changes the text.
    """

    item: ClassVar[str] = "token"

    def __init__(self, named: str) -> None:
        self._tokenizer = Tokenizer(named, [SAMPLE])
        self.vocabulary = self._tokenizer.symbols

    def spell(self, text: str) -> Spelt:
        """Return a text with its tokens; raises WorkbenchError for what is not in the alphabet."""
        check_alphabet(text)
        encoded = self._tokenizer.encode(text)
        ends = np.array(encoded.offsets, dtype=np.int64).reshape(-1, 2)
        return Spelt(text, np.array(encoded.ids, dtype=np.int64), ends[:, 0], ends[:, 1])

    def read(self, tokens: Sequence[int]) -> Spelt:
        """Return the text of tokens; where it would be split otherwise, token by token."""
        given = np.array(tokens, dtype=np.int64)
        text = self._tokenizer.decode(given.tolist())
        try:
            spelt = self.spell(text)
        except WorkbenchError:  # a model may write anything
            spelt = None
        if spelt is not None and np.array_equal(spelt.tokens, given):
            return spelt
        upto = (self._tokenizer.decode(given[:n].tolist()) for n in range(len(given) + 1))
        ends = np.array([len(text) for text in upto])
        return Spelt(text, given, ends[:-1], ends[1:])

    def shown(self, spelt: Spelt) -> list[str]:
        """Return how tokens are drawn: their characters, a line end as a sign."""
        ends = zip(spelt.starts.tolist(), spelt.stops.tolist(), strict=True)
        texts = (spelt.text[start:stop] for start, stop in ends)
        return ["".join(SHOWN.get(c, c) for c in text) or SPACE for text in texts]

    def width(self, text: str) -> float:
        """Return the characters of a token in a text like this, on average."""
        return len(text) / max(1, len(self.spell(text).tokens))


def check_alphabet(text: str) -> None:
    """Raise WorkbenchError, with line and place, for a character that is not in the alphabet."""
    if strange := re.search(r"[^\n -~\x1a]", text):
        line = text.count("\n", 0, strange.start()) + 1
        column = strange.start() - text.rfind("\n", 0, strange.start())
        raise WorkbenchError(
            f"{strange[0]!r} (line {line}, character {column})",
            "printable ASCII",
            "write it another way",
        )
