"""The document of a finding: all questions at the side, and the one that is asked with its answer.

Figures and numbers come later: the script asks `workbench.views.findings.routes` for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from workbench.measurements import fields
from workbench.measurements.catalogue import measurements
from workbench.views.findings import sweeps
from workbench.views.findings.catalogue import (
    MEASURE,
    Finding,
    catalogue,
    dashed,
    from_old,
    records_of,
)
from workbench.views.parts.html import failure_html, script_of, select
from workbench.views.site.assets import asset, plotly
from workbench.views.site.entry import Document, Visit
from workbench.views.site.services import services

HERE = Path(__file__).parent
PARTS = HERE.parent / "parts"
SCRIPTS = (*(PARTS / name for name in ("page.js", "forms.js", "plots.js")), HERE / "findings.js")
LINK = "findings"
WEIGHTS = {
    "stands": "p < 0.05 by Welch's t test, corrected for all differences of the record",
    "t interval": "only its own 95 % interval leaves out zero, without that correction",
    "not shown": "its interval includes zero",
}
"""How much a difference weighs, as answers have it, in words."""


def document(visit: Visit) -> Document | None:
    """Return the page of what an address names; None where there is no such question."""
    path = visit.rest or from_old(visit.query)
    first, _, end = path.partition("/")
    root = services().runs
    listed = catalogue(root, {first: end})
    found, missing = chosen(listed, path), []
    measured = found is not None and found.kind in measurements() and end
    if found is None or measured and end not in records_of(found.kind, root):
        found = None if visit.rest else found or chosen(listed, "")  # an old address
        missing.append(f"finding {path[:60]!r}")
    if found is None:
        return None
    shown = {name: values[0] for name, values in found.axes.items()}
    for name, values in found.axes.items():
        if (text := visit.query.get(name, values[0])) in values:
            shown[name] = text
        else:
            missing.append(f"{name} = {text[:40]}")
    kind = visit.query.get("kind") if found.kind == MEASURE else None
    if kind and kind not in measurements():
        missing.append(f"measurement {kind[:40]!r}")
    note = "".join(failure_html(f"There is no {one}.") for one in missing)
    if any(shown[name] != values[0] for name, values in found.axes.items()):
        found = at_axes(found, shown)
    part = f"{LINK}/part?{urlencode({'at': found.path, **shown})}"
    data = {
        "part": visit.address(f"{LINK}/part"),
        "figure": visit.address(f"{LINK}/figure"),
        "data": visit.address(f"{LINK}/data"),
        "ask": visit.address(f"{LINK}/ask"),
        "page": visit.address(LINK),
        "plotly": visit.address(plotly()),
        "at": found.path,
        "options": shown,
    }
    if found.kind == MEASURE:
        data["measure"] = _measure(visit.query)
        inner = _measure_html(found, root)
    else:
        inner = _finding_html(found, listed, visit, shown, root)
    body = (
        f'<div class="findings"><details class="questions" open><summary>All questions</summary>'
        f"{_list_html(listed, found, visit)}</details>"
        f'<article id="finding" tabindex="-1">{note}{inner}</article></div>'
    )
    return Document(
        found.title,
        body,
        scripts=(script_of("findings.js", *SCRIPTS),),
        styles=(asset(HERE / "findings.css"),),
        data=data,
        fetches=() if found.kind in (MEASURE, "damaged") else (part,),
    )


def chosen(listed: Iterable[Finding], path: str) -> Finding | None:
    """Return what a path means; a record or kind alone is its first question."""
    every = list(listed)
    for one in every:
        if one.path == path:
            return one
    first, _, end = path.partition("/")
    if not end or first in measurements():
        head = [one for one in every if not path or one.path.split("/")[0] == first]
        head += [one for one in every if one.kind == first]
        return head[0] if head else None
    return None


def at_axes(found: Finding, shown: Mapping[str, str]) -> Finding:
    """Return a question with its answer at other values of the sweep's further axes."""
    assert found.record is not None
    name = found.path.partition("/")[2]
    for row in sweeps.sweep(found.record, shown).rows():
        if dashed(row["name"]) == name:
            return replace(found, answer=row["answer"], sure=row["sure"])
    return replace(found, answer="Not answered at these values.", sure="")


