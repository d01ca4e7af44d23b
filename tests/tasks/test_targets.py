"""What probes are asked to find: by hand, and against the tasks' own solvers."""

import dataclasses

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.tasks import batch_generator, task
from workbench.tasks.targets import ProbeTarget


def by_name(made, batch):
    return {target.name: target for target in made.probe_targets(batch)}


def test_a_cycle_of_three_by_hand():
    """On 0 > 2 > 1 > 0: two hops from 0 is 1, three hops is the node itself."""
    made = task("depo", nodes=4, names="single", max_hops=3, queries=4)
    targets = by_name(made, made.parse("2>1 0>2 1>0", "3:1, 2:0"))
    assert list(targets) == ["1 hop", "2 hops", "3 hops"]
    expected = {"1 hop": [2, 0, 1, -1], "2 hops": [1, 2, 0, -1], "3 hops": [0, 1, 2, -1]}
    for name, labels in expected.items():
        target = targets[name]
        np.testing.assert_array_equal(target.labels, [labels])
        np.testing.assert_array_equal(target.kinds, [[2, 0, 1, -1]])
        np.testing.assert_array_equal(target.asked_by, [[1, 0, -1, -1]])
        assert target.items == target.classes == ("0", "1", "2", "3")
        assert [made.vocabulary[symbol] for symbol in target.symbols] == list("0123")
    assert [target.level for target in targets.values()] == [1, 2, 3]


@pytest.mark.parametrize("settings", [{"names": "single"}, {"names": "depo1"}, {"names": "depo2"}])
@pytest.mark.parametrize("n_dist", ["fixed", "uniform"])
@pytest.mark.parametrize("predict_ans", [True, False])
def test_hops_agree_with_the_answers_of_the_solver(settings, n_dist, predict_ans):
    made = task(
        "depo", nodes=9, n_dist=n_dist, max_hops=4, queries=9, predict_ans=predict_ans, **settings
    )
    batch = made.sample(20, batch_generator(3, 0))
    solved = made.solve(batch)
    targets = {target.level: target for target in made.probe_targets(batch)}
    assert set(targets) == {1, 2, 3, 4, 8}
    asked = 0
    for level in made.difficulties:
        target = targets[level]
        for example, item in np.argwhere(target.asked_by >= 0):
            query = target.asked_by[example, item]
            if batch.difficulty[example, query] != level:
                continue
            answer = solved[example, batch.answer_of[example] == query]
            word = target.classes[target.labels[example, item]]
            assert "".join(made.vocabulary[s].removesuffix(".") for s in answer) == word
            assert target.symbols[target.labels[example, item]] == answer[0]
            asked += 1
    assert asked == (batch.difficulty > 0).sum()


def test_powers_of_two_beyond_the_hops_asked_for():
    made = task("depo", nodes=12, names="single", max_hops=3)
    targets = made.probe_targets(made.sample(2, batch_generator(0, 0)))
    assert [target.level for target in targets] == [1, 2, 3, 4, 8]


def test_a_context_without_its_queries_has_the_same_labels():
    for name, settings in (("depo", {"nodes": 6, "names": "single"}), ("rule110", {"cells": 5})):
        made = task(name, **settings)
        batch = made.sample(4, batch_generator(0, 0))
        context = batch.token_range(0, made.context_tokens)
        for whole, part in zip(made.probe_targets(batch), made.probe_targets(context), strict=True):
            np.testing.assert_array_equal(whole.labels, part.labels)
            assert (part.asked_by == -1).all()
            assert (whole.asked_by >= 0).any()


def test_an_item_is_known_once_its_last_token_has_been_read():
    made = task("depo", nodes=3, names="single", max_hops=2, queries=1)
    for target in made.probe_targets(made.parse("2>1 0>2 1>0")):
        np.testing.assert_array_equal(target.read_at, [[3, 5, 1]])
    for boundary, last in (("periodic", [3, 2, 3, 3]), ("zero_background", [1, 2, 3, 3])):
        made = task("rule110", cells=4, strings=2, rollout=1, boundary=boundary)
        for target in made.probe_targets(made.parse("0001 0111")):
            np.testing.assert_array_equal(target.read_at, [[*last, *(4 + i for i in last)]])


