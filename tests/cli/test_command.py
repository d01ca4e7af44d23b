"""The ``workbench`` command: results, one-line errors and exit codes."""

import json
import re
import select
import shlex
import shutil
import sys
import tempfile

import numpy as np
import pytest
from tiny import tiny_toml

from workbench.cli import build_parser, main
from workbench.config import load_experiment
from workbench.identity import identify
from workbench.tasks import batch_generator, task
from workbench.training.evaluation import BLIND

COMMANDS = [
    "serve", "train", "retrofit", "sweep", "queue", "results", "mirror", "runs", "trace", "export",
    "measure", "eval", "generate", "chat", "sample", "checkpoints", "doctor", "get", "notebooks",
    "throughput",
]  # fmt: skip


@pytest.fixture(autouse=True)
def compiles_nothing(monkeypatch):
    """Spare the doctor its trial, which takes seconds; tests/training/test_compiling.py has it."""
    monkeypatch.setattr("workbench.training.compiling.trial", lambda: None)


# --- help -----------------------------------------------------------------------------------------


def test_help_lists_every_command(run):
    code, out, err = run("--help")
    assert code == 0 and err == ""
    assert re.findall(r"^    (\w+)", out, re.MULTILINE) == COMMANDS
    assert "example: workbench serve" in out


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example_that_parses(run, command):
    code, out, _ = run(command, "--help")
    assert code == 0
    example = " ".join(out.split("example: ")[1].split())
    assert example.startswith(f"workbench {command}")
    assert build_parser().parse_args(shlex.split(example)[1:]).run


# --- sample ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("depo", {"nodes": 4, "names": "single", "max_hops": 3, "queries": 6}),
        ("rule110", {"cells": 8, "strings": 2, "rollout": 3}),
    ],
)
def test_samples_as_json(run, name, settings):
    options = [part for k, v in settings.items() for part in ("--set", f"{k}={v}")]
    code, out, err = run("sample", name, "--count", 3, "--seed", 7, "--json", *options)
    assert (code, err) == (0, "") and out.count("\n") == 1
    record = json.loads(out)
    assert list(record) == ["task", "config", "vocabulary", "examples"]
    made = task(name, **settings)
    assert record["task"] == name
    assert type(made.config)(**record["config"]) == made.config
    assert record["vocabulary"] == list(made.vocabulary)
    batch = made.sample(3, batch_generator(7, 0, "sample"))
    assert len(record["examples"]) == 3
    for i, example in enumerate(record["examples"]):
        assert list(example) == ["tokens", "loss_mask", "difficulty"]
        np.testing.assert_array_equal(example["tokens"], batch.tokens[i])
        np.testing.assert_array_equal(example["loss_mask"], batch.loss_mask[i].astype(int))
        asked = [d for d in batch.difficulty[i].tolist() if d >= 0]
        assert example["difficulty"] == asked and len(asked) in (2, 4)


