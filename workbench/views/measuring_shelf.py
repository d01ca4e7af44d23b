"""Measurements that were started on this machine, and bundled ones, found by what was asked.

The truth lies in the folders: sessions and servers that look at the same folder of runs see the
same measurements. Imports no Panel and no torch.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from workbench.errors import WorkbenchError
from workbench.lab.kinds import KINDS
from workbench.lab.measuring import FOLDER, REQUEST, RESULT, Progress, Request, progress_of
from workbench.views.measured_words import measurements
from workbench.views.measuring_words import name_of, settings_words, title_of


@dataclass(frozen=True)
class Own:
    """A measurement that was started here.

    Attributes
    ----------
    key : str
        Name of its folder.
    folder : Path
        The folder.
    kind, checkpoint : str
        As it was asked for.
    settings : dict
        Complete.
    since : float
        When it was asked for, seconds since 1970.
    progress : Progress
        How far it is.
    """

    key: str
    folder: Path
    kind: str
    checkpoint: str
    settings: dict[str, Any]
    since: float
    progress: Progress

    @property
    def title(self) -> str:
        """What is measured on what."""
        return title_of(self.kind, self.checkpoint)

    @property
    def words(self) -> str:
        """Its settings, where they are not as usual."""
        return settings_words(self.kind, self.settings)

    @property
    def result(self) -> Path:
        """Where its result is, once it is done."""
        return self.folder / RESULT


def own_measurements(
    root: Path | None, *, kinds: tuple[str, ...] = (), checkpoint: str = ""
) -> list[Own]:
    """Return the measurements of a folder of runs, newest first.

    Parameters
    ----------
    root : Path or None
        Folder of the runs; None has none.
    kinds : tuple of str
        Which kinds; empty for all.
    checkpoint : str
        Name of a checkpoint; "" for all.
    """
    home = root / FOLDER if root is not None else None
    if home is None or not home.is_dir():
        return []
    found = []
    for folder in home.iterdir():
        one = _own(folder)
        if one is None or (kinds and one.kind not in kinds):
            continue
        if not checkpoint or name_of(one.checkpoint) == checkpoint:
            found.append(one)
    return sorted(found, key=lambda one: (-one.since, one.key))


def finished(root: Path | None, *, kinds: tuple[str, ...] = (), checkpoint: str = "") -> list[Own]:
    """Return those of `own_measurements` that are done."""
    found = own_measurements(root, kinds=kinds, checkpoint=checkpoint)
    return [one for one in found if one.progress.state == "done"]


def bundled_of(request: Request) -> Path | None:
    """Return the bundled measurement of the same kind, weights and settings, if there is one."""
    for path in measurements(request.kind).values():
        asked = _asked_of_bundled(path)
        if asked == (request.kind, request.sha256, json.dumps(request.settings, sort_keys=True)):
            return path
    return None


def remove(folder: Path) -> None:
    """Remove what is left of a measurement that failed or was cancelled."""
    if progress_of(folder).state in ("failed", "cancelled"):
        shutil.rmtree(folder, ignore_errors=True)


def _own(folder: Path) -> Own | None:
    try:
        stamp = (folder / REQUEST).stat().st_mtime
        asked = _request(folder, stamp)
        progress = _done(folder, (folder / RESULT).stat().st_mtime)
    except WorkbenchError:
        return None
    except OSError:  # no request, or no result yet
        try:
            stamp = (folder / REQUEST).stat().st_mtime
            asked, progress = _request(folder, stamp), progress_of(folder)
        except (OSError, WorkbenchError):
            return None
    kind, checkpoint, settings = asked
    return Own(folder.name, folder, kind, checkpoint, settings, stamp, progress)


# what is written once need not be read twice a second
@lru_cache(maxsize=1000)
def _request(folder: Path, stamp: float) -> tuple[str, str, dict[str, Any]]:
    try:
        found = json.loads((folder / REQUEST).read_text(encoding="utf-8"))
        kind, checkpoint, settings = found["kind"], found["checkpoint"], dict(found["settings"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        kind, checkpoint, settings = "", repr(error), {}
    if kind not in KINDS:
        raise WorkbenchError(f"{folder} asks for {kind!r}", "a kind of measurement", "remove it")
    return str(kind), str(checkpoint), settings


@lru_cache(maxsize=1000)
def _done(folder: Path, stamp: float) -> Progress:
    return progress_of(folder)


@lru_cache(maxsize=1000)
def _asked_of_bundled(path: Path) -> tuple[str, str, str]:
    try:
        origin = json.loads(path.read_text(encoding="utf-8"))["provenance"]
        settings = json.dumps(origin["settings"], sort_keys=True)
        return str(origin["kind"]), str(origin["checkpoint_sha256"]), settings
    except (OSError, ValueError, KeyError, TypeError):
        return "", "", ""
