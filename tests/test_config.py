"""Configurations: what is refused and how, overrides, and the TOML form."""

import re
import tomllib
from pathlib import Path

import pytest
from pydantic import ValidationError

from workbench.config import (
    Experiment,
    ModelConfig,
    RandomPasses,
    SleepConfig,
    TrainingConfig,
    UntilAnswersSettle,
    UntilMemorySettles,
    apply_overrides,
    build,
    load_experiment,
    to_toml,
)
from workbench.errors import WorkbenchError
from workbench.tasks.depo import DepoConfig
from workbench.tasks.rule110 import Rule110Config

BUNDLED = sorted((Path(__file__).parent.parent / "data" / "configs").glob("*.toml"))
SMALL = '[task]\nname = "depo"\nnodes = 8\n'


@pytest.fixture
def file(tmp_path):
    """Return a writer of configuration files."""

    def write(text):
        path = tmp_path / "config.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize("path", BUNDLED, ids=lambda path: path.stem)
def test_bundled_configurations_are_valid(path):
    assert isinstance(load_experiment(path), Experiment)


def test_there_are_bundled_configurations():
    assert BUNDLED


@pytest.mark.parametrize(
    "experiment",
    [
        Experiment(task=DepoConfig()),
        Experiment(
            task=DepoConfig(hops=(1, 2), names="single", n_dist="plm4"),
            model=ModelConfig(layers=("jet", "attention", "delta_negative"), norm_eps=1e-7),
            sleep=SleepConfig(passes=RandomPasses(low=2, high=3), loop=(1, 2), eviction="sliding"),
            training=TrainingConfig(muon_lr=1 / 3, adamw_betas=(0.1, 0.2), eval_passes=(1, 2)),
        ),
        Experiment(task=Rule110Config(rollout=7), sleep=SleepConfig(passes=UntilAnswersSettle())),
        Experiment(task=Rule110Config(), sleep=SleepConfig(passes=UntilMemorySettles(cap=2))),
    ],
    ids=["plain", "rich", "answers", "memory"],
)
def test_toml_holds_everything(experiment, file):
    assert load_experiment(file(to_toml(experiment))) == experiment


