"""The page of measurements without a browser: every bundled one is shown, in both themes."""

import json

import pytest

from workbench.figures.theme import BYTES, INKS
from workbench.lab.kinds import KINDS
from workbench.views.instruments.page import Measured
from workbench.views.measuring.figures import SAYS
from workbench.views.measuring.tables import measurements
from workbench.views.measuring.view import about_html

NAMES = list(measurements())


def texts(view):
    return " ".join(
        str(part.object) for part in view.__panel__().objects if hasattr(part, "object")
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_bundled_measurement_is_shown(name):
    view = Measured()
    view.choose(name)
    assert view.name_shown == name
    said = texts(view)
    assert "failure" not in said and "workbench measure" in said
    assert said.count("<table>") >= 1
    light = [pane.figure for _, pane in view.figures]
    view.dark = True
    dark = [pane.figure for _, pane in view.figures]
    for one, other in zip(light, dark, strict=True):
        assert one["data"] and one != other
        assert len(json.dumps(one)) < BYTES


def test_the_menu_has_plain_words_for_every_measurement():
    texts = Measured().choice.options
    assert list(texts.values()) == NAMES and not set(texts) & set(NAMES)
    assert texts["Answers if it woke after each pass: depo-n8-any"] == "lens-depo-n8-any"
    heads = "Answers with another context's memory: depo-n8-any, heads"
    assert texts[heads] == "patches-depo-n8-any-heads"


def test_no_cursor_is_drawn_where_there_is_none():
    view = Measured()
    view.choose("lens-depo-n8-any")
    ((_, pane),) = view.figures
    accent = INKS["light"].accent
    assert all(s["line"]["color"] != accent for s in pane.figure["layout"].get("shapes", ()))


def test_every_kind_says_what_it_shows():
    assert set(SAYS) == set(KINDS)


def test_the_numbers_can_be_saved():
    view = Measured()
    view.choose("lens-depo-n8-any")
    view.view.save()
    assert view.button.filename == "lens-depo-n8-any.csv"
    head, *rows = view.button.content.splitlines()
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


def test_the_command_that_measures_it_again_is_told():
    view = Measured()
    view.choose("patches-depo-n8-any-heads")
    origin = json.loads(measurements()[view.name_shown].read_text())["provenance"]
    told = about_html(view.data, origin)
    assert "workbench measure patches depo-n8-any" in told and "heads" in told
