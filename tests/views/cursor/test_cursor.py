"""The cursor: its moves, its bounds, and what it makes of an address."""

import subprocess
import sys

import pytest

from workbench.theatre.problem import MOST_PASSES
from workbench.views.cursor.cursor import URL, BoundaryIndex, Cursor, Extent

EXTENT = Extent((2, 2, 1), awake=(False, False, True), layers=(1, 3), heads=4, queries=8)


@pytest.fixture
def cursor():
    cursor = Cursor(passes=2)
    cursor.fit(EXTENT)
    return cursor


def test_places_are_every_pass_of_every_window():
    assert EXTENT.boundaries == (
        (0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (2, 0), (2, 1),
    )  # fmt: skip


def test_step_and_back_walk_through_all_places(cursor):
    seen = [cursor.boundary]
    while not cursor.at_end:
        cursor.move("step")
        seen.append(cursor.boundary)
    assert tuple(seen) == EXTENT.boundaries
    cursor.move("step")
    assert cursor.boundary == (2, 1), "there is nothing beyond the end"
    while cursor.index:
        cursor.move("back")
        assert cursor.boundary == seen[cursor.index]
    cursor.move("back")
    assert cursor.boundary == (0, 0)


def test_first_and_last(cursor):
    cursor.move("last")
    assert cursor.at_end and cursor.boundary == (2, 1)
    cursor.move("first")
    assert cursor.boundary == (0, 0)


def test_a_move_is_one_change(cursor):
    cursor.go(BoundaryIndex(0, 2))
    changes = []
    cursor.param.watch(lambda *events: changes.append({e.name for e in events}), list(URL))
    cursor.move("step")
    assert changes == [{"window", "sleep_pass"}]


def test_places_that_do_not_exist_are_refused(cursor):
    with pytest.raises(ValueError, match=r"no boundary \(2, 2\)"):
        cursor.go(BoundaryIndex(2, 2))
    with pytest.raises(ValueError):
        cursor.passes = MOST_PASSES + 1
    with pytest.raises(ValueError):
        cursor.quantity = "speed"


def test_fit_clamps_and_says_so(cursor):
    cursor.param.update(window=1, sleep_pass=2, layer=3, gdn_head=3, query=7)
    messages = cursor.fit(Extent((1,), (False,), (1,), 2, 4))
    assert (cursor.window, cursor.sleep_pass) == (0, 1)
    assert (cursor.layer, cursor.gdn_head, cursor.query) == (1, 1, 3)
    assert dict(messages)["head"] == "head 3 does not exist here; 1 is shown"
    assert cursor.fit(cursor.extent) == []


def test_messages_count_windows_as_the_page_does(cursor):
    cursor.window = 50
    said = dict(cursor.fit(Extent((2, 1, 1), (False, True, True), (0,), 4)))["window"]
    assert "window = 50 in the address, counted from 0" in said
    assert said.endswith("window 3 of 3 is shown")


@pytest.mark.parametrize(
    ("name", "value", "nearest"),
    [("example", 16, 15), ("example", -1, 0), ("seed", 10**20, 2**32 - 1), ("window", -1, 0)],
)
def test_the_nearest_value_is_offered(cursor, name, value, nearest):
    found, said = cursor.nearest(name, value)
    assert found == nearest and said and name in said
    setattr(cursor, name, found)


def test_what_exists_is_left_as_it_is(cursor):
    assert cursor.nearest("example", 15) == (15, None)
    assert cursor.nearest("quantity", "change") == ("change", None)
    assert cursor.nearest("gdn_head", 3) == (3, None)


def test_restore_reads_an_address():
    cursor = Cursor()
    query = {"checkpoint": "ring", "seed": "7", "N": "6", "pass": "2", "head": "1"}
    assert cursor.restore(query | {"show": "change", "unknown": "1"}) == []
    assert (cursor.checkpoint, cursor.seed, cursor.passes) == ("ring", 7, 6)
    assert (cursor.sleep_pass, cursor.gdn_head, cursor.quantity) == (2, 1, "change")


def test_what_was_not_taken_from_the_address_is_reported_once():
    cursor = Cursor()
    assert len(cursor.restore({"layer": "x", "head": "99", "show": "speed", "N": "2"})) == 2
    assert cursor.given == {"head", "N"}, "what the layer becomes is no fault of the address"


def test_restore_keeps_bits_as_text():
    cursor = Cursor()
    assert cursor.restore({"input": "0110"}) == []
    assert cursor.text == "0110"


@pytest.mark.parametrize(
    ("query", "values", "words"),
    [
        ({"N": "99"}, {"passes": MOST_PASSES}, "out of range"),
        ({"N": "0"}, {"passes": 1}, "out of range"),
        ({"pass": "-3"}, {"sleep_pass": 0}, "out of range"),
        ({"seed": "abc"}, {"seed": 0}, "not a whole number"),
        (
            {"show": "speed"},
            {"quantity": "state"},
            "sleep_change (change over the sleep)); S is used",
        ),
    ],
)
def test_restore_puts_wrong_values_right(query, values, words):
    cursor = Cursor()
    (message,) = cursor.restore(query | {"head": "1"})
    assert words in message
    assert cursor.gdn_head == 1, "the rest of the address still counts"
    assert {name: getattr(cursor, name) for name in values} == values


@pytest.mark.process
def test_logic_needs_no_panel():
    logic = (
        "cursor.cursor", "cursor.drawings", "cursor.words", "home.catalogue",
        "parts.serial_queue", "site.services",
    )  # fmt: skip
    lines = [f"import workbench.views.{module}; print('panel' in sys.modules)" for module in logic]
    result = subprocess.run(
        [sys.executable, "-P", "-c", "\n".join(["import sys", *lines])],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert dict(zip(logic, result.stdout.split(), strict=True)) == dict.fromkeys(logic, "False")
