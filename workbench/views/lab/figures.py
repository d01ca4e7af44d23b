"""What the selected runs have logged, as figures and as CSV; redrawn when there is more."""

from __future__ import annotations

import csv
import io
import json
import logging
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import xarray as xr

from workbench import dims
from workbench.errors import WorkbenchError
from workbench.figures.lab.experiments import accuracy_against_n
from workbench.figures.lab.learning import learning_curves
from workbench.figures.panels import COLUMNS
from workbench.figures.theme import PALETTE, Theme
from workbench.files import parse_toml
from workbench.lab.arms import ARMS
from workbench.lab.results import dataset, entries_of, learning, so_far
from workbench.lab.results.finished import conclusion
from workbench.lab.runs import ACTIVE, Run
from workbench.lab.watch import EventList
from workbench.once_cache import OnceCache
from workbench.tasks.phrases import counted

logger = logging.getLogger(__name__)

CURVES = (
    "run", "experiment", "arm", "n_train", "seed", "step", "what", "n_test", "difficulty", "value",
)  # fmt: skip
AGAINST_N = ("arm", "n", "difficulty", "mean", "low", "high", "seeds")


_kept = OnceCache(16)


@dataclass
class Curves:
    """Figures and data of the selected runs.

    Attributes
    ----------
        figures: Plotly's JSON by name, ``learning`` and ``against_n``; missing where there is
            nothing to draw.
        note: What is not drawn and why; empty where all is.
        conclusion: What the runs show, in sentences; while they train, how many have finished.
        entries: What they have logged.
        points: Accuracy against N.
    """

    figures: dict[str, dict[str, Any]] = field(default_factory=dict)
    note: str = ""
    conclusion: list[str] = field(default_factory=list)
    entries: list[dict[str, Any]] = field(default_factory=list)
    points: xr.Dataset | None = None

    def csv(self, which: str) -> tuple[str, str]:
        """Return name and text of a file with the data of a figure."""
        rows: Iterable[tuple[Any, ...]] = curve_rows(self.entries)
        if which == "against_n":
            rows = [] if self.points is None else n_rows(self.points)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(AGAINST_N if which == "against_n" else CURVES)
        writer.writerows(rows)
        return f"sleep-{which.replace('_', '-')}.csv", text.getvalue()


def curves_of(
    runs: Sequence[Run],
    logged: Mapping[str, EventList],
    key: Hashable,
    theme: Theme,
    *,
    columns: int = COLUMNS,
    smoothing: float = 0.0,
) -> Curves:
    """Return the figures of runs; the same ones for the same `key`, which names all of this."""
    return _kept.get(key, lambda: _made(runs, logged, theme, columns, smoothing))


def _made(
    runs: Sequence[Run],
    logged: Mapping[str, EventList],
    theme: Theme,
    columns: int,
    smoothing: float,
) -> Curves:
    found = Curves()
    if not runs:
        return found
    entries, found.note = comparable(entries_of(runs, events=logged))
    begun = [e for e in entries if e["loss"]["step"] or e["curve"]["step"]]
    if not begun:
        return found
    if len({_condition(entry) for entry in entries}) > len(PALETTE[theme]):
        entries = begun  # few enough keep their colours while they begin one by one
    try:
        data = dataset(entries)
        if data.sizes[dims.N_TEST]:
            points = so_far(data)
            known = (points["count"] > 0).any([dims.PASSES, dims.DIFFICULTY])
            found.points = points.isel({dims.ARM: known.values})
        found.figures = _drawn(data, found.points, theme, columns, smoothing)
        found.conclusion = _concluded(data, tuple(run.state for run in runs))
        found.entries = entries
    except WorkbenchError as error:
        found.note = f"No figure: {error}."
    except Exception as error:  # the page must survive: runs can still be stopped
        logger.exception("no figure of %s", ", ".join(run.name for run in runs))
        found.note = f"No figure: {type(error).__name__} (a bug; the terminal has the details)."
    return found


