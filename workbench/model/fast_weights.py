"""Fast-weight mixers: projections, short convolution, gates and output norm around a rule.

Every mixer reads its state S ``[batch, gdn_head, key, value]`` and convolution tail, and returns
the new ones. `workbench.mixers` says which options of the operator each mixer uses.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

import sleep_kernels
from workbench.config import ModelConfig
from workbench.mixers import mixers
from workbench.model.projections import linears

SLOW = 1e-3
"""Step size of the decay that keeps S for about a thousand tokens."""


class Mixed(NamedTuple):
    """What a mixer returns."""

    output: Tensor | None
    """``[batch, token, channel]``; None when only the state was asked for."""
    state: Tensor
    """S after the tokens, ``[batch, gdn_head, key, value]``."""
    tail: Tensor
    """Convolution tail, ``[batch, taps - 1, channel]``."""


class Writes(NamedTuple):
    """What each token writes, and how it reads: the rule's own inputs."""

    q: Tensor
    k: Tensor
    """``[batch, token, gdn_head, key]``, unit norm."""
    v: Tensor
    """``[batch, token, gdn_head, value]``."""
    log_decay: Tensor | None
    """``[batch, token, gdn_head]``; None where the rule has no decay."""
    beta: Tensor
    """``[batch, token, gdn_head]``."""
    corrects: bool
    """Whether the rule subtracts what the memory returns for the key (a delta rule)."""


