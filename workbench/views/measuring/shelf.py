"""Measurements that were started on this machine, and bundled ones, found by what was asked.

The truth lies in the folders: sessions and servers that look at the same folder of runs see the
same measurements. Imports no Panel and no torch.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from workbench.errors import WorkbenchError
from workbench.files import MissingFile, Stamp, UnreadableFile, stamp
from workbench.lab.kinds import KINDS
from workbench.lab.measured import read_origin
from workbench.lab.measuring import (
    FOLDER,
    REQUEST,
    RESULT,
    Progress,
    Request,
    folder_of,
    progress_of,
    read_request,
)
from workbench.views.measuring.tables import measurements
from workbench.views.measuring.words import (
    checkpoint_name,
    plain_title,
    settings_words,
    title_of,
)


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
        if not checkpoint or checkpoint_name(one.checkpoint) == checkpoint:
            found.append(one)
    return sorted(found, key=lambda one: (-one.since, one.key))


def finished(root: Path | None, *, kinds: tuple[str, ...] = (), checkpoint: str = "") -> list[Own]:
    """Return those of `own_measurements` that are done."""
    found = own_measurements(root, kinds=kinds, checkpoint=checkpoint)
    return [one for one in found if one.progress.state == "done"]


def bundled(kind: str, checkpoint: str) -> dict[str, Path]:
    """Return the bundled measurements of a kind of one checkpoint, by name.

    One that cannot be read is not among them.
    """
    found = measurements(kind).items()
    return {name: path for name, path in found if _origin(path).checkpoint == checkpoint}


def bundled_of(request: Request) -> Path | None:
    """Return the bundled measurement of the same kind, weights and settings, if there is one."""
    settings = json.dumps(request.settings, sort_keys=True)
    for path in measurements(request.kind).values():
        origin = _origin(path)
        asked = (request.kind, request.sha256, settings)
        if (origin.kind, origin.sha256, origin.settings) == asked:
            return path
    return None


def own_of(root: Path, request: Request) -> Path | None:
    """Return what was measured here for a request; None where it is of other weights."""
    path = folder_of(root, request) / RESULT
    return path if _origin(path).sha256 == request.sha256 else None


def menu_text(name: str, path: Path) -> str:
    """Return what a menu calls a bundled measurement; its name where it cannot be read."""
    origin = _origin(path)
    if origin.kind not in KINDS:
        return name
    more = name.removeprefix(f"{origin.kind}-{origin.checkpoint}").strip("-").replace("-", " ")
    said = plain_title(origin.kind, origin.checkpoint)
    return f"{said}, {more}" if more else said


def measurement_name(path: Path) -> str:
    """Return what pages call a measurement: of a file of the runs, its folder's name."""
    return path.parent.name if path.name == RESULT else path.stem


def _own(folder: Path) -> Own | None:
    try:
        since = stamp(folder / REQUEST)
        kind, checkpoint, settings = _request(folder, since)
        try:
            progress = _done(folder, stamp(folder / RESULT))
        except MissingFile:  # no result yet
            progress = progress_of(folder)
    except (OSError, WorkbenchError):
        return None
    seconds = since.mtime_ns / 1e9
    return Own(folder.name, folder, kind, checkpoint, settings, seconds, progress)


# what is written once need not be read twice a second
@lru_cache(maxsize=1000)
def _request(folder: Path, changed: Stamp) -> tuple[str, str, dict[str, Any]]:
    asked = read_request(folder / REQUEST)
    if asked.kind not in KINDS:
        raise WorkbenchError(
            f"{folder} asks for {asked.kind!r}", "a kind of measurement", "remove it"
        )
    return asked.kind, asked.checkpoint, asked.settings


@lru_cache(maxsize=1000)
def _done(folder: Path, changed: Stamp) -> Progress:
    return progress_of(folder)


class _Origin(NamedTuple):
    """What a file says that it measured; empty where it cannot be read."""

    kind: str = ""
    checkpoint: str = ""
    sha256: str = ""
    settings: str = ""


def _origin(path: Path) -> _Origin:
    try:
        return _origin_of(path, stamp(path))
    except WorkbenchError:
        return _Origin()


@lru_cache(maxsize=1000)
def _origin_of(path: Path, changed: Stamp) -> _Origin:
    try:
        found = read_origin(path)
    except UnreadableFile:
        return _Origin()
    settings = json.dumps(found.settings, sort_keys=True)
    return _Origin(found.kind, found.checkpoint, found.checkpoint_sha256, settings)
