"""What an operator call is made of, and what it returns: the same for every backend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

BACKENDS: tuple[str, ...] = ("auto", "reference", "cpu", "native", "triton", "fla")
"""Names that a call may give; `sleep_kernels.backends` has a class for each but "auto"."""

CHUNK = 32
"""Tokens of a chunk: how far apart the chunk states of a call are, and what the kernels work on."""


class Gates(NamedTuple):
    """Gate parameters: with them, `log_decay` and `beta` are given as projections of the input.

    ``log a = -exp(log_rate) softplus(log_decay + decay_bias)``, ``b = strength sigmoid(beta)``
    (Yang et al. arXiv 2412.06464, after Mamba-2).
    """

    log_rate: Tensor | None
    decay_bias: Tensor | None
    """``[gdn_head]``; None for a rule without decay."""
    strength: float = 1.0
    """Largest b: 1, or 2 to let the transition have negative eigenvalues."""


class OutputNorm(NamedTuple):
    """Gated RMSNorm of the output: ``RMSNorm(o) * weight * SiLU(gate)``."""

    weight: Tensor
    """``[value]``, shared by the heads."""
    gate: Tensor
    """``[batch, token, gdn_head, value]``."""
    eps: float = 1e-6
    """Added to the mean square."""


class RuleResult(NamedTuple):
    """What an update rule returns."""

    output: Tensor | None
    """``[batch, token, gdn_head, value]`` in v's dtype; None when q was None."""
    state: Tensor
    """``[batch, gdn_head, key, value]``, float32 (float64 for float64 inputs)."""
    chunk_states: Tensor | None = None
    """S before every `CHUNK`-th token, ``[batch, chunk, gdn_head, key, value]``, without
    gradient; None unless asked for."""
    change_norm: Tensor | None = None
    """Frobenius norm of ``state`` minus the state carried in, ``[batch, gdn_head]``, without
    gradient; None unless asked for."""


@dataclass(frozen=True)
class Options:
    """The options that every rule takes, as `sleep_kernels.api` documents them."""

    scale: float = 1.0
    """Factor on the output."""
    normalise: bool = False
    """Bring q and k to unit norm first: ``x rsqrt(sum x^2 + 1e-6)``."""
    gates: Gates | None = None
    output_norm: OutputNorm | None = None
    """Work before and after the rule that a kernel can absorb."""
    valid: Tensor | None = None
    """bool ``[batch, token]``; a False token neither writes nor decays."""
    chunk_states: bool = False
    change_norm: bool = False
    """What to return besides output and state."""
    tf32: bool = False
    """float32 products on a GPU may use TF32; otherwise they are IEEE."""


@dataclass(frozen=True)
class Call:
    """One checked operator call, as `sleep_kernels.api` hands it to a backend."""

    q: Tensor | None
    """``[batch, token, gdn_head, key]``, as is k; None computes the state only."""
    k: Tensor
    v: Tensor
    """``[batch, token, gdn_head, value]``."""
    log_decay: Tensor | None
    beta: Tensor | None
    """``[batch, token, gdn_head]``: log a and b, or their projections where there are gates.
    None means a = 1 and b = 1."""
    state: Tensor | None
    """S carried in, ``[batch, gdn_head, key, value]``; None means zeros."""
    delta: bool
    """True: subtract what the memory returns for the key; False: plain outer product."""
    options: Options = Options()


def state_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype in which S is kept: float64 for float64 inputs, else float32."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def cannot_serve(backend: str, reason: str) -> RuntimeError:
    """Return the error of a backend that was asked for: what was found, and what it expects."""
    return RuntimeError(f"backend {backend!r} cannot serve: {reason}; use backend='auto'")


def check_backend_name(backend: str) -> None:
    """Raise ValueError if no backend has that name."""
    if backend not in BACKENDS:
        raise ValueError(f"backend {backend!r} is unknown; expected one of {', '.join(BACKENDS)}")
