"""What `read` refuses before it begins."""

from __future__ import annotations

from workbench.config import SleepConfig
from workbench.errors import WorkbenchError
from workbench.model.memory import Memory
from workbench.sleep.events import Boundary
from workbench.sleep.passes import PassRule
from workbench.sleep.windows import Window, read_awake, slept_on


def check_options(sleep: SleepConfig, depth: int, passes: int | PassRule) -> None:
    """Refuse a loop outside the model, and writes of the last pass only if N is not known."""
    begin, end = sleep.loop or (0, depth)
    if not 0 <= begin < end <= depth:
        raise WorkbenchError(
            f"sleep.loop = ({begin}, {end})",
            f"0 <= a < b <= {depth}, the number of blocks",
            "change the range, or leave it out to loop all blocks",
        )
    if sleep.final_norm == "inside" and end != depth:
        raise WorkbenchError(
            f"final_norm = 'inside' with sleep.loop = ({begin}, {end})",
            f"a loop that ends at the last block ({depth})",
            "use final_norm = 'outside'",
        )
    if sleep.write == "last_pass" and not isinstance(passes, int):
        raise WorkbenchError(
            "write = 'last_pass' with a rule that decides after each pass",
            "an N known before the sleep",
            "fix N with sleep.with_passes(N)",
        )


def check_start(
    start: Boundary,
    memory: Memory | None,
    windows: list[Window],
    passes: int | PassRule,
    sleep: SleepConfig,
) -> None:
    """Refuse a boundary that a reading does not have."""
    given = f"start at window {start.window}, sleep pass {start.sleep_pass}"
    if memory is not None:
        raise WorkbenchError(
            f"{given}, and a memory to begin with", "one of the two", "use start.with_memory"
        )
    if not 0 <= start.window < len(windows):
        raise WorkbenchError(
            given, f"a window from 0 to {len(windows) - 1}", "take a boundary of the same layout"
        )
    window = windows[start.window]
    if start.woken and (start.sleep_pass or not read_awake(window, passes)):
        raise WorkbenchError(
            f"{given}, woken",
            "sleep pass 0 of a window that is read awake",
            "take the boundary after a Wake of the same layout",
        )
    most = 0
    if slept_on(window, sleep):
        most = passes if isinstance(passes, int) else start.sleep_pass
    if not 0 <= start.sleep_pass <= most:
        raise WorkbenchError(
            given,
            f"a pass from 0 to {most}, all that this window has",
            "take a boundary of a reading with the same N",
        )
    if sleep.feed_back and 0 < start.sleep_pass != passes and start.hidden is None:
        raise WorkbenchError(
            f"{given}, without features",
            "the features that the next pass takes in",
            "take the boundary from a reading with a larger N, or with every_output=True",
        )
