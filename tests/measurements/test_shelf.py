"""Records of measurements found by what was measured, and the settings that a form asks for."""

import json

import pytest

from workbench.measurements import fields, jobs
from workbench.measurements.catalogue import measurement, measurements
from workbench.measurements.shelf import own_measurements, weights_of
from workbench.paths import bundled_checkpoints


@pytest.mark.parametrize("kind", measurements())
def test_every_setting_has_a_field_and_stands_in_the_help(kind):
    settings = measurement(kind).settings
    found = fields.spec(kind)
    assert [f["name"] for f in found] == list(settings.model_fields)
    assert all(f["title"] and f["hint"].endswith(".") for f in found)
    checked = fields.check(kind, fields.defaults(kind))
    assert checked.settings == settings() and not checked.problems
    usage = fields.usage(kind)
    for name in settings.model_fields.keys() - {"seed", "passes"}:
        default = getattr(settings(), name)
        assert f"{name}={default}" in usage or f"{name}={default!r}" in usage


def test_the_help_names_choices():
    assert "parts=whole (whole|layers|heads|passes) asked=all" in fields.usage("patches")
    assert "method='shapley values' (integrated" in fields.usage("attribution")


def test_damaged_folders_are_skipped(tmp_path):
    home = tmp_path / jobs.FOLDER
    for name, text in (("a", "{"), ("b", "[]"), ("c", '{"kind": "dreams"}')):
        (home / name).mkdir(parents=True)
        (home / name / jobs.REQUEST).write_text(text)
    (home / "d").mkdir()
    (home / "e").write_text("")
    assert own_measurements(tmp_path) == [] and own_measurements(None) == []


def test_weights_are_known_without_loading_them(tmp_path):
    for name, folder in bundled_checkpoints().items():
        hashes = json.loads((folder / "provenance.json").read_text())["hashes"]
        assert weights_of(folder) == hashes["model.safetensors"], name
    assert weights_of(tmp_path) == ""
