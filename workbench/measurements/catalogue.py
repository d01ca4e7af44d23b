"""Every measurement by name, ours and those of other packages; measuring and tables by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.errors import WorkbenchError
from workbench.measurements.base import Measurement, Reporter, Rows, Settings, sleep_of
from workbench.measurements.records import damage_reported
from workbench.registry import load, names, registered

if TYPE_CHECKING:
    import xarray as xr

    from workbench.training.checkpoints import Checkpoint

GROUP = "sleep_workbench.measurements"
"""Entry points of measurements."""


def measurements() -> dict[str, Measurement]:
    """Return every measurement by name, in the order of forms.

    Raises WorkbenchError: one cannot be imported.
    """
    return registered(GROUP, Measurement)


def measurement(kind: str) -> Measurement:
    """Return a measurement by name, importing only that one.

    Raises WorkbenchError: no measurement has that name.
    """
    points = names(GROUP)
    if kind not in points:
        raise WorkbenchError(
            f"no measurement {kind!r}", f"one of {', '.join(points)}", "check the name"
        )
    found: Measurement = load(points[kind], Measurement)
    return found


def measure(
    checkpoint: Checkpoint, kind: str, settings: Settings, reporter: Reporter
) -> xr.Dataset:
    """Measure, and note on the result what was measured on what.

    Its attributes always include ``kind``, ``checkpoint``, ``task``, ``difficulty_name``,
    ``n_sleep``, ``examples`` and ``seed``.
    """
    result = measurement(kind).run(checkpoint, settings, reporter)
    return result.assign_attrs(
        kind=kind,
        checkpoint=checkpoint.name,
        task=checkpoint.task.name,
        difficulty_name=checkpoint.task.difficulty_name,
        n_sleep=sleep_of(checkpoint, settings).passes,
        examples=settings.examples,
        seed=settings.seed,
    )


def tables(data: xr.Dataset) -> dict[str, Rows]:
    """Return the tables of a result by heading; its attribute ``kind`` says what was measured.

    Raises UnreadableFile: the result lacks what its tables show.
    Raises WorkbenchError: no measurement has that name.
    """
    kind = str(data.attrs.get("kind"))
    found = measurement(kind)
    with damage_reported(f"a measurement of kind {kind!r}"):
        return found.tables(data)
