"""Nothing moves the random states that all of a process shares: torch's, NumPy's, Python's own."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

import sleep_kernels
import workbench
from sleep_kernels.native import library
from workbench.config import ModelConfig
from workbench.instruments.attribution import attribute_passes
from workbench.instruments.probing.features import untrained
from workbench.model import HybridModel
from workbench.tasks.base import EVALUATION, batch_generator
from workbench.trace import record
from workbench.training.evaluation import evaluate

CONFIG = ModelConfig(
    vocabulary=7, width=8, attention_heads=2, gdn_heads=2, key_dim=4, value_dim=3, mlp_width=6,
    layers=("attention", "gated_delta", "jet", "mamba2", "linear_attention", "delta"),
)  # fmt: skip


def states():
    """Return torch's and NumPy's, as values that can be compared."""
    name, keys, *rest = np.random.get_state()
    return torch.get_rng_state().tolist(), (name, keys.tolist(), *rest)


@pytest.fixture(scope="module")
def loaded():
    checkpoint = workbench.load("depo-n8-any")
    return checkpoint, checkpoint.task.sample(2, batch_generator(0, 0, EVALUATION))


def construct(loaded):
    HybridModel(CONFIG, seed=1)


def load(loaded):
    workbench.load("depo-n8-any")


def sample(loaded):
    workbench.task("depo").sample(4, batch_generator(1, 0))
    workbench.task("rule110").sample(4, batch_generator(1, 0))


def evaluation(loaded):
    checkpoint, _ = loaded
    evaluate(
        checkpoint.model, checkpoint.task, checkpoint.sleep, passes=(1,), count=4, seed=0,
        latency=False,
    )  # fmt: skip


def recording(loaded):
    checkpoint, batch = loaded
    record(checkpoint.model, batch, checkpoint.sleep.with_passes(2))


def sampled_attribution(loaded):
    checkpoint, batch = loaded
    sleep = checkpoint.sleep.with_passes(1)
    by = ("key",)  # 16 players
    attribute_passes(
        checkpoint.model, batch, sleep, query=0, by=by, method="shapley values", samples=1
    )


def untrained_weights(loaded):
    untrained(loaded[0].model)


def kernels(loaded):
    library._loaded.__wrapped__()  # looked for, compiled if missing, checked
    x = torch.linspace(0, 1, 2 * 9 * 2 * 4).view(2, 9, 2, 4).requires_grad_()
    for name, why in sleep_kernels.backend_status("cpu").items():
        if why is None:
            rule = sleep_kernels.gated_delta_rule(x, x, x, None, None, backend=name)
            rms = sleep_kernels.rms_norm(x, x[0, 0, 0], 1e-6, backend=name)
            (rule.state.sum() + rms.sum()).backward()


@pytest.mark.parametrize(
    "action",
    [
        construct,
        load,
        kernels,
        sample,
        evaluation,
        recording,
        sampled_attribution,
        untrained_weights,
    ],
)
def test_the_global_random_states_stay(loaded, action):
    torch.manual_seed(1)
    before = states()
    action(loaded)
    assert states() == before


def test_nothing_draws_from_python_s_own():
    # read, not run: the checks of annotations in these tests draw from it at every call
    # a Random of one's own, seeded by the caller's generator, is not the shared one
    own = re.compile(r"^\s*(import random\b|from random import (?!Random$))", re.MULTILINE)
    rooms = (Path(workbench.__file__).parent, Path(sleep_kernels.__file__).parent)
    files = [path for room in rooms for path in room.rglob("*.py")]
    assert len(files) > 100
    found = {path.parent.name for path in files if own.search(path.read_text(encoding="utf-8"))}
    assert found == {"reasoning_gym"}, "which puts back what its data sets have drawn from"


def test_initial_weights_are_those_of_the_seed():
    first = HybridModel(CONFIG, seed=3)
    torch.manual_seed(99)
    second = HybridModel(CONFIG, seed=3)
    weights = first.state_dict()
    for name, tensor in second.state_dict().items():
        assert torch.equal(tensor, weights[name]), name
        assert torch.isfinite(tensor).all(), name
        assert not name.endswith("norm.weight") or (tensor == 1).all(), name
    other = HybridModel(CONFIG, seed=4).state_dict()
    same = {name for name in weights if torch.equal(other[name], weights[name])}
    assert all("norm" in name or name.endswith("log_rate") for name in same)
    # the embeddings are drawn first, from N(0, 1)
    drawn = torch.empty(7, 8).normal_(generator=torch.Generator().manual_seed(3))
    assert torch.equal(weights["embedding.weight"], drawn)
    assert {p.device.type for p in first.parameters()} == {"cpu"}


def test_on_meta_a_model_has_shapes_alone():
    with torch.device("meta"):
        shapes = HybridModel(CONFIG, seed=1)
    weights = HybridModel(CONFIG, seed=1).state_dict()
    for name, tensor in shapes.state_dict().items():
        assert tensor.is_meta and tensor.shape == weights[name].shape, name
