"""The check of 20,000 problems of every setting: a small one, and what the large one found."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

from workbench.paths import data_folder


@pytest.fixture(scope="module")
def checks():
    """The script, which is not a module that can be imported by name."""
    path = Path(data_folder()) / "check_tasks.py"
    spec = importlib.util.spec_from_file_location("check_tasks", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["check_tasks"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["check_tasks"]


def sound(found):
    shares = [value for value in found.values() if isinstance(value, dict) and "right" in value]
    return (
        all(value["right"] == found["count"] for value in shares) and not found["in both streams"]
    )


@pytest.mark.parametrize(
    "name",
    ["gsm_infinite op 2", "gsm_infinite official noise", "gsm_infinite d = 3, noise like the core",
     "gsm_infinite 4 questions", "gsm_infinite reverse", "gsm_infinite d = 3, reverse",
     "gsm_infinite held out", "variables both"],
)  # fmt: skip
def test_a_small_check(checks, name):
    found = checks.check(name, 40)
    assert sound(found) and found["solved"]["right"] == 40
    assert ("one solution" in found) == ("reverse" in name)
    assert ("same without noise" in found) == ("noise" in name)


def test_what_is_wrong_is_counted(checks, monkeypatch):
    from workbench.tasks.gsm_infinite import problems

    monkeypatch.setattr(problems, "LEAST_EXTRA", 0)
    monkeypatch.setattr(problems, "EXTRA", {2: {2: 0.0, 8: 0.0}})
    found = checks.check("gsm_infinite op 2", 400)
    assert found["in both streams"] > 0 and not sound(found)


def test_the_committed_record_is_sound(checks):
    record = json.loads((data_folder() / "results/tasks/checks.json").read_text("utf-8"))
    assert list(record) == list(checks.SETTINGS)
    for name, found in record.items():
        assert found["settings"] == checks.SETTINGS[name] and found["count"] == 20_000
        assert sound(found) and found["solved"]["interval"][0] > 0.9998, name
