"""The chunked form: one chunk a window, one triangular solve with a single right-hand side.

With ``c = cumsum(log_decay)``, ``e = exp(c)``, ``f = exp(c_C - c)``,
``D_ij = exp(c_i - c_j)`` for i >= j else 0::

    M = b * stril(K K^T * D)     u = b * (V - e * (K S0))      R = (I + M)^-1 u
    O = scale (e * (Q S0) + ((Q K^T) * D) R)                   S' = e_C S0 + (f * K)^T R

The gated outer product is the same with M = 0 and R = b V. Exponents of masked entries are set
to -inf before exp, never after (inf * 0 would give NaN gradients), and I + M is never inverted
by doubling (near-collinear keys make that wrong by orders of magnitude in float32).
"""

from __future__ import annotations

from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

MAX_CHUNK = 128
"""Tokens per chunk; a longer window is read in several chunks, S carried between them."""


def chunked(
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
    """Run a rule chunk by chunk; arguments as in `sleep_kernels.reference.scan`."""
    outputs: list[Tensor] = []
    for start in range(0, k.shape[1], MAX_CHUNK):
        part = slice(start, start + MAX_CHUNK)
        output, state = _chunk(
            None if q is None else q[:, part].transpose(1, 2),
            k[:, part].transpose(1, 2),
            v[:, part].transpose(1, 2),
            None if log_decay is None else log_decay[:, part].transpose(1, 2),
            beta[:, part].transpose(1, 2),
            state,
            scale,
            delta,
        )
        if output is not None:
            outputs.append(output)
    if not outputs:
        return None, state
    whole = outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=2)
    return whole.transpose(1, 2), state


def _chunk(
    q: Tensor | None,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor | None,
    beta: Tensor,
    state: Tensor,
    scale: float,
    delta: bool,
) -> tuple[Tensor | None, Tensor]:
    b = beta[..., None]  # (batch, gdn_head, token, 1)
    carried = state  # S0, decayed as each token sees it
    if log_decay is None:
        decay = _causal(k.shape[2], k.device, k.dtype)
        from_start = None
    else:
        # in float64: after a strong decay, differences of float32 sums are off by percents
        c = log_decay.cumsum(-1, dtype=torch.float64)
        between = (c[..., :, None] - c[..., None, :]).to(k.dtype)
        decay = (between + _mask(k.shape[2], k.device, k.dtype)).exp()
        from_start = c.to(k.dtype).exp()[..., None]  # e
    if delta:
        recalled = k @ carried
        if from_start is not None:
            recalled = from_start * recalled
        keys = (k @ k.mT) * decay * b  # only its strict lower triangle, M, is read
        written = torch.linalg.solve_triangular(
            keys, b * (v - recalled), upper=False, unitriangular=True
        )  # R: (batch, gdn_head, token, value)
    else:
        written = b * v
    output = None
    if q is not None:
        read = q @ carried
        if from_start is not None:
            read = from_start * read
        output = scale * (read + ((q @ k.mT) * decay) @ written)
    if log_decay is None:
        return output, state + k.mT @ written
    to_end = decay[..., -1, :, None]  # f
    return output, from_start[..., -1:, :] * state + (to_end * k).mT @ written  # type: ignore[index]


@lru_cache(maxsize=64)
def _causal(tokens: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    with torch.inference_mode(False):  # an inference tensor could not be used in training later
        return torch.ones(tokens, tokens, device=device, dtype=dtype).tril()


@lru_cache(maxsize=64)
def _mask(tokens: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    with torch.inference_mode(False):
        return torch.full((tokens, tokens), -torch.inf, device=device, dtype=dtype).triu(1)
