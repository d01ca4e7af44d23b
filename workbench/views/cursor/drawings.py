"""Drawings of examples as HTML and SVG text: graph, cells, sentences, passage, tokens. No Panel.

Colours are CSS variables of ``style.css``, so that light and dark need no second drawing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

import numpy as np

from workbench.tasks.pictures import Cells, Edge, Graph, Passage, Picture, Query
from workbench.theatre.problem import Problem
from workbench.views.cursor.marks import ARROW, Reply, arrow, ink, note
from workbench.views.cursor.passage import passage
from workbench.views.cursor.sentences import sentences

RADIUS = 100.0
MOST_ROWS = 96
"""Most rows of cells that are drawn; the page has no room for more."""
PATH_LEGEND = (
    '<p class="legend"><span><i class="i-start"></i>start</span>'
    '<span><i class="i-path"></i>path</span>'
    '<span><i class="i-right"></i>answer</span>'
    '<span><i class="i-wrong"></i>model</span></p>'
)

WEIGHTS_LEGEND = (
    '<p class="legend"><span><i class="i-path"></i>edge speaks for it</span>'
    '<span><i class="i-against"></i>against it</span></p>'
)


def draw(
    picture: Picture,
    query: Query | None = None,
    answer: str | None = None,
    *,
    correct: bool = False,
    weights: Sequence[float] | None = None,
    evicted: int = 0,
    written: Sequence[float] | None = None,
) -> str:
    """Draw an example and the path that a query follows.

    `answer` is what the model would answer now, in letters. `weights`, one per item and from -1
    to 1, colour the items; cells have no colours. Of sentences and passages, what the first
    `evicted` tokens say is greyed, and `written` is each one's share of S.
    """
    said = f"{escape(answer or '?')} {'✓' if correct else '✗'}"
    reply = Reply(said, "good" if correct else "bad", None if correct else answer)
    if isinstance(picture, Graph):
        return _graph(picture, query, reply, weights)
    if isinstance(picture, Cells):
        return _cells(picture, query, reply)
    if isinstance(picture, Passage):
        return passage(picture, query, reply, weights, evicted)
    return sentences(picture, query, reply, weights, evicted, written)


def _graph(
    picture: Graph, query: Query | None, reply: Reply, weights: Sequence[float] | None
) -> str:
    """Draw nodes on a circle, in the order in which arrows lead from one to the next."""
    order = _in_order(picture.items)
    count = len(order)
    size = max(5.0, min(16.0, 1.9 * RADIUS / count))
    centre = {name: _on_circle(i / count) for i, name in enumerate(order)}
    place = {name: i for i, name in enumerate(order)}
    path = query.path if query is not None else ()
    lines, nodes = [], []
    for number, edge in sorted(enumerate(picture.items), key=lambda e: place[e[1].source]):
        ends = centre[edge.source], centre[edge.target]
        hop = path.index(number) + 1 if number in path else 0
        look = "" if weights is None else f' style="{_weighed(weights[number])}"'
        lines.append(arrow(*ends, size, "hop" if hop and weights is None else "edge", look))
        if hop and count <= 24:
            x, y = _beside(*ends, 22)
            lines.append(f'<text class="hop-number" x="{x:.1f}" y="{y:.1f}">{hop}</text>')
    for name in order:
        x, y = centre[name]
        kind = "node"
        if query is not None:
            kind += " start" if name == query.start else ""
            kind += " right" if name == query.answer else ""
            kind += " wrong" if name == reply.wrong else ""
        label = f'<text x="{x:.1f}" y="{y:.1f}" font-size="{1.05 * size:.1f}">{escape(name)}</text>'
        nodes.append(
            f'<g class="{kind}"><circle cx="{x:.1f}" cy="{y:.1f}" r="{size:.1f}"/>'
            f"{label if count <= 40 else ''}</g>"
        )
    middle = ""
    if query is not None:
        top = 8 if count == 3 else -12  # a triangle is wide enough below its centre only
        middle = (
            f'<text class="ask" y="{top}">{escape(query.label)}?</text>'
            f'<text class="reply {reply.kind}" y="{top + 26}">{reply.text}</text>'
        )
    legend = "" if query is None else PATH_LEGEND if weights is None else WEIGHTS_LEGEND
    return (
        f'<svg class="ring" viewBox="-138 -128 276 256" role="img" '
        f'aria-label="{escape(picture.label)}">'
        f"{ARROW}{''.join(lines)}{''.join(nodes)}{middle}</svg>{legend}{note(picture.note)}"
    )


def _in_order(edges: Sequence[Edge]) -> list[str]:
    """Return the nodes along the arrows, beginning with the first edge's source."""
    leads: dict[str, str] = {}
    for edge in edges:
        leads.setdefault(edge.source, edge.target)
    order: dict[str, None] = {}
    for edge in edges:
        for begin in (edge.source, edge.target):
            node: str | None = begin
            while node is not None and node not in order:
                order[node] = None
                node = leads.get(node)
    return list(order)


def _on_circle(turn: float) -> tuple[float, float]:
    angle = 2 * math.pi * turn - math.pi / 2
    return RADIUS * math.cos(angle), RADIUS * math.sin(angle)


def _beside(a: tuple[float, float], b: tuple[float, float], out: float) -> tuple[float, float]:
    """Return the point `out` outside the middle of an edge of the ring, which goes clockwise."""
    length = math.hypot(b[0] - a[0], b[1] - a[1]) or 1.0
    across = (b[1] - a[1]) / length, (a[0] - b[0]) / length
    return (a[0] + b[0]) / 2 + out * across[0], (a[1] + b[1]) / 2 + out * across[1]


