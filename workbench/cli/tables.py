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
