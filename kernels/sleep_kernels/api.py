"""The three update rules, the same on every backend.

Per head, with keys of unit norm and ``a = exp(log_decay)``::

    gated delta rule      S~ = a S;  S' = S~ + b k (v - S~^T k)^T
    delta rule            the same with a = 1; b in (0, 1), or (0, 2) for negative eigenvalues
    gated outer product   S' = a S + b k v^T          (Mamba-2 style)

and ``o = scale * S'^T q``. Sources: Yang et al. arXiv 2412.06464 (gated delta rule), 2406.06484
(chunked delta rule), Dao and Gu arXiv 2405.21060 (Mamba-2).

Options that every rule takes, keyword-only:

- `scale`: factor on the output; None means ``key ** -0.5``.
- `normalise`: bring q and k to unit norm first.
- `gates`: `log_decay` and `beta` are projections of the input, and these gates are applied here.
- `output_norm`: gated RMSNorm of the output.
- `valid`: bool ``[batch, token]``; a False token (padding) neither writes nor decays, whatever its
  k, v, log_decay and beta are, NaN included. Its q reads S like any other, and has to be finite.
- `chunk_states`, `change_norm`: also return S before every 32nd token, and how far S moved.
- `tf32`: let float32 products on a GPU use TF32; False means IEEE float32.
- `backend`: "auto" or an explicit backend, which raises if it cannot serve.
"""

from __future__ import annotations

from torch import Tensor

from sleep_kernels.backends import REGISTRY, choose_backend
from sleep_kernels.contract import Call, Gates, Options, OutputNorm, RuleResult
from sleep_kernels.validation import check_call


def gated_delta_rule(
    q: Tensor | None,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor | None,
    beta: Tensor | None,
    state: Tensor | None = None,
    *,
    scale: float | None = None,
    normalise: bool = False,
    gates: Gates | None = None,
    output_norm: OutputNorm | None = None,
    valid: Tensor | None = None,
    chunk_states: bool = False,
    change_norm: bool = False,
    tf32: bool = False,
    backend: str = "auto",
) -> RuleResult:
    """Gated delta rule (Gated DeltaNet), the paper's fast-weight update.

    Parameters
    ----------
    q : Tensor or None
        Queries ``[batch, token, gdn_head, key]``; None computes the state only.
    k, v : Tensor
        Keys ``[batch, token, gdn_head, key]`` of unit norm, and values ``[..., value]``.
    log_decay, beta : Tensor or None
        log a <= 0 and write strength b, ``[batch, token, gdn_head]``; None means a = 1 or b = 1.
    state : Tensor or None
        S carried in, ``[batch, gdn_head, key, value]``; None means zeros.
    scale, normalise, gates, output_norm, valid, chunk_states, change_norm, tf32, backend
        Options of every rule: ``help(sleep_kernels.api)``.

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
    options = Options(
        _scale(scale, k), normalise, gates, output_norm, valid, chunk_states, change_norm, tf32
    )
    return _run(Call(q, k, v, log_decay, beta, state, delta=True, options=options), backend)


def delta_rule(
    q: Tensor | None,
    k: Tensor,
    v: Tensor,
    beta: Tensor | None,
    state: Tensor | None = None,
    *,
    scale: float | None = None,
    normalise: bool = False,
    gates: Gates | None = None,
    output_norm: OutputNorm | None = None,
    valid: Tensor | None = None,
    chunk_states: bool = False,
    change_norm: bool = False,
    tf32: bool = False,
    backend: str = "auto",
) -> RuleResult:
    """Delta rule without decay (DeltaNet); arguments as in `gated_delta_rule`.

    beta in (0, 1) gives the usual rule; beta in (0, 2) lets the transition have negative
    eigenvalues.
    """
    options = Options(
        _scale(scale, k), normalise, gates, output_norm, valid, chunk_states, change_norm, tf32
    )
    return _run(Call(q, k, v, None, beta, state, delta=True, options=options), backend)


def gated_outer_product(
    q: Tensor | None,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor | None,
    beta: Tensor | None,
    state: Tensor | None = None,
    *,
    scale: float | None = None,
    normalise: bool = False,
    gates: Gates | None = None,
    output_norm: OutputNorm | None = None,
    valid: Tensor | None = None,
    chunk_states: bool = False,
    change_norm: bool = False,
    tf32: bool = False,
    backend: str = "auto",
) -> RuleResult:
    """Decayed outer products (Mamba-2 style); arguments as in `gated_delta_rule`.

    ``log_decay=None`` with ``beta=None`` is linear attention.
    """
    options = Options(
        _scale(scale, k), normalise, gates, output_norm, valid, chunk_states, change_norm, tf32
    )
    return _run(Call(q, k, v, log_decay, beta, state, delta=False, options=options), backend)


def _run(call: Call, backend: str) -> RuleResult:
    check_call(call)
    return REGISTRY[choose_backend(backend, call.k.device, call)].run(call)


def _scale(scale: float | None, k: Tensor) -> float:
    if scale is not None:
        return scale
    # `check_call` refuses a k that is not a tensor or has no axes; until then it needs a scale
    return k.shape[-1] ** -0.5 if isinstance(k, Tensor) and k.ndim else 1.0
