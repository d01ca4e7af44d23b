"""Word problems as tokens: one for each word, or those of a tokenizer that the user names.

Words find their tokens by the offsets that a tokenizer returns, so that a word, or a number, may be
several tokens.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from workbench.errors import WorkbenchError
from workbench.tasks.gsm_infinite.wording import ANSWER, PAD, Wording, as_text
from workbench.tasks.tokenizers import Tokenizer

WORD = re.compile(r"[^\s.,?:]+|[.,?:]")


class WordTokens:
    """A token for each word, number or digit."""

    def __init__(self, wording: Wording) -> None:
        self.wording = wording
        self.vocabulary: tuple[str, ...] = wording.vocabulary
        self.answer_mark = [wording.ids[ANSWER]]

    def longest(self, most: int) -> tuple[int, int]:
        """Return the tokens of the longest question, and of the longest answer up to `most`."""
        return self.wording.longest + 3, len(str(most)) + 1 if self.wording.digits else 1

    def encode(self, ids: list[int]) -> list[int]:
        """Return the tokens of words, which come as the ids of `Wording`."""
        return ids

    def question(self, ids: list[int]) -> list[int]:
        """Return the tokens of a question that follows the context."""
        return ids

    def answer(self, value: int) -> list[int]:
        """Return the tokens of an answer."""
        return self.wording.answer(value)

    def words(self, tokens: Sequence[int]) -> tuple[list[str], list[int]]:
        """Return the words that tokens spell, and the first token of each."""
        return [self.vocabulary[token] for token in tokens], list(range(len(tokens)))

    def said(self, symbols: Sequence[str]) -> str:
        """Return what tokens say, given by their symbols, as a person would write it."""
        return as_text([symbol for symbol in symbols if symbol != PAD])


class FileTokens(WordTokens):
    """Tokens of a tokenizer that gives back every text as it was.

    Raises WorkbenchError: the tokenizer is missing, or it changes the text.
    """

    def __init__(self, wording: Wording, named: str) -> None:
        self.wording, names = wording, wording.names
        texts = [f"The {name} equals 7, the sum of 10 and 213." for name in (names[0], names[-1])]
        texts.append(f"What is the {names[0]}?")
        self._tokenizer = Tokenizer(named, texts, stripped=True)
        self.vocabulary = self._tokenizer.symbols
        self.answer_mark = self._encoded(f" {ANSWER}:")
        self._answers: dict[int, list[int]] = {}

    def longest(self, most: int) -> tuple[int, int]:
        """Return the tokens of the longest question, and of the longest answer up to `most`."""
        questions = (f" What is the {name}?" for name in self.wording.names)
        longest = max(len(self._encoded(question)) for question in questions)
        return longest, max(len(self.answer(value)) for value in range(most + 1))

    def encode(self, ids: list[int]) -> list[int]:
        """Return the tokens of words, which come as the ids of `Wording`."""
        words = [self.wording.vocabulary[i] for i in ids]
        return self._encoded(as_text(words))

    def question(self, ids: list[int]) -> list[int]:
        """Return the tokens of a question that follows the context."""
        return self._encoded(" " + as_text([self.wording.vocabulary[i] for i in ids]))

    def answer(self, value: int) -> list[int]:
        """Return the tokens of an answer, the last of them a full stop."""
        if value not in self._answers:
            self._answers[value] = self._encoded(f" {value}") + self._encoded(".")
        return self._answers[value]

    def words(self, tokens: Sequence[int]) -> tuple[list[str], list[int]]:
        """Return the words that tokens spell, and the first token of each."""
        text = self._tokenizer.decode(tokens)
        encoded = self._tokenizer.encode(text)
        if list(encoded.ids) != list(tokens):
            raise WorkbenchError(
                f"task.tokenizer = {self._tokenizer.named!r}, whose tokens of {text[:60]!r} differ",
                "one way to split a text",
                "choose another tokenizer",
            )
        token_at = [0] * len(text)
        for number, (begin, end) in enumerate(encoded.offsets):
            token_at[begin:end] = [number] * (end - begin)
        found = list(WORD.finditer(text))
        return [match[0] for match in found], [token_at[match.start()] for match in found]

    def said(self, symbols: Sequence[str]) -> str:
        """Return what tokens say, given by their symbols."""
        known = self._tokenizer.ids
        return self._tokenizer.decode([known[s] for s in symbols if s in known]).strip()

    def _encoded(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text).ids)
