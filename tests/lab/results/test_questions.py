"""The questions that sweeps answer, from a record worked out by hand and from the bundled ones."""

import csv
import io
import json

import numpy as np
import pytest
from hand_records import hand_run, write_record

from workbench.errors import WorkbenchError
from workbench.figures.lab.questions import question_figure
from workbench.lab import results
from workbench.lab.record import read_record
from workbench.lab.results import bundled
from workbench.lab.results import rows as words
from workbench.lab.results.axes import open_axes
from workbench.lab.results.question_tables import BLIND, leaking
from workbench.lab.results.questions import (
    QUESTIONS,
    answerable,
    missing_words,
    notes,
    recorded,
)
from workbench.tasks.depo.earlier_answers import guess_from_earlier_answers

UNCOMMITTED = {"text-names"}
"""Records of runs next to which a change lay: the 399 steps of text-copying-deeper, for 388."""
DRAWN = ["equal_tokens", "solved", "equal_flops", "flops", "seconds", "compute", "transfer"]
SHARES = {("sleep", "1"): 0.2, ("sleep", "4"): 0.9, ("longer", "1"): 0.5}


@pytest.fixture
def record(tmp_path):
    runs = [
        hand_run(arm, n, seed, share + 0.02 * seed, passes=4 if arm == "longer" else None)
        for (arm, n), share in SHARES.items()
        for seed in (0, 1, 2)
    ]
    return write_record(tmp_path / "hand.json", runs)


@pytest.fixture
def dataset(record):
    return results.dataset(read_record(record))


def question(name):
    return next(q for q in QUESTIONS if q.name == name)


def test_a_question_needs_runs_of_its_own(dataset):
    assert [q.name for q in answerable(dataset)] == DRAWN
    assert recorded(dataset, question("equal_flops").conditions) == [
        ("sleep", "1"), ("sleep", "4"), ("longer@4", "1"),
    ]  # fmt: skip
    said = missing_words(dataset, question("equal_flops"))
    assert said == (
        "Not recorded yet: deeper, N = 1 (matched to N = 4); wider, N = 1 (matched to N = 4)."
    )
    assert missing_words(dataset, question("parts")).startswith("Not recorded yet: rewrite only")


def test_the_numbers_of_a_figure(dataset):
    table = question("equal_flops").table(dataset)
    rows = words.flat(table)
    found = {(row["condition"], row["difficulty"]): row for row in rows}
    assert found["sleep, N = 4", 2]["mean"] == pytest.approx(0.92)
    assert found["sleep, N = 4", 2]["low"] < 0.92 < found["sleep, N = 4", 2]["high"]
    assert len(rows) == 6 and all(row["count"] == 3 for row in rows)
    text = list(csv.DictReader(io.StringIO(words.csv_text(table))))
    assert text[0]["condition"] == "sleep, N = 1" and float(text[0]["mean"]) == 1.0
    head, *rows = words.means_rows(table)
    assert head[2] == "2 hops"
    assert rows[1][2] == "0.92 [0.87, 0.97]", "t of two degrees: 4.30 x 0.0115"


def test_the_largest_difficulty_solved_seed_by_seed(dataset):
    """2 hops are right in 0.90 to 0.94 of the cases at N = 4, in 0.2 to 0.24 at N = 1."""
    one = question("solved")
    assert "at least 90%" in one.means and one in answerable(dataset.sel(arm=["sleep"]))
    table = one.table(dataset)
    assert table.attrs["threshold"] == 0.9 and table.attrs["hardest"] == 2
    rows = words.flat(table)
    assert [(r["arm"], r["passes"], r["mean"], r["by_seed"]) for r in rows] == [
        ("sleep", 1, 1.0, "1 1 1"), ("sleep", 4, 2.0, "2 2 2"), ("longer", 4, 1.0, "1 1 1"),
    ]  # fmt: skip
    columns = "arm,passes,mean,low,high,count,by_seed,by_seed_80,by_seed_95"
    assert words.csv_text(table).splitlines()[0] == columns
    head, first, *_, last = words.means_rows(table)
    at = ["each seed", "each seed at 80 %", "each seed at 95 %"]
    assert head == ["arm", "N", "largest hops solved", *at, "seeds"]
    assert first == ["sleep", "1", "1.00 [1.00, 1.00]", *["1, 1, 1"] * 3, "3"]
    four = words.means_rows(table)[2]
    assert four[3:6] == ["2, 2, 2", "2, 2, 2", "1, 1, 1"], "0.90 to 0.94 are below 0.95"
    assert last[:2] == ["longer, N = 1", "4"]


