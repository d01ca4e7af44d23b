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
        name: getattr(stepper, name).figure
        for name in ("heads", "head", "timeline", "answers", "curves")
    }


def test_it_begins_before_the_first_pass(stepper):
    assert stepper.cursor.checkpoint == "ring"
    assert stepper.cursor.passes == 4, "the largest N of training"
    assert stepper.cursor.place == (0, 0)
    assert "S = 0 everywhere" in stepper.place.object
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
    assert stepper.cursor.place == (0, 1) and stepper.transport.index == 1
    assert all(before[name] != after[name] for name in before)
    assert "pass 1 of 4" in stepper.place.object
    stepper.act("back")
    assert panes(stepper) == before


def test_transport_reaches_both_ends_and_plays(stepper):
    stepper.act("last")
    assert stepper.cursor.at_end and "Awake" in stepper.place.object
    stepper.act("play")
    assert stepper.transport.playing and stepper.cursor.place == (0, 0), "it starts over"
    for _ in range(stepper.transport.count):
        stepper.act("step")
    assert not stepper.transport.playing and stepper.cursor.at_end
    stepper.act("first")
    assert stepper.cursor.place == (0, 0)


def test_the_scale_stays_while_stepping(stepper):
    limits = set()
    for _ in stepper.walk.places:
        limits.add(stepper.heads.figure["layout"]["coloraxis"]["cmax"])
        stepper.act("step")
    assert len(limits) == 1


def test_n_shows_the_end_of_the_sleep(stepper):
    stepper.controls.passes.value = 6
    assert stepper.cursor.place == (0, 6)
    assert "beyond the trained range" in stepper.controls.note.object
    stepper.controls.passes.value = 1
    assert stepper.cursor.place == (0, 1)
    assert "beyond" not in stepper.controls.note.object
    stepper.act("last")
    stepper.controls.passes.value = 3
    assert stepper.walk.awake[stepper.cursor.window], "awake it stays where it is"


def test_clicks(stepper):
    stepper._clicked_timeline(1, [0, 3])
    assert stepper.cursor.place == (0, 3)
    stepper._clicked_head(1, None)
    assert stepper.cursor.gdn_head == 1 and stepper.gdn_head.value == 1
    stepper._clicked_answer(0, 5)
    assert stepper.cursor.query == 5


def test_quantity_and_head_by_widget(stepper):
    stepper.act("step")
    stepper.quantity.value = "change"
    assert "minus S before the sleep" in str(stepper.head.figure["layout"]["annotations"])
    stepper.gdn_head.value = 1
    assert stepper.cursor.gdn_head == 1


def test_another_checkpoint_brings_its_own_n(stepper):
    stepper.controls.checkpoint.value = "rule"
    assert stepper.cursor.passes == 3
    assert "automaton" in stepper.picture.object
    stepper.controls.checkpoint.value = "ring-two"
    assert stepper.cursor.passes == 2 and stepper.cursor.layer in (1, 2)
    assert stepper.layer.visible


def test_a_damaged_checkpoint_changes_nothing(stepper):
    stepper.act("step")
    before = panes(stepper)
    stepper.controls.checkpoint.value = "damaged"
    assert stepper.cursor.checkpoint == "ring"
    assert stepper.controls.checkpoint.value == "ring"
    assert panes(stepper) == before


def test_own_input(stepper):
    controls = stepper.controls
    controls.text.value_input = "0>1 1>2 2>0"
    controls.queries.value_input = "1:0, 2:0"
    controls.submit()
    assert stepper.cursor.text == "0>1 1>2 2>0"
    assert len(stepper.problem.queries) == 2 and not controls.text.error_state
    assert controls.reset.visible
    controls.example.value = 3
    assert stepper.cursor.text == "" and len(stepper.problem.queries) == 8


@pytest.mark.parametrize(
    ("text", "queries", "field"),
    [("0>1 1>2", "1:0", "text"), ("0>1 1>2 2>0", "7:0", "queries"), ("", "", "text")],
)
def test_wrong_input_is_told_at_its_field(stepper, text, queries, field):
    before = panes(stepper), dict(stepper.cursor.param.values())
    controls = stepper.controls
    controls.text.value_input, controls.queries.value_input = text, queries
    controls.submit()
    widget = getattr(controls, field)
    assert widget.error_state and "expected" in widget.helper_text
    assert (panes(stepper), dict(stepper.cursor.param.values())) == before
    controls.text.value_input, controls.queries.value_input = "0>1 1>2 2>0", "1:0"
    controls.submit()
    assert not controls.text.error_state and not controls.queries.error_state


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


def test_threads_do_not_lose_moves(stepper):
    stepper.cursor.passes = 8
    stepper.act("first")
    threads = [threading.Thread(target=stepper.act, args=("step",)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stepper.transport.index == 6
