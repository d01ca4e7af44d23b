"""The command `runs`: list, show, compare, stop, resume, kill, delete, restore."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from workbench.cli.options import BAD_INPUT, add_command, add_json, columns
from workbench.cli.sweeps import add_place, slots
from workbench.errors import WorkbenchError
from workbench.terminal import printable

ACTIONS = ("list", "show", "compare", "stop", "resume", "kill", "delete", "restore")
STATES = ("queued", "starting", "running", "stopped", "finished", "failed", "died", "damaged")


def add_commands(commands: Any) -> None:
    """Add the command."""
    runs = add_command(
        commands,
        "runs",
        _runs,
        "list runs, show or compare some, or stop, resume, kill, delete or restore them",
        "workbench runs stop depo-n8.sleep-n4-seed0",
    )
    runs.add_argument(
        "action",
        nargs="?",
        choices=ACTIONS,
        default="list",
        metavar="ACTION",
        help=f"{', '.join(ACTIONS)}; default %(default)s",
    )
    runs.add_argument("names", nargs="*", metavar="NAME", help="runs, as the list names them")
    runs.add_argument("--state", choices=STATES, metavar="STATE", help="list only these")
    runs.add_argument("--sweep", help="list only this sweep's")
    add_json(runs)
    add_place(runs)


def _runs(options: argparse.Namespace) -> int:
    if options.action == "list":
        if options.names:
            raise WorkbenchError(
                f"`runs list` with the name {options.names[0]!r}",
                "no name, or another action",
                f"write `workbench runs show {options.names[0]}`",
            )
        return _list(options)
    if not options.names:
        raise WorkbenchError(
            f"`runs {options.action}` without a name", "one or more runs", "name them after it"
        )
    from workbench.lab import actions
    from workbench.lab.runs import find_run, read_run

    if options.action == "restore":
        return _report(actions.restore_runs(options.runs, options.names), options.json)
    folders = [find_run(options.runs, name) for name in options.names]
    if options.action == "compare":
        return _compare(folders, options.json)
    found = [run for run in map(read_run, folders) if run is not None]
    if options.action == "show":
        return _show(found, options.json)
    if options.action == "resume":
        return _report(actions.resume_runs(found, options.runs, slots(options)), options.json)
    act = {"stop": actions.stop_runs, "kill": actions.kill_runs, "delete": actions.delete_runs}
    return _report(act[options.action](found), options.json)


def _report(outcome: Any, as_json: bool) -> int:
    """Print the outcome of an action; exit code 2 if a run was left alone."""
    if as_json:
        print(json.dumps({"done": list(outcome.done), "refused": outcome.refused}))
    elif outcome.done:
        print(printable(outcome.words))
    else:
        sys.stderr.write(f"workbench: {printable(outcome.words)}\n")
    return BAD_INPUT if outcome.refused else 0


def _list(options: argparse.Namespace) -> int:
    from workbench.lab.runs import list_runs

    runs = [
        run
        for run in list_runs(options.runs)
        if options.state in (None, run.state) and options.sweep in (None, run.labels.get("sweep"))
    ]
    if options.json:
        print(json.dumps([_record(run) for run in runs]))
        return 0
    rows = [["run", "state", "step", "loss", "newest accuracy by difficulty", "minutes"]]
    for run in runs:
        loss = "" if run.loss is None else f"{run.loss:.3f}"
        cells = [run.name, run.state, f"{run.step}/{run.steps}", loss]
        rows.append([*cells, _newest_accuracy(run), f"{run.seconds / 60:.1f}"])
    print(columns(rows) if runs else f"no runs in {options.runs}")
    for run in runs:
        if run.problem:
            print(printable(f"{run.name}: {run.problem}"))
    return 0


def _newest_accuracy(run: Any) -> str:
    from workbench.lab.runs import scores_at_trained

    n, scores = scores_at_trained(run)
    if bits := scores_at_trained(run, "bits")[1]:
        return f"N={n} bits " + " ".join(f"{group}:{v:.2f}" for group, v in bits.items())
    return f"N={n} " + " ".join(f"{k}:{v:.2f}" for k, v in scores.items()) if n else ""


def _record(run: Any) -> dict[str, Any]:
    kept = ("name", "state", "step", "steps", "loss", "evaluation", "seconds", "changed")
    record = {name: getattr(run, name) for name in kept}
    return record | {"folder": str(run.folder), "labels": run.labels, "problem": run.problem}


def _show(runs: list[Any], as_json: bool) -> int:
    from workbench.lab.runs import log_tail

    if as_json:
        print(json.dumps([_record(run) | {"log": log_tail(run.folder)} for run in runs]))
        return 0
    for run in runs:
        lines = [f"{run.name}: {run.state}, step {run.step} of {run.steps}, {run.folder}"]
        labels = {name: _label(value) for name, value in run.labels.items()}
        lines += [f"  {name}: {words}" for name, words in labels.items() if words]
        lines += [f"  problem: {run.problem}"] if run.problem else []
        lines += [f"  | {line}" for line in log_tail(run.folder, 5)]
        print("\n".join(map(printable, lines)))
    return 0


def _label(value: Any) -> str:
    """Return a label in words; "" if it is empty. Costs are FLOPs of one sequence."""
    if not isinstance(value, dict):
        return str(value)
    costs = set(value) <= {"training", "sleep", "wake"}
    parts = [f"{k} {v / 1e6:.3g} MFLOP" if costs else f"{k} = {v}" for k, v in value.items()]
    return ", ".join(parts) + (" (one sequence)" if costs and parts else "")


def _compare(folders: list[Path], as_json: bool) -> int:
    from workbench.lab.compare import differences

    found = differences(folders)
    if as_json:
        print(json.dumps({"runs": found.runs, "differ": found.rows, "same": found.same}))
    else:
        print(columns([["setting", *found.runs], *([k, *row] for k, row in found.rows.items())]))
        print(f"{found.same} settings are the same in all")
    for name in found.unreadable:
        sys.stderr.write(f"workbench: the configuration of {printable(name)} cannot be read\n")
    return BAD_INPUT if found.unreadable else 0
