"""The command `measure`: run an instrument on a checkpoint and keep what it found as JSON."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from workbench.errors import WorkbenchError
from workbench.signals import stop_signal

PARTS = "whole|layers|heads|passes"
SETTINGS = {
    "memory": "examples=256",
    "lens": "examples=1000",
    "probes": "examples=2000 splits=5",
    "steering": "examples=1000 splits=5",
    "patches": f"examples=128 parts=whole ({PARTS}) asked=all (all|first of window|first)",
    "ablations": f"examples=128 parts=heads ({PARTS})",
    "attribution": "examples=64 method='shapley values' (or 'integrated gradients') "
    "parts=passes (or 'passes and heads') steps=64 samples=25",
    "recovery": "examples=2000 splits=5",
    "erasure": "examples=2000 splits=5 others=2",
}
"""Settings with their defaults, as in `workbench.lab.kinds.KINDS`; repeated, so that ``--help``
loads nothing heavy."""
KINDS = tuple(SETTINGS)


def add_commands(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command; `command(name, run, summary, example)` makes its parser."""
    measure = command(
        "measure",
        _measure,
        "run an instrument on a checkpoint: " + ", ".join(KINDS),
        "workbench measure probes depo-n8-any --set examples=2000 --out probes.json",
    )
    told = "".join(f"  {kind:12} {settings}\n" for kind, settings in SETTINGS.items())
    measure.formatter_class = argparse.RawDescriptionHelpFormatter
    measure.epilog = (
        "settings of each KIND with their defaults; of all: seed=0, and passes=N, the largest "
        f"trained N where it is left out:\n{told}\n{measure.epilog}"
    )
    measure.add_argument("kind", choices=KINDS, metavar="KIND", help=", ".join(KINDS))
    measure.add_argument("checkpoint", help="a bundled name, a folder, or hf://owner/name")
    measure.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="setting=value",
        help="such as examples=500, seed=1 or passes=4; may be given again",
    )
    measure.add_argument(
        "--out", type=Path, help="file to write; default KIND-CHECKPOINT.json, never over another"
    )
    measure.add_argument("--device", default="cpu", help="cpu or cuda; default %(default)s")
    measure.add_argument("--json", action="store_true", help="print what --out would hold")
    # for the pages, which start this command and look how far it is
    measure.add_argument("--settings", type=Path, help=argparse.SUPPRESS)
    measure.add_argument("--progress", type=Path, help=argparse.SUPPRESS)


def _measure(options: argparse.Namespace) -> int:
    from workbench.training.places import find_checkpoint

    folder = find_checkpoint(options.checkpoint)  # what is not there is told before torch is loaded

    from workbench.config import apply_overrides, build
    from workbench.files import read_text, try_output
    from workbench.lab.kinds import Report, kind_of, measure
    from workbench.lab.measuring import read_request

    kind = kind_of(options.kind)
    asked = None if options.settings is None else read_request(options.settings)
    values = apply_overrides(
        {} if asked is None else asked.settings,
        options.set,
        form="setting=value",
        example="examples=500",
    )
    settings = build(kind.settings, values, source=f"measure {kind.name}")
    name = Path(options.checkpoint).name
    out: Path = options.out or Path(f"{kind.name}-{name}.json")
    if out.exists() and options.out is None:
        raise WorkbenchError(
            f"{out} is there already", "a new file", "name one with --out, which is overwritten"
        )
    try_output(out)

    from sleep_kernels import choose_backend
    from workbench.lab.measured import write_measurement
    from workbench.training.checkpoints import load_checkpoint
    from workbench.training.loop import check_device
    from workbench.training.places import WEIGHTS
    from workbench.training.provenance import describe_origin

    check_device(options.device)
    checkpoint = load_checkpoint(folder, device=options.device)
    sha256 = checkpoint.provenance["hashes"][WEIGHTS]
    if asked is not None and asked.sha256 not in (
        "",
        sha256,
    ):  # its folder is named after the weights
        raise WorkbenchError(
            f"the weights of {options.checkpoint} have changed since this was asked for",
            f"SHA-256 {asked.sha256[:12]}...",
            "ask again, for the weights that are there now",
        )
    with (
        _signs_of_life(options.progress),
        _Bar(options.progress) as bar,
        stop_signal("stopping; nothing is kept") as stopped,
    ):
        result = measure(checkpoint, kind.name, settings, Report(bar.tell, stopped))
    kernels = choose_backend(checkpoint.model.config.kernel_backend, checkpoint.model.device)
    origin = describe_origin(kernels) | {
        "kind": kind.name,
        "settings": settings.model_dump(mode="json"),
        "checkpoint": checkpoint.name,
        "checkpoint_sha256": sha256,
    }
    write_measurement(out, result, origin)
    if options.json:
        print(read_text(out), end="")
    else:
        sizes = ", ".join(f"{name} {size}" for name, size in result.sizes.items())
        print(f"{out}: {kind.title.lower()} ({sizes})")
    return 0


def _signs_of_life(progress: Path | None) -> AbstractContextManager[None]:
    """Let other machines know that this process lives, where a page looks at it."""
    from workbench.training.run_folder import beating

    return nullcontext() if progress is None else beating(progress.parent)


class _Bar:
    """Progress in the terminal, and in a file if a page looks at it."""

    def __init__(self, path: Path | None) -> None:
        self.path, self.told, self.began = path, -1.0, time.time()
        self.bar: Any = None

    def __enter__(self) -> _Bar:
        if self.path is not None:
            from workbench.lab.measuring import tell

            tell(self.path, 0, 0, self.began)
        return self

    def __exit__(self, *error: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def tell(self, done: float, total: float) -> None:
        """Say how far it is; the file at most every half percent."""
        from workbench.progress import progress_bar

        if self.bar is None:
            whole = total if total > 1 else 100
            self.bar = progress_bar(whole, unit="step" if total > 1 else "%")
        self.bar.update((done if total > 1 else 100 * done) - self.bar.n)
        if self.path is not None and (done - self.told > 0.005 * total or done >= total):
            from workbench.lab.measuring import tell

            self.told = done
            tell(self.path, done, total, self.began)
