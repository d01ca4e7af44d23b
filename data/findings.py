"""Write the tables of ``docs/findings.md`` anew from the committed records of sweeps.

    python data/findings.py

A table stands between the marks ``<!-- RECORD QUESTION -->`` and ``<!-- /RECORD QUESTION -->``;
what is around it is written by people.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import xarray as xr

from workbench.files import write_text
from workbench.lab import results
from workbench.lab.record import read_record
from workbench.paths import data_folder
from workbench.views.questions import QUESTIONS, Question, missing_words
from workbench.views.results_words import difference_rows, means_rows

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
    parts = [_grid(means_rows(question.table(data)))]
    if rows := difference_rows(data, question):
        parts.append(_grid(rows))
    if lacking := missing_words(data, question):
        parts.append(f"*{lacking}*")
    return "\n\n".join(parts)


def _grid(rows: list[list[str]]) -> str:
    head, *body = rows
    lines = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    write_text(DOCUMENT, with_tables(DOCUMENT.read_text(encoding="utf-8")))
