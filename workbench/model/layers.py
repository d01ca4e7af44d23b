"""RMSNorm, SwiGLU and attention with RoPE."""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

import sleep_kernels
from sleep_kernels.traced import as_constant
from workbench.config import ModelConfig
from workbench.errors import WorkbenchError
from workbench.model.memory import KVCache
from workbench.model.projections import linears

SHORT = 32
"""Up to so many tokens, compiled for a CPU, plain attention is quicker than a blocked kernel."""


class RMSNorm(nn.RMSNorm):
    """RMSNorm along the channels of the model."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config.width, eps=config.norm_eps)
        self.backend = config.kernel_backend

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[..., channel]`` to the same shape."""
        assert self.eps is not None
        return sleep_kernels.rms_norm(x, self.weight, self.eps, backend=self.backend)


class SwiGLU(nn.Module):
    """Gated MLP, ``W_down (SiLU(W_gate x) * W_up x)``."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.backend = config.kernel_backend
        self.gate = nn.Linear(config.width, config.mlp_width, bias=False)
        self.up = nn.Linear(config.width, config.mlp_width, bias=False)
        self.down = nn.Linear(config.mlp_width, config.width, bias=False)

    def forward(
        self, x: Float[Tensor, "batch token channel"]
    ) -> Float[Tensor, "batch token channel"]:
        """Map ``[batch, token, channel]`` to the same shape."""
        (both,) = linears(x, [[self.gate.weight, self.up.weight]])
        return self.down(sleep_kernels.silu_gate(both, backend=self.backend))


class Attention(nn.Module):
    """Causal softmax attention with RoPE over the KV cache and the tokens given."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.heads = config.attention_heads
        self.rope_base = config.rope_base
        self.backend = config.attention_backend
        self.kernels = config.kernel_backend
        self.query = nn.Linear(config.width, config.width, bias=False)
        self.key = nn.Linear(config.width, config.width, bias=False)
        self.value = nn.Linear(config.width, config.width, bias=False)
        self.out = nn.Linear(config.width, config.width, bias=False)

    def forward(
        self,
        x: Float[Tensor, "batch token channel"],
        cache: KVCache | None,
        valid: Bool[Tensor, "batch token"] | None,
        window: int | None,
        output: bool = True,
    ) -> tuple[Float[Tensor, "batch token channel"] | None, KVCache]:
        """Attend from the tokens given to the cache and to themselves.

        `x`: ``[batch, token, channel]``. `cache`: what earlier tokens left. `valid`: bool
        ``[batch, token]``; None means no padding. `window`: attend to at most this many newest
        tokens, the present one included. `output`: False: only extend the cache. Returns `output`:
        ``[batch, token, channel]``; `cache`: cache with the tokens given appended.
        """
        batch, tokens, width = x.shape
        split = (batch, tokens, self.heads, width // self.heads)
        both = linears(x, [[self.key.weight], [self.value.weight]])
        keys, values = (y.view(split).transpose(1, 2) for y in both)  # (batch, attn_head, token, .)
        known = x.new_ones((batch, tokens), dtype=torch.bool) if valid is None else valid
        masked = valid is not None
        if cache is not None:
            masked = masked or not bool(cache.valid.all())
            keys = torch.cat((cache.keys, keys), dim=2)
            values = torch.cat((cache.values, values), dim=2)
            known = torch.cat((cache.valid, known), dim=1)
        extended = KVCache(keys, values, known)
        if not output:
            return None, extended
        total = keys.shape[2]
        cos, sin = _rotation(total, split[-1], self.rope_base, x.device, keys.dtype)
        q = self.query(x).view(split).transpose(1, 2)
        new = slice(total - tokens, None)
        q = sleep_kernels.rotate(q, cos[new], sin[new], backend=self.kernels)
        k = sleep_kernels.rotate(keys, cos, sin, backend=self.kernels)
        if self.backend == "flash":
            attended = _flash(q, k, values, window, masked)
        else:
            mask = attention_mask(tokens, known, window, masked=masked)
            short = tokens <= SHORT and x.device.type == "cpu"
            if mask is None and short and torch.compiler.is_compiling():
                scores = q @ k.mT * split[-1] ** -0.5
                beyond = ~_within(tokens, total, None, x.device)
                attended = scores.masked_fill(beyond, -torch.inf).softmax(-1) @ values
            else:
                attended = F.scaled_dot_product_attention(
                    q, k, values, attn_mask=mask, is_causal=mask is None
                )
        return self.out(attended.transpose(1, 2).reshape(batch, tokens, width)), extended


def _flash(q: Tensor, k: Tensor, v: Tensor, window: int | None, masked: bool) -> Tensor:
    """Run flash-attn: only if requested, never as a silent replacement."""
    try:
        from flash_attn import flash_attn_func
    except ImportError:
        raise WorkbenchError(
            "attention_backend 'flash' without the flash-attn package",
            "an installed flash-attn (CUDA only, built from source)",
            "use attention_backend = 'sdpa', which holds FlashAttention on CUDA",
        ) from None
    if masked:
        raise WorkbenchError(
            "attention_backend 'flash' with padded tokens",
            "sequences without padding",
            "use attention_backend = 'sdpa' or sleep.mask_padding = false",
        )
    bounds = (-1, 0) if window is None else (window - 1, 0)
    swapped = (t.transpose(1, 2) for t in (q, k, v))
    return flash_attn_func(*swapped, causal=True, window_size=bounds).transpose(1, 2)


@cache
@as_constant  # traced, every element would work out its own angle
def _rotation(
    tokens: int, dim: int, base: float, device: torch.device, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Return RoPE's cosines and sines ``[token, channel]`` (Su et al. arXiv 2104.09864)."""
    with torch.inference_mode(False):
        rates = base ** (-torch.arange(0, dim, 2, device=device, dtype=torch.float64) / dim)
        angles = torch.arange(tokens, device=device, dtype=torch.float64)[:, None] * rates
        angles = torch.cat((angles, angles), dim=-1)
        return angles.cos().to(dtype), angles.sin().to(dtype)


def attention_mask(
    tokens: int, known: Tensor, window: int | None, *, masked: bool
) -> Tensor | None:
    """Return what the newest `tokens` tokens attend to: bool, or None where that is all before.

    `known`: bool ``[batch, cached + token]``, False where a token is padding; read if `masked`.
    `window`: attention reaches at most this many newest tokens.
    """
    total = known.shape[1]
    bound = window if window is not None and window < total else None
    if not masked and bound is None and total == tokens:
        return None
    mask = _within(tokens, total, bound, known.device)
    if masked:  # a padded query sees itself, or its softmax would be 0 / 0
        mask = mask & known[:, None, None, :]
        mask = mask | _diagonal(tokens, total, known.device)
    return mask


@cache
def _within(tokens: int, total: int, window: int | None, device: torch.device) -> Tensor:
    """Return bool ``[token, cached + token]``: causal, within the newest `window` tokens."""
    with torch.inference_mode(False):
        seen_from = torch.arange(total - tokens, total, device=device)[:, None]
        at = torch.arange(total, device=device)[None, :]
        mask = at <= seen_from
        return mask if window is None else mask & (at > seen_from - window)


@cache
def _diagonal(tokens: int, total: int, device: torch.device) -> Tensor:
    with torch.inference_mode(False):
        return torch.eye(total, dtype=torch.bool, device=device)[total - tokens :]
