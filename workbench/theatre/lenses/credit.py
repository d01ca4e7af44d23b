"""The lens "credit": what one answer is owed to, and how far that can be trusted.

An ask names the sleep, the ``query``, what the answer is attributed ``to``, the ``method``,
``baseline``, ``steps`` and ``samples``, and a boundary (``window``, a reading, and ``pass``). Its
answer is plain data, with what can be chosen and what was. ``check`` compares with copies of the
model whose parameters were shuffled; ``csv`` gives the numbers. Knows no host.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from dataclasses import asdict, replace
from itertools import count
from typing import Any, Final

import numpy as np
import torch
import xarray as xr

from workbench import dims
from workbench.errors import WorkbenchError
from workbench.instruments.attributing.checks import randomisation_check
from workbench.instruments.attributing.one_answer import (
    SUBJECTS,
    Asked,
    attribute_one,
    baselines_of,
)
from workbench.instruments.attribution import EXACT_PLAYERS, GRADIENT, SHAPLEY
from workbench.progress import Report
from workbench.theatre.csv_text import csv_of
from workbench.theatre.lenses import credit_words as words
from workbench.theatre.lenses.examples import Examples
from workbench.theatre.wish import Wrong, line_of, one_of, whole

MOST_STEPS: Final = 1000
MOST_SAMPLES: Final = 10_000
"""Orders drawn for Shapley values at most, as in a measurement over many examples."""
CHECK_SEEDS: Final = (0, 1, 2)
"""Shuffled copies of the model that an attribution is compared with."""
USUAL: Final = "passes and heads"
MOST_VALUES: Final = 65_536
"""Attributions that an answer holds at most; of more, those of the chosen head."""

CASES: Final = 2
"""Cases of a large S that are computed together."""

_ONE_AT_A_TIME = threading.Lock()
"""Samples are drawn from torch's own generator, which threads share."""


def answer(
    examples: Examples, example: int, ask: Mapping[str, Any], progress: Report
) -> dict[str, Any]:
    """Return what an answer is owed to, as plain data."""
    try:
        asked = asked_of(examples, example, ask)
    except Wrong as error:
        usual = {"to": USUAL, "method": SUBJECTS[USUAL].methods[0]}
        said = {"choices": _choices(examples, None), "asked": usual}
        return said | {"problem": line_of(error), "field": error.field}
    said = {"choices": _choices(examples, asked), "asked": _address(examples, asked)}
    try:
        found = result(examples, asked, progress)
        if ask.get("csv"):
            what = f"query-{asked.query}-{asked.subject}-{asked.method}"
            return {"csv": csv_of(found), "file": examples.file(example, what)}
        told = words.told(examples, asked, found)
        check = None
        if ask.get("check"):
            check = words.check(checked(examples, asked, found, progress), found, CHECK_SEEDS)
    except WorkbenchError as error:
        return said | {"problem": line_of(error), "field": "to"}
    python = words.python(examples, asked)
    return said | _numbers(examples, found, ask) | told | {"check": check, "python": python}


def asked_of(examples: Examples, example: int, ask: Mapping[str, Any]) -> Asked:
    """Return the question that an ask names; raises Wrong where a field does not fit."""
    numbers = examples.asked(example)
    query = int(numbers[whole(ask, "query", 0, len(numbers) - 1, default=0)])
    subject = one_of(ask, "to", subjects(examples), USUAL)
    known = SUBJECTS[subject]
    method = one_of(ask, "method", known.methods, known.methods[0])
    window, sleep_pass = (whole(ask, name, 0, 10_000) for name in ("window", "pass"))
    if known.kind == "changes":
        boundary = (examples.slept(window, examples.context(example, query)), 0)
    elif known.kind == "embeddings":
        boundary = (0, 0)
    else:
        boundary = (window, sleep_pass)
    examples.check_before_answers(boundary, "S")
    baselines = baselines_at(examples, subject, method, boundary)
    return Asked(
        example=example,
        query=query,
        subject=subject,
        boundary=boundary,
        method=method,
        baseline=one_of(ask, "baseline", baselines, baselines[0]),
        # what the method does not use is not part of the question
        steps=whole(ask, "steps", 2, MOST_STEPS, default=64) if method == GRADIENT else Asked.steps,
        samples=whole(ask, "samples", 1, MOST_SAMPLES, default=25)
        if method == SHAPLEY
        else Asked.samples,
        seed=examples.seed,
    )


def subjects(examples: Examples) -> list[str]:
    """Return what answers can be attributed to; one window is not a choice."""
    several = examples.last[0] > 1
    return [name for name in SUBJECTS if name != "windows" or several]


def baselines_at(
    examples: Examples, subject: str, method: str, boundary: tuple[int, int]
) -> tuple[str, ...]:
    """Return what one can compare with; your own text has no other example."""
    found = baselines_of(subject, method, boundary)
    if len(examples.batch) > 1:
        return found
    alone = {"another example", *(["mean"] if SUBJECTS[subject].kind == "state" else [])}
    return tuple(name for name in found if name not in alone)