def blind(record, shares):
    """Return the data with what each run answers without the context: arm -> share by seed."""
    found = read_record(record)
    for one in found["runs"]:
        labels = one["labels"]
        share = shares.get(labels["arm"], 0.1) + 0.03 * labels["seed"]
        scores = {"accuracy": {"1": share, "2": share}, "exact": 0.0}
        one["chance"] = one["chance"] | {BLIND: scores}
    return results.dataset(found)


def test_the_measured_chance_line_is_of_the_runs_that_are_shown(record):
    """Shares 0.1, 0.13, 0.16 of sleep, 0.2 more of longer, which one question alone shows."""
    data = blind(record, {"longer": 0.3})
    tokens = question("equal_tokens").table(data)["chance"]
    assert tokens["chance_line"].values.tolist() == [
        "uniform guess", "guess among other nodes", f"{BLIND} (mean of 6 runs)",
    ]  # fmt: skip
    np.testing.assert_allclose(tokens.isel(chance_line=-1), 0.13)
    flops = question("equal_flops").table(data)["chance"]
    assert flops["chance_line"].values[-1] == f"{BLIND} (mean of 9 runs)"
    np.testing.assert_allclose(flops.isel(chance_line=-1), (0.13 + 0.13 + 0.33) / 3)
    np.testing.assert_allclose(flops.isel(chance_line=0), 0.125)


def test_first_queries_are_a_question_where_they_were_recorded(record):
    """Means of 0.3, 0.4, 0.5 at N = 4 by hand; the chance line is the first query's."""
    assert "first_query" not in [q.name for q in answerable(results.dataset(read_record(record)))]
    told = json.loads(record.read_text())
    for one in told["runs"]:
        share = 0.3 + 0.1 * one["labels"]["seed"]
        one["final"] = {n: s | {"first": {"1": 0.9, "2": share}} for n, s in one["final"].items()}
    data = results.dataset(told)
    assert "first_query" in [q.name for q in answerable(data)]
    table = question("first_query").table(data)
    np.testing.assert_allclose(table["mean"].sel(difficulty=2), 0.4)
    # t interval of three seeds: 0.4 -+ 4.3027 * 0.1 / sqrt(3)
    np.testing.assert_allclose(table["low"].sel(difficulty=2), 0.4 - 0.24841, atol=1e-4)
    np.testing.assert_allclose(table["chance"].sel(chance_line="guess among other nodes"), 1 / 7)
    assert "uniform guess" in table["chance"]["chance_line"], "0.125, of the task: none recorded"


def test_lines_that_the_task_works_out_are_drawn_for_older_records(record):
    """Six nodes, two hops, six queries: enumerated by the task, in no run of the record."""
    told = json.loads(record.read_text())
    config = '[task]\nname = "depo"\nnodes = 6\nnames = "single"\nmax_hops = 2\nqueries = 6\n'
    for one in told["runs"]:
        one["config"] = config
    line = results.dataset(told)["chance"].sel(chance_line="guess from earlier answers")
    expected = guess_from_earlier_answers(6, 6, (1, 2)).accuracy.mean(axis=0)
    np.testing.assert_allclose(line, expected)


def test_a_condition_that_answers_without_the_context_is_no_evidence(record):
    data = blind(record, {"longer": 0.9})
    (said,) = [n for n in notes(data, question("equal_flops")) if n.startswith("Not evidence")]
    assert "longer, N = 1 (matched to N = 4) answers 93% without the context" in said
    assert not any(n.startswith("Not evidence") for n in notes(data, question("equal_tokens")))
    chance = question("equal_flops").table(data)["chance"]
    np.testing.assert_allclose(chance.isel(chance_line=-1), 0.13)
    assert leaking(blind(record, {}), question("equal_flops").conditions) == {}


def test_the_measured_line_is_called_as_the_evaluation_calls_it():
    from workbench.training import evaluation

    assert BLIND == evaluation.BLIND


def on_the_way(record):
    """Return the data with N = 1 half trained at step 5, and seed 2 of N = 4 twice as slow."""
    found = read_record(record)
    for one in found["runs"]:
        labels = one["labels"]
        slow = 2 if (labels["n_train"], labels["seed"]) == ("4", 2) else 1
        one["loss"] = {"step": [5, 10], "loss": [1.0, 0.5], "seconds": [2.0 * slow, 4.0 * slow]}
        half = {"1": {"accuracy": {"1": 0.5, "2": 0.1}, "exact": 0.1}}
        if labels["arm"] == "sleep" and labels["n_train"] == "1":
            one["curve"] = {"step": [5], "passes": [half]}
    return results.dataset(found)


