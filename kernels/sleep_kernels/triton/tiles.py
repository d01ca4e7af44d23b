"""Tiles shared by the kernels: loads, gates, decays, and the solve of I + M.

Tile names: ``b_*`` is a block of registers, ``p_*`` a pointer, ``o_*`` offsets. C is the chunk's
tokens, ``[C, C]`` tiles have the reading token i along rows and the written token j along columns.
Constants every kernel takes: ``DT`` is what the big products are taken in, ``F`` what everything
else is kept in (float32; float64 for an oracle run in the interpreter), ``PREC`` and ``SOLVE`` the
precision of float32 products outside and inside the solve, as `mm` takes it.
"""

# Kernels are compiled from source; their arguments are tiles and pointers, not Python types.
# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def halves(b_x, b_y):
    """Cut ``[m, k]`` and ``[k, n]`` in two along k."""
    M: tl.constexpr = b_x.shape[0]
    K: tl.constexpr = b_x.shape[1]
    N: tl.constexpr = b_y.shape[1]
    b_x1, b_x2 = tl.split(tl.permute(tl.reshape(b_x, [M, 2, K // 2]), (0, 2, 1)))
    b_y1, b_y2 = tl.split(tl.permute(tl.reshape(b_y, [2, K // 2, N]), (1, 2, 0)))
    return b_x1, b_y1, b_x2, b_y2


@triton.jit
def product_16(b_x, b_y):
    """IEEE product of 16 inner entries."""
    return tl.dot(b_x, b_y, input_precision="ieee", out_dtype=b_x.dtype)


@triton.jit
def product_32(b_x, b_y):
    """IEEE product of up to 32 inner entries, 16 at a time."""
    if b_x.shape[1] > 16:
        b_x1, b_y1, b_x2, b_y2 = halves(b_x, b_y)
        b_out = product_16(b_x1, b_y1)
        b_out += product_16(b_x2, b_y2)
    else:
        b_out = product_16(b_x, b_y)
    return b_out


@triton.jit
def product_64(b_x, b_y):
    """IEEE product of up to 64 inner entries, 16 at a time."""
    if b_x.shape[1] > 32:
        b_x1, b_y1, b_x2, b_y2 = halves(b_x, b_y)
        b_out = product_32(b_x1, b_y1)
        b_out += product_32(b_x2, b_y2)
    else:
        b_out = product_32(b_x, b_y)
    return b_out


@triton.jit
def product_128(b_x, b_y):
    """IEEE product of up to 128 inner entries, 16 at a time (a kernel cannot recurse)."""
    if b_x.shape[1] > 64:
        b_x1, b_y1, b_x2, b_y2 = halves(b_x, b_y)
        b_out = product_64(b_x1, b_y1)
        b_out += product_64(b_x2, b_y2)
    else:
        b_out = product_64(b_x, b_y)
    return b_out


@triton.jit
def mm(b_x, b_y, DT: tl.constexpr, F: tl.constexpr, PREC: tl.constexpr):
    """Product ``[m, k] [k, n]`` in DT, summed in F; tensor cores want 16 or more of each.

    Where PREC is "pieces" the product is IEEE, 16 inner entries at a time: without tensor cores a
    thread holds whole rows of `b_x` and columns of `b_y`, more than there are registers.
    """
    tl.static_assert(b_x.shape[0] >= 16, "tl.dot needs 16 rows or more")
    tl.static_assert(b_x.shape[1] >= 16, "tl.dot needs an inner size of 16 or more")
    tl.static_assert(b_y.shape[1] >= 16, "tl.dot needs 16 columns or more")
    if PREC == "pieces":
        b_out = product_128(b_x.to(F), b_y.to(F))
    else:
        b_out = tl.dot(b_x.to(DT), b_y.to(DT), input_precision=PREC, out_dtype=F)
    return b_out


@triton.jit
def chunk_rows(left, C: tl.constexpr):
    """Return 0 .. C - 1, in a way that ties it to the loop over chunks.

    ``left >= 0``, so the shift adds 0. Without it the compiler lifts every mask and offset that is
    made of these numbers out of the loop, holds dozens of registers for them, and spills others.
    Rows of ``left - 1`` are the same, but not to the compiler: it computes their offsets again.
    """
    return tl.arange(0, C) + (left >> 31)


@triton.jit
def place(batch, first, head, by_batch, by_token, WIDTH: tl.constexpr, UNIT: tl.constexpr):
    """Offset of a head's row of one token in ``[batch, token, gdn_head, WIDTH]``, and its step.

    The step leads to the next token's row. Strides are counted in units of UNIT elements: the
    compiler sees in the product by what an address can be divided, and loads 16 bytes at a time,
    without a separate kernel for every stride. `batch` and `first` are int64, as offsets may be.
    """
    return (batch * by_batch + first * by_token) * UNIT + head * WIDTH, by_token * UNIT


@triton.jit
def row_offsets(o_c, step, left, start, WIDTH: tl.constexpr, B: tl.constexpr):
    """Offsets and mask ``[C, B]`` of a chunk of ``[batch, token, gdn_head, WIDTH]``.

    Relative to the row of the chunk's first token; `step` leads to the next token's row, `left`
    tokens are left, `start` is the first column.
    """
    o_d = start + tl.arange(0, B)
    offsets = o_c[:, None] * step + o_d[None, :]
    mask = (o_c < left)[:, None]
    if WIDTH % B != 0:
        mask = mask & (o_d < WIDTH)[None, :]
    return offsets, mask


@triton.jit
def load_rows(p, at, o_c, step, left, start, WIDTH: tl.constexpr, B: tl.constexpr):
    """Load a chunk of ``[batch, token, gdn_head, WIDTH]`` as ``[C, B]``, zeros past the end.

    `at` and `step` are of its `place`.
    """
    offsets, mask = row_offsets(o_c, step, left, start, WIDTH, B)
    return tl.load(p + at + offsets, mask=mask, other=0.0)


@triton.jit
def store_rows(p, row, o_c, heads, left, start, b_x, WIDTH: tl.constexpr, B: tl.constexpr):
    """Store a ``[C, B]`` chunk of a contiguous ``[batch, token, gdn_head, WIDTH]``."""
    offsets, mask = row_offsets(o_c, heads * WIDTH, left, start, WIDTH, B)
    p_x = p + row * WIDTH + offsets
    tl.store(p_x, b_x.to(p_x.dtype.element_ty), mask=mask)


@triton.jit
def add_rows(
    p, row, o_c, heads, left, b_x, more,
    WIDTH: tl.constexpr, B: tl.constexpr, BLOCKS: tl.constexpr,
):  # fmt: skip
    """Store a chunk, or add it where `more`: gradients summed over the blocks of values."""
    offsets, mask = row_offsets(o_c, heads * WIDTH, left, 0, WIDTH, B)
    p_x = p + row * WIDTH + offsets
    if BLOCKS > 1:
        b_x += tl.load(p_x, mask=mask & more, other=0.0)
        tl.debug_barrier()  # a thread may hold a copy of what another stores
    tl.store(p_x, b_x.to(p_x.dtype.element_ty), mask=mask)


@triton.jit
def add_tokens(p, row, o_c, heads, left, b_x, more, BLOCKS: tl.constexpr):
    """Store, or add where `more`, a chunk ``[C]`` of ``[batch, token, gdn_head]``."""
    p_x = p + row + o_c * heads
    if BLOCKS > 1:
        b_x += tl.load(p_x, mask=(o_c < left) & more, other=0.0)
        tl.debug_barrier()  # a thread may hold a copy of what another stores
    tl.store(p_x, b_x.to(p_x.dtype.element_ty), mask=o_c < left)


@triton.jit
def state_offsets(
    start, KEYS: tl.constexpr, VALUES: tl.constexpr, BK: tl.constexpr, BV: tl.constexpr
):
    """Offsets and mask ``[BK, BV]`` of one S ``[key, value]`` from column `start` on."""
    o_k = tl.arange(0, BK)
    o_v = start + tl.arange(0, BV)
    mask = tl.full([BK, BV], 1, tl.int1)
    if KEYS % BK != 0:
        mask = mask & (o_k < KEYS)[:, None]
    if VALUES % BV != 0:
        mask = mask & (o_v < VALUES)[None, :]
    return o_k[:, None] * VALUES + o_v[None, :], mask


@triton.jit
def unit_rows(b_x, F: tl.constexpr):
    """Return rows over their norm ``x rsqrt(sum x^2 + 1e-6)``, and the factor."""
    b_x = b_x.to(F)
    b_r = tl.rsqrt(tl.sum(b_x * b_x, 1) + 1e-6)
    return b_x * b_r[:, None], b_r


@triton.jit
def unit_rows_gradient(b_d, b_unit, b_r):
    """Gradient of the rows before `unit_rows`: ``r (d - unit <unit, d>)``."""
    return b_r[:, None] * (b_d - b_unit * tl.sum(b_d * b_unit, 1)[:, None])


@triton.jit
def sigmoid(x):
    """1 / (1 + exp(-x)) without overflow."""
    small = tl.exp(-tl.abs(x))
    return tl.where(x >= 0, 1.0, small) / (1.0 + small)


@triton.jit
def softplus(x):
    """log(1 + exp(x)) to full relative precision.

    ``max(x, 0) + log1p(y)`` with ``y = exp(-|x|)``, and ``log1p(y) = 2 atanh(s)`` with
    ``s = y / (2 + y) <= 1/3``, by its series. log(1 + y) itself would lose every digit of a small
    y, and Triton has no log1p.
    """
    y = tl.exp(-tl.abs(x))
    s = y / (2.0 + y)
    square = s * s
    series = square * 0.0 + 1.0 / 33
    for i in tl.static_range(16):
        series = series * square + 1.0 / (31 - 2 * i)
    return tl.maximum(x, 0.0) + 2.0 * s * series


@triton.jit
def load_decay(
    p_g, p_rate, p_bias, p_valid, row, token, head, o_c, heads, left,
    GATED: tl.constexpr, F: tl.constexpr,
):  # fmt: skip
    """Load log a ``[C]``: given, or ``-exp(log_rate) softplus(g + decay_bias)``.

    Returns it with the gradient of it by the raw projection. Padding does not decay. Clamped at
    -1e30, where exp is zero in any precision, so that -inf (a = 0) meets no 0 * inf.
    """
    b_g = tl.load(p_g + row + o_c * heads, mask=o_c < left, other=0.0).to(F)
    b_slope = tl.full(o_c.shape, 1.0, F)
    if GATED:
        rate = tl.exp(tl.load(p_rate + head).to(F))
        b_g += tl.load(p_bias + head).to(F)
        b_slope = -rate * sigmoid(b_g)
        b_g = -rate * softplus(b_g)
    kept = o_c < left
    if p_valid is not None:
        kept = tl.load(p_valid + token + o_c, mask=kept, other=0) != 0
    return tl.where(kept, tl.maximum(b_g, -1e30), 0.0), tl.where(kept, b_slope, 0.0)


@triton.jit
def load_beta(
    p_beta, p_valid, row, token, o_c, heads, left,
    GATED: tl.constexpr, STRENGTH: tl.constexpr, F: tl.constexpr,
):  # fmt: skip
    """Load b ``[C]``: 1, given, or ``strength sigmoid(beta)``; and its slope. Padding gets 0."""
    kept = o_c < left
    b_b = tl.full(o_c.shape, 1.0, F)
    b_slope = tl.full(o_c.shape, 1.0, F)
    if p_beta is not None:
        b_b = tl.load(p_beta + row + o_c * heads, mask=kept, other=0.0).to(F)
        if GATED:
            b_slope = STRENGTH * sigmoid(b_b) * sigmoid(-b_b)
            b_b = STRENGTH * sigmoid(b_b)
    if p_valid is not None:
        kept = tl.load(p_valid + token + o_c, mask=kept, other=0) != 0
    return tl.where(kept, b_b, 0.0), tl.where(kept, b_slope, 0.0)


@triton.jit
def causal(o_c, F: tl.constexpr):
    """D without decay: ones for i >= j."""
    return tl.where(o_c[:, None] >= o_c[None, :], 1.0, 0.0).to(F)


@triton.jit
def decays(b_g, o_c):
    """Return D ``[C, C]``, e ``[C]``, f ``[C]`` and l of a chunk's log a ``[C]``.

    ``D_ij = exp(sum of g over j < m <= i)``, ``e_i = exp(sum over m <= i)``,
    ``f_j = exp(sum over m > j)``, ``l = exp(sum)``. Every exponent is summed over its own segment,
    never taken as a difference of two running sums: after a strong decay that difference has no
    correct digit in float32. All terms have one sign, so each sum is good to a few units in the
    last place, and no exponent is ever positive.
    """
    later = o_c[:, None] > o_c[None, :]
    b_later = tl.where(later, b_g[:, None], 0.0)
    b_d = tl.where(later | (o_c[:, None] == o_c[None, :]), tl.exp(tl.cumsum(b_later, 0)), 0.0)
    b_e = tl.exp(tl.sum(tl.where(o_c[None, :] <= o_c[:, None], b_g[None, :], 0.0), 1))
    b_f = tl.exp(tl.sum(b_later, 0))
    return b_d, b_e, b_f, tl.exp(tl.sum(b_g, 0))


@triton.jit
def strict(b_x, o_c):
    """Strict lower triangle of a ``[C, C]`` tile."""
    return tl.where(o_c[:, None] > o_c[None, :], b_x, 0.0)


@triton.jit
def lower(b_x, o_c):
    """Lower triangle of a ``[C, C]`` tile."""
    return tl.where(o_c[:, None] >= o_c[None, :], b_x, 0.0)


@triton.jit
def inverse(b_m, o_c, F: tl.constexpr, SOLVE: tl.constexpr):
    """(I + M)^-1 ``[C, C]`` of a strictly lower triangular M, by substitution.

    First the two 16 x 16 diagonal blocks at once: in step j, every later row of a block loses
    ``M_ij`` times the finished row j. Rows j and j + 16 of a block-diagonal tile have no column in
    common, so one masked sum reads both. Then the block below them, ``-T_2 M_21 T_1``. Never by
    doubling (Neumann products), which is wrong by orders of magnitude for near-collinear keys in
    float32.
    """
    tl.static_assert(b_m.shape[0] == 32, "the solve is written for two blocks of 16")
    same = (o_c // 16)[:, None] == (o_c // 16)[None, :]
    b_in = tl.where(same, b_m, 0.0)
    b_t = tl.where(o_c[:, None] == o_c[None, :], 1.0, 0.0).to(F)
    for j in range(15):
        at = (o_c % 16) == j
        b_column = tl.sum(tl.where(at[None, :], b_in, 0.0), 1)
        b_row = tl.sum(tl.where(at[:, None], b_t, 0.0), 0)
        b_t -= tl.where(same, b_column[:, None] * b_row[None, :], 0.0)
    return b_t - mm(b_t, mm(b_m - b_in, b_t, F, F, SOLVE), F, F, SOLVE)


@triton.jit
def written(
    p_k, p_v, p_g, p_beta, p_rate, p_bias, p_valid, b_s, at_k, step_k, at_v, step_v,
    row, token, head, o_c, heads, left, start,
    KEYS: tl.constexpr, VALUES: tl.constexpr, BK: tl.constexpr, BV: tl.constexpr,
    STRENGTH: tl.constexpr, DELTA: tl.constexpr, NORMALISE: tl.constexpr, GATED: tl.constexpr,
    DT: tl.constexpr, F: tl.constexpr, PREC: tl.constexpr, SOLVE: tl.constexpr,
):  # fmt: skip
    """Return what a chunk writes and what that took: k, D, e, f, l and R.

    ``R = (I + M)^-1 b * (V - e * (K S))`` with ``M = b * stril(K K^T * D)``, or ``b * V`` where
    not DELTA. Without decay e, f and l stand for ones and must not be used.
    """
    b_k = load_rows(p_k, at_k, o_c, step_k, left, 0, KEYS, BK)
    if NORMALISE:
        b_k, _ = unit_rows(b_k, F)
    b_r = load_rows(p_v, at_v, o_c, step_v, left, start, VALUES, BV).to(F)
    b_b, _ = load_beta(p_beta, p_valid, row, token, o_c, heads, left, GATED, STRENGTH, F)
    b_d = causal(o_c, F)
    b_e, b_f, last = b_b, b_b, 1.0
    if p_g is not None:
        b_g, _ = load_decay(
            p_g, p_rate, p_bias, p_valid, row, token, head, o_c, heads, left, GATED, F
        )
        b_d, b_e, b_f, last = decays(b_g, o_c)
    if DELTA:
        b_m = b_b[:, None] * strict(mm(b_k, tl.trans(b_k), DT, F, PREC) * b_d, o_c)
        b_t = inverse(b_m, o_c, F, SOLVE)
        b_recalled = mm(b_k, b_s, DT, F, PREC)
        if p_g is not None:
            b_recalled *= b_e[:, None]
        b_r = mm(b_t, b_b[:, None] * (b_r - b_recalled), F, F, SOLVE)
    else:
        b_r *= b_b[:, None]
    return b_k, b_d, b_e, b_f, last, b_r


@triton.jit
def advanced(
    b_s, b_k, b_f, last, b_r, DECAY: tl.constexpr, DT: tl.constexpr, F: tl.constexpr,
    PREC: tl.constexpr,
):  # fmt: skip
    """S after a chunk: ``l S + K^T (f * R)``."""
    if DECAY:
        b_s *= last
        b_r *= b_f[:, None]
    return b_s + mm(tl.trans(b_k), b_r, DT, F, PREC)
