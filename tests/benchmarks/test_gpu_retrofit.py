"""The retrofit for the day that a GPU is at hand: end to end at toy size, and weights in parts."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"
SCRIPT = [sys.executable, "-P", str(FOLDER / "gpu_retrofit.py")]


@pytest.fixture(scope="module")
def parts():
    spec = importlib.util.spec_from_file_location("parts", FOLDER / "_parts.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_file_is_whole_again_or_refused(parts, tmp_path):
    data = os.urandom(2500)
    (tmp_path / "weights").write_bytes(data)
    found = parts.split(tmp_path / "weights", tmp_path / "parts", size=1000)
    assert [part.stat().st_size for part in found] == [1000, 1000, 500]
    assert parts.join(tmp_path / "parts", tmp_path / "there").read_bytes() == data
    found[1].write_bytes(b"other")
    with pytest.raises(parts.DamagedParts, match=r"weights\.001 is missing or damaged"):
        parts.join(tmp_path / "parts", tmp_path / "elsewhere")
    assert not list((tmp_path / "elsewhere").iterdir())
    with pytest.raises(parts.DamagedParts, match="no usable"):
        parts.join(tmp_path / "there", tmp_path)


@pytest.mark.process
def test_the_toy_trains_every_arm(tmp_path):
    path = tmp_path / "found.json"
    done = subprocess.run([*SCRIPT, "--toy", "--json", str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    arms = json.loads(path.read_text())["retrofits"]
    asked = [(arm["task"], arm["passes"]) for arm in arms]
    assert asked == [(t, n) for t in ("word problems", "swapped names") for n in (1, 4)]
    for arm in arms:
        assert arm["outcome"] == "finished" and arm["steps"] == "1 to 2" and arm["loss"] > 0
        tested = {"1", "2", "4"} | ({"0"} if arm["task"] == "swapped names" else set())
        assert arm["metrics"].keys() == tested
