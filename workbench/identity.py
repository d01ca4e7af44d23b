"""Who a process is: host, pid and when it began (pids are used again); and its place in a team."""

from __future__ import annotations

import os
import socket
from functools import cache
from typing import Any

GPU = "WORKBENCH_GPU"
"""Environment variable by which a queue tells a run which of its GPUs it was given."""
VISIBLE = "CUDA_VISIBLE_DEVICES"
"""Environment variable by which CUDA is told which GPUs a process sees."""


@cache
def this_host() -> str:
    """Return this machine's name."""
    return socket.gethostname()


def identify(pid: int | None = None) -> dict[str, Any]:
    """Return ``host, pid, started`` (seconds since 1970) of a process, this one by default.

    Where a queue gave it a GPU, also ``gpu`` (its number there) and ``cuda`` (CUDA's name of it).
    """
    import psutil

    process = psutil.Process(pid)
    given: dict[str, Any] = {}
    if os.environ.get(GPU, "").isdecimal():
        given = {"gpu": int(os.environ[GPU]), "cuda": os.environ.get(VISIBLE)}
    return {"host": this_host(), "pid": process.pid, "started": process.create_time(), **given}


def processes() -> int:
    """Return how many processes train this run together, as torchrun says; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main() -> bool:
    """Whether this process is the one of them that writes and speaks."""
    return int(os.environ.get("RANK", "0")) == 0
