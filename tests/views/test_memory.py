"""The memory page without a browser: set what a user sets, look at what the panes hold."""

import csv
import io

import panel as pn
import pytest

from workbench.errors import WorkbenchError
from workbench.figures.theme import BYTES
from workbench.instruments.linear import CONVENTIONS
from workbench.instruments.provenance import contribution_norms
from workbench.theatre.csv_text import csv_of
from workbench.theatre.problem import drawn_batch
from workbench.trace import origin_of, record, save_trace
from workbench.views.cursor.cursor import URL, Cursor, TraceCursor
from workbench.views.cursor.traces import TraceStore
from workbench.views.memory import readings
from workbench.views.memory.cards import INSTRUMENTS
from workbench.views.memory.page import Memory
from workbench.views.stepper.page import Stepper


@pytest.fixture(scope="module")
def store(shelf):
    """Traces and results that the tests of this file share."""
    pn.extension("plotly")
    return TraceStore(shelf)


@pytest.fixture
def memory(store):
    return Memory(TraceCursor(checkpoint="ring", passes=2), store=store)


def panes(memory):
    """Return each figure that is shown, as the browser puts it together."""
    screen = memory.screen
    found = {name: getattr(screen, name) for name in ("timeline", "heads", "head")}
    for name, card in screen.cards.items():
        found |= {f"{name} {i}": pane for i, pane in enumerate(card.panes) if pane.visible}
    return {
        name: {**pane.figure, "layout": {**pane.figure["layout"], **pane.moving}}
        for name, pane in found.items()
    }


def figures(memory):
    """Return each card's figures as they are, without the cursor."""
    return {name: [p.figure for p in card.panes] for name, card in memory.screen.cards.items()}


def lacking(memory):
    return {name for name, card in memory.screen.cards.items() if card.problem.visible}


def test_every_card_has_its_figures_and_says_what_it_shows(memory):
    shown = panes(memory)
    assert len(shown) == 3 + sum(instrument.figures for instrument in INSTRUMENTS)
    for name, figure in shown.items():
        assert len(str(figure)) < BYTES, name
    for card in memory.screen.cards.values():
        said = card.says.object
        assert card.instrument.shows[:20] in said.replace("&#x27;", "'") and "omits" in said
        assert not card.problem.visible and card.button.visible
        assert all(pane.label and pane.svg for pane in card.panes)
    assert isinstance(memory.__panel__(), pn.viewable.Viewable)


def test_links_lead_to_the_same_place_and_back(store, shelf):
    """The names in the address are those of the stepper."""
    given = {"checkpoint": "ring-two", "N": "2", "seed": "3", "example": "4", "head": "1"}
    cursor = TraceCursor()
    assert cursor.restore(given | {"window": "1", "pass": "2"}) == []
    memory = Memory(cursor, store=store)
    assert memory.cursor.address().keys() <= set(URL.values())
    link = 'href="stepper?checkpoint=ring-two&amp;seed=3&amp;example=4'
    assert link in memory.screen.onward.object
    there = Cursor()
    assert there.restore(memory.cursor.address()) == []
    stepper = Stepper(there, shared=shelf)
    assert stepper.cursor.address() | {"query": "0"} == memory.cursor.address() | {"query": "0"}
    assert stepper.problem.as_typed == memory.traced.problem(4).as_typed
    assert 'href="memory?checkpoint=ring-two' in stepper.screen.onward.object


def test_it_opens_after_the_last_sleep_unless_a_place_is_given(memory, store):
    assert memory.cursor.boundary == (0, 2) and not memory.cursor.extent.awake[0]
    placed = TraceCursor()
    assert placed.restore({"checkpoint": "ring", "N": "2", "pass": "1"}) == []
    assert Memory(placed, store=store).cursor.boundary == (0, 1)
    begun = TraceCursor(checkpoint="ring", passes=2, window=0, sleep_pass=0)
    assert Memory(begun, store=store).cursor.boundary == (0, 0)


