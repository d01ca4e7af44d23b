"""`workbench measure`, and the same as a background process."""

import json

import pytest

from workbench.measurements.catalogue import measurements
from workbench.measurements.records import read_measurement

CHECKPOINT = "depo-n8-any"
SMALL = {
    "memory": 4,
    "lens": 8,
    "probes": 60,
    "steering": 60,
    "patches": 4,
    "ablations": 4,
    "attribution": 2,
    "recovery": 60,
    "erasure": 60,
}


@pytest.fixture(autouse=True)
def in_an_empty_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


def test_the_help_shows_every_measurement_with_its_settings(run):
    code, out, _ = run("measure", "--help")
    assert code == 0 and "examples=2000 splits=5 others=2" in out and "example: workbench" in out
    assert all(f"  {kind} " in out and one.title in out for kind, one in measurements().items())
    assert set(SMALL) == set(measurements())


LONG = ("ablations", "attribution", "probes", "steering")


@pytest.mark.parametrize(
    "kind", [pytest.param(k, marks=[pytest.mark.slow] if k in LONG else []) for k in SMALL]
)
def test_a_measurement_is_kept_with_where_it_comes_from(run, tmp_path, kind):
    options = ("--set", f"examples={SMALL[kind]}", "--set", "passes=2", "--json")
    if kind == "steering":  # the longest by far
        options += ("--set", "splits=1")
    code, out, err = run("measure", kind, CHECKPOINT, *options)
    assert code == 0, err
    path = tmp_path / f"{kind}-{CHECKPOINT}.json"
    assert json.loads(out) == json.loads(path.read_text())
    result, origin = read_measurement(path)
    assert result.attrs["kind"] == origin["kind"] == kind
    assert result.attrs["n_sleep"] == 2 and result.sizes.get("sleep_pass", 3) in (2, 3)
    assert result.attrs["difficulty_name"] == "hops"
    assert origin["settings"]["examples"] == SMALL[kind]
    assert len(origin["checkpoint_sha256"]) == 64
    code, _, err = run("measure", kind, CHECKPOINT, *options)
    assert code == 2 and "exists already" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("lens", "nothing"), "no checkpoint 'nothing'"),
        (("lens", CHECKPOINT, "--set", "exampels=3"), "exampels is unknown"),
        (("lens", CHECKPOINT, "--set", "examples=1"), "examples = 1"),
        (("patches", CHECKPOINT, "--set", "parts=legs"), "parts"),
        (("dreams", CHECKPOINT), "invalid choice"),
        (("lens", CHECKPOINT, "--device", "cuda:9"), "cuda"),
    ],
)
def test_wrong_input_is_one_line(run, tmp_path, arguments, said):
    code, out, err = run("measure", *arguments)
    assert code == 2 and out == ""
    assert said in err and len(err.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_weights_that_are_not_those_asked_for_are_refused(run, tmp_path):
    asked = {"kind": "lens", "checkpoint": CHECKPOINT, "settings": {"examples": 8}}
    (tmp_path / "request.json").write_text(json.dumps(asked | {"sha256": "0" * 64}))
    given = ("--settings", "request.json", "--out", "result.json")
    code, _, err = run("measure", "lens", CHECKPOINT, *given)
    assert code == 2 and "have changed since this was requested" in err
    assert "SHA-256 000000000000" in err and not (tmp_path / "result.json").exists()