def comparable(entries: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], str]:
    """Return entries that one figure can show, and what had to be left out, in a sentence.

    Accuracy means the same only within one task: of several, the runs of the first remain. Names
    tell arms of several experiments, or of several values of an axis, apart.
    """
    tasks: dict[str, list[dict[str, Any]]] = {}
    for entry in entries:
        task = parse_toml(entry["config"], what=entry["name"])["task"]
        tasks.setdefault(str(task), []).append(entry)
    kept = next(iter(tasks.values()), [])
    left = len(entries) - len(kept)
    note = ""
    if left:
        runs = "1 selected run has" if left == 1 else f"{left} selected runs have"
        note = f"{runs} another task than the first and {'is' if left == 1 else 'are'} left out."
    several = len({entry["labels"].get("sweep") for entry in kept}) > 1
    axes = [entry["labels"].get("axes", {}) for entry in kept]
    differing = {n for axis in axes for n in axis if any(axis[n] != a.get(n) for a in axes)}
    return [_renamed(entry, several, differing) for entry in kept], note


def _renamed(entry: dict[str, Any], several: bool, differing: set[str]) -> dict[str, Any]:
    labels = dict(entry["labels"])
    arm, axes = str(labels["arm"]), labels.get("axes", {})
    title = ARMS[arm].title if arm in ARMS else arm
    values = [f"{n.rpartition('.')[2]} {axes[n]}" for n in sorted(differing) if n in axes]
    if values:
        title, labels["axes"] = f"{title} ({', '.join(values)})", {}
    if several and labels.get("sweep"):
        title = f"{labels['sweep']}: {title}"
    if values or (several and labels.get("sweep")):
        labels["arm"] = title
    return {**entry, "labels": labels}


def _condition(entry: dict[str, Any]) -> tuple[str, str]:
    labels = entry["labels"]
    return str(labels["arm"]), str(labels["n_train"])


def curve_rows(entries: list[dict[str, Any]]) -> Iterator[tuple[Any, ...]]:
    """Yield every loss and accuracy of runs, one a row, as `CURVES` names them."""
    for entry in entries:
        labels = entry["labels"]
        run = [entry["name"], labels.get("sweep", ""), labels["arm"], labels["n_train"]]
        run.append(labels["seed"])
        for step, loss in zip(entry["loss"]["step"], entry["loss"]["loss"], strict=True):
            yield (*run, step, "loss", "", "", loss)
        for step, passes in zip(entry["curve"]["step"], entry["curve"]["passes"], strict=True):
            yield from _scores(run, step, passes)
        yield from _scores(run, entry["budget"]["steps"], entry["final"])


def _scores(run: list[Any], step: int, passes: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    for n, scores in passes.items():
        for what in ("accuracy", "bits"):
            for level, value in scores.get(what, {}).items():
                yield (*run, step, what, n, level, value)


def n_rows(points: xr.Dataset) -> Iterator[tuple[Any, ...]]:
    """Yield mean, interval and count of each point of accuracy against N, as `AGAINST_N` names."""
    axes = (dims.ARM, dims.PASSES, dims.DIFFICULTY)
    for place in product(*(points[axis].values.tolist() for axis in axes)):
        one = points.sel(dict(zip(axes, place, strict=True)))
        if count := int(one["count"]):
            ends = [float(one[name]) for name in ("mean", "low", "high")]
            yield (*place, *("" if e != e else f"{e:.6g}" for e in ends), count)


def _concluded(data: xr.Dataset, states: tuple[str, ...]) -> list[str]:
    """Return what runs show, as soon as none of them waits or is at work."""
    done, left = states.count("finished"), len(states) - states.count("finished")
    if any(state in ("queued", *ACTIVE) for state in states):
        ready = f"{done} of {len(states)} runs have finished; the answer comes when all have."
        return [ready] if len(states) > 1 else []
    found = conclusion(data)
    if found and left:
        found[-1] += f" {counted(left, 'run')} that did not finish {'is' if left == 1 else 'are'} "
        found[-1] += "left out."
    return found


def _drawn(
    data: xr.Dataset, points: xr.Dataset | None, theme: Theme, columns: int, smoothing: float
) -> dict[str, dict[str, Any]]:
    shared: dict[str, Any] = {
        "columns": columns,
        "difficulty_name": str(data.attrs["difficulty"]),
        "chance": data["chance"],
        "measure": str(data.attrs["measure"]),
        "theme": theme,
    }
    curves = learning(data)
    figures = {"learning": learning_curves(curves, smoothing=smoothing, **shared)}
    if points is not None:
        figures["against_n"] = accuracy_against_n(points, **shared)
    # plain values, which can be compared: arrays cannot
    return {name: json.loads(figure.to_json()) for name, figure in figures.items()}
