"""Every way from tensors to NumPy works in bfloat16, which NumPy does not have."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

import workbench
from workbench.config import ModelConfig, SleepConfig
from workbench.instruments.attribution import METHODS, attribute_passes, attribute_tokens
from workbench.instruments.lens import lens
from workbench.instruments.probing.features import embeddings, fast_weights
from workbench.model import HybridModel
from workbench.model.arrays import to_numpy
from workbench.sleep import read
from workbench.tasks.base import EVALUATION, batch_generator
from workbench.tasks.depo import Depo, DepoConfig
from workbench.trace import record
from workbench.trace.answers import said_tokens
from workbench.training.evaluation import evaluate

SLEEP = SleepConfig(window=16, passes=2)
ROOM = Path(workbench.__file__).parent


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (torch.bfloat16, np.float32),
        (torch.float16, np.float32),
        (torch.float32, np.float32),
        (torch.float64, np.float64),
        (torch.int64, np.int64),
        (torch.bool, np.bool_),
    ],
)
def test_values_and_dtypes(dtype, expected):
    tensor = torch.tensor([0, 1, 3]).to(dtype)
    if tensor.is_floating_point():
        tensor.requires_grad_()
    found = to_numpy(tensor)
    assert found.dtype == expected
    np.testing.assert_array_equal(found, np.array([0, 1, 3]).astype(expected))


def test_there_is_one_way_to_numpy():
    # a session hashes the bytes of its tensors
    allowed = {"model/arrays.py", "sleep/session.py"}
    found = {
        path.relative_to(ROOM).as_posix()
        for path in ROOM.rglob("*.py")
        if re.search(r"\.numpy\(\)", path.read_text(encoding="utf-8"))
    }
    assert found == allowed


def model_of(task, dtype):
    sizes = {"width": 16, "gdn_heads": 2, "key_dim": 4, "value_dim": 4, "mlp_width": 16}
    config = ModelConfig(
        vocabulary=len(task.vocabulary), layers=("attention", "gated_delta"), **sizes
    )
    return HybridModel(config, seed=1).to(dtype).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def task():
    return Depo(DepoConfig(nodes=8, max_hops=3, names="single", queries=4))


@pytest.fixture(scope="module", params=["bfloat16", "autocast"])
def model(request, task):
    """A model in bfloat16, and one in float32 that computes in it."""
    if request.param == "bfloat16":
        yield model_of(task, torch.bfloat16)
    else:
        with torch.autocast("cpu", torch.bfloat16):
            yield model_of(task, torch.float32)


@pytest.fixture
def batch(task):
    return task.sample(4, batch_generator(0, 0, EVALUATION))


@pytest.mark.parametrize("method", METHODS)
def test_attribution(model, batch, method):
    options = {"query": 1, "steps": 4, "samples": 1, "infidelity_samples": 2, "method": method}
    found = attribute_passes(model, batch, SLEEP, **options)
    assert np.isfinite(found["attribution"]).all() and found["attribution"].any()
    if method == METHODS[3]:  # complete by construction, whatever is rounded
        worth = found["logit_diff"] - found["logit_diff_at_baseline"]
        np.testing.assert_allclose(found["attribution"].sum("sleep_pass"), worth, atol=1e-5)
        tokens = attribute_tokens(model, batch, SLEEP, **options)
        assert np.isfinite(tokens["attribution"]).all()


def test_recording_lens_and_evaluation(model, task, batch):
    tree = record(model, batch, SLEEP, keep=("states", "writes", "hidden"))
    assert tree["states"]["fast_weight"].dtype == np.float32
    assert np.isfinite(lens(model, batch, SLEEP)["log_prob"]).all()
    scores = evaluate(model, task, SLEEP, passes=(2,), count=8, seed=0, latency=False)
    assert all(0 <= share <= 1 for share in scores["2"]["accuracy"].values())
    wakes = [e for e in read(model, batch, SLEEP) if hasattr(e, "logits")]
    assert said_tokens(wakes, batch).shape == batch.tokens.shape


def test_what_probes_read(model, batch):
    assert np.isfinite(fast_weights(model, batch, SLEEP)).all()
    assert np.isfinite(embeddings(model, batch, SLEEP, 0)).all()
