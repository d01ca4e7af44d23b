"""The front end: its module is what its source builds, its own tests pass, its colours are ours.

Building needs Node 20 or newer and the packages of `frontend/package-lock.json`, which are
installed where npm can reach them; without them the tests that need them skip.
"""

from __future__ import annotations

import gzip
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from house import ROOT

from workbench.figures import theme
from workbench.theatre.files import MODULE, WEB

FRONTEND = ROOT / "frontend"
MOST_BYTES = 150_000
"""Most bytes of the module, gzipped."""
LONGEST, MOST_FILES = 500, 20


@pytest.fixture(scope="module")
def node() -> str:
    """Return Node with the packages installed."""
    found, npm = shutil.which("node"), shutil.which("npm")
    if found is None or npm is None:
        pytest.skip("no node and npm on the PATH; install Node 20 or newer")
    version = subprocess.run([found, "--version"], capture_output=True, text=True, check=True)
    if int(version.stdout.lstrip("v").split(".")[0]) < 20:
        pytest.skip(f"node {version.stdout.strip()}; expected 20 or newer")
    if not (FRONTEND / "node_modules" / "esbuild").is_dir():
        command = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        done = subprocess.run(command, cwd=FRONTEND, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"npm ci failed in frontend: {done.stderr.strip()[-300:]}")
    return found


def run(node: str, *arguments: str) -> None:
    """Run a script of the front end; its output says what is wrong."""
    command = [node, *arguments]
    done = subprocess.run(command, cwd=FRONTEND, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]


@pytest.mark.process
def test_the_committed_modules_are_what_the_source_builds(node, tmp_path):
    run(node, "build.mjs", f"--out={tmp_path}")
    for path in (MODULE, WEB):
        built = (tmp_path / path.name).read_bytes()
        assert built == path.read_bytes(), f"{path.name}: cd frontend && npm run build, and commit"


@pytest.mark.process
def test_its_own_tests_pass(node):
    run(node, "build.mjs", "--tests")


@pytest.mark.process
def test_its_types_are_sound(node):
    run(node, "node_modules/typescript/bin/tsc", "--noEmit")


def test_the_module_is_small_and_asks_no_other_host():
    text = MODULE.read_text(encoding="utf-8")
    assert re.search(r"export\s*\{[^}]*as default", text) and "render" in text
    assert len(gzip.compress(MODULE.read_bytes(), mtime=0)) <= MOST_BYTES
    assert set(re.findall(r"https?://[\w.-]+", text)) <= {"http://www.w3.org"}
    assert not re.search(r"\b(fetch|XMLHttpRequest|WebSocket|EventSource|import)\s*\(", text)


def test_figures_and_front_end_have_one_table_of_colours():
    theirs = json.loads((FRONTEND / "src" / "colours.json").read_text(encoding="utf-8"))
    assert theirs == json.loads(json.dumps(theme.table())), (
        "frontend/src/colours.json differs from theme.py"
    )


def source_files() -> list[Path]:
    """Return what is written by hand."""
    return [p for name in ("src", "tests") for p in (FRONTEND / name).rglob("*.*")]


def test_its_files_keep_to_the_house():
    lines = {p.name: len(p.read_text(encoding="utf-8").splitlines()) for p in source_files()}
    assert not {name: count for name, count in lines.items() if count > LONGEST}
    folders = [p.parent for p in source_files()]
    assert not {folder for folder in folders if folders.count(folder) > MOST_FILES}
