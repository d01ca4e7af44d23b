"""Answers if the model woke after each pass."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import xarray as xr
from pydantic import Field

from workbench import dims
from workbench.measurements.base import Chart, Measurement, Reporter, Rows, Settings, drawn
from workbench.measurements.tables import by_level, by_pass, by_window, grid, level_name, number

if TYPE_CHECKING:
    from workbench.training.checkpoints import Checkpoint


class LensSettings(Settings):
    """Answers if the model woke after each pass."""

    examples: int = Field(1000, ge=2, le=100_000)


def run(checkpoint: Checkpoint, settings: LensSettings, reporter: Reporter) -> xr.Dataset:
    """Let the model answer after each pass."""
    from workbench.instruments.boundaries import known_passes, slept_on
    from workbench.instruments.lens import lens, lens_by_difficulty

    batch, sleep = drawn(checkpoint, settings)
    places = len(slept_on(batch, sleep)) * (known_passes(sleep) + 1)
    scores = lens(checkpoint.model, batch, sleep, on_progress=reporter.counter(places))
    return lens_by_difficulty(scores, checkpoint.task)


def tables(data: xr.Dataset) -> dict[str, Rows]:
    """Return accuracy by pass and difficulty, with the chance lines."""
    found = {}
    for title, window in by_window(data).items():
        here = data.sel({dims.WINDOW: window})
        rows = grid(here, "accuracy", by_pass(here), by_level(here), corner="if it woke")
        if "chance" in data:
            for line in data[dims.CHANCE_LINE].values.tolist():
                chance = data["chance"].sel({dims.CHANCE_LINE: line}).values
                rows.append([f"chance: {line}", *(number(float(v)) for v in chance)])
        found[f"answers right{title}"] = rows
    return found


def charts(data: xr.Dataset) -> list[Chart]:
    """Return accuracy over the passes of all windows."""
    from workbench.figures.traces.lens import lens_over_passes

    windows = data[dims.WINDOW].values.tolist()
    last = int(data[dims.SLEEP_PASS][-1])
    named: dict[str, Any] = {"passes": (last,) * len(windows), "windows": [w + 1 for w in windows]}
    draw = partial(lens_over_passes, data, boundary=None, **named)
    return [Chart("Answers after each pass", "With 95 % intervals.", draw)]


def concludes(data: xr.Dataset) -> str:
    """Return how often the hardest queries are right after each pass over the last window."""
    level = data[dims.DIFFICULTY].values[-1]
    here = data["accuracy"].isel({dims.WINDOW: -1}).sel({dims.DIFFICULTY: level})
    each = [f"{number(float(here.sel(at)))} {place}" for place, at in by_pass(data).items()]
    return f"At {level_name(data, level)}, right in {', '.join(each)}."


LENS = Measurement(
    asks="What would it answer if it woke after each pass?",
    concludes=concludes,
    title="Answers if it woke after each pass",
    order=20,
    says=(
        "What the model would answer if it woke after each pass, read with the model's own output "
        "layer. Where one window is slept on, waking after pass n is a sleep of n passes, so these "
        "are the accuracies at smaller N, not further evidence for them."
    ),
    settings=LensSettings,
    run=run,
    tables=tables,
    charts=charts,
)
