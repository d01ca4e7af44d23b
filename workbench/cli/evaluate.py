"""The command `eval`."""

from __future__ import annotations

import argparse
import json
from itertools import zip_longest
from typing import Any

from workbench.cli import options as given
from workbench.errors import WorkbenchError


def add_commands(commands: Any) -> None:
    """Add the command."""
    evaluate = given.add_command(
        commands,
        "eval",
        _evaluate,
        "accuracy by difficulty and by N, the number of sleep passes",
        "workbench eval depo-n8-any --passes 1,2,4 --count 2000 --seed 7",
    )
    given.add_checkpoint(evaluate)
    evaluate.add_argument("--passes", type=_passes, help="N to test, as 1,2,4; default as trained")
    given.add_drawing(evaluate, count=1000)
    given.add_device(evaluate)
    evaluate.add_argument(
        "--seen",
        action="store_true",
        help="if training held structures out (task.held_out): score those it drew instead",
    )
    evaluate.add_argument(
        "--base",
        action="store_true",
        help="of a retrofit: also its base alone, with the text in view and without it",
    )
    given.add_json(evaluate)


def _passes(text: str) -> tuple[int, ...]:
    return tuple(map(given.passes, text.split(",")))


def _evaluate(options: argparse.Namespace) -> int:
    checkpoint = given.loaded(options.checkpoint, options.device)

    from workbench.progress import progress_bar
    from workbench.tasks import TRAIN
    from workbench.training.evaluation import default_passes, evaluate

    task = checkpoint.task
    if options.seen:
        if not task.holds_out:
            raise WorkbenchError(
                f"--seen for {checkpoint.name}, whose training held nothing out",
                "a model trained with task.held_out",
                "leave --seen out",
            )
        task = task.part(TRAIN)
    passes = options.passes or default_passes(checkpoint.sleep)
    for n in passes:
        checkpoint.sleep.with_passes(n)  # one that does not fit is reported before the bar
    if options.base and checkpoint.experiment.retrofit is None:
        raise WorkbenchError(f"--base for {checkpoint.name}", "a retrofit", "leave --base out")
    with progress_bar(options.count * len(passes), unit="example") as bar:
        result = evaluate(
            checkpoint.model,
            task,
            checkpoint.sleep,
            passes=passes,
            count=options.count,
            seed=options.seed,
            on_progress=bar.update,
        )
    record = {
        "checkpoint": checkpoint.name,
        "task": checkpoint.task.name,
        "count": options.count,
        "seed": options.seed,
        "passes": result,
    }
    if options.base:
        from workbench.training.retrofit.base_alone import base_alone

        record["base"] = base_alone(checkpoint, task, count=options.count, seed=options.seed)
    print(json.dumps(record) if options.json else _report(record, checkpoint.task))
    return 0


def _report(record: dict[str, Any], task: Any) -> str:
    """Return both tables: of all queries, and of each example's first."""
    from workbench.training.card import BITS, bit_tables, first_scores, scores

    passes = record["passes"] | record.get("base", {})
    notes = (
        "exact: every query of an example right; ms/sleep: milliseconds of one window's sleep; "
        "ms/token: of answering, awake"
    )
    for line in task.chance().values():
        if line.reads_answers:
            notes += f"; {line.name}: the best one can do with the right answers to earlier "
            notes += "queries alone"
    times = [["ms/sleep", "ms/token"]]
    for entry in passes.values():
        found = (entry.get("sleep_ms_per_window"), entry.get("wake_ms_per_token"))
        times.append(["" if time is None else f"{time:.2f}" for time in found])
    rows = zip_longest(scores(passes, task.difficulty_name), times, fillvalue=["", ""])
    measure = "" if task.measure is None else task.measure.name
    bits = bit_tables(passes, measure).items()
    more = "".join(f"{title.lower()}\n{given.columns(table)}\n\n" for title, table in bits)
    between = f"\n{more}{BITS}\n\n" if more else ", "
    return (
        f"{record['checkpoint']} on {record['task']}: {record['count']} examples, seed "
        f"{record['seed']}{between}share right with its 95 % interval\n"
        f"{given.columns([row + time for row, time in rows])}\n{notes}\n\n"
        "first query of each example, which sees no earlier answer\n"
        f"{given.columns(first_scores(passes, task.difficulty_name))}"
    )