def test_what_is_learnt_in_the_same_time(record):
    """Within 2 s N = 1 is half trained; within 4 s, the middle seed's time, all end but seed 2."""
    data = on_the_way(record)
    table = question("seconds").answer(data, results.final(data))
    assert table["mean"].dims == ("condition", "budget", "difficulty")
    assert table["budget"].values.tolist() == pytest.approx([0.5, 1, 2, 3, 4])
    one = table.sel(condition="sleep, N = 1", difficulty=1)
    assert one["count"].values.tolist() == [0, 0, 3, 3, 3]
    assert one["mean"].values[2:].tolist() == pytest.approx([0.5, 0.5, 1.0])
    assert one["spent"].values[2:].tolist() == [2, 2, 4]
    four = table.sel(condition="sleep, N = 4", difficulty=2)
    assert four["count"].values.tolist() == [0, 0, 0, 0, 2], "seed 2 was not done within 4 s"
    assert four["mean"].values[-1] == pytest.approx(0.91)
    assert words.means_rows(table)[0][:2] == ["condition", "within (s)"]
    assert words.means_rows(table)[1][:3] == ["sleep, N = 1", "2", "0.50 [0.50, 0.50]"]


def test_seconds_say_whose_they_are_and_how_far_equal_work_differed(record):
    data = on_the_way(record)
    (said,) = [n for n in notes(data, question("seconds")) if n.startswith("Seconds")]
    assert "those of paper" in said and "differ by up to 2.0-fold" in said
    one = data.sel(seed=[0]).assign_attrs(data.attrs | {"machines": []})
    (said,) = [n for n in notes(one, question("seconds")) if n.startswith("Seconds")]
    assert said.startswith("Seconds are those of a machine that is not recorded")
    assert said.endswith("at the time.")


def test_what_is_learnt_with_the_same_compute_on_the_way(record):
    data = on_the_way(record)
    table = question("compute").answer(data, results.final(data))
    assert table["budget"].values.tolist() == pytest.approx([1.3e11, 2.5e11, 5e11, 7.5e11, 1e12])
    one = table.sel(condition="sleep, N = 1", difficulty=1)
    assert one["mean"].values[2:].tolist() == pytest.approx([0.5, 0.5, 1.0])
    assert one["spent"].values[2:].tolist() == [5e11, 5e11, 1e12]
    figure = question_figure(question("compute").figure, table)
    (line,) = [t for t in figure.data if t.name == "sleep, N = 1" and t.xaxis == "x"]
    assert list(line.hovertext)[1].startswith("sleep, N = 1, within 7.5e+11 FLOPs (5e+11 spent): ")


def test_where_time_or_compute_is_not_known_nothing_is_asked_of_it(record):
    found = read_record(record)
    for one in found["runs"]:
        one["loss"] = {"step": [], "loss": [], "seconds": []}
        one["budget"]["flops"] = None
    names = [q.name for q in answerable(results.dataset(found))]
    assert "equal_flops" in names and not {"seconds", "compute"} & set(names)


def test_a_record_of_another_schema(tmp_path):
    path = tmp_path / "old.json"
    path.write_text('{"schema": "sleep-results/0", "runs": []}')
    with pytest.raises(WorkbenchError, match="sleep-results/0.*make it again"):
        read_record(path)


@pytest.mark.parametrize("path", bundled.records().values(), ids=lambda path: path.stem)
def test_the_bundled_records_answer_questions(path):
    record = read_record(path)
    axes = {name: values[0] for name, values in open_axes(record["runs"]).items()}
    data = results.dataset(record, axes=axes)
    assert len(answerable(data)) >= 2
    assert all(len(run["commit"]["hash"]) == 40 for run in record["runs"])
    changed = any(run["commit"]["uncommitted_changes"] for run in record["runs"])
    assert changed == (path.stem in UNCOMMITTED)


def test_latencies_by_arm_and_n(tmp_path, monkeypatch):
    rows = [
        {"arm": arm, "n": n, "sleep_ms_per_window": [n, n], "wake_ms_per_token": [wake, wake]}
        for n in (1, 4)
        for arm, wake in (("sleep", 1.0), ("wake_loop", float(n)))
    ]
    machine = {"cpu": "paper", "date": "2026-01-01"}
    place = tmp_path / "results" / "latency" / "depo-n8-any.json"
    place.parent.mkdir(parents=True)
    place.write_text(json.dumps({"machine": machine, "checkpoint": "x", "results": rows}))
    monkeypatch.setattr(bundled, "data_folder", lambda: tmp_path)
    data, said = bundled.latency()
    assert data["wake_ms_per_token"].sel(arm="wake_loop", n_test=4).values.tolist() == [4.0, 4.0]
    assert data["wake_ms_per_token"].sel(arm="sleep", n_test=4).values.tolist() == [1.0, 1.0]
    assert "paper, 2026-01-01; medians of 2" in said


def test_the_bundled_latencies_are_complete():
    found = bundled.latency()
    if found is None:
        pytest.skip("no latency is recorded")
    data, _ = found
    assert not data.isnull().any().to_array().any()
    assert {"sleep", "wake_loop"} <= set(data["arm"].values.tolist())
