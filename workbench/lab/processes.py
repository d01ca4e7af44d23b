"""The OS process of a run: started detached, found again, stopped, killed.

A run's process outlives its launcher. ``status.json`` identifies it by host, pid and start time
(pids are reused); the system is asked whether it still runs.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from workbench.errors import WorkbenchError
from workbench.identity import this_host
from workbench.training.run_folder import CONFIG, STOP

LOG = "log.txt"
PAUSE = 0.5
"""Seconds between two looks at a folder of runs."""
BEHIND = psutil.BELOW_NORMAL_PRIORITY_CLASS if os.name == "nt" else 5
"""Priority of a run's process: other processes come first."""


def pause() -> None:
    """Wait before the next look at the runs."""
    time.sleep(PAUSE)


def here(status: dict[str, Any]) -> bool:
    """Return whether a status is of a process on this machine."""
    return status.get("host", this_host()) == this_host()


def alive(status: dict[str, Any]) -> bool:
    """Return whether the process of a status still runs on this machine."""
    process = find(status)
    try:
        return process is not None and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def find(status: dict[str, Any]) -> psutil.Process | None:
    """Return the process of a status; None if it has ended, or its pid is now another's."""
    try:
        process = psutil.Process(int(status["pid"]))
        began = status.get("started")
        same = began is None or abs(process.create_time() - float(began)) < 1.0
    except (psutil.Error, KeyError, TypeError, ValueError):
        return None
    return process if same else None


def start(folder: Path, environment: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start the training process of the run in `folder`, detached; its output goes to its log.

    It resumes where there is something to resume, at a low priority, so that pages stay quick.
    """
    (folder / STOP).unlink(missing_ok=True)
    command = [sys.executable, "-P", "-m", "workbench.cli", "train", str(folder / CONFIG)]
    command += ["--out", str(folder), "--resume"]
    process = spawn(command, folder / LOG, environment)
    step_back(process.pid)
    return process


def step_back(pid: int) -> None:
    """Lower the priority of a run's process.

    Linux shares the processor between sessions first, and each run has its own session: the
    priority of a process counts for nothing until that of its session is lowered, too.
    """
    with suppress(psutil.Error):  # it may have ended at once
        psutil.Process(pid).nice(BEHIND)
    with suppress(OSError):  # another system, or a kernel that does not group by sessions
        Path(f"/proc/{pid}/autogroup").write_text(str(int(BEHIND)), encoding="ascii")


def spawn(
    command: list[str], log: Path, environment: dict[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a process in its own session, its output appended to `log`.

    A thread waits for it, so that it does not stay a zombie; callers need not.
    """
    detached: dict[str, Any] = {"start_new_session": True}
    if os.name == "nt":
        flags = subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP  # type: ignore[attr-defined]
        detached = {"creationflags": flags}
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **(environment or {})},
            **detached,
        )
    threading.Thread(target=process.wait, name=f"waits for {process.pid}", daemon=True).start()
    return process


def ask_to_stop(folder: Path) -> None:
    """Ask a run to stop after its step, at a resume point; by a file, which works from any machine.

    Raises WorkbenchError if the folder cannot be written to.
    """
    try:
        (folder / STOP).touch()
    except OSError as error:
        raise WorkbenchError(
            f"{folder} cannot be written to ({error})", "room for a request to stop", "kill the run"
        ) from None


def kill(status: dict[str, Any]) -> bool:
    """Kill the process of a status and its children at once; return whether there was one.

    Only work since its last resume point is lost.
    """
    process = find(status)
    if process is None or status.get("launcher"):
        return False
    doomed = [process]
    try:
        doomed += process.children(recursive=True)
    except psutil.NoSuchProcess:
        return False
    for one in doomed:
        try:
            one.kill()
        except psutil.NoSuchProcess:
            pass
    psutil.wait_procs(doomed, timeout=5)
    return True
