"""Text under the instruments: the likeliest next tokens after each pass, and who wrote S."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch
import xarray as xr

from workbench import dims
from workbench.batch import Batch
from workbench.config import SleepConfig
from workbench.errors import WorkbenchError
from workbench.instruments.boundaries import known_passes, read_boundaries, slept_on, windows_read
from workbench.instruments.lens import ended_here
from workbench.instruments.linear import LEFT
from workbench.instruments.provenance import contribution_norms
from workbench.instruments.recorded import asleep_of
from workbench.model.arrays import to_numpy
from workbench.sleep import SleepingModel, wake_now

Decode = Callable[[Iterable[int]], str]
"""From token numbers to text, such as `Text.decode` of a pretrained model."""

PLACE = "place"
"""Dim: a place among the likeliest tokens, from 1."""


def text_batch(context: np.ndarray, prompt: np.ndarray, sleep: SleepConfig) -> Batch:
    """Return a text to be slept on and a prompt to be read awake after it, as a batch of one.

    - context: int64 ``[token]``. It is padded on the left to whole windows.
    - prompt: int64 ``[token]``, of at most a window.

    Raises WorkbenchError: either is empty, or the prompt is longer than a window.
    """
    if not len(context) or not 0 < len(prompt) < sleep.window:
        raise WorkbenchError(
            f"a text of {len(context)} tokens and a prompt of {len(prompt)}",
            f"a text, and a prompt of 1 to {sleep.window - 1} tokens (a window holds one more)",
            "give both, or choose a longer window",
        )
    padding = -len(context) % sleep.window
    # the token after the prompt is what is predicted: it is only a label, and never read from
    tokens = np.concatenate([np.zeros(padding, np.int64), context, prompt, prompt[-1:]])[None]
    place = np.arange(tokens.shape[1])[None]
    none = np.full(tokens.shape, -1)
    asked = np.zeros((1, 0), dtype=np.int64)
    return Batch(tokens, place == tokens.shape[1] - 1, place >= padding, none, asked)


@torch.no_grad()
def likeliest_tokens(
    model: SleepingModel,
    batch: Batch,
    sleep: SleepConfig,
    *,
    top: int = 5,
    decode: Decode | None = None,
) -> xr.Dataset:
    """Wake the model after every pass, and read its own head at the last label of the batch.

    - batch: such as `text_batch` makes.
    - decode: gives each token's text.

    Result: over (example, window, sleep_pass = 0..N, place): ``token``, ``probability`` (after
    softmax over all symbols) and, with `decode`, ``text``. The window is the newest one read; the
    memory is what a sleep that ended after that pass leaves.

    Raises WorkbenchError: N is not a number, nothing is slept on, nothing is asked after it, or
    `top` is not between 1 and the number of symbols.
    """
    passes, asleep = known_passes(sleep), slept_on(batch, sleep)
    if not 1 <= top <= model.vocabulary:
        raise WorkbenchError(f"top = {top}", f"1 to {model.vocabulary} tokens", "change it")
    rows, boundaries = windows_read(batch, sleep), read_boundaries(model, batch, sleep)
    shape = (len(batch), len(asleep), passes + 1, top)
    tokens, probability = np.zeros(shape, np.int64), np.zeros(shape)
    for index, window in enumerate(asleep):
        for number in range(passes + 1):
            memory = ended_here(model, batch, sleep, boundaries, (window, number))
            wakes = wake_now(model, batch, sleep, memory, after=rows[window].window)
            if not wakes:
                raise WorkbenchError(
                    "a text that asks nothing after its sleep", "a label", "give a prompt"
                )
            last = wakes[-1]
            labels = torch.as_tensor(last.window.loss_mask).any(0).nonzero()
            spread = last.logits[:, int(labels[-1]) - 1].double().softmax(-1)
            best = spread.topk(top)
            tokens[:, index, number] = to_numpy(best.indices)
            probability[:, index, number] = to_numpy(best.values)
    axes = (dims.EXAMPLE, dims.WINDOW, dims.SLEEP_PASS, PLACE)
    found = {"token": (axes, tokens), "probability": (axes, probability)}
    coords = {dims.WINDOW: asleep, dims.SLEEP_PASS: np.arange(passes + 1)}
    result = xr.Dataset(found, coords | {PLACE: np.arange(1, top + 1)})
    if decode is not None:
        texts = np.array([decode([int(token)]) for token in tokens.flat]).reshape(shape)
        result["text"] = axes, texts
    compared = "the memory after each pass, read by the same prompt and head"
    return result.assign_attrs(compared=compared, examples=len(batch))


def shares_of_text(trace: xr.DataTree, decode: Decode, *, convention: str = LEFT) -> xr.Dataset:
    """Return how much of S at the end of the text each of its tokens has written, with its text.

    - trace: keeps states and writes; convention: as in `contribution_norms`.

    Result: ``share`` (example, layer, gdn_head, text_token), passes of a token together, signed;
    ``carried_share`` (example, layer, gdn_head): with it the shares add up to 1. Coordinates:
    ``token`` and ``text`` (example, text_token). Padding and tokens read awake are left out.

    Raises WorkbenchError: as `contribution_norms`; or nothing was slept on.
    """
    asleep = np.flatnonzero(asleep_of(trace))
    if not len(asleep):
        raise WorkbenchError(
            "a trace without a sleep", "a window slept on", "record N of 1 or more"
        )
    at_end = contribution_norms(trace, convention=convention, every_token=True).isel(
        {dims.WINDOW: asleep[-1]}, drop=True
    )
    axes = (dims.EXAMPLE, dims.LAYER, dims.GDN_HEAD)
    share = at_end["share"].sum(dims.SOURCE_PASS).isel({dims.SOURCE_WINDOW: asleep})
    share = share.transpose(*axes, dims.SOURCE_WINDOW, dims.SOURCE_TOKEN)
    inputs = trace["inputs"].to_dataset().isel({dims.WINDOW: asleep})
    real = inputs["valid"].values.any(0)
    tokens = inputs["tokens"].values[:, real]
    texts = [[decode([int(token)]) for token in row] for row in tokens]
    over = (dims.EXAMPLE, "text_token")
    return xr.Dataset(
        {
            "share": ((*axes, "text_token"), share.values[:, :, :, real]),
            "carried_share": (axes, at_end["carried_share"].transpose(*axes).values),
        },
        {"token": (over, tokens), "text": (over, np.array(texts))}
        | {n: share.coords[n] for n in (dims.LAYER, dims.GDN_HEAD) if n in share.coords},
        {"convention": convention, "units": "share of S"},
    )
