"""Drawings for the stepper as HTML and SVG text: ring, automaton, tokens. Knows no Panel.

Colours are CSS variables of ``style.css``, so that light and dark need no second drawing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape

import numpy as np

from workbench.tasks.phrases import counted
from workbench.views.cursor.problem import Problem, Query

RADIUS = 100.0
MOST_ROWS = 96
"""Rows of an automaton that are drawn; the page has no room for more."""
RING_LEGEND = (
    '<p class="legend"><span><i class="i-start"></i>start</span>'
    '<span><i class="i-path"></i>path</span>'
    '<span><i class="i-right"></i>answer</span>'
    '<span><i class="i-wrong"></i>model</span></p>'
)

WEIGHTS_LEGEND = (
    '<p class="legend"><span><i class="i-path"></i>edge speaks for it</span>'
    '<span><i class="i-against"></i>against it</span></p>'
)


def ring(
    problem: Problem,
    query: Query | None,
    answer: str | None,
    *,
    correct: bool = False,
    weights: Mapping[str, float] | None = None,
) -> str:
    """Draw a Depo cycle with the path that a query follows.

    Parameters
    ----------
    problem : Problem
        The example.
    query : Query or None
        The query whose path is highlighted.
    answer : str or None
        What the model would answer now, in letters.
    correct : bool
        Whether that is right.
    weights : mapping of str to float or None
        What each edge is coloured by, from -1 to 1, by the node that it leaves.
    """
    successor = dict(problem.edges)
    order = _in_order(successor)
    count = len(order)
    size = max(5.0, min(16.0, 1.9 * RADIUS / count))
    centre = {name: _on_circle(i / count) for i, name in enumerate(order)}
    path = _path(successor, query)
    lines, nodes = [], []
    for source, target in zip(order, [*order[1:], order[0]], strict=True):
        hop = path.index(source) + 1 if source in path[:-1] else 0
        look = "" if weights is None else _weighed(weights.get(source, 0.0))
        kind = "hop" if hop and weights is None else "edge"
        lines.append(_arrow(centre[source], centre[target], size, kind, look))
        if hop and count <= 24:
            x, y = _beside(centre[source], centre[target], 22)
            lines.append(f'<text class="hop-number" x="{x:.1f}" y="{y:.1f}">{hop}</text>')
    for name in order:
        x, y = centre[name]
        kind = "node"
        if query is not None:
            kind += " start" if name == query.start else ""
            kind += " right" if name == query.answer else ""
            kind += " wrong" if name == answer and not correct else ""
        label = f'<text x="{x:.1f}" y="{y:.1f}" font-size="{1.05 * size:.1f}">{escape(name)}</text>'
        nodes.append(
            f'<g class="{kind}"><circle cx="{x:.1f}" cy="{y:.1f}" r="{size:.1f}"/>'
            f"{label if count <= 40 else ''}</g>"
        )
    title = f"Ring of {count} nodes: {' to '.join(order)} and back"
    middle = ""
    if query is not None:
        top = 8 if count == 3 else -12  # a triangle is wide enough below its centre only
        middle = (
            f'<text class="ask" y="{top}">{escape(query.label)}?</text>'
            f'<text class="reply {"good" if correct else "bad"}" y="{top + 26}">'
            f"{escape(answer or '?')} {'✓' if correct else '✗'}</text>"
        )
    legend = "" if query is None else RING_LEGEND if weights is None else WEIGHTS_LEGEND
    return (
        f'<svg class="ring" viewBox="-138 -128 276 256" role="img" aria-label="{escape(title)}">'
        f'<defs><marker id="arrow" viewBox="0 0 10 10" refX="7" refY="5" markerWidth="11" '
        f'markerHeight="11" markerUnits="userSpaceOnUse" orient="auto">'
        f'<path d="M0 0 10 5 0 10z"/></marker></defs>'
        f"{''.join(lines)}{''.join(nodes)}{middle}</svg>{legend}"
    )


def _in_order(successor: dict[str, str]) -> list[str]:
    """Return the nodes along the ring, beginning with the first edge's source."""
    node = next(iter(successor))
    order = []
    while node not in order:
        order.append(node)
        node = successor[node]
    return order


def _path(successor: dict[str, str], query: Query | None) -> list[str]:
    if query is None:
        return []
    path = [query.start]
    for _ in range(min(query.difficulty, len(successor))):
        path.append(successor[path[-1]])
    return path


