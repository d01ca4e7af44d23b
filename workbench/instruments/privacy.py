"""What is left of an evicted text: how much of it a decoder recovers from S.

The decoder is the linear probe of `workbench.instruments.probes`, trained on memories of other
texts that were treated in the same way: anyone who has the model can make any number of those. It
recovers a text token by token (`recovery`), and after something was done to the memory
(`recovery_after`). What a linear decoder does not find may still be there; what it finds is.

A decoder trained on the treated memories asks what they hold. Whether the model can still use it is
another question, which its own answers settle (`answers_after`): S at a hundredth of its size holds
the same, and the model answers far less.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
import xarray as xr

from workbench import dims
from workbench.batch import Batch
from workbench.config import SleepConfig
from workbench.errors import WorkbenchError
from workbench.instruments.boundaries import known_passes, slept_on, stacked, windows_read
from workbench.instruments.controls import UNTRAINED
from workbench.instruments.patching.components import scale, whole
from workbench.instruments.probes import probe_states
from workbench.instruments.probing.features import fast_weights, untrained
from workbench.instruments.probing.folds import groups_of
from workbench.instruments.recorded import STATE_DIMS
from workbench.model.arrays import to_numpy
from workbench.model.memory import Memory
from workbench.sleep import Eviction, SleepingModel, read, wake_now
from workbench.tasks.targets import ProbeTarget
from workbench.trace.answers import answer_scores

TREATMENTS: Final[Mapping[str, Callable[[Memory], Memory]]] = {
    "nothing": lambda memory: memory,
    "a hundredth": lambda memory: scale(memory, whole(), 0.01),
    "erased": Memory.erase,
}
"""What is done to a memory after the last sleep."""

AT_ONCE: Final = 250
"""Examples read together."""


def recovery(
    model: SleepingModel,
    batch: Batch,
    sleep: SleepConfig,
    *,
    symbols: Sequence[str],
    untrained_model: SleepingModel | None = None,
    **options: Any,
) -> xr.Dataset:
    """Recover the tokens of every window slept on from S at every place.

    - symbols: text of each symbol (a task's vocabulary).
    - untrained_model: untrained weights; None makes new ones from the model's configuration.
    - **options: seeds, regularisations, workers, progress and stop, as `probe_states` has them.

    Result:
    - ``recovered (seed, window, sleep_pass, layer, source_window)``: share of a window's tokens
      decoded correctly; ``recovered_low, recovered_high`` (without seed) are the 95 % interval of
      the mean over seeds.
    - ``token_recovered (seed, window, sleep_pass, layer, source_window, token)``: the same by place
      in the window.
    - ``chance (seed, window, sleep_pass, layer, source_window, baseline)``: "majority", the
      commonest token at its place; "untrained weights", the same decoder on the memory of a model
      that was never trained.

    Coordinate ``age (window, source_window)``: windows read since, negative for a text that
    has not been read yet.

    Raises WorkbenchError: as `fast_weights` and `probe_states`.
    """
    texts = text_targets(batch, sleep, symbols)
    fresh = untrained_model or untrained(model)
    states, blank = (fast_weights(m, batch, sleep) for m in (model, fresh))
    options |= {"compared": {UNTRAINED: blank}, "controls": False}
    result = _of_texts(probe_states(states, texts, groups_of(batch, sleep), **options), texts)
    read_as = np.array([row.window for row in windows_read(batch, sleep)])
    axes = dims.WINDOW, dims.SOURCE_WINDOW
    window, source = (read_as[result[dim].values] for dim in axes)
    return result.assign_coords(age=(axes, window[:, None] - source))


def recovery_after(
    model: SleepingModel,
    batch: Batch,
    sleep: SleepConfig,
    *,
    others: Sequence[Batch] = (),
    facts: Sequence[ProbeTarget] = (),
    symbols: Sequence[str],
    untrained_model: SleepingModel | None = None,
    **options: Any,
) -> xr.Dataset:
    """Recover texts, and what follows from them, after something was done to the memory.

    - model, batch, sleep, symbols, untrained_model, **options: as in `recovery`.
    - others: other texts, slept on one after the other: each gives one more treatment besides
      `TREATMENTS`, "1 other text", "2 other texts" and so on. As many examples as in `batch`, drawn
      apart from it.
    - facts: what the text says, in any wording: a task's `probe_targets` for `batch`.

    Result: ``recovered (seed, treatment, layer, source_window)`` with ``_low``, ``_high``,
    ``token_recovered`` and ``chance``, as in `recovery`; the same of the facts, but for tokens, as
    ``fact_recovered (seed, treatment, layer, target)`` and so on.

    Raises WorkbenchError: other texts of another number of examples, or as `recovery`.
    """
    if wrong := [len(other) for other in others if len(other) != len(batch)]:
        raise WorkbenchError(
            f"another text for {wrong[0]} examples", f"one for each of {len(batch)}", "draw as many"
        )
    fresh = untrained_model or untrained(model)
    states, blank = (_treated(m, batch, sleep, others) for m in (model, fresh))
    groups, names = groups_of(batch, sleep, facts), _names(others)
    options |= {"compared": {UNTRAINED: blank}, "controls": False}

    def of(targets: Sequence[ProbeTarget]) -> xr.Dataset:
        found = probe_states(states, targets, groups, **options).isel(
            {dims.SLEEP_PASS: 0}, drop=True
        )
        return found.rename({dims.WINDOW: dims.TREATMENT}).assign_coords({dims.TREATMENT: names})

    texts = text_targets(batch, sleep, symbols)
    found = [_of_texts(of(texts), texts)]
    if facts:
        of_facts = _renamed(of(facts))
        found.append(of_facts.rename({name: f"fact_{name}" for name in of_facts.data_vars}))
    return xr.merge(found, combine_attrs="override")


@torch.no_grad()
def answers_after(
    model: SleepingModel, batch: Batch, sleep: SleepConfig, *, others: Sequence[Batch] = ()
) -> xr.DataArray:
    """Return which queries the model itself answers right after something was done to its memory.

    A decoder that is trained again after each treatment does not notice that S got smaller; the
    model, whose weights stay as they are, does.

    - model, batch, sleep, others: as in `recovery_after`.

    Result: bool ``(treatment, example, query)``: the model wakes with the treated memory and reads
    the windows with queries that follow the last sleep. Coordinate ``asked (example, query)``:
    which queries those are.

    Raises WorkbenchError: N is random, or nothing is slept on.
    """
    known_passes(sleep)
    last = _last_slept(batch, sleep)
    parts, asked = [], []
    for part, memories in _memories(model, batch, sleep, others):
        wakes = (wake_now(model, part, sleep, memory, after=last) for memory in memories)
        scores = [answer_scores(w, part) for w in wakes]
        parts.append(np.stack([each["correct"].values for each in scores]))
        asked.append(scores[0]["rank"].values > 0)
    cases = (dims.EXAMPLE, dims.QUERY)
    return xr.DataArray(
        np.concatenate(parts, axis=1),
        {dims.TREATMENT: _names(others), "asked": (cases, np.concatenate(asked))},
        (dims.TREATMENT, *cases),
    )


def text_targets(batch: Batch, sleep: SleepConfig, symbols: Sequence[str]) -> list[ProbeTarget]:
    """Return the question which token stands where, for every window slept on.

    Items are the places of a window, classes the symbols; padding has no label.
    """
    targets = []
    places = min(sleep.window, batch.tokens.shape[1])
    rows = windows_read(batch, sleep)
    for window in slept_on(batch, sleep):
        part = slice(rows[window].start, rows[window].stop)
        labels = np.full((len(batch), places), -1, dtype=np.int64)
        said = np.where(batch.valid[:, part], batch.tokens[:, part], -1)
        labels[:, : said.shape[1]] = said
        targets.append(
            ProbeTarget(
                name=f"text of window {window}",
                level=window,
                labels=labels,
                classes=tuple(symbols),
                items=tuple(f"token {place}" for place in range(places)),
                kinds=None,
                asked_by=np.full(labels.shape, -1, dtype=np.int64),
                symbols=np.arange(len(symbols)),
                meaning=f"Which token stands there in window {window}?",
            )
        )
    return targets


@torch.no_grad()
def _treated(
    model: SleepingModel, batch: Batch, sleep: SleepConfig, others: Sequence[Batch]
) -> xr.DataArray:
    """Return S after each treatment, with the dims of `fast_weights`; window counts treatments."""
    known_passes(sleep)
    parts = []
    for _, memories in _memories(model, batch, sleep, others):
        found = [to_numpy(stacked(memory)[0]) for memory in memories]
        parts.append(np.stack(found, axis=1)[:, :, None])
    values = np.concatenate(parts)
    layers = sorted(model.empty_memory(1).fast_weights)
    windows = np.arange(values.shape[1])
    index = {dims.WINDOW: windows, dims.SLEEP_PASS: [0], dims.LAYER: layers}
    return xr.DataArray(values, index, STATE_DIMS)


def _memories(
    model: SleepingModel, batch: Batch, sleep: SleepConfig, others: Sequence[Batch]
) -> Iterator[tuple[Batch, Iterator[Memory]]]:
    """Yield a part of the examples with its memory after each treatment, one after the other."""

    def treated(part: slice) -> Iterator[Memory]:
        memory = _slept(model, batch.examples(part), sleep, None)
        yield from (treat(memory) for treat in TREATMENTS.values())
        for other in others:
            memory = _slept(model, other.examples(part), sleep, memory)
            yield memory

    for start in range(0, len(batch), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        yield batch.examples(part), treated(part)


def _names(others: Sequence[Batch]) -> list[str]:
    """Return the name of each treatment, other texts last."""
    texts = (f"{i} other text{'s' if i > 1 else ''}" for i in range(1, len(others) + 1))
    return [*TREATMENTS, *texts]


def _slept(model: SleepingModel, batch: Batch, sleep: SleepConfig, memory: Memory | None) -> Memory:
    """Return what crosses the boundary after the last window slept on."""
    last = _last_slept(batch, sleep)
    for event in read(model, batch, sleep, memory=memory):
        if isinstance(event, Eviction) and event.window.index == last:
            return event.memory
    raise AssertionError("every window ends with an eviction")


def _last_slept(batch: Batch, sleep: SleepConfig) -> int:
    """Return the index of the last window that is slept on."""
    return windows_read(batch, sleep)[slept_on(batch, sleep)[-1]].window


def _of_texts(found: xr.Dataset, texts: Sequence[ProbeTarget]) -> xr.Dataset:
    """Return a probes' result with the axes of texts: source window and token."""
    names = {
        dims.TARGET: dims.SOURCE_WINDOW, dims.ITEM: dims.TOKEN, "item_accuracy": "token_recovered",
    }  # fmt: skip
    kept = _renamed(found, "item_accuracy").drop_vars(["level", "meaning"]).rename(names)
    return kept.assign_coords(
        {
            dims.SOURCE_WINDOW: [text.level for text in texts],
            dims.TOKEN: np.arange(len(texts[0].items)),
        }
    )


def _renamed(found: xr.Dataset, *kept: str) -> xr.Dataset:
    names = {
        "accuracy": "recovered",
        "low": "recovered_low",
        "high": "recovered_high",
        "baseline_accuracy": "chance",
    }
    return found[[*names, *kept]].rename(names)
