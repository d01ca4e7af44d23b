"""The form that starts an experiment: what was typed is checked at once, its cost counted later.

Counting FLOPs takes a thread seconds, so it is a separate ask, which the page gives up when
something else has been typed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from workbench.errors import WorkbenchError
from workbench.lab.estimate import Work, estimate, speeds, work_of
from workbench.lab.presets import Preset, presets
from workbench.lab.presets import choices as preset_choices
from workbench.lab.presets import work_of as preset_work
from workbench.lab.proposal import (
    Checked,
    Choices,
    check,
    free_name,
    points_of,
    propose,
    starting_point,
)
from workbench.lab.queue import ensure_queue
from workbench.lab.settings import values_of
from workbench.lab.supervise import request_all
from workbench.progress import Report
from workbench.task_config import task_kinds
from workbench.tasks.phrases import counted
from workbench.views.lab import words as lab_words
from workbench.views.site.services import Services

FIRST = ("depo-n8-n4", "rule110-w12-t8-n3")
"""Starting points that are proposed first for their tasks."""
QUICK = {"training.compile": "false", "training.log_every": "5"}
"""What a form sets differently, so that the first point comes soon, without a compiler's wait."""
REFUSED = "Nothing was started."

State = dict[str, Any]
"""What changes in the form:

- `spec`, `values`: what it asks for, and what its fields hold from now on
- `problems`: what is wrong, by field; `refused`: the first of them gets the focus
- `preset`: which preset the fields are now; "" for none
- `plan`: label and sentence: what is trained, how long, what for
- `preview`: what is being counted, or why nothing was started; `busy`: whether it is being counted
- `count`: whether to ask for that now
- `started`, `said`: names of the runs that were asked for, and a sentence, which is true until
  those named in `until` have ended
"""


def opened(shared: Services) -> State:
    """Return the form as a visitor finds it, with the presets and the time each takes here."""
    known = speeds(shared.watch().seen.runs)
    cards = lab_words.preset_cards(known, shared.slots().cores)
    if first := next(iter(presets().values()), None):
        found = _taken(first, shared)
    else:
        task = next(iter(task_kinds()))
        found = _filled(task, _first(task), Choices("", ""), shared)
    usual = {"plan": [], "preset": "", "preview": "", "busy": False}
    return {**usual, "presets": cards, **found}


def answer(kind: str, message: dict[str, Any], shared: Services, progress: Report) -> State:
    """Return what changes in the form when it asks for something.

    Raises WorkbenchError where the ask is not known.
    """
    choices, task = lab_words.choices_of(message), str(message.get("task"))
    preset = presets().get(str(message.get("preset")))
    known: dict[str, Callable[[], State]] = {
        "change": lambda: _judged(choices, shared),
        "count": lambda: _counted(choices, shared, progress),
        "start": lambda: _started(choices, shared, task),
    }
    if preset is not None:
        known["preset"] = lambda: _taken(preset, shared)
    if task in task_kinds():
        known["task"] = lambda: _filled(task, _first(task), choices, shared)
        known["from"] = lambda: _filled(task, choices.start, choices, shared)
        known["restore"] = lambda: _filled(task, choices.start, choices, shared, choices.values)
    if kind not in known:
        raise WorkbenchError(f"ask {kind[:40]!r}", f"one of {', '.join(known)}", "reload the page")
    return known[kind]()


def _taken(preset: Preset, shared: Services) -> State:
    """Fill the form from a preset."""
    choices = preset_choices(preset, _free(preset.name, shared))
    return _shown(starting_point(preset.start).task.name, choices) | _judged(choices, shared)


def _filled(
    task: str, start: str, before: Choices, shared: Services, kept: dict[str, str] | None = None
) -> State:
    """Fill the form from a starting point; arms, seeds and budget stay as they are.

    With `kept`, settings from before a reload, the name stays, too.
    """
    try:
        settings = values_of(starting_point(start)) | QUICK | (kept or {})
    except WorkbenchError as error:
        empty = replace(before, start=start, values={})
        return _shown(task, empty) | {"problems": {"start": str(error)}}
    sweep = _free(start, shared) if kept is None else before.sweep
    choices = replace(before, sweep=sweep, start=start, values=settings)
    return _shown(task, choices) | _judged(choices, shared)