def _on_circle(turn: float) -> tuple[float, float]:
    angle = 2 * math.pi * turn - math.pi / 2
    return RADIUS * math.cos(angle), RADIUS * math.sin(angle)


def _beside(a: tuple[float, float], b: tuple[float, float], out: float) -> tuple[float, float]:
    """Return the point `out` outside the middle of an edge of the ring, which goes clockwise."""
    length = math.hypot(b[0] - a[0], b[1] - a[1]) or 1.0
    across = (b[1] - a[1]) / length, (a[0] - b[0]) / length
    return (a[0] + b[0]) / 2 + out * across[0], (a[1] + b[1]) / 2 + out * across[1]


def _weighed(weight: float) -> str:
    """Return an edge's style: orange above zero, blue below, and the broader the further away."""
    colour, size = ("--orange" if weight > 0 else "--blue"), min(abs(weight), 1.0)
    ink = f"color-mix(in srgb, var({colour}) {25 + 75 * size:.0f}%, var(--muted))"
    return f' style="stroke:{ink};stroke-width:{1.4 + 5 * size:.1f};opacity:1"'


def _arrow(
    a: tuple[float, float], b: tuple[float, float], gap: float, kind: str, look: str = ""
) -> str:
    length = math.hypot(b[0] - a[0], b[1] - a[1]) or 1.0
    ux, uy = (b[0] - a[0]) / length, (b[1] - a[1]) / length
    start, stop = gap + 1, gap + 3
    return (
        f'<path class="{kind}"{look} marker-end="url(#arrow)" '
        f'd="M{a[0] + ux * start:.1f} {a[1] + uy * start:.1f}'
        f'L{b[0] - ux * stop:.1f} {b[1] - uy * stop:.1f}"/>'
    )


def automaton(
    problem: Problem, query: Query | None, answer: str | None, *, correct: bool = False
) -> str:
    """Draw every string of a Rule 110 example and what becomes of it, one row a step.

    Of more than `MOST_ROWS` rows the middle ones are left out, and the note says so.

    Parameters
    ----------
    problem : Problem
        The example.
    query : Query or None
        The query whose string is set off.
    answer : str or None
        What the model would answer now.
    correct : bool
        Whether that is right.
    """
    config = problem.task.config
    strings = problem.strings
    pieces = []
    left_out = ""
    for number, bits in enumerate(strings, start=1):
        rows = history(bits, config.rollout, config.boundary)
        if len(rows) > MOST_ROWS:
            half = MOST_ROWS // 2
            left_out = f" Steps {half} to {len(rows) - half - 1} are left out."
            rows = np.concatenate([rows[:half], rows[-half:]])
        asked = query is not None and query.start == str(number)
        squares = (
            f'<path class="off" d="{_grid(*rows.shape)}"/>'
            f'<path class="on given" d="{_squares(rows[:1], 0)}"/>'
            f'<path class="on" d="{_squares(rows[1:], 1)}"/>'
        )
        last = len(rows) - 1
        mark = (
            f'<rect class="target" x="0" y="{last}" width="1" height="1"/>'
            f'<rect class="first-row" x="0" y="0" width="{rows.shape[1]}" height="1"/>'
        )
        reply = ""
        if asked and query is not None:
            reply = (
                f' <span class="{"good" if correct else "bad"}">would answer '
                f"{escape(answer or '?')} {'✓' if correct else '✗'}</span>"
            )
        pieces.append(
            f'<figure class="{"asked" if asked else ""}"><figcaption>string {number}{reply}'
            f'</figcaption><svg viewBox="-0.15 -0.15 {rows.shape[1] + 0.3} {len(rows) + 0.3}" '
            f'role="img" aria-label="string {number} and its {counted(config.rollout, "step")}">'
            f"{squares}{mark}</svg></figure>"
        )
    return (
        f'<div class="automaton">{"".join(pieces)}</div>'
        '<p class="note">The model reads only the framed first row. The answer is the framed cell '
        f"below it, {counted(config.rollout, 'step')} later.{left_out}</p>"
    )


def _squares(rows: np.ndarray, top: int) -> str:
    """Return an SVG path with a square for each 1 of ``rows [step, cell]``, the first at `top`."""
    return "".join(f"M{c} {r + top}h1v1h-1z" for r, c in np.argwhere(rows).tolist())


def _grid(rows: int, columns: int) -> str:
    """Return an SVG path with the lines between cells."""
    across = "".join(f"M0 {r}h{columns}" for r in range(rows + 1))
    return across + "".join(f"M{c} 0v{rows}" for c in range(columns + 1))


