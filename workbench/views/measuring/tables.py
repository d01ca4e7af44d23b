"""Measurements as tables in words: one for each kind, shared by pages and docs/findings.md.

Reads datasets of `workbench.lab.measured`; imports no Panel and no torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import xarray as xr

from workbench import dims
from workbench.instruments.controls import REPLAY, STRONGER, UNTRAINED
from workbench.instruments.linear import LEFT
from workbench.lab.measured import damage_reported
from workbench.paths import data_folder
from workbench.tasks.phrases import level_words

Rows = list[list[str]]
"""Cells of a table, its head first."""
CHANGING: Final = (REPLAY, UNTRAINED)
"""Baselines that are another number after each pass."""


def measurements(kind: str | None = None) -> dict[str, Path]:
    """Return the bundled measurements by name, of one kind or all."""
    found = {}
    for path in sorted((data_folder() / "results" / "instruments").glob("*.json")):
        name = path.stem
        if kind is None or name.startswith(f"{kind}-"):
            found[name] = path
    return found


def tables(data: xr.Dataset) -> dict[str, Rows]:
    """Return the tables of a measurement by name; attribute ``kind`` says which it is.

    Raises
    ------
    UnreadableFile
        The measurement lacks what its tables show.
    """
    with damage_reported(f"a measurement of kind {data.attrs.get('kind')!r}"):
        return TABLES[str(data.attrs["kind"])](data)


def cell(data: xr.Dataset, name: str, *, bounds: bool = True) -> str:
    """Return one number with its interval; "" where it was not measured."""
    mean = float(data[name])
    if math.isnan(mean):
        return ""
    text = _plain(mean)
    if not bounds or f"{name}_low" not in data:
        return text
    low, high = float(data[f"{name}_low"]), float(data[f"{name}_high"])
    return text if math.isnan(low) else f"{text} [{_plain(low)}, {_plain(high)}]"


def _plain(value: float) -> str:
    text = f"{value:.2f}"
    return text.removeprefix("-") if float(text) == 0 else text.replace("-", "−")


def _grid(
    data: xr.Dataset,
    name: str,
    down: dict[str, Any],
    across: dict[str, Any],
    *,
    corner: str,
    bounds: bool = True,
) -> Rows:
    """Return a table of one variable: selections by their names, down and across."""
    head = [corner, *across]
    body = [
        [title, *(cell(data.sel({**here, **there}), name, bounds=bounds)
                  for there in across.values())]
        for title, here in down.items()
    ]  # fmt: skip
    return [head, *body]


def _passes(data: xr.Dataset, *, first: int = 0) -> dict[str, Any]:
    passes = [p for p in data[dims.SLEEP_PASS].values.tolist() if p >= first]
    names = {p: f"after pass {p}" if p else "before the sleep" for p in passes}
    return {names[p]: {dims.SLEEP_PASS: p} for p in passes}


def _levels(data: xr.Dataset) -> dict[str, Any]:
    word = str(data.attrs["difficulty_name"])
    levels = data[dims.DIFFICULTY].values.tolist()
    return {level_words(level, word): {dims.DIFFICULTY: level} for level in levels}


def _windows(data: xr.Dataset) -> list[tuple[str, Any]]:
    """Return each window slept on; its name is empty where there is one alone."""
    windows = data[dims.WINDOW].values.tolist()
    if len(windows) == 1:
        return [("", windows[0])]
    return [(f", window {w}", w) for w in windows]


def lens_tables(data: xr.Dataset) -> dict[str, Rows]:
    """Return accuracy by pass and difficulty, with the chance lines."""
    found = {}
    for title, window in _windows(data):
        here = data.sel({dims.WINDOW: window})
        rows = _grid(here, "accuracy", _passes(here), _levels(here), corner="if it woke")
        if "chance" in data:
            for line in data[dims.CHANCE_LINE].values.tolist():
                chance = data["chance"].sel({dims.CHANCE_LINE: line}).values
                rows.append([f"chance: {line}", *(_plain(float(v)) for v in chance)])
        found[f"answers right{title}"] = rows
    return found


def probe_tables(data: xr.Dataset) -> dict[str, Rows]:
    """Return accuracy by pass and target, then what it is compared with, and what it is above.

    Baselines that change with the pass have a row for each; the others, and control tasks, one for
    the last pass.
    """
    found = {}
    targets = {str(t): {dims.TARGET: t} for t in data[dims.TARGET].values}
    for title, window in _windows(data):
        for layer in data[dims.LAYER].values.tolist():
            here = data.sel({dims.WINDOW: window, dims.LAYER: layer})
            several = data.sizes[dims.LAYER] > 1
            name = f"told right{title}{f', layer {layer}' if several else ''}"
            found[name] = _probe_rows(here, targets)
    return found


def _probe_rows(here: xr.Dataset, targets: dict[str, Any]) -> Rows:
    means = xr.Dataset(
        {
            "accuracy": here["accuracy"].mean(dims.SEED),
            "accuracy_low": here["low"],
            "accuracy_high": here["high"],
        }
    )
    rows = _grid(means, "accuracy", _passes(here), targets, corner="probe")

    def add(label: str, values: xr.DataArray) -> None:
        numbers = [float(values.sel(at)) for at in targets.values()]
        if not all(map(math.isnan, numbers)):
            rows.append([label, *("" if math.isnan(v) else _plain(v) for v in numbers)])

    last = {dims.SLEEP_PASS: here[dims.SLEEP_PASS].values[-1]}
    baselines = here["baseline_accuracy"].mean(dims.SEED)
    for which in here[dims.BASELINE].values.tolist():
        one = baselines.sel({dims.BASELINE: which})
        if which in CHANGING:
            for place, at in _passes(here, first=1).items():
                add(f"{which}, {place}", one.sel(at))
        else:
            add(which, one.sel(last))
    for which in here[dims.CONTROL].values.tolist():
        control = here["control_accuracy"].mean(dims.SEED).sel({dims.CONTROL: which})
        add(f"control task, last pass: {which}", control.sel(last))
    if "gain" in here:
        best = _best_gain(here)
        over = _grid(best, "gain", _passes(here, first=1), targets, corner="")
        rows += [[f"above the best linear baseline, {row[0]}", *row[1:]] for row in over[1:]]
    return rows


def _best_gain(data: xr.Dataset) -> xr.Dataset:
    """Return the gain, with its interval, over the best of the linear baselines at each place."""
    linear = [b for b in data[dims.BASELINE].values.tolist() if b not in STRONGER]
    kept = data[["gain", "gain_low", "gain_high"]].sel({dims.BASELINE: linear})
    best = kept["gain"].fillna(math.inf).argmin(dims.BASELINE)
    return kept.isel({dims.BASELINE: best})


def steering_tables(data: xr.Dataset) -> dict[str, Rows]:
    """Return how often the answer follows, by strength: each target at its own difficulty."""
    here = data.isel({dims.SLEEP_PASS: -1, dims.LAYER: 0})
    strengths = data[dims.STRENGTH].values.tolist()
    across = {f"x {s:g}": {dims.STRENGTH: s} for s in strengths}
    rows: Rows = [["queries, what S is moved along", *across, "cases"]]
    controls = [c for c in data[dims.CONTROL].values.tolist() if c != "nothing"]
    word = str(data.attrs["difficulty_name"])
    for target, level in zip(data[dims.TARGET].values, data["level"].values, strict=True):
        if int(level) not in data[dims.DIFFICULTY].values:
            continue
        at = {dims.TARGET: target, dims.DIFFICULTY: int(level)}
        cases = str(int(here["cases"].sel(at)))
        for control in controls:
            one = here.sel({**at, dims.CONTROL: control})
            texts = [cell(one.sel(there), "follows") for there in across.values()]
            rows.append([f"{level_words(int(level), word)}: {control}", *texts, cases])
        norms = [
            float(here["norm"].sel({dims.TARGET: target, **there})) for there in across.values()
        ]
        texts = [f"{value:.0%}" for value in norms]
        rows.append([f"{level_words(int(level), word)}: length, share of S", *texts, ""])
    return {"answers that follow": rows}


def patch_tables(data: xr.Dataset) -> dict[str, Rows]:
    """Return how many answers became the donor's, and the effect beyond an unrelated donor.

    By pass, with the controls; with several parts, at the last pass.
    """
    found = {}
    for title, window in _windows(data):
        here = data.sel({dims.WINDOW: window, dims.DIRECTION: "noise"})
        parts = data[dims.COMPONENT].values.tolist()
        controls = data[dims.CONTROL].values.tolist()
        if len(parts) > 1:
            places = {str(part): {dims.COMPONENT: part} for part in parts}
            down = {
                f"{part}{'' if control == 'patch' else f', {control}'}": {
                    **at, dims.CONTROL: control,
                }
                for part, at in places.items() for control in controls
            }  # fmt: skip
            here = here.isel({dims.SLEEP_PASS: -1})
        else:
            here = here.isel({dims.COMPONENT: 0})
            places = _passes(here, first=1)
            down = {
                f"{name}, {control}": {**at, dims.CONTROL: control}
                for control in controls for name, at in places.items()
            }  # fmt: skip
        levels = _levels(here)
        rows = _grid(here, "became_donor", down, levels, corner="became the donor's")
        if "chance" in here:
            chance = [_plain(float(here["chance"].sel(at))) for at in levels.values()]
            rows.append(["chance: another context's answer", *chance])
        found[f"became the donor's{title}"] = rows
        if "beyond" in here:
            corner = "effect beyond an unrelated donor"
            found[f"{corner}{title}"] = _grid(here, "beyond", places, levels, corner=corner)
    return found


def ablation_tables(data: xr.Dataset) -> dict[str, Rows]:
    """Return accuracy without each part, after the last pass, or of one part after each pass."""
    found = {}
    for title, window in _windows(data):
        here = data.sel({dims.WINDOW: window})
        parts, several = data[dims.COMPONENT].values.tolist(), data.sizes[dims.COMPONENT] > 1
        where = {"": {dims.SLEEP_PASS: int(data[dims.SLEEP_PASS][-1])}}
        places = where if several else _passes(here)
        down = {
            ", ".join(
                words
                for words in (
                    part if several else place,
                    str(procedure),
                    "" if control == "ablation" else str(control),
                )
                if words
            ): {
                dims.COMPONENT: part, dims.PROCEDURE: procedure, dims.CONTROL: control, **at,
            }
            for part in parts
            for place, at in places.items()
            for procedure in data[dims.PROCEDURE].values.tolist()
            for control in data[dims.CONTROL].values.tolist()
        }  # fmt: skip
        rows = _grid(here, "accuracy", down, _levels(here), corner="erased or scaled")
        intact = [cell(here.sel(at), "intact_accuracy") for at in _levels(here).values()]
        rows.insert(1, ["left alone", *intact])
        found[f"answers right{title}"] = rows
    return found


def attribution_tables(data: xr.Dataset) -> dict[str, Rows]:
    """Return which pass an answer is owed to, what is divided, and what stays unexplained."""
    heads = [dim for dim in (dims.LAYER, dims.GDN_HEAD) if dim in data["attribution"].dims]
    share = data["attribution"].sum(heads) / data["worth"]
    rows: Rows = [["share of the answer's logit difference", *_levels(data)]]
    for title, at in _passes(data, first=1).items():
        values = [float(share.sel({**at, **level})) for level in _levels(data).values()]
        rows.append([title.replace("after", "owed to"), *map(_plain, values)])
    worth = [cell(data.sel(level), "worth") for level in _levels(data).values()]
    rows.append(["logit difference, nats", *worth])
    if "unexplained_by_difficulty" in data:  # older measurements have it pooled alone
        missed = [data["unexplained_by_difficulty"].sel(at) for at in _levels(data).values()]
        rows.append(["unexplained, median", *(_plain(float(value)) for value in missed)])
    return {"owed to each pass": rows}


def memory_tables(data: xr.Dataset) -> dict[str, Rows]:
    """Return what each pass wrote and changed, what windows leave, and what keys return."""
    found: dict[str, Rows] = {}
    methods = {str(m): {dims.PROCEDURE: m} for m in data[dims.PROCEDURE].values}
    for title, window in _windows(data):
        here = data.sel({dims.WINDOW: window})
        heads = {
            f"layer {i} head {h}": {dims.LAYER: i, dims.GDN_HEAD: h}
            for i in data[dims.LAYER].values.tolist()
            for h in data[dims.GDN_HEAD].values.tolist()
        }
        sources = {
            f"pass {p}": {dims.SOURCE_PASS: p} for p in data[dims.SOURCE_PASS].values.tolist()
        }
        down = {
            f"{head}, {method}": {**at, **procedure}
            for head, at in heads.items() for method, procedure in methods.items()
        }  # fmt: skip
        known = dims.CONVENTION in here.dims  # older measurements have the first one alone
        for convention in here[dims.CONVENTION].values.tolist() if known else [LEFT]:
            one = here.sel({dims.CONVENTION: convention}) if known else here
            rows = _grid(one, "written", down, sources, corner=f"share of S {convention}")
            rows[0].append("carried in")
            for row, at in zip(rows[1:], down.values(), strict=True):
                row.append(cell(one.sel(at), "carried"))
            found[f"shares of S {convention}{title}"] = rows
        found[f"relative change, all heads together{title}"] = _grid(
            here, "memory_change", methods, _passes(here, first=1), corner="relative change"
        )
        rows = _grid(here, "retrieved", heads, _passes(here), corner="keys that find their value")
        chance = _plain(float(here["retrieved_chance"].mean()))
        rows.append(["chance", *([chance] * (len(rows[0]) - 1))])
        found[f"retrieved{title}"] = rows
        kept = data.sel({dims.SOURCE_WINDOW: window})
        ages = [a for a in data[dims.AGE].values.tolist() if a]
        ages = [a for a in ages if bool(kept["retention"].sel({dims.AGE: a}).notnull().any())]
        after = {f"after {a} more window{'' if a == 1 else 's'}": {dims.AGE: a} for a in ages}
        found[f"retention{title}"] = _grid(
            kept, "retention", heads, after, corner="left of what the window wrote"
        )
    return found


def recovery_tables(data: xr.Dataset) -> dict[str, Rows]:
    """Return how much of each window's text a decoder recovers, at every place."""
    means = _recovered(data)
    found = {}
    for source in data[dims.SOURCE_WINDOW].values.tolist():
        rows: Rows = [["decoder", "recovered", "untrained weights", "majority"]]
        for window in data[dims.WINDOW].values.tolist():
            for name, at in _passes(data).items():
                here = means.sel({**at, dims.WINDOW: window, dims.SOURCE_WINDOW: source})
                here = here.isel({dims.LAYER: 0})
                where = f"window {window}, {name}"
                others = [
                    _plain(float(here["chance"].sel({dims.BASELINE: b})))
                    for b in ("untrained weights", "majority")
                ]
                rows.append([where, cell(here, "recovered"), *others])
        found[f"text of window {source}"] = rows
    return found


