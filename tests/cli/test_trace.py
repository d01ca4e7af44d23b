"""The command `trace`: a recording made, shown and refused."""

import json
import re
import zipfile

import pytest

from workbench.cli.trace import TIERS
from workbench.trace import load_trace, recorder


@pytest.fixture(autouse=True)
def in_an_empty_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


def test_recorded_and_shown(run, tmp_path):
    code, out, err = run("trace", "depo-n8-any", "--examples", 20, "--seed", 3)
    assert code == 0 and "20/20" in err and "example/s" in err
    assert re.fullmatch(
        r"depo-n8-any-n4\.zarr\.zip: 20 examples at N = 4, summary, states, writes; 1\.\d MB\n", out
    )
    trace = load_trace(tmp_path / "depo-n8-any-n4.zarr.zip", checkpoint="depo-n8-any")
    assert (trace.sizes["example"], trace.attrs["seed"], trace.attrs["n_sleep"]) == (20, 3, 4)
    code, out, err = run("trace", "depo-n8-any-n4.zarr.zip")
    assert (code, err) == (0, "")
    for line in (
        r"^depo-n8-any-n4\.zarr\.zip: sleep-trace/2, 1\.\d MB$",
        r"model     depo-n8-any [0-9a-f]{12}$",
        r"examples  20 of depo, seed 3$",
        r"windows   3 of at most 16 tokens, 1 slept on at N = 4$",
        r"/states +1\.2 MB  fast_weight \(20, 3, 5, 1, 4, 16, 16\), norm \(20, 3, 5, 1, 4\)$",
    ):
        assert re.search(line, out, re.MULTILINE), out


def test_in_json(run):
    options = ["--examples", 2, "--passes", 2, "--keep", "none", "--out", "folder.zarr", "--json"]
    code, out, _ = run("trace", "rule110-w12-t8-any", *options)
    record = json.loads(out)
    assert code == 0 and 0 < record.pop("bytes") < 50_000
    assert record == {
        "file": "folder.zarr", "checkpoint": "rule110-w12-t8-any", "examples": 2, "seed": 0,
        "n_sleep": 2, "keep": [],
    }  # fmt: skip
    shown = json.loads(run("trace", "folder.zarr", "--json")[1])
    assert (shown["n_sleep"], shown["examples"], shown["task"]) == (2, 2, "rule110")
    assert set(shown["groups"]) == {"inputs", "states", "readout"}


def test_nothing_is_overwritten_unasked(run, refused):
    options = ["depo-n8-any", "--examples", 1, "--passes", 1, "--keep", "none", "--out", "a.zarr"]
    assert run("trace", *options)[0] == 0
    refused("trace", *options, match="a.zarr is there already; .* add --force")
    assert run("trace", *options, "--force")[0] == 0


REFUSED = {
    "another file": ([__file__], "test_trace.py is not a recording; expected NAME.zarr.zip"),
    "no recording": (["none.zarr"], "no trace 'none.zarr'"),
    "another tier": (["depo-n8-any", "--keep", "states,all"], "'all' cannot be kept"),
    "another name": (["depo-n8-any", "--out", "a.nc"], "a trace named 'a.nc'"),
    "to record a recording": (["none.zarr", "--seed", "1"], "--seed with the recording none.zarr"),
}


@pytest.mark.parametrize(("arguments", "message"), REFUSED.values(), ids=REFUSED)
def test_bad_input_is_one_line(refused, arguments, message):
    refused("trace", *arguments, match=message)


def test_a_damaged_recording_is_one_line(refused, tmp_path):
    (tmp_path / "a.zarr.zip").write_bytes(b"PK half of it")
    refused("trace", "a.zarr.zip", match="a.zarr.zip cannot be read")
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("zarr.json", '{"zarr_format": 3, "node_type": "group", "attributes": {}}')
    refused("trace", "b.zip", match="b.zip has schema None; expected sleep-trace/2")


def test_tiers_are_those_of_the_recorder():
    assert TIERS == recorder.TIERS


def test_a_choice_and_a_budget(run, tmp_path):
    options = ("--examples", 2, "--heads", "0,2", "--out", "part.zarr.zip")
    code, _, err = run("trace", "depo-n8-any", "--layers", 1, *options)
    assert code == 0 and "of arrays, of a budget of 4000 MB" in err
    assert load_trace(tmp_path / "part.zarr.zip")["states"]["gdn_head"].values.tolist() == [0, 2]
    code, out, err = run("trace", "depo-n8-any", "--examples", 2000, "--budget", 1)
    assert (code, out) == (2, "") and "of arrays" in err and "or allow a budget of" in err
    code, _, err = run("trace", "depo-n8-any", "--layers", "x")
    assert code == 2 and "not a list of indices" in err
