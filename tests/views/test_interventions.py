"""The page of interventions without a browser: set what a user sets, look at what it says."""

import dataclasses
import json

import numpy as np
import pytest

from workbench import dims
from workbench.errors import WorkbenchError
from workbench.figures.theme import BYTES
from workbench.instruments.attributing.continuation import stacked
from workbench.instruments.patching.context_swaps import questions, swap_context
from workbench.views.cursor.reading import ReadingKey
from workbench.views.interventions.model import InterventionCursor, next_donor, result, unrelated_to
from workbench.views.interventions.page import Interventions
from workbench.views.interventions.words import exactness, number


@pytest.fixture
def readings(kept_readings):
    return kept_readings


@pytest.fixture
def view(readings):
    return Interventions(InterventionCursor(checkpoint="ring", passes=2), readings=readings)


def said(view):
    return view.screen.said.object


def test_it_opens_after_the_last_sleep_and_reproduces_the_donor_exactly(view):
    assert view.cursor.boundary == (0, 2) and view.cursor.donor == 1
    found = result(view.cursor, view.examples)
    patched, donor = (found["logit_diff"].sel({dims.CONTROL: c}) for c in ("patch", "donor"))
    np.testing.assert_array_equal(patched, donor)
    np.testing.assert_array_equal(
        found["said"].sel({dims.CONTROL: "patch"}), found["said"].sel({dims.CONTROL: "donor"})
    )
    assert "reproduces the donor exactly" in said(view) and "<b>0 nat</b>" in said(view)
    assert "S becomes the donor's S" in said(view) and "omits" in said(view)
    assert view.screen.table.object.count("<table") == 2
    assert not view.screen.problem.visible


def test_figures_of_answers_and_of_three_memories(view):
    screen = view.screen
    for pane in [screen.figure_pane, *screen.states, screen.timeline]:
        assert pane.figure["data"] and pane.visible
        assert len(json.dumps(pane.figure)) < BYTES
    recipient, donor, after = ([t["z"] for t in p.figure["data"]] for p in screen.states)
    assert after == donor != recipient
    light = screen.figure_pane.figure
    view.dark = True
    assert screen.figure_pane.figure != light


def test_a_step_back_is_followed_by_the_reading_s_own_passes(view):
    view.act("back")
    assert view.cursor.boundary == (0, 1)
    assert "does not reproduce the donor" in said(view)
    view.act("first")
    assert "S is still 0" in view.screen.boundary.sentence
    view.act("last")
    assert view.cursor.boundary == (1, 0) == view.examples.last
    assert "reproduces the donor exactly" in said(view)


def test_every_part_has_its_words_and_its_fields(view):
    screen = view.screen
    for part, words in {
        "layer": "S of layer 1",
        "head": "head 1 of layer 1",
        "modes": "the 3 largest modes of every head",
        "change": "what pass 2 over window 1 changed",
    }.items():
        view.cursor.param.update(part=part, gdn_head=1, modes=3, changed=2)
        assert words in said(view)
        assert screen.gdn_head.visible == (part == "head")
        assert screen.modes.visible == (part == "modes")
        assert screen.changed.visible == (part == "change")


def test_erasing_and_scaling(view):
    for action in ("zero", "mean", "scale"):
        view.screen.action.value = action
        assert view.cursor.action == action
        assert view.screen.table.object.count("<table") == 1
        assert "random change" in said(view) and "may break a model" in said(view)
        assert view.screen.percent.visible == (action == "scale")
        assert not view.screen.donor.visible
        assert "donor" not in view.screen.table.object


def test_scaling_to_one_hundred_per_cent_changes_nothing(view):
    view.cursor.param.update(action="scale", percent=100, part="head")
    found = result(view.cursor, view.examples)
    intact, changed = (found["logit_diff"].sel({dims.CONTROL: c}) for c in ("intact", "changed"))
    np.testing.assert_allclose(intact, changed, atol=1e-5)
    assert "head 0 of layer 1 is scaled to 100 %" in said(view)


