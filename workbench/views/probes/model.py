"""What the page of probes shows: which measurement, and which place of it. Knows no Panel."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import param
import xarray as xr

from workbench import dims
from workbench.errors import WorkbenchError
from workbench.measurements.jobs import RESULT
from workbench.measurements.records import read_measurement
from workbench.measurements.shelf import bundled, checkpoint_name, finished, measurement_name

PLACES: Final = {"window": dims.WINDOW, "layer": dims.LAYER, "target": dims.TARGET,
                 "sleep_pass": dims.SLEEP_PASS}  # fmt: skip
"""Parameters that say a place of a measurement, and the axis of each."""
URL: Final = {"sleep_pass": "pass"}
"""What the address calls them, where it is not their name."""


def sources(kind: str, checkpoint: str, root: Path | None) -> dict[str, Path]:
    """Return the measurements of a kind of one checkpoint, by what a choice calls them.

    Bundled ones come first, then those made here, newest first.
    """
    found = {}
    for name, path in bundled(kind, checkpoint).items():
        more = name.removeprefix(f"{kind}-{checkpoint}").strip("-")
        found[f"bundled{f', {more}' if more else ''}"] = path
    for one in finished(root, kinds=(kind,), checkpoint=checkpoint):
        found[f"here: {one.words} ({one.key[-6:]})"] = one.result
    return found


class ProbeModel(param.Parameterized):
    """A checkpoint, a measurement of it, and a place; `root` is the folder of runs, if any.

    - data, steering: the probes that are shown, and the steering that belongs to them, or None.
    - origin: where the probes come from.
    - problem: why a measurement cannot be read.
    """

    checkpoint = param.String("", doc="Name of the checkpoint.")
    window = param.Integer(-1, doc="Window slept on.")
    layer = param.Integer(-1, doc="Layer of the fast weights.")
    target = param.String("", doc="What is asked.")
    sleep_pass = param.Integer(-1, doc="Pass after which it is asked.")

    def __init__(self, names: list[str], root: Path | None, **values: Any) -> None:
        super().__init__(**values)
        self.names, self.root = names, root
        self.path: Path | None = None
        self.steering_path: Path | None = None
        self.data: xr.Dataset | None = None
        self.steering: xr.Dataset | None = None
        self.origin: dict[str, Any] = {}
        self.problem = ""

    def restore(self, query: dict[str, str]) -> list[str]:
        """Take everything from an address; return what does not fit, which is ignored."""
        problems = []
        named = query.get("checkpoint", "")
        self.choose(named if named in self.names else self._first())
        if named and named not in self.names:
            shown = self.checkpoint or "none"
            problems.append(f"There is no checkpoint {named!r}; {shown} is shown")
        measured = query.get("measurement", "")
        known = {measurement_name(path): path for path in self.choices("probes").values()}
        if measured in known:
            self.take(known[measured])
        elif measured:
            problems.append(f"There is no measurement {measured!r} of {self.checkpoint}")
        for name in PLACES:
            text = query.get(URL.get(name, name))
            fitting = [value for value in self.options(name) if str(value) == text]
            if fitting:
                setattr(self, name, fitting[0])
            elif text is not None:
                problems.append(f"There is no {URL.get(name, name)} {text!r} here")
        return problems

    def _first(self) -> str:
        """Return the first checkpoint of which there are probes; else the first."""
        measured = (name for name in self.names if sources("probes", name, None))
        return next(measured, next(iter(self.names), ""))

    def choices(self, kind: str) -> dict[str, Path]:
        """Return the measurements of a kind to choose from."""
        return sources(kind, self.checkpoint, self.root)

    def choose(self, checkpoint: str) -> None:
        """Take a checkpoint and the first measurement of it."""
        self.checkpoint = checkpoint
        self.steering_path = next(iter(self.choices("steering").values()), None)
        self.take(next(iter(self.choices("probes").values()), None))

    def take(self, path: Path | None) -> None:
        """Take a measurement of the checkpoint; a place that it does not have becomes another."""
        self.path, self.data, self.origin, self.problem = path, None, {}, ""
        self.steering = None
        try:
            if path is not None:
                self.data, self.origin = read_measurement(path)
            if self.steering_path is not None:
                self.steering, _ = read_measurement(self.steering_path)
        except WorkbenchError as error:
            self.problem = str(error)
        for name in PLACES:
            found = self.options(name)
            if found and getattr(self, name) not in found:
                setattr(self, name, found[0] if name == "layer" else found[-1])

    def show(self, path: Path) -> None:
        """Show a measurement of either kind, of whatever checkpoint."""
        data, _ = read_measurement(path)
        named = _here(path, self.root) or str(data.attrs["checkpoint"])
        if named in self.names and named != self.checkpoint:
            self.choose(named)
        if data.attrs["kind"] == "steering":
            self.steering_path = path
            path = self.path or path
        self.take(path if data.attrs["kind"] == "probes" or self.path is not None else None)

    def options(self, name: str) -> list[Any]:
        """Return what a place may be."""
        return [] if self.data is None else self.data[PLACES[name]].values.tolist()

    @property
    def steered_pass(self) -> int | None:
        """The pass at which steering is shown: the one chosen, or the nearest that was steered."""
        if self.steering is None:
            return None
        there = self.steering[dims.SLEEP_PASS].values.tolist()
        return min(there, key=lambda p: (abs(p - self.sleep_pass), -p))

    def address(self) -> dict[str, str]:
        """Return what the address says."""
        found = {"checkpoint": self.checkpoint}
        if self.path is not None and self.path.name == RESULT:
            found["measurement"] = measurement_name(self.path)
        if self.data is not None:
            for name in PLACES:
                if len(self.options(name)) > 1:
                    found[URL.get(name, name)] = str(getattr(self, name))
        return found


def _here(path: Path, root: Path | None) -> str:
    """Return the checkpoint of a measurement that was made here, as pages call it; else ""."""
    for one in finished(root):
        if one.result.resolve() == path.resolve():
            return checkpoint_name(one.checkpoint)
    return ""
