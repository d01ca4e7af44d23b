"""The home page: what this is, how a sleep works, the apps, and the bundled checkpoints."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import panel as pn

from workbench.progress import time_words
from workbench.tasks.phrases import level_words
from workbench.views.home.catalogue import Accuracy, Entry, entries
from workbench.views.parts.components import CSS
from workbench.views.site.glossary import words_html

DIAGRAM = Path(__file__).with_name("loop.svg").read_text(encoding="utf-8")

INTRODUCTION = f"""
<section class="hero">
  <div class="words">
    <h1>Language models that sleep</h1>
    <p>A language model holds the text it is reading in a <b>KV cache</b>, one entry per token.
    Long texts do not fit, so the cache is emptied after every <b>window</b>, and what it held
    is lost.</p>
    <p>The models here <b>sleep</b> first. Asleep, a model goes over its window again and again,
    <b>N passes</b>, and each pass rewrites a small matrix memory: the <b>fast weights</b> S. Then
    the cache is evicted, and only S crosses the boundary.</p>
    <p>When questions come, the model is <b>awake</b> and answers from S in a single pass. More
    sleep costs nothing then, yet it lets the model answer questions that take several steps of
    thought.</p>
    <p><a class="button" href="stepper">Step through a sleep</a></p>
  </div>
  <figure>{DIAGRAM}</figure>
</section>
"""

CARDS = {
    "explore": (
        "Explore",
        "Play a whole sleep on one screen: the text, what the KV cache forgets, the memory and the "
        "answers, pass by pass. Type your own input, or change N, and compare.",
    ),
    "stepper": (
        "Stepper",
        "Run a sleep one pass at a time. Watch the fast weights change, see what the model would "
        "answer if it woke now, and drag N to see the hard questions come right.",
    ),
    "memory": (
        "Memory",
        "Open the memory at any pass: which window, pass and token each part of S comes from, how "
        "long it stays, how many directions it uses, and what can be read from it.",
    ),
    "interventions": (
        "Interventions",
        "Change the memory yourself: patch in another context's S at any pass, whole or in parts, "
        "or erase it, and see at once which answers follow, compared with controls.",
    ),
    "attribution": (
        "Attribution",
        "Find out what one answer depends on: tokens, passes, heads or entries of S, by several "
        "methods, each with how far it misses adding up.",
    ),
    "instruments": (
        "Instruments",
        "What probes, patches, erasing and attribution found in the bundled models: which pass "
        "makes which hops decodable, whether the answers follow, and what S keeps of evicted text.",
    ),
    "probes": (
        "Probes",
        "What a linear decoder finds in S after each pass, next to its controls and baselines, and "
        "whether the answers follow when S is moved. Measure it again with your own settings.",
    ),
    "experiment": (
        "Experiment",
        "Train small models and watch the answer form: does more sleep help? Choose a question, "
        "read the plan, and start; the answer comes with how sure it is.",
    ),
    "results": (
        "Results",
        "Recorded sweeps with several seeds: more sleep at equal tokens and at equal compute, what "
        "happens at other N, and the paper's own numbers next to them.",
    ),
}
"""Link -> title and text of a page's card."""

ELSEWHERE = """
<article class="card"><h3>Notebook</h3>
<p><i>A memory you can write to</i>: build the fast weights by hand, with exercises that check
themselves. In the project's folder: <code>python3 run.py lab</code></p></article>
<article class="card"><h3>Reading</h3>
<p>The paper: <a href="https://arxiv.org/abs/2605.26099"><i>Do Language Models Need
Sleep?</i></a> (please cite it; CITATION.cff says how). In the project's folder
<code>docs</code>: method.md, architecture.md and gotchas.md.</p></article>
"""

TABLES = (
    "The tables give the share of queries answered right on evaluation examples, by the number of "
    "passes that the model slept. The last rows, in italics, give the score without reading the "
    "context: of a guess, calculated, and as measured for the same model. Earlier answers of an "
    "example stay in view and give away much of a small ring; the best guess from them is one of "
    "these rows. The first query of an example has nothing before it, and its table opens below."
)
"""How to read the tables of the checkpoints."""


def body(page: Any) -> pn.pane.HTML:
    """Return the home page's content, which does not depend on Panel's `page`."""
    return pn.pane.HTML(
        page_html(entries()), stylesheets=[CSS], sizing_mode="stretch_width", margin=0
    )