def _shown(task: str, choices: Choices) -> State:
    return {"spec": lab_words.spec(task), "values": lab_words.values(task, choices)}


def _judged(choices: Choices, shared: Services) -> State:
    """Say at once what is wrong; if nothing is, that what it costs is to be counted."""
    checked, preset = check(choices), _preset(choices)
    if checked.problems:
        return {"problems": checked.problems, "preview": "", "plan": [], "busy": False,
                "preset": ""}  # fmt: skip
    found: State = {"problems": {}, "count": True}
    if preset is not None and choices.sweep == _free(preset.name, shared):
        return found | _planned(checked, preset_work(preset), preset, shared)  # counted before
    words = f"{counted(checked.count, 'run')}: counting what they cost ..."
    name = "" if preset is None else preset.name
    return found | {"preview": words, "plan": [], "busy": True, "preset": name}


def _preset(choices: Choices) -> Preset | None:
    """Return the preset that these choices are."""
    known = presets().values()
    return next((p for p in known if preset_choices(p, choices.sweep) == choices), None)


def _planned(
    checked: Checked, work: list[Work], preset: Preset | None, shared: Services, warning: str = ""
) -> State:
    """Show the plan."""
    cores = shared.slots().cores
    time = estimate(work, speeds(shared.watch().seen.runs), cores)
    plan = lab_words.plan(checked, work, time, cores, preset, warning)
    name = "" if preset is None else preset.name
    return {"problems": {}, "preview": "", "plan": plan, "busy": False, "preset": name}


def _counted(choices: Choices, shared: Services, progress: Report) -> State:
    with shared.counting:
        progress(0, 1, "experiments")  # ends here if nobody waits any more
        proposal = propose(choices, shared.watch().root)
    if proposal.problems:
        return {"problems": proposal.problems, "preview": "", "busy": False}
    warning = lab_words.few_examples([run.experiment for run in proposal.to_do])
    work = work_of(proposal.to_do)
    return _planned(check(choices), work, _preset(choices), shared, warning)


def _started(choices: Choices, shared: Services, task: str) -> State:
    """Queue the runs, unless anything is wrong; then nothing is started."""
    watch = shared.watch()
    try:
        with shared.counting:
            proposal = propose(choices, watch.root)
        if proposal.problems or proposal.sweep is None:
            return _refused(proposal.problems)
        names = [plan.name for plan in proposal.sweep.runs]
        if not proposal.to_do:
            runs = "the run" if len(names) == 1 else f"all {len(names)} runs"
            be = "is" if len(names) == 1 else "are"
            said = f"Nothing to start: {runs} of {choices.sweep} {be} finished."
            found = {"problems": {}, "preview": said, "busy": False}
            return found | {"started": names, "until": [], "said": said}
        # one seed of every arm and N before the next: what is compared appears soon
        seeds = proposal.sweep.config.seeds
        by_seed = sorted(proposal.to_do, key=lambda run: seeds.index(run.labels["seed"]))
        request_all(by_seed, watch.root)
        slots = shared.slots()
        ensure_queue(watch.root, slots)
    except (WorkbenchError, OSError) as error:
        return _refused({"form": f"Nothing was started: {error}"})
    watch.look()
    count = len(proposal.to_do)
    said = (
        f"{choices.sweep}: {counted(count, 'run')} {'is' if count == 1 else 'are'} queued, as many "
        f"at a time as {slots.cores} CPU threads allow. They continue if you leave this page."
    )
    preset = _preset(choices)
    name = choices.start if preset is None else preset.name
    following = replace(choices, sweep=_free(name, shared))
    found = _shown(task, following) | _judged(following, shared)
    queued = [run.name for run in proposal.to_do]
    return found | {"started": names, "until": queued, "said": said}


def _refused(problems: dict[str, str]) -> State:
    return {"problems": problems, "preview": REFUSED, "busy": False, "refused": True}


def _free(start: str, shared: Services) -> str:
    return free_name(start, list(shared.watch().seen.runs))


def _first(task: str) -> str:
    found = points_of(task)
    return next((name for name in FIRST if name in found), found[0])
