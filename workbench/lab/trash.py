"""The trash of a folder of runs: deleted ones go to ``.trash`` next to the others first."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from workbench.errors import WorkbenchError
from workbench.lab.runs import Run, transition
from workbench.training.run_folder import CONFIG

TRASH = ".trash"


def trash(run: Run) -> Path:
    """Move a run into the trash folder; return its new place."""
    if not (run.folder / CONFIG).is_file():
        return _moved(run)  # damaged: nobody can start it
    with transition(run.folder) as now:
        if now.active:
            raise WorkbenchError(
                f"run {now.name} is {now.state}", "one that no process works on", "stop it first"
            )
        return _moved(now)


def _moved(run: Run) -> Path:
    folder = run.folder.parent / TRASH
    folder.mkdir(exist_ok=True)
    target = folder / f"{run.name}@{time.strftime('%Y%m%d-%H%M%S')}"
    for number in range(1, 1000):
        if not target.exists():
            break
        target = target.with_name(f"{target.name.partition('~')[0]}~{number}")
    run.folder.rename(target)
    return target


def trashed(root: Path) -> list[Path]:
    """Return what lies in the trash folder, the newest first."""
    folder = root / TRASH
    found = [p for p in folder.iterdir() if "@" in p.name] if folder.is_dir() else []
    return sorted(found, key=lambda p: p.name.rpartition("@")[2], reverse=True)


def restore(root: Path, name: str) -> Path:
    """Bring the newest deleted run called `name` back; return its folder."""
    found = [p for p in trashed(root) if p.name.rpartition("@")[0] == name]
    if not found:
        raise WorkbenchError(f"no deleted run {name!r} in {root}", "one of the trash", "check it")
    target = root / name
    if target.exists():
        raise WorkbenchError(f"a run {name!r} exists again", "a free name", "delete that one first")
    found[0].rename(target)
    return target


def empty_trash(root: Path) -> int:
    """Delete everything in the trash for good; return how many runs that were."""
    found = trashed(root)
    for folder in found:
        shutil.rmtree(folder)
    return len(found)
