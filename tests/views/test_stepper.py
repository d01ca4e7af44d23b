"""The stepper without a browser: set what a user sets, look at what the panes hold."""

import threading
from urllib.parse import parse_qsl, urlencode

import panel as pn
import param
import pytest

from workbench.errors import WorkbenchError
from workbench.figures.theme import BYTES
from workbench.views.cursor.cursor import Cursor
from workbench.views.stepper.page import Stepper

RING = "0>1 1>2 2>0"


@pytest.fixture
def stepper(shared):
    pn.extension("plotly")
    return Stepper(Cursor(), shared=shared)


def panes(stepper):
    """Return each figure as the browser puts it together."""
    shown = {}
    for name in ("heads", "head", "timeline", "answers", "curves"):
        pane = getattr(stepper.screen, name)
        figure = pane.figure
        shown[name] = {**figure, "layout": {**figure["layout"], **pane.moving}}
    return shown


def words(stepper):
    boundary = stepper.screen.boundary
    return f"{boundary.title}. {boundary.sentence}"


def let_go(slider, value):
    """Set a slider as a browser does that lets it go."""
    with param.edit_constant(slider):
        slider.param.update(value=value, value_throttled=value)


def in_threads(*functions):
    threads = [threading.Thread(target=function) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_a_step_moves_every_pane_and_back_restores_it(stepper):
    screen, cursor = stepper.screen, stepper.cursor
    assert isinstance(stepper.__panel__(), pn.viewable.Viewable)
    assert (cursor.checkpoint, cursor.boundary) == ("ring", (0, 0))
    assert cursor.passes == 4, "the largest N of training"
    assert "S = 0 everywhere" in words(stepper)
    title, before = screen.title.object, panes(stepper)
    stepper.act("step")
    after = panes(stepper)
    assert cursor.boundary == (0, 1) and screen.transport.index == 1
    assert all(before[name] != after[name] for name in before)
    assert all(f["layout"]["height"] and len(str(f)) < BYTES for f in after.values())
    assert "pass 1 of 4" in words(stepper) and "of 8 right" in screen.boundary.told
    assert "<h1" in title and screen.title.object is title, "no step touches the page's title"
    assert "aria-live" not in screen.score.object + screen.tokens.object, "one live region"
    link = screen.onward.object
    assert 'href="memory?checkpoint=ring' in link and "pass=1" in link
    stepper.act("back")
    assert panes(stepper) == before


def test_a_step_draws_only_what_it_changes(stepper):
    """The strip and the curves stay; the cursor on them goes to the browser by itself."""
    screen = stepper.screen
    before = {name: getattr(screen, name).figure for name in ("timeline", "curves", "answers")}
    moving = screen.timeline.moving, screen.curves.moving
    stepper.act("step")
    assert screen.timeline.figure is before["timeline"]
    assert screen.curves.figure is before["curves"]
    assert screen.answers.figure is not before["answers"]
    assert moving[0] != screen.timeline.moving and moving[1] != screen.curves.moving
    heads = screen.heads.figure
    screen.query.value = 3
    assert screen.heads.figure is heads


def test_transport_reaches_both_ends_plays_and_keeps_the_scale(stepper):
    transport, limits = stepper.screen.transport, set()
    stepper.act("last")
    assert stepper.cursor.at_end and "Awake" in words(stepper)
    stepper.act("play")
    assert transport.playing and stepper.cursor.boundary == (0, 0), "it starts over"
    for _ in range(transport.count):
        limits.add(stepper.screen.heads.figure["layout"]["coloraxis"]["cmax"])
        stepper.act("step")
    assert not transport.playing and stepper.cursor.at_end and len(limits) == 1
    stepper.act("first")
    assert stepper.cursor.boundary == (0, 0)


def test_every_action_is_answered_and_a_tick_counts_only_while_playing(stepper):
    """The browser's timer may ask for a step just before it hears of a pause or a jump."""
    transport, cursor = stepper.screen.transport, stepper.cursor
    for action in ("back", "step", "first", "play", "tick"):
        before = transport.serial
        transport._handle_msg({"action": action})
        assert transport.serial == before + 1
    assert cursor.boundary == (0, 1) and transport.playing
    stepper.jump(0, 3)
    stepper.jump(0, 9)  # a click on a timeline that has gone
    assert cursor.boundary == (0, 3) and not transport.playing
    stepper.act("tick")
    assert cursor.boundary == (0, 3) and transport.serial == before + 2, "answered all the same"
    with pytest.raises(KeyError):
        stepper.act("jump")
    assert transport.serial == before + 3, "the browser must not wait for ever"


def test_n_shows_the_end_of_the_sleep(stepper):
    let_go(stepper.screen.passes, 6)
    assert stepper.cursor.boundary == (0, 6)
    assert "beyond the trained range" in stepper.screen.note.object
    let_go(stepper.screen.passes, 1)
    assert stepper.cursor.boundary == (0, 1)
    assert "beyond" not in stepper.screen.note.object
    stepper.act("last")
    let_go(stepper.screen.passes, 3)
    assert stepper.cursor.extent.awake[stepper.cursor.window], "awake it stays where it is"


def test_clicks_and_widgets(stepper):
    screen, cursor = stepper.screen, stepper.cursor
    screen.timeline._handle_msg({"curve": 1, "custom": [0, 3]})
    assert cursor.boundary == (0, 3)
    screen.heads._handle_msg({"curve": 1, "custom": None})
    assert cursor.gdn_head == 1 == screen.gdn_head.value
    screen.answers._handle_msg({"curve": 0, "custom": 5})
    assert cursor.query == 5
    assert list(screen.query.options) == [query.label for query in stepper.problem.queries]
    screen.query.value = 4
    assert stepper.problem.queries[4].label in screen.picture.object
    screen.quantity.value = "change"
    assert "S after pass 3 minus S after pass 2" in str(screen.head.figure["layout"]["annotations"])
    screen.gdn_head.value = 0
    assert cursor.gdn_head == 0
    for _ in range(2):  # the second time nothing changes but the field
        screen.example.value = 16
        assert screen.example.value == cursor.example == 15


@pytest.mark.parametrize(("asked", "windows"), [("1:0", 2), ("1:0, 2:1, 1:3, 1:4, 1:5", 3)])
def test_no_window_of_padding_follows_the_questions(stepper, asked, windows):
    stepper.submit("0>1 1>2 2>3 3>4 4>5 5>6 6>7 7>0", asked)
    assert stepper.cursor.extent.awake == (False, *[True] * (windows - 1))
    assert "padding only" not in stepper.screen.tokens.object


def test_padding_before_a_short_context_is_named(shared):
    shown = Stepper(Cursor(checkpoint="ring-two", text=RING), shared=shared)
    assert "window 1 (padding only)" in shown.screen.tokens.object


def test_another_checkpoint_brings_its_own_n(stepper, monkeypatch):
    seen, run, boundary = [], stepper.run, stepper.screen.boundary
    monkeypatch.setattr(stepper, "run", lambda found: (seen.append(boundary.busy), run(found))[1])
    stepper.screen.checkpoint.value = "rule"
    assert seen == ["rule falls asleep"] and boundary.busy == ""
    assert stepper.cursor.passes == 3 and "automaton" in stepper.screen.picture.object
    stepper.screen.checkpoint.value = "ring-two"
    assert stepper.cursor.passes == 2 and stepper.cursor.layer in (1, 2)
    assert stepper.screen.layer.visible


def test_own_input(stepper):
    form = stepper.screen.own_input
    stepper.submit(RING, "1:0, 2:0")
    assert stepper.cursor.text == RING
    assert len(stepper.problem.queries) == 2 and form.wrong_field == ""
    assert form.typed and form.text == RING
    stepper.screen.example.value = 3
    assert stepper.cursor.text == "" and len(stepper.problem.queries) == 8
    assert not form.typed and form.text == stepper.problem.as_typed[0]
    stepper.screen.query.value = 1
    stepper.submit(RING, "1:0, 1:0")
    labels = list(stepper.screen.query.options)
    assert labels == ["1 hop from 0 (query 1)", "1 hop from 0 (query 2)"]
    assert stepper.screen.query.value == stepper.cursor.query == 1
    stepper.submit("", "", draw=True)
    assert stepper.cursor.text == "" and stepper.cursor.example == 3


@pytest.mark.parametrize(
    ("text", "queries", "field"),
    [("0>1 1>2", "1:0", "text"), (RING, "7:0", "queries"), ("", "", "text")],
)
def test_wrong_input_is_reported_at_its_field(stepper, text, queries, field):
    before = panes(stepper), dict(stepper.cursor.param.values())
    form = stepper.screen.own_input
    fills = form.serial
    stepper.submit(text, queries)
    assert form.wrong_field == field and "expected" in form.message
    assert (panes(stepper), dict(stepper.cursor.param.values())) == before
    stepper.act("step")
    assert form.wrong_field == field and form.serial == fills, "what was typed stays"
    stepper.submit(RING, "1:0")
    assert form.wrong_field == ""


@pytest.mark.parametrize(
    ("queries", "chance"), [("1:0, 2:1", "a guess: 50 %"), ("3:0, 3:1", "a guess: 100 %")]
)
def test_a_typed_ring_has_its_own_chance(stepper, queries, chance):
    assert "a guess: 14 %" in stepper.screen.score.object
    stepper.submit(RING, queries)
    assert chance in stepper.screen.score.object
    assert "Trained with rings of 8 nodes only, this one has 3" in stepper.screen.note.object


def test_dark_redraws_the_figures(stepper):
    light = panes(stepper)
    stepper.dark = True
    for name, dark in panes(stepper).items():
        assert light[name]["layout"]["template"] != dark["layout"]["template"]


class Shelf:
    """Services of which some checkpoints fail to load, in the way given."""

    def __init__(self, checkpoints, failures):
        self.checkpoints, self.failures = checkpoints, failures

    def names(self):
        return sorted({*self.checkpoints, *self.failures})

    def checkpoint(self, name):
        if name in self.failures:
            raise self.failures[name]
        return self.checkpoints[name]


DAMAGED = WorkbenchError("it is damaged", "a checkpoint", "train it again")


@pytest.mark.parametrize("failure", [DAMAGED, FileNotFoundError("no config.toml")])
def test_a_checkpoint_that_fails_changes_nothing_and_leaves_the_session_usable(
    checkpoints, failure, caplog
):
    stepper = Stepper(Cursor(), shared=Shelf(checkpoints, {"gone": failure}))
    before = panes(stepper)
    stepper.screen.checkpoint.value = "gone"
    assert ("FileNotFoundError" in caplog.text) == (failure is not DAMAGED), "a bug is logged"
    assert stepper.cursor.checkpoint == "ring" == stepper.screen.checkpoint.value
    assert stepper.cursor.passes == 4 == stepper.screen.passes.value
    assert panes(stepper) == before and stepper.screen.boundary.busy == ""
    stepper.act("step")
    assert stepper.cursor.boundary == (0, 1)


@pytest.mark.parametrize("failure", [DAMAGED, FileNotFoundError("no config.toml")])
@pytest.mark.parametrize("named", ["", "a-damaged"])
def test_a_damaged_first_checkpoint_does_not_close_the_others(checkpoints, failure, named):
    shelf = Shelf(checkpoints, {"a-damaged": failure})
    stepper = Stepper(Cursor(checkpoint=named, text=RING), shared=shelf)
    assert stepper.cursor.checkpoint == "ring" and stepper.cursor.passes == 4
    (text,) = [text for name, text in stepper.problems if name == ""]
    assert text.startswith("checkpoint a-damaged cannot be shown: ")
    assert "input" not in dict(stepper.problems)
    assert stepper.cursor.text == RING, "the input is not to blame"


def test_without_a_checkpoint_it_says_what_to_do():
    with pytest.raises(WorkbenchError, match="workbench train"):
        Stepper(shared=Shelf({}, {}))
    with pytest.raises(WorkbenchError, match="it is damaged"):
        Stepper(shared=Shelf({}, {"a": DAMAGED, "b": RuntimeError("other")}))


@pytest.mark.parametrize(
    ("given", "kept", "wrong"),
    [
        ({"checkpoint": "rule", "text": "010"}, {"text": ""}, "input"),
        ({"checkpoint": "nothing"}, {"checkpoint": "ring"}, "checkpoint"),
        ({"checkpoint": "ring", "queries": "1:0"}, {"queries": ""}, "queries"),
    ],
)
def test_what_is_wrong_in_the_address_is_corrected_and_reported(shared, given, kept, wrong):
    stepper = Stepper(Cursor(**given), shared=shared)
    assert {name: getattr(stepper.cursor, name) for name in kept} == kept
    assert wrong in dict(stepper.problems)


def test_names_of_several_letters(checkpoints):
    """The page goes by the whole answer, and says where it shows first symbols only."""
    pn.extension("plotly")
    stepper = Stepper(Cursor(checkpoint="words"), shared=Shelf(checkpoints, {}))
    answers = stepper.walk.answers(stepper.cursor.boundary)
    names = [str(s) for s in answers["symbol"].values]
    assert len(set(names)) == len(names), "a letter and the same letter at a word's end"
    figures = panes(stepper)
    assert "P(first symbol)" in str(figures["answers"]["layout"])
    assert len(figures["answers"]["data"]) == 4, "the chance of a whole answer is not drawn"
    assert "chance" not in str([trace.get("name") for trace in figures["curves"]["data"]])
    for query, right in zip(stepper.problem.queries, answers["answer"].values, strict=True):
        assert len(right) > 1 and len(query.answer) > 1
    for correct, mark in ((False, "✗"), (True, "✓")):
        answers["correct"].values[0] = correct
        answers["answer"].values[0] = stepper.problem.queries[0].answer
        stepper.draw()
        assert f"{stepper.problem.queries[0].answer} {mark}" in stepper.screen.picture.object


class Location:
    def __init__(self, search):
        self.search = search


def test_the_address_is_what_restore_reads(stepper):
    stepper.location = Location("?head=77&theme=x&input=")
    ((target, values),) = stepper._address()
    assert target is stepper.location
    query = dict(parse_qsl(values["search"][1:]))
    assert query["head"] == "0", "what was corrected is right in the address as well"
    assert query["theme"] == "x" and "input" not in query
    again = Cursor()
    assert again.restore(query) == []
    assert again.param.values() | {"name": ""} == stepper.cursor.param.values() | {"name": ""}
    bits = Cursor(text="010101", passes=2).address()
    again.restore(dict(parse_qsl(urlencode(bits))))
    assert again.text == "010101", "bits stay text"


def test_the_widgets_follow_what_was_drawn_and_not_a_cursor_on_its_way(stepper):
    """Another thread may be choosing a checkpoint, with N still open, when widgets are set."""
    later = []
    stepper._outbox.set = lambda changes, then=None: later.append(then)
    stepper.draw()
    with param.discard_events(stepper.cursor):
        stepper.cursor.passes = None
    later[-1]()
    assert stepper.screen.passes.value == 4


def test_a_choice_on_its_way_is_not_undone_by_an_older_picture(stepper):
    """The thread that takes a choice up may still be at work when an older picture arrives."""
    turns, pictures = [], []
    stepper._queue.take = lambda todo, key=None: turns.append(todo)
    stepper._outbox.set = lambda changes, then=None: pictures.append(then)
    slider = stepper.screen.passes
    let_go(slider, 3)
    turns.pop(0)()
    older = [show for show in pictures if show]
    let_go(slider, 5)
    choice = turns.pop()  # taken up, not yet done
    older[-1]()
    assert (stepper.cursor.passes, slider.value) == (3, 5)
    choice()
    [show for show in pictures if show][-1]()
    assert (stepper.cursor.passes, slider.value) == (5, 5)


def test_a_slider_that_moved_on_is_not_called_back(stepper):
    """Its value may arrive before the message that it was let go: it must not jump back then."""
    slider = stepper.screen.passes
    let_go(slider, 6)
    slider.value = 7  # the next press of a key; its "let go" is still on the way
    stepper.draw()
    assert (stepper.cursor.passes, slider.value) == (6, 7)
    stepper.cursor.passes = 2  # moved by another hand: the slider follows
    assert slider.value == 2
    let_go(slider, 6)
    assert stepper.cursor.passes == 6 == slider.value


def test_threads_of_a_session_do_not_lose_moves(stepper, in_session):
    """In a session the panes are set later, by its own loop, and show where it all ended."""
    outbox = in_session(stepper._outbox)
    outbox._open()
    transport, serial = stepper.screen.transport, stepper.screen.transport.serial
    in_threads(*[lambda: stepper.act("step")] * 4, lambda: stepper.choose("gdn_head", 1))
    assert stepper.cursor.boundary == (0, 4) and transport.index == 0, "nothing is shown yet"
    outbox._loop.turn()
    outbox._document.tick()
    assert transport.index == 4 and transport.serial == serial + 4
    assert stepper.screen.gdn_head.value == 1 and "pass 4 of 4" in words(stepper)


def test_two_sessions_do_not_meet(shared):
    """They share the models, and nothing else."""
    pn.extension("plotly")
    one = Stepper(Cursor(checkpoint="ring"), shared=shared)
    two = Stepper(Cursor(checkpoint="ring", seed=5), shared=shared)
    assert one.checkpoint is two.checkpoint

    def walk(stepper, steps):
        for _ in range(steps):
            stepper.act("step")

    in_threads(lambda: walk(one, 2), lambda: walk(two, 4), lambda: one.choose("passes", 6))
    assert one.cursor.passes == 6 and two.cursor.passes == 4
    assert two.cursor.boundary == (0, 4) and two.screen.transport.index == 4
    assert one.problem.as_typed != two.problem.as_typed
    alone = Stepper(Cursor(checkpoint="ring", seed=5, sleep_pass=4), shared=shared)
    assert panes(two) == panes(alone)
