"""From choices to runs: every mistake at its field, costs counted, times from what was measured."""

from dataclasses import replace

import pytest
from tiny import tiny_toml

from workbench.identity import identify
from workbench.lab import proposal
from workbench.lab.estimate import Speed, estimate, speeds, work_of
from workbench.lab.proposal import Choices, check, free_name, points_of, propose, usual
from workbench.lab.runs import list_runs, request, set_state
from workbench.lab.supervise import request_all

TINY = tiny_toml(task={"predict_ans": False}, training={"steps": 40})


@pytest.fixture(autouse=True)
def tiny(tmp_path, monkeypatch, quick_cost):
    """A data folder with one configuration that can be read."""
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path / "data"))
    folder = tmp_path / "data" / "configs"
    folder.mkdir(parents=True)
    (folder / "tiny.toml").write_text(TINY)
    (folder / "broken.toml").write_text("[task\n")
    return folder


CHOICES = Choices("first", "tiny", arms={"sleep": "1, 2"}, seeds="0-2", steps="40")


def test_the_bundled_configurations_are_starting_points(monkeypatch):
    monkeypatch.delenv("WORKBENCH_DATA")
    assert "rule110-w12-t8-n1" in points_of("rule110") and "depo-n8-n4" in points_of("depo")
    for name in [*proposal.bundled(), "depo", "rule110"]:
        assert check(usual(name, [])).problems == {}


def test_a_configuration_that_cannot_be_read_is_left_out():
    assert points_of("depo") == ["tiny"] and points_of("rule110") == ["rule110"]


def test_runs_are_planned_and_counted(tmp_path):
    found = propose(CHOICES, tmp_path / "runs")
    assert found.problems == {}
    names = [plan.name for plan in found.to_do]
    assert names[0] == "first.sleep-n1-seed0" and len(names) == 6
    assert check(CHOICES).count == 6
    one, four = found.to_do[0], found.to_do[-1]
    assert 0 < one.flops < four.flops
    assert four.experiment.training.steps == 40 and four.experiment.training.seed == 2
    assert not (tmp_path / "runs").exists(), "nothing is written before it is asked for"


def test_what_is_done_is_not_planned_again(tmp_path):
    root = tmp_path / "runs"
    first = propose(CHOICES, root)
    request_all(first.to_do[:2], root)
    set_state(root / first.to_do[0].name, "finished", step=40, steps=40)
    second = propose(CHOICES, root)
    assert len(second.to_do) == 5
    other = propose(replace(CHOICES, values={"task.nodes": "3"}), root)
    assert list(other.problems) == ["sweep"] and "another configuration" in other.problems["sweep"]


@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        ({"sweep": "a b"}, "sweep", "letters, digits"),
        ({"sweep": ""}, "sweep", "nothing given"),
        ({"sweep": "../x"}, "sweep", "letters, digits"),
        ({"start": "none"}, "start", "no configuration 'none'"),
        ({"start": "broken"}, "start", "not valid TOML"),
        ({"arms": {}}, "arms", "at least one arm"),
        ({"arms": {"slep": "1"}}, "arms", "no arm 'slep'"),
        ({"arms": {"sleep": "0"}}, "arms.sleep", "at least 1"),
        ({"arms": {"sleep": ""}}, "arms.sleep", "nothing given"),
        ({"seeds": "0, one"}, "seeds", "'0, one' given"),
        ({"seeds": "0-9999"}, "seeds", "at least 0"),
        ({"seeds": "0-400"}, "seeds", "802 runs; expected at most 500"),
        ({"steps": "1, 2"}, "steps", "a whole number"),
        ({"steps": "-1"}, "steps", "a whole number"),
        ({"values": {"task.nodes": "2"}}, "task.nodes", "3 to 100000"),
    ],
)
def test_mistakes_are_told_at_their_field(changes, field, said):
    problems = check(replace(CHOICES, **changes)).problems
    assert list(problems) == [field] and said in problems[field]


@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        ({"values": {"sleep.window": "5"}}, "sleep.window", "starts a window at a token"),
        ({"values": {"training.device": "cuda:7"}}, "training.device", "this machine"),
        ({"values": {"model.kernel_backend": "fast"}}, "model.kernel_backend", "unknown"),
        ({"arms": {"sleep": "1", "loop_middle": "2"}}, "arms.loop_middle", "a deeper model"),
    ],
)
def test_what_would_fail_at_its_start_is_refused_before(tmp_path, changes, field, said):
    found = propose(replace(CHOICES, **changes), tmp_path)
    assert found.sweep is None and found.to_do == []
    assert list(found.problems) == [field] and said in found.problems[field]


def test_names_are_free(tmp_path):
    assert free_name("tiny", []) == "tiny-1"
    request(tmp_path / "tiny-1.sleep-n1-seed0", TINY, {"sweep": "tiny-1"}, 40)
    request(tmp_path / "tiny-2", TINY, {}, 40)
    assert usual("tiny", list_runs(tmp_path)).sweep == "tiny-3"


def test_time_is_estimated_from_what_was_measured_here(tmp_path):
    found = propose(CHOICES, tmp_path / "runs")
    assert estimate(work_of(found.to_do), [], 2) is None, "unknown is said, not guessed"
    request_all(found.to_do, tmp_path / "runs")
    for plan in found.to_do:
        folder = tmp_path / "runs" / plan.name
        set_state(folder, "finished", step=40, steps=40, **identify())
        (folder / "events.jsonl").write_text(
            '{"kind": "step", "step": 40, "loss": 1, "seconds": 2}\n'
        )
    known = speeds(list_runs(tmp_path / "runs"))
    assert len(known) == 6
    two = estimate(work_of(found.to_do), known, 2)
    assert two.source.startswith("the speed of ") and two.source.endswith("on this machine")
    assert 4 < two.seconds < 9 and two.longest < 3
    assert estimate(work_of(found.to_do[:1]), known, 64).seconds == pytest.approx(
        two.longest, rel=0.5
    )


def test_speed_is_taken_from_runs_alike(tmp_path):
    (plan, *_) = propose(replace(CHOICES, seeds="0", arms={"sleep": "1"}), tmp_path).to_do
    step = plan.flops / 40
    alike, others = [Speed(step, 1e-9)] * 5, [Speed(1e6 * step, 1e-12)] * 50
    assert estimate(work_of([plan]), others + alike, 1).seconds == pytest.approx(plan.flops * 1e-9)
    assert estimate(work_of([plan]), others, 1) is None, "a millionfold step tells nothing"


def test_runs_without_a_cost_or_of_another_machine_tell_no_speed(tmp_path):
    found = propose(replace(CHOICES, seeds="0"), tmp_path / "runs")
    request_all(found.to_do, tmp_path / "runs")
    plain, far = (tmp_path / "runs" / plan.name for plan in found.to_do)
    (plain / "labels.json").unlink()
    for folder, host in ((plain, {}), (far, {"host": "elsewhere"})):
        set_state(folder, "finished", step=40, steps=40, **identify() | host)
        (folder / "events.jsonl").write_text(
            '{"kind": "step", "step": 40, "loss": 1, "seconds": 2}\n'
        )
    assert speeds(list_runs(tmp_path / "runs")) == []
