"""A model by name as a stream of text, for the command `chat` and for notebooks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.config import SleepConfig, build
from workbench.sleep.checks import check_options
from workbench.sleep.stream import TextStream
from workbench.tasks.base import Task
from workbench.training.checkpoints import Checkpoint, load
from workbench.training.evaluation import default_passes

if TYPE_CHECKING:
    from workbench.backbones.loading import Pretrained

WINDOW = 512
"""Tokens of a pretrained model's window, unless it says otherwise."""


class TaskText:
    """The text of a task, as a stream reads it."""

    def __init__(self, task: Task) -> None:
        self.task = task

    def encode(self, text: str, *, special: bool = False) -> np.ndarray:
        """Return int64 ``[token]``; raise WorkbenchError for what the task has no symbol for."""
        return np.array(self.task.encode(text) if text else [], dtype=np.int64)

    def writer(self) -> Callable[[int], str]:
        """Return a function that takes one token after the other and returns what is new."""
        tokens: list[int] = []
        shown = ""

        def write(token: int) -> str:
            nonlocal shown
            tokens.append(token)
            before, shown = shown, self.task.decode(tokens)
            return shown[len(before) :]

        return write


def open_stream(
    source: str | Path | Checkpoint | Pretrained,
    *,
    window: int | None = None,
    passes: int | None = None,
    loop: tuple[int, int] | None = None,
    **options: Any,
) -> TextStream:
    """Return an empty stream of text for a model.

    - source: a loaded model, or anything that `load` takes; its **options go there.
    - window, passes: L and N; as the model was trained (with the largest N), or `WINDOW` and 1.
    - loop: the blocks ``a <= i < b`` that a sleep repeats; those of the base where layers were
      inserted into one.

    Raises WorkbenchError: as `load`; or the settings do not fit the model.
    """
    loaded = load(source, **options) if isinstance(source, str | Path) else source
    model: Any = loaded.model
    sleep: SleepConfig = getattr(loaded, "sleep", None) or SleepConfig(window=WINDOW)
    if passes is None:
        passes = default_passes(sleep)[-1]
    changed: dict[str, Any] = {"passes": passes}
    if window is not None:
        changed["window"] = window
    if loop is not None:
        changed["loop"] = model.range_of(*loop) if hasattr(model, "range_of") else loop
    sleep = build(SleepConfig, {**sleep.model_dump(), **changed}, source="sleep")
    check_options(sleep, model.depth, passes)
    text = getattr(loaded, "text", None)  # of a pretrained model, retrofitted or not
    if text is None:
        assert isinstance(loaded, Checkpoint)
        text = TaskText(loaded.task)
    return TextStream(model, text, sleep)
