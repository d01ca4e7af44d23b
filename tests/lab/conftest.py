"""Sweeps of runs that take a second, and processes that train them."""

import textwrap

import pytest

BASE = """
[model]
width = 8
attention_heads = 2
gdn_heads = 2
key_dim = 4
value_dim = 4
mlp_width = 8

[sleep]
window = 8

[task]
name = "depo"
nodes = 4
names = "single"
max_hops = 2
queries = 2
predict_ans = false

[training]
steps = 9
batch_size = 4
warmup = 2
log_every = 1
eval_every = 3
eval_count = 12
checkpoint_every = 2
muon_lr = 0.005
adamw_lr = 0.005
"""

SWEEP = """
title = "Tiny"
base = "base.toml"
seeds = [0, 1]

[budget]
steps = 6

[[arms]]
arm = "sleep"
passes = [1, 2]
"""


@pytest.fixture
def tiny_sweep(tmp_path):
    """Return a maker of sweep files of runs that take a second: ``tiny_sweep(text, name="tiny")``.

    The base configuration lies beside it.
    """

    def make(text=SWEEP, *, name="tiny", base=BASE):
        (tmp_path / "base.toml").write_text(base)
        path = tmp_path / f"{name}.toml"
        path.write_text(textwrap.dedent(text))
        return path

    return make


@pytest.fixture
def requested(tiny_sweep, tmp_path):
    """Return a maker of queued runs: ``requested(**settings)`` gives the root and their names."""
    from workbench.lab.supervise import request_all
    from workbench.lab.sweeps import load_sweep

    def make(text=SWEEP, *, base=BASE):
        sweep = load_sweep(tiny_sweep(text, base=base))
        root = tmp_path / "runs"
        request_all(sweep.runs, root)
        return root, sweep

    return make
