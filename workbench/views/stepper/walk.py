"""A walk through one sleep: pulls `read` one event at a time and keeps what it saw. No Panel.

The events come from the very generator that training exhausts; nothing is computed a second
time. What a pane needs is handed out as xarray, with the dims of `workbench.dims`.
"""

from __future__ import annotations

from dataclasses import dataclass

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
from workbench.sleep import Eviction, SleepPass, Wake, read, wake_now
from workbench.tasks.base import Task
from workbench.trace.answers import said_tokens
from workbench.training.loss import answer_probabilities, query_correct, token_correct
from workbench.views.cursor.cursor import Extent, Place
from workbench.views.cursor.problem import without_padding

OTHER = "other"
"""Name of the symbol that stands for every symbol which is no candidate."""


@dataclass(frozen=True)
class Frame:
    """What there is at one stop.

    Attributes
    ----------
    memory : Memory
        The memory here; at pass 0 what the eviction before left.
    wakes : tuple of Wake
        Windows read awake so far.
    """

    memory: Memory
    wakes: tuple[Wake, ...]


class Walk:
    """One example read by one model with N fixed, one event after another.

    Parameters
    ----------
    model : HybridModel
        The network; never changed.
    batch : Batch
        One example.
    sleep : SleepConfig
        Window, eviction and a fixed N.
    task : Task
        What the example belongs to.

    Attributes
    ----------
    spans : tuple of (int, int)
        Token range of each window.
    awake : tuple of bool
        Which windows are read awake.
    extent : Extent
        What a cursor on this walk ranges over.
    one_symbol : bool
        Whether every answer is a single symbol, so that its probability is the answer's.
    """

    def __init__(self, model: HybridModel, batch: Batch, sleep: SleepConfig, task: Task) -> None:
        if len(batch) != 1 or not isinstance(sleep.passes, int):
            raise ValueError(f"a walk takes one example and a fixed N, not {len(batch)}, {sleep}")
        batch = without_padding(batch, sleep.window)
        self.model, self.batch, self.sleep, self.task = model, batch, sleep, task
        starts = range(0, batch.tokens.shape[1], sleep.window)
        self.spans = tuple((s, min(s + sleep.window, batch.tokens.shape[1])) for s in starts)
        self.awake = tuple(bool(batch.loss_mask[:, slice(*span)].any()) for span in self.spans)
        passes = tuple(1 if awake else sleep.passes for awake in self.awake)
        asked = int((batch.difficulty[0] >= 0).sum())
        heads = model.config.gdn_heads
        self.extent = Extent(passes, model.fast_weight_layers, heads, asked)
        answer_tokens = np.bincount(batch.answer_of[0][batch.answer_of[0] >= 0])
        self.one_symbol = bool((answer_tokens == 1).all())
        self._events = read(model, batch, sleep)
        self._memory = model.empty_memory(1)
        self._frames = {Place(0, 0): Frame(self._memory, ())}
        self._answers: dict[Place, xr.Dataset] = {}
        self._states: dict[int, xr.DataArray] = {}
        self._scales: dict[tuple[str, int], float] = {}
        self._replays: dict[int, xr.DataArray] | None = None
        self._summary: xr.Dataset | None = None
        self._curves: xr.DataArray | None = None

    @property
    def passes(self) -> int:
        """N."""
        assert isinstance(self.sleep.passes, int)
        return self.sleep.passes

    @property
    def places(self) -> tuple[Place, ...]:
        """Every stop, in order."""
        return self.extent.places

    @property
    def last_sleep(self) -> Place:
        """Where the last sleep ends: all that is to be learnt has been read."""
        asleep = [w for w, awake in enumerate(self.awake) if not awake]
        return Place(asleep[-1], self.extent.passes[asleep[-1]]) if asleep else Place(0, 0)

    @torch.no_grad()
    def frame(self, place: Place) -> Frame:
        """Return what there is at a stop, pulling as many events as it takes."""
        while place not in self._frames:
            event = next(self._events)
            wakes = next(reversed(self._frames.values())).wakes
            if isinstance(event, SleepPass):
                here = Place(event.window.index, event.sleep_pass)
            elif isinstance(event, Wake):
                here = Place(event.window.index, 1)
                wakes = (*wakes, event)
            elif isinstance(event, Eviction):
                here = Place(event.window.index + 1, 0)
            self._frames[here] = Frame(event.memory, wakes)
        return self._frames[place]

    def finish(self) -> None:
        """Pull every event that is left."""
        self.frame(self.places[-1])

    def states(self, window: int) -> xr.DataArray:
        """Return S at every pass of a window.

        Returns
        -------
        DataArray
            float32 ``(sleep_pass 0..N, layer, gdn_head, key, value)``.
        """
        if window not in self._states:
            passes = range(self.extent.passes[window] + 1)
            values = np.stack([_stacked(self.frame(Place(window, p)).memory) for p in passes])
            self._states[window] = _fast_weights(values, np.array(passes), self.extent.layers)
        return self._states[window]

    def scale(self, quantity: str, layer: int) -> float:
        """Return the largest absolute value that a layer's heatmaps show at any stop.

        Parameters
        ----------
        quantity : {"state", "change", "sleep_change"}
            What is shown of S ``(sleep_pass, gdn_head, key, value)``.
        layer : int
            A fast-weight layer, an index of the stack.

        Returns
        -------
        float
            In units of S; 1 where all is zero.
        """
        if (quantity, layer) not in self._scales:
            largest = 0.0
            for window in range(len(self.spans)):
                shown = shown_quantity(self.states(window).sel({dims.LAYER: layer}), quantity)
                largest = max(largest, float(np.abs(shown).max()))
            self._scales[quantity, layer] = largest or 1.0
        return self._scales[quantity, layer]

    def summary(self) -> xr.Dataset:
        """Return what each pass did, window by window.

        Returns
        -------
        Dataset
            ``norm``, ``relative_change``, ``effective_rank`` (window, sleep_pass, layer,
            gdn_head) as in `summarise`, and ``memory_change`` (window, sleep_pass) over all
            layers and heads together; NaN where a window has no such pass.
        """
        if self._summary is None:
            each = [summarise(self.states(w)) for w in range(len(self.spans))]
            self._summary = xr.concat(each, dim=dims.WINDOW, join="outer")
        return self._summary

    @torch.no_grad()
    def replay(self, window: int) -> xr.DataArray | None:
        """Return the baseline for a change per pass: the first pass again and again.

        The window is read `N` times from its embeddings, so that features never go from pass to
        pass: what is left is the change that writing the same thing twice makes. Where one
        fast-weight layer follows attention only, keys, values and gates are exactly those of
        pass 1.

        Returns
        -------
        DataArray or None
            ``relative_change`` (sleep_pass, layer, gdn_head); None for windows read awake, and
            with sliding eviction, where a pass also sees the cache of earlier windows.
        """
        if self.awake[window] or self.sleep.eviction != "hard":
            return None
        passes = self.extent.passes[window]
        part = self.batch.token_range(*self.spans[window])
        once = {
            name: np.tile(getattr(part, name), (1, passes))
            for name in ("tokens", "loss_mask", "valid", "answer_of")
        }
        tiled = Batch(**once, difficulty=part.difficulty)
        start, stop = self.spans[window]
        sleep = self.sleep.model_copy(update={"passes": 1, "window": stop - start})
        memory = self.frame(Place(window, 0)).memory
        values = [_stacked(memory)]
        for event in read(self.model, tiled, sleep, memory=memory):
            if isinstance(event, SleepPass):
                values.append(_stacked(event.memory))
        states = _fast_weights(np.stack(values), np.arange(passes + 1), self.extent.layers)
        return summarise(states)["relative_change"]

    def replays(self, layer: int) -> dict[int, xr.DataArray]:
        """Return `replay` of every window that is slept on, for one layer."""
        if self._replays is None:
            found = {w: self.replay(w) for w in range(len(self.spans))}
            self._replays = {w: values for w, values in found.items() if values is not None}
        return {w: v.sel({dims.LAYER: layer}, drop=True) for w, v in self._replays.items()}

    @torch.no_grad()
    def answers(self, place: Place) -> xr.Dataset:
        """Return what the model answers if it wakes here, and what it answered awake before.

        Returns
        -------
        Dataset
            ``probability`` (query, symbol) of each answer's first token, over the symbols of the
            context and `OTHER`; ``right`` (query), the right symbol; ``right_probability``
            (query), of the right first token; ``answer`` (query), the whole answer in letters;
            ``correct`` (query), whether it is right; ``given`` (query), whether the model has
            said it awake; ``chance`` (query), `Task.best_guess`; ``difficulty`` (query).
        """
        if place in self._answers:
            return self._answers[place]
        frame = self.frame(place)
        done = {wake.window.index for wake in frame.wakes}
        after = max((place.window - (place.sleep_pass == 0), *done))
        pending = wake_now(self.model, self.batch, self.sleep, frame.memory, after=after)
        wakes = [*frame.wakes, *pending]
        answers = answers_datasets(wakes, self.batch, self.task)[0]
        given = [self._window_of_answer(query) in done for query in answers[dims.QUERY].values]
        self._answers[place] = answers.assign(given=((dims.QUERY,), np.array(given, dtype=bool)))
        return self._answers[place]

    def _window_of_answer(self, query: int) -> int:
        """Return the window in which the query number `query` of those asked is answered."""
        asked = np.flatnonzero(self.batch.difficulty[0] >= 0)
        return int((self.batch.answer_of[0] == asked[query]).argmax()) // self.sleep.window

    @torch.no_grad()
    def _answer_together(self, window: int) -> None:
        """Wake at every stop of one sleep as one batch, which is quicker than one by one."""
        places = [Place(window, p) for p in range(self.extent.passes[window] + 1)]
        frames = [self.frame(place) for place in places]
        alike = self.sleep.eviction == "hard" and self.sleep.conv_state == "zero"
        if self.awake[window] or frames[0].wakes or not alike:
            return  # some answers are given already, or the memories differ in shape
        states = [frame.memory.fast_weights for frame in frames]
        memory = Memory({i: torch.cat([state[i] for state in states]) for i in states[0]})
        batch = concatenate([self.batch] * len(places))
        wakes = wake_now(self.model, batch, self.sleep, memory, after=window)
        for place, answers in zip(places, answers_datasets(wakes, batch, self.task), strict=True):
            given = ((dims.QUERY,), np.zeros(answers.sizes[dims.QUERY], dtype=bool))
            self._answers.setdefault(place, answers.assign(given=given))

    def answer_curves(self) -> xr.DataArray:
        """Return the right answer's probability at every stop ``(window, sleep_pass, query)``."""
        if self._curves is not None:
            return self._curves
        for window in range(len(self.spans)):
            self._answer_together(window)
        curves = [
            xr.concat(
                [self.answers(Place(w, p))["right_probability"] for p in range(last + 1)],
                dim=xr.IndexVariable(dims.SLEEP_PASS, np.arange(last + 1)),
            )
            for w, last in enumerate(self.extent.passes)
        ]
        self._curves = xr.concat(curves, dim=dims.WINDOW, join="outer")
        return self._curves

    def cached_tokens(self, place: Place) -> range:
        """Return the tokens whose keys and values attention can see at a stop.

        Within a pass that is the window itself (rebuilt by every pass), preceded with sliding
        eviction by what was kept of earlier windows; between windows only what was kept.
        """
        start, stop = self.spans[place.window]
        kept = 0 if self.sleep.eviction == "hard" else min(start, self.sleep.window - 1)
        return range(start - kept, start if place.sleep_pass == 0 else stop)


