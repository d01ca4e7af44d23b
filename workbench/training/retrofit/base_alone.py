"""The base of a retrofit by itself: what it answers with the text in view, and without it."""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.backbones.loading import load_pretrained
from workbench.tasks.base import EVALUATION, Task, draw
from workbench.training.checkpoints import Retrofitted
from workbench.training.evaluation import answers_right, summarise
from workbench.training.retrofit.steps import in_one_window

IN_VIEW, WITHOUT = "base, text in view", "base, after eviction"


def base_alone(
    retrofit: Retrofitted, task: Task, *, count: int, seed: int, batch_size: int = 50
) -> dict[str, dict[str, Any]]:
    """Return the base's scores on the examples that `evaluate` draws, by `IN_VIEW` and `WITHOUT`.

    Without the text it reads in the same windows, and nothing crosses a boundary: it has no S, and
    its KV cache is evicted.
    """
    device = str(retrofit.model.device)
    dtype = retrofit.experiment.training.dtype
    base = load_pretrained(retrofit.source.named, device=device, dtype=dtype).model
    batch = draw(task, count, seed, 0, EVALUATION)
    plain = {"loop": None, "eviction": "hard", "passes": 1, "order": "mask", "wake_writes": True}
    evicted = retrofit.sleep.model_copy(update=plain)
    whole = evicted.model_copy(update={"window": batch.tokens.shape[1]})
    found: dict[str, list[np.ndarray]] = {IN_VIEW: [], WITHOUT: []}
    for start in range(0, count, batch_size):
        part = batch.examples(slice(start, start + batch_size))
        right = answers_right(base, in_one_window(part), whole)
        found[IN_VIEW].append(right.reshape(part.difficulty.shape))
        found[WITHOUT].append(answers_right(base, part, evicted))
    return {
        name: summarise(np.concatenate(parts), batch.difficulty, task)
        for name, parts in found.items()
    }
