"""The stepper's panes: made once, and what belongs in each for a boundary of the walk."""

from __future__ import annotations

from functools import partial
from typing import Any

import panel as pn
import xarray as xr

from workbench import dims
from workbench.figures import answer_table, curves_place, pass_curves
from workbench.figures.theme import Theme
from workbench.tasks.pictures import Sentences
from workbench.theatre.problem import Problem
from workbench.views.cursor import drawings, words
from workbench.views.cursor.cursor import BoundaryIndex
from workbench.views.cursor.screen import CursorScreen, box, card, heading, html
from workbench.views.parts.components import Choice, FigurePane, OwnInput
from workbench.views.parts.outbox import Changes


class Screen(CursorScreen):
    """Every pane and widget of the stepper."""

    def __init__(self, view: Any) -> None:
        super().__init__(view)
        self.query = Choice("Query")
        self.bound["query"] = self.query
        self.watch("query")
        self.own_input = OwnInput(view.submit)

        def query_clicked(curve: int, custom: Any) -> None:
            if custom is not None:
                view.choose("query", int(custom))

        self.answers = FigurePane(query_clicked, label="Answers if the model woke now")
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
        example = card("The example", self.query, self.picture, self.own_input)
        memory = card(
            None,
            box("bar", heading("Fast weights S"), self.quantity, self.layer, self.gdn_head),
            box("pair", self.heads, self.head),
            self.onward,
        )
        return box(
            "stepper",
            box("left", self.title, setup, example),
            box(
                "right",
                card(None, self.transport, self.boundary, self.timeline, self.tokens),
                box("main", memory, card(None, self.score, self.answers)),
                card("Along the walk", self.curves),
            ),
        )

    def contents(self, view: Any, theme: Theme) -> Changes:
        """Return each pane of a stepper with the parameters to set; `follow` sets the widgets.

        A figure is drawn only if something that it shows has changed since the last call.
        """
        cursor, walk = view.cursor, view.walk
        answers = walk.answers(cursor.boundary)
        states = walk.states(cursor.window).sel({dims.LAYER: cursor.layer}, drop=True)
        limit = walk.scale(cursor.quantity, cursor.layer)
        return [
            *self._setup(view),
            *self.matrices(cursor, states, limit=limit, theme=theme, source=walk),
            *self._answers(view, answers, theme),
            *self._along(view, answers, theme),
        ]

    def _setup(self, view: Any) -> Changes:
        cursor, problem, task = view.cursor, view.problem, view.checkpoint.task
        own: dict[str, Any] = {
            "query_form": task.query_form,
            "typed": bool(cursor.text),
            "hint": task.typing_help(),
        }
        shown = problem.as_typed
        if shown != self._filled:  # steps leave alone what is being typed
            self._filled, self._fills = shown, self._fills + 1
            own |= {"text": shown[0], "queries": shown[1], "serial": self._fills}
            own |= {"wrong_field": "", "message": ""}
        note = words.trained_note(view.walk.passes, view.checkpoint.sleep)
        onward = words.onward("memory", cursor, "Look into this memory")
        onward += words.onward_to_causes(cursor)
        return [
            (self.note, {"object": note + words.unlike_training(problem)}),
            (self.query, {"options": query_options(problem)}),
            (self.own_input, own),
            (self.onward, {"object": onward}),
        ]

    def _answers(self, view: Any, answers: xr.Dataset, theme: Theme) -> Changes:
        cursor, walk, queries = view.cursor, view.walk, view.problem.queries
        here = answers.isel({dims.QUERY: cursor.query})
        picture = drawings.draw(
            view.problem.picture,
            queries[cursor.query],
            str(here["answer"].item()),
            correct=bool(here["correct"]),
            **_of_sentences(view),
        )
        if isinstance(view.problem.picture, Sentences):
            slept = cursor.extent.slept(cursor.window)
            passes = range(cursor.extent.passes[slept] + 1)
            each = [walk.answers(BoundaryIndex(slept, p))["correct"] for p in passes]
            picture += words.turned([bool(one[cursor.query]) for one in each])
        table = partial(
            answer_table,
            answers,
            view.problem.short_labels,
            chance=answers["chance"].values if walk.one_symbol else None,
            one_symbol=walk.one_symbol,
            selected=cursor.query,
            theme=theme,
        )
        key = (walk, cursor.boundary, cursor.query, theme)
        return [
            (self.picture, {"object": picture}),
            (self.score, {"object": words.score(answers, view.checkpoint.task)}),
            (self.answers, {"figure": self.figure("answers", key, table)}),
        ]

    def _along(self, view: Any, answers: xr.Dataset, theme: Theme) -> Changes:
        cursor, walk, task = view.cursor, view.walk, view.checkpoint.task
        boundary, extent = cursor.boundary, cursor.extent
        change = walk.summary["memory_change"]
        here = float(change[boundary.window, boundary.sleep_pass])
        place = words.where(boundary, extent, here, walk.sleep)
        stops: dict[str, Any] = {"passes": extent.passes, "boundary": boundary, "theme": theme}

        def curves() -> Any:
            one_layer = len(extent.layers) == 1
            return pass_curves(
                walk.summary.sel({dims.LAYER: cursor.layer}, drop=True),
                walk.answer_curves,
                awake=extent.awake,
                difficulty=answers["difficulty"].values,
                difficulty_name=task.difficulty_name,
                chance=answers["chance"].values if walk.one_symbol else None,
                one_symbol=walk.one_symbol,
                baseline=walk.rewrites(cursor.layer),
                baseline_name="frozen replay" if one_layer else "rewriting from the embeddings",
                selected=cursor.gdn_head,
                **stops,
            )

        key = (walk, cursor.layer, cursor.gdn_head, theme)
        figure = self.figure("curves", key, curves)
        cached = walk.cached_tokens(boundary)
        tokens = drawings.tokens(view.problem, walk.spans, extent.awake, boundary, cached)
        told = words.score_sentence(answers)
        return [
            *self.place(cursor, place, change, theme=theme, source=walk, told=told),
            (self.tokens, {"object": tokens}),
            (self.curves, {"figure": figure, "moving": curves_place(**stops)}),
        ]


def _of_sentences(view: Any) -> dict[str, Any]:
    """Return what is drawn of sentences alone: which are evicted, and each one's share of S."""
    picture, walk, boundary = view.problem.picture, view.walk, view.cursor.boundary
    if not isinstance(picture, Sentences):
        return {}
    written = walk.written(boundary)
    shares = None
    if written is not None:
        shares = [
            float(written[item.tokens.start : item.tokens.stop].sum()) for item in picture.items
        ]
    return {"evicted": walk.evicted_tokens(boundary), "written": shares}


def query_options(problem: Problem) -> dict[str, int]:
    """Return the queries by their labels; those asked twice are numbered."""
    labels = [query.label for query in problem.queries]
    return {
        label if labels.count(label) == 1 else f"{label} (query {number + 1})": number
        for number, label in enumerate(labels)
    }
