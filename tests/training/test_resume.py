"""Resume points: whole, of this run, or refused in one line."""

import json
import os
import shutil

import pytest
import safetensors.torch
import torch
from run_facts import assert_same_weights

from workbench.errors import WorkbenchError
from workbench.files import write_json
from workbench.model.tensor_file import read_tensors, write_tensors
from workbench.training.loop import train
from workbench.training.resume import FORMAT, read_resume_state

os.umask(UMASK := os.umask(0))  # there is no other way to ask for it
NEWEST = "state/step-000000004.safetensors"


@pytest.fixture(scope="module")
def stopped(tiny_experiment, tmp_path_factory):
    """The folder of a run stopped after 4 of 6 steps, never changed."""
    folder = tmp_path_factory.mktemp("runs") / "stopped"
    stops = iter([False] * 3 + [True])
    assert train(tiny_experiment(), folder, stop=lambda: next(stops)) == "stopped"
    return folder


@pytest.fixture
def run(stopped, tmp_path):
    """A copy of that folder, to be damaged."""
    return shutil.copytree(stopped, tmp_path / "run")


def refused(run, experiment, match):
    with pytest.raises(WorkbenchError, match=match) as caught:
        train(experiment, run, resume=True)
    assert "\n" not in str(caught.value)


def rewrite(path, change_tensors=lambda t: t, **header):
    """Write a resume point again, changed, with a checksum that fits."""
    found = read_tensors(path)
    said = json.loads(found.metadata["header"]) | header
    said = {name: value for name, value in said.items() if value != "gone"}
    metadata = {"format": FORMAT, "header": json.dumps(said)}
    write_tensors(path, change_tensors(dict(found.tensors)), metadata)


def test_undamaged_it_goes_on_to_the_weights_of_a_run_never_stopped(run, tiny_experiment, tmp_path):
    assert train(tiny_experiment(), run, resume=True) == "finished"
    assert train(tiny_experiment(), tmp_path / "whole") == "finished"
    assert_same_weights(tmp_path / "whole", run)
    modes = {p.stat().st_mode & 0o777 for p in run.rglob("*") if p.is_file() and p.name != ".lock"}
    assert modes == {0o666 & ~UMASK}, "weights are as readable as their neighbours"


@pytest.mark.parametrize("share", [0.0, 0.01, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 0.9999])
def test_a_flipped_bit_is_found(run, share):
    path = run / NEWEST
    whole = bytearray(path.read_bytes())
    whole[int(share * len(whole))] ^= 4
    path.write_bytes(whole)
    with pytest.raises(WorkbenchError, match="delete it"):
        read_resume_state(path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("status.json", ""), ("status.json", "null"), ("status.json", "{}"), ("status.json", "[]"),
        ("status.json", '{"state": 3}'), ("status.json", '{"state": '), ("status.json", "\xff"),
        ("status.json", "[" * 100_000), ("status.json", '{"state": NaN}'),
        ("origin.json", "{"), ("origin.json", ""), ("origin.json", "null"), ("origin.json", "{}"),
        ("origin.json", "[3]"), ("origin.json", '"text"'), ("origin.json", "[" * 100_000),
    ],
)  # fmt: skip
def test_a_damaged_status_or_origin_is_one_line(run, tiny_experiment, name, text):
    (run / name).write_text(text, encoding="latin-1")
    refused(run, tiny_experiment(), rf"{name}.*; remove (it, then resume|or replace it)")


@pytest.mark.parametrize("step", [5, 3, -5, 7, 10**9, 4.0, "4", True, None, "gone", 10**30])
def test_a_step_that_is_not_this_points_is_refused(run, tiny_experiment, step):
    rewrite(run / NEWEST, step=step)
    refused(
        run,
        tiny_experiment(),
        "resume point.*(has step|step is|an integer of 31 digits).*; delete it",
    )


@pytest.mark.parametrize("step", [7, 10**9])
def test_a_step_beyond_the_last_is_refused_under_its_own_name(run, tiny_experiment, step):
    (run / NEWEST).rename(path := run / f"state/step-{step:09d}.safetensors")
    rewrite(path, step=step)
    refused(run, tiny_experiment(), f"has step {step}; expected 0 to 6, the steps of this run")


