"""The lens over passes: what the model would answer if it woke after each pass of a sleep.

Read with the model's own head and in the same wake windows after every pass, so the answers are
compared at the same block; only the memory differs. Where a sleep loops over part of the blocks,
those above run once, as they do at the end of a sleep (compare `workbench.sleep.algorithm`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product

import numpy as np
import torch
import xarray as xr

from workbench import dims
from workbench.batch import Batch
from workbench.config import SleepConfig
from workbench.errors import WorkbenchError
from workbench.instruments.boundaries import (
    BoundaryIndex,
    known_passes,
    read_boundaries,
    slept_on,
    windows_read,
)
from workbench.instruments.clustered import mean, share, summarised, with_chance
from workbench.instruments.recorded import asleep_of, in_nats
from workbench.model import Memory
from workbench.model.arrays import to_numpy
from workbench.sleep import Boundary, SleepingModel, Wake, read, wake_now
from workbench.tasks.base import Task
from workbench.trace.answers import answer_scores

SCORES = ("log_prob", "rank", "logit_diff", "correct")
AXES = (dims.EXAMPLE, dims.WINDOW, dims.SLEEP_PASS, dims.QUERY)


@torch.no_grad()
def lens(
    model: SleepingModel,
    batch: Batch,
    sleep: SleepConfig,
    *,
    on_progress: Callable[[int], None] | None = None,
) -> xr.Dataset:
    """Wake the model after every pass, and score what it answers.

    Windows to sleep on that have not come yet are skipped: at window w the model knows what it
    has read up to there, and queries about the rest are guesses. With predict_then_sleep later
    windows are read awake alone (`wake_now`), and the scores of windows already read are missing.

    - on_progress: called with the number of passes done since the last call.

    Result: ``log_prob`` (nats, of the whole right answer), ``rank`` (of its first token, 1 is
    best), ``logit_diff`` (nats, that token against the best other) and ``correct``, each over
    (example, window, sleep_pass = 0..N, query); coordinate ``difficulty (example, query)``.
    sleep_pass 0 wakes with what was carried into the window.

    Raises WorkbenchError: N is not a number, or nothing is slept on.
    """
    passes, asleep = known_passes(sleep), slept_on(batch, sleep)
    scores = [answer_scores(w, batch) for w in _woken(model, batch, sleep, on_progress)]
    axes = (dims.WINDOW, dims.SLEEP_PASS, dims.EXAMPLE, dims.QUERY)
    shape = (len(asleep), passes + 1, *batch.difficulty.shape)
    found = xr.Dataset(
        {n: (axes, np.stack([s[n].values for s in scores]).reshape(shape)) for n in SCORES},
        {
            dims.WINDOW: asleep,
            dims.SLEEP_PASS: np.arange(passes + 1),
            dims.DIFFICULTY: (axes[2:], batch.difficulty),
        },
    )
    return _described(found, len(batch))


@torch.no_grad()
def likely_tokens(
    model: SleepingModel,
    batch: Batch,
    sleep: SleepConfig,
    *,
    count: int = 5,
    decode: Callable[[Sequence[int]], str] | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> xr.Dataset:
    """Wake the model after every pass, and list what it would most likely say to each query.

    - count: the most likely tokens that are listed.
    - decode: gives the text of token numbers; of a pretrained model, ``loaded.text.decode``. Of a
      task with a vocabulary, ``lambda ids: " ".join(task.vocabulary[i] for i in ids)``.
    - on_progress: called with the number of passes done since the last call.

    Result: of the first token of each answer, over (example, window, sleep_pass = 0..N, query,
    candidate), the likeliest first: ``token``, the number of the token, -1 where nothing is asked;
    ``probability`` among all tokens, NaN there; and with `decode` ``text``.

    Raises WorkbenchError: as `lens`; or the model has fewer than `count` tokens.
    """
    if not 1 <= count <= model.vocabulary:
        raise WorkbenchError(
            f"the {count} most likely tokens",
            f"1 to {model.vocabulary}, as many as the model has",
            "choose another count",
        )
    asleep, passes = slept_on(batch, sleep), known_passes(sleep)
    shape = (len(asleep), passes + 1, *batch.difficulty.shape, count)
    tokens = np.full((len(asleep) * (passes + 1), *shape[2:]), -1, dtype=np.int64)
    chances = np.full(tokens.shape, np.nan)
    starts = np.where(batch.difficulty >= 0, batch.answer_starts(), -1)
    for place, wakes in enumerate(_woken(model, batch, sleep, on_progress)):
        for wake in wakes:
            predicted = (starts > wake.window.start) & (starts < wake.window.stop)
            example, query = np.nonzero(predicted)
            at = starts[example, query] - wake.window.start - 1  # position t predicts token t + 1
            # the chosen positions first: all of a large vocabulary would take gigabytes
            best = wake.logits[example, at].double().softmax(-1).topk(count)
            tokens[place, example, query] = to_numpy(best.indices)
            chances[place, example, query] = to_numpy(best.values)
    axes = (dims.WINDOW, dims.SLEEP_PASS, dims.EXAMPLE, dims.QUERY, dims.CANDIDATE)
    found = {"token": (axes, tokens.reshape(shape)), "probability": (axes, chances.reshape(shape))}
    if decode is not None:
        known = {int(n): decode([int(n)]) if n >= 0 else "" for n in np.unique(tokens)}
        words = [known[int(n)] for n in tokens.ravel()]
        found["text"] = axes, np.array(words, dtype=np.str_).reshape(shape)
    coords = {dims.WINDOW: asleep, dims.SLEEP_PASS: np.arange(passes + 1)}
    return xr.Dataset(found, coords).transpose(*AXES, dims.CANDIDATE)


def _woken(
    model: SleepingModel,
    batch: Batch,
    sleep: SleepConfig,
    on_progress: Callable[[int], None] | None,
) -> Iterator[list[Wake]]:
    """Yield the answers after every pass over every window slept on, pass 0 included."""
    rows, boundaries = windows_read(batch, sleep), read_boundaries(model, batch, sleep)
    for boundary in product(slept_on(batch, sleep), range(known_passes(sleep) + 1)):
        memory = ended_here(model, batch, sleep, boundaries, boundary)
        yield wake_now(model, batch, sleep, memory, after=rows[boundary[0]].window)
        if on_progress is not None:
            on_progress(1)


def lens_of(trace: xr.DataTree) -> xr.Dataset:
    """Return what `lens` does from a stored trace that holds the answers after every pass.

    A trace has the answers of the memory as a pass left it. Where a sleep loops over part of the
    blocks, or keeps the writes of its last pass alone, `lens` ends the sleep first and the trace
    does not: there the two differ before the last pass.

    Raises WorkbenchError: the trace has no ``/readout``.
    """
    if "readout" not in trace.children:
        raise WorkbenchError(
            "a trace without /readout",
            "the answers after every pass",
            "record it with a task that has queries, or use lens with the model",
        )
    found = trace["readout"].to_dataset()[list(SCORES)]
    answered = (found["rank"] > 0).any((dims.EXAMPLE, dims.SLEEP_PASS, dims.QUERY))
    found = found.isel({dims.WINDOW: np.flatnonzero(answered.values & asleep_of(trace))})
    found = found.drop_vars(set(found.coords) - {dims.WINDOW, dims.SLEEP_PASS})
    found = found.assign_coords({dims.DIFFICULTY: trace["inputs"]["difficulty"].variable})
    return _described(found, found.sizes[dims.EXAMPLE])


def lens_by_difficulty(scores: xr.Dataset, task: Task | None = None) -> xr.Dataset:
    """Summarise a lens over examples and queries, at each difficulty.

    - scores: as `lens` and `lens_of` return it.
    - task: adds the chance lines, and the field's name of the difficulty.

    Result: over (difficulty, window, sleep_pass): ``accuracy`` (Wilson, clustered by example),
    ``log_prob``, ``rank`` and ``logit_diff`` (Student t over examples), each with bounds ``_low``
    and ``_high`` of 95 % intervals; ``asked (difficulty)``, the number of queries; with a task also
    ``chance (chance_line, difficulty)``.
    """
    difficulty = scores[dims.DIFFICULTY]
    if not (difficulty >= 0).any():
        raise WorkbenchError("examples that ask nothing", "a query or more", "ask one")
    plain = scores.drop_vars(dims.DIFFICULTY)
    asked = plain["rank"] > 0
    means = {n: (mean, plain[n].astype(float), asked) for n in ("log_prob", "rank", "logit_diff")}
    right = plain["correct"].astype(bool)
    found = summarised(difficulty, {"accuracy": (share, right, asked), **means})
    levels = found[dims.DIFFICULTY].values
    found["asked"] = dims.DIFFICULTY, [int((difficulty == level).sum()) for level in levels]
    attributes = scores.attrs | {"interval": "95 %, over examples"}
    if task is not None:
        found = with_chance(found, task)
        attributes["difficulty_name"] = task.difficulty_name
    return in_nats(found.assign_attrs(attributes))


def ended_here(
    model: SleepingModel,
    batch: Batch,
    sleep: SleepConfig,
    boundaries: dict[BoundaryIndex, Boundary],
    boundary: BoundaryIndex,
) -> Memory:
    """Return the memory if the sleep on a window had ended after this pass.

    That of the boundary itself, unless blocks above the loop have still to run, or only a last pass
    writes: then that pass is run again as the last one.
    """
    window, sleep_pass = boundary
    if not sleep_pass or (sleep.loop is None and sleep.write == "every_pass"):
        return boundaries[boundary].memory
    start, shorter = boundaries[window, sleep_pass - 1], sleep.with_passes(sleep_pass)
    return next(iter(read(model, batch, shorter, start=start))).memory


def _described(found: xr.Dataset, examples: int) -> xr.Dataset:
    compared = "the memory after each pass, read by the same wake windows and head"
    return in_nats(found.transpose(*AXES).assign_attrs(compared=compared, examples=examples))
