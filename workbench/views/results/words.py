"""The results page in HTML: what a sweep was, each answer as a table, and the paper's numbers.

Reads records and ``published.json``; imports no Panel.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import xarray as xr

from workbench import dims
from workbench.files import UnreadableFile, read_json
from workbench.lab.arms import ARMS
from workbench.lab.results.axes import at_axes, value_text
from workbench.paths import data_folder
from workbench.tasks.phrases import level_words
from workbench.training.statistics import ALPHA
from workbench.views.parts.html import grid
from workbench.views.results.differences import MARGIN, Compared, Family, family_words
from workbench.views.results.questions import Question, notes

HEADS = {dims.PASSES: "N", dims.N_TEST: "N at test"}
"""Axes whose names a reader of a table need not know."""
DIFFERENCE_COLUMNS = (
    "difference", "difficulty", "mean", "low", "high", "p_exact", "p_exact_holm", "p_welch",
    "p_welch_holm", "count", "other_count", "family", "margin", "equal_low", "equal_high",
    "p_equal", "p_equal_holm", "equal_family",
)  # fmt: skip
"""Of a question's differences as data: `low`, `high` of 95 %, `equal_low`, `equal_high` of 90 %."""
INTERVALS = (
    "means over seeds with 95 % Student t intervals. They are not clipped: where one runs past 0 "
    "or 1, the seeds are too few or too uneven for it, and its bar leaves the panel. Equal seeds "
    "give an interval of zero width, which says nothing about another seed."
)
NO_RECORDS = (
    "No sweep is recorded yet. Record one with <code>workbench sweep data/sweeps/depo-n8.toml "
    "--record data/results/sweeps/depo-n8.json</code>."
)
DAMAGED = (UnreadableFile, LookupError, TypeError, ValueError, AttributeError)
"""What reading a bundled file raises that is not as it was bundled."""


def records() -> dict[str, Path]:
    """Return the bundled records of sweeps by name."""
    folder = data_folder() / "results" / "sweeps"
    return {path.stem: path for path in sorted(folder.glob("*.json"))}


def latency() -> tuple[xr.Dataset, str] | None:
    """Return the recorded latencies, and in words what they were measured on.

    ``sleep_ms_per_window, wake_ms_per_token (arm, n_test, repeat)``, milliseconds of one sequence;
    ``title (arm)``. None where there are none, or where they are damaged.
    """
    path = data_folder() / "results" / "latency" / "depo-n8-any.json"
    try:
        return _latency(read_json(path))
    except DAMAGED:
        return None


def _latency(record: Mapping[str, Any]) -> tuple[xr.Dataset, str]:
    rows = record["results"]
    arms = list(dict.fromkeys(row["arm"] for row in rows))
    counts = sorted({row["n"] for row in rows})
    place = {(row["arm"], row["n"]): row for row in rows}
    axes = (dims.ARM, dims.N_TEST, dims.REPEAT)
    data = {
        name: (axes, [[place[arm, n][name] for n in counts] for arm in arms])
        for name in ("sleep_ms_per_window", "wake_ms_per_token")
    }
    coords = {
        dims.ARM: arms,
        dims.N_TEST: counts,
        "title": (dims.ARM, [ARMS[arm].title for arm in arms]),
    }
    machine = record["machine"]
    said = (
        f"The bundled {record['checkpoint']}, one sequence at a time, on one thread of "
        f"{machine['cpu']}, {machine['date']}; medians of {len(rows[0]['wake_ms_per_token'])} with "
        "the middle half. N is that of the sleep, or of the loop over the queries."
    )
    return xr.Dataset(data, coords), said


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


def _measured(
    compared: Mapping[str, list[Compared]], question: Question
) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """Yield words, difficulty and values of each comparison of a question that was measured."""
    for one in compared.get(question.name, []):
        names = list(map(str, one.table.data_vars))
        columns = [one.table[name].values.tolist() for name in (dims.DIFFICULTY, *names)]
        for level, *row in zip(*columns, strict=True):
            values = dict(zip(names, row, strict=True))
            if not math.isnan(values["mean"]):
                yield one.words, level, values


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
        for words, level, at in _measured(found.differences, question)
    ]
    return [head, *rows] if rows else []


def equality_rows(found: Family, question: Question, difficulty: str) -> list[list[str]]:
    """Return whether arms of a question are equally good, as `difference_rows` does."""
    rows = []
    for words, level, at in _measured(found.equalities, question):
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
    for words, level, at in _measured(found.differences, question):
        rows[words, level] = {"difference": words, "difficulty": level} | at
        rows[words, level]["family"] = found.size
    for words, level, at in _measured(found.equalities, question):
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


