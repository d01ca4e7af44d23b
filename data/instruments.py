"""Make every measurement of the bundled models: ``data/results/instruments/KIND-MODEL.json``.

    python data/instruments.py                            those that are missing
    python data/instruments.py --only probes-depo-n8-any --force

Each is one `workbench measure` command, which is printed. docs/findings.md and the pages are drawn
from the files. A measurement that another package adds is made too, on one model.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from pathlib import Path

from workbench.measurements.catalogue import measurements

FOLDER = Path(__file__).resolve().parent / "results" / "instruments"
DEPO, WINDOWS, RULE = "depo-n8-any", "depo-n8-w2-any", "rule110-w12-t8-any"
VARIABLES = "variables-any"
MODELS = {
    "memory": (DEPO, WINDOWS, RULE, VARIABLES),
    "lens": (DEPO, WINDOWS, VARIABLES),
    "probes": (DEPO, WINDOWS, RULE, VARIABLES),
    "steering": (DEPO, VARIABLES),
    "patches": (DEPO, WINDOWS, VARIABLES),
    "ablations": (DEPO, VARIABLES),
    "attribution": (DEPO, VARIABLES),
    "recovery": (WINDOWS,),
    "erasure": (WINDOWS, VARIABLES),
}
"""Models that a measurement is made on; every other one on DEPO alone."""
BOTH, GRADIENTS = {"parts": "passes and heads"}, {"method": "integrated gradients"}
VARIANTS: dict[str, dict[str, dict[str, object]]] = {
    "patches": {"": {}, "-heads": {"parts": "heads"}, "-passes": {"parts": "passes"}},
    "ablations": {"": {"examples": 256}, "-whole": {"examples": 256, "parts": "whole"}},
    "attribution": {
        "": {**BOTH},
        "-gradients": {**BOTH, **GRADIENTS},
        "-passes": {},
        "-passes-gradients": {**GRADIENTS},
    },
}
"""End of the name -> settings that are not the defaults, on DEPO; on other models the first one."""


def planned() -> dict[str, tuple[str, str, dict[str, object]]]:
    """Return name of the file -> kind, checkpoint and settings, for every measurement there is."""
    found = {}
    for kind in measurements():
        variants = VARIANTS.get(kind, {"": {}})
        for model in MODELS.get(kind, (DEPO,)):
            for end, settings in variants.items() if model == DEPO else [("", variants[""])]:
                found[f"{kind}-{model}{end}"] = (kind, model, settings)
    return found


def main() -> None:
    """Read the options; measure what they name."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    plan = planned()
    names = list(plan)
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME")
    parser.add_argument("--force", action="store_true", help="measure again what is there")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where to; default %(default)s")
    options = parser.parse_args()
    for name in options.only:
        path: Path = options.folder / f"{name}.json"
        if options.force or not path.exists():
            kind, model, settings = plan[name]
            command = ["workbench", "measure", kind, model]
            command += [part for k, v in settings.items() for part in ("--set", f"{k}={v}")]
            print(shlex.join(command), flush=True)
            own = [sys.executable, "-P", "-m", "workbench.cli", *command[1:], "--out", str(path)]
            subprocess.run(own, check=True)


if __name__ == "__main__":
    main()
