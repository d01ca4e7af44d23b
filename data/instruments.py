"""Measure the bundled models with every instrument: ``data/results/instruments/KIND-MODEL.json``.

    python data/instruments.py                            those that are missing
    python data/instruments.py --only probes-depo-n8-any --force

Each is one `workbench measure` command, which is printed; docs/findings.md and the pages are drawn
from the files.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "results" / "instruments"
DEPO, WINDOWS, RULE = "depo-n8-any", "depo-n8-w2-any", "rule110-w12-t8-any"
SHAPLEY: dict[str, object] = {"examples": 64, "method": "shapley values"}
GRADIENTS: dict[str, object] = {"examples": 64, "method": "integrated gradients"}
MEASUREMENTS: dict[str, tuple[str, str, dict[str, object]]] = {
    f"{kind}-{model}{suffix}": (kind, model, settings)
    for kind, model, suffix, settings in (
        ("memory", DEPO, "", {"examples": 256}),
        ("memory", WINDOWS, "", {"examples": 256}),
        ("memory", RULE, "", {"examples": 256}),
        ("lens", DEPO, "", {"examples": 1000}),
        ("lens", WINDOWS, "", {"examples": 1000}),
        ("probes", DEPO, "", {"examples": 2000}),
        ("probes", WINDOWS, "", {"examples": 2000}),
        ("probes", RULE, "", {"examples": 2000}),
        ("steering", DEPO, "", {"examples": 1000}),
        ("patches", DEPO, "", {"examples": 128}),
        ("patches", DEPO, "-heads", {"examples": 128, "parts": "heads"}),
        ("patches", DEPO, "-passes", {"examples": 128, "parts": "passes"}),
        ("patches", WINDOWS, "", {"examples": 128}),
        ("ablations", DEPO, "", {"examples": 256, "parts": "heads"}),
        ("ablations", DEPO, "-whole", {"examples": 256, "parts": "whole"}),
        ("attribution", DEPO, "", {**SHAPLEY, "parts": "passes and heads"}),
        ("attribution", DEPO, "-gradients", {**GRADIENTS, "parts": "passes and heads"}),
        ("attribution", DEPO, "-passes", SHAPLEY),
        ("attribution", DEPO, "-passes-gradients", GRADIENTS),
        ("recovery", WINDOWS, "", {"examples": 2000}),
        ("erasure", WINDOWS, "", {"examples": 2000}),
    )
}
"""Name of the file -> kind, checkpoint and settings."""


def main() -> None:
    """Read the options; measure what they name."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    names = list(MEASUREMENTS)
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME")
    parser.add_argument("--force", action="store_true", help="measure again what is there")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where to; default %(default)s")
    options = parser.parse_args()
    for name in options.only:
        path: Path = options.folder / f"{name}.json"
        if options.force or not path.exists():
            kind, model, settings = MEASUREMENTS[name]
            command = ["workbench", "measure", kind, model]
            command += [part for k, v in settings.items() for part in ("--set", f"{k}={v}")]
            print(shlex.join(command), flush=True)
            own = [sys.executable, "-P", "-m", "workbench.cli", *command[1:], "--out", str(path)]
            subprocess.run(own, check=True)


if __name__ == "__main__":
    main()
