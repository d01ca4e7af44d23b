"""The configuration as a form sees it: meanings from docstrings, bounds from the schema."""

import tomllib

import pytest
from house import ROOT

from workbench.config import Experiment
from workbench.lab.settings import common, settings_of, task_settings, values_of, with_values
from workbench.task_config import task_kinds
from workbench.tasks.depo import DepoConfig
from workbench.tasks.rule110 import Rule110Config
from workbench.tasks.variables import VariablesConfig

DEPO = Experiment(task=DepoConfig(nodes=8, max_hops=4, names="single"))
RULE = Experiment(task=Rule110Config(cells=12, rollout=8))


def test_every_task_of_the_union_is_offered():
    written = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    assert list(task_settings()) == sorted(written["sleep_workbench.tasks"])
    assert "k-hop retrieval" in task_settings()["depo"][0]


@pytest.mark.parametrize("task", list(task_settings()))
def test_every_setting_has_a_meaning_and_the_common_ones_come_first(task):
    found = settings_of(task)
    assert [s.name for s in found if not s.describes] == []
    names = [s.name for s in found]
    assert len(set(names)) == len(names)
    first = common(task)
    assert names[: len(first)] == list(first)
    assert first[0] == f"task.{task_kinds()[task].Config.common[0]}" and "sleep.window" in first
    assert "sleep.passes" not in names, "the arms say N"


@pytest.mark.parametrize(
    "experiment", [DEPO, RULE, *(Experiment(task=k.Config()) for k in task_kinds().values())]
)
def test_what_is_shown_is_read_back(experiment):
    assert with_values(experiment, values_of(experiment)) == (experiment, {})


def test_a_choice_among_numbers_is_typed():
    words = Experiment(task=task_kinds()["gsm_infinite"].Config())
    found, problems = with_values(words, {"task.d": "3"})
    assert problems == {} and found.task.d == 3
    _, problems = with_values(words, {"task.d": "4"})
    assert problems == {"task.d": "'4' given; expected a whole number, one of 2, 3"}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("task.nodes", "2", "'2' given; expected a whole number, 3 to 100000"),
        ("task.nodes", "", "nothing given; expected a whole number"),
        ("task.nodes", "eight", "'eight' given"),
        ("model.width", "65", "must be a multiple of 2 x attention_heads"),
        ("task.hops", "9", "must lie in 1..max_hops"),
        ("model.layers", "attention, lstm", "'lstm' given; expected one or more of attention"),
        ("sleep.loop", "0", "expected 2 numbers"),
        ("sleep.loop", "0, 5", "the number of layers"),
        ("training.device", "tpu", "cuda"),
        ("training.adamw_betas", "0.9, 1", "below 1"),
        ("training.compile", "perhaps", "true or false"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(name, text, said):
    experiment, problems = with_values(DEPO, {name: text})
    assert experiment is None
    assert list(problems) == [name]
    assert said in problems[name]


def test_several_fields_are_told_at_once():
    _, problems = with_values(DEPO, {"task.nodes": "2", "training.batch_size": "0"})
    assert set(problems) == {"task.nodes", "training.batch_size"}


def test_values_become_settings():
    typed = {"task.nodes": " 12 ", "sleep.loop": "0, 1", "training.eval_passes": "1 2,4"}
    experiment, problems = with_values(DEPO, typed)
    assert problems == {}
    assert experiment.task.nodes == 12
    assert experiment.sleep.loop == (0, 1)
    assert experiment.training.eval_passes == (1, 2, 4)
    assert with_values(DEPO, {"task.cells": "9"}) == (DEPO, {}), "another task's field"


def test_a_setting_named_like_its_task_is_reported_at_its_own_place():
    variables = Experiment(task=VariablesConfig())
    experiment, problems = with_values(variables, {"task.variables": "27"})
    assert experiment is None and list(problems) == ["task.variables"]
