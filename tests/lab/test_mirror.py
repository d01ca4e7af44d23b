"""The mirror in MLflow, against a real SQLite store: every point once, whatever is killed."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from importlib.util import find_spec

import pytest
from tiny import tiny_run
from waiting import until

from workbench.config import to_toml
from workbench.errors import WorkbenchError
from workbench.files import write_json
from workbench.lab import mirror as mirror_module
from workbench.lab.mirror import mirror_all, only_mirror, open_store, store_uri
from workbench.lab.runs import set_state

pytestmark = pytest.mark.process

if find_spec("mlflow") is None and os.environ.get("CI") != "true":
    pytest.skip("no mlflow; install the extra 'tracking'", allow_module_level=True)

LABELS = {"sweep": "tiny", "arm": "sleep", "passes": 2, "axes": {"task.nodes": 4}, "seed": 0}


def tiny(**training):
    settings = {"steps": 9, "eval_every": 3, "eval_passes": [1, 2], "checkpoint_every": 4}
    return tiny_run(*(f"training.{name}={value}" for name, value in (settings | training).items()))


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory):
    """An SQLite store with its tables and nothing else; making one takes seconds."""
    path = tmp_path_factory.mktemp("store") / "empty.db"
    open_store(str(path))
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder of two runs: one of a sweep, finished; one of its own, stopped at step 5 of 9."""
    from workbench.training.loop import train

    root = tmp_path_factory.mktemp("trained") / "runs"
    assert train(tiny(), root / "whole") == "finished"
    write_json(root / "whole" / "labels.json", LABELS)
    steps = iter(range(5))
    half = tiny(seed=1)
    assert train(half, root / "half", stop=lambda: next(steps) == 4) == "stopped"
    return root


@pytest.fixture
def runs(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "runs")


@pytest.fixture
def uri(empty_store, tmp_path):
    return f"sqlite:///{shutil.copy(empty_store, tmp_path / 'mlflow.db')}"


def stored(client, name):
    """The MLflow run called `name`; there must be exactly one."""
    experiments = [e.experiment_id for e in client.search_experiments()]
    found = client.search_runs(experiments, f"attributes.run_name = '{name}'")
    assert len(found) == 1, f"{len(found)} runs called {name}"
    return found[0]


def told(folder):
    """What a run's files say: metric -> list of (step, value)."""
    points = {}

    def add(name, step, value):
        if value is not None:
            points.setdefault(name, []).append((step, value))

    def add_scores(passes, step, prefix=""):
        for n, entry in passes.items():
            add(f"{prefix}exact/N{n}", step, entry["exact"])
            for level, value in entry["accuracy"].items():
                add(f"{prefix}accuracy/N{n}/{level}", step, value)

    for event in map(json.loads, (folder / "events.jsonl").read_text().splitlines()):
        if event["kind"] == "step":
            for name in ("loss", "gradient_norm", "seconds", "rate"):
                add(name, event["step"], event[name])
        else:
            add_scores(event["passes"], event["step"])
    provenance = folder / "checkpoint" / "provenance.json"
    if provenance.exists():
        metrics = json.loads(provenance.read_text())["metrics"]
        steps = json.loads((folder / "status.json").read_text())["steps"]
        add_scores(metrics["passes"], steps, "final/")
        for n, entry in metrics["passes"].items():
            add(f"final/sleep_ms_per_window/N{n}", steps, entry["sleep_ms_per_window"])
            add(f"final/wake_ms_per_token/N{n}", steps, entry["wake_ms_per_token"])
    return points


def assert_mirrored(client, folder, changed=()):
    """Every number of the run's files is in the store, once."""
    run = stored(client, folder.name)
    expected = told(folder)
    assert set(run.data.metrics) == set(expected)
    for name in set(expected) - set(changed):
        history = client.get_metric_history(run.info.run_id, name)
        assert [(m.step, m.value) for m in history] == expected[name], name
    return run


