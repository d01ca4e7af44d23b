"""Each host hands the module what the contract says, and carries asks and answers."""

import base64
import json
import re
import sys

import numpy as np
import pytest
import xarray as xr
from scenes import decode

import workbench
from workbench.errors import WorkbenchError
from workbench.theatre.asks import Asks
from workbench.theatre.files import MODULE
from workbench.theatre.page import page_of

VALUES = {"scene", "catalogue", "live", "settings", "place"}
"""What the module asks any host for."""


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
        theatre._messages.hear({"kind": "ask", "id": identity, "ask": ask})
    theatre._messages.hear({"kind": "other"})
    theatre._messages.worker.shutdown()
    (first, buffers), (second, nothing) = sent
    assert first == {"kind": "answer", "id": 0}
    assert decode(buffers[0]).header["sleep"]["passes"] == 1
    assert second["id"] == 1 and second["field"] == "what" and nothing is None


def test_a_notebook_cell_tells_the_story(checkpoints):
    theatre = workbench.theatre(checkpoints["ring"], story=True)
    assert len(theatre.story["scenes"]) == 6 and theatre.place == {"scene": 1}
    assert workbench.theatre(checkpoints["ring"]).story == {}


def test_a_notebook_says_how_far_it_is_and_ends_what_is_given_up(checkpoints, monkeypatch):
    monkeypatch.setattr("workbench.progress.EVERY", 0.0)
    theatre, sent = workbench.theatre(checkpoints["ring"], passes=2), []
    given_up = {"kind": "cancel", "id": 1}

    def send(content, buffers=None):
        sent.append(content)
        if content["kind"] == "progress" and content["id"] == 1:
            theatre._messages.hear(given_up)

    theatre.send = send
    ask = {"what": "credit", "name": "ring", "N": 2, "window": 0, "pass": 1, "steps": 8}
    for identity, query in ((1, 0), (2, 1)):
        asked = {"kind": "ask", "id": identity, "ask": ask | {"query": query}}
        theatre._messages.hear(asked)
    theatre._messages.worker.shutdown()
    assert [m["kind"] for m in sent if m["id"] == 1] == ["progress"], "and no answer"
    *progress, last = [m for m in sent if m["id"] == 2]
    assert last["kind"] == "answer" and last["result"]["values"] and not theatre._messages.open
    assert progress[-1]["done"] == progress[-1]["total"] and progress[-1]["unit"] == "readings"


def test_a_notebook_cell_shows_a_trace(checkpoints):
    checkpoint = checkpoints["rule"]
    batch = checkpoint.task.sample(2, np.random.default_rng(0))
    trace = workbench.record(
        checkpoint.model, batch, checkpoint.sleep.with_passes(1), task=checkpoint.task
    )
    assert decode(workbench.theatre(trace, example=1).scene).header["source"]["kind"] == "trace"
    with pytest.raises(WorkbenchError, match="N = 4 of a trace"):
        workbench.theatre(trace, passes=4)
    with pytest.raises(WorkbenchError, match="story with a trace"):
        workbench.theatre(trace, story=True)


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"passes": 99}, "N = 99"),
        ({"input": " "}, "input without text"),
        ({"theme": "purple"}, "theme 'purple'; expected one of auto, light, dark"),
        ({"seed": 10**5000}, "'seed' is too large a number"),
    ],
)
def test_a_wrong_place_is_one_line(checkpoints, arguments, words):
    with pytest.raises(WorkbenchError, match=words):
        workbench.theatre(checkpoints["ring"], **arguments)


@pytest.mark.parametrize("source", [None, 1, b"x", ["ring"], xr.Dataset(), xr.DataTree()])
def test_what_is_neither_checkpoint_nor_trace_is_one_line(source):
    with pytest.raises(WorkbenchError, match="theatre of a .*; expected a checkpoint") as error:
        workbench.theatre(source)
    assert "\n" not in str(error.value)


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


class Shelf:
    """Services that know these checkpoints only."""

    def __init__(self, checkpoints):
        self.checkpoints, self.asks = checkpoints, Asks(self.checkpoint)

    def names(self):
        return list(self.checkpoints)

    def checkpoint(self, name):
        if name not in self.checkpoints:
            raise WorkbenchError(f"no model {name}", "ring", "choose it")
        return self.checkpoints[name]


def test_a_component_of_panel_answers_asks(checkpoints):
    from panel.io.state import state

    from workbench.views.parts.theatre import Theatre

    shelf = Shelf(checkpoints)
    theatre = Theatre(shelf.asks, {"what": "scene", "name": "rule", "N": 2}, place={"window": 0})
    assert VALUES <= set(theatre.param)
    assert decode(theatre.scene).header["model"]["name"] == "rule"
    sent = []
    theatre._send_msg = sent.append
    for number, ask in enumerate(({"what": "scene", "name": "ring"}, {"what": "scene"})):
        theatre._handle_msg({"kind": "ask", "id": number, "ask": ask})
    theatre._handle_msg({"kind": "cancel", "id": 2})
    theatre._messages.worker.shutdown()
    assert (sent[0]["id"], decode(sent[0]["buffers"][0]).header["model"]["name"]) == (0, "ring")
    assert (sent[1]["id"], sent[1]["field"], len(sent)) == (1, "model", 2)
    state.reset()


@pytest.fixture
def explore(checkpoints, monkeypatch):
    """Return what gives the frames of an address's first scene, with untrained models."""
    from workbench.views.explore import page

    monkeypatch.setattr(page, "services", lambda: Shelf(checkpoints))

    def frames(**address):
        data, found = page.first(address), {}
        while data:
            length = int.from_bytes(data[:4], "little")
            found[chr(data[4])], data = data[5 : 5 + length], data[5 + length :]
        return json.loads(found["j"]), decode(found["b"]).header

    return frames


def test_a_plain_page_shows_what_its_address_names(explore):
    said, header = explore(model="rule", N="2", example="1", window="0")
    assert said["problems"] == [] and said["own"] == {}
    assert header["model"]["name"] == "rule" and header["sleep"]["passes"] == 2
    own = "0>3 3>5 5>0"
    said, header = explore(checkpoint="ring", input=own, example="-1", seed="-1")
    assert said["own"] == {"input": own} and header["source"]["example"] == -1
    assert said["ask"] == {"what": "scene", "name": "ring", "input": own} and not said["problems"]


@pytest.mark.parametrize(
    ("address", "words", "kept"),
    [
        ({"N": "999", "model": "rule", "example": "1"}, "N = 999", ("rule", 1)),
        ({"model": "nobody", "example": "3"}, "no model nobody", ("ring", 3)),
        ({"example": "one", "model": "rule"}, "example = one is not a whole number", ("rule", 0)),
        ({"input": "?", "queries": "x", "model": "rule"}, "expected", ("rule", 0)),
    ],
)
def test_what_is_wrong_in_an_address_is_one_line(explore, address, words, kept):
    said, header = explore(**address)
    assert len(said["problems"]) == 1 and words in said["problems"][0]
    assert (header["model"]["name"], header["source"]["example"]) == kept
