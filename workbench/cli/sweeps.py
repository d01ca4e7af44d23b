"""The commands `sweep` and `queue`: runs trained in the background, here or on a cluster."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from workbench.cli.options import INTERRUPTED, add_command, add_json, add_runs
from workbench.errors import WorkbenchError
from workbench.signals import stop_signal
from workbench.terminal import printable


def add_commands(commands: Any) -> None:
    """Add both commands."""
    sweep = add_command(
        commands,
        "sweep",
        _sweep,
        "train the missing runs of a sweep, several at a time",
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
    sweep.add_argument("--dry-run", action="store_true", help="list what would run, then exit")
    add_json(sweep, "print the outcome as JSON")

    summary = "start queued runs as slots become free"
    add_place(add_command(commands, "queue", _queue, summary, "workbench queue --cores 2"))


def add_place(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where runs are kept and what they may use."""
    add_runs(parser)
    parser.add_argument("--cores", type=int, help="CPU threads to use; default all")
    parser.add_argument("--gpus", help="GPUs to use, as 0,1; default none")


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

    root: Path = options.runs
    if not root.is_dir():
        raise WorkbenchError(f"no folder {root}", "a folder of runs", "name it with --runs")
    work(root, slots(options), idle_timeout=5.0)
    return 0


def _sweep(options: argparse.Namespace) -> int:
    with _workers(options) as work:
        return _sweep_by(work, options)


@contextmanager
def _workers(options: argparse.Namespace) -> Iterator[Any]:
    """Yield what starts queued runs and waits for them: this machine's queue or a cluster's.

    A cluster is contacted first, so that one that does not answer is reported at once.
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
    from workbench.progress import progress_bar

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
    flops = {plan.name: plan.flops for plan in to_do}
    total = sum(flops.values())
    bar: Any = None  # until something runs: what cannot begin is one line

    def show(shares: dict[str, float], at_work: list[str]) -> None:
        nonlocal bar
        if bar is None:
            bar = ending.enter_context(progress_bar(total, unit="FLOP", scaled=True))
        whole = sum(share >= 1 for share in shares.values())
        words = f"{whole}/{len(flops)} runs, {len(at_work)} at work"
        bar.set_postfix_str(words, refresh=False)
        bar.update(max(sum(flops[name] * share for name, share in shares.items()) - bar.n, 0))

    stopping = "stopping its runs at a resume point (again to leave them)"
    with stop_signal(stopping) as stopped, ExitStack() as ending:
        states = finish(
            sweep, to_do, options.runs, work,
            stop=stopped, record=options.record, on_progress=show,
        )  # fmt: skip
    failed = states.failed
    if options.json:
        print(json.dumps({"sweep": sweep.name, "states": states.counts, "failed": failed}))
    else:
        counts = ", ".join(f"{count} {state}" for state, count in sorted(states.counts.items()))
        print(f"{sweep.name}: {counts}")
        for name, problem in failed.items():
            sys.stderr.write(f"workbench: {printable(f'{name}: {problem}')}\n")
    if stopped():
        return INTERRUPTED
    return 1 if failed else 0