def table_html(table: xr.Dataset, label: str) -> str:
    """Return `means_rows` as HTML."""
    head, *body = means_rows(table)
    return grid(head, body, label)


def about_html(
    record: Mapping[str, Any],
    dataset: xr.Dataset,
    name: str,
    axes: Mapping[str, Any] | None = None,
    found: Family | None = None,
) -> str:
    """Return what was run, from what code, how to run it again, and how differences are tested.

    `record` has all runs, `dataset` those at the values of `axes`, and `found` the differences
    that are shown with it.
    """
    axes = axes or {}
    runs = at_axes(record["runs"], axes)
    seeds = sorted({run["labels"]["seed"] for run in runs})
    flops = sum(run["budget"].get("flops") or 0.0 for run in runs)
    commits = ", ".join(c[:10] for c in dataset.attrs["commits"])
    machines = ", ".join(sorted({str(run["machine"].get("processor")) for run in runs}))
    counts = ", ".join(f"{count:,}" for count in dataset.attrs["counts"])
    resumed = sum(bool(run.get("resumed")) for run in runs)
    again = f" ({resumed} resumed)" if resumed else ""
    words = [f"{axis} = {value_text(value)}" for axis, value in axes.items()]
    chosen = f" at {', '.join(words)} (of {len(record['runs'])} runs in all)" if axes else ""
    said = family_words(found) if found else ""
    tested = f"<p>{escape(said)}</p>" if said else ""
    what, reading = "Accuracy is that", ""
    if measure := dataset.attrs["measure"]:
        what = f"{measure[0].upper()}{measure[1:]} are those"
        reading = f"Where a question speaks of accuracy, read {measure}: less is better. "
    options = "".join(f" --axis {axis}={value_text(value)}" for axis, value in axes.items())
    return (
        f"<h1>{escape(record['title'])}</h1>"
        f"<p>{len(runs)} training run{'' if len(runs) == 1 else 's'}{escape(chosen)} with "
        f"seed{'' if len(seeds) == 1 else 's'} {', '.join(map(str, seeds))}{again}; "
        f"{flops / 1e12:.0f} TFLOP of training in all. {what} on {counts} examples "
        "drawn apart from those of training, which may hold the same facts; "
        f"{INTERVALS} {reading}</p>{tested}"
        f"<p class='small'>Task {escape(dataset.attrs['task'])}; commit {escape(commits)}; "
        f"{escape(machines)}. Run it again: <code>workbench sweep data/sweeps/{escape(name)}.toml "
        f"--record RECORD.json</code>; draw it again: <code>workbench results "
        f"data/results/sweeps/{escape(name)}.json{escape(options)} --out FOLDER</code>.</p>"
    )


def question_html(dataset: xr.Dataset, question: Question) -> str:
    """Return a question's title and what is compared."""
    said = "".join(f'<p class="small">{escape(note)}</p>' for note in notes(dataset, question))
    return f"<h2>{escape(question.title)}</h2><p>{escape(question.means)}</p>{said}"


def details_html(question: Question, table: xr.Dataset, found: Family) -> str:
    """Return the numbers behind a figure, folded."""
    difficulty = str(table.attrs["difficulty"])
    tested = {
        "Differences": difference_rows(found, question, difficulty),
        "Equally good": equality_rows(found, question, difficulty),
    }
    differences = "".join(
        grid(rows[0], rows[1:], f"{label}: {question.title}")
        for label, rows in tested.items()
        if rows
    )
    return (
        '<details class="more"><summary>Numbers</summary>'
        f"{table_html(table, question.title)}{differences}</details>"
    )


def published_html() -> str:
    """Return the paper's own numbers, with their caveats; "" where the file is damaged."""
    try:
        return _published(read_json(data_folder() / "published.json"))
    except DAMAGED:
        return ""


def _published(found: Mapping[str, Any]) -> str:
    tables = "".join(
        f"<h3>{escape(t['title'])}</h3>"
        + grid(
            ["", *t["columns"]],
            [[row, *values] for row, values in zip(t["rows"], t["values"], strict=True)],
            t["title"],
        )
        + (f'<p class="small">{escape(t["remark"])}</p>' if t.get("remark") else "")
        for t in found["tables"]
    )
    return (
        f"<h2>What the paper reports</h2><p>{escape(found['source'])}. {escape(found['note'])}</p>"
        f"{tables}"
    )
