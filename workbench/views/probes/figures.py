"""The figures of the page of probes, made from what its model shows. No Panel."""

from __future__ import annotations

import plotly.graph_objects as go

from workbench import dims
from workbench.figures.probes import item_bars, layer_map, probe_curves, probe_map
from workbench.figures.steering import steering_curves
from workbench.figures.theme import Theme
from workbench.views.probes.model import ProbeModel

FIGURES = {
    "accuracy": "Accuracy of the probe by target and pass",
    "selectivity": "Selectivity by target and pass",
    "gain": "Accuracy minus the best baseline by target and pass",
    "items": "Accuracy item by item",
    "layers": "Accuracy by layer and pass",
    "curves": "Accuracy next to controls and baselines",
    "steering": "Answers that follow when S is moved",
}
"""Figures, and what each is called for screen readers."""
MAPS = ("accuracy", "selectivity", "gain", "layers")
"""Figures that a click chooses a cell in."""


def figures_of(model: ProbeModel, theme: Theme) -> dict[str, go.Figure]:
    """Return the figures of what a model shows; what was not measured has none."""
    data, steered, number = model.data, model.steering, model.steered_pass
    made: dict[str, go.Figure] = {}
    if data is not None:
        window, layer = model.window, model.layer
        for quantity in ("accuracy", "selectivity", "gain"):
            made[quantity] = probe_map(data, quantity=quantity, window=window, theme=theme)
        if len(model.options("layer")) > 1:
            made["layers"] = layer_map(data, window=window, theme=theme)
        made["items"] = item_bars(
            data,
            window=window,
            layer=layer,
            sleep_pass=model.sleep_pass,
            target=model.target,
            theme=theme,
        )
        made["curves"] = probe_curves(data, window=window, layer=layer, theme=theme)
    if steered is not None and number is not None:
        there = steered[dims.LAYER].values.tolist()
        layer = model.layer if model.layer in there else there[0]
        made["steering"] = steering_curves(steered, sleep_pass=number, layer=layer, theme=theme)
    return made
