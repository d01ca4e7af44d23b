"""The stepper's panes: made once, and what belongs in each for a boundary of the walk."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import panel as pn
import plotly.graph_objects as go

from workbench import dims
from workbench.figures import (
    answer_table,
    curves_place,
    pass_curves,
)
from workbench.figures.theme import Theme
from workbench.views.cursor import drawings, words
from workbench.views.cursor.cursor import Cursor
from workbench.views.cursor.problem import Problem
from workbench.views.cursor.screen import CursorScreen, box, card, heading, html
from workbench.views.parts.components import Choice, FigurePane, OwnInput
from workbench.views.parts.outbox import Changes
from workbench.views.stepper.walk import Walk

if TYPE_CHECKING:
    from workbench.training.checkpoints import Checkpoint


class Scene(NamedTuple):
    """All that the screen shows.

    Attributes
    ----------
    cursor : Cursor
        Where we are.
    checkpoint, problem, walk
        The model, the example and the sleep.
    theme : {"light", "dark"}
        Ground of the figures.
    """

    cursor: Cursor
    checkpoint: Checkpoint
    problem: Problem
    walk: Walk
    theme: Theme


class Screen(CursorScreen):
    """Every pane and widget of the stepper.

    Parameters
    ----------
    names : list of str
        Checkpoints to choose from.
    choose : callable
        Told a parameter of the cursor and the value that the user chose.
    act : callable
        Told a transport action.
    submit : callable
        Told text and queries that the user typed, and whether to draw an example instead.
    jump : callable
        Told window and pass clicked in the timeline.
    """

    def __init__(
        self,
        names: list[str],
        *,
        choose: Callable[[str, Any], None],
        act: Callable[[str], None],
        submit: Callable[[str, str, bool], None],
        jump: Callable[[int, int], None],
    ) -> None:
        super().__init__(names, title="Stepper", choose=choose, act=act, jump=jump)
        self.query = Choice("Query")
        self.bound["query"] = self.query
        self.watch("query")
        self.own_input = OwnInput(submit)
        self.answers = FigurePane(_query_chosen(choose), label="Answers if the model woke now")
        self.curves = FigurePane(label="Curves along the walk")
        self.tokens, self.onward = html("tokens"), html("onward")
        self.picture, self.score = html("picture"), html("score")
        self._filled: tuple[str, str] | None = None
        self._fills = 0

    def layout(self) -> pn.Column:
        """Return everything, laid out."""
        setup = card(
            "Setup",
            self.checkpoint,
            box("halves", self.seed, self.example),
            self.passes,
            self.note,
        )
        memory = card(
            None,
            box("bar", heading("Fast weights S"), self.quantity, self.layer, self.gdn_head),
            box("pair", self.heads, self.head),
            self.onward,
        )
        return box(
            "stepper",
            box(
                "left",
                self.title,
                setup,
                card("The example", self.query, self.picture, self.own_input),
            ),
            box(
                "right",
                card(None, self.transport, self.boundary, self.timeline, self.tokens),
                box("main", memory, card(None, self.score, self.answers)),
                card("Along the walk", self.curves),
            ),
        )

    def complain(self, field: str, message: str) -> Changes:
        """Say what is wrong with the user's input, at the field."""
        return [(self.own_input, {"wrong_field": field, "message": message})]

    def contents(self, scene: Scene) -> Changes:
        """Return what every pane holds for a scene; the widgets' values are left to `follow`.

        Parameters
        ----------
        scene : Scene
            What is to be shown.

        Returns
        -------
        list of (object, dict)
            Each pane with the parameters to be set on it. A figure is drawn only if something
            that it shows has changed since the last call.
        """
        return [
            *self._controls(scene),
            *self._memory(scene),
            *self._answers(scene),
            *self._walk(scene),
        ]

    def _controls(self, scene: Scene) -> Changes:
        cursor, walk, task = scene.cursor, scene.walk, scene.checkpoint.task
        own: dict[str, Any] = {
            "query_form": task.query_form,
            "typed": bool(cursor.text),
            "hint": task.typing_help(),
        }
        shown = scene.problem.as_typed
        if shown != self._filled:  # what is being typed is left alone by mere steps
            self._filled, self._fills = shown, self._fills + 1
            own |= {"text": shown[0], "queries": shown[1], "serial": self._fills}
            own |= {"wrong_field": "", "message": ""}
        note = words.trained_note(walk.passes, scene.checkpoint.sleep)
        onward = words.onward("memory", cursor, "Look into this memory")
        onward += words.onward_to_causes(cursor)
        return [
            (self.note, {"object": note + scene.problem.unlike_training}),
            (self.query, {"options": query_options(scene.problem)}),
            (self.own_input, own),
            (self.onward, {"object": onward}),
            *self.controls(walk.extent, cursor.boundary),
        ]

    def _memory(self, scene: Scene) -> Changes:
        cursor, walk = scene.cursor, scene.walk
        states = walk.states(cursor.window).sel({dims.LAYER: cursor.layer}, drop=True)
        return self.matrices(
            cursor,
            states,
            limit=walk.scale(cursor.quantity, cursor.layer),
            awake=walk.awake[cursor.window],
            theme=scene.theme,
            source=walk,
        )

    def _answers(self, scene: Scene) -> Changes:
        cursor, walk, task = scene.cursor, scene.walk, scene.checkpoint.task
        answers = walk.answers(cursor.boundary)
        queries = scene.problem.queries
        here = answers.isel({dims.QUERY: cursor.query})
        picture = drawings.draw(
            scene.problem.picture,
            queries[cursor.query],
            str(here["answer"].item()),
            correct=bool(here["correct"]),
        )

        def table() -> go.Figure:
            return answer_table(
                answers,
                [query.label for query in queries],
                chance=answers["chance"].values if walk.one_symbol else None,
                one_symbol=walk.one_symbol,
                selected=cursor.query,
                theme=scene.theme,
            )

        key = (walk, cursor.boundary, cursor.query, scene.theme)
        return [
            (self.picture, {"object": picture}),
            (self.score, {"object": words.score(answers, task)}),
            (self.answers, {"figure": self.figure("answers", key, table)}),
        ]

    def _walk(self, scene: Scene) -> Changes:
        cursor, walk, task = scene.cursor, scene.walk, scene.checkpoint.task
        boundary, passes = cursor.boundary, walk.extent.passes
        answers = walk.answers(boundary)
        summary = walk.summary()
        change = summary["memory_change"]
        here = float(change[boundary.window, boundary.sleep_pass])
        title, sentence = words.where(boundary, passes, walk.awake, here, walk.sleep)
        told = words.score_sentence(answers)
        stops: dict[str, Any] = {"passes": passes, "boundary": boundary, "theme": scene.theme}

        def curves() -> go.Figure:
            one_layer = len(walk.extent.layers) == 1
            return pass_curves(
                summary.sel({dims.LAYER: cursor.layer}, drop=True),
                walk.answer_curves(),
                awake=walk.awake,
                difficulty=answers["difficulty"].values,
                difficulty_name=task.difficulty_name,
                chance=answers["chance"].values if walk.one_symbol else None,
                one_symbol=walk.one_symbol,
                baseline=walk.rewrites(cursor.layer),
                baseline_name="frozen replay" if one_layer else "rewriting from the embeddings",
                selected=cursor.gdn_head,
                **stops,
            )

        key = (walk, cursor.layer, cursor.gdn_head, scene.theme)
        curves_json = self.figure("curves", key, curves)
        tokens = drawings.tokens(
            scene.problem, walk.spans, walk.awake, boundary, walk.cached_tokens(boundary)
        )
        return [
            (self.boundary, {"title": title, "sentence": sentence, "told": told, "busy": ""}),
            (self.tokens, {"object": tokens}),
            *self.strip(change, awake=walk.awake, source=walk, **stops),
            (self.curves, {"figure": curves_json, "moving": curves_place(**stops)}),
        ]


def query_options(problem: Problem) -> dict[str, int]:
    """Return the queries by their labels; those asked twice are numbered."""
    labels = [query.label for query in problem.queries]
    return {
        label if labels.count(label) == 1 else f"{label} (query {number + 1})": number
        for number, label in enumerate(labels)
    }


def _query_chosen(choose: Callable[[str, Any], None]) -> Callable[[int, Any], None]:
    def told(curve: int, custom: Any) -> None:
        if custom is not None:
            choose("query", int(custom))

    return told
