"""A scene as bytes, and back: ``sleep-scene/1``, the form in which a browser gets it.

8 bytes `MAGIC`; the header's length as uint32, little-endian; the header, UTF-8 JSON, padded with
spaces; then the arrays, in C order and little-endian. Header and arrays each begin or end at a
multiple of 8. ``header["arrays"]`` gives the dtype, dims, shape and offset (from the header's end)
of each array. The front end has its own reader.
"""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import xarray as xr

from workbench.errors import WorkbenchError
from workbench.files import parse_json

MAGIC: Final = b"sleepsc1"
SCHEMA: Final = "sleep-scene/1"
LONGEST_HEADER: Final = 4 * 2**20
STEP: Final = 8
"""Bytes that everything is aligned to."""
DTYPES: Final = ("float16", "float32", "uint8", "int8", "int16", "int32")
MOST_NUMBERS: Final = 2**31
"""Most numbers of one array."""


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


def decode(data: bytes) -> Scene:
    """Return the scene in some bytes.

    Raises WorkbenchError: the bytes are not a scene of this schema, or damaged.
    """
    start = len(MAGIC) + 4
    if len(data) < start or data[: len(MAGIC)] != MAGIC:
        raise _wrong(f"{len(data):,} bytes that begin with {data[:8]!r}", repr(MAGIC))
    (length,) = struct.unpack_from("<I", data, len(MAGIC))
    end = start + length
    if length > LONGEST_HEADER or end > len(data) or end % STEP:
        raise _wrong(
            f"a header of {length:,} bytes in {len(data):,}",
            f"at most {LONGEST_HEADER:,}, whole, and ending at a multiple of {STEP}",
        )
    try:
        text = data[start:end].decode("utf-8")
    except UnicodeDecodeError as error:
        raise _wrong(f"a header that is not UTF-8 (byte {error.start})", "UTF-8") from None
    header = parse_json(text, what="the header of a scene")
    if not isinstance(header, dict) or header.get("schema") != SCHEMA:
        found = header.get("schema") if isinstance(header, dict) else type(header).__name__
        raise _wrong(f"schema {found!s:.40}", SCHEMA)
    described = header.pop("arrays", None)
    if not isinstance(described, dict):
        raise _wrong("a header without arrays", "dtype, dims, shape and offset of each")
    body = memoryview(data)[end:]
    variables: dict[str, tuple[list[str], np.ndarray]] = {}
    sizes: dict[str, int] = {}
    taken = 0
    for name, about in described.items():
        dims, values, stop = _array(name, about, body, taken)
        for dim, size in zip(dims, values.shape, strict=True):
            if sizes.setdefault(dim, size) != size:
                raise _wrong(f"{name:.40} with {dim:.40} = {size}", f"{sizes[dim]}, as elsewhere")
        variables[name], taken = (dims, values), stop
    if len(body) != taken + -taken % STEP:
        raise _wrong(f"{len(body):,} bytes of arrays", f"{taken + -taken % STEP:,}")
    return Scene(header, xr.Dataset(variables))


def _array(
    name: str, about: Any, body: memoryview, taken: int
) -> tuple[list[str], np.ndarray, int]:
    """Return an array's dims and values, and where it ends; it begins where the last one ended."""
    name = f"{name:.40}"
    about = about if isinstance(about, dict) else {}
    dtype, dims, shape = about.get("dtype"), about.get("dims"), about.get("shape")
    if dtype not in DTYPES:
        raise _wrong(f"{name} of dtype {dtype!s:.40}", f"one of {', '.join(DTYPES)}")
    named = _list_of(dims, str) and len(set(dims)) == len(dims) and name not in dims
    if not named or not _list_of(shape, int) or len(dims) != len(shape):
        raise _wrong(f"{name} with dims {dims!s:.60} and shape {shape!s:.60}", "one size for each")
    if min(shape, default=0) < 0 or math.prod(shape) > MOST_NUMBERS:
        raise _wrong(f"{name} of shape {shape!s:.60}", f"0 to {MOST_NUMBERS:,} numbers")
    kind, offset = np.dtype(dtype).newbyteorder("<"), about.get("offset")
    begin = taken + -taken % STEP
    stop = begin + math.prod(shape) * kind.itemsize
    if type(offset) is not int or offset != begin:
        raise _wrong(f"{name} at offset {offset!s:.40}", f"{begin}, where the last array ended")
    if stop > len(body):
        raise _wrong(f"{name}, which ends at byte {stop:,}", f"at most {len(body):,}")
    values = np.frombuffer(body[begin:stop], kind).reshape(shape)
    return dims, values.astype(np.dtype(dtype)), stop


def _list_of(values: Any, kind: type) -> bool:
    return isinstance(values, list) and all(type(value) is kind for value in values)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % STEP)


def _wrong(given: str, expected: str) -> WorkbenchError:
    return WorkbenchError(f"a scene with {given}", expected, "make it again with this version")
