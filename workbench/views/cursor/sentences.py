"""Drawings of sentences: needed, evicted, written into S; and what follows from what. No Panel."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from workbench.tasks.pictures import Picture, Query, Sentence, roles_of
from workbench.views.cursor.marks import ARROW, Reply, ink, note

MOST_NODES: Final = 24
"""Most quantities that are all drawn; of more, those that the answer follows from."""
ROW, PILL, LETTER, GAP = 46.0, 20.0, 7.2, 10.0
"""Distance of two rows, height of a node, width of a letter, and room between nodes."""


def sentences(
    picture: Picture,
    query: Query | None,
    reply: Reply,
    weights: Sequence[float] | None,
    evicted: int,
    written: Sequence[float] | None,
) -> str:
    """Draw a list of sentences, and what follows from what; see `drawings.draw`.

    Sentences on the query's path carry the number of their step.
    """
    path = query.path if query is not None else ()
    roles = roles_of(picture, path)
    lines = []
    for number, item in enumerate(picture.items):
        step = path.index(number) + 1 if number in path else 0
        gone = len(item.tokens) > 0 and item.tokens[-1] < evicted
        kinds = ["hop" if step else roles.get(number, ""), "gone" if gone else ""]
        kind = " ".join(filter(None, kinds))
        look = f' style="border-color:{ink(weights[number])}"' if weights is not None else ""
        mark = f'<b class="hop-number">{step}</b> ' if step else ""
        share = "" if written is None else _share(written[number])
        named = f' class="{kind}"' if kind else ""
        lines.append(f"<li{named}{look}>{mark}<span>{escape(item.name)}</span>{share}</li>")
    asked = ""
    if query is not None:
        asked = (
            f'<p class="ask">{escape(query.label)}? '
            f'<span class="{reply.kind}">{reply.text}</span></p>'
        )
    legend = "" if query is None or weights is not None else _legend(roles, evicted, written)
    return (
        f'<ol class="sentences" aria-label="{escape(picture.label)}">{"".join(lines)}</ol>'
        f"{legend}{_chain(picture, query)}{asked}{note(picture.note)}"
    )


def _share(share: float) -> str:
    """Return a sentence's share of S as a bar with a number; a negative one has no bar."""
    width = 100 * min(max(share, 0.0), 1.0)
    text = f"{100 * share:.0f}".replace("-0", "0").replace("-", "−")
    return f'<span class="share" style="--share:{width:.1f}%">{text} %</span>'


def _legend(roles: dict[int, str], evicted: int, written: Sequence[float] | None) -> str:
    parts = ['<span><i class="i-path"></i>needed, in order</span>']
    if "spare" in roles.values():
        parts.append('<span><i class="i-spare"></i>builds on these, not needed</span>')
    if "noise" in roles.values():
        parts.append('<span><i class="i-noise"></i>noise, about no quantity</span>')
    if evicted:
        parts.append("<span><s>evicted</s></span>")
    if written is not None:
        parts.append('<span><i class="i-share"></i>share of S</span>')
    return f'<p class="legend">{"".join(parts)}</p>'


def _chain(picture: Picture, query: Query | None) -> str:
    """Draw which quantities follow from which, the given ones on top; the right values are shown.

    A node says a short name and its value, or the number of its sentence.
    """
    items = {n: item for n, item in enumerate(picture.items) if isinstance(item, Sentence)}
    path = set(query.path) if query is not None else set()
    if len(items) > MOST_NODES:
        items = {n: item for n, item in items.items() if n in path}
    if not items or len(items) < len(path):
        return ""
    short = max(len(item.subject) for item in items.values()) <= 5
    names = {n: f"{i.subject if short else f'({n + 1})'} = {i.value}" for n, i in items.items()}
    depths = {n: item.depth for n, item in items.items()}
    edges = [(p, n) for n, item in items.items() for p in item.parents if p in items]
    asked = next((n for n in path if query and items[n].subject == query.start), -1)
    if query is not None and query.parents:
        asked = len(picture.items)
        names[asked] = f"asked = {query.answer}"
        depths[asked] = 1 + max(depths[n] for n in query.parents)
        edges += [(parent, asked) for parent in query.parents]
        path.add(asked)
    places, width, height = _laid_out(names, depths, edges)
    lines = []
    for parent, child in edges:
        (x, y), (to_x, to_y) = places[parent], places[child]
        kind = "hop" if parent in path and child in path else "edge"
        lines.append(
            f'<path class="{kind}" marker-end="url(#arrow)" d="M{x:.1f} {y + PILL / 2:.1f}'
            f'L{to_x:.1f} {to_y - PILL / 2 - 3:.1f}"/>'
        )
    nodes = []
    for number, (x, y) in places.items():
        kind = "node" + (" on" if number in path else "") + (" right" if number == asked else "")
        wide = _wide(names[number])
        title = escape(picture.items[number].name) if number in items else ""
        nodes.append(
            f'<g class="{kind}"><title>{title}</title><rect x="{x - wide / 2:.1f}" '
            f'y="{y - PILL / 2:.1f}" width="{wide:.1f}" height="{PILL}" rx="9"/>'
            f'<text x="{x:.1f}" y="{y:.1f}">{escape(names[number])}</text></g>'
        )
    said = "What follows from what, the given quantities on top"
    numbers = "" if short else note("(3): the number of the sentence.")
    return (
        f'<svg class="ring chain" viewBox="0 0 {width:.0f} {height:.0f}" role="img" '
        f'style="max-width:{width:.0f}px" aria-label="{said}">{ARROW}{"".join(lines)}'
        f"{''.join(nodes)}</svg>{numbers}"
    )


def _wide(name: str) -> float:
    return LETTER * len(name) + 8


def _laid_out(
    names: dict[int, str], depths: dict[int, int], edges: list[tuple[int, int]]
) -> tuple[dict[int, tuple[float, float]], float, float]:
    """Return the middle of each node, and width and height: a row for each depth.

    Within a row nodes stand in the order of what they are connected with.
    """
    rows: dict[int, list[int]] = {}
    for number, depth in sorted(depths.items()):
        rows.setdefault(depth, []).append(number)
    width = max(sum(_wide(names[n]) + GAP for n in row) for row in rows.values())
    width = max(width, 260.0)
    middle: dict[int, float] = {}

    def spread(row: list[int]) -> None:
        room = (width - sum(_wide(names[n]) for n in row)) / len(row)
        left = room / 2
        for n in row:
            middle[n] = left + _wide(names[n]) / 2
            left += _wide(names[n]) + room

    levels = sorted(rows)
    for level in levels:
        spread(rows[level])
    for towards in (levels, levels[::-1], levels):
        for level in towards:
            row = rows[level]
            near = {
                n: [middle[a if b == n else b] for a, b in edges if n in (a, b)] or [middle[n]]
                for n in row
            }
            row.sort(key=lambda n, near=near: sum(near[n]) / len(near[n]))  # type: ignore[misc]
            spread(row)
    places = {n: (middle[n], PILL + ROW * levels.index(depths[n])) for n in names}
    return places, width, 2 * PILL + ROW * (len(levels) - 1)
