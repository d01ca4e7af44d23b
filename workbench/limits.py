"""How much memory this machine has: more is refused before it is tried."""

from __future__ import annotations

from pathlib import Path

import psutil

from workbench.errors import WorkbenchError

CGROUP = Path("/sys/fs/cgroup")
"""Where Linux says what a container may use."""


def available_memory() -> int:
    """Return how many bytes this process could still get.

    The system's estimate (`psutil`) of free and reclaimable memory; in a Linux container (cgroup
    v2), at most what is left of its limit.
    """
    free = int(psutil.virtual_memory().available)
    try:
        limit = int((CGROUP / "memory.max").read_text(encoding="ascii"))  # "max" has no limit
        used = int((CGROUP / "memory.current").read_text(encoding="ascii"))
        stat = (CGROUP / "memory.stat").read_text(encoding="ascii").split()
        cached = int(dict(zip(stat[::2], stat[1::2], strict=False)).get("inactive_file", 0))
    except (OSError, ValueError):
        return free
    return max(min(free, limit - used + cached), 0)


def refuse_beyond_memory(needed: int, what: str, fix: str, *, room: int | None = None) -> None:
    """Raise `WorkbenchError` if `what` needs more than `room` bytes, by default what is available.

    `needed` is a lower bound, so that nothing is refused that would have fitted.
    """
    room = available_memory() if room is None else room
    if needed > room:
        raise WorkbenchError(
            f"{what} needs at least {in_words(needed)} of memory",
            f"at most {in_words(room)}, which is what is available",
            fix,
        )


def in_words(size: int) -> str:
    """Return bytes in words: ``3.2 GB``."""
    for unit, name in ((2**40, "TB"), (2**30, "GB"), (2**20, "MB")):
        if size >= unit:
            return f"{size / unit:,.1f} {name}"
    return f"{size / 2**10:,.1f} kB"
