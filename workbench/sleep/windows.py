"""Cutting a batch into consecutive windows of at most L tokens."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from workbench.batch import Batch


@dataclass(frozen=True)
class Window:
    """One window of a batch, on the model's device.

    Attributes
    ----------
    index : int
        0 for the first window.
    start, stop : int
        Token range in the sequence.
    tokens : Tensor
        int64 ``[batch, token]``.
    valid : Tensor or None
        bool ``[batch, token]``; None where nothing is padding (or padding is not masked).
    loss_mask : Tensor
        bool ``[batch, token]``: tokens to be predicted from the position before them.
    has_loss : bool
        Whether any token of any sequence is to be predicted: then the window is read awake.
    """

    index: int
    start: int
    stop: int
    tokens: Tensor
    valid: Tensor | None
    loss_mask: Tensor
    has_loss: bool


def cut(batch: Batch, length: int, *, mask_padding: bool, device: torch.device) -> list[Window]:
    """Cut `batch` into windows of `length` tokens; the last one may be shorter."""
    tokens = torch.as_tensor(batch.tokens, device=device)
    loss_mask = torch.as_tensor(batch.loss_mask, device=device)
    valid = torch.as_tensor(batch.valid, device=device)
    windows = []
    for index, start in enumerate(range(0, tokens.shape[1], length)):
        stop = min(start + length, tokens.shape[1])
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
            )
        )
    return windows
