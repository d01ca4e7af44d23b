"""Where the bundled data lies."""

from __future__ import annotations

import os
from pathlib import Path


def data_folder() -> Path:
    """Return the folder of bundled data: ``$WORKBENCH_DATA``, else ``data`` in the checkout."""
    named = os.environ.get("WORKBENCH_DATA")
    return Path(named) if named else Path(__file__).resolve().parents[1] / "data"


def bundled_checkpoints() -> dict[str, Path]:
    """Return the bundled checkpoints by name, sorted; what is still being written is none."""
    folder = data_folder() / "checkpoints"
    if not folder.is_dir():
        return {}
    found = (p for p in sorted(folder.iterdir()) if not p.name.startswith("."))
    return {p.name: p for p in found if (p / "model.safetensors").is_file()}


def bundled_traces() -> dict[str, Path]:
    """Return the bundled traces by name, sorted; what is still being written is none."""
    folder = data_folder() / "traces"
    if not folder.is_dir():
        return {}
    found = (p for p in sorted(folder.iterdir()) if not p.name.startswith("."))
    return {
        p.name.removesuffix(".zip").removesuffix(".zarr"): p
        for p in found
        if p.name.endswith((".zarr.zip", ".zarr"))
    }
