"""What stands below an answer: figures by address, numbers, data, and the command behind it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import plotly.graph_objects as go
import xarray as xr

from workbench.errors import WorkbenchError
from workbench.figures.lab.experiments import latency_against_n
from workbench.figures.lab.questions import question_figure
from workbench.figures.theme import Theme
from workbench.files import stamp
from workbench.lab.results import bundled
from workbench.measurements.base import Chart
from workbench.measurements.catalogue import measurement, measurements, tables
from workbench.measurements.records import damage_reported, read_measurement
from workbench.measurements.shelf import measurement_name
from workbench.once_cache import OnceCache
from workbench.theatre.csv_text import csv_of
from workbench.views.findings import sweeps
from workbench.views.findings.catalogue import LATENCY, PAPER, records_of
from workbench.views.parts.html import grid, select

BELONGS = {"probes": "steering"}
"""Measurements that are shown with another one of the same model, after its first figure."""
OMITS = (
    "<h2>What this does not show</h2><ul>"
    "<li><b>Decodable does not mean used.</b> A probe reads what is there; the model may never "
    "look at it. Steering tests that.</li>"
    "<li><b>Not decodable is not absent.</b> The probe is linear: a code that it cannot read may "
    "still be one.</li>"
    "<li><b>One trained model.</b> Intervals are over examples, never over training seeds.</li>"
    "</ul>"
)
"""Below probes."""
NOT_STEERED = (
    '<p class="note">Decodable does not mean used. Whether answers follow when S is moved along '
    "the probe's direction is another measurement, not made with this model yet.</p>"
)

_measured, _drawn = OnceCache(24), OnceCache(200)


class Measured(NamedTuple):
    """A measurement as read, with where it comes from."""

    data: xr.Dataset
    origin: dict[str, Any]
    path: Path

    def charts(self) -> list[Chart]:
        """Return its figures."""
        return measurement(str(self.data.attrs["kind"])).charts(self.data)


def measured(kind: str, end: str, root: Path | None) -> Measured:
    """Return the measurement at the end of an address.

    Raises WorkbenchError: there is none, or it is damaged.
    """
    known = records_of(kind, root)
    if end not in known:
        raise WorkbenchError(
            f"measurement {end[:60]!r} of {kind}", f"one of {', '.join(known) or 'none'}", "choose"
        )
    path = known[end][1]
    return _measured.get((path, stamp(path)), lambda: Measured(*read_measurement(path), path))


def part_html(at: str, options: Mapping[str, str], root: Path | None) -> str:
    """Return the HTML below the answer of a finding.

    Raises WorkbenchError: there is none at that path, or its record is damaged.
    """
    first, _, end = at.partition("/")
    if first == PAPER:
        return sweeps.published_html() or "<p>Its numbers cannot be read.</p>"
    if first == LATENCY:
        found = bundled.latency()
        said = found[1] if found else "Nothing is recorded."
        return f"<p>{escape(said)}</p>{_figure(at, 0, 'What an answer waits for', '', {})}"
    if first in measurements():
        with damage_reported(at):
            return _measurement_html(first, end, root)
    shown = sweeps.sweep(_record(first), options)
    question, _ = shown.answer(end.replace("-", "_"))
    html = shown.html(question.name)
    links = [("Data (CSV)", {"at": at, **options})]
    if shown.csv(question.name, "differences")[1]:
        links.append(("Differences (CSV)", {"at": at, "what": "differences", **options}))
    return (
        f"{html['means']}{_figure(at, 0, question.title, '', {})}"
        f"{_numbers(html['numbers'])}{_end(links, html['again'])}"
        f"<details><summary>What was run</summary>{html['about']}</details>"
    )


def _measurement_html(kind: str, end: str, root: Path | None) -> str:
    found = measured(kind, end, root)
    figures = [_chart(f"{kind}/{end}", n, one) for n, one in enumerate(found.charts())]
    other = BELONGS.get(kind)
    if other:
        same = _same_model(other, found, root)
        if same:
            more = measured(other, same, root)
            figures[1:1] = [_chart(f"{other}/{same}", n, c) for n, c in enumerate(more.charts())]
        else:
            figures[1:1] = [NOT_STEERED]
    numbers = "".join(
        f"<h3>{escape(title[:1].upper() + title[1:])}</h3>{grid(rows[0], rows[1:], title)}"
        for title, rows in tables(found.data).items()
    )
    attrs, origin = found.data.attrs, found.origin
    model = str(attrs["checkpoint"])
    settings = {k: v for k, v in origin["settings"].items() if v is not None}
    again = " ".join(f"--set {k}={json.dumps(v)}" for k, v in settings.items())
    links = [("Data (CSV)", {"at": f"{kind}/{end}"})]
    commit = (origin.get("commit") or {}).get("hash", "unknown")[:10]
    about = (
        f'<p class="sure"><b>How sure</b> {attrs["examples"]} evaluation examples of seed '
        f"{attrs['seed']}, N = {attrs['n_sleep']}; one trained model, so intervals say nothing "
        f"about other training seeds. Measured {escape(str(origin['created_at'])[:10])}, commit "
        f"{escape(commit)}, {escape(str(origin['machine'].get('processor')))}.</p>"
    )
    return (
        f"{about}<p>{escape(measurement(kind).says)}</p>{''.join(figures)}"
        # without figures the numbers are the answer
        f"{_numbers(numbers, opened=not figures)}{OMITS if kind == 'probes' else ''}"
        f"{_end(links, f'workbench measure {kind} {model} {again}')}"
    )


def _same_model(kind: str, found: Measured, root: Path | None) -> str:
    """Return the end of the address of another measurement of the same weights; "" without any."""
    weights = found.origin.get("checkpoint_sha256")
    for end in records_of(kind, root):
        if measured(kind, end, root).origin.get("checkpoint_sha256") == weights:
            return end
    return ""


def _chart(at: str, number: int, chart: Chart) -> str:
    return f"<h2>{escape(chart.title)}</h2>" + _figure(
        at, number, chart.title, chart.says, chart.choices
    )


def _figure(at: str, number: int, title: str, says: str, choices: Mapping[str, Any]) -> str:
    """Return the place of a figure, which the script draws once it comes into view."""
    selects = "".join(
        select(
            name.replace("sleep_", "").replace("_", " "),
            f'data-option="{escape(name)}"',
            {str(n): str(value) for n, value in enumerate(values)},
            str(len(values) - 1),
        )
        for name, values in choices.items()
    )
    return (
        f'<figure class="plot" data-at="{escape(at)}" data-number="{number}">'
        f"{f'<p>{escape(says)}</p>' if says else ''}"
        f'{f"""<div class="row choices">{selects}</div>""" if selects else ""}'
        f'<div class="drawing" role="img" aria-label="{escape(title)}; its numbers are in the '
        'table below" aria-busy="true"></div><figcaption class="row">'
        '<button type="button" class="button quiet" data-save="svg">SVG</button>'
        '<button type="button" class="button quiet" data-save="png">PNG</button>'
        "</figcaption></figure>"
    )


def _numbers(html: str, *, opened: bool = False) -> str:
    return f"<details{' open' if opened else ''}><summary>Numbers</summary>{html}</details>"


def _end(links: list[tuple[str, dict[str, str]]], again: str) -> str:
    each = "".join(
        f'<a class="button quiet" download data-query="{escape(urlencode(query))}">{label}</a>'
        for label, query in links
    )
    return (
        f'<div class="row data">{each}</div><h2>Make it again</h2>'
        f"<pre><code>{escape(again)}</code></pre>"
    )


def figure_json(
    at: str, number: int, theme: Theme, options: Mapping[str, str], root: Path | None
) -> str:
    """Return a figure of a finding as Plotly's JSON; what was drawn once is kept.

    `options` gives further axes of a sweep as text, or the place of each choice of a chart.

    Raises WorkbenchError: there is no such figure, or its record is damaged.
    """
    first, _, end = at.partition("/")
    if first == LATENCY:
        found = bundled.latency()
        if found is None:
            raise WorkbenchError("latencies that cannot be read", "a whole record", "make it again")
        return str(latency_against_n(found[0], theme=theme).to_json())
    if first in measurements():
        record: Any = measured(first, end, root)
        path = record.path
    else:
        path = _record(first)
    key = (path, stamp(path), at, number, theme, tuple(sorted(options.items())))

    def draw() -> str:
        if first in measurements():
            with damage_reported(str(path)):
                return str(_drawn_chart(record, number, theme, options).to_json())
        question, table = sweeps.sweep(path, options).answer(end.replace("-", "_"))
        return str(question_figure(question.figure, table, theme=theme).to_json())

    return _drawn.get(key, draw)


def _drawn_chart(
    record: Measured, number: int, theme: Theme, options: Mapping[str, str]
) -> go.Figure:
    charts = record.charts()
    if not 0 <= number < len(charts):
        raise WorkbenchError(f"figure {number}", f"0 to {len(charts) - 1}", "choose one")
    chart = charts[number]
    wanted: dict[str, Any] = {}
    for name, values in chart.choices.items():
        known = {str(place): value for place, value in enumerate(values)}
        place = options.get(name)
        if place is not None and place not in known:
            raise WorkbenchError(
                f"{name} = {place[:40]!r}", f"0 to {len(known) - 1}, a place in its list", "choose"
            )
        if place is not None:
            wanted[name] = known[place]
    return chart.draw(theme=theme, **wanted)


def csv_file(at: str, what: str, options: Mapping[str, str], root: Path | None) -> tuple[str, str]:
    """Return name and text of a file with a finding's numbers.

    Raises WorkbenchError: there is none at that path, or its record is damaged.
    """
    first, _, end = at.partition("/")
    if first in measurements():
        found = measured(first, end, root)
        return f"{measurement_name(found.path)}.csv", csv_of(found.data)
    return sweeps.sweep(_record(first), options).csv(end.replace("-", "_"), what)


def _record(name: str) -> Path:
    known = bundled.records()
    if name not in known:
        raise WorkbenchError(f"record {name[:60]!r}", f"one of {', '.join(known)}", "choose one")
    return known[name]
