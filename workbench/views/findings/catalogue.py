"""What there is to find: every question with its one-line answer and its address.

A question about a sweep is at ``RECORD/QUESTION``, one about a model at ``KIND/MODEL``. Answers
come from ``data/results/findings/answers.json``; those of other records are worked out when asked
for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from workbench.errors import WorkbenchError
from workbench.files import Stamp, file_sha256, stamp
from workbench.lab.results import bundled
from workbench.measurements.catalogue import measurement, measurements
from workbench.measurements.records import damage_reported, read_measurement
from workbench.measurements.shelf import bundled_records, checkpoint_name, finished, origin_of
from workbench.views.findings import sweeps

LATENCY, PAPER, MEASURE = "latency", "paper", "measure"
MODELS = "Inside a model"
MORE = "More"


@dataclass(frozen=True)
class Finding:
    """One question of the list.

    - path: below the page's address.
    - group: what it is listed under.
    - title, answer: the question, and its answer in one sentence; "" where it is not known yet.
    - record: file of the numbers; None where there is none.
    - kind: name of the measurement, or "sweep", or of another entry.
    - sure: how sure the answer is.
    - axes: further axes of a sweep with their values; the answer is at the first of each.
    """

    path: str
    group: str
    title: str
    answer: str
    kind: str
    record: Path | None = None
    sure: str = ""
    axes: Mapping[str, list[str]] = field(default_factory=dict)


@lru_cache(maxsize=200)
def _digest(path: Path, changed: Stamp) -> str:
    return file_sha256(path)


@lru_cache(maxsize=1)
def _answers(changed: Stamp) -> dict[str, Any]:
    return bundled.answers()


def _known(part: str, name: str, path: Path) -> Any:
    """Return what ``answers.json`` has of a record as it is now, or None."""
    try:
        found = _answers(stamp(bundled.answers_file()))[part].get(name)
    except WorkbenchError:  # the file is missing
        return None
    fresh = found is not None and found["sha256"] == _digest(path, stamp(path))
    return found if fresh else None


def of_sweep(name: str, path: Path) -> list[Finding]:
    """Return the questions that a sweep answers."""
    known = _known("sweeps", name, path)
    if known is None:
        one = sweeps.sweep(path)
        known = {"title": one.record["title"], "axes": one.options, "questions": one.rows()}
    return [
        Finding(
            f"{name}/{dashed(row['name'])}",
            known["title"],
            row["title"],
            row["answer"],
            "sweep",
            path,
            row["sure"],
            known["axes"],
        )
        for row in known["questions"]
    ]


def dashed(name: str) -> str:
    """Return a name as addresses have it."""
    return name.replace("_", "-")


def records_of(kind: str, root: Path | None) -> dict[str, tuple[str, Path]]:
    """Return the measurements of a kind: the end of each address -> its words and file.

    Bundled ones come first, then those made here, newest first.
    """
    found: dict[str, tuple[str, Path]] = {}
    for name, path in bundled_records(kind).items():
        if not (origin := origin_of(path)).checkpoint:
            continue  # it cannot be read
        model = checkpoint_name(origin.checkpoint)
        more = name.removeprefix(f"{kind}-{model}").strip("-").replace("-", " ")
        found[name.removeprefix(f"{kind}-")] = f"{model}, {more}" if more else model, path
    for one in finished(root, kinds=(kind,)):
        words = f"here: {checkpoint_name(one.checkpoint)}, {one.words} ({one.key[-6:]})"
        found[one.key] = words, one.result
    return found


def of_kind(kind: str, end: str, root: Path | None) -> Finding:
    """Return the question of a measurement, about the record at the end of its address."""
    known, found = records_of(kind, root), measurement(kind)
    title = found.asks or found.title
    if not known:
        return Finding(f"{MEASURE}?kind={kind}", MODELS, title, "Not measured yet.", kind)
    end = end if end in known else next(iter(known))
    path = known[end][1]
    if written := _known("measurements", path.stem, path):
        answer = written["answer"]
    else:
        answer = concluded(path)
    return Finding(f"{kind}/{end}", MODELS, title, answer, kind, path)


def concluded(path: Path) -> str:
    """Return the one-line answer of a measurement."""
    data, _ = read_measurement(path)
    with damage_reported(str(path)):
        return measurement(str(data.attrs["kind"])).concludes(data)


def catalogue(root: Path | None, here: Mapping[str, str] | None = None) -> list[Finding]:
    """Return every question in the order of the list; a damaged record is one line.

    `here` gives the end of the address of a kind whose model is chosen.
    """
    found: list[Finding] = []
    for name, path in bundled.records().items():
        try:
            found += of_sweep(name, path)
        except WorkbenchError as error:
            found.append(Finding(name, name, "This record cannot be read", str(error), "damaged"))
    for kind in measurements():
        try:
            found.append(of_kind(kind, (here or {}).get(kind, ""), root))
        except WorkbenchError as error:
            found.append(Finding(kind, MODELS, measurement(kind).title, str(error), "damaged"))
    others = {
        LATENCY: ("What does an answer wait for?", sweeps.latency_answer()),
        PAPER: ("What does the paper report?", "Its own numbers, with their caveats."),
        MEASURE: ("Measure a model yourself", "Any measurement, on any model that is here."),
    }
    return found + [Finding(name, MORE, *words, name) for name, words in others.items()]


def from_old(query: Mapping[str, str]) -> str:
    """Return the path that the query of an old address meant; "" for the first question."""
    if name := query.get("record", ""):
        return name
    if name := query.get("measurement", ""):
        kind = name.partition("-")[0]
        return f"{kind}/{name.removeprefix(f'{kind}-') if name in bundled_records() else name}"
    if name := query.get("checkpoint", ""):  # of the page of probes
        return f"probes/{name}"
    return ""
