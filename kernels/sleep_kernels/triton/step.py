"""The step kernel: one token, one launch, no matrix product."""

# Kernels are compiled from source; their arguments are tiles and pointers, not Python types.
# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False

from __future__ import annotations

import triton
import triton.language as tl

from sleep_kernels.triton.arguments import STRIDES
from sleep_kernels.triton.tiles import place, sigmoid, softplus, state_offsets

BY_BATCH = STRIDES[::2]


@triton.jit
def load_row(p, at, start, WIDTH: tl.constexpr, B: tl.constexpr, F: tl.constexpr):
    """Load one row ``[B]`` of WIDTH columns at offset `at`, from column `start` on."""
    o_d = start + tl.arange(0, B)
    return tl.load(p + at + o_d, mask=o_d < WIDTH, other=0.0).to(F)


@triton.jit(do_not_specialize=[*BY_BATCH, "heads"])
def step_kernel(
    p_q, p_k, p_v, p_g, p_beta, p_state, p_rate, p_bias, p_weight, p_gate, p_valid,
    p_o, p_after, p_chunks, p_change,
    q_batch, k_batch, v_batch, gate_batch, heads,
    KEYS: tl.constexpr, VALUES: tl.constexpr, BK: tl.constexpr, BV: tl.constexpr,
    UNIT: tl.constexpr,
    SCALE: tl.constexpr, STRENGTH: tl.constexpr, EPS: tl.constexpr,
    DELTA: tl.constexpr, NORMALISE: tl.constexpr, GATED: tl.constexpr,
    F: tl.constexpr,
):  # fmt: skip
    """One token of one (batch, head) and one block of values; programs along grid axis 0.

    In order::

        S <- a S     r = b (v - S^T k)     S <- S + k r^T     o = SCALE S^T q

    (``r = b v`` where not DELTA.) Everything is in F: a step is bound by reading and writing S.
    Yang et al. arXiv 2412.06464 equation 10.
    """
    BLOCKS: tl.constexpr = (VALUES + BV - 1) // BV
    pair = tl.program_id(0) // BLOCKS
    start = (tl.program_id(0) % BLOCKS) * BV
    batch = (pair // heads).to(tl.int64)
    head = pair % heads
    row = pair.to(tl.int64)
    o_s, m_s = state_offsets(start, KEYS, VALUES, BK, BV)
    at_pair = row * (KEYS * VALUES)

    b_s = tl.zeros([BK, BV], F)
    if p_state is not None:
        b_s = tl.load(p_state + at_pair + o_s, mask=m_s, other=0.0).to(F)
    if p_chunks is not None:
        tl.store(p_chunks + at_pair + o_s, b_s, mask=m_s)
    kept = True
    if p_valid is not None:
        kept = tl.load(p_valid + pair // heads) != 0
    at_k, _ = place(batch, 0, head, k_batch, 0, KEYS, UNIT)
    b_k = load_row(p_k, at_k, 0, KEYS, BK, F)
    if NORMALISE:
        b_k *= tl.rsqrt(tl.sum(b_k * b_k, 0) + 1e-6)
    at_v, _ = place(batch, 0, head, v_batch, 0, VALUES, UNIT)
    b_r = load_row(p_v, at_v, start, VALUES, BV, F)
    if p_g is not None:
        g = tl.load(p_g + row).to(F)
        if GATED:
            g += tl.load(p_bias + head).to(F)
            g = -tl.exp(tl.load(p_rate + head).to(F)) * softplus(g)
        if p_valid is not None:
            g = tl.where(kept, g, 0.0)
        b_s *= tl.exp(g)
    if DELTA:
        b_r -= tl.sum(b_s * b_k[:, None], 0)
    if p_beta is not None:
        b = tl.load(p_beta + row).to(F)
        if GATED:
            b = STRENGTH * sigmoid(b)
        b_r *= b
    if p_valid is not None:
        b_r = tl.where(kept, b_r, 0.0)
    b_s += b_k[:, None] * b_r[None, :]
    if p_q is not None:
        at_q, _ = place(batch, 0, head, q_batch, 0, KEYS, UNIT)
        b_q = load_row(p_q, at_q, 0, KEYS, BK, F)
        if NORMALISE:
            b_q *= tl.rsqrt(tl.sum(b_q * b_q, 0) + 1e-6)
        b_o = SCALE * tl.sum(b_s * b_q[:, None], 0)
        if p_weight is not None:
            at_g, _ = place(batch, 0, head, gate_batch, 0, VALUES, UNIT)
            b_gate = load_row(p_gate, at_g, 0, VALUES, BV, F)
            b_o *= tl.rsqrt(tl.sum(b_o * b_o, 0) / VALUES + EPS)
            b_o *= load_row(p_weight, 0, 0, VALUES, BV, F) * (b_gate * sigmoid(b_gate))
        o_v = start + tl.arange(0, BV)
        p_x = p_o + row * VALUES + o_v
        tl.store(p_x, b_o.to(p_x.dtype.element_ty), mask=o_v < VALUES)
    tl.store(p_after + at_pair + o_s, b_s, mask=m_s)
    if p_change is not None:
        if p_state is not None:
            b_s -= tl.load(p_state + at_pair + o_s, mask=m_s, other=0.0).to(F)
        tl.store(p_change + tl.program_id(0), tl.sum(tl.sum(b_s * b_s, 1), 0))
