"""Recorded sweeps as the page shows them: each is worked out once, however many visitors ask."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

import xarray as xr

from workbench import dims
from workbench.errors import WorkbenchError
from workbench.files import stamp
from workbench.lab import results
from workbench.lab.record import read_record
from workbench.lab.results import bundled
from workbench.lab.results.axes import at_axes, axes_words, open_axes, value_text
from workbench.lab.results.conclusions import conclusion
from workbench.lab.results.differences import Family, family, family_words
from workbench.lab.results.questions import Question, answerable, notes, unanswered_words
from workbench.lab.results.rows import csv_text, difference_rows, differences_csv, equality_rows
from workbench.lab.results.rows import means_rows as rows_of
from workbench.once_cache import OnceCache
from workbench.views.parts.html import grid

INTERVALS = (
    "means over seeds with 95 % Student t intervals. They are not clipped: where one runs past 0 "
    "or 1, the seeds are too few or too uneven for it, and its bar leaves the panel. Equal seeds "
    "give an interval of zero width, which says nothing about another seed."
)
_records, _sweeps = OnceCache(8), OnceCache(8)


class Sweep:
    """A record at one value of each of its further axes.

    `options` are the axes with their values as text, `axes` the values that are shown.
    """

    def __init__(self, path: Path, record: Mapping[str, Any], wanted: Mapping[str, str]) -> None:
        self.path, self.record = path, record
        values = open_axes(record["runs"])
        self.options = {name: [value_text(v) for v in found] for name, found in values.items()}
        self.axes = {}
        for name, found in values.items():
            known = dict(zip(self.options[name], found, strict=True))
            text = wanted.get(name, self.options[name][0])
            if text not in known:
                expected = f"one of {', '.join(known)}"
                raise WorkbenchError(f"{name} = {text[:40]!r}", expected, "choose one")
            self.axes[name] = known[text]
        self._lock = threading.RLock()
        self._tables: dict[str, xr.Dataset] = {}

    @cached_property
    def dataset(self) -> xr.Dataset:
        """All of its results."""
        return results.dataset(self.record, axes=self.axes)

    @cached_property
    def final(self) -> xr.Dataset:
        """Its results at the end of training."""
        return results.final(self.dataset)

    @cached_property
    def family(self) -> Family:
        """Its differences, corrected together."""
        return family(self.final)

    @cached_property
    def questions(self) -> dict[str, Question]:
        """The questions that its runs say something about, by name."""
        return {question.name: question for question in answerable(self.final)}

    def answer(self, name: str) -> tuple[Question, xr.Dataset]:
        """Return a question with its table, which is worked out once.

        Raises WorkbenchError: it does not answer that.
        """
        with self._lock:  # what one thread has begun, another one waits for
            known = self.questions
            if name not in known:
                raise WorkbenchError(
                    f"question {name[:60]!r} of {self.path.stem}",
                    f"one of {', '.join(known) or 'none'}",
                    "choose one" if known else unanswered_words(self.final),
                )
            if name not in self._tables:
                self._tables[name] = known[name].answer(self.dataset, self.final)
            return known[name], self._tables[name]

    def rows(self) -> list[dict[str, str]]:
        """Return name, title, answer and certainty of each question."""
        rows = []
        for name in self.questions:
            question, table = self.answer(name)
            if not bool(table["count"].any()):
                continue
            said = conclusion(question, table, self.family)
            rows.append({"name": name, "title": question.title, **said._asdict()})
        return rows

    def html(self, name: str) -> dict[str, str]:
        """Return what stands below a figure: notes, numbers, the command and what was run."""
        question, table = self.answer(name)
        said = "".join(f'<p class="small">{escape(n)}</p>' for n in notes(self.final, question))
        difficulty = str(table.attrs["difficulty"])
        head, *body = rows_of(table)
        tested = {
            "Differences": difference_rows(self.family, question, difficulty),
            "Equally good": equality_rows(self.family, question, difficulty),
        }
        numbers = grid(head, body, question.title) + "".join(
            f"<h3>{label}</h3>{grid(rows[0], rows[1:], f'{label}: {question.title}')}"
            for label, rows in tested.items()
            if rows
        )
        options = "".join(f" --axis {axis}={value_text(v)}" for axis, v in self.axes.items())
        again = f"workbench results data/results/sweeps/{self.path.name}{options} --out FOLDER"
        means = f"<p>{escape(question.means)}</p>{said}"
        return {"means": means, "numbers": numbers, "again": again, "about": self._about()}

    def csv(self, name: str, what: str) -> tuple[str, str]:
        """Return name and text of a file with a question's numbers, or its differences."""
        question, table = self.answer(name)
        more = "-differences" if what == "differences" else ""
        text = differences_csv(self.family, question) if more else csv_text(table)
        parts = (self.path.stem, axes_words(self.axes), f"{name.replace('_', '-')}{more}")
        return f"{'-'.join(filter(None, parts))}.csv", text

    def _about(self) -> str:
        """Return what was run, from what code, and how differences are tested."""
        runs = at_axes(self.record["runs"], self.axes)
        seeds = sorted({run["labels"]["seed"] for run in runs})
        flops = sum(run["budget"].get("flops") or 0.0 for run in runs)
        attrs = self.dataset.attrs
        commits = ", ".join(c[:10] for c in attrs["commits"])
        machines = ", ".join(sorted({str(run["machine"].get("processor")) for run in runs}))
        counts = ", ".join(f"{count:,}" for count in attrs["counts"])
        resumed = sum(bool(run.get("resumed")) for run in runs)
        again = f" ({resumed} resumed)" if resumed else ""
        words = [f"{axis} = {value_text(value)}" for axis, value in self.axes.items()]
        whole = len(self.record["runs"])
        chosen = f" at {', '.join(words)} (of {whole} runs in all)" if words else ""
        what, reading = "Accuracy is that", ""
        if measure := attrs["measure"]:
            what = f"{measure[0].upper()}{measure[1:]} are those"
            reading = f" Where a question speaks of accuracy, read {measure}: less is better."
        tested = family_words(self.family)
        return (
            f"<p>{len(runs)} training run{'' if len(runs) == 1 else 's'}{escape(chosen)} with "
            f"seed{'' if len(seeds) == 1 else 's'} {', '.join(map(str, seeds))}{again}; "
            f"{flops / 1e12:.0f} TFLOP of training in all. {what} on {counts} examples drawn apart "
            f"from those of training, which may hold the same facts; {INTERVALS}{reading}</p>"
            + (f"<p>{escape(tested)}</p>" if tested else "")
            + f'<p class="small">Task {escape(attrs["task"])}; commit {escape(commits)}; '
            f"{escape(machines)}. Train it again: <code>workbench sweep data/sweeps/"
            f"{escape(self.path.stem)}.toml --record RECORD.json</code></p>"
        )


