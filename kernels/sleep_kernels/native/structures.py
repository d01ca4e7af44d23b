"""The structures that the library takes, field by field as in its headers."""

from __future__ import annotations

import ctypes

from sleep_kernels.operators import Inputs, Settings

STRIDED = ("q", "k", "v", "log_decay", "beta", "gate")
"""Inputs of a rule that may be slices of wider tensors."""
GRADIENTS = tuple(f"d_{name}" for name in Inputs._fields[:-1])
BUFFERS = ("output", "after", "chunks", "d_output", "d_after", *GRADIENTS)
"""Pointers of a rule's call besides its inputs; null where not needed."""
NUMBERS = ("scale", "strength", "eps")
FLAGS = ("delta", "normalise", "gated")
"""The settings that the library takes."""
assert {*NUMBERS, *FLAGS} <= {*Settings._fields}


def _structure(sizes: str, tensors: str, numbers: str = "") -> type[ctypes.Structure]:
    """Return a structure: whole numbers, real numbers, then pointers."""
    kinds = ((sizes, ctypes.c_int64), (numbers, ctypes.c_double), (tensors, ctypes.c_void_p))
    fields = [(name, kind) for names, kind in kinds for name in names.split()]
    return type("Structure", (ctypes.Structure,), {"_fields_": fields})


class Call(ctypes.Structure):
    """``sleep::Call`` of ``rule.h``."""

    _fields_ = [
        *((x, ctypes.c_int64) for x in ("batch", "tokens", "heads", "keys", "values", "threads")),
        *((name, ctypes.c_void_p) for name in Inputs._fields),
        *((f"{name}_{axis}", ctypes.c_int64) for name in STRIDED for axis in ("batch", "token")),
        *((name, ctypes.c_double) for name in NUMBERS),
        *((name, ctypes.c_int64) for name in FLAGS),
        *((name, ctypes.c_void_p) for name in BUFFERS),
    ]


Convolution = _structure(
    "batch tokens channels taps activate groups threads x_batch x_token",
    "x tail weight d_y y d_x d_tail d_weight",
)
Rows = _structure("rows channels groups threads", "x weight d_y y d_x d_weight", "eps")
Turn = _structure(
    "batch heads tokens channels direction threads x_batch x_head x_token y_batch y_head y_token",
    "x cos sin y",
)
ALL: dict[str, type[ctypes.Structure]] = {
    "call": Call, "convolution": Convolution, "rows": Rows, "turn": Turn
}  # fmt: skip
"""By the names under which the library reports their sizes."""
