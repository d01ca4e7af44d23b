"""The page of attribution without a browser: choose, wait for the thread, look at what it says."""

import json
import threading

import numpy as np
import pytest
import xarray as xr
from waiting import LIMIT

from workbench.figures.theme import BYTES
from workbench.instruments.attributing import one_answer as attribution_answer
from workbench.instruments.attributing.one_answer import SUBJECTS
from workbench.instruments.attribution import METHODS
from workbench.views.attribution import model as attribution_model
from workbench.views.attribution.model import AttributionCursor, result_key
from workbench.views.attribution.page import Attribution
from workbench.views.attribution.words import check_words, item_weights
from workbench.views.cursor.reading import RESULTS, ReadingKey

QUICK = {"checkpoint": "ring", "passes": 2, "steps": 8, "samples": 2}


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
    answer, right = view.examples.said(0)[0], view.examples.problem(0).queries[0].answer
    assert f"{answer} {'✓' if answer == right else '✗'}" in view.screen.picture.object
    found = view._found(view._wanted())
    assert found["attribution"].dims == ("sleep_pass", "layer", "gdn_head")
    worth = found["logit_diff"] - found["logit_diff_at_baseline"]
    np.testing.assert_allclose(found["attribution"].sum(), worth, rtol=0.1, atol=1e-3)
    view.save()
    assert ",attribution," in view.screen.button.content
    name = "ring-seed-0-n-2-example-0-query-0-passes-and-heads-integrated-gradients.csv"
    assert view.screen.button.filename == name


@pytest.mark.slow
def test_everything_that_can_be_attributed_to_is_drawn(show):
    view = show(checkpoint="ring-two", passes=2)
    screen = view.screen
    for subject, known in SUBJECTS.items():
        view.choose("subject", subject)
        settle(view)
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
    found = view._found(view._wanted())
    problem = view.examples.problem(0)
    weights = item_weights(found["attribution"], problem.picture, 1e-9)
    assert len(weights) == len(problem.picture.items)
    assert max(map(abs, weights)) == pytest.approx(1)


def test_an_edge_has_its_own_tokens_however_long_its_names_are(readings):
    examples = readings.get(ReadingKey("words", 0, 2))
    problem = examples.problem(0)
    lengths = [len(edge.source) + len(edge.target) for edge in problem.picture.items]
    valid = problem.batch.valid[0, :56]
    assert len(set(lengths)) > 1 and sum(lengths) % len(lengths) == 0, "no remainder gives it away"
    values = np.zeros(56)
    values[valid] = np.repeat([1.0, 2.0, 3.0, 4.0], lengths)  # a token of edge i has i
    weights = item_weights(xr.DataArray(values, dims="token"), problem.picture, 1e-9)
    sums = np.array([1.0, 2.0, 3.0, 4.0]) * lengths
    assert weights == pytest.approx((sums / sums.max()).tolist())


def test_only_what_makes_sense_can_be_chosen(show):
    view = show(subject="entries of S", method=METHODS[1])
    assert view.cursor.baseline == "zero"
    assert list(view.screen.baseline.options) == ["zero"]
    view.act("first")
    settle(view)
    assert view.cursor.boundary == (0, 0)
    view.choose("method", METHODS[0])
    settle(view)
    assert list(view.screen.baseline.options) == ["mean", "zero"], "no sleep has begun"
    view.choose("subject", "heads of S")  # S is 0 there, and so is the baseline
    view.choose("baseline", "zero")
    settle(view)
    assert view.cursor.boundary == (0, 0)
    said = view.screen.facts.object
    assert "not defined" in said and "nothing to divide here" in said and "add up" not in said
    one_window = show()
    assert "windows" not in one_window.screen.subject.options


def test_the_address_holds_everything_and_what_is_wrong_is_told(show):
    view = show(subject="passes", method=METHODS[3], query=2)
    assert not view.screen.samples.visible, "two parts are shared exactly"
    address = view.cursor.address()
    cursor = AttributionCursor()
    assert cursor.restore(address) == [] and cursor.address() == address
    told = AttributionCursor().restore({"to": "luck", "steps": "1", "query": "many"})
    assert len(told) == 3
    (foo,) = AttributionCursor().restore({"method": "foo"})
    assert METHODS[1] not in foo and foo.endswith(f"; {METHODS[0]} is used")
    tokens = AttributionCursor()
    assert METHODS[1] in " ".join(tokens.restore({"to": "heads of S", "method": "foo"}))
    assert tokens.restore({"to": "tokens", "baseline": "foo"}) and tokens.baseline == "mean"
    assert show(subject="tokens", method=METHODS[3]).screen.samples.visible
    odd = show(subject="tokens", method=METHODS[1], baseline="before the sleep")
    said = " ".join(text for _, text in odd.problems)
    assert "method 'input x gradient' makes no sense here" in said
    assert "baseline 'before the sleep' makes no sense here" in said


def test_a_method_that_changes_with_the_subject_is_told(show, monkeypatch):
    told = []
    monkeypatch.setattr("workbench.views.attribution.page.warn", told.append)
    view = show()
    view.choose("subject", "passes")
    settle(view)
    assert told == []
    view.choose("subject", "tokens")
    settle(view)
    (said,) = told
    assert METHODS[3] in said and METHODS[0] in said


def test_it_can_be_cancelled_and_begun_again(show, monkeypatch):
    view = show()
    begun, go_on = threading.Event(), threading.Event()
    run = attribution_answer.attribute

    def slow(*given, **options):
        begun.set()
        go_on.wait(LIMIT)
        return run(*given, **options)

    monkeypatch.setattr(attribution_answer, "attribute", slow)
    view.choose("query", 1)
    assert begun.wait(LIMIT)
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


def test_an_error_of_drawing_what_was_found_is_told(show, monkeypatch):
    view = show()
    told = []

    def broken(*given, **options):
        raise RuntimeError("cannot draw")

    monkeypatch.setattr("workbench.views.attribution.page.show_error", told.append)
    monkeypatch.setattr("workbench.views.attribution.words.facts", broken)
    view.choose("query", 3)
    settle(view)
    assert [str(error) for error in told] == ["cannot draw"]
    assert "cannot draw" in view.screen.progress.object


def test_sessions_share_what_was_found_and_it_does_not_grow_without_end(show, monkeypatch):
    first = show()

    def never(*given, **options):
        raise AssertionError("worked out twice")

    monkeypatch.setattr(attribution_model, "attribute_one", never)
    second = show()
    assert second.work is None and second.screen.facts.object == first.screen.facts.object
    examples, key = second.examples, result_key(second._wanted()[1])
    for number in range(RESULTS):
        examples.ask(number, lambda: 0)
    assert examples.known(key) is None


def test_shuffled_parameters_on_request(show):
    view = show()
    assert view.screen.randomise.visible and view.screen.check.object == ""
    view.check_parameters()
    settle(view)
    assert view.work.error is None
    assert "rank correlation" in view.screen.check.object
    assert view.screen.facts.object, "the attribution stays"


def test_few_parts_say_nothing():
    found = xr.Dataset({"rank_correlation": ("seed", [1.0, -1.0, 1.0])})
    assert "2 parts" in check_words(found, 2)
    assert "reflects the input" in check_words(found, 20)
    assert "as it should" in check_words(found * 0.1, 20)
    alike = check_words(found * np.nan, 20)
    assert "not defined, not defined" in alike and "hardly changes" not in alike
