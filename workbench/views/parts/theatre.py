"""The theatre as a component of Panel, and a page of Panel that shows it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import param
from panel.custom import JSComponent

from workbench.theatre.asks import Answer, Asks, catalogue_of
from workbench.theatre.files import MODULE, module_text
from workbench.views.parts.notices import show_error
from workbench.views.parts.outbox import Outbox
from workbench.views.parts.serial_queue import SerialQueue
from workbench.views.site.assets import served
from workbench.views.site.services import services


class Theatre(JSComponent):
    """One sleep; what it asks goes to `asks`, one ask after the other.

    `ask` is that of the first scene, as in `workbench.theatre.asks`. Raises WorkbenchError where
    there is no such scene.
    """

    scene = param.Bytes(b"", doc="One container or more.")
    more = param.Bytes(b"", doc="Scenes that come later.")
    catalogue = param.List([], doc="The models to choose from.")
    live = param.Boolean(True, doc="Whether asks are answered.")
    settings = param.Dict({}, doc="Theme and height.")
    place = param.Dict({}, doc="Where the reader is, as in an address.")
    module = param.String("", doc="Address of the front end's module; empty: it is `source`.")
    source = param.String("", doc="Its text, where this server has no address for it.")

    _esm = Path(__file__).with_name("theatre.js")

    def __init__(self, asks: Asks, ask: Mapping[str, Any], **values: Any) -> None:
        module = served(MODULE)
        super().__init__(
            sizing_mode="stretch_width",
            margin=0,
            scene=asks.scene(ask),
            module=module,
            source="" if module else module_text(),
            **values,
        )
        self._asks = asks
        self._outbox, self._queue = Outbox(), SerialQueue(show_error)

    def paint(self, dark: bool) -> None:
        """Draw for a dark or a light page."""
        settings = self.settings | {"theme": "dark" if dark else "light"}
        self._outbox.set([(self, {"settings": settings})])

    def _handle_msg(self, data: Any) -> None:
        """Answer in turn; of several asks of one kind (and scene) that wait, the newest alone."""
        if not isinstance(data, dict) or data.get("kind") != "ask":
            return
        ask = data.get("ask")
        kind = [ask.get("what"), ask.get("digest")] if isinstance(ask, dict) else []
        self._queue.take(partial(self._answer, data.get("id"), ask), key=f"ask {kind!r:.120}")

    def _answer(self, identity: Any, ask: Any) -> None:
        reply = message_of(identity, self._asks.answer(ask))
        self._outbox.set([], then=partial(self._send_msg, reply))


def page(page: Any) -> Theatre:
    """Return the theatre with the first bundled model, light or dark as its page."""
    shared = services()
    ask = {"what": "scene", "name": shared.names()[0]}
    settings = {"theme": "dark" if page.dark_theme else "light"}
    found = Theatre(
        shared.asks,
        ask,
        catalogue=catalogue_of(shared.folders(), shared.traces),
        settings=settings,
    )
    page.param.watch(lambda event: found.paint(event.new), "dark_theme")
    return found


def message_of(identity: Any, answer: Answer) -> dict[str, Any]:
    """Return the message with an answer, as Panel sends it."""
    message = {"kind": "answer", "id": identity}
    if answer.problem:
        return message | {"problem": answer.problem, "field": answer.field}
    if answer.result is not None:
        return message | {"result": answer.result}
    return message | {"buffers": [answer.data]}