def test_samples_as_text_are_a_function_of_the_seed(run):
    options = ("sample", "depo", "--count", 2, "--set", "nodes=4", "--set", "names=single")
    one, two, other = (run(*options, "--seed", seed)[1] for seed in (1, 1, 2))
    assert one == two != other
    assert one.count("\n") == 4 and one.count(">") == 8


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (b"a 3 =, b a +1", None),
        (b"a 3 =, b c +1", "c in 'b c +1' has no sentence; expected a sentence for every"),
        (b"a b +1, b a +1", "a depends on itself, in 'a b +1': a <- b <- a; expected"),
        (b"a -3 =", "the amount -3 in 'a -3 ='; expected an amount of 0 to 4"),
        (b"a 3 =, a 2 =", "two sentences about a: 'a 3 =' and 'a 2 ='; expected one"),
        (b"a 3 =, b zebra +1", "the word 'zebra' in 'b zebra +1'; expected"),
        (b"", "own.txt is empty; expected text"),
        (b"\x7fELF\xff\x00", "own.txt is a binary file (byte 5 is zero)"),
        (b"a 3 =" * 30_000, "is larger than 100,000 bytes"),
    ],
)
def test_an_example_of_ones_own_is_solved_or_refused_in_one_line(run, tmp_path, given, said):
    path = tmp_path / "own.txt"
    path.write_bytes(given)
    code, out, err = run("sample", "variables", "--input", path, "--queries", "a")
    if said is None:
        assert (code, out) == (0, "a 3 =, b a +1\na = 3 (modulo 5)\n")
    else:
        assert code == 2 and not out and said in err and len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sample", "depo", "--queries", "1:0"], "--queries without --input"),
        (
            ["sample", "sudoku"],
            "task 'sudoku'; expected one of depo, genealogies, gsm_infinite, ",
        ),
        (["sample", "depo", "--set", "nodes"], "'nodes'; expected field=value; .* nodes=8"),
        (["sample", "depo", "--set", "node=3"], "node is unknown; .*nodes.*queries.*write nodes"),
        (["sample", "depo", "--set", "nodes=2"], "nodes = 2; expected a value greater"),
        (["sample", "depo", "--set", "name_or_config=2"], "name_or_config is unknown"),
        (["sample", "depo", "--set", "task.nodes=2"], "task is unknown"),
        (
            ["sample", "depo", "--count", "0"],
            "'0' is not a valid count; expected a whole number from 1",
        ),
        (["sample", "depo", "--count", "many"], "'many' is not a valid count"),
        (["sample", "depo", "--seed", "-1"], "'-1' is not a valid seed"),
        (["sample"], "the following arguments are required: task"),
        (["train", "none.toml"], "no configuration file at none.toml; expected a TOML file"),
        (["train", "."], "is not a regular file"),
        (["eval", ""], "no checkpoint ''; expected a bundled name"),
        (["queue", "--runs", "none"], "no folder none; expected a folder of runs"),
        (["notebooks", ""], "an empty name; expected a folder"),
        (["train", "CONFIG", "--set", "sleep.nights=1"], "sleep.nights is unknown"),
        (["train", "CONFIG", "--set", "sleep.passes"], "expected section.field=value"),
        (["train", "CONFIG", "--device", "tpu"], "training.device = 'tpu'"),
        (["train", "CONFIG", "--device", "cuda:63"], "device 'cuda:63'; expected a device of this"),
        (["train", "CONFIG", "--set", "model.attention_backend=flash"], "without the flash-attn"),
        (["train", "CONFIG", "--out", "CONFIG"], "cannot hold a run"),
        (["train"], "the following arguments are required: CONFIG.toml"),
        (["eval", "nothing"], "no checkpoint 'nothing'; expected a bundled name .*hf://owner/name"),
        (["eval", "hf://a/b"], r"without the package huggingface_hub.*sleep-workbench\[hf\]"),
        (
            ["eval", "x", "--passes", "0.5"],
            "'0.5' is not a valid number of passes; expected a whole number",
        ),
        (["eval", "depo-n8-n1", "--passes", "0"], "passes = 0 needs order = 'predict_then_sleep'"),
        (["eval", "x", "--passes", "1,,2"], "'' is not a valid number"),
        (["eval", "depo-n8-n1", "--device", "banana"], "device 'banana'; expected a device of"),
        (
            ["serve", "--port", "99999"],
            "'99999' is not a valid port; expected a whole number from 0 to 6",
        ),
        (["dream"], "invalid choice: 'dream'"),
        ([], "the following arguments are required: COMMAND"),
    ],
    ids=lambda x: " ".join(x) if isinstance(x, list) else "",
)
def test_bad_input_is_one_line(refused, config, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    monkeypatch.setitem(sys.modules, "flash_attn", None)
    arguments = [str(config) if a == "CONFIG" else a for a in arguments]
    refused(*arguments, match=message)


# --- train and eval -------------------------------------------------------------------------------


def test_training_as_json(run, config, tmp_path):
    options = ("--set", "training.steps=3", "--set", "training.seed=5")
    code, out, err = run("train", config, "--out", tmp_path / "run", "--json", *options)
    assert code == 0, err
    assert json.loads(out) == {
        "folder": str(tmp_path / "run"), "state": "finished", "step": 3, "steps": 3,
        **identify(),
    }  # fmt: skip
    assert load_experiment(tmp_path / "run" / "experiment.toml").training.seed == 5
    assert "step 2  accuracy  N=1: 1:" in err, "evaluations are told on standard error"


def test_training_says_where_the_checkpoint_is(run, refused, config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = run("train", config, "--resume")
    assert "nothing to resume in runs/tiny-seed0; starting at step 0" in err
    assert (code, out) == (0, "finished 4 steps: runs/tiny-seed0/checkpoint\n")
    assert "workbench eval runs/tiny-seed0/checkpoint" in err
    assert (tmp_path / "runs/tiny-seed0/checkpoint/model.safetensors").is_file()
    refused("train", config, match="runs/tiny-seed0 holds a run already; .*--resume")
    changed = ("--set", "training.steps=9", "--resume")
    refused("train", config, *changed, match="training.steps: 4 -> 9")
    code, _, err = run("train", config, "--resume")
    assert code == 0 and "nothing to resume" not in err


def test_evaluation_as_json(run, trained):
    options = ("--passes", "1,3", "--count", 20, "--seed", 9)
    code, out, err = run("eval", trained, "--json", *options)
    assert code == 0, err
    record = json.loads(out)
    assert list(record) == ["checkpoint", "task", "count", "seed", "passes"]
    assert [record[k] for k in ("checkpoint", "task", "count", "seed")] == ["tiny", "depo", 20, 9]
    assert list(record["passes"]) == ["1", "3"]
    for entry in record["passes"].values():
        assert list(entry) == [
            "accuracy", "exact", "interval", "first", "chance", "sleep_ms_per_window",
            "wake_ms_per_token",
        ]  # fmt: skip
        assert set(entry["accuracy"]) == {"1", "2"}
        lines = ["uniform guess", "guess among other nodes", "guess from earlier answers", BLIND]
        assert list(entry["chance"]) == lines


def test_evaluation_as_a_table(run, trained):
    code, out, _ = run("eval", trained, "--count", 8)
    assert code == 0
    (title, head, *rows, notes), (above, _, *first) = (
        part.splitlines() for part in out.split("\n\n")
    )
    assert notes.startswith("exact: every query of an example right; ms/sleep: ")
    assert title == "tiny on depo: 8 examples, seed 0, share right with its 95 % interval"
    assert re.split(r"  +", head) == ["N", "hops 1", "hops 2", "exact", "ms/sleep", "ms/token"]
    names = ["1", "2", "uniform guess", "guess among other nodes", "guess from earlier answers",
             BLIND]  # fmt: skip
    assert above == "first query of each example, which sees no earlier answer"
    assert [row.split("  ")[0] for row in rows] == [row.split("  ")[0] for row in first] == names


def test_rings_that_training_drew_are_scored_on_request(run, refused, config, trained, tmp_path):
    folder = tmp_path / "held-out"
    code, _, err = run("train", config, "--out", folder, "--set", "task.held_out=0.5")
    assert code == 0 and "few distinct examples" not in err
    unseen, seen = (
        json.loads(run("eval", folder, "--json", "--count", 50, *more)[1])["passes"]["1"]
        for more in ((), ("--seen",))
    )
    assert unseen["accuracy"] != seen["accuracy"]
    assert (
        "on structures that training never drew (50% of all)"
        in (folder / "checkpoint" / "card.md").read_text()
    )
    refused("eval", trained, "--seen", match="--seen for tiny, whose training held nothing")


def test_few_distinct_examples_are_warned_about(run, config, tmp_path):
    small = [f"task.{field}" for field in ("max_hops=1", "queries=1")]
    overrides = [part for setting in small for part in ("--set", setting)]
    code, _, err = run("train", config, "--out", tmp_path / "few", *overrides)
    assert code == 0
    assert re.search(r"this setting of depo has few distinct examples: about \d+ % of", err)
    card = (tmp_path / "few" / "checkpoint" / "card.md").read_text()
    assert "of which training is expected to have drawn" in card


def test_evaluation_without_a_sleep(run, config, tmp_path):
    """A window as long as the sequence: there is no time asleep to tell."""
    folder = tmp_path / "run"
    assert run("train", config, "--out", folder, "--set", "sleep.window=32")[0] == 0
    code, out, err = run("eval", folder, "--count", 3, "--passes", "1")
    assert code == 0, err
    entry = json.loads(run("eval", folder, "--count", 3, "--passes", "1", "--json")[1])
    assert entry["passes"]["1"]["sleep_ms_per_window"] is None


# --- the rest -------------------------------------------------------------------------------------


def test_checkpoints_and_doctor_see_the_bundled_ones(run, trained, tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path))
    assert run("checkpoints") == (0, "no bundled checkpoints found\n", "")
    assert json.loads(run("checkpoints", "--json")[1]) == []
    assert run("doctor")[0] == 1, "the workbench needs a checkpoint"
    bundled = shutil.copytree(trained / "checkpoint", tmp_path / "checkpoints" / "tiny")
    (record,) = json.loads(run("checkpoints", "--json")[1])
    assert record["name"] == "tiny" and record["metrics"]["passes"]
    code, out, _ = run("checkpoints")
    assert code == 0 and re.search(
        r"tiny +depo +4 +256 +N=2 hops 1: 0\.\d+ \[0\.\d+, \d\.\d+\]  2: ", out
    )
    code, out, _ = run("doctor", "--json")
    checks = {check["name"]: check for check in json.loads(out)}
    assert code == 0, [c for c in checks.values() if c["required"] and not c["ok"]]
    assert all(list(c) == ["name", "ok", "finding", "required"] for c in checks.values())
    assert checks["checkpoint tiny"]["finding"] == "intact"
    assert checks["kernels: auto"]["ok"] and checks["kernels: cpu"]["finding"] == "serves"
    (bundled / "model.safetensors").write_bytes(b"spoilt")
    code, out, _ = run("doctor")
    assert code == 1 and "--  checkpoint tiny: " in out


@pytest.fixture
def shelf(trained, tmp_path, monkeypatch):
    """A data folder with one whole checkpoint, and one to be spoilt; returns the latter."""
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path))
    shutil.copytree(trained / "checkpoint", tmp_path / "checkpoints" / "whole")
    return shutil.copytree(trained / "checkpoint", tmp_path / "checkpoints" / "a-spoilt")


