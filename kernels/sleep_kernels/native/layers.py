"""Convolutions, RMSNorm, SwiGLU's gate and RoPE through the library; float32 and float64.

Each takes the same arguments as its PyTorch form in `convolution`, `norms` or `pointwise`.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from sleep_kernels.native import library, structures
from sleep_kernels.once import differentiable_once

GROUPS = 16
"""Parts in which sums over batch and token are added up, whatever the number of threads."""


def _call(
    function: str, structure: type[ctypes.Structure], dtype: torch.dtype, **values: Any
) -> None:
    """Call a function; tensors are passed as pointers, and None as null."""
    given = {
        name: value.data_ptr() if isinstance(value, Tensor) else value
        for name, value in values.items()
        if value is not None
    }
    library.call(function, structure(**given), dtype)


def _whole(x: Tensor) -> Tensor:
    """Return a contiguous tensor without a negative bit."""
    return x.resolve_neg().contiguous()


def _strided(x: Tensor) -> Tensor:
    """Return a tensor without a negative bit, whose last axis is contiguous."""
    x = x.resolve_neg()
    return x if x.stride(-1) == 1 else x.contiguous()


class _Convolve(torch.autograd.Function):
    """``weight [channel, taps]``, shared by all tokens, or ``[batch, token, channel, taps]``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, tail: Tensor | None, activate: bool) -> Tensor:
        x = _strided(x)
        tail = None if tail is None else _whole(tail.to(x.dtype))
        weight = _whole(weight.t() if weight.ndim == 2 else weight)  # shared: (taps, channel)
        ctx.save_for_backward(x, weight, tail)
        ctx.activate = activate
        y = x.new_empty(x.shape)
        _Convolve.run("forward", x, weight, tail, activate, y=y)
        return y

    @staticmethod
    def run(
        way: str, x: Tensor, weight: Tensor, tail: Tensor | None, activate: bool, **more: Tensor
    ) -> None:
        batch, tokens, channels = x.shape
        shared = weight.ndim == 2
        _call(
            f"short_{way}" if shared else f"dynamic_{way}", structures.Convolution, x.dtype,
            batch=batch, tokens=tokens, channels=channels, taps=weight.shape[0 if shared else -1],
            activate=activate, groups=_groups(batch), threads=library.threads_for(8 * x.numel()),
            x_batch=x.stride(0), x_token=x.stride(1), x=x, tail=tail, weight=weight, **more,
        )  # fmt: skip

    @staticmethod
    @differentiable_once
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, tail = ctx.saved_tensors
        shared = weight.ndim == 2
        d_x = x.new_empty(x.shape)
        d_tail = None if tail is None else x.new_empty(tail.shape)
        d_weight = x.new_empty((_groups(len(x)), *weight.shape) if shared else weight.shape)
        more = {"d_y": _whole(gradients[0]), "d_x": d_x, "d_tail": d_tail, "d_weight": d_weight}
        _Convolve.run("backward", x, weight, tail, ctx.activate, **more)
        return d_x, d_weight.sum(0).t() if shared else d_weight, d_tail, None


def _groups(count: int) -> int:
    return min(GROUPS, max(count, 1))


def _run_rows(function: str, x: Tensor, channels: int, work: int, **more: Any) -> None:
    """Call a function of rows of channels; `work`: what a number costs."""
    rows = x.numel() // max(x.shape[-1], 1)
    _call(
        function, structures.Rows, x.dtype, rows=rows, channels=channels, groups=_groups(rows),
        threads=library.threads_for(work * x.numel()), x=x, **more,
    )  # fmt: skip


class _RMSNorm(torch.autograd.Function):
    """``x rsqrt(mean x^2 + eps) weight``, ``[..., channel]``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        x, weight = _whole(x), _whole(weight)
        ctx.save_for_backward(x, weight)
        ctx.eps = eps
        y = torch.empty_like(x)
        _run_rows("rms_forward", x, x.shape[-1], 1, weight=weight, eps=eps, y=y)
        return y

    @staticmethod
    @differentiable_once
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        x, weight = ctx.saved_tensors
        groups = _groups(x.numel() // max(x.shape[-1], 1))
        d_x, d_weight = torch.empty_like(x), x.new_empty((groups, *weight.shape))
        _run_rows(
            "rms_backward", x, x.shape[-1], 2, weight=weight, eps=ctx.eps,
            d_y=_whole(gradients[0]), d_x=d_x, d_weight=d_weight,
        )  # fmt: skip
        return d_x, d_weight.sum(0), None


class _Gate(torch.autograd.Function):
    """``SiLU(gate) * up`` for ``both [..., gate and up]``, half as wide."""

    @staticmethod
    def forward(ctx: Any, both: Tensor) -> Tensor:
        both = _whole(both)
        ctx.save_for_backward(both)
        y = both.new_empty((*both.shape[:-1], both.shape[-1] // 2))
        _run_rows("gate_forward", both, y.shape[-1], 8, y=y)
        return y

    @staticmethod
    @differentiable_once
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (both,) = ctx.saved_tensors
        d_y, d_both = _whole(gradients[0]), torch.empty_like(both)
        _run_rows("gate_backward", both, both.shape[-1] // 2, 8, d_y=d_y, d_x=d_both)
        return d_both


def turned(x: Tensor, cos: Tensor, sin: Tensor, direction: int) -> Tensor:
    """Turn the channel pairs of ``x [batch, attn_head, token, channel]``; -1 turns them back."""
    x = _strided(x)
    y = torch.empty_like(x)  # laid out as x is, where x is dense
    if y.stride(-1) != 1:
        y = x.new_empty(x.shape)
    batch, heads, tokens, channels = x.shape
    strides = {
        f"{name}_{axis}": tensor.stride(i)
        for name, tensor in (("x", x), ("y", y))
        for i, axis in enumerate(("batch", "head", "token"))
    }
    _call(
        "turn", structures.Turn, x.dtype, batch=batch, heads=heads, tokens=tokens,
        channels=channels, direction=direction, threads=library.threads_for(2 * x.numel()),
        x=x, cos=_whole(cos), sin=_whole(sin), y=y, **strides,
    )  # fmt: skip
    return y


convolve: Callable[..., Tensor] = _Convolve.apply
"""``convolve(x, weight, tail, activate)``; see `_Convolve`."""
rms_norm: Callable[..., Tensor] = _RMSNorm.apply
silu_gate: Callable[..., Tensor] = _Gate.apply
