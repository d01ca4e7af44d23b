"""SwiGLU's gate and RoPE, with as few copies as a CPU allows.

Autograd would keep every intermediate value, and split and concatenate gradients; on a CPU these
copies cost as much as the arithmetic. A compiler fuses the plain forms better, so it gets those.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from sleep_kernels.native import layers, library
from sleep_kernels.once import differentiable_once
from sleep_kernels.validation import check_shape

Turn = Callable[[Tensor, Tensor, Tensor, int], Tensor]


def silu_gate(both: Tensor, *, backend: str = "auto") -> Tensor:
    """Return ``SiLU(gate) * up`` (SwiGLU, Shazeer arXiv 2002.05202), half as wide as its input.

    ``both [..., gate and up]``, side by side. `backend`: as of the rules; "auto" and "native" take
    the library for float32 and float64 on a CPU, else PyTorch.

    Raises ValueError: the last axis has an odd size, or the backend is unknown; RuntimeError:
    "native" is requested and the library is missing.
    """
    if not both.ndim or both.shape[-1] % 2:
        raise ValueError(
            f"both has shape {tuple(both.shape)}; expected [..., gate and up], an even number; "
            "put the two side by side"
        )
    if library.takes(backend, both):
        return layers.silu_gate(both)
    if both.device.type != "cpu" or torch.compiler.is_compiling():
        gate, up = both.chunk(2, dim=-1)
        return F.silu(gate) * up
    return cast(Tensor, _Gate.apply(both))


def rotate(x: Tensor, cos: Tensor, sin: Tensor, *, backend: str = "auto") -> Tensor:
    """Turn the channel pairs (i, i + half) by their angles (RoPE, Su et al. arXiv 2104.09864).

    ``x [batch, attn_head, token, channel]``; ``cos`` and ``sin [token, channel]``, both halves
    alike; `backend` as in `silu_gate`.

    Raises ValueError: shapes do not fit, the angles require gradients, or the backend is unknown;
    RuntimeError: "native" is requested and the library is missing.
    """
    if torch.compiler.is_compiling():  # a check of the angles would break the graph
        return _rotated(x, cos, sin)
    if x.ndim != 4 or x.shape[-1] % 2:
        raise ValueError(
            f"x has shape {tuple(x.shape)}; expected [batch, attn_head, token, channel] with an "
            "even number of channels; reshape it"
        )
    for name, angles in (("cos", cos), ("sin", sin)):
        check_shape(name, angles, tuple(x.shape[2:]), "token, channel", x)
        if angles.requires_grad:
            raise ValueError(f"{name} requires a gradient; expected a constant; detach it")
    native = library.takes(backend, x, cos, sin)
    if not native and x.device.type != "cpu":
        return _rotated(x, cos, sin)
    return cast(Tensor, _Rotate.apply(x, cos, sin, layers.turned if native else _turned))


def _rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    left, right = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-right, left), dim=-1) * sin


class _Gate(torch.autograd.Function):
    """``y = SiLU(g) u``; SiLU(g) is kept, which is cheaper than computing it again."""

    @staticmethod
    def forward(ctx: Any, both: Tensor) -> Tensor:
        gate, up = both.chunk(2, dim=-1)
        opened = F.silu(gate)
        ctx.save_for_backward(both, opened)
        return opened * up

    @staticmethod
    @differentiable_once
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
    """``turn(x, cos, sin, direction)`` is `_turned` or the library's."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor, turn: Turn) -> Tensor:
        ctx.save_for_backward(cos, sin)
        ctx.turn = turn
        return turn(x, cos, sin, 1)

    @staticmethod
    @differentiable_once
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        # a turn's transpose is the turn back
        return ctx.turn(gradients[0], *ctx.saved_tensors, -1), None, None, None


def _turned(x: Tensor, cos: Tensor, sin: Tensor, direction: int) -> Tensor:
    half = x.shape[-1] // 2
    y = x * cos
    y[..., :half].addcmul_(x[..., half:], sin[:, :half], value=-direction)
    y[..., half:].addcmul_(x[..., :half], sin[:, half:], value=direction)
    return y