class FastWeights(nn.Module):
    """One fast-weight layer; `kind` names its entry in `workbench.mixers`."""

    def __init__(self, config: ModelConfig, kind: str) -> None:
        super().__init__()
        self.mixer = mixers()[kind]
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
        if self.mixer.decays:
            self.decay = nn.Linear(config.width, self.heads, bias=False)
            self.log_rate = nn.Parameter(torch.empty(self.heads))
            self.decay_bias = nn.Parameter(torch.empty(self.heads))
        if self.mixer.strength is not None:
            self.write = nn.Linear(config.width, self.heads, bias=False)
        if self.mixer.convolution == "dynamic":
            hidden = max(values // 8, 1)
            self.taps_in = nn.Linear(config.width, hidden, bias=False)
            self.taps_out = nn.Linear(hidden, values * config.conv_width)
        else:
            self.conv = nn.Parameter(torch.empty(2 * keys + values, config.conv_width))
        self.conv_width = config.conv_width
        self.start = config.fast_weights_start

    def initialise(self, generator: torch.Generator) -> None:
        """Set the parameters that are not plain projections: decay rates and taps.

        Mamba's step sizes, 0.001 to 0.1, with A = 1 rather than its 1 to 16: a sleep reads the
        window N times, and at A = 16 what the first pass wrote is gone before the last.
        """
        if self.mixer.decays:
            nn.init.zeros_(self.log_rate)
            with torch.no_grad():
                uniform = torch.rand(self.heads, generator=generator)
                step = (math.log(1e-3) + uniform * math.log(1e-1 / 1e-3)).exp()
                self.decay_bias.copy_(step + torch.log(-torch.expm1(-step)))  # softplus^-1
        bound = self.conv_width**-0.5
        if self.mixer.convolution == "dynamic":
            # neither generator matrix starts at zero: a product of two zeros never learns
            nn.init.normal_(self.taps_out.weight, std=0.02, generator=generator)
            nn.init.uniform_(self.taps_out.bias, -bound, bound, generator=generator)
        else:
            nn.init.uniform_(self.conv, -bound, bound, generator=generator)
        if self.start == "induction":
            self._copy_from_the_start()

    @torch.no_grad()
    def _copy_from_the_start(self) -> None:
        """Make a key the query of the token before and a value its own token.

        A query then finds what followed the same tokens earlier, as an induction head does.
        """
        keys = self.heads * self.keys
        query, key, value = self.conv.split((keys, keys, self.heads * self.values))
        self.key.weight.copy_(self.query.weight)
        query[:, 0] = 0  # a key reaches no further back
        key[:, :-1] = query[:, 1:]
        key[:, -1] = 0
        value[:, :-1], value[:, -1] = 0, 1
        if self.mixer.decays:
            self.decay_bias.fill_(math.log(math.expm1(SLOW)))  # softplus^-1

    def writes(
        self,
        x: Float[Tensor, "batch token channel"],
        tail: Float[Tensor, "batch tail channels"] | None,
        valid: Bool[Tensor, "batch token"] | None,
    ) -> Writes:
        """Compute what each token writes from ``x [batch, token, channel]``.

        Padding (`valid` False) neither enters the convolution, nor writes, nor decays.
        """
        q, k, v, log_decay, beta, _ = self._projected(x, tail, valid)
        options = sleep_kernels.Options(**self._options(valid))  # type: ignore[arg-type]
        call = sleep_kernels.Call(q, k, v, log_decay, beta, None, self.mixer.corrects, options)
        bare = sleep_kernels.prepare(call, torch.promote_types(x.dtype, torch.float32))
        assert bare.q is not None and bare.beta is not None
        return Writes(bare.q, bare.k, bare.v, bare.log_decay, bare.beta, self.mixer.corrects)

    def forward(
        self,
        x: Float[Tensor, "batch token channel"],
        state: Float[Tensor, "batch gdn_head key value"],
        tail: Float[Tensor, "batch tail channels"] | None,
        valid: Bool[Tensor, "batch token"] | None,
        output: bool = True,
    ) -> Mixed:
        """Write the tokens into S and read them out.

        `x`: ``[batch, token, channel]``. `state`: S carried in, ``[batch, gdn_head, key, value]``.
        `tail`: convolution tail carried in; None means zeros. `valid`: bool ``[batch, token]``;
        None means no padding. `output`: False: only write.
        """
        q, k, v, log_decay, beta, tail = self._projected(x, tail, valid)
        rule = sleep_kernels.gated_delta_rule
        if not self.mixer.corrects:
            rule = sleep_kernels.gated_outer_product
        norm = None
        if output:
            gate = self.gate(x).unflatten(-1, (self.heads, self.values))
            norm = sleep_kernels.OutputNorm(self.norm.weight, gate, self.eps)
        result = rule(
            q if output else None, k, v, log_decay, beta, state, output_norm=norm,
            backend=self.backend, **self._options(valid),  # type: ignore[arg-type]
        )  # fmt: skip
        if result.output is None:
            return Mixed(None, result.state, tail)
        return Mixed(self.out(result.output.flatten(-2)), result.state, tail)

    def _options(self, valid: Tensor | None) -> dict[str, object]:
        """Return the operator's options: unit norms, gates and padding are left to it."""
        decays, strength = self.mixer.decays, self.mixer.strength
        gates = None
        if decays or strength is not None:
            rate, bias = (self.log_rate, self.decay_bias) if decays else (None, None)
            gates = sleep_kernels.Gates(rate, bias, 1.0 if strength is None else strength)
        return {"normalise": True, "gates": gates, "valid": valid}

    def _projected(
        self, x: Tensor, tail: Tensor | None, valid: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None, Tensor | None, Tensor]:
        """Project, convolve and activate: what the operator is given, and the new tail.

        As in `Writes`, but before unit norms and gates; log decay and beta as projections.
        """
        keys, values = self.heads * self.keys, self.heads * self.values
        joint = [self.query.weight, self.key.weight, self.value.weight]
        alone = [[self.decay.weight]] if self.mixer.decays else []
        alone += [] if self.mixer.strength is None else [[self.write.weight]]
        qkv, *gates = linears(x, [joint, *alone])  # each (batch, token, .)
        if valid is not None:
            qkv = qkv * valid[..., None]
        if self.mixer.convolution == "dynamic":
            qk, v = qkv.split((2 * keys, values), dim=-1)
            taps = self.taps_out(F.silu(self.taps_in(x))).unflatten(-1, (-1, self.conv_width))
            v, tail = _past_padding(v, tail, valid)
            v, tail = sleep_kernels.dynamic_convolution(
                v, taps, tail, activate=True, backend=self.backend
            )
            q, k = F.silu(qk).split(keys, dim=-1)
        else:
            qkv, tail = _past_padding(qkv, tail, valid)
            qkv, tail = sleep_kernels.short_convolution(
                qkv, self.conv, tail, activate=True, backend=self.backend
            )
            q, k, v = qkv.split((keys, keys, values), dim=-1)
        log_decay = gates.pop(0) if self.mixer.decays else None
        return (
            q.unflatten(-1, (self.heads, self.keys)),
            k.unflatten(-1, (self.heads, self.keys)),
            v.unflatten(-1, (self.heads, self.values)),
            log_decay,
            gates.pop(0) if gates else None,
            tail,
        )


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
