"""A file in parts that are small enough to send, and whole again: every part has its SHA-256."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

MANIFEST = "parts.json"
PART = 60 * 2**20
"""Bytes of a part, at most."""


class DamagedParts(Exception):
    """A part is missing, or is not what was split; the message is one line."""


def split(path: Path, folder: Path, size: int = PART) -> list[Path]:
    """Write a file's parts and their manifest into a folder; return the parts."""
    folder.mkdir(parents=True, exist_ok=True)
    whole, parts = hashlib.sha256(), {}
    with path.open("rb") as file:
        while data := file.read(size):
            name = f"{path.name}.{len(parts):03}"
            (folder / name).write_bytes(data)
            whole.update(data)
            parts[name] = hashlib.sha256(data).hexdigest()
    manifest = {"name": path.name, "sha256": whole.hexdigest(), "parts": parts}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1))
    return [folder / name for name in parts]


def join(folder: Path, target: Path) -> Path:
    """Write the file whose parts are in a folder into `target`, aside first; return its path."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        name, parts = Path(manifest["name"]).name, manifest["parts"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedParts(f"{folder} has no usable {MANIFEST} ({error})") from None
    path = target / name
    if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == manifest["sha256"]:
        return path
    target.mkdir(parents=True, exist_ok=True)
    whole, aside = hashlib.sha256(), target / f".{name}.joining"
    with aside.open("wb") as file:
        for part, sha256 in parts.items():
            data = (folder / part).read_bytes() if (folder / part).is_file() else b""
            if hashlib.sha256(data).hexdigest() != sha256:
                aside.unlink()
                raise DamagedParts(f"{folder / part} is missing or damaged; send it again")
            whole.update(data)
            file.write(data)
    if whole.hexdigest() != manifest["sha256"]:
        aside.unlink()
        raise DamagedParts(f"the parts in {folder} are not those of one {name}")
    aside.replace(path)
    return path
