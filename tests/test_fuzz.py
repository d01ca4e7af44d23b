"""The fuzz script: a few changes of every kind, and that it sees what it looks for."""

import importlib.util
import os
import sys
from pathlib import Path

import pytest

from workbench.errors import WorkbenchError


@pytest.fixture(scope="module")
def fuzz():
    """The script, which is not a module that can be imported by name."""
    spec = importlib.util.spec_from_file_location("fuzz", Path(__file__).with_name("fuzz.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules["fuzz"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["fuzz"]


@pytest.mark.slow
def test_no_reader_fails_hangs_or_accepts_what_was_altered(fuzz):
    said = []
    found = fuzz.fuzz(60, 7, list(fuzz.KINDS), said.append)
    assert not said
    assert sum(sum(counts.values()) for counts in found.values()) == 60
    assert all(counts.total() for counts in found.values())
    assert fuzz.table(found).count("\n") == len(fuzz.KINDS) + 1


def kind_of(fuzz, read, protected=False):
    def make(folder):
        (folder / "file").write_text("sound")
        return folder / "file"

    def change(path, draw):
        path.write_text("changed")
        return "all of it"

    return fuzz.Kind(make, read, (change,), protected)


def refusing(path):
    if path.read_text() == "changed":
        raise WorkbenchError("damaged", "a sound file", "mend it")


def failing(path):
    assert path.read_text() == "sound"


def waiting(path):
    if path.read_text() == "changed":
        os.mkfifo(path.with_name("pipe"))
        path.with_name("pipe").open("rb").read()


@pytest.mark.parametrize(
    ("read", "protected", "outcome"),
    [
        (refusing, True, "refused"),
        (failing, False, "TRACEBACK"),
        (waiting, False, "HANG"),
        (lambda path: path.read_text(), False, "other content"),
        (lambda path: path.read_text(), True, "ALTERED"),
        (lambda path: "", True, "identical"),
    ],
)
def test_it_sees_what_it_looks_for(fuzz, monkeypatch, read, protected, outcome):
    def reading(path):
        return fuzz.Reading(str(read(path)))

    monkeypatch.setattr(fuzz, "PATIENCE", 0.2 if read is waiting else 60.0)
    monkeypatch.setitem(fuzz.KINDS, "one", kind_of(fuzz, reading, protected))
    said = []
    found = fuzz.fuzz(2, 0, ["one"], said.append)
    assert found["one"] == {outcome: 2}
    assert bool(said) == (outcome in fuzz.BAD)
