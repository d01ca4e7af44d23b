"""Answers as rows of text and as CSV: means over seeds, differences, and what is as good as what.

Pure functions over the tables of `workbench.lab.results.questions`.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import xarray as xr

from workbench import dims
from workbench.lab.results.differences import MARGIN, Family, measured
from workbench.lab.results.questions import Question
from workbench.tasks.phrases import level_words
from workbench.training.statistics import ALPHA

HEADS = {dims.PASSES: "N", dims.N_TEST: "N at test"}
"""Axes whose names a reader of a table need not know."""
DIFFERENCE_COLUMNS = (
    "difference", "difficulty", "mean", "low", "high", "p_exact", "p_exact_holm", "p_welch",
    "p_welch_holm", "count", "other_count", "family", "margin", "equal_low", "equal_high",
    "p_equal", "p_equal_holm", "equal_family",
)  # fmt: skip
"""Of a question's differences as data: `low`, `high` of 95 %, `equal_low`, `equal_high` of 90 %."""


def cell(mean: float, low: float, high: float, *, sign: str = "") -> str:
    """Return a mean and its interval, if it has one, in words; "" where nothing was measured."""
    if math.isnan(mean):
        return ""
    said = f"{mean:{sign}.2f}"
    return said if math.isnan(low) else f"{said} [{low:{sign}.2f}, {high:{sign}.2f}]"


def flat(table: xr.Dataset) -> list[dict[str, Any]]:
    """Return a question's table as rows of plain values: where, mean, low, high, seeds.

    Where a table knows every seed, ``by_seed`` has their values in the order of the seeds, and
    ``by_seed_80`` and so on the same at other thresholds.
    """
    summary = table[["mean", "low", "high", "count"]]
    places = [str(dim) for dim in summary["mean"].dims]
    frame = summary.reset_coords(drop=True).to_dataframe().reset_index()
    rows = frame[[*places, "mean", "low", "high", "count"]].to_dict("records")
    for name in _by_seed(table):
        each = table[name].transpose(*places, dims.SEED).values
        for row, values in zip(rows, each.reshape(len(rows), -1).tolist(), strict=True):
            row[name] = " ".join(f"{value:g}" for value in values if value == value)
    return [row for row in rows if row["count"]]


def csv_text(table: xr.Dataset) -> str:
    """Return the rows of `flat` as CSV; only the head where there are none."""
    places = [str(dim) for dim in table["mean"].dims]
    return _csv([*places, "mean", "low", "high", "count", *_by_seed(table)], flat(table))


