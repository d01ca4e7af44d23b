"""One answer attributed: methods that make sense, baselines over all examples, and its end."""

import numpy as np
import pytest

from workbench.config import SleepConfig
from workbench.errors import WorkbenchError
from workbench.instruments.attributing.one_answer import (
    SUBJECTS,
    Asked,
    Stopped,
    attribute_one,
    baselines_of,
    cases_of,
)
from workbench.instruments.attribution import METHODS, attribute_state
from workbench.instruments.boundaries import read_boundaries

SLEEP = SleepConfig(window=5, passes=2)


@pytest.fixture(scope="module")
def given(small_depo):
    model, _, batch = small_depo(5, "attention", "gated_delta", max_hops=2, queries=3)
    return model, batch, read_boundaries(model, batch, SLEEP)


def asked(subject, method=None, baseline=None, **more):
    method = method or SUBJECTS[subject].methods[0]
    boundary = more.pop("boundary", (1, 2))
    baseline = baseline or baselines_of(subject, method, boundary)[0]
    return Asked(1, 2, subject, boundary, method, baseline, **{"steps": 8, "samples": 1} | more)


@pytest.mark.slow
@pytest.mark.parametrize("subject", list(SUBJECTS))
def test_every_subject_with_every_method(given, subject):
    model, batch, reading = given
    for method in SUBJECTS[subject].methods:
        told = []
        question = asked(subject, method)
        found = attribute_one(
            model, batch, SLEEP, question, reading=reading, cases=1024,
            on_progress=lambda done, total, told=told: told.append((done, total)),
        )  # fmt: skip
        assert found.sizes["example"] == 1
        features = int(np.prod(found["attribution"].shape))
        done, total = told[-1]
        assert 0.7 * total < done <= total == cases_of(question, features)
        assert found["attribution"].dims == ("example", *SUBJECTS[subject].by)
        worth = found["logit_diff"] - found["logit_diff_at_baseline"]
        if method == METHODS[3]:
            np.testing.assert_allclose(found["attribution"].sum(), worth.sum(), atol=1e-4)


def test_it_is_what_all_examples_together_give(given):
    model, batch, reading = given
    for baseline in ("mean", "zero", "before the sleep"):
        one = attribute_one(
            model, batch, SLEEP, asked("heads of S", baseline=baseline), reading=reading
        )
        every = attribute_state(
            model, batch, SLEEP, reading[1, 2], query=2, baseline=baseline, steps=8
        )
        np.testing.assert_allclose(
            one["attribution"][0], every["attribution"].isel(example=1), atol=1e-5
        )


def test_it_stops(given):
    model, batch, reading = given
    with pytest.raises(Stopped):
        attribute_one(model, batch, SLEEP, asked("tokens"), reading=reading, stop=lambda: True)


@pytest.mark.parametrize(
    ("question", "message"),
    [
        (("luck", METHODS[0], "zero"), "attribution to 'luck'"),
        (("entries of S", METHODS[3], "zero"), "method 'shapley values'"),
        (("tokens", METHODS[3], "before the sleep"), "baseline 'before the sleep'"),
        (("heads of S", METHODS[1], "mean"), "baseline 'mean'; expected one of zero"),
        (("heads of S", METHODS[0], "before the sleep", (1, 0)), "baseline 'before the sleep'"),
    ],
)
def test_what_makes_no_sense_is_refused(given, question, message):
    model, batch, reading = given
    subject, method, baseline, *place = question
    wrong = Asked(0, 0, subject, place[0] if place else (1, 2), method, baseline)
    with pytest.raises(WorkbenchError, match=message):
        attribute_one(model, batch, SLEEP, wrong, reading=reading)
