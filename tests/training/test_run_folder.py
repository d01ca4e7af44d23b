"""What happens to a run whose folder is removed, full or read-only."""

import errno
import json
import os
import shutil
import threading
import time

import pytest
from run_facts import assert_same_weights

from workbench.cli import main
from workbench.config import to_toml
from workbench.errors import WorkbenchError
from workbench.training import resume
from workbench.training.loop import train
from workbench.training.run_folder import beating, run_status


def test_a_folder_removed_under_a_run_is_not_written_half_anew(tiny_experiment, tmp_path):
    folder = tmp_path / "run"

    def remove(progress):
        if progress.step == 3:
            shutil.rmtree(folder)

    with pytest.raises(WorkbenchError, match="was removed during training"):
        train(tiny_experiment(), folder, on_progress=remove)
    assert not folder.exists()


def test_signs_of_life_come_while_this_process_is_busy_with_anything(tmp_path):
    sign = tmp_path / "alive"
    with beating(tmp_path, every=0.01):
        for _ in range(2):  # the second one proves that they go on
            end = time.monotonic() + 30
            while not sign.exists():
                assert time.monotonic() < end
                time.sleep(0.005)
            sign.unlink()
    assert list(tmp_path.iterdir()) == [] and not any(
        thread.name.startswith("sign of life") for thread in threading.enumerate()
    )


def test_signs_of_life_do_not_make_a_removed_folder_anew(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    with beating(folder, every=0.01):
        folder.rename(tmp_path / "trash")
        time.sleep(0.05)
    assert not folder.exists()


def test_a_run_gives_signs_of_life_until_it_has_ended(tiny_experiment, tmp_path):
    folder, seen = tmp_path / "run", []

    def look(progress):
        if progress.evaluated is not None:
            seen.append((folder / "alive").exists())

    assert train(tiny_experiment(), folder, on_progress=look) == "finished"
    assert seen and all(seen) and not (folder / "alive").exists()


def test_a_full_disk_is_told_and_the_run_goes_on_later(
    tiny_experiment, tmp_path, monkeypatch, finished
):
    folder, write = tmp_path / "run", resume.write_tensors

    def full(path, *rest):
        if path.name == "step-000000004.safetensors":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(path, *rest)

    settings = ("training.eval_passes=[1, 2]", "training.eval_every=3")
    monkeypatch.setattr(resume, "write_tensors", full)
    with pytest.raises(WorkbenchError, match="No space left on device"):
        train(tiny_experiment(*settings), folder)
    assert run_status(folder)["state"] == "failed"
    assert "No space left" in run_status(folder)["error"]

    monkeypatch.setattr(resume, "write_tensors", write)
    assert train(tiny_experiment(*settings), folder, resume=True) == "finished"
    assert_same_weights(finished, folder)


def test_files_that_may_not_grow_are_one_line_and_exit_code_2(tiny_experiment, tmp_path, capsys):
    resource = pytest.importorskip("resource", reason="limits of a process are POSIX")
    config = tmp_path / "tiny.toml"
    config.write_text(to_toml(tiny_experiment()))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
    try:
        with pytest.raises(SystemExit) as ended:
            main(["train", str(config), "--out", str(tmp_path / "run")])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert ended.value.code == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("workbench: ") and "could not be written to" in last
    assert "make room" in last


def test_a_request_to_stop_is_a_file_and_is_taken_away(tiny_experiment, tmp_path):
    folder = tmp_path / "run"

    def ask(progress):
        if progress.step == 3:
            (folder / "stop").touch()

    assert train(tiny_experiment(), folder, on_progress=ask) == "stopped"
    assert run_status(folder)["step"] == 4, "asked after step 3, before step 4 was done"
    assert not (folder / "stop").exists()
    assert train(tiny_experiment(), folder, resume=True) == "finished"


def test_damaged_events_are_kept_beside_and_told_and_the_run_goes_on(
    tiny_experiment, tmp_path, capsys
):
    folder = tmp_path / "run"
    train(tiny_experiment(), folder, stop=lambda: True)
    events = folder / "events.jsonl"
    good = events.read_bytes()
    events.write_bytes(b'[1]\n\xff\xfe\n{"a": 2}\n' + good + b'{"kind": "st')
    assert train(tiny_experiment(), folder, resume=True) == "finished"
    lines = [json.loads(line) for line in events.read_text().splitlines()]
    assert [e["step"] for e in lines if e["kind"] == "step"] == [1, 2, 3, 4, 5, 6]
    assert (folder / "events.damaged").read_bytes() == b'[1]\n\xff\xfe\n{"a": 2}\n'
    assert "3 lines of" in capsys.readouterr().err
