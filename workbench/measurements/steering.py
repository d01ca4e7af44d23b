"""Whether answers follow where a probe's direction moves the memory."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import xarray as xr
from pydantic import Field

from workbench import dims
from workbench.measurements.base import Chart, Measurement, Reporter, Rows, SplitSettings, drawn
from workbench.measurements.tables import cell
from workbench.tasks.phrases import level_words

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
    across = {f"x {s:g}": {dims.STRENGTH: s} for s in data[dims.STRENGTH].values.tolist()}
    rows: Rows = [["queries, what S is moved along", *across, "cases"]]
    controls = [c for c in data[dims.CONTROL].values.tolist() if c != "nothing"]
    for target, level in zip(data[dims.TARGET].values, data["level"].values.tolist(), strict=True):
        if level not in data[dims.DIFFICULTY].values:
            continue
        asked = level_words(level, str(data.attrs["difficulty_name"]))
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

    last = int(data[dims.SLEEP_PASS][-1])
    says = "A panel for each target, at the queries that ask for it. Long moves may only break."
    return [
        Chart(
            f"Answers that follow, layer {layer}, after pass {last}",
            says,
            partial(steering_curves, data, sleep_pass=last, layer=layer),
        )
        for layer in data[dims.LAYER].values.tolist()
    ]


STEERING = Measurement(
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
