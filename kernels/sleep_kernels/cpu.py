"""The chunked form in plain PyTorch, with its backward written by hand.

Per chunk of C tokens, with ``c = cumsum(log_decay)``, ``e = exp(c)``, ``f = exp(c_C - c)``,
``l = exp(c_C)``, ``D_ij = exp(c_i - c_j)`` for i >= j else 0::

    M = b * stril(K K^T * D)     w = V - e * (K S0)      (I + M) R = b * w
    O = scale (e * (Q S0) + ((Q K^T) * D) R)             S' = l S0 + (f * K)^T R

The gated outer product is the same with M = 0 and w = V. Exponents are masked before exp (after
it, inf * 0 would be NaN), and I + M is never inverted by doubling (near-collinear keys make that
wrong by orders of magnitude in float32): one triangular solve with a single right-hand side.

The backward, with dO already times scale and z = (I + M)^-T dR. K stands in two roles, as what is
asked of the memory (like Q) and as what is written under::

    dR = (f * K) dS' + ((Q K^T) * D)^T dO
    dQ    = (e * dO) S0^T + A_q K              A_q = (dO R^T) * D
    dK_ask = b * a,  a = -(e * z) S0^T + A_k K        A_k = -stril(z R^T) * D
    dK_write = A_q^T Q + A_k^T (b * K) + f * (R dS'^T)
    dV = b * z        db = <z, V> + <a, K>        (row by row)
    dS0 = l dS' + Q^T (e * dO) - (b * K)^T (e * z)
    X = (dO R^T) * (Q K^T) * D - stril(z R^T) * M    p = f <R dS'^T, K>
    y = <(e * dO) S0^T, Q> - <(e * z) S0^T, b * K>

Every decay is exp of a sum of log decays over a segment, so each token m collects what the
segments that contain it give::

    d log_decay_m = sum of X_ij over j < m <= i + sum of p_j over j < m + sum of y_i over i >= m
                    + l <S0, dS'>

(The reverse cumulative sum of dc, with dc = rowsum X - colsum X + ..., is the same on paper. There
each X_ij enters twice with opposite signs and has to cancel, which loses every digit of a token
behind a strong decay.) Tested against the recurrence in float64.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from sleep_kernels.contract import CHUNK
from sleep_kernels.norms import full_precision
from sleep_kernels.once import differentiable_once

LONGEST_ONE_CHUNK = 48
"""Windows of up to this many tokens are one chunk; longer ones are cut into chunks of `CHUNK`."""

LEAST = -750.0
"""Log decays below this count as this: exp of either is 0, in float64 too. It is finite, since a
difference of -inf is NaN, and small enough that running sums keep the digits of other decays."""


def chunked(
    q: Float[Tensor, "batch token gdn_head key"] | None,
    k: Float[Tensor, "batch token gdn_head key"],
    v: Float[Tensor, "batch token gdn_head value"],
    log_decay: Float[Tensor, "batch token gdn_head"] | None,
    beta: Float[Tensor, "batch token gdn_head"],
    state: Float[Tensor, "batch gdn_head key value"],
    scale: float,
    delta: bool,
) -> tuple[
    Float[Tensor, "batch token gdn_head value"] | None, Float[Tensor, "batch gdn_head key value"]
]:
    """Run a rule chunk by chunk; arguments as in `sleep_kernels.reference.scan`."""
    found = _Chunked.apply(q, k, v, log_decay, beta, state, scale, delta)
    return cast("tuple[Tensor | None, Tensor]", found)


class _Chunk(NamedTuple):
    """What the backward needs of one chunk; ``.`` stands for batch x gdn_head.

    ``q``, ``k [., token, key]``, ``v [., token, value]``, ``beta [., token, 1]``; ``asked``:
    ``(Q K^T) * D`` and ``system``: ``b * (K K^T) * D [., token, token]``; ``written``: R;
    ``decay``: D; ``total``: c; ``before``: S0.
    """

    q: Tensor | None
    k: Tensor
    v: Tensor
    beta: Tensor
    asked: Tensor | None
    system: Tensor | None
    written: Tensor
    decay: Tensor
    total: Tensor | None
    before: Tensor


class _Chunked(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        q: Tensor | None,
        k: Tensor,
        v: Tensor,
        log_decay: Tensor | None,
        beta: Tensor,
        state: Tensor,
        scale: float,
        delta: bool,
    ) -> tuple[Tensor | None, Tensor]:
        batch, tokens, heads, _ = k.shape
        carried = state.flatten(0, 1)
        output = None if q is None else v.new_empty(v.shape)
        saved: list[Tensor | None] = []
        for part in _parts(tokens):
            cut = (None if x is None else x[:, part] for x in (q, k, v, log_decay, beta))
            read, carried, chunk = _forward(*cut, carried, scale, delta)  # type: ignore[arg-type, call-arg]
            if output is not None and read is not None:
                whole = read.view(batch, heads, read.shape[1], v.shape[-1])
                output[:, part] = whole.transpose(1, 2)
            saved.extend(chunk)
        ctx.save_for_backward(*saved)
        ctx.set_materialize_grads(False)  # an unused result costs nothing
        ctx.scale, ctx.forgets = scale, log_decay is not None
        ctx.sizes = (batch, tokens, heads)
        return output, carried.view(state.shape)

    @staticmethod
    @differentiable_once
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        d_output, d_state = gradients
        if d_output is None and d_state is None:
            return (None,) * 8
        batch, tokens, heads = ctx.sizes
        saved = ctx.saved_tensors
        fields = len(_Chunk._fields)
        chunks = [_Chunk(*saved[i : i + fields]) for i in range(0, len(saved), fields)]
        state = chunks[0].before
        keys, values = state.shape[-2:]

        def buffer(*last: int) -> Tensor:
            return state.new_empty((batch, tokens, heads, *last))

        d_q = None if d_output is None else buffer(keys)
        d_k, d_v, d_beta = buffer(keys), buffer(values), buffer()
        d_log_decay = buffer() if ctx.forgets else None
        carried = None if d_state is None else d_state.flatten(0, 1)
        for part, chunk in zip(reversed(_parts(tokens)), reversed(chunks), strict=True):
            d_read = None if d_output is None else _rows(d_output[:, part])
            with full_precision(state.device):  # as in the forward
                found, carried = _backward(chunk, d_read, carried, ctx.scale)
            for target, value in zip((d_q, d_k, d_v, d_log_decay, d_beta), found, strict=True):
                if target is not None and value is not None:
                    whole = value.view(batch, heads, *value.shape[1:])
                    target[:, part] = whole.transpose(1, 2)
        assert carried is not None
        d_before = carried.view(batch, heads, keys, values)
        return d_q, d_k, d_v, d_log_decay, d_beta, d_before, None, None


def _parts(tokens: int) -> list[slice]:
    size = tokens if tokens <= LONGEST_ONE_CHUNK else CHUNK
    return [slice(start, min(start + size, tokens)) for start in range(0, tokens, size)]


def _rows(x: Tensor) -> Tensor:
    """Return ``[batch, token, gdn_head, ...]`` as ``[batch gdn_head, token, ...]``."""
    return x.transpose(1, 2).reshape(x.shape[0] * x.shape[2], x.shape[1], *x.shape[3:])


def _forward(
    q: Tensor | None,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor | None,
    beta: Tensor,
    state: Tensor,
    scale: float,
    delta: bool,
) -> tuple[Tensor | None, Tensor, _Chunk]:
    """Run one chunk: as `chunked`, but for a state ``[batch gdn_head, key, value]``."""
    k, v, b = _rows(k), _rows(v), _rows(beta)[..., None]
    q = None if q is None else _rows(q)
    total = from_start = None
    if log_decay is None:
        decay = _causal(k.shape[1], k.device, k.dtype)
    else:
        # in float64: after a strong decay, differences of float32 sums are off by percents
        c = _rows(log_decay).clamp(min=LEAST).cumsum(-1, dtype=torch.float64)
        between = (c[:, :, None] - c[:, None, :]).to(k.dtype)
        # masked entries: exponent 0 before exp (never inf; -inf is slow there), 0 after it; both
        # by a product, which takes a fifth of the time of tril_
        mask = _causal(k.shape[1], k.device, k.dtype)
        decay = between.mul_(mask).exp_().mul_(mask)
        total = c.to(k.dtype)
        from_start = total.exp()[..., None]  # e
    system = None
    if delta:
        system = torch.bmm(k, k.mT).mul_(decay).mul_(b)  # its strict lower triangle is M
        recalled = torch.bmm(k, state)
        if from_start is None:
            missing = v - recalled
        else:
            missing = torch.addcmul(v, from_start, recalled, value=-1)
        written = _solve(system, missing.mul_(b))  # R
    else:
        written = b * v
    output = asked = None
    if q is not None:
        asked = torch.bmm(q, k.mT).mul_(decay)
        output = torch.bmm(q, state)
        if from_start is not None:
            output.mul_(from_start)
        output.baddbmm_(asked, written, beta=scale, alpha=scale)
    if from_start is None:
        after = torch.baddbmm(state, k.mT, written)
    else:
        to_end = decay[:, -1, :, None]  # f
        after = (from_start[:, -1:] * state).baddbmm_((to_end * k).mT, written)
    return output, after, _Chunk(q, k, v, b, asked, system, written, decay, total, state)


def _backward(
    chunk: _Chunk, d_read: Tensor | None, d_state: Tensor | None, scale: float
) -> tuple[tuple[Tensor | None, ...], Tensor]:
    """Return gradients of q, k, v, log_decay and beta of one chunk, and of the state before it.

    ``d_read [., token, value]`` is the gradient of the output, None where nothing was read.
    """
    q, k, v, b, asked, system, written, decay, total, before = chunk
    from_start = to_end = None
    if total is not None:
        from_start = total.exp()[..., None]  # e
        to_end = decay[:, -1, :, None]  # f
    d_written = d_write = d_before = None
    if d_state is not None:
        d_written = torch.bmm(k if to_end is None else to_end * k, d_state)  # dR
        d_write = torch.bmm(written, d_state.mT)  # dK_write
        if to_end is not None:
            d_write.mul_(to_end)
        d_before = d_state.clone() if from_start is None else from_start[:, -1:] * d_state
    d_asked = None if d_read is None else d_read * scale  # dO
    if d_asked is not None:
        assert asked is not None
        d_written = _added(d_written, asked.mT, d_asked)
    assert d_written is not None
    z = d_written if system is None else _solve(system, d_written, transposed=True)
    d_v = b * z
    d_beta = (z * v).sum(-1)
    pairs = rows = writes = whole = None  # X, y, p and l <S0, dS'>
    if from_start is not None and d_state is not None and d_write is not None:
        writes = (d_write * k).sum(-1)
        whole = from_start[:, -1] * (before * d_state).sum((-2, -1))[:, None]
    d_q = d_ask = None
    if q is not None and d_asked is not None:
        assert asked is not None
        inner = torch.bmm(d_asked, written.mT)  # A_q, still to be masked
        if total is not None:
            pairs = inner * asked
        inner.mul_(decay)
        if from_start is not None:
            d_asked.mul_(from_start)
        d_q = torch.bmm(d_asked, before.mT)
        if total is not None:
            rows = (d_q * q).sum(-1)
        d_q.baddbmm_(inner, k)
        d_write = _added(d_write, inner.mT, q)
        d_before = _added(d_before, q.mT, d_asked)
    if system is not None:
        z = z.neg()
        strictly = _causal(k.shape[1], k.device, k.dtype, -1)
        inner = torch.bmm(z, written.mT).mul_(strictly)  # A_k, still to be decayed
        if total is not None:
            pairs = inner * system if pairs is None else pairs.addcmul_(inner, system)
        inner.mul_(decay)
        if from_start is not None:
            z.mul_(from_start)
        strong = b * k
        d_ask = torch.bmm(z, before.mT)  # a, so far what S0 gives
        if total is not None:
            asks = (d_ask * strong).sum(-1)
            rows = asks if rows is None else rows.add_(asks)
        d_ask.baddbmm_(inner, k)
        d_write = _added(d_write, inner.mT, strong)
        d_before = _added(d_before, strong.mT, z)
        d_beta += (d_ask * k).sum(-1)
        d_ask.mul_(b)
    assert d_write is not None and d_before is not None
    d_log_decay = _decay_gradient(pairs, rows, writes, whole)
    d_k = d_write if d_ask is None else d_write.add_(d_ask)
    return (d_q, d_k, d_v, d_log_decay, d_beta), d_before


def _decay_gradient(
    pairs: Tensor | None, rows: Tensor | None, writes: Tensor | None, whole: Tensor | None
) -> Tensor | None:
    """Return the gradient of log decays from what each segment gives.

    `pairs`: X ``[., i, j]``: segments from after token j to token i. `rows`, `writes`: y
    ``[., i]``, segments from the start to token i; p ``[., j]``, from after j to the end. `whole`:
    ``[., 1]``, the whole chunk.
    """
    total = None
    if pairs is not None:
        tokens = pairs.shape[-1]
        mask = _causal(tokens, pairs.device, pairs.dtype)
        until = torch.matmul(mask.mT, pairs)  # [., m, j]: sum over i >= m
        total = until.mul_(_causal(tokens, pairs.device, pairs.dtype, -1)).sum(-1)
    if rows is not None:
        from_end = rows.flip(-1).cumsum(-1).flip(-1)
        total = from_end if total is None else total.add_(from_end)
    if writes is not None and whole is not None:
        earlier = F.pad(writes[:, :-1].cumsum(-1), (1, 0)) + whole
        total = earlier if total is None else total.add_(earlier)
    return total


def _added(total: Tensor | None, left: Tensor, right: Tensor) -> Tensor:
    """Add a product to `total` in place; return the product alone if `total` is None."""
    return torch.bmm(left, right) if total is None else total.baddbmm_(left, right)


def _solve(matrix: Tensor, right: Tensor, *, transposed: bool = False) -> Tensor:
    """Solve ``(I + M) x = right`` or, transposed, ``(I + M)^T x = right``.

    Only the strict lower triangle of `matrix` is read. Solved from the right, on transposed
    views, which are what LAPACK wants of row-major tensors: nothing is copied.
    """
    left = matrix if transposed else matrix.mT
    return torch.linalg.solve_triangular(
        left, right.mT, upper=not transposed, left=False, unitriangular=True
    ).mT


@cache  # never freed: a CUDA graph may read it
def _causal(tokens: int, device: torch.device, dtype: torch.dtype, diagonal: int = 0) -> Tensor:
    with torch.inference_mode(False):  # an inference tensor could not be used in training later
        return torch.ones(1, tokens, tokens, device=device, dtype=dtype).tril(diagonal)
