"""What a task gives a model: tokens, which of them to predict, and how hard each query is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

ARRAYS: Final = ("tokens", "loss_mask", "valid", "answer_of", "difficulty")
"""Names of a batch's arrays."""


@dataclass(frozen=True)
class Batch:
    """Sequences of one length, all with the same layout of context and queries.

    Attributes
    ----------
    tokens : int64 [example, token]
        Symbol ids. A task pads its context on the left and its queries on the right.
    loss_mask : bool [example, token]
        Tokens to be predicted, each from the position before it **in the same window**.
    valid : bool [example, token]
        False for padding.
    answer_of : int64 [example, token]
        Index of the query whose answer this token belongs to, else -1. A predicted token that
        only marks the answer (Depo's ANS) carries loss but belongs to no answer.
    difficulty : int64 [example, query]
        The task's difficulty of each query; -1 where an example has fewer queries.
    isolated : int
        Tokens of a query that is read alone: each of the last ``query * isolated`` tokens is read
        with the memory that the context left, and sees no other query. 0: queries are read on, in
        windows, like all else.
    """

    tokens: np.ndarray
    loss_mask: np.ndarray
    valid: np.ndarray
    answer_of: np.ndarray
    difficulty: np.ndarray
    isolated: int = 0

    def __post_init__(self) -> None:
        shape = self.tokens.shape
        for name in ("loss_mask", "valid", "answer_of"):
            if getattr(self, name).shape != shape:
                raise ValueError(
                    f"Batch.{name} has shape {getattr(self, name).shape}; expected that of tokens "
                    f"[example, token] = {shape}"
                )
        if self.difficulty.ndim != 2 or len(self.difficulty) != shape[0]:
            raise ValueError(
                f"Batch.difficulty has shape {self.difficulty.shape}; expected "
                f"[example, query] with example = {shape[0]}"
            )
        if not 0 <= self.context_tokens <= shape[1]:
            raise ValueError(
                f"Batch.isolated = {self.isolated} with {self.difficulty.shape[1]} queries; "
                f"expected at most the {shape[1]} tokens that there are"
            )

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def context_tokens(self) -> int:
        """Tokens before the isolated queries; all tokens where none is isolated."""
        return self.tokens.shape[1] - self.isolated * self.difficulty.shape[1]

    def windows(self, length: int) -> list[tuple[int, int]]:
        """Return the tokens (start, stop) of each window of at most `length` tokens.

        Isolated queries are one window more, of all of them.
        """
        return window_spans(self.context_tokens, self.tokens.shape[1], length)

    def begins(self, length: int) -> list[int]:
        """Return the tokens that begin a window or an isolated query: nothing predicts them."""
        context = self.context_tokens
        alone = range(context, self.tokens.shape[1], self.isolated) if self.isolated else ()
        return [*range(0, context, length), *alone]

    def query_tokens(self, query: int) -> slice:
        """Return the tokens of an isolated query."""
        start = self.context_tokens + query * self.isolated
        return slice(start, start + self.isolated)

    def query(self, query: int) -> Batch:
        """Return the batch of the context and one of its isolated queries."""
        own = self.query_tokens(query)
        index = [*range(self.context_tokens), *range(own.start, own.stop)]
        arrays = {name: getattr(self, name)[:, index] for name in ARRAYS[:-1]}
        arrays["answer_of"] = np.where(arrays["answer_of"] == query, 0, -1)
        return Batch(**arrays, difficulty=self.difficulty[:, [query]], isolated=self.isolated)

    def answer_starts(self) -> np.ndarray:
        """Return the first token of each answer, int64 [example, query]; -1 without one."""
        is_answer = self.answer_of[:, :, None] == np.arange(self.difficulty.shape[1])
        return np.where(is_answer.any(axis=1), is_answer.argmax(axis=1), -1)

    def examples(self, index: slice | np.ndarray) -> Batch:
        """Return the batch of the examples selected by `index`."""
        arrays = {name: getattr(self, name)[index] for name in ARRAYS}
        return Batch(**arrays, isolated=self.isolated)

    def token_range(self, start: int, stop: int) -> Batch:
        """Return the batch of the tokens ``start <= token < stop``; difficulty is kept whole.

        Raises ValueError: the range holds a part of the isolated queries.
        """
        context, stop = self.context_tokens, min(stop, self.tokens.shape[1])
        whole = start <= context and stop == self.tokens.shape[1]
        if self.isolated and not whole and stop > context:
            raise ValueError(
                f"tokens {start} to {stop} cut the isolated queries, which begin at {context}"
            )
        cut = {name: getattr(self, name)[:, start:stop] for name in ARRAYS if name != "difficulty"}
        isolated = self.isolated if whole else 0
        return Batch(**cut, difficulty=self.difficulty, isolated=isolated)


def window_spans(context: int, end: int, length: int) -> list[tuple[int, int]]:
    """Return `Batch.windows` of `end` tokens, of which `context` come before isolated queries."""
    found = [(start, min(start + length, context)) for start in range(0, context, length)]
    return found if context == end else [*found, (context, end)]


def concatenate(batches: list[Batch]) -> Batch:
    """Stack batches of equal token length along the example axis.

    Raises ValueError: isolated queries take another number of tokens in one batch than in another.
    """
    if len(lengths := {batch.isolated for batch in batches}) > 1:
        raise ValueError(f"batches with isolated = {sorted(lengths)}; expected one layout")
    arrays = {name: np.concatenate([getattr(b, name) for b in batches]) for name in ARRAYS}
    return Batch(**arrays, isolated=batches[0].isolated)
