"""The command `trace`: a recording made, shown and refused."""

import json
import re
import subprocess
import sys
import zipfile

import pytest

from workbench.cli import main
from workbench.cli_trace import TIERS
from workbench.trace import load_trace, recorder


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    """Run the command in a folder of its own; return exit code, output and standard error."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        with pytest.raises(SystemExit) as stopped:
            main(["trace", *map(str, arguments)])
        out, err = capsys.readouterr()
        return stopped.value.code or 0, out, err

    return call


def assert_refused(result, message):
    code, out, err = result
    assert (code, out, err.count("\n")) == (2, "", 1), result
    assert err.startswith("workbench") and re.search(message, err), err


def test_recorded_and_shown(run, tmp_path):
    code, out, err = run("depo-n8-any", "--examples", 20, "--seed", 3)
    assert code == 0 and "20/20" in err and "example/s" in err
    assert re.fullmatch(
        r"depo-n8-any-n4\.zarr\.zip: 20 examples at N = 4, summary, states, writes; 1\.\d MB\n", out
    )
    trace = load_trace(tmp_path / "depo-n8-any-n4.zarr.zip", checkpoint="depo-n8-any")
    assert (trace.sizes["example"], trace.attrs["seed"], trace.attrs["n_sleep"]) == (20, 3, 4)
    code, out, err = run("depo-n8-any-n4.zarr.zip")
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
    code, out, _ = run("rule110-w12-t8-any", *options)
    record = json.loads(out)
    assert code == 0 and 0 < record.pop("bytes") < 50_000
    assert record == {
        "file": "folder.zarr", "checkpoint": "rule110-w12-t8-any", "examples": 2, "seed": 0,
        "n_sleep": 2, "keep": [],
    }  # fmt: skip
    shown = json.loads(run("folder.zarr", "--json")[1])
    assert (shown["n_sleep"], shown["examples"], shown["task"]) == (2, 2, "rule110")
    assert set(shown["groups"]) == {"inputs", "states", "readout"}


def test_nothing_is_overwritten_unasked(run):
    options = ["depo-n8-any", "--examples", 1, "--passes", 1, "--keep", "none", "--out", "a.zarr"]
    assert run(*options)[0] == 0
    assert_refused(run(*options), "a.zarr is there already; .* add --force")
    assert run(*options, "--force")[0] == 0


REFUSED = {
    "no checkpoint": (["depo-n9"], "no checkpoint 'depo-n9'"),
    "another file": ([__file__], "test_cli_trace.py is no recording; expected NAME.zarr.zip"),
    "no recording": (["none.zarr"], "no trace 'none.zarr'"),
    "no number": (["depo-n8-any", "--examples", "many"], "'many' is no whole number from 1"),
    "no pass": (["depo-n8-any", "--passes", "0"], "'0' is no whole number from 1"),
    "another tier": (["depo-n8-any", "--keep", "states,all"], "'all' cannot be kept"),
    "another name": (["depo-n8-any", "--out", "a.nc"], "a trace named 'a.nc'"),
    "another device": (["depo-n8-any", "--device", "abacus"], "abacus"),
    "to record a recording": (["none.zarr", "--seed", "1"], "--seed with the recording none.zarr"),
}


@pytest.mark.parametrize(("arguments", "message"), REFUSED.values(), ids=REFUSED)
def test_bad_input_is_one_line(run, arguments, message):
    assert_refused(run(*arguments), message)


def test_a_damaged_recording_is_one_line(run, tmp_path):
    (tmp_path / "a.zarr.zip").write_bytes(b"PK half of it")
    assert_refused(run("a.zarr.zip"), "a.zarr.zip cannot be read")
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("zarr.json", '{"zarr_format": 3, "node_type": "group", "attributes": {}}')
    assert_refused(run("b.zip"), "b.zip has schema None; expected sleep-trace/2")


def test_tiers_are_those_of_the_recorder():
    assert TIERS == recorder.TIERS


def test_help_stays_light():
    script = (
        "import sys; from workbench.cli import main\n"
        "try: main(['trace', '--help'])\n"
        "except SystemExit: print('heavy:', *{'torch', 'zarr', 'xarray'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True)
    assert found.stdout.endswith("heavy:\n") and not found.stderr