def test_a_step_or_a_head_redraws_only_what_depends_on_it(memory):
    memory.act("first")
    memory.act("step")
    before, moving = figures(memory), panes(memory)
    memory.act("step")
    after = figures(memory)
    changed = {
        (name, number)
        for name, those in before.items()
        for number, figure in enumerate(those)
        if figure is not after[name][number]
    }
    assert changed == {
        ("shares", 0), ("shares", 1), ("tokens", 0), ("spectra", 0), ("retention", 1),
        ("readout", 1),
    }  # fmt: skip
    there = panes(memory)
    still = {name for name, figure in moving.items() if there[name] == figure}
    assert still == {"retention 0", "convergence 1"}, "the cursor moves on all others"
    memory.screen.gdn_head.value = 1
    assert memory.cursor.gdn_head == 1
    of_head = figures(memory)
    assert of_head["lens"][0] is after["lens"][0], "answers are of all heads"
    assert of_head["change"][0] is not after["change"][0]


@pytest.mark.slow
def test_another_example_and_another_n_are_another_sleep(memory):
    first, traced = panes(memory), memory.traced
    memory.screen.example.value = 5
    assert memory.traced is traced, "the trace has all examples"
    assert panes(memory) != first and "Ring of 8 nodes" in memory.screen.picture.object
    memory.cursor.passes = 4
    assert memory.traced is not traced and memory.cursor.boundary == (0, 4)
    memory.screen.checkpoint.value = "rule"
    assert memory.cursor.passes == 3 and "automaton" in memory.screen.picture.object
    memory.screen.checkpoint.value = "ring-two"
    assert memory.screen.layer.visible and memory.cursor.layer == 1 and not lacking(memory)
    before = panes(memory)
    memory.screen.layer.value = 2
    assert memory.cursor.layer == 2 and panes(memory)["change 0"] != before["change 0"]
    before = panes(memory)
    memory.screen.checkpoint.value = "damaged"
    assert memory.cursor.checkpoint == "ring-two" and panes(memory) == before


def test_shares_are_those_of_the_place(memory):
    memory.cursor.param.update(example=4, window=1, sleep_pass=1, gdn_head=1)
    panes = memory.screen.cards["shares"].panes
    for convention, pane in zip(CONVENTIONS, panes, strict=True):
        wanted = contribution_norms(memory.traced.one(4), convention=convention)["share"].isel(
            example=0, window=1, layer=0, gdn_head=1
        )
        texts = [text for trace in pane.figure["data"] for text in trace.get("text", ())]
        each = [f"{round(100 * v)}".replace("-", "−") for v in wanted.values.ravel() if v == v]
        assert set(each[:2]) <= set(texts)
        assert convention in pane.label and convention in str(pane.figure["layout"])


def test_awake_and_before_everything_there_is_something_to_see(memory):
    memory.act("first")
    assert "nothing has been written" in str(memory.screen.cards["shares"].panes[0].figure)
    assert "window 1, pass 1" in str(memory.screen.cards["readout"].panes[1].figure)
    memory.act("last")
    assert memory.cursor.extent.awake[memory.cursor.window] and not lacking(memory)


def test_typed_input_from_the_stepper(store):
    cursor = TraceCursor(checkpoint="ring", passes=2, text="0>1 1>2 2>0", queries="1:0, 2:1")
    cursor.layer = 1
    memory = Memory(cursor, store=store)
    assert memory.problems == [] and "Ring of 3 nodes" in memory.screen.picture.object
    assert "Your own input" in memory.screen.picture.object
    assert "input=0%3E1" in memory.screen.onward.object
    assert not memory.screen.cards["convergence"].panes[1].visible, "CKA takes several examples"
    memory.screen.example.value = 2
    assert memory.cursor.text == "" and "Ring of 8 nodes" in memory.screen.picture.object


@pytest.mark.parametrize("name", ["nothing", "traces/../nothing"])
def test_what_is_wrong_in_the_address_is_corrected(store, name):
    cursor = TraceCursor(checkpoint=name, example=99, sleep_pass=77, gdn_head=9)
    memory = Memory(cursor, store=store)
    said = dict(memory.problems)
    shown = memory.cursor.checkpoint
    assert said["checkpoint"] == f"there is no checkpoint {name!r}; {shown} is shown"
    assert said["example"] == "example 99 does not exist here; 15 is shown"
    assert memory.cursor.gdn_head == 1 and memory.cursor.example == 15