def sweep(path: Path, wanted: Mapping[str, str] | None = None) -> Sweep:
    """Return a recorded sweep; `wanted` gives values of further axes as text, else the first.

    Raises WorkbenchError: the record is damaged, or was not made at such a value.
    """
    at = path, stamp(path)
    record = _records.get(at, lambda: read_record(path))
    found = Sweep(path, record, wanted or {})
    chosen = tuple((name, value_text(value)) for name, value in found.axes.items())
    return _sweeps.get((at, chosen), lambda: found)


def latency_answer() -> str:
    """Return what the recorded latencies say, in a sentence."""
    found = bundled.latency()
    if found is None:
        return "Not measured yet."
    data, _ = found
    last = data.isel({dims.N_TEST: -1})["wake_ms_per_token"].median(dims.REPEAT)
    n = int(data[dims.N_TEST].values[-1])
    each = ", ".join(
        f"{title} {float(last.sel({dims.ARM: arm})):.2f} ms"
        for arm, title in zip(data[dims.ARM].values, data["title"].values, strict=True)
    )
    return f"At N = {n}, an answer's token takes: {each}."


def published_html() -> str:
    """Return the paper's own numbers, with their caveats; "" where the file is damaged."""
    found = bundled.published()
    if not found:
        return ""
    tables = "".join(
        f"<h2>{escape(t['title'])}</h2>"
        + grid(
            ["", *t["columns"]],
            [[row, *values] for row, values in zip(t["rows"], t["values"], strict=True)],
            t["title"],
        )
        + (f'<p class="small">{escape(t["remark"])}</p>' if t.get("remark") else "")
        for t in found["tables"]
    )
    return f"<p>{escape(found['source'])}. {escape(found['note'])}</p>{tables}"
