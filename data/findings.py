"""Rewrite the tables of ``docs/findings.md``, and the one-line answers of the page Findings.

    python data/findings.py

A table stands between the marks ``<!-- RECORD QUESTION -->`` and ``<!-- /RECORD QUESTION -->``, or
``<!-- MEASUREMENT t0 -->`` for the first table of a measurement, ``<!-- MODEL measured -->`` for
what each one says of a model; ``<!-- RECORD family -->`` marks the sentence on how a record's
differences are tested. Several records of one task are read as one:
``<!-- depo-n8+depo-n8-more QUESTION -->``; one value of a further axis is named after an @:
``<!-- depo-n8-held-out@task.isolated=true QUESTION -->``. What is around the marks is written by
people. The answers are in ``data/results/findings/answers.json``.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import xarray as xr

from workbench import dims
from workbench.files import file_sha256, read_json, write_text
from workbench.lab import results
from workbench.lab.record import read_record
from workbench.lab.results.axes import open_axes, parse_axes, value_text
from workbench.lab.results.bundled import answers_file, latency, records
from workbench.lab.results.conclusions import conclusion
from workbench.lab.results.differences import Family, family, family_words
from workbench.lab.results.questions import QUESTIONS, Question, notes
from workbench.lab.results.questions import answers as answered
from workbench.lab.results.rows import difference_rows, equality_rows, means_rows
from workbench.measurements.catalogue import measurement, tables
from workbench.measurements.records import read_measurement
from workbench.measurements.shelf import bundled_records
from workbench.paths import data_folder
from workbench.training.card import with_interval

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "findings.md"
MARK = re.compile(
    r"<!-- (?P<record>[\w+@.=-]+) (?P<question>\w+) -->\n.*?<!-- /\1 \2 -->", re.DOTALL
)


@cache
def dataset(name: str) -> xr.Dataset:
    """Return the committed results of a sweep, of several, or at one value of an axis."""
    folder = data_folder() / "results" / "sweeps"
    names, at, axis = name.partition("@")
    found = [read_record(folder / f"{one}.json") for one in names.split("+")]
    axes = parse_axes([run for one in found for run in one["runs"]], [axis] if at else [])
    return results.dataset(found, axes=axes or None)


@cache
def compared(name: str) -> Family:
    """Return all differences of a sweep, corrected together."""
    return family(dataset(name))


def answers() -> dict[str, Any]:
    """Return what each record and measurement answers in a sentence, with the hash of its file."""
    sweeps: dict[str, Any] = {}
    for name, path in records().items():
        record = read_record(path)
        axes = open_axes(record["runs"])
        at = {axis: values[0] for axis, values in axes.items()}
        data = results.dataset(record, axes=at) if at else dataset(name)
        final, found = results.final(data), family(data) if at else compared(name)
        sweeps[name] = {
            "sha256": file_sha256(path),
            "title": record["title"],
            "axes": {
                axis: [value_text(value) for value in values] for axis, values in axes.items()
            },
            "questions": [
                {"name": q.name, "title": q.title, **conclusion(q, table, found)._asdict()}
                for q, table in answered(data, final)
            ],
        }
    found_there: dict[str, Any] = {}
    for name, path in bundled_records().items():
        said = _concluded(read_measurement(path)[0])
        found_there[name] = {"sha256": file_sha256(path), "answer": said}
    return {"sweeps": sweeps, "measurements": found_there}


def with_tables(text: str) -> str:
    """Return the document with every marked table made again."""

    def table(mark: re.Match[str]) -> str:
        if mark["question"] == "family":
            body = f"*{family_words(compared(mark['record']))}*"
        elif mark["question"] == "latency":
            body = latencies()
        elif mark["question"] == "throughput":
            body = throughput(mark["record"])
        elif mark["question"] == "retrofit":
            body = retrofit(mark["record"])
        elif mark["question"] == "rungs":
            body = rungs()
        elif mark["question"] == "measured":
            body = measured(mark["record"])
        elif number := re.fullmatch(r"t(\d)", mark["question"]):
            found, _ = read_measurement(bundled_records()[mark["record"]])
            body = _grid(list(tables(found).values())[int(number[1])])
        else:
            question = next(q for q in QUESTIONS if q.name == mark["question"])
            body = markdown(dataset(mark["record"]), question, compared(mark["record"]))
        begin, end = (f"<!-- {s}{mark['record']} {mark['question']} -->" for s in ("", "/"))
        return f"{begin}\n{body}\n{end}"

    return MARK.sub(table, text)


def markdown(data: xr.Dataset, question: Question, tested: Family | None = None) -> str:
    """Return a question's table, its differences, and what is not recorded, in Markdown."""
    final = results.final(data)
    found, difficulty = tested or family(final), str(data.attrs["difficulty"])
    parts = [_grid(means_rows(question.answer(data, final)))]
    for rows in (difference_rows, equality_rows):
        if made := rows(found, question, difficulty):
            parts.append(_grid(made))
    parts += [f"*{note}*" for note in notes(final, question)]
    return "\n\n".join(parts)


