"""The home page: what this is, how a sleep works, the apps, and the bundled checkpoints."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import panel as pn

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
    the cache is evicted. S alone crosses the boundary.</p>
    <p>When questions come, the model is <b>awake</b> and answers from S in a single pass. More
    sleep costs nothing then, yet it lets the model answer what takes several steps of
    thought.</p>
    <p><a class="button" href="stepper">Step through a sleep</a></p>
  </div>
  <figure>{DIAGRAM}</figure>
</section>
"""

WAYS_ON = """
<section>
  <h2>Where to go on</h2>
  <div class="cards">
    <a class="card" href="stepper"><h3>Stepper</h3>
    <p>Run a sleep one pass at a time. Watch the fast weights change, see what the model would
    answer if it woke now, and drag N to see the hard questions come right.</p></a>
    <a class="card" href="memory"><h3>Memory</h3>
    <p>Open the memory at any pass: which window, pass and token each part of S comes from, how
    long it stays, how many directions it uses, and what can be read from it.</p></a>
    <a class="card" href="interventions"><h3>Interventions</h3>
    <p>Change the memory yourself: patch another context's S in at any pass, whole or in parts, or
    erase it, and see at once which answers follow, beside controls.</p></a>
    <a class="card" href="attribution"><h3>Attribution</h3>
    <p>Ask what one answer is owed to: tokens, passes, heads or entries of S, by several methods,
    each with how far it misses adding up.</p></a>
    <a class="card" href="instruments"><h3>Instruments</h3>
    <p>What probes, patches, erasing and attribution found in the bundled models: which pass makes
    which hops decodable, whether the answers follow, and what S keeps of evicted text.</p></a>
    <a class="card" href="probes"><h3>Probes</h3>
    <p>What a linear decoder finds in S after each pass, beside its controls and baselines, and
    whether the answers follow when S is moved. Measure it anew with settings of your own.</p></a>
    <a class="card" href="lab"><h3>Lab</h3>
    <p>Train small models and watch the answer form: does more sleep help? Choose a task, arms and
    seeds; accuracy against N fills in with error bars and chance lines.</p></a>
    <a class="card" href="results"><h3>Results</h3>
    <p>Recorded sweeps with several seeds: more sleep at equal tokens and at equal compute, what
    happens at other N, and the paper's own numbers beside them.</p></a>
    <article class="card"><h3>Notebook</h3>
    <p><i>A memory you can write to</i>: build the fast weights by hand, with exercises that check
    themselves. In the project's folder: <code>python3 run.py lab</code></p></article>
    <article class="card"><h3>Reading</h3>
    <p>The paper: <a href="https://arxiv.org/abs/2605.26099"><i>Do Language Models Need
    Sleep?</i></a> (please cite it; CITATION.cff says how). In the project's folder
    <code>docs</code>: method.md, architecture.md and gotchas.md.</p></article>
  </div>
</section>
"""


def body(page: Any) -> pn.pane.HTML:
    """Return the home page's content; it asks nothing of Panel's `page`."""
    return pn.pane.HTML(
        page_html(entries()), stylesheets=[CSS], sizing_mode="stretch_width", margin=0
    )


def page_html(found: list[Entry]) -> str:
    """Return the home page as HTML."""
    cards = "".join(card_html(entry) for entry in found)
    if not cards:
        cards = (
            "<p>There are none yet. Train one with <code>workbench train "
            "data/configs/depo-n8-any.toml</code>.</p>"
        )
    return (
        f'<div class="home">{INTRODUCTION}{WAYS_ON}<section>{words_html()}</section>'
        "<section><h2>Checkpoints</h2>"
        "<p>The tables give the share of queries answered right on evaluation examples, by the "
        "number of passes that the model slept. The last rows, in italics, say what one scores "
        "without reading the context: by a guess, worked out, and as measured for the same "
        "model. Earlier answers of an example stay in view and give much of a small ring away: "
        "the best guess from them is one of these rows. The first query of an example has "
        "nothing before it, and has a table that opens below.</p>"
        f'<div class="cards wide">{cards}</div></section></div>'
    )


def card_html(entry: Entry) -> str:
    """Return one checkpoint's card, or one that says why there is none."""
    try:
        if not entry.problem:
            return entry_html(entry)
        problem = entry.problem
    except Exception as error:  # a folder may hold anything, and must not take the page with it
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
            f"{_duration(budget.get('seconds', 0))} of training"
        )
    if entry.accuracy and entry.accuracy.count:
        seed = entry.provenance.get("seed")
        facts.append(
            f"Measured on {entry.accuracy.count:,} evaluation examples, one training run"
            + (f" (seed {seed})" if seed is not None else "")
            + _interval_words(entry.accuracy)
        )
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
    """Return how far the 95 % intervals reach from the shares, at most."""
    reach = [
        max(share - low, high - share)
        for n, row in accuracy.intervals.items()
        for level, (low, high) in row.items()
        if (share := accuracy.rows[n].get(level)) is not None
    ]
    return f"; 95 % intervals reach at most {100 * max(reach):.1f} points" if reach else ""


def percent(share: float) -> str:
    """Return a share with one decimal, as its neighbours have; 99.96 % is not yet 100 %."""
    if 0.9995 <= share < 1:
        return "> 99.9 %"
    if 0 < share < 0.0005:
        return "< 0.1 %"
    return f"{100 * share:.1f} %"


def _duration(seconds: float) -> str:
    """Return how long training took, in words."""
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes"
