"""Each host hands the module what the contract says, and carries asks and answers."""

import base64
import re
import sys

import numpy as np
import pytest

import workbench
from workbench.errors import WorkbenchError
from workbench.theatre.container import decode
from workbench.theatre.files import MODULE
from workbench.theatre.page import page_of

VALUES = {"scene", "catalogue", "live", "settings", "place"}
"""What the module asks any host for."""


def test_the_module_has_the_form_of_every_host():
    text = MODULE.read_text(encoding="utf-8")
    assert re.search(r"export\s+default|export\s*\{[^}]*as default", text) and "render" in text
    assert not re.search(r"https?://(?!www\.w3\.org)", text), "a request to another host"


def test_a_notebook_cell_shows_a_checkpoint_and_answers(checkpoints):
    theatre = workbench.theatre(checkpoints["ring"], seed=1, example=2, passes=3, theme="dark")
    assert VALUES <= set(theatre.traits(sync=True))
    header = decode(theatre.scene).header
    assert header["sleep"]["passes"] == 3 and header["source"]["example"] == 2
    assert theatre.settings["theme"] == "dark" and theatre.live
    names = [one["name"] for one in theatre.catalogue]
    assert "depo-n8-any" in names
    sent = []
    theatre.send = lambda content, buffers=None: sent.append((content, buffers))
    for identity, ask in enumerate(({"what": "scene", "name": "ring", "N": 1}, {"what": "x"})):
        theatre._asked(theatre, {"kind": "ask", "id": identity, "ask": ask}, [])
    theatre._asked(theatre, {"kind": "other"}, [])
    (first, buffers), (second, nothing) = sent
    assert first == {"kind": "answer", "id": 0}
    assert decode(buffers[0]).header["sleep"]["passes"] == 1
    assert second["id"] == 1 and second["field"] == "what" and nothing is None


def test_a_notebook_cell_shows_a_trace(checkpoints):
    checkpoint = checkpoints["rule"]
    batch = checkpoint.task.sample(2, np.random.default_rng(0))
    trace = workbench.record(
        checkpoint.model, batch, checkpoint.sleep.with_passes(1), task=checkpoint.task
    )
    assert decode(workbench.theatre(trace, example=1).scene).header["source"]["kind"] == "trace"
    with pytest.raises(WorkbenchError, match="N = 4 of a trace"):
        workbench.theatre(trace, passes=4)


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"passes": 99}, "N = 99"),
        ({"example": 99}, "example = 99"),
        ({"input": "?"}, "expected"),
        ({"input": " "}, "input without text"),
        ({"theme": "purple"}, "theme 'purple'; expected one of auto, light, dark"),
    ],
)
def test_a_wrong_place_is_one_line(checkpoints, arguments, words):
    with pytest.raises(WorkbenchError, match=words):
        workbench.theatre(checkpoints["ring"], **arguments)


def test_the_front_door_stays_a_function_whatever_was_imported():
    import workbench.theatre.scene

    assert callable(workbench.theatre) and workbench.theatre.scene
    assert workbench.__getattr__("theatre") is workbench.theatre


def test_without_anywidget_it_says_which_extra_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "anywidget", None)
    monkeypatch.delitem(sys.modules, "workbench.theatre.notebook", raising=False)
    with pytest.raises(WorkbenchError, match=r"no anywidget.*sleep-workbench\[notebooks\]"):
        workbench.theatre("depo-n8-any")


def test_one_html_file_holds_everything():
    scenes = [b"sleepsc1" + bytes(range(256)), b"sleepsc1second"]
    html = page_of(scenes, "a <title> & more")
    assert "<title>a &lt;title&gt; &amp; more</title>" in html and "{{" not in html
    found = re.search(r'<script id="scenes" type="text/plain">(.*?)</script>', html)[1]
    assert base64.b64decode(found) == b"".join(scenes)
    module = re.search(r'from "data:text/javascript;base64,(.*?)"', html)[1]
    assert base64.b64decode(module) == MODULE.read_bytes()
    rest = html.replace(module, "").replace(found, "")
    assert "http" not in rest.replace("http-equiv", "")
    assert "default-src 'none'" in rest and "connect-src" not in rest


def test_a_page_answers_asks_and_keeps_its_place(checkpoints):
    from panel.io.state import state

    from workbench.views.explore.page import Explore

    class Shelf:
        def names(self):
            return list(checkpoints)

        def folders(self):
            return {}

        def checkpoint(self, name):
            if name not in checkpoints:
                raise WorkbenchError(f"no model {name}", "ring", "choose it")
            return checkpoints[name]

    def explore(**address):
        return Explore(address, shared=Shelf())

    view = explore(model="rule", N="2", example="1", window="0")
    header = decode(view.theatre.scene).header
    assert header["model"]["name"] == "rule" and header["sleep"]["passes"] == 2
    assert view.theatre.place["window"] == "0" and view.problems == []
    sent = []
    view.theatre._send_msg = sent.append
    view.theatre._handle_msg({"kind": "ask", "id": 7, "ask": {"what": "scene", "name": "ring"}})
    view.theatre._handle_msg({"kind": "ask", "id": 8, "ask": {"what": "scene", "name": "x"}})
    assert (sent[0]["id"], decode(sent[0]["buffers"][0]).header["model"]["name"]) == (7, "ring")
    assert (sent[1]["id"], sent[1]["field"]) == (8, "model")
    view.location = type("Location", (), {"search": ""})()
    view.location.param = type("P", (), {"update": lambda s, **v: vars(view.location).update(v)})()
    view.theatre.place = {"model": "rule", "N": 2, "pass": 1, "input": ""}
    assert view.location.search == "?model=rule&N=2&pass=1"
    own = {"what": "scene", "name": "ring", "input": "0>3 3>5 5>0"}
    view.theatre._handle_msg({"kind": "ask", "id": 9, "ask": own})
    view.theatre.place = {"model": "ring", "seed": -1, "example": -1}
    assert view.location.search == "?model=ring&input=0%3E3+3%3E5+5%3E0"
    for address, words in (
        ({"N": "999"}, "N = 999"), ({"model": "nobody"}, "no model nobody"),
        ({"example": "one"}, "example = one in the address"), ({"input": "?"}, "expected"),
    ):  # fmt: skip
        wrong = explore(**address)
        assert any(words in said for said in wrong.problems), wrong.problems
        assert len(wrong.problems) == 1 and decode(wrong.theatre.scene)
    kept = decode(explore(model="rule", N="999", example="1").theatre.scene).header
    assert (kept["model"]["name"], kept["source"]["example"]) == ("rule", 1)
    state.reset()
