"""Parts of the memory that a measurement exchanges or erases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from workbench.batch import Batch
    from workbench.config import SleepConfig
    from workbench.training.checkpoints import Checkpoint

Parts = Literal["whole", "layers", "heads", "passes"]


def parts_of(
    checkpoint: Checkpoint, batch: Batch, sleep: SleepConfig, parts: Parts
) -> tuple[list[Any], int]:
    """Return the parts of S that a setting names, and how many places they are changed at."""
    from workbench.instruments.boundaries import known_passes, slept_on
    from workbench.instruments.interventions import PassChange
    from workbench.instruments.patching import components

    windows, passes = slept_on(batch, sleep), known_passes(sleep)
    state = checkpoint.model.empty_memory(1).fast_weights
    found: dict[str, list[Any]] = {
        "whole": [components.whole()],
        "layers": [components.layer(layer) for layer in state],
        "heads": [components.head(i, h) for i, s in state.items() for h in range(s.shape[1])],
        "passes": [PassChange(w, n) for w in windows for n in range(1, passes + 1)],
    }
    return found[parts], len(windows) * (passes + 1)


def part_words(part: str) -> str:
    """Return what a sentence calls a part."""
    return "all of S" if part == "whole" else part
