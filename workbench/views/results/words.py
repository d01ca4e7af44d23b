"""The results page in HTML: what a sweep was, each answer as a table, and the paper's numbers.

Reads records and ``published.json``; imports no Panel.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
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
    "or 1, the seeds are too few or too uneven for it, and a bar leaves its panel. Equal seeds "
    "give an interval of no width, which does not say that another seed could not differ."
)
NO_RECORDS = (
    "No sweep is recorded yet. Record one with <code>workbench sweep data/sweeps/depo-n8.toml "
    "--record data/results/sweeps/depo-n8.json</code>."
)


DAMAGED = (UnreadableFile, LookupError, TypeError, ValueError, AttributeError)
"""What a bundled file raises where it is not what was bundled."""


def records() -> dict[str, Path]:
    """Return the bundled records of sweeps by name."""
    folder = data_folder() / "results" / "sweeps"
    return {path.stem: path for path in sorted(folder.glob("*.json"))}


def latency() -> tuple[xr.Dataset, str] | None:
    """Return the recorded latencies and in words what they were measured on.

    None where there are none, or where they are damaged.

    Returns
    -------
    Dataset
        ``sleep_ms_per_window, wake_ms_per_token (arm, n_test, repeat)``, milliseconds of one
        sequence; ``title (arm)``.
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


def cell(mean: float, low: float, high: float) -> str:
    """Return a mean and its interval in words; "" where nothing was measured."""
    if math.isnan(mean):
        return ""
    return f"{mean:.2f}" if math.isnan(low) else f"{mean:.2f} [{low:.2f}, {high:.2f}]"


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
    """Return the rows of `flat` as CSV; the head alone where there are none."""
    rows = flat(table)
    places = [str(dim) for dim in table["mean"].dims]
    each = _by_seed(table)
    text = io.StringIO()
    head = [*places, "mean", "low", "high", "count", *each]
    writer = csv.DictWriter(text, head, lineterminator="\n")
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
    each_heads = [_seed_head(name) for name in each]
    titles: dict[Any, str] = {}
    if dims.ARM in where and "title" in table.coords:
        titles = dict(zip(table[dims.ARM].values, table["title"].values.tolist(), strict=True))
    rows: dict[tuple[str, ...], dict[Any, dict[str, Any]]] = {}
    for row in flat(table):
        place = tuple(titles.get(row[name], _plain(row[name])) for name in where)
        rows.setdefault(place, {})[row.get(dims.DIFFICULTY)] = row
    body = []
    for place, cells in rows.items():
        told = [cells.get(level) for level in levels]
        values = [cell(c["mean"], c["low"], c["high"]) if c else "" for c in told]
        seeds = str(max(int(c["count"]) for c in cells.values()))
        values += [str(c[name]).replace(" ", ", ") for c in cells.values() for name in each]
        body.append([*place, *values, seeds])
    units = {dims.BUDGET: f"within ({table.attrs.get('unit')})"}
    heads = [(HEADS | units).get(name, name) for name in where]
    return [[*heads, *names, *each_heads, "seeds"], *body]


def _by_seed(table: xr.Dataset) -> list[str]:
    """Return the variables of a table that have a value for every seed."""
    return [str(name) for name in table.data_vars if str(name).startswith("by_seed")]


def _seed_head(name: str) -> str:
    threshold = name.removeprefix("by_seed").lstrip("_")
    return f"each seed at {threshold} %" if threshold else "each seed"


def _plain(place: Any) -> str:
    return f"{place:g}" if isinstance(place, float) else str(place)


def difference_rows(found: Family, question: Question, difficulty: str) -> list[list[str]]:
    """Return the differences of a question as text, a head first; none without any.

    Parameters
    ----------
    found : Family
        All differences of the record, corrected together.
    question : Question
        Of which those are returned.
    difficulty : str
        Name of the difficulty, for the head.
    """
    rows = []
    for one in found.differences.get(question.name, []):
        for cells in _by_level(one):
            if math.isnan(cells["mean"]):
                continue
            seeds = {int(cells["count"]), int(cells["other_count"])}
            rows.append(
                [
                    one.words,
                    str(cells[dims.DIFFICULTY]),
                    _signed(cells["mean"], cells["low"], cells["high"]),
                    p_words(cells["p_exact"]),
                    p_words(cells["p_exact_holm"]),
                    p_words(cells["p_welch_holm"]),
                    stands(cells["p_welch_holm"], cells["p_exact_holm"]),
                    " and ".join(map(str, sorted(seeds))),
                ]
            )
    if not rows:
        return []
    corrected = f"corrected over {found.size}"
    return [
        ["difference", difficulty, "mean [95 %]", "exact p", f"exact p, {corrected}",
         f"t test p, {corrected}", "stands", "seeds"],
        *rows,
    ]  # fmt: skip


def equality_rows(found: Family, question: Question, difficulty: str) -> list[list[str]]:
    """Return whether arms of a question are equally good, as text, a head first.

    Parameters as in `difference_rows`.
    """
    rows = []
    for one in found.equalities.get(question.name, []):
        for cells in _by_level(one):
            if math.isnan(cells["mean"]):
                continue
            equal = "yes" if cells["p_holm"] < ALPHA else "not shown"
            if cells["low"] == cells["high"]:
                equal = "no spread"
            p = p_words(cells["p_holm"])
            said = _signed(cells["mean"], cells["low"], cells["high"])
            rows.append([one.words, str(cells[dims.DIFFICULTY]), said, p, equal])
    if not rows:
        return []
    p = f"p, corrected over {found.equal_size}"
    head = ["as good as", difficulty, "mean [90 %]", p, f"equal within {MARGIN:g}"]
    return [head, *rows]


