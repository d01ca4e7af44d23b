"""What instruments have measured on the bundled models, for notebooks."""

from __future__ import annotations

import xarray as xr

from workbench.lab.measured import read_measurement
from workbench.paths import data_folder


def measured(name: str) -> xr.Dataset:
    """Return a committed measurement by its name: "patches-depo-n8-any-heads"."""
    return read_measurement(data_folder() / "results" / "instruments" / f"{name}.json")[0]