def test_dark_redraws_the_figures(memory):
    light = panes(memory)
    memory.dark = True
    for name, dark in panes(memory).items():
        assert light[name]["layout"]["template"] != dark["layout"]["template"], name


def test_the_numbers_of_every_card_can_be_saved(memory):
    memory.act("step")
    for instrument in INSTRUMENTS:
        button = memory.screen.cards[instrument.name].button
        before = button.serial
        button._handle_msg({})
        assert button.serial == before + 1
        assert button.filename == f"ring-seed-0-n-2-example-0-layer-1-head-0-{instrument.name}.csv"
        rows = list(csv.DictReader(io.StringIO(button.content)))
        assert rows and all(row["value"] not in ("", "nan") for row in rows)
    found = readings.shares_at(memory.traced, memory.cursor)
    rows = [r for r in csv.DictReader(io.StringIO(csv_of(found))) if r["variable"] == "share"]
    here = [r for r in rows if (r["window"], r["sleep_pass"]) == ("0", "2")]
    for convention in CONVENTIONS:
        shares = [float(r["value"]) for r in here if r["convention"] == convention]
        assert sum(shares) == pytest.approx(1, abs=1e-4)


@pytest.fixture
def own(checkpoints, shared, tmp_path):
    """A store with traces of the user's own: whole, with states alone, and with nothing."""
    checkpoint = checkpoints["ring"]
    batch = drawn_batch(checkpoint.task, 0).examples(slice(0, 2))
    origin = origin_of(checkpoint, seed=0)
    shared.traces = folder = tmp_path / "traces"
    folder.mkdir()
    for name, keep in (("whole", ("states", "writes")), ("states", ("states",)), ("none", ())):
        sleep = checkpoint.sleep.with_passes(2)
        tree = record(checkpoint.model, batch, sleep, keep=keep, origin=origin)
        save_trace(tree, folder / f"{name}.zarr.zip")
    return TraceStore(shared)


@pytest.mark.slow
def test_a_trace_of_the_user(own):
    memory = Memory(TraceCursor(checkpoint="traces/whole", example=7, passes=9), store=own)
    assert memory.cursor.example == 1 and memory.cursor.passes is None
    assert "No model is loaded" in memory.screen.note.object
    assert memory.screen.example.label == "Example (0-1)"
    assert not memory.screen.passes.visible and not memory.screen.seed.visible
    assert memory.screen.onward.object == "" and "N" not in memory.cursor.address()
    assert not lacking(memory)
    memory.screen.example.value = 5
    assert memory.cursor.example == memory.screen.example.value == 1, "there are two"
    memory.screen.checkpoint.value = "ring"
    assert memory.screen.passes.visible and memory.cursor.passes == 4


@pytest.mark.slow
def test_cards_that_lack_something_say_so_and_the_others_stay(own):
    memory = Memory(TraceCursor(checkpoint="traces/states"), store=own)
    assert lacking(memory) == {"shares", "tokens", "change", "retention", "readout", "convergence"}
    card = memory.screen.cards["shares"]
    assert "without writes" in card.problem.object and 'role="alert"' in card.problem.object
    assert not card.panes[0].visible and not card.button.visible
    memory.screen.checkpoint.value = "traces/whole"
    assert not card.problem.visible and card.panes[0].visible
    memory = Memory(TraceCursor(checkpoint="traces/none"), store=own)
    assert memory.cursor.checkpoint == "ring" and "states" in dict(memory.problems)[""]


def test_what_waits_is_drawn_after_the_rest(memory, monkeypatch):
    drawn = []
    monkeypatch.setattr(memory, "contents", lambda theme: drawn.append("near") or [])
    monkeypatch.setattr(memory, "rest", lambda theme: drawn.append("rest") or [])
    memory._queue.take(lambda: (memory.draw(), memory.draw(), drawn.append("done")))
    assert drawn == ["near", "near", "done", "rest"], "and once, as it is by then"


def test_without_checkpoints_it_says_what_to_do():
    class Empty:
        def names(self):
            return []

    with pytest.raises(WorkbenchError, match="no checkpoint to look into"):
        Memory(store=TraceStore(Empty()))
