"""What every task promises: a solver that reads no answer, and typed input that is what was drawn.

Tasks in the tokens of a tokenizer, and data sets of reasoning-gym, have tests of their own.
"""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from workbench.batch import ARRAYS
from workbench.tasks import batch_generator, task

GSM, STORY = (
    {"length": 600},
    {"form": "story", "variables": 9, "names": 16, "asides": 4, "parts": 3},
)
NAMES = ("depo1", "depo2", "single")
SETTINGS = {
    "depo": [
        {"names": names, "n_dist": n_dist, "nodes": nodes, "queries": queries}
        for names, n_dist, (nodes, queries) in product(
            NAMES, ("fixed", "uniform", "plm4"), ((3, 10), (12, 8), (75, 10))
        )
    ]
    + [{"names": "single", "nodes": 8, "max_hops": 4, "queries": 8, "predict_ans": False}]
    + [{"names": names, "nodes": 5, "queries": 3, "isolated": True} for names in NAMES],
    "rule110": [
        {"cells": cells, "strings": strings, "rollout": rollout, "boundary": boundary}
        for boundary, (cells, strings, rollout) in product(
            ("periodic", "zero_background"),
            ((24, 4, 32), (24, 4, 1), (3, 1, 1), (3, 2, 7), (12, 2, 8), (64, 3, 33), (64, 1, 200)),
        )
    ],
    "gsm_infinite": [
        GSM,
        {"length": 800, "d": 3, "min_operations": 1},
        GSM | {"question": "last"},
        GSM | {"answer": "digits", "theme": "harbours"},
        GSM | {"mode": "reverse", "max_operations": 5},
        {"length": 800, "mode": "reverse", "d": 3, "max_operations": 5},
        GSM | {"modulus": 5, "theme": "libraries"},
        GSM | {"question": "last", "questions": 4, "difficulty": "depth"},
        {"length": 2000, "noise": "official"},
        {"length": 2000, "noise": "like_core", "d": 3, "answer": "digits"},
        GSM | {"order": "parents_first"},
    ],
    "variables": [
        {},
        {"question": "first"},
        {"question": "both", "sums": 0.3},
        {"form": "words", "variables": 7, "names": 7, "given": 3, "sums": 0.3},
        {"order": "parents_first"},
        STORY | {"question": "both"},
        STORY | {"question": "first", "sums": 0.3, "parts": 2},
    ],
    "genealogies": [{}, {"order": "shuffled"}],
    "text": [{}, {"recalled": 3}],
}
CASES = [(name, one) for name, many in SETTINGS.items() for one in many]


def named(value):
    """Return the name of a case, of its settings alone."""
    return value if isinstance(value, str) else ",".join(map(str, value.values()))


@pytest.mark.parametrize(
    ("name", "settings"), [case for case in CASES if case[0] != "text"], ids=named
)
def test_the_solver_finds_every_answer_without_reading_one(name, settings):
    made = task(name, **settings)
    batch = made.sample(30, batch_generator(1, 0))
    garbled = replace(batch, tokens=np.where(batch.loss_mask, 1, batch.tokens))
    np.testing.assert_array_equal(made.solve(garbled), batch.tokens)
    asked = batch.difficulty[batch.difficulty >= 0]
    assert asked.size and set(asked) <= set(made.difficulties)


@pytest.mark.parametrize(("name", "settings"), CASES, ids=named)
def test_what_is_typed_is_what_was_drawn(name, settings):
    made = task(name, **settings)
    batch = made.sample(8, batch_generator(2, 0))
    for example in range(8):
        again = made.parse(*made.typed(batch, example))
        for field in ARRAYS:
            expected = getattr(batch, field)[example]
            np.testing.assert_array_equal(getattr(again, field)[0], expected, err_msg=field)
        assert again.isolated == batch.isolated
