"""The home page: a sleep that plays at once, the story, how to start, and the models.

The words are in the HTML; the sleep comes through `workbench.views.explore`, and takes their place.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from workbench.paths import bundled_checkpoints
from workbench.progress import time_words
from workbench.tasks.phrases import level_words
from workbench.theatre.files import MODULE, WEB
from workbench.theatre.story import StoryScene, story, story_data
from workbench.views.home.catalogue import Accuracy, Entry, entries
from workbench.views.parts.html import failure_html
from workbench.views.site.assets import asset
from workbench.views.site.entry import Document, Visit
from workbench.views.site.glossary import words_html

STYLE: Final = Path(__file__).with_name("home.css")
MODEL: Final = "depo-n8-any"
PASSES: Final = 4
FIRST: Final = {"model": MODEL, "seed": 0, "example": 5, "N": PASSES}
"""The sleep that plays first, by the names of Explore's address."""

INTRODUCTION: Final = """
<div class="hero">
<h1>Language models that sleep</h1>
<p class="lead">A long text does not fit into a model’s KV cache, so the cache is emptied after
every window of it. The models here <b>sleep</b> first: they go over the window <i>N</i> times and
write what they need into a small memory, <b>S</b>. Then the text is gone, and they answer from
S.</p>
<p class="seen"><b>Below, one sleeps.</b> With each pass another answer turns right: 5 of 8 after
one pass, all 8 after four. The hardest questions come last.</p>
</div>
"""

PATHS: Final = """
<section class="page" aria-labelledby="start"><h2 id="start">How to start</h2>
<ul class="cards">
<li><a class="card" href="{explore}"><h3>Explore</h3>
<p>Play the sleep of any model on one screen, with your own text and any N. Look into S, change it
and see which answers follow, or ask what one answer depends on.</p></a></li>
<li><a class="card" href="{experiment}"><h3>Experiment</h3>
<p>Train small models yourself and watch the answer form: does more sleep help? A first result takes
two minutes.</p></a></li>
<li><a class="card" href="{findings}"><h3>Findings</h3>
<p>What recorded experiments say, question by question, with figures, how sure we are, and the
command that makes each one again.</p></a></li>
<li class="card"><h3>Notebooks</h3>
<p>Thirteen notebooks with exercises that check themselves, from a memory built by hand to a story
problem asleep: <code>python3 run.py lab</code></p></li>
<li class="card"><h3>Take it with you</h3>
<p>The story as one file that plays offline: <code>workbench export --story</code></p></li>
<li class="card"><h3>Reading</h3>
<p>The paper, <a href="https://arxiv.org/abs/2605.26099"><i>Do Language Models Need Sleep?</i></a>
(please cite it; CITATION.cff says how), and in the folder <code>docs</code>: method.md,
findings.md, architecture.md, gotchas.md.</p></li>
</ul></section>
"""

LINKS: Final = ("explore", "experiment", "findings")
"""Pages that the home page leads to."""

TABLES = (
    "The tables give the share of queries answered right on evaluation examples, by the number of "
    "passes that the model slept. The last rows, in italics, give the score without reading the "
    "context: of a guess, calculated, and as measured for the same model. Earlier answers of an "
    "example stay in view and give away much of a small ring; the best guess from them is one of "
    "these rows. The first query of an example has nothing before it, and its table opens below."
)
"""How to read the tables of the models."""


def document(visit: Visit) -> Document | None:
    """Return the home page."""
    return None if visit.rest else home(visit, entries())


def home(visit: Visit, found: list[Entry]) -> Document:
    """Return the home page with these models; without the first one nothing is played."""
    there = MODEL in bundled_checkpoints()
    parts = (
        INTRODUCTION,
        theatre_html(story().scene) if there else "",
        PATHS.format(**{name: escape(visit.address(name)) for name in LINKS}),
        models_html(visit, found),
    )
    if not there:
        return Document("", "".join(parts), styles=(asset(STYLE),))
    first = f"explore/first?{urlencode(FIRST)}"
    data = {
        "module": visit.address(asset(MODULE)),
        "ask": visit.address("explore/ask"),
        "first": visit.address(first),
        "catalogue": [{"name": MODEL, "passes": list(range(1, PASSES + 1))}],
        "settings": {"small": True, "play": True},
        "story": {"scenes": story_data(), "site": visit.address()},
        "keep": ["scene", "teacher"],
    }
    scripts = (asset(MODULE), asset(WEB))
    return Document("", "".join(parts), scripts, (asset(STYLE),), data, (first,))


