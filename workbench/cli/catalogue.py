"""The commands `serve`, `sample`, `checkpoints` and `doctor`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from workbench.cli.options import add_command, add_drawing, add_json, add_set, columns, whole
from workbench.errors import WorkbenchError
from workbench.registry import names
from workbench.task_config import TASKS

DEFAULT_PORT = 5006
LONGEST = 100_000
"""Bytes of the longest example of one's own."""


def add_serve(commands: Any) -> None:
    """Add `serve`, which the help lists first."""
    serve = add_command(
        commands, "serve", _serve, "open the dashboards", "workbench serve --port 5007"
    )
    serve.add_argument(
        "--port",
        type=whole("port", 0, 65_535),
        default=DEFAULT_PORT,
        help="0 takes any free one; default %(default)s",
    )
    serve.add_argument("--address", default="127.0.0.1", help="loopback only; default %(default)s")
    serve.add_argument("--no-open", action="store_true", help="do not open a browser")
    serve.add_argument(
        "--prefix", default="", help="path of all pages behind a proxy, as /workbench; default none"
    )
    serve.add_argument(
        "--with-parent", action="store_true", help="end when the process that started it has ended"
    )


def add_commands(commands: Any) -> None:
    """Add the others."""
    tasks = ", ".join(names(TASKS))
    sample = add_command(
        commands,
        "sample",
        _sample,
        f"print examples of a task ({tasks}): the context, then the queries with their answers",
        "workbench sample depo --count 2 --set nodes=8 --set names=single --set max_hops=4",
    )
    sample.add_argument("task", help=f"one of {tasks}")
    add_drawing(sample, count=1)
    sample.add_argument(
        "--input", type=Path, metavar="FILE", help="an example of your own instead, as a text file"
    )
    sample.add_argument("--queries", help="what is asked about it; default what the task asks")
    add_set(sample, "field=value", "nodes=8")
    add_json(sample)
    add_json(
        add_command(
            commands,
            "checkpoints",
            _checkpoints,
            "list the bundled checkpoints",
            "workbench checkpoints --json",
        )
    )
    add_json(
        add_command(
            commands, "doctor", _doctor, "what works on this machine", "workbench doctor --json"
        )
    )


def _serve(options: argparse.Namespace) -> int:
    from workbench.views.site.server import serve

    serve(
        port=options.port,
        address=options.address,
        open_browser=not options.no_open,
        prefix=options.prefix,
        with_parent=options.with_parent,
    )
    return 0


def _sample(options: argparse.Namespace) -> int:
    from workbench.config import apply_overrides
    from workbench.files import read_plain
    from workbench.tasks import draw, task

    settings = apply_overrides({}, options.set, form="field=value", example="nodes=8")
    chosen = task(options.task, **settings)
    if options.input is not None:
        text = read_plain(options.input, limit=LONGEST)
        batch = chosen.parse(text.strip(), options.queries)
    elif options.queries is not None:
        raise WorkbenchError("--queries without --input", "both", "name a file with --input")
    else:
        batch = draw(chosen, options.count, options.seed, 0, "sample")
    if not options.json:
        for example in range(len(batch)):
            print(chosen.text(batch, example))
        return 0
    examples = [
        {
            "tokens": batch.tokens[i].tolist(),
            "loss_mask": batch.loss_mask[i].astype(int).tolist(),
            "difficulty": [d for d in batch.difficulty[i].tolist() if d >= 0],
        }
        for i in range(len(batch))
    ]
    record = {
        "task": chosen.name,
        "config": chosen.config.model_dump(mode="json"),
        "vocabulary": list(chosen.vocabulary),
        "examples": examples,
    }
    print(json.dumps(record))
    return 0


def _checkpoints(options: argparse.Namespace) -> int:
    from workbench.paths import bundled_checkpoints
    from workbench.training.checkpoints import read_provenance

    rows = [["name", "task", "steps", "tokens", "accuracy at the trained N, 95 % interval"]]
    records: list[dict[str, Any]] = []
    for name, folder in bundled_checkpoints().items():
        try:
            record = read_provenance(folder)
            rows.append(_checkpoint_row(name, folder, record))
        except Exception as error:  # one damaged folder must not hide the others
            problem = " ".join(f"{type(error).__name__}: {error}".split())
            record = {"name": name, "problem": problem}
            rows.append([name, "?", "", "", f"cannot be read: {problem}"])
        records.append(record)
    if options.json:
        print(json.dumps(records))
    else:
        print(columns(rows) if records else "no bundled checkpoints found")
    return 1 if any("problem" in record for record in records) else 0


def _checkpoint_row(name: str, folder: Path, record: dict[str, Any]) -> list[str]:
    """Return a checkpoint's line: the N is the largest it was trained with, not the best one."""
    from workbench.config import load_experiment
    from workbench.training.card import with_interval
    from workbench.training.evaluation import default_passes

    trained = str(default_passes(load_experiment(folder / "config.toml").sleep)[-1])
    metrics, budget = record["metrics"], record["budget"]
    entry = metrics.get("passes", {}).get(trained)
    accuracy = "not measured"
    if entry is not None:
        shares = [
            f"{level}: {with_interval(value, entry['interval']['accuracy'][level])}"
            for level, value in entry["accuracy"].items()
        ]
        accuracy = f"N={trained} {metrics['difficulty']} {'  '.join(shares)}"
    task = str(metrics.get("task", ""))
    return [name, task, str(budget["steps"]), f"{budget['tokens']:,}", accuracy]


def _doctor(options: argparse.Namespace) -> int:
    from workbench.doctor import examine

    checks = examine()
    if options.json:
        print(json.dumps([check._asdict() for check in checks]))
    else:
        for check in checks:
            print(f"{'ok' if check.ok else '--':2}  {check.name}: {check.finding}")
    return 0 if all(check.ok for check in checks if check.required) else 1
