"""Probes: what a linear decoder finds in S after each pass, next to controls and baselines."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from workbench import dims
from workbench.figures.marks import (
    SHARE,
    axis,
    bars,
    coordinates,
    hover,
    pass_axis,
    scatter,
    share_axis,
)
from workbench.figures.matrix import maps
from workbench.figures.panels import layout, line, look
from workbench.figures.theme import DIVERGING, INKS, SEQUENTIAL, Theme, coloraxis, frame
from workbench.instruments.controls import STRONGER

QUANTITIES: Final = {
    "accuracy": "accuracy",
    "selectivity": "selectivity (accuracy minus control task)",
    "gain": "accuracy minus the best linear baseline",
}
"""What a map can show, in words."""
KINDS: Final = "kinds"
"""The control task that selectivity is taken against, where a target has it; else "shuffled"."""
ROW: Final = 34
"""Height of a map's row, pixels."""


def shown(probes: xr.Dataset, quantity: str) -> xr.DataArray:
    """Return what a map shows, a share (window, sleep_pass, layer, target), mean over seeds.

    `quantity` is one of `QUANTITIES`; the control task is "kinds" where a target has it, else
    "shuffled".
    """
    if quantity == "accuracy":
        found = probes["accuracy"]
    elif quantity == "selectivity":
        both = probes["selectivity"]
        found = both.sel({dims.CONTROL: KINDS}, drop=True).fillna(
            both.sel({dims.CONTROL: "shuffled"}, drop=True)
        )
    elif quantity == "gain":
        found = probes["accuracy"].mean(dims.SEED) - linear_baselines(probes).max(dims.BASELINE)
    else:
        raise ValueError(f"quantity {quantity!r} given; expected one of {', '.join(QUANTITIES)}")
    if dims.SEED in found.dims:
        found = found.mean(dims.SEED)
    return found.transpose(dims.WINDOW, dims.SLEEP_PASS, dims.LAYER, dims.TARGET)


def linear_baselines(probes: xr.Dataset) -> xr.DataArray:
    """Return the accuracy of baselines that decode linearly, as a probe does; means over seeds."""
    names = [b for b in probes[dims.BASELINE].values.tolist() if b not in STRONGER]
    return probes["baseline_accuracy"].sel({dims.BASELINE: names}).mean(dims.SEED)


def probe_map(
    probes: xr.Dataset,
    *,
    quantity: str = "accuracy",
    window: int,
    panels: str = dims.LAYER,
    theme: Theme = "light",
) -> go.Figure:
    """Draw a linear decoder's success against the pass (columns): steps unrolling.

    `probes` comes from `workbench.instruments.probes.probe`, `quantity` is one of `QUANTITIES`,
    `window` the label of a window slept on. Rows are targets with a panel for each layer, or the
    other way around if `panels` is "target". ``customdata`` of a cell is its words, target, pass
    and layer.
    """
    values = shown(probes, quantity).sel({dims.WINDOW: window})
    targets = [str(name) for name in values[dims.TARGET].values]
    layers = values[dims.LAYER].values.tolist()
    titles = {
        f"layer {layer}, {QUANTITIES[quantity]}": values.sel({dims.LAYER: layer})
        for layer in layers
    }
    down, rows = dims.TARGET, targets
    if panels == dims.TARGET:
        titles = {target: values.sel({dims.TARGET: target}) for target in targets}
        down, rows = dims.LAYER, [f"layer {layer}" for layer in layers]

    def words(title: str, row: int, n: int, value: float) -> list[Any]:
        coords = (titles[title][dim].values for dim in (dims.TARGET, dims.LAYER))
        target, layer = (np.broadcast_to(values, len(rows))[row].item() for values in coords)
        other = "" if down == dims.TARGET else f"{title}, "
        return [f"{other}{rows[row]}, {_pass_words(n)}: {value:.3f}", target, n, layer]

    signed = quantity != "accuracy"
    low, colours = (-1, DIVERGING[theme]) if signed else (0, SEQUENTIAL)
    return maps(
        titles,
        down,
        rows,
        words,
        x_title="sleep pass (0: before the first)",
        hover=hover("%{customdata[0]}"),
        size=11,
        row=ROW,
        columns=3,
        theme=theme,
        diverging=signed,
        coloraxis=coloraxis(colours, low, 1, theme, "share of items"),
    )


