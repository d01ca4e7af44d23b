"""How much of S each token of an example has written, at every boundary. Knows no Panel."""

from __future__ import annotations

from typing import Final

import xarray as xr

from workbench import dims
from workbench.batch import Batch
from workbench.config import SleepConfig
from workbench.errors import WorkbenchError
from workbench.instruments.provenance import contribution_norms
from workbench.instruments.recorded import recorded
from workbench.model import HybridModel

MOST: Final = 4_000_000
"""Most numbers that are worked out for a page; a longer example has none."""

OVER: Final = (dims.WINDOW, dims.SLEEP_PASS, dims.SOURCE_WINDOW, dims.SOURCE_TOKEN)


def written_by_token(
    model: HybridModel, batch: Batch, sleep: SleepConfig, passes: tuple[int, ...]
) -> xr.DataArray | None:
    """Return each token's share of all of S, ``(window, sleep_pass, source_window, source_token)``.

    Exact, and adds up to 1; what a token removes is taken from older writes. All heads and layers
    together, each as much as its part of the squared norm of S. None where the example is too long,
    or where S is not the sum of what was written.

    - batch: one example. passes: of each window.
    """
    from workbench.trace import record

    heads = len(model.fast_weight_layers) * model.config.gdn_heads
    if sum(n + 1 for n in passes) * sum(passes) * sleep.window * heads > MOST:
        return None
    try:
        trace = record(model, batch, sleep)
        found = contribution_norms(trace, every_pass=True, every_token=True)
    except WorkbenchError:
        return None
    squared = recorded(trace, "states", "norm") ** 2
    both = [dims.LAYER, dims.GDN_HEAD]
    total = squared.sum(both)
    share = (found["share"].sum(dims.SOURCE_PASS) * squared).sum(both) / total.where(total > 0)
    return share.isel({dims.EXAMPLE: 0}).transpose(*OVER)