def _csv(head: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as CSV; what a row does not have is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, head, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def means_rows(table: xr.Dataset) -> list[list[str]]:
    """Return mean, interval and seeds as text: difficulties across, everything else down.

    A table without difficulties has one column, named as its attribute ``measures``.
    """
    difficulty = str(table.attrs["difficulty"])
    across = dims.DIFFICULTY in table["mean"].dims
    levels: list[Any] = table[dims.DIFFICULTY].values.tolist() if across else [None]
    names = [level_words(x, difficulty) for x in levels] if across else [table.attrs["measures"]]
    where = [str(d) for d in table["mean"].dims if d != dims.DIFFICULTY]
    each = _by_seed(table)
    titles: dict[Any, str] = {}
    if dims.ARM in where and "title" in table.coords:
        titles = dict(zip(table[dims.ARM].values, table["title"].values.tolist(), strict=True))
    rows: dict[tuple[str, ...], dict[Any, dict[str, Any]]] = {}
    for row in flat(table):
        place = tuple(titles.get(row[name], _plain(row[name])) for name in where)
        rows.setdefault(place, {})[row.get(dims.DIFFICULTY)] = row
    body = []
    for place, cells in rows.items():
        found = [cells.get(level) for level in levels]
        values = [cell(c["mean"], c["low"], c["high"]) if c else "" for c in found]
        seeds = str(max(int(c["count"]) for c in cells.values()))
        values += [str(c[name]).replace(" ", ", ") for c in cells.values() for name in each]
        body.append([*place, *values, seeds])
    units = {dims.BUDGET: f"within ({table.attrs.get('unit')})"}
    heads = [(HEADS | units).get(name, name) for name in where]
    return [[*heads, *names, *map(_seed_head, each), "seeds"], *body]


def _by_seed(table: xr.Dataset) -> list[str]:
    """Return the variables of a table that have a value for every seed."""
    return [str(name) for name in table.data_vars if str(name).startswith("by_seed")]


def _seed_head(name: str) -> str:
    threshold = name.removeprefix("by_seed").lstrip("_")
    return f"each seed at {threshold} %" if threshold else "each seed"


def _plain(place: Any) -> str:
    return f"{place:g}" if isinstance(place, float) else str(place)


def difference_rows(found: Family, question: Question, difficulty: str) -> list[list[str]]:
    """Return the differences of a question as text, a head first; empty without any.

    `found` are all differences of the record, corrected together; `difficulty` names it in the
    head.
    """
    corrected = f"corrected over {found.size}"
    head = ["difference", difficulty, "mean [95 %]", "exact p", f"exact p, {corrected}"]
    head += [f"t test p, {corrected}", "stands", "seeds"]
    rows = [
        [
            words,
            str(level),
            cell(at["mean"], at["low"], at["high"], sign="+"),
            *(p_words(at[name]) for name in ("p_exact", "p_exact_holm", "p_welch_holm")),
            stands(at["p_welch_holm"], at["p_exact_holm"]),
            " and ".join(map(str, sorted({int(at["count"]), int(at["other_count"])}))),
        ]
        for words, level, at in measured(found.differences, question)
    ]
    return [head, *rows] if rows else []


def equality_rows(found: Family, question: Question, difficulty: str) -> list[list[str]]:
    """Return whether arms of a question are equally good, as `difference_rows` does."""
    rows = []
    for words, level, at in measured(found.equalities, question):
        equal = "yes" if at["p_holm"] < ALPHA else "not shown"
        if at["low"] == at["high"]:
            equal = "no spread"
        said = cell(at["mean"], at["low"], at["high"], sign="+")
        rows.append([words, str(level), said, p_words(at["p_holm"]), equal])
    p = f"p, corrected over {found.equal_size}"
    head = ["as good as", difficulty, "mean [90 %]", p, f"equal within {MARGIN:g}"]
    return [head, *rows] if rows else []


def flat_differences(found: Family, question: Question) -> list[dict[str, Any]]:
    """Return differences and equalities of a question as rows of plain values.

    Columns are `DIFFERENCE_COLUMNS`; a row has those that it is tested for.
    """
    rows: dict[tuple[str, Any], dict[str, Any]] = {}
    for words, level, at in measured(found.differences, question):
        rows[words, level] = {"difference": words, "difficulty": level} | at
        rows[words, level]["family"] = found.size
    for words, level, at in measured(found.equalities, question):
        place = {"difference": words, "difficulty": level, "mean": at["mean"]}
        rows.setdefault((words, level), place).update(
            margin=MARGIN,
            equal_low=at["low"],
            equal_high=at["high"],
            p_equal=at["p"],
            p_equal_holm=at["p_holm"],
            equal_family=found.equal_size,
        )
    return list(rows.values())


def differences_csv(found: Family, question: Question) -> str:
    """Return the rows of `flat_differences` as CSV; "" where there are none."""
    rows = flat_differences(found, question)
    plain = [{k: "" if v != v else v for k, v in row.items()} for row in rows]
    return _csv(DIFFERENCE_COLUMNS, plain) if rows else ""


def stands(by_t: float, exact: float) -> str:
    """Return by which test a difference stands after the correction; "" by neither."""
    names = [name for name, p in (("t", by_t), ("exact", exact)) if p < ALPHA]
    return " and ".join(names)


def p_words(p: float) -> str:
    """Return a p value as it is printed; "" where it is not known."""
    if math.isnan(p):
        return ""
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"
