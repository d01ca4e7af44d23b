"""What a mirror takes from a run's files: points (numbers by step), parameters and tags."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from workbench.files import LIMIT, MissingFile, open_regular, read_toml
from workbench.lab.runs import Run
from workbench.training.run_files import Open, Positive, Whole, read_event, read_metrics
from workbench.training.run_folder import CONFIG

PREFIX = "sleep_workbench."
MOST_POINTS = 1000
"""MLflow's own limit: metrics in one batch."""
LONGEST_PARAMETER, LONGEST_TAG, LONGEST_NAME = 6000, 5000, 250
CHECKED = 256
"""Bytes before the position that show whether the events are still the same."""

Point = tuple[str, float, int, int]
"""Name, value, time in milliseconds since 1970, step."""


class Position(Open):
    """Where in the events of a run the mirror is."""

    offset: Whole = 0
    check: str = ""
    seconds: Positive = 0.0


def batches(
    path: Path, position: dict[str, Any], began: int
) -> Iterator[tuple[list[Point], dict[str, Any]]]:
    """Yield points from a position in the events on, and the position after them.

    Events that a resumed run has written again are read from their start.
    """
    try:
        file = open_regular(path)
    except MissingFile:
        return
    with file:
        offset, seconds = int(position.get("offset", 0)), float(position.get("seconds", 0.0))
        if offset and _check(file, offset) != position.get("check"):
            offset, seconds = 0, 0.0
        file.seek(offset)
        data = file.read(LIMIT)
        lines = data[: data.rfind(b"\n") + 1].splitlines(keepends=True)
        points: list[Point] = []
        for number, line in enumerate(lines):
            offset += len(line)
            event = read_event(line)
            if event is not None:  # a damaged line costs itself alone
                seconds = float(event.get("seconds", seconds))
                points += _points(event, began + round(seconds * 1000))
            if len(points) >= MOST_POINTS or number == len(lines) - 1:
                yield points, {"offset": offset, "check": _check(file, offset), "seconds": seconds}
                points = []


def _check(file: Any, offset: int) -> str:
    """Return a hash of the bytes before `offset`, which name step and values."""
    start = max(offset - CHECKED, 0)
    file.seek(start)
    return hashlib.sha256(file.read(offset - start)).hexdigest()[:16]


def _points(event: dict[str, Any], now: int) -> list[Point]:
    """Return the numbers of an event."""
    step = int(event["step"])
    if event["kind"] == "evaluation":
        values = _scores(event["passes"])
    else:
        values = {name: v for name, v in event.items() if name not in ("kind", "step")}
    return [(n, float(v), now, step) for n, v in values.items() if _is_number(v)]


def _scores(passes: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return an evaluation's numbers by name: ``accuracy/N4/2`` is N = 4, difficulty 2."""
    values: dict[str, Any] = {}
    for n, entry in passes.items():
        values |= {f"{prefix}accuracy/N{n}/{level}": v for level, v in entry["accuracy"].items()}
        bits = entry.get("bits", {}).items()
        values |= {f"{prefix}bits/N{n}/{group}": one["bits"] for group, one in bits}
        names = ("exact", "sleep_ms_per_window", "wake_ms_per_token")
        values |= {f"{prefix}{name}/N{n}": entry.get(name) for name in names}
    return values


def final_points(run: Run, position: dict[str, Any], began: int) -> list[Point]:
    """Return the numbers of the evaluation that ended a run."""
    passes = read_metrics(run.folder).get("passes", {})
    now = began + round(float(position.get("seconds", 0.0)) * 1000)
    values = _scores(passes, "final/")
    return [(n, float(v), now, run.steps) for n, v in values.items() if _is_number(v)]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def parameters(folder: Path) -> dict[str, str]:
    """Return the configuration, flattened: ``training.steps`` -> "2000"."""
    flat = _flat(read_toml(folder / CONFIG))
    return {name: text[:LONGEST_PARAMETER] for name, text in flat.items()}


def tags_of(run: Run, starts: list[dict[str, Any]]) -> dict[str, str]:
    """Return labels, provenance and state as tags."""
    first = {name: value for name, value in starts[0].items() if name != "from_step"}
    tags = {
        **_flat(run.labels, "labels."),
        **_flat({**first, "starts": len(starts)}, "provenance."),
        f"{PREFIX}folder": str(run.folder.resolve()),
        f"{PREFIX}state": run.state,
        f"{PREFIX}problem": run.problem or "",
    }
    if first.get("command"):
        tags["mlflow.source.name"] = str(first["command"])
    if isinstance(first.get("commit"), dict):
        tags["mlflow.source.git.commit"] = str(first["commit"]["hash"])
    return {name: text[:LONGEST_TAG] for name, text in tags.items()}


def _flat(value: Any, prefix: str = "") -> dict[str, str]:
    """Return nested tables as dotted names and text; lists as JSON."""
    flat: dict[str, str] = {}
    for name, inner in value.items():
        if isinstance(inner, dict):
            flat |= _flat(inner, f"{prefix}{name}.")
        else:
            text = inner if isinstance(inner, str) else json.dumps(inner, default=str)
            flat[re.sub(r"[^\w\-. :/]", "_", f"{prefix}{name}")[:LONGEST_NAME]] = text
    return flat
