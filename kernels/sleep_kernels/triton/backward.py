"""The backward kernel: every gradient of a window in one launch, from the inputs alone."""

# Kernels are compiled from source; their arguments are tiles and pointers, not Python types.
# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False

from __future__ import annotations

import triton
import triton.language as tl

from sleep_kernels.triton.arguments import STRIDES
from sleep_kernels.triton.tiles import (
    add_rows,
    add_tokens,
    advanced,
    causal,
    chunk_rows,
    decays,
    inverse,
    load_beta,
    load_decay,
    load_rows,
    lower,
    mm,
    place,
    sigmoid,
    state_offsets,
    store_rows,
    strict,
    unit_rows,
    unit_rows_gradient,
    written,
)


@triton.jit(do_not_specialize=[*STRIDES, "tokens", "heads"])
def backward_kernel(
    p_q, p_k, p_v, p_g, p_beta, p_state, p_rate, p_bias, p_weight, p_gate, p_valid,
    p_do, p_dafter,
    p_dq, p_dk, p_dv, p_dg, p_dbeta, p_dstate, p_drate, p_dbias, p_dweight, p_dgate,
    p_starts,
    q_batch, q_token, k_batch, k_token, v_batch, v_token, gate_batch, gate_token,
    tokens, heads,
    KEYS: tl.constexpr, VALUES: tl.constexpr, BK: tl.constexpr, BV: tl.constexpr,
    C: tl.constexpr, UNIT: tl.constexpr,
    SCALE: tl.constexpr, STRENGTH: tl.constexpr, EPS: tl.constexpr,
    MANY: tl.constexpr, DELTA: tl.constexpr, NORMALISE: tl.constexpr, GATED: tl.constexpr,
    DT: tl.constexpr, F: tl.constexpr, PREC: tl.constexpr, SOLVE: tl.constexpr,
):  # fmt: skip
    """Gradients of one (batch, head); programs along grid axis 0, blocks of values in turn.

    With more than one chunk the forward is replayed first, which leaves S before every chunk in
    ``p_starts``; then the chunks go in reverse, dS in registers. Per chunk, with dO the gradient
    of the output, dS that of S after the chunk, and all of the forward's tiles made again::

        dR = f * (K dS) + P^T dO                z = (I + M)^-T dR  (DELTA, else dR)
        dP = tril(dO R^T)                       dM = -stril(z R^T)
        dQ = e * (dO S^T) + (dP * D) K          dV = b * z
        dK = f * (R dS^T) + (dP * D)^T Q - (e b) * (z S^T) + (G + G^T) K,   G = b * dM * D
        db = rowsum z * (V - e * (K S)) + rowsum dM * (K K^T * D)
        dS <- l dS + Q^T (e * dO) - K^T (e b * z)

    and, since every decay is exp of a sum of g over a segment, with X = dP * P + dM * M::

        dg_m = sum over j < m <= i of X_ij + sum over j < m of rowsum(f * (R dS^T) * K)_j
             + sum over i >= m of rowsum(e * (dO S^T) * Q - (e b) * (z S^T) * K)_i + l <dS, S>

    (SCALE goes with P, e * (Q S) and their gradients.) q, k, beta and log_decay get a share from
    every block of values, added up in memory by this one program in a fixed order.
    """
    BLOCKS: tl.constexpr = (VALUES + BV - 1) // BV
    # Where registers are short: one chunk is a loop too, across whose ends the compiler moves
    # nothing, and a large S is loaded again rather than kept over the solve.
    LOOP: tl.constexpr = MANY or BLOCKS > 1 or (DT == F and PREC == "ieee")
    AGAIN: tl.constexpr = BK * BV >= 64 * 64
    pair = tl.program_id(0)
    batch = (pair // heads).to(tl.int64)
    head = pair % heads
    chunks = tl.cdiv(tokens, C)
    at_pair = pair.to(tl.int64) * (KEYS * VALUES)
    at_start = pair.to(tl.int64) * chunks * (BK * BV)
    o_start = tl.arange(0, BK)[:, None] * BV + tl.arange(0, BV)[None, :]
    sum_rate = tl.zeros([C], F)
    sum_bias = tl.zeros([C], F)

    for block in range(BLOCKS):
        if BLOCKS > 1:
            tl.debug_barrier()  # starts are read and shares written by the block before
        start = tl.cast(block * BV, tl.int32)
        more = start > 0
        o_s, m_s = state_offsets(start, KEYS, VALUES, BK, BV)
        b_s = tl.zeros([BK, BV], F)
        if p_state is not None:
            b_s = tl.load(p_state + at_pair + o_s, mask=m_s, other=0.0).to(F)
        if MANY:
            for chunk in range(chunks - 1):
                first = tl.cast(chunk, tl.int64) * C
                left = tokens - chunk * C
                o_c = chunk_rows(left, C)
                token = batch * tokens + first
                row = token * heads + head
                at_k, step_k = place(batch, first, head, k_batch, k_token, KEYS, UNIT)
                at_v, step_v = place(batch, first, head, v_batch, v_token, VALUES, UNIT)
                tl.store(p_starts + at_start + first * (BK * BV // C) + o_start, b_s)
                b_k, _, _, b_f, last, b_r = written(
                    p_k, p_v, p_g, p_beta, p_rate, p_bias, p_valid, b_s, at_k, step_k, at_v, step_v,
                    row, token, head, o_c, heads, left, start, KEYS, VALUES, BK, BV,
                    STRENGTH, DELTA, NORMALISE, GATED, DT, F, PREC, SOLVE,
                )  # fmt: skip
                b_s = advanced(b_s, b_k, b_f, last, b_r, p_g is not None, DT, F, PREC)
            at_last = at_start + (chunks - 1).to(tl.int64) * (BK * BV)
            tl.store(p_starts + at_last + o_start, b_s)
            tl.debug_barrier()  # every thread's part of the starts is written

        b_ds = tl.zeros([BK, BV], F)
        if p_dafter is not None:
            b_ds = tl.load(p_dafter + at_pair + o_s, mask=m_s, other=0.0).to(F)
        sum_weight = tl.zeros([BV], F)
        for step in range(chunks if LOOP else 1):
            chunk = (chunks if LOOP else 1) - 1 - step
            first = tl.cast(chunk, tl.int64) * C
            left = tokens - chunk * C
            o_c = chunk_rows(left, C)
            token = batch * tokens + first
            row = token * heads + head
            at_k, step_k = place(batch, first, head, k_batch, k_token, KEYS, UNIT)
            at_v, step_v = place(batch, first, head, v_batch, v_token, VALUES, UNIT)
            at_q, step_q = place(batch, first, head, q_batch, q_token, KEYS, UNIT)
            at_g, step_g = place(batch, first, head, gate_batch, gate_token, VALUES, UNIT)
            if MANY:
                b_s = tl.load(p_starts + at_start + first * (BK * BV // C) + o_start)

            # what needs k alone, so that it can go before the solve
            b_k = load_rows(p_k, at_k, o_c, step_k, left, 0, KEYS, BK)
            if NORMALISE:
                b_k, _ = unit_rows(b_k, F)
            b_b, b_slope = load_beta(
                p_beta, p_valid, row, token, o_c, heads, left, GATED, STRENGTH, F
            )
            if p_g is not None:
                b_g, _ = load_decay(
                    p_g, p_rate, p_bias, p_valid, row, token, head, o_c, heads, left, GATED, F
                )
                b_d, b_e, b_f, last = decays(b_g, o_c)
            else:
                b_d = causal(o_c, F)
            b_w = load_rows(p_v, at_v, o_c, step_v, left, start, VALUES, BV).to(F)
            b_dr = mm(b_k, b_ds, DT, F, PREC)
            if p_g is not None:
                b_dr *= b_f[:, None]
            if DELTA:
                b_recalled = mm(b_k, b_s, DT, F, PREC)
                if p_g is not None:
                    b_recalled *= b_e[:, None]
                b_w -= b_recalled
                b_kk = strict(mm(b_k, tl.trans(b_k), DT, F, PREC) * b_d, o_c)
            if p_do is not None:
                b_q = load_rows(p_q, at_q, o_c, step_q, left, 0, KEYS, BK)
                if NORMALISE:
                    b_q, _ = unit_rows(b_q, F)
                b_p = SCALE * lower(mm(b_q, tl.trans(b_k), DT, F, PREC) * b_d, o_c)
                b_do = load_rows(p_do, row * VALUES, o_c, heads * VALUES, left, start, VALUES, BV)
                if p_weight is None:
                    b_dr += mm(tl.trans(b_p), b_do, DT, F, PREC)

            # R, and z from all of dR
            b_r = b_b[:, None] * b_w
            if DELTA:
                b_t = inverse(b_b[:, None] * b_kk, o_c, F, SOLVE)
                b_r = mm(b_t, b_r, F, F, SOLVE)
            if p_do is not None:
                if p_weight is not None:
                    o_v = tl.arange(0, BV)
                    b_weight = tl.load(p_weight + o_v, mask=o_v < VALUES, other=0.0).to(F)
                    b_gate = load_rows(p_gate, at_g, o_c, step_g, left, 0, VALUES, BV).to(F)
                    b_o = SCALE * mm(b_q, b_s, DT, F, PREC)
                    if p_g is not None:
                        b_o *= b_e[:, None]
                    b_o += mm(b_p, b_r, DT, F, PREC)
                    b_root = tl.rsqrt(tl.sum(b_o * b_o, 1) / VALUES + EPS)
                    b_o *= b_root[:, None]
                    b_open = sigmoid(b_gate)
                    b_dy = b_do.to(F)
                    b_dgate = b_dy * b_o * b_weight[None, :]
                    b_dgate *= b_open * (1.0 + b_gate * (1.0 - b_open))
                    store_rows(p_dgate, row, o_c, heads, left, 0, b_dgate, VALUES, BV)
                    b_dy *= b_gate * b_open
                    sum_weight += tl.sum(b_dy * b_o, 0)
                    b_dy *= b_weight[None, :]
                    b_mean = tl.sum(b_dy * b_o, 1) / VALUES
                    b_do = b_root[:, None] * (b_dy - b_o * b_mean[:, None])
                    b_dr += mm(tl.trans(b_p), b_do, DT, F, PREC)
            o_c = chunk_rows(left - 1, C)  # offsets of what is loaded again are not kept
            b_z = b_dr
            if DELTA:
                b_z = mm(tl.trans(b_t), b_dr, F, F, SOLVE)
            store_rows(p_dv, row, o_c, heads, left, start, b_b[:, None] * b_z, VALUES, BV)
            b_db = tl.sum(b_z * b_w, 1)

            # what R wrote; k is loaded again rather than kept, which the registers do not allow
            if AGAIN:
                if MANY:
                    b_s = tl.load(p_starts + at_start + first * (BK * BV // C) + o_start)
                elif p_state is not None:
                    b_s = tl.load(p_state + at_pair + o_s, mask=m_s, other=0.0).to(F)
            b_k = load_rows(p_k, at_k, o_c, step_k, left, 0, KEYS, BK)
            if NORMALISE:
                b_k, b_rk = unit_rows(b_k, F)
            b_dk = mm(b_r, tl.trans(b_ds), DT, F, PREC)
            if p_g is not None:
                b_x = tl.zeros([C, C], F)
                b_dk *= b_f[:, None]
                b_phi = tl.sum(b_dk * b_k.to(F), 1)
                b_dg = tl.sum(tl.where(o_c[:, None] < o_c[None, :], b_phi[:, None], 0.0), 0)
                b_dg += last * tl.sum(tl.sum(b_ds * b_s, 1), 0)
                b_ds *= last
                b_row = tl.zeros([C], F)

            # what q read
            if p_do is not None:
                b_q = load_rows(p_q, at_q, o_c, step_q, left, 0, KEYS, BK)
                if NORMALISE:
                    b_q, b_rq = unit_rows(b_q, F)
                b_dp = lower(mm(b_do, tl.trans(b_r), DT, F, PREC), o_c)
                if p_g is not None:
                    b_x += b_dp * b_p
                b_dp *= SCALE * b_d
                b_dq = SCALE * mm(b_do, tl.trans(b_s), DT, F, PREC)
                b_do = SCALE * b_do.to(F)
                if p_g is not None:
                    b_dq *= b_e[:, None]
                    b_row += tl.sum(b_dq * b_q.to(F), 1)
                    b_do *= b_e[:, None]
                b_ds += mm(tl.trans(b_q), b_do, DT, F, PREC)
                b_dq += mm(b_dp, b_k, DT, F, PREC)
                b_dk += mm(tl.trans(b_dp), b_q, DT, F, PREC)
                if NORMALISE:
                    b_dq = unit_rows_gradient(b_dq, b_q, b_rq)
                add_rows(p_dq, row, o_c, heads, left, b_dq, more, KEYS, BK, BLOCKS)

            # what was recalled
            if DELTA:
                b_k = load_rows(p_k, at_k, o_c, step_k, left, 0, KEYS, BK)
                if NORMALISE:
                    b_k, b_rk = unit_rows(b_k, F)
                b_dm = -strict(mm(b_z, tl.trans(b_r), DT, F, PREC), o_c)
                b_db += tl.sum(b_dm * b_kk, 1)
                b_dm *= b_b[:, None]
                b_z *= b_b[:, None]
                b_back = mm(b_z, tl.trans(b_s), DT, F, PREC)
                if p_g is not None:
                    b_x += b_dm * b_kk
                    b_back *= b_e[:, None]
                    b_row -= tl.sum(b_back * b_k.to(F), 1)
                    b_z *= b_e[:, None]
                b_ds -= mm(tl.trans(b_k), b_z, DT, F, PREC)
                b_dm *= b_d
                b_dk += mm(b_dm + tl.trans(b_dm), b_k, DT, F, PREC) - b_back
            if NORMALISE:
                b_dk = unit_rows_gradient(b_dk, b_k, b_rk)
            add_rows(p_dk, row, o_c, heads, left, b_dk, more, KEYS, BK, BLOCKS)
            if p_beta is not None:
                add_tokens(p_dbeta, row, o_c, heads, left, b_slope * b_db, more, BLOCKS)
            if p_g is not None:
                b_since = tl.where(o_c[:, None] >= o_c[None, :], b_row[:, None], 0.0)
                b_dg += tl.sum(b_since, 0)
                # no difference of row and column sums, which would lose what a decay made small
                b_dg += tl.sum(strict(tl.cumsum(b_x, 0, reverse=True), o_c), 1)
                if GATED:
                    b_g, b_slope = load_decay(
                        p_g, p_rate, p_bias, p_valid, row, token, head, o_c, heads, left, GATED, F
                    )
                    sum_rate += b_dg * b_g
                    b_dg *= b_slope
                    sum_bias += b_dg
                elif p_valid is not None:
                    _, b_slope = load_decay(
                        p_g, p_rate, p_bias, p_valid, row, token, head, o_c, heads, left, GATED, F
                    )
                    b_dg *= b_slope
                add_tokens(p_dg, row, o_c, heads, left, b_dg, more, BLOCKS)
        if p_dstate is not None:
            p_ds = p_dstate + at_pair + o_s
            tl.store(p_ds, b_ds.to(p_ds.dtype.element_ty), mask=m_s)
        if p_dweight is not None:
            o_v = tl.arange(0, BV)
            tl.store(p_dweight + pair.to(tl.int64) * VALUES + o_v, sum_weight, mask=o_v < VALUES)
    if p_drate is not None:
        tl.store(p_drate + pair, tl.sum(sum_rate, 0))
        tl.store(p_dbias + pair, tl.sum(sum_bias, 0))
