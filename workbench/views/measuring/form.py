"""Measure on demand: a pane that starts measurements, shows their progress and their results.

A page embeds it so::

    panel = MeasurePanel.in_page(page, kinds=("patches", "ablations"), checkpoint="depo-n8-any")

It then shows the figures of what it has measured below itself. A page with other figures gives
``on_done``, which takes the record of a finished measurement (schema ``sleep-measurement/1``, see
`workbench.measurements.records.read_measurement`) and has to show it. It runs in a thread of the
session's pool, so it changes panes through an `Outbox`.

``panel.choose(checkpoint=NAME)`` or ``panel.choose(kind=NAME)`` follows a choice elsewhere in the
page. `workbench.measurements.shelf.finished` finds what is finished on this machine.
"""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import panel as pn
import param

from workbench.figures.theme import Theme
from workbench.measurements.catalogue import measurement, measurements
from workbench.measurements.fields import spec
from workbench.measurements.shelf import measurement_name
from workbench.views.measuring.model import Measuring
from workbench.views.measuring.view import MeasurementView
from workbench.views.parts.components import CSS, FORMS_CSS, FORMS_JS, Messenger, record_html
from workbench.views.parts.notices import show_error
from workbench.views.parts.outbox import Outbox
from workbench.views.parts.records import records_column
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


class MeasureForm(Messenger):
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

    _esm = FORMS_JS + (HERE / "measuring.js").read_text(encoding="utf-8")
    _stylesheets = [CSS, FORMS_CSS, MEASURING_CSS]


class MeasurePanel(pn.viewable.Viewer):
    """A form that measures, with progress and what was measured on this machine.

    - kinds: names of the measurements to choose from; empty for all.
    - checkpoint: the one chosen at first; "" takes the first there is.
    - root: folder of the runs; None takes the server's. Without one nothing can be started, and
      `model` is None.
    - on_done: takes the record of a finished measurement, and shows it; None shows it here.
    - shared: the process's services.
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
        self._shown = records_column()
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
        self._show(self.model)

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
        self._take(lambda model: model.poll(), key="poll")

    def choose(self, *, kind: str | None = None, checkpoint: str | None = None) -> None:
        """Take the measurement or checkpoint that was chosen elsewhere in the page."""
        self._take(lambda model: model.choose(kind=kind, checkpoint=checkpoint), key="choose")

    def receive(self, message: dict[str, Any]) -> None:
        """Do what the form asks for."""
        what = str(message.get("what"))
        key = what if what in ("change", "kind") else None
        self._take(lambda model: self._obey(model, message), key=key)

    def _take(self, task: Callable[[Measuring], None], *, key: str | None) -> None:
        """Do something with the model in turn, then bring the form up to date."""
        if (model := self.model) is None:
            return

        def done() -> None:
            try:
                task(model)
            finally:
                self._show(model)

        self._queue.take(done, key=key)

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

    def _show(self, model: Measuring) -> None:
        """Bring the form up to date."""
        names = ("problems", "refused", "said", "news")
        changes: dict[str, Any] = {
            "kinds": [[name, measurement(name).title] for name in model.kinds],
            "checkpoints": list(self._folders()),
            "jobs": model.rows(),
            **{name: getattr(model, name) for name in names},
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