@pytest.mark.parametrize("names", ["single", "depo1"])
def test_the_text_read_so_far_decides_which_edges_are_known(names):
    made = task("depo", nodes=6, n_dist="uniform", names=names, max_hops=1, queries=1)
    batch = made.sample(10, batch_generator(0, 0))
    target = made.probe_targets(batch)[0]
    assert ((target.read_at >= 0) == (target.kinds >= 0)).all()
    for stop in range(1, made.context_tokens):
        valid = batch.valid & (np.arange(batch.tokens.shape[1]) < stop)
        known = (target.read_at >= 0) & (target.read_at < stop)
        ends = valid & np.isin(batch.tokens, [i for i in range(len(made.vocabulary))
                                              if made.ends_word(made.vocabulary[i])])  # fmt: skip
        np.testing.assert_array_equal(known.sum(axis=1), ends.sum(axis=1) // 2)


def test_a_ring_by_hand():
    """0001, 0011, 0111: a ring of four cells."""
    made = task("rule110", cells=4, strings=1, rollout=2)
    targets = by_name(made, made.parse("0001"))
    assert list(targets) == ["after 0 steps", "after 1 step", "after 2 steps"]
    for target, row in zip(targets.values(), ["0001", "0011", "0111"], strict=True):
        assert "".join(map(str, target.labels[0])) == row
        np.testing.assert_array_equal(target.kinds, [[4, 0, 1, 2]])  # left, centre, right
        np.testing.assert_array_equal(target.asked_by, [[0, -1, -1, -1]])
    assert targets["after 1 step"].items == ("cell 0", "cell 1", "cell 2", "cell 3")


def test_a_line_of_zeros_by_hand():
    """Cells -1..3 of a line: 00010, 00110, 01110: the last cell's right neighbour is 0."""
    made = task("rule110", cells=3, strings=1, rollout=2, boundary="zero_background")
    targets = made.probe_targets(made.parse("001"))
    rows = ["".join(map(str, target.labels[0])) for target in targets]
    assert rows == ["001", "011", "111"]
    np.testing.assert_array_equal(targets[0].kinds, [[0, 1, 2]])


@pytest.mark.parametrize("boundary", ["periodic", "zero_background"])
def test_cells_agree_with_the_labels_of_the_solver(boundary):
    """Turned by c places a ring's cell c is its first cell; on a line only cell 0 is asked."""
    made = task("rule110", cells=7, strings=2, rollout=6, boundary=boundary)
    batch = made.sample(30, batch_generator(2, 0))
    last = made.probe_targets(batch)[-1]
    assert last.level == 6
    assert last.items[7] == "string 1, cell 0"
    for cell in range(7 if boundary == "periodic" else 1):
        turned = np.roll(batch.tokens[:, :14].reshape(30, 2, 7), -cell, axis=-1).reshape(30, 14)
        tokens = np.concatenate([turned, batch.tokens[:, 14:]], axis=1)
        solved = made.solve(dataclasses.replace(batch, tokens=tokens))[:, -2:]
        np.testing.assert_array_equal(last.labels[:, [cell, 7 + cell]], solved)
    np.testing.assert_array_equal(last.asked_by[0, [0, 7]], [0, 1])
    assert (last.asked_by == -1).sum() == 12 * 30


def test_shapes_that_do_not_fit_are_refused():
    made = task("rule110", cells=4, strings=1, rollout=1)
    target = made.probe_targets(made.parse("0001"))[0]
    fields = {f.name: getattr(target, f.name) for f in dataclasses.fields(target)}
    with pytest.raises(ValueError, match=r"kinds has shape \(1, 3\); expected"):
        ProbeTarget(**fields | {"kinds": target.kinds[:, :3]})
    with pytest.raises(ValueError, match="symbols has shape"):
        ProbeTarget(**fields | {"symbols": np.arange(3)})


def test_some_items_and_some_examples():
    made = task("depo", nodes=4, names="single", max_hops=1, queries=4)
    target = made.probe_targets(made.sample(5, batch_generator(0, 0)))[0]
    part = target.of_items(["3", "1"]).of_examples(slice(2, 4))
    assert (part.items, part.classes) == (("3", "1"), target.classes)
    for name in ("labels", "kinds", "asked_by"):
        expected = getattr(target, name)[2:4][:, [3, 1]]
        np.testing.assert_array_equal(getattr(part, name), expected)
    bare = dataclasses.replace(target, kinds=None)
    assert bare.of_items(["0"]).kinds is bare.of_examples(slice(1)).kinds is None
    with pytest.raises(WorkbenchError, match="item '7'; expected one of 0, 1, 2, 3"):
        target.of_items(["7"])
