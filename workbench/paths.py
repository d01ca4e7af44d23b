"""Where the bundled data lies, and the rule that paths from users stay inside their folder."""

from __future__ import annotations

import os
from pathlib import Path

from workbench.errors import WorkbenchError


def data_folder() -> Path:
    """Return the folder of bundled data: ``$WORKBENCH_DATA``, else ``data`` in the checkout."""
    named = os.environ.get("WORKBENCH_DATA")
    return Path(named) if named else Path(__file__).resolve().parents[1] / "data"


def bundled_checkpoints() -> dict[str, Path]:
    """Return the bundled checkpoints by name, sorted."""
    folder = data_folder() / "checkpoints"
    if not folder.is_dir():
        return {}
    return {p.name: p for p in sorted(folder.iterdir()) if (p / "model.safetensors").is_file()}


def inside(folder: Path, name: str) -> Path:
    """Return ``folder / name``, refusing a name that leads outside `folder`.

    Raises
    ------
    WorkbenchError
        The path leaves the folder.
    """
    root = folder.resolve()
    path = (root / name).resolve()
    if not path.is_relative_to(root):
        raise WorkbenchError(
            f"path {name!r} leads outside {root}", "a path inside that folder", "choose another"
        )
    return path
