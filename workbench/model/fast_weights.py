"""Fast-weight mixers: projections, short convolution, gates and output norm around a rule.

Every mixer reads its state S ``[batch, gdn_head, key, value]`` and convolution tail, and returns
them anew. Gated DeltaNet as in Yang et al. arXiv 2412.06464; the Jet layer as in Jet-Nemotron
arXiv 2508.15884 (no convolution on q and k, a dynamic one on v).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

import sleep_kernels
from workbench.config import LayerKind, ModelConfig


class Mixed(NamedTuple):
    """What a mixer returns.

    Attributes
    ----------
    output : Tensor or None
        ``[batch, token, channel]``; None when only the state was asked for.
    state : Tensor
        S after the tokens, ``[batch, gdn_head, key, value]``.
    tail : Tensor
        Convolution tail, ``[batch, taps - 1, channel]``.
    """

    output: Tensor | None
    state: Tensor
    tail: Tensor


class Writes(NamedTuple):
    """What each token writes, and how it reads: the operator's inputs.

    Attributes
    ----------
    q, k : Tensor
        ``[batch, token, gdn_head, key]``, unit norm.
    v : Tensor
        ``[batch, token, gdn_head, value]``.
    log_decay : Tensor or None
        ``[batch, token, gdn_head]``; None where the rule has no decay.
    beta : Tensor
        ``[batch, token, gdn_head]``.
    tail : Tensor
        Convolution tail after the tokens.
    """

    q: Tensor
    k: Tensor
    v: Tensor
    log_decay: Tensor | None
    beta: Tensor
    tail: Tensor


class FastWeights(nn.Module):
    """One fast-weight layer; `kind` names the update rule and the layer around it."""

    def __init__(self, config: ModelConfig, kind: LayerKind) -> None:
        super().__init__()
        self.kind = kind
        self.heads, self.keys, self.values = config.gdn_heads, config.key_dim, config.value_dim
        self.backend = config.kernel_backend
        self.eps = config.norm_eps
        keys, values = self.heads * self.keys, self.heads * self.values
        self.query = nn.Linear(config.width, keys, bias=False)
        self.key = nn.Linear(config.width, keys, bias=False)
        self.value = nn.Linear(config.width, values, bias=False)
        self.gate = nn.Linear(config.width, values, bias=False)
        self.out = nn.Linear(values, config.width, bias=False)
        self.norm = nn.RMSNorm(self.values, eps=config.norm_eps)
        if self.has_decay:
            self.decay = nn.Linear(config.width, self.heads, bias=False)
            self.log_rate = nn.Parameter(torch.empty(self.heads))
            self.decay_bias = nn.Parameter(torch.empty(self.heads))
        if kind != "linear_attention":
            self.write = nn.Linear(config.width, self.heads, bias=False)
        if kind == "jet":
            hidden = max(values // 8, 1)
            self.taps_in = nn.Linear(config.width, hidden, bias=False)
            self.taps_out = nn.Linear(hidden, values * config.conv_width)
        else:
            self.conv = nn.Parameter(torch.empty(2 * keys + values, config.conv_width))
        self.conv_width = config.conv_width

    @property
    def has_decay(self) -> bool:
        """Whether the rule forgets (gated delta, Mamba-2 style, Jet)."""
        return self.kind in ("gated_delta", "mamba2", "jet")

    @property
    def tail_channels(self) -> int:
        """Channels of the convolution tail."""
        values = self.heads * self.values
        return values if self.kind == "jet" else 2 * self.heads * self.keys + values

    def initialise(self, generator: torch.Generator) -> None:
        """Set the parameters that are not plain projections: decay rates and taps.

        Mamba's step sizes, 0.001 to 0.1, with A = 1 rather than its 1 to 16: a sleep reads the
        window N times, and at A = 16 what the first pass wrote is gone before the last.
        """
        if self.has_decay:
            nn.init.zeros_(self.log_rate)
            with torch.no_grad():
                uniform = torch.rand(self.heads, generator=generator)
                step = (math.log(1e-3) + uniform * math.log(1e-1 / 1e-3)).exp()
                self.decay_bias.copy_(step + torch.log(-torch.expm1(-step)))  # softplus^-1
        bound = self.conv_width**-0.5
        if self.kind == "jet":
            # neither generator matrix starts at zero: a product of two zeros never learns
            nn.init.normal_(self.taps_out.weight, std=0.02, generator=generator)
            nn.init.uniform_(self.taps_out.bias, -bound, bound, generator=generator)
        else:
            nn.init.uniform_(self.conv, -bound, bound, generator=generator)

    def writes(
        self,
        x: Float[Tensor, "batch token channel"],
        tail: Float[Tensor, "batch tail channels"] | None,
        valid: Bool[Tensor, "batch token"] | None,
    ) -> Writes:
        """Compute the operator's inputs from ``x [batch, token, channel]``.

        Padding (`valid` False) neither enters the convolution, nor writes, nor decays.
        """
        # (batch, token, 2 gdn_head key + gdn_head value)
        projections = (self.query.weight, self.key.weight, self.value.weight)
        qkv = F.linear(x, torch.cat(projections))
        keys = self.heads * self.keys
        if valid is not None:
            qkv = qkv * valid[..., None]
        if self.kind == "jet":
            qk, v = qkv.split((2 * keys, self.heads * self.values), dim=-1)
            taps = self.taps_out(F.silu(self.taps_in(x))).unflatten(-1, (-1, self.conv_width))
            v, tail = _past_padding(v, tail, valid)
            v, tail = sleep_kernels.dynamic_convolution(v, taps, tail)
            q, k = F.silu(qk).split(keys, dim=-1)
            v = F.silu(v)
        else:
            qkv, tail = _past_padding(qkv, tail, valid)
            qkv, tail = sleep_kernels.short_convolution(qkv, self.conv, tail)
            q, k, v = F.silu(qkv).split((keys, keys, self.heads * self.values), dim=-1)
        q = _unit_norm(q.unflatten(-1, (self.heads, self.keys)))
        k = _unit_norm(k.unflatten(-1, (self.heads, self.keys)))
        v = v.unflatten(-1, (self.heads, self.values))
        log_decay = None
        if self.has_decay:
            precise = torch.promote_types(x.dtype, torch.float32)
            step = F.softplus(self.decay(x).to(precise) + self.decay_bias.to(precise))
            log_decay = -self.log_rate.to(precise).exp() * step
        if self.kind == "linear_attention":
            beta = torch.ones_like(k[..., 0])
        else:
            beta = self.write(x).sigmoid() * (2.0 if self.kind == "delta_negative" else 1.0)
        if valid is not None:
            beta = beta * valid[..., None]
            log_decay = None if log_decay is None else log_decay * valid[..., None]
        return Writes(q, k, v, log_decay, beta, tail)

    def forward(
        self,
        x: Float[Tensor, "batch token channel"],
        state: Float[Tensor, "batch gdn_head key value"],
        tail: Float[Tensor, "batch tail channels"] | None,
        valid: Bool[Tensor, "batch token"] | None,
        output: bool = True,
    ) -> Mixed:
        """Write the tokens into S and read them out.

        Parameters
        ----------
        x : Tensor
            ``[batch, token, channel]``.
        state : Tensor
            S carried in, ``[batch, gdn_head, key, value]``.
        tail : Tensor or None
            Convolution tail carried in; None means zeros.
        valid : Tensor or None
            bool ``[batch, token]``; None means no padding.
        output : bool
            False: only write.
        """
        w = self.writes(x, tail, valid)
        read, state = self._rule(w, w.q if output else None, state)
        if read is None:
            return Mixed(None, state, w.tail)
        gate = F.silu(self.gate(x)).unflatten(-1, (self.heads, self.values))
        read = self.norm(read.to(self.norm.weight.dtype)) * gate
        return Mixed(self.out(read.flatten(-2)), state, w.tail)

    def _rule(self, w: Writes, q: Tensor | None, state: Tensor) -> sleep_kernels.RuleResult:
        if self.kind in ("delta", "delta_negative"):
            return sleep_kernels.delta_rule(q, w.k, w.v, w.beta, state, backend=self.backend)
        rule = sleep_kernels.gated_outer_product
        if self.kind in ("gated_delta", "jet"):
            rule = sleep_kernels.gated_delta_rule
        return rule(q, w.k, w.v, w.log_decay, w.beta, state, backend=self.backend)


def _unit_norm(x: Tensor) -> Tensor:
    # rsqrt(sum + eps): smooth at zero, where padding puts keys
    return x * torch.rsqrt(x.square().sum(-1, keepdim=True) + 1e-6)


def _past_padding(
    x: Tensor, tail: Tensor | None, valid: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """Move the tail from before a sequence's left padding to right before its first token."""
    if tail is None or valid is None or not tail.shape[1]:
        return x, tail
    taps = tail.shape[1]
    pads = (~valid).cumprod(dim=1).sum(dim=1)[:, None]  # (batch, 1), on the left
    at = torch.arange(taps + x.shape[1], device=x.device) - pads  # (batch, tail and token)
    moved = (at >= 0) & (at < taps)
    joined = torch.cat((tail.to(x.dtype), x), dim=1)
    source = torch.where(moved, at, at + pads)[..., None].expand_as(joined)
    joined = joined.gather(1, source) * (at >= 0)[..., None]
    return joined[:, taps:], joined[:, :taps]
