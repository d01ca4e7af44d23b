"""Steering: how often answers follow when S is moved along a probe's direction, or another."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from workbench import dims
from workbench.figures.marks import bars, hover, share_axis
from workbench.figures.panels import layout, line, look, n_axis
from workbench.figures.theme import Theme
from workbench.tasks.phrases import level_words

NOTHING: Final = "nothing"
"""The control that moves nothing: how often the answer is the one asked for anyhow."""


def steering_curves(
    steering: xr.Dataset, *, sleep_pass: int, layer: int, theme: Theme = "light"
) -> go.Figure:
    """Draw the share of answers that follow against the strength: a panel for each target.

    Each panel shows the queries of the target's own difficulty, whose answers are to become what
    the direction stands for; a target that no query asks for has none.

    Lines are the directions and controls, with their 95 % intervals. `steering` comes from
    `workbench.instruments.steering.steering_by_difficulty`; S was moved at `sleep_pass, layer`.
    """
    here = steering.sel({dims.SLEEP_PASS: sleep_pass, dims.LAYER: layer})
    word = str(steering.attrs.get("difficulty_name", "difficulty"))
    strengths = here[dims.STRENGTH].values
    controls = here[dims.CONTROL].values.tolist()
    titles: list[str] = []
    traces: list[dict[str, Any]] = []
    for target, level in zip(here[dims.TARGET].values, here["level"].values, strict=True):
        if int(level) not in here[dims.DIFFICULTY].values:
            continue
        panel = len(titles)
        there = here.sel({dims.TARGET: target, dims.DIFFICULTY: int(level)})
        titles.append(f"{level_words(int(level), word)} ({int(there['cases'])} cases)")
        lengths = [f"{float(value):.0%}" for value in there["norm"].values]
        for number, control in enumerate(controls):
            one = there.sel({dims.CONTROL: control})
            y, own = one["follows"].values.astype(np.float32), look(theme, number)
            error = bars(y, one["follows_low"].values, one["follows_high"].values)
            more: dict[str, Any] = {"error_y": error}
            if number:  # a control: thinner than the probe's direction
                dash = {"width": 1.4, "dash": "dot" if number % 2 else "dash"}
                more = {"line": own["line"] | dash, "marker": own["marker"] | {"size": 5}}
                more["error_y"] = error and error | {"thickness": 0.8, "width": 2}
            more |= {"customdata": lengths, "legendgroup": control}
            more["hovertemplate"] = hover("%{y:.3f}, moved by %{customdata} of S", control)
            name = control if control != NOTHING else "nothing is moved"
            traces.append(line(strengths, y, name, number, panel, theme, **more))
    x = n_axis(strengths.tolist(), "times the shortest move")
    y_axis = share_axis("answers that follow")
    return go.Figure(traces, layout(titles, x, y_axis, theme, entries=len(controls)))
