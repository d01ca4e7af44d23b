"""The instruments of the lens "memory": their figures at every boundary, and their numbers."""

import csv
import io
import json
import re

import numpy as np
import pytest
from house import ROOT

from workbench import figures
from workbench.figures.theme import BYTES
from workbench.instruments.lens import lens, lens_by_difficulty
from workbench.instruments.linear import CONVENTIONS
from workbench.instruments.provenance import contribution_norms
from workbench.theatre import instruments as all_instruments
from workbench.theatre import scene as scenes
from workbench.theatre.asks import Asks, TraceAsks
from workbench.theatre.instruments import INSTRUMENTS
from workbench.theatre.problem import drawn, drawn_batch, without_padding
from workbench.trace import origin_of, record, save_trace

RING = {"name": "ring", "seed": 3, "example": 5, "N": 2}


@pytest.fixture(scope="module")
def asks(checkpoints):
    return Asks(checkpoints.__getitem__)


def ask(asks, instrument, **changes):
    place = {"layer": 1, "head": 1, "window": 0, "pass": 1}
    answer = asks.answer(
        {"what": "instrument", "instrument": instrument, **RING, **place} | changes
    )
    assert answer.problem == "", answer.problem
    return answer.result


def numbers(result):
    return list(csv.DictReader(io.StringIO(result["csv"])))


def test_the_front_end_offers_each_of_them():
    text = (ROOT / "frontend/src/lenses/memory/names.ts").read_text(encoding="utf-8")
    offered = re.findall(r'^  (\w+): \["[^"]+", "(\w+)"\],$', text, re.MULTILINE)
    assert [name for name, _ in offered] == list(INSTRUMENTS)
    assert {figure for _, figure in offered} <= set(figures.__all__)


@pytest.mark.parametrize("name", INSTRUMENTS)
def test_every_boundary_has_its_figure(asks, name):
    """The figure of a boundary is the same however it was asked for."""
    stops = [(0, p) for p in range(3)] + [(w, p) for w in (1, 2) for p in range(2)]
    every = ask(asks, name, every=True)
    assert json.dumps(every) and {"title", "shows", "omits"} <= every.keys()
    for window, sleep_pass in stops[::3]:
        one = ask(asks, name, **{"window": window, "pass": sleep_pass})
        boundary = stops.index((window, sleep_pass))
        for alone, among in zip(one["plots"], every["plots"], strict=True):
            assert len(alone["figures"]) == 1 and alone["at"][boundary] == 0
            assert len(among["at"]) == len(stops) and -1 not in among["at"]
            figure = among["figures"][among["at"][boundary]]
            assert len(json.dumps(figure)) < BYTES and alone["label"]
            assert alone["figures"][0]["data"] == figure["data"]
            if among["moving"]:
                assert alone["moving"] == among["moving"]
            else:
                assert alone["figures"][0]["layout"] == figure["layout"]


def test_what_moves_with_the_boundary_is_its_layout_alone(asks):
    moving = ask(asks, "change")["plots"][0]["moving"]
    assert len({json.dumps(layout) for layout in moving}) == len(moving) == 7
    assert ask(asks, "shares")["plots"][0]["moving"] is None


def test_shares_are_those_of_the_example_by_both_conventions(asks, checkpoints):
    checkpoint = checkpoints["ring"]
    batch = drawn(checkpoint.task, 3, 5).batch
    trace = record(checkpoint.model, batch, checkpoint.sleep.with_passes(2))
    rows = numbers(ask(asks, "shares", csv=True))
    for convention in CONVENTIONS:
        wanted = contribution_norms(trace, convention=convention)["share"].isel(
            example=0, window=0, layer=0, gdn_head=1, source_window=0
        )
        here = {
            row["source_pass"]: float(row["value"]) for row in rows
            if row["convention"] == convention and row["variable"] == "share"
            and (row["window"], row["sleep_pass"], row["source_window"]) == ("0", "2", "0")
        }  # fmt: skip
        np.testing.assert_allclose(list(here.values()), wanted.values, rtol=1e-3, atol=1e-5)
        assert sum(here.values()) == pytest.approx(1, abs=1e-4)
    texts = str(ask(asks, "shares", **{"pass": 2})["plots"][1]["figures"][0]["data"])
    assert all(f"'{round(100 * v)}'".replace("-", "−") in texts for v in wanted.values)


