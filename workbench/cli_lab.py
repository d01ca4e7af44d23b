"""The commands of the lab: sweep, queue, results, mirror.

Split from `workbench.cli`, which adds them to its parser.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from workbench.errors import WorkbenchError
from workbench.signals import stop_signal
from workbench.terminal import printable

RUNS = Path("runs")
WATCH = 2.0
"""Seconds between two looks at the runs while they are mirrored."""


TITLE = 90
"""Pixels above the panels of a figure that has a title."""


def add_commands(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the lab's commands; `command(name, run, summary, example)` makes each parser."""
    sweep = command(
        "sweep",
        _sweep,
        "train what is missing of a sweep, several runs at a time",
        "workbench sweep data/sweeps/depo-n8.toml --cores 2",
    )
    sweep.add_argument("file", type=Path, metavar="SWEEP.toml")
    add_place(sweep)
    sweep.add_argument(
        "--record", type=Path, metavar="FILE.json", help="keep finished runs' results in this file"
    )
    sweep.add_argument(
        "--cluster", metavar="tcp://HOST:PORT", help="train on the workers of this Dask scheduler"
    )
    sweep.add_argument("--dry-run", action="store_true", help="say what would be run, and end")
    sweep.add_argument("--json", action="store_true", help="print the outcome as JSON")

    queue = command(
        "queue", _queue, "start queued runs as slots become free", "workbench queue --cores 2"
    )
    add_place(queue)

    results = command(
        "results",
        _results,
        "what a recorded sweep says, question by question; figures and data with --out",
        "workbench results data/results/sweeps/depo-n8.json --out figures",
    )
    results.add_argument(
        "record", type=Path, metavar="RECORD.json", nargs="+",
        help="a record; several of the same task count as one, as of more seeds",
    )  # fmt: skip
    results.add_argument("--out", type=Path, help="folder for a page and a CSV file a question")
    results.add_argument(
        "--axis", action="append", default=[], metavar="NAME=VALUE",
        help="which value of a further axis of the sweep, as task.nodes=8; once for each",
    )  # fmt: skip
    results.add_argument("--theme", choices=("light", "dark"), default="light")
    results.add_argument(
        "--format", choices=("html", "svg", "pdf", "png", "csv"), default="html",
        help="of the figures; default %(default)s, which is interactive; csv: the data alone, "
        "without --out to standard output",
    )  # fmt: skip
    results.add_argument("--json", action="store_true", help="print JSON")

    mirror = command(
        "mirror",
        _mirror,
        "show the runs in MLflow: add to a store what it does not hold yet",
        "workbench mirror --to sqlite:///mlflow.db --watch",
    )
    mirror.add_argument("--to", required=True, metavar="URI", help="MLflow's store, or a file path")
    mirror.add_argument(
        "--runs", type=Path, default=RUNS, help="folder of the runs; default %(default)s"
    )
    mirror.add_argument("--watch", action="store_true", help="go on until Ctrl-C")
    mirror.add_argument("--json", action="store_true", help="print the outcome as JSON")


