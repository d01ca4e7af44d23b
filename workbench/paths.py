"""Where the bundled data and notebooks are, and what was fetched.

In a checkout they are its own folders. A wheel installs data and notebooks next to `workbench`;
what is fetched goes to the user's data folder there.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import platformdirs

BESIDE: Final = Path(__file__).resolve().parents[1]
CHECKOUT: Final = (BESIDE / "run.py").is_file() and (BESIDE / "pyproject.toml").is_file()
HERE: Final = BESIDE if CHECKOUT else Path(platformdirs.user_data_dir("sleep-workbench", False))
"""Where fetched files go unless a variable names another folder."""


def data_folder() -> Path:
    """Return the folder of bundled data: ``$WORKBENCH_DATA``, else what was installed."""
    return _named("WORKBENCH_DATA", BESIDE / ("data" if CHECKOUT else "sleep_data"))


def notebooks_folder() -> Path:
    """Return the folder of the notebooks."""
    return BESIDE / ("notebooks" if CHECKOUT else "sleep_notebooks")


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
    return _named("WORKBENCH_CORPORA", HERE / "corpora")


def models_folder() -> Path:
    """Return the folder of fetched models: ``$WORKBENCH_MODELS``, else ``models`` here."""
    return _named("WORKBENCH_MODELS", HERE / "models")


def _named(variable: str, otherwise: Path) -> Path:
    """Return the folder that a variable of the environment names, if it does."""
    named = os.environ.get(variable)
    return Path(named) if named else otherwise
