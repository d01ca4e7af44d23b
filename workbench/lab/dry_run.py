"""What a run would take, without running it: parameters, operations, memory, and ten batches.

Operations follow from the sizes by the rules of `workbench.lab.flops` (products alone, a
multiplication and an addition each), so that models too large to count on this machine have a
number too; the two agree within a few per cent. The memory of activations is counted on a model of
one and of two blocks on the meta device, and multiplied.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from workbench.batch import Batch
from workbench.config import Experiment, ModelConfig, RandomPasses
from workbench.errors import WorkbenchError
from workbench.lab.flops import Cost
from workbench.limits import in_words, refuse_beyond_memory
from workbench.paths import bundled_checkpoints
from workbench.sleep.eviction import kept_before
from workbench.sleep.windows import readings
from workbench.tasks import Task, draw
from workbench.tasks import task as make_task

BATCHES = 10
"""Batches that are drawn and looked at."""
CHUNK, ONE_CHUNK = 32, 48
"""Tokens of a chunk of the fast-weight rules, and up to how many a window is one chunk."""
MEASURED = 64
"""Tokens at which the memory of a block is counted."""
FORWARD_AND_BACKWARD = 3
"""A training step takes two products in the backward for each of the forward."""


def dry_run(experiment: Experiment, on_batch: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """Return what a run of `experiment` would take, as plain values.

    Raises WorkbenchError: the settings do not fit each other, or the step does not fit into the
    memory of this machine, where the run is for its CPU.
    """
    from workbench.training.evaluation import check_layout
    from workbench.training.loop import with_vocabulary

    task = make_task(experiment.task)
    experiment = with_vocabulary(experiment, task)
    training = experiment.training
    first = draw(task, min(training.batch_size, 64), training.seed, 0)
    check_layout(task.room(first), experiment.sleep.window)
    parameters = _parameters(experiment)
    costs = _costs(experiment, first)
    step = training.batch_size * costs.training
    memory = _memory(experiment, first, parameters)
    if training.device == "cpu":
        refuse_beyond_memory(
            sum(memory.values()),
            f"a training step of {training.batch_size:,} sequences",
            "lower training.batch_size or the model's sizes, or set sleep.checkpointing",
        )
    return {
        "parameters": parameters,
        "vocabulary": experiment.model.vocabulary,
        "passes": _passes(experiment),
        "forward": {"asleep": costs.sleep, "awake": costs.wake},
        "training_step": step,
        "training": step * training.steps,
        "memory": memory,
        "tokens": training.batch_size * training.steps * first.tokens.shape[1],
        "batches": _batches(task, experiment, on_batch),
        "start": _start(experiment, task),
        "note": task.drawing_note(),
    }


def _start(experiment: Experiment, task: Task) -> str:
    """Return which trained model a run starts from; where it is there, it must fit."""
    from workbench.training.start import first_weights, source_of

    if (name := source_of(experiment)) is None:
        return ""
    if "://" not in name and name not in bundled_checkpoints() and not os.path.exists(name):
        return f"{name}, which is not there yet"
    found = first_weights(experiment, task)
    assert found is not None
    return f"{name}, with {found.origin['symbols']} of its symbols"


def _parameters(experiment: Experiment) -> dict[str, int]:
    """Return how many numbers the model has, and how many of them Muon trains."""
    import torch

    from workbench.model import HybridModel
    from workbench.training.optimisers import is_body

    with torch.device("meta"):
        model = HybridModel(experiment.model)
    sizes = {name: (p.numel(), is_body(name, p)) for name, p in model.named_parameters()}
    return {
        "all": sum(size for size, _ in sizes.values()),
        "muon": sum(size for size, body in sizes.values() if body),
        "embedding_and_head": sum(
            size for name, (size, _) in sizes.items() if name.split(".")[0] in ("embedding", "head")
        ),
    }


def _passes(experiment: Experiment) -> float:
    """Return N, the mean of a random N, or the largest that a rule allows."""
    passes = experiment.sleep.passes
    if isinstance(passes, RandomPasses):
        return (passes.low + passes.high) / 2
    return passes if isinstance(passes, int) else passes.cap


def _costs(experiment: Experiment, batch: Batch) -> Cost:
    """Return the operations of one sequence, the mean over N where N is random."""
    passes = experiment.sleep.passes
    numbers = [int(_passes(experiment))]
    if isinstance(passes, RandomPasses):
        numbers = list(range(passes.low, passes.high + 1))
    counts = [_cost(experiment, n, batch) for n in numbers]
    return Cost(*np.mean(counts, axis=0).tolist())


def _cost(experiment: Experiment, passes: int, batch: Batch) -> Cost:
    """Return the operations of one sequence at N = `passes`."""
    model, sleep = experiment.model, experiment.sleep.with_passes(passes)
    begin, end = sleep.loop or (0, len(model.layers))
    memories = [i for i, kind in enumerate(model.layers) if kind != "attention"]
    asleep = awake = labelled = 0.0
    for row in readings(batch, sleep):
        tokens = row.stop - row.start
        kept = kept_before(row.start, sleep)
        alone = batch.isolated if batch.isolated and row.start == batch.context_tokens else 0
        costs = [_block(model, kind, tokens, alone or tokens + kept) for kind in model.layers]
        if row.awake:
            head = 2 * tokens * model.width * model.vocabulary
            awake += sleep.wake_passes * sum(full for full, _ in costs) + head
            if batch.loss_mask[:, row.start : row.stop].any():
                labelled = asleep + awake  # training ends with the last label
        elif memories:
            for i, (full, write) in enumerate(costs):
                times = passes if begin <= i < end else 1
                # after the last pass only the fast weights are of use
                last = memories[-1]
                unread = 0 if i < last else full - (write if i == last else 0)
                asleep += times * full - unread
    return Cost(FORWARD_AND_BACKWARD * labelled, asleep, awake)


def _block(model: ModelConfig, kind: str, tokens: int, keys: int) -> tuple[float, float]:
    """Return the operations of a block over a window: all, and what writing to S takes alone."""
    width = model.width
    mlp = 3 * width * model.mlp_width
    if kind == "attention":
        return 2 * tokens * (4 * width * width + mlp) + 4 * tokens * keys * width, 0
    heads, rows, columns = model.gdn_heads, model.key_dim, model.value_dim
    chunk = tokens if tokens <= ONE_CHUNK else CHUNK
    projected = width * heads * (2 * rows + columns + 2)
    rule = 2 * chunk * rows + 4 * rows * columns + chunk * columns
    read = 2 * chunk * rows + 2 * rows * columns + 2 * chunk * columns
    write = 2 * tokens * projected + tokens * heads * rule
    after = 2 * tokens * (2 * width * heads * columns + mlp)
    return write + tokens * heads * read + after, write


def _memory(experiment: Experiment, batch: Batch, parameters: dict[str, int]) -> dict[str, int]:
    """Return bytes: weights, gradients, optimisers, and an estimate of the activations."""
    model, sleep, training = experiment.model, experiment.sleep, experiment.training
    kinds = {kind: _saved(model, kind) for kind in dict.fromkeys(model.layers)}
    begin, end = sleep.loop or (0, len(model.layers))
    passes = sleep.passes.high if isinstance(sleep.passes, RandomPasses) else _passes(experiment)
    windows, largest = 0.0, 0.0
    stream = 4 * model.width
    blocks = [(kinds[kind], begin <= i < end) for i, kind in enumerate(model.layers)]
    once = sum(size for size, _ in blocks)
    whole = sum(size * (passes if inside else 1) for size, inside in blocks)
    for row in readings(batch, sleep):
        tokens = row.stop - row.start
        if row.awake:
            windows += tokens * (once * sleep.wake_passes + 8 * model.vocabulary)
        elif sleep.checkpointing == "none":
            windows += tokens * whole
        else:  # only what enters is kept; one of them at a time is computed again
            kept = passes if sleep.checkpointing == "pass" else 1
            windows += tokens * stream * kept
            largest = max(largest, tokens * (once if sleep.checkpointing == "pass" else whole))
    half = 0.5 if training.dtype == "bfloat16" else 1.0
    muon = parameters["muon"]
    return {
        "weights": 4 * parameters["all"],
        "gradients": 4 * parameters["all"],
        "optimisers": 4 * muon + 8 * (parameters["all"] - muon),
        "activations": int(half * training.batch_size * (windows + largest)),
    }


def _saved(model: ModelConfig, kind: str) -> float:
    """Return the bytes a token that one block keeps for the backward, scores of attention aside."""
    one, two = (_saved_by(model.model_copy(update={"layers": (kind,) * n})) for n in (1, 2))
    return (two - one) / MEASURED


def _saved_by(config: ModelConfig) -> int:
    """Return the bytes that a pass over `MEASURED` tokens keeps for the backward."""
    import torch

    from workbench.model import HybridModel

    with torch.device("meta"):
        model = HybridModel(config.model_copy(update={"kernel_backend": "cpu"}))
        tokens = torch.zeros((1, MEASURED), dtype=torch.int64)
    weights = {p.untyped_storage()._cdata for p in model.parameters()}
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        scores = tensor.ndim >= 3 and tensor.shape[-2:] == (MEASURED, MEASURED)
        if storage._cdata not in weights and not scores:
            kept[storage._cdata] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        hidden, _ = model.blocks(model.embed(tokens), model.empty_memory(1))
        assert hidden is not None
        hidden.sum()
    return sum(storage.nbytes() for storage in kept.values())


def _batches(task: Task, experiment: Experiment, on_batch: Callable[[], None]) -> dict[str, Any]:
    """Draw the first batches of the run, and return what they hold."""
    from workbench.training.evaluation import check_layout

    training = experiment.training
    padding, labels, levels = [], [], set()
    start = time.perf_counter()
    for step in range(BATCHES):
        batch = draw(task, training.batch_size, training.seed, step)
        check_layout(batch, experiment.sleep.window)
        if batch.tokens.min() < 0 or batch.tokens.max() >= experiment.model.vocabulary:
            raise WorkbenchError(
                f"batch {step} with symbol {int(batch.tokens.max())}",
                f"symbols below {experiment.model.vocabulary}",
                "fix the task",
            )
        padding.append(1 - batch.valid.mean())
        labels.append(batch.loss_mask.sum(axis=1).mean())
        levels |= set(batch.difficulty[batch.difficulty >= 0].tolist())
        on_batch()
    seconds = (time.perf_counter() - start) / BATCHES
    windows = batch.windows(experiment.sleep.window)
    return {
        "count": BATCHES,
        "seconds": seconds,
        "tokens": batch.tokens.shape[1],
        "windows": len(windows),
        "slept_on": sum(not row.awake for row in readings(batch, experiment.sleep)),
        "labels": float(np.mean(labels)),
        "padding": float(np.mean(padding)),
        "difficulties": [int(min(levels)), int(max(levels))],
    }


def as_rows(found: dict[str, Any], experiment: Experiment) -> list[list[str]]:
    """Return the result as rows of a name and a text, one screen of them."""
    parameters, memory, batches = found["parameters"], found["memory"], found["batches"]
    training, low = experiment.training, batches["difficulties"][0]
    total = sum(memory.values())
    parts = ", ".join(f"{name} {in_words(size)}" for name, size in memory.items())
    rows = [
        ["model", f"{len(experiment.model.layers)} blocks, {parameters['all']:,} parameters, "
         f"{parameters['muon']:,} of them trained by Muon"],
        ["sleep", f"windows of {experiment.sleep.window}, N = {found['passes']:g}, "
         f"{experiment.sleep.eviction} eviction"],
        ["task", f"{experiment.task.name}, {found['vocabulary']:,} symbols"],
        ["sequence", f"{batches['tokens']:,} tokens in {batches['windows']} windows, "
         f"{batches['slept_on']} of them slept on; {batches['labels']:.1f} labels"],
        ["forward", f"{found['forward']['asleep']:.3g} FLOP asleep, "
         f"{found['forward']['awake']:.3g} awake, a sequence"],
        ["training", f"{found['training_step']:.3g} FLOP a step of {training.batch_size:,} "
         f"sequences, {found['training']:.3g} in {training.steps:,} steps"],
        ["tokens", f"{found['tokens']:.3g} in all"],
        ["memory", f"about {in_words(total)} ({training.dtype}; activations are an estimate, "
         f"{in_words(memory['activations'] // training.batch_size)} a sequence)"],
        ["", parts],
        [f"{batches['count']} batches", f"{1e3 * batches['seconds']:.0f} ms each; "
         f"{100 * batches['padding']:.0f} % padding; difficulty {low} to "
         f"{batches['difficulties'][1]}"],
    ]  # fmt: skip
    return rows + [[name, found[name]] for name in ("start", "note") if found[name]]
