"""Probes: what a linear decoder finds in S after each pass, beside all it is compared with."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from workbench import dims
from workbench.figures.matrix import maps
from workbench.figures.panels import SHARE, bars, layout, line, look
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
        raise ValueError(f"quantity {quantity!r} is none of {', '.join(QUANTITIES)}")
    if dims.SEED in found.dims:
        found = found.mean(dims.SEED)
    return found.transpose(dims.WINDOW, dims.SLEEP_PASS, dims.LAYER, dims.TARGET)


def linear_baselines(probes: xr.Dataset) -> xr.DataArray:
    """Return the accuracy of baselines that decode linearly, as a probe does; means over seeds."""
    names = [b for b in probes[dims.BASELINE].values.tolist() if b not in STRONGER]
    return probes["baseline_accuracy"].sel({dims.BASELINE: names}).mean(dims.SEED)


def probe_map(
    probes: xr.Dataset, *, quantity: str = "accuracy", window: int, theme: Theme = "light"
) -> go.Figure:
    """Draw targets (rows) against passes (columns), a panel for each layer: steps unrolling.

    `probes` comes from `workbench.instruments.probes.probe`, `quantity` is one of `QUANTITIES`,
    `window` the label of a window slept on. ``customdata`` of a cell is its words, target, pass
    and layer.
    """
    values = shown(probes, quantity).sel({dims.WINDOW: window})
    targets = [str(name) for name in values[dims.TARGET].values]
    tables = {
        f"layer {layer}, {QUANTITIES[quantity]}": values.sel({dims.LAYER: layer})
        for layer in values[dims.LAYER].values.tolist()
    }
    return _maps(tables, dims.TARGET, targets, quantity, theme)


def layer_map(
    probes: xr.Dataset, *, quantity: str = "accuracy", window: int, theme: Theme = "light"
) -> go.Figure:
    """Draw layers (rows) against passes (columns), a panel for each target; see `probe_map`."""
    values = shown(probes, quantity).sel({dims.WINDOW: window})
    tables = {str(t): values.sel({dims.TARGET: t}) for t in values[dims.TARGET].values}
    names = [f"layer {layer}" for layer in values[dims.LAYER].values.tolist()]
    return _maps(tables, dims.LAYER, names, quantity, theme)


def _maps(
    tables: dict[str, xr.DataArray], down: str, rows: list[str], quantity: str, theme: Theme
) -> go.Figure:
    """Draw ``[down, sleep_pass]`` as panels; ``customdata`` is words, target, pass and layer."""
    first = next(iter(tables.values()))
    passes = first[dims.SLEEP_PASS].values.tolist()
    values = {n: t.transpose(down, dims.SLEEP_PASS).values for n, t in tables.items()}
    told = []
    for title, table in tables.items():
        other = "" if down == dims.TARGET else f"{title}, "
        every = np.broadcast_arrays(*(table[d].values for d in (dims.TARGET, dims.LAYER)), rows)
        targets, layers, _ = (array.tolist() for array in every)
        told.append(
            [
                [
                    [f"{other}{name}, {_pass_words(n)}: {value:.3f}", target, n, layer]
                    for n, value in zip(passes, line, strict=True)
                ]
                for name, target, layer, line in zip(
                    rows, targets, layers, values[title], strict=True
                )
            ]
        )
    signed = quantity != "accuracy"
    low, colours = (-1, DIVERGING[theme]) if signed else (0, SEQUENTIAL)
    return maps(
        values, told, rows, passes, x_title="sleep pass (0: before the first)",
        hover="%{customdata[0]}<extra></extra>", size=11, row=ROW, columns=3, theme=theme,
        left=18 + int(6.8 * max(map(len, rows))), diverging=signed,
        coloraxis=coloraxis(colours, low, 1, theme, "share of items"),
    )  # fmt: skip


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
            more["hovertemplate"] = "%{y:.3f}<extra>" + name + "</extra>"
            traces.append(line(passes, y, name, number, panel, theme, **more))
    axis = {
        "title": {"text": "sleep pass"},
        "tickvals": passes.tolist(),
        "range": [float(passes[0]) - 0.3, float(passes[-1]) + 0.3],
        "showgrid": False,
    }
    y_axis = {"title": {"text": "share of items"}, "range": SHARE, "nticks": 6}
    return go.Figure(traces, layout(targets, axis, y_axis, theme, entries=len(means)))


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
    own = look(theme, 0)
    chance = float(probes["baseline_accuracy"].sel(at | {dims.BASELINE: "majority"}).mean())
    traces = [
        {
            "type": "bar",
            "x": np.arange(len(items), dtype=np.float32),
            "y": y,
            "marker": {"color": own["marker"]["color"]},
            "error_y": bars(y, low, high),
            "name": "mean of seeds, with their range",
            "hovertemplate": "%{y:.3f}<extra></extra>",
            "showlegend": False,
        },
        {
            "type": "scatter",
            "mode": "lines",
            "x": np.array([-0.6, len(items) - 0.4], dtype=np.float32),
            "y": np.array([chance, chance], dtype=np.float32),
            "line": {"color": INKS[theme].text, "dash": "dot", "width": 1.5},
            "name": "majority",
            "hovertemplate": f"majority {chance:.3f}<extra></extra>",
            "showlegend": False,
        },
    ]
    grouped = ", " in items[0]
    kind = items[0].rpartition(", ")[2].split(" ")[0] if grouped else "item"
    return go.Figure(
        traces,
        frame(theme, 250, 50, 10, 30, 62 if grouped else 44)
        | {
            "title": {
                "text": f"{target}, {_pass_words(sleep_pass)}: item by item; dotted: majority",
                "font": {"size": 13.5},
            },
            "xaxis": {
                "tickvals": list(range(len(items))), "ticktext": _short(items), "fixedrange": True,
                "tickangle": 0,
                "range": [-0.6, len(items) - 0.4], "showgrid": False, "title": {"text": kind},
            },
            "yaxis": {"range": SHARE, "fixedrange": True, "title": {"text": "share told right"}},
        },
    )  # fmt: skip


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
