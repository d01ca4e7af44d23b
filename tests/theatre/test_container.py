"""A scene's bytes say what the front end's reader expects."""

import numpy as np
import pytest
import xarray as xr
from scenes import decode

from workbench.errors import WorkbenchError
from workbench.theatre.container import Scene, encode

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


def test_a_plain_parser_reads_what_was_written():
    scene = decode(BYTES)
    assert scene.header == HEADER | {"schema": "sleep-scene/1"}
    xr.testing.assert_identical(scene.arrays, ARRAYS)
    for name, values in scene.arrays.data_vars.items():
        assert values.dtype == ARRAYS[name].dtype


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
