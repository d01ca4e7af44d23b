"""The hybrid of attention and Gated DeltaNet as one would first write it: plain autograd PyTorch.

The peer of `benchmarks/training_step.py`: the same parameters under the same names, `nn.Conv1d`
for the short convolution, the chunked gated delta rule in tensor operations that autograd follows,
and Algorithm 1 as two nested loops. No hand-written backward, nothing left out.
"""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.config import ModelConfig
from workbench.model import HybridModel


@torch.compiler.assume_constant_result
def angles(tokens: int, dim: int, base: float) -> tuple[Tensor, Tensor]:
    turns = torch.arange(tokens)[:, None] * base ** (-torch.arange(0, dim, 2) / dim)
    turns = torch.cat((turns, turns), dim=-1)
    return turns.cos(), turns.sin()


rotation = cache(angles)


@cache
def ahead(tokens: int) -> Tensor:
    return torch.ones(tokens, tokens, dtype=torch.bool).triu(1)


class PlainAttention(nn.Module):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.heads, self.base = config.attention_heads, config.rope_base
        width = config.width
        self.query, self.key, self.value, self.out = (
            nn.Linear(width, width, bias=False) for _ in range(4)
        )

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, width = x.shape
        q, k, v = (
            layer(x).view(batch, tokens, self.heads, -1).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        cos, sin = rotation(tokens, width // self.heads, self.base)

        def turn(y: Tensor) -> Tensor:
            left, right = y.chunk(2, dim=-1)
            return y * cos + torch.cat((-right, left), dim=-1) * sin

        y = F.scaled_dot_product_attention(turn(q), turn(k), v, is_causal=True)
        return self.out(y.transpose(1, 2).reshape(batch, tokens, width))


class PlainGatedDelta(nn.Module):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.heads, self.keys, self.values = config.gdn_heads, config.key_dim, config.value_dim
        keys, values, width = self.heads * self.keys, self.heads * self.values, config.width
        self.query, self.key = (nn.Linear(width, keys, bias=False) for _ in range(2))
        self.value, self.gate = (nn.Linear(width, values, bias=False) for _ in range(2))
        self.out = nn.Linear(values, width, bias=False)
        self.norm = nn.RMSNorm(self.values, eps=config.norm_eps)
        self.decay, self.write = (nn.Linear(width, self.heads, bias=False) for _ in range(2))
        self.log_rate, self.decay_bias = (nn.Parameter(torch.empty(self.heads)) for _ in range(2))
        channels = 2 * keys + values
        self.conv = nn.Conv1d(
            channels,
            channels,
            config.conv_width,
            groups=channels,
            padding=config.conv_width - 1,
            bias=False,
        )

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        batch, tokens, _ = x.shape
        qkv = torch.cat((self.query(x), self.key(x), self.value(x)), dim=-1)
        qkv = F.silu(self.conv(qkv.transpose(1, 2))[..., :tokens].transpose(1, 2))
        sizes = (self.heads * self.keys, self.heads * self.keys, self.heads * self.values)
        q, k, v = (y.unflatten(-1, (self.heads, -1)).transpose(1, 2) for y in qkv.split(sizes, -1))
        q = q * torch.rsqrt(q.square().sum(-1, keepdim=True) + 1e-6)
        k = k * torch.rsqrt(k.square().sum(-1, keepdim=True) + 1e-6)
        step = F.softplus(self.decay(x) + self.decay_bias)
        log_decay = (-self.log_rate.exp() * step).transpose(1, 2)
        beta = self.write(x).sigmoid().transpose(1, 2)[..., None]
        # the chunked rule, one chunk a window
        c = log_decay.cumsum(-1)
        decay = (c[..., :, None] - c[..., None, :]).masked_fill(ahead(tokens), -torch.inf).exp()
        e = c.exp()[..., None]
        system = beta * ((k @ k.mT) * decay)
        right = beta * (v - e * (k @ state))
        written = torch.linalg.solve_triangular(system, right, upper=False, unitriangular=True)
        read = self.keys**-0.5 * (e * (q @ state) + ((q @ k.mT) * decay) @ written)
        state = e[..., -1:, :] * state + (decay[..., -1, :, None] * k).mT @ written
        gate = F.silu(self.gate(x)).unflatten(-1, (self.heads, -1))
        return self.out((self.norm(read.transpose(1, 2)) * gate).flatten(-2)), state


class PlainBlock(nn.Module):
    def __init__(self, config: ModelConfig, kind: str) -> None:
        super().__init__()
        width, hidden = config.width, config.mlp_width
        self.mixer_norm = nn.RMSNorm(width, eps=config.norm_eps)
        attends = kind == "attention"
        self.mixer = PlainAttention(config) if attends else PlainGatedDelta(config)
        self.mlp_norm = nn.RMSNorm(width, eps=config.norm_eps)
        self.mlp = nn.ModuleDict(
            {
                "gate": nn.Linear(width, hidden, bias=False),
                "up": nn.Linear(width, hidden, bias=False),
                "down": nn.Linear(hidden, width, bias=False),
            }
        )

    def forward(self, hidden: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor | None]:
        x = self.mixer_norm(hidden)
        if state is None:
            mixed = self.mixer(x)
        else:
            mixed, state = self.mixer(x, state)
        hidden = hidden + mixed
        y = self.mlp_norm(hidden)
        return hidden + self.mlp["down"](F.silu(self.mlp["gate"](y)) * self.mlp["up"](y)), state


class PlainHybrid(nn.Module):
    """Attention and Gated DeltaNet blocks; weights copied from a `HybridModel`."""

    def __init__(self, source: HybridModel) -> None:
        super().__init__()
        self.config = config = source.config
        self.embedding = nn.Embedding(config.vocabulary, config.width)
        self.stack = nn.ModuleList(PlainBlock(config, kind) for kind in config.layers)
        self.final_norm = nn.RMSNorm(config.width, eps=config.norm_eps)
        self.head = nn.Linear(config.width, config.vocabulary, bias=False)
        weights = {
            name.replace("mixer.conv", "mixer.conv.weight"): (
                tensor[:, None] if name.endswith("mixer.conv") else tensor
            )
            for name, tensor in source.state_dict().items()
        }
        self.load_state_dict(weights)

    def blocks(
        self, hidden: Tensor, states: list[Tensor | None]
    ) -> tuple[Tensor, list[Tensor | None]]:
        after = []
        for block, state in zip(self.stack, states, strict=True):
            hidden, state = block(hidden, state)
            after.append(state)
        return hidden, after

    def loss(self, tokens: Tensor, loss_mask: Tensor, window: int, passes: int) -> Tensor:
        """Return the mean cross-entropy per predicted token, as Algorithm 1 has it."""
        config = self.config
        shape = (len(tokens), config.gdn_heads, config.key_dim, config.value_dim)
        states = [None if kind == "attention" else torch.zeros(shape) for kind in config.layers]
        total, count = torch.zeros(()), 0
        for start in range(0, tokens.shape[1], window):
            part = slice(start, start + window)
            hidden, mask = self.embedding(tokens[:, part]), loss_mask[:, part][:, 1:]
            if not loss_mask[:, part].any():
                for _ in range(passes):
                    hidden, states = self.blocks(hidden, states)
                continue
            hidden, states = self.blocks(hidden, states)
            logits = self.head(self.final_norm(hidden))[:, :-1][mask]
            target = tokens[:, part][:, 1:][mask]
            total = total + F.cross_entropy(logits, target, reduction="sum")
            count += len(target)
        return total / count
