"""Progress in the terminal: a bar with rate and ETA, or a line now and then; time in words."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, Final

EVERY: Final = 0.2
"""Seconds between two reports of progress."""


class _Lines:
    """Standard error, with each redrawn bar on a separate line."""

    def write(self, text: str) -> None:
        sys.stderr.write(text.replace("\r", "\n"))

    def flush(self) -> None:
        sys.stderr.flush()


def progress_bar(
    total: float, *, unit: str, initial: int = 0, label: str = "", scaled: bool = False
) -> Any:
    """Return a tqdm bar on standard error; `scaled` writes 3200000000 as 3.20G.

    In a terminal it moves five times a second; in a log file it writes a line every 20 s.
    """
    from tqdm import tqdm

    interactive = sys.stderr.isatty()
    return tqdm(
        total=total,
        initial=initial,
        unit=unit,
        unit_scale=scaled,
        desc=label or None,
        file=sys.stderr if interactive else _Lines(),
        mininterval=0.2 if interactive else 20.0,
        dynamic_ncols=interactive,
    )


def time_words(seconds: float) -> str:
    """Return a length of time, rounded: "1 s" at least, "10 min", "2.5 h"."""
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


class Cancelled(Exception):
    """Nobody waits for the result any more; raised by a `Report`."""


Report = Callable[[float, float, str], None]
"""Hears how far some work is, ``(done, total, unit)``, several times a second; may raise
`Cancelled`."""


def paced(tell: Callable[[dict[str, Any]], None], gone: Callable[[], bool]) -> Report:
    """Return a `Report` that tells now and then how far work is that begins now.

    It tells {done, total, unit, rate, seconds_left}, and raises `Cancelled` once `gone()`.
    """
    began = told = time.monotonic()

    def report(done: float, total: float, unit: str) -> None:
        nonlocal told
        if gone():
            raise Cancelled
        now = time.monotonic()
        if now - told < EVERY:
            return
        told = now
        rate = done / (now - began)
        left = (total - done) / rate if rate else None
        tell({"done": done, "total": total, "unit": unit, "rate": rate, "seconds_left": left})

    return report
