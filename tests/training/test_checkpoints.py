"""Checkpoint folders: whole or refused, the same by name, folder and Hub id; and their card."""

import hashlib
import json
import os
import re
import shutil
import sys
import types

import pytest
import safetensors.torch
import torch

import workbench
from workbench.errors import WorkbenchError
from workbench.training.checkpoints import load_checkpoint, save_checkpoint


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def folder(finished, tmp_path):
    """A copy of a finished run's checkpoint, to be spoilt."""
    return shutil.copytree(finished / "checkpoint", tmp_path / "tiny")


@pytest.fixture
def bundled(folder, tmp_path, monkeypatch):
    """The same checkpoint as the only bundled one."""
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path / "data"))
    return shutil.copytree(folder, tmp_path / "data" / "checkpoints" / "tiny")


def edit_provenance(folder, **fields):
    path = folder / "provenance.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def accept_as_it_is(folder):
    """Let the hashes agree with spoilt files, so that what comes after them is looked at."""
    names = ("model.safetensors", "config.toml")
    edit_provenance(folder, hashes={name: sha256(folder / name) for name in names})


def test_a_run_its_checkpoint_and_a_name_load_the_same(finished, folder, bundled):
    checkpoints = [load_checkpoint(x) for x in (finished, folder, str(folder), "tiny")]
    expected = safetensors.torch.load_file(folder / "model.safetensors")
    for checkpoint in checkpoints:
        weights = checkpoint.model.state_dict()
        assert weights.keys() == expected.keys()
        assert all(torch.equal(weights[name], expected[name]) for name in expected)
        assert checkpoint.name == "tiny"
        assert checkpoint.sleep.passes == 2
        assert checkpoint.task.vocabulary[0] == "PAD"
    assert checkpoints[-1].folder == bundled.resolve()
    assert workbench.load("tiny").experiment == checkpoints[0].experiment


def test_a_loaded_model_is_for_looking(folder):
    model = load_checkpoint(folder).model
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())


def test_where_its_kernels_cannot_serve_others_do_and_it_is_said(folder):
    """As of a checkpoint from a GPU on a laptop: the kernels are no part of what was learnt."""
    expected = load_checkpoint(folder)
    config = folder / "config.toml"
    text = config.read_text()
    assert 'kernel_backend = "auto"' in text
    for name in ("fla", "fast"):
        config.write_text(text.replace('kernel_backend = "auto"', f'kernel_backend = "{name}"'))
        accept_as_it_is(folder)
        if name == "fast":
            with pytest.raises(WorkbenchError, match="kernel_backend = 'fast' on cpu .* unknown"):
                load_checkpoint(folder)
            continue
        with pytest.warns(UserWarning, match="'fla' on cpu .*cannot serve.*: 'auto' serves"):
            found = load_checkpoint(folder)
        assert found.model.config == expected.model.config
        assert found.experiment.model.kernel_backend == "fla"


def test_an_unknown_name_lists_the_bundled_ones(bundled):
    shutil.copytree(bundled, bundled.parent / "another")
    (bundled.parent / "half").mkdir()
    with pytest.raises(
        WorkbenchError, match=r"no checkpoint 'huge'; expected .* \(another, tiny\)"
    ):
        load_checkpoint("huge")


def test_provenance_tells_where_it_comes_from(finished, folder):
    record = load_checkpoint(folder).provenance
    assert record["format"] == "sleep-checkpoint/1" and record["seed"] == 0
    assert {"command", "commit", "versions", "machine", "created_at"} <= record.keys()
    assert record["versions"]["torch"] == torch.__version__
    assert record["budget"]["steps"] == 6
    assert record["budget"]["tokens"] == 6 * 4 * 16
    weights = safetensors.torch.load_file(folder / "model.safetensors")
    assert record["budget"]["parameters"] == sum(w.numel() for w in weights.values())
    for name, digest in record["hashes"].items():
        assert sha256(folder / name) == digest
    assert record["hashes"].keys() == {"model.safetensors", "config.toml"}
    assert set(record["metrics"]["passes"]) == {"1", "2"}
    assert all(entry["chance"] for entry in record["metrics"]["passes"].values())


def test_its_metrics_can_be_had_again(folder):
    from workbench.training.evaluation import evaluate

    checkpoint = load_checkpoint(folder)
    metrics = checkpoint.provenance["metrics"]
    again = evaluate(
        checkpoint.model, checkpoint.task, checkpoint.sleep,
        passes=(1, 2), count=metrics["count"], seed=metrics["seed"], latency=False,
    )  # fmt: skip
    for n, entry in again.items():
        assert entry == {k: v for k, v in metrics["passes"][n].items() if k in entry}


