"""Whether answers follow where a probe's direction moves the memory."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import xarray as xr
from pydantic import Field

from workbench import dims
from workbench.measurements.base import Chart, Measurement, Reporter, Rows, SplitSettings, drawn
from workbench.measurements.tables import by_label, cell, level_name, number

if TYPE_CHECKING:
    from workbench.training.checkpoints import Checkpoint


class SteeringSettings(SplitSettings):
    """Whether answers follow where a probe's direction moves the memory."""

    examples: int = Field(1000, ge=50, le=100_000)


def run(checkpoint: Checkpoint, settings: SteeringSettings, reporter: Reporter) -> xr.Dataset:
    """Move S along each probe's direction after each pass, and let the model answer."""
    from workbench.instruments.boundaries import known_passes
    from workbench.instruments.steering import steer, steering_by_difficulty

    batch, sleep = drawn(checkpoint, settings)
    effects = steer(
        checkpoint.model,
        batch,
        sleep,
        checkpoint.task.probe_targets(batch),
        passes=range(1, known_passes(sleep) + 1),
        seeds=range(settings.splits),
        **reporter.of_shares(),
    )
    return steering_by_difficulty(effects)


def tables(data: xr.Dataset) -> dict[str, Rows]:
    """Return how often the answer follows, by strength: each target at its own difficulty."""
    here = data.isel({dims.SLEEP_PASS: -1, dims.LAYER: 0})
    across = by_label(data, dims.STRENGTH, text="x {:g}")
    rows: Rows = [["queries, what S is moved along", *across, "cases"]]
    controls = [c for c in data[dims.CONTROL].values.tolist() if c != "nothing"]
    for target, level in zip(data[dims.TARGET].values, data["level"].values.tolist(), strict=True):
        if level not in data[dims.DIFFICULTY].values:
            continue
        asked = level_name(data, level)
        at = {dims.TARGET: target, dims.DIFFICULTY: level}
        cases = str(int(here["cases"].sel(at)))
        for control in controls:
            one = here.sel({**at, dims.CONTROL: control})
            texts = [cell(one.sel(there), "follows") for there in across.values()]
            rows.append([f"{asked}: {control}", *texts, cases])
        norms = here["norm"].sel({dims.TARGET: target})
        texts = [f"{float(norms.sel(there)):.0%}" for there in across.values()]
        rows.append([f"{asked}: length, share of S", *texts, ""])
    return {"answers that follow": rows}


def charts(data: xr.Dataset) -> list[Chart]:
    """Return how often answers follow against the length of the move, of each layer."""
    from workbench.figures.steering import steering_curves

    passes, layers = (data[dim].values.tolist() for dim in (dims.SLEEP_PASS, dims.LAYER))
    says = (
        "S is moved along the probe's own direction until the probe reads another answer, and "
        "further; then the model answers. A panel for each target, at the queries that ask for it. "
        "Where answers follow the probe's direction but no other one of the same length, what is "
        "decodable is used. Long moves may break more than they steer."
    )
    draw = partial(steering_curves, data, sleep_pass=passes[-1], layer=layers[-1])
    choices = {"sleep_pass": passes, "layer": layers}
    choices = {name: values for name, values in choices.items() if len(values) > 1}
    return [Chart("Answers that follow", says, draw, choices)]


def concludes(data: xr.Dataset) -> str:
    """Return how often answers follow the longest move, and those of controls as long."""
    here = data.isel({dims.SLEEP_PASS: -1, dims.LAYER: 0, dims.STRENGTH: -1})
    controls = [c for c in data[dims.CONTROL].values.tolist() if c != "nothing"]
    parts = []
    for target, level in zip(data[dims.TARGET].values, data["level"].values.tolist(), strict=True):
        if level in data[dims.DIFFICULTY].values:
            one = here["follows"].sel({dims.TARGET: target, dims.DIFFICULTY: level})
            own, *others = (float(one.sel({dims.CONTROL: c})) for c in controls)
            word = level_name(data, level)
            parts.append(f"{word} {number(own)} (controls at most {number(max(others))})")
    strength = float(data[dims.STRENGTH].values[-1])
    return f"Moved {strength:g} times as far as turns the probe, answers follow in: " + (
        ", ".join(parts) + "."
    )


STEERING = Measurement(
    asks="Do answers follow when S is moved along what a probe reads?",
    concludes=concludes,
    title="Answers when a probe's direction is moved",
    order=40,
    says=(
        "How often an answer follows when S is moved along a probe's direction, as a multiple "
        "of the shortest move that turns the probe, next to moves as long in other "
        "directions."
    ),
    settings=SteeringSettings,
    run=run,
    tables=tables,
    charts=charts,
    words={"steering": "Moving S along a probe's direction, to see whether the answers follow."},
)
