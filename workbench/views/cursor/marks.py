"""What drawings of examples share: the model's answer, arrows, notes and inks. Knows no Panel."""

from __future__ import annotations

import math
from html import escape
from typing import Final, NamedTuple

ARROW: Final = (
    '<defs><marker id="arrow" viewBox="0 0 10 10" refX="7" refY="5" markerWidth="11" '
    'markerHeight="11" markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0 10 5 0 10z"/>'
    "</marker></defs>"
)
"""The head of every arrow of a drawing."""


class Reply(NamedTuple):
    """The model's answer: text with a tick or a cross, its class, and the wrong answer or None."""

    text: str
    kind: str
    wrong: str | None


def ink(weight: float) -> str:
    """Return a colour: orange above zero, blue below, stronger further from zero."""
    colour, size = ("--orange" if weight > 0 else "--blue"), min(abs(weight), 1.0)
    return f"color-mix(in srgb, var({colour}) {25 + 75 * size:.0f}%, var(--muted))"


def arrow(
    a: tuple[float, float], b: tuple[float, float], gap: float, kind: str, look: str = ""
) -> str:
    """Draw an arrow from node to node, leaving a `gap` around both centres."""
    length = math.hypot(b[0] - a[0], b[1] - a[1]) or 1.0
    ux, uy = (b[0] - a[0]) / length, (b[1] - a[1]) / length
    start, stop = gap + 1, gap + 3
    return (
        f'<path class="{kind}"{look} marker-end="url(#arrow)" '
        f'd="M{a[0] + ux * start:.1f} {a[1] + uy * start:.1f}'
        f'L{b[0] - ux * stop:.1f} {b[1] - uy * stop:.1f}"/>'
    )


def note(text: str) -> str:
    """Return a sentence below a drawing, if there is one."""
    return f'<p class="note">{escape(text)}</p>' if text else ""
