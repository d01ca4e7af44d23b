"""Probes: what a linear decoder finds in S after each pass, beside all it is compared with."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from workbench import dims
from workbench.figures.matrix import cells, numbers, two_digits
from workbench.figures.panels import SHARE, bars, layout, look, on, row_names
from workbench.figures.theme import (
    DIVERGING,
    INKS,
    SEQUENTIAL,
    Theme,
    colorbar,
    scale,
    template,
)
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
    """Return what a map shows, as means over seeds.

    Parameters
    ----------
    probes : Dataset
        As `workbench.instruments.probes.probe` returns it.
    quantity : {"accuracy", "selectivity", "gain"}
        See `QUANTITIES`; the control task is "kinds" where a target has it, else "shuffled".

    Returns
    -------
    DataArray
        A share (window, sleep_pass, layer, target).
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

    Parameters
    ----------
    probes : Dataset
        As `workbench.instruments.probes.probe` returns it.
    quantity : {"accuracy", "selectivity", "gain"}
        See `QUANTITIES`.
    window : int
        A window slept on, by its label.

    Returns
    -------
    Figure
        For each layer a heatmap, and the values in its cells; ``customdata`` of a cell is its
        words, target, pass and layer.
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
    """Draw layers (rows) against passes (columns), a panel for each target.

    Parameters
    ----------
    probes : Dataset
        As `workbench.instruments.probes.probe` returns it.
    quantity : {"accuracy", "selectivity", "gain"}
        See `QUANTITIES`.
    window : int
        A window slept on, by its label.
    """
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
    across, places = np.arange(len(passes)), np.arange(len(rows))
    diverging = quantity != "accuracy"
    traces: list[dict[str, Any]] = []
    for panel, (title, values) in enumerate(tables.items()):
        table = values.transpose(down, dims.SLEEP_PASS).values
        other = "" if down == dims.TARGET else f"{title}, "
        targets = values[dims.TARGET].values.tolist()
        layers = values[dims.LAYER].values.tolist()
        told = [
            [
                [
                    f"{other}{rows[r]}, {_pass_words(passes[c])}: {table[r, c]:.3f}",
                    targets[r] if isinstance(targets, list) else targets,
                    passes[c],
                    layers[r] if isinstance(layers, list) else layers,
                ]
                for c in range(len(passes))
            ]
            for r in range(len(rows))
        ]
        hover = "%{customdata[0]}<extra></extra>"
        traces.append(
            cells(table, x=across, y=places, hover=hover, customdata=told, xgap=1.5, ygap=1.5)
            | on(panel)
        )
        texts = [[two_digits(value) for value in row] for row in table]
        traces.append(
            numbers(
                table, texts, x=across, y=places, limit=1.0, theme=theme, size=11,
                diverging=diverging,
            )
            | on(panel)
        )  # fmt: skip
    x = {
        "title": {"text": "sleep pass (0: before the first)"},
        "tickvals": across.tolist(),
        "ticktext": [str(p) for p in passes],
        "range": [-0.5, len(passes) - 0.5],
        "showgrid": False,
    }
    y = {"range": [len(rows) - 0.5, -0.5], "showgrid": False, "title": {"text": ""}}
    left = 18 + int(6.8 * max(map(len, rows)))
    result = layout(list(tables), x, y, theme, left=left, row=ROW * len(rows) + 6, columns=3)
    colours = DIVERGING[theme] if diverging else SEQUENTIAL
    row_names(result, rows, len(tables))
    result["margin"]["r"] = 64
    result["coloraxis"] = {
        "colorscale": scale(colours),
        "cmin": -1 if diverging else 0,
        "cmax": 1,
        "colorbar": colorbar("share of items", theme),
    }
    return go.Figure(traces, result)


def probe_curves(
    probes: xr.Dataset, *, window: int, layer: int, theme: Theme = "light"
) -> go.Figure:
    """Draw accuracy against the pass, with control tasks and baselines: a panel for each target.

    Parameters
    ----------
    probes : Dataset
        As `workbench.instruments.probes.probe` returns it.
    window, layer : int
        Labels of a window slept on and of a fast-weight layer.
    """
    here = probes.sel({dims.WINDOW: window, dims.LAYER: layer})
    passes = here[dims.SLEEP_PASS].values
    x = passes.astype(np.float32)
    targets = [str(name) for name in here[dims.TARGET].values]
    lines = [("probe", here["accuracy"].mean(dims.SEED), True)]
    lines += [
        (
            f"control: {name}",
            here["control_accuracy"].sel({dims.CONTROL: name}).mean(dims.SEED),
            False,
        )
        for name in here[dims.CONTROL].values.tolist()
    ]
    lines += [
        (f"baseline: {n}", here["baseline_accuracy"].sel({dims.BASELINE: n}).mean(dims.SEED), False)
        for n in here[dims.BASELINE].values.tolist()
    ]
    lines = [line for line in lines if bool(line[1].notnull().any())]
    traces: list[dict[str, Any]] = []
    for panel, target in enumerate(targets):
        at = {dims.TARGET: target}
        for number, (name, values, main) in enumerate(lines):
            y = values.sel(at).values.astype(np.float32)
            own = look(theme, number)
            line: dict[str, Any] = {
                "type": "scatter",
                "mode": "lines+markers",
                "x": x,
                "y": y,
                "name": name,
                "legendgroup": name,
                "showlegend": panel == 0,
                "hovertemplate": "%{y:.3f}<extra>" + name + "</extra>",
                **own,
                **on(panel),
            }
            if main:
                ends = (here[end].sel(at).values for end in ("low", "high"))
                line["error_y"] = bars(y, *ends)
            else:
                line["line"] = own["line"] | {"width": 1.4, "dash": "dash" if number % 2 else "dot"}
                line["marker"] = own["marker"] | {"size": 5}
            traces.append({k: v for k, v in line.items() if v is not None})
    axis = {
        "title": {"text": "sleep pass"},
        "tickvals": passes.tolist(),
        "range": [float(passes[0]) - 0.3, float(passes[-1]) + 0.3],
        "showgrid": False,
    }
    y_axis = {"title": {"text": "share of items"}, "range": SHARE, "nticks": 6}
    return go.Figure(traces, layout(targets, axis, y_axis, theme, entries=len(lines)))


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
    here = probes["item_accuracy"].sel(
        {
            dims.WINDOW: window,
            dims.LAYER: layer,
            dims.SLEEP_PASS: sleep_pass,
            dims.TARGET: target,
        }
    )
    mean, items = here.mean(dims.SEED), [str(i) for i in here[dims.ITEM].values]
    low, high = here.min(dims.SEED).values, here.max(dims.SEED).values
    y = mean.values.astype(np.float32)
    own = look(theme, 0)
    chance = float(
        probes["baseline_accuracy"]
        .sel({dims.WINDOW: window, dims.LAYER: layer, dims.SLEEP_PASS: sleep_pass})
        .sel({dims.TARGET: target, dims.BASELINE: "majority"})
        .mean()
    )
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
        {
            "template": template(theme),
            "height": 250,
            "margin": {"l": 50, "r": 10, "t": 30, "b": 62 if grouped else 44},
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
