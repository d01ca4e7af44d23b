"""What an instrument measured, in one JSON file: the dataset whole, and where it comes from.

Small enough to be committed and read by a person; figures, pages and docs/findings.md are drawn
from it with no model loaded.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr
from pydantic import ConfigDict, Field

from workbench.errors import one_line
from workbench.files import UnreadableFile, check_seal, read_json, sealed, write_text
from workbench.training.run_files import Open, checked

SCHEMA = "sleep-measurement/1"
DTYPES = {"b": "bool", "i": "int64", "u": "int64", "f": "float64", "U": "str", "O": "str"}
"""NumPy's kinds of arrays that a measurement may hold, and what they are read back as."""
TYPES: dict[str, set[type]] = {
    "bool": {bool},
    "int64": {int},
    "float64": {int, float, type(None)},
    "str": {str},
}
"""What JSON may give for each of them."""
DIGITS = {2: 4, 4: 7, 8: 17}
"""Significant digits that a float of so many bytes holds."""

Attribute = bool | int | float | str


class Array(Open):
    """A variable or coordinate."""

    dims: list[str]
    kind: Literal["bool", "int64", "float64", "str"]
    attrs: dict[str, Attribute]
    data: Any


class Origin(Open):
    """What was measured, on what."""

    kind: str = ""
    settings: dict[str, Any] = {}
    checkpoint: str = ""
    checkpoint_sha256: str = ""


class Record(Open):
    """The file."""

    model_config = ConfigDict(extra="forbid")

    schema_: str = Field(alias="schema")
    sha256: str = ""
    provenance: Origin
    attrs: dict[str, Attribute]
    coords: dict[str, Array]
    variables: dict[str, Array]


def write_measurement(path: Path, dataset: xr.Dataset, provenance: Mapping[str, Any]) -> None:
    """Write a dataset with its provenance, aside first and then renamed.

    - dataset: numbers, truth values and texts; attributes are str, int, float or bool. NaN becomes
      null; float32 is written with the seven digits it holds.
    - provenance: kind of measurement, settings, checkpoint and its hash, commit, versions, machine.

    Raises ValueError: the dataset holds something that JSON does not.
    """
    parts = {
        "schema": SCHEMA,
        "provenance": dict(provenance),
        "attrs": dict(dataset.attrs),
        "coords": {str(n): _written(str(n), a) for n, a in dataset.coords.items()},
        "variables": {str(n): _written(str(n), a) for n, a in dataset.data_vars.items()},
    }
    write_text(path, f"{{\n{_lines(sealed(parts), 1)}\n}}\n")


def _lines(values: Mapping[str, Any], depth: int) -> str:
    """Return the inside of a JSON object: an array, or a deeper object, on one line each."""
    lines = []
    for name, value in values.items():
        if depth < 2 and isinstance(value, dict) and value:
            text = f"{{\n{_lines(value, depth + 1)}\n{' ' * depth}}}"
        else:
            text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        lines.append(f"{' ' * depth}{json.dumps(name, ensure_ascii=False)}: {text}")
    return ",\n".join(lines)


def read_measurement(path: Path) -> tuple[xr.Dataset, dict[str, Any]]:
    """Return the dataset and its provenance.

    Raises UnreadableFile: the file is missing, damaged, or of another schema.
    """
    found = _parts(path)
    try:
        variables = {name: _read(entry) for name, entry in found["variables"].items()}
        coords = {name: _read(entry) for name, entry in found["coords"].items()}
        return xr.Dataset(variables, coords, found["attrs"]), found["provenance"]
    except (TypeError, ValueError, OverflowError) as error:
        said = one_line(error)
        raise UnreadableFile(
            f"{path} is damaged ({said})", "a whole measurement", "make it again"
        ) from None


def read_origin(path: Path) -> Origin:
    """Return what a file says was measured; see `read_measurement` for errors."""
    return Origin.model_validate(_parts(path)["provenance"])


def _parts(path: Path) -> dict[str, Any]:
    make = "make one with `workbench measure`"
    found = read_json(path)
    if not isinstance(found, dict) or "schema" not in found:
        raise UnreadableFile(f"{path} is not a measurement", f"JSON of schema {SCHEMA}", make)
    if found["schema"] != SCHEMA:
        raise UnreadableFile(
            f"{path} is of schema {found['schema']!r}", SCHEMA, "make it again with this version"
        )
    check_seal(checked(Record, found, str(path)), what=str(path))
    return found


@contextmanager
def damage_reported(what: str) -> Iterator[None]:
    """Turn an error on a measurement that lacks something into one line.

    Raises UnreadableFile: `what` is damaged.
    """
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        said = one_line(f"{type(error).__name__}: {error}", 200)
        raise UnreadableFile(
            f"{what} is damaged ({said})", "what `workbench measure` writes", "make it again"
        ) from error


def _written(name: str, array: xr.DataArray) -> dict[str, Any]:
    values = array.values
    if values.dtype.kind not in DTYPES:
        raise ValueError(f"{name} has dtype {values.dtype}; expected numbers, truths or texts")
    data: Any = values.tolist()
    if values.dtype.kind == "f":
        data = _rounded(data, DIGITS[values.dtype.itemsize])
    return {
        "dims": list(map(str, array.dims)),
        "kind": DTYPES[values.dtype.kind],
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
    values = np.array(entry["data"], dtype=object)
    if values.ndim != len(entry["dims"]):
        raise ValueError(f"dims {entry['dims']} with data of {values.ndim} axes")
    unexpected = set(map(type, values.flat)) - TYPES[kind]
    if unexpected:  # NumPy would round 1.5 to an integer, and make "1" of a number
        raise ValueError(f"a value of type {unexpected.pop().__name__} among those of kind {kind}")
    # null is NaN: NumPy makes that of None where it is asked for floats
    return entry["dims"], values.astype(kind), entry["attrs"]
