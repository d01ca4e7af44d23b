"""Joint projections, SwiGLU's gate and RoPE, with as few copies as a CPU allows.

Autograd would cut one gradient out of the other and glue them together again; on a CPU these
copies cost as much as the arithmetic. A compiler fuses the plain forms better, so it gets those.
"""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable


def linears(x: Tensor, groups: list[list[Tensor]]) -> list[Tensor]:
    """Return ``x W^T`` side by side for each group; on a CPU as one product, quicker there.

    A GPU gets a product for each weight: there the joined weights, which autograd keeps once a
    call, would cost more memory than the launches they save are worth.

    Parameters
    ----------
    x : Tensor
        ``[batch, token, channel]``.
    groups : list of list of Tensor
        Weights, each ``[out, channel]``; one result ``[batch, token, all out]`` for each group.
    """
    if x.device.type != "cpu":
        apart = ([F.linear(x, weight) for weight in group] for group in groups)
        return [ys[0] if len(ys) == 1 else torch.cat(ys, dim=-1) for ys in apart]
    joint = F.linear(x, torch.cat([weight for group in groups for weight in group]))
    if len(groups) == 1:  # a split in one would cost its backward a copy
        return [joint]
    return list(joint.split([sum(map(len, group)) for group in groups], dim=-1))


def gated(both: Tensor) -> Tensor:
    """Return ``SiLU(gate) * up`` for ``both [..., gate and up]``, half as wide."""
    if both.device.type != "cpu" or torch.compiler.is_compiling():
        gate, up = both.chunk(2, dim=-1)
        return F.silu(gate) * up
    return cast(Tensor, _Gated.apply(both))


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn the channel pairs (i, i + half) by their angles (RoPE, Su et al. arXiv 2104.09864).

    Parameters
    ----------
    x : Tensor
        ``[batch, attn_head, token, channel]``.
    cos, sin : Tensor
        ``[token, channel]``, both halves alike.
    """
    if x.device.type != "cpu" or torch.compiler.is_compiling():
        left, right = x.chunk(2, dim=-1)
        return x * cos + torch.cat((-right, left), dim=-1) * sin
    return cast(Tensor, _Rotate.apply(x, cos, sin))


class _Gated(torch.autograd.Function):
    """``y = SiLU(g) u``; SiLU(g) is kept, which is cheaper than to compute it again."""

    @staticmethod
    def forward(ctx: Any, both: Tensor) -> Tensor:
        gate, up = both.chunk(2, dim=-1)
        opened = F.silu(gate)
        ctx.save_for_backward(both, opened)
        return opened * up

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (upstream,) = gradients
        both, opened = ctx.saved_tensors
        gate, up = both.chunk(2, dim=-1)
        d_both = torch.empty_like(both)
        d_gate, d_up = d_both.chunk(2, dim=-1)
        torch.mul(upstream, opened, out=d_up)
        torch.ops.aten.silu_backward.grad_input(upstream * up, gate, grad_input=d_gate)
        return d_both


class _Rotate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        return _turn(x, cos, sin, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (upstream,) = gradients
        cos, sin = ctx.saved_tensors
        return _turn(upstream, cos, sin, -1), None, None  # a turn's transpose is the turn back


def _turn(x: Tensor, cos: Tensor, sin: Tensor, direction: int) -> Tensor:
    half = x.shape[-1] // 2
    y = x * cos
    y[..., :half].addcmul_(x[..., half:], sin[:, :half], value=-direction)
    y[..., half:].addcmul_(x[..., :half], sin[:, half:], value=direction)
    return y
