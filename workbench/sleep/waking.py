"""Waking early: what the model would answer with the memory it has now."""

from __future__ import annotations

import torch
from torch import Tensor

from workbench.batch import Batch
from workbench.config import SleepConfig
from workbench.model.memory import Memory
from workbench.sleep.contract import SleepingModel
from workbench.sleep.events import Wake
from workbench.sleep.eviction import evict
from workbench.sleep.one_pass import wake
from workbench.sleep.windows import Window, split_windows


def wake_now(
    model: SleepingModel, batch: Batch, sleep: SleepConfig, memory: Memory, *, after: int = -1
) -> list[Wake]:
    """Return what the model would answer if it woke with this memory.

    Reads the windows of `batch` that carry labels and come after window `after`, one pass each.
    Windows without labels are skipped, as if they had not arrived yet. With predict_then_sleep it
    is as if the model slept no more: N = 0 from here on.
    """
    windows = split_windows(
        batch, sleep.window, mask_padding=sleep.mask_padding, device=model.device
    )
    return wake_all(model, windows[after + 1 :], sleep, memory)


def wake_all(
    model: SleepingModel, windows: list[Window], sleep: SleepConfig, memory: Memory
) -> list[Wake]:
    """Evict, then read those of `windows` that carry labels awake, one after the other."""
    wakes = []
    memory = evict(memory, sleep)
    for window in windows:
        if window.has_loss:
            wakes.append(wake(model, window, sleep, memory))
            memory = evict(wakes[-1].memory, sleep)
    return wakes


@torch.no_grad()
def answers_now(
    model: SleepingModel, windows: list[Window], sleep: SleepConfig, memory: Memory
) -> Tensor:
    """Return the most likely tokens, int64 ``[batch, token]``, 0 where nothing is predicted."""
    wakes = wake_all(model, windows, sleep, memory)
    if not wakes:
        return torch.zeros((0, 0), dtype=torch.long)
    best = [w.logits[:, :-1].argmax(-1) * w.window.loss_mask[:, 1:] for w in wakes]
    return torch.cat(best, dim=1)
