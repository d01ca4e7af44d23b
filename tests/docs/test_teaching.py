"""The teacher's sheet: every notebook is on it, with its exercises and what their checks say."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from sleep_course.exercises.check import lesson

ROOT = Path(__file__).resolve().parents[2]
SHEET = ROOT / "docs" / "teaching.md"
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def sections() -> dict[str, str]:
    """Return the sheet's text by the notebook it is about, in its order."""
    found = {}
    for part in SHEET.read_text(encoding="utf-8").split("\n## ")[1:]:
        (name,) = re.findall(r"^`notebooks/([\w]+)\.ipynb`$", part, re.MULTILINE)
        found[name] = part
    return found


def cells_of(notebook: Path) -> list[dict[str, Any]]:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return [cell | {"source": "".join(cell["source"])} for cell in cells]


def module_of(source: str) -> str:
    """Return the module that a notebook calls `exercises`."""
    return re.findall(r"from sleep_course\.exercises import (\w+) as exercises", source)[0]


def test_every_notebook_is_on_the_sheet_in_order_and_no_other():
    assert list(sections()) == [path.stem for path in NOTEBOOKS]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_its_exercises_are_those_of_the_notebook(path):
    section = sections()[path.stem]
    told = re.findall(r"^### Exercise (\d+): `(\w+)`$", section, re.MULTILINE)
    cells = cells_of(path)
    text = "\n".join(cell["source"] for cell in cells if cell["cell_type"] == "markdown")
    numbers = re.findall(r"^### Exercise (\d+)", text, re.MULTILINE)
    checks = [
        re.search(r"exercises\.(check_\w+)", cell["source"])[1]
        for cell in cells
        if "solution" in cell["metadata"].get("tags", [])
    ]
    assert told == list(zip(numbers, checks, strict=True))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_checks_say_what_the_sheet_quotes(path):
    section = sections()[path.stem]
    words = lesson(module_of("\n".join(cell["source"] for cell in cells_of(path))))
    quoted = re.findall(r'^### Exercise \d+: `(\w+)`\n\n- Right: "(.+)"$', section, re.MULTILINE)
    assert len(quoted) == section.count("### Exercise")
    for check, praise in quoted:
        assert praise == words[check.removeprefix("check_")].texts["right"]
