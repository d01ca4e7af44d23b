"""What is lost without a part of the memory."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import xarray as xr
from pydantic import Field

from workbench import dims
from workbench.measurements.base import Chart, Measurement, Reporter, Rows, Settings, drawn
from workbench.measurements.parts import Parts, part_words, parts_of
from workbench.measurements.tables import (
    by_label,
    by_level,
    by_pass,
    by_window,
    cell,
    grid,
    level_name,
    number,
)

if TYPE_CHECKING:
    from workbench.training.checkpoints import Checkpoint


class AblationSettings(Settings):
    """What is lost without a part of the memory.

    Attributes
    ----------
    parts : {"whole", "layers", "heads", "passes"}
        What is erased: all of S, each layer, each head, or what each pass changed.
    """

    examples: int = Field(128, ge=2, le=100_000)
    parts: Parts = "heads"


def run(checkpoint: Checkpoint, settings: AblationSettings, reporter: Reporter) -> xr.Dataset:
    """Set each part to zero, to its mean and to half, and let the model answer.

    With predict_then_sleep to another example's, not to half: the patch of a text, which has no
    answers but its own.
    """
    from workbench.instruments.interventions import MEAN, OTHER, ZERO, ablation_effects
    from workbench.instruments.patching.effects import ablations_by_difficulty

    batch, sleep = drawn(checkpoint, settings)
    parts, places = parts_of(checkpoint, batch, sleep, settings.parts)
    methods = (ZERO, MEAN, 0.5 if sleep.order == "mask" else OTHER)
    effects = ablation_effects(
        checkpoint.model,
        batch,
        sleep,
        components=parts,
        methods=methods,
        seed=settings.seed,
        on_progress=reporter.counter(2 * len(methods) * len(parts) * places),
    )
    return ablations_by_difficulty(effects, checkpoint.task)


def tables(data: xr.Dataset) -> dict[str, Rows]:
    """Return accuracy without each part, after the last pass, or of one part after each pass."""
    found = {}
    several = data.sizes[dims.COMPONENT] > 1
    last = {dims.SLEEP_PASS: int(data[dims.SLEEP_PASS][-1])}
    controls = by_label(data, dims.CONTROL, text=", {}")
    controls = {name.removeprefix(", ablation"): held for name, held in controls.items()}
    for title, window in by_window(data).items():
        here = data.sel({dims.WINDOW: window})
        levels = by_level(here)
        places = {"": last} if several else by_pass(here)
        down = {
            f"{part if several else place}, {procedure}{control}": of | at | how | held
            for part, of in by_label(data, dims.COMPONENT).items()
            for place, at in places.items()
            for procedure, how in by_label(data, dims.PROCEDURE).items()
            for control, held in controls.items()
        }
        rows = grid(here, "accuracy", down, levels, corner="erased or scaled")
        intact = [cell(here.sel(at), "intact_accuracy") for at in levels.values()]
        rows.insert(1, ["left alone", *intact])
        found[f"answers right{title}"] = rows
    return found


def charts(data: xr.Dataset) -> list[Chart]:
    """Return a map of the change of accuracy, of each window and method."""
    from workbench.figures.effects import ablation_map

    says = "Next to each: a random change of S of the same size."
    return [
        Chart(
            f"Change of accuracy, {procedure}{name}",
            says,
            partial(ablation_map, data, window=window, procedure=procedure),
        )
        for name, window in by_window(data).items()
        for procedure in data[dims.PROCEDURE].values.tolist()
    ]


def concludes(data: xr.Dataset) -> str:
    """Return which part costs the most when it is replaced by its mean, next to its control."""
    means = [p for p in data[dims.PROCEDURE].values.tolist() if p != "zero"]
    here = data.isel({dims.WINDOW: -1, dims.SLEEP_PASS: -1}).sel({dims.PROCEDURE: means[0]})
    lost = here["intact_accuracy"] - here["accuracy"]
    first, *others = data[dims.CONTROL].values.tolist()
    if bool(lost.sel({dims.CONTROL: first}).isnull().all()):
        return ""
    at = lost.sel({dims.CONTROL: first}).argmax([dims.COMPONENT, dims.DIFFICULTY])
    part = data[dims.COMPONENT].values[int(at[dims.COMPONENT])]
    level = data[dims.DIFFICULTY].values[int(at[dims.DIFFICULTY])]
    costs = [number(float(lost.sel({dims.CONTROL: c}).isel(at))) for c in (first, *others)]
    other = f", a random change of the same size {costs[1]}" if others else ""
    at_level = f"at {level_name(data, level)} it costs {costs[0]}{other}"
    return f"Most without {part_words(part)} ({means[0]}): {at_level}."


ABLATIONS = Measurement(
    asks="What is lost without a part of S?",
    concludes=concludes,
    title="Answers without a part of the memory",
    order=60,
    says=(
        "What is answered without a part of S. A part set to zero may break a model without "
        "having held anything: compare with its mean over examples."
    ),
    settings=AblationSettings,
    run=run,
    tables=tables,
    charts=charts,
    words={"ablation": "Taking a part of S away, to see which answers are lost."},
)
