"""Two contexts, one set of questions: what a patch is measured with.

A donor's context is put before a recipient's queries, and the task's own solver answers them again.
So both answers to every question are known, for any task.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
import torch

from workbench.batch import Batch, concatenate
from workbench.errors import WorkbenchError
from workbench.model.arrays import to_numpy
from workbench.sleep import Wake
from workbench.tasks.base import Task

Asked = Literal["all", "first of window", "first"]
"""Queries that are measured: all, the first of each wake window, or the very first."""

MOST_OTHERS: Final = 32
"""Other contexts that a chance line is worked out from."""


def swap_context(task: Task, recipient: Batch, donor: Batch) -> Batch:
    """Return the donor's contexts followed by the recipient's queries, answered again.

    - task: knows where the context ends, and solves what comes out.
    - recipient, donor: as many examples of one layout; example i is paired with example i.

    Result: tokens and padding of the donor's context, queries of the recipient, and the answers
    that are right for them. An isolated query that the donor's context does not answer is left as
    it is, with difficulty -1: not asked.

    Raises WorkbenchError: the layouts differ, or a question has no answer of its length in the
    donor's context (it names a node the donor has not): `fitting` says which pairs can be swapped.
    Of isolated queries one has to have an answer.
    """
    fits, swapped = _swapped(task, recipient, donor)
    if not fits.all():
        wrong = np.flatnonzero(~fits)
        raise WorkbenchError(
            f"{len(wrong)} of {len(fits)} pairs, the first at example {wrong[0]}, whose questions "
            "the donor's context does not answer in as many tokens",
            "pairs whose questions both contexts answer",
            "keep those that `fitting` marks, or use names of one symbol and one size",
        )
    return swapped


def fitting(task: Task, recipient: Batch, donor: Batch) -> np.ndarray:
    """Return bool ``[example]``: which pairs `swap_context` can swap."""
    return _swapped(task, recipient, donor)[0]


def with_context(task: Task, recipient: Batch, donor: Batch) -> Batch:
    """Return the donor's contexts before the recipient's queries, with the recipient's answers.

    Nothing is checked or solved: enough for what is read before the first answer.
    """
    context = slice(task.context_tokens)
    tokens, valid = recipient.tokens.copy(), recipient.valid.copy()
    tokens[:, context], valid[:, context] = donor.tokens[:, context], donor.valid[:, context]
    return replace(recipient, tokens=tokens, valid=valid)


def _swapped(task: Task, recipient: Batch, donor: Batch) -> tuple[np.ndarray, Batch]:
    """Return which pairs fit, bool ``[example]``, and the batch; pairs that do not, unsolved."""
    shapes = [batch.tokens.shape for batch in (recipient, donor)]
    if shapes[0] != shapes[1]:
        raise WorkbenchError(
            f"a donor of shape [example, token] = {shapes[1]}",
            f"that of the recipient, {shapes[0]}",
            "draw as many examples of one task",
        )
    if not getattr(task, "determined", True):  # a task needs no base class
        raise WorkbenchError(
            f"another context's memory in {task.name}, where no context decides the answers",
            "a task whose answers both contexts give",
            "take parts of S away instead (ablations), or exchange them for another example's",
        )
    swapped = with_context(task, recipient, donor)
    fits = np.ones(len(swapped), dtype=bool)
    try:
        return fits, replace(swapped, tokens=task.solve(swapped))
    except WorkbenchError:
        rows = []
        for number in range(len(swapped)):
            fits[number], row = _answered(task, swapped.examples(slice(number, number + 1)))
            rows.append(row)
        return fits, concatenate(rows)


def _answered(task: Task, one: Batch) -> tuple[bool, Batch]:
    """Return whether a context answers an example's questions, and the example with its answers.

    Of isolated queries one is enough; those without an answer are marked as not asked.
    """
    try:
        return True, replace(one, tokens=task.solve(one))
    except WorkbenchError:
        if not one.isolated:
            return False, one
    tokens, difficulty = one.tokens.copy(), one.difficulty.copy()
    for query in np.flatnonzero(difficulty[0] >= 0).tolist():
        try:
            solved = task.solve(one.query(query))
            tokens[:, one.query_tokens(query)] = solved[:, one.context_tokens :]
        except WorkbenchError:
            difficulty[:, query] = -1
    return bool((difficulty >= 0).any()), replace(one, tokens=tokens, difficulty=difficulty)


@dataclass(frozen=True)
class Questions:
    """Where two contexts have different answers to the same question.

    - at (int64 [example, query]): token, by its place in the sequence, at which the two answers
      first differ; -1 where they do not, or where the query is not measured.
    - recipient, donor (int64 [example, query]): symbol of each answer at that token; 0 where there
      is none.
    """

    at: np.ndarray
    recipient: np.ndarray
    donor: np.ndarray

    @property
    def asked(self) -> np.ndarray:
        """Whether a query is measured, bool ``[example, query]``."""
        return self.at >= 0

    def exchanged(self) -> Questions:
        """Return the same questions with the roles of recipient and donor exchanged."""
        return Questions(self.at, self.donor, self.recipient)


def questions(recipient: Batch, swapped: Batch, window: int, *, asked: Asked = "all") -> Questions:
    """Return where the answers of two batches differ.

    Answers are read with earlier ones in view, which tell of the recipient's context whatever the
    memory holds. The first query of a later wake window still has those of earlier windows in S,
    which waking writes to; the very first query has none. Nor has any isolated query: each counts
    as a first one.

    - recipient, swapped: the same queries after two contexts, as from `swap_context`.
    - window: tokens a window; a token that begins one is predicted by nothing.
    - asked ({"all", "first of window", "first"}): queries to measure.

    Raises WorkbenchError: no answer differs.
    """
    queries = np.arange(recipient.difficulty.shape[1])
    is_answer = recipient.answer_of[:, :, None] == queries  # (example, token, query)
    differs = is_answer & (recipient.tokens != swapped.tokens)[:, :, None]
    measured = differs.any(axis=1) & (recipient.difficulty >= 0) & (swapped.difficulty >= 0)
    at = differs.argmax(axis=1)
    measured &= ~np.isin(at, recipient.begins(window))
    if asked != "all" and not recipient.isolated:
        starts = recipient.answer_starts()
        earlier = (starts[:, None, :] < starts[:, :, None]) & (starts >= 0)[:, None, :]
        if asked == "first of window":
            earlier &= (starts // window)[:, :, None] == (starts // window)[:, None, :]
        measured &= ~earlier.any(axis=2)  # (example, query, earlier query)
    if not measured.any():
        raise WorkbenchError(
            "two batches that answer every measured question alike",
            "at least one question with two answers",
            "choose another donor",
        )
    rows = np.arange(len(at))[:, None]
    return Questions(
        np.where(measured, at, -1),
        np.where(measured, recipient.tokens[rows, at], 0),
        np.where(measured, swapped.tokens[rows, at], 0),
    )


def chance_of(task: Task, recipient: Batch, donor: Batch, asked: Questions) -> np.ndarray:
    """Return how often a context that has nothing to do with the pair gives the donor's answer.

    Each question is answered by the task's solver after the other examples' donor contexts, up to
    `MOST_OTHERS` of them; no model is asked. It is the chance line of "became the donor's".

    - recipient, donor: as in `swap_context`.
    - asked: what is measured, with the donor's answers.

    Result: share of the other contexts, float64 ``[example, query]``; NaN where not measured, or
    where no other context answers the question.
    """
    count = len(recipient)
    hits, tried = np.zeros((2, *asked.at.shape))
    rows = np.arange(count)[:, None]
    for step in range(1, min(count, MOST_OTHERS + 1)):
        order = (np.arange(count) - step) % count
        fits, swapped = _swapped(task, recipient, donor.examples(order))
        answered = fits[:, None] & (swapped.difficulty >= 0)
        hits += (swapped.tokens[rows, asked.at] == asked.donor) & answered
        tried += answered
    share = np.divide(hits, tried, out=np.full(hits.shape, np.nan), where=tried > 0)
    return np.where(asked.asked, share, np.nan)


@torch.no_grad()
def logits_at(wakes: Iterable[Wake], asked: Questions) -> np.ndarray:
    """Return the logits that decide each question, ``[example, query, symbol]``; NaN elsewhere."""
    wakes = list(wakes)
    first = wakes[0].logits
    dtype = np.float64 if first.dtype == torch.float64 else np.float32
    found = np.full((*asked.at.shape, first.shape[-1]), np.nan, dtype=dtype)
    for wake in wakes:
        inside = asked.asked & (asked.at > wake.window.start) & (asked.at < wake.window.stop)
        rows, query = np.nonzero(inside)
        place = asked.at[rows, query] - 1 - wake.window.start  # position t predicts token t + 1
        found[rows, query] = to_numpy(wake.logits[rows, place])
    return found
