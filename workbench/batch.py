"""What a task gives a model: tokens, which of them to predict, and how hard each query is."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np


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
    """

    tokens: np.ndarray
    loss_mask: np.ndarray
    valid: np.ndarray
    answer_of: np.ndarray
    difficulty: np.ndarray

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

    def __len__(self) -> int:
        return len(self.tokens)

    def examples(self, index: slice | np.ndarray) -> Batch:
        """Return the batch of the examples selected by `index`."""
        return Batch(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def token_range(self, start: int, stop: int) -> Batch:
        """Return the batch of the tokens ``start <= token < stop``; difficulty is kept whole."""
        cut = {
            f.name: getattr(self, f.name)[:, start:stop]
            for f in fields(self)
            if f.name != "difficulty"
        }
        return Batch(**cut, difficulty=self.difficulty)


def concatenate(batches: list[Batch]) -> Batch:
    """Stack batches of equal token length along the example axis."""
    return Batch(
        **{f.name: np.concatenate([getattr(b, f.name) for b in batches]) for f in fields(Batch)}
    )
