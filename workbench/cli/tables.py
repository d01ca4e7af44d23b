"""Tables as text."""

from __future__ import annotations

from collections.abc import Sequence

from workbench.terminal import printable


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as text in columns, with what cannot be printed escaped."""
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def with_interval(value: float, interval: Sequence[float]) -> str:
    """Return a share with its interval: ``0.500 [0.400, 0.600]``."""
    return f"{value:.3f} [{interval[0]:.3f}, {interval[1]:.3f}]"
