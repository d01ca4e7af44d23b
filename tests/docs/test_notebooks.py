"""Notebooks: pairs in sync, outputs empty, cells short, run offline from top to bottom in time."""

import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.notebook

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
SOURCES = sorted((FOLDER / "src").glob("*.py"))
NAMES = [path.stem for path in SOURCES]

LONGEST_CELL = 16
TIME_LIMIT = 180
"""Seconds for a whole notebook; every cell has the same limit for itself."""

OFFLINE = """\
import socket

def loopback(address):
    return not isinstance(address, tuple) or str(address[0]) in ("127.0.0.1", "::1", "localhost")

connect = socket.socket.connect

def guarded(self, address):
    if not loopback(address):
        raise RuntimeError(f"the notebook reaches for the network: {address}")
    return connect(self, address)

socket.socket.connect = guarded
"""
"""``sitecustomize.py`` of the kernel: nothing but this machine can be reached."""

CLEAN = """\
# %%
%reset -f
import sys
for name in [name for name in sys.modules if name.partition(".")[0] == "sleep_course"]:
    del sys.modules[name]
del sys
"""
"""What runs before each notebook: no name and no module of the course is left from the last."""

LIVE_STEPS = "3"
"""Most steps of a run that a notebook trains live (`sleep_course.live.plan`)."""


def paired(name: str) -> Path:
    return FOLDER / f"{name}.ipynb"


def read(path: Path) -> Any:
    import jupytext  # takes seconds, which a worker without these tests need not wait

    return jupytext.read(path)


def clean() -> Any:
    import jupytext

    return jupytext.reads(CLEAN, "py:percent")


def cells(path: Path, kind: str) -> list:
    return [cell for cell in read(path).cells if cell.cell_type == kind]


def test_there_are_notebooks_and_each_has_its_pair():
    assert NAMES
    assert sorted(path.stem for path in FOLDER.glob("*.ipynb")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_pairs_are_in_sync(name):
    source, notebook = (
        [(cell.cell_type, cell.source, cell.metadata.get("tags", [])) for cell in read(path).cells]
        for path in (FOLDER / "src" / f"{name}.py", paired(name))
    )
    assert source == notebook, f"jupytext --sync notebooks/src/{name}.py"


@pytest.mark.parametrize("name", NAMES)
def test_outputs_are_empty(name):
    for cell in cells(paired(name), "code"):
        assert not cell.outputs, "clear the outputs before saving"
        assert cell.execution_count is None


@pytest.mark.parametrize("name", NAMES)
def test_code_cells_are_short(name):
    for cell in cells(paired(name), "code"):
        lines = [line for line in cell.source.splitlines() if line.strip()]
        assert len(lines) <= LONGEST_CELL, f"move logic into the package:\n{cell.source}"
        assert all(len(line) <= 100 for line in lines), cell.source


@pytest.mark.parametrize("name", NAMES)
def test_every_solution_is_folded_and_follows_its_exercise(name):
    before = None
    for cell in cells(paired(name), "code"):
        if "solution" in cell.metadata.get("tags", []):
            assert cell.metadata["jupyter"]["source_hidden"]
            assert "TODO" in before.source
            assert before.source.splitlines()[-1] == cell.source.splitlines()[-1], "same check"
        before = cell


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    """A kernel that cannot reach the network and serves all notebooks, so imports cost once."""
    from nbclient import NotebookClient

    guard = tmp_path_factory.mktemp("offline")
    (guard / "sitecustomize.py").write_text(OFFLINE, encoding="utf-8")
    starter = NotebookClient(clean())
    manager = starter.create_kernel_manager()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(guard))
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("WORKBENCH_LIVE_STEPS", LIVE_STEPS)
        starter.start_new_kernel(cwd=str(guard))  # nothing may depend on the folder it starts in
    yield manager
    starter._cleanup_kernel()


@pytest.fixture(scope="module", params=NAMES)
def executed(request, kernel):
    """A notebook that has run from top to bottom, with no name left from another."""
    from nbclient import NotebookClient

    notebook = read(paired(request.param))
    notebook.cells[:0] = clean().cells
    client = NotebookClient(notebook, km=kernel, timeout=TIME_LIMIT, record_timing=True)
    try:
        client.execute()
    finally:
        client.kc.stop_channels()
    del notebook.cells[0]
    return notebook


def test_it_runs_in_time(executed):
    timed = [cell.metadata["execution"] for cell in executed.cells if cell.cell_type == "code"]
    first, last = timed[0]["iopub.status.busy"], timed[-1]["iopub.status.idle"]
    assert (
        datetime.fromisoformat(last) - datetime.fromisoformat(first)
    ).total_seconds() < TIME_LIMIT


def test_exercises_say_not_yet_and_solutions_are_right(executed):
    verdicts = {"exercise": [], "solution": []}
    for cell in executed.cells:
        if cell.cell_type != "code" or "exercises.check" not in cell.source:
            continue
        (output,) = cell.outputs
        kind = "solution" if "solution" in cell.metadata.get("tags", []) else "exercise"
        verdicts[kind].append(output.data["text/plain"])
    assert len(verdicts["exercise"]) == len(verdicts["solution"]) > 0
    assert all(text.startswith("not yet: ") for text in verdicts["exercise"])
    assert all(text.startswith("right: ") for text in verdicts["solution"])


def test_nothing_is_fetched_and_nothing_is_said_in_warning(executed):
    for cell in executed.cells:
        for output in cell.get("outputs", []):
            assert output.get("name") != "stderr", output.get("text")
            html = output.get("data", {}).get("text/html", "")
            assert not re.search(r"<(script|link|img|iframe)[^>]+https?://", html)


def test_outputs_stay_small(executed):
    assert sum(len(str(cell.get("outputs", ""))) for cell in executed.cells) < 1_000_000