def without_metrics(folder):
    record = json.loads((folder / "provenance.json").read_text())
    (folder / "provenance.json").write_text(json.dumps(record | {"metrics": {}}))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: (folder / "provenance.json").write_text("{"),
        lambda folder: (folder / "provenance.json").unlink(),
        lambda folder: (folder / "config.toml").write_text("sleep = 3"),
    ],
)
def test_a_damaged_checkpoint_hides_no_other(run, shelf, spoil):
    spoil(shelf)
    code, out, err = run("checkpoints")
    assert code == 1 and err == ""
    assert re.search(r"^a-spoilt +\? .*cannot be read: ", out, re.MULTILINE)
    assert re.search(r"^whole +depo +4 +256 +N=2 hops 1: ", out, re.MULTILINE)
    damaged, whole = json.loads(run("checkpoints", "--json")[1])
    assert damaged["name"] == "a-spoilt" and damaged["problem"] and whole["metrics"]


def test_a_checkpoint_that_was_not_measured_is_listed(run, shelf):
    without_metrics(shelf)
    code, out, _ = run("checkpoints")
    assert code == 0 and re.search(r"^a-spoilt .*not measured$", out, re.MULTILINE)


@pytest.mark.parametrize("lacking", ["config.toml", "provenance.json"])
def test_doctor_finds_a_missing_file(run, shelf, lacking):
    (shelf / lacking).unlink()
    code, out, _ = run("doctor", "--json")
    checks = {check["name"]: check for check in json.loads(out)}
    assert code == 1
    assert f"lacks {lacking}" in checks["checkpoint a-spoilt"]["finding"]
    assert checks["checkpoint whole"]["ok"], "the others are looked at all the same"


