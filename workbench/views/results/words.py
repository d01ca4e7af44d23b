"""The results page in HTML: what a sweep was, each answer as a table, and the paper's numbers."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

import xarray as xr

from workbench.lab.results import bundled
from workbench.lab.results.axes import at_axes, value_text
from workbench.lab.results.differences import Family, family_words
from workbench.lab.results.questions import Question, notes
from workbench.lab.results.rows import difference_rows, equality_rows, means_rows
from workbench.views.parts.html import grid

INTERVALS = (
    "means over seeds with 95 % Student t intervals. They are not clipped: where one runs past 0 "
    "or 1, the seeds are too few or too uneven for it, and its bar leaves the panel. Equal seeds "
    "give an interval of zero width, which says nothing about another seed."
)
NO_RECORDS = (
    "No sweep is recorded yet. Record one with <code>workbench sweep data/sweeps/depo-n8.toml "
    "--record data/results/sweeps/depo-n8.json</code>."
)


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
    found = bundled.published()
    return _published(found) if found else ""


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