@pytest.mark.parametrize("seconds", [-1, "4", None, True, "gone"])
def test_seconds_that_are_not_a_time_are_refused(run, tiny_experiment, seconds):
    rewrite(run / NEWEST, seconds=seconds)
    refused(run, tiny_experiment(), "resume point: .*seconds is .*; delete it")


def only(name, change):
    return lambda tensors: {n: change(t) if n == name else t for n, t in tensors.items()}


EMBEDDING, MOMENTUM = "model.embedding.weight", "optimiser.muon.0.momentum_buffer"
CHANGES = {
    "renamed weight": lambda t: {n.replace("embedding", "embeding"): v for n, v in t.items()},
    "renamed state": lambda t: {n.replace("momentum_", "momentun_"): v for n, v in t.items()},
    "another owner": lambda t: {n.replace("model.", "modal."): v for n, v in t.items()},
    "weight missing": lambda t: {n: v for n, v in t.items() if n != EMBEDDING},
    "moment missing": lambda t: {n: v for n, v in t.items() if not n.endswith("0.exp_avg")},
    "one tensor more": lambda t: t | {"model.extra": torch.zeros(1)},
    "one state more": lambda t: t | {"optimiser.muon.99.momentum_buffer": torch.zeros(1)},
    "int8": only(EMBEDDING, lambda v: v.to(torch.int8)),
    "float64": only(EMBEDDING, torch.Tensor.double),
    "another shape": only(EMBEDDING, lambda v: v[:-1]),
    "NaN": only(EMBEDDING, lambda v: v * float("nan")),
    "momentum of another shape": only(MOMENTUM, lambda v: v[:-1]),
    "momentum in float64": only(MOMENTUM, torch.Tensor.double),
    "momentum infinite": only(MOMENTUM, lambda v: v + float("inf")),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_tensors_of_another_run_are_refused(run, tiny_experiment, change):
    rewrite(run / NEWEST, change)
    refused(run, tiny_experiment(), "delete it")


@pytest.mark.parametrize(
    "metadata",
    [
        {}, {"format": FORMAT}, {"format": "sleep-memory/2", "header": "{}"}, {"header": "[]"},
        {"format": FORMAT, "header": "{"}, {"format": FORMAT, "header": "[" * 100_000},
        {"format": FORMAT, "header": "{}", "more": ""},
    ],
)  # fmt: skip
def test_other_files_are_refused(run, tiny_experiment, metadata):
    path, tensors = run / NEWEST, {"x": torch.zeros(1)}
    write_tensors(path, tensors, metadata)
    refused(run, tiny_experiment(), "resume point.*; delete it")
    path.unlink()
    safetensors.torch.save_file(tensors, path, metadata=metadata or None)
    refused(run, tiny_experiment(), "resume point.*; delete it")


def test_one_that_takes_hours_to_read_is_refused_before(run, tiny_experiment):
    """4 TB of nothing at its end, which take no room on the disk."""
    os.truncate(run / NEWEST, 2**42)
    refused(run, tiny_experiment(), "resume point: what .* holds needs at least 4.0 TB of memory")


def test_a_pipe_in_its_place_is_refused_without_waiting(run, tiny_experiment):
    (run / NEWEST).unlink()
    os.mkfifo(run / NEWEST)
    refused(run, tiny_experiment(), "is not a regular file.*; delete it")


def test_a_point_of_an_earlier_version_is_read_with_a_warning(run, tiny_experiment):
    """It has no checksum and no format; what it holds is checked all the same."""
    found = read_tensors(run / NEWEST)
    header = {"header": found.metadata["header"]}
    safetensors.torch.save_file(found.tensors, run / NEWEST, metadata=header)
    with pytest.warns(UserWarning, match="has no checksum"):
        assert train(tiny_experiment(), run, resume=True) == "finished"


def test_without_a_status_or_an_origin_it_is_resumed(run, tiny_experiment):
    (run / "status.json").unlink()
    write_json(run / "origin.json", [])
    assert train(tiny_experiment(), run, resume=True) == "finished"
