"""Masked cross-entropy over the wake windows of a batch, and the answers read from them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from workbench.batch import Batch
from workbench.errors import WorkbenchError
from workbench.model.arrays import to_numpy
from workbench.sleep import Event, Wake

UNLABELLED = -100
"""Target of a token without a label."""


def masked_cross_entropy(events: Iterable[Event]) -> Tensor:
    """Return the mean cross-entropy per predicted token of one batch, nats.

    Each token with a label is predicted from the position before it in the same window. Events are
    pulled up to the last window with labels: a sleep after it changes no loss. Raises
    WorkbenchError: nothing is to be predicted.
    """
    total: Tensor | None = None
    count: Tensor | None = None
    predicted = 0
    for event in events:
        if isinstance(event, Wake):
            # shapes depend on the window alone, and nothing waits for the device: a CUDA graph
            # can hold it
            mask = event.window.loss_mask[:, 1:]
            target = event.window.tokens[:, 1:].masked_fill(~mask, UNLABELLED)
            loss = F.cross_entropy(
                event.logits[:, :-1].flatten(0, 1).float(),
                target.flatten(),
                ignore_index=UNLABELLED,
                reduction="sum",
            )
            total = loss if total is None else total + loss
            count = mask.sum() if count is None else count + mask.sum()
            predicted += event.window.predicted
            if not event.window.more_loss:
                break
    if total is None or count is None or not predicted:
        raise WorkbenchError(
            "a batch without a token to be predicted",
            "at least one label after the first token of a window",
            "check the task's loss mask against sleep.window",
        )
    return total / count


def token_correct(wakes: Iterable[Wake], batch: Batch) -> np.ndarray:
    """Return bool ``[example, token]``: was the most likely token the right one.

    False for tokens that no wake window predicts. Raises WorkbenchError: the logits are not finite,
    which is not a wrong answer.
    """
    correct = np.zeros(batch.tokens.shape, dtype=bool)
    for wake in wakes:
        check_finite_logits(wake)
        best = wake.logits[:, :-1].argmax(-1)
        right = best == wake.window.tokens[:, 1:]
        part = slice(wake.window.start + 1, wake.window.stop)
        correct[:, part] = to_numpy(right & wake.window.loss_mask[:, 1:])
    return correct


def note_bits(wakes: Iterable[Wake], bits: np.ndarray) -> Iterator[Wake]:
    """Pass wake windows on, and write the bits of every predicted token into `bits`.

    `bits`: float64 ``[example, token]``; what is not predicted stays as it is.
    """
    for wake in wakes:
        target = wake.window.tokens[:, 1:, None]
        spent = -torch.log_softmax(wake.logits[:, :-1].float(), dim=-1).gather(-1, target)[..., 0]
        part = bits[:, wake.window.start + 1 : wake.window.stop]  # a view
        mask = to_numpy(wake.window.loss_mask[:, 1:])
        part[mask] = to_numpy(spent)[mask] / math.log(2)
        yield wake


def check_finite_logits(wake: Wake) -> None:
    """Raise WorkbenchError if a logit is NaN or infinite where a token is predicted."""
    predicted = wake.window.loss_mask[:, 1:]
    finite = torch.isfinite(wake.logits[:, :-1]).all(-1) | ~predicted
    if not finite.all():
        raise WorkbenchError(
            f"logits that are NaN or infinite at {int((~finite).sum()):,} of "
            f"{int(predicted.sum()):,} predicted tokens",
            "finite logits, which alone can be right or wrong",
            "check the model's weights, or what was done to its memory",
        )


def query_correct(correct: np.ndarray, batch: Batch) -> np.ndarray:
    """Return bool ``[example, query]``: were all tokens of the answer right.

    `correct`: bool ``[example, token]``, as from `token_correct`.
    """
    queries = batch.difficulty.shape[1]
    is_answer = batch.answer_of[:, :, None] == np.arange(queries)  # (example, token, query)
    answered = is_answer.any(axis=1)  # a range of tokens may leave an answer out
    return (correct[:, :, None] | ~is_answer).all(axis=1) & answered & (batch.difficulty >= 0)


def answer_probabilities(wakes: Iterable[Wake], batch: Batch) -> np.ndarray:
    """Return the distribution over each answer's first token.

    float32 ``[example, query, symbol]``; NaN where an example has no such query. Raises
    WorkbenchError: the logits are not finite.
    """
    wakes = list(wakes)
    symbols = wakes[0].logits.shape[-1]
    result = np.full((*batch.difficulty.shape, symbols), np.nan, dtype=np.float32)
    for wake in wakes:
        check_finite_logits(wake)
        probability = to_numpy(torch.softmax(wake.logits.float(), dim=-1))
        for query in range(batch.difficulty.shape[1]):
            first = (batch.answer_of == query).argmax(axis=1)  # token of the sequence
            asked = (batch.answer_of == query).any(axis=1)
            here = asked & (first > wake.window.start) & (first < wake.window.stop)
            rows = np.flatnonzero(here)
            result[rows, query] = probability[rows, first[rows] - 1 - wake.window.start]
    return result
