"""The lab's commands: runs and results; sweep and queue are in tests/lab."""

import json

import pytest
from recorded_runs import TASK, entry, record, scores
from tiny import tiny_run

from workbench.cli.runs import STATES, _label
from workbench.lab.runs import read_run
from workbench.paths import data_folder


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A folder with a finished run, a stopped one, a broken one."""
    from workbench.training.loop import train

    root = tmp_path_factory.mktemp("lab") / "runs"
    train(tiny_run(), root / "done")
    train(tiny_run("sleep.passes=3"), root / "half", stop=lambda: True)
    (root / "broken").mkdir()
    (root / "broken" / "status.json").write_text("{")
    return root


def test_runs_are_listed_with_state_and_newest_accuracy(run, root):
    code, out, err = run("runs", "--runs", root)
    assert code == 0, err
    lines = {line.split()[0]: line for line in out.splitlines() if line}
    assert "finished" in lines["done"] and "4/4" in lines["done"] and "N=2 1:" in lines["done"]
    assert "stopped" in lines["half"] and "1/4" in lines["half"]
    assert "status.json is not valid JSON" in lines["broken:"]


def test_runs_as_json_and_filtered(run, root):
    code, out, _ = run("runs", "--runs", root, "--json", "--state", "finished")
    assert code == 0
    (found,) = json.loads(out)
    assert (found["name"], found["state"], found["step"]) == ("done", "finished", 4)
    assert json.loads(run("runs", "--runs", root, "--json", "--sweep", "none")[1]) == []


def test_show_and_compare(run, root):
    code, out, _ = run("runs", "show", "done", "half", "--runs", root)
    assert code == 0 and "done: finished, step 4 of 4" in out and "half: stopped" in out
    assert "{" not in out
    code, out, _ = run("runs", "compare", "done", "half", "--runs", root)
    assert code == 0
    rows = [line.split() for line in out.splitlines()]
    assert ["sleep.passes", "2", "3"] in rows
    assert [row[0] for row in rows if "." in row[0]] == ["sleep.passes"]
    compared = json.loads(run("runs", "compare", "done", "half", "--runs", root, "--json")[1])
    assert compared["differ"] == {"sleep.passes": ["2", "3"]}


def test_labels_are_told_in_words():
    assert _label({}) == "" and _label("sleep") == "sleep" and _label(4) == "4"
    assert _label({"task.nodes": 8, "task.max_hops": 2}) == "task.nodes = 8, task.max_hops = 2"
    cost = {"training": 15_777_792.0, "sleep": 1e6, "wake": 2.5e6}
    assert _label(cost) == ("training 15.8 MFLOP, sleep 1 MFLOP, wake 2.5 MFLOP (one sequence)")


def test_delete_and_restore(run, root):
    code, out, _ = run("runs", "delete", "half", "--runs", root)
    assert code == 0 and "moved to the trash" in out
    assert run("runs", "show", "half", "--runs", root)[0] == 2
    code, out, _ = run("runs", "restore", "half", "--runs", root)
    assert code == 0 and "restored" in out
    assert run("runs", "show", "half", "--runs", root)[0] == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("runs", "stop"), "`runs stop` without a name"),
        (("runs", "list", "done"), "write `workbench runs show done`"),
        (("runs", "show", "../done"), "no run '../done'"),
        (("runs", "stop", "done"), "left alone: it is finished"),
        (("runs", "restore", "nothing"), "no deleted run 'nothing'"),
        (("runs", "resume", "half", "--cores", "0"), "--cores 0; expected 1 or more"),
    ],
)
def test_what_cannot_be_is_one_line_and_exit_code_2(run, root, arguments, said):
    code, out, err = run(*arguments, "--runs", root)
    assert code == 2 and out == ""
    assert said in err and err.count("\n") == 1


def test_the_states_that_can_be_listed_are_those_of_runs():
    """Written twice, so that the command's help needs no run store."""
    from workbench.lab import runs

    assert STATES == runs.STATES


def test_no_runs_yet(run, tmp_path):
    assert run("runs", "--runs", tmp_path / "none")[1].startswith("no runs in")


def test_resume_puts_a_run_into_the_queue_and_a_queue_to_work(run, root, monkeypatch):
    """That a queue goes on with such runs is tested in tests/lab."""
    started = []
    monkeypatch.setattr("workbench.lab.queue.spawn", lambda command, log: started.append(command))
    code, out, err = run("runs", "resume", "half", "--runs", root, "--cores", "1")
    assert code == 0 and "queued to go on" in out, err
    assert read_run(root / "half").state == "queued"
    (queue,) = started
    assert queue[-5:] == ["queue", "--runs", str(root), "--cores", "1"]