def erasure_tables(data: xr.Dataset) -> dict[str, Rows]:
    """Return what a decoder recovers after each treatment, and what the model still answers."""
    means = _recovered(data).isel({dims.LAYER: 0})
    facts = xr.Dataset(
        {
            "fact": data["fact_recovered"].mean(dims.SEED),
            "fact_low": data["fact_recovered_low"],
            "fact_high": data["fact_recovered_high"],
        }
    ).isel({dims.LAYER: 0})
    treatments = {str(t): {dims.TREATMENT: t} for t in data[dims.TREATMENT].values}
    texts = {
        f"text of window {w}": {dims.SOURCE_WINDOW: w}
        for w in data[dims.SOURCE_WINDOW].values.tolist()
    }
    targets = {str(t): {dims.TARGET: t} for t in data[dims.TARGET].values}
    rows = _grid(means, "recovered", treatments, texts, corner="done to S")
    extra = _grid(facts, "fact", treatments, targets, corner="")
    joined = [row + more[1:] for row, more in zip(rows, extra, strict=True)]
    found = {"recovered by a decoder": joined}
    if "accuracy" in data:  # older measurements asked the decoder alone
        answered = _grid(data, "accuracy", treatments, _levels(data), corner="done to S")
        found["answered by the model"] = answered
    return found


def _recovered(data: xr.Dataset) -> xr.Dataset:
    return xr.Dataset(
        {
            "recovered": data["recovered"].mean(dims.SEED),
            "recovered_low": data["recovered_low"],
            "recovered_high": data["recovered_high"],
            "chance": data["chance"].mean(dims.SEED),
        }
    )


TABLES: Final[dict[str, Callable[[xr.Dataset], dict[str, Rows]]]] = {
    "memory": memory_tables,
    "lens": lens_tables,
    "probes": probe_tables,
    "steering": steering_tables,
    "patches": patch_tables,
    "ablations": ablation_tables,
    "attribution": attribution_tables,
    "recovery": recovery_tables,
    "erasure": erasure_tables,
}