def probe_curves(
    probes: xr.Dataset, *, window: int, layer: int, theme: Theme = "light"
) -> go.Figure:
    """Draw accuracy against the pass, with control tasks and baselines: a panel for each target.

    `probes` comes from `workbench.instruments.probes.probe`; `window` and `layer` are labels.
    """
    here = probes.sel({dims.WINDOW: window, dims.LAYER: layer})
    passes = here[dims.SLEEP_PASS].values
    targets = [str(name) for name in here[dims.TARGET].values]
    lines = {"probe": here["accuracy"]}
    for kind, name, dim in (
        ("control", "control_accuracy", dims.CONTROL),
        ("baseline", "baseline_accuracy", dims.BASELINE),
    ):
        for n in here[dim].values.tolist():
            lines[f"{kind}: {n}"] = here[name].sel({dim: n})
    means = {name: values.mean(dims.SEED) for name, values in lines.items()}
    means = {name: values for name, values in means.items() if bool(values.notnull().any())}
    traces: list[dict[str, Any]] = []
    for panel, target in enumerate(targets):
        at = {dims.TARGET: target}
        for number, (name, values) in enumerate(means.items()):
            y, own = values.sel(at).values.astype(np.float32), look(theme, number)
            if name == "probe":
                more: dict[str, Any] = {
                    "error_y": bars(y, *(here[end].sel(at).values for end in ("low", "high")))
                }
            else:
                dash = {"width": 1.4, "dash": "dash" if number % 2 else "dot"}
                more = {"line": own["line"] | dash, "marker": own["marker"] | {"size": 5}}
                if name.startswith("control"):  # read last, so it must not lead
                    thin = {"width": 0.9, "color": INKS[theme].muted}
                    more = {"line": own["line"] | dash | thin, "mode": "lines"}
            more["hovertemplate"] = hover("%{y:.3f}", name)
            traces.append(line(passes, y, name, number, panel, theme, **more))
    x, y_axis = pass_axis("sleep pass", passes), share_axis("share of items")
    return go.Figure(traces, layout(targets, x, y_axis, theme, entries=len(means)))


def item_bars(
    probes: xr.Dataset,
    *,
    window: int,
    layer: int,
    sleep_pass: int,
    target: str,
    theme: Theme = "light",
) -> go.Figure:
    """Draw one cell of a map item by item: every node or cell by itself, over seeds."""
    at = {dims.WINDOW: window, dims.LAYER: layer, dims.SLEEP_PASS: sleep_pass, dims.TARGET: target}
    here = probes["item_accuracy"].sel(at)
    mean, items = here.mean(dims.SEED), [str(i) for i in here[dims.ITEM].values]
    low, high = here.min(dims.SEED).values, here.max(dims.SEED).values
    y = mean.values.astype(np.float32)
    ends = [-0.6, len(items) - 0.4]
    chance = float(probes["baseline_accuracy"].sel(at | {dims.BASELINE: "majority"}).mean())
    traces = [
        {
            "type": "bar",
            "x": coordinates(range(len(items))),
            "y": y,
            "marker": {"color": look(theme, 0)["marker"]["color"]},
            "error_y": bars(y, low, high),
            "name": "mean of seeds, with their range",
            "hovertemplate": hover("%{y:.3f}"),
            "showlegend": False,
        },
        scatter(
            ends,
            [chance, chance],
            mode="lines",
            line={"color": INKS[theme].text, "dash": "dot", "width": 1.5},
            name="majority",
            hovertemplate=hover(f"majority {chance:.3f}"),
            showlegend=False,
        ),
    ]
    grouped = ", " in items[0]
    kind = items[0].rpartition(", ")[2].split(" ")[0] if grouped else "item"
    title = f"{target}, {_pass_words(sleep_pass)}: item by item; dotted: majority"
    ticks: dict[str, Any] = {
        "tickvals": list(range(len(items))),
        "ticktext": _short(items),
        "tickangle": 0,
    }
    layout = frame(theme, 250, 50, 10, 30, 62 if grouped else 44) | {
        "title": {"text": title, "font": {"size": 13.5}},
        "xaxis": axis(kind, range=ends, **ticks),
        "yaxis": axis("share correct", grid=True, range=SHARE),
    }
    return go.Figure(traces, layout)


def _short(items: list[str]) -> list[str]:
    """Return names that fit under bars: of ``string 0, cell 3`` the 3, and where each begins."""
    found, before = [], ""
    for item in items:
        group, _, name = item.rpartition(", ")
        last = name.split(" ")[-1]
        found.append(f"{last}<br>{group}" if group and group != before else last)
        before = group
    return found


def _pass_words(sleep_pass: int) -> str:
    return f"after pass {sleep_pass}" if sleep_pass else "before the first pass"
