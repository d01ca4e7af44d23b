"""The stepper without a browser: set what a user sets, look at what the panes hold."""

import threading

import panel as pn
import pytest

from workbench.errors import WorkbenchError
from workbench.figures.theme import BYTES
from workbench.views.cursor import Cursor
from workbench.views.stepper import Stepper


@pytest.fixture
def stepper(shared):
    pn.extension("plotly")
    return Stepper(Cursor(), shared=shared)


def panes(stepper):
    return {
        name: getattr(stepper.screen, name).figure
        for name in ("heads", "head", "timeline", "answers", "curves")
    }


def test_it_begins_before_the_first_pass(stepper):
    assert stepper.cursor.checkpoint == "ring"
    assert stepper.cursor.passes == 4, "the largest N of training"
    assert stepper.cursor.place == (0, 0)
    assert "S = 0 everywhere" in stepper.screen.place.object
    assert all(figure["layout"]["height"] for figure in panes(stepper).values())
    assert isinstance(stepper.__panel__(), pn.viewable.Viewable)


def test_figures_sent_are_small(stepper):
    stepper.cursor.step()
    for figure in panes(stepper).values():
        assert len(str(figure)) < BYTES


def test_a_step_moves_every_pane(stepper):
    before = panes(stepper)
    stepper.act("step")
    after = panes(stepper)
    assert stepper.cursor.place == (0, 1) and stepper.screen.transport.index == 1
    assert all(before[name] != after[name] for name in before)
    assert "pass 1 of 4" in stepper.screen.place.object
    stepper.act("back")
    assert panes(stepper) == before


def test_transport_reaches_both_ends_and_plays(stepper):
    stepper.act("last")
    assert stepper.cursor.at_end and "Awake" in stepper.screen.place.object
    stepper.act("play")
    assert stepper.screen.transport.playing and stepper.cursor.place == (0, 0), "it starts over"
    for _ in range(stepper.screen.transport.count):
        stepper.act("step")
    assert not stepper.screen.transport.playing and stepper.cursor.at_end
    stepper.act("first")
    assert stepper.cursor.place == (0, 0)


def test_the_scale_stays_while_stepping(stepper):
    limits = set()
    for _ in stepper.walk.places:
        limits.add(stepper.screen.heads.figure["layout"]["coloraxis"]["cmax"])
        stepper.act("step")
    assert len(limits) == 1


def test_n_shows_the_end_of_the_sleep(stepper):
    stepper.screen.passes.value = 6
    assert stepper.cursor.place == (0, 6)
    assert "beyond the trained range" in stepper.screen.note.object
    stepper.screen.passes.value = 1
    assert stepper.cursor.place == (0, 1)
    assert "beyond" not in stepper.screen.note.object
    stepper.act("last")
    stepper.screen.passes.value = 3
    assert stepper.walk.awake[stepper.cursor.window], "awake it stays where it is"


def test_clicks(stepper):
    screen = stepper.screen
    screen.timeline._handle_msg({"curve": 1, "custom": [0, 3]})
    assert stepper.cursor.place == (0, 3)
    screen.heads._handle_msg({"curve": 1, "custom": None})
    assert stepper.cursor.gdn_head == 1 and screen.gdn_head.value == 1
    screen.answers._handle_msg({"curve": 0, "custom": 5})
    assert stepper.cursor.query == 5


def test_quantity_and_head_by_widget(stepper):
    stepper.act("step")
    stepper.screen.quantity.value = "change"
    assert "minus S before the sleep" in str(stepper.screen.head.figure["layout"]["annotations"])
    stepper.screen.gdn_head.value = 1
    assert stepper.cursor.gdn_head == 1


def test_another_checkpoint_brings_its_own_n(stepper):
    stepper.screen.checkpoint.value = "rule"
    assert stepper.cursor.passes == 3
    assert "automaton" in stepper.screen.picture.object
    stepper.screen.checkpoint.value = "ring-two"
    assert stepper.cursor.passes == 2 and stepper.cursor.layer in (1, 2)
    assert stepper.screen.layer.visible


def test_a_damaged_checkpoint_changes_nothing(stepper):
    stepper.act("step")
    before = panes(stepper)
    stepper.screen.checkpoint.value = "damaged"
    assert stepper.cursor.checkpoint == "ring"
    assert stepper.screen.checkpoint.value == "ring"
    assert panes(stepper) == before


def test_own_input(stepper):
    form = stepper.screen.own_input
    stepper.submit("0>1 1>2 2>0", "1:0, 2:0")
    assert stepper.cursor.text == "0>1 1>2 2>0"
    assert len(stepper.problem.queries) == 2 and form.wrong_field == ""
    assert form.typed and form.text == "0>1 1>2 2>0"
    stepper.screen.example.value = 3
    assert stepper.cursor.text == "" and len(stepper.problem.queries) == 8
    assert not form.typed and form.text == stepper.problem.context
    stepper.submit("0>1 1>2 2>0", "")
    stepper.submit("", "", draw=True)
    assert stepper.cursor.text == "" and stepper.cursor.example == 3


@pytest.mark.parametrize(
    ("text", "queries", "field"),
    [("0>1 1>2", "1:0", "text"), ("0>1 1>2 2>0", "7:0", "queries"), ("", "", "text")],
)
def test_wrong_input_is_told_at_its_field(stepper, text, queries, field):
    before = panes(stepper), dict(stepper.cursor.param.values())
    form = stepper.screen.own_input
    fills = form.serial
    stepper.submit(text, queries)
    assert form.wrong_field == field and "expected" in form.message
    assert (panes(stepper), dict(stepper.cursor.param.values())) == before
    assert form.serial == fills, "what was typed stays"
    stepper.act("step")
    assert form.wrong_field == field and form.serial == fills
    stepper.submit("0>1 1>2 2>0", "1:0")
    assert form.wrong_field == ""


def test_dark_redraws_the_figures(stepper):
    light = panes(stepper)
    stepper.dark = True
    dark = panes(stepper)
    for name in dark:
        assert light[name]["layout"]["template"] != dark[name]["layout"]["template"]


def test_input_in_the_address_that_does_not_fit(shared):
    stepper = Stepper(Cursor(checkpoint="rule", text="010"), shared=shared)
    assert stepper.cursor.text == "" and "input" in dict(stepper.problems)
    stepper = Stepper(Cursor(checkpoint="nothing"), shared=shared)
    assert stepper.cursor.checkpoint == "ring" and "checkpoint" in dict(stepper.problems)


def test_without_checkpoints_it_says_what_to_do():
    class Empty:
        def names(self):
            return []

    with pytest.raises(WorkbenchError, match="workbench train"):
        Stepper(shared=Empty())


def test_every_action_is_answered(stepper):
    transport = stepper.screen.transport
    for action in ("back", "step", "play", "last", "last"):
        before = transport.serial
        transport._handle_msg({"action": action})
        assert transport.serial == before + 1
    with pytest.raises(KeyError):
        stepper.act("jump")
    assert transport.serial == before + 2, "the browser must not wait for ever"


def test_threads_do_not_lose_moves(stepper):
    stepper.cursor.passes = 8
    stepper.act("first")
    threads = [threading.Thread(target=stepper.act, args=("step",)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stepper.screen.transport.index == 6
