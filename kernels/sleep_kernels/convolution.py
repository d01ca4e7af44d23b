"""Causal depthwise convolutions over tokens, with an explicit tail carried in and out."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class ConvolutionResult(NamedTuple):
    """What a convolution returns.

    Attributes
    ----------
    output : Tensor
        ``[batch, token, channel]``.
    tail : Tensor
        The last ``taps - 1`` inputs, ``[batch, taps - 1, channel]``: the next call's tail.
    """

    output: Tensor
    tail: Tensor


def short_convolution(
    x: Float[Tensor, "batch token channel"],
    weight: Float[Tensor, "channel taps"],
    tail: Tensor | None = None,
) -> ConvolutionResult:
    """Causal depthwise convolution, ``y_t = sum_w weight[:, w] x_(t - taps + 1 + w)``.

    Parameters
    ----------
    x : Tensor
        ``[batch, token, channel]``.
    weight : Tensor
        ``[channel, taps]``; the last tap is the present token.
    tail : Tensor or None
        Inputs before the first token, ``[batch, taps - 1, channel]``; None means zeros.
    """
    taps = weight.shape[1]
    padded = _with_tail(x, tail, taps)
    tokens = x.shape[1]
    # shifted multiply-adds: the backward of a depthwise conv1d is slow on a CPU
    output = padded[:, :tokens] * weight[:, 0]
    for w in range(1, taps):
        output = torch.addcmul(output, padded[:, w : w + tokens], weight[:, w])
    return ConvolutionResult(output, padded[:, tokens:])


def dynamic_convolution(
    x: Float[Tensor, "batch token channel"],
    weight: Float[Tensor, "batch token channel taps"],
    tail: Tensor | None = None,
) -> ConvolutionResult:
    """Causal depthwise convolution whose taps differ per token (Jet layer).

    Parameters
    ----------
    x : Tensor
        ``[batch, token, channel]``.
    weight : Tensor
        ``[batch, token, channel, taps]``; the last tap is the present token.
    tail : Tensor or None
        Inputs before the first token, ``[batch, taps - 1, channel]``; None means zeros.
    """
    taps = weight.shape[-1]
    padded = _with_tail(x, tail, taps)
    neighbours = padded.unfold(1, taps, 1)  # (batch, token, channel, taps)
    return ConvolutionResult((neighbours * weight).sum(-1), padded[:, x.shape[1] :])


def _with_tail(x: Tensor, tail: Tensor | None, taps: int) -> Tensor:
    if tail is None:
        tail = x.new_zeros((x.shape[0], taps - 1, x.shape[2]))
    elif tail.shape != (x.shape[0], taps - 1, x.shape[2]):
        raise ValueError(
            f"tail has shape {tuple(tail.shape)}; expected [batch, taps - 1, channel] = "
            f"{(x.shape[0], taps - 1, x.shape[2])}"
        )
    return torch.cat((tail.to(x.dtype), x), dim=1)
