"""Waiting for a condition: the limit is one that only a hang reaches, on a slow machine, too."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")


def _slowness() -> float:
    """Return how many times slower this machine is now than a laptop at rest; at least 1."""
    took = []
    for _ in range(3):
        began = time.perf_counter()
        sum(number * number for number in range(300_000))
        took.append(time.perf_counter() - began)
    return max(1.0, sorted(took)[1] / 0.02)  # a laptop of 2022, and nothing next to it: 20 ms


LIMIT: Final = 120.0 * min(_slowness(), 4.0)
"""Seconds after which a test gives up: on a process, a thread, a page or a condition."""
LIMIT_MS: Final = 1000.0 * LIMIT
"""The same in milliseconds, for a browser."""


def until(condition: Callable[[], T], *, every: float = 0.02, why: object = "") -> T:
    """Wait until a condition holds, and return what it gave.

    `condition`: Asked again and again until what it returns is true. `every`: Seconds between two
    questions. `why`: Shown where the limit is reached; a callable is asked then.
    """
    deadline = time.monotonic() + LIMIT
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(
                f"still waiting after {LIMIT:.0f} s: {why() if callable(why) else why}"
            )
        time.sleep(every)
    return found
