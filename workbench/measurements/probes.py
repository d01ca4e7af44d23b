"""What a linear decoder finds in S."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import xarray as xr
from pydantic import Field

from workbench import dims
from workbench.measurements.base import Chart, Measurement, Reporter, Rows, SplitSettings, drawn
from workbench.measurements.tables import by_label, by_pass, by_window, grid, number

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
    targets = by_label(data, dims.TARGET)
    several = data.sizes[dims.LAYER] > 1
    for title, window in by_window(data).items():
        for layer in data[dims.LAYER].values.tolist():
            name = f"told right{title}{f', layer {layer}' if several else ''}"
            found[name] = _rows(data.sel({dims.WINDOW: window, dims.LAYER: layer}), targets)
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
    controls = here["control_accuracy"].mean(dims.SEED).sel(last)
    for which, at in by_label(here, dims.CONTROL).items():
        add(f"control task, last pass: {which}", controls.sel(at))
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
    "gain": (
        "Above the best baseline",
        "Accuracy minus the best linear baseline: the majority; the token embeddings; what the "
        "text read so far says of each item; a frozen replay of the first pass's writes (from pass "
        "2 on); and untrained weights, different ones for each split. Rows: what is asked. "
        "Columns: the pass.",
    ),
    "accuracy": (
        "Accuracy",
        "Of the probe itself. Decodable does not mean used: steering tests that.",
    ),
    "selectivity": (
        "Selectivity",
        "Accuracy minus that of a control task: a random label for each kind of input. At zero or "
        "below a probe of this strength does as well on meaningless labels, so its accuracy alone "
        "says little.",
    ),
}
"""Quantity of a map -> its heading, and what it says; what matters most first."""


def charts(data: xr.Dataset) -> list[Chart]:
    """Return maps of targets over passes, curves next to the baselines, and single items."""
    from workbench.figures.probes import item_bars, probe_curves, probe_map

    options = (dims.WINDOW, dims.LAYER, dims.SLEEP_PASS, dims.TARGET)  # what figures call them too
    place = {option: data[option].values.tolist() for option in options}

    def chart(title: str, says: str, draw: Any, *options: str, **fixed: Any) -> Chart:
        last = {name: place[name][-1] for name in options}
        choices = {name: place[name] for name in options if len(place[name]) > 1}
        return Chart(title, says, partial(draw, data, **last, **fixed), choices)

    gain, *others = (
        chart(title, says, probe_map, "window", quantity=name)
        for name, (title, says) in MAPS.items()
    )
    says = (
        "What sleep adds lies above every linear baseline, not only above chance (the majority). "
        "'Input, quadratic' decodes the text from products of two of its entries, without any "
        "model. Controls, thin, give labels that mean nothing; 'kinds' one for each type of input."
    )
    curves = chart("Next to baselines and controls", says, probe_curves, "window", "layer")
    found = [gain, curves, *others]
    if len(place["layer"]) > 1:
        says = "A panel for each target: which layer holds it, after which pass."
        found.append(chart("Layer by layer", says, probe_map, "window", panels=dims.TARGET))
    says = "One cell of the maps, item by item. Bars are means over splits, with their range."
    found.append(chart("Item by item", says, item_bars, *place))
    return found


def concludes(data: xr.Dataset) -> str:
    """Return what exceeds the best linear baseline the most at the last pass."""
    from workbench.figures.probes import shown

    at = {dims.SLEEP_PASS: -1, dims.WINDOW: -1}
    gain, right = (shown(data, name).isel(at) for name in ("gain", "accuracy"))
    if bool(gain.isnull().all()):
        return ""
    best = gain.argmax([dims.TARGET, dims.LAYER])
    target = str(data[dims.TARGET].values[int(best[dims.TARGET])])
    over, share = float(gain.isel(best)), float(right.isel(best))
    last = int(data[dims.SLEEP_PASS].values[-1])
    if over < 0.005:
        return f"After pass {last}, nothing beyond the best linear baseline."
    return (
        f"After pass {last}, most beyond the baselines: {target}, read right in "
        f"{number(share)}, {number(over)} above the best linear baseline."
    )


PROBES = Measurement(
    asks="What can be read from S after each pass?",
    concludes=concludes,
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
