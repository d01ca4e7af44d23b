"""Input checks shared by every operator and backend."""

from __future__ import annotations

import torch
from torch import Tensor


def state_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype in which S is kept: float64 for float64 inputs, else float32."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def check_inputs(
    q: Tensor | None,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor | None,
    beta: Tensor,
    state: Tensor | None,
) -> None:
    """Check shapes, dtypes and devices against k ``[batch, token, gdn_head, key]``.

    Raises
    ------
    ValueError
        Names the tensor, what it has and what was expected.
    """
    if k.ndim != 4 or k.shape[1] < 1:
        raise ValueError(
            f"k has shape {tuple(k.shape)}; expected [batch, token >= 1, gdn_head, key]"
        )
    if v.ndim != 4:
        raise ValueError(f"v has shape {tuple(v.shape)}; expected [batch, token, gdn_head, value]")
    batch, tokens, heads, keys = k.shape
    expected = {
        "q": (q, (batch, tokens, heads, keys)),
        "v": (v, (batch, tokens, heads, v.shape[-1])),
        "log_decay": (log_decay, (batch, tokens, heads)),
        "beta": (beta, (batch, tokens, heads)),
        "state": (state, (batch, heads, keys, v.shape[-1])),
    }
    for name, (tensor, shape) in expected.items():
        if tensor is None:
            continue
        if tuple(tensor.shape) != shape:
            raise ValueError(
                f"{name} has shape {tuple(tensor.shape)}; expected {shape} to go with k "
                f"{tuple(k.shape)} [batch, token, gdn_head, key]"
            )
        if not tensor.is_floating_point():
            raise ValueError(f"{name} has dtype {tensor.dtype}; expected a floating-point dtype")
        if tensor.device != k.device:
            raise ValueError(f"{name} is on {tensor.device}; expected {k.device}, where k is")
