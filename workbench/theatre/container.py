"""A scene as bytes: ``sleep-scene/1``, the form in which a browser gets it.

8 bytes `MAGIC`; the header's length as uint32, little-endian; the header, UTF-8 JSON, padded with
spaces; then the arrays, in C order and little-endian. Header and arrays each begin or end at a
multiple of 8. ``header["arrays"]`` gives the dtype, dims, shape and offset (from the header's end)
of each array. ``frontend/src/data/scene.ts`` reads it, and refuses what is damaged.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import xarray as xr

from workbench.errors import WorkbenchError

MAGIC: Final = b"sleepsc1"
SCHEMA: Final = "sleep-scene/1"
LONGEST_HEADER: Final = 4 * 2**20
STEP: Final = 8
"""Bytes that everything is aligned to."""
DTYPES: Final = ("float16", "float32", "uint8", "int8", "int16", "int32")


@dataclass(frozen=True, eq=False)
class Scene:
    """One example's sleep, ready to be drawn.

    `header` is plain data (see `workbench.theatre.scene`), without ``arrays``; `arrays` holds the
    numbers, over dims of `workbench.dims`.
    """

    header: dict[str, Any]
    arrays: xr.Dataset


def encode(scene: Scene) -> bytes:
    """Return a scene as bytes.

    Raises WorkbenchError: the header is not plain data, or too long; an array has another dtype.
    """
    described, parts, offset = {}, [], 0
    for name, values in scene.arrays.data_vars.items():
        if values.dtype.name not in DTYPES:
            raise _wrong(f"{name} of dtype {values.dtype.name}", f"one of {', '.join(DTYPES)}")
        stored = np.ascontiguousarray(values.values, values.dtype.newbyteorder("<"))
        described[str(name)] = {
            "dtype": values.dtype.name,
            "dims": list(values.dims),
            "shape": list(values.shape),
            "offset": offset,
        }
        parts.append(_padded(stored.tobytes()))
        offset += len(parts[-1])
    whole = {**scene.header, "schema": SCHEMA, "arrays": described}
    try:
        text = json.dumps(whole, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        header = text.encode()
    except (TypeError, ValueError) as error:
        raise _wrong(f"a header that is not plain data ({error})", "text, numbers, lists") from None
    start = len(MAGIC) + 4
    header += b" " * (-(start + len(header)) % STEP)
    if len(header) > LONGEST_HEADER:
        raise _wrong(f"a header of {len(header):,} bytes", f"at most {LONGEST_HEADER:,}")
    return b"".join((MAGIC, struct.pack("<I", len(header)), header, *parts))


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % STEP)


def _wrong(given: str, expected: str) -> WorkbenchError:
    return WorkbenchError(f"a scene with {given}", expected, "make it again with this version")
