"""Convolutions, RMSNorm, SwiGLU's gate and RoPE through the library; float32 and float64.

Each takes the same arguments as its PyTorch form in `convolution`, `norms` or `pointwise`.
"""

from __future__ import annotations

import ctypes
from typing import Any, cast

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


def convolve(x: Tensor, weight: Tensor, tail: Tensor | None, activate: bool) -> Tensor:
    """Return the convolution of ``x [batch, token, channel]``, SiLU after it if `activate`.

    `weight` is ``[channel, taps]`` or, of a dynamic one, ``[batch, token, channel, taps]``; the
    tail ``[batch, taps - 1, channel]``.
    """
    return cast(Tensor, _Convolve.apply(x, weight, tail, activate))


class _Convolve(torch.autograd.Function):
    """``weight [channel, taps]``, shared by all tokens, or ``[batch, token, channel, taps]``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, tail: Tensor | None, activate: bool) -> Tensor:
        x = x.resolve_neg()
        if x.stride(-1) != 1:
            x = x.contiguous()
        tail = None if tail is None else _whole(tail.to(x.dtype))
        shared = weight.ndim == 2
        weight = _whole(weight.t() if shared else weight)  # shared: (taps, channel)
        ctx.save_for_backward(x, weight, tail)
        ctx.activate = activate
        y = x.new_empty(x.shape)
        name = "short_forward" if shared else "dynamic_forward"
        _call(
            name, structures.Convolution, x.dtype, y=y, **_Convolve.given(x, weight, tail, activate)
        )
        return y

    @staticmethod
    def given(x: Tensor, weight: Tensor, tail: Tensor | None, activate: bool) -> dict[str, Any]:
        batch, tokens, channels = x.shape
        taps = weight.shape[0 if weight.ndim == 2 else -1]
        return {
            "batch": batch, "tokens": tokens, "channels": channels, "taps": taps,
            "activate": activate, "groups": min(GROUPS, max(batch, 1)),
            "threads": library.threads_for(8 * x.numel()),
            "x_batch": x.stride(0), "x_token": x.stride(1),
            "x": x, "tail": tail, "weight": weight,
        }  # fmt: skip

    @staticmethod
    @differentiable_once
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, tail = ctx.saved_tensors
        given = _Convolve.given(x, weight, tail, ctx.activate)
        shared = weight.ndim == 2
        d_x = x.new_empty(x.shape)
        d_tail = None if tail is None else x.new_empty(tail.shape)
        d_weight = x.new_empty((given["groups"], *weight.shape) if shared else weight.shape)
        _call(
            "short_backward" if shared else "dynamic_backward", structures.Convolution, x.dtype,
            d_y=_whole(gradients[0]), d_x=d_x, d_tail=d_tail, d_weight=d_weight, **given,
        )  # fmt: skip
        return d_x, d_weight.sum(0).t() if shared else d_weight, d_tail, None


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Return ``x rsqrt(mean x^2 + eps) weight``, ``[..., channel]``."""
    return cast(Tensor, _RMSNorm.apply(x, weight, eps))


def silu_gate(both: Tensor) -> Tensor:
    """Return ``SiLU(gate) * up`` for ``both [..., gate and up]``, half as wide."""
    return cast(Tensor, _Gate.apply(both))


def _rows(x: Tensor, channels: int, work: int) -> dict[str, Any]:
    rows = x.numel() // max(x.shape[-1], 1)
    return {
        "rows": rows, "channels": channels, "groups": min(GROUPS, max(rows, 1)),
        "threads": library.threads_for(work * x.numel()), "x": x,
    }  # fmt: skip


class _RMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        x, weight = _whole(x), _whole(weight)
        ctx.save_for_backward(x, weight)
        ctx.eps = eps
        y = torch.empty_like(x)
        given = _rows(x, x.shape[-1], 1)
        _call("rms_forward", structures.Rows, x.dtype, weight=weight, eps=eps, y=y, **given)
        return y

    @staticmethod
    @differentiable_once
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        x, weight = ctx.saved_tensors
        given = _rows(x, x.shape[-1], 2)
        d_x, d_weight = torch.empty_like(x), x.new_empty((given["groups"], *weight.shape))
        d_y = _whole(gradients[0])
        _call(
            "rms_backward", structures.Rows, x.dtype, weight=weight, eps=ctx.eps, d_y=d_y, d_x=d_x,
            d_weight=d_weight, **given,
        )  # fmt: skip
        return d_x, d_weight.sum(0), None


class _Gate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, both: Tensor) -> Tensor:
        both = _whole(both)
        ctx.save_for_backward(both)
        channels = both.shape[-1] // 2
        y = both.new_empty((*both.shape[:-1], channels))
        _call("gate_forward", structures.Rows, both.dtype, y=y, **_rows(both, channels, 8))
        return y

    @staticmethod
    @differentiable_once
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (both,) = ctx.saved_tensors
        d_both = torch.empty_like(both)
        given = _rows(both, both.shape[-1] // 2, 8)
        d_y = _whole(gradients[0])
        _call("gate_backward", structures.Rows, both.dtype, d_y=d_y, d_x=d_both, **given)
        return d_both


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn the channel pairs of ``x [batch, attn_head, token, channel]`` by their angles."""
    return cast(Tensor, _Rotate.apply(x, cos, sin))


class _Rotate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        cos, sin = _whole(cos), _whole(sin)
        ctx.save_for_backward(cos, sin)
        return _turned(x, cos, sin, 1)

    @staticmethod
    @differentiable_once
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        cos, sin = ctx.saved_tensors
        return _turned(gradients[0], cos, sin, -1), None, None


def _turned(x: Tensor, cos: Tensor, sin: Tensor, direction: int) -> Tensor:
    x = x.resolve_neg()
    if x.stride(-1) != 1:
        x = x.contiguous()
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
        x=x, cos=cos, sin=sin, y=y, **strides,
    )  # fmt: skip
    return y
