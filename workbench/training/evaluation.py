"""Accuracy by difficulty and by N, with chance lines, intervals and measured latency.

A task that names groups of tokens (`Task.groups`) is also measured in bits per predicted token.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from workbench.batch import Batch
from workbench.config import RandomPasses, SleepConfig
from workbench.errors import WorkbenchError
from workbench.model.arrays import to_numpy
from workbench.sleep import Eviction, SleepingModel, SleepPass, Wake, read
from workbench.sleep.events import before_window
from workbench.tasks.base import EVALUATION, HELD_OUT, Task, batch_generator, draw
from workbench.training.loss import check_finite_logits, note_bits, query_correct, token_correct
from workbench.training.statistics import block_bootstrap, proportion_interval, wilson

BLIND = "the same model without the context"
"""Measured chance line: the queries are read with S = 0."""


def check_layout(batch: Batch, window: int) -> None:
    """Check that every label can be predicted from the position before it in its window.

    Raises WorkbenchError: a window begins with a label, no token carries one, or a query that is
    read alone is longer than a window.
    """
    if batch.isolated > window:
        raise WorkbenchError(
            f"queries of {batch.isolated} tokens, read alone, with sleep.window = {window}",
            f"a window of at least {batch.isolated} tokens",
            "choose a longer window",
        )
    if batch.loss_mask[:, batch.begins(window)].any():
        raise WorkbenchError(
            f"sleep.window = {window} starts a window at a token to be predicted",
            "each label to follow another token of the same window",
            "choose a window that divides context and queries evenly",
        )
    if not batch.loss_mask.any():
        raise WorkbenchError(
            "a batch without labels", "tokens to be predicted", "check the task's settings"
        )


def evaluate(
    model: SleepingModel,
    task: Task,
    sleep: SleepConfig,
    *,
    passes: tuple[int, ...],
    count: int,
    seed: int,
    batch_size: int = 250,
    latency: bool = True,
    on_progress: Callable[[int], None] | None = None,
) -> dict[str, dict[str, Any]]:
    """Evaluate at each N on the same `count` examples, from seeds that training never draws.

    `passes`: the N to test. `seed`: of the evaluation stream. `latency`: also measure sleep and
    wake time, one sequence at a time. `on_progress`: called with the number of examples done since
    the last call.

    Returns N (as text) -> ``accuracy`` by difficulty, ``exact`` (all queries of an example right),
    ``interval`` (95 %, Wilson, clustered by example), ``first`` (accuracy and interval of the first
    query of each example, which sees no earlier answer), ``chance`` by line, and latencies; and
    ``bits`` where the task has groups of tokens (see `summarise_bits`).
    """
    if count < 1:
        raise WorkbenchError(f"count = {count}", "at least 1 example", "ask for more examples")
    batch = draw(task, count, seed, 0, EVALUATION)
    check_layout(task.room(batch), sleep.window)
    blind = score_without_context(model, batch, task, sleep, batch_size)
    groups = task.groups(batch)
    sources = _sources(task, count, seed) if groups else np.arange(count)
    units = task.units(batch) if groups else None
    result = {}
    for n in passes:
        fixed = sleep.with_passes(n)
        right = []
        bits = np.full(batch.tokens.shape if groups else (count, 0), np.nan)
        for start in range(0, count, batch_size):
            rows = slice(start, start + batch_size)
            part = batch.examples(rows)
            judged = task if task.judged else None
            noted = bits[rows] if groups else None
            right.append(answers_right(model, part, fixed, judged, noted))
            if on_progress is not None:
                on_progress(len(part))
        entry = summarise(np.concatenate(right), batch.difficulty, task)
        if groups:
            sections = batch.windows(task.section_tokens or sleep.window)
            entry["bits"] = summarise_bits(bits, groups, sources, sections, units)
        if blind is not None:
            entry["chance"][BLIND] = blind
        result[str(n)] = entry | (measure_latency(model, batch, fixed) if latency else {})
    return result


def score_without_context(
    model: SleepingModel, batch: Batch, task: Task, sleep: SleepConfig, batch_size: int = 250
) -> dict[str, Any] | None:
    """Return the measured chance line `BLIND`; None where `answers_without_context` has none."""
    judged = task if task.judged else None
    right = answers_without_context(model, batch, task.context_tokens, sleep, batch_size, judged)
    if right is None:
        return None
    scores = summarise(right, batch.difficulty, task)
    return {
        "accuracy": scores["accuracy"],
        "exact": scores["exact"],
        "first": scores["first"]["accuracy"],
    }


def answers_without_context(
    model: SleepingModel,
    batch: Batch,
    context_tokens: int,
    sleep: SleepConfig,
    batch_size: int,
    judged: Task | None = None,
) -> np.ndarray | None:
    """Return bool ``[example, query]``: what the model answers right with S = 0, no context read.

    Unless queries are isolated, answers are read with the earlier ones of the same example in view
    (as in training), so this measured line can lie above that of a plain guess. None where the
    windows of the queries would be cut elsewhere without the context, or where some queries are
    part of it. `judged`: see `answers_right`.
    """
    if context_tokens % sleep.window and not batch.isolated:
        return None
    if (batch.answer_of[:, :context_tokens] >= 0).any():
        return None
    once, parts = sleep.with_passes(1), []
    for i in range(0, len(batch), batch_size):
        part = batch.examples(slice(i, i + batch_size))
        queries = part if judged is None else judged.room(part)
        queries = queries.token_range(context_tokens, batch.tokens.shape[1])
        if judged is None:
            parts.append(answers_right(model, queries, once))
        else:
            context = part.tokens[:, :context_tokens]
            answers = np.concatenate([context, own_answers(model, queries, once)], axis=1)
            parts.append(judged.judge(part, answers))
    return np.concatenate(parts)


def _sources(task: Task, count: int, seed: int) -> np.ndarray:
    """Return the source of each evaluation example, drawn as `draw` draws the examples."""
    return task.part(HELD_OUT).sources(count, batch_generator(seed, 0, EVALUATION))


@torch.no_grad()
def answers_right(
    model: SleepingModel,
    batch: Batch,
    sleep: SleepConfig,
    judged: Task | None = None,
    bits: np.ndarray | None = None,
) -> np.ndarray:
    """Return bool ``[example, query]``: which queries the model answers right after sleeping.

    Each token of an answer follows those of the right one; with `judged`, a task that accepts other
    answers too, the model writes its own, and the task judges it. `bits`: float64
    ``[example, token]``, filled with the bits of each predicted token; or None.
    """
    if judged is not None:
        return judged.judge(batch, own_answers(model, judged.room(batch), sleep))
    wakes: Iterator[Wake] = (e for e in read(model, batch, sleep) if isinstance(e, Wake))
    if bits is not None:
        wakes = note_bits(wakes, bits)
    return query_correct(token_correct(wakes, batch), batch)


@torch.no_grad()
def own_answers(model: SleepingModel, batch: Batch, sleep: SleepConfig) -> np.ndarray:
    """Return the tokens ``[example, token]`` with the model's most likely one at every label.

    One token is written after the other, each read on from the memory after the last sleep.
    """
    tokens, start = batch.tokens.copy(), None
    for column in np.flatnonzero(batch.loss_mask.any(axis=0)).tolist():
        reached = start
        for event in read(model, replace(batch, tokens=tokens), sleep, start=start):
            if isinstance(event, Eviction):
                reached = before_window(event.window.index + 1, event.memory)
            elif isinstance(event, Wake) and event.window.start < column < event.window.stop:
                check_finite_logits(event)
                best = to_numpy(event.logits[:, column - 1 - event.window.start].argmax(-1))
                tokens[:, column] = np.where(batch.loss_mask[:, column], best, tokens[:, column])
                start = reached
                break
    return tokens


def summarise_bits(
    bits: np.ndarray,
    groups: dict[str, np.ndarray],
    sources: np.ndarray,
    sections: list[tuple[int, int]],
    units: np.ndarray | None = None,
) -> dict[str, dict[str, Any]]:
    """Return bits per unit of all predicted tokens and of each group, whole and by section.

    `bits`: ``[example, token]``, NaN where nothing is predicted. `sources`: int ``[example]``; the
    95 % intervals draw whole sources (`block_bootstrap`). `sections`: token ranges. `units`: those
    of each token, ``[example, token]``; None is one each.

    Returns group -> ``bits``, ``interval`` (None with fewer than two sources), ``tokens`` (how
    many), and ``sections``: number, from 1, -> the same. Groups and sections without tokens are
    left out.
    """

    def of(mask: np.ndarray) -> dict[str, Any]:
        sums = np.where(mask, bits, 0.0).sum(axis=1)
        counts = (mask if units is None else mask * units).sum(axis=1)
        interval = block_bootstrap(sums, counts, sources)
        return {
            "bits": float(sums.sum() / counts.sum()),
            "interval": None if math.isnan(interval.low) else list(interval),
            "tokens": int(mask.sum()),
        }

    found, token = {}, np.arange(bits.shape[1])
    for name, mask in {"all": ~np.isnan(bits), **groups}.items():
        if mask.any():
            found[name] = of(mask) | {
                "sections": {
                    str(n): of(mask & (token >= a) & (token < b))
                    for n, (a, b) in enumerate(sections, 1)
                    if mask[:, a:b].any()
                }
            }
    return found


def summarise(right: np.ndarray, difficulty: np.ndarray, task: Task) -> dict[str, Any]:
    """Turn right answers ``[example, query]`` into accuracy, intervals and chance lines."""
    accuracy, interval = _by_difficulty(right, difficulty, task)
    first, first_interval = _by_difficulty(right[:, :1], difficulty[:, :1], task)
    exact = np.all(right | (difficulty < 0), axis=1)
    return {
        "accuracy": accuracy,
        "exact": float(exact.mean()),
        "interval": {"accuracy": interval, "exact": list(wilson(float(exact.mean()), len(exact)))},
        "first": {"accuracy": first, "interval": first_interval},
        "chance": {name: line.as_record() for name, line in task.chance().items()},
    }


def _by_difficulty(
    right: np.ndarray, difficulty: np.ndarray, task: Task
) -> tuple[dict[str, float], dict[str, list[float]]]:
    """Return accuracy and its interval by difficulty, of the queries [example, query] given."""
    accuracy, interval = {}, {}
    for level in task.difficulties:
        asked = difficulty == level
        if asked.any():
            accuracy[str(level)] = float(right[asked].mean())
            interval[str(level)] = list(
                proportion_interval((right & asked).sum(axis=1), asked.sum(axis=1))
            )
    return accuracy, interval


@torch.no_grad()
def measure_latency(
    model: SleepingModel, batch: Batch, sleep: SleepConfig, *, repeats: int = 5
) -> dict[str, float | None]:
    """Measure one sequence at a time: milliseconds to sleep on a window, and per token awake.

    Isolated queries of a sequence are read at once, so that a token of theirs takes less. Medians
    over `repeats` sequences after one to warm up; None where nothing was slept on (a window as long
    as the sequence).
    """
    sleeping, waking = [], []
    for repeat in range(repeats + 1):
        one = batch.examples(slice(repeat % len(batch), repeat % len(batch) + 1))
        asleep = awake = 0.0
        windows = tokens = 0
        before = time.perf_counter()
        for event in read(model, one, sleep):
            if model.device.type == "cuda":
                torch.cuda.synchronize(model.device)
            now = time.perf_counter()
            if isinstance(event, SleepPass):
                asleep += now - before
                windows += event.last
            elif isinstance(event, Wake):
                awake += now - before
                tokens += event.window.tokens.shape[1]
            before = now
        if repeat and windows:
            sleeping.append(1e3 * asleep / windows)
        if repeat and tokens:
            waking.append(1e3 * awake / tokens)
    return {
        "sleep_ms_per_window": float(np.median(sleeping)) if sleeping else None,
        "wake_ms_per_token": float(np.median(waking)) if waking else None,
    }


def default_passes(sleep: SleepConfig) -> tuple[int, ...]:
    """Return the N to test where none is named: the trained N, or all up to high for random N."""
    if isinstance(sleep.passes, RandomPasses):
        return tuple(range(min(sleep.passes.low, 1), sleep.passes.high + 1))
    if isinstance(sleep.passes, int):
        return (sleep.passes,)
    return tuple(range(1, sleep.passes.cap + 1))
