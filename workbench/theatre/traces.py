"""The user's own traces: files in a folder next to that of the runs, by name."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import xarray as xr

from workbench.errors import WorkbenchError
from workbench.files import stamp
from workbench.trace import load_trace

OWN: Final = "traces/"
"""Prefix of the names of the user's own traces."""
ENDING: Final = ".zarr.zip"
LARGEST: Final = 256 * 2**20
"""Bytes of the largest file that is read: a trace is held in memory."""


def own_traces(folder: Path | None) -> dict[str, Path]:
    """Return the user's traces by name: files of the folder itself, and no links out of it."""
    if folder is None or not folder.is_dir():
        return {}
    home = folder.resolve()
    return {
        OWN + path.name.removesuffix(ENDING): path
        for path in sorted(folder.glob(f"*{ENDING}"))
        if path.is_file() and path.resolve() == home / path.name
    }


def own_trace(name: str, folder: Path | None) -> Path:
    """Return the file of one of the user's traces; raises WorkbenchError where there is no such."""
    own = own_traces(folder)
    if name not in own:
        raise WorkbenchError(
            f"no trace {name[:100]!r}",
            f"one of {', '.join(own)}" if own else "a file in traces/, which holds none",
            f"record one with `workbench trace CHECKPOINT --out traces/NAME{ENDING}`",
        )
    return own[name]


def read_trace(path: Path) -> xr.DataTree:
    """Return a trace; raises WorkbenchError where it is damaged or too large to be shown."""
    size = stamp(path).size
    if size > LARGEST:
        raise WorkbenchError(
            f"{path.name} has {size / 2**20:.0f} MB",
            f"at most {LARGEST // 2**20} MB, as a trace is held in memory",
            "record fewer examples, or open it in a notebook with workbench.trace.load_trace",
        )
    return load_trace(path)
