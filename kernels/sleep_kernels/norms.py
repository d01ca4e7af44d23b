"""Unit norm, RMSNorm and gated RMSNorm along the last axis, backward by hand.

Autograd would keep and read back every intermediate value: on a CPU, norms and gates are a large
part of a small model's step.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from sleep_kernels.native import layers, library
from sleep_kernels.once import differentiable_once
from sleep_kernels.validation import check_shape

UNIT_EPS = 1e-6


def full_precision(device: torch.device) -> AbstractContextManager[Any]:
    """Return a context without autocast, which "meta" (where operations are counted) lacks."""
    if device.type == "meta":
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


def unit_norm(x: Tensor) -> Tensor:
    """Return ``x rsqrt(sum x^2 + 1e-6)``, ``[..., channel]``; smooth at zero, as padding is."""
    return cast(Tensor, _UnitNorm.apply(x))


def rms_norm(x: Tensor, weight: Tensor, eps: float, *, backend: str = "auto") -> Tensor:
    """Return ``x rsqrt(mean x^2 + eps) weight`` (Zhang and Sennrich arXiv 1910.07467).

    ``x [..., channel]``, ``weight [channel]``; `backend` as in `silu_gate`.

    Raises ValueError: the weight's shape does not fit, or the backend is unknown; RuntimeError:
    "native" is requested and the library is missing.
    """
    check_shape("weight", weight, tuple(x.shape[-1:]), "channel", x)
    if library.takes(backend, x, weight):
        return layers.rms_norm(x, weight, eps)
    by_hand = x.device.type == "cpu" and x.ndim > 1 and x.dtype == weight.dtype
    if not by_hand or x.dtype not in (torch.float32, torch.float64):
        # torch has a fused kernel on a GPU, and adds up low precision in float32
        return F.rms_norm(x, (x.shape[-1],), weight, eps)
    return cast(Tensor, _RMSNorm.apply(x, weight, eps))


def gated_rms_norm(x: Tensor, weight: Tensor, gate: Tensor, eps: float) -> Tensor:
    """Return ``rms_norm(x) * SiLU(gate)``, ``[..., channel]``, in PyTorch on every backend."""
    return rms_norm(x, weight, eps, backend="cpu") * F.silu(gate)


class _UnitNorm(torch.autograd.Function):
    """``y = r x`` with ``r = (sum x^2 + eps)^-1/2``; ``dx = r (dy - y sum(dy y))``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        # over the few channels of a head, quicker than vector_norm
        rate = (x * x).sum(-1, keepdim=True).add_(UNIT_EPS).rsqrt_()
        y = x * rate
        ctx.save_for_backward(y, rate)
        return y

    @staticmethod
    @differentiable_once
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (d_y,) = gradients
        y, rate = ctx.saved_tensors
        along = (d_y * y).sum(-1, keepdim=True)
        return torch.addcmul(d_y, y, along, value=-1).mul_(rate)


class _RMSNorm(torch.autograd.Function):
    """``y = r x w`` with ``r = (mean x^2 + eps)^-1/2``; x and r are kept.

    ``dx = r (dy w - r^2 x mean(dy w x))`` and ``dw = sum(r dy x)``.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)  # reads x once, keeps nothing
        rate = norm.square_().div_(x.shape[-1]).add_(eps).rsqrt_()
        ctx.save_for_backward(x, weight, rate)
        return (x * rate).mul_(weight)

    @staticmethod
    @differentiable_once
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        (d_y,) = gradients
        x, weight, rate = ctx.saved_tensors
        product = (d_y * x).flatten(0, -2)
        with full_precision(x.device):
            d_weight = None
            if ctx.needs_input_grad[1]:
                d_weight = torch.mv(product.mT, rate.flatten())
            along = torch.mv(product, weight).view_as(rate)
        along.mul_(rate * rate)
        d_x = (d_y * weight).addcmul_(x, along, value=-1 / x.shape[-1]).mul_(rate)
        return d_x, d_weight, None