def summarise(states: xr.DataArray) -> xr.Dataset:
    """Return norm, relative change and effective rank of each head at each pass.

    Parameters
    ----------
    states : DataArray
        S ``(sleep_pass, layer, gdn_head, key, value)``.

    Returns
    -------
    Dataset
        ``norm`` and ``effective_rank`` as `spectra_of`, ``relative_change`` and
        ``memory_change`` as `changes_of`.
    """
    change, spectra = changes_of(states, modes=1), spectra_of(states)
    names = ("relative_change", "memory_change")
    found = {name: spectra[name] for name in ("norm", "effective_rank")}
    return xr.Dataset(found | {name: change[name] for name in names}).drop_vars(
        dims.MODE, errors="ignore"
    )


def answers_datasets(wakes: list[Wake], batch: Batch, task: Task) -> list[xr.Dataset]:
    """Return the answers of every example of a batch, each as in `Walk.answers`."""
    probability = answer_probabilities(wakes, batch)  # (example, query, symbol)
    correct = query_correct(token_correct(wakes, batch), batch)
    said = said_tokens(wakes, batch)
    return [
        _answers_of(batch.examples(slice(i, i + 1)), task, probability[i], correct[i], said[i])
        for i in range(len(batch))
    ]


def _answers_of(
    batch: Batch, task: Task, probability: np.ndarray, correct: np.ndarray, said: np.ndarray
) -> xr.Dataset:
    asked = batch.difficulty[0] >= 0
    probability, correct = probability[asked], correct[asked]
    is_answer = batch.answer_of[0] == np.flatnonzero(asked)[:, None]  # (query, token)
    right = batch.tokens[0][is_answer.argmax(axis=1)]
    answer = []
    for places in is_answer:
        answer.append(task.spell([task.vocabulary[s] for s in said[places]]))
    context = batch.tokens[0, : task.context_tokens][batch.valid[0, : task.context_tokens]]
    candidates = np.union1d(context, right)
    shown = probability[:, candidates]
    rest = np.clip(1.0 - shown.sum(axis=1, keepdims=True), 0.0, 1.0)
    names = [task.vocabulary[symbol] for symbol in candidates]
    return xr.Dataset(
        {
            "probability": (
                (dims.QUERY, dims.SYMBOL),
                np.concatenate((shown, rest), axis=1).astype(np.float32),
            ),
            "right": ((dims.QUERY,), np.searchsorted(candidates, right)),
            "right_probability": (
                (dims.QUERY,),
                probability[np.arange(len(right)), right].astype(np.float32),
            ),
            "answer": ((dims.QUERY,), answer),
            "correct": ((dims.QUERY,), correct),
            "chance": ((dims.QUERY,), task.best_guess(batch)[0][asked]),
            "difficulty": ((dims.QUERY,), batch.difficulty[0][asked]),
        },
        {dims.SYMBOL: [*names, OTHER], dims.QUERY: np.arange(len(right))},
    )


def _stacked(memory: Memory) -> np.ndarray:
    """Return S of every layer of one sequence, float32 ``[layer, gdn_head, key, value]``."""
    layers = [memory.fast_weights[i][0] for i in sorted(memory.fast_weights)]
    return to_numpy(torch.stack(layers).float())


def _fast_weights(values: np.ndarray, passes: np.ndarray, layers: tuple[int, ...]) -> xr.DataArray:
    over = (dims.SLEEP_PASS, dims.LAYER, dims.GDN_HEAD, dims.KEY, dims.VALUE)
    coords = {name: np.arange(size) for name, size in zip(over, values.shape, strict=True)}
    coords |= {dims.SLEEP_PASS: passes, dims.LAYER: np.array(layers)}
    return xr.DataArray(values, coords, over, name="fast_weight")
