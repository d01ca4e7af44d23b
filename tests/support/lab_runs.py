"""Runs of the lab on disk, written as if they had been trained, from one tiny configuration."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workbench.lab.runs import request, set_state

TINY = """
[model]
width = 16
attention_heads = 2
gdn_heads = 2
key_dim = 8
value_dim = 8
mlp_width = 16
[sleep]
window = 8
passes = {passes}
[task]
name = "depo"
nodes = 4
names = "single"
max_hops = 2
queries = 2
predict_ans = false
[training]
steps = 40
batch_size = 8
warmup = 2
log_every = 5
eval_every = 20
eval_count = 50
checkpoint_every = 10
muon_lr = 0.005
adamw_lr = 0.005
seed = {seed}
"""
COST = {"training": 1e6, "sleep": 1e5, "wake": 1e5}


def step_event(step: int, loss: float) -> str:
    """Return a line of a run's events: the loss of a step."""
    event = {"kind": "step", "step": step, "loss": loss, "seconds": step / 10}
    return json.dumps(event) + "\n"


def evaluation(step: int, passes: int, share: float) -> str:
    """Return a line of a run's events: `share` of 1-hop queries right, and half of it at 2 hops."""
    guess = {"accuracy": {"1": 0.25, "2": 0.25}, "exact": 0.0}
    scores: dict[str, Any] = {"accuracy": {"1": share, "2": share / 2}, "exact": 0.0}
    scores["chance"] = {"uniform guess": guess}
    tested = {"kind": "evaluation", "step": step, "passes": {str(passes): scores}}
    return json.dumps(tested) + "\n"


def write_run(
    root: Path,
    sweep: str,
    passes: int,
    seed: int,
    state: str = "queued",
    evaluated: Sequence[tuple[int, float]] = (),
    **status: Any,
) -> Path:
    """Write the folder of a run of 40 steps, evaluated at (step, accuracy); return it."""
    folder = root / f"{sweep}.sleep-n{passes}-seed{seed}"
    labels = {"sweep": sweep, "arm": "sleep", "n_train": str(passes), "passes": passes}
    labels |= {"axes": {}, "seed": seed, "cost": COST, "identity": folder.name}
    request(folder, TINY.format(passes=passes, seed=seed), labels, 40)
    lines = [step_event(s, 1 / s) + evaluation(s, passes, share) for s, share in evaluated]
    (folder / "events.jsonl").write_text("".join(lines))
    if state != "queued":
        step = evaluated[-1][0] if evaluated else 0
        set_state(folder, state, step=step, steps=40, **status)
    return folder
