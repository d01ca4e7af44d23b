"""Records of measurements: those bundled with the workbench, and those made on this machine.

The state is read from the folders, so all servers with the same folder of runs show the same
measurements. Imports no Panel and no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from workbench.errors import WorkbenchError
from workbench.files import MissingFile, Stamp, UnreadableFile, read_json, stamp
from workbench.measurements.catalogue import GROUP
from workbench.measurements.fields import settings_words
from workbench.measurements.jobs import (
    FOLDER,
    REQUEST,
    RESULT,
    Progress,
    Request,
    folder_of,
    progress_of,
    read_request,
)
from workbench.measurements.records import Origin, read_origin
from workbench.paths import data_folder
from workbench.registry import names


def weights_of(folder: Path) -> str:
    """Return the hash of a checkpoint's weights, from its provenance; "" if it has none."""
    try:
        return str(read_json(folder / "provenance.json")["hashes"]["model.safetensors"])
    except (UnreadableFile, KeyError, TypeError, IndexError):
        return ""


def checkpoint_name(checkpoint: str) -> str:
    """Return the name of a checkpoint that a request gives by name or folder."""
    path = Path(checkpoint)
    return f"runs/{path.parent.name}" if path.name == "checkpoint" else checkpoint


def title_of(kind: str, checkpoint: str) -> str:
    """Return a heading: ``Probes: depo-n8-any``."""
    return f"{kind.capitalize()}: {checkpoint_name(checkpoint)}"


@dataclass(frozen=True)
class Own:
    """A measurement started here: what was requested, with all settings, and how far it is.

    `key` is the name of its folder; `since` is when it was requested, in seconds since 1970.
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
        """Its settings that are not the defaults."""
        return settings_words(self.kind, self.settings)

    @property
    def result(self) -> Path:
        """Its record, once it is done."""
        return self.folder / RESULT


def own_measurements(root: Path | None, *, kinds: tuple[str, ...] = ()) -> list[Own]:
    """Return the measurements of a folder of runs, newest first; none if `root` is None.

    Empty `kinds` means all kinds.
    """
    home = root / FOLDER if root is not None else None
    if home is None or not home.is_dir():
        return []
    every = (_own(folder) for folder in home.iterdir())
    found = [one for one in every if one is not None and (not kinds or one.kind in kinds)]
    return sorted(found, key=lambda one: (-one.since, one.key))


def finished(root: Path | None, *, kinds: tuple[str, ...] = ()) -> list[Own]:
    """Return those of `own_measurements` that are done."""
    return [one for one in own_measurements(root, kinds=kinds) if one.progress.state == "done"]


def bundled_records(kind: str | None = None) -> dict[str, Path]:
    """Return the bundled records by name, of one measurement or all."""
    return {
        path.stem: path
        for path in sorted((data_folder() / "results" / "instruments").glob("*.json"))
        if kind is None or path.stem.startswith(f"{kind}-")
    }


def bundled(kind: str, checkpoint: str) -> dict[str, Path]:
    """Return the bundled records of one measurement and checkpoint by name.

    Those that cannot be read are left out.
    """
    found = bundled_records(kind).items()
    return {name: path for name, path in found if origin_of(path).checkpoint == checkpoint}


def bundled_of(request: Request) -> Path | None:
    """Return the bundled record of the same measurement, weights and settings, if any."""
    asked = (request.kind, request.sha256, request.settings)
    for path in bundled_records(request.kind).values():
        origin = origin_of(path)
        if (origin.kind, origin.checkpoint_sha256, origin.settings) == asked:
            return path
    return None


def own_of(root: Path, request: Request) -> Path | None:
    """Return the record made here for a request; None if it is of other weights."""
    path = folder_of(root, request) / RESULT
    return path if origin_of(path).checkpoint_sha256 == request.sha256 else None


def measurement_name(path: Path) -> str:
    """Return the name of a record on the pages: for one made here, its folder's name."""
    return path.parent.name if path.name == RESULT else path.stem


def _own(folder: Path) -> Own | None:
    try:
        since = stamp(folder / REQUEST)
        asked = _request(folder, since)
        try:
            progress = _done(folder, stamp(folder / RESULT))
        except MissingFile:  # no result yet
            progress = progress_of(folder)
    except (OSError, WorkbenchError):
        return None
    seconds = since.mtime_ns / 1e9
    what = (asked.kind, asked.checkpoint, asked.settings)
    return Own(folder.name, folder, *what, seconds, progress)


# what is written once need not be read twice a second
@lru_cache(maxsize=1000)
def _request(folder: Path, changed: Stamp) -> Request:
    asked = read_request(folder / REQUEST)
    if asked.kind not in names(GROUP):
        given = f"{folder} asks for {asked.kind!r}"
        raise WorkbenchError(given, "a kind of measurement", "remove it")
    return asked


@lru_cache(maxsize=1000)
def _done(folder: Path, changed: Stamp) -> Progress:
    return progress_of(folder)


def origin_of(path: Path) -> Origin:
    """Return what a record says was measured; empty if it cannot be read."""
    try:
        return _origin_at(path, stamp(path))
    except WorkbenchError:
        return Origin()


@lru_cache(maxsize=1000)
def _origin_at(path: Path, changed: Stamp) -> Origin:
    try:
        return read_origin(path)
    except UnreadableFile:
        return Origin()
