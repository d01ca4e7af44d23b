"""The results page in HTML: what a sweep was, each answer as a table, and the paper's numbers.

Reads records and ``published.json``; imports no Panel.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import xarray as xr

from workbench import dims
from workbench.lab.arms import ARMS
from workbench.lab.axes import at_axes, value_text
from workbench.paths import data_folder
from workbench.tasks.base import level_words
from workbench.views.questions import Question, differences, notes

HEADS = {dims.PASSES: "N", dims.N_TEST: "N at test"}
"""Axes whose names a reader of a table need not know."""
NO_RECORDS = (
    "No sweep is recorded yet. Record one with <code>workbench sweep data/sweeps/depo-n8.toml "
    "--record data/results/sweeps/depo-n8.json</code>."
)


def records() -> dict[str, Path]:
    """Return the bundled records of sweeps by name."""
    folder = data_folder() / "results" / "sweeps"
    return {path.stem: path for path in sorted(folder.glob("*.json"))}


def latency() -> tuple[xr.Dataset, str] | None:
    """Return the recorded latencies and in words what they were measured on; None without any.

    Returns
    -------
    Dataset
        ``sleep_ms_per_window, wake_ms_per_token (arm, n_test, repeat)``, milliseconds of one
        sequence; ``title (arm)``.
    """
    path = data_folder() / "results" / "latency" / "depo-n8-any.json"
    if not path.exists():
        return None
    record = json.loads(path.read_text(encoding="utf-8"))
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

    Where a table knows every seed, ``by_seed`` has their values in the order of the seeds.
    """
    summary = table[["mean", "low", "high", "count"]]
    places = [str(dim) for dim in summary["mean"].dims]
    frame = summary.reset_coords(drop=True).to_dataframe().reset_index()
    rows = frame[[*places, "mean", "low", "high", "count"]].to_dict("records")
    if "by_seed" in table:
        each = table["by_seed"].transpose(*places, dims.SEED).values
        for row, values in zip(rows, each.reshape(len(rows), -1).tolist(), strict=True):
            row["by_seed"] = " ".join(f"{value:g}" for value in values if value == value)
    return [row for row in rows if row["count"]]


def csv_text(table: xr.Dataset) -> str:
    """Return the rows of `flat` as CSV; the head alone where there are none."""
    rows = flat(table)
    places = [str(dim) for dim in table["mean"].dims]
    each = ["by_seed"] if "by_seed" in table else []
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
    each = ["each seed"] if "by_seed" in table else []
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
        values += [str(c["by_seed"]).replace(" ", ", ") for c in cells.values()] if each else []
        body.append([*place, *values, seeds])
    units = {dims.BUDGET: f"within ({table.attrs.get('unit')})"}
    heads = [(HEADS | units).get(name, name) for name in where]
    return [[*heads, *names, *each, "seeds"], *body]


def _plain(place: Any) -> str:
    return f"{place:g}" if isinstance(place, float) else str(place)


def difference_rows(dataset: xr.Dataset, question: Question) -> list[list[str]]:
    """Return the paired differences of a question as text, a head first; none without any."""
    found = differences(dataset, question)
    if not found:
        return []
    levels = found[0][1][dims.DIFFICULTY].values.tolist()
    name = str(dataset.attrs["difficulty"])
    head = ["difference, paired by seed", *(level_words(level, name) for level in levels), "seeds"]
    return [head, *([words, *_signed(one), str(int(one["count"].max()))] for words, one in found)]


def table_html(table: xr.Dataset, label: str) -> str:
    """Return `means_rows` as HTML."""
    head, *body = means_rows(table)
    return grid(head, body, label)


def differences_html(dataset: xr.Dataset, question: Question) -> str:
    """Return `difference_rows` as HTML; "" where there are none."""
    rows = difference_rows(dataset, question)
    return grid(rows[0], rows[1:], f"Differences: {question.title}") if rows else ""


def _signed(one: xr.Dataset) -> list[str]:
    cells = zip(*(one[name].values.tolist() for name in ("mean", "low", "high")), strict=True)
    return [
        "" if math.isnan(m) else f"{m:+.2f}" + ("" if math.isnan(a) else f" [{a:+.2f}, {b:+.2f}]")
        for m, a, b in cells
    ]


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
    options = "".join(f" --axis {axis}={value_text(value)}" for axis, value in axes.items())
    return (
        f"<h1>{escape(record['title'])}</h1>"
        f"<p>{len(runs)} training run{'' if len(runs) == 1 else 's'}{escape(chosen)} with "
        f"seed{'' if len(seeds) == 1 else 's'} {', '.join(map(str, seeds))}{again}; "
        f"{flops / 1e12:.0f} TFLOP of training in all. Accuracy is that on {counts} held-out "
        "examples; means over seeds with 95 % bootstrap intervals over seeds. With five seeds or "
        "fewer these are narrower than they should be: read them as a lower bound of doubt.</p>"
        f"<p class='small'>Task {escape(dataset.attrs['task'])}; commit {escape(commits)}; "
        f"{escape(machines)}. Run it again: <code>workbench sweep data/sweeps/{escape(name)}.toml "
        f"--record RECORD.json</code>; draw it again: <code>workbench results "
        f"data/results/sweeps/{escape(name)}.json{escape(options)} --out FOLDER</code>.</p>"
    )


def question_html(dataset: xr.Dataset, question: Question) -> str:
    """Return a question's title and what is compared."""
    said = "".join(f'<p class="small">{escape(note)}</p>' for note in notes(dataset, question))
    return f"<h2>{escape(question.title)}</h2><p>{escape(question.means)}</p>{said}"


def details_html(dataset: xr.Dataset, question: Question, table: xr.Dataset) -> str:
    """Return the numbers behind a figure, folded."""
    return (
        '<details class="more"><summary>Numbers</summary>'
        f"{table_html(table, question.title)}{differences_html(dataset, question)}</details>"
    )


def published_html() -> str:
    """Return the paper's own numbers, with what they are worth."""
    path = data_folder() / "published.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
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
