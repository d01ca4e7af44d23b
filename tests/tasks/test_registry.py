"""The front door, and determinism in the seed."""

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.task_config import task_kinds
from workbench.tasks import EVALUATION, batch_generator, task
from workbench.tasks.phrases import level_words
from workbench.tasks.rule110 import Rule110Config


@pytest.mark.parametrize("name", task_kinds())
def test_a_name_or_a_configuration_gives_the_same_task(name):
    config = task_kinds()[name].Config()
    assert task(name).config == task(config).config == config
    assert task(name).name == name


def test_settings_override_a_configuration():
    assert task(Rule110Config(cells=12), rollout=8).config == Rule110Config(cells=12, rollout=8)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("sudoku", {}, "task 'sudoku'; expected one of depo, genealogies, gsm_infinite, "),
        ("rule110", {"cell": 3}, "task rule110: cell is unknown"),
        ("rule110", {"cells": 65}, "task rule110: cells = 65"),
        ("depo", {"names": "latin"}, "task depo: names = 'latin'"),
        ("depo", {"hops": (17,)}, "hops .* must lie in 1..max_hops"),
    ],
)
def test_wrong_names_and_settings_are_explained(name, settings, message):
    with pytest.raises(WorkbenchError, match=message):
        task(name, **settings)


@pytest.mark.parametrize("name", task_kinds())
def test_a_batch_is_a_function_of_seed_and_step(name):
    if name == "reasoning_gym":
        pytest.importorskip(name)
    made = task(name)
    batches = [
        made.sample(8, batch_generator(*key)).tokens.tobytes()
        for key in [(0, 5), (0, 5), (0, 6), (1, 5), (0, 5, EVALUATION), (5, 0), (2**63, 2**40)]
    ]
    assert batches[0] == batches[1]
    assert len(set(batches)) == len(batches) - 1


def test_the_stream_of_numbers_never_changes():
    """A stored seed means the same examples in every version; change this only knowingly."""
    drawn = batch_generator(7, 3).integers(0, 1000, 5)
    np.testing.assert_array_equal(drawn, [885, 143, 929, 224, 153])
    rule110 = task("rule110", cells=8, strings=1, rollout=2).sample(2, batch_generator(7, 3))
    np.testing.assert_array_equal(
        rule110.tokens, [[0, 1, 0, 1, 1, 0, 1, 0, 2, 1], [1, 1, 1, 0, 1, 0, 0, 0, 2, 1]]
    )
    depo = task("depo", nodes=3, queries=1, names="single", max_hops=2)
    np.testing.assert_array_equal(
        depo.sample(2, batch_generator(7, 3)).tokens,
        [[6, 4, 5, 6, 4, 5, 3, 5, 1, 4], [4, 6, 6, 5, 5, 4, 3, 5, 1, 6]],
    )


@pytest.mark.parametrize("key", [(-1, 0), (2**64, 0), (0, -1)])
def test_seed_and_step_out_of_range_are_refused(key):
    with pytest.raises(WorkbenchError, match="0 <= value < 2"):
        batch_generator(*key)


def test_difficulties_in_words():
    assert [level_words(1, "hops"), level_words("2", "hops")] == ["1 hop", "2 hops"]
    assert level_words(8, "rollout") == "8 steps" and level_words(3, "floors") == "floors 3"
