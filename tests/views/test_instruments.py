"""The page of measurements without a browser: every bundled one is shown, in both themes."""

import json
import shutil

import pytest

from workbench.figures.theme import BYTES, INKS
from workbench.measurements import shelf
from workbench.measurements.shelf import bundled, bundled_records
from workbench.views.instruments.page import Measured
from workbench.views.measuring.recorded_panel import RecordedPanel
from workbench.views.measuring.view import MeasurementView
from workbench.views.parts.outbox import Outbox

NAMES = list(bundled_records())


def texts(view):
    return " ".join(
        str(part.object) for part in view.__panel__().objects if hasattr(part, "object")
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_bundled_measurement_is_shown(name):
    view = Measured()
    view.choose(name)
    assert view.name_shown == name
    said = texts(view)
    assert "failure" not in said and "workbench measure" in said
    assert said.count("<table>") >= 1
    light = [pane.figure for _, pane in view.view.figures]
    assert all(one["data"] and len(json.dumps(one)) < BYTES for one in light)
    kind = view.view.data.attrs["kind"]
    if name == next(iter(bundled_records(kind))):  # one of a kind is enough
        view.dark = True
        for one, (_, pane) in zip(light, view.view.figures, strict=True):
            assert one != pane.figure


def test_the_menu_has_plain_words_for_every_measurement():
    view = Measured()
    texts = view.choice.options
    assert list(texts.values()) == NAMES and not set(texts) & set(NAMES)
    assert texts["Answers if it woke after each pass: depo-n8-any"] == "lens-depo-n8-any"
    heads = "Answers with another context's memory: depo-n8-any, heads"
    assert texts[heads] == "patches-depo-n8-any-heads"
    view.choose(texts[heads])
    again = next(part.object for part in view.__panel__().objects if hasattr(part, "object"))
    assert "workbench measure patches depo-n8-any" in again and "heads" in again


def test_no_cursor_is_drawn_where_there_is_none():
    view = Measured()
    view.choose("lens-depo-n8-any")
    ((_, pane),) = view.view.figures
    accent = INKS["light"].accent
    assert all(s["line"]["color"] != accent for s in pane.figure["layout"].get("shapes", ()))


def test_the_numbers_can_be_saved():
    view = Measured()
    view.choose("lens-depo-n8-any")
    view.view.save()
    assert view.view.button.filename == "lens-depo-n8-any.csv"
    head, *rows = view.view.button.content.splitlines()
    assert head.endswith("variable,value")
    assert any(",accuracy," in row for row in rows)


def test_a_name_that_is_not_there_is_told():
    view = Measured()
    view.choose("../../secrets")
    assert view.name_shown in NAMES
    assert "There is no measurement named" in texts(view)


def test_a_damaged_file_is_told_and_the_page_stays(tmp_path):
    path = tmp_path / "lens-x.json"
    path.write_text("{")
    view = Measured({"lens-x": path})
    view.choose("")
    assert "is not valid JSON" in texts(view)
    empty = Measured({})
    empty.choose("")
    assert "Nothing is measured yet" in texts(empty)


# --- the bundled records of one checkpoint, below what a page shows ---

HEADS = "patches-depo-n8-any-heads"


@pytest.fixture
def bundle(tmp_path, monkeypatch):
    """Let the bundled patches be copies, and two damaged files beside them."""
    found = {}
    for name in (*bundled_records("patches"), *bundled_records("lens")):
        found[name] = shutil.copy(bundled_records()[name], tmp_path / f"{name}.json")
    for number, text in enumerate(("{", '{"provenance": 3}')):
        found[f"patches-broken-{number}"] = tmp_path / f"patches-broken-{number}.json"
        found[f"patches-broken-{number}"].write_text(text)
    monkeypatch.setattr(
        shelf,
        "bundled_records",
        lambda kind: {n: p for n, p in found.items() if n.startswith(kind)},
    )
    return found


def panel():
    return RecordedPanel(("patches",), Outbox())


def said(panel):
    return " ".join(getattr(part, "object", None) or "" for part in panel.shown.objects)


def test_headings_are_below_the_heading_of_the_part(bundle):
    one = panel()
    one.follow("depo-n8-any", "light")
    assert "<h3>Patches: depo-n8-any</h3>" in said(one) and "<h4>" in said(one)
    assert "<h1>" not in said(one) and "<h2>" not in said(one)


def test_a_damaged_file_is_passed_over(bundle):
    one = panel()
    one.follow("depo-n8-any", "light")
    assert HEADS in one.found and not [name for name in one.found if "broken" in name]
    assert list(one.found) == list(bundled("patches", "depo-n8-any"))
    one.follow("ring", "light")
    assert one.found == {} and one.shown.objects == []
    assert "Nothing is recorded for ring" in one.head.object


def test_after_a_failure_it_follows_again(bundle, monkeypatch):
    one = panel()
    one.follow("ring", "light")
    with monkeypatch.context() as patched, pytest.raises(RuntimeError):
        patched.setattr(MeasurementView, "parts", boom)
        one.follow("depo-n8-any", "light")
    assert one.checkpoint == "ring"
    one.follow("depo-n8-any", "light")
    assert one.checkpoint == "depo-n8-any" and "Patches: depo-n8-any" in said(one)


def boom(*arguments, **options):
    raise RuntimeError("the file was damaged")


def test_another_is_chosen_when_no_other_thread_of_the_session_is_at_work(bundle):
    one = panel()
    one.follow("depo-n8-any", "light")
    before = said(one)
    other = next(name for name in one.found if name != one.choice.value)

    def at_work():
        one.choice.value = other
        assert said(one) == before, "it waits for its turn"

    one._queue.take(at_work)
    assert said(one) != before
