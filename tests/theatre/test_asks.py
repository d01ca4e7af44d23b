"""Asks are answered with the very scene that the model makes, or with one line at a field."""

import numpy as np
import pytest
from scenes import decode

from workbench.errors import WorkbenchError
from workbench.theatre import scene as scenes
from workbench.theatre.asks import Asks, TraceAsks, catalogue_of
from workbench.theatre.problem import drawn, drawn_batch
from workbench.trace import record

RING = "0>3 3>5 5>1 1>0"
NESTED: list = []
for _ in range(5_000):
    NESTED = [NESTED]


@pytest.fixture
def loads(checkpoints):
    return []


@pytest.fixture
def asks(checkpoints, loads):
    def load(name):
        loads.append(name)
        if name not in checkpoints:
            raise WorkbenchError(f"no model {name}", "ring", "choose it")
        return checkpoints[name]

    return Asks(load)


def ask(**changes):
    return {"what": "scene", "name": "ring", "seed": 3, "example": 5, "N": 2} | changes


def test_a_scene_is_that_of_the_example_asked_for(asks, checkpoints):
    answer = asks.answer(ask())
    assert answer.problem == answer.field == ""
    scene = decode(answer.data)
    problem = drawn(checkpoints["ring"].task, 3, 5)
    assert (scene.header["task"]["input"], scene.header["task"]["queries"]) == problem.as_typed
    source = scene.header["source"]
    assert (source["seed"], source["example"], source["examples"]) == (3, 5, 16)
    assert scene.header["sleep"]["passes"] == 2
    assert asks.answer(ask()).data is answer.data, "made once"
    usual = decode(asks.answer({"what": "scene", "name": "ring"}).data).header
    assert usual["source"]["seed"] == 0
    assert usual["sleep"]["passes"] == 4, "the largest N of training"


@pytest.mark.parametrize("name", ["ring", "rule", "ring-two"])
def test_without_an_example_one_is_chosen_whose_passes_only_gain(asks, name):
    def right(example):
        scene = decode(asks.answer({"what": "scene", "name": name, "example": example}).data)
        assert not scene.header["source"]["chosen"]
        last = [e for e, entry in enumerate(scene.header["entries"]) if not entry["awake"]][-1]
        places = [at for at, (e, _) in enumerate(scene.header["boundaries"]) if e == last]
        return scene.arrays["correct"].values[places].astype(int).sum(-1)

    gains = [n for n in range(4) if right(n)[-1] > right(n)[0] and (np.diff(right(n)) >= 0).all()]
    source = decode(asks.answer({"what": "scene", "name": name}).data).header["source"]
    assert source["example"] == (gains or [0])[0]
    assert source["chosen"] == (source["example"] != 0)


def test_own_input_is_read(asks):
    header = decode(asks.answer(ask(input=f" {RING} ", queries="2:5, 1:0")).data).header
    assert [query["answer"] for query in header["queries"]] == ["0", "3"]
    assert header["source"]["seed"] == header["source"]["example"] == -1
    assert "workbench.theatre('ring', input=" in header["source"]["python"][-1]


@pytest.mark.parametrize(
    "changes, field, words",
    [
        ({"what": "patch"}, "what", "cannot answer 'patch'"),
        ({"what": None}, "what", "cannot answer"),
        ({"name": 3}, "model", "model 3"),
        ({"name": "nobody"}, "model", "no model nobody"),
        ({"N": 999}, "N", "N = 999; expected a whole number from 1 to 12"),
        ({"N": 0}, "N", "N = 0"),
        ({"N": 2.5}, "N", "N = 2.5"),
        ({"N": True}, "N", "N = True"),
        ({"seed": -1}, "seed", "seed = -1"),
        ({"seed": "0"}, "seed", "seed = '0'"),
        ({"example": 16}, "example", "0 to 15"),
        ({"input": "0>"}, "input", "expected"),
        ({"input": RING, "queries": "9:9"}, "queries", "expected"),
        ({"queries": "1:0"}, "queries", "queries without input"),
        ({"input": "0>1 " * 10_000}, "input", "at most 20,000"),
        ({"input": 7}, "input", "at most 20,000"),
        ({"input": ["0>1"]}, "input", "'input' is a list; expected text, or a number"),
        ({"queries": {"a": 1}}, "queries", "'queries' is a dict"),
        ({"name": ["ring"]}, "model", "'model' is a list"),
        ({"seed": 10**5000}, "seed", "too large a number"),
        ({"more": NESTED}, "more", "'more' is a list"),
        ({"what": NESTED}, "what", "cannot answer"),
        ({"name": "nobody\x1b[31m\udcff"}, "model", r"no model nobody\x1b[31m\udcff"),
        ({"what": "states", "layer": -1, "head": 0}, "layer", "layer = -1"),
    ],
)
def test_what_is_wrong_is_one_line_at_its_field(asks, changes, field, words):
    answer = asks.answer(ask(**changes))
    assert answer.data == b"" and answer.field == field and words in answer.problem
    assert "\n" not in answer.problem and len(answer.problem) < 400


def test_an_ask_that_is_no_table_is_refused(asks):
    assert asks.answer(None).field == asks.answer([1]).field == "what"


def test_heads_of_a_large_scene_are_asked_for_one_by_one(asks, monkeypatch):
    monkeypatch.setattr(scenes, "LARGEST", 1000)
    overview = decode(asks.answer(ask(seed=4)).data)
    assert "fast_weight" not in overview.arrays
    states = ask(seed=4, what="states", layer=1)
    first = asks.answer(states | {"head": 1})
    found = decode(first.data).arrays["fast_weight"].values[:, 0, 0].astype(float)
    wanted = overview.arrays["norm"].values[:, 0, 1]
    np.testing.assert_allclose(np.linalg.norm(found, axis=(1, 2)), wanted, rtol=2e-3)
    assert asks.answer(states | {"head": 1}).data is first.data
    assert "heads 0 to 1" in asks.answer(states | {"head": 7}).problem


def test_a_trace_answers_for_its_own_examples(checkpoints):
    checkpoint = checkpoints["ring"]
    batch = drawn_batch(checkpoint.task, 0).examples(slice(0, 2))
    trace = record(checkpoint.model, batch, checkpoint.sleep.with_passes(2), task=checkpoint.task)
    asks = TraceAsks(trace)
    scene = decode(asks.answer({"what": "scene", "example": 1}).data)
    assert scene.header["source"]["examples"] == 2 and scene.header["source"]["example"] == 1
    states = {"what": "states", "layer": 1, "head": 0, "example": 1}
    np.testing.assert_array_equal(
        decode(asks.answer(states).data).arrays["fast_weight"].values[:, 0, 0],
        scene.arrays["fast_weight"].values[:, 0, 0],
    )
    for wrong, field in (
        ({"example": 2}, "example"), ({"example": 0, "N": 3}, "N"),
        ({"example": 0, "input": RING}, "input"), ({"example": 0, "queries": "1:0"}, "queries"),
    ):  # fmt: skip
        assert asks.answer({"what": "scene"} | wrong).field == field


def test_the_catalogue_reads_configurations_alone(tmp_path):
    from workbench.paths import bundled_checkpoints

    found = {one["name"]: one for one in catalogue_of(bundled_checkpoints())}
    assert found["depo-n8-any"]["passes"] == [1, 2, 3, 4] and "Depo" in found["depo-n8-any"]["task"]
    assert found["depo-n8-n4"]["passes"] == [4]
    assert catalogue_of({"damaged": tmp_path}) == []
