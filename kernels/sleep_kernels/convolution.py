"""Causal depthwise convolutions over tokens, with an explicit tail carried in and out.

Both are shifted multiply-adds with a backward written by hand: a depthwise ``conv1d`` is one of
the largest costs of a small model's step on a CPU, and autograd through slices fills and adds a
whole tensor for every tap.
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from sleep_kernels.native import layers, library
from sleep_kernels.once import differentiable_once
from sleep_kernels.validation import check_shape


class ConvolutionResult(NamedTuple):
    """What a convolution returns."""

    output: Tensor
    """``[batch, token, channel]``."""
    tail: Tensor
    """The last ``taps - 1`` inputs, ``[batch, taps - 1, channel]``: the next call's tail."""


def short_convolution(
    x: Float[Tensor, "batch token channel"],
    weight: Float[Tensor, "channel taps"],
    tail: Tensor | None = None,
    *,
    activate: bool = False,
    backend: str = "auto",
) -> ConvolutionResult:
    """Causal depthwise convolution, ``y_t = sum_w weight[:, w] x_(t - taps + 1 + w)``.

    The last tap is the present token. `tail`: the inputs before the first, ``[batch, taps - 1,
    channel]``; None means zeros. `activate`: SiLU after it. `backend`: as of the rules; "auto" and
    "native" take the library for float32 and float64 on a CPU and up to 8 taps, else PyTorch.

    Raises ValueError: shapes do not fit, or the backend is unknown; RuntimeError: "native" is
    requested and the library is missing.
    """
    return _convolved(True, x, weight, tail, activate, backend)


def dynamic_convolution(
    x: Float[Tensor, "batch token channel"],
    weight: Float[Tensor, "batch token channel taps"],
    tail: Tensor | None = None,
    *,
    activate: bool = False,
    backend: str = "auto",
) -> ConvolutionResult:
    """Causal depthwise convolution whose taps differ per token (Jet layer).

    The rest is as in `short_convolution`, errors included.
    """
    return _convolved(False, x, weight, tail, activate, backend)


def _convolved(
    shared: bool, x: Tensor, weight: Tensor, tail: Tensor | None, activate: bool, backend: str
) -> ConvolutionResult:
    """Convolve with taps that all tokens share, or with taps that differ per token."""
    taps = weight.shape[-1]
    if x.ndim != 3 or not taps:
        raise ValueError(
            f"x has shape {tuple(x.shape)} and weight {taps} taps; expected [batch, token, channel]"
            " and at least one tap; reshape them"
        )
    if shared:
        check_shape("weight", weight, (x.shape[2], taps), "channel, taps", x)
    else:
        check_shape("weight", weight, (*x.shape, taps), "batch, token, channel, taps", x)
    if tail is not None:
        expected = (x.shape[0], taps - 1, x.shape[2])
        check_shape("tail", tail, expected, "batch, taps - 1, channel", x)
    if taps <= library.MOST_TAPS and library.takes(backend, x, weight):
        output = layers.convolve(x, weight, tail, activate)
    else:
        output = cast(Tensor, _Convolve.apply(x, weight, tail))
        output = F.silu(output) if activate else output
    return ConvolutionResult(output, _next_tail(x, tail, taps))


class _Convolve(torch.autograd.Function):
    """Taps shared by all tokens, or ``[batch, token, channel, taps]`` that differ per token.

    Sums are in the wider precision, the output in x's: a bfloat16 projection stays bfloat16.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, tail: Tensor | None) -> Tensor:
        tokens, padded = x.shape[1], _with_tail(x, tail, weight.shape[-1])
        ctx.save_for_backward(padded, weight)
        ctx.has_tail = tail is not None
        inputs, columns = _widened(padded, weight)
        output = inputs[:, :tokens] * columns[0]
        for w, column in enumerate(columns[1:], 1):
            output.addcmul_(inputs[:, w : w + tokens], column)
        return output.to(x.dtype)

    @staticmethod
    @differentiable_once
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        padded, weight = ctx.saved_tensors
        inputs, columns = _widened(padded, weight)
        upstream = gradients[0].to(inputs.dtype)
        tokens, earlier = upstream.shape[1], len(columns) - 1
        products = (upstream * inputs[:, w : w + tokens] for w in range(len(columns)))
        before = earlier if ctx.has_tail else 0
        if weight.ndim == 2:
            d_weight = torch.stack([x.flatten(0, 1).sum(0) for x in products]).t()
            # gathered, not scattered: token s is read by the outputs s .. s + taps - 1
            spread = F.pad(upstream, (0, 0, before, earlier))
            length = before + tokens
            d_padded = spread[:, :length] * columns[earlier]
            for w in range(1, len(columns)):
                d_padded.addcmul_(spread[:, w : w + length], columns[earlier - w])
        else:
            d_weight = torch.stack(list(products), dim=-1)
            d_padded = torch.zeros_like(inputs)
            for w, column in enumerate(columns):
                d_padded[:, w : w + tokens].addcmul_(upstream, column)
            d_padded = d_padded[:, earlier - before :]
        d_padded = d_padded.to(padded.dtype)
        d_tail = d_padded[:, :before] if ctx.has_tail else None
        return d_padded[:, before:], d_weight.to(weight.dtype), d_tail


def _widened(padded: Tensor, weight: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Return inputs and the weights of each tap in the wider precision of the two."""
    wide = torch.promote_types(padded.dtype, weight.dtype)
    if weight.ndim == 2:
        return padded.to(wide), weight.t().contiguous().to(wide).unbind(0)
    return padded.to(wide), weight.to(wide).unbind(-1)


def _with_tail(x: Tensor, tail: Tensor | None, taps: int) -> Tensor:
    if tail is None:
        tail = x.new_zeros((x.shape[0], taps - 1, x.shape[2]))
    return torch.cat((tail.to(x.dtype), x), dim=1)


def _next_tail(x: Tensor, tail: Tensor | None, taps: int) -> Tensor:
    """Return the last ``taps - 1`` inputs; differentiable, for tails that are carried on."""
    short = taps - 1 - x.shape[1]
    if short <= 0:
        return x[:, x.shape[1] - taps + 1 :]
    return _with_tail(x, tail, taps)[:, x.shape[1] :]
