"""A walk through one sleep: pulls `read` one event at a time and keeps what it saw. No Panel.

The events come from the generator that training exhausts. The walk also computes what a pane
compares them with: the answers if the model woke at a boundary (`wake_now`), and the sleep that
rewrites only (`read` with ``feed_back=False``). Panes get xarray with the dims of `workbench.dims`.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np
import torch
import xarray as xr

from workbench import dims
from workbench.batch import Batch, concatenate
from workbench.config import SleepConfig
from workbench.figures import shown_quantity
from workbench.instruments.change import changes_of
from workbench.instruments.spectra import spectra_of
from workbench.model import HybridModel, Memory
from workbench.model.arrays import to_numpy
from workbench.sleep import SleepPass, Wake, read, wake_now
from workbench.sleep.eviction import cached_tokens
from workbench.sleep.windows import readings
from workbench.tasks.base import Task
from workbench.theatre.answers import Asked, answers_of
from workbench.theatre.problem import without_padding
from workbench.views.cursor.cursor import BoundaryIndex, Extent
from workbench.views.stepper.written import written_by_token


class Walk:
    """One example read by one model with N fixed, one event after another.

    `rows` are the readings, awake or asleep, and what is called a window here is one of them: with
    predict_then_sleep a window of the text has two. `spans` is the token range of each, and
    `extent` what a cursor on this walk ranges over. `one_symbol` says whether every answer is a
    single symbol, so that its probability is the answer's. The model is never changed.
    """

    def __init__(self, model: HybridModel, batch: Batch, sleep: SleepConfig, task: Task) -> None:
        if len(batch) != 1 or not isinstance(sleep.passes, int):
            raise ValueError(f"a walk takes one example and a fixed N, not {len(batch)}, {sleep}")
        batch = without_padding(batch, sleep.window)
        self.model, self.batch, self.sleep, self.task = model, batch, sleep, task
        self.rows = readings(batch, sleep)
        self.spans = tuple((row.start, row.stop) for row in self.rows)
        several = len(self.rows) > len(batch.windows(sleep.window))
        self.extent = Extent(
            passes=tuple(1 if row.awake else sleep.passes for row in self.rows),
            awake=tuple(row.awake for row in self.rows),
            layers=model.fast_weight_layers,
            heads=model.config.gdn_heads,
            queries=int((batch.difficulty[0] >= 0).sum()),
            of_window=tuple(row.window for row in self.rows) if several else (),
        )
        self._entry = {(row.window, row.awake): n for n, row in enumerate(self.rows)}
        self.asked = Asked(batch, task)
        self.one_symbol = self.asked.one_symbol
        self._events = read(model, batch, sleep)
        self._memories = {BoundaryIndex(0, 0): model.empty_memory(1)}
        self._wakes: dict[int, Wake] = {}
        self._answers: dict[BoundaryIndex, xr.Dataset] = {}
        self._states: dict[int, xr.DataArray] = {}
        self._scales: dict[tuple[str, int], float] = {}

    @property
    def passes(self) -> int:
        """N."""
        assert isinstance(self.sleep.passes, int)
        return self.sleep.passes

    @torch.no_grad()
    def memory(self, boundary: BoundaryIndex) -> Memory:
        """Return the memory at a boundary, pulling as many events as it takes."""
        while boundary not in self._memories:
            event = next(self._events)
            window = event.window.index
            asleep = self._entry.get((window, False))
            if isinstance(event, SleepPass):
                assert asleep is not None
                reached = BoundaryIndex(asleep, event.sleep_pass)
            elif isinstance(event, Wake):
                entry = self._entry[window, True]
                reached = BoundaryIndex(entry, 1)
                self._wakes[entry] = event
                if asleep is not None:
                    self._memories[BoundaryIndex(asleep, 0)] = event.memory
            else:
                entry = self._entry[window, True] if asleep is None else asleep
                reached = BoundaryIndex(entry + 1, 0)
            self._memories[reached] = event.memory
        return self._memories[boundary]

    def wakes(self, boundary: BoundaryIndex) -> list[Wake]:
        """Return the windows read awake by a boundary."""
        self.memory(boundary)
        return [wake for window, wake in self._wakes.items() if (window, 1) <= boundary]

    def finish(self) -> None:
        """Pull every event that is left."""
        self.memory(self.extent.boundaries[-1])

    def states(self, window: int) -> xr.DataArray:
        """Return S of a window, float32 ``(sleep_pass 0..N, layer, gdn_head, key, value)``."""
        if window not in self._states:
            passes = range(self.extent.passes[window] + 1)
            values = np.stack([_stacked(self.memory(BoundaryIndex(window, p))) for p in passes])
            self._states[window] = _fast_weights(values, np.array(passes), self.extent.layers)
        return self._states[window]

    def scale(self, quantity: str, layer: int) -> float:
        """Return the largest absolute value that a layer's heatmaps show at any boundary.

        `quantity` is "state", "change" or "sleep_change"; in units of S, 1 where all is zero.
        """
        if (quantity, layer) not in self._scales:
            largest = 0.0
            for window in range(len(self.spans)):
                shown = shown_quantity(self.states(window).sel({dims.LAYER: layer}), quantity)
                largest = max(largest, float(np.abs(shown).max()))
            self._scales[quantity, layer] = largest or 1.0
        return self._scales[quantity, layer]

    @cached_property
    def summary(self) -> xr.Dataset:
        """What each pass did, window by window; NaN where a window has no such pass.

        ``norm``, ``relative_change``, ``effective_rank`` (window, sleep_pass, layer, gdn_head) as
        in `summarise`, and ``memory_change`` (window, sleep_pass) over all layers and heads.
        """
        each = [summarise(self.states(w)) for w in range(len(self.spans))]
        return xr.concat(each, dim=dims.WINDOW, join="outer")

    @torch.no_grad()
    def rewrite(self, window: int) -> xr.DataArray | None:
        """Return the baseline for a change per pass: a sleep that rewrites only.

        Every pass reads the embeddings again, so features never go from pass to pass; what is left
        is the change that writing the same thing twice makes. Where one fast-weight layer follows
        attention only, keys, values and gates are exactly those of pass 1, as in the frozen replay
        of `workbench.instruments.change`.

        ``relative_change`` (sleep_pass, layer, gdn_head); None for windows read awake, and with
        sliding eviction, where a pass also sees the cache of earlier windows.
        """
        if self.extent.awake[window] or self.sleep.eviction != "hard":
            return None
        start, stop = self.spans[window]
        options = {"feed_back": False, "write": "every_pass", "loop": None, "window": stop - start}
        sleep = self.sleep.model_copy(update={**options, "order": "mask"})
        memory = self.memory(BoundaryIndex(window, 0))
        text = self.batch.token_range(start, stop)
        unasked = replace(text, loss_mask=np.zeros_like(text.loss_mask))
        events = read(self.model, unasked, sleep, memory=memory)
        passed = [event.memory for event in events if isinstance(event, SleepPass)]
        values = np.stack([_stacked(memory) for memory in (memory, *passed)])
        states = _fast_weights(values, np.arange(len(values)), self.extent.layers)
        return summarise(states)["relative_change"]

    @cached_property
    def _rewrites(self) -> dict[int, xr.DataArray]:
        found = {w: self.rewrite(w) for w in range(len(self.spans))}
        return {w: values for w, values in found.items() if values is not None}

    def rewrites(self, layer: int) -> dict[int, xr.DataArray]:
        """Return `rewrite` of every window that is slept on, for one layer."""
        return {w: v.sel({dims.LAYER: layer}, drop=True) for w, v in self._rewrites.items()}

    @torch.no_grad()
    def answers(self, boundary: BoundaryIndex) -> xr.Dataset:
        """Return what the model answers if it wakes here, and what it answered awake before.

        As `workbench.theatre.answers.Asked.answers`, and ``given``: whether the model has said it
        awake.
        """
        if boundary in self._answers:
            return self._answers[boundary]
        memory, wakes = self.memory(boundary), self.wakes(boundary)
        done = {wake.window.index for wake in wakes}
        after = max((self.rows[boundary.window].window - (boundary.sleep_pass == 0), *done))
        wakes += wake_now(self.model, self.batch, self.sleep, memory, after=after)
        answers = self.asked.answers(wakes)
        given = [self._window_of_answer(query) in done for query in answers[dims.QUERY].values]
        self._answers[boundary] = answers.assign(given=((dims.QUERY,), np.array(given, dtype=bool)))
        return self._answers[boundary]

    def _window_of_answer(self, query: int) -> int:
        """Return the text's window in which query number `query` of those asked is answered."""
        asked = np.flatnonzero(self.batch.difficulty[0] >= 0)
        token = int((self.batch.answer_of[0] == asked[query]).argmax())
        return next(row.window for row in self.rows if token < row.stop)

    @torch.no_grad()
    def _answer_together(self, window: int) -> None:
        """Wake at every boundary of one sleep as one batch, which is quicker than one by one."""
        boundaries = [BoundaryIndex(window, p) for p in range(self.extent.passes[window] + 1)]
        states = [self.memory(boundary).fast_weights for boundary in boundaries]
        alike = self.sleep.eviction == "hard" and self.sleep.conv_state == "zero"
        if self.extent.awake[window] or self.wakes(boundaries[0]) or not alike:
            return  # some answers are given already, or the memories differ in shape
        memory = Memory({i: torch.cat([state[i] for state in states]) for i in states[0]})
        batch = concatenate([self.batch] * len(boundaries))
        wakes = wake_now(self.model, batch, self.sleep, memory, after=self.rows[window].window)
        each = answers_of([self.asked] * len(boundaries), wakes)
        for boundary, answers in zip(boundaries, each, strict=True):
            given = ((dims.QUERY,), np.zeros(answers.sizes[dims.QUERY], dtype=bool))
            self._answers.setdefault(boundary, answers.assign(given=given))

    @cached_property
    def answer_curves(self) -> xr.DataArray:
        """The right answer's probability, ``(window, sleep_pass, query)``."""
        for window in range(len(self.spans)):
            self._answer_together(window)
        curves = [
            xr.concat(
                [self.answers(BoundaryIndex(w, p))["right_probability"] for p in range(last + 1)],
                dim=xr.IndexVariable(dims.SLEEP_PASS, np.arange(last + 1)),
            )
            for w, last in enumerate(self.extent.passes)
        ]
        return xr.concat(curves, dim=dims.WINDOW, join="outer")

    @cached_property
    def _written(self) -> xr.DataArray | None:
        return written_by_token(self.model, self.batch, self.sleep, self.extent.passes)

    def written(self, boundary: BoundaryIndex) -> np.ndarray | None:
        """Return each token's share of S at a boundary, ``[token]``; None where it has none."""
        if self._written is None:
            return None
        here = self._written.values[boundary]  # (source_window, source_token)
        if np.isnan(here).all():
            return None
        found = np.zeros(self.batch.tokens.shape[1])
        for entry, (start, end) in enumerate(self.spans):  # a window may be read twice
            found[start:end] += np.nan_to_num(here[entry, : end - start])
        return found

    def evicted_tokens(self, boundary: BoundaryIndex) -> int:
        """Return how many tokens, from the first, have been read and evicted at a boundary."""
        return self.cached_tokens(boundary).start

    def cached_tokens(self, boundary: BoundaryIndex) -> range:
        """Return the tokens whose keys and values attention can see at a boundary."""
        return cached_tokens(self.spans[boundary.window], boundary.sleep_pass, self.sleep)


