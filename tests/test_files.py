"""Nothing half-written is read as whole; no path of a user leads outside its folder."""

import json
import os

import pytest

from workbench.files import (
    folder_aside,
    remove_leftovers,
    write_json,
    write_text,
    written_aside,
)
from workbench.paths import bundled_checkpoints, data_folder


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "deep" / "file.txt"
    with written_aside(path) as aside:
        aside.write_text("half")
        assert not path.exists() and aside.parent == path.parent
        inode = aside.stat().st_ino
    assert path.read_text() == "half"
    assert path.stat().st_ino == inode, "copied, not renamed"
    assert names(path.parent) == ["file.txt"]


def test_a_failed_write_leaves_what_was_there(tmp_path):
    path = tmp_path / "file.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError), written_aside(path) as aside:
        aside.write_text("new")
        raise RuntimeError
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file.txt"]


def test_text_has_unix_lines_and_utf8(tmp_path):
    write_text(tmp_path / "a", "ü\n")
    assert (tmp_path / "a").read_bytes() == b"\xc3\xbc\n"


def test_json_keeps_order_and_precision_and_refuses_nan(tmp_path):
    path = tmp_path / "a.json"
    value = {"b": 0.1 + 0.2, "a": "ü"}
    write_json(path, value)
    assert list(json.loads(path.read_text()).items()) == list(value.items())
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, float("nan"))
    assert json.loads(path.read_text()) == value
    assert names(tmp_path) == ["a.json"]


def test_a_folder_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "runs" / "one"
    for content in ("first", "second"):
        with folder_aside(path) as aside:
            (aside / "file").write_text(content)
        assert (path / "file").read_text() == content
    assert names(path.parent) == ["one"] and names(path) == ["file"]


def test_a_folder_that_fails_leaves_the_old_one(tmp_path):
    path = tmp_path / "one"
    with folder_aside(path) as aside:
        (aside / "file").write_text("old")
    with pytest.raises(RuntimeError), folder_aside(path) as aside:
        (aside / "file").write_text("new")
        raise RuntimeError
    with pytest.raises(FileNotFoundError), folder_aside(path) as aside:
        aside.rmdir()  # the new folder cannot be put in place
    assert (path / "file").read_text() == "old"
    assert names(tmp_path) == ["one"]


def test_leftovers_of_killed_writers(tmp_path):
    for name in (".a.1.tmp", "a", ".lock", ".b.old.2.tmp", ".bashrc.old", ".other.tmp"):
        (tmp_path / name).write_text("x")
    (tmp_path / ".c.3.tmp").mkdir()
    remove_leftovers(tmp_path)
    assert names(tmp_path) == [".bashrc.old", ".lock", ".other.tmp", "a"]
    remove_leftovers(tmp_path / "nowhere")


# --- paths ----------------------------------------------------------------------------------------


def test_where_the_data_lies(tmp_path, monkeypatch):
    monkeypatch.delenv("WORKBENCH_DATA", raising=False)
    assert (data_folder() / "configs").is_dir()
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path))
    assert data_folder() == tmp_path
    assert bundled_checkpoints() == {}
    for name in ("b", "a", "half"):
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
    for name in ("b", "a"):
        (tmp_path / "checkpoints" / name / "model.safetensors").touch()
    assert list(bundled_checkpoints()) == ["a", "b"]


def test_nothing_here_needs_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("WORKBENCH_DATA", raising=False)
    before = data_folder()
    monkeypatch.chdir(tmp_path)
    assert data_folder() == before and before.is_absolute()
    assert os.getcwd() == str(tmp_path)
