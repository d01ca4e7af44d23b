"""From an item's text to context and question, and from text to tokens and back."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

PAD, ANSWER, END = "<pad>", "<answer>", "<end>"
CHARACTERS = (
    "".join(map(chr, range(32, 127))) + "\n\t" + "°×÷¬±²³√∞∫≤≥≠→←↑↓↔∧∨⊕─│┌┐└┘├┤█" + "“”‘’–—…✅❌❔"
)
"""The alphabet: printable ASCII, and the other characters that data sets use all the time."""

PIECES = re.compile(r" ?[A-Za-z]+|[\s\S]")
"""What a word is; all else is read character by character, digits too."""
ENDS = re.compile(r"(?<=[.?!])[\"')]*\s+|\n+")
"""What ends a sentence."""


def split_item(text: str, how: str) -> tuple[str, str]:
    """Return the context and the question of an item, without the white space between them.

    `how` is the setting ``split``. The context is never empty, the question may be.
    """
    text = text.strip()
    if how == "none":
        return text, ""
    if how == "line":
        starts = [match.end() for match in re.finditer(r"\n+", text)]
    else:
        starts = [match.end() for match in ENDS.finditer(text)]
    begin = starts[-1] if starts else 0
    if how == "question":
        bounds = [0, *starts, len(text)]
        asked = [
            a for a, b in zip(bounds, bounds[1:], strict=False) if text[a:b].rstrip()[-1:] == "?"
        ]
        begin = asked[-1] if asked else 0
    context, question = text[:begin].rstrip(), text[begin:]
    return (context, question) if context else (text, "")


def sentences(text: str) -> list[tuple[int, int]]:
    """Return where the sentences of a text begin and end, white space at their ends included."""
    cuts = [0, *(match.end() for match in ENDS.finditer(text)), len(text)]
    return [(a, b) for a, b in zip(cuts, cuts[1:], strict=False) if b > a]


class Alphabet:
    """Symbols, and text as lists of their ids."""

    def __init__(self, words: Sequence[str] = ()) -> None:
        self.symbols = (PAD, ANSWER, END, *CHARACTERS, *words)
        self.ids = {symbol: number for number, symbol in enumerate(self.symbols)}
        self._words = bool(words)

    def encode(self, text: str) -> list[int] | None:
        """Return the ids of a text; None if a character of it is not in the alphabet."""
        ids = self.ids
        try:
            if not self._words:
                return [ids[character] for character in text]
            found: list[int] = []
            for piece in PIECES.findall(text):
                known = ids.get(piece)
                found += [ids[c] for c in piece] if known is None else [known]
        except KeyError:
            return None
        return found

    def decode(self, tokens: Iterable[int]) -> str:
        """Return the text of ids; marks and padding are left out."""
        return "".join(self.symbols[token] for token in tokens if token > 2)


def strange_in(text: str) -> str:
    """Return the first character of a text that is not in the alphabet."""
    return next(character for character in text if character not in CHARACTERS)


def frequent_words(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the words that occur at least twice, the commonest first."""
    counts = Counter(
        piece for text in texts for piece in PIECES.findall(text) if len(piece.strip()) > 1
    )
    kept = [word for word, count in counts.items() if count > 1]
    return tuple(sorted(kept, key=lambda word: (-counts[word], word)))
