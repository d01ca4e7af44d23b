"""From the events of one reading to a trace: states, writes and answers after every pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, cast

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn

from workbench import dims
from workbench.batch import Batch
from workbench.config import SleepConfig
from workbench.errors import WorkbenchError
from workbench.model.arrays import to_numpy
from workbench.model.memory import Memory
from workbench.sleep import (
    Boundary,
    Event,
    Eviction,
    SleepingModel,
    SleepPass,
    Wake,
    WritingModel,
    boundary_after,
    read,
    wake_now,
)
from workbench.sleep.windows import Reading, readings
from workbench.tasks.base import Task
from workbench.trace.answers import NO_RANK, answer_scores
from workbench.trace.chosen import Chosen, Indices, check_budget, chosen, needed, sizes_of
from workbench.trace.inputs import inputs_of
from workbench.trace.origin import root_attributes
from workbench.trace.schema import FIRST_PASS, GROUPS, OF_WINDOW, validate_trace
from workbench.trace.watched import WatchedModel, WatchedPass, writes_of

TIERS: Final = ("states", "writes", "hidden")
"""What may be kept besides the summary (inputs, norms of the states, answers)."""

WRITES: Final = tuple(GROUPS["writes"])

BEGINNING: Final = (0, 0, False)
"""The boundary before anything is read: window, sleep pass, woken."""

OnAnswers = Callable[[int, int, list[Wake]], None]


def record(
    model: SleepingModel,
    batch: Batch,
    sleep: SleepConfig,
    *,
    keep: Sequence[str] = ("states", "writes"),
    task: Task | None = None,
    origin: Mapping[str, str | int] | None = None,
    batch_size: int = 64,
    on_progress: Callable[[int], None] | None = None,
    on_answers: OnAnswers | None = None,
    changed: Boundary | None = None,
    layers: Indices = None,
    heads: Indices = None,
    budget: float | None = None,
) -> xr.DataTree:
    """Read a batch once and return the trace of it (schema: `workbench.trace.schema`).

    The answers after a pass are those of `wake_now` with the memory as the pass left it: blocks
    above a loop have not written yet, nor has a sleep that keeps only the writes of its last pass.
    With predict_then_sleep a window that is read awake and then slept on has two entries on the
    axis window.

    - model: never changed. Its writes can be kept if it is a `WritingModel`.
    - sleep: window, N and options; N must be fixed.
    - keep (of "states", "writes", "hidden"): besides inputs, norms and answers every S, what each
      token wrote in every pass, and the features after every block in every pass.
    - task: gives the task's name, settings and vocabulary.
    - origin: where the model comes from, as `origin_of` returns it; kept in the root's attributes.
    - batch_size: examples computed together.
    - on_progress: called with the number of examples done since the last call.
    - on_answers: called with (window, sleep_pass, wakes) of every boundary at which the model was
      asked, and of every window read awake.
    - changed: a boundary of this reading with another memory: what follows is what follows from it.
    - layers, heads: fast-weight layers (indices in the stack) and their heads to keep; None is all.
      Features are kept after all blocks, or after the chosen layers. Answers are the whole model's.
    - budget: MB (10^6 bytes) that the arrays may take, by `recorded_bytes`; None is any number.

    Result: arrays of float32; float64 where the model's memory is.

    Raises WorkbenchError: N is not fixed, `keep` names something else, the model cannot report its
    writes, the chosen layers differ in size or do not exist, the budget is exceeded, or the
    examples of the batch differ in layout.
    """
    parts = recorded_parts(
        model, batch, sleep, keep=keep, task=task, origin=origin, batch_size=batch_size,
        on_progress=on_progress, on_answers=on_answers, changed=changed,
        layers=layers, heads=heads, budget=budget,
    )  # fmt: skip
    return joined(list(parts))


def recorded_parts(
    model: SleepingModel,
    batch: Batch,
    sleep: SleepConfig,
    *,
    keep: Sequence[str] = ("states", "writes"),
    task: Task | None = None,
    origin: Mapping[str, str | int] | None = None,
    batch_size: int = 64,
    on_progress: Callable[[int], None] | None = None,
    on_answers: OnAnswers | None = None,
    changed: Boundary | None = None,
    layers: Indices = None,
    heads: Indices = None,
    budget: float | None = None,
) -> Iterator[xr.DataTree]:
    """Yield the trace `batch_size` examples at a time; as `record`."""
    _check(model, batch, sleep, keep, batch_size)
    rows, of = readings(batch, sleep), chosen(model, layers, heads)
    check_budget(_bytes(model, batch, sleep, keep, rows, of), budget)
    attributes = root_attributes(model, batch, sleep, task=task, origin=origin)
    on_answers = on_answers or (lambda window, sleep_pass, wakes: None)
    for start in range(0, len(batch), batch_size):
        part = batch.examples(slice(start, start + batch_size))
        if readings(part, sleep) != rows:
            raise WorkbenchError(
                "a batch whose examples have labels in different windows",
                "examples with the same layout",
                f"record them together, with batch_size={len(batch)}",
            )
        with _evaluating(model):
            groups = _Part(model, part, sleep, keep, rows, of, on_answers, changed).groups()
        root = _root(np.arange(start, start + len(part)), rows, sleep, attributes)
        groups = {"inputs": inputs_of(part, sleep.window, rows), **groups}
        tree = xr.DataTree.from_dict({"/": root, **{f"/{n}": found for n, found in groups.items()}})
        validate_trace(tree)
        yield tree
        if on_progress is not None:
            on_progress(len(part))


def recorded_bytes(
    model: SleepingModel,
    batch: Batch,
    sleep: SleepConfig,
    *,
    keep: Sequence[str] = ("states", "writes"),
    layers: Indices = None,
    heads: Indices = None,
) -> int:
    """Return the bytes that the arrays of a trace would take; arguments and errors as `record`."""
    _check(model, batch, sleep, keep, 1)
    return _bytes(model, batch, sleep, keep, readings(batch, sleep), chosen(model, layers, heads))


def _bytes(
    model: SleepingModel,
    batch: Batch,
    sleep: SleepConfig,
    keep: Sequence[str],
    rows: Sequence[Reading],
    of: Chosen,
) -> int:
    passes = max(passes_over(row, sleep) for row in rows)
    return needed(model, sizes_of(model, batch, sleep, rows, of), passes, keep, of)


def joined(parts: Sequence[xr.DataTree]) -> xr.DataTree:
    """Join the parts of one trace along the examples."""
    if len(parts) == 1:
        return parts[0]
    options: Any = {"data_vars": "minimal", "coords": "minimal", "compat": "override"}
    options |= {"join": "exact", "combine_attrs": "override"}
    whole = {}
    for path in ("/", *parts[0].children):
        nodes = (part if path == "/" else part.children[path] for part in parts)
        pieces = [node.to_dataset(inherit=False) for node in nodes]
        whole[path] = xr.concat(pieces, dims.EXAMPLE, **options)
    return xr.DataTree.from_dict(whole)


@dataclass
class _Part:
    """The arrays of some examples, filled event by event."""

    model: SleepingModel
    batch: Batch
    sleep: SleepConfig
    keep: Sequence[str]
    rows: Sequence[Reading]
    of: Chosen
    on_answers: OnAnswers
    changed: Boundary | None

    def __post_init__(self) -> None:
        self.layers, self.heads = self.of.layers, list(self.of.heads)
        state = self.model.empty_memory(1).fast_weights[self.layers[0]]
        self.passes = max(passes_over(row, self.sleep) for row in self.rows)
        self.corrects = np.zeros(len(self.layers), dtype=bool)
        self.dtype = np.float64 if state.dtype == torch.float64 else np.float32
        self.sizes = sizes_of(self.model, self.batch, self.sleep, self.rows, self.of)
        self.arrays: dict[str, np.ndarray] = {}
        for group in ("states", "readout", *(["writes"] if "writes" in self.keep else [])):
            for name in GROUPS[group]:
                if name != "fast_weight" or "states" in self.keep:
                    self._make(group, name)
        self._read()

    def _make(self, group: str, name: str, **sizes: int) -> None:
        axes, kind, _ = GROUPS[group][name]
        passes = {dims.SLEEP_PASS: self.passes + 1 - FIRST_PASS[group]}
        shape = [(self.sizes | passes | sizes)[axis] for axis in axes]
        fill: float | int | bool = {"f": np.nan, "i": NO_RANK, "b": False}[kind]
        dtype = self.dtype if kind == "f" else np.asarray(fill).dtype
        self.arrays[name] = np.full(shape, fill, dtype=dtype)

    def _read(self) -> None:
        watched = WatchedModel(self.model, residual="hidden" in self.keep)
        carried, changed = self.model.empty_memory(len(self.batch)), self.changed
        if changed is not None and (changed.window, changed.sleep_pass, changed.woken) == BEGINNING:
            carried = changed.memory
        reading = _events(
            cast(SleepingModel, watched), self.batch, self.sleep, changed, "hidden" in self.keep
        )
        entries = {(row.window, row.awake): entry for entry, row in enumerate(self.rows)}
        for event in reading:
            if isinstance(event, Eviction):
                carried = event.memory
                continue
            window, number = entries[event.window.index, isinstance(event, Wake)], 1
            if isinstance(event, SleepPass):
                number = event.sleep_pass
            if number == 1:
                self._keep_state(window, 0, carried.fast_weights)
                self._keep_answers(window, 0, carried)
            if isinstance(event, Wake):
                self.on_answers(window, self.sleep.wake_passes, [event])
            seen = watched.take() or [WatchedPass()]  # no block of the loop may have to run
            if event.window.isolated:  # every query leaves S as it was
                for number in range(1, self.sleep.wake_passes + 1):
                    self._keep_pass(window, number, carried.fast_weights, WatchedPass())
            elif isinstance(event, Wake):
                states = dict(carried.fast_weights)
                for wake_pass, run in enumerate(seen, 1):
                    # a block that runs again starts from the S carried in, and this S is dropped
                    again = {i for later in seen[wake_pass:] for i in later.entered}
                    kept = {i: e.left for i, e in run.entered.items() if i not in again}
                    states |= kept if self.sleep.wake_writes else {}
                    self._keep_pass(window, wake_pass, states, run)
                carried = event.memory  # a sleep over the same window may follow
            else:
                self._keep_pass(window, number, event.memory.fast_weights, seen[-1])
                self._keep_answers(window, number, event.memory)

    def _keep_pass(
        self, window: int, number: int, states: Mapping[int, Tensor], run: WatchedPass
    ) -> None:
        self._keep_state(window, number, states)
        if "writes" in self.keep:
            for index, layer in enumerate(self.layers):
                self._keep_writes((window, number - 1, index), layer, states[layer], run)
        for block, features in run.residual.items():
            if block not in self.of.blocks:
                continue
            if "residual" not in self.arrays:
                sizes = {"layer": len(self.of.blocks), "channel": features.shape[-1]}
                self._make("hidden", "residual", **sizes)
            index = self.of.blocks.index(block)
            part = self.arrays["residual"][:, window, number - 1, index, : features.shape[1]]
            part[:] = to_numpy(features)

    def _keep_state(self, window: int, number: int, states: Mapping[int, Tensor]) -> None:
        for index, layer in enumerate(self.layers):
            state = states[layer][:, self.heads]
            size = torch.linalg.matrix_norm(state)
            self.arrays["norm"][:, window, number, index] = to_numpy(size)
            if "states" in self.keep:
                self.arrays["fast_weight"][:, window, number, index] = to_numpy(state)

    def _keep_writes(
        self, at: tuple[int, int, int], layer: int, kept: Tensor, run: WatchedPass
    ) -> None:
        arrays, (window, number, index) = self.arrays, at
        for name in WRITES:
            arrays[name][:, window, number, index] = 0  # also if the pass did not run the layer
        found = writes_of(self.model, run, layer, kept)
        if found is None:
            return
        self.corrects[index] = found.corrects
        tokens = found.k.shape[1]
        for name, values in zip(
            WRITES, (found.k, found.v, found.beta, found.log_decay), strict=True
        ):
            if values is not None:
                # (example, gdn_head, token[, .])
                by_head = to_numpy(values[:, :, self.heads]).swapaxes(1, 2)
                arrays[name][:, window, number, index, :, :tokens] = by_head

    def _keep_answers(self, window: int, number: int, memory: Memory) -> None:
        row = self.rows[window]
        unasked = row.awake and self.sleep.order == "mask"
        if unasked or not self.batch.difficulty.shape[1]:
            return
        after = row.window - row.awake  # before a wake its own window is still to come
        wakes = wake_now(self.model, self.batch, self.sleep, memory, after=after)
        self.on_answers(window, number, wakes)
        for name, values in answer_scores(wakes, self.batch).data_vars.items():
            self.arrays[str(name)][:, window, number] = values.values

    def groups(self) -> dict[str, xr.Dataset]:
        """Return the groups of the trace, by name."""
        layers = {dims.LAYER: np.array(self.layers)}
        if self.of.some_heads:
            layers[dims.GDN_HEAD] = np.array(self.heads)
        coords: dict[str, dict[str, Any]] = {
            "states": layers,
            "readout": {},
            "writes": layers | {"corrects": (dims.LAYER, self.corrects)},
            "hidden": {dims.LAYER: np.array(self.of.blocks)},
        }
        found = {}
        for group, first in FIRST_PASS.items():
            held = {
                n: (v.dims, self.arrays[n]) for n, v in GROUPS[group].items() if n in self.arrays
            }
            if held:
                numbers = {dims.SLEEP_PASS: np.arange(first, self.passes + 1)}
                found[group] = xr.Dataset(held, coords[group] | numbers)
        for name in ("log_prob", "logit_diff"):
            found["readout"][name].attrs["units"] = "nat"
        return found


def _events(
    model: SleepingModel, batch: Batch, sleep: SleepConfig, changed: Boundary | None, every: bool
) -> Iterator[Event]:
    """Read; from a changed boundary on, what follows from it, with its memory in the event there.

    `every`: whether the features after the last pass of a sleep are computed too.
    """
    place = changed and (changed.window, changed.sleep_pass, changed.woken)
    if place != BEGINNING:
        for event in read(model, batch, sleep, every_output=every):
            here = boundary_after(event)
            if changed is None or (here.window, here.sleep_pass, here.woken) != place:
                yield event
                continue
            yield replace(event, memory=changed.memory)
            break
    if changed is not None:
        yield from read(model, batch, sleep, every_output=every, start=changed)


def passes_over(row: Reading, sleep: SleepConfig) -> int:
    """Return the passes of a reading: those of a wake, or N."""
    return sleep.wake_passes if row.awake else cast(int, sleep.passes)


def _root(
    examples: np.ndarray,
    rows: Sequence[Reading],
    sleep: SleepConfig,
    attributes: dict[str, str | int],
) -> xr.Dataset:
    coords = {
        dims.EXAMPLE: examples,
        dims.WINDOW: np.arange(len(rows)),
        "asleep": (dims.WINDOW, np.array([not row.awake for row in rows])),
        "n_passes": (dims.WINDOW, np.array([passes_over(row, sleep) for row in rows])),
    }
    if len({row.window for row in rows}) < len(rows):
        coords[OF_WINDOW] = (dims.WINDOW, np.array([row.window for row in rows]))
    return xr.Dataset(coords=coords, attrs=attributes)


@contextmanager
def _evaluating(model: SleepingModel) -> Iterator[None]:
    """Run without gradients, and as in evaluation."""
    training = isinstance(model, nn.Module) and model.training
    try:
        if training:
            cast(nn.Module, model).eval()
        with torch.no_grad():
            yield
    finally:
        if training:
            cast(nn.Module, model).train()


def _check(
    model: SleepingModel, batch: Batch, sleep: SleepConfig, keep: Sequence[str], batch_size: int
) -> None:
    if not isinstance(sleep.passes, int):
        raise WorkbenchError(
            f"a recording with passes {sleep.passes.kind!r}",
            "a fixed N, the same for every example",
            "use sleep.with_passes(N)",
        )
    unknown = [name for name in keep if name not in TIERS]
    if isinstance(keep, str) or unknown:
        raise WorkbenchError(
            f"keep = {keep!r}", f"some of {', '.join(TIERS)}", "write for example ('states',)"
        )
    if not len(batch) or not batch.tokens.shape[1] or batch_size < 1:
        raise WorkbenchError(
            f"a batch of shape {batch.tokens.shape} in parts of {batch_size}",
            "at least one example and one token",
            "sample some examples",
        )
    if "writes" in keep and not isinstance(model, WritingModel):
        raise WorkbenchError(
            f"the writes of a {type(model).__name__}",
            "a model with the method writes (workbench.sleep.WritingModel)",
            "record keep=('states',), or give the model that method",
        )