def test_a_pass_that_has_not_run_or_is_beyond_n_is_told_in_one_line(view):
    view.cursor.param.update(part="change", changed=7)
    assert "a pass from 1 to N = 2" in view.screen.problem.object
    view.cursor.param.update(part="change", changed=2, sleep_pass=1)
    assert view.screen.problem.visible
    assert "a pass that has run by then" in view.screen.problem.object
    assert not view.screen.figure_pane.visible
    view.act("step")
    assert not view.screen.problem.visible and view.screen.figure_pane.visible


def test_the_donor_is_never_the_recipient(view):
    view.choose("donor", 0)
    assert view.cursor.donor == 1
    view.choose("example", 1)
    assert (view.cursor.example, view.cursor.donor) == (1, 2)
    view.choose("donor", 1)
    assert view.cursor.donor == 0
    assert unrelated_to(view.examples, 1, 0) == 2
    view.cursor.donor = 1  # nobody can choose it, but a program may
    assert "which is the recipient" in view.screen.problem.object


def test_the_address_holds_everything_and_what_is_wrong_is_told(view, readings):
    view.cursor.param.update(part="modes", modes=2, donor=5, action="scale", percent=-50)
    address = view.cursor.address()
    cursor = InterventionCursor()
    assert cursor.restore(address) == []
    assert cursor.address() == address
    again = Interventions(cursor, readings=readings)
    assert again.problems == [] and said(again) == said(view)
    wrong = InterventionCursor()
    told = wrong.restore({"part": "soul", "donor": "x", "percent": "9999", "modes": "0"})
    assert len(told) == 4
    (soul,) = (text for text in told if "soul" in text)
    assert "choose from: whole (all of S), layer (one layer), head (one head)" in soul
    assert soul.endswith("; all of S is used")
    clash = InterventionCursor(checkpoint="ring", example=3, donor=3)
    assert any(
        "is the recipient itself" in t for _, t in Interventions(clash, readings=readings).problems
    )


def test_contexts_that_do_not_answer_the_questions_are_told(readings):
    view = Interventions(InterventionCursor(checkpoint="words", donor=3), readings=readings)
    assert view.screen.problem.visible
    assert "the donor&#x27;s context does not answer" in view.screen.problem.object
    view.screen.action.value = "zero"
    assert not view.screen.problem.visible, "erasing takes no donor"


def test_several_windows_and_layers_and_the_other_task(readings):
    view = Interventions(InterventionCursor(checkpoint="ring-two"), readings=readings)
    assert view.cursor.boundary == (1, 2) and view.screen.layer.visible
    assert "reproduces the donor exactly" in said(view)
    view.screen.checkpoint.value = "rule"
    assert "automaton" in view.screen.donor_picture.object
    assert not view.screen.problem.visible


def test_links_lead_to_the_same_example_whose_numbers_can_be_saved(view):
    view.cursor.param.update(example=4)
    for page in ("stepper", "memory", "attribution"):
        assert f'href="{page}?checkpoint=ring' in view.screen.onward.object
    assert "example=4" in view.screen.onward.object
    view.save()
    head, *rows = view.screen.button.content.splitlines()
    assert head.endswith("variable,value")
    assert any(",error," in row for row in rows)
    assert view.screen.button.filename == "ring-seed-0-n-2-example-4-patch-window-0-pass-2.csv"


def test_readings_are_made_once(readings):
    wanted = ReadingKey("ring", 0, 2)
    assert readings.get(wanted) is readings.get(wanted)
    with pytest.raises(WorkbenchError):
        readings.get(ReadingKey("damaged", 0, 2))


def test_a_recorded_measurement_follows_the_checkpoint(view):
    view.rest("light")
    assert "Nothing is recorded for ring" in view.recorded.head.object
    view.recorded.follow("depo-n8-any", "light")
    assert "patches-depo-n8-any" in view.recorded.found
    shown = " ".join(getattr(p, "object", "") or "" for p in view.recorded.shown.objects)
    assert "workbench measure patches" in shown and "<h1>" not in shown