def test_doctor_turns_every_failing_probe_into_a_finding(run, shelf, monkeypatch):
    def broken(*arguments, **options):
        raise OSError("libcudart.so: cannot open shared object file")

    monkeypatch.setattr("sleep_kernels.backend_status", broken)
    monkeypatch.setattr("workbench.training.checkpoints.load_checkpoint", broken)
    monkeypatch.setattr("workbench.training.compiling.trial", broken)
    code, out, _ = run("doctor", "--json")
    checks = {check["name"]: check for check in json.loads(out)}
    assert code == 1
    for name in ("kernels", "checkpoint whole", "torch.compile on the CPU"):
        assert not checks[name]["ok"] and "OSError: libcudart" in checks[name]["finding"]


def test_doctor_says_what_brings_a_missing_package(run, shelf, monkeypatch):
    from importlib import metadata, util

    def missing(name):
        raise metadata.PackageNotFoundError(name)

    found = util.find_spec
    monkeypatch.setattr(metadata, "version", missing)
    monkeypatch.setattr(util, "find_spec", lambda n: None if n == "playwright" else found(n))
    checks = {check["name"]: check for check in json.loads(run("doctor", "--json")[1])}
    assert "python3 run.py lab" in checks["jupyterlab"]["finding"]
    assert not checks["browser tests"]["ok"]
    assert "playwright is not installed" in checks["browser tests"]["finding"]
    for name in ("triton", "transformers", "flash-linear-attention"):
        assert "optional" in checks[name]["finding"] and not checks[name]["required"]


