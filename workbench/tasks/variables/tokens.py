"""The words of Variables as tokens of a tokenizer, where each word is a single token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from workbench.errors import WorkbenchError
from workbench.tasks.tokenizers import Tokenizer


class WordTokens(NamedTuple):
    """Which token each word is; words follow a space, as inside a sentence."""

    vocabulary: tuple[str, ...]
    """Every symbol of the tokenizer; the words of the task as they are written."""
    ids: dict[str, int]
    names: tuple[str, ...]
    """Those that are a single token."""
    before_number: tuple[str, ...]
    """Symbols that precede every number: a space, where digits are tokens of their own."""


def word_tokens(
    named: str, pad: str, words: Sequence[str], names: Sequence[str], numbers: Sequence[str]
) -> WordTokens:
    """Return the tokens of a task's words; token 0 is padding.

    Raises WorkbenchError: a word or a number is not a single token.
    """
    tokenizer = Tokenizer(named, ["Anna has 3 apples ."])
    spelt = {word: tokenizer.encode(f" {word}").ids for word in (*words, *names, *numbers)}
    # a tokenizer may have one token for all words that it does not know
    known = {word for word, ids in spelt.items() if tokenizer.decode(ids).strip() == word}
    before = spelt[numbers[0]][:-1]
    whole = [word for word in words if len(spelt[word]) == 1 and word in known]
    whole += [n for n in numbers if spelt[n][:-1] == before and n in known]
    if missing := [word for word in (*words, *numbers) if word not in whole]:
        raise WorkbenchError(
            f"task.tokenizer = {named!r}, which splits {missing[0]!r}",
            "a tokenizer for which each word and each number is one token",
            "choose another tokenizer, or a smaller task.modulus",
        )
    single = tuple(name for name in names if len(spelt[name]) == 1 and name in known)
    ids = {pad: 0} | {word: spelt[word][-1] for word in (*whole, *single)}
    symbols = [f"<{symbol}>" if symbol in ids else symbol for symbol in tokenizer.symbols]
    for word, token in ids.items():
        symbols[token] = word
    marks = tuple(symbols[token] for token in before)
    return WordTokens(tuple(symbols), ids | dict(zip(marks, before, strict=True)), single, marks)