def history(bits: np.ndarray, steps: int, boundary: str) -> np.ndarray:
    """Return the cells after 0..steps steps of Rule 110, int8 [step, cell]."""
    pad = steps if boundary == "zero_background" else 0
    row = np.pad(bits.astype(np.int8), pad)
    rows = [row]
    for _ in range(steps):
        left, right = np.roll(row, 1), np.roll(row, -1)
        # 1 where centre or right is set, unless all three are
        row = (row | right) & (1 - (left & row & right))
        rows.append(row)
    history = np.stack(rows)
    return history[:, pad : history.shape[1] - pad]


def tokens(
    problem: Problem,
    spans: tuple[tuple[int, int], ...],
    awake: tuple[bool, ...],
    place: tuple[int, int],
    cached: range,
) -> str:
    """Draw the windows and their tokens: read and evicted, being read, still to come.

    Parameters
    ----------
    problem : Problem
        The example.
    spans : tuple of (int, int)
        Token range of each window.
    awake : tuple of bool
        Which windows are read awake.
    place : (int, int)
        Window and pass of the cursor.
    cached : range
        Tokens that the KV cache holds.
    """
    symbols = problem.symbols
    groups = _groups(problem)
    blocks = []
    for number, (start, stop) in enumerate(spans):
        if number < place[0]:
            held = sum(start <= i < stop for i in cached)
            words = "evicted" if not held else "partly evicted" if held < stop - start else "kept"
            state = "past"
        elif number > place[0]:
            state, words = "future", "to come"
        elif place[1] == 0:
            state, words = "now waiting", "next"
        else:
            state, words = "now", "awake" if awake[number] else "asleep"
        title = f"window {number + 1}"
        if not problem.batch.valid[0, start:stop].any():
            title += " (padding only)"  # a short context does not reach this far to the left
        chips = "".join(
            _chip(problem, symbols, range(max(a, start), min(b, stop)), cached, state == "past")
            for a, b in groups
            if a < stop and b > start
        )
        held = sum(start <= i < stop for i in cached)
        cache = f'<span class="kv">KV cache: {held}</span>' if held else ""
        blocks.append(
            f'<div class="window {state}"><h4>{title} {cache}<span>{words}</span></h4>'
            f'<div class="chips">{chips}</div></div>'
        )
    said = ""
    if problem.task.name == "depo":
        source, _, target = problem.context.split()[0].partition(">")
        pair, arrow = escape(f"{source} {target}"), escape(f"{source} → {target}")
        said = f'<p class="note">In the context, {pair} means {arrow}.</p>'
    return f'<div class="tokens">{"".join(blocks)}</div>{said}'


def _groups(problem: Problem) -> list[tuple[int, int]]:
    """Return token ranges that belong together: an edge, a query with its answer, one bit."""
    symbols, valid = problem.symbols, problem.batch.valid[0]
    if problem.task.name != "depo":
        return [(i, i + 1) for i in range(len(symbols))]
    groups, start, words = [], 0, 0
    single = problem.task.config.names == "single"
    for i, symbol in enumerate(symbols):
        if not valid[i] or (symbol.startswith("k=") and start < i):
            if start < i:
                groups.append((start, i))
            start = i
        if not valid[i]:
            groups.append((i, i + 1))
            start = i + 1
            continue
        words += single or symbol.endswith(".")
        if i < problem.task.context_tokens and words == 2:
            groups.append((start, i + 1))
            start, words = i + 1, 0
    if start < len(symbols):
        groups.append((start, len(symbols)))
    return groups


def _chip(problem: Problem, symbols: list[str], tokens: range, cached: range, past: bool) -> str:
    parts = []
    answer_of = problem.batch.answer_of[0]
    for i in tokens:
        text = symbols[i].removesuffix(".")
        kind = "t"
        if not problem.batch.valid[0, i]:
            kind, text = "t pad", "·"
        elif problem.task.name == "rule110" and i < problem.task.context_tokens:
            kind = f"t bit{' on' if text == '1' else ''}"
        elif answer_of[i] >= 0:
            kind = "t answer"
        elif text.startswith("k=") or text in ("ANS", "Q"):
            kind = "t mark"
        fate = " kept" if i in cached else " gone" if past else ""
        parts.append(f'<span class="{kind}{fate}">{escape(text)}</span>')
    padding = "" if problem.batch.valid[0, tokens[0]] else ' title="padding"'
    return f'<span class="chip"{padding}>{"".join(parts)}</span>'
