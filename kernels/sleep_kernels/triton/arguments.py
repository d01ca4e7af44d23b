"""The arguments that every kernel takes, from the inputs and settings of a call."""

from __future__ import annotations

import math
import os
from typing import Any, NamedTuple

import torch
import triton.language as tl
from torch import Tensor

from sleep_kernels.contract import CHUNK
from sleep_kernels.operators import Inputs, Settings, heads_packed

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
"""Kernels run in Triton's interpreter, on the CPU; read when triton is imported."""


def all_indexable(inputs: Inputs) -> Inputs:
    """Return the inputs as the kernels index them.

    q, k, v and gate are left as they are where `indexable` allows, so that slices of a wider
    tensor cost no copy; the others, small or never sliced, are contiguous, and valid is uint8.
    """
    strided = ("q", "k", "v", "gate")
    found = {
        name: indexable(x) if name in strided else None if x is None else x.contiguous()
        for name, x in inputs._asdict().items()
    }
    valid = found["valid"]
    if valid is not None and valid.dtype == torch.bool:
        found["valid"] = valid.view(torch.uint8)
    return Inputs(**found)  # type: ignore[arg-type]


STRIDES = (
    "q_batch", "q_token", "k_batch", "k_token", "v_batch", "v_token", "gate_batch", "gate_token"
)  # fmt: skip
"""Names of the strides of q, k, v and gate, as the kernels take them."""
MOST_STEP = 2**31 // CHUNK
"""Elements between two tokens up to which offsets within a chunk fit 32 bits."""


def indexable(x: Tensor | None) -> Tensor | None:
    """Return ``[batch, token, gdn_head, width]`` as it is, or copied where heads are not packed.

    What the kernels index: any batch and token stride, one head's row right after the other's.
    """
    if x is None:
        return None
    near = x.stride(1) < MOST_STEP or x.shape[1] == 1
    return x if near and heads_packed(x) else x.contiguous()


def strides_of(inputs: Inputs) -> dict[str, int]:
    """Return `STRIDES` by name, and UNIT, which they count in.

    The unit, in elements, is the largest power of two up to 16 that divides all of them. It is
    compiled into the kernel and the strides are not: one kernel serves all aligned strides.
    """
    strides = [
        0 if x is None or x.shape[axis] == 1 else x.stride(axis)
        for x in (inputs.q, inputs.k, inputs.v, inputs.gate)
        for axis in (0, 1)
    ]
    unit = math.gcd(16, *strides)
    counted = zip(STRIDES, (stride // unit for stride in strides), strict=True)
    return {**dict(counted), "UNIT": unit}


class Precision(NamedTuple):
    """How a kernel takes its products: see `sleep_kernels.triton.tiles`."""

    DT: tl.dtype
    F: tl.dtype
    PREC: str
    SOLVE: str

    def in_pieces(self) -> Precision:
        """Return the same with IEEE float32 products in pieces, as the forward takes them.

        The backward does not: there, what the pieces wait for takes more than they save.
        """
        return self._replace(PREC="pieces", SOLVE="pieces") if self.SOLVE == "ieee" else self


def precision(dtypes: set[torch.dtype], tf32: bool, interpreted: bool = INTERPRETED) -> Precision:
    """Return how products of q, k and v of these dtypes are taken.

    bfloat16: products in bfloat16, the solve in three TF32 products, which keeps float32's digits.
    With float16 among them: TF32, which holds float16's digits and float32's range (S and its
    gradient can leave float16's). float32: IEEE, or TF32 if allowed. The interpreter always
    computes in float32 (its bfloat16 products are wrong), or in float64 for float64 inputs.
    """
    if torch.float64 in dtypes:
        if not interpreted:
            raise RuntimeError("float64 inputs; expected float32, bfloat16 or float16; cast them")
        return Precision(tl.float64, tl.float64, "ieee", "ieee")
    if interpreted:
        return Precision(tl.float32, tl.float32, "ieee", "ieee")
    if dtypes == {torch.bfloat16}:
        return Precision(tl.bfloat16, tl.float32, "ieee", "tf32x3")
    if tf32 or torch.float32 not in dtypes:
        return Precision(tl.float32, tl.float32, "tf32", "tf32x3")
    return Precision(tl.float32, tl.float32, "ieee", "ieee")


def constants(inputs: Inputs, settings: Settings, *, pieces: bool = False) -> dict[str, Any]:
    """Return the constants of a call's kernels; with `pieces`, of its forward kernel."""
    dtypes = {x.dtype for x in (inputs.q, inputs.k, inputs.v) if x is not None}
    chosen = precision(dtypes, settings.tf32)
    return {
        "KEYS": inputs.k.shape[-1],
        "VALUES": inputs.v.shape[-1],
        "C": CHUNK,
        "SCALE": settings.scale,
        "STRENGTH": settings.strength,
        "EPS": settings.eps,
        "MANY": inputs.k.shape[1] > CHUNK,
        "DELTA": settings.delta,
        "NORMALISE": settings.normalise,
        "GATED": settings.gated,
        **(chosen.in_pieces() if pieces else chosen)._asdict(),
    }


def kernel_dtype(inputs: Inputs, settings: Settings) -> str:
    """Return "bf16", "tf32" or "fp32": how the products of a call are taken on a GPU."""
    dtypes = {x.dtype for x in (inputs.q, inputs.k, inputs.v) if x is not None}
    chosen = precision(dtypes - {torch.float64} or {torch.float32}, settings.tf32, False)
    if chosen.DT == tl.bfloat16:
        return "bf16"
    return "tf32" if chosen.PREC == "tf32" else "fp32"
