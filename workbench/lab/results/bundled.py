"""What is recorded and bundled: sweeps, latencies, and the numbers that the paper reports."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xarray as xr

from workbench import dims
from workbench.files import UnreadableFile, read_json
from workbench.lab.arms import ARMS
from workbench.paths import data_folder

DAMAGED = (UnreadableFile, LookupError, TypeError, ValueError, AttributeError)
"""What reading a bundled file raises that is not as it was bundled."""


def records() -> dict[str, Path]:
    """Return the bundled records of sweeps by name."""
    folder = data_folder() / "results" / "sweeps"
    return {path.stem: path for path in sorted(folder.glob("*.json"))}


def latency() -> tuple[xr.Dataset, str] | None:
    """Return the recorded latencies, and in words what they were measured on.

    ``sleep_ms_per_window, wake_ms_per_token (arm, n_test, repeat)``, milliseconds of one sequence;
    ``title (arm)``. None where there are none, or where they are damaged.
    """
    path = data_folder() / "results" / "latency" / "depo-n8-any.json"
    try:
        return _latency(read_json(path))
    except DAMAGED:
        return None


def _latency(record: Mapping[str, Any]) -> tuple[xr.Dataset, str]:
    rows = record["results"]
    arms = list(dict.fromkeys(row["arm"] for row in rows))
    counts = sorted({row["n"] for row in rows})
    place = {(row["arm"], row["n"]): row for row in rows}
    axes = (dims.ARM, dims.N_TEST, dims.REPEAT)
    data = {
        name: (axes, [[place[arm, n][name] for n in counts] for arm in arms])
        for name in ("sleep_ms_per_window", "wake_ms_per_token")
    }
    coords = {
        dims.ARM: arms,
        dims.N_TEST: counts,
        "title": (dims.ARM, [ARMS[arm].title for arm in arms]),
    }
    machine = record["machine"]
    said = (
        f"The bundled {record['checkpoint']}, one sequence at a time, on one thread of "
        f"{machine['cpu']}, {machine['date']}; medians of {len(rows[0]['wake_ms_per_token'])} with "
        "the middle half. N is that of the sleep, or of the loop over the queries."
    )
    return xr.Dataset(data, coords), said


def published() -> dict[str, Any] | None:
    """Return the paper's own numbers: ``source``, ``note``, ``tables``; None where damaged."""
    try:
        found: dict[str, Any] = read_json(data_folder() / "published.json")
        return found if found["tables"] else None
    except DAMAGED:
        return None


def answers_file() -> Path:
    """Return the file of `answers`."""
    return data_folder() / "results" / "findings" / "answers.json"


def answers() -> dict[str, Any]:
    """Return the one-line answers that ``data/findings.py`` has worked out from the records.

    ``sweeps`` and ``measurements`` by name; each has the ``sha256`` of the file it was made from.
    Empty where they are damaged.
    """
    try:
        found: dict[str, Any] = read_json(answers_file())
        return {"sweeps": dict(found["sweeps"]), "measurements": dict(found["measurements"])}
    except DAMAGED:
        return {"sweeps": {}, "measurements": {}}
