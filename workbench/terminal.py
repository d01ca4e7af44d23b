"""Text for the terminal: names and texts from files must not control it."""

from __future__ import annotations


def printable(text: str) -> str:
    r"""Return `text` with everything that is not a visible character or a space escaped.

    Escape sequences, line breaks, marks that reverse the writing direction, and bytes of a file
    name that are not text become ``\x1b``, ``\n``, ``\u202e`` and ``\udcff``.
    """
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in text
    )
