"""Laying examples out one by one: tokens, which of them are answers, and how hard each query is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from workbench.batch import Batch


class Layout:
    """The arrays of a `Batch` while they are filled; all padding at first.

    `examples`, `tokens`, `queries`: its size. Queries are short and many, so they are noted in
    lists, which is quicker, and written all at once.
    """

    def __init__(self, examples: int, tokens: int, queries: int) -> None:
        shape = (examples, tokens)
        self._length, self._most = tokens, queries
        self.tokens = np.zeros(shape, dtype=np.int64)
        self.loss_mask, self.valid = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
        self.answer_of = np.full(shape, -1, dtype=np.int64)
        self.difficulty = np.full((examples, queries), -1, dtype=np.int64)
        self._places: list[int] = []  # of the queries' tokens, examples end to end
        self._words: list[int] = []
        self._answers: list[int] = []  # the places of answers
        self._queries: list[int] = []
        self._asked: list[int] = []  # places in `difficulty`
        self._levels: list[int] = []

    def put(self, row: int, first: int, tokens: Sequence[int] | np.ndarray) -> int:
        """Write tokens of an example from `first` on; return the place after them."""
        last = first + len(tokens)
        self.tokens[row, first:last] = tokens
        self.valid[row, first:last] = True
        return last

    def ask(
        self,
        row: int,
        query: int,
        first: int,
        question: Sequence[int],
        answer: Sequence[int],
        difficulty: int,
    ) -> None:
        """Add a query from `first` on: its question, and the answer that is to be predicted."""
        start = row * self._length + first
        middle = start + len(question)
        answers = range(middle, middle + len(answer))
        self._places += range(start, middle)
        self._places += answers
        self._words += question
        self._words += answer
        self._answers += answers
        self._queries += [query] * len(answer)
        self._asked.append(row * self._most + query)
        self._levels.append(difficulty)

    def batch(self, isolated: int = 0) -> Batch:
        """Return the batch; `isolated` as `Batch` has it."""
        self.tokens.reshape(-1)[self._places] = self._words
        self.valid.reshape(-1)[self._places] = True
        self.loss_mask.reshape(-1)[self._answers] = True
        self.answer_of.reshape(-1)[self._answers] = self._queries
        self.difficulty.reshape(-1)[self._asked] = self._levels
        return Batch(
            self.tokens, self.loss_mask, self.valid, self.answer_of, self.difficulty, isolated
        )
