"""The command `results`: what recorded sweeps show."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from workbench.cli.options import add_command, add_json, columns

TITLE = 90
"""Pixels above the panels of a figure that has a title."""


def add_commands(commands: Any) -> None:
    """Add the command."""
    results = add_command(
        commands,
        "results",
        _results,
        "what a recorded sweep shows, question by question; figures and data with --out",
        "workbench results data/results/sweeps/depo-n8.json --out figures",
    )
    results.add_argument(
        "record",
        type=Path,
        metavar="RECORD.json",
        nargs="+",
        help="a record; several of the same task are pooled, as if they were more seeds",
    )
    results.add_argument("--out", type=Path, help="folder for a page and a CSV file per question")
    results.add_argument(
        "--axis",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="which value of a further axis of the sweep, as task.nodes=8; once for each",
    )
    results.add_argument("--theme", choices=("light", "dark"), default="light")
    results.add_argument(
        "--format",
        choices=("html", "svg", "pdf", "png", "csv"),
        default="html",
        help="of the figures; default %(default)s, which is interactive; csv: only the data, "
        "to standard output without --out",
    )
    add_json(results)


def _results(options: argparse.Namespace) -> int:
    from workbench.files import try_output
    from workbench.lab import results
    from workbench.lab.record import read_record
    from workbench.lab.results.axes import axes_words, parse_axes
    from workbench.lab.results.differences import family, family_words
    from workbench.lab.results.questions import answers, unanswered_words

    records = [read_record(path) for path in options.record]
    if options.out is not None:
        try_output(options.out / "page.html")
    axes = parse_axes([run for record in records for run in record["runs"]], options.axis)
    data = results.dataset(records, axes=axes)
    final = results.final(data)
    found, tested = answers(data, final), family(final)
    if options.json:
        print(json.dumps(_record(found, tested), allow_nan=False))
    if not found:
        sys.stderr.write(f"workbench: {unanswered_words(final)}\n")
    elif options.out is not None:
        stem = "+".join(path.stem for path in options.record)
        stem = "-".join(filter(None, (stem, axes_words(axes))))
        files = sum(_write_figure(options, *answer, tested, stem) for answer in found)
        drawn = options.format != "csv"
        count, what = (len(found), "figure") if drawn else (files, "CSV file")
        wrote = f"{count} {what}{'' if count == 1 else 's'}{' with the data' if drawn else ''}"
        sys.stderr.write(f"workbench: {wrote} in {options.out}\n")
    elif not options.json:
        difficulty = str(data.attrs["difficulty"])
        _print_answers(found, final, tested, difficulty, as_csv=options.format == "csv")
        if options.format != "csv" and (words := family_words(tested)):
            print(words)
    return 0


def _record(found: Any, tested: Any) -> dict[str, Any]:
    """Return what --json prints; JSON has no NaN, which is the interval of a single seed."""
    from workbench.lab.results.rows import flat, flat_differences

    def plain(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{k: None if v != v else v for k, v in row.items()} for row in rows]

    record: dict[str, Any] = {question.name: plain(flat(table)) for question, table in found}
    differences = {q.name: plain(flat_differences(tested, q)) for q, _ in found}
    if any(differences.values()):
        record["differences"] = {name: rows for name, rows in differences.items() if rows}
    return record


def _print_answers(found: Any, final: Any, tested: Any, difficulty: str, *, as_csv: bool) -> None:
    from workbench.lab.results import rows as words
    from workbench.lab.results.questions import notes

    for question, table in found:
        print(f"{question.title} {question.means}")
        if as_csv:
            print(words.csv_text(table))
            if differences := words.differences_csv(tested, question):
                print(differences)
        else:
            parts = (
                words.means_rows(table),
                words.difference_rows(tested, question, difficulty),
                words.equality_rows(tested, question, difficulty),
            )
            print("\n\n".join(columns(rows) for rows in parts if rows))
        for note in notes(final, question):
            print(note)
        print()


def _write_figure(
    options: argparse.Namespace, question: Any, table: Any, tested: Any, stem: str
) -> int:
    """Write a question's data and figure; return how many CSV files that were."""
    from workbench.figures.lab.questions import question_figure
    from workbench.files import write_text, written_aside
    from workbench.lab.results.rows import csv_text, differences_csv

    name = f"{stem}-{question.name}"
    write_text(options.out / f"{name}.csv", csv_text(table))
    files = 1
    if differences := differences_csv(tested, question):
        write_text(options.out / f"{name}-differences.csv", differences)
        files += 1
    if options.format == "csv":
        return files
    figure = question_figure(question.figure, table, theme=options.theme)
    above = TITLE - (figure.layout.margin.t or 0)
    height = (figure.layout.height or 450) + above
    figure.update_layout(title={"text": question.title}, margin={"t": TITLE}, height=height)
    if options.format != "html":
        from workbench.figures.export import export

        export(figure, options.out / f"{name}.{options.format}")
        return files
    # one copy of plotly.js next to the pages: they open without a network
    with written_aside(options.out / f"{name}.html") as aside:
        figure.write_html(aside, include_plotlyjs="directory")
    return files
