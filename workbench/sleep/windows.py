"""Splitting a batch into consecutive windows of at most L tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from workbench.batch import Batch
from workbench.config import SleepConfig


class DeviceBatch(NamedTuple):
    """A batch on a device, each ``[batch, token]``: what a CUDA graph reads at every replay."""

    tokens: Tensor
    loss_mask: Tensor
    valid: Tensor


@dataclass(frozen=True)
class Window:
    """One window of a batch, on the model's device."""

    index: int
    """0 for the first window."""
    start: int
    stop: int
    """Token range in the sequence."""
    tokens: Tensor
    """int64 ``[batch, token]``."""
    valid: Tensor | None
    """bool ``[batch, token]``; None where nothing is padding (or padding is not masked)."""
    loss_mask: Tensor
    """bool ``[batch, token]``: tokens to be predicted from the position before them."""
    has_loss: bool
    """Whether any token of any sequence is to be predicted: then the window is read awake."""
    predicted: int
    """Tokens with a label that have a position before them in the window."""
    more_loss: bool = True
    """Whether a later window has labels; without any, training need not read on."""
    isolated: int = 0
    """Tokens of each query, if the window holds queries that do not see each other; else 0."""


def read_awake(window: Window, passes: object) -> bool:
    """Return whether a window is read awake: with labels, or with N = 0, which leaves no sleep."""
    return window.has_loss or passes == 0


def slept_on(window: Window, sleep: SleepConfig) -> bool:
    """Return whether a window is slept on: without labels, or after it has been read awake."""
    return not window.has_loss or (sleep.order == "predict_then_sleep" and not window.isolated)


class Reading(NamedTuple):
    """One reading of a window: awake, or asleep in N passes."""

    window: int
    """Index of the window."""
    start: int
    stop: int
    """Token range in the sequence."""
    awake: bool


def readings(batch: Batch, sleep: SleepConfig) -> list[Reading]:
    """Return the readings of a batch in order, with N fixed.

    With predict_then_sleep most windows have two, awake and asleep; in the order "mask" each has
    one.
    """
    cpu = torch.device("cpu")
    found = []
    for window in split_windows(batch, sleep.window, mask_padding=False, device=cpu):
        place = window.index, window.start, window.stop
        if read_awake(window, sleep.passes):
            found.append(Reading(*place, awake=True))
        if slept_on(window, sleep) and sleep.passes != 0:
            found.append(Reading(*place, awake=False))
    return found


def to_device(batch: Batch, device: torch.device) -> DeviceBatch:
    """Return the batch's tensors on `device`."""
    arrays = (batch.tokens, batch.loss_mask, batch.valid)
    return DeviceBatch(*(torch.as_tensor(array, device=device) for array in arrays))


def split_windows(
    batch: Batch,
    length: int,
    *,
    mask_padding: bool,
    device: torch.device,
    on_device: DeviceBatch | None = None,
) -> list[Window]:
    """Split `batch` into windows of `length` tokens; the last one may be shorter.

    Isolated queries are one window more, of all of them. If `on_device` is given, tensors come
    from it, and `batch` only gives the layout.
    """
    tokens, loss_mask, valid = on_device or to_device(batch, device)
    windows = []
    labelled = np.flatnonzero(batch.loss_mask.any(axis=0))
    last_label = int(labelled[-1]) if labelled.size else -1
    for index, (start, stop) in enumerate(batch.windows(length)):
        part = slice(start, stop)
        padded = mask_padding and not batch.valid[:, part].all()
        windows.append(
            Window(
                index,
                start,
                stop,
                tokens[:, part],
                valid[:, part] if padded else None,
                loss_mask[:, part],
                bool(batch.loss_mask[:, part].any()),
                int(batch.loss_mask[:, part][:, 1:].sum()),
                last_label >= stop,
                batch.isolated if start == batch.context_tokens else 0,
            )
        )
    return windows
