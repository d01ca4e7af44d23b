"""A scene's bytes say what the front end's reader expects, and damaged ones are refused."""

import json
import struct

import numpy as np
import pytest
import xarray as xr

from workbench.errors import WorkbenchError
from workbench.theatre.container import Scene, decode, encode

ARRAYS = xr.Dataset(
    {
        "norm": (("boundary", "layer"), np.array([[0, 1.5, np.nan]] * 5, np.float32)),
        "given": (("boundary",), np.arange(5, dtype=np.uint8)),
        "state": (("boundary", "key"), np.linspace(-2, 2, 35, dtype=np.float16).reshape(5, 7)),
        "none": (("query",), np.zeros(0, np.int32)),
    }
)
HEADER = {"model": {"name": "größte"}, "layers": [1, 3], "said": [["a", None]]}
BYTES = encode(Scene(HEADER, ARRAYS))


def plain_parser(data):
    """The contract, read with nothing but the standard library and NumPy."""
    assert data[:8] == b"sleepsc1"
    (length,) = struct.unpack("<I", data[8:12])
    header, start = json.loads(data[12 : 12 + length]), 12 + length
    assert start % 8 == 0
    arrays = {}
    for name, about in header.pop("arrays").items():
        assert about["offset"] % 8 == 0
        count = int(np.prod(about["shape"]))
        values = np.frombuffer(
            data, "<" + np.dtype(about["dtype"]).str[1:], count, start + about["offset"]
        )
        arrays[name] = about["dims"], values.reshape(about["shape"])
    return header, arrays


def test_a_plain_parser_reads_what_was_written():
    header, arrays = plain_parser(BYTES)
    assert header == HEADER | {"schema": "sleep-scene/1"}
    for name, (dims, values) in arrays.items():
        assert tuple(dims) == ARRAYS[name].dims and values.dtype == ARRAYS[name].dtype
        np.testing.assert_array_equal(values, ARRAYS[name].values)
    again = decode(BYTES)
    assert again.header == header
    xr.testing.assert_identical(again.arrays, ARRAYS)


def rebuilt(change):
    """Return the bytes with the header changed."""
    (length,) = struct.unpack("<I", BYTES[8:12])
    header = json.loads(BYTES[12 : 12 + length])
    header = change(header) or header
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    text += b" " * (-(12 + len(text)) % 8)
    return BYTES[:8] + struct.pack("<I", len(text)) + text + BYTES[12 + length :]


def array(name, **changes):
    return lambda header: header["arrays"][name].update(changes)


DAMAGE = {
    "empty": b"",
    "magic": b"sleepsc2" + BYTES[8:],
    "cut": BYTES[:-8],
    "longer": BYTES + b"\0" * 8,
    "cut in the header": BYTES[:40],
    "header of 5 MiB": BYTES[:8] + struct.pack("<I", 5 * 2**20) + b" " * (5 * 2**20),
    "header length": BYTES[:8] + struct.pack("<I", 2**32 - 1) + BYTES[12:],
    "header unaligned": BYTES[:8] + struct.pack("<I", 41) + BYTES[12:],
    "not JSON": rebuilt(lambda header: b"{"),
    "not UTF-8": rebuilt(lambda header: b"\xff\xff"),
    "not a table": rebuilt(lambda header: [1]),
    "deep": rebuilt(lambda header: b"[" * 10_000),
    "schema": rebuilt(lambda header: header.update(schema="sleep-scene/2")),
    "no arrays": rebuilt(lambda header: header.pop("arrays")),
    "dtype": rebuilt(array("norm", dtype="float64")),
    "object": rebuilt(array("norm", dtype="object")),
    "dims": rebuilt(array("norm", dims=["boundary", "boundary"])),
    "dims that repeat": rebuilt(array("norm", dims=["boundary"] * 2, shape=[15])),
    "dims with its own name": rebuilt(array("norm", dims=["boundary", "norm"])),
    "dims of another kind": rebuilt(array("norm", dims=[1, 2])),
    "shape": rebuilt(array("norm", shape=[5])),
    "negative": rebuilt(array("norm", shape=[-5, -3])),
    "fraction": rebuilt(array("norm", shape=[5.0, 3])),
    "huge": rebuilt(array("norm", shape=[2**40, 2**40])),
    "outside": rebuilt(array("state", shape=[5, 700])),
    "sizes that differ": rebuilt(array("norm", shape=[3, 5])),
    "offset": rebuilt(array("given", offset=0)),
    "offset outside": rebuilt(array("given", offset=2**60)),
    "offset as text": rebuilt(array("given", offset="64")),
    "an array that is text": rebuilt(lambda header: header["arrays"].update(norm="x")),
}  # fmt: skip


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_refused_in_one_line(kind):
    with pytest.raises(WorkbenchError) as error:
        decode(DAMAGE[kind])
    assert "\n" not in str(error.value) and len(str(error.value)) < 300


@pytest.mark.parametrize(
    "header, arrays",
    [
        ({"model": {1, 2}}, ARRAYS),
        ({"chance": float("nan")}, ARRAYS),
        ({"text": "x" * 5 * 2**20}, ARRAYS),
        ({}, ARRAYS.assign(norm=ARRAYS["norm"].astype(np.float64))),
    ],
)
def test_what_no_reader_would_take_is_not_written(header, arrays):
    with pytest.raises(WorkbenchError):
        encode(Scene(header, arrays))