def latencies() -> str:
    """Return medians and the middle half of the recorded latencies, in Markdown."""
    found = latency()
    assert found is not None, "python3 run.py bench latency"
    data, said = found
    rows = [["", "N", "asleep, ms a window", "awake, ms a token"]]
    for arm, title in zip(data[dims.ARM].values, data["title"].values, strict=True):
        for n in data[dims.N_TEST].values:
            one = data.sel({dims.ARM: arm, dims.N_TEST: n})
            cells = []
            for name in ("sleep_ms_per_window", "wake_ms_per_token"):
                low, median, high = one[name].quantile([0.25, 0.5, 0.75]).values
                cells.append(f"{median:.2f} [{low:.2f}, {high:.2f}]")
            rows.append([str(title), str(n), *cells])
    return f"{_grid(rows)}\n\n*{said}*"


def throughput(name: str) -> str:
    """Return medians and the middle half of a recorded throughput, in Markdown."""
    found = read_json(data_folder() / "results" / "throughput" / f"{name}.json")
    rows = [["", "window", "N", "tokens a second", "to all at once", "memory, MB"]]
    for row in found["rows"]:
        spread = [
            "" if values is None else "{1:,.3g} [{0:,.3g}, {2:,.3g}]".format(*values)
            for values in (row["tokens_per_second"], row["ratio"])
        ]
        kind, window = "training" if row["training"] else "reading", row["window"] or "all"
        rows.append([kind, str(window), str(row["passes"]), *spread, f"{row['peak_mb']:.1f}"])
    return _grid(rows)


def retrofit(name: str) -> str:
    """Return what a retrofit answers by N, and its base alone, one column a seed, in Markdown."""
    found = read_json(data_folder() / "results" / "retrofit" / f"{name}.json")["runs"]
    readings = [
        {f"N = {n}": entry for n, entry in run["evaluation"]["passes"].items()}
        | run["evaluation"]["base"]
        for run in found
    ]
    rows = [["read", *(f"seed {run['seed']}" for run in found)]]
    for reading in readings[0]:
        shares = (one[reading] for one in readings)
        cells = [with_interval(s["accuracy"]["1"], s["interval"]["accuracy"]["1"]) for s in shares]
        rows.append([reading, *cells])
    return _grid(rows)


def measured(checkpoint: str) -> str:
    """Return what each measurement of a model says in one line, in Markdown."""
    found = [read_measurement(path)[0] for path in bundled_records().values()]
    said = [one for one in found if one.attrs["checkpoint"] == checkpoint]
    return "\n".join(f"- *{one.attrs['kind']}*: {_concluded(one)}" for one in said)


def _concluded(data: xr.Dataset) -> str:
    return measurement(str(data.attrs["kind"])).concludes(data)


def rungs() -> str:
    """Return what each rung of the ladder from symbols to a story scores, in Markdown."""
    found = read_json(data_folder() / "results" / "tasks" / "ladder.json")
    levels = ("1", "2", "3", "4")
    rows = [["run", "tested at N", *(f"depth {v}" for v in levels), "asked first: 2", "3", "4"]]
    for rung in found["rungs"]:
        own = rung["n_train"] if isinstance(rung["n_train"], int) else rung["n_train"]["high"]
        for order, passes in (("", rung["passes"]), (", any order", rung.get("shuffled", {}))):
            for n in sorted({1, own} & set(map(int, passes))):
                entry = passes[str(n)]
                first = entry["first"]
                cells = [with_interval(entry["accuracy"][v], entry["interval"][v]) for v in levels]
                if rung["task"]["question"] == "alone":
                    cells += [""] * 3
                else:
                    cells += [f"{first['accuracy'][v]:.3f}" for v in levels[1:]]
                rows.append([f"`{rung['name']}`{order}", str(n), *cells])
        short = rung["chance"]["own step from the commonest constant"]["accuracy"]
        rows.append(["*shortcut*", "", *(f"{short[v]:.3f}" for v in levels), "", "", ""])
    return _grid(rows)


def _grid(rows: list[list[str]]) -> str:
    head, *body = rows
    lines = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    write_text(answers_file(), json.dumps(answers(), indent=1, ensure_ascii=False) + "\n")
    write_text(DOCUMENT, with_tables(DOCUMENT.read_text(encoding="utf-8")))