def summarise(states: xr.DataArray) -> xr.Dataset:
    """Return what each pass did to S ``(sleep_pass, layer, gdn_head, key, value)``.

    ``norm`` and ``effective_rank`` as `spectra_of`, ``relative_change`` and ``memory_change`` as
    `changes_of`.
    """
    change, spectra = changes_of(states, modes=0), spectra_of(states)
    names = ("relative_change", "memory_change")
    found = {name: spectra[name] for name in ("norm", "effective_rank")}
    return xr.Dataset(found | {name: change[name] for name in names})


def _stacked(memory: Memory) -> np.ndarray:
    """Return S of every layer of one sequence, float32 ``[layer, gdn_head, key, value]``."""
    layers = [memory.fast_weights[i][0] for i in sorted(memory.fast_weights)]
    return to_numpy(torch.stack(layers).float())


def _fast_weights(values: np.ndarray, passes: np.ndarray, layers: tuple[int, ...]) -> xr.DataArray:
    over = (dims.SLEEP_PASS, dims.LAYER, dims.GDN_HEAD, dims.KEY, dims.VALUE)
    coords = {name: np.arange(size) for name, size in zip(over, values.shape, strict=True)}
    coords |= {dims.SLEEP_PASS: passes, dims.LAYER: np.array(layers)}
    return xr.DataArray(values, coords, over, name="fast_weight")
