"""Which GPU a run is given: its number among those this process sees, and CUDA's name for it.

This process may itself see only some of the machine's GPUs (a scheduler's allotment, a worker's
own); numbers count among those, and a run sees only the one it was given. No GPU is queried: the
environment and the active runs say what is there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from workbench.errors import WorkbenchError
from workbench.identity import VISIBLE
from workbench.lab.processes import here

if TYPE_CHECKING:
    from workbench.lab.runs import Run

NAME = re.compile(r"\d+|(GPU|MIG)-[\w/-]+")
"""A GPU as CUDA names it: by number, by UUID, or a part of one."""


def shown(inherited: str | None) -> list[str] | None:
    """Return the names of the GPUs that ``CUDA_VISIBLE_DEVICES`` shows; None where it is not set.

    As CUDA reads it: the first entry that does not name a GPU ends the list.
    """
    if inherited is None:
        return None
    names = []
    for part in inherited.split(","):
        if not NAME.fullmatch(part.strip()):
            break
        names.append(part.strip())
    return names


def device(gpu: int, inherited: str | None) -> str:
    """Return the name by which a run is shown the GPU of that number.

    Raises WorkbenchError if this process sees fewer.
    """
    names = shown(inherited)
    if names is None:
        return str(gpu)
    if gpu >= len(names):
        what = f"{len(names)} GPU{'' if len(names) == 1 else 's'}"
        raise WorkbenchError(
            f"GPU {gpu} where {VISIBLE}={inherited} shows {what}",
            "a number below that" if names else "one that is shown",
            f"name others, or start this with another {VISIBLE}",
        )
    return names[gpu]


def free(gpus: Sequence[int], runs: Iterable[Run], inherited: str | None) -> list[int]:
    """Return those of `gpus` that no active run on this machine has been given."""
    taken = {_given(run) for run in runs if run.active and here(run.status)}
    return [gpu for gpu in gpus if device(gpu, inherited) not in taken]


def _given(run: Run) -> str | None:
    """Return the name of the GPU that a run was given, or None."""
    number = run.status.get("gpu")
    return run.status.get("cuda") or (None if number is None else str(number))


def refusal(asked: str, gpus: Sequence[int], none: str) -> str:
    """Return why a run that asks for the device `asked` cannot be served by `gpus`; "" if it can.

    `none` completes the sentence where there are no GPUs.
    """
    kind, _, number = asked.partition(":")
    if kind != "cuda":
        return ""
    if number not in ("", "0"):
        return (
            f"asks for the device {asked}, and each run is given one GPU, which it sees alone, as "
            'cuda; write training.device = "cuda"'
        )
    return "" if gpus else f"asks for a GPU, and {none}"
