"""Outputs of the command that cannot be written, and names that would command the terminal."""

import os
import sys

import pytest
from hand_records import hand_run, write_record

from workbench.cli import main
from workbench.paths import data_folder
from workbench.terminal import printable

RECORD = str(data_folder() / "results" / "sweeps" / "depo-n8.json")
SWEEP = str(data_folder() / "sweeps" / "depo-n8.toml")


def ended(*arguments):
    with pytest.raises(SystemExit) as stopped:
        main([str(argument) for argument in arguments])
    return stopped.value.code or 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("sample", "rule110"),
        ("sample", "rule110", "--json", "--count", "500"),  # more than a buffer holds
        ("runs", "--runs", "nowhere"),
        ("trace", "--help"),
        ("--version",),
    ],
    ids=" ".join,
)
def test_standard_output_on_a_full_disk_is_one_line(arguments, monkeypatch, capsys):
    with open("/dev/full", "w", encoding="utf-8") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert ended(*arguments) == 2
    line = "output cannot be written (No space left on device); expected a place with"
    err = capsys.readouterr().err
    assert line in err and err.count("\n") == 1 and "Traceback" not in err


@pytest.mark.parametrize("out", ["/dev/full", "/proc/none/out.json", "/proc/out.json", "folder"])
def test_measure_tries_its_output_before_it_loads_a_model(out, tmp_path, monkeypatch, capsys):
    (tmp_path / "folder").mkdir()
    monkeypatch.setattr("workbench.training.checkpoints.load_checkpoint", None)  # not to be called
    before = os.stat("/dev/full").st_rdev
    assert ended("measure", "lens", "depo-n8-any", "--out", tmp_path / out) == 2
    err = capsys.readouterr().err
    assert out in err and err.count("\n") == 1
    assert os.stat("/dev/full").st_rdev == before
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("results", RECORD, "--out", "/proc/figures"),
        ("results", RECORD, "--out", "/dev/full"),
        ("sweep", SWEEP, "--record", "/dev/full", "--runs", "runs"),
        ("sweep", SWEEP, "--record", "/proc/record.json", "--runs", "runs"),
        ("trace", "depo-n8-any", "--out", "/proc/a.zarr.zip"),
        ("trace", "depo-n8-any", "--out", "/proc/a.zarr"),
    ],
    ids=" ".join,
)
def test_other_outputs_are_tried_first(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("workbench.lab.results.dataset", None)
    monkeypatch.setattr("workbench.lab.sweeps.load_sweep", None)
    monkeypatch.setattr("workbench.trace.record_to", None)
    assert ended(*arguments) == 2
    out, err = capsys.readouterr()
    assert not out and err.count("\n") == 1 and "cannot be written" in err or "regular" in err
    assert not list(tmp_path.iterdir())


def test_a_disk_that_fills_meanwhile_is_one_line(tmp_path, monkeypatch, capsys):
    runs = [hand_run("sleep", n, 0, 0.5) for n in ("1", "4")]
    record = write_record(tmp_path / "hand.json", runs)

    def full(path, text):
        raise OSError(28, os.strerror(28), str(path))

    monkeypatch.setattr("workbench.files.write_text", full)
    assert ended("results", record, "--out", tmp_path, "--format", "csv") == 2
    err = capsys.readouterr().err
    assert ".csv cannot be written (No space left on device)" in err and err.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("depo-n8, Δ = 0.5 €", "depo-n8, Δ = 0.5 €"),
        ("\x1b[31mred\n", r"\x1b[31mred\n"),
        ("\u202egnp", r"\u202egnp"),
        (os.fsdecode(b"\xff"), r"\udcff"),
        ("\x9b2J\x07\t", r"\x9b2J\x07\t"),
    ],
)
def test_what_commands_the_terminal_is_escaped(text, shown):
    assert printable(text) == shown


@pytest.fixture
def strange(tmp_path):
    """Return a folder of runs with a name, a label, an error and a log that are no plain text."""
    for name, error in (("a\x1b[2Jb\nc", "one\n\x1b]0;two\x07"), ("plain", "")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "experiment.toml").write_text('[task]\nname = "depo"\n')
        said = error.replace("\n", "\\n").replace("\x1b", "\\u001b").replace("\x07", "\\u0007")
        status = f'{{"state": "failed", "step": 1, "steps": 2, "error": "{said}"}}'
        (folder / "status.json").write_text(status)
        (folder / "labels.json").write_text('{"sweep": "\\u001b[5m", "arm": "x\\ny"}')
        (folder / "log.txt").write_bytes(b"step \x1b[1A\xff 1\n")
    os.rename(tmp_path / "plain", os.fsencode(tmp_path) + b"/\xfe")
    (tmp_path / "plain2").mkdir()
    for file in (tmp_path / "a\x1b[2Jb\nc").iterdir():
        (tmp_path / "plain2" / file.name).write_bytes(file.read_bytes())
    return tmp_path


@pytest.mark.parametrize(
    "arguments",
    [("list",), ("list", "--json"), ("show", "plain2"), ("compare", "plain2")],
    ids=" ".join,
)
def test_runs_with_strange_names_are_listed(arguments, strange, capsys):
    assert ended("runs", *arguments, "--runs", strange) == 0
    out, err = capsys.readouterr()
    assert not err and "\x1b" not in out and "\x07" not in out
    out.encode("utf-8")
    if arguments == ("list",):
        assert out.count("\n") == 1 + 3 + 2, "a head, three runs and two errors"
