"""The stepper: one sleep, pass by pass, with everything that can be seen of it."""

from __future__ import annotations

from workbench.figures.theme import Theme
from workbench.theatre.problem import drawn, misfit, typed
from workbench.training.checkpoints import Checkpoint
from workbench.views.cursor.cursor import Extent
from workbench.views.cursor.view import CursorView, queued
from workbench.views.parts.outbox import Changes
from workbench.views.stepper.screen import Screen
from workbench.views.stepper.walk import Walk


class Stepper(CursorView):
    """The stepper: the model, the example, and the walk through its sleep."""

    screen_type = Screen
    title = "Stepper"
    screen: Screen

    def run(self, checkpoint: Checkpoint) -> Extent:
        """Make the example and the walk; an error is raised before anything changes."""
        cursor = self.cursor
        assert cursor.passes is not None
        if cursor.text:
            problem = typed(checkpoint.task, cursor.text, cursor.queries)
        else:
            problem = drawn(checkpoint.task, cursor.seed, cursor.example)
        sleep = checkpoint.sleep.with_passes(cursor.passes)
        walk = Walk(checkpoint.model, problem.batch, sleep, checkpoint.task)
        walk.finish()
        self.checkpoint, self.problem, self.walk = checkpoint, problem, walk
        return walk.extent

    def contents(self, theme: Theme) -> Changes:
        """Return what the panes hold."""
        return self.screen.contents(self, theme)

    @queued
    def submit(self, text: str, queries: str, draw: bool = False) -> None:
        """Use what was typed; if it does not fit, say so at the field and change nothing else."""
        wrong = None if draw else misfit(self.checkpoint.task, text, queries)
        field, message = ("", "") if wrong is None else (wrong[0], str(wrong[1]))
        self._outbox.set([(self.screen.own_input, {"wrong_field": field, "message": message})])
        if wrong is None:
            self.cursor.param.update(text=text.strip(), queries=queries.strip())