def test_what_crosses_beside_s_makes_no_promise(view):
    view.act("back")
    found = result(view.cursor, view.examples)
    hard = exactness(view.cursor, view.examples, found)
    assert "After the last pass over the last window it does." in hard
    for kept in ({"eviction": "sliding"}, {"conv_state": "carry"}):
        sleep = view.examples.sleep.model_copy(update=kept)
        told = exactness(view.cursor, dataclasses.replace(view.examples, sleep=sleep), found)
        assert "does not reproduce the donor" in told and "it does." not in told


@pytest.mark.parametrize("seed", [0, 1])
def test_the_donor_taken_answers_at_least_one_question_differently(readings, seed):
    examples = readings.get(ReadingKey("rule", seed, 3))
    for recipient in range(len(examples.batch)):
        one, donor = (examples.one(i) for i in (recipient, next_donor(examples, recipient)))
        swapped = swap_context(examples.checkpoint.task, one, donor)
        questions(one, swapped, examples.sleep.window)  # raises where there is none


def test_there_are_as_many_modes_as_the_smaller_side_of_s(readings):
    cursor = InterventionCursor(checkpoint="ring", part="modes", modes=64)
    view = Interventions(cursor, readings=readings)
    assert cursor.modes == 4 and "the 4 largest modes" in said(view)
    assert ("modes", "64 modes do not exist here; 4 are shown") in view.problems
    cursor.modes = 5
    assert "1 to 4, the smaller side of S" in view.screen.problem.object


@pytest.mark.parametrize("name", ["ring", "ring-two"])
def test_the_change_along_the_strip_is_the_instrument_s(readings, name):
    examples = readings.get(ReadingKey(name, 0, 2))
    found = examples.change(3)
    states = {
        boundary: stacked(there.memory)[0][3] for boundary, there in examples.boundaries.items()
    }
    assert found.dims == (dims.WINDOW, dims.SLEEP_PASS) and found.shape == (len(examples.passes), 3)
    for window, last in enumerate(examples.passes):
        for n in range(3):
            if 1 <= n <= last:
                step = (states[window, n] - states[window, n - 1]).norm() / states[window, n].norm()
                assert float(found[window, n]) == pytest.approx(float(step), rel=1e-5)
            else:
                assert np.isnan(found[window, n])


def test_what_became_of_the_answers_is_counted_as_over_many_examples(view):
    found = result(view.cursor, view.examples).sel(direction="noise", control="patch")
    measured = found["became_donor"].notnull().values
    assert f"give {measured.sum()} answer" in said(view)
    became, stayed = (int(found[name].sum()) for name in ("became_donor", "stayed"))
    neither = measured.sum() - became - stayed
    assert neither, "else it need not be told"
    told = f"{became} became the donor's</b>, {stayed} stayed and {neither} became neither"
    assert told in said(view)


def test_numbers():
    values = (float("nan"), 1.25, -3.0, -0.04)
    assert [number(v) for v in values] == ["–", "+1.2", "−3.0", "0.0"]


def test_each_way_of_the_exchange_says_whose_answer_is_taken_from_whose(view):
    for shown in (view.screen.table.object, json.dumps(view.screen.figure_pane.figure)):
        assert "logit of the donor&#x27;s answer minus" in shown.replace("'", "&#x27;")
        assert "logit of the recipient&#x27;s answer minus" in shown.replace("'", "&#x27;")


def test_the_rule_is_told_in_plain_words_and_of_one_example(view):
    screen = view.screen
    assert "The two contexts" in screen.pair_title.object
    for values, words in (
        ({"action": "zero", "part": "head"}, "head 0 of layer 1 is set to zero (S becomes"),
        ({"action": "zero", "part": "whole"}, "all of S is set to zero, and the model reads on"),
        ({"action": "mean", "part": "modes", "modes": 2}, "are set to their mean over"),
        ({"action": "scale", "part": "layer"}, "S of layer 1 is scaled to 50 % (S becomes"),
    ):
        view.cursor.param.update(values)
        assert words in said(view)
        assert "The example" in screen.pair_title.object and not screen.donor_picture.object
        assert "recipient" not in screen.recipient_picture.object + screen.onward.object
