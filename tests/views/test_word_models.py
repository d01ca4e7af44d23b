"""Every page under a cursor opens models of words, of text too, and shows them in all its panes."""

import re
from pathlib import Path

import panel as pn
import pytest

from workbench.config import Experiment, ModelConfig, SleepConfig
from workbench.model import HybridModel
from workbench.tasks import task as make_task
from workbench.training.checkpoints import Checkpoint
from workbench.views.attribution.model import AttributionCursor
from workbench.views.attribution.page import Attribution
from workbench.views.cursor.cursor import BoundaryIndex
from workbench.views.cursor.reading import Readings
from workbench.views.interventions.model import InterventionCursor
from workbench.views.interventions.page import Interventions

SIZES = {"width": 16, "attention_heads": 2, "gdn_heads": 2, "key_dim": 4, "value_dim": 4}
STORY = {"max_operations": 3, "places": 2, "things": 3, "length": 90, "modulus": 5, "totals": 0.0}
MODELS = {
    "variables": ({"variables": 5, "names": 6, "given": 2, "max_depth": 3}, 9, "mask"),
    "gsm_infinite": (STORY, 45, "mask"),
    "text": ({"window": 16, "windows": 4, "recalled": 1}, 16, "predict_then_sleep"),
}
"""Settings of each task, its window and its order."""


@pytest.fixture(scope="module")
def shelf(shelf_of):
    pn.extension("plotly")
    found = {}
    for name, (settings, window, order) in MODELS.items():
        made = make_task(name, **settings)
        model = ModelConfig(vocabulary=len(made.vocabulary), mlp_width=8, **SIZES)
        sleep = SleepConfig(window=window, passes=2, order=order)
        experiment = Experiment(model=model, sleep=sleep, task=made.config)
        network = HybridModel(model, seed=0).eval().requires_grad_(False)
        about = {"name": name, "hashes": {"model.safetensors": name}}
        found[name] = Checkpoint(name, Path(), network, experiment, about)
    return shelf_of(found)


def shown(view):
    """Return what the panes say, and check that none reports a failure."""
    texts = []
    for pane in vars(view.screen).values():
        if isinstance(pane, pn.pane.HTML) and pane.visible:
            texts.append(str(pane.object))
    whole = re.sub(r"<[^>]+>", " ", " ".join(texts))
    assert "Traceback" not in whole and "bug" not in whole and " nan" not in whole
    return whole


@pytest.mark.parametrize("name", MODELS)
def test_the_interventions(shelf, name):
    view = Interventions(InterventionCursor(checkpoint=name), readings=Readings(shelf))
    offered = list(view.screen.action.options.values())
    assert ("patch" in offered) == (name != "text") and ("other" in offered) == (name == "text")
    for action in offered:
        view.cursor.action = action
        assert not view.screen.problem.visible, view.screen.problem.object
        assert view.screen.table.object.count("<table") and view.screen.figure_pane.visible
    shown(view)
    extent = view.cursor.extent
    if name == "text":
        assert extent.of_window == (0, 0, 1, 1, 2, 2, 3) and view.cursor.boundary == (5, 2)
        title = "Asleep, window 6 of 7 (the text's window 3), pass 2 of 2"
        assert view.screen.boundary.title == title
        view.cursor.go(BoundaryIndex(3, 0))
        title = "Before the sleep over window 4 of 7 (the text's window 2), which was read awake"
        assert view.screen.boundary.title == title


@pytest.mark.parametrize("name", MODELS)
def test_the_attribution(shelf, name):
    cursor = AttributionCursor(checkpoint=name, steps=4, samples=1)
    view = Attribution(cursor, readings=Readings(shelf))
    for subject in ("passes and heads", "tokens", "heads of S"):
        view.cursor.subject = subject
        view.work.wait()
        assert view.work.state == "done", view.work.error
        assert "completeness error" in view.screen.facts.object
    shown(view)
