"""What training needs of the machine, at the least; what it has not is refused beforehand."""

from __future__ import annotations

import os
import sys

import torch

from workbench.backbones.sources import BYTES, find_source
from workbench.config import ATTENTION, Experiment, RandomPasses, TrainingConfig
from workbench.errors import WorkbenchError
from workbench.limits import available_memory, in_words, refuse_beyond_memory
from workbench.tasks.base import TOKEN_BYTES, Task
from workbench.training.fitting import expected_weights

MOST_THREADS = 4
"""Threads a core may be asked to run."""


def check_threads(config: TrainingConfig) -> None:
    """Raise WorkbenchError if more than `MOST_THREADS` CPU threads a core are configured."""
    cores = os.cpu_count() or 1
    if config.threads > MOST_THREADS * cores:
        raise WorkbenchError(
            f"training.threads = {config.threads} on {cores} cores",
            f"at most {MOST_THREADS * cores}, four a core",
            "lower training.threads",
        )


def check_memory(experiment: Experiment, task: Task) -> None:
    """Raise WorkbenchError if not even the least that a training step holds fits into memory."""
    config = experiment.training
    room = None
    if config.device.startswith("cuda"):
        room = torch.cuda.get_device_properties(config.device).total_memory
    needed = training_bytes(experiment, task)
    if experiment.retrofit is not None:
        free = available_memory() if room is None else room
        sys.stderr.write(f"training needs at least {in_words(needed)}; {in_words(free)} free\n")
    refuse_beyond_memory(
        needed,
        f"a training step of {config.batch_size:,} sequences on {config.device}",
        "lower training.batch_size, the model's sizes, the task's or sleep.passes, "
        "or set sleep.checkpointing",
        room=room,
    )


def training_bytes(experiment: Experiment, task: Task) -> int:
    """Return a lower bound of the bytes that one training step needs.

    Counted are the weights, their gradients and one moment of each (12 bytes a parameter); the
    batch; S after every window; the logits; and what the backward pass needs of the residual
    stream: one value per token, channel and pass, and per fast-weight layer as well where nothing
    is recomputed. A random N counts with its largest value, a rule with a single pass. With
    predict_then_sleep the wake counts where N is 0, and for the tokens of queries.
    """
    config, model, sleep = experiment.training, experiment.model, experiment.sleep
    tokens = task.context_tokens + task.query_tokens
    windows = -(-tokens // sleep.window)
    passes = sleep.passes if isinstance(sleep.passes, int) else 1
    if isinstance(sleep.passes, RandomPasses):
        passes = sleep.passes.high
    predicting = sleep.order == "predict_then_sleep"
    passes = max(passes, 1) if predicting else passes
    first, last = sleep.loop or (0, len(model.layers))
    memories = sum(kind != "attention" for kind in model.layers[first:last])
    kept_passes = {"none": passes, "pass": passes, "window": 1}[sleep.checkpointing]
    kept_blocks = max(memories, 1) if sleep.checkpointing == "none" else 1
    width = 2 if config.dtype == "bfloat16" else 4
    state = 4 * memories * model.gdn_heads * model.key_dim * model.value_dim
    read = task.context_tokens * kept_passes + (task.query_tokens if predicting else 0)
    stream = width * model.width * read * kept_blocks
    labels = width * task.query_tokens * model.vocabulary
    sequence = TOKEN_BYTES * tokens + state * windows + stream + labels
    return weight_bytes(experiment) + config.batch_size // config.accumulate * sequence


def weight_bytes(experiment: Experiment) -> int:
    """Return the bytes of weights and, of those that learn, gradients and one moment."""
    model, retrofit = experiment.model, experiment.retrofit
    if retrofit is None:
        return 12 * sum(tensor.numel() for tensor in expected_weights(model).values())
    bare = model.model_copy(update={"mlp_width": 0})
    named = expected_weights(bare).items()
    new = [i for i, kind in enumerate(model.layers) if kind != ATTENTION]
    inside = {f"stack.{i}" for i in new}
    ours = sum(t.numel() for n, t in named if ".".join(n.split(".")[:2]) in inside)
    base = find_source(retrofit.base).parameters
    width = BYTES["float32" if retrofit.train == "all" else experiment.training.dtype]
    return 12 * ours + base * (12 if retrofit.train == "all" else width)


def out_of_memory(error: BaseException) -> WorkbenchError | None:
    """Return the one-line error of an allocation that failed; None for any other error."""
    failed = isinstance(error, MemoryError | torch.OutOfMemoryError)
    if not failed and "can't allocate memory" not in str(error):
        return None
    return WorkbenchError(
        "training needs more memory than there is",
        "a model and a batch that fit",
        "lower training.batch_size or the sizes of the model, or set sleep.checkpointing",
    )