def test_the_lens_is_over_all_examples_of_the_seed(asks, checkpoints):
    checkpoint = checkpoints["ring"]
    sleep = checkpoint.sleep.with_passes(2)
    batch = without_padding(drawn_batch(checkpoint.task, 3), sleep.window)
    scores = lens(checkpoint.model, batch, sleep)
    wanted = lens_by_difficulty(scores, checkpoint.task)["accuracy"].sel(window=0)
    rows = [r for r in numbers(ask(asks, "lens", csv=True)) if r["variable"] == "accuracy"]
    values = [float(row["value"]) for row in rows if row["window"] == "0"]
    np.testing.assert_allclose(values, wanted.values.ravel(), rtol=1e-4)


def test_numbers_have_a_file_name_and_no_gaps(asks):
    for name in INSTRUMENTS:
        result = ask(asks, name, csv=True)
        assert result["file"] == f"ring-seed-3-example-5-n-2-layer-1-head-1-{name}.csv"
        assert all(row["value"] not in ("", "nan") for row in numbers(result))


def test_own_input_and_dark_ground(asks):
    typed = {"input": "0>1 1>2 2>0", "queries": "1:0, 2:1", "seed": 0, "example": 0}
    found = ask(asks, "convergence", **typed)["plots"]
    assert len(found) == 1, "likeness takes several examples"
    assert len(ask(asks, "convergence")["plots"]) == 2
    assert ask(asks, "convergence", csv=True, **typed)["file"].startswith("ring-own-input-n-2")
    light, dark = (
        ask(asks, "tokens", theme=t)["plots"][0]["figures"][0] for t in ("light", "dark")
    )
    assert light["data"] != dark["data"] or light["layout"] != dark["layout"]


@pytest.mark.parametrize(
    "changes, field, words",
    [
        ({"instrument": "nothing"}, "instrument", "one of shares, tokens"),
        ({"instrument": ["shares"]}, "instrument", "'instrument' is a list"),
        ({"window": 3}, "window", "0 to 2"),
        ({"pass": 3}, "pass", "0 to 2"),
        ({"layer": 0}, "", "layers 1"),
        ({"head": 2}, "", "heads 0 to 1"),
        ({"head": 2, "instrument": "spectra"}, "", "heads 0 to 1"),
        ({"layer": 0, "instrument": "lens"}, "", "layers 1"),
        ({"theme": "blue"}, "theme", "light or dark"),
        ({"example": 16}, "example", "0 to 15"),
    ],
)
def test_what_is_wrong_is_one_line(asks, changes, field, words):
    place = {"instrument": "shares", "layer": 1, "head": 0, "window": 0, "pass": 1}
    answer = asks.answer({"what": "instrument", **RING, **place} | changes)
    assert answer.result is None and answer.field == field and words in answer.problem


def test_an_example_is_read_once(asks, checkpoints, monkeypatch):
    read = []
    monkeypatch.setattr("workbench.theatre.asks.read_wish", lambda *given: read.append(given))
    ask(asks, "shares"), ask(asks, "tokens", example=5)
    assert not read


def test_what_does_not_fit_one_answer_is_asked_for_again(asks, monkeypatch):
    monkeypatch.setattr(all_instruments, "MOST_BYTES", 1)
    at = ask(asks, "shares", every=True, **{"pass": 2})["plots"][0]["at"]
    assert at == [-1, -1, 0, -1, -1, -1, -1]


