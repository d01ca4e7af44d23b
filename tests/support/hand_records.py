"""Records of sweeps whose numbers are worked out by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workbench.lab.record import SCHEMA


def hand_run(
    arm: str,
    n_train: str,
    seed: int,
    share: float,
    *,
    passes: int | None = None,
    tested: Sequence[str] = ("1", "4"),
) -> dict[str, Any]:
    """Return a run that answers every query of 1 hop, and a share of those of 2 hops."""
    scores = {"accuracy": {"1": 1.0, "2": share}, "exact": share}
    return {
        "name": f"{arm}-{n_train}-{seed}",
        "labels": {
            "sweep": "hand", "arm": arm, "n_train": n_train, "passes": passes or int(n_train),
            "axes": {}, "seed": seed, "cost": {"training": 2.0, "sleep": 1.0, "wake": 1.0},
            "identity": f"{arm}{n_train}{seed}",
        },
        "config": '[task]\nname = "depo"\nnodes = 8\n',
        "commit": {"hash": "c0ffee", "uncommitted_changes": False},
        "versions": {},
        "machine": {"processor": "paper"},
        "budget": {"steps": 10, "flops": 1e12},
        "task": "depo",
        "difficulty": "hops",
        "evaluation": {"count": 100, "seed": 1},
        "chance": {"uniform guess": {"accuracy": {"1": 0.125, "2": 0.125}, "exact": 0.0}},
        "loss": {"step": [10], "loss": [0.5], "seconds": [3.0]},
        "curve": {"step": [], "passes": []},
        "final": {n: scores for n in tested},
    }  # fmt: skip


def write_record(path: Path, runs: list[dict[str, Any]]) -> Path:
    """Write a record of runs, and return its path."""
    about = {"schema": SCHEMA, "sweep": "hand", "title": "By hand", "file": "hand.toml"}
    path.write_text(json.dumps({**about, "runs": runs}))
    return path