def test_a_file_needs_a_task_only(file):
    assert load_experiment(file(SMALL)) == Experiment(task=DepoConfig(nodes=8))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "task is missing"),
        ("x = 1\n" + SMALL, "x is unknown; expected one of retrofit, model, sleep, task, training"),
        (SMALL + "colour = 1", "task.colour is unknown; expected one of name, "),
        (SMALL + "node = 1", "write task.nodes"),
        ("steps = 5\n" + SMALL, "write training.steps"),
        (SMALL + "nodes = 9", "is not valid TOML"),
        ("[task", "is not valid TOML"),
        (
            '[task]\nname = "sudoku"',
            "task.name = 'sudoku'; expected one of 'depo', 'genealogies', 'gsm_infinite'",
        ),
        ("[task]\nnodes = 8", "task has no 'name'; expected a field of this name"),
        ("[task]\nname = 'depo'\nnodes = 2", "task.nodes = 2; expected a value greater than or"),
        (
            "[task]\nname = 'depo'\nnodes = 'many'",
            "task.nodes = 'many'; expected a valid integer; change the value",
        ),
        ("[task]\nname = 'depo'\nhops = [17]", r"hops (17,) must lie in 1..max_hops (16)"),
        ("[task]\nname = 'depo'\nhops = []", "hops must name at least one k"),
        ("[task]\nname = 'depo'\nnodes = 2000", "nodes 2000 leaves too few distinct names"),
        (SMALL + "[model]\nwidth = 12", "width 12 must be a multiple of 2 x attention_heads (4)"),
        (SMALL + "[model]\nlayers = []", "model.layers = []"),
        (SMALL + "[model]\nlayers = ['attention', 'lstm']", "model.layers.1 = 'lstm'"),
        ("[task]\nname = 'depo'\n[task.nodes]\nx = 1", "task.nodes = {'x': 1}; expected a valid"),
        (SMALL + "[sleep]\nwindow = 1", "sleep.window = 1"),
        (SMALL + "[sleep]\npasses = -1", "sleep.passes = -1"),
        (SMALL + "[sleep]\npasses = 0", "passes = 0 needs order = 'predict_then_sleep'"),
        (SMALL + "[sleep]\npasses = 'two'", "sleep.passes = 'two'"),
        (SMALL + "[sleep]\nloop = [0, 3]", "sleep.loop (0, 3) must satisfy 0 <= a < b <= 2"),
        (SMALL + "[sleep]\nloop = [1, 1]", "sleep.loop (1, 1) must satisfy"),
        (SMALL + "[sleep.passes]\nkind = 'random'\nlow = 3\nhigh = 2", "low (3) must not exceed"),
        (SMALL + "[sleep.passes]\nkind = 'random'\nhigh = 0", "sleep.passes.high = 0"),
        (SMALL + "[sleep.passes]\nlow = 1", "sleep.passes has no 'kind'"),
        (SMALL + "[sleep.passes]\nkind = 'none'", "sleep.passes.kind = 'none'; expected one of"),
        (SMALL + "[sleep.passes]\nkind = 'random'\nx = 1", "sleep.passes.x is unknown"),
        (SMALL + "[training]\ndevice = 'tpu'", "training.device = 'tpu'"),
        (SMALL + "[training]\nmuon_lr = nan", "training.muon_lr = nan"),
        (SMALL + "[training]\nmuon_lr = 1e308", "training.muon_lr = 1e+308"),
        (SMALL + "[training]\nweight_decay = 1e308", "training.weight_decay = 1e+308"),
        (
            "[task]\nname = 'variables'\nvariables = 27",
            "task.variables = 27; expected a value less",
        ),
        (SMALL + "[training]\nsteps = 1.5", "training.steps = 1.5"),
        (SMALL + "[training]\neval_passes = [1, -1]", "training.eval_passes.1 = -1"),
        (SMALL + "[training]\neval_passes = [1, 0]", "N = 0 needs sleep.order = 'predict_then"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(file, text, message):
    path = file(text)
    with pytest.raises(WorkbenchError, match=re.escape(message)) as error:
        load_experiment(path)
    assert "\n" not in str(error.value)
    assert str(path) in error.value.given


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(WorkbenchError, match="no configuration file at .*none.toml"):
        load_experiment(tmp_path / "none.toml")
    with pytest.raises(WorkbenchError, match="is not a regular file"):
        load_experiment(tmp_path)
    (tmp_path / "latin.toml").write_bytes(b"# \xff\n")
    with pytest.raises(WorkbenchError, match="is not UTF-8 text"):
        load_experiment(tmp_path / "latin.toml")


@pytest.mark.parametrize(
    ("override", "found"),
    [
        ("sleep.passes=4", lambda e: e.sleep.passes == 4),
        (" sleep.passes = 4 ", lambda e: e.sleep.passes == 4),
        ("sleep.eviction=sliding", lambda e: e.sleep.eviction == "sliding"),
        ("sleep.mask_padding=false", lambda e: e.sleep.mask_padding is False),
        ("sleep.loop=[0, 1]", lambda e: e.sleep.loop == (0, 1)),
        ('sleep.passes={kind="random", high=2}', lambda e: e.sleep.passes == RandomPasses(high=2)),
        ("training.muon_lr=1e-3", lambda e: e.training.muon_lr == 1e-3),
        ("training.device=cuda:1", lambda e: e.training.device == "cuda:1"),
        ('model.layers=["jet"]', lambda e: e.model.layers == ("jet",)),
        ("task.nodes=9", lambda e: e.task == DepoConfig(nodes=9)),
    ],
)
def test_overrides(file, override, found):
    assert found(load_experiment(file(SMALL), [override]))


def test_the_last_override_wins_and_the_data_stays(file):
    data = {"sleep": {"passes": 1}}
    assert apply_overrides(data, ["sleep.passes=2", "sleep.passes=3"]) == {"sleep": {"passes": 3}}
    assert data == {"sleep": {"passes": 1}}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("sleep.passes", "override 'sleep.passes'; expected section.field=value"),
        ("=4", "override '=4'; expected section.field=value"),
        ("sleep.passes.kind=random", "goes inside passes, which is a plain value"),
        ("sleep.nights=4", "sleep.nights is unknown"),
        ("dream.passes=4", "dream is unknown"),
        ("sleep..passes=4", "sleep. is unknown"),
        ("sleep.passes=", "sleep.passes = ''"),
        ("sleep.passes=4\nwindow = 3", "sleep.passes"),
    ],
)
def test_overrides_that_make_no_sense(file, override, message):
    path = file(SMALL + "[sleep]\npasses = 1")
    with pytest.raises(WorkbenchError, match=re.escape(message)):
        load_experiment(path, [override])


def test_configurations_are_values():
    config = SleepConfig()
    with pytest.raises(ValidationError, match="frozen"):
        config.window = 3
    assert hash(config) == hash(SleepConfig())
    assert config.with_passes(2) == SleepConfig(passes=2)


def test_every_field_is_described():
    """The forms of the apps and the docs are made from these."""
    for model in (ModelConfig, SleepConfig, DepoConfig, Rule110Config, TrainingConfig):
        for name in model.model_fields:
            if name != "name":
                assert re.search(rf"\b{name}\b.* :|, {name}\b", model.__doc__), (model, name)


def test_defaults_are_the_options_of_the_paper():
    sleep = SleepConfig().model_dump()
    assert sleep | {"window": None, "passes": None} == {
        "window": None, "passes": None, "eviction": "hard", "loop": None, "conv_state": "zero",
        "final_norm": "outside", "kept_kv": "last", "mask_padding": True, "checkpointing": "none",
        "write": "every_pass",
        "feed_back": True,
        "wake_passes": 1,
        "order": "mask",
        "wake_writes": True,
    }  # fmt: skip
    paper = DepoConfig(), Rule110Config()
    assert (paper[0].nodes, paper[0].max_hops, paper[0].queries) == (75, 16, 10)
    assert (paper[1].cells, paper[1].strings, paper[1].boundary) == (24, 4, "periodic")


def test_build_names_its_source():
    with pytest.raises(WorkbenchError, match="^the form: cells = 2; expected"):
        build(Rule110Config, {"cells": 2}, source="the form")


def test_toml_is_toml():
    assert tomllib.loads(to_toml(SleepConfig(loop=(0, 1))))["loop"] == [0, 1]
