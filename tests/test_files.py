"""Nothing half-written is read as whole; no path of a user leads outside its folder."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from workbench.errors import WorkbenchError
from workbench.files import (
    MissingFile,
    UnreadableFile,
    file_sha256,
    folder_aside,
    parse_json,
    parse_toml,
    read_bytes,
    read_json,
    read_text,
    read_toml,
    remove_leftovers,
    try_output,
    write_json,
    write_text,
    written_aside,
)
from workbench.paths import bundled_checkpoints, data_folder


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_and_its_name_are_forced_to_disk(tmp_path, monkeypatch):
    """First what is in it, under the other name; then, renamed, the folder's list of names."""
    forced = []

    def note(handle):
        forced.append((os.fstat(handle).st_ino, sorted(p.name for p in tmp_path.glob("*.json"))))

    monkeypatch.setattr(os, "fsync", note)
    write_json(tmp_path / "whole.json", {"a": 1})
    file, folder = (tmp_path / "whole.json").stat().st_ino, tmp_path.stat().st_ino
    assert forced == [(file, []), (folder, ["whole.json"])]


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


def test_only_regular_files_are_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        with pytest.raises(UnreadableFile, match="not a regular file"):
            read_bytes(path)
    with pytest.raises(MissingFile, match="not found"):
        read_bytes(tmp_path / "none")
    with pytest.raises(MissingFile, match="not found"):
        read_bytes(tmp_path / "pipe" / "below")


def test_a_file_beyond_its_limit_is_not_read(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read_bytes(path, limit=5) == b"12345"
    with pytest.raises(UnreadableFile, match="larger than 4 bytes"):
        read_bytes(path, limit=4)


BROKEN = {
    "JSON": [
        "", "{", "NaN", "[-Infinity]", "[" * 100_000, '{"a":' * 100_000, "9" * 5_000, "\x00",
        '{"a": 1e999}', '{"a": -123456789012345678901}', '"\\ud800"',
        "[" * 200 + "]" * 200, '{"a":' * 200 + "1" + "}" * 200,
    ],
    "TOML": [
        "a = ", "a = " + "[" * 100_000, "a = " + "9" * 5_000, "a = 1\na = 2",
        f"a = 0x{'f' * 5000}", f"a = {'[' * 200}{']' * 200}",
    ],
}  # fmt: skip
"""Text that no reader takes: broken, deeply nested, or with numbers that fail later on."""


@pytest.mark.parametrize(
    ("form", "text"),
    [(form, text) for form, texts in BROKEN.items() for text in texts],
    ids=lambda text: text[:12],
)
def test_no_text_makes_a_reader_fail_in_another_way(form, text, tmp_path):
    parse, read = {"JSON": (parse_json, read_json), "TOML": (parse_toml, read_toml)}[form]
    with pytest.raises(UnreadableFile, match=f"a thing is not valid {form}"):
        parse(text, what="a thing")
    (tmp_path / "a").write_text(text)
    with pytest.raises(UnreadableFile, match=f"a is not valid {form}"):
        read(tmp_path / "a")


def test_bytes_that_are_not_utf8_are_refused(tmp_path):
    (tmp_path / "a").write_bytes(b"ab\xff")
    with pytest.raises(UnreadableFile, match="not UTF-8 text .byte 2."):
        read_text(tmp_path / "a")


def test_a_digest_is_that_of_the_published_vector(tmp_path):
    # FIPS 180-2, appendix B.1
    (tmp_path / "a").write_bytes(b"abc")
    assert file_sha256(tmp_path / "a") == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


def test_an_output_is_tried_without_touching_what_is_there(tmp_path):
    path = tmp_path / "deep" / "out.json"
    try_output(path)
    assert names(tmp_path) == []
    path.parent.mkdir()
    path.write_text("old")
    try_output(path)
    assert path.read_text() == "old" and names(path.parent) == ["out.json"]
    with pytest.raises(WorkbenchError, match="is a folder"):
        try_output(path.parent)
    with pytest.raises(WorkbenchError, match="cannot be written"):
        try_output(path / "below.json")
    with pytest.raises(WorkbenchError, match="cannot be written"):
        try_output(Path("/proc/out.json"))


def test_a_file_gets_the_permissions_of_any_new_file(tmp_path):
    (tmp_path / "plain").touch()
    with written_aside(tmp_path / "ours") as aside:
        aside.touch()
        aside.chmod(0o600)
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


# --- devices, and what killed processes leave -----------------------------------------------------


@pytest.mark.parametrize("name", ["/dev/full", "/dev/null", "pipe"])
def test_a_device_or_pipe_is_never_replaced(name, tmp_path):
    path = tmp_path / name  # an absolute name stays as it is
    if name == "pipe":
        os.mkfifo(path)
    kind = stat.S_IFMT(path.stat().st_mode)
    with pytest.raises(WorkbenchError, match="is not a regular file"):
        try_output(path)
    with pytest.raises(WorkbenchError, match="is not a regular file"):
        write_text(path, "x")
    assert stat.S_IFMT(path.stat().st_mode) == kind


@pytest.fixture
def ended():
    """Return the id of a process that has ended."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_the_next_write_removes_what_ended_processes_left(tmp_path, ended):
    with written_aside(tmp_path / "a.zarr.zip", keep=False) as aside:
        left = aside.name.replace(str(os.getpid()), str(ended))
        parent = aside.name.replace(str(os.getpid()), str(os.getppid()))
        kept = [
            parent,  # that process is at work
            left[:-12] + "00000000.tmp",  # another machine's
            f".notes.{ended}.tmp",  # somebody else's
            f".a.zarr.zip.{ended}.sleep-none.tmp",
        ]
    for name in (left, *kept):
        (tmp_path / name).write_bytes(b"half")
    (tmp_path / left.replace(".zip", "")).mkdir()
    (tmp_path / left.replace(".zip", "") / "file").write_bytes(b"half")
    write_text(tmp_path / "other", "x")
    assert names(tmp_path) == sorted([*kept, "other"])


def test_a_folder_moved_out_of_the_way_comes_back(tmp_path, ended):
    """Its process was killed between two renames."""
    with written_aside(tmp_path / "one", keep=False) as aside:
        left = aside.name.replace(str(os.getpid()), str(ended))
    old = tmp_path / left.replace(".one.", ".one.old.")
    old.mkdir()
    (old / "file").write_text("x")
    write_text(tmp_path / "other", "x")
    assert names(tmp_path) == ["one", "other"] and names(tmp_path / "one") == ["file"]


def test_json_within_the_limits_is_kept():
    value = {"a": [2**64 - 1, -(2**63), 1.7e308, "\U0001f634"], "b": [[[[[]]]]]}
    assert parse_json(json.dumps(value), what="a thing") == value


def test_a_null_character_is_not_a_path():
    with pytest.raises(UnreadableFile, match="null character"):
        read_text(Path("a\0b"))
