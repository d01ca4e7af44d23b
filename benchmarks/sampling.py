"""How fast tasks draw training batches, on one thread.

    python3 run.py bench sampling [--repeats 30] [--json FILE]

Every setting is first checked against its exact solver; a wrong batch is never timed.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # before numpy is imported

sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np  # noqa: E402
from _measure import machine, write  # noqa: E402

from workbench.tasks import Task, batch_generator, task  # noqa: E402

SETTINGS: list[tuple[str, dict[str, Any], int, int]] = [
    # task, settings, examples a batch, target in examples a second
    ("rule110", {}, 512, 100_000),
    ("rule110", {"boundary": "zero_background"}, 512, 100_000),
    ("depo", {}, 128, 20_000),
    ("depo", {}, 1024, 20_000),
    ("depo", {"n_dist": "plm4"}, 128, 20_000),
    ("depo", {"nodes": 8, "names": "single", "max_hops": 4, "queries": 8}, 64, 20_000),
]


def measure(made: Task, count: int, repeats: int, seconds: float = 0.1) -> list[float]:
    """Return examples a second, once per repeat of about `seconds` each."""
    made.sample(count, batch_generator(0, 0))
    rates: list[float] = []
    step, batches = 0, 1
    while len(rates) < repeats:
        start = time.perf_counter()
        for _ in range(batches):
            made.sample(count, batch_generator(0, step))
            step += 1
        elapsed = time.perf_counter() - start
        if elapsed < seconds / 2:
            batches = max(batches + 1, int(batches * seconds / elapsed))
            continue
        rates.append(batches * count / elapsed)
    return rates


def main() -> None:
    """Check, time, print a table and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--json", type=Path, help="write the results here")
    options = parser.parse_args()
    facts = machine()
    print(", ".join(f"{name} {value}" for name, value in facts.items()))
    print(f"{'examples/s':>12} {'quartiles':>21} {'target':>9}  {'batch':>5} {'T':>4}  setting")
    results = []
    for name, settings, count, target in SETTINGS:
        made = task(name, **settings)
        batch = made.sample(min(count, 64), batch_generator(1, 0))
        if not np.array_equal(made.solve(batch), batch.tokens):
            raise SystemExit(f"{name} {settings}: samples disagree with the solver; not timed")
        rates = measure(made, count, options.repeats)
        low, median, high = np.percentile(rates, [25, 50, 75]).tolist()
        length = made.context_tokens + made.query_tokens
        label = name + "".join(f" {key}={value}" for key, value in settings.items())
        print(
            f"{median:12,.0f} {f'{low:,.0f}..{high:,.0f}':>21} {target:9,}  {count:5} {length:4}  "
            f"{label}",
            flush=True,
        )
        results.append(
            {
                "task": name,
                "settings": settings,
                "batch": count,
                "tokens": length,
                "target_per_second": target,
                "median_per_second": median,
                "quartiles_per_second": [low, high],
                "rates_per_second": rates,
            }
        )
    if options.json:
        write(options.json, {"machine": facts, "results": results})


if __name__ == "__main__":
    main()