def test_every_point_once_although_the_mirror_is_killed_between(runs, uri, monkeypatch):
    """Killed after its second batch, then after its fifth: points of one run, then of another."""
    monkeypatch.setattr(mirror_module, "MOST_POINTS", 7)
    for batches in (2, 5):
        mirror, written = open_store(uri), []
        log = mirror.client.log_batch

        def killed(*arguments, log=log, written=written, batches=batches, **named):
            log(*arguments, **named)
            written.append(named)
            if len(written) == batches:
                raise KeyboardInterrupt

        monkeypatch.setattr(mirror.client, "log_batch", killed)
        with pytest.raises(KeyboardInterrupt):
            mirror_all(mirror, runs)

    mirror = open_store(uri)
    outcome = mirror_all(mirror, runs)
    assert set(outcome.points) == {"whole", "half"} and not outcome.problems
    for name, status in (("whole", "FINISHED"), ("half", "KILLED")):
        run = assert_mirrored(mirror.client, runs / name)
        assert run.info.status == status
    again = mirror_all(open_store(uri), runs)
    assert set(again.points.values()) == {0}, "nothing is added twice"


def test_a_run_goes_on_and_its_mirror_too(runs, uri):
    from workbench.training.loop import train

    mirror = open_store(uri)
    first = mirror_all(mirror, runs).points["half"]
    assert train(tiny(seed=1), runs / "half", resume=True) == "finished"
    second = mirror_all(mirror, runs)
    assert first and second.points["half"] and second.points["whole"] == 0
    run = assert_mirrored(mirror.client, runs / "half")
    assert run.info.status == "FINISHED"
    assert run.data.tags["provenance.starts"] == "2"


def test_events_written_anew_by_a_resumed_run_are_neither_lost_nor_doubled(runs, uri):
    """Killed after step 5, resumed from step 4: step 5 is there again, with other seconds."""
    mirror = open_store(uri)
    mirror_all(mirror, runs)
    path = runs / "half" / "events.jsonl"
    lines = path.read_text().splitlines()
    last = json.loads(lines[-1])
    anew = [json.dumps(last | {"step": step, "seconds": 100.0 + step}) for step in range(5, 12)]
    path.write_text("\n".join([*lines[:-1], *anew]) + '\n{"kind": "step", "st')
    added = mirror_all(open_store(uri), runs).points["half"]
    assert added == 6 * 4, "steps 6 to 11, four numbers each; not the torn line"
    run = stored(mirror.client, "half")
    history = mirror.client.get_metric_history(run.info.run_id, "seconds")
    assert [m.step for m in history] == list(range(1, 12))
    assert [m.value for m in history[5:]] == [100.0 + step for step in range(6, 12)]


def test_configuration_labels_and_provenance_can_be_searched(runs, uri):
    client = open_store(uri).client
    mirror_all(open_store(uri), runs)
    run = stored(client, "whole")
    params, tags = run.data.params, run.data.tags
    assert params["training.steps"] == "9" and params["task.name"] == "depo"
    assert json.loads(params["training.eval_passes"]) == [1, 2]
    assert tags["labels.arm"] == "sleep" and tags["labels.axes.task.nodes"] == "4"
    assert tags["provenance.versions.torch"] and tags["provenance.machine.cores"]
    assert tags["sleep_workbench.state"] == "finished"
    assert tags["sleep_workbench.folder"] == str(runs / "whole")
    assert client.get_experiment(run.info.experiment_id).name == "tiny"
    alone = stored(client, "half")
    assert client.get_experiment(alone.info.experiment_id).name == "sleep-workbench"


def test_states_become_statuses_and_one_bad_run_costs_itself(runs, uri):
    half = runs / "half"
    mirror = open_store(uri)
    seen = []
    gone = {"pid": 2**22 + 1, "started": 1.0}
    for state, more in [("running", gone), ("queued", {}), ("failed", {"error": "no room"})]:
        set_state(half, state, **more)
        mirror_all(mirror, runs)
        run = stored(mirror.client, "half")
        seen.append((run.data.tags["sleep_workbench.state"], run.info.status))
    assert seen == [("died", "KILLED"), ("queued", "SCHEDULED"), ("failed", "FAILED")]
    assert run.data.tags["sleep_workbench.problem"] == "no room"

    (half / "status.json").write_text("{")
    (runs / "asked").mkdir()
    (runs / "asked" / "experiment.toml").write_text(to_toml(tiny()))
    set_state(runs / "asked", "queued")
    outcome = mirror_all(open_store(uri), runs)
    assert "half is damaged" in outcome.problems["half"]
    assert outcome.points == {"whole": 0} and outcome.waiting == ["asked"]