@pytest.fixture(scope="module")
def crossed(tmp_path_factory):
    """A record of one run of a second on each of two rings, made by the commands."""
    folder = tmp_path_factory.mktemp("crossed")
    runs = []
    for nodes in (8, 12):
        for n in ("1", "4"):
            axes = {"axes": {"task.nodes": nodes}, "identity": f"{nodes} {n}"}
            run = entry("sleep", n, int(n), curve={}, end={n: scores(nodes / 100)}, **axes)
            changes = {"name": f"{nodes}-{n}", "config": TASK.format(nodes=nodes), "chance": {}}
            runs.append(run | changes)
    path = folder / "crossed.json"
    path.write_text(json.dumps(record(*runs, title="Crossed")))
    return path


def test_results_of_one_value_of_an_axis(run, crossed, tmp_path):
    code, out, _ = run("results", crossed, "--axis", "task.nodes=12", "--json")
    rows = json.loads(out)["equal_tokens"]
    assert code == 0 and {row["mean"] for row in rows} == {0.12}
    assert all(row["low"] is None for row in rows), "one seed has no interval"
    code, _, err = run("results", crossed, "--axis", "task.nodes=8", "--out", tmp_path)
    assert code == 0, err
    assert (tmp_path / "crossed-nodes8-equal_tokens.csv").read_text().count("0.08") == 2


@pytest.fixture
def kept(crossed, tmp_path):
    """Write some of that record's runs, each changed, as a record of their own."""

    def write(count, **changes):
        found = json.loads(crossed.read_text())
        path = tmp_path / "kept.json"
        runs = [one | changes for one in found["runs"][:count]]
        path.write_text(json.dumps(found | {"runs": runs}))
        return path

    return write


def test_results_of_too_little_say_so(run, kept, tmp_path):
    code, out, err = run("results", kept(1))
    assert code == 0 and out == "" and "finished so far: sleep, N = 1." in err
    code, out, err = run("results", kept(2, final={}), "--json")
    assert code == 0 and out == "{}\n" and "finished so far: nothing." in err
    code, out, err = run("results", kept(2, final={}), "--out", tmp_path / "out")
    assert code == 0 and out == "" and not (tmp_path / "out").exists()
    code, out, err = run("results", kept(0))
    assert code == 2 and "no runs" in err


def test_what_was_not_tested_at_its_own_n_answers_the_question_of_transfer_alone(run, kept):
    scores = {"accuracy": {"1": 0.5}, "exact": 0.0}
    code, out, _ = run("results", kept(2, final={"8": scores}), "--json")
    assert code == 0 and list(json.loads(out)) == ["transfer"]


def test_results_are_told_in_columns_and_as_csv_on_request(run, kept, tmp_path):
    record = kept(2, final={"8": {"accuracy": {"1": 0.5}, "exact": 0.0}})
    code, out, _ = run("results", record)
    head, row = out.splitlines()[1:3]
    assert code == 0 and "seeds" in head.split() and "0.50" in row.split() and "," not in head
    assert len({line.index(word) for line, word in ((head, "1 hop"), (row, "0.50"))}) == 1
    code, out, _ = run("results", record, "--format", "csv")
    assert code == 0 and out.splitlines()[1].endswith(",mean,low,high,count")
    code, _, err = run("results", record, "--format", "csv", "--out", tmp_path / "data")
    assert code == 0 and "1 CSV file in" in err
    assert [path.suffix for path in (tmp_path / "data").iterdir()] == [".csv"]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("results", "none.json"), "no record of results at none.json; expected JSON"),
        (("results", __file__), "test_lab.py is not valid JSON"),
        (("sweep", "none.toml"), "no sweep file at none.toml; expected a TOML file"),
        (
            ("sweep", data_folder() / "configs" / "depo-n8-any.toml"),
            "is a training configuration; expected a sweep; use `workbench train",
        ),
    ],
)
def test_the_wrong_file_is_one_line(run, command, said):
    code, out, err = run(*command)
    assert code == 2 and out == "" and said in err and err.count("\n") == 1 and "Errno" not in err


def test_a_damaged_record_is_one_line(run, kept, tmp_path):
    record = kept(2)
    whole = json.loads(record.read_text())
    del whole["runs"][1]["labels"]["arm"]
    for changes, said in (
        ({}, "is damaged (runs.1.labels.arm is missing)"),
        ({"runs": [{}]}, "is damaged (runs.0.name is missing)"),
        ({"runs": None}, "is damaged (runs is None)"),
    ):
        record.write_text(json.dumps(whole | changes))
        code, out, err = run("results", record)
        assert code == 2 and out == "" and said in err and err.count("\n") == 1


def test_figures_are_written_without_a_browser(run, crossed, tmp_path):
    options = ("--axis", "task.nodes=8", "--out", tmp_path, "--format", "png")
    code, _, err = run("results", crossed, *options)
    assert code == 0, err
    written, data = ({path.stem for path in tmp_path.glob(f"*.{s}")} for s in ("png", "csv"))
    assert "crossed-nodes8-equal_tokens" in written
    assert written == {name for name in data if not name.endswith("-differences")} != data
    assert not list(tmp_path.glob("*.html"))
