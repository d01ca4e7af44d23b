"""The command `measure`: run an instrument on a checkpoint and write its result as JSON."""

from __future__ import annotations

import argparse
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from workbench.cli.options import add_checkpoint, add_command, add_device, add_json, add_set, loaded
from workbench.errors import WorkbenchError
from workbench.registry import names
from workbench.signals import stop_signal

MEASUREMENTS = "sleep_workbench.measurements"
"""Entry points of measurements; their names are known without importing any."""


def add_commands(commands: Any) -> None:
    """Add the command."""
    kinds = tuple(names(MEASUREMENTS))
    measure = add_command(
        commands,
        "measure",
        _measure,
        "run an instrument on a checkpoint: " + ", ".join(kinds),
        "workbench measure probes depo-n8-any --set examples=2000 --out probes.json",
    )
    measure.formatter_class = argparse.RawDescriptionHelpFormatter
    measure.set_defaults(details=_settings)
    measure.add_argument("kind", choices=kinds, metavar="KIND", help=", ".join(kinds))
    add_checkpoint(measure)
    add_set(measure, "setting=value", "examples=500, seed=1 or passes=4")
    measure.add_argument(
        "--out",
        type=Path,
        help="file to write; default KIND-CHECKPOINT.json, which must not exist yet",
    )
    add_device(measure)
    add_json(measure, "print what --out would hold")
    # for the pages, which start this command and follow its progress
    measure.add_argument("--settings", type=Path, help=argparse.SUPPRESS)
    measure.add_argument("--progress", type=Path, help=argparse.SUPPRESS)


def _settings() -> str:
    """Return what each measurement is, with its settings, for ``--help``."""
    from workbench.measurements.catalogue import measurements
    from workbench.measurements.fields import usage

    lines = [
        "settings of each KIND with their defaults; all have seed=0, and passes=N, by default the",
        "largest trained N:",
    ]
    for kind, one in measurements().items():
        lines += [f"  {kind:12} {one.title}", f"{'':15}{usage(kind)}"]
    return "\n".join(lines)


def _measure(options: argparse.Namespace) -> int:
    from workbench.training.places import find_checkpoint

    folder = find_checkpoint(options.checkpoint)  # a missing one is reported before torch is loaded

    from workbench.config import apply_overrides, build
    from workbench.files import read_text, try_output
    from workbench.measurements.base import Reporter
    from workbench.measurements.catalogue import measure, measurement
    from workbench.measurements.jobs import read_request

    kind: str = options.kind
    asked = None if options.settings is None else read_request(options.settings)
    values = apply_overrides(
        {} if asked is None else asked.settings,
        options.set,
        form="setting=value",
        example="examples=500",
    )
    settings = build(measurement(kind).settings, values, source=f"measure {kind}")
    name = Path(options.checkpoint).name
    out: Path = options.out or Path(f"{kind}-{name}.json")
    if out.exists() and options.out is None:
        raise WorkbenchError(
            f"{out} exists already", "a new file", "name one with --out, which is overwritten"
        )
    try_output(out)

    from sleep_kernels import choose_backend
    from workbench.measurements.records import write_measurement
    from workbench.training.places import WEIGHTS
    from workbench.training.provenance import describe_origin

    checkpoint = loaded(str(folder), options.device)
    sha256 = checkpoint.provenance["hashes"][WEIGHTS]
    # the folder of a request is named after the weights
    if asked is not None and asked.sha256 not in ("", sha256):
        raise WorkbenchError(
            f"the weights of {options.checkpoint} have changed since this was requested",
            f"SHA-256 {asked.sha256[:12]}...",
            "ask again, for the weights that are there now",
        )
    with (
        _signs_of_life(options.progress),
        _Bar(options.progress) as bar,
        stop_signal("stopping; nothing is kept") as stopped,
    ):
        result = measure(checkpoint, kind, settings, Reporter(bar.show, stopped))
    kernels = choose_backend(checkpoint.model.config.kernel_backend, checkpoint.model.device)
    origin = describe_origin(kernels) | {
        "kind": kind,
        "settings": settings.model_dump(mode="json"),
        "checkpoint": checkpoint.name,
        "checkpoint_sha256": sha256,
    }
    write_measurement(out, result, origin)
    if options.json:
        print(read_text(out), end="")
    else:
        sizes = ", ".join(f"{name} {size}" for name, size in result.sizes.items())
        print(f"{out}: {measurement(kind).title.lower()} ({sizes})")
    return 0


def _signs_of_life(progress: Path | None) -> AbstractContextManager[None]:
    """Let other machines see that this process lives, where a page follows it."""
    from workbench.training.run_folder import beating

    return nullcontext() if progress is None else beating(progress.parent)


class _Bar:
    """Progress in the terminal, and in a file if a page follows it."""

    def __init__(self, path: Path | None) -> None:
        self.path, self.written, self.began = path, -1.0, time.time()
        self.bar: Any = None

    def __enter__(self) -> _Bar:
        if self.path is not None:
            from workbench.measurements.jobs import write_progress

            write_progress(self.path, 0, 0, self.began)
        return self

    def __exit__(self, *error: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def show(self, done: float, total: float) -> None:
        """Show the progress; in the file, at most every half percent."""
        from workbench.progress import progress_bar

        if self.bar is None:
            whole = total if total > 1 else 100
            self.bar = progress_bar(whole, unit="step" if total > 1 else "%")
        self.bar.update((done if total > 1 else 100 * done) - self.bar.n)
        if self.path is not None and (done - self.written > 0.005 * total or done >= total):
            from workbench.measurements.jobs import write_progress

            self.written = done
            write_progress(self.path, done, total, self.began)