def theatre_html(scenes: Iterable[StoryScene]) -> str:
    """Return the place of the theatre, with the story in words until it is there."""
    told = "".join(
        f"<li><h3>{escape(one.title)}</h3><p>{escape(one.sentence)}</p>"
        f"<p><b>{escape(one.question)}</b> {escape(' / '.join(one.choices))}</p>"
        f"<details><summary>Answer</summary><p>{escape(one.choices[one.right])}. "
        f"{escape(one.why)}</p></details></li>"
        for one in scenes
    )
    return (
        '<ul class="failure" id="problems" role="alert" hidden></ul>'
        '<div id="theatre" class="waiting"><section class="page told">'
        f"<h2>The story in six scenes</h2><ol>{told}</ol></section></div>"
    )


def models_html(visit: Visit, found: list[Entry]) -> str:
    """Return what is known of each model, folded."""
    cards = "".join(card_html(entry, visit) for entry in found) or (
        "<p>There are none yet. Train one with <code>workbench train "
        "data/configs/depo-n8-any.toml</code>.</p>"
    )
    return (
        '<section class="page models" aria-labelledby="models"><h2 id="models">Models</h2>'
        f"{cards}<details><summary>How to read the tables</summary><p>{TABLES}</p></details>"
        f"{words_html()}</section>"
    )


def card_html(entry: Entry, visit: Visit) -> str:
    """Return one model's card, or one that says why it cannot be read."""
    try:
        if not entry.problem:
            return entry_html(entry, visit)
        problem = entry.problem
    except Exception as error:  # whatever a folder holds, the page must open
        problem = f"{type(error).__name__}: {error}"
    said = failure_html(f"Cannot be read: {problem}")
    return f'<article class="model"><h3>{escape(entry.name)}</h3>{said}</article>'


def entry_html(entry: Entry, visit: Visit) -> str:
    """Return the card of a model that can be read: two lines, and the rest folded."""
    name = escape(entry.name)
    link = escape(visit.address("explore?" + urlencode({"model": entry.name})))
    table = accuracy_html(entry.accuracy, entry.name) if entry.accuracy else "<p>Not measured.</p>"
    if entry.accuracy and entry.accuracy.first:
        first = accuracy_html(entry.accuracy.first, f"{entry.name}, first queries")
        table += f"<details><summary>First query of each example alone</summary>{first}</details>"
    facts = "<br>".join(escape(fact) + "." for fact in facts_of(entry))
    return (
        f'<details class="model"><summary><b>{name}</b> {escape(entry.task)}; '
        f"{escape(entry.trained)}.</summary>"
        f'<div class="scroll" tabindex="0" role="group" aria-label="Scores of {name}">{table}</div>'
        f'<p class="small">{facts}</p>'
        f'<p><a class="button quiet" href="{link}">Play {name} in Explore</a></p></details>'
    )


def facts_of(entry: Entry) -> list[str]:
    """Return sentences on how a model was trained and measured, without their full stops."""
    budget, seed = entry.provenance.get("budget", {}), entry.provenance.get("seed")
    facts = []
    if budget:
        facts.append(
            f"{budget.get('parameters', 0):,} parameters, {budget.get('steps', 0):,} steps, "
            f"{time_words(budget.get('seconds', 0))} of training"
        )
    if entry.accuracy and entry.accuracy.count:
        facts.append(
            f"Measured on {entry.accuracy.count:,} evaluation examples, one training run"
            + (f" (seed {seed})" if seed is not None else "")
            + _interval_words(entry.accuracy)
        )
    return facts + entry.bits


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
