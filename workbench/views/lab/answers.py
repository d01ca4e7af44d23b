"""What the page Experiment asks: what there is to see, figures, data, actions, and its form."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from html import escape
from typing import Any, Final

from workbench.errors import WorkbenchError
from workbench.figures.panels import COLUMNS
from workbench.lab import actions
from workbench.lab.compare import Differences, differences
from workbench.lab.queue import ensure_queue
from workbench.lab.runs import Run
from workbench.lab.trash import empty_trash
from workbench.progress import Report
from workbench.theatre.asks import catalogue_of
from workbench.views.lab import rows as lab_rows
from workbench.views.lab import start
from workbench.views.lab.figures import Curves, curves_of
from workbench.views.parts.html import grid
from workbench.views.site.answering import Answering
from workbench.views.site.services import Services, services

Ask = dict[str, Any]

BORN: Final = secrets.token_hex(4)
"""Tells versions of this process from those of another that served the same page before."""
MOST_COMPARED: Final = 12
"""Runs whose configurations are compared; with more the table is wider than any page."""
NOTHING: Final = {
    False: "Select runs in the table to see their curves.",
    True: "The selected runs have logged nothing yet: curves begin with the first logged step.",
}


def routes() -> list[Any]:
    """Return the route, below the prefix."""
    return [(r"/experiment/ask", Answering, {"answer": answer})]


def answer(ask: Ask, progress: Report) -> dict[str, Any]:
    """Answer an ask.

    Raises WorkbenchError where it is not known, or this server has no folder of runs.
    """
    shared, kind = services(), text_of(ask, "kind")
    known: dict[str, Callable[[Ask, Services], dict[str, Any]]]
    known = {"look": look, "curves": curves, "csv": csv, "do": act}
    if kind in known:
        return known[kind](ask, shared)
    return start.answer(kind, ask, shared, progress)


def text_of(ask: Ask, name: str) -> str:
    """Return a text of an ask, "" where it has none."""
    found = ask.get(name, "")
    return found if isinstance(found, str) else ""


def names_of(ask: Ask, name: str) -> tuple[str, ...]:
    """Return a list of texts of an ask."""
    found = ask.get(name)
    return tuple(one for one in found if isinstance(one, str)) if isinstance(found, list) else ()


def look(ask: Ask, shared: Services) -> dict[str, Any]:
    """Return what there is to see, or only its version where the page has seen that.

    `until` are runs that the page has said something of; `going`: whether any of them goes on.
    """
    names = names_of(ask, "names")
    seen = shared.watch().follow(text_of(ask, "client"), names)
    version = f"{BORN}-{seen.version}"
    found = {"version": version}
    if ask.get("version") == version:
        return found
    going = any(run is not None and (run.state == "queued" or run.active)
                for run in map(seen.run, names_of(ask, "until")))  # fmt: skip
    drawn = _key(lab_rows.chosen(seen, names), shared, ask)
    text, state, sweep = (text_of(ask, name) for name in ("text", "state", "sweep"))
    table = lab_rows.table(seen, text, state, sweep)
    return {**found, "going": going, "drawn": drawn, **table}


def curves(ask: Ask, shared: Services) -> dict[str, Any]:
    """Return the figures of the selected runs, and what differs between them."""
    names = names_of(ask, "names")
    seen = shared.watch().follow(text_of(ask, "client"), names)
    chosen = lab_rows.chosen(seen, names)
    key = _key(chosen, shared, ask)
    found = _drawn(chosen, shared, ask)
    hint = found.note or ("" if found.figures or not seen.runs else NOTHING[bool(chosen)])
    known = shared.folders()
    done = [f"runs/{run.name}" for run in chosen if run.state == "finished"]
    html = ""
    if len(chosen) > 1:
        compared = differences(run.folder for run in chosen[:MOST_COMPARED])
        html = differences_html(compared, len(chosen))
    return {
        "drawn": key,
        "figures": found.figures,
        "hint": hint,
        "conclusion": found.conclusion,
        "differences": html,
        "finished": catalogue_of({name: known[name] for name in done if name in known}),
    }


def csv(ask: Ask, shared: Services) -> dict[str, Any]:
    """Return name and text of a file with the data of a figure, "learning" or "against_n"."""
    names = names_of(ask, "names")
    seen = shared.watch().follow(text_of(ask, "client"), names)
    name, text = _drawn(lab_rows.chosen(seen, names), shared, ask).csv(text_of(ask, "which"))
    return {"name": name, "text": text}


def act(ask: Ask, shared: Services) -> dict[str, Any]:
    """Stop, resume, kill, delete, restore or annotate runs; return what came of it in words."""
    watch, action, names = shared.watch(), text_of(ask, "action"), names_of(ask, "names")
    root, runs = watch.root, list(lab_rows.chosen(watch.look(), names))

    def queue() -> str:
        ensure_queue(root, shared.slots())
        return "A queue is starting."

    doings: dict[str, Callable[[], str]] = {
        "stop": lambda: actions.stop_runs(runs).words,
        "resume": lambda: actions.resume_runs(runs, root, shared.slots()).words,
        "kill": lambda: actions.kill_runs(runs).words,
        "delete": lambda: actions.delete_runs(runs).words,
        "note": lambda: actions.note_runs(runs, text_of(ask, "text")).words,
        "restore": lambda: actions.restore_runs(root, list(names)).words,
        "queue": queue,
        "empty": lambda: f"Removed for good: {empty_trash(root)} deleted.",
    }
    if action not in doings:
        raise WorkbenchError(f"action {action[:40]!r}", f"one of {', '.join(doings)}", "choose one")
    try:
        said = doings[action]()
    except (WorkbenchError, OSError) as error:
        said = f"That did not work: {error}"
    watch.look()
    return {"said": said}


def _drawn(chosen: tuple[Run, ...], shared: Services, ask: Ask) -> Curves:
    """Return the figures as an ask wants them: light or dark, and how many panels side by side."""
    watch, names = shared.watch(), [run.name for run in chosen]
    columns, smoothing = ask.get("columns"), ask.get("smoothing")
    return curves_of(
        chosen,
        watch.events_of(names),
        _key(chosen, shared, ask),
        "dark" if ask.get("theme") == "dark" else "light",
        columns=max(1, min(COLUMNS, columns)) if isinstance(columns, int) else COLUMNS,
        smoothing=smoothing if isinstance(smoothing, float) and 0 <= smoothing < 1 else 0.0,
    )


def _key(chosen: tuple[Run, ...], shared: Services, ask: Ask) -> str:
    """Return what changes when the figures do."""
    versions = shared.watch().versions(run.name for run in chosen)
    states = tuple(run.state for run in chosen)
    look = (str(ask.get(name)) for name in ("theme", "columns", "smoothing"))
    return f"{BORN}-{hash((versions, states, *look))}"


def differences_html(found: Differences, chosen: int) -> str:
    """Return what differs as a table, one column for each run."""
    notes = []
    if chosen > MOST_COMPARED:
        notes.append(f"The first {MOST_COMPARED} of {chosen} selected runs are compared.")
    if found.unreadable:
        notes.append(f"Cannot be read: {', '.join(found.unreadable)}.")
    same = f"{found.same} setting{' is' if found.same == 1 else 's are'} the same in all of them."
    notes.append(same if found.rows else f"Nothing: {same}")
    words = f'<p class="note">{escape(" ".join(notes))}</p>'
    if not found.rows:
        return words
    rows = [[name, *row] for name, row in found.rows.items()]
    return grid(["setting", *found.runs], rows, "Differences, scrollable") + words