def test_doctor_looks_whether_the_named_browser_is_there(run, shelf, monkeypatch):
    monkeypatch.setenv("WORKBENCH_CHROMIUM", "/nowhere/chromium")
    checks = {check["name"]: check for check in json.loads(run("doctor", "--json")[1])}
    assert not checks["browser tests"]["ok"]
    assert "'/nowhere/chromium', which is not a program" in checks["browser tests"]["finding"]


def test_a_missing_package_is_one_line(refused, trained, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    refused("eval", trained, match="the package 'tqdm' is not installed; .*pip install")


def test_a_bug_keeps_its_traceback(monkeypatch):
    def broken(options):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("workbench.cli.catalogue._doctor", broken)
    with pytest.raises(ZeroDivisionError):
        main(["doctor"])


@pytest.mark.skipif(not hasattr(select, "poll"), reason="cannot tell which pipe broke")
def test_a_broken_standard_error_is_no_success(monkeypatch):
    """Training whose messages nobody can read any more was cut short: that is not exit code 0."""

    def broken(options):
        raise BrokenPipeError

    monkeypatch.setattr("workbench.cli.catalogue._doctor", broken)
    with tempfile.TemporaryFile("w") as out:
        monkeypatch.setattr(sys, "stdout", out)
        with pytest.raises(SystemExit) as stopped:
            main(["doctor"])
    assert stopped.value.code == 1


def test_port_0_is_any_free_one():
    assert build_parser().parse_args(["serve", "--port", "0"]).port == 0


# --- text -----------------------------------------------------------------------------------------


def test_a_model_of_text_is_measured_in_bits(run, tmp_path):
    """By the command, on its card and on the home page, whose chapters may be gone by then."""
    from workbench.lab.record import scores_of
    from workbench.training.run_files import read_ended
    from workbench.views.home.catalogue import read_entry

    book = tmp_path / "book"
    book.mkdir()
    for number in range(3):
        told = f"When Ormuz came, Ormuz saw Atra number {number}, and Atra saw Ormuz. "
        (book / f"{number}.txt").write_text(told * 4)
    settings = {"name": "text", "corpus": str(book), "window": 16, "windows": 3, "recalled": 1}
    config = tmp_path / "text.toml"
    sleep = {"window": 16, "passes": 1, "order": "predict_then_sleep"}
    tested = {"final_passes": [0, 1]}
    config.write_text(tiny_toml(task=settings, sleep=sleep, training=tested))
    code, _, told = run("train", config, "--out", tmp_path / "runs" / "text")
    assert code == 0 and "step 2  bits  N=1: all:" in told
    exported = tmp_path / "runs" / "text" / "checkpoint"
    bits = json.loads(run("eval", exported, "--count", 4, "--json")[1])["passes"]["1"]["bits"]
    assert set(bits) >= {"all", "names", "first window"} and 4 < bits["all"]["bits"] < 9
    assert list(bits["all"]["sections"]) == ["1", "2", "3"]
    said = run("eval", exported, "--count", 4)[1]
    assert "bits per character of names, by section" in said and "distance 1" in said
    assert "## Bits per character\n" in (exported / "card.md").read_text()
    kept = scores_of(read_ended(exported.parent)["metrics"]["passes"])["1"]["bits"]
    plain, line = read_entry("text", exported).bits
    assert plain.startswith("Bits per character at N = 0: all ") and line.startswith(
        f"Bits per character at N = 1: all {kept['all']:.3f}, names "
    )
