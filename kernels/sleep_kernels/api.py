"""The three update rules and the choice of a backend.

Per head, with keys of unit norm and ``a = exp(log_decay)``::

    gated delta rule      S~ = a S;  S' = S~ + b k (v - S~^T k)^T
    delta rule            the same with a = 1; b in (0, 1), or (0, 2) for negative eigenvalues
    gated outer product   S' = a S + b k v^T          (Mamba-2 style)

and ``o = scale * S'^T q``. Sources: Yang et al. arXiv 2412.06464 (gated delta rule), 2406.06484
(chunked delta rule), Dao and Gu arXiv 2405.21060 (Mamba-2).
"""

from __future__ import annotations

import importlib.util
from typing import NamedTuple

import torch
from torch import Tensor

from sleep_kernels import cpu, reference
from sleep_kernels.validation import check_inputs, state_dtype


class RuleResult(NamedTuple):
    """What an update rule returns.

    Attributes
    ----------
    output : Tensor or None
        ``[batch, token, gdn_head, value]`` in v's dtype; None when q was None.
    state : Tensor
        ``[batch, gdn_head, key, value]``, float32 (float64 for float64 inputs).
    """

    output: Tensor | None
    state: Tensor


_RULES = {"reference": reference.scan, "cpu": cpu.chunked}
BACKENDS: tuple[str, ...] = ("auto", "reference", "cpu", "triton", "fla")


def backend_status() -> dict[str, str | None]:
    """Return, for each backend, None if it serves here, else the reason why it does not."""
    missing = "is not installed" if importlib.util.find_spec("fla") is None else "is not wired yet"
    return {
        "reference": None,
        "cpu": None,
        "triton": "no Triton kernels are built in this version",
        "fla": f"flash-linear-attention {missing}",
    }


def choose_backend(backend: str, device: torch.device) -> str:
    """Return the backend that serves `backend` on `device`.

    ``auto`` takes "cpu", the one-chunk form, which is plain PyTorch and runs on any device.

    Raises
    ------
    ValueError
        The name is unknown.
    RuntimeError
        An explicit backend cannot serve; the message says why.
    """
    del device  # every backend of this version serves on every device
    if backend == "auto":
        return "cpu"
    if backend not in BACKENDS:
        raise ValueError(f"backend {backend!r} is unknown; expected one of {', '.join(BACKENDS)}")
    reason = backend_status()[backend]
    if reason is not None:
        raise RuntimeError(f"backend {backend!r} cannot serve: {reason}; use backend='auto'")
    return backend


def gated_delta_rule(
    q: Tensor | None,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor | None,
    beta: Tensor,
    state: Tensor | None = None,
    *,
    scale: float | None = None,
    backend: str = "auto",
) -> RuleResult:
    """Gated delta rule (Gated DeltaNet), the paper's fast-weight update.

    Parameters
    ----------
    q : Tensor or None
        Queries ``[batch, token, gdn_head, key]``; None computes the state only.
    k : Tensor
        Keys ``[batch, token, gdn_head, key]``, of unit norm.
    v : Tensor
        Values ``[batch, token, gdn_head, value]``.
    log_decay : Tensor or None
        log a <= 0, ``[batch, token, gdn_head]``; None means a = 1.
    beta : Tensor
        Write strength b, ``[batch, token, gdn_head]``.
    state : Tensor or None
        S carried in, ``[batch, gdn_head, key, value]``; None means zeros.
    scale : float or None
        Factor on the output; None means ``key ** -0.5``.
    backend : str
        "auto" or an explicit backend, which raises if it cannot serve.

    Returns
    -------
    RuleResult
        Output and state, differentiable in every input.

    Raises
    ------
    ValueError
        Shapes or dtypes do not fit, or the backend is unknown.
    RuntimeError
        The explicit backend cannot serve here.
    """
    return _run(q, k, v, log_decay, beta, state, scale, backend, delta=True)


def delta_rule(
    q: Tensor | None,
    k: Tensor,
    v: Tensor,
    beta: Tensor,
    state: Tensor | None = None,
    *,
    scale: float | None = None,
    backend: str = "auto",
) -> RuleResult:
    """Delta rule without decay (DeltaNet); arguments as in `gated_delta_rule`.

    beta in (0, 1) gives the usual rule; beta in (0, 2) lets the transition have negative
    eigenvalues.
    """
    return _run(q, k, v, None, beta, state, scale, backend, delta=True)


def gated_outer_product(
    q: Tensor | None,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor | None,
    beta: Tensor,
    state: Tensor | None = None,
    *,
    scale: float | None = None,
    backend: str = "auto",
) -> RuleResult:
    """Decayed outer products (Mamba-2 style); arguments as in `gated_delta_rule`.

    ``log_decay=None`` with beta = 1 is linear attention.
    """
    return _run(q, k, v, log_decay, beta, state, scale, backend, delta=False)


def _run(
    q: Tensor | None,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor | None,
    beta: Tensor,
    state: Tensor | None,
    scale: float | None,
    backend: str,
    *,
    delta: bool,
) -> RuleResult:
    check_inputs(q, k, v, log_decay, beta, state)
    rule = _RULES[choose_backend(backend, k.device)]
    dtype = state_dtype(v.dtype)
    batch, _, heads, keys = k.shape
    if state is None:
        state = k.new_zeros((batch, heads, keys, v.shape[-1]), dtype=dtype)
    with torch.autocast(k.device.type, enabled=False):  # it would round S to bfloat16
        output, state = rule(
            None if q is None else q.to(dtype),
            k.to(dtype),
            v.to(dtype),
            None if log_decay is None else log_decay.to(dtype),
            beta.to(dtype),
            state.to(dtype),
            keys**-0.5 if scale is None else scale,
            delta,
        )
    return RuleResult(None if output is None else output.to(v.dtype), state)
