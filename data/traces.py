"""Record the bundled traces, ``data/traces/NAME.zarr.zip``: one of each bundled checkpoint.

    python data/traces.py                       those that are missing, or of other weights
    python data/traces.py --only depo-n8-any --force

Each is ``workbench trace NAME --examples 16 --out data/traces/NAME.zarr.zip``: states and writes
at the largest N that the model was trained with, on the examples of seed 0 that the stepper shows:
no training draws them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from workbench.errors import WorkbenchError
from workbench.paths import bundled_checkpoints, bundled_traces
from workbench.progress import progress_bar
from workbench.tasks import draw
from workbench.theatre.problem import EXAMPLES
from workbench.trace import STREAM, load_trace, origin_of, record_to
from workbench.training.checkpoints import load_checkpoint
from workbench.training.evaluation import default_passes

FOLDER = Path(__file__).resolve().parent / "traces"
SEED = 0
FEWER = {"text-names": 3}
"""Examples of a trace whose texts are long."""
LARGEST = 4_000_000
"""Bytes that a bundled trace may have."""


def main() -> None:
    """Read the options; record what they name."""
    names = sorted(bundled_checkpoints())
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME")
    parser.add_argument("--force", action="store_true", help="record again what is there")
    options = parser.parse_args()
    for name in options.only:
        if options.force or not up_to_date(name):
            path = make(name)
            print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB")


def up_to_date(name: str) -> bool:
    """Say whether there is a trace of these weights."""
    try:
        load_trace(bundled_traces()[name], examples=slice(1), checkpoint=name)
    except (KeyError, WorkbenchError):
        return False
    return True


def make(name: str) -> Path:
    """Record one bundled trace."""
    checkpoint = load_checkpoint(name)
    sleep = checkpoint.sleep.with_passes(default_passes(checkpoint.sleep)[-1])
    examples = FEWER.get(name, EXAMPLES)
    batch = draw(checkpoint.task, examples, SEED, 0, STREAM)
    with progress_bar(examples, unit="example", label=name) as bar:
        path = record_to(
            FOLDER / f"{name}.zarr.zip",
            checkpoint.model,
            batch,
            sleep,
            origin=origin_of(checkpoint, seed=SEED),
            on_progress=bar.update,
            overwrite=True,
        )
    if path.stat().st_size > LARGEST:
        raise WorkbenchError(
            f"{path.name} has {path.stat().st_size:,} bytes",
            f"at most {LARGEST:,}",
            "record fewer examples",
        )
    return path


if __name__ == "__main__":
    main()
