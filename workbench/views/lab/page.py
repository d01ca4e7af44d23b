"""The page Experiment: presets, their plan and the first steps in words; scripts do the rest.

The run folders hold the truth, and the page's address holds filters and selection: the server keeps
nothing of a visit. Runs are separate processes, which outlive this one. The process's one watch
(`workbench.lab.watch`) finds what changes; the page asks twice a second whether there is anything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Final, NamedTuple

from workbench.lab.runs import NAME
from workbench.lab.watch import Seen
from workbench.theatre.files import MODULE, WEB
from workbench.views.lab import rows as lab_rows
from workbench.views.lab import start
from workbench.views.parts.html import failure_html, script_of
from workbench.views.site.assets import asset, plotly
from workbench.views.site.entry import Document, Visit
from workbench.views.site.services import services

HERE: Final = Path(__file__).parent
LONGEST: Final = 100
SMOOTHING: Final = {"0": "none", "0.6": "some", "0.9": "much"}
"""Weights of earlier losses in the mean that is drawn."""
BODY: Final = """
<div class="lab"><h1 class="unseen">Experiment</h1>{problems}
<noscript><p class="failure">Starting and watching experiments needs JavaScript. Without it, use
<code>workbench train</code>, <code>workbench sweep</code> and <code>workbench runs</code> in a
terminal.</p></noscript>
<div class="column"><section class="panel"><h2>Start an experiment</h2>
<form class="lab-form" id="form" aria-label="New experiment" novalidate>{presets}{plan}</form>
</section></div>
<div class="column" id="right">
<div class="empty" id="empty"{some}><h2>No runs yet</h2><ol>
<li><b>Choose a question</b> in the form. An experiment trains small models that differ in one
thing, its arms, such as N, the number of passes of a sleep. Several seeds of each say how far
chance alone sets them apart.</li>
<li><b>Read the plan</b>: what is trained, how long it takes, what it can show and what not.</li>
<li><b>Press Start.</b> Each run becomes a separate process, which continues when you leave this
page or close the browser. Its curves appear here within seconds, its answer at the end.</li>
</ol></div>
<section class="panel" id="runs"{none}><h2>Runs</h2></section>
<p class="note" id="hint" role="status" hidden></p>
<section class="panel" id="shows" hidden><h2>What these runs show</h2>
<div class="shows" role="status"></div></section>
{figures}
<section class="panel" id="asleep" hidden><div class="row"><h2>Watch a run asleep</h2>
<label>Finished run <select></select></label></div>
<ul class="failure" id="problems" role="alert" hidden></ul></section>
<section class="panel" id="differences" hidden><h2>What differs in their configurations</h2>
<div></div></section>
</div></div>
"""
FIGURES: Final = {
    "learning": "Loss and accuracy while training",
    "against_n": "Accuracy against N",
}


class Wish(NamedTuple):
    """What a visitor wants to see: words in names, a state, an experiment, and selected runs."""

    text: str = ""
    state: str = ""
    sweep: str = ""
    names: tuple[str, ...] = ()


def document(visit: Visit) -> Document | None:
    """Return the page; what the selected runs have logged is drawn later.

    Raises WorkbenchError where this server has no folder of runs.
    """
    if visit.rest:
        return None
    shared = services()
    seen = shared.watch().look()
    wish, problems = wished(visit.query, seen)
    form = start.opened(shared)
    known = bool(seen.runs), bool(seen.runs or seen.trash)
    body = BODY.format(
        problems="".join(failure_html(f"{one[0].upper()}{one[1:]}.") for one in problems),
        presets=presets_html(form["presets"], form["preset"]),
        plan=plan_html(form["plan"]),
        some=" hidden" if known[0] else "",
        none="" if known[1] else " hidden",
        figures="".join(figure_html(name, title) for name, title in FIGURES.items()),
    )
    data = {
        "ask": visit.address("experiment/ask"),
        "plotly": visit.address(plotly()),
        "explore": visit.address("explore"),
        "web": visit.address(asset(WEB)),
        "theatre": {"module": visit.address(asset(MODULE)), "ask": visit.address("explore/ask")},
        "form": form,
        "wish": wish._asdict(),
        "runs": lab_rows.table(seen, wish.text, wish.state, wish.sweep),
    }
    names = ("page.js", "forms.js", "plots.js")
    scripts = [HERE.parent / "parts" / name for name in names]
    scripts += [HERE / name for name in ("lab_form.js", "run_table.js", "lab.js")]
    script = script_of("lab.js", *scripts)
    return Document("Experiment", body, (script,), (asset(HERE / "lab.css"),), data)


def wished(query: Mapping[str, str], seen: Seen) -> tuple[Wish, list[str]]:
    """Return what an address asks for, and what of it had to be left out, in sentences.

    Where it names no runs, those of the newest experiment are selected.
    """
    problems, chosen = [], {}
    for name, what, allowed in (
        ("state", "state", lab_rows.SHOWN_STATES),
        ("experiment", "experiment", lab_rows.sweeps_of(seen.runs)),
    ):
        chosen[name] = query.get(name, "")
        if chosen[name] and chosen[name] not in allowed:
            problems.append(f"there is no {what} {chosen[name][:LONGEST]!r}")
            chosen[name] = ""
    asked = {name: None for name in re.split(r"[, ]+", query.get("runs", "")) if name}
    found = [name for name in asked if NAME.fullmatch(name) and seen.run(name)]
    if gone := len(asked) - len(found):
        problems.append(
            f"{'a run' if gone == 1 else f'{gone} runs'} in the address "
            f"{'does' if gone == 1 else 'do'} not exist"
        )
    if not found and "runs" not in query:
        found = lab_rows.newest_sweep(seen.runs)
    text = query.get("text", "")[:LONGEST]
    return Wish(text, chosen["state"], chosen["experiment"], tuple(found)), problems


def presets_html(cards: Sequence[Mapping[str, str]], chosen: str) -> str:
    """Return the choice of a preset; nothing where there are none."""
    own = {"name": "", "title": "Something else", "time": "", "cannot": ""}
    own["shows"] = "Choose every setting yourself, below."
    each = "".join(
        f'<div class="preset"><input type="radio" name="preset" id="preset-{one["name"]}" '
        f'value="{one["name"]}" aria-describedby="preset-{one["name"]}-note"'
        f"{' checked' if one['name'] == chosen else ''}>"
        f'<label for="preset-{one["name"]}">{escape(one["title"])}'
        f"<small>{escape(one['time'])}</small></label>"
        f'<span class="hint" id="preset-{one["name"]}-note">{escape(one["shows"])}</span></div>'
        for one in [*cards, own]
    )
    legend = "<legend>What do you want to find out?</legend>"
    return f'<fieldset class="presets">{legend}{each}</fieldset>' if cards else ""


def plan_html(rows: Sequence[Sequence[str]]) -> str:
    """Return what will be trained, how long it takes and what it can show, as a list."""
    each = "".join(f"<dt>{escape(label)}</dt><dd>{escape(text)}</dd>" for label, text in rows)
    return f'<dl class="plan" aria-label="Plan">{each}</dl>'


def figure_html(name: str, title: str) -> str:
    """Return the place of a figure, with what can be done to it."""
    smoothing = ""
    if name == "learning":
        options = "".join(f'<option value="{v}">{text}</option>' for v, text in SMOOTHING.items())
        smoothing = f'<label>Smoothing <select id="smoothing">{options}</select></label>'
    buttons = "".join(
        f'<button type="button" class="button quiet" data-save="{kind}">{text}</button>'
        for kind, text in (("csv", "Data (CSV)"), ("svg", "SVG"), ("png", "PNG"))
    )
    return (
        f'<figure class="panel plot" id="{name}" aria-label="{title}" hidden><div class="row">'
        f'<h2>{title}</h2>{smoothing}{buttons}</div><div class="drawing"></div></figure>'
    )
