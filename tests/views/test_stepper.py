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


@pytest.fixture
def stepper(shared):
    pn.extension("plotly")
    return Stepper(Cursor(), shared=shared)


@pytest.fixture
def words_stepper(checkpoints):
    """A stepper on rings whose names have several letters."""
    pn.extension("plotly")
    return Stepper(Cursor(checkpoint="words"), shared=Shelf(checkpoints, {}))


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


def test_it_begins_before_the_first_pass(stepper):
    assert stepper.cursor.checkpoint == "ring"
    assert stepper.cursor.passes == 4, "the largest N of training"
    assert stepper.cursor.boundary == (0, 0)
    assert "S = 0 everywhere" in words(stepper)
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
    assert stepper.cursor.boundary == (0, 1) and stepper.screen.transport.index == 1
    assert all(before[name] != after[name] for name in before)
    assert "pass 1 of 4" in words(stepper)
    stepper.act("back")
    assert panes(stepper) == before


def test_transport_reaches_both_ends_and_plays(stepper):
    stepper.act("last")
    assert stepper.cursor.at_end and "Awake" in words(stepper)
    stepper.act("play")
    assert stepper.screen.transport.playing and stepper.cursor.boundary == (0, 0), "it starts over"
    for _ in range(stepper.screen.transport.count):
        stepper.act("step")
    assert not stepper.screen.transport.playing and stepper.cursor.at_end
    stepper.act("first")
    assert stepper.cursor.boundary == (0, 0)


def test_the_scale_stays_while_stepping(stepper):
    limits = set()
    for _ in stepper.walk.boundaries:
        limits.add(stepper.screen.heads.figure["layout"]["coloraxis"]["cmax"])
        stepper.act("step")
    assert len(limits) == 1


def test_n_shows_the_end_of_the_sleep(stepper):
    let_go(stepper.screen.passes, 6)
    assert stepper.cursor.boundary == (0, 6)
    assert "beyond the trained range" in stepper.screen.note.object
    let_go(stepper.screen.passes, 1)
    assert stepper.cursor.boundary == (0, 1)
    assert "beyond" not in stepper.screen.note.object
    stepper.act("last")
    let_go(stepper.screen.passes, 3)
    assert stepper.walk.awake[stepper.cursor.window], "awake it stays where it is"


def test_clicks(stepper):
    screen = stepper.screen
    screen.timeline._handle_msg({"curve": 1, "custom": [0, 3]})
    assert stepper.cursor.boundary == (0, 3)
    screen.heads._handle_msg({"curve": 1, "custom": None})
    assert stepper.cursor.gdn_head == 1 and screen.gdn_head.value == 1
    screen.answers._handle_msg({"curve": 0, "custom": 5})
    assert stepper.cursor.query == 5


def test_a_number_outside_its_range_is_put_right_in_the_field(stepper):
    for _ in range(2):
        stepper.screen.example.value = 16
        assert stepper.screen.example.value == stepper.cursor.example == 15
    stepper.screen.seed.value = 10**20
    assert stepper.screen.seed.value == stepper.cursor.seed == 2**32 - 1


@pytest.mark.parametrize(("asked", "windows"), [("1:0", 2), ("1:0, 2:1, 1:3, 1:4, 1:5", 3)])
def test_no_window_of_padding_follows_the_questions(stepper, asked, windows):
    ring = "0>1 1>2 2>3 3>4 4>5 5>6 6>7 7>0"
    stepper.submit(ring, asked)
    assert len(stepper.walk.spans) == windows
    assert stepper.walk.awake == (False, *[True] * (windows - 1))
    assert "padding only" not in stepper.screen.tokens.object


def test_padding_before_a_short_context_is_named(shared):
    shown = Stepper(Cursor(checkpoint="ring-two", text="0>1 1>2 2>0"), shared=shared)
    assert "window 1 (padding only)" in shown.screen.tokens.object


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
    assert not form.typed and form.text == stepper.problem.as_typed[0]
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
@pytest.mark.parametrize("named", ["", "a-damaged"])
def test_a_damaged_first_checkpoint_does_not_close_the_others(checkpoints, failure, named):
    shelf = Shelf(checkpoints, {"a-damaged": failure})
    stepper = Stepper(Cursor(checkpoint=named, text="0>1 1>2 2>0"), shared=shelf)
    assert stepper.cursor.checkpoint == "ring" and stepper.cursor.passes == 4
    (text,) = [text for name, text in stepper.problems if name == ""]
    assert text.startswith("checkpoint a-damaged cannot be shown: ")
    assert "input" not in dict(stepper.problems)
    assert stepper.cursor.text == "0>1 1>2 2>0", "the input is not to blame"


def test_where_no_checkpoint_can_be_loaded_the_first_one_says_why():
    with pytest.raises(WorkbenchError, match="it is damaged"):
        Stepper(shared=Shelf({}, {"a": DAMAGED, "b": RuntimeError("other")}))


def test_an_error_that_is_a_bug_leaves_the_session_usable(checkpoints, caplog):
    shelf = Shelf(checkpoints, {"gone": FileNotFoundError("no config.toml")})
    stepper = Stepper(Cursor(), shared=shelf)
    before = panes(stepper)
    stepper.screen.checkpoint.value = "gone"
    assert "FileNotFoundError" in caplog.text
    assert stepper.cursor.checkpoint == "ring" == stepper.screen.checkpoint.value
    assert stepper.cursor.passes == 4 == stepper.screen.passes.value
    assert panes(stepper) == before and stepper.screen.boundary.busy == ""
    stepper.act("step")
    assert stepper.cursor.boundary == (0, 1)


