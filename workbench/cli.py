"""The ``workbench`` command: serve, train, sweep, trace, eval, sample, checkpoints, doctor.

Results go to standard output (``--json`` where a program reads them), progress and messages to
standard error. Bad input, and an output that cannot be written, is one line and exit code 2; an
interrupted command exits with 130.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import select
import shlex
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import workbench
from workbench import cli_lab, cli_measure, cli_runs, cli_trace
from workbench.cli_lab import columns
from workbench.errors import WorkbenchError
from workbench.files import output_error
from workbench.identity import is_main
from workbench.registry import names
from workbench.signals import stop_signal
from workbench.task_config import TASKS
from workbench.terminal import printable

BAD_INPUT, INTERRUPTED = 2, 130
DEFAULT_PORT = 5006


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        command = self.prog
        sys.stderr.write(f"{command}: {message}; see `{command} --help`\n")
        raise SystemExit(BAD_INPUT)

    def format_help(self) -> str:
        """Return the help; a command's default ``details`` makes what comes before its example."""
        details, example = self.get_default("details"), self.epilog
        if details is not None:
            self.epilog = f"{details()}\n\n{example}"
        text = super().format_help()
        self.epilog = example
        return text


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and exit: 0 done, 2 bad input or output, 130 interrupted."""
    try:
        code = _run(arguments)
        sys.stdout.flush()  # a full disk is reported here, not while Python ends
    except BrokenPipeError:
        code = 0 if _reader_left() else 1
    except OSError as error:
        code = _fail(str(_unusable(error)))
    raise SystemExit(code)


def _run(arguments: Sequence[str] | None) -> int:
    """Run the command; return its exit code."""
    try:
        options = build_parser().parse_args(arguments)
        return options.run(options)
    except SystemExit as ended:  # the parser's: help was printed, or the arguments were wrong
        return int(ended.code or 0)
    except WorkbenchError as error:
        return _fail(str(error))
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] in ("workbench", "sleep_kernels"):
            raise
        return _fail(
            f"the package {error.name!r} is not installed; expected the project's dependencies; "
            "install them with `python3 run.py doctor` or `pip install -e .`"
        )
    except KeyboardInterrupt:
        _to_stderr("workbench: interrupted\n")
        return INTERRUPTED


def _unusable(error: OSError) -> WorkbenchError:
    """Return the one line of a file or a stream that could not be used."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        _discard(sys.stdout)
        return output_error("standard output", error)
    if error.filename is not None:
        return output_error(str(error.filename), error)
    return output_error("an output", error)


