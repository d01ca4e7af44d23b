"""What is recorded of the bundled models: sweeps over seeds, and what instruments have measured."""

from __future__ import annotations

from typing import Any

import xarray as xr

from workbench.lab import results
from workbench.lab.record import read_record
from workbench.measurements.records import read_measurement
from workbench.paths import data_folder


def measured(name: str) -> xr.Dataset:
    """Return a committed measurement by its name: "patches-depo-n8-any-heads"."""
    return read_measurement(data_folder() / "results" / "instruments" / f"{name}.json")[0]


def recorded(name: str) -> tuple[dict[str, Any], xr.Dataset]:
    """Return a bundled record, and its runs as `workbench.lab.results.dataset`."""
    record = read_record(data_folder() / "results" / "sweeps" / f"{name}.json")
    return record, results.dataset(record)
