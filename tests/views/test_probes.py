"""The page of probes without a browser: every bundled measurement, its places, and new ones."""

import json
import shutil

import plotly.graph_objects as go
import pytest

from workbench.errors import WorkbenchError
from workbench.figures.theme import BYTES
from workbench.measurements.jobs import FOLDER, REQUEST, RESULT
from workbench.measurements.shelf import bundled_records
from workbench.views.probes import figures
from workbench.views.probes.figures import FIGURES
from workbench.views.probes.model import ProbeModel, sources
from workbench.views.probes.page import Probes
from workbench.views.site.services import Services

MEASURED = ("depo-n8-any", "depo-n8-w2-any", "rule110-w12-t8-any")


def page(root=None, **query):
    view = Probes(root, shared=Services())
    view.problems = view.model.restore(query)
    view.build()
    return view


def own(root, source, checkpoint, name="probes-0123456789abcdef"):
    """Put a bundled measurement where one made here would lie."""
    folder = root / FOLDER / name
    folder.mkdir(parents=True)
    shutil.copy(bundled_records()[source], folder / RESULT)
    settings = {"examples": 60, "seed": 0, "passes": 2, "splits": 1}
    asked = {"kind": name.partition("-")[0], "checkpoint": checkpoint, "settings": settings}
    (folder / REQUEST).write_text(json.dumps(asked))
    return folder / RESULT


@pytest.fixture
def quick(monkeypatch):
    """Let figures be empty, where a page is looked at for something else."""
    for name in ("probe_map", "layer_map", "item_bars", "probe_curves", "steering_curves"):
        monkeypatch.setattr(figures, name, lambda *given, **options: go.Figure())


def shown(view):
    return {name for name, pane in view.figures.items() if pane.visible}


def told(view):
    return " ".join(text.object for text in view.texts.values() if text.visible)


@pytest.mark.parametrize("checkpoint", MEASURED)
def test_it_opens_with_the_bundled_measurement_in_both_themes(checkpoint):
    view = page(checkpoint=checkpoint)
    assert view.problems == []
    expected = set(FIGURES) - {"layers"}  # one layer has fast weights
    if checkpoint != "depo-n8-any":
        expected -= {"steering"}
        assert "Decodable does not mean used" in told(view)
    assert shown(view) == expected
    assert "untrained weights" in told(view) and "failure" not in told(view)
    light = {name: view.figures[name].figure for name in expected}
    view.dark = True
    for name, figure in light.items():
        assert figure != view.figures[name].figure and len(json.dumps(figure)) < BYTES
    assert view.model.sleep_pass == view.model.options("sleep_pass")[-1]


def test_without_an_address_the_first_measured_checkpoint_is_shown(quick):
    view = page()
    assert view.model.checkpoint == "depo-n8-any"
    assert view.model.address() == {"checkpoint": "depo-n8-any", "target": "4 hops", "pass": "4"}
    assert not view.choices["window"].visible and not view.choices["measurement"].visible
    assert view.choices["target"].visible


def test_an_address_names_the_place_and_what_is_wrong_is_told(quick):
    query = {"checkpoint": "rule110-w12-t8-any", "target": "after 2 steps", "pass": "1"}
    view = page(**query, window="0")
    assert view.problems == []
    assert view.model.address() == {**query, "window": "0"}
    wrong = page(checkpoint="nothing", target="9 hops", measurement="probes-x")
    assert [p[:11] for p in wrong.problems] == ["There is no"] * 3
    assert wrong.model.checkpoint == "depo-n8-any"
    assert wrong.problems[0] == "There is no checkpoint 'nothing'; depo-n8-any is shown"


def test_a_click_on_a_map_chooses_the_cell():
    view = page()
    cell = view.figures["accuracy"].figure["data"][0]["customdata"][1][2]
    view._clicked("accuracy", 0, cell)
    assert (view.model.target, view.model.sleep_pass) == ("2 hops", 2)
    assert view.choices["sleep_pass"].value == 2
    assert view.figures["items"].figure["layout"]["title"]["text"].startswith("2 hops, after pass")
    view._clicked("accuracy", 0, ["words", "9 hops", 2, 1])
    view._clicked("items", 0, None)
    assert view.model.target == "2 hops"


def test_steering_is_shown_after_the_pass_chosen_or_the_nearest(quick):
    view = page()
    view.choices["sleep_pass"].value = 0
    assert view.model.sleep_pass == 0 and view.model.steered_pass == 1
    assert "after pass 1" in view.texts["steering"].object
    view.choices["sleep_pass"].value = 3
    assert view.model.steered_pass == 3


def test_a_checkpoint_without_probes_says_how_to_get_them(quick):
    view = page(checkpoint="depo-n8-n1")
    assert shown(view) == set()
    assert "Nothing is measured yet with this checkpoint" in told(view)
    assert not view.downloads["data"].visible
    view.choices["checkpoint"].value = "depo-n8-any"
    assert "accuracy" in shown(view)


def test_what_was_measured_here_is_shown_at_once_and_found_again(tmp_path, quick):
    view = page(tmp_path, checkpoint="depo-n8-n1")
    path = own(tmp_path, "probes-depo-n8-w2-any", "depo-n8-n1")
    view.display(path)
    assert view.model.checkpoint == "depo-n8-n1" and "accuracy" in shown(view)
    assert view.model.address()["measurement"] == "probes-0123456789abcdef"
    again = page(tmp_path, **view.model.address())
    assert again.model.path == path and again.problems == []
    assert list(sources("probes", "depo-n8-n1", tmp_path)) == [
        "here: examples 60, passes 2, splits 1 (abcdef)"
    ]
    steered = own(tmp_path, "steering-depo-n8-any", "depo-n8-n1", "steering-fedcba9876543210")
    view.display(steered)
    assert "steering" in shown(view) and view.model.path == path


def test_one_of_several_measurements_is_chosen(tmp_path, quick):
    own(tmp_path, "probes-depo-n8-w2-any", "depo-n8-any")
    view = page(tmp_path)
    assert list(view.choices["measurement"].options)[0] == "bundled"
    assert view.model.options("window") == [0]
    view.choices["measurement"].value = list(view.choices["measurement"].options.values())[1]
    assert view.model.options("window") == [0, 1] and view.choices["window"].visible


def test_numbers_are_saved(quick):
    view = page()
    view.save("data")
    view.save("steering")
    assert view.downloads["data"].filename == "probes-depo-n8-any.csv"
    assert view.downloads["data"].content.splitlines()[0].endswith("variable,value")
    assert view.downloads["steering"].filename == "steering-depo-n8-any.csv"


def test_a_damaged_file_is_told_and_the_page_stays(tmp_path, quick):
    path = own(tmp_path, "probes-depo-n8-any", "depo-n8-n1")
    path.write_text("{")
    view = page(tmp_path, checkpoint="depo-n8-n1")
    assert "is not valid JSON" in told(view) and shown(view) == set()
    with pytest.raises(WorkbenchError):
        view.model.show(path)


def test_without_any_checkpoint_there_is_nothing_to_choose():
    model = ProbeModel([], None)
    assert model.restore({}) == [] and model.checkpoint == "" and model.data is None
