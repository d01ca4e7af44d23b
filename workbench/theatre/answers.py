"""What a model answers to the queries of one example: probabilities, letters, right or wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import xarray as xr

from workbench import dims
from workbench.batch import Batch, concatenate
from workbench.errors import WorkbenchError
from workbench.sleep import Wake
from workbench.tasks.base import Task
from workbench.trace.answers import said_tokens
from workbench.training.loss import answer_probabilities, query_correct, token_correct

MOST_CANDIDATES: Final = 16
"""Most possible first symbols of an answer that are all shown."""
OTHER: Final = "other"
"""Name of the symbol that stands for all symbols that are not candidates."""


class Asked:
    """The queries of one example, and what may be answered to them.

    `candidates` are the symbols that can begin an answer, or those of them in the context where
    they are more than `MOST_CANDIDATES`, and the right ones;
    `names` spells them, with `OTHER` at the end. By query, for those asked: `right`, the place of
    the right one among the candidates; `chance`, as `Task.best_guess`; `difficulty`.
    """

    def __init__(self, batch: Batch, task: Task) -> None:
        self.batch, self.task = batch, task
        self.asked = batch.difficulty[0] >= 0
        self.is_answer = batch.answer_of[0] == np.flatnonzero(self.asked)[:, None]  # (query, token)
        self.right_symbols = batch.tokens[0][self.is_answer.argmax(axis=1)]
        self.candidates = np.union1d(_can_begin(batch, task), self.right_symbols)
        self.names = [*(task.vocabulary[symbol] for symbol in self.candidates), OTHER]
        self.right = np.searchsorted(self.candidates, self.right_symbols)
        self.chance = task.best_guess(batch)[0][self.asked]
        self.difficulty = batch.difficulty[0][self.asked]

    @property
    def one_symbol(self) -> bool:
        """Whether every answer is a single symbol, so that its probability is the answer's."""
        return bool((self.is_answer.sum(axis=1) == 1).all())

    def answers(self, wakes: Sequence[Wake]) -> xr.Dataset:
        """Return what was answered in some windows read awake.

        ``probability`` (query, symbol) of each answer's first token, over the candidates and
        `OTHER`; and by query ``right``; ``right_probability``, of the right first token;
        ``answer``, the whole answer in letters; ``correct``, whether it is right; ``chance``;
        ``difficulty``. Probabilities are NaN for queries that these windows do not answer.
        """
        return answers_of([self], wakes)[0]


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


def answers_of(asked: Sequence[Asked], wakes: Sequence[Wake]) -> list[xr.Dataset]:
    """Return `Asked.answers` of each example, from windows that hold all of them."""
    batch = concatenate([one.batch for one in asked])
    probability = answer_probabilities(wakes, batch)  # (example, query, symbol)
    correct = query_correct(token_correct(wakes, batch), batch)
    said = said_tokens(wakes, batch)
    return [_answers_of(one, probability[i], correct[i], said[i]) for i, one in enumerate(asked)]


def _answers_of(
    one: Asked, probability: np.ndarray, correct: np.ndarray, said: np.ndarray
) -> xr.Dataset:
    probability, correct = probability[one.asked], correct[one.asked]
    shown = probability[:, one.candidates]
    rest = np.clip(1.0 - shown.sum(axis=1, keepdims=True), 0.0, 1.0)
    task, count = one.task, len(one.right)
    answer = [task.spell([task.vocabulary[s] for s in said[at]]) for at in one.is_answer]
    by_query: dict[str, object] = {
        "right": one.right,
        "right_probability": probability[np.arange(count), one.right_symbols].astype(np.float32),
        "answer": answer,
        "correct": correct,
        "chance": one.chance,
        "difficulty": one.difficulty,
    }
    over = (dims.QUERY, dims.SYMBOL)
    whole = np.concatenate((shown, rest), axis=1).astype(np.float32)
    return xr.Dataset(
        {"probability": (over, whole)}
        | {name: ((dims.QUERY,), values) for name, values in by_query.items()},
        {dims.SYMBOL: one.names, dims.QUERY: np.arange(count)},
    )
