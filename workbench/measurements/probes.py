"""What a linear decoder finds in S."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import xarray as xr
from pydantic import Field

from workbench import dims
from workbench.measurements.base import Chart, Measurement, Reporter, Rows, SplitSettings, drawn
from workbench.measurements.tables import by_pass, by_window, grid, number

if TYPE_CHECKING:
    from workbench.training.checkpoints import Checkpoint


class ProbeSettings(SplitSettings):
    """What a linear decoder finds in S."""

    examples: int = Field(2000, ge=50, le=100_000)


def run(checkpoint: Checkpoint, settings: ProbeSettings, reporter: Reporter) -> xr.Dataset:
    """Train probes on the memory after each pass, with their baselines and controls."""
    from workbench.instruments.probes import probe

    batch, sleep = drawn(checkpoint, settings)
    return probe(
        checkpoint.model,
        batch,
        sleep,
        checkpoint.task.probe_targets(batch),
        seeds=range(settings.splits),
        **reporter.of_shares(),
    )


def tables(data: xr.Dataset) -> dict[str, Rows]:
    """Return accuracy by pass and target, then what it is compared with, and what it is above.

    Baselines that change with the pass have a row for each; the others, and control tasks, one for
    the last pass.
    """
    found = {}
    targets = {str(t): {dims.TARGET: t} for t in data[dims.TARGET].values}
    several = data.sizes[dims.LAYER] > 1
    for title, window in by_window(data).items():
        for layer in data[dims.LAYER].values.tolist():
            here = data.sel({dims.WINDOW: window, dims.LAYER: layer})
            name = f"told right{title}{f', layer {layer}' if several else ''}"
            found[name] = _rows(here, targets)
    return found


def _rows(here: xr.Dataset, targets: dict[str, Any]) -> Rows:
    from workbench.instruments.controls import REPLAY, UNTRAINED

    means = here.assign(
        accuracy=here["accuracy"].mean(dims.SEED),
        accuracy_low=here["low"],
        accuracy_high=here["high"],
    )
    rows = grid(means, "accuracy", by_pass(here), targets, corner="probe")

    def add(label: str, values: xr.DataArray) -> None:
        numbers = [float(values.sel(at)) for at in targets.values()]
        if not all(map(math.isnan, numbers)):
            rows.append([label, *("" if math.isnan(v) else number(v) for v in numbers)])

    last = {dims.SLEEP_PASS: here[dims.SLEEP_PASS].values[-1]}
    baselines = here["baseline_accuracy"].mean(dims.SEED)
    for which in here[dims.BASELINE].values.tolist():
        one = baselines.sel({dims.BASELINE: which})
        if which in (REPLAY, UNTRAINED):  # another number after each pass
            for place, at in by_pass(here, first=1).items():
                add(f"{which}, {place}", one.sel(at))
        else:
            add(which, one.sel(last))
    for which in here[dims.CONTROL].values.tolist():
        control = here["control_accuracy"].mean(dims.SEED).sel({dims.CONTROL: which})
        add(f"control task, last pass: {which}", control.sel(last))
    if "gain" in here:
        over = grid(_best_gain(here), "gain", by_pass(here, first=1), targets, corner="")
        rows += [[f"above the best linear baseline, {row[0]}", *row[1:]] for row in over[1:]]
    return rows


def _best_gain(data: xr.Dataset) -> xr.Dataset:
    """Return the gain, with its interval, over the best of the linear baselines at each place."""
    from workbench.instruments.controls import STRONGER

    linear = [b for b in data[dims.BASELINE].values.tolist() if b not in STRONGER]
    kept = data[["gain", "gain_low", "gain_high"]].sel({dims.BASELINE: linear})
    best = kept["gain"].fillna(math.inf).argmin(dims.BASELINE)
    return kept.isel({dims.BASELINE: best})


MAPS: Final = {
    "accuracy": (
        "Accuracy",
        "Rows: what is asked. Columns: the pass. The majority stands in the curves below.",
    ),
    "gain": (
        "Accuracy minus the best linear baseline",
        "Above zero: more than a linear decoder tells from the text itself, from a frozen replay "
        "of the first pass (from pass 2 on), or from untrained weights.",
    ),
}
"""Quantity of a map -> its heading, and what it says."""


def charts(data: xr.Dataset) -> list[Chart]:
    """Return maps of targets over passes, and curves next to the baselines, of each window."""
    from workbench.figures.probes import probe_curves, probe_map

    found = []
    for name, window in by_window(data).items():
        for quantity, (title, says) in MAPS.items():
            draw = partial(probe_map, data, quantity=quantity, window=window)
            found.append(Chart(f"{title}{name}", says, draw))
        for layer in data[dims.LAYER].values.tolist():
            title = f"Next to controls and baselines, layer {layer}{name}"
            says = (
                "Input: what the text read so far says, decoded linearly, or with products of two "
                "of its entries (quadratic). Untrained weights: another model for each split. "
                "Control tasks give labels that mean nothing; 'kinds' one for each type of input."
            )
            draw = partial(probe_curves, data, window=window, layer=layer)
            found.append(Chart(title, says, draw))
    return found


PROBES = Measurement(
    title="What a linear probe finds in the memory",
    order=30,
    says=(
        "What a linear probe tells from S after each pass, on examples it has not seen, next to "
        "what the text alone, a frozen replay of the first pass and untrained weights give. "
        "Decodable does not mean used: steering tests that."
    ),
    settings=ProbeSettings,
    run=run,
    tables=tables,
    charts=charts,
    words={
        "probe": "A simple decoder, trained to tell something from S.",
        "control": "The same with something that means nothing, to see what comes out by itself.",
        "selectivity": (
            "A probe's accuracy minus that of an equal probe for labels that mean nothing."
        ),
    },
)
