"""A text as it runs, as HTML: words that are asked for, and where each was first told."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from workbench.tasks.pictures import Passage, Query
from workbench.views.cursor.marks import Reply, ink, note

BLANK = "\u2423"
"""How a symbol that is a blank is shown; in a passage it is a blank again."""


def passage(
    picture: Passage,
    query: Query | None,
    reply: Reply,
    weights: Sequence[float] | None,
    evicted: int,
) -> str:
    """Draw a text with the words that are asked for, and those that a query recalls.

    The first `evicted` tokens are greyed.
    """
    looks: dict[int, tuple[int, str]] = {}
    for number, item in enumerate(picture.items):
        kind = "start" if query and number in query.path else "path"
        look = f' style="border-color:{ink(weights[number])}"' if weights is not None else ""
        looks[item.tokens.start] = item.tokens.stop, f'class="{kind}"{look}'
    for one in picture.queries:
        kind = reply.kind if one is query else "asked"
        looks[one.tokens.start] = one.tokens.stop, f'class="{kind}"'
    gone, kept, at = "", "", 0
    while at < len(picture.symbols):
        stop, look = looks.get(at, (at + 1, ""))
        shown = (" " if i in picture.marks else picture.symbols[i] for i in range(at, stop))
        word = escape("".join(shown).replace(BLANK, " "))
        part = f"<mark {look}>{word}</mark>" if look else word
        gone, kept = (gone + part, kept) if at < evicted else (gone, kept + part)
        at = stop
    asked = ""
    if query is not None:
        asked = (
            f'<p class="ask">{escape(query.label)}? '
            f'<span class="{reply.kind}">{reply.text}</span></p>'
        )
    text = f'<span class="gone">{gone}</span>{kept}' if gone else kept
    return (
        f'<p class="passage" aria-label="{escape(picture.label)}">{text}</p>'
        f"{asked}{note(picture.note)}"
    )
