"""Resume points: model, optimisers and step of a run, in one file with a checksum."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path
from typing import NamedTuple

from torch import Tensor, nn

from workbench.errors import WorkbenchError
from workbench.files import parse_json
from workbench.model.tensor_file import read_tensors, write_tensors
from workbench.training.fitting import check_fits
from workbench.training.optimisers import Optimisers
from workbench.training.run_files import Progress, checked

FORMAT = "sleep-resume/1"
KEPT = 2
"""Resume points that a run keeps."""
_NAME = re.compile(r"step-(\d{9,})\.safetensors")


class ResumePoint(NamedTuple):
    """Where a run continues: steps done, the seconds they took, tensors by name."""

    step: int
    seconds: float
    model: dict[str, Tensor]
    optimiser: dict[str, Tensor]


def save_resume_point(
    folder: Path, model: nn.Module, optimisers: Optimisers, step: int, seconds: float
) -> None:
    """Write a resume point into a run's folder of them; the oldest goes."""
    tensors = {f"model.{n}": t for n, t in _learnt(model).items()}
    tensors |= {f"optimiser.{n}": t for n, t in optimisers.tensors().items()}
    header = json.dumps({"step": step, "seconds": seconds})
    path = folder / f"step-{step:09d}.safetensors"
    write_tensors(path, tensors, {"format": FORMAT, "header": header})
    for old in resume_points(folder)[:-KEPT]:
        old.unlink()


def _learnt(model: nn.Module) -> dict[str, Tensor]:
    """Return what a model holds apart from frozen weights."""
    frozen = {name for name, weight in model.named_parameters() if not weight.requires_grad}
    return {name: t for name, t in model.state_dict().items() if name not in frozen}


def resume_points(folder: Path) -> list[Path]:
    """Return the resume points in a run's folder of them, oldest first."""
    return sorted(folder.glob("step-*.safetensors"))


def restore_resume_point(
    path: Path, model: nn.Module, optimisers: Optimisers, steps: int
) -> tuple[int, float]:
    """Load a resume point into a run of `steps` steps; return the steps done and their seconds.

    Raises WorkbenchError: the file is damaged, or is not a resume point of this run.
    """
    point = read_resume_state(path)
    if point.step > steps:
        raise _refused(path, f"step {point.step}", f"0 to {steps}, the steps of this run")
    check_fits(_learnt(model), point.model, path, fix=_FIX)
    model.load_state_dict(point.model, strict=False)
    try:
        optimisers.load(point.optimiser)
    except ValueError as error:
        raise _refused(path, str(error), "the state of this run's optimisers") from None
    return point.step, point.seconds


def read_resume_state(path: Path) -> ResumePoint:
    """Read what `save_resume_point` wrote; warn if an earlier version wrote no checksum.

    Raises WorkbenchError: the file is damaged, or is not a resume point.
    """
    try:
        found = read_tensors(path)
        what = f"the header of {path}"
        header = checked(Progress, parse_json(found.metadata.pop("header", ""), what=what), what)
    except WorkbenchError as error:
        raise WorkbenchError(f"resume point: {error.given}", error.expected, _FIX) from None
    if found.metadata != ({"format": FORMAT} if found.checked else {}):
        raise _refused(path, f"format {found.metadata.get('format')!r}", FORMAT)
    step = header["step"]
    named = _NAME.fullmatch(path.name)
    if named is None or int(named[1]) != step:
        raise _refused(path, f"step {step}", "the step that its name says")
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "optimiser": {}}
    for name, tensor in found.tensors.items():
        owner, _, rest = name.partition(".")
        if owner not in parts:
            raise _refused(path, f"a tensor {name!r}", "those of a model and its optimisers")
        parts[owner][rest] = tensor
    if not found.checked:
        warnings.warn(
            f"{path} has no checksum, as an earlier version wrote it: damage may go unnoticed",
            stacklevel=2,
        )
    return ResumePoint(step, float(header["seconds"]), parts["model"], parts["optimiser"])


_FIX = "delete it to continue from the one before"


def _refused(path: Path, given: str, expected: str) -> WorkbenchError:
    return WorkbenchError(f"resume point {path} has {given}", expected, _FIX)
