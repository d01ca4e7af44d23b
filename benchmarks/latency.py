"""What sleep costs before an answer, and what an answer costs: latency of one sequence against N.

    python3 run.py bench latency [--repeats 30] [--json FILE]

The bundled Depo model on one CPU thread: asleep N passes over a window, awake one; and the same
weights looping awake instead. A way of reading whose answers do not repeat is never timed. Settings
take turns, so that what else the machine does falls on all of them.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # before numpy is imported

sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np  # noqa: E402
import torch  # noqa: E402
from _measure import machine, write  # noqa: E402

import workbench  # noqa: E402
from workbench.config import SleepConfig, build  # noqa: E402
from workbench.paths import data_folder  # noqa: E402
from workbench.tasks import EVALUATION, batch_generator  # noqa: E402
from workbench.training.evaluation import answers_right, measure_latency  # noqa: E402

CHECKPOINT = "depo-n8-any"
PASSES = (1, 2, 4, 8)
ARMS = {"sleep": "passes", "wake_loop": "wake_passes"}
"""Arm, and the setting of its sleep that N goes into; the other stays 1."""
PLACE = data_folder() / "results" / "latency" / f"{CHECKPOINT}.json"
"""Where the results page finds it."""


def settings(sleep: SleepConfig) -> dict[tuple[str, int], SleepConfig]:
    """Return how to sleep for each arm and N."""
    once = {**sleep.model_dump(), "passes": 1}
    return {
        (arm, n): build(SleepConfig, {**once, field: n}, source=arm)
        for arm, field in ARMS.items()
        for n in PASSES
    }


def main() -> None:
    """Check, time, print a table and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--json", type=Path, default=PLACE)
    options = parser.parse_args()
    torch.set_num_threads(1)
    facts = machine("torch")
    print(", ".join(f"{name} {value}" for name, value in facts.items()))
    loaded = workbench.load(CHECKPOINT)
    batch = loaded.task.sample(16, batch_generator(0, 0, EVALUATION))
    ways = settings(loaded.sleep)
    for (arm, n), sleep in ways.items():
        twice = [answers_right(loaded.model, batch, sleep) for _ in range(2)]
        if not np.array_equal(*twice):
            raise SystemExit(f"{arm} at N = {n}: answers differ between two readings; not timed")
    rows: dict[tuple[str, int], dict[str, list[float]]] = {way: {} for way in ways}
    for repeat in range(options.repeats):
        for way, sleep in ways.items():
            one = batch.examples(slice(repeat % len(batch), repeat % len(batch) + 1))
            for name, value in measure_latency(loaded.model, one, sleep, repeats=1).items():
                assert value is not None  # this task sleeps and answers
                rows[way].setdefault(name, []).append(value)
    results: list[dict[str, Any]] = []
    print(f"{'arm':>10} {'N':>3}  {'sleep, ms a window':>28}  {'awake, ms a token':>28}")
    for (arm, n), times in rows.items():
        cells = []
        for values in times.values():
            low, median, high = np.percentile(values, [25, 50, 75]).tolist()
            cells.append(f"{median:8.3f} [{low:.3f}, {high:.3f}]")
        print(f"{arm:>10} {n:>3}  " + "  ".join(f"{cell:>28}" for cell in cells))
        results.append({"arm": arm, "n": n, **times})
    write(options.json, {"machine": facts, "checkpoint": CHECKPOINT, "results": results})


if __name__ == "__main__":
    main()
