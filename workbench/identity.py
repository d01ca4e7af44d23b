"""Who a process is: host, pid and when it began (pids are used again); and its place in a team."""

from __future__ import annotations

import os
import socket
from functools import cache
from typing import Any

GPU = "WORKBENCH_GPU"
"""Environment variable by which a queue tells a run which of the machine's GPUs it was given."""


@cache
def this_host() -> str:
    """Return this machine's name."""
    return socket.gethostname()


def identify(pid: int | None = None) -> dict[str, Any]:
    """Return ``host, pid, started`` (seconds since 1970) of a process, this one by default."""
    import psutil

    process = psutil.Process(pid)
    given = {"gpu": int(os.environ[GPU])} if os.environ.get(GPU, "").isdecimal() else {}
    return {"host": this_host(), "pid": process.pid, "started": process.create_time(), **given}


def processes() -> int:
    """Return how many processes train this run together, as torchrun says; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main() -> bool:
    """Whether this process is the one of them that writes and speaks."""
    return int(os.environ.get("RANK", "0")) == 0
