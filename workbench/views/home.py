"""The home page: what this is, how a sleep works, the apps, and the bundled checkpoints."""

from __future__ import annotations

from html import escape
from pathlib import Path
from urllib.parse import urlencode

import panel as pn

from workbench.views.catalogue import Accuracy, Entry, entries

CSS = Path(__file__).with_name("style.css").read_text(encoding="utf-8")
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

APPS = """
<section>
  <h2>Apps</h2>
  <div class="cards">
    <a class="card" href="stepper"><h3>Stepper</h3>
    <p>Run a sleep one pass at a time. Watch the fast weights change, see what the model would
    answer if it woke now, and drag N to see the hard questions come right.</p></a>
  </div>
</section>
"""


def body() -> pn.pane.HTML:
    """Return the home page's content."""
    return pn.pane.HTML(
        page_html(entries()), stylesheets=[CSS], sizing_mode="stretch_width", margin=0
    )


def page_html(found: list[Entry]) -> str:
    """Return the home page as HTML."""
    cards = "".join(entry_html(entry) for entry in found)
    if not cards:
        cards = (
            "<p>There are none yet. Train one with <code>workbench train "
            "data/configs/depo-n8-any.toml</code>.</p>"
        )
    return (
        f'<div class="home">{INTRODUCTION}{APPS}<section><h2>Checkpoints</h2>'
        "<p>Small models trained on one CPU core. The tables give the share of queries answered "
        "right on held-out examples; the last rows say what guessing would score.</p>"
        f'<div class="cards wide">{cards}</div></section></div>'
    )


def entry_html(entry: Entry) -> str:
    """Return one checkpoint's card."""
    name = escape(entry.name)
    if entry.problem:
        return (
            f'<article class="card"><h3>{name}</h3>'
            f'<p class="failure" role="alert">Cannot be read: {escape(entry.problem)}</p></article>'
        )
    link = "stepper?" + urlencode({"checkpoint": entry.name})
    table = accuracy_html(entry.accuracy, entry.name) if entry.accuracy else "<p>Not measured.</p>"
    budget = entry.provenance.get("budget", {})
    cost = ""
    if budget:
        cost = (
            f"{budget.get('parameters', 0):,} parameters, {budget.get('steps', 0):,} steps, "
            f"{budget.get('seconds', 0) / 60:.0f} minutes of training"
        )
    return (
        f'<article class="card"><h3><a href="{link}">{name}</a></h3>'
        f"<p>{escape(entry.task)}.<br>{escape(entry.trained[0].upper() + entry.trained[1:])}.</p>"
        f'{table}<p class="small">{escape(cost)}</p>'
        f'<p><a class="button quiet" href="{link}" aria-label="Step through {name}">'
        "Step through it</a></p></article>"
    )


def accuracy_html(accuracy: Accuracy, name: str) -> str:
    """Return accuracies by N and difficulty as a table, chance lines last."""
    one = {"hops": "hop", "rollout": "step"}.get(accuracy.difficulty, accuracy.difficulty)
    heads = "".join(
        f'<th scope="col">{level} {one}{"" if level == "1" else "s"}</th>'
        for level in accuracy.levels
    )
    rows = "".join(
        f'<tr><th scope="row">N = {n}</th>{_cells(row, accuracy.levels)}</tr>'
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


def _cells(row: dict[str, float], levels: tuple[str, ...]) -> str:
    return "".join(
        f'<td style="--share:{row[level]:.3f}">{percent(row[level])}</td>'
        if level in row
        else "<td></td>"
        for level in levels
    )


def percent(share: float) -> str:
    """Return a share as a person reads it: 12.5 % and 93 %, but 99.6 % is not yet 100 %."""
    text = f"{100 * share:.1f}"
    whole = text.endswith(".0") or 0.2 < share < 0.995
    return f"{100 * share:.0f} %" if whole and text != "100.0" else f"{text.removesuffix('.0')} %"