def test_of_a_large_memory_no_states_of_other_examples_are_kept(checkpoints, monkeypatch):
    monkeypatch.setattr(scenes, "LARGEST", 1000)
    asks = Asks(checkpoints.__getitem__)
    assert len(ask(asks, "convergence")["plots"]) == 1
    assert "distance" not in ask(asks, "convergence", csv=True)["csv"]
    told = []
    lens = {"what": "instrument", "instrument": "lens", **RING, "layer": 1, "head": 0}
    answer = asks.answer(lens | {"window": 0, "pass": 1}, lambda *given: told.append(given))
    assert answer.result["plots"][0]["figures"]
    assert told == [(done, 16, "examples") for done in range(2, 17, 2)]


@pytest.fixture(scope="module")
def traced(checkpoints):
    """Traces of two examples: whole, and with states alone."""
    checkpoint = checkpoints["ring"]
    batch = drawn_batch(checkpoint.task, 3).examples(slice(4, 6))
    origin = origin_of(checkpoint, seed=3)
    sleep = checkpoint.sleep.with_passes(2)
    return {
        keep[-1]: record(checkpoint.model, batch, sleep, keep=keep, origin=origin)
        for keep in (("states", "writes"), ("states",))
    }


def test_a_trace_says_what_its_model_says(asks, traced):
    own = TraceAsks(traced["writes"])
    for name in ("shares", "spectra", "readout"):
        here = numbers(ask(own, name, example=1, csv=True))
        there = numbers(ask(asks, name, csv=True))
        values = [[float(row["value"]) for row in rows] for rows in (here, there)]
        np.testing.assert_allclose(*values, rtol=1e-2, atol=1e-4)
    assert len(ask(own, "convergence", example=1)["plots"]) == 1


def test_what_a_trace_lacks_is_said_and_the_others_stay(traced):
    own = TraceAsks(traced["states"])
    place = {"what": "instrument", "layer": 1, "head": 0, "window": 0, "pass": 1}
    lacking = {
        name for name in INSTRUMENTS
        if "without writes" in own.answer(place | {"instrument": name}).problem
    }  # fmt: skip
    assert lacking == {"shares", "tokens", "change", "retention", "readout", "convergence"}
    assert own.answer(place | {"instrument": "spectra"}).result["plots"]


@pytest.fixture
def folder(traced, tmp_path):
    """A folder of the user's own traces, with a trap or two."""
    found = tmp_path / "traces"
    found.mkdir()
    save_trace(traced["writes"], found / "mine.zarr.zip")
    (found / "broken.zarr.zip").write_bytes(b"no zip")
    (found / "notes.txt").write_text("no trace")
    (tmp_path / "secret.zarr.zip").write_bytes((found / "mine.zarr.zip").read_bytes())
    (found / "link.zarr.zip").symlink_to(tmp_path / "secret.zarr.zip")
    return found


def test_own_traces_are_shown_like_models(folder, checkpoints, monkeypatch):
    from scenes import decode

    from workbench.theatre import traces
    from workbench.theatre.asks import catalogue_of

    listed = [one["name"] for one in catalogue_of({}, folder)]
    assert listed == ["traces/broken", "traces/mine"]
    asks = Asks(checkpoints.__getitem__, lambda: folder)
    scene = {"what": "scene", "name": "traces/mine", "example": 1}
    header = decode(asks.answer(scene).data).header
    assert header["model"]["name"] == "traces/mine" and header["source"]["kind"] == "trace"
    assert header["source"]["examples"] == 2
    found = ask(asks, "shares", name="traces/mine", example=1, N=None)
    assert found["plots"][0]["figures"]
    problem = "one of traces/broken, traces/mine"
    for name in ("traces/../secret", "traces/link", "traces/nothing", "traces//etc/passwd"):
        answer = asks.answer(scene | {"name": name})
        assert answer.field == "model" and problem in answer.problem
    assert "cannot be read" in asks.answer(scene | {"name": "traces/broken"}).problem
    monkeypatch.setattr(traces, "LARGEST", 10)
    fresh = Asks(checkpoints.__getitem__, lambda: folder)
    assert "record fewer examples" in fresh.answer(scene).problem
    empty = Asks(checkpoints.__getitem__).answer(scene).problem
    assert "a file in traces/, which holds none" in empty
