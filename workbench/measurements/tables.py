"""What the tables of measurements share: cells with their intervals, and the names of rows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from workbench import dims
from workbench.measurements.base import Rows
from workbench.tasks.phrases import level_words

if TYPE_CHECKING:
    import xarray as xr


def cell(data: xr.Dataset, name: str) -> str:
    """Return one number with its interval; "" where it was not measured."""
    mean = float(data[name])
    if math.isnan(mean):
        return ""
    text = number(mean)
    if f"{name}_low" not in data:
        return text
    low, high = float(data[f"{name}_low"]), float(data[f"{name}_high"])
    return text if math.isnan(low) else f"{text} [{number(low)}, {number(high)}]"


def number(value: float) -> str:
    """Return a number with two decimals."""
    text = f"{value:.2f}"
    return text.removeprefix("-") if float(text) == 0 else text.replace("-", "−")


def grid(
    data: xr.Dataset, name: str, down: dict[str, Any], across: dict[str, Any], *, corner: str
) -> Rows:
    """Return a table of one variable: selections by their names, down and across."""
    body = [
        [title, *(cell(data.sel({**here, **there}), name) for there in across.values())]
        for title, here in down.items()
    ]
    return [[corner, *across], *body]


def by_label(data: xr.Dataset, dim: str, *, text: str = "{}") -> dict[str, Any]:
    """Return the selection of each label of a dim, by its name in a table."""
    return {text.format(label): {dim: label} for label in data[dim].values.tolist()}


def by_pass(data: xr.Dataset, *, first: int = 0) -> dict[str, Any]:
    """Return the selection of each pass, by its name in a row."""
    numbers = [n for n in data[dims.SLEEP_PASS].values.tolist() if n >= first]
    return {(f"after pass {n}" if n else "before the sleep"): {dims.SLEEP_PASS: n} for n in numbers}


def by_level(data: xr.Dataset) -> dict[str, Any]:
    """Return the selection of each difficulty, by its name above a column."""
    levels = data[dims.DIFFICULTY].values.tolist()
    return {level_name(data, level): {dims.DIFFICULTY: level} for level in levels}


def level_name(data: xr.Dataset, level: int) -> str:
    """Return what a table calls a difficulty: ``2 hops``."""
    return level_words(level, str(data.attrs["difficulty_name"]))


def by_window(data: xr.Dataset) -> dict[str, Any]:
    """Return each window slept on, by what a heading says of it: "" where there is only one."""
    windows = data[dims.WINDOW].values.tolist()
    if len(windows) == 1:
        return {"": windows[0]}
    return {f", window {w}": w for w in windows}
