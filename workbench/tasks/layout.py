"""Laying examples out one by one: tokens, which of them are answers, and how hard each query is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from workbench.batch import Batch


class Layout:
    """The arrays of a `Batch` while they are filled; all padding at first.

    `examples`, `tokens`, `queries`: its size.
    """

    def __init__(self, examples: int, tokens: int, queries: int) -> None:
        shape = (examples, tokens)
        self.tokens = np.zeros(shape, dtype=np.int64)
        self.loss_mask, self.valid = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
        self.answer_of = np.full(shape, -1, dtype=np.int64)
        self.difficulty = np.full((examples, queries), -1, dtype=np.int64)

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
        """Write a query from `first` on: its question, and the answer that is to be predicted."""
        middle = self.put(row, first, question)
        last = self.put(row, middle, answer)
        self.loss_mask[row, middle:last] = True
        self.answer_of[row, middle:last] = query
        self.difficulty[row, query] = difficulty

    def batch(self, isolated: int = 0) -> Batch:
        """Return the batch; `isolated` as `Batch` has it."""
        return Batch(
            self.tokens, self.loss_mask, self.valid, self.answer_of, self.difficulty, isolated
        )
