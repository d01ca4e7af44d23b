"""What a model answers to the queries of one example: probabilities, and letters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import xarray as xr

from workbench import dims
from workbench.batch import Batch
from workbench.errors import WorkbenchError
from workbench.sleep import Wake
from workbench.tasks.base import Task
from workbench.trace.answers import said_tokens
from workbench.training.loss import answer_probabilities

MOST_CANDIDATES: Final = 16
"""Most possible first symbols of an answer that are all shown."""
OTHER: Final = "other"
"""Name of the symbol that stands for all symbols that are not candidates."""


class Asked:
    """The queries of one example, and what may be answered to them.

    `candidates` are the symbols that can begin an answer, or those of them in the context where
    they are more than `MOST_CANDIDATES`, and the right ones; `names` spells them, with `OTHER` at
    the end. `one_symbol` says whether every answer is a single symbol.
    """

    def __init__(self, batch: Batch, task: Task) -> None:
        self.batch, self.task = batch, task
        self.asked = batch.difficulty[0] >= 0
        self.is_answer = batch.answer_of[0] == np.flatnonzero(self.asked)[:, None]  # (query, token)
        right = batch.tokens[0][self.is_answer.argmax(axis=1)]
        self.candidates = np.union1d(_can_begin(batch, task), right)
        self.names = [*(task.vocabulary[symbol] for symbol in self.candidates), OTHER]
        self.one_symbol = bool((self.is_answer.sum(axis=1) == 1).all())

    def answers(self, wakes: Sequence[Wake]) -> xr.Dataset:
        """Return what was answered in some windows read awake.

        ``probability`` (query, symbol) of each answer's first token, over the candidates and
        `OTHER`, NaN for queries that these windows do not answer; ``answer`` (query), the whole
        answer in letters.
        """
        task, tokens = self.task, said_tokens(wakes, self.batch)[0]
        answer = [task.spell([task.vocabulary[s] for s in tokens[at]]) for at in self.is_answer]
        shown = answer_probabilities(wakes, self.batch)[0][self.asked][:, self.candidates]
        rest = np.clip(1.0 - shown.sum(axis=1, keepdims=True), 0.0, 1.0)
        whole = np.concatenate((shown, rest), axis=1).astype(np.float32)
        return xr.Dataset(
            {"probability": ((dims.QUERY, dims.SYMBOL), whole), "answer": (dims.QUERY, answer)},
            {dims.SYMBOL: self.names},
        )


def _can_begin(batch: Batch, task: Task) -> np.ndarray:
    """Return the symbols that can begin an answer; of many, those in the context."""
    context = batch.tokens[0, : task.context_tokens][batch.valid[0, : task.context_tokens]]
    try:
        targets = task.probe_targets(batch)
    except WorkbenchError:  # a text has no fixed set of answers
        return context
    if not targets:
        return context
    # names, marks and other words are no answers
    possible = np.unique(np.concatenate([target.symbols for target in targets]))
    return possible if len(possible) <= MOST_CANDIDATES else np.intersect1d(context, possible)
