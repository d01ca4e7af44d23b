"""The page of attribution without a browser: choose, wait for the thread, look at what it says."""

import json
import threading

import numpy as np
import panel as pn
import pytest

from workbench.figures.theme import BYTES
from workbench.instruments import one_answer
from workbench.instruments.attribution import METHODS
from workbench.instruments.one_answer import SUBJECTS
from workbench.views import attribution_model
from workbench.views.attribution import Attribution
from workbench.views.attribution_model import AttributionCursor
from workbench.views.attribution_words import check_words, edge_weights
from workbench.views.reading import Readings

QUICK = {"checkpoint": "ring", "passes": 2, "steps": 8, "samples": 2}


class Shelf:
    """Services of untrained checkpoints, on a server that starts nothing."""

    runs = None

    def __init__(self, shared):
        self.names, self.checkpoint = shared.names, shared.checkpoint

    def folders(self):
        return {}


@pytest.fixture
def readings(shared):
    pn.extension("plotly")
    return Readings(Shelf(shared))


@pytest.fixture
def show(readings):
    """Return a maker of views, each shown once its work is done."""
    made = []

    def make(**values):
        view = Attribution(AttributionCursor(**QUICK | values), readings=readings)
        made.append(view)
        settle(view)
        return view

    yield make
    for view in made:
        view.cancel()
        settle(view)


def settle(view):
    if view.work is not None:
        view.work.wait()


def test_it_opens_with_passes_and_heads_and_how_far_they_add_up(show):
    view = show()
    assert view.work.state == "done" and view.problems[1:] == []
    facts = view.screen.facts.object
    assert "completeness error" in facts and "infidelity" in facts
    assert view.screen.chart.visible and view.screen.progress.object == ""
    (found,) = view._found.values()
    assert found["attribution"].dims == ("sleep_pass", "layer", "gdn_head")
    worth = found["logit_diff"] - found["logit_diff_at_baseline"]
    np.testing.assert_allclose(found["attribution"].sum(), worth, rtol=0.1, atol=1e-3)


@pytest.mark.parametrize("subject", list(SUBJECTS))
def test_everything_that_can_be_attributed_to_is_drawn(show, subject):
    view = show(checkpoint="ring-two", passes=2)
    view.choose("subject", subject)
    settle(view)
    screen = view.screen
    known = SUBJECTS[subject]
    assert view.cursor.method == known.methods[0]
    assert view.work is None or view.work.state == "done", view.work.error
    assert set(screen.method.options) == set(known.methods)
    assert screen.chart.visible == (subject != "tokens")
    if screen.chart.visible:
        assert screen.chart.figure["data"] and len(json.dumps(screen.chart.figure)) < BYTES
    if known.kind == "embeddings":
        assert screen.context.object.count("window ") == 2 and "nat" in screen.context.object
    hidden = "gone" in screen.stops[0].css_classes
    assert hidden == (known.kind == "embeddings")


def test_tokens_colour_the_text_and_the_ring(show):
    view = show(subject="tokens", method=METHODS[2], baseline="mean")
    assert "stroke-width" in view.screen.picture.object
    assert view.screen.context.object.count('class="chip"') == 16
    assert "does not promise to add up" in view.screen.facts.object
    (found,) = view._found.values()
    problem = view.examples.problem(0)
    weights = edge_weights(found["attribution"], problem, 1e-9)
    assert set(weights) == {source for source, _ in problem.edges}
    assert max(map(abs, weights.values())) == pytest.approx(1)


def test_the_model_s_own_answer_stands_in_the_ring(show):
    view = show()
    answer, right = view.examples.said(0)[0], view.examples.problem(0).queries[0].answer
    assert f"{answer} {'✓' if answer == right else '✗'}" in view.screen.picture.object


def test_only_what_makes_sense_can_be_chosen(show):
    view = show(subject="entries of S", method=METHODS[1])
    assert view.cursor.baseline == "zero"
    assert list(view.screen.baseline.options) == ["zero"]
    view.act("first")
    settle(view)
    assert view.cursor.place == (0, 0)
    view.choose("method", METHODS[0])
    settle(view)
    assert list(view.screen.baseline.options) == ["mean", "zero"], "no sleep has begun"
    one_window = show()
    assert "windows" not in one_window.screen.subject.options


def test_the_address_holds_everything_and_what_is_wrong_is_told(show):
    view = show(subject="passes", method=METHODS[3], query=2)
    address = view.cursor.address()
    cursor = AttributionCursor()
    assert cursor.restore(address) == [] and cursor.address() == address
    told = AttributionCursor().restore({"to": "luck", "steps": "1", "query": "many"})
    assert len(told) == 3
    odd = show(subject="tokens", method=METHODS[1], baseline="before the sleep")
    said = " ".join(text for _, text in odd.problems)
    assert "method 'input x gradient' makes no sense here" in said
    assert "baseline 'before the sleep' makes no sense here" in said


def test_it_can_be_cancelled_and_begun_again(show, monkeypatch):
    view = show()
    begun, go_on = threading.Event(), threading.Event()
    run = one_answer.attribute

    def slow(*given, **options):
        begun.set()
        go_on.wait(30)
        return run(*given, **options)

    monkeypatch.setattr(one_answer, "attribute", slow)
    view.choose("query", 1)
    assert begun.wait(30)
    assert view.screen.cancel.visible and "Attributing" in view.screen.progress.object
    view.cancel()
    go_on.set()
    settle(view)
    assert view.work.state == "cancelled" and "Cancelled" in view.screen.progress.object
    assert view.screen.start.visible and not view.screen.cancel.visible
    assert view.screen.facts.object == ""
    view.start()
    settle(view)
    assert view.work.state == "done" and view.screen.facts.object
    work = view.work
    view.choose("query", 0)
    assert view.screen.facts.object and view.work is not work, "what was found is kept"


def test_another_choice_ends_the_work_for_the_first(show):
    view = show()
    before = view.work
    view.choose("query", 1)
    first = view.work
    view.choose("query", 2)
    for work in (first, view.work):
        work.wait()
    assert before is not first and first.state in ("cancelled", "done")
    assert view.work.state == "done"


def test_an_error_is_told(show, monkeypatch):
    view = show()

    def broken(*given, **options):
        raise RuntimeError("oops")

    monkeypatch.setattr(attribution_model, "attribute_one", broken)
    view.choose("query", 3)
    settle(view)
    assert "oops" in view.screen.progress.object and "alert" in view.screen.progress.object


def test_shuffled_parameters_on_request(show):
    view = show()
    assert view.screen.randomise.visible and view.screen.check.object == ""
    view.check_parameters()
    settle(view)
    assert view.work.error is None
    assert "rank correlation" in view.screen.check.object
    assert view.screen.facts.object, "the attribution stays"


def test_few_parts_say_nothing():
    import xarray as xr

    found = xr.Dataset({"rank_correlation": ("seed", [1.0, -1.0, 1.0])})
    assert "Of 2 parts" in check_words(found, 2)
    assert "of the input" in check_words(found, 20)
    assert "as it should" in check_words(found * 0.1, 20)


def test_the_numbers_can_be_saved(show):
    view = show()
    view.save()
    assert ",attribution," in view.screen.button.content
    assert view.screen.button.filename.endswith("passes-and-heads-integrated-gradients.csv")
