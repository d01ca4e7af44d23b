"""The recurrences token by token: slow, plain, float64-capable; the oracle of every test."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def scan(
    q: Float[Tensor, "batch token gdn_head key"] | None,
    k: Float[Tensor, "batch token gdn_head key"],
    v: Float[Tensor, "batch token gdn_head value"],
    log_decay: Float[Tensor, "batch token gdn_head"] | None,
    beta: Float[Tensor, "batch token gdn_head"],
    state: Float[Tensor, "batch gdn_head key value"],
    scale: float,
    delta: bool,
) -> tuple[
    Float[Tensor, "batch token gdn_head value"] | None, Float[Tensor, "batch gdn_head key value"]
]:
    """Run a rule one token at a time; shapes as in `sleep_kernels.api`.

    `delta`: subtract what the memory returns for the key, rather than a plain outer product.
    """
    outputs = []
    for t in range(k.shape[1]):
        k_t, v_t = k[:, t], v[:, t]  # (batch, gdn_head, key), (batch, gdn_head, value)
        if log_decay is not None:
            state = state * log_decay[:, t].exp()[..., None, None]
        if delta:
            v_t = v_t - torch.einsum("bhkv,bhk->bhv", state, k_t)
        state = state + k_t[..., None] * (beta[:, t, :, None] * v_t)[..., None, :]
        if q is not None:
            outputs.append(scale * torch.einsum("bhkv,bhk->bhv", state, q[:, t]))
    return (torch.stack(outputs, dim=1) if outputs else None), state
