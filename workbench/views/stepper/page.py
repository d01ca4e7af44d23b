"""The stepper: one sleep, pass by pass, with everything that can be seen of it."""

from __future__ import annotations

from functools import partial
from typing import Any

from workbench.figures.theme import Theme
from workbench.views.cursor import words
from workbench.views.cursor.cursor import Cursor, Extent
from workbench.views.cursor.problem import drawn, misfit, typed
from workbench.views.cursor.view import CheckpointView
from workbench.views.parts.outbox import Changes
from workbench.views.site.services import Services, services
from workbench.views.stepper.screen import Scene, Screen
from workbench.views.stepper.walk import Walk


class Stepper(CheckpointView):
    """The stepper.

    Parameters
    ----------
    cursor : Cursor or None
        What to show first; what it leaves open is chosen.
    shared : Services or None
        The process's checkpoints.
    """

    screen: Screen

    def __init__(
        self, cursor: Cursor | None = None, *, shared: Services | None = None, **values: Any
    ) -> None:
        self.services = shared or services()
        super().__init__(cursor, **values)

    def make_screen(self) -> Screen:
        """Return the panes."""
        return Screen(
            self.names(),
            choose=self.choose,
            act=self.act,
            submit=self.submit,
            jump=self.jump,
        )

    def run(self) -> None:
        """Make the example and the walk that the cursor names; raises before anything changes."""
        cursor = self.cursor
        checkpoint = self.services.checkpoint(cursor.checkpoint)
        if cursor.passes is None:
            cursor.passes = words.first_passes(checkpoint.sleep)
        if cursor.text:
            problem = typed(checkpoint.task, cursor.text, cursor.queries)
        else:
            problem = drawn(checkpoint.task, cursor.seed, cursor.example)
        sleep = checkpoint.sleep.with_passes(cursor.passes)
        walk = Walk(checkpoint.model, problem.batch, sleep, checkpoint.task)
        walk.finish()
        self.checkpoint, self.problem, self.walk = checkpoint, problem, walk

    @property
    def extent(self) -> Extent:
        """What the cursor ranges over."""
        return self.walk.extent

    @property
    def awake(self) -> tuple[bool, ...]:
        """Which windows are read awake."""
        return self.walk.awake

    def contents(self, theme: Theme) -> Changes:
        """Return what the panes hold."""
        scene = Scene(self.cursor, self.checkpoint, self.problem, self.walk, theme)
        return self.screen.contents(scene)

    def submit(self, text: str, queries: str, draw: bool = False) -> None:
        """Use what was typed; if it does not fit, say so at the field and change nothing else."""
        self._queue.take(partial(self._submit, text, queries, draw))

    def _submit(self, text: str, queries: str, draw: bool) -> None:
        wrong = None if draw else misfit(self.checkpoint.task, text, queries)
        if wrong is None:
            self._outbox.set(self.screen.complain("", ""))
            self.cursor.param.update(text=text.strip(), queries=queries.strip())
        else:
            self._outbox.set(self.screen.complain(wrong[0], str(wrong[1])))