def _weighed(weight: float) -> str:
    """Return an edge's style: coloured, and broader further from zero."""
    width = 1.4 + 5 * min(abs(weight), 1.0)
    return f"stroke:{ink(weight)};stroke-width:{width:.1f};opacity:1"


def _cells(picture: Cells, query: Query | None, reply: Reply) -> str:
    """Draw each string of cells and its evolution, one row per step.

    Of more than `MOST_ROWS` rows the middle ones are left out, and the note says so.
    """
    pieces = []
    left_out = ""
    for number, item in enumerate(picture.items):
        rows, (row, column) = np.array(item.rows), item.target
        if (gone := len(rows) - MOST_ROWS) > 0:
            half = MOST_ROWS // 2
            left_out = f" Steps {half} to {len(rows) - half - 1} are left out."
            rows, row = np.concatenate([rows[:half], rows[-half:]]), row - gone
        asked = query is not None and number in query.path
        squares = (
            f'<path class="off" d="{_grid(*rows.shape)}"/>'
            f'<path class="on given" d="{_squares(rows[:1], 0)}"/>'
            f'<path class="on" d="{_squares(rows[1:], 1)}"/>'
        )
        mark = (
            f'<rect class="target" x="{column}" y="{row}" width="1" height="1"/>'
            f'<rect class="first-row" x="0" y="0" width="{rows.shape[1]}" height="1"/>'
        )
        said = f' <span class="{reply.kind}">would answer {reply.text}</span>' if asked else ""
        pieces.append(
            f'<figure class="{"asked" if asked else ""}"><figcaption>{escape(item.name)}{said}'
            f'</figcaption><svg viewBox="-0.15 -0.15 {rows.shape[1] + 0.3} {len(rows) + 0.3}" '
            f'role="img" aria-label="{escape(item.label)}">{squares}{mark}</svg></figure>'
        )
    return f'<div class="automaton">{"".join(pieces)}</div>{note(picture.note + left_out)}'


def _squares(rows: np.ndarray, top: int) -> str:
    """Return an SVG path with a square for each 1 of ``rows [step, cell]``, the first at `top`."""
    return "".join(f"M{c} {r + top}h1v1h-1z" for r, c in np.argwhere(rows).tolist())


def _grid(rows: int, columns: int) -> str:
    """Return an SVG path with the lines between cells."""
    across = "".join(f"M0 {r}h{columns}" for r in range(rows + 1))
    return across + "".join(f"M{c} 0v{rows}" for c in range(columns + 1))


def tokens(
    problem: Problem,
    spans: tuple[tuple[int, int], ...],
    awake: tuple[bool, ...],
    boundary: tuple[int, int],
    cached: range,
) -> str:
    """Draw the windows and their tokens: read and evicted, being read, still to come.

    `spans` is the token range of each window, `awake` whether it is read awake, `boundary` the
    window and pass of the cursor, and `cached` the tokens in the KV cache.
    """
    groups = _groups(problem.picture)
    blocks = []
    for number, (start, stop) in enumerate(spans):
        held = sum(start <= i < stop for i in cached)
        if number < boundary[0]:
            words = "evicted" if not held else "partly evicted" if held < stop - start else "kept"
            state = "past"
        elif number > boundary[0]:
            state, words = "future", "to come"
        elif boundary[1] == 0:
            state, words = "now waiting", "next"
        else:
            state, words = "now", "awake" if awake[number] else "asleep"
        title = f"window {number + 1}"
        if not problem.batch.valid[0, start:stop].any():
            title += " (padding only)"  # a short context does not reach this far to the left
        chips = "".join(
            _chip(problem, range(max(a, start), min(b, stop)), cached, state == "past")
            for a, b in groups
            if a < stop and b > start
        )
        cache = f'<span class="kv">KV cache: {held}</span>' if held else ""
        blocks.append(
            f'<div class="window {state}"><h4>{title} {cache}<span>{words}</span></h4>'
            f'<div class="chips">{chips}</div></div>'
        )
    reading = note(problem.picture.reading)
    return f'<div class="tokens">{"".join(blocks)}</div>{reading}'


def _groups(picture: Picture) -> list[tuple[int, int]]:
    """Return token ranges that belong together: an item, a query with its answer, else one token.

    Cells stand one by one.
    """
    said = () if isinstance(picture, Cells) else tuple(item.tokens for item in picture.items)
    groups, place = [], 0
    for tokens in sorted([*said, *(q.tokens for q in picture.queries)], key=lambda t: t.start):
        groups += [(i, i + 1) for i in range(place, tokens.start)]
        groups.append((tokens.start, tokens.stop))
        place = tokens.stop
    return groups + [(i, i + 1) for i in range(place, len(picture.symbols))]


def _chip(problem: Problem, tokens: range, cached: range, past: bool) -> str:
    parts = []
    picture, valid = problem.picture, problem.batch.valid[0]
    bits = isinstance(picture, Cells) and any(tokens[0] in item.tokens for item in picture.items)
    for i in tokens:
        text, kind = picture.symbols[i], "t"
        if not valid[i]:
            kind, text = "t pad", "·"
        elif bits:
            kind = f"t bit{' on' if text == '1' else ''}"
        elif problem.batch.answer_of[0, i] >= 0:
            kind = "t answer"
        elif i in picture.marks:
            kind = "t mark"
        fate = " kept" if i in cached else " gone" if past else ""
        parts.append(f'<span class="{kind}{fate}">{escape(text)}</span>')
    padding = "" if valid[tokens[0]] else ' title="padding"'
    return f'<span class="chip"{padding}>{"".join(parts)}</span>'
