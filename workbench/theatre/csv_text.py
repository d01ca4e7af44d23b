"""Numbers behind a figure as CSV."""

from __future__ import annotations

import csv
import io

import numpy as np
import xarray as xr


def csv_of(data: xr.Dataset) -> str:
    """Return a dataset as CSV: a row for each value, with the name of its variable.

    NaN has no row; coordinates of a single value have a column like the others.
    """
    single = {str(n): c.item() for n, c in data.coords.items() if c.ndim == 0}
    axes = [str(name) for name in data.dims]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*single, *axes, "variable", "value"])
    for name, array in data.data_vars.items():
        labels = {str(d): array[d].values.tolist() for d in array.dims}
        for index in np.ndindex(array.shape):
            value = array.values[index].item()
            if value != value:
                continue
            at = {d: labels[d][i] for d, i in zip(labels, index, strict=True)}
            place = [at.get(axis, "") for axis in axes]
            shown = f"{value:.7g}" if isinstance(value, float) else value
            writer.writerow([*single.values(), *place, name, shown])
    return text.getvalue()