def page_html(found: list[Entry]) -> str:
    """Return the home page as HTML."""
    ways = "".join(
        f'<a class="card" href="{link}"><h3>{title}</h3><p>{text}</p></a>'
        for link, (title, text) in CARDS.items()
    )
    cards = "".join(card_html(entry) for entry in found) or (
        "<p>There are none yet. Train one with <code>workbench train "
        "data/configs/depo-n8-any.toml</code>.</p>"
    )
    return (
        f'<div class="home">{INTRODUCTION}<section><h2>What you can do here</h2>'
        f'<div class="cards">{ways}{ELSEWHERE}</div></section><section>{words_html()}</section>'
        f'<section><h2>Checkpoints</h2><p>{TABLES}</p><div class="cards wide">{cards}</div>'
        "</section></div>"
    )


def card_html(entry: Entry) -> str:
    """Return one checkpoint's card, or one that says why it cannot be read."""
    try:
        if not entry.problem:
            return entry_html(entry)
        problem = entry.problem
    except Exception as error:  # whatever a folder holds, the page must open
        problem = f"{type(error).__name__}: {error}"
    return (
        f'<article class="card"><h3>{escape(entry.name)}</h3>'
        f'<p class="failure" role="alert">Cannot be read: {escape(problem)}</p></article>'
    )


def entry_html(entry: Entry) -> str:
    """Return the card of a checkpoint that can be read."""
    name = escape(entry.name)
    link = "stepper?" + urlencode({"checkpoint": entry.name})
    table = accuracy_html(entry.accuracy, entry.name) if entry.accuracy else "<p>Not measured.</p>"
    if entry.accuracy and entry.accuracy.first:
        first = accuracy_html(entry.accuracy.first, f"{entry.name}, first queries")
        table += f"<details><summary>First query of each example alone</summary>{first}</details>"
    budget = entry.provenance.get("budget", {})
    facts = []
    if budget:
        facts.append(
            f"{budget.get('parameters', 0):,} parameters, {budget.get('steps', 0):,} steps, "
            f"{time_words(budget.get('seconds', 0))} of training"
        )
    if entry.accuracy and entry.accuracy.count:
        seed = entry.provenance.get("seed")
        facts.append(
            f"Measured on {entry.accuracy.count:,} evaluation examples, one training run"
            + (f" (seed {seed})" if seed is not None else "")
            + _interval_words(entry.accuracy)
        )
    facts += entry.bits
    return (
        f'<article class="card"><h3><a href="{link}">{name}</a></h3>'
        f"<p>{escape(entry.task)}.<br>{escape(entry.trained[0].upper() + entry.trained[1:])}.</p>"
        f'{table}<p class="small">{"<br>".join(escape(fact) + "." for fact in facts)}</p>'
        f'<p><a class="button quiet" href="{link}" aria-label="Step through {name}">'
        "Step through it</a></p></article>"
    )


def accuracy_html(accuracy: Accuracy, name: str) -> str:
    """Return accuracies by N and difficulty as a table, chance lines last."""
    heads = "".join(
        f'<th scope="col">{escape(level_words(level, accuracy.difficulty))}</th>'
        for level in accuracy.levels
    )
    rows = "".join(
        f'<tr><th scope="row">N = {escape(n)}</th>'
        f"{_cells(row, accuracy.levels, accuracy.intervals.get(n))}</tr>"
        for n, row in accuracy.rows.items()
    )
    chance = "".join(
        f'<tr class="chance"><th scope="row">{escape(line)}</th>{_cells(row, accuracy.levels)}</tr>'
        for line, row in accuracy.chance.items()
    )
    return (
        f'<table class="accuracy" aria-label="Accuracy of {escape(name)}"><thead><tr>'
        f'<th scope="col">passes</th>{heads}</tr></thead><tbody>{rows}{chance}</tbody></table>'
    )


def _cells(
    row: dict[str, float],
    levels: tuple[str, ...],
    intervals: dict[str, tuple[float, float]] | None = None,
) -> str:
    cells = []
    for level in levels:
        if level not in row:
            cells.append("<td></td>")
            continue
        title = ""
        if intervals and level in intervals:
            low, high = intervals[level]
            title = f' title="95 % interval: {100 * low:.1f} to {100 * high:.1f} %"'
        share = f'style="--share:{row[level]:.3f}"'
        cells.append(f"<td {share}{title}>{escape(percent(row[level]))}</td>")
    return "".join(cells)


def _interval_words(accuracy: Accuracy) -> str:
    """Return the largest distance from a share to an end of its 95 % interval, in words."""
    reach = [
        max(share - low, high - share)
        for n, row in accuracy.intervals.items()
        for level, (low, high) in row.items()
        if (share := accuracy.rows[n].get(level)) is not None
    ]
    return f"; 95 % intervals reach at most {100 * max(reach):.1f} points" if reach else ""


def percent(share: float) -> str:
    """Return a share with one decimal; 99.96 % does not become 100 %."""
    if 0.9995 <= share < 1:
        return "> 99.9 %"
    if 0 < share < 0.0005:
        return "< 0.1 %"
    return f"{100 * share:.1f} %"
