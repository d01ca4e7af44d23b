"""Measure on demand: a pane that starts measurements, shows their progress and their results.

A page embeds it so::

    panel = MeasurePanel.in_page(page, kinds=("patches", "ablations"), checkpoint="depo-n8-any")
    return [..., panel]

It then shows the figures of what it has measured below itself. A page with figures of another
kind gives ``on_done``, which is called with the record of a finished measurement (schema
``sleep-measurement/1``, see `workbench.measurements.records.read_measurement`) and has to show it.
It runs in a thread of the session's pool, so it changes panes through an `Outbox`::

    def shown(path: Path) -> None:
        data, origin = read_measurement(path)
        ...
        self._outbox.set([(self._column, {"objects": parts})])

    panel = MeasurePanel.in_page(page, kinds=("probes",), on_done=shown)

``panel.choose(checkpoint=NAME)`` or ``panel.choose(kind=NAME)`` follows a choice elsewhere in the
page. What is finished on this machine is found with `workbench.measurements.shelf.finished`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import panel as pn
import param
from panel.custom import JSComponent

from workbench.figures.theme import Theme
from workbench.measurements.catalogue import measurement, measurements
from workbench.measurements.fields import spec
from workbench.measurements.shelf import measurement_name
from workbench.views.measuring.model import Measuring
from workbench.views.measuring.view import MeasurementView
from workbench.views.parts.components import CSS, FORMS_CSS, RECORDS_CSS, record_html
from workbench.views.parts.notices import show_error
from workbench.views.parts.outbox import Outbox
from workbench.views.parts.serial_queue import SerialQueue
from workbench.views.site.services import Services, services

HERE = Path(__file__).parent
MEASURING_CSS = (HERE / "measuring.css").read_text(encoding="utf-8")
PERIOD = 500
"""Milliseconds between two checks of what is running."""
NOWHERE = (
    "<h2>Measure</h2><p>This server starts no processes, because it does not know who can reach "
    "it. Open this page with <code>workbench serve</code>, or measure in a terminal: "
    "<code>workbench measure {kind} {checkpoint}</code></p>"
)
ABOUT = (
    "<h2>Measure</h2><p>On evaluation examples, with the checkpoint and settings that you choose. "
    "The same request is measured once; its result is kept in the folder of runs until you measure "
    "it again.</p>"
)


class MeasureForm(JSComponent):
    """A form with the settings of a measurement, and the list of those of this machine."""

    kinds = param.List(default=[], doc="(name, title) of each measurement to choose from.")
    checkpoints = param.List(default=[], doc="Names of the checkpoints to choose from.")
    fields = param.List(
        default=[], doc="Fields, as `workbench.measurements.fields.spec` returns them."
    )
    values = param.Dict(default={}, doc="What the fields hold when they are filled again.")
    serial = param.Integer(0, doc="A change builds the form again and fills it.")
    problems = param.Dict(default={}, doc="What is wrong, by field.")
    refused = param.Integer(0, doc="A change moves the focus to the first field in trouble.")
    said = param.String("", doc="How far the chosen measurement is.")
    news = param.String("", doc="What has just happened; announced.")
    jobs = param.List(default=[], doc="Rows, as `Measuring.rows` returns them.")

    _esm = HERE / "measuring.js"
    _stylesheets = [CSS, FORMS_CSS, MEASURING_CSS]

    def __init__(self, on_message: Callable[[dict[str, Any]], None], **values: Any) -> None:
        super().__init__(margin=0, sizing_mode="stretch_width", **values)
        self._on_message = on_message

    def _handle_msg(self, data: dict[str, Any]) -> None:
        self._on_message(data)


class MeasurePanel(pn.viewable.Viewer):
    """A form that measures, with progress and what was measured on this machine.

    Parameters
    ----------
    kinds : tuple of str
        Names of the measurements to choose from; empty for all.
    checkpoint : str
        The one chosen at first; "" takes the first there is.
    root : Path or None
        Folder of the runs; None takes the server's; without one nothing can be started.
    on_done : callable or None
        Called with the record of a finished measurement, which it shows; None shows it here.
    shared : Services or None
        The process's services.

    Attributes
    ----------
    model : Measuring or None
        What was chosen and what is running, without a GUI; None if nothing can be started.
    """

    dark = param.Boolean(False, doc="Whether figures are drawn for a dark page.")

    def __init__(
        self,
        *,
        kinds: tuple[str, ...] = (),
        checkpoint: str = "",
        root: Path | None = None,
        on_done: Callable[[Path], None] | None = None,
        shared: Services | None = None,
        **values: Any,
    ) -> None:
        super().__init__(**values)
        found = shared or services()
        self._folders = found.folders
        self._outbox, self._queue = Outbox(), SerialQueue(show_error)
        self._results = MeasurementView(self._outbox)
        self._shown = pn.Column(css_classes=["results"], stylesheets=[CSS, RECORDS_CSS], margin=0)
        self._shown.sizing_mode = "stretch_width"
        self._column = pn.Column(
            sizing_mode="stretch_width", margin=0, stylesheets=[CSS, FORMS_CSS]
        )
        self.form = MeasureForm(self.receive)
        kinds = kinds or tuple(measurements())
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
        """Return one that follows the page's theme and, once it is open, what is running."""
        panel = cls(dark=page.dark_theme, **options)
        page.param.watch(lambda event: setattr(panel, "dark", event.new), "dark_theme")
        pn.state.onload(panel.live)
        return panel

    def __panel__(self) -> Any:
        return self._column

    def live(self) -> None:
        """Check twice a second how far everything is, while the page is open."""
        if self.model is not None:
            pn.state.add_periodic_callback(self.poll, period=PERIOD)

    def poll(self) -> None:
        """Check how far everything is; if a check is waiting already, that one will do."""
        if self.model is not None:
            self._queue.take(partial(self._do, self.model.poll), key="poll")

    def choose(self, *, kind: str | None = None, checkpoint: str | None = None) -> None:
        """Take the measurement or checkpoint that was chosen elsewhere in the page."""
        if self.model is not None:
            task = partial(self.model.choose, kind=kind, checkpoint=checkpoint)
            self._queue.take(partial(self._do, task), key="choose")

    def receive(self, message: dict[str, Any]) -> None:
        """Do what the form asks for."""
        if self.model is not None:
            what = str(message.get("what"))
            key = what if what in ("change", "kind") else None
            self._queue.take(partial(self._do, partial(self._obey, self.model, message)), key=key)

    def _obey(self, model: Measuring, message: dict[str, Any]) -> None:
        what = str(message["what"])
        if what in ("cancel", "show", "again", "remove"):
            getattr(model, what)(str(message["key"]))
            return
        if what == "kind":
            model.choose(kind=str(message["kind"]), checkpoint=str(message["checkpoint"]))
            return
        if message["kind"] != model.kind:
            return  # typed into fields that have just been replaced
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
            "kinds": [[name, measurement(name).title] for name in model.kinds],
            "checkpoints": list(self._folders()),
            "problems": model.problems,
            "refused": model.refused,
            "said": model.said,
            "news": model.news,
            "jobs": model.rows(),
        }
        if model.filled != self.form.serial:
            values = {"kind": model.kind, "checkpoint": model.checkpoint, "settings": model.typed}
            changes |= {"fields": spec(model.kind), "values": values, "serial": model.filled}
        self._outbox.set([(self.form, changes)])

    @property
    def _theme(self) -> Theme:
        return "dark" if self.dark else "light"

    def _show_here(self, path: Path) -> None:
        parts = self._results.parts(path, measurement_name(path), self._theme)
        self._outbox.set([(self._shown, {"objects": parts})])
