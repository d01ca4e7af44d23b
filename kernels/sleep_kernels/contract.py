"""What an operator call is made of, and what it returns: the one contract of every backend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

BACKENDS: tuple[str, ...] = ("auto", "reference", "cpu", "native", "triton", "fla")
"""Names that a call may give; see `sleep_kernels.backends`."""

CHUNK = 32
"""Tokens between two of the chunk states a call can return."""


class Gates(NamedTuple):
    """Gate parameters: with them, `log_decay` and `beta` are given as projections of the input.

    ``log a = -exp(log_rate) softplus(log_decay + decay_bias)``, ``b = strength sigmoid(beta)``
    (Yang et al. arXiv 2412.06464, after Mamba-2).

    Attributes
    ----------
    log_rate, decay_bias : Tensor or None
        ``[gdn_head]``; None for a rule without decay.
    strength : float
        Largest b: 1, or 2 to let the transition have negative eigenvalues.
    """

    log_rate: Tensor | None
    decay_bias: Tensor | None
    strength: float = 1.0


class OutputNorm(NamedTuple):
    """Gated RMSNorm of the output: ``RMSNorm(o) * weight * SiLU(gate)``.

    Attributes
    ----------
    weight : Tensor
        ``[value]``, shared by the heads.
    gate : Tensor
        ``[batch, token, gdn_head, value]``.
    eps : float
        Added to the mean square.
    """

    weight: Tensor
    gate: Tensor
    eps: float = 1e-6


class RuleResult(NamedTuple):
    """What an update rule returns.

    Attributes
    ----------
    output : Tensor or None
        ``[batch, token, gdn_head, value]`` in v's dtype; None when q was None.
    state : Tensor
        ``[batch, gdn_head, key, value]``, float32 (float64 for float64 inputs).
    chunk_states : Tensor or None
        S before every `CHUNK`-th token, ``[batch, chunk, gdn_head, key, value]``, without
        gradient; None unless asked for.
    change_norm : Tensor or None
        Frobenius norm of ``state`` minus the state carried in, ``[batch, gdn_head]``, without
        gradient; None unless asked for.
    """

    output: Tensor | None
    state: Tensor
    chunk_states: Tensor | None = None
    change_norm: Tensor | None = None


@dataclass(frozen=True)
class Call:
    """One checked operator call, as `sleep_kernels.api` hands it to a backend.

    Attributes
    ----------
    q : Tensor or None
        ``[batch, token, gdn_head, key]``; None computes the state only.
    k, v : Tensor
        ``[batch, token, gdn_head, key]`` and ``[..., value]``.
    log_decay, beta : Tensor or None
        ``[batch, token, gdn_head]``: log a and b, or their projections where there are `gates`.
        None means a = 1 and b = 1.
    state : Tensor or None
        S carried in; None means zeros.
    scale : float
        Factor on the output.
    delta : bool
        True: subtract what the memory returns for the key; False: plain outer product.
    normalise : bool
        Bring q and k to unit norm first: ``x rsqrt(sum x^2 + 1e-6)``.
    gates, output_norm : NamedTuple or None
        Work around the rule that a kernel can absorb.
    valid : Tensor or None
        bool ``[batch, token]``; a False token neither writes nor decays.
    chunk_states, change_norm : bool
        What to return beside output and state.
    tf32 : bool
        float32 products on a GPU may use TF32; otherwise they are IEEE.
    """

    q: Tensor | None
    k: Tensor
    v: Tensor
    log_decay: Tensor | None
    beta: Tensor | None
    state: Tensor | None
    scale: float
    delta: bool
    normalise: bool = False
    gates: Gates | None = None
    output_norm: OutputNorm | None = None
    valid: Tensor | None = None
    chunk_states: bool = False
    change_norm: bool = False
    tf32: bool = False
