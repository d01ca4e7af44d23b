"""What instruments that need a trace alone share, and recordings of tiny models of every kind."""

from functools import partial

import numpy as np
import pytest

from workbench.batch import Batch
from workbench.config import SleepConfig
from workbench.errors import WorkbenchError
from workbench.instruments.change import change
from workbench.instruments.convergence import convergence
from workbench.instruments.provenance import contribution_norms
from workbench.instruments.readout import readout
from workbench.instruments.recorded import HEADS
from workbench.instruments.retention import pass_retention, retention
from workbench.instruments.spectra import spectra
from workbench.trace import record

readout_of_1 = partial(readout, source_window=1)


@pytest.mark.parametrize(
    ("group", "instrument"),
    [
        ("states", spectra),
        ("states", retention),
        ("writes", change),
        ("writes", contribution_norms),
    ],
)
def test_a_trace_that_lacks_a_group_says_how_to_keep_it(random_trace, group, instrument):
    trace = random_trace()
    del trace[group]
    with pytest.raises(WorkbenchError, match=f"without {group}/.*keep="):
        instrument(trace)


@pytest.mark.parametrize(
    ("instrument", "variable", "over"),
    [
        (spectra, "norm", HEADS),
        (spectra, "singular_value", (*HEADS, "mode")),
        (change, "memory_change", ("procedure", *HEADS[:3])),
        (change, "key_angle", ("procedure", *HEADS, "mode")),
        (readout_of_1, "cosine", (*HEADS, "source_token")),
        (readout_of_1, "accuracy", HEADS),
    ],
)
def test_results_have_the_axes_and_the_precision_of_the_trace(
    random_trace, instrument, variable, over
):
    found = instrument(random_trace(dtype=np.float32))[variable]
    assert found.dims == over and found.dtype == np.float32
    assert found.sel(window=2, sleep_pass=slice(2, None)).isnull().all(), "window 2 has one pass"


KINDS = ("gated_delta", "delta", "delta_negative", "mamba2", "linear_attention", "jet")
OPTIONS = (
    {"eviction": "sliding", "conv_state": "carry"},
    {"loop": (1, 2)},
    {"write": "last_pass"},
    {"wake_passes": 2, "feed_back": False},
)


@pytest.fixture(scope="module")
def padded_batch():
    """Two windows to sleep on, one to be read awake that is one token short; padding in front."""
    tokens, at = np.random.default_rng(0).integers(0, 7, (3, 11)), np.arange(11)
    answers = np.broadcast_to(at > 8, tokens.shape)
    return Batch(
        tokens=tokens,
        loss_mask=answers.copy(),
        valid=at >= np.array([0, 1, 5])[:, None],
        answer_of=np.where(answers, 0, -1),
        difficulty=np.ones((3, 1), dtype=np.int64),
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("layers", "options"),
    [((kind, "attention"), {}) for kind in KINDS]
    + [(("gated_delta", "attention", "mamba2"), options) for options in OPTIONS],
)
def test_every_rule_and_option_in_float64(tiny_model, padded_batch, layers, options):
    model = tiny_model(*layers)
    sleep = SleepConfig(window=4, passes=3, **options)
    trace = record(model, padded_batch, sleep)
    found = contribution_norms(trace, every_pass=True)
    assert found["share"].dtype == np.float64
    assert float(found["unexplained"].max()) < 1e-12
    assert float(abs(found["norm"]).max()) > 0
    change(trace), convergence(trace), retention(trace), pass_retention(trace), spectra(trace)
    # of window 1, the third example has three tokens; a layer below the loop has nothing from the
    # last pass, and so no chance line
    chance = readout(trace, source_window=1)["chance"].isel(gdn_head=0).dropna("layer")
    assert chance.sizes["layer"] >= 1
    np.testing.assert_allclose(chance.isel(layer=-1), [1 / 4, 1 / 4, 1 / 3])