def test_the_widgets_follow_what_was_drawn_and_not_a_cursor_on_its_way(stepper):
    """Another thread may be choosing a checkpoint, with N still open, when widgets are set."""
    later = []
    stepper._outbox.set = lambda changes, then=None: later.append(then)
    stepper.draw()
    with param.discard_events(stepper.cursor):
        stepper.cursor.passes = None
    later[-1]()
    assert stepper.screen.passes.value == 4


def test_a_tick_counts_only_while_playing(stepper):
    """The browser's timer may ask for a step just before it hears of a pause or a jump."""
    transport = stepper.screen.transport
    stepper.act("play")
    stepper.act("tick")
    assert stepper.cursor.boundary == (0, 1)
    stepper.jump(0, 3)
    assert not transport.playing
    serial = transport.serial
    stepper.act("tick")
    assert stepper.cursor.boundary == (0, 3) and not transport.playing
    assert transport.serial == serial + 1, "it is answered all the same"
    stepper.act("play")
    stepper.act("play")
    stepper.act("tick")
    assert stepper.cursor.boundary == (0, 3)


def test_a_click_on_a_timeline_that_has_gone_does_nothing(stepper):
    stepper.act("step")
    stepper.jump(0, 9)
    assert stepper.cursor.boundary == (0, 1)


@pytest.mark.parametrize(
    ("queries", "chance"), [("1:0, 2:1", "a guess: 50 %"), ("3:0, 3:1", "a guess: 100 %")]
)
def test_a_typed_ring_has_its_own_chance(stepper, queries, chance):
    assert "a guess: 14 %" in stepper.screen.score.object
    stepper.submit("0>1 1>2 2>0", queries)
    assert chance in stepper.screen.score.object
    assert "Trained with rings of 8 nodes only, this one has 3" in stepper.screen.note.object
    stepper.submit("", "", draw=True)
    assert "this one has" not in stepper.screen.note.object


def test_queries_can_be_chosen_by_keyboard(stepper):
    widget = stepper.screen.query
    assert list(widget.options) == [query.label for query in stepper.problem.queries]
    widget.value = 5
    assert stepper.cursor.query == 5
    assert stepper.problem.queries[5].label in stepper.screen.picture.object
    stepper.submit("0>1 1>2 2>0", "1:0, 1:0")
    assert list(widget.options) == ["1 hop from 0 (query 1)", "1 hop from 0 (query 2)"]
    assert widget.value == stepper.cursor.query == 1


def test_names_of_several_letters(words_stepper):
    """The page goes by the whole answer, and says where it shows first symbols only."""
    stepper = words_stepper
    answers = stepper.walk.answers(stepper.cursor.boundary)
    names = [str(s) for s in answers["symbol"].values]
    assert len(set(names)) == len(names), "a letter and the same letter at a word's end"
    figures = panes(stepper)
    assert "P(first symbol)" in str(figures["answers"]["layout"])
    assert len(figures["answers"]["data"]) == 4, "the chance of a whole answer is not drawn"
    assert "chance" not in str([trace.get("name") for trace in figures["curves"]["data"]])
    for query, right in zip(stepper.problem.queries, answers["answer"].values, strict=True):
        assert len(right) > 1 and len(query.answer) > 1
    mark = "✓" if bool(answers["correct"][0]) else "✗"
    assert mark in stepper.screen.picture.object


def test_the_mark_goes_by_the_whole_answer(words_stepper):
    stepper = words_stepper
    answers = stepper.walk.answers(stepper.cursor.boundary)
    query = stepper.cursor.query
    answers["correct"].values[query] = True
    answers["answer"].values[query] = stepper.problem.queries[query].answer
    stepper.draw()
    assert f"{stepper.problem.queries[query].answer} ✓" in stepper.screen.picture.object


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


def test_queries_without_input_are_told(shared):
    stepper = Stepper(Cursor(checkpoint="ring", queries="1:0"), shared=shared)
    assert stepper.cursor.queries == "" and "queries" in dict(stepper.problems)


class Location:
    def __init__(self, search):
        self.search = search


def test_the_address_is_what_restore_reads(stepper):
    stepper.location = Location("?head=77&theme=x&input=")
    ((target, values),) = stepper._address()
    assert target is stepper.location
    query = dict(parse_qsl(values["search"][1:]))
    assert query["head"] == "0", "what was put right is right in the address as well"
    assert query["theme"] == "x" and "input" not in query
    again = Cursor()
    assert again.restore(query) == []
    assert again.param.values() | {"name": ""} == stepper.cursor.param.values() | {"name": ""}


def test_bits_in_the_address_stay_text():
    cursor = Cursor(text="010101", passes=2)
    again = Cursor()
    again.restore(dict(parse_qsl(urlencode(cursor.address()))))
    assert again.text == "010101"


def test_a_link_leads_to_the_memory_at_the_same_place(stepper):
    stepper.act("step")
    link = stepper.screen.onward.object
    assert 'href="memory?checkpoint=ring' in link and "pass=1" in link


def test_headings_are_in_order_and_regions_stay(stepper):
    """One h1 before the h2s, in a pane that no step touches; one live region for the words."""
    title = stepper.screen.title.object
    assert "<h1" in title
    boundary = stepper.screen.boundary
    stepper.act("step")
    assert stepper.screen.title.object is title and stepper.screen.boundary is boundary
    assert "aria-live" not in stepper.screen.score.object + stepper.screen.tokens.object
    assert "of 8 right" in boundary.told


def test_progress_is_shown_while_a_sleep_runs(stepper, monkeypatch):
    seen = []
    run = stepper.run
    monkeypatch.setattr(stepper, "run", lambda: (seen.append(stepper.screen.boundary.busy), run()))
    stepper.screen.checkpoint.value = "rule"
    assert seen == ["rule falls asleep"] and stepper.screen.boundary.busy == ""


def in_threads(*functions):
    threads = [threading.Thread(target=function) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


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
