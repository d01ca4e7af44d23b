"""How well each query is answered: log-probability, rank and logit difference of right answers."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
import torch.nn.functional as F
import xarray as xr

from workbench import dims
from workbench.batch import Batch
from workbench.model.arrays import to_numpy
from workbench.sleep import Wake
from workbench.training.loss import check_finite_logits, query_correct, token_correct

NO_RANK = -1
"""Rank of the answer to a query that was not asked."""


@torch.no_grad()
def answer_scores(wakes: Iterable[Wake], batch: Batch) -> xr.Dataset:
    """Score every query of `batch` from the windows that were read awake.

    Each token of an answer is predicted with the right ones before it in view. `wakes`: as `read`
    or `wake_now` returns them.

    Returns over ``(example, query)``: ``log_prob``, nats, of the whole right answer; ``rank`` of
    the answer's first token, 1 for the most likely symbol; ``logit_diff``, that token's logit minus
    the largest other one; ``correct``, whether every token of the answer is the most likely symbol.
    A query that an example does not have, or that no window predicts in full, has NaN, -1, NaN and
    False.
    """
    wakes = list(wakes)
    double = any(wake.logits.dtype == torch.float64 for wake in wakes)
    shape = batch.tokens.shape
    dtype = np.float64 if double else np.float32
    log_prob, difference = np.full((2, *shape), np.nan, dtype=dtype)
    rank = np.full(shape, NO_RANK, dtype=np.int64)
    for wake in wakes:
        part = slice(wake.window.start + 1, wake.window.stop)
        predicted = wake.window.loss_mask[:, 1:]
        logits = wake.logits[:, :-1]  # position t predicts token t + 1
        logits = logits if double else logits.float()
        target = wake.window.tokens[:, 1:, None]
        own = logits.gather(-1, target)  # (example, token, 1)
        others = logits.scatter(-1, target, -torch.inf).amax(-1)
        position = 1 + (logits > own).sum(-1)
        log_prob[:, part] = _where(predicted, F.log_softmax(logits, -1).gather(-1, target)[..., 0])
        difference[:, part] = _where(predicted, own[..., 0] - others)
        rank[:, part] = to_numpy(position.masked_fill(~predicted, NO_RANK))
    starts = batch.answer_starts()
    at_first, first = np.maximum(starts, 0), (starts >= 0) & (batch.difficulty >= 0)
    names = (dims.EXAMPLE, dims.QUERY)
    return xr.Dataset(
        {
            "log_prob": (names, _answer_sums(log_prob, batch), {"units": "nat"}),
            "rank": (names, np.where(first, np.take_along_axis(rank, at_first, 1), NO_RANK)),
            "logit_diff": (
                names,
                np.where(first, np.take_along_axis(difference, at_first, 1), np.nan).astype(dtype),
                {"units": "nat"},
            ),
            "correct": (names, query_correct(token_correct(wakes, batch), batch)),
        }
    )


def said_tokens(wakes: Iterable[Wake], batch: Batch) -> np.ndarray:
    """Return the batch's tokens, with the most likely one wherever the model predicts a token.

    Returns int64 ``[example, token]``; each token is predicted from the right ones before it.
    """
    said = batch.tokens.copy()
    for wake in wakes:
        check_finite_logits(wake)
        best = to_numpy(wake.logits[:, :-1].argmax(-1))
        part = slice(wake.window.start + 1, wake.window.stop)
        said[:, part] = np.where(batch.loss_mask[:, part], best, said[:, part])
    return said


def _where(predicted: torch.Tensor, value: torch.Tensor) -> np.ndarray:
    return to_numpy(value.masked_fill(~predicted, torch.nan))


def _answer_sums(values: np.ndarray, batch: Batch) -> np.ndarray:
    """Sum ``[example, token]`` over each answer's tokens; NaN if any is missing."""
    result = np.full(batch.difficulty.shape, np.nan, dtype=values.dtype)
    for query in range(result.shape[1]):
        own = batch.answer_of == query
        total = np.where(own, values, 0).sum(axis=1)
        result[:, query] = np.where(own.any(axis=1), total, np.nan)
    return np.where(batch.difficulty >= 0, result, np.nan).astype(values.dtype)
