"""Where a trace comes from: the attributes of its root."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache

import torch

import sleep_kernels
from workbench.batch import Batch
from workbench.config import SleepConfig
from workbench.errors import WorkbenchError
from workbench.sleep import SleepingModel
from workbench.tasks.base import EVALUATION, Task
from workbench.trace.schema import ATTRIBUTES, SCHEMA
from workbench.training.checkpoints import Checkpoint
from workbench.training.places import WEIGHTS
from workbench.training.provenance import commit, versions

GIVEN = ("seed", "task", "config_json", "vocabulary_json", "checkpoint", "checkpoint_sha256")
"""Attributes that `origin` may give; the recorder sets the others."""


STREAM = EVALUATION
"""Stream of random numbers that the examples of a recording are drawn from.

Training never uses it. Explore does, so both get the same examples from the same seed.
"""


def origin_of(checkpoint: Checkpoint, *, seed: int = -1) -> dict[str, str | int]:
    """Return the attributes that name the checkpoint a trace is recorded from.

    `checkpoint`: the checkpoint. `seed`: the seed of the examples; -1 if they have none.
    """
    return {
        "seed": seed,
        "task": checkpoint.task.name,
        "config_json": checkpoint.experiment.model_dump_json(),
        "vocabulary_json": json.dumps(checkpoint.task.vocabulary, ensure_ascii=False),
        "checkpoint": checkpoint.name,
        "checkpoint_sha256": str(checkpoint.provenance["hashes"][WEIGHTS]),
    }


def root_attributes(
    model: SleepingModel,
    batch: Batch,
    sleep: SleepConfig,
    *,
    task: Task | None,
    origin: Mapping[str, str | int] | None,
) -> dict[str, str | int]:
    """Return every attribute of a trace's root; empty where not provided.

    Raises WorkbenchError: `origin` has something that `origin_of` does not return.
    """
    origin = dict(origin or {})
    wrong = [k for k, v in origin.items() if k not in GIVEN or not isinstance(v, ATTRIBUTES[k])]
    if wrong:
        raise WorkbenchError(
            f"an origin with {wrong[0]} = {origin[wrong[0]]!r}",
            f"text for {', '.join(GIVEN[1:])}, and a whole number for seed",
            "take it from origin_of(checkpoint, seed=...)",
        )
    given: dict[str, str | int] = {**dict.fromkeys(GIVEN[1:], ""), "seed": -1}
    if task is not None:
        given["task"] = task.name
        config = {"name": task.name} if task.config is None else task.config.model_dump(mode="json")
        given["config_json"] = json.dumps({"task": config})
        given["vocabulary_json"] = json.dumps(task.vocabulary, ensure_ascii=False)
    backend = getattr(getattr(model, "config", None), "kernel_backend", "")
    return {
        "schema": SCHEMA,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "code_version": _code_version(),
        "torch_version": str(torch.__version__),
        "device": str(model.device),
        "backend": backend and sleep_kernels.choose_backend(backend, model.device),
        "sleep_json": sleep.model_dump_json(),
        "n_sleep": int(str(sleep.passes)),
        "window_size": sleep.window,
        "sequence_length": batch.tokens.shape[1],
        **({"isolated": batch.isolated} if batch.isolated else {}),
        **given,
        **origin,
    }


@cache
def _code_version() -> str:
    """Return version and commit, looked up once: loaded code does not change."""
    version, at = versions()["sleep-workbench"], commit()
    if at is None:
        return version
    return f"{version} at {at['hash']}{', changed' if at['uncommitted_changes'] else ''}"