def test_the_card_says_what_the_provenance_says(folder):
    record = json.loads((folder / "provenance.json").read_text())
    card = (folder / "card.md").read_text()
    assert f"({'width 8'}, {record['budget']['parameters']:,} parameters)" in card
    assert f"`{record['command']}`" in card
    assert f"= {record['budget']['tokens']:,} tokens, seed {record['seed']}" in card
    assert f"{record['metrics']['count']:,} examples of the evaluation stream" in card
    assert record["versions"]["torch"] in card
    tables = [
        [
            [cell.strip() for cell in line.strip("|").split("|")]
            for line in part.splitlines()
            if line.startswith("|") and "---" not in line
        ]
        for part in card.split("The first query of each example alone")
    ]
    rows, first = tables
    levels = [cell.removeprefix("hops ") for cell in rows[0][1:-1]]
    metrics = record["metrics"]["passes"]
    assert [row[0] for row in rows[1:3]] == list(metrics) == ["1", "2"]
    for row, entry in zip(rows[1:3], metrics.values(), strict=True):
        values = [*(entry["accuracy"][v] for v in levels), entry["exact"]]
        bounds = [*(entry["interval"]["accuracy"][v] for v in levels), entry["interval"]["exact"]]
        for cell, value, interval in zip(row[1:], values, bounds, strict=True):
            numbers = [float(x) for x in re.findall(r"\d\.\d+", cell)]
            assert numbers == pytest.approx([value, *interval], abs=5.1e-4)
    for row in rows[3:]:
        line = metrics["1"]["chance"][row[0].strip("*")]
        expected = [*(line["accuracy"][v] for v in levels), line["exact"]]
        assert [float(cell) for cell in row[1:]] == pytest.approx(expected, abs=5.1e-4)
    assert len(rows) == 3 + len(metrics["1"]["chance"])
    assert [row[0] for row in first] == [row[0] for row in rows]
    for row, entry in zip(first[1:3], metrics.values(), strict=True):
        for level, cell in zip(levels, row[1:], strict=True):
            low, high = entry["first"]["interval"][level]
            share = entry["first"]["accuracy"][level]
            assert cell == f"{share:.3f} [{low:.3f}, {high:.3f}]"


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_truncated_weights(folder, share):
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(WorkbenchError, match="model.safetensors is not the file that was saved"):
        load_checkpoint(folder)
    accept_as_it_is(folder)
    with pytest.raises(WorkbenchError, match="model.safetensors (cannot be read|does not fit)"):
        load_checkpoint(folder)


def test_an_edited_configuration(folder):
    path = folder / "config.toml"
    path.write_text(path.read_text().replace("key_dim = 4", "key_dim = 8"))
    with pytest.raises(WorkbenchError, match="config.toml is not the file .* was edited"):
        load_checkpoint(folder)
    accept_as_it_is(folder)
    with pytest.raises(WorkbenchError, match=r"does not fit the model .* of shape \[.*expected \["):
        load_checkpoint(folder)


def spoil(folder, change):
    """Change one tensor of a checkpoint, with hashes that fit."""
    weights = safetensors.torch.load_file(folder / "model.safetensors")
    change(weights)
    safetensors.torch.save_file(weights, folder / "model.safetensors")
    accept_as_it_is(folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", ["embedding.weight", "final_norm.weight", "stack.1.mixer"])
def test_weights_that_are_not_finite(folder, name, value):
    def change(weights):
        tensor = next(w for n, w in weights.items() if n.startswith(name))
        tensor.view(-1)[-1] = value

    spoil(folder, change)
    with pytest.raises(WorkbenchError, match=r"it has 1 of \d+ values of .* NaN or infinite"):
        load_checkpoint(folder)


@pytest.mark.parametrize(
    "dtype",
    ["int8", "uint8", "int64", "bool", "float16", "bfloat16", "float64", "complex64",
     "float8_e4m3fn"],
)  # fmt: skip
@pytest.mark.parametrize("every", [False, True])
def test_weights_of_another_dtype(folder, dtype, every):
    def change(weights):
        for name in weights if every else ["embedding.weight"]:
            weights[name] = weights[name].to(getattr(torch, dtype))

    spoil(folder, change)
    with pytest.raises(WorkbenchError, match=f"has .* in {dtype}.; expected float32"):
        load_checkpoint(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("embedding.weight"), "lacks embedding.weight"),
        (lambda w: w.update(extra=torch.zeros(1)), "has the unknown extra"),
        (lambda w: w.update({f"extra.{i}": torch.zeros(1) for i in range(9)}), "and 7 more"),
        (lambda w: w.clear(), r"lacks embedding.weight, .* and \d+ more"),
        (lambda w: w.update({"embedding.weight": torch.zeros(0)}), r"of shape \[0\]"),
    ],
)
def test_other_tensors(folder, change, message):
    spoil(folder, change)
    with pytest.raises(WorkbenchError, match=f"does not fit the model .*{message}"):
        load_checkpoint(folder)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("width = 8", "width = 1048576", "of shape"),
        ("key_dim = 4", "key_dim = 16384", "of shape"),
        ("mlp_width = 8", "mlp_width = 4194304", "of shape"),
        ("key_dim = 4", "key_dim = 1000000000", "key_dim = 1000000000; expected a value less than"),
        ("passes = 2", "passes = 1000000000", "passes = 1000000000; expected a value less than"),
        ("nodes = 4", "nodes = 1000000000", "nodes = 1000000000; expected a value less than"),
    ],
)
def test_a_configuration_of_a_huge_model_takes_no_memory(folder, old, new, message):
    path = folder / "config.toml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    accept_as_it_is(folder)
    with pytest.raises(WorkbenchError, match=message):
        load_checkpoint(folder)