def _choices(examples: Examples, asked: Asked | None) -> dict[str, Any]:
    subject = USUAL if asked is None else asked.subject
    known = SUBJECTS[subject]
    method = known.methods[0] if asked is None else asked.method
    boundary = (0, 1) if asked is None else asked.boundary
    return {
        "subjects": subjects(examples),
        "kinds": {name: SUBJECTS[name].kind for name in subjects(examples)},
        "methods": list(known.methods),
        "baselines": list(baselines_at(examples, subject, method, boundary)),
        "steps": method == GRADIENT,
        "samples": asked is not None and sampled(examples, asked),
        "last": list(examples.last),
    }


def _address(examples: Examples, asked: Asked) -> dict[str, Any]:
    """Return what was asked by the names of the address."""
    window, sleep_pass = asked.boundary
    row = int(np.flatnonzero(examples.asked(asked.example) == asked.query)[0])
    kept = {name: asdict(asked)[name] for name in ("method", "baseline", "steps", "samples")}
    place = {"to": asked.subject, "window": window, "pass": sleep_pass, "query": row}
    return kept | place


def sampled(examples: Examples, asked: Asked) -> bool:
    """Say whether orders are drawn: Shapley values of few parts are exact."""
    context = examples.context(asked.example, asked.query)
    sizes = {
        dims.TOKEN: context,
        dims.WINDOW: -(-context // examples.sleep.window),
        dims.SLEEP_PASS: examples.passes,
        dims.LAYER: len(examples.layers),
        dims.GDN_HEAD: examples.sizes[0],
    }
    by = SUBJECTS[asked.subject].by
    return asked.method == SHAPLEY and math.prod(sizes[axis] for axis in by) > EXACT_PLAYERS


def result(examples: Examples, asked: Asked, progress: Report) -> xr.Dataset:
    """Return an attribution, as `attribute_one` returns it, of its one example."""

    def make() -> xr.Dataset:
        def further(done: int, total: int) -> None:
            progress(done, total, "readings")

        model = examples.checkpoint.model
        return _attribute(examples, asked, model, on_progress=further).isel({dims.EXAMPLE: 0})

    return examples.ask("credit", asked, lambda: _alone(make, progress))


def checked(examples: Examples, asked: Asked, found: xr.Dataset, progress: Report) -> xr.Dataset:
    """Return how an attribution compares with those of shuffled parameters."""
    against = np.array([int(found.attrs["against"])])
    rounds, number = 1 + len(CHECK_SEEDS), count()

    def attributed(model: Any) -> xr.DataArray:
        before = next(number)

        def further(done: int, total: int) -> None:
            progress(before * total + done, rounds * total, "readings")

        made = _attribute(examples, asked, model, against=against, on_progress=further)
        return made["attribution"]

    def make() -> xr.Dataset:
        model: Any = examples.checkpoint.model
        return randomisation_check(attributed, model, seeds=CHECK_SEEDS).isel({dims.EXAMPLE: 0})

    return examples.ask("check", asked, lambda: _alone(make, progress))


def _attribute(examples: Examples, asked: Asked, model: Any, **options: Any) -> xr.Dataset:
    batch, alone = examples.batch, slice(asked.example, asked.example + 1)
    if examples.large:
        options["cases"] = CASES
    if examples.large and SUBJECTS[asked.subject].kind == "changes":
        # nothing is compared with other examples, whose S would fill the memory
        batch, asked = batch.examples(alone), replace(asked, example=0)
    elif model is examples.checkpoint.model:
        options["reading"] = examples.boundaries
    return attribute_one(model, batch, examples.sleep, asked, **options)


def _alone(make: Any, progress: Report) -> xr.Dataset:
    """Make something while nothing else here is made; `progress` may give up the wait."""
    while not _ONE_AT_A_TIME.acquire(timeout=0.1):
        progress(0, 0, "waiting for other work to end")
    try:
        torch.set_num_threads(1)  # of this thread
        made: xr.Dataset = make()
        return made
    finally:
        _ONE_AT_A_TIME.release()


def _numbers(examples: Examples, found: xr.Dataset, ask: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributions, in C order over their axes, and the numbers they are judged by."""
    values = found["attribution"]
    if values.size > MOST_VALUES and dims.KEY in values.dims:
        layer = examples.layer_of(ask)
        head = whole(ask, "head", 0, examples.sizes[0] - 1, default=0)
        part = values.sel({dims.LAYER: [layer]}).isel({dims.GDN_HEAD: [head]})
        place = {"layer": layer, "head": head}
    else:
        part, place = values, {}
    sums = None
    if dims.KEY in values.dims:
        sums = np.round(values.sum((dims.KEY, dims.VALUE)).values.astype(float), 5).tolist()
    return {
        "axes": [str(axis) for axis in part.dims],
        "shape": list(part.shape),
        "values": np.round(part.values.astype(float), 5).ravel().tolist(),
        "only": place,
        "sums": sums,
        "limit": float(np.abs(values).max()) or 1.0,
    }
