"""Text under the instruments: a batch of it, and how much of S each of its tokens wrote."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import xarray as xr

from workbench import dims
from workbench.batch import Batch
from workbench.config import SleepConfig
from workbench.errors import WorkbenchError
from workbench.instruments.linear import LEFT
from workbench.instruments.provenance import contribution_norms
from workbench.instruments.recorded import asleep_of

Decode = Callable[[Iterable[int]], str]
"""From token numbers to text, such as `Text.decode` of a pretrained model."""


def text_batch(context: np.ndarray, prompt: np.ndarray, sleep: SleepConfig) -> Batch:
    """Return a text to be slept on and a prompt to be read awake after it, as a batch of one.

    What follows the prompt is its one query, so that `workbench.instruments.lens.likely_tokens`
    lists what the model would say next after each pass.

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
    last = place == tokens.shape[1] - 1
    one = np.zeros((1, 1), dtype=np.int64)
    return Batch(tokens, last, place >= padding, np.where(last, 0, -1), one)


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
