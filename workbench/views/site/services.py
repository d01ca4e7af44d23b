"""What all visitors of one process share: loaded checkpoints and locks.

Torch is imported with the first checkpoint.
"""

from __future__ import annotations

import difflib
import threading
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.errors import WorkbenchError
from workbench.files import stamp
from workbench.once_cache import OnceCache
from workbench.paths import bundled_checkpoints
from workbench.training.places import CONFIG, PROVENANCE, WEIGHTS, find_checkpoint

if TYPE_CHECKING:
    from workbench.lab.queue import Slots
    from workbench.lab.watch import Watch
    from workbench.theatre.asks import Asks
    from workbench.training.checkpoints import Checkpoint

MODELS = 12
"""Checkpoints that stay loaded; the one not asked for the longest goes first."""


class Services:
    """Checkpoints by name, each loaded once however many visitors ask for it.

    A replaced checkpoint is loaded again, and a removed one is no longer listed. `runs` is the
    folder whose finished runs are shown as ``runs/NAME``, and in which the lab starts runs; only a
    server that nobody else can reach sets it. `counting` is held while FLOPs are counted, as that
    switches attention's form for the whole process.
    """

    def __init__(self) -> None:
        self.runs: Path | None = None
        self.counting = threading.Lock()
        self._checkpoints = OnceCache(MODELS)
        self._lock = threading.Lock()
        self._watch: Watch | None = None

    @property
    def traces(self) -> Path | None:
        """Folder of traces that may be shown as well, next to that of the runs, or None."""
        return None if self.runs is None else self.runs.parent / "traces"

    def names(self) -> list[str]:
        """Return the names of the bundled checkpoints, then of the finished runs."""
        return [*bundled_checkpoints(), *self._finished_runs()]

    def folders(self) -> dict[str, Path]:
        """Return the folders of all checkpoints by name; loads none."""
        return bundled_checkpoints() | self._finished_runs()

    def _finished_runs(self) -> dict[str, Path]:
        if self.runs is None or not self.runs.is_dir():
            return {}
        home = self.runs.resolve()
        return {
            f"runs/{folder.name}": folder / "checkpoint"
            for folder in sorted(self.runs.iterdir())
            if (folder / "checkpoint" / "model.safetensors").is_file()
            and (folder / "checkpoint").resolve() == home / folder.name / "checkpoint"  # no links
        }

    def _unfinished(self, name: str) -> str:
        """Return the name of the run that ``runs/NAME`` names, if there is one, else ""."""
        run = name.removeprefix("runs/")
        if self.runs is None or run == name or not self.runs.is_dir():
            return ""
        return run if run in {folder.name for folder in self.runs.iterdir()} else ""

    def checkpoint(self, name: str) -> Checkpoint:
        """Return a checkpoint, loaded at the first call and whenever its files have changed.

        Names may come from an address, so only those of `names` count, and no path or Hub id.
        Raises WorkbenchError where there is no such checkpoint, or its folder is damaged.
        """
        known = self.folders()
        if name not in known:
            run = self._unfinished(name)
            if run:
                raise WorkbenchError(
                    f"the run {run} has not finished and has no checkpoint yet",
                    "a finished run",
                    "wait until it has finished; the page Experiment shows how far it is",
                )
            raise WorkbenchError(
                f"no checkpoint {name[:100]!r}",
                _some_of(list(known), name),
                "`workbench checkpoints` lists the bundled ones; a run's is runs/NAME",
            )
        folder = find_checkpoint(known[name])
        files = tuple(stamp(folder / file) for file in (WEIGHTS, CONFIG, PROVENANCE))

        def load() -> Checkpoint:
            import torch

            from workbench.training.checkpoints import load_checkpoint

            # Small models on a few shared cores are fastest with one thread.
            torch.set_num_threads(1)
            return load_checkpoint(folder)

        return self._checkpoints.get((folder, files), load)

    @cached_property
    def asks(self) -> Asks:
        """What answers the theatres of all visitors."""
        from workbench.theatre.asks import Asks

        return Asks(self.checkpoint, lambda: self.traces)

    def watch(self) -> Watch:
        """Return the watch on the runs, one for all visitors.

        Raises WorkbenchError where this server has no folder of runs.
        """
        if self.runs is None:
            raise WorkbenchError(
                "this server starts no processes, as it does not know who can reach it",
                "`workbench serve`, which listens to this machine alone",
                "open the lab there",
            )
        with self._lock:
            if self._watch is None or self._watch.root != self.runs:
                from workbench.lab.watch import Watch

                self._watch = Watch(self.runs)
            return self._watch

    def slots(self) -> Slots:
        """Return what runs started here may use: all CPU threads and GPUs."""
        import torch

        from workbench.lab.queue import Slots

        return Slots(gpus=tuple(range(torch.cuda.device_count())))


def _some_of(known: list[str], name: str) -> str:
    """Return in words what is known: all of it, or those names that are most like `name`."""
    close = known if len(known) < 4 else difflib.get_close_matches(name[:100], known, 3, 0.4)
    if close or not known:
        return f"one of {', '.join(close) or 'none found'}"
    return f"one of {len(known)} names such as {known[0]}"


_SERVICES = Services()  # made at import, which happens once however many threads ask


def services() -> Services:
    """Return the services of this process."""
    return _SERVICES
