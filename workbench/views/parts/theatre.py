"""The theatre as a component of Panel."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import param
from panel.custom import JSComponent

from workbench.theatre.asks import Asks, catalogue_of
from workbench.theatre.files import module_text
from workbench.theatre.messages import Messages
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
    source = param.String("", doc="Text of the front end's module.")

    _esm = Path(__file__).with_name("theatre.js")

    def __init__(self, asks: Asks, ask: Mapping[str, Any], **values: Any) -> None:
        super().__init__(
            sizing_mode="stretch_width",
            margin=0,
            scene=asks.scene(ask),
            source=module_text(),
            **values,
        )
        self._messages = Messages(asks, self._send)

    def _send(self, message: dict[str, Any], buffers: list[bytes]) -> None:
        self._send_msg(message | {"buffers": buffers})

    def _handle_msg(self, data: Any) -> None:
        if isinstance(data, dict):
            self._messages.hear(data)


def page() -> Theatre:
    """Return the theatre with the first bundled model, light or dark as the browser is."""
    shared = services()
    ask = {"what": "scene", "name": shared.names()[0]}
    catalogue = catalogue_of(shared.folders(), shared.traces)
    return Theatre(shared.asks, ask, catalogue=catalogue, settings={"theme": "auto"})
