"""Keep what a retrofit learnt: ``data/results/retrofit/NAME.json``.

    workbench eval RUN --passes 0,1,2,4 --count 500 --seed 7 --base --json > EVALUATION.json
    python data/retrofit.py NAME RUN EVALUATION.json [RUN EVALUATION.json ...]

RUN is the folder of a finished run, one for each training seed.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from workbench.files import read_json, read_text, write_json
from workbench.training.places import CONFIG

FOLDER = Path(__file__).resolve().parent / "results" / "retrofit"
KEPT = ("commit", "created_at", "versions", "machine", "started_from", "seed", "budget")


def entry(run: Path, evaluation: Path) -> dict[str, Any]:
    """Return what is kept of a run: where it comes from, its configuration and its evaluation."""
    record = read_json(run / "checkpoint" / "provenance.json")
    return {
        **{name: record.get(name) for name in KEPT},
        "hashes": record["hashes"],
        "config": read_text(run / "checkpoint" / CONFIG),
        "evaluation": read_json(evaluation),
    }


def main() -> None:
    """Read the runs and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("name")
    parser.add_argument("files", nargs="+", type=Path, metavar="RUN EVALUATION.json")
    options = parser.parse_args()
    pairs = zip(options.files[::2], options.files[1::2], strict=True)
    runs = sorted((entry(*pair) for pair in pairs), key=lambda one: int(one["seed"]))
    FOLDER.mkdir(exist_ok=True)
    write_json(FOLDER / f"{options.name}.json", {"schema": "sleep-retrofit/1", "runs": runs})


if __name__ == "__main__":
    main()