def _list_html(listed: list[Finding], here: Finding, visit: Visit) -> str:
    groups = []
    for title, members in groupby(listed, key=lambda one: one.group):
        each = list(members)
        inside = any(one is here for one in each)
        rows = "".join(
            f'<li><a href="{escape(visit.address(f"{LINK}/{one.path}"))}"'
            f"{' aria-current=page' if one is here else ''}><b>{escape(one.title)}</b>"
            f"<span>{escape(one.answer)}</span></a></li>"
            for one in each
        )
        groups.append(
            f"<details{' open' if inside else ''}><summary>{escape(title)}</summary>"
            f"<ul>{rows}</ul></details>"
        )
    return (
        '<div class="search"><input type="search" placeholder="Search all questions  ( / )" '
        'aria-label="Search all questions" autocomplete="off" spellcheck="false">'
        '<p class="note" role="status" hidden></p></div>'
        f'<nav aria-label="Questions">{"".join(groups)}</nav>'
    )


def _finding_html(
    found: Finding, listed: list[Finding], visit: Visit, shown: dict[str, str], root: Path | None
) -> str:
    kicker = found.group
    if found.kind == "damaged":
        return f"<h1>{escape(found.title)}</h1>{failure_html(found.answer)}"
    sure = f'<p class="sure"><b>How sure</b> {escape(found.sure)}</p>' if found.sure else ""
    weights = [
        f'"{name}": {words}' for name, words in WEIGHTS.items() if f"({name})" in found.answer
    ]
    if weights:
        sure += f'<p class="sure">{escape("; ".join(weights))}.</p>'
    return (
        f'<p class="kicker">{escape(kicker)}</p><h1>{escape(found.title)}</h1>'
        f'<p class="lead answer">{escape(found.answer)}</p>{sure}'
        f"{_choices_html(found, listed, visit, shown, root)}"
        '<div id="part" aria-busy="true"><p class="waiting" role="status">Reading the record …</p>'
        "</div>"
    )


def _choices_html(
    found: Finding, listed: list[Finding], visit: Visit, shown: dict[str, str], root: Path | None
) -> str:
    """Return what else the question can be asked of: another sweep, axis, model or record."""
    rows = []
    if found.kind == "sweep" and found.record is not None:
        end = found.path.partition("/")[2]
        others = {one.path: one.group for one in listed if one.path.partition("/")[2] == end}
        if len(others) > 1:
            rows.append(select("Sweep", 'data-choice="path"', others, found.path))
        for name, values in found.axes.items():
            choice = f'data-choice="axis:{escape(name)}"'
            rows.append(select(name, choice, {v: v for v in values}, shown[name]))
    elif found.record is not None:
        known = records_of(found.kind, root)
        paths = {f"{found.kind}/{end}": words for end, (words, _) in known.items()}
        rows.append(select("Model", 'data-choice="path"', paths, found.path))
        link = visit.address(f"{LINK}/{MEASURE}") + f"?{urlencode({'kind': found.kind})}"
        rows.append(f'<a href="{escape(link)}">Measure another model</a>')
    return f'<div class="row choices">{"".join(rows)}</div>' if rows else ""


def _measure(query: Mapping[str, str]) -> dict[str, Any]:
    """Return what the form of measurements is built from."""
    kinds, folders = measurements(), list(services().folders())
    return {
        "kinds": [[name, one.title] for name, one in kinds.items()],
        "fields": {name: fields.spec(name) for name in kinds},
        "values": {name: fields.defaults(name) for name in kinds},
        "checkpoints": folders,
        "kind": query.get("kind") if query.get("kind") in kinds else next(iter(kinds)),
        "checkpoint": query.get("checkpoint", "") or next(iter(folders), ""),
    }


def _measure_html(found: Finding, root: Path | None) -> str:
    about = (
        "On evaluation examples, with the model and settings that you choose. The same request is "
        "measured once; its result is kept in the folder of runs until you measure it again."
    )
    if root is None:
        about = (
            "This server starts no processes, because it does not know who can reach it. Open this "
            "page with <code>workbench serve</code>, or measure in a terminal: "
            "<code>workbench measure lens depo-n8-any</code>"
        )
    form = '<div id="measure"></div><div id="part" hidden></div>' if root is not None else ""
    return f'<h1>{escape(found.title)}</h1><p class="lead">{about}</p>{form}'
