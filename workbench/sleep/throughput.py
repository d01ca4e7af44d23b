"""How fast a text is read with sleep: in windows, and all at once, over L and N (paper, Figure 6).

A text of T tokens is slept on and then a question is answered awake. `windowed` reads the text in
windows of L tokens, N passes each, one window after the other; `parallel` reads it as one window.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from workbench.batch import Batch
from workbench.config import SleepConfig
from workbench.errors import WorkbenchError
from workbench.files import read_text
from workbench.sleep.algorithm import read
from workbench.sleep.contract import SleepingModel
from workbench.sleep.events import Wake

QUESTION = 8
"""Tokens of the question, which are read awake."""
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
ENERGY = Path("/sys/class/powercap/intel-rapl:0/energy_uj")


class Cell(NamedTuple):
    """One way to read: L (`window`; None is the whole text at once), N, and whether to learn."""

    window: int | None
    passes: int
    training: bool


class Took(NamedTuple):
    """What one reading took: seconds in all and awake, bytes beyond the model, joules."""

    seconds: float
    awake: float
    peak: int | None
    energy: float | None


def measure_throughput(
    model: SleepingModel,
    cells: Sequence[Cell],
    tokens: int,
    *,
    repeats: int = 5,
    seed: int = 0,
    on_progress: Callable[[], None] = lambda: None,
) -> list[dict[str, Any]]:
    """Read a random text in every way of `cells`, which take turns; return a row for each.

    - tokens: T. `repeats`: readings of each, after one to warm up. `on_progress` follows each.
    - Training is a forward and a backward pass of the loss at the question, through all sleeps,
      without the optimiser's step.

    A row holds `window`, `passes`, `training`; `tokens_per_second`, `wake_ms` (for the question)
    and `ratio` (to the parallel reading at the same N, in the same round), each as [lower quartile,
    median, upper quartile]; `peak_mb`, the most memory beyond that of the model, in 10**6 bytes;
    and `joules` of the processor. None where this machine does not report it, or where there is
    nothing to compare with.

    Raises WorkbenchError: a window does not divide the text.
    """
    check_windows([cell.window for cell in cells if cell.window], tokens)
    batch = _text(model, tokens, seed)
    found: dict[Cell, list[Took]] = {cell: [] for cell in cells}
    for turn in range(repeats + 1):
        for cell in cells:
            took = _reading(model, batch, cell, tokens)
            if turn:
                found[cell].append(took)
            on_progress()
    return [_row(cell, found, tokens) for cell in cells]


def check_windows(windows: Sequence[int], tokens: int) -> None:
    """Raise WorkbenchError if a window does not divide a text of `tokens` or holds no question."""
    for window in windows:
        if tokens % window or window < QUESTION:
            raise WorkbenchError(
                f"windows of {window} tokens for a text of {tokens}",
                f"a divisor of {tokens}, {QUESTION} or more",
                "choose another --windows or --tokens",
            )


def _text(model: SleepingModel, tokens: int, seed: int) -> Batch:
    drawn = np.random.default_rng(seed).integers(model.vocabulary, size=(1, tokens + QUESTION))
    asked = np.arange(drawn.shape[1])[None] > tokens
    none = np.full(drawn.shape, -1, dtype=np.int64)
    return Batch(drawn, asked, np.ones_like(asked), none, none[:, :0])


def _reading(model: SleepingModel, batch: Batch, cell: Cell, tokens: int) -> Took:
    """Read the text once, and learn from it if the cell says so."""
    sleep = SleepConfig(window=cell.window or tokens, passes=cell.passes)
    weights = [(p, p.requires_grad) for p in getattr(model, "parameters", list)()]
    for weight, _ in weights:
        weight.requires_grad_(cell.training)
    before, joules = _reset_peak(model.device), _energy()
    start = now = time.perf_counter()
    awake = 0.0
    with torch.set_grad_enabled(cell.training):
        loss = torch.zeros((), device=model.device)
        for event in read(model, batch, sleep):
            _wait(model.device)
            last, now = now, time.perf_counter()
            if isinstance(event, Wake):
                awake = now - last
                asked = torch.as_tensor(batch.tokens[:, tokens + 1 :], device=model.device)
                loss = F.cross_entropy(event.logits[:, :-1].flatten(0, 1), asked.flatten())
        if cell.training:
            loss.backward()
            _wait(model.device)
    seconds = time.perf_counter() - start
    after = _energy()
    # the counter starts again at zero when it is full
    spent = None if joules is None or after is None or after < joules else after - joules
    peak = _peak(model.device)
    for weight, learns in weights:
        weight.grad = None
        weight.requires_grad_(learns)
    return Took(seconds, awake, None if peak is None or before is None else peak - before, spent)


def _row(cell: Cell, found: dict[Cell, list[Took]], tokens: int) -> dict[str, Any]:
    mine = found[cell]
    whole = found.get(cell._replace(window=None), [])
    ratio = [at_once.seconds / own.seconds for own, at_once in zip(mine, whole, strict=False)]
    peaks, joules = ([t.peak for t in mine], [t.energy for t in mine])
    return {
        **cell._asdict(),
        "tokens_per_second": _quartiles([tokens / took.seconds for took in mine]),
        "ratio": _quartiles(ratio) if cell.window else None,
        "wake_ms": None if cell.training else _quartiles([1e3 * took.awake for took in mine]),
        "peak_mb": None if None in peaks else round(max(p or 0 for p in peaks) / 1e6, 2),
        "joules": None if None in joules else _quartiles([j for j in joules if j is not None]),
    }


def _quartiles(values: Sequence[float]) -> list[float] | None:
    return [float(f"{x:.5g}") for x in np.percentile(values, [25, 50, 75])] if values else None


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _reset_peak(device: torch.device) -> int | None:
    """Reset the peak of memory; return the bytes in use, None where no peak is reported.

    On Linux free memory goes back to the system first, or a later reading would hide in it.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    with suppress(OSError, AttributeError, WorkbenchError):
        ctypes.CDLL(None).malloc_trim(0)
        CLEAR.write_text("5", encoding="ascii")
        return _kilobytes("VmRSS")
    return None


def _peak(device: torch.device) -> int | None:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    with suppress(OSError, WorkbenchError):
        return _kilobytes("VmHWM")
    return None


def _kilobytes(name: str) -> int | None:
    lines = read_text(STATUS).splitlines()
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(name)), None)


def _energy() -> float | None:
    """Return the joules that the processor has counted; None where it does not report them."""
    with suppress(OSError, ValueError, WorkbenchError):
        return int(read_text(ENERGY)) / 1e6
    return None
