"""`workbench measure`, and the same as a process of its own that is watched and cancelled."""

import json
import re
import sys
import threading
import time
from typing import get_args

import pytest
from waiting import LIMIT

from workbench.cli import main
from workbench.cli_measure import KINDS as NAMED
from workbench.cli_measure import SETTINGS
from workbench.errors import WorkbenchError
from workbench.lab import measuring
from workbench.lab.kinds import KINDS, Settings, kind_of
from workbench.lab.measured import read_measurement
from workbench.lab.measuring import (
    AT_ONCE,
    FOLDER,
    RESULT,
    STATUS,
    Request,
    at_work,
    cancel,
    folder_of,
    progress_of,
    start,
)

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


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    """Run the command in an empty folder: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return ended.value.code, captured.out, captured.err

    return call


def test_the_command_knows_every_kind():
    assert tuple(KINDS) == NAMED
    assert set(SMALL) == set(KINDS)
    for name, kind in KINDS.items():
        assert kind.name == name and issubclass(kind.settings, Settings)


def test_its_help_names_the_settings_of_every_kind():
    """They are written down a second time there: ``--help`` loads nothing heavy."""
    for name, kind in KINDS.items():
        own = {n: field for n, field in kind.settings.model_fields.items()}
        told = dict(re.findall(r"(\w+)=('[^']*'|\S+)", SETTINGS[name]))
        assert set(told) == set(own) - {"seed", "passes"}, name
        for setting, default in told.items():
            assert default.strip("'") == str(own[setting].default), (name, setting)
            choices = get_args(own[setting].annotation)
            assert all(choice in SETTINGS[name] for choice in choices), (name, setting)


def test_the_help_shows_them(run):
    code, out, _ = run("measure", "--help")
    assert code == 0 and "examples=2000 splits=5 others=2" in out and "example: workbench" in out


@pytest.mark.parametrize("kind", SMALL)
def test_a_measurement_is_kept_with_where_it_comes_from(run, tmp_path, kind):
    options = ("--set", f"examples={SMALL[kind]}", "--set", "passes=2", "--json")
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
    assert code == 2 and "is there already" in err


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


def test_an_unknown_kind_names_those_there_are():
    with pytest.raises(WorkbenchError, match="memory, lens"):
        kind_of("dreams")


def wait_for(condition, seconds=LIMIT):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def request(kind="lens", **settings):
    from workbench.training.checkpoints import load_checkpoint

    hashes = load_checkpoint(CHECKPOINT).provenance["hashes"]
    complete = KINDS[kind].settings(**settings).model_dump(mode="json")
    return Request(kind, CHECKPOINT, hashes["model.safetensors"], complete)


def test_a_measurement_in_the_background_is_found_again(tmp_path):
    asked = request(examples=8, passes=2)
    assert progress_of(folder_of(tmp_path, asked)).state == "new"
    folder = start(tmp_path, asked)
    wait_for(lambda: progress_of(folder).state != "running")
    done = progress_of(folder)
    assert done.state == "done", done.message
    assert done.done == done.total == 3
    assert done.seconds == progress_of(folder).seconds, "it goes on no longer"
    result, _ = read_measurement(folder / RESULT)
    assert result.attrs["n_sleep"] == 2
    before = (folder / RESULT).stat().st_mtime_ns
    assert start(tmp_path, asked) == folder, "what is done is not done again"
    assert (folder / RESULT).stat().st_mtime_ns == before
    assert folder_of(tmp_path, request(examples=9, passes=2)) != folder


def test_a_measurement_can_be_cancelled_and_only_so_many_run(tmp_path):
    asked = [request("probes", examples=100_000, seed=seed) for seed in range(AT_ONCE + 1)]
    folders = [start(tmp_path, one) for one in asked[:-1]]
    try:
        assert at_work(tmp_path) == sorted(folders)
        with pytest.raises(WorkbenchError, match="at work already"):
            start(tmp_path, asked[-1])
    finally:
        for folder in folders:
            cancel(folder)
    wait_for(lambda: not at_work(tmp_path))
    assert {progress_of(folder).state for folder in folders} == {"cancelled"}
    assert not [path for path in (tmp_path / FOLDER).rglob(RESULT)]


def test_two_who_ask_at_the_same_moment_start_one_process(tmp_path, monkeypatch):
    started = []
    spawn = measuring.spawn
    asleep = [sys.executable, "-I", "-c", "import time; time.sleep(60)"]

    def slowly(command, log):
        time.sleep(0.2)
        started.append(command)
        return spawn(asleep, log)

    monkeypatch.setattr(measuring, "spawn", slowly)
    asked = request(examples=8)
    threads = [threading.Thread(target=start, args=(tmp_path, asked)) for _ in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(0.1)
    early = progress_of(folder_of(tmp_path, asked)).state  # it has no process yet
    for thread in threads:
        thread.join()
    cancel(folder_of(tmp_path, asked))
    assert len(started) == 1 and early in ("new", "running")


def test_a_measurement_whose_process_has_gone_says_so(tmp_path):
    folder = start(tmp_path, request(examples=8))
    cancel(folder)
    status = json.loads((folder / STATUS).read_text())
    status.pop("cancelled")
    (folder / STATUS).write_text(json.dumps(status))
    wait_for(lambda: progress_of(folder).state == "failed")
    assert progress_of(folder).message
    wrong = Request("lens", "nothing", "0" * 64, {"examples": 8})
    folder = start(tmp_path, wrong)
    wait_for(lambda: progress_of(folder).state == "failed")
    assert "no checkpoint 'nothing'" in progress_of(folder).message


def test_weights_that_are_not_those_asked_for_are_refused(run, tmp_path):
    asked = {"kind": "lens", "checkpoint": CHECKPOINT, "settings": {"examples": 8}}
    (tmp_path / "request.json").write_text(json.dumps(asked | {"sha256": "0" * 64}))
    given = ("--settings", "request.json", "--out", "result.json")
    code, _, err = run("measure", "lens", CHECKPOINT, *given)
    assert code == 2 and "have changed since this was asked for" in err
    assert "SHA-256 000000000000" in err and not (tmp_path / "result.json").exists()
