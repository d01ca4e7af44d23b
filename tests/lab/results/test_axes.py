"""Further axes of a sweep: which there are, and choosing a value of each."""

import pytest

from workbench.errors import WorkbenchError
from workbench.lab.results.axes import at_axes, axes_words, open_axes, parse_axes, value_text


def run(**axes):
    return {"labels": {"axes": {name.replace("_", ".", 1): v for name, v in axes.items()}}}


RUNS = [
    run(task_nodes=8, sleep_feed_back=True),
    run(task_nodes=12, sleep_feed_back=True),
    run(task_nodes=8, sleep_feed_back=False),
]
BOTH = {"task.nodes": 8, "sleep.feed_back": False}


def test_axes_with_several_values_are_open():
    assert open_axes(RUNS) == {"sleep.feed_back": [True, False], "task.nodes": [8, 12]}
    assert open_axes([run(task_nodes=8), run(task_nodes=8)]) == {}
    assert open_axes([run(), {"labels": {}}]) == {}


def test_values_are_written_as_the_sweep_file_has_them():
    assert parse_axes(RUNS, ["task.nodes=8", " sleep.feed_back = false"]) == BOTH
    assert [value_text(v) for v in (8, True, "hard", [1, 2])] == ["8", "true", "hard", "[1, 2]"]
    assert axes_words(BOTH) == "nodes8-feed_backfalse"
    assert axes_words({}) == ""


def test_choosing_leaves_the_runs_that_have_those_values():
    assert at_axes(RUNS, BOTH) == [RUNS[2]]
    assert at_axes([run(task_nodes=8)], {"task.nodes": 8}) == [run(task_nodes=8)]


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["task.nodes"], "axis 'task.nodes'; expected NAME=VALUE"),
        (["=8"], "axis '=8'; expected NAME=VALUE"),
        (["task.nodes=8", "task.nodes=12"], "each name once"),
        (["nodes=8"], "axis 'nodes'; expected one of sleep.feed_back, task.nodes"),
        (["task.nodes=9"], "task.nodes = 9; expected one of 8, 12"),
        (["task.nodes=12", "sleep.feed_back=false"], "task.nodes = 12; expected one of 8, 12|true"),
        ([], "runs that differ in sleep.feed_back; expected one of true, false"),
        (["task.nodes=8"], "or --axis sleep.feed_back=true"),
    ],
)
def test_what_is_not_there_or_left_open_is_told_with_what_is(texts, said):
    with pytest.raises(WorkbenchError, match=said) as error:
        at_axes(RUNS, parse_axes(RUNS, texts))
    assert "\n" not in str(error.value)


def test_runs_without_axes_have_none_to_choose():
    with pytest.raises(
        WorkbenchError, match="expected no axis, as its runs differ in no setting but arm"
    ):
        at_axes([run()], parse_axes([run()], ["task.nodes=8"]))
