"""How much of the evicted text a decoder recovers from S."""

from __future__ import annotations

from typing import TYPE_CHECKING

import xarray as xr
from pydantic import Field

from workbench import dims
from workbench.measurements.base import Measurement, Reporter, Rows, SplitSettings, drawn
from workbench.measurements.tables import by_label, by_pass, cell, number

if TYPE_CHECKING:
    from workbench.training.checkpoints import Checkpoint


class RecoverySettings(SplitSettings):
    """How much of the evicted text a decoder recovers from S."""

    examples: int = Field(2000, ge=50, le=100_000)


def run(checkpoint: Checkpoint, settings: RecoverySettings, reporter: Reporter) -> xr.Dataset:
    """Train decoders of every window's text on the memory at every place."""
    from workbench.instruments.privacy import recovery

    batch, sleep = drawn(checkpoint, settings)
    return recovery(
        checkpoint.model,
        batch,
        sleep,
        symbols=checkpoint.task.vocabulary,
        seeds=range(settings.splits),
        **reporter.of_shares(),
    )


def means_over_splits(data: xr.Dataset) -> xr.Dataset:
    """Return what was recovered and its chance lines, each the mean over the splits."""
    return data[["recovered_low", "recovered_high"]].assign(
        recovered=data["recovered"].mean(dims.SEED), chance=data["chance"].mean(dims.SEED)
    )


def tables(data: xr.Dataset) -> dict[str, Rows]:
    """Return how much of each window's text a decoder recovers, at every place."""
    means = means_over_splits(data).isel({dims.LAYER: 0})
    found, lines = {}, ["untrained weights", "majority"]
    for source, of in by_label(data, dims.SOURCE_WINDOW, text="text of window {}").items():
        rows: Rows = [["decoder", "recovered", *lines]]
        for window, read in by_label(data, dims.WINDOW, text="window {}").items():
            for name, at in by_pass(data).items():
                here = means.sel(of | read | at)
                others = [number(float(here["chance"].sel({dims.BASELINE: b}))) for b in lines]
                rows.append([f"{window}, {name}", cell(here, "recovered"), *others])
        found[source] = rows
    return found


def concludes(data: xr.Dataset) -> str:
    """Return what is recovered of each window's text at the end, next to untrained weights."""
    means = means_over_splits(data).isel({dims.LAYER: 0, dims.WINDOW: -1, dims.SLEEP_PASS: -1})
    each = []
    for source, at in by_label(data, dims.SOURCE_WINDOW, text="window {}").items():
        one = means.sel(at)
        other = number(float(one["chance"].sel({dims.BASELINE: "untrained weights"})))
        own = number(float(one["recovered"]))
        each.append(f"{own} of {source} ({other} with untrained weights)")
    return f"At the end, {' and '.join(each)}."


RECOVERY = Measurement(
    asks="How much of the evicted text can be read back from S?",
    concludes=concludes,
    title="How much of the text a decoder recovers",
    order=80,
    says="How much of a window's text a linear decoder recovers from S, at every place.",
    settings=RecoverySettings,
    run=run,
    tables=tables,
)
