"""``workbench export`` writes whole files, and says in one line what it cannot."""

import base64
import json
import re

import pytest
from scenes import decode

from workbench.paths import data_folder


def scenes_of(path):
    text = path.read_text()
    data = base64.b64decode(re.search(r'type="text/plain">(.*?)</script>', text)[1])
    parts = data.split(b"sleepsc1")[1:]
    return [decode(b"sleepsc1" + part).header for part in parts]


def test_examples_and_passes_of_a_checkpoint(tmp_path, run):
    path = tmp_path / "sleep.html"
    code, out, _ = run(
        "export", "depo-n8-any", "--examples", "5,0", "--passes", "1,4", "--out", path, "--json"
    )
    record = json.loads(out)
    assert code == 0 and record["scenes"] == 4 and record["bytes"] == path.stat().st_size
    found = [(one["source"]["example"], one["sleep"]["passes"]) for one in scenes_of(path)]
    assert found == [(5, 1), (5, 4), (0, 1), (0, 4)]
    code, _, err = run("export", "depo-n8-any", "--out", path)
    assert code == 2 and "exists" in err and err.count("\n") == 1
    code, out, _ = run("export", "depo-n8-any", "--input", "0>3 3>5 5>0", "--out", path, "--force")
    assert code == 0 and "1 sleep, 0." in out
    assert scenes_of(path)[0]["task"]["input"] == "0>3 3>5 5>0"


def test_the_story_is_one_file_with_all_its_sleeps(tmp_path, run):
    path = tmp_path / "story.html"
    code, _, _ = run("export", "--story", "--out", path)
    assert code == 0 and path.stat().st_size < 1_500_000
    found = re.search(
        r'<script id="story" type="application/json">(.*?)</script>', path.read_text()
    )
    held = {(one["model"]["name"], one["sleep"]["passes"]) for one in scenes_of(path)}
    assert {(s["place"]["model"], s["place"]["N"]) for s in json.loads(found[1])} <= held


def test_a_recording(tmp_path, run):
    path, trace = tmp_path / "t.html", data_folder() / "traces" / "rule110-w12-t8-n1.zarr.zip"
    code, _, _ = run("export", trace, "--examples", "1", "--out", path)
    assert code == 0 and scenes_of(path)[0]["source"]["kind"] == "trace"


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["nobody"], "nobody"),
        (["depo-n8-any", "--out", "/dev/null/x.html"], "no folder /dev/null"),
        (["depo-n8-any", "--out", "new/x.html"], "no folder new; expected a folder that exists"),
        (["depo-n8-any", "--out", "x.zip"], "a file NAME.html; name it x.html"),
        (["depo-n8-any", "--out", "."], "a file NAME.html; add a file name"),
        (["depo-n8-any", "--examples", "16"], "example = 16"),
        (["depo-n8-any", "--examples", "a"], "not a valid example"),
        (["depo-n8-any", "--examples", ""], "not a valid example"),
        (["depo-n8-any", "--passes", "0"], "not a valid number of passes"),
        (["depo-n8-any", "--passes", "4,99"], "N = 99"),
        (["depo-n8-any", "--input", "0>"], "expected"),
        (["depo-n8-any", "--input", " "], "--input without text"),
        (["depo-n8-any", "--queries", "1:0"], "queries without input"),
        (["depo-n8-any", "--input", "0>1 1>0", "--seed", "1"], "--input with --seed"),
        ([], "nothing to export"),
        (["depo-n8-any", "--story"], "--story with depo-n8-any"),
        (["--story", "--seed", "1"], "--story with --seed"),
        (["nobody.zarr.zip"], "nobody.zarr.zip"),
        (["nobody.zarr.zip", "--seed", "1"], "--seed with the recording"),
    ],
)
def test_bad_input_is_one_line(arguments, words, tmp_path, run, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = run("export", *arguments)
    assert code == 2 and out == "" and words in err and err.count("\n") == 1
    assert not list(tmp_path.iterdir())
