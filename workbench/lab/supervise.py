"""Bringing a sweep to its end: what is missing is requested, watched, restarted once, recorded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from workbench.config import to_toml
from workbench.errors import WorkbenchError
from workbench.lab.processes import ask_to_stop
from workbench.lab.queue import Slots, outcome, queue_works, withdraw, work
from workbench.lab.record import add_to_record, recorded
from workbench.lab.runs import Run, list_runs, read_run, request, requeue
from workbench.lab.sweeps import PlannedRun, Sweep
from workbench.training.run_folder import CONFIG

RESTARTS = 1
"""How often a run whose process died is started again within one call."""


@dataclass(frozen=True)
class Outcome:
    """How the runs of a sweep ended.

    Attributes
    ----------
    counts : dict of str to int
        Runs in each state; those recorded before count as finished.
    failed : dict of str to str
        Name and reason of each that failed or died.
    """

    counts: dict[str, int]
    failed: dict[str, str]


def missing(sweep: Sweep, root: Path, record: Path | None = None) -> list[PlannedRun]:
    """Return the runs of a sweep that are neither finished under `root` nor recorded.

    Raises
    ------
    WorkbenchError
        A folder of that name holds a run of another configuration.
    """
    done = recorded(record)
    to_do = []
    for plan in sweep.runs:
        if plan.labels["identity"] in done:
            continue
        run = read_run(root / plan.name) if (root / plan.name).is_dir() else None
        if run is not None and run.labels.get("identity") != plan.labels["identity"]:
            raise WorkbenchError(
                f"{run.folder} holds a run of another configuration",
                f"that of {sweep.path}",
                "delete that run, or name another folder with --runs",
            )
        if run is None or run.state != "finished":
            to_do.append(plan)
    return to_do


def request_all(to_do: list[PlannedRun], root: Path) -> None:
    """Put runs into the queue: new ones, and those that stopped, died or failed."""
    for plan in to_do:
        folder = root / plan.name
        run = read_run(folder) if (folder / CONFIG).exists() else None
        if run is None:
            steps = plan.experiment.training.steps
            request(folder, to_toml(plan.experiment), plan.labels, steps)
        elif run.state in ("stopped", "died", "failed"):
            requeue(run)


def finish(
    sweep: Sweep,
    to_do: list[PlannedRun],
    root: Path,
    slots: Slots,
    *,
    stop: Callable[[], bool] = lambda: False,
    record: Path | None = None,
    tell: Callable[[dict[str, float], list[str]], None] = lambda shares, at_work: None,
) -> Outcome:
    """Work until every run of `to_do` has ended; return how.

    Parameters
    ----------
    stop : callable
        True withdraws what is queued, stops what runs at a resume point, and returns.
    record : Path or None
        Finished runs are added to this file as they end.
    tell : callable
        Told the share done of each run, and the names of those at work.

    Raises
    ------
    WorkbenchError
        Another queue works on the folder.
    """
    names = {plan.name for plan in to_do}
    restarts: dict[str, int] = {}
    kept: set[str] = set()

    def look(runs: list[Run]) -> None:
        mine = [run for run in runs if run.name in names]
        tell({run.name: _share(run) for run in mine}, [run.name for run in mine if run.active])
        fresh = {run.name for run in mine if run.state == "finished"} - kept
        if record is not None and fresh:
            add_to_record(record, sweep, [run for run in mine if run.name in fresh])
            kept.update(fresh)
        for run in mine:
            if run.state == "died" and restarts.get(run.name, 0) < RESTARTS:
                restarts[run.name] = restarts.get(run.name, 0) + 1
                requeue(run)

    if queue_works(root):
        raise WorkbenchError(
            f"another queue works on {root}",
            "one queue a folder",
            "wait for it, or name another folder with --runs",
        )
    work(root, slots, names=names, stop=stop, look=look)
    if stop():
        halt(names, root)
        work(root, Slots(0), names=names)  # until they have reached their resume points
    runs = [run for run in list_runs(root) if run.name in names]
    look(runs)
    counts = outcome(runs)
    before = len(sweep.runs) - len(to_do)
    if before:
        counts["finished"] = counts.get("finished", 0) + before
    failed = {r.name: r.problem or r.state for r in runs if r.state in ("failed", "died")}
    return Outcome(counts, failed)


def halt(names: set[str], root: Path) -> None:
    """Withdraw those runs that are queued and ask those at work to stop."""
    for run in list_runs(root):
        if run.name in names and not withdraw(run) and run.active:
            ask_to_stop(run.folder)


def _share(run: Run) -> float:
    if run.state == "finished":
        return 1.0
    return min(run.step / run.steps, 0.99) if run.steps else 0.0