def test_what_was_deleted_in_mlflow_stays_deleted(runs, uri):
    mirror = open_store(uri)
    mirror_all(mirror, runs)
    mirror.client.delete_run(stored(mirror.client, "half").info.run_id)
    assert mirror_all(open_store(uri), runs).waiting == ["half"]

    shutil.rmtree(runs / "half")  # a run of the same name that begins anew is another run
    shutil.copytree(runs / "whole", runs / "half")
    origin = json.loads((runs / "half" / "origin.json").read_text())
    origin[0]["created_at"] = "2030-01-01T00:00:00+00:00"
    write_json(runs / "half" / "origin.json", origin)
    mirror_all(mirror, runs)
    assert_mirrored(mirror.client, runs / "half")


def test_one_mirror_a_folder_and_store(runs, uri):
    with only_mirror(runs, uri):
        with pytest.raises(WorkbenchError, match="another process mirrors"), only_mirror(runs, uri):
            pass
        with only_mirror(runs, "sqlite:///other.db"):
            pass


@pytest.mark.parametrize(
    ("to", "said"),
    [
        ("file:/tmp/mlruns", "given up folders"),
        ("databricks://x", "begins with sqlite"),
        ("sqlite://x.db", "three slashes"),
        ("sqlite:///no/such/folder/x.db", "cannot be written to"),
        (__file__, "is not an SQLite file"),
        ("http://127.0.0.1:1", "expected a store"),
    ],
)
def test_a_store_that_cannot_be_is_one_clear_line(to, said):
    began = time.monotonic()
    with pytest.raises(WorkbenchError, match=said) as error:
        open_store(to)
    assert "\n" not in str(error.value) and time.monotonic() - began < 10


def test_a_plain_path_is_an_sqlite_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert store_uri("a.db") == store_uri("sqlite:///a.db") == f"sqlite:///{tmp_path / 'a.db'}"
    assert store_uri(f"sqlite:///{tmp_path / 'a.db'}") == f"sqlite:///{tmp_path / 'a.db'}"


OFFLINE = """
import socket, sys

def refuse(*arguments, **options):
    sys.stderr.write(f"the network was asked for: {arguments}\\n")
    raise SystemExit(3)

socket.socket.connect = socket.getaddrinfo = refuse
try:
    from workbench.cli import main
    main(sys.argv[1:])
finally:
    from mlflow.telemetry.utils import is_telemetry_disabled
    assert is_telemetry_disabled()
"""


def test_the_command_and_that_nothing_leaves_the_machine(runs, uri):
    signs = ("CI", "PYTEST_CURRENT_TEST", "MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK")
    environment = {name: value for name, value in os.environ.items() if name not in signs}
    command = [sys.executable, "-P", "-W", "error", "-c", OFFLINE]
    command += ["mirror", "--to", uri, "--runs", str(runs), "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["runs"] == ["half", "whole"] and record["failed"] == {}
    expected = sum(len(points) for name in record["runs"] for points in told(runs / name).values())
    assert record["points"] == expected
    assert record["to"] == uri


@pytest.mark.slow
def test_a_killed_watch_is_taken_up_again_while_the_run_trains(tmp_path, uri, monkeypatch, capsys):
    """SIGKILL of the watching process somewhere in its work; a second one, here, goes on."""
    from workbench.cli import main
    from workbench.training.loop import train

    root = tmp_path / "runs"
    root.mkdir()
    monkeypatch.setattr("workbench.cli.mirror.WATCH", 0.1)
    arguments = ["mirror", "--watch", "--json", "--to", uri, "--runs", str(root)]
    command = [sys.executable, "-P", "-m", "workbench.cli", *arguments]
    watch = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    ended = threading.Event()

    def stored_now(query):
        with closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as store:
            return store.execute(query).fetchall()

    def killing(progress):
        while progress.step == 50 and watch.poll() is None:
            time.sleep(0.02)
            if stored_now("SELECT * FROM metrics LIMIT 1"):
                watch.kill()
                watch.wait()

    def interrupt():
        until(lambda: stored_now("SELECT status FROM runs") == [("FINISHED",)] or ended.is_set())
        if not ended.is_set():
            os.kill(os.getpid(), signal.SIGINT)

    try:
        train(tiny(steps=100, eval_every=50), root / "live", on_progress=killing)
    finally:
        watch.kill()
        watch.wait()
    assert watch.returncode == -signal.SIGKILL and stored_now("SELECT * FROM metrics LIMIT 1")
    with ThreadPoolExecutor() as pool, pytest.raises(SystemExit) as stopped:
        pool.submit(interrupt)
        try:
            main(arguments)
        finally:
            ended.set()
    assert stopped.value.code == 130
    assert json.loads(capsys.readouterr().out)["runs"] == ["live"]
    assert_mirrored(open_store(uri).client, root / "live")
