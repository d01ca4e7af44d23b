"""The command `train`."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import Any

from workbench.cli.options import INTERRUPTED, RUNS, add_command, add_json, add_set, columns
from workbench.errors import WorkbenchError
from workbench.identity import is_main
from workbench.signals import stop_signal


def add_commands(commands: Any) -> None:
    """Add the command."""
    train = add_command(
        commands,
        "train",
        _train,
        "train a model from a configuration",
        "workbench train data/configs/depo-n8-any.toml --set training.seed=1",
    )
    train.add_argument("config", type=Path, metavar="CONFIG.toml")
    add_set(train, "section.field=value", "training.steps=500")
    train.add_argument("--out", type=Path, help="the run's folder; default runs/CONFIG-seedSEED")
    train.add_argument("--device", help="short for --set training.device=DEVICE")
    train.add_argument(
        "--resume", action="store_true", help="continue from the newest resume point"
    )
    train.add_argument(
        "--dry-run",
        action="store_true",
        help="train nothing: count parameters, FLOPs and memory, and read ten batches",
    )
    add_json(train, "print the outcome as JSON")


def _train(options: argparse.Namespace) -> int:
    from workbench.config import load_experiment

    overrides = list(options.set)
    if options.device:
        overrides.append(f"training.device={options.device}")
    experiment = load_experiment(options.config, overrides)
    if options.dry_run and experiment.retrofit is not None:
        raise WorkbenchError(
            "--dry-run with [retrofit]",
            "a model that is built from its configuration alone",
            "start it: what it needs is checked and shown before the first step",
        )
    if options.dry_run:
        return _dry_run(experiment, as_json=options.json)
    name = f"{options.config.stem}-seed{experiment.training.seed}"
    folder: Path = options.out or RUNS / name
    return run_training(experiment, folder, resume=options.resume, as_json=options.json)


def run_training(experiment: Any, folder: Path, *, resume: bool, as_json: bool) -> int:
    """Train with a bar and report how it ended; return the exit code."""
    from workbench.lab.runs import claim

    if is_main():
        claim(folder)

    from workbench.tasks import task
    from workbench.tasks.base import few_examples_note
    from workbench.training.loop import train
    from workbench.training.run_folder import run_status

    if is_main():
        if resume and not (folder / "experiment.toml").exists():
            sys.stderr.write(f"workbench: nothing to resume in {folder}; starting at step 0\n")
        made = task(experiment.task)
        for note in (
            few_examples_note(made, experiment.training.sequences),
            made.drawing_note(),
        ):
            if note:
                sys.stderr.write(f"note: {note}\n")  # not as an error: the lab reads those
    with stop_signal("stopping after this step (again to stop at once)") as stopped, _Bar() as bar:
        outcome = train(experiment, folder, resume=resume, stop=stopped, on_progress=bar.show)
    finished = outcome == "finished"
    if is_main():
        _report(folder, run_status(folder), finished, as_json=as_json)
    return 0 if finished else INTERRUPTED


def _dry_run(experiment: Any, *, as_json: bool) -> int:
    from workbench.lab.dry_run import BATCHES, as_rows, dry_run
    from workbench.progress import progress_bar

    with progress_bar(BATCHES, unit="batch") as bar:
        found = dry_run(experiment, bar.update)
    print(json.dumps(found) if as_json else columns(as_rows(found, experiment)))
    return 0


def _report(folder: Path, status: dict[str, Any], finished: bool, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"folder": str(folder), **status}))
    elif finished:
        checkpoint = folder / "checkpoint"
        print(f"finished {status['steps']} steps: {checkpoint}")
        sys.stderr.write(f"measure it with: workbench eval {shlex.quote(str(checkpoint))}\n")
    else:
        print(
            f"stopped at step {status['step']} of {status['steps']}; to continue, repeat the "
            "command with --resume"
        )


class _Bar:
    """Progress of one run, with its evaluations on lines above the bar."""

    def __init__(self) -> None:
        self.bar: Any = None

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *error: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def show(self, progress: Any) -> None:
        """Show a step; of processes that train together, only the main one does."""
        from workbench.progress import progress_bar

        if not is_main():
            return
        if self.bar is None:
            self.bar = progress_bar(progress.steps, unit="step", initial=progress.step - 1)
        self.bar.update(progress.step - self.bar.n)
        if progress.evaluated is None:
            self.bar.set_postfix(loss=f"{progress.loss:.3f}", refresh=False)
        else:
            self.bar.set_postfix(evaluated=f"{progress.evaluated:.0%}")
        if progress.evaluation is not None:
            self.bar.write(_evaluation_line(progress), file=sys.stderr)


def _evaluation_line(progress: Any) -> str:
    tested = progress.evaluation
    what, shown = "accuracy", {n: entry["accuracy"] for n, entry in tested.items()}
    if all(entry.get("bits") for entry in tested.values()):
        what = "bits"
        shown = {n: {g: b["bits"] for g, b in e["bits"].items()} for n, e in tested.items()}
    cells = [
        f"N={n}: " + " ".join(f"{level}:{value:.2f}" for level, value in values.items())
        for n, values in shown.items()
    ]
    return f"step {progress.step}  {what}  " + "  ".join(cells)