def flat_differences(found: Family, question: Question) -> list[dict[str, Any]]:
    """Return differences and equalities of a question as rows of plain values.

    Columns are `DIFFERENCE_COLUMNS`; a row has those that it is tested for.
    """
    rows: dict[tuple[str, Any], dict[str, Any]] = {}
    for one in found.differences.get(question.name, []):
        for cells in _by_level(one):
            rows[one.words, cells[dims.DIFFICULTY]] = cells | {"family": found.size}
    for one in found.equalities.get(question.name, []):
        for cells in _by_level(one):
            of_it = {
                "margin": MARGIN, "equal_low": cells["low"], "equal_high": cells["high"],
                "p_equal": cells["p"], "p_equal_holm": cells["p_holm"],
                "equal_family": found.equal_size,
            }  # fmt: skip
            place = one.words, cells[dims.DIFFICULTY]
            rows[place] = rows.get(place, {"mean": cells["mean"]}) | of_it
    return [
        {"difference": words, "difficulty": level} | row
        for (words, level), row in rows.items()
        if not math.isnan(row["mean"])
    ]


def differences_csv(found: Family, question: Question) -> str:
    """Return the rows of `flat_differences` as CSV; "" where there are none."""
    rows = flat_differences(found, question)
    if not rows:
        return ""
    text = io.StringIO()
    writer = csv.DictWriter(text, DIFFERENCE_COLUMNS, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows({k: "" if v != v else v for k, v in row.items()} for row in rows)
    return text.getvalue()


def stands(by_t: float, exact: float) -> str:
    """Return by which test a difference stands after the correction; "" by none."""
    names = [name for name, p in (("t", by_t), ("exact", exact)) if p < ALPHA]
    return " and ".join(names)


def p_words(p: float) -> str:
    """Return a p value as it is printed; "" where it is not known."""
    if math.isnan(p):
        return ""
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def _by_level(one: Compared) -> list[dict[str, Any]]:
    """Return a comparison's values at each difficulty."""
    names = [dims.DIFFICULTY, *map(str, one.table.data_vars)]
    columns = [one.table[name].values.tolist() for name in names]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _signed(mean: float, low: float, high: float) -> str:
    return f"{mean:+.2f}" + ("" if math.isnan(low) else f" [{low:+.2f}, {high:+.2f}]")


def table_html(table: xr.Dataset, label: str) -> str:
    """Return `means_rows` as HTML."""
    head, *body = means_rows(table)
    return grid(head, body, label)


def differences_html(found: Family, question: Question, difficulty: str) -> str:
    """Return `difference_rows` and `equality_rows` as HTML; "" where there are none."""
    both = (
        (difference_rows(found, question, difficulty), "Differences"),
        (equality_rows(found, question, difficulty), "Equally good"),
    )
    return "".join(
        grid(rows[0], rows[1:], f"{label}: {question.title}") for rows, label in both if rows
    )


def grid(head: Sequence[str], body: Sequence[Sequence[str]], label: str) -> str:
    """Return a plain table as HTML."""
    heads = "".join(f'<th scope="col">{escape(text)}</th>' for text in head)
    rows = "".join(
        "<tr>"
        + f'<th scope="row">{escape(row[0])}</th>'
        + "".join(f"<td>{escape(text)}</td>" for text in row[1:])
        + "</tr>"
        for row in body
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(label)}">'
        f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def about_html(
    record: Mapping[str, Any],
    dataset: xr.Dataset,
    name: str,
    axes: Mapping[str, Any] | None = None,
    found: Family | None = None,
) -> str:
    """Return what was run, from what code, and how to run it again.

    Parameters
    ----------
    record : mapping
        As read; all its runs.
    dataset : Dataset
        Of those at the values in `axes`.
    name : str
        Of the record.
    axes : mapping or None
        Values of the further axes, where there are several.
    found : Family or None
        The differences that are shown with it, to say how they are tested.
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
    options = "".join(f" --axis {axis}={value_text(value)}" for axis, value in axes.items())
    return (
        f"<h1>{escape(record['title'])}</h1>"
        f"<p>{len(runs)} training run{'' if len(runs) == 1 else 's'}{escape(chosen)} with "
        f"seed{'' if len(seeds) == 1 else 's'} {', '.join(map(str, seeds))}{again}; "
        f"{flops / 1e12:.0f} TFLOP of training in all. Accuracy is that on {counts} examples "
        "drawn apart from those of training, which may hold the same facts; "
        f"{INTERVALS}</p>{tested}"
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
    differences = differences_html(found, question, str(table.attrs["difficulty"]))
    return (
        '<details class="more"><summary>Numbers</summary>'
        f"{table_html(table, question.title)}{differences}</details>"
    )


def published_html() -> str:
    """Return the paper's own numbers, with what they are worth."""
    try:
        return _published(read_json(data_folder() / "published.json"))
    except DAMAGED:
        return ""


def _published(found: Mapping[str, Any]) -> str:
    tables = "".join(
        f"<h3>{escape(t['title'])}</h3>"
        + grid(["", *t["columns"]], [[r, *v] for r, v in _rows(t)], t["title"])
        + (f'<p class="small">{escape(t["remark"])}</p>' if t.get("remark") else "")
        for t in found["tables"]
    )
    return (
        f"<h2>What the paper reports</h2><p>{escape(found['source'])}. {escape(found['note'])}</p>"
        f"{tables}"
    )


def _rows(table: Mapping[str, Any]) -> Sequence[tuple[str, list[str]]]:
    return list(zip(table["rows"], table["values"], strict=True))
