"""Measure on demand: a pane that starts measurements, shows how far they are, and what they found.

A page embeds it so::

    panel = MeasurePanel.in_page(page, kinds=("patches", "ablations"), checkpoint="depo-n8-any")
    return [..., panel]

It then shows the figures of what it has measured below itself. A page that has figures of its own
gives ``on_done``: it is called with the file of a finished measurement (schema
``sleep-measurement/1``, see `workbench.lab.measured.read_measurement`) and has to show it. It runs
in a thread of the session's pool, so panes are to be changed through an `Outbox`::

    def shown(path: Path) -> None:
        data, origin = read_measurement(path)
        ...
        self._outbox.set([(self._column, {"objects": parts})])

    panel = MeasurePanel.in_page(page, kinds=("probes",), on_done=shown)

``panel.choose(checkpoint=NAME)`` or ``panel.choose(kind=NAME)`` follows a choice elsewhere in the
page. What is finished on this machine is found with `workbench.views.measuring.shelf.finished`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import panel as pn
import param

from workbench.figures.theme import Theme
from workbench.lab.kinds import kind_of
from workbench.views.measuring import words
from workbench.views.measuring.model import EVERY, Measuring
from workbench.views.measuring.parts import MeasureForm
from workbench.views.measuring.shelf import measurement_name
from workbench.views.measuring.view import MeasurementView
from workbench.views.parts.components import CSS, FORMS_CSS, RECORDS_CSS, record_html
from workbench.views.parts.notices import show_error
from workbench.views.parts.outbox import Outbox
from workbench.views.parts.turns import Turns
from workbench.views.site.services import Services, services

PERIOD = 500
"""Milliseconds between two looks at what is at work."""
NOWHERE = (
    "<h2>Measure</h2><p>This server starts no processes, as it does not know who can reach it. "
    "Open this page with <code>workbench serve</code>, or measure in a terminal: "
    "<code>workbench measure {kind} {checkpoint}</code></p>"
)
ABOUT = (
    "<h2>Measure</h2><p>On evaluation examples, with a checkpoint and settings of your own. The "
    "same request is measured once; what is finished is kept in the folder of runs until it is "
    "measured again.</p>"
)


class MeasurePanel(pn.viewable.Viewer):
    """A form that measures, with progress and what was measured on this machine.

    Parameters
    ----------
    kinds : tuple of str
        Kinds of `workbench.lab.kinds.KINDS` to choose from.
    checkpoint : str
        The one chosen at first; "" takes the first there is.
    root : Path or None
        Folder of the runs; None takes the server's, and without one nothing can be started.
    on_done : callable or None
        Told the file of a finished measurement, which it shows; None shows it here.
    shared : Services or None
        The process's services.

    Attributes
    ----------
    model : Measuring or None
        What was chosen and what is at work, without a GUI; None where nothing can be started.
    """

    dark = param.Boolean(False, doc="Whether figures are drawn for a dark page.")

    def __init__(
        self,
        *,
        kinds: tuple[str, ...] = EVERY,
        checkpoint: str = "",
        root: Path | None = None,
        on_done: Callable[[Path], None] | None = None,
        shared: Services | None = None,
        **values: Any,
    ) -> None:
        super().__init__(**values)
        found = shared or services()
        self._folders = found.folders
        self._outbox, self._turns = Outbox(), Turns(show_error)
        self._results = MeasurementView(self._outbox)
        self._shown = pn.Column(css_classes=["results"], stylesheets=[CSS, RECORDS_CSS], margin=0)
        self._shown.sizing_mode = "stretch_width"
        self._column = pn.Column(
            sizing_mode="stretch_width", margin=0, stylesheets=[CSS, FORMS_CSS]
        )
        self.form = MeasureForm(self.told)
        self.model: Measuring | None = None
        root = root if root is not None else found.runs
        if root is None:
            first = checkpoint or next(iter(self._folders()), "CHECKPOINT")
            text = NOWHERE.format(kind=escape(kinds[0]), checkpoint=escape(first))
            self._column.objects = [record_html(text)]
            return
        done = on_done or self._show_here
        self.model = Measuring(root, kinds, self._folders, done, checkpoint=checkpoint)
        self.param.watch(lambda event: self._results.draw(self._theme), "dark")
        self._column.objects = [record_html(ABOUT), self.form, self._shown]
        self.model.find()
        self._show()

    @classmethod
    def in_page(cls, page: Any, **options: Any) -> MeasurePanel:
        """Return one that follows the page's theme and, once it is open, what is at work."""
        panel = cls(dark=page.dark_theme, **options)
        page.param.watch(lambda event: setattr(panel, "dark", event.new), "dark_theme")
        pn.state.onload(panel.live)
        return panel

    def __panel__(self) -> Any:
        return self._column

    def live(self) -> None:
        """Look twice a second how far everything is, while the page is open."""
        if self.model is not None:
            pn.state.add_periodic_callback(self.poll, period=PERIOD)

    def poll(self) -> None:
        """Look how far everything is; if a look is waiting already, that one will do."""
        if self.model is not None:
            self._turns.take(partial(self._do, self.model.poll), key="poll")

    def choose(self, *, kind: str | None = None, checkpoint: str | None = None) -> None:
        """Take another kind or checkpoint, as a choice elsewhere in the page says."""
        if self.model is not None:
            task = partial(self.model.choose, kind=kind, checkpoint=checkpoint)
            self._turns.take(partial(self._do, task), key="choose")

    def told(self, message: dict[str, Any]) -> None:
        """Do what the form asks for."""
        if self.model is not None:
            what = str(message.get("what"))
            key = what if what in ("change", "kind") else None
            self._turns.take(partial(self._do, partial(self._told, self.model, message)), key=key)

    def _told(self, model: Measuring, message: dict[str, Any]) -> None:
        what = str(message["what"])
        if what in ("cancel", "show", "again", "remove"):
            getattr(model, what)(str(message["key"]))
            return
        if what == "kind":
            model.choose(kind=str(message["kind"]), checkpoint=str(message["checkpoint"]))
            return
        if message["kind"] != model.kind:
            return  # typed into fields that have just gone
        typed = {str(name): str(text) for name, text in message["settings"].items()}
        model.type(typed, str(message["checkpoint"]))
        if what == "measure":
            model.measure()

    def _do(self, task: Callable[[], None]) -> None:
        try:
            task()
        finally:
            self._show()

    def _show(self) -> None:
        """Bring the form up to date."""
        model = self.model
        assert model is not None
        changes: dict[str, Any] = {
            "kinds": [[name, kind_of(name).title] for name in model.kinds],
            "checkpoints": list(self._folders()),
            "problems": model.problems,
            "refused": model.refused,
            "said": model.said,
            "news": model.news,
            "jobs": model.rows(),
        }
        if model.filled != self.form.serial:
            values = {"kind": model.kind, "checkpoint": model.checkpoint, "settings": model.typed}
            changes |= {"fields": words.spec(model.kind), "values": values, "serial": model.filled}
        self._outbox.set([(self.form, changes)])

    @property
    def _theme(self) -> Theme:
        return "dark" if self.dark else "light"

    def _show_here(self, path: Path) -> None:
        parts = self._results.parts(path, measurement_name(path), self._theme)
        self._outbox.set([(self._shown, {"objects": parts})])
