"""Scenes read with nothing but the standard library and NumPy, as the contract says."""

import json
import struct

import numpy as np
import xarray as xr

from workbench.theatre.container import Scene


def decode(data):
    """Return the scene in some bytes."""
    assert data[:8] == b"sleepsc1"
    (length,) = struct.unpack("<I", data[8:12])
    header, start = json.loads(data[12 : 12 + length]), 12 + length
    assert start % 8 == 0
    arrays, stop = {}, start
    for name, about in header.pop("arrays").items():
        assert about["offset"] == -(-(stop - start) // 8) * 8, "arrays follow one another"
        kind = "<" + np.dtype(about["dtype"]).str[1:]
        values = np.frombuffer(data, kind, int(np.prod(about["shape"])), start + about["offset"])
        arrays[name] = about["dims"], values.reshape(about["shape"]).astype(about["dtype"])
        stop = start + about["offset"] + values.nbytes
    assert len(data) == -(-stop // 8) * 8
    return Scene(header, xr.Dataset(arrays))
