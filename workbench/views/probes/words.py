"""What the page of probes says: how to read its figures, and what they do not show. No Panel."""

from __future__ import annotations

from typing import Final

import xarray as xr

from workbench import dims
from workbench.task_config import task_kinds
from workbench.tasks.base import Task

NOT_MEASURED: Final = (
    "<h1>Probes: {checkpoint}</h1><p>Nothing is measured yet with this checkpoint. Press "
    "<b>Measure</b> below: 2000 examples take a minute or two; 200 examples and one split give a "
    "first look in seconds.</p>"
)
SELECTIVITY: Final = (
    "Accuracy minus that of a control task: a random label for each kind of input. At zero or "
    "below (blue), a probe of this strength does as well on meaningless labels, so its accuracy "
    "alone says little: look at the baselines, and at steering."
)
GAIN: Final = (
    "Accuracy minus the best linear baseline: the majority; the token embeddings; what the text "
    "read so far says of each item; a frozen replay, which repeats the first pass's writes (from "
    "pass 2 on; before that it is the sleep itself); and the same model with untrained weights, a "
    "different one for each split."
)
ITEMS: Final = (
    "One cell of the maps, item by item. Click on a cell of a map, or choose here. Bars are means "
    "over splits, with their range."
)
CURVES: Final = (
    "A panel for each target. What sleep adds is what lies above every linear baseline: the text "
    "itself, the frozen replay and untrained weights, not only chance (the majority). 'Input, "
    "quadratic' decodes the text from products of two of its entries, without any model: what it "
    "gets right takes only that one step, so finding it in S says little about sleep."
)
LAYERS: Final = "A panel for each target: which layer holds it, after which pass."
OMITS: Final = (
    "<h2>What this does not show</h2><ul>"
    "<li><b>Decodable does not mean used.</b> A probe reads what is there; the model may never "
    "look at it. Steering, above, tests that.</li>"
    "<li><b>Not decodable is not absent.</b> The probe is linear: a code that it cannot read may "
    "still be one.</li>"
    "<li><b>One trained model.</b> Intervals are over examples, never over training seeds.</li>"
    "</ul>"
)
ORDINALS: Final = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")
STEERED: Final = (
    "<h2>Is it used? Steering</h2><p>S is moved along the probe's own direction, after pass "
    "{sleep_pass}, until the probe reads another answer, and further; then the model answers. "
    "Where answers follow the probe's direction but no other direction of the same length, what "
    "is decodable is used. Long moves may break more than they steer.</p>"
)
NOT_STEERED: Final = (
    "<h2>Is it used? Steering</h2><p>Decodable does not mean used. Whether answers follow when S "
    "is moved along the probe's direction is another measurement, not made with this checkpoint "
    "yet. Measure it below: choose <b>Answers when a probe's direction is moved</b>.</p>"
)


def accuracy_words(data: xr.Dataset) -> str:
    """Return how to read the map of accuracy."""
    meaning = str(data["meaning"].values[-1]) if "meaning" in data.coords else ""
    asked = f"The last row asks: {meaning} " if meaning else ""
    task = task_kinds().get(str(data.attrs["task"]), Task)
    when = "after every pass; column 0 is S before the first"
    return f"{asked}It is asked of every {task.item}, {when}. {task.unrolling}"


def window_options(data: xr.Dataset) -> dict[str, int]:
    """Return the windows to choose from: their labels count from 0, as in tables and files."""
    return {
        f"{w} ({ORDINALS[w]})" if w < len(ORDINALS) else str(w): w
        for w in data[dims.WINDOW].values.tolist()
    }


def pass_options(data: xr.Dataset) -> dict[str, int]:
    """Return the passes to choose from, by their words."""
    return {
        (f"after pass {p}" if p else "before the first"): p
        for p in data[dims.SLEEP_PASS].values.tolist()
    }