@pytest.mark.parametrize("name", ["model.safetensors", "config.toml"])
def test_a_file_that_takes_hours_to_read_is_refused_before(folder, name):
    """4 TB of nothing at its end, which take no room on the disk."""
    os.truncate(folder / name, 2**42)
    with pytest.raises(WorkbenchError, match=f"{name} holds needs at least 8.0 TB of memory"):
        load_checkpoint(folder)


@pytest.mark.parametrize("change", [torch.nn.Module.double, torch.nn.Module.bfloat16])
def test_a_model_that_could_not_be_loaded_is_not_saved(folder, tmp_path, change):
    found = load_checkpoint(folder)
    with pytest.raises(WorkbenchError, match="expected float32"):
        save_checkpoint(
            tmp_path / "new", "new", change(found.model), found.experiment, found.provenance
        )
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["model.safetensors", "config.toml", "provenance.json"])
def test_a_missing_file(folder, name):
    (folder / name).unlink()
    with pytest.raises(WorkbenchError, match=f"lacks {name}; expected a folder with"):
        load_checkpoint(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "provenance.json is not valid JSON"),
        ("[" * 100_000, "provenance.json is not valid JSON .nested too deeply"),
        ("[]", "has format 'list'; expected sleep-checkpoint/1"),
        ('{"format": "sleep-checkpoint/2"}', "has format 'sleep-checkpoint/2'; expected"),
        ('{"format": "sleep-checkpoint/1"}', "is damaged .name is missing."),
        (
            '{"format": "sleep-checkpoint/1", "name": "a", "hashes": [], "metrics": {}, '
            '"budget": {}}',
            "is damaged .hashes is ...",
        ),
        ("\xff", "provenance.json is not UTF-8"),
    ],
)
def test_a_provenance_that_is_none(folder, text, message):
    (folder / "provenance.json").write_text(text, encoding="latin-1")
    with pytest.raises(WorkbenchError, match=message):
        load_checkpoint(folder)


@pytest.mark.parametrize("name", ["nowhere", "", "hf:/x", "a\0b"])
def test_no_such_checkpoint(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WorkbenchError, match="no checkpoint|lacks"):
        load_checkpoint(name)


def test_a_run_that_is_not_finished(finished, tmp_path):
    run = shutil.copytree(finished, tmp_path / "run", ignore=shutil.ignore_patterns("checkpoint"))
    with pytest.raises(WorkbenchError, match="lacks model.safetensors.* folder of a finished run"):
        load_checkpoint(run)


def test_pickles_are_not_read(folder, tmp_path):
    """A file of torch.save under our name: it would run whatever it likes when loaded."""
    ran = tmp_path / "ran"

    class Bomb:
        def __reduce__(self):
            return (ran.touch, ())

    torch.save({"embedding.weight": Bomb()}, folder / "model.safetensors")
    accept_as_it_is(folder)
    with pytest.raises(WorkbenchError, match="cannot be read"):
        load_checkpoint(folder)
    assert not ran.exists()


# --- the Hub --------------------------------------------------------------------------------------


def test_without_huggingface_hub_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(WorkbenchError, match=r"pip install 'sleep-workbench\[hf\]'"):
        load_checkpoint("hf://someone/depo")


def test_a_hub_id_loads_what_was_fetched(folder, monkeypatch):
    asked = []

    def snapshot_download(repository, allow_patterns):
        asked.append((repository, sorted(allow_patterns)))
        return str(folder)

    hub = types.SimpleNamespace(snapshot_download=snapshot_download)
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    assert load_checkpoint("hf://someone/depo").name == "tiny"
    files = [
        "additions.safetensors",
        "card.md",
        "config.toml",
        "model.safetensors",
        "provenance.json",
    ]
    assert asked == [("someone/depo", files)]


def test_a_hub_that_cannot_be_reached_is_one_line(monkeypatch):
    def snapshot_download(repository, allow_patterns):
        raise ConnectionError("no route\nto host")

    hub = types.SimpleNamespace(snapshot_download=snapshot_download)
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    message = r"hf://someone/depo cannot be fetched \(ConnectionError: no route to host\)"
    with pytest.raises(WorkbenchError, match=message):
        load_checkpoint("hf://someone/depo")


def test_only_a_hub_id_reaches_for_the_network(folder, bundled, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert load_checkpoint("tiny").name == load_checkpoint(folder).name