def _discard(stream: Any) -> None:
    """Let what a stream still holds go nowhere: Python would report the same error as it ends."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _reader_left() -> bool:
    """Whether it is standard output that broke: its reader, such as `head`, has seen enough.

    Else it was standard error, and with it what was being done.
    """
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
        if not any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0)):
            return False
    _discard(sys.stdout)
    return True


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands; importing nothing heavy keeps ``--help`` quick."""
    parser = _Parser(
        prog="workbench",
        description="Language models that sleep: step through a sleep, train and evaluate them.",
        epilog="example: workbench serve",
    )
    parser.add_argument(
        "--version", action="version", version=f"sleep-workbench {workbench.__version__}"
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    serve = _command(
        commands, "serve", _serve, "open the dashboards", "workbench serve --port 5007"
    )
    serve.add_argument(
        "--port", type=_port, default=DEFAULT_PORT, help="0 is any free one; default %(default)s"
    )
    serve.add_argument("--address", default="127.0.0.1", help="loopback only; default %(default)s")
    serve.add_argument("--no-open", action="store_true", help="do not open a browser")
    serve.add_argument(
        "--prefix", default="", help="path of all pages behind a proxy, as /workbench; default none"
    )
    serve.add_argument(
        "--with-parent", action="store_true", help="end when the process that started it has ended"
    )

    train = _command(
        commands,
        "train",
        _train,
        "train a model from a configuration",
        "workbench train data/configs/depo-n8-any.toml --set training.seed=1",
    )
    train.add_argument("config", type=Path, metavar="CONFIG.toml")
    _add_set(train, "section.field=value", "training.steps=500")
    train.add_argument("--out", type=Path, help="the run's folder; default runs/CONFIG-seedSEED")
    train.add_argument("--device", help="short for --set training.device=DEVICE")
    train.add_argument("--resume", action="store_true", help="go on from the newest resume point")
    train.add_argument("--json", action="store_true", help="print the outcome as JSON")

    cli_lab.add_commands(partial(_command, commands))
    cli_runs.add_commands(partial(_command, commands))
    cli_trace.add_commands(partial(_command, commands))
    cli_measure.add_commands(partial(_command, commands))

    evaluate = _command(
        commands,
        "eval",
        _evaluate,
        "accuracy by difficulty and by N, the number of sleep passes",
        "workbench eval depo-n8-any --passes 1,2,4 --count 2000 --seed 7",
    )
    evaluate.add_argument("checkpoint", help="a bundled name, a folder, or hf://owner/name")
    evaluate.add_argument("--passes", type=_passes, help="N to test, as 1,2,4; default as trained")
    evaluate.add_argument(
        "--count", type=_count, default=1000, help="examples; default %(default)s"
    )
    evaluate.add_argument("--seed", type=_seed, default=0, help="default %(default)s")
    evaluate.add_argument("--device", default="cpu", help="cpu or cuda; default %(default)s")
    evaluate.add_argument(
        "--seen",
        action="store_true",
        help="where training held structures out (task.held_out): score those it drew instead",
    )
    evaluate.add_argument("--json", action="store_true", help="print JSON")

    tasks = ", ".join(names(TASKS))
    sample = _command(
        commands,
        "sample",
        _sample,
        f"print examples of a task ({tasks}): the context, then the queries with their answers",
        "workbench sample depo --count 2 --set nodes=8 --set names=single --set max_hops=4",
    )
    sample.add_argument("task", help=f"one of {tasks}")
    sample.add_argument("--count", type=_count, default=1, help="examples; default %(default)s")
    sample.add_argument("--seed", type=_seed, default=0, help="default %(default)s")
    _add_set(sample, "field=value", "nodes=8")
    sample.add_argument("--json", action="store_true", help="print JSON")

    checkpoints = _command(
        commands,
        "checkpoints",
        _checkpoints,
        "list the bundled checkpoints",
        "workbench checkpoints --json",
    )
    checkpoints.add_argument("--json", action="store_true", help="print JSON")

    doctor = _command(
        commands, "doctor", _doctor, "what works on this machine", "workbench doctor --json"
    )
    doctor.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _command(
    commands: Any, name: str, run: Callable[[argparse.Namespace], int], summary: str, example: str
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=summary, description=summary.capitalize() + ".", epilog=f"example: {example}"
    )
    parser.set_defaults(run=run)
    return parser


def _add_set(parser: argparse.ArgumentParser, form: str, example: str) -> None:
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar=form,
        help=f"override a setting, for example {example}; may be given again",
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


def _train(options: argparse.Namespace) -> int:
    from workbench.config import load_experiment

    overrides = list(options.set)
    if options.device:
        overrides.append(f"training.device={options.device}")
    experiment = load_experiment(options.config, overrides)
    seed = experiment.training.seed
    folder: Path = options.out or Path("runs") / f"{options.config.stem}-seed{seed}"

    from workbench.lab.runs import claim

    if is_main():
        claim(folder)

    from workbench.tasks import task
    from workbench.tasks.base import few_examples_note
    from workbench.training.loop import train
    from workbench.training.run_folder import run_status

    if options.resume and is_main() and not (folder / "experiment.toml").exists():
        sys.stderr.write(f"workbench: nothing to resume in {folder}; starting at step 0\n")
    if is_main() and (
        note := few_examples_note(task(experiment.task), experiment.training.sequences)
    ):
        sys.stderr.write(f"note: {note}\n")  # not as an error: the lab reads those
    bar: Any = None

    def show(progress: Any) -> None:
        nonlocal bar
        if not is_main():
            return
        if bar is None:
            bar = _progress_bar(progress.steps, unit="step", initial=progress.step - 1)
        bar.update(progress.step - bar.n)
        if progress.evaluated is None:
            bar.set_postfix(loss=f"{progress.loss:.3f}", refresh=False)
        else:
            bar.set_postfix(evaluated=f"{progress.evaluated:.0%}")
        if progress.evaluation is not None:
            bar.write(_evaluation_line(progress.step, progress.evaluation), file=sys.stderr)

    with stop_signal("stopping after this step (again to stop at once)") as stopped:
        try:
            outcome = train(
                experiment, folder, resume=options.resume, stop=stopped, on_progress=show
            )
        finally:
            if bar is not None:
                bar.close()
    if not is_main():
        return 0 if outcome == "finished" else INTERRUPTED
    status = run_status(folder)
    if options.json:
        print(json.dumps({"folder": str(folder), **status}))
    elif outcome == "finished":
        checkpoint = folder / "checkpoint"
        print(f"finished {status['steps']} steps: {checkpoint}")
        sys.stderr.write(f"measure it with: workbench eval {shlex.quote(str(checkpoint))}\n")
    else:
        print(
            f"stopped at step {status['step']} of {status['steps']}; go on with the same command "
            "and --resume"
        )
    return 0 if outcome == "finished" else INTERRUPTED


def _evaluation_line(step: int, passes: dict[str, Any]) -> str:
    cells = [
        f"N={n}: " + " ".join(f"{level}:{value:.2f}" for level, value in entry["accuracy"].items())
        for n, entry in passes.items()
    ]
    return f"step {step}  accuracy  " + "  ".join(cells)


def _evaluate(options: argparse.Namespace) -> int:
    from workbench.training.places import find_checkpoint

    folder = find_checkpoint(options.checkpoint)  # what is not there is told before torch is loaded

    from workbench.tasks import TRAIN
    from workbench.training.checkpoints import load_checkpoint
    from workbench.training.evaluation import default_passes, evaluate
    from workbench.training.loop import check_device

    check_device(options.device)
    checkpoint = load_checkpoint(folder, device=options.device)
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
    with _progress_bar(options.count * len(passes), unit="example") as bar:
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
    print(json.dumps(record) if options.json else _evaluation_table(record, checkpoint.task))
    return 0


def _evaluation_table(record: dict[str, Any], task: Any) -> str:
    passes = record["passes"]
    levels = list(next(iter(passes.values()))["accuracy"])
    head = ["N", *(f"{task.difficulty_name} {v}" for v in levels), "exact", "ms/sleep", "ms/token"]
    rows = [head]
    for n, entry in passes.items():
        cells = [
            _with_interval(entry["accuracy"][v], entry["interval"]["accuracy"][v]) for v in levels
        ]
        cells.append(_with_interval(entry["exact"], entry["interval"]["exact"]))
        times = (entry["sleep_ms_per_window"], entry["wake_ms_per_token"])
        cells += ["" if time is None else f"{time:.2f}" for time in times]
        rows.append([n, *cells])
    for name, chance in next(iter(passes.values()))["chance"].items():
        values = [f"{chance['accuracy'][v]:.3f}" for v in levels]
        exact = "" if chance["exact"] is None else f"{chance['exact']:.3f}"
        rows.append([name, *values, exact, "", ""])
    title = (
        f"{record['checkpoint']} on {record['task']}: {record['count']} examples, seed "
        f"{record['seed']}, share right with its 95 % interval"
    )
    notes = (
        "exact: every query of an example right; ms/sleep: milliseconds of one window's sleep; "
        "ms/token: of answering, awake"
    )
    for line in task.chance().values():
        if line.reads_answers:
            notes += f"; {line.name}: the best one can do with the right answers to earlier "
            notes += "queries alone"
    return f"{title}\n{columns(rows)}\n{notes}{_first_query_table(passes, task)}"


def _first_query_table(passes: dict[str, Any], task: Any) -> str:
    """Return the table of first queries, below a blank line."""
    levels = list(next(iter(passes.values()))["first"]["accuracy"])
    rows = [["N", *(f"{task.difficulty_name} {v}" for v in levels)]]
    for n, entry in passes.items():
        first = entry["first"]
        rows.append(
            [n, *(_with_interval(first["accuracy"][v], first["interval"][v]) for v in levels)]
        )
    for name, chance in next(iter(passes.values()))["chance"].items():
        if chance.get("first"):
            rows.append([name, *(f"{chance['first'].get(v, math.nan):.3f}" for v in levels)])
    return f"\n\nfirst query of each example, which sees no earlier answer\n{columns(rows)}"


def _with_interval(value: float, interval: Sequence[float]) -> str:
    return f"{value:.3f} [{interval[0]:.3f}, {interval[1]:.3f}]"


def _sample(options: argparse.Namespace) -> int:
    from workbench.config import apply_overrides
    from workbench.tasks import draw, task

    settings = apply_overrides({}, options.set, form="field=value", example="nodes=8")
    chosen = task(options.task, **settings)
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
            said = " ".join(f"{type(error).__name__}: {error}".split())
            record = {"name": name, "problem": said}
            rows.append([name, "?", "", "", f"cannot be read: {said}"])
        records.append(record)
    if options.json:
        print(json.dumps(records))
    elif records:
        print(columns(rows))
    else:
        print("no bundled checkpoints found")
    return 1 if any("problem" in record for record in records) else 0


def _checkpoint_row(name: str, folder: Path, record: dict[str, Any]) -> list[str]:
    """Return a checkpoint's line: the N is the largest it was trained with, not the best one."""
    from workbench.config import load_experiment
    from workbench.training.evaluation import default_passes

    trained = str(default_passes(load_experiment(folder / "config.toml").sleep)[-1])
    metrics, budget = record["metrics"], record["budget"]
    entry = metrics.get("passes", {}).get(trained)
    accuracy = "not measured"
    if entry is not None:
        shares = [
            f"{level}: {_with_interval(value, entry['interval']['accuracy'][level])}"
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


def _progress_bar(total: int, **options: Any) -> Any:
    from workbench.progress import progress_bar

    return progress_bar(total, **options)


def _whole(text: str, low: int, high: int, what: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = low - 1
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no {what}; expected a whole number from {low} to {high}"
        )
    return value


def _port(text: str) -> int:
    return _whole(text, 0, 65_535, "port")


def _count(text: str) -> int:
    return _whole(text, 1, 10_000_000, "count")


def _seed(text: str) -> int:
    return _whole(text, 0, 2**63 - 1, "seed")


def _passes(text: str) -> tuple[int, ...]:
    return tuple(_whole(part, 1, 1024, "number of passes") for part in text.split(","))


def _fail(message: str) -> int:
    _to_stderr(f"workbench: {printable(' '.join(message.split()))}\n")
    return BAD_INPUT


def _to_stderr(line: str) -> None:
    """Write a line to standard error, if anything can be."""
    try:
        sys.stderr.write(line)
        sys.stderr.flush()
    except OSError:
        _discard(sys.stderr)


if __name__ == "__main__":
    main()