def add_place(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where runs lie and what they may use."""
    parser.add_argument(
        "--runs", type=Path, default=RUNS, help="folder of the runs; default %(default)s"
    )
    parser.add_argument("--cores", type=int, help="CPU threads to use; default all")
    parser.add_argument("--gpus", help="GPUs to use, as 0,1; default none")


def columns(rows: list[list[str]]) -> str:
    """Return rows as text in columns, what cannot be printed in a cell escaped."""
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def slots(options: argparse.Namespace) -> Any:
    """Return the slots that the options name."""
    from workbench.lab.queue import Slots

    if options.cores is not None and options.cores < 1:
        raise WorkbenchError(f"--cores {options.cores}", "1 or more", "name how many to use")
    gpus: tuple[int, ...] = ()
    if options.gpus:
        if not all(part.isdecimal() for part in options.gpus.split(",")):
            raise WorkbenchError(f"--gpus {options.gpus}", "numbers, as 0,1", "name the devices")
        gpus = tuple(int(part) for part in options.gpus.split(","))
    return Slots(gpus=gpus) if options.cores is None else Slots(options.cores, gpus)


def _queue(options: argparse.Namespace) -> int:
    from workbench.lab.queue import work

    work(options.runs, slots(options), linger=5.0)
    return 0


def _sweep(options: argparse.Namespace) -> int:
    with _workers(options) as work:
        return _sweep_by(work, options)


@contextmanager
def _workers(options: argparse.Namespace) -> Iterator[Any]:
    """Give what starts queued runs and waits for them: the queue of this machine or of a cluster.

    A cluster is asked first of all, so that one that does not answer is told at once.
    """
    if options.cluster is None:
        from workbench.lab.queue import work

        yield partial(work, options.runs, slots(options))
        return
    if options.cores is not None or options.gpus:
        raise WorkbenchError(
            "--cores or --gpus with --cluster",
            "the workers' own threads and resources",
            "start each with `dask worker --nthreads N --resources GPU=1`",
        )
    if options.dry_run:
        yield None
        return
    from workbench.lab.cluster import connected, work_on_cluster

    with connected(options.cluster) as client:
        yield partial(work_on_cluster, client, options.runs)


def _sweep_by(work: Any, options: argparse.Namespace) -> int:
    from workbench.files import try_output
    from workbench.lab.supervise import finish, missing
    from workbench.lab.sweeps import load_sweep

    def counting() -> None:
        sys.stderr.write("workbench: counting what each arm costs\n")

    if options.record is not None and not options.dry_run:
        try_output(options.record)
    sweep = load_sweep(options.file, counting=counting)
    to_do = missing(sweep, options.runs, options.record)
    done = len(sweep.runs) - len(to_do)
    sys.stderr.write(
        f"workbench: {sweep.name}: {len(sweep.runs)} runs, {done} done, {len(to_do)} to do "
        f"({sum(plan.flops for plan in to_do) / 1e12:.1f} TFLOP)\n"
    )
    if options.dry_run:
        for plan in to_do:
            print(f"{plan.name}  {plan.experiment.training.steps} steps")
        return 0
    bar = _Bar(to_do)
    with stop_signal("stopping its runs at a resume point (again to leave them)") as stopped:
        try:
            states = finish(
                sweep, to_do, options.runs, work, stop=stopped, record=options.record, tell=bar
            )
        finally:
            bar.close()
    failed = {name: problem for name, problem in states.failed.items()}
    if options.json:
        print(json.dumps({"sweep": sweep.name, "states": states.counts, "failed": failed}))
    else:
        counts = ", ".join(f"{count} {state}" for state, count in sorted(states.counts.items()))
        print(f"{sweep.name}: {counts}")
        for name, problem in failed.items():
            sys.stderr.write(f"workbench: {printable(f'{name}: {problem}')}\n")
    if stopped():
        return 130
    return 1 if failed else 0


class _Bar:
    """Progress over a whole sweep in FLOPs, which is what its runs differ in."""

    def __init__(self, to_do: list[Any]) -> None:
        self.flops = {plan.name: plan.flops for plan in to_do}
        self.bar: Any = None
        self.began = time.monotonic()

    def close(self) -> None:
        """Leave the bar as it is and go on to the next line."""
        if self.bar is not None:
            self.bar.close()

    def __call__(self, shares: dict[str, float], at_work: list[str]) -> None:
        """Show how far each run is, as a share of its steps."""
        from workbench.progress import progress_bar

        if self.bar is None:
            self.bar = progress_bar(sum(self.flops.values()), unit="FLOP", scaled=True)
        whole = sum(share >= 1 for share in shares.values())
        said = f"{whole}/{len(self.flops)} runs, {len(at_work)} at work"
        self.bar.set_postfix_str(said, refresh=False)
        done = sum(self.flops[name] * share for name, share in shares.items())
        self.bar.update(max(done - self.bar.n, 0))


def _results(options: argparse.Namespace) -> int:
    from workbench.files import try_output
    from workbench.lab import results
    from workbench.lab.axes import axes_words, parse_axes
    from workbench.lab.record import read_record
    from workbench.views.results.differences import family, family_words
    from workbench.views.results.questions import answers, notes, unanswered_words
    from workbench.views.results.words import (
        csv_text,
        difference_rows,
        differences_csv,
        equality_rows,
        flat,
        flat_differences,
        means_rows,
    )

    records = [read_record(path) for path in options.record]
    if options.out is not None:
        try_output(options.out / "page.html")
    axes = parse_axes([run for record in records for run in record["runs"]], options.axis)
    data = results.dataset(records, axes=axes)
    final = results.final(data)
    found = answers(data, final)
    tested, difficulty = family(final), str(data.attrs["difficulty"])
    if options.json:
        # JSON knows no NaN: one seed has no interval
        def plain(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
            return [{k: None if v != v else v for k, v in row.items()} for row in rows]

        told: dict[str, Any] = {question.name: plain(flat(table)) for question, table in found}
        differences = {q.name: plain(flat_differences(tested, q)) for q, _ in found}
        if any(differences.values()):
            told["differences"] = {name: rows for name, rows in differences.items() if rows}
        print(json.dumps(told, allow_nan=False))
    files = 0
    for question, table in found:
        if options.out is not None:
            names = "+".join(path.stem for path in options.record)
            stem = "-".join(filter(None, (names, axes_words(axes), question.name)))
            files += _write_figure(options, question, table, tested, stem)
        elif not options.json:
            print(f"{question.title} {question.means}")
            if options.format == "csv":
                print(csv_text(table))
                if more := differences_csv(tested, question):
                    print(more)
            else:
                parts = (
                    means_rows(table),
                    difference_rows(tested, question, difficulty),
                    equality_rows(tested, question, difficulty),
                )
                print("\n\n".join(columns(rows) for rows in parts if rows))
            for note in notes(final, question):
                print(note)
            print()
    if found and options.out is None and options.format != "csv" and not options.json:
        if said := family_words(tested):
            print(said)
    if not found:
        sys.stderr.write(f"workbench: {unanswered_words(final)}\n")
    elif options.out is not None:
        drawn = options.format != "csv"
        count, what = (len(found), "figure") if drawn else (files, "CSV file")
        said = f"{count} {what}{'' if count == 1 else 's'}{' with the data' if drawn else ''}"
        sys.stderr.write(f"workbench: {said} in {options.out}\n")
    return 0


def _write_figure(
    options: argparse.Namespace, question: Any, table: Any, tested: Any, name: str
) -> int:
    """Write a question's data and figure; return how many CSV files that were."""
    from workbench.files import write_text, written_aside
    from workbench.views.results.words import csv_text, differences_csv

    write_text(options.out / f"{name}.csv", csv_text(table))
    files = 1
    if differences := differences_csv(tested, question):
        write_text(options.out / f"{name}-differences.csv", differences)
        files += 1
    if options.format == "csv":
        return files
    figure = question.draw(table, options.theme)
    above = TITLE - (figure.layout.margin.t or 0)
    height = (figure.layout.height or 450) + above
    figure.update_layout(title={"text": question.title}, margin={"t": TITLE}, height=height)
    if options.format != "html":
        from workbench.figures.export import export

        export(figure, options.out / f"{name}.{options.format}")
        return files
    # one copy of plotly.js beside the pages: they open without a network
    with written_aside(options.out / f"{name}.html") as aside:
        figure.write_html(aside, include_plotlyjs="directory")
    return files


def _mirror(options: argparse.Namespace) -> int:
    from workbench.lab.mirror import mirror_all, only_mirror, open_store
    from workbench.progress import progress_bar

    with only_mirror(options.runs, options.to), stop_signal("ending after this run") as stopped:
        sys.stderr.write("workbench: opening the store (a new one takes some seconds)\n")
        store = open_store(options.to)
        bar: Any = None

        def tell(done: int, total: int) -> None:
            nonlocal bar
            bar = bar or progress_bar(total, unit="run")
            bar.update()
            if done == total:
                bar.close()

        outcome = mirror_all(store, options.runs, stop=stopped, tell=tell)
        points, said = sum(outcome.points.values()), ""
        while options.watch and not stopped():
            at_work = sum(known.status == "RUNNING" for known in store.known.values())
            lines = [f"{len(outcome.points)} runs mirrored, {at_work} at work", *_told(outcome)]
            if (now := "".join(f"workbench: {line}\n" for line in lines)) != said:
                sys.stderr.write(now)
                said = now
            time.sleep(WATCH)
            outcome = mirror_all(store, options.runs, stop=stopped)
            points += sum(outcome.points.values())
    if options.json:
        record = {"to": options.to, "runs": sorted(outcome.points), "points": points}
        print(json.dumps(record | {"waiting": outcome.waiting, "failed": outcome.problems}))
    else:
        waiting = f", {len(outcome.waiting)} not begun or deleted" if outcome.waiting else ""
        print(f"{len(outcome.points)} runs mirrored, {points} points added{waiting}")
        for line in _told(outcome):
            sys.stderr.write(f"workbench: {line}\n")
    if stopped():
        return 130
    return 1 if outcome.problems else 0


def _told(outcome: Any) -> list[str]:
    return [printable(f"{name}: {problem}") for name, problem in outcome.problems.items()]
