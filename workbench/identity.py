"""Which process this is: host, pid and start time (pids are reused), and its rank in a group."""

from __future__ import annotations

import os
import socket
from functools import cache
from typing import Any

GPU = "WORKBENCH_GPU"
"""Environment variable in which a queue gives a run the number of its GPU."""
VISIBLE = "CUDA_VISIBLE_DEVICES"
"""CUDA's environment variable of the GPUs that a process sees."""


@cache
def this_host() -> str:
    """Return this machine's name."""
    return socket.gethostname()


def identify(pid: int | None = None) -> dict[str, Any]:
    """Return ``host, pid, started`` (seconds since 1970) of a process, this one by default.

    If a queue gave it a GPU, also ``gpu`` (its number there) and ``cuda`` (CUDA's name for it).
    """
    import psutil

    process = psutil.Process(pid)
    given: dict[str, Any] = {}
    if os.environ.get(GPU, "").isdecimal():
        given = {"gpu": int(os.environ[GPU]), "cuda": os.environ.get(VISIBLE)}
    return {"host": this_host(), "pid": process.pid, "started": process.create_time(), **given}


def processes() -> int:
    """Return how many processes torchrun started for this run; 1 without torchrun."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main() -> bool:
    """Whether this process is the one that writes files and messages."""
    return int(os.environ.get("RANK", "0")) == 0
