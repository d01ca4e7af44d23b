"""Write the tables of ``docs/findings.md`` anew from the committed records of sweeps.

    python data/findings.py

A table stands between the marks ``<!-- RECORD QUESTION -->`` and ``<!-- /RECORD QUESTION -->``;
what is around it is written by people.
"""

from __future__ import annotations

import math
import re
from functools import cache
from pathlib import Path

import xarray as xr

from workbench import dims
from workbench.files import write_text
from workbench.lab import results
from workbench.lab.record import read_record
from workbench.paths import data_folder
from workbench.tasks.base import level_words
from workbench.views.questions import QUESTIONS, Question, differences, missing_words
from workbench.views.results_words import cell, flat

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "findings.md"
MARK = re.compile(r"<!-- (?P<record>[\w-]+) (?P<question>\w+) -->\n.*?<!-- /\1 \2 -->", re.DOTALL)


@cache
def dataset(name: str) -> xr.Dataset:
    """Return the committed results of a sweep."""
    return results.dataset(read_record(data_folder() / "results" / "sweeps" / f"{name}.json"))


def with_tables(text: str) -> str:
    """Return the document with every marked table made anew."""

    def table(mark: re.Match[str]) -> str:
        question = next(q for q in QUESTIONS if q.name == mark["question"])
        body = markdown(dataset(mark["record"]), question)
        begin, end = (f"<!-- {s}{mark['record']} {mark['question']} -->" for s in ("", "/"))
        return f"{begin}\n{body}\n{end}"

    return MARK.sub(table, text)


def markdown(data: xr.Dataset, question: Question) -> str:
    """Return a question's table, its paired differences, and what is not recorded, in Markdown."""
    parts = [_grid(_means(question.table(data)))]
    if found := differences(data, question):
        levels = found[0][1][dims.DIFFICULTY].values.tolist()
        heads = [level_words(level, data.attrs["difficulty"]) for level in levels]
        rows = [[words, *_signed(one), str(int(one["count"].max()))] for words, one in found]
        parts.append(_grid([["difference, paired by seed", *heads, "seeds"], *rows]))
    if lacking := missing_words(data, question):
        parts.append(f"*{lacking}*")
    return "\n\n".join(parts)


def _means(table: xr.Dataset) -> list[list[str]]:
    levels = table[dims.DIFFICULTY].values.tolist()
    where = [str(d) for d in table["mean"].dims if d != dims.DIFFICULTY]
    rows: dict[tuple[str, ...], dict] = {}
    for row in flat(table):
        place = tuple(str(row[name]) for name in where)
        rows.setdefault(place, {})[row[dims.DIFFICULTY]] = row
    heads = [level_words(level, table.attrs["difficulty"]) for level in levels]
    body = []
    for place, cells in rows.items():
        told = [cells.get(level) for level in levels]
        values = [cell(c["mean"], c["low"], c["high"]) if c else "" for c in told]
        body.append([*place, *values, str(max(int(c["count"]) for c in cells.values()))])
    return [[*where, *heads, "seeds"], *body]


def _signed(one: xr.Dataset) -> list[str]:
    cells = zip(*(one[name].values.tolist() for name in ("mean", "low", "high")), strict=True)
    return ["" if math.isnan(m) else f"{m:+.2f} [{a:+.2f}, {b:+.2f}]" for m, a, b in cells]


def _grid(rows: list[list[str]]) -> str:
    head, *body = rows
    lines = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    write_text(DOCUMENT, with_tables(DOCUMENT.read_text(encoding="utf-8")))
