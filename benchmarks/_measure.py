"""What every benchmark shares: timing side by side, what the numbers depend on, writing them."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = Path(__file__).resolve().parent / "results"
"""Recorded results, which the tables of README.md are made from."""
LATEST = Path(__file__).resolve().parent / "latest"
"""Where a run writes by default; ignored by git."""


def machine(*packages: str) -> dict[str, Any]:
    """Return what the numbers depend on: processor, load, versions, date."""
    cpu = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = names[0].partition(":")[2].strip() if names else cpu
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cpu": cpu,
        "cores": os.cpu_count(),
        "load": f"{os.getloadavg()[0]:.2f}" if hasattr(os, "getloadavg") else None,
        "threads": 1,
        "system": platform.platform(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("numpy", *packages)},
    }


def version(package: str) -> str | None:
    """Return a package's version, None where it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def side_by_side(
    contenders: dict[str, Callable[[], object]], *, repeats: int, seconds: float = 0.02
) -> dict[str, list[float]]:
    """Return seconds a call, `repeats` times for each contender, one after the other in turn.

    Taking turns spreads what else the machine does evenly. A round of each repeats its call until
    `seconds` have passed.
    """
    rounds: dict[str, int] = {}
    for name, run in contenders.items():
        run()  # warm
        began = time.perf_counter()
        run()
        rounds[name] = max(1, int(seconds / max(time.perf_counter() - began, 1e-9)))
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(repeats):
        for name, run in contenders.items():
            began = time.perf_counter()
            for _ in range(rounds[name]):
                run()
            times[name].append((time.perf_counter() - began) / rounds[name])
    return times


def summary(times: Iterable[float]) -> dict[str, Any]:
    """Return median and quartiles in milliseconds, and the times themselves."""
    values = [1e3 * t for t in times]
    low, median, high = np.percentile(values, [25, 50, 75]).tolist()
    return {"median_ms": median, "quartiles_ms": [low, high], "times_ms": values}


def ratio(peer: list[float], ours: list[float]) -> dict[str, float]:
    """Return how many times faster we are: median and quartiles of the ratio, round by round."""
    values = np.array(peer) / np.array(ours)
    low, median, high = np.percentile(values, [25, 50, 75]).tolist()
    return {"median": median, "low": low, "high": high}


def write(path: Path, record: dict[str, Any]) -> None:
    """Write a record as JSON, aside first and then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".partial")
    aside.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    aside.replace(path)
    print(f"wrote {path}")
