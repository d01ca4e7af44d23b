"""A sweep on a Dask cluster: each run is a task that supervises the process a laptop would run.

All machines share the folder of runs, which stays the truth. Killing a worker loses nothing: the
scheduler gives its tasks to another one, which waits for a process that lives on, or resumes the
run. A worker takes as many runs at a time as it has threads, or as its resources ``cores`` and
``GPU`` allow, where it names them. A worker with ``GPU=2`` gives its first two GPUs to one run
each; workers of one machine that see the same GPUs never give one out twice. Needs the extra
``cluster``.
"""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from workbench.errors import WorkbenchError
from workbench.lab.processes import ask_to_stop, pause
from workbench.lab.queue import LOCK, fail_unschedulable, launch, mark_failed, need, only_queue
from workbench.lab.runs import Run, list_runs, read_run, set_state

ADDRESS = re.compile(r"tcp://(\[[0-9a-fA-F:]+\]|[^/:\s]+):\d{1,5}")
SOON = 5.0
"""Seconds within which a scheduler must answer, and after which a lost one is given up."""
NO_GPU = "no worker names one; start those that have with `dask worker --resources GPU=1`"
TRIES = 3
"""How often a task may fail before its run does; a killed worker does not count."""


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """Give a client of the scheduler at ``tcp://HOST:PORT``.

    Raises WorkbenchError if the extra ``cluster`` is not installed or no scheduler answers.
    """
    if not ADDRESS.fullmatch(address):
        raise WorkbenchError(
            f"--cluster {address}", "tcp://HOST:PORT", "write what `dask scheduler` says"
        )
    try:
        from distributed import Client
    except ModuleNotFoundError as error:
        raise WorkbenchError(
            f"the package {error.name!r} is not installed",
            "the extra 'cluster'",
            "pip install -c constraints.txt -e '.[cluster]'",
        ) from None
    # its own thread would report a lost scheduler at length; here it is one line
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
    try:
        client = Client(address, timeout=SOON, set_as_default=False)
    except OSError:
        raise WorkbenchError(
            f"no scheduler answers at {address} within {SOON:.0f} s",
            "a Dask scheduler at tcp://HOST:PORT",
            "start one with `dask scheduler`, and workers with `dask worker tcp://HOST:PORT`",
        ) from None
    try:
        yield client
    finally:
        client.close(timeout=SOON)


def work_on_cluster(
    client: Any,
    root: Path,
    *,
    names: set[str],
    stop: Callable[[], bool] = lambda: False,
    on_poll: Callable[[list[Run]], None] = lambda runs: None,
) -> None:
    """Have the workers train the queued runs in `names`, until none is queued or at work.

    `root` has the same path on every worker. A run that another worker's process is training is
    waited for. `stop` asks runs to stop and waits for their resume points; `on_poll` gets all runs
    again and again. Raises WorkbenchError if a worker does not see the folder, a queue works on it,
    or the scheduler is gone.
    """
    from distributed import Event

    root = root.resolve()
    with only_queue(root):
        _check_workers(client, root)
        halt = Event(f"sleep-workbench-halt-{uuid.uuid4().hex}", client=client)
        tasks: dict[str, Any] = {}
        failures: dict[str, int] = {}
        resources: dict[str, float] = {}
        lost_since = time.monotonic()
        while True:
            if client.status == "running":
                lost_since = time.monotonic()
            elif time.monotonic() - lost_since > SOON:
                raise WorkbenchError(
                    "the scheduler is gone",
                    "one that lives as long as the sweep",
                    "start it again and repeat the command; runs at work go on by themselves",
                )
            for name in [name for name, task in tasks.items() if task.done()]:
                _judge(tasks.pop(name), root / name, failures)
            on_poll(list_runs(root))  # which may queue again what died
            runs = list_runs(root)
            busy = [r for r in runs if r.name in names and (r.active or r.state == "queued")]
            if stop():
                if client.status == "running":
                    halt.set()
                if not any(run.active for run in busy):
                    client.cancel(list(tasks.values()))
                    return
            elif not busy and not tasks:
                return
            elif client.status == "running":
                # what a worker named still counts while it is gone for a moment: its runs wait
                resources = _most([resources, *_resources(client)])
                gpus = range(int(resources.get("GPU", 0)))
                refused = fail_unschedulable(busy, gpus, NO_GPU)
                for run in sorted(busy, key=lambda run: run.status.get("queued_at", 0.0)):
                    if run.name not in tasks and run.name not in refused:
                        tasks[run.name] = client.submit(
                            attend,
                            str(run.folder),
                            halt.name,
                            key=f"{run.name}-{uuid.uuid4().hex[:8]}",
                            resources=_share(run, resources),
                        )
            pause()


