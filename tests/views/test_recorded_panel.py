"""What is recorded over many examples, below a page's own: it follows the page's checkpoint."""

import shutil

import pytest

from workbench.views.measuring import shelf as measuring_shelf
from workbench.views.measuring import view as measured_view
from workbench.views.measuring.recorded_panel import RecordedPanel
from workbench.views.measuring.shelf import bundled
from workbench.views.measuring.tables import measurements
from workbench.views.parts.outbox import Outbox

HEADS = "patches-depo-n8-any-heads"


@pytest.fixture
def bundle(tmp_path, monkeypatch):
    """Let the bundled patches be copies, and two damaged files beside them."""
    found = {}
    for name in (*measurements("patches"), *measurements("lens")):
        found[name] = shutil.copy(measurements()[name], tmp_path / f"{name}.json")
    for number, text in enumerate(("{", '{"provenance": 3}')):
        found[f"patches-broken-{number}"] = tmp_path / f"patches-broken-{number}.json"
        found[f"patches-broken-{number}"].write_text(text)
    monkeypatch.setattr(
        measuring_shelf,
        "measurements",
        lambda kind: {n: p for n, p in found.items() if n.startswith(kind)},
    )
    return found


def panel():
    return RecordedPanel(("patches",), Outbox())


def told(panel):
    return " ".join(getattr(part, "object", None) or "" for part in panel.shown.objects)


def test_headings_are_below_the_heading_of_the_part(bundle):
    one = panel()
    one.follow("depo-n8-any", "light")
    assert "<h3>Patches: depo-n8-any</h3>" in told(one) and "<h4>" in told(one)
    assert "<h1>" not in told(one) and "<h2>" not in told(one)


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
        patched.setattr(measured_view, "figures_of", boom)
        one.follow("depo-n8-any", "light")
    assert one.checkpoint == "ring"
    one.follow("depo-n8-any", "light")
    assert one.checkpoint == "depo-n8-any" and "Patches: depo-n8-any" in told(one)


def boom(data):
    raise RuntimeError("the file was damaged")


def test_another_is_chosen_when_no_other_thread_of_the_session_is_at_work(bundle):
    one = panel()
    one.follow("depo-n8-any", "light")
    before = told(one)
    other = next(name for name in one.found if name != one.choice.value)

    def at_work():
        one.choice.value = other
        assert told(one) == before, "it waits for its turn"

    one._turns.take(at_work)
    assert told(one) != before
