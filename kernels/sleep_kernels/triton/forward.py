"""The forward kernel: a whole window in one launch, S in registers."""

# Kernels are compiled from source; their arguments are tiles and pointers, not Python types.
# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False

from __future__ import annotations

import triton
import triton.language as tl

from sleep_kernels.triton.arguments import STRIDES
from sleep_kernels.triton.tiles import (
    advanced,
    chunk_rows,
    load_rows,
    lower,
    mm,
    place,
    sigmoid,
    state_offsets,
    store_rows,
    unit_rows,
    written,
)


@triton.jit(do_not_specialize=[*STRIDES, "tokens", "heads"])
def forward_kernel(
    p_q, p_k, p_v, p_g, p_beta, p_state, p_rate, p_bias, p_weight, p_gate, p_valid,
    p_o, p_after, p_chunks, p_change,
    q_batch, q_token, k_batch, k_token, v_batch, v_token, gate_batch, gate_token,
    tokens, heads,
    KEYS: tl.constexpr, VALUES: tl.constexpr, BK: tl.constexpr, BV: tl.constexpr,
    C: tl.constexpr, UNIT: tl.constexpr,
    SCALE: tl.constexpr, STRENGTH: tl.constexpr, EPS: tl.constexpr,
    MANY: tl.constexpr, DELTA: tl.constexpr, NORMALISE: tl.constexpr, GATED: tl.constexpr,
    DT: tl.constexpr, F: tl.constexpr, PREC: tl.constexpr, SOLVE: tl.constexpr,
):  # fmt: skip
    """One window of one (batch, head) and one block of values; programs along grid axis 0.

    Per chunk of C tokens, with the gates worked out (`decays` defines D, e, f, l)::

        M = b * stril(K K^T * D)     R = (I + M)^-1 b * (V - e * (K S))
        O = SCALE (e * (Q S) + ((Q K^T) * D) R)          S <- l S + K^T (f * R)

    and ``R = b * V`` where not DELTA. Columns of S do not meet, so each block of values is a
    separate program. Yang et al. arXiv 2406.06484 section 3, 2412.06464 section 3.3.
    """
    BLOCKS: tl.constexpr = (VALUES + BV - 1) // BV
    pair = tl.program_id(0) // BLOCKS
    start = (tl.program_id(0) % BLOCKS) * BV
    batch = (pair // heads).to(tl.int64)
    head = pair % heads
    chunks = tl.cdiv(tokens, C)
    o_s, m_s = state_offsets(start, KEYS, VALUES, BK, BV)
    p_of_pair = pair.to(tl.int64) * (KEYS * VALUES)

    b_s = tl.zeros([BK, BV], F)
    if p_state is not None:
        b_s = tl.load(p_state + p_of_pair + o_s, mask=m_s, other=0.0).to(F)
    for chunk in range(chunks if MANY else 1):
        first = tl.cast(chunk, tl.int64) * C
        left = tokens - chunk * C
        o_c = chunk_rows(left, C)
        token = batch * tokens + first
        row = token * heads + head
        at_k, step_k = place(batch, first, head, k_batch, k_token, KEYS, UNIT)
        at_v, step_v = place(batch, first, head, v_batch, v_token, VALUES, UNIT)
        if p_chunks is not None:
            p_at = p_chunks + ((batch * chunks + chunk) * heads + head) * (KEYS * VALUES)
            tl.store(p_at + o_s, b_s, mask=m_s)
        b_k, b_d, b_e, b_f, last, b_r = written(
            p_k, p_v, p_g, p_beta, p_rate, p_bias, p_valid, b_s, at_k, step_k, at_v, step_v,
            row, token, head, o_c, heads, left, start, KEYS, VALUES, BK, BV,
            STRENGTH, DELTA, NORMALISE, GATED, DT, F, PREC, SOLVE,
        )  # fmt: skip
        if p_q is not None:
            at_q, step_q = place(batch, first, head, q_batch, q_token, KEYS, UNIT)
            b_q = load_rows(p_q, at_q, o_c, step_q, left, 0, KEYS, BK)
            if NORMALISE:
                b_q, _ = unit_rows(b_q, F)
            b_o = mm(b_q, b_s, DT, F, PREC)
            if p_g is not None:
                b_o *= b_e[:, None]
            b_p = lower(mm(b_q, tl.trans(b_k), DT, F, PREC) * b_d, o_c)
            b_o = SCALE * (b_o + mm(b_p, b_r, DT, F, PREC))
            if p_weight is not None:
                b_w = tl.load(
                    p_weight + tl.arange(0, BV), mask=tl.arange(0, BV) < VALUES, other=0.0
                )
                at_g, step_g = place(batch, first, head, gate_batch, gate_token, VALUES, UNIT)
                b_gate = load_rows(p_gate, at_g, o_c, step_g, left, 0, VALUES, BV).to(F)
                b_root = tl.rsqrt(tl.sum(b_o * b_o, 1) / VALUES + EPS)
                b_o = b_o * b_root[:, None] * b_w.to(F)[None, :] * (b_gate * sigmoid(b_gate))
            store_rows(p_o, row, o_c, heads, left, start, b_o, VALUES, BV)
        b_s = advanced(b_s, b_k, b_f, last, b_r, p_g is not None, DT, F, PREC)
    tl.store(p_after + p_of_pair + o_s, b_s, mask=m_s)
    if p_change is not None:
        if p_state is not None:
            b_s -= tl.load(p_state + p_of_pair + o_s, mask=m_s, other=0.0).to(F)
        tl.store(p_change + tl.program_id(0), tl.sum(tl.sum(b_s * b_s, 1), 0))
