"""Results of runs that may still train, read from their folders."""

import json

from recorded_runs import CHANCE, entry, scores

from workbench import dims
from workbench.config import Experiment, build, to_toml
from workbench.lab.results import against_n, dataset, entries_of, final, latest
from workbench.lab.runs import Run, list_runs, read_run

EXPERIMENT = {
    "model": {"width": 16, "layers": ["attention", "gated_delta"], "attention_heads": 2},
    "sleep": {"window": 8, "passes": {"kind": "random", "low": 1, "high": 4}},
    "task": {"name": "depo", "nodes": 4, "max_hops": 2, "queries": 2, "names": "single"},
    "training": {"steps": 20, "batch_size": 8, "seed": 3, "eval_count": 50},
}


def folder(root, name, state="running", labels=None, events=(), metrics=None):
    """Make the folder of a run as the training loop leaves it."""
    path = root / name
    (path / "checkpoint").mkdir(parents=True)
    experiment = build(Experiment, EXPERIMENT, source="test")
    (path / "experiment.toml").write_text(to_toml(experiment), encoding="utf-8")
    (path / "status.json").write_text(json.dumps({"state": state, "step": 10, "steps": 20}))
    (path / "events.jsonl").write_text("".join(json.dumps(e) + "\n" for e in events))
    commit = {"hash": "abcdef123", "uncommitted_changes": True}
    origin = [{"from_step": 0, "created_at": "2026-11-25T00:55:10+00:00", "commit": commit}]
    (path / "origin.json").write_text(json.dumps(origin))
    if labels:
        (path / "labels.json").write_text(json.dumps(labels))
    if metrics:
        (path / "checkpoint" / "provenance.json").write_text(json.dumps({"metrics": metrics}))
    return path


LABELS = entry("random_n", "1-4", 4, 3)["labels"]
TOLD = [
    {"kind": "step", "step": 10, "loss": 2.0, "seconds": 5.0},
    {"kind": "evaluation", "step": 10, "passes": {"4": scores(0.3, 0.2) | {"chance": CHANCE}}},
]


def test_entries_of_a_run_at_work(tmp_path):
    folder(tmp_path, "a", labels=LABELS, events=TOLD)
    (one,) = entries_of([Run("a", tmp_path / "a", "running", labels=LABELS)])
    data = dataset([one])
    assert final(data)["accuracy"].isnull().all()
    now = latest(data)
    assert now["accuracy"].sel(n_test=4).values.ravel().tolist() == [0.3, 0.2]
    assert now["training_flops"].item() == 10 * 8 * 50.0, "10 steps of 8 sequences"
    assert now["seconds"].item() == 5 and now["steps"].item() == 20
    assert data["chance"].sel(chance_line="uniform guess").values.tolist() == [0.125, 0.125]
    assert data.attrs["commits"] == ["abcdef1 with changes"]
    assert (data.attrs["task"], data.attrs["difficulty"]) == ("depo", "hops")
    assert data.attrs["counts"] == [50]


def test_entries_of_a_finished_run_hold_its_final_evaluation(tmp_path):
    chance = {"chance": CHANCE}
    metrics = {"passes": {"4": scores(0.9, 0.8) | chance, "16": scores(0.7, 0.6) | chance}}
    folder(tmp_path, "a", "finished", LABELS, TOLD, metrics)
    data = final(dataset(entries_of(list_runs(tmp_path))))
    assert data["accuracy"].sel(difficulty=2).values.ravel().tolist() == [0.8, 0.6]
    assert data[dims.N_TEST].values.tolist() == [4, 16]


def test_a_queued_run_has_told_nothing_yet(tmp_path):
    path = folder(tmp_path, "a", "queued", LABELS)
    for name in ("events.jsonl", "origin.json"):
        (path / name).unlink()
    data = dataset(entries_of(list_runs(tmp_path)))
    assert data["accuracy"].size == 0 and data["steps"].item() == 20
    assert data.attrs["commits"] == ["unknown"]


def test_events_that_were_read_already_are_not_read_again(tmp_path):
    folder(tmp_path, "a", labels=LABELS)
    (one,) = entries_of([read_run(tmp_path / "a")], events={"a": TOLD})
    assert one["loss"] == {"step": [10], "loss": [2.0], "seconds": [5.0]}


def test_a_run_of_its_own_is_an_arm_under_its_name_at_no_known_cost(tmp_path):
    folder(tmp_path, "mine", events=TOLD)
    data = dataset(entries_of(list_runs(tmp_path)))
    assert data["words"].values.tolist() == [["mine, N = 1-4"]]
    assert data[dims.SEED].values.tolist() == [3]
    assert data["step_flops"].isnull().all()
    assert against_n(latest(data)["accuracy"]).sel(passes=4, difficulty=1).item() == 0.3


def test_runs_that_cannot_be_read_are_left_out(tmp_path):
    folder(tmp_path, "good", labels=LABELS, events=TOLD)
    bad = folder(tmp_path, "bad", labels=LABELS)
    (bad / "experiment.toml").write_text("[model\n")
    gone = Run("gone", tmp_path / "gone", "running")
    assert [e["name"] for e in entries_of([*list_runs(tmp_path), gone])] == ["good"]
