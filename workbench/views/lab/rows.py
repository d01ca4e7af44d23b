"""Runs as rows of a table: words for states, shares, filters."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import quote

from workbench.errors import WorkbenchError
from workbench.lab.actions import KILLED
from workbench.lab.arms import ARMS
from workbench.lab.runs import STATES, Run, configuration, scores_at_trained
from workbench.lab.watch import Seen, sweep_of
from workbench.task_config import task_kinds
from workbench.tasks.phrases import level_words, measure_of

STOPPING = "stopping"
SHOWN_STATES = ("queued", "starting", "running", STOPPING, *STATES[3:])
"""States as a person knows them, in the order of a run's life."""
TITLES = {arm.name: arm.title for arm in ARMS.values()}


def table(seen: Seen, text: str, state: str, sweep: str) -> dict[str, Any]:
    """Return what the table shows: the rows that fit the filters, and what is known of all runs."""
    present = {shown_state(run, seen) for run in seen.runs}
    return {
        "rows": rows(seen, arms=TITLES, text=text, state=state, sweep=sweep),
        "states": {run.name: shown_state(run, seen) for run in seen.runs},
        "total": len(seen.runs),
        "state_options": [s for s in SHOWN_STATES if s in present or s == state],
        "sweep_options": sweeps_of(seen.runs),
        "counts": counts(seen),
        "waiting": seen.waiting,
        "trash": list(seen.trash),
        "problem": seen.problem,
        "now": time.time(),
    }


def chosen(seen: Seen, names: Iterable[str]) -> tuple[Run, ...]:
    """Return those runs of these names that are there, in the order of the table."""
    wanted = set(names)
    return tuple(run for run in seen.runs if run.name in wanted)


def shown_state(run: Run, seen: Seen) -> str:
    """Return a run's state; it is stopping from the request until it has stopped."""
    return STOPPING if run.name in seen.stopping else run.state


def rows(
    seen: Seen, *, text: str = "", state: str = "", sweep: str = "", arms: dict[str, str]
) -> list[dict[str, Any]]:
    """Return the rows of those runs that fit every filter.

    Each word of `text` must be in a run's name, description or note; an empty `state` or `sweep`
    (an experiment) fits any. `arms` are the titles of arms.
    """
    found = []
    words = text.lower().split()
    for run in seen.runs:
        if (state and shown_state(run, seen) != state) or (sweep and sweep_of(run) != sweep):
            continue
        described = f"{run.name} {description(run, arms)} {run.note}".lower()
        if all(word in described for word in words):
            found.append(row(run, shown_state(run, seen), arms, again=run.name in seen.resuming))
    return found


def row(run: Run, state: str, arms: dict[str, str], *, again: bool = False) -> dict[str, Any]:
    """Return what the table shows of a run; `again`: it goes on once it has stopped."""
    share = min(run.step / run.steps, 1.0) if run.steps else 0.0
    tested, levels = _levels(run)
    return {
        "name": run.name,
        "sub": description(run, arms),
        "state": state,
        "word": "stopping, then going on" if again else _word(state, run.problem),
        "note": run.note,
        "watch": f"?model=runs/{quote(run.name)}" if state == "finished" else "",
        "problem": run.problem or "",
        "share": round(share, 4),
        "progress": f"{run.step:,} / {run.steps:,}" if run.steps else "",
        "loss": f"{run.loss:.3f}" if run.loss is not None else "",
        "tested": f"tested at N = {tested}" if tested else "",
        "levels": levels,
        "changed": round(run.changed, 1),
    }


def _levels(run: Run) -> tuple[str, list[list[Any]]]:
    """Return the N of the newest scores, and of each: its name, its words, its bar and its text.

    Shares right by difficulty; of a task with another measure, that one by group, without a bar.
    """
    unit, measure = _task_words(run)
    tested, scores = scores_at_trained(run, "bits" if measure else "accuracy")
    if measure:
        return tested, [[g, f"{measure}, {g}", 0, f"{v:.2f}"] for g, v in scores.items()]
    return tested, [
        [level, level_words(level, unit), round(value, 3), percent(value)]
        for level, value in scores.items()
    ]


def _word(state: str, problem: str | None) -> str:
    if state == "died" and (problem or "").startswith(KILLED):
        return "killed"
    return f"{state} ..." if state == STOPPING else state


def description(run: Run, arms: dict[str, str]) -> str:
    """Return arm, N, axes and seed in words; empty for a run outside experiments."""
    labels = run.labels
    if "arm" not in labels:
        return ""
    title = arms.get(str(labels["arm"]), str(labels["arm"]))
    if str(labels.get("n_train")) == "0":  # its one pass is read awake
        title = title.replace("N = 1", "N = 0")
    parts = [title]
    if "N = " not in title:
        parts.append(f"N = {labels.get('n_train', '?')}")
    elif "passes" in labels:
        parts.append(f"matched to N = {labels['passes']}")
    parts += [f"{key.rpartition('.')[2]} {value}" for key, value in labels.get("axes", {}).items()]
    return ", ".join([*parts, f"seed {labels.get('seed', '?')}"])


def percent(share: float) -> str:
    """Return a share as a whole per cent, 100 only where it is exact."""
    return "99" if 0.99 < share < 1 else f"{100 * share:.0f}"


def _task_words(run: Run) -> tuple[str, str]:
    """Return what the difficulty of a run's task is called, and its measure if it has another."""
    try:
        name = configuration(run.folder).task.name
    except WorkbenchError:
        return "difficulty", ""  # why it cannot be read is among the run's problems
    return str(task_kinds()[name].difficulty_name), measure_of(name)


def counts(seen: Seen) -> str:
    """Return how many runs are in each state, in words."""
    found = [shown_state(run, seen) for run in seen.runs]
    parts = [f"{found.count(state)} {state}" for state in SHOWN_STATES if state in found]
    return ", ".join(parts)


def sweeps_of(runs: Iterable[Run]) -> list[str]:
    """Return the experiments of runs, in their order."""
    return [name for name in dict.fromkeys(map(sweep_of, runs)) if name]


def newest_sweep(runs: Sequence[Run]) -> list[str]:
    """Return the runs of the newest experiment, or the newest run where it is in none."""
    if not runs:
        return []
    sweep = sweep_of(runs[0])
    return [run.name for run in runs if sweep_of(run) == sweep] if sweep else [runs[0].name]
