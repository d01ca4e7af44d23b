"""The form that starts an experiment: what was typed is checked at once, its cost counted later.

Counting FLOPs takes a thread seconds. It has a separate queue, so that the rest of the session
goes on; of several counts that wait, only the newest is done.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
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
from workbench.task_config import task_kinds
from workbench.tasks.phrases import counted
from workbench.views.lab import words as lab_words
from workbench.views.lab.screen import LabForm
from workbench.views.parts.notices import show_error
from workbench.views.parts.outbox import Outbox
from workbench.views.parts.serial_queue import SerialQueue
from workbench.views.site.services import Services

FIRST = ("depo-n8-n4", "rule110-w12-t8-n3")
"""Starting points that are proposed first for their tasks."""
QUICK = {"training.compile": "false", "training.log_every": "5"}
"""What a form sets differently, so that the first point comes soon, without a compiler's wait."""


class LabStart:
    """The form and what it does; `started` takes the names of queued runs, and a sentence."""

    def __init__(
        self, shared: Services, outbox: Outbox, started: Callable[[list[str], str], None]
    ) -> None:
        self.services, self.watch = shared, shared.watch()
        self._outbox, self._started = outbox, started
        self._queue, self._counts = SerialQueue(show_error), SerialQueue(show_error)
        self.form = LabForm(self.receive)
        self.choices = Choices("", "")
        self.form.presets = lab_words.preset_cards(speeds(self.watch.seen.runs), self._cores)
        if first := next(iter(presets().values()), None):
            self._take(first)
        else:
            task = next(iter(task_kinds()))
            self._fill(task, _first(task), Choices("", ""))

    def receive(self, message: dict[str, Any]) -> None:
        """Do what the form asks for."""
        self._queue.take(partial(self._obey, message), key=message.get("kind"))

    def _obey(self, message: dict[str, Any]) -> None:
        kind, task = str(message["kind"]), str(message["task"])
        choices = lab_words.choices_of(message)
        if kind == "preset" and (preset := presets().get(str(message["preset"]))):
            self._take(preset)
        elif kind == "restore" and task in task_kinds():
            self._fill(task, choices.start, choices, kept=choices.values)
        elif kind == "task":
            self._fill(task, _first(task), choices)
        elif kind == "from":
            self._fill(task, choices.start, choices)
        elif kind == "change":
            self._look(choices)
        elif kind == "start":
            self._counts.take(partial(self._start, choices), key="start")

    @property
    def _cores(self) -> int:
        return self.services.slots().cores

    def _take(self, preset: Preset) -> None:
        """Fill the form from a preset."""
        choices = preset_choices(preset, self._free(preset.name))
        self._show(starting_point(preset.start).task.name, choices, {})

    def _fill(
        self, task: str, start: str, before: Choices, kept: dict[str, str] | None = None
    ) -> None:
        """Fill the form from a starting point; arms, seeds and budget stay as they are.

        With `kept`, settings from before a reload, the name stays, too.
        """
        problems = {}
        try:
            settings = values_of(starting_point(start)) | QUICK | (kept or {})
        except WorkbenchError as error:
            settings, problems = {}, {"start": str(error)}
        sweep = self._free(start) if kept is None else before.sweep
        choices = replace(before, sweep=sweep, start=start, values=settings)
        self._show(task, choices, problems)

    def _show(self, task: str, choices: Choices, problems: dict[str, str]) -> None:
        """Fill the form with choices."""
        changes = {
            "spec": lab_words.spec(task),
            "values": lab_words.values(task, choices),
            "problems": problems,
            "serial": self.form.serial + 1,
        }
        self._outbox.set([(self.form, changes)])
        if not problems:
            self._look(choices)

    def _look(self, choices: Choices) -> None:
        """Say at once what is wrong; if nothing is, count what it costs."""
        self.choices = choices
        checked = check(choices)
        preset = self._preset(choices)
        if checked.problems:
            self._say(problems=checked.problems, preview="", plan=[], busy=False, preset="")
        elif preset is not None and choices.sweep == self._free(preset.name):
            self._tell(checked, preset_work(preset), preset)  # counted before
            self._counts.take(partial(self._warm, choices), key="count")
        else:
            words = f"{counted(checked.count, 'run')}: counting what they cost ..."
            name = "" if preset is None else preset.name
            self._say(problems={}, preview=words, plan=[], busy=True, preset=name)
            self._counts.take(partial(self._count, choices), key="count")

    def _warm(self, choices: Choices) -> None:
        """Count what Start will need, while the plan is being read."""
        if choices is self.choices:
            with self.services.counting:
                propose(choices, self.watch.root)

    def _preset(self, choices: Choices) -> Preset | None:
        """Return the preset that these choices are."""
        known = presets().values()
        return next((p for p in known if preset_choices(p, choices.sweep) == choices), None)

    def _tell(
        self, checked: Checked, work: list[Work], preset: Preset | None, warning: str = ""
    ) -> None:
        """Show the plan."""
        cores = self._cores
        time = estimate(work, speeds(self.watch.seen.runs), cores)
        plan = lab_words.plan(checked, work, time, cores, preset, warning)
        name = "" if preset is None else preset.name
        self._say(problems={}, preview="", plan=plan, busy=False, preset=name)

    def _count(self, choices: Choices) -> None:
        if choices is not self.choices:
            return  # something else has been typed since
        with self.services.counting:
            proposal = propose(choices, self.watch.root)
        if choices is not self.choices:
            return
        if proposal.problems:
            self._say(problems=proposal.problems, preview="", busy=False)
            return
        warning = lab_words.few_examples([run.experiment for run in proposal.to_do])
        self._tell(check(choices), work_of(proposal.to_do), self._preset(choices), warning)

    def _start(self, choices: Choices) -> None:
        """Queue the runs, unless anything is wrong; then nothing is started."""
        self.choices = choices
        self._say(starting=True, preview="Counting what the runs cost ...", busy=True)
        try:
            names, words, queued = self._request(choices)
        except (WorkbenchError, OSError) as error:
            self._refuse({"form": f"Nothing was started: {error}"})
            return
        finally:
            self._say(starting=False, busy=False)
        if names:
            self._started(names, words)
        if queued:
            preset = self._preset(choices)
            name = choices.start if preset is None else preset.name
            self._next(replace(choices, sweep=self._free(name)))

    def _request(self, choices: Choices) -> tuple[list[str], str, bool]:
        """Return the runs asked for, what came of it in words, and whether any was queued."""
        with self.services.counting:
            proposal = propose(choices, self.watch.root)
        if proposal.problems or proposal.sweep is None:
            self._refuse(proposal.problems)
            return [], "", False
        names = [plan.name for plan in proposal.sweep.runs]
        if not proposal.to_do:
            runs = "the run" if len(names) == 1 else f"all {len(names)} runs"
            be = "is" if len(names) == 1 else "are"
            words = f"Nothing to start: {runs} of {choices.sweep} {be} finished."
            self._say(problems={}, preview=words)
            return names, words, False
        # one seed of every arm and N before the next: what is compared appears soon
        seeds = proposal.sweep.config.seeds
        by_seed = sorted(proposal.to_do, key=lambda run: seeds.index(run.labels["seed"]))
        request_all(by_seed, self.watch.root)
        slots = self.services.slots()
        ensure_queue(self.watch.root, slots)
        count = len(proposal.to_do)
        many = f"{counted(count, 'run')} {'is' if count == 1 else 'are'} queued"
        at_once = f"as many at a time as {slots.cores} CPU threads allow"
        words = f"{choices.sweep}: {many}, {at_once}. They continue if you leave this page."
        return names, words, True

    def _refuse(self, problems: dict[str, str]) -> None:
        words = "Nothing was started."
        self._say(problems=problems, preview=words, busy=False, refused=self.form.refused + 1)

    def _next(self, choices: Choices) -> None:
        """Offer the next experiment, under another name."""
        task = str(self.form.values["task"])
        changes = {"values": lab_words.values(task, choices), "serial": self.form.serial + 1}
        self._outbox.set([(self.form, changes)])
        self._look(choices)

    def _free(self, start: str) -> str:
        return free_name(start, list(self.watch.seen.runs))

    def _say(self, **changes: Any) -> None:
        self._outbox.set([(self.form, changes)])


def _first(task: str) -> str:
    found = points_of(task)
    return next((name for name in FIRST if name in found), found[0])