def attend(folder: str, halt: str) -> str:
    """Start the run in `folder` if it is queued, wait for it to end, and return its state.

    The task of a worker. `halt` names the event that asks it to stop: cancelling would not end it.
    A run that died is queued again by the sweep that wants it, as on one machine.
    """
    from distributed import Event, get_worker

    event = Event(halt)
    path = Path(folder)
    gpus = range(int(get_worker().state.total_resources.get("GPU", 0)))
    child, asked = None, False
    while (run := read_run(path)) is not None:
        halted = bool(event.is_set())
        if child is not None and child.poll() is not None:
            mark_failed(path.name, path.parent)
            child = None
            continue
        if run.state == "queued" and not halted and child is None:
            child = launch(run, gpus)
        elif not run.active:
            if run.state == "died":  # written down: other machines cannot see it
                set_state(path, "died", step=run.step, steps=run.steps)
            return run.state
        elif halted and not asked:
            ask_to_stop(path)
            asked = True
        pause()
    raise WorkbenchError(
        f"{folder} is not there on this worker", "the shared folder of runs", "mount it everywhere"
    )


def _judge(task: Any, folder: Path, failures: dict[str, int]) -> None:
    """Look at a task that is over; after `TRIES` failures its run fails.

    In every other case the run's folder says what to do.
    """
    from distributed import KilledWorker

    if task.status != "error" or isinstance(error := task.exception(), KilledWorker):
        return
    failures[folder.name] = failures.get(folder.name, 0) + 1
    run = read_run(folder)
    if run is not None and not run.active and failures[folder.name] >= TRIES:
        said = " ".join(f"{type(error).__name__}: {error}".split())
        set_state(folder, "failed", step=run.step, steps=run.steps, error=said)


def _check_workers(client: Any, root: Path) -> None:
    """Check that every present worker sees the folder of the runs."""
    seen = client.run(sees, str(root / LOCK), on_error="return")
    for worker, answer in seen.items():
        if isinstance(answer, Exception):
            raise WorkbenchError(
                f"worker {worker} cannot run the workbench ({answer!r})",
                "the same installation on every worker",
                "start the workers with the environment's own `dask worker`",
            )
        if not answer:
            raise WorkbenchError(
                f"worker {worker} does not see {root}",
                "a folder shared by all workers, under the same path",
                "name such a folder with --runs",
            )


def sees(path: str) -> bool:
    """Return whether this machine has a file; every worker is asked."""
    return Path(path).exists()


def _resources(client: Any) -> list[dict[str, float]]:
    """Return the resources that each worker names."""
    return [w["resources"] for w in client.scheduler_info(n_workers=-1)["workers"].values()]


def _most(named: Iterable[dict[str, float]]) -> dict[str, float]:
    """Return the most that any one worker names of each resource."""
    most: dict[str, float] = {}
    for resources in named:
        for name, amount in resources.items():
            most[name] = max(most.get(name, 0.0), amount)
    return most


def _share(run: Run, most: dict[str, float]) -> dict[str, float]:
    """Return what a run takes of the named resources; at most what one worker has."""
    wanted = need(run)
    asked = {"cores": float(wanted.cores), "GPU": float(wanted.gpu)}
    return {name: min(value, most[name]) for name, value in asked.items() if value and name in most}
