"""The command `mirror`: runs shown in MLflow."""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

from workbench.cli.options import INTERRUPTED, add_command, add_json, add_runs
from workbench.signals import stop_signal
from workbench.terminal import printable

WATCH = 2.0
"""Seconds between two checks of the runs while they are mirrored."""


def add_commands(commands: Any) -> None:
    """Add the command."""
    mirror = add_command(
        commands,
        "mirror",
        _mirror,
        "show the runs in MLflow: add what its store does not have yet",
        "workbench mirror --to sqlite:///mlflow.db --watch",
    )
    mirror.add_argument("--to", required=True, metavar="URI", help="MLflow's store, or a file path")
    add_runs(mirror)
    mirror.add_argument("--watch", action="store_true", help="continue until Ctrl-C")
    add_json(mirror, "print the outcome as JSON")


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

        outcome = mirror_all(store, options.runs, stop=stopped, on_progress=tell)
        points, shown = sum(outcome.points.values()), ""
        while options.watch and not stopped():
            at_work = sum(known.status == "RUNNING" for known in store.known.values())
            lines = [f"{len(outcome.points)} runs mirrored, {at_work} at work", *_problems(outcome)]
            if (now := "".join(f"workbench: {line}\n" for line in lines)) != shown:
                sys.stderr.write(now)
                shown = now
            time.sleep(WATCH)
            outcome = mirror_all(store, options.runs, stop=stopped)
            points += sum(outcome.points.values())
    if options.json:
        record = {"to": options.to, "runs": sorted(outcome.points), "points": points}
        print(json.dumps(record | {"waiting": outcome.waiting, "failed": outcome.problems}))
    else:
        waiting = f", {len(outcome.waiting)} not started or deleted" if outcome.waiting else ""
        print(f"{len(outcome.points)} runs mirrored, {points} points added{waiting}")
        for line in _problems(outcome):
            sys.stderr.write(f"workbench: {line}\n")
    if stopped():
        return INTERRUPTED
    return 1 if outcome.problems else 0


def _problems(outcome: Any) -> list[str]:
    return [printable(f"{name}: {problem}") for name, problem in outcome.problems.items()]
