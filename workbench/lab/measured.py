"""What an instrument measured, in one JSON file: the dataset whole, and where it comes from.

Small enough to be committed and read by a person; figures, pages and docs/findings.md are drawn
from it with no model loaded.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from workbench.errors import WorkbenchError
from workbench.files import write_text

SCHEMA = "sleep-measurement/1"
KINDS = {"b": "bool", "i": "int64", "u": "int64", "f": "float64", "U": "str", "O": "str"}
"""NumPy's kinds of arrays that a measurement may hold, and what they are read back as."""
DIGITS = {2: 4, 4: 7, 8: 17}
"""Significant digits that a float of so many bytes holds."""


def write_measurement(path: Path, dataset: xr.Dataset, provenance: Mapping[str, Any]) -> None:
    """Write a dataset with its provenance, aside first and then renamed.

    Parameters
    ----------
    dataset : Dataset
        Numbers, truths and texts; attributes are str, int, float or bool. NaN becomes null;
        float32 is written with the seven digits it holds.
    provenance : mapping
        Kind of measurement, settings, checkpoint and its hash, commit, versions, machine.

    Raises
    ------
    ValueError
        The dataset holds something that JSON does not.
    """
    parts = {
        "schema": SCHEMA,
        "provenance": dict(provenance),
        "attrs": dict(dataset.attrs),
        "coords": {str(n): _written(str(n), a) for n, a in dataset.coords.items()},
        "variables": {str(n): _written(str(n), a) for n, a in dataset.data_vars.items()},
    }
    write_text(path, f"{{\n{_lines(parts, 1)}\n}}\n")


def _lines(values: Mapping[str, Any], depth: int) -> str:
    """Return the inside of a JSON object: an array, or a deeper object, on one line each."""
    told = []
    for name, value in values.items():
        if depth < 2 and isinstance(value, dict) and value:
            text = f"{{\n{_lines(value, depth + 1)}\n{' ' * depth}}}"
        else:
            text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        told.append(f"{' ' * depth}{json.dumps(name, ensure_ascii=False)}: {text}")
    return ",\n".join(told)


def read_measurement(path: Path) -> tuple[xr.Dataset, dict[str, Any]]:
    """Return the dataset and its provenance.

    Raises
    ------
    WorkbenchError
        The file is missing, damaged, or of another schema.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        schema = found["schema"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WorkbenchError(
            f"{path} is no measurement ({error})",
            f"JSON of schema {SCHEMA}",
            "make one with `workbench measure`",
        ) from None
    if schema != SCHEMA:
        raise WorkbenchError(
            f"{path} is of schema {schema!r}", SCHEMA, "make it again with this version"
        )
    try:
        variables = {name: _read(entry) for name, entry in found["variables"].items()}
        coords = {name: _read(entry) for name, entry in found["coords"].items()}
        return xr.Dataset(variables, coords, found["attrs"]), found["provenance"]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise WorkbenchError(
            f"{path} is damaged ({error})", "a whole measurement", "make it again"
        ) from None


def _written(name: str, array: xr.DataArray) -> dict[str, Any]:
    values = array.values
    if values.dtype.kind not in KINDS:
        raise ValueError(f"{name} has dtype {values.dtype}; expected numbers, truths or texts")
    data: Any = values.tolist()
    if values.dtype.kind == "f":
        data = _rounded(data, DIGITS[values.dtype.itemsize])
    return {
        "dims": list(map(str, array.dims)),
        "kind": KINDS[values.dtype.kind],
        "attrs": dict(array.attrs),
        "data": data,
    }


def _rounded(value: Any, digits: int) -> Any:
    if isinstance(value, list):
        return [_rounded(one, digits) for one in value]
    if math.isinf(value):
        raise ValueError("a value is infinite, which JSON does not hold")
    return None if math.isnan(value) else float(f"{value:.{digits}g}")


def _read(entry: Mapping[str, Any]) -> tuple[list[str], np.ndarray, dict[str, Any]]:
    kind = entry["kind"]
    if kind not in KINDS.values():
        raise ValueError(f"a variable of kind {kind!r}")
    # null is NaN: NumPy makes that of None where it is told to expect floats
    values = np.array(entry["data"], dtype=kind)
    if values.ndim != len(entry["dims"]):
        raise ValueError(f"dims {entry['dims']} with data of {values.ndim} axes")
    return entry["dims"], values, entry["attrs"]
