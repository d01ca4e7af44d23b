"""Where the bundled data is, and what was fetched."""

from __future__ import annotations

import os
from pathlib import Path


def data_folder() -> Path:
    """Return the folder of bundled data: ``$WORKBENCH_DATA``, else ``data`` in the checkout."""
    named = os.environ.get("WORKBENCH_DATA")
    return Path(named) if named else Path(__file__).resolve().parents[1] / "data"


def bundled_checkpoints() -> dict[str, Path]:
    """Return the bundled checkpoints by name, sorted, without incomplete ones."""
    found = _visible(data_folder() / "checkpoints")
    return {p.name: p for p in found if (p / "model.safetensors").is_file()}


def bundled_traces() -> dict[str, Path]:
    """Return the bundled traces by name, sorted, without incomplete ones."""
    return {
        p.name.removesuffix(".zip").removesuffix(".zarr"): p
        for p in _visible(data_folder() / "traces")
        if p.name.endswith((".zarr.zip", ".zarr"))
    }


def _visible(folder: Path) -> list[Path]:
    """Return what a folder holds, sorted; names with a dot in front are still being written."""
    if not folder.is_dir():
        return []
    return [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]


def corpora_folder() -> Path:
    """Return the folder of fetched corpora: ``$WORKBENCH_CORPORA``, else ``corpora`` here."""
    named = os.environ.get("WORKBENCH_CORPORA")
    return Path(named) if named else Path(__file__).resolve().parents[1] / "corpora"


def models_folder() -> Path:
    """Return the folder of fetched models: ``$WORKBENCH_MODELS``, else ``models`` here."""
    named = os.environ.get("WORKBENCH_MODELS")
    return Path(named) if named else Path(__file__).resolve().parents[1] / "models"
