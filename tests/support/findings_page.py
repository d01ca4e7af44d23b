"""docs/findings.md as text and tables, the runs of its records, and cells of a table by hand.

Apart from the package on purpose: JSON goes in, and what numpy and scipy make of it is compared
with the printed text.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "findings.md").read_text(encoding="utf-8")
SECTIONS = {part.partition("\n")[0]: part for part in f"\n{PAGE}".split("\n# ")[1:]}
"""Text of the page by the heading it stands under."""
TOP = " ".join(PAGE.partition("## How to read it")[0].split())


def prose(heading: str) -> str:
    """Return a section as one line."""
    return " ".join(SECTIONS[heading].split())


@cache
def record(name: str, folder: str = "sweeps") -> dict[str, Any]:
    """Return a committed record by its name."""
    return json.loads((ROOT / "data" / "results" / folder / f"{name}.json").read_text("utf-8"))


def tables(name: str, question: str) -> list[list[list[str]]]:
    """Return the tables of a question of a record, each as rows of cells, the head first."""
    mark = f"<!-- {name} {question} -->"
    body = PAGE.partition(mark)[2].partition(mark.replace("<!-- ", "<!-- /"))[0]
    found = []
    for block in body.split("\n\n"):
        rows = [
            [cell.strip() for cell in line.strip("|").split("|")]
            for line in block.splitlines()
            if line.startswith("|")
        ]
        if rows:
            found.append([rows[0], *rows[2:]])
    return found


def rows(name: str, question: str, head: str) -> list[list[str]]:
    """Return the rows of the only table of a question whose head begins with `head`."""
    (table,) = (table for table in tables(name, question) if table[0][0] == head)
    return table[1:]


def mean_cell(values: np.ndarray) -> str:
    """Return "mean [low, high]" of seeds, by Student's t."""
    spread = stats.sem(values) if np.ptp(values) else 0.0
    half = stats.t.ppf(0.975, len(values) - 1) * spread
    return f"{values.mean():.2f} [{values.mean() - half:.2f}, {values.mean() + half:.2f}]"


def difference_cell(one: np.ndarray, other: np.ndarray) -> str:
    """Return "difference [low, high]" of two groups of seeds, by Welch's t."""
    low, high = stats.ttest_ind(one, other, equal_var=False).confidence_interval(0.95)
    return f"{one.mean() - other.mean():+.2f} [{low:+.2f}, {high:+.2f}]"
