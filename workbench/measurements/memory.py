"""What passes add to the memory, and what windows leave in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import xarray as xr

from workbench import dims
from workbench.measurements.base import Measurement, Reporter, Rows, Settings, drawn
from workbench.measurements.tables import by_label, by_pass, by_window, cell, grid, number

if TYPE_CHECKING:
    from workbench.training.checkpoints import Checkpoint


def run(checkpoint: Checkpoint, settings: Settings, reporter: Reporter) -> xr.Dataset:
    """Record the examples and summarise their traces."""
    from workbench.instruments.summary import memory_summary
    from workbench.trace import record

    count = reporter.counter(settings.examples)
    batch, sleep = drawn(checkpoint, settings)
    return memory_summary(record(checkpoint.model, batch, sleep, on_progress=count))


def tables(data: xr.Dataset) -> dict[str, Rows]:
    """Return what each pass wrote and changed, what windows leave, and what keys return."""
    found: dict[str, Rows] = {}
    for title, window in by_window(data).items():
        for name, rows in _of_window(data, window).items():
            found[f"{name}{title}"] = rows
    return found


def _of_window(data: xr.Dataset, window: int) -> dict[str, Rows]:
    here = data.sel({dims.WINDOW: window})
    methods = by_label(data, dims.PROCEDURE)
    heads = {
        f"{layer} {head}": at | of
        for layer, at in by_label(data, dims.LAYER, text="layer {}").items()
        for head, of in by_label(data, dims.GDN_HEAD, text="head {}").items()
    }
    found = _shares(here, heads, methods)
    found["relative change, all heads together"] = grid(
        here, "memory_change", methods, by_pass(here, first=1), corner="relative change"
    )
    rows = grid(here, "retrieved", heads, by_pass(here), corner="keys that find their value")
    chance = number(float(here["retrieved_chance"].mean()))
    rows.append(["chance", *([chance] * (len(rows[0]) - 1))])
    found["retrieved"] = rows
    kept = data.sel({dims.SOURCE_WINDOW: window})
    ages = [
        age
        for age in data[dims.AGE].values.tolist()
        if age and bool(kept["retention"].sel({dims.AGE: age}).notnull().any())
    ]
    after = {f"after {a} more window{'' if a == 1 else 's'}": {dims.AGE: a} for a in ages}
    corner = "left of what the window wrote"
    found["retention"] = grid(kept, "retention", heads, after, corner=corner)
    return found


def _shares(
    here: xr.Dataset, heads: dict[str, dict[str, int]], methods: dict[str, dict[str, str]]
) -> dict[str, Rows]:
    """Return which share of S each pass wrote, in each convention that was measured."""
    from workbench.instruments.linear import LEFT

    found = {}
    sources = by_label(here, dims.SOURCE_PASS, text="pass {}")
    down = {
        f"{head}, {method}": {**at, **procedure}
        for head, at in heads.items()
        for method, procedure in methods.items()
    }
    known = dims.CONVENTION in here.dims  # older measurements have the first one alone
    for convention in here[dims.CONVENTION].values.tolist() if known else [LEFT]:
        one = here.sel({dims.CONVENTION: convention}) if known else here
        rows = grid(one, "written", down, sources, corner=f"share of S {convention}")
        rows[0].append("carried in")
        for row, at in zip(rows[1:], down.values(), strict=True):
            row.append(cell(one.sel(at), "carried"))
        found[f"shares of S {convention}"] = rows
    return found


def concludes(data: xr.Dataset) -> str:
    """Return how far S moves in each pass of the last window, and in a frozen replay."""
    here = data["memory_change"].isel({dims.WINDOW: -1})
    parts = []
    for procedure in data[dims.PROCEDURE].values.tolist()[:2]:
        one = here.sel({dims.PROCEDURE: procedure})
        each = (number(float(one.sel(at))) for at in by_pass(data, first=1).values())
        parts.append(f"{procedure} {', '.join(each)}")
    return f"Relative change in each pass: {'; '.join(parts)}."


MEMORY = Measurement(
    asks="How does S change from pass to pass?",
    concludes=concludes,
    title="What passes add to the memory",
    order=10,
    says=(
        "Shares of S by the pass that wrote them, head by head, because heads matter unequally to "
        "the answers. Two conventions divide S: what a token removes is lost to the older write "
        "(left of each write), or is part of the token's own change (changed by each write). Then "
        "how much each pass changes, how many keys find their own value, and what later windows "
        "leave. The frozen replay writes what the first pass wrote again in every pass. Means "
        "over examples of one model."
    ),
    settings=Settings,
    run=run,
    tables=tables,
    words={
        "frozen replay": (
            "A comparison: the first pass's writes made again and again, as if later passes found "
            "nothing new to write."
        )
    },
)
