"""A page with the theatre's module and no server; what it asks goes to ``window.host``, if any."""

import base64
import json
import re

from house import ROOT
from playwright.sync_api import Page, expect

MODULE = ROOT / "workbench" / "theatre" / "static" / "theatre.js"
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Theatre</title>
<link rel="icon" href="data:,"></head><body style="margin:0"><main id="el"></main>
<script type="module">
import theatre from "data:text/javascript;base64,MODULE"
const values = {scene: "SCENES", settings: {theme: "light"}, place: {}, catalogue: [], ...EXTRA}
const calls = {}
window.sent = []
window.model = {
  get: (name) => values[name], set: (name, value) => { values[name] = value }, save_changes() {},
  on: (name, call) => { calls[name] = call },
  send: async (message) => {
    sent.push(message)
    if (!window.host || message.kind !== "ask") return
    const {buffers, ...found} = JSON.parse(await window.host(JSON.stringify(message.ask)))
    model.answer({kind: "answer", id: message.id, ...found}, buffers)
  },
  answer: (...all) => calls["msg:custom"](...all), values,
}
window.stop = theatre.render({model, el: document.getElementById("el")})
</script></body></html>"""


def open_theatre(page: Page, data: bytes, **extra: object) -> Page:
    """Open a page with some scenes, and with values of the host's model."""
    parts = {
        "MODULE": base64.b64encode(MODULE.read_bytes()).decode(),
        "SCENES": base64.b64encode(data).decode(),
        "EXTRA": json.dumps(extra),
    }
    page.set_content(re.sub("MODULE|SCENES|EXTRA", lambda found: parts[found[0]], PAGE))
    expect(page.locator("h1")).not_to_be_empty()
    return page
